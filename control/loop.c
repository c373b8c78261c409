/*
 * loop: epoll for descriptors, a sorted list for timers (there are some dozens), one clock reading
 * a turn. What is released inside a callback is freed at the end of the turn, so that no event of
 * the same turn can reach it.
 */
#include "control/loop.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/list.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_A_TURN 64
#define STALL_NS      (20 * CLOCK_MS)

#define NO_EPOLL (-1)

struct loop {
    int epoll_fd; /* NO_EPOLL: time is told */
    bool stopping;
    uint64_t now_ns;
    uint64_t unix_ms_at_zero; /* of told time */
    struct list timers;       /* armed, by due time */
    struct list released;     /* watches, freed at the end of the turn */
    uint64_t stall_count;
    uint64_t stall_max_ns;
    loop_resumed *resumed;
    void *resumed_context;
};

struct loop_watch {
    struct list link; /* in `released` once unwatched */
    struct loop *loop;
    int fd;
    bool closed;
    loop_ready *ready;
    void *context;
};

struct loop_timer {
    struct list link;
    struct loop *loop;
    uint64_t at_ns;
    loop_expired *expired;
    void *context;
};

static struct loop *create(int epoll_fd, uint64_t now_ns)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL)
        return NULL;
    loop->epoll_fd = epoll_fd;
    loop->now_ns = now_ns;
    list_init(&loop->timers);
    list_init(&loop->released);
    return loop;
}

struct loop *loop_create(void)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct loop *loop = epoll_fd < 0 ? NULL : create(epoll_fd, clock_now_ns());
    if (loop == NULL && epoll_fd >= 0)
        close(epoll_fd);
    return loop;
}

struct loop *loop_create_told(uint64_t now_ns, uint64_t unix_ms)
{
    struct loop *loop = create(NO_EPOLL, now_ns);
    if (loop != NULL)
        loop->unix_ms_at_zero = unix_ms - now_ns / CLOCK_MS;
    return loop;
}

static void free_released(struct loop *loop)
{
    struct list *link;
    while ((link = list_pop_front(&loop->released)) != NULL)
        free(list_entry(link, struct loop_watch, link));
}

void loop_destroy(struct loop *loop)
{
    if (loop == NULL)
        return;
    free_released(loop);
    if (loop->epoll_fd != NO_EPOLL)
        close(loop->epoll_fd);
    free(loop);
}

struct loop_watch *loop_watch(struct loop *loop, int fd, uint32_t events, loop_ready *ready,
                              void *context)
{
    struct loop_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL)
        return NULL;
    *watch = (struct loop_watch){.loop = loop, .fd = fd, .ready = ready, .context = context};
    list_init(&watch->link);
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
        return watch;
    int error = errno;
    free(watch);
    errno = error;
    return NULL;
}

void loop_watch_events(struct loop_watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    /* Fails only for a descriptor that was closed before loop_unwatch(): a programmer's error. */
    check(epoll_ctl(watch->loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) == 0);
}

