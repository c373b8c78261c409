/*
 * store_redis_connection: one connection to a Redis or a Sentinel: connect, AUTH, commands with a
 * time-out each, answers in order. It does not come back by itself: who opened it decides.
 *
 * The socket is ours and never blocks; hiredis formats commands and parses answers. Its own
 * asynchronous context is not used: it asserts that each answer was asked for, and nothing that a
 * peer sends may stop the process. Reading the password file is the one thing that could wait.
 * Bounds: REDIS_COMMANDS_MAX commands under way, REDIS_OUT_MAX bytes on their way out,
 * REDIS_ANSWER_MAX bytes of an answer; beyond, the connection is given up. Control thread.
 */
#pragma once

#include "control/config.h"
#include "control/loop.h"
#include "control/store_redis_address.h"

#include <hiredis/hiredis.h>

#define REDIS_COMMANDS_MAX 512
#define REDIS_OUT_MAX      (512u * 1024)
#define REDIS_ANSWER_MAX   (4u * 1024 * 1024)
#define REDIS_TEXT_MAX     256
#define REDIS_PASSWORD_MAX 512

struct redis_connection;

/* Where to go, and as whom. */
struct redis_target {
    struct redis_address address;
    char user[CONFIG_NAME_MAX];
    char password_file[256]; /* "": no AUTH unless there is a user */
    uint64_t connect_timeout_ns;
    uint64_t command_timeout_ns;
};

struct redis_connection_events {
    void (*up)(void *context); /* and AUTH is accepted */
    /* Closed, by the peer, a time-out or redis_connection_fail(). TEXT says why: one line. */
    void (*down)(void *context, const char *text);
    void *context;
};

/* REPLY is never NULL and lives for the call; it may be an error. */
typedef void redis_connection_reply(void *context, const redisReply *reply);

/* The first line of FILE. False: *WHY says why not. The caller wipes OUT. */
bool redis_password_read(const char *file, char out[REDIS_PASSWORD_MAX], const char **why);

/* NULL: no memory. */
struct redis_connection *redis_connection_create(struct loop *loop,
                                                 const struct redis_connection_events *events);
void redis_connection_destroy(struct redis_connection *connection);

/* Begin to connect. It is closed. `up` or `down` follows, not before this returns. */
void redis_connection_open(struct redis_connection *connection, const struct redis_target *target);
/* Close it, or do nothing; no event follows. Safe inside callbacks. */
void redis_connection_close(struct redis_connection *connection);
/* Close it and tell `down`. It is not closed. Safe inside callbacks. */
__attribute__((format(printf, 2, 3))) void
redis_connection_fail(struct redis_connection *connection, const char *format, ...);

/* Send a command. REPLY (NULL: nobody) gets the answer, unless the connection is closed first. */
void redis_connection_send(struct redis_connection *connection, redis_connection_reply *reply,
                           void *context, int count, const char *const *words,
                           const size_t *lengths);
/* From the next answer on that no command asked for: LISTENER gets those (SUBSCRIBE). */
void redis_connection_listen(struct redis_connection *connection, redis_connection_reply *listener,
                             void *context);
