/*
 * loop: the control thread's event loop: epoll, timers, and periodic work. Nothing registered here
 * may block; a turn that takes longer than 20 ms is counted and exported as a stall.
 *
 * Control thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_watch;
struct loop_timer;

/* EVENTS as in epoll(7): EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR. */
typedef void loop_ready(void *context, uint32_t events);
typedef void loop_expired(void *context, uint64_t now_ns);
typedef void loop_resumed(void *context, uint64_t absent_for_ns);

struct loop *loop_create(void);
void loop_destroy(struct loop *loop);

/*
 * A loop whose time is told and that watches no descriptors: simulation. It starts at NOW_NS, when
 * the host's clock says UNIX_MS; every loop_advance() is a turn, for which time never goes back.
 */
struct loop *loop_create_told(uint64_t now_ns, uint64_t unix_ms);
void loop_advance(struct loop *loop, uint64_t now_ns);

/* Watch a descriptor. NULL with errno on failure. The descriptor stays the caller's. */
struct loop_watch *loop_watch(struct loop *loop, int fd, uint32_t events, loop_ready *ready,
                              void *context);
/* Change the interest (0: keep registered, no interest). */
void loop_watch_events(struct loop_watch *watch, uint32_t events);
/* Stop watching; safe inside any callback. */
void loop_unwatch(struct loop_watch *watch);

/* A timer, not armed. It may be armed, moved, disarmed and destroyed inside any callback. */
struct loop_timer *loop_timer(struct loop *loop, loop_expired *expired, void *context);
void loop_timer_at(struct loop_timer *timer, uint64_t at_ns);
void loop_timer_stop(struct loop_timer *timer);
void loop_timer_destroy(struct loop_timer *timer);

/*
 * Be told when the loop goes on after not having been run while a timer was due, for more than
 * LOOP_ABSENT_NS: before any event or timer of that turn. One listener; NULL: none.
 */
#define LOOP_ABSENT_NS 500000000ull
void loop_on_resume(struct loop *loop, loop_resumed *resumed, void *context);

/* The time of this turn (dataplane/base/clock.h), read once a turn. */
uint64_t loop_now_ns(const struct loop *loop);
/* What the host's clock says, in unix milliseconds: it may jump. */
uint64_t loop_unix_ms(const struct loop *loop);
/* When the first timer is due; CLOCK_NEVER: none is armed. */
uint64_t loop_due_ns(const struct loop *loop);

/* Run until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Turns that took longer than 20 ms, and the longest one in ns. */
uint64_t loop_stall_count(const struct loop *loop);
uint64_t loop_stall_max_ns(const struct loop *loop);
