/*
 * control_peer: a client of the control socket in a test, on the fake daemon's own loop.
 */
#pragma once

#include "tests/support/fake_daemon.h"

#include <jansson.h>

struct control_peer {
    struct daemon *daemon;
    int fd;
    char *input;
    size_t used;
    size_t room;
    bool hung_up; /* the daemon has closed */
};

void control_peer_open(struct control_peer *peer, struct daemon *daemon);
void control_peer_close(struct control_peer *peer);

/* Send LENGTH bytes, with the loop running when the socket is full. */
void control_peer_send_bytes(struct control_peer *peer, const char *bytes, size_t length);
/* Send a text, with ' for ", and a '\n' behind it. */
void control_peer_send(struct control_peer *peer, const char *text);

/* Run the loop until a line has come; NULL when the daemon hung up instead. */
json_t *control_peer_read(struct control_peer *peer);

/* Run the loop until the daemon has hung up. */
void control_peer_expect_end(struct control_peer *peer);

/* Send, read. */
json_t *control_peer_ask(struct control_peer *peer, const char *text);
/* The result of a method; PARAMETERS (' for ") may be NULL. A test failure if it is refused. */
json_t *control_peer_call(struct control_peer *peer, const char *method, const char *parameters);
/* The error object of a refusal. */
json_t *control_peer_refused(struct control_peer *peer, const char *method, const char *parameters);