void loop_unwatch(struct loop_watch *watch)
{
    check(!watch->closed);
    watch->closed = true;
    /* The descriptor may be closed already, which took it out of the set by itself. */
    (void)epoll_ctl(watch->loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    list_push_back(&watch->loop->released, &watch->link);
}

struct loop_timer *loop_timer(struct loop *loop, loop_expired *expired, void *context)
{
    struct loop_timer *timer = calloc(1, sizeof(*timer));
    if (timer == NULL)
        return NULL;
    *timer = (struct loop_timer){.loop = loop, .expired = expired, .context = context};
    list_init(&timer->link);
    return timer;
}

void loop_timer_at(struct loop_timer *timer, uint64_t at_ns)
{
    list_remove(&timer->link);
    timer->at_ns = at_ns;
    struct list *place = timer->loop->timers.next;
    while (place != &timer->loop->timers &&
           list_entry(place, struct loop_timer, link)->at_ns <= at_ns)
        place = place->next;
    list_insert_before(place, &timer->link);
}

void loop_timer_stop(struct loop_timer *timer)
{
    list_remove(&timer->link);
}

void loop_timer_destroy(struct loop_timer *timer)
{
    if (timer == NULL)
        return;
    list_remove(&timer->link);
    free(timer);
}

uint64_t loop_now_ns(const struct loop *loop)
{
    return loop->now_ns;
}

uint64_t loop_unix_ms(const struct loop *loop)
{
    struct timespec wall;
    if (loop->epoll_fd == NO_EPOLL)
        return loop->unix_ms_at_zero + loop->now_ns / CLOCK_MS;
    clock_gettime(CLOCK_REALTIME, &wall);
    return (uint64_t)wall.tv_sec * 1000 + (uint64_t)wall.tv_nsec / CLOCK_MS;
}

uint64_t loop_due_ns(const struct loop *loop)
{
    if (list_is_empty(&loop->timers))
        return CLOCK_NEVER;
    return list_entry(loop->timers.next, struct loop_timer, link)->at_ns;
}

/* Fire what was due when the turn began; what is armed anew for the past waits for the next one. */
static void fire_timers(struct loop *loop)
{
    uint64_t now = loop->now_ns;
    struct list due;
    list_init(&due);
    while (!list_is_empty(&loop->timers)) {
        struct list *first = loop->timers.next;
        if (list_entry(first, struct loop_timer, link)->at_ns > now)
            break;
        list_remove(first);
        list_push_back(&due, first);
    }
    struct list *link;
    while ((link = list_pop_front(&due)) != NULL) {
        struct loop_timer *timer = list_entry(link, struct loop_timer, link);
        timer->expired(timer->context, now);
    }
}

/* Milliseconds until the first timer, rounded up; -1 when there is none. */
static int wait_ms(const struct loop *loop)
{
    uint64_t at_ns = loop_due_ns(loop);
    if (at_ns == CLOCK_NEVER)
        return -1;
    if (at_ns <= loop->now_ns)
        return 0;
    uint64_t ms = (at_ns - loop->now_ns + CLOCK_MS - 1) / CLOCK_MS;
    return ms < 60000 ? (int)ms : 60000;
}

static void note_stall(struct loop *loop)
{
    uint64_t took_ns = clock_now_ns() - loop->now_ns;
    if (took_ns > STALL_NS)
        loop->stall_count++;
    if (took_ns > loop->stall_max_ns)
        loop->stall_max_ns = took_ns;
}

void loop_on_resume(struct loop *loop, loop_resumed *resumed, void *context)
{
    loop->resumed = resumed;
    loop->resumed_context = context;
}

/* A timer that was armed for the past was due when the turn before began. */
static void note_absence(const struct loop *loop, uint64_t before_ns)
{
    if (loop->resumed == NULL || list_is_empty(&loop->timers))
        return;
    uint64_t due_ns = loop_due_ns(loop);
    if (due_ns < before_ns)
        due_ns = before_ns;
    if (loop->now_ns > due_ns + LOOP_ABSENT_NS)
        loop->resumed(loop->resumed_context, loop->now_ns - due_ns);
}

static void turn(struct loop *loop)
{
    struct epoll_event events[EVENTS_A_TURN];
    uint64_t before_ns = loop->now_ns;
    int count = epoll_wait(loop->epoll_fd, events, EVENTS_A_TURN, wait_ms(loop));
    loop->now_ns = clock_now_ns();
    note_absence(loop, before_ns);
    for (int i = 0; i < count; i++) {
        struct loop_watch *watch = events[i].data.ptr;
        if (!watch->closed)
            watch->ready(watch->context, events[i].events);
    }
    fire_timers(loop);
    free_released(loop);
    note_stall(loop);
}

void loop_advance(struct loop *loop, uint64_t now_ns)
{
    uint64_t before_ns = loop->now_ns;
    check(loop->epoll_fd == NO_EPOLL && now_ns >= before_ns);
    loop->now_ns = now_ns;
    note_absence(loop, before_ns);
    fire_timers(loop);
    free_released(loop);
}

void loop_run(struct loop *loop)
{
    loop->stopping = false;
    loop->now_ns = clock_now_ns();
    while (!loop->stopping)
        turn(loop);
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
}

uint64_t loop_stall_count(const struct loop *loop)
{
    return loop->stall_count;
}

uint64_t loop_stall_max_ns(const struct loop *loop)
{
    return loop->stall_max_ns;
}
