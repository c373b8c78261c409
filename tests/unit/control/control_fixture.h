/*
 * control_fixture: a control socket over a fake daemon, and a client of it. For the tests of the
 * socket and of its methods.
 */
#pragma once

#include "control/socket.h"

#include "dataplane/base/check.h"
#include "tests/support/cmocka.h"
#include "tests/support/control_peer.h"
#include "tests/support/fake_daemon.h"

#include <stdlib.h>

struct fixture {
    struct daemon *daemon;
    struct socket_server *server;
    struct control_peer peer;
};

static inline int open_fixture(void **state)
{
    char message[256] = "";
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->daemon = fake_daemon_create();
    fixture->server = socket_open(fixture->daemon, message, sizeof(message));
    assert_string_equal(message, "");
    assert_non_null(fixture->server);
    control_peer_open(&fixture->peer, fixture->daemon);
    *state = fixture;
    return 0;
}

static inline int close_fixture(void **state)
{
    struct fixture *fixture = *state;
    control_peer_close(&fixture->peer);
    socket_close(fixture->server);
    fake_daemon_destroy(fixture->daemon);
    free(fixture);
    return 0;
}

static inline const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    assert_non_null(text);
    return text;
}

static inline json_int_t number_of(const json_t *object, const char *key)
{
    assert_true(json_is_integer(json_object_get(object, key)));
    return json_integer_value(json_object_get(object, key));
}

static inline json_int_t code_of(const json_t *answer)
{
    return number_of(json_object_get(answer, "error"), "code");
}

static inline void expect_alive(struct fixture *fixture)
{
    struct control_peer peer;
    control_peer_open(&peer, fixture->daemon);
    json_t *result = control_peer_call(&peer, "status", NULL);
    assert_string_equal(text_of(result, "node"), "fake-1");
    json_decref(result);
    control_peer_close(&peer);
}

static inline bool drain_arrived(void *context)
{
    struct daemon *daemon = context;
    return daemon->failover.done != NULL;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)
