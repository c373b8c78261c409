/*
 * account: the response bytes that are held for one client connection. Private to
 * dataplane/request.
 *
 * An exchange counts for the segments from its cursor to the end of what has come for it, whole;
 * of a flight that is shared everybody counts them. What HTTP/2 and TCP have taken over counts no
 * more: that is a send queue a connection.
 *
 * Above the bound (limits.client_held_bytes) the client's exchanges are paused: on their account no
 * backend gets credit but for what has been read to its end, so a stream that is read goes on, a
 * window at a time, and one that is not holds what was promised before. At half of the bound they
 * go on. Who is slow for too long meets h2_stall; a shared flight goes on for others (C15).
 */
#pragma once

#include "dataplane/base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct client;
struct exchange;

/* Of a client. */
struct account {
    uint64_t held_bytes;
    bool paused;
    struct list exchanges;
};

/* An exchange's part of it. */
struct account_entry {
    struct list link;
    uint64_t held_bytes;
};

void account_init(struct account *account);

/* The exchange begins: nothing is held for it yet. Before it subscribes. */
void account_open(struct client *client, struct exchange *exchange);

/* One that was taken out of the client's list comes back, paused as the others are by now. */
void account_return(struct exchange *exchange, uint64_t now);

/* More has come for the exchange, or has been read. O(1); O(streams) when the bound is passed. */
void account_update(struct exchange *exchange, uint64_t now);

/* The exchange is over, and off its flight. */
void account_close(struct exchange *exchange, uint64_t now);
