#include "control/store_redis_link.h"

#include "control/store_redis_sentinel.h"
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/random.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BREAKER_FAILURES 5
#define RETRY_SOON_MS    200u
#define RETRY_LATER_MS   1600u /* with jitter 1.6 to 2.4 s */
#define RETRY_JITTER     800u

enum phase {
    PHASE_IDLE,       /* waiting for the next attempt */
    PHASE_FINDING,    /* asking the Sentinels */
    PHASE_CONNECTING, /* to the master: the socket, and AUTH */
    PHASE_GREETING,   /* ROLE */
    PHASE_READY,
};

/* What the configuration says, checked. */
struct settings {
    struct redis_target master; /* with Sentinels: its address is what they said last */
    struct redis_sentinel_settings sentinel;
};

struct redis_link {
    struct loop *loop;
    struct redis_link_events events;
    struct settings settings;
    struct random random;
    enum phase phase;
    struct redis_connection *connection;
    struct redis_sentinel *sentinel;
    struct loop_timer *retry;
    uint32_t failures; /* in a row */
    char text[REDIS_TEXT_MAX];
};

/* Settings. */

__attribute__((format(printf, 3, 4))) static int refuse(char *message, size_t size,
                                                        const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, size, format, arguments);
    va_end(arguments);
    return -1;
}

static int take_address(const char *text, const char *path, struct redis_address *out,
                        char *message, size_t size)
{
    if (redis_address_parse(text, out))
        return 0;
    return refuse(message, size, "%s: is \"%s\"; expected " REDIS_ADDRESS_EXPECTED, path, text);
}

/* The file is read again at each connect; that it can be is found out now. */
static int check_password(const char *file, const char *path, char *message, size_t size)
{
    char password[REDIS_PASSWORD_MAX];
    const char *why;
    if (file[0] == '\0')
        return 0;
    bool readable = redis_password_read(file, password, &why);
    explicit_bzero(password, sizeof(password));
    return readable ? 0 : refuse(message, size, "%s: %s: %s", path, file, why);
}

static struct redis_target target_of(const struct config_store *config, const char *user,
                                     const char *password_file)
{
    struct redis_target target = {
        .connect_timeout_ns = config->connect_timeout_ns,
        .command_timeout_ns = config->command_timeout_ns,
    };
    snprintf(target.user, sizeof(target.user), "%s", user);
    snprintf(target.password_file, sizeof(target.password_file), "%s", password_file);
    return target;
}

static int take_sentinels(struct redis_sentinel_settings *out, const struct config_store *config,
                          char *message, size_t size)
{
    char path[64];
    out->count = config->sentinel_count;
    snprintf(out->master, sizeof(out->master), "%s", config->master);
    for (uint32_t i = 0; i < out->count; i++) {
        struct redis_target *sentinel = &out->sentinels[i];
        *sentinel = target_of(config, config->sentinel_user, config->sentinel_password_file);
        snprintf(path, sizeof(path), "store.sentinels[%u]", i);
        if (take_address(config->sentinels[i], path, &sentinel->address, message, size) != 0)
            return -1;
    }
    return check_password(config->sentinel_password_file, "store.sentinel_password_file", message,
                          size);
}

static int take_settings(struct settings *out, const struct config_store *config, char *message,
                         size_t size)
{
    *out = (struct settings){.master = target_of(config, config->user, config->password_file)};
    if (config->sentinel_count > 0) {
        if (take_sentinels(&out->sentinel, config, message, size) != 0)
            return -1;
    } else if (take_address(config->address, "store.address", &out->master.address, message,
                            size) != 0) {
        return -1;
    }
    return check_password(config->password_file, "store.password_file", message, size);
}

static bool has_sentinels(const struct settings *settings)
{
    return settings->sentinel.count > 0;
}

static bool is_same_place(const struct settings *a, const struct settings *b)
{
    if (a->sentinel.count != b->sentinel.count)
        return false;
    if (!has_sentinels(a))
        return redis_address_equal(&a->master.address, &b->master.address);
    for (uint32_t i = 0; i < a->sentinel.count; i++)
        if (!redis_address_equal(&a->sentinel.sentinels[i].address,
                                 &b->sentinel.sentinels[i].address))
            return false;
    return strcmp(a->sentinel.master, b->sentinel.master) == 0;
}

/* Losing. */

static uint64_t retry_for_ns(struct redis_link *link)
{
    if (link->failures < BREAKER_FAILURES)
        return (RETRY_SOON_MS + random_below(&link->random, RETRY_SOON_MS + 1)) * CLOCK_MS;
    return (RETRY_LATER_MS + random_below(&link->random, RETRY_JITTER + 1)) * CLOCK_MS;
}

