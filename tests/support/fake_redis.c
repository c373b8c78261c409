#include "tests/support/fake_redis.h"

#include "control/loop.h"
#include "dataplane/base/check.h"
#include "tests/support/cmocka.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS_MAX 64
#define QUEUED_MAX  256
#define SAY_MAX     65536

struct client {
    struct fake_redis *fake;
    int fd; /* -1: free */
    struct loop_watch *watch;
    redisReader *reader;
    bool subscribed;
    bool collecting; /* between MULTI and EXEC */
    int queued_count;
    char queued[QUEUED_MAX][16];
};

struct fake_redis {
    struct loop *loop;
    fake_redis_answer *answer;
    void *context;
    int fd;
    struct loop_watch *watch;
    char address[32];
    char port[8];
    uint32_t connections;
    struct client *speaking_to;
    struct client clients[CLIENTS_MAX];
};

bool fake_redis_is(const redisReply *command, const char *word)
{
    return strcasecmp(command->element[0]->str, word) == 0;
}

static void write_to(const struct client *client, const char *bytes, size_t length)
{
    assert_int_equal(send(client->fd, bytes, length, MSG_NOSIGNAL), length);
}

void fake_redis_say(struct fake_redis *fake, const char *format, ...)
{
    char text[SAY_MAX];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text) - 2, format, arguments);
    va_end(arguments);
    check(length >= 0 && (size_t)length < sizeof(text) - 2);
    memcpy(text + length, "\r\n", 2);
    write_to(fake->speaking_to, text, (size_t)length + 2);
}

/* What a command inside MULTI gives when it is executed. */
static const char *result_of(const char *command)
{
    static const struct {
        const char *command;
        const char *result;
    } results[] = {
        {"SET", "+OK"},
        {"TIME", "*2\r\n$10\r\n1700000000\r\n$1\r\n0"},
        {"ROLE", "*3\r\n$6\r\nmaster\r\n:0\r\n*0"},
        {"HGETALL", "*0"},
        {"GET", "$-1"},
        {"PTTL", ":-2"},
    };
    for (size_t i = 0; i < array_count(results); i++)
        if (strcasecmp(results[i].command, command) == 0)
            return results[i].result;
    return "-ERR unknown command";
}

static void execute(struct fake_redis *fake, struct client *client)
{
    fake_redis_say(fake, "*%d", client->queued_count);
    for (int i = 0; i < client->queued_count; i++)
        fake_redis_say(fake, "%s", result_of(client->queued[i]));
    client->collecting = false;
}

static void queue(struct fake_redis *fake, struct client *client, const char *command)
{
    check(client->queued_count < QUEUED_MAX);
    snprintf(client->queued[client->queued_count++], sizeof(client->queued[0]), "%s", command);
    fake_redis_say(fake, "+QUEUED");
}

void fake_redis_usual(struct fake_redis *fake, const redisReply *command)
{
    struct client *client = fake->speaking_to;
    if (fake_redis_is(command, "MULTI")) {
        client->collecting = true;
        client->queued_count = 0;
        fake_redis_say(fake, "+OK");
    } else if (fake_redis_is(command, "EXEC")) {
        execute(fake, client);
    } else if (client->collecting) {
        queue(fake, client, command->element[0]->str);
    } else if (fake_redis_is(command, "AUTH")) {
        fake_redis_say(fake, "+OK");
    } else if (fake_redis_is(command, "SUBSCRIBE")) {
        client->subscribed = true;
        fake_redis_say(fake, "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1");
    } else {
        fake_redis_say(fake, "%s", result_of(command->element[0]->str));
    }
}

void fake_redis_publish(struct fake_redis *fake, const char *text)
{
    for (int i = 0; i < CLIENTS_MAX; i++)
        if (fake->clients[i].fd >= 0 && fake->clients[i].subscribed)
            write_to(&fake->clients[i], text, strlen(text));
}

void fake_redis_shout(struct fake_redis *fake, const char *text)
{
    for (int i = 0; i < CLIENTS_MAX; i++)
        if (fake->clients[i].fd >= 0)
            write_to(&fake->clients[i], text, strlen(text));
}

static void close_client(struct client *client)
{
    if (client->fd < 0)
        return;
    loop_unwatch(client->watch);
    close(client->fd);
    client->fd = -1;
    redisReaderFree(client->reader);
}

void fake_redis_cut(struct fake_redis *fake)
{
    for (int i = 0; i < CLIENTS_MAX; i++)
        close_client(&fake->clients[i]);
}

static void hear(void *context, uint32_t events)
{
    struct client *client = context;
    char bytes[4096];
    void *command = NULL;
    ssize_t got = recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (got <= 0) {
        close_client(client);
        return;
    }
    redisReaderFeed(client->reader, bytes, (size_t)got);
    while (client->fd >= 0 && redisReaderGetReply(client->reader, &command) == REDIS_OK &&
           command != NULL) {
        client->fake->speaking_to = client;
        client->fake->answer(client->fake->context, client->fake, command);
        freeReplyObject(command);
    }
}

static void take_client(void *context, uint32_t events)
{
    struct fake_redis *fake = context;
    struct client *client = fake->clients;
    while (client->fd >= 0)
        check(++client < fake->clients + CLIENTS_MAX);
    *client = (struct client){.fake = fake, .reader = redisReaderCreate()};
    client->fd = accept4(fake->fd, NULL, NULL, SOCK_CLOEXEC);
    assert_true(client->fd >= 0);
    client->watch = loop_watch(fake->loop, client->fd, EPOLLIN, hear, client);
    assert_non_null(client->watch);
    fake->connections++;
}

struct fake_redis *fake_redis_create(struct loop *loop, fake_redis_answer *answer, void *context)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    struct fake_redis *fake = calloc(1, sizeof(*fake));
    assert_non_null(fake);
    fake->loop = loop;
    fake->answer = answer;
    fake->context = context;
    for (int i = 0; i < CLIENTS_MAX; i++)
        fake->clients[i].fd = -1;
    fake->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fake->fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(fake->fd, CLIENTS_MAX), 0);
    assert_int_equal(getsockname(fake->fd, (struct sockaddr *)&address, &length), 0);
    snprintf(fake->port, sizeof(fake->port), "%u", ntohs(address.sin_port));
    snprintf(fake->address, sizeof(fake->address), "127.0.0.1:%s", fake->port);
    fake->watch = loop_watch(loop, fake->fd, EPOLLIN, take_client, fake);
    assert_non_null(fake->watch);
    return fake;
}

void fake_redis_destroy(struct fake_redis *fake)
{
    if (fake == NULL)
        return;
    fake_redis_cut(fake);
    loop_unwatch(fake->watch);
    close(fake->fd);
    free(fake);
}

const char *fake_redis_address(const struct fake_redis *fake)
{
    return fake->address;
}

const char *fake_redis_port(const struct fake_redis *fake)
{
    return fake->port;
}

uint32_t fake_redis_connections(const struct fake_redis *fake)
{
    return fake->connections;
}
