#include "control/weirctl/client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define WAIT_SECONDS 15
#define READ_BYTES   65536
#define ANSWER_MAX   (256u << 20)

static int open_socket(const char *path, char *message, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval wait = {.tv_sec = WAIT_SECONDS};
    if (strlen(path) >= sizeof(address.sun_path)) {
        snprintf(message, size, "%s: too long for the path of a socket", path);
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) == 0 &&
        connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    snprintf(message, size, "%s: %s; is weir running, and is this its control.socket?", path,
             strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool send_all(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t count = send(fd, text, length, MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return false;
        text += count;
        length -= (size_t)count;
    }
    return true;
}

static bool send_request(int fd, const char *method, json_t *parameters)
{
    json_t *request = json_pack("{s:s, s:i, s:s, s:O}", "jsonrpc", "2.0", "id", 1, "method", method,
                                "params", parameters);
    char *text = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    bool sent = text != NULL && send_all(fd, text, strlen(text)) && send_all(fd, "\n", 1);
    free(text);
    return sent;
}

/* Everything up to the first '\n', malloc'd. NULL: errno, 0 when the daemon hung up. */
static char *read_line(int fd, size_t *out_length)
{
    char *text = NULL;
    size_t used = 0;
    while (used < ANSWER_MAX) {
        char *room = realloc(text, used + READ_BYTES);
        if (room == NULL)
            break;
        text = room;
        ssize_t count = recv(fd, text + used, READ_BYTES, 0);
        if (count < 0 && errno == EINTR)
            continue;
        if (count == 0)
            errno = 0;
        if (count <= 0)
            break;
        char *end = memchr(text + used, '\n', (size_t)count);
        used += (size_t)count;
        if (end == NULL)
            continue;
        *out_length = (size_t)(end - text);
        return text;
    }
    free(text);
    return NULL;
}

static enum client_outcome read_answer(int fd, json_t **out_answer, char *message, size_t size)
{
    size_t length = 0;
    char *text = read_line(fd, &length);
    if (text == NULL) {
        snprintf(message, size, "no answer: %s",
                 errno == 0        ? "the daemon hung up"
                 : errno == EAGAIN ? "none within 15 s"
                                   : strerror(errno));
        return CLIENT_FAILED;
    }
    json_t *answer = json_loadb(text, length, 0, NULL);
    free(text);
    json_t *error = json_object_get(answer, "error");
    json_t *result = json_object_get(answer, "result");
    *out_answer = json_incref(error != NULL ? error : result);
    json_decref(answer);
    if (*out_answer != NULL)
        return error != NULL ? CLIENT_REFUSED : CLIENT_ANSWERED;
    snprintf(message, size, "the answer is not JSON-RPC; is this weir's socket?");
    return CLIENT_FAILED;
}

enum client_outcome client_ask(const char *socket_path, const char *method, json_t *parameters,
                               json_t **out_answer, char *message, size_t message_size)
{
    enum client_outcome outcome = CLIENT_FAILED;
    int fd = open_socket(socket_path, message, message_size);
    if (fd >= 0 && !send_request(fd, method, parameters))
        snprintf(message, message_size, "cannot send: %s", strerror(errno));
    else if (fd >= 0)
        outcome = read_answer(fd, out_answer, message, message_size);
    if (fd >= 0)
        close(fd);
    json_decref(parameters);
    return outcome;
}
