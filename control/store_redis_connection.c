#include "control/store_redis_connection.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define READ_BYTES   (16 * 1024)
#define READS_A_TURN 16
#define KEEPALIVE_S  5 /* a subscription sends nothing of its own */
#define ELEMENTS_MAX 8192

enum phase {
    PHASE_CLOSED,
    PHASE_CONNECTING, /* the socket */
    PHASE_GREETING,   /* AUTH */
    PHASE_UP,
};

/* A command that was sent and not answered. */
struct sent {
    redis_connection_reply *reply;
    void *context;
    uint64_t at_ns;
};

struct redis_connection {
    struct loop *loop;
    struct redis_connection_events events;
    struct redis_target target;
    enum phase phase;
    uint32_t life; /* counts closings: a callback may have closed and opened it anew */
    int error;     /* why the connect could not begin; 0: it could */
    bool failing;  /* it fails at the next turn, whatever is answered until then */
    int fd;
    struct loop_watch *watch;
    struct loop_timer *deadline; /* of the connect, or of the oldest command */
    redisReader *reader;
    size_t answer_bytes; /* of the answer that is not whole yet */
    redis_connection_reply *listener;
    void *listener_context;
    char *out; /* formatted commands, `out_sent` of them with the kernel */
    size_t out_size;
    size_t out_used;
    size_t out_sent;
    uint32_t sent_first; /* a ring */
    uint32_t sent_count;
    struct sent sent[REDIS_COMMANDS_MAX];
};

/* Passwords. */

bool redis_password_read(const char *file, char out[REDIS_PASSWORD_MAX], const char **why)
{
    out[0] = '\0';
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t got = fd < 0 ? -1 : read(fd, out, REDIS_PASSWORD_MAX);
    *why = strerror(errno);
    if (fd >= 0)
        close(fd);
    if (got < 0)
        return false;
    size_t length = 0;
    while (length < (size_t)got && strchr("\r\n", out[length]) == NULL)
        length++;
    *why = length == 0 ? "its first line is empty" : "its first line is too long";
    if (length == 0 || length == REDIS_PASSWORD_MAX)
        return false;
    out[length] = '\0';
    return true;
}

/* Closing. */

/* What a peer says goes into one line of a log. */
static void make_line(char *text)
{
    for (; *text != '\0'; text++)
        if (iscntrl((unsigned char)*text))
            *text = '?';
}

static void give_out(struct redis_connection *connection)
{
    if (connection->out != NULL)
        explicit_bzero(connection->out, connection->out_size); /* AUTH went through it */
    free(connection->out);
    connection->out = NULL;
    connection->out_size = connection->out_used = connection->out_sent = 0;
}

void redis_connection_close(struct redis_connection *connection)
{
    if (connection->phase == PHASE_CLOSED)
        return;
    connection->phase = PHASE_CLOSED;
    connection->life++;
    loop_timer_stop(connection->deadline);
    if (connection->watch != NULL)
        loop_unwatch(connection->watch);
    connection->watch = NULL;
    if (connection->fd >= 0)
        close(connection->fd);
    connection->fd = -1;
    connection->sent_count = 0;
    connection->listener = NULL;
    give_out(connection);
}

void redis_connection_fail(struct redis_connection *connection, const char *format, ...)
{
    char text[REDIS_TEXT_MAX];
    va_list arguments;
    check(connection->phase != PHASE_CLOSED);
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    make_line(text);
    redis_connection_close(connection);
    connection->events.down(connection->events.context, text);
}

/* At the next turn: the caller's caller may still hold on to the connection. */
static void fail_soon(struct redis_connection *connection)
{
    connection->failing = true;
    loop_timer_at(connection->deadline, loop_now_ns(connection->loop));
}

static void out_of_time(void *context, uint64_t now_ns)
{
    struct redis_connection *connection = context;
    const struct redis_target *target = &connection->target;
    if (connection->error != 0)
        redis_connection_fail(connection, "%s", strerror(connection->error));
    else if (connection->phase == PHASE_CONNECTING)
        redis_connection_fail(connection, "no connection within %llu ms",
                              (unsigned long long)(target->connect_timeout_ns / CLOCK_MS));
    else
        redis_connection_fail(connection, "no answer within %llu ms",
                              (unsigned long long)(target->command_timeout_ns / CLOCK_MS));
}

/* Sending. */

static void set_deadline(struct redis_connection *connection)
{
    if (connection->failing)
        return;
    if (connection->sent_count == 0)
        loop_timer_stop(connection->deadline);
    else
        loop_timer_at(connection->deadline, connection->sent[connection->sent_first].at_ns +
                                                connection->target.command_timeout_ns);
}