/* The one way out of every phase: nothing is under way any more. */
static void lose(struct redis_link *link, const char *text)
{
    snprintf(link->text, sizeof(link->text), "%s", text);
    link->phase = PHASE_IDLE;
    link->failures++;
    redis_sentinel_doubt(link->sentinel);
    loop_timer_at(link->retry, loop_now_ns(link->loop) + retry_for_ns(link));
    link->events.lost(link->events.context,
                      link->failures < BREAKER_FAILURES ? STORE_CONNECTING : STORE_LOST,
                      link->text);
}

static void on_down(void *context, const char *text)
{
    lose(context, text);
}

void redis_link_fail(struct redis_link *link, const char *format, ...)
{
    char text[REDIS_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    redis_connection_fail(link->connection, "%s", text);
}

/* Connecting. */

bool redis_link_is_master(const redisReply *role)
{
    return role->type == REDIS_REPLY_ARRAY && role->elements > 0 &&
           role->element[0]->type == REDIS_REPLY_STRING &&
           strcmp(role->element[0]->str, "master") == 0;
}

static void on_role(void *context, const redisReply *reply)
{
    struct redis_link *link = context;
    if (reply->type == REDIS_REPLY_ERROR)
        redis_link_fail(link, "ROLE: %s", reply->str);
    else if (!redis_link_is_master(reply))
        redis_link_fail(link, "it is not a master");
    else {
        link->phase = PHASE_READY;
        link->events.ready(link->events.context);
    }
}

static void on_up(void *context)
{
    struct redis_link *link = context;
    const char *role[] = {"ROLE"};
    link->phase = PHASE_GREETING;
    redis_connection_send(link->connection, on_role, link, 1, role, NULL);
}

static void connect_to_master(struct redis_link *link)
{
    link->phase = PHASE_CONNECTING;
    redis_connection_open(link->connection, &link->settings.master);
}

static void on_found(void *context, const struct redis_address *master)
{
    struct redis_link *link = context;
    link->settings.master.address = *master;
    connect_to_master(link);
}

static void on_nowhere(void *context, const char *text)
{
    lose(context, text);
}

static void begin(void *context, uint64_t now_ns)
{
    struct redis_link *link = context;
    if (!has_sentinels(&link->settings)) {
        connect_to_master(link);
        return;
    }
    link->phase = PHASE_FINDING;
    redis_sentinel_ask(link->sentinel, &link->settings.sentinel);
}

/* Life. */

static bool create_parts(struct redis_link *link)
{
    const struct redis_connection_events connection = {on_up, on_down, link};
    const struct redis_sentinel_events sentinel = {on_found, on_nowhere, link};
    link->connection = redis_connection_create(link->loop, &connection);
    link->sentinel = redis_sentinel_create(link->loop, &sentinel);
    link->retry = loop_timer(link->loop, begin, link);
    return link->connection != NULL && link->sentinel != NULL && link->retry != NULL;
}

struct redis_link *redis_link_create(struct loop *loop, const struct config_store *config,
                                     const struct redis_link_events *events, char *message,
                                     size_t message_size)
{
    uint64_t seed;
    struct redis_link *link = calloc(1, sizeof(*link));
    snprintf(message, message_size, "no memory");
    if (link == NULL || take_settings(&link->settings, config, message, message_size) != 0) {
        free(link);
        return NULL;
    }
    random_secret(&seed, sizeof(seed));
    random_seed(&link->random, seed);
    link->loop = loop;
    link->events = *events;
    snprintf(link->text, sizeof(link->text), "not connected yet");
    if (!create_parts(link)) {
        redis_link_destroy(link);
        return NULL;
    }
    loop_timer_at(link->retry, loop_now_ns(loop));
    message[0] = '\0';
    return link;
}

void redis_link_destroy(struct redis_link *link)
{
    if (link == NULL)
        return;
    redis_connection_destroy(link->connection);
    redis_sentinel_destroy(link->sentinel);
    loop_timer_destroy(link->retry);
    free(link);
}

int redis_link_apply(struct redis_link *link, const struct config_store *config, char *message,
                     size_t message_size)
{
    struct settings settings;
    if (take_settings(&settings, config, message, message_size) != 0)
        return -1;
    bool same = is_same_place(&settings, &link->settings);
    if (same)
        settings.master.address = link->settings.master.address;
    link->settings = settings;
    if (same)
        return 0;
    redis_sentinel_stop(link->sentinel);
    redis_connection_close(link->connection);
    if (link->phase != PHASE_IDLE)
        lose(link, "the address was changed");
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

const struct redis_target *redis_link_target(const struct redis_link *link)
{
    check(link->phase == PHASE_READY);
    return &link->settings.master;
}

void redis_link_good(struct redis_link *link)
{
    link->failures = 0;
    link->text[0] = '\0';
}

void redis_link_send(struct redis_link *link, redis_connection_reply *reply, int count,
                     const char *const *words, const size_t *lengths)
{
    check(link->phase == PHASE_READY);
    redis_connection_send(link->connection, reply, link->events.context, count, words, lengths);
}
