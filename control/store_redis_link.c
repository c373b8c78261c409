#include "control/store_redis_link.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/ip_address.h"
#include "dataplane/base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/async.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BREAKER_FAILURES 5
#define RETRY_SOON_MS    200u
#define RETRY_LATER_MS   1600u /* with jitter 1.6 to 2.4 s */
#define RETRY_JITTER     800u
#define TEXT_MAX         256
#define PASSWORD_MAX     512

enum phase {
    PHASE_IDLE,       /* waiting for the next attempt */
    PHASE_CONNECTING, /* the socket */
    PHASE_GREETING,   /* AUTH and ROLE */
    PHASE_READY,
};

/* Where Redis is: a path, or an IP address with a port. */
struct address {
    bool local;
    char host[256];
    int port;
};

struct redis_link {
    struct loop *loop;
    struct redis_link_events events;
    struct address address;
    struct config_store config; /* a copy */
    struct random random;
    enum phase phase;
    redisAsyncContext *connection; /* NULL when idle */
    struct loop_watch *watch;
    uint32_t interest;
    struct loop_timer *retry;
    struct loop_timer *deadline; /* of the connect, or of the oldest command */
    uint32_t waiting;            /* commands sent and not answered */
    uint32_t failures;           /* in a row */
    char text[TEXT_MAX];
};

static void lose(struct redis_link *link, const char *text);

/* Settings. */

static bool parse_port(const char *text, int *out)
{
    char *end;
    long port = strtol(text, &end, 10);
    *out = (int)port;
    return end != text && *end == '\0' && port > 0 && port < 65536;
}

static bool parse_address(const char *text, struct address *out)
{
    static const char local[] = "unix:";
    struct ip_address ignored;
    *out = (struct address){0};
    if (strncmp(text, local, sizeof(local) - 1) == 0) {
        out->local = true;
        snprintf(out->host, sizeof(out->host), "%s", text + sizeof(local) - 1);
        return out->host[0] == '/';
    }
    const char *colon = strrchr(text, ':');
    if (colon == NULL || !parse_port(colon + 1, &out->port))
        return false;
    bool brackets = text[0] == '[' && colon > text && colon[-1] == ']';
    const char *begin = text + brackets;
    snprintf(out->host, sizeof(out->host), "%.*s", (int)(colon - brackets - begin), begin);
    if (strcmp(out->host, "localhost") == 0)
        strcpy(out->host, "127.0.0.1");
    return ip_address_parse(out->host, &ignored);
}