static bool append(struct redis_connection *connection, const char *bytes, size_t length)
{
    size_t wanted = connection->out_used + length;
    if (wanted > REDIS_OUT_MAX)
        return false;
    if (wanted > connection->out_size) {
        char *larger = malloc(2 * wanted);
        if (larger == NULL)
            return false;
        memcpy(larger, connection->out == NULL ? "" : connection->out, connection->out_used);
        size_t used = connection->out_used;
        size_t sent = connection->out_sent;
        give_out(connection);
        connection->out = larger;
        connection->out_size = 2 * wanted;
        connection->out_used = used;
        connection->out_sent = sent;
    }
    memcpy(connection->out + connection->out_used, bytes, length);
    connection->out_used += length;
    return true;
}

static bool append_command(struct redis_connection *connection, int count, const char *const *words,
                           const size_t *lengths)
{
    char *formatted;
    int length = redisFormatCommandArgv(&formatted, count, (const char **)words, lengths);
    if (length < 0)
        return false;
    bool fits = append(connection, formatted, (size_t)length);
    explicit_bzero(formatted, (size_t)length);
    redisFreeCommand(formatted);
    return fits;
}

void redis_connection_send(struct redis_connection *connection, redis_connection_reply *reply,
                           void *context, int count, const char *const *words,
                           const size_t *lengths)
{
    check(connection->phase == PHASE_UP || connection->phase == PHASE_GREETING);
    if (connection->sent_count == REDIS_COMMANDS_MAX ||
        !append_command(connection, count, words, lengths)) {
        fail_soon(connection); /* as if no answer came */
        return;
    }
    uint32_t place = (connection->sent_first + connection->sent_count++) % REDIS_COMMANDS_MAX;
    connection->sent[place] = (struct sent){reply, context, loop_now_ns(connection->loop)};
    if (connection->sent_count == 1)
        set_deadline(connection);
    loop_watch_events(connection->watch, EPOLLIN | EPOLLOUT);
}

static void write_out(struct redis_connection *connection)
{
    const char *from = connection->out + connection->out_sent;
    size_t left = connection->out_used - connection->out_sent;
    ssize_t took = left == 0 ? 0 : send(connection->fd, from, left, MSG_NOSIGNAL);
    if (took < 0 && errno != EAGAIN && errno != EINTR) {
        redis_connection_fail(connection, "%s", strerror(errno));
        return;
    }
    connection->out_sent += took > 0 ? (size_t)took : 0;
    if (connection->out_sent < connection->out_used)
        return;
    give_out(connection);
    loop_watch_events(connection->watch, EPOLLIN);
}

void redis_connection_listen(struct redis_connection *connection, redis_connection_reply *listener,
                             void *context)
{
    connection->listener = listener;
    connection->listener_context = context;
}

/* Receiving. */

static void take_reply(struct redis_connection *connection, const redisReply *reply)
{
    if (connection->sent_count == 0 && connection->listener != NULL) {
        connection->listener(connection->listener_context, reply);
        return;
    }
    if (connection->sent_count == 0) {
        redis_connection_fail(connection, "an answer that nobody asked for: %s",
                              reply->type == REDIS_REPLY_ERROR ? reply->str : "not an error");
        return;
    }
    struct sent sent = connection->sent[connection->sent_first];
    connection->sent_first = (connection->sent_first + 1) % REDIS_COMMANDS_MAX;
    connection->sent_count--;
    set_deadline(connection);
    if (sent.reply != NULL)
        sent.reply(sent.context, reply);
}

/* False: the connection was closed, or there is no whole answer. */
static bool take_next(struct redis_connection *connection)
{
    void *reply = NULL;
    uint32_t life = connection->life;
    if (redisReaderGetReply(connection->reader, &reply) != REDIS_OK) {
        redis_connection_fail(connection, "not an answer of Redis: %s", connection->reader->errstr);
        return false;
    }
    if (reply == NULL)
        return false;
    connection->answer_bytes = 0;
    take_reply(connection, reply);
    freeReplyObject(reply);
    return connection->life == life;
}

/* False: the connection was closed, or there is nothing more to read now. */
static bool read_some(struct redis_connection *connection)
{
    char bytes[READ_BYTES];
    uint32_t life = connection->life;
    ssize_t got = recv(connection->fd, bytes, sizeof(bytes), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got <= 0) {
        redis_connection_fail(connection, "%s", got == 0 ? "closed by Redis" : strerror(errno));
        return false;
    }
    connection->answer_bytes += (size_t)got;
    if (connection->answer_bytes > REDIS_ANSWER_MAX ||
        redisReaderFeed(connection->reader, bytes, (size_t)got) != REDIS_OK) {
        redis_connection_fail(connection, "the answer is too long");
        return false;
    }
    while (take_next(connection))
        continue;
    return connection->life == life;
}

static void read_in(struct redis_connection *connection)
{
    for (int i = 0; i < READS_A_TURN; i++)
        if (!read_some(connection))
            return;
}

/* Connecting. */

