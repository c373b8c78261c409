#include "tests/support/control_peer.h"

#include "tests/support/cmocka.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_BYTES 65536

void control_peer_open(struct control_peer *peer, struct daemon *daemon)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *peer = (struct control_peer){.daemon = daemon};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", daemon->config->control.socket);
    peer->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(peer->fd >= 0);
    assert_int_equal(connect(peer->fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

void control_peer_close(struct control_peer *peer)
{
    close(peer->fd);
    free(peer->input);
    *peer = (struct control_peer){.fd = -1};
}

struct sending {
    struct control_peer *peer;
    const char *bytes;
    size_t left;
};

static bool sent(void *context)
{
    struct sending *sending = context;
    ssize_t count = send(sending->peer->fd, sending->bytes, sending->left, MSG_NOSIGNAL);
    if (count < 0)
        return errno != EAGAIN; /* the daemon hung up: reading will tell */
    sending->bytes += count;
    sending->left -= (size_t)count;
    return sending->left == 0;
}

void control_peer_send_bytes(struct control_peer *peer, const char *bytes, size_t length)
{
    struct sending sending = {peer, bytes, length};
    fake_daemon_run_until(peer->daemon, sent, &sending);
}

static char *quoted(const char *text)
{
    char *copy = malloc(strlen(text) + 2);
    assert_non_null(copy);
    strcpy(copy, text);
    for (char *at = copy; *at != '\0'; at++)
        if (*at == '\'')
            *at = '"';
    return copy;
}

void control_peer_send(struct control_peer *peer, const char *text)
{
    char *line = quoted(text);
    size_t length = strlen(line);
    line[length] = '\n';
    control_peer_send_bytes(peer, line, length + 1);
    free(line);
}

static void receive(struct control_peer *peer)
{
    if (peer->room - peer->used < READ_BYTES) {
        peer->room = peer->room * 2 + READ_BYTES;
        peer->input = realloc(peer->input, peer->room);
        assert_non_null(peer->input);
    }
    ssize_t count = recv(peer->fd, peer->input + peer->used, READ_BYTES, 0);
    if (count > 0)
        peer->used += (size_t)count;
    else if (count == 0 || errno != EAGAIN)
        peer->hung_up = true;
}

static char *line_end(const struct control_peer *peer)
{
    return peer->used > 0 ? memchr(peer->input, '\n', peer->used) : NULL;
}

static bool has_line(void *context)
{
    struct control_peer *peer = context;
    if (line_end(peer) == NULL && !peer->hung_up)
        receive(peer);
    return line_end(peer) != NULL || peer->hung_up;
}

json_t *control_peer_read(struct control_peer *peer)
{
    fake_daemon_run_until(peer->daemon, has_line, peer);
    char *end = line_end(peer);
    if (end == NULL)
        return NULL;
    size_t length = (size_t)(end - peer->input);
    json_t *json = json_loadb(peer->input, length, JSON_DECODE_ANY, NULL);
    assert_non_null(json);
    peer->used -= length + 1;
    memmove(peer->input, end + 1, peer->used);
    return json;
}

static bool has_end(void *context)
{
    struct control_peer *peer = context;
    if (!peer->hung_up)
        receive(peer);
    return peer->hung_up;
}

void control_peer_expect_end(struct control_peer *peer)
{
    fake_daemon_run_until(peer->daemon, has_end, peer);
}

json_t *control_peer_ask(struct control_peer *peer, const char *text)
{
    control_peer_send(peer, text);
    json_t *answer = control_peer_read(peer);
    assert_non_null(answer);
    return answer;
}

static json_t *ask_for(struct control_peer *peer, const char *method, const char *parameters,
                       const char *part)
{
    char text[16384];
    snprintf(text, sizeof(text), "{'jsonrpc': '2.0', 'id': 1, 'method': '%s'%s%s}", method,
             parameters != NULL ? ", 'params': " : "", parameters != NULL ? parameters : "");
    json_t *answer = control_peer_ask(peer, text);
    json_t *found = json_incref(json_object_get(answer, part));
    if (found == NULL)
        json_dumpf(answer, stderr, JSON_INDENT(1));
    assert_non_null(found);
    json_decref(answer);
    return found;
}

json_t *control_peer_call(struct control_peer *peer, const char *method, const char *parameters)
{
    return ask_for(peer, method, parameters, "result");
}

json_t *control_peer_refused(struct control_peer *peer, const char *method, const char *parameters)
{
    return ask_for(peer, method, parameters, "error");
}