/* The first line of the password file; "" without a file. False: it cannot be read. */
static bool read_password(const struct config_store *config, char out[PASSWORD_MAX])
{
    out[0] = '\0';
    if (config->password_file[0] == '\0')
        return true;
    int fd = open(config->password_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    ssize_t got = read(fd, out, PASSWORD_MAX - 1);
    int error = errno;
    close(fd);
    errno = error;
    if (got < 0)
        return false;
    out[got] = '\0';
    out[strcspn(out, "\r\n")] = '\0';
    return true;
}

static int take_settings(struct redis_link *link, const struct config_store *config, char *message,
                         size_t message_size)
{
    char password[PASSWORD_MAX];
    struct address address;
    if (!parse_address(config->address, &address)) {
        snprintf(message, message_size,
                 "store.address: is \"%s\"; expected an IP address with a port, [IPv6]:port or "
                 "unix:/path (names are not looked up)",
                 config->address);
        return -1;
    }
    if (!read_password(config, password)) {
        snprintf(message, message_size, "store.password_file: %s: %s", config->password_file,
                 strerror(errno));
        return -1;
    }
    explicit_bzero(password, sizeof(password));
    link->address = address;
    link->config = *config;
    return 0;
}

/* The event hooks of hiredis. */

static void ready_to_move(void *context, uint32_t events)
{
    struct redis_link *link = context;
    redisAsyncContext *connection = link->connection;
    if (connection == NULL)
        return;
    if (link->phase == PHASE_CONNECTING) {
        redisAsyncHandleWrite(connection); /* finds out whether it is connected */
        return;
    }
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        redisAsyncHandleRead(connection);
    if (link->connection == connection && (events & EPOLLOUT))
        redisAsyncHandleWrite(connection);
}

static void set_interest(struct redis_link *link, uint32_t interest)
{
    if (link->watch == NULL || interest == link->interest)
        return;
    link->interest = interest;
    loop_watch_events(link->watch, interest);
}

static void add_read(void *context)
{
    struct redis_link *link = context;
    set_interest(link, link->interest | EPOLLIN);
}

static void delete_read(void *context)
{
    struct redis_link *link = context;
    set_interest(link, link->interest & ~(uint32_t)EPOLLIN);
}

static void add_write(void *context)
{
    struct redis_link *link = context;
    set_interest(link, link->interest | EPOLLOUT);
}

static void delete_write(void *context)
{
    struct redis_link *link = context;
    set_interest(link, link->interest & ~(uint32_t)EPOLLOUT);
}

static void clean_up(void *context)
{
    struct redis_link *link = context;
    if (link->watch != NULL)
        loop_unwatch(link->watch);
    link->watch = NULL;
    link->interest = 0;
}

/* Commands. */

static void set_deadline(struct redis_link *link)
{
    if (link->waiting == 0)
        loop_timer_stop(link->deadline);
    else
        loop_timer_at(link->deadline, loop_now_ns(link->loop) + link->config.command_timeout_ns);
}

/* One sent command. */
struct sent {
    struct redis_link *link;
    redis_link_reply *reply;
    void *context;
};

static void replied(redisAsyncContext *connection, void *reply, void *private_data)
{
    struct sent *sent = private_data;
    struct redis_link *link = sent->link;
    if (reply != NULL && link->connection == connection) {
        link->waiting--;
        set_deadline(link);
        if (sent->reply != NULL)
            sent->reply(sent->context, reply);
    }
    free(sent);
}

static void send_words(struct redis_link *link, redis_link_reply *reply, void *context, int count,
                       const char *const *words, const size_t *lengths)
{
    struct sent *sent = malloc(sizeof(*sent));
    if (sent != NULL)
        *sent = (struct sent){link, reply, context};
    if (sent == NULL || redisAsyncCommandArgv(link->connection, replied, sent, count,
                                              (const char **)words, lengths) != REDIS_OK) {
        free(sent);
        loop_timer_at(link->deadline, loop_now_ns(link->loop)); /* as if no answer came */
        return;
    }
    if (link->waiting++ == 0)
        set_deadline(link);
}

void redis_link_send(struct redis_link *link, redis_link_reply *reply, int count,
                     const char *const *words, const size_t *lengths)
{
    check(link->phase == PHASE_READY);
    send_words(link, reply, link->events.context, count, words, lengths);
}

/* Connecting. */

static void on_role(void *context, const redisReply *reply)
{
    struct redis_link *link = context;
    if (reply->type == REDIS_REPLY_ERROR) {
        redis_link_fail(link, "ROLE: %s", reply->str);
        return;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 1 ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        strcmp(reply->element[0]->str, "master") != 0) {
        redis_link_fail(link, "it is not a master");
        return;
    }
    link->phase = PHASE_READY;
    link->failures = 0;
    link->text[0] = '\0';
    link->events.ready(link->events.context);
}

static void on_auth(void *context, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR)
        redis_link_fail(context, "AUTH: %s", reply->str);
}

static void greet(struct redis_link *link)
{
    char password[PASSWORD_MAX];
    if (!read_password(&link->config, password)) {
        /* It vanished just now. hiredis must not be freed from its connect callback. */
        loop_timer_at(link->deadline, loop_now_ns(link->loop));
        return;
    }
    const char *user = link->config.user;
    const char *words[] = {"AUTH", user, password};
    const char *words_without_user[] = {"AUTH", password};
    if (password[0] != '\0' && user[0] != '\0')
        send_words(link, on_auth, link, 3, words, NULL);
    else if (password[0] != '\0')
        send_words(link, on_auth, link, 2, words_without_user, NULL);
    explicit_bzero(password, sizeof(password));
    const char *role[] = {"ROLE"};
    send_words(link, on_role, link, 1, role, NULL);
}

static void on_connect(const redisAsyncContext *connection, int status)
{
    struct redis_link *link = connection->data;
    if (link->connection != connection)
        return;
    if (status != REDIS_OK) {
        char text[TEXT_MAX];
        snprintf(text, sizeof(text), "%s", connection->c.errstr);
        link->connection = NULL; /* hiredis frees it after this call */
        lose(link, text);
        return;
    }
    loop_timer_stop(link->deadline);
    link->phase = PHASE_GREETING;
    greet(link);
}

static void on_disconnect(const redisAsyncContext *connection, int status)
{
    struct redis_link *link = connection->data;
    if (link->connection != connection)
        return;
    char text[TEXT_MAX];
    snprintf(text, sizeof(text), "%s", status == REDIS_OK ? "closed" : connection->c.errstr);
    link->connection = NULL;
    lose(link, text);
}

static bool attach(struct redis_link *link, redisAsyncContext *connection)
{
    link->watch = loop_watch(link->loop, connection->c.fd, 0, ready_to_move, link);
    if (link->watch == NULL)
        return false;
    (void)fcntl(connection->c.fd, F_SETFD, FD_CLOEXEC);
    connection->data = link;
    connection->ev.data = link;
    connection->ev.addRead = add_read;
    connection->ev.delRead = delete_read;
    connection->ev.addWrite = add_write;
    connection->ev.delWrite = delete_write;
    connection->ev.cleanup = clean_up;
    redisAsyncSetConnectCallback(connection, on_connect); /* asks for the first write event */
    redisAsyncSetDisconnectCallback(connection, on_disconnect);
    return true;
}

