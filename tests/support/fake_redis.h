/*
 * fake_redis: a Redis or a Sentinel as a test wants it, on a TCP port of the loopback that the
 * kernel chooses, served by the test's loop. Commands are answered by the test, or as an empty
 * master would (fake_redis_usual()).
 */
#pragma once

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>

struct fake_redis;
struct loop;

/* Answer COMMAND (words as strings) by fake_redis_say() or fake_redis_usual(), or not at all. */
typedef void fake_redis_answer(void *context, struct fake_redis *fake, const redisReply *command);

struct fake_redis *fake_redis_create(struct loop *loop, fake_redis_answer *answer, void *context);
/* Closes everything. NULL is allowed. */
void fake_redis_destroy(struct fake_redis *fake);

const char *fake_redis_address(const struct fake_redis *fake); /* 127.0.0.1:port */
const char *fake_redis_port(const struct fake_redis *fake);
uint32_t fake_redis_connections(const struct fake_redis *fake); /* accepted so far */

/* RESP to the client whose command is answered now; "\r\n" stands at its end already. */
__attribute__((format(printf, 2, 3))) void fake_redis_say(struct fake_redis *fake,
                                                          const char *format, ...);
/* AUTH, ROLE, MULTI, what stands in it, EXEC, SUBSCRIBE: as an empty master that holds no votes. */
void fake_redis_usual(struct fake_redis *fake, const redisReply *command);
/* RESP to every client that has subscribed. */
void fake_redis_publish(struct fake_redis *fake, const char *text);
/* To every client, unasked. */
void fake_redis_shout(struct fake_redis *fake, const char *text);
/* The clients are cut off; new ones may come. */
void fake_redis_cut(struct fake_redis *fake);
/* The first word of COMMAND is WORD. */
bool fake_redis_is(const redisReply *command, const char *word);
