/*
 * store_redis_address: where a Redis or a Sentinel listens: an IP address with a port, or a path.
 * Names are not looked up: that would block. Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#define REDIS_ADDRESS_TEXT 128

struct redis_address {
    struct sockaddr_storage socket;
    socklen_t length;
    char text[REDIS_ADDRESS_TEXT]; /* as people write it */
};

/* What redis_address_parse() takes, for messages. */
#define REDIS_ADDRESS_EXPECTED                                                                     \
    "an IP address with a port, [IPv6]:port or unix:/path (names are not looked up)"

bool redis_address_parse(const char *text, struct redis_address *out);
/* HOST is an IP address without brackets, as a Sentinel tells it. */
bool redis_address_make(const char *host, const char *port, struct redis_address *out);
bool redis_address_equal(const struct redis_address *a, const struct redis_address *b);
