/*
 * keepalive: comments in event streams that are silent, so that nobody on the way takes them for
 * dead. Private to dataplane/request.
 *
 * Where a route says so (event_stream_keepalive), after that time without a byte a client gets
 * `:` and an empty line: a comment, which readers of event streams skip. Only between two events of
 * what this very client has got, and when there is nothing else for it; so of a shared flight every
 * subscriber has the same events, and comments of its own. Not in an answer whose bytes are counted
 * (content-length) or coded (content-encoding).
 *
 * Timers: `keepalive_timer`, when the silence has lasted long enough; it looks at said_at_ns when
 * it fires.
 */
#pragma once

#include "dataplane/base/body.h"
#include "dataplane/base/timer_wheel.h"

struct exchange;

/* All zero: not yet, or not in this answer. */
struct keepalive {
    uint64_t every_ns; /* as the route says; 0: never */
    uint64_t said_at_ns;
    bool on; /* there is a timer */
    bool due;
};

/* The comment of an engine, which keeps a reference for ever. */
void keepalive_comment_init(struct segment *comment);

/* The answer begins; its `cut` has been told. */
void keepalive_begin(struct exchange *exchange, uint64_t now);

/* Bytes go to the client. O(1) */
static inline void keepalive_said(struct keepalive *keepalive, uint64_t now)
{
    keepalive->said_at_ns = now;
    keepalive->due = false;
}

/* There are no bytes for the client: a comment, if it is time for one. MAX bytes fit. */
bool keepalive_take(struct exchange *exchange, uint32_t max, struct chunk *out, uint64_t now);

void keepalive_end(struct exchange *exchange);
