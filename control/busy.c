#include "control/busy.h"

#include "dataplane/base/clock.h"

#include <stdlib.h>

#define SAMPLE_NS (1 * CLOCK_S)

struct sample {
    uint64_t busy_cycles;
    uint64_t idle_cycles;
    uint64_t turns;
};

struct busy {
    struct daemon *daemon;
    struct loop_timer *timer;
    uint32_t samples;   /* taken so far */
    uint64_t at_ns;     /* of the last one */
    uint64_t length_ns; /* between the last two */
    struct sample last[NET_WORKERS_MAX];
    struct sample change[NET_WORKERS_MAX];
};

static void sample_worker(struct busy *busy, uint32_t index)
{
    const struct loop_counters *loop = &worker_counters(daemon_worker(busy->daemon, index))->loop;
    struct sample now = {
        .busy_cycles = counter_read(&loop->busy_cycles),
        .idle_cycles = counter_read(&loop->idle_cycles),
        .turns = counter_read(&loop->turns),
    };
    const struct sample *last = &busy->last[index];
    busy->change[index] = (struct sample){
        .busy_cycles = now.busy_cycles - last->busy_cycles,
        .idle_cycles = now.idle_cycles - last->idle_cycles,
        .turns = now.turns - last->turns,
    };
    busy->last[index] = now;
}

static void take_sample(void *context, uint64_t now_ns)
{
    struct busy *busy = context;
    for (uint32_t i = 0; i < daemon_worker_count(busy->daemon); i++)
        sample_worker(busy, i);
    busy->length_ns = now_ns - busy->at_ns;
    busy->at_ns = now_ns;
    busy->samples++;
    loop_timer_at(busy->timer, now_ns + SAMPLE_NS);
}

struct busy *busy_create(struct daemon *daemon)
{
    struct busy *busy = calloc(1, sizeof(*busy));
    if (busy == NULL)
        return NULL;
    busy->daemon = daemon;
    busy->timer = loop_timer(daemon_loop(daemon), take_sample, busy);
    if (busy->timer == NULL) {
        free(busy);
        return NULL;
    }
    loop_timer_at(busy->timer, loop_now_ns(daemon_loop(daemon)));
    return busy;
}

void busy_destroy(struct busy *busy)
{
    if (busy == NULL)
        return;
    loop_timer_destroy(busy->timer);
    free(busy);
}

struct busy_share busy_share(const struct busy *busy, uint32_t worker)
{
    const struct sample *change = &busy->change[worker];
    uint64_t cycles = change->busy_cycles + change->idle_cycles;
    if (busy->samples < 2 || cycles == 0 || change->turns == 0)
        return (struct busy_share){.known = false};
    return (struct busy_share){
        .known = true,
        .busy = (double)change->busy_cycles / (double)cycles,
        .turns = (uint64_t)((double)change->turns * 1e9 / (double)busy->length_ns),
        .turn_average_ns = busy->length_ns / change->turns,
    };
}
