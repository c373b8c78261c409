#include "dataplane/request/replay.h"

#include "dataplane/base/counter.h"
#include "dataplane/request/exchange.h"

static struct timer_wheel *wheel_of(struct exchange *exchange)
{
    return exchange->engine->config.wheel;
}

/* What may go until the next step: all of it from now on, or so much. */
static void step(struct exchange *exchange, uint64_t now)
{
    struct replay *replay = &exchange->replay;
    uint64_t next_ns = now + REPLAY_STEP_NS;
    replay->until =
        coalesce_replay_until(exchange->engine->config.coalesce, &exchange->subscriber, next_ns);
    replay->on = replay->until != UINT64_MAX;
    if (replay->on)
        timer_arm(wheel_of(exchange), &exchange->replay_timer, next_ns);
}

static void step_over(struct timer *timer, void *context, uint64_t now)
{
    struct exchange *exchange = context;
    step(exchange, now);
    h2_stream_ready(exchange->stream);
}

void replay_begin(struct exchange *exchange, uint64_t now)
{
    timer_init(&exchange->replay_timer, step_over, exchange);
    step(exchange, now);
    if (exchange->replay.on)
        counter_add(&exchange->engine->counters.replays_paced, 1);
}

uint32_t replay_room(const struct exchange *exchange, uint32_t max)
{
    uint64_t position = exchange->subscriber.cursor.position;
    uint64_t until = exchange->replay.until;
    if (!exchange->replay.on)
        return max;
    if (until <= position)
        return 0;
    return until - position < max ? (uint32_t)(until - position) : max;
}

void replay_end(struct exchange *exchange)
{
    if (exchange->replay.on)
        timer_cancel(wheel_of(exchange), &exchange->replay_timer);
    exchange->replay.on = false;
}