static void come_up(struct redis_connection *connection)
{
    connection->phase = PHASE_UP;
    connection->events.up(connection->events.context);
}

/* Only the code is told: a server without AUTH repeats the words of the command. */
static void on_auth(void *context, const redisReply *reply)
{
    struct redis_connection *connection = context;
    if (reply->type == REDIS_REPLY_ERROR)
        redis_connection_fail(connection, "AUTH: %.*s", (int)strcspn(reply->str, " "), reply->str);
    else
        come_up(connection);
}

static void greet(struct redis_connection *connection)
{
    const struct redis_target *target = &connection->target;
    char password[REDIS_PASSWORD_MAX] = "";
    const char *why;
    connection->phase = PHASE_GREETING;
    if (target->user[0] == '\0' && target->password_file[0] == '\0') {
        come_up(connection);
        return;
    }
    if (target->password_file[0] != '\0' &&
        !redis_password_read(target->password_file, password, &why)) {
        explicit_bzero(password, sizeof(password));
        redis_connection_fail(connection, "%s: %s", target->password_file, why);
        return;
    }
    const char *words[3] = {"AUTH"};
    int count = 1;
    if (target->user[0] != '\0')
        words[count++] = target->user;
    words[count++] = password;
    redis_connection_send(connection, on_auth, connection, count, words, NULL);
    explicit_bzero(password, sizeof(password));
}

static void find_connected(struct redis_connection *connection)
{
    int error = 0;
    socklen_t length = sizeof(error);
    (void)getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) {
        redis_connection_fail(connection, "%s", strerror(error));
        return;
    }
    loop_timer_stop(connection->deadline);
    loop_watch_events(connection->watch, EPOLLIN);
    greet(connection);
}

static void ready_to_move(void *context, uint32_t events)
{
    struct redis_connection *connection = context;
    uint32_t life = connection->life;
    if (connection->phase == PHASE_CONNECTING) {
        find_connected(connection);
        return;
    }
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        read_in(connection);
    if (connection->life == life && (events & EPOLLOUT))
        write_out(connection);
}

static void set_options(int fd)
{
    const int on = 1;
    const int seconds = KEEPALIVE_S;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof(seconds));
}

/* 0, or errno. */
static int begin(struct redis_connection *connection)
{
    const struct redis_address *address = &connection->target.address;
    const struct sockaddr *socket_address = (const struct sockaddr *)&address->socket;
    connection->fd =
        socket(socket_address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->fd < 0)
        return errno;
    if (socket_address->sa_family != AF_UNIX)
        set_options(connection->fd);
    if (connect(connection->fd, socket_address, address->length) != 0 && errno != EINPROGRESS)
        return errno;
    connection->watch =
        loop_watch(connection->loop, connection->fd, EPOLLOUT, ready_to_move, connection);
    return connection->watch == NULL ? errno : 0;
}

/* hiredis takes memory for as many elements as it is told there will be. */
static void *(*create_array)(const redisReadTask *task, int elements);

static void *create_bounded_array(const redisReadTask *task, int elements)
{
    return elements > ELEMENTS_MAX ? NULL : create_array(task, elements);
}

static bool renew_reader(struct redis_connection *connection)
{
    static redisReplyObjectFunctions functions;
    if (connection->reader != NULL)
        redisReaderFree(connection->reader);
    connection->reader = redisReaderCreate();
    if (connection->reader == NULL)
        return false;
    functions = *connection->reader->fn;
    create_array = functions.createArray;
    functions.createArray = create_bounded_array;
    connection->reader->fn = &functions;
    return true;
}

void redis_connection_open(struct redis_connection *connection, const struct redis_target *target)
{
    uint64_t now = loop_now_ns(connection->loop);
    check(connection->phase == PHASE_CLOSED);
    connection->target = *target;
    connection->phase = PHASE_CONNECTING;
    connection->failing = false;
    connection->answer_bytes = 0;
    connection->error = renew_reader(connection) ? begin(connection) : ENOMEM;
    loop_timer_at(connection->deadline,
                  connection->error != 0 ? now : now + target->connect_timeout_ns);
}

/* Life. */

struct redis_connection *redis_connection_create(struct loop *loop,
                                                 const struct redis_connection_events *events)
{
    struct redis_connection *connection = calloc(1, sizeof(*connection));
    if (connection == NULL)
        return NULL;
    connection->loop = loop;
    connection->events = *events;
    connection->fd = -1;
    connection->deadline = loop_timer(loop, out_of_time, connection);
    if (connection->deadline == NULL) {
        free(connection);
        return NULL;
    }
    return connection;
}

void redis_connection_destroy(struct redis_connection *connection)
{
    if (connection == NULL)
        return;
    redis_connection_close(connection);
    if (connection->reader != NULL)
        redisReaderFree(connection->reader);
    loop_timer_destroy(connection->deadline);
    free(connection);
}