/* False: it is not, and the attempt has failed. */
static bool password_is_readable(struct redis_link *link)
{
    char password[PASSWORD_MAX];
    bool readable = read_password(&link->config, password);
    if (!readable)
        redis_link_fail(link, "store.password_file: %s", strerror(errno));
    explicit_bzero(password, sizeof(password));
    return readable;
}

static void connect_now(void *context, uint64_t now_ns)
{
    struct redis_link *link = context;
    if (!password_is_readable(link))
        return;
    redisAsyncContext *connection = link->address.local
                                        ? redisAsyncConnectUnix(link->address.host)
                                        : redisAsyncConnect(link->address.host, link->address.port);
    if (connection == NULL || connection->err != 0 || !attach(link, connection)) {
        char text[TEXT_MAX];
        snprintf(text, sizeof(text), "%s",
                 connection != NULL && connection->err != 0 ? connection->c.errstr : "no memory");
        if (connection != NULL)
            redisAsyncFree(connection);
        lose(link, text);
        return;
    }
    link->connection = connection;
    link->phase = PHASE_CONNECTING;
    loop_timer_at(link->deadline, now_ns + link->config.connect_timeout_ns);
}

/* Losing. */

static uint64_t retry_for_ns(struct redis_link *link)
{
    if (link->failures < BREAKER_FAILURES)
        return (RETRY_SOON_MS + random_below(&link->random, RETRY_SOON_MS + 1)) * CLOCK_MS;
    return (RETRY_LATER_MS + random_below(&link->random, RETRY_JITTER + 1)) * CLOCK_MS;
}

/* Free the connection without hearing of it. What was sent is told nothing any more. */
static void drop_connection(struct redis_link *link)
{
    redisAsyncContext *connection = link->connection;
    link->connection = NULL;
    link->phase = PHASE_IDLE;
    link->waiting = 0;
    loop_timer_stop(link->deadline);
    if (connection != NULL)
        redisAsyncFree(connection);
}

/* The one way out of every phase. */
static void lose(struct redis_link *link, const char *text)
{
    snprintf(link->text, sizeof(link->text), "%s", text);
    drop_connection(link);
    link->failures++;
    loop_timer_at(link->retry, loop_now_ns(link->loop) + retry_for_ns(link));
    link->events.lost(link->events.context,
                      link->failures < BREAKER_FAILURES ? STORE_CONNECTING : STORE_LOST,
                      link->text);
}

void redis_link_fail(struct redis_link *link, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    lose(link, text);
}

static void out_of_time(void *context, uint64_t now_ns)
{
    struct redis_link *link = context;
    if (link->phase == PHASE_CONNECTING)
        redis_link_fail(link, "no connection within %llu ms",
                        (unsigned long long)(link->config.connect_timeout_ns / CLOCK_MS));
    else
        redis_link_fail(link, "no answer within %llu ms",
                        (unsigned long long)(link->config.command_timeout_ns / CLOCK_MS));
}

/* Life. */

struct redis_link *redis_link_create(struct loop *loop, const struct config_store *config,
                                     const struct redis_link_events *events, char *message,
                                     size_t message_size)
{
    uint64_t seed;
    struct redis_link *link = calloc(1, sizeof(*link));
    if (link == NULL || take_settings(link, config, message, message_size) != 0) {
        free(link);
        return NULL;
    }
    random_secret(&seed, sizeof(seed));
    random_seed(&link->random, seed);
    link->loop = loop;
    link->events = *events;
    snprintf(link->text, sizeof(link->text), "not connected yet");
    link->retry = loop_timer(loop, connect_now, link);
    link->deadline = loop_timer(loop, out_of_time, link);
    if (link->retry == NULL || link->deadline == NULL) {
        snprintf(message, message_size, "no memory");
        redis_link_destroy(link);
        return NULL;
    }
    loop_timer_at(link->retry, loop_now_ns(loop));
    return link;
}

void redis_link_destroy(struct redis_link *link)
{
    if (link == NULL)
        return;
    if (link->deadline != NULL)
        drop_connection(link);
    loop_timer_destroy(link->retry);
    loop_timer_destroy(link->deadline);
    free(link);
}

int redis_link_apply(struct redis_link *link, const struct config_store *config, char *message,
                     size_t message_size)
{
    struct address before = link->address;
    if (take_settings(link, config, message, message_size) != 0)
        return -1;
    bool same = before.local == link->address.local && before.port == link->address.port &&
                strcmp(before.host, link->address.host) == 0;
    if (same)
        return 0;
    if (link->connection != NULL)
        redis_link_fail(link, "the address was changed");
    link->failures = 0;
    loop_timer_at(link->retry, loop_now_ns(link->loop));
    return 0;
}

bool redis_link_is_ready(const struct redis_link *link)
{
    return link->phase == PHASE_READY;
}

const char *redis_link_text(const struct redis_link *link)
{
    return link->text;
}
