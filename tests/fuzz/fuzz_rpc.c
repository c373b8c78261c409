/*
 * fuzz_rpc: a client of the control socket that sends anything. An input is a first byte that says
 * when calls that wait come to their end (bit 0: before the client goes) and lines. Each message
 * that comes back is JSON-RPC, and no call is left.
 */
#include "tests/fuzz/fuzz.h"

#include "control/methods.h"
#include "dataplane/base/check.h"
#include "tests/support/fake_daemon.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    return 0;
}

static void check_one(const json_t *message)
{
    const json_t *error = json_object_get(message, "error");
    const json_t *result = json_object_get(message, "result");
    check(json_is_string(json_object_get(message, "jsonrpc")));
    check(json_object_get(message, "id") != NULL);
    check((error != NULL) != (result != NULL));
    if (error != NULL)
        check(json_is_integer(json_object_get(error, "code")) &&
              json_is_string(json_object_get(error, "message")));
}

static void take_message(struct rpc_session *session, char *text, size_t length)
{
    size_t index;
    json_t *element;
    check(length > 1 && text[length - 1] == '\n' && memchr(text, '\n', length - 1) == NULL);
    json_t *message = json_loadb(text, length, 0, NULL);
    check(message != NULL);
    if (json_is_array(message)) {
        check(json_array_size(message) > 0);
        json_array_foreach(message, index, element)
        {
            check_one(element);
        }
    } else
        check_one(message);
    json_decref(message);
    free(text);
}

static void call_ended(struct rpc_session *session)
{
}

static void end_calls(struct daemon *daemon, bool ok)
{
    if (daemon->failover.done != NULL)
        fake_command_done(daemon, ok, "done");
    fake_flights_end(daemon, ok);
}

static void send_lines(struct rpc_session *session, struct daemon *daemon, const char *text,
                       size_t size)
{
    while (size > 0) {
        const char *end = memchr(text, '\n', size);
        size_t length = end != NULL ? (size_t)(end - text) : size;
        rpc_line(session, text, length);
        if (daemon->failover.done != NULL && length % 2 == 0)
            fake_command_done(daemon, false, "refused");
        length += end != NULL;
        text += length;
        size -= length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char message[256];
    struct rpc_session session = {.send = take_message, .ended = call_ended};
    if (size == 0)
        return 0;
    struct daemon *daemon = fake_daemon_create();
    struct methods *methods = methods_create(daemon, message, sizeof(message));
    check(methods != NULL);
    rpc_session_init(&session, methods);
    send_lines(&session, daemon, (const char *)data + 1, size - 1);
    if (data[0] & 1) {
        end_calls(daemon, true);
        check(session.call_count == 0);
    }
    rpc_session_end(&session);
    end_calls(daemon, false);
    methods_destroy(methods);
    fake_daemon_destroy(daemon);
    return 0;
}
