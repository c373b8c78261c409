#include "dataplane/request/keepalive.h"

#include "dataplane/base/check.h"
#include "dataplane/base/counter.h"
#include "dataplane/request/exchange.h"

static uint8_t comment_text[] = {':', '\n', '\n'};

static void no_release(struct segment_source *source, struct segment *segment)
{
    /* The engine keeps one reference for ever, so the count never gets here. */
    check(!"a comment is never released");
}

static struct segment_source comment_source = {.released = no_release};

void keepalive_comment_init(struct segment *comment)
{
    *comment = (struct segment){
        .data = comment_text,
        .length = sizeof(comment_text),
        .capacity = sizeof(comment_text),
        .references = 1,
        .source = &comment_source,
    };
}

static struct timer_wheel *wheel_of(struct exchange *exchange)
{
    return exchange->engine->config.wheel;
}

static void silent_enough(struct timer *timer, void *context, uint64_t now)
{
    struct exchange *exchange = context;
    struct keepalive *keepalive = &exchange->keepalive;
    uint64_t due_at_ns = keepalive->said_at_ns + keepalive->every_ns;
    if (due_at_ns > now) {
        timer_arm(wheel_of(exchange), timer, due_at_ns);
        return;
    }
    keepalive->due = true;
    timer_arm(wheel_of(exchange), timer, now + keepalive->every_ns);
    h2_stream_ready(exchange->stream);
}

void keepalive_begin(struct exchange *exchange, uint64_t now)
{
    struct keepalive *keepalive = &exchange->keepalive;
    if (keepalive->every_ns == 0 || exchange->cut.kind != CUT_EVENTS)
        return;
    keepalive_said(keepalive, now);
    keepalive->on = true;
    timer_init(&exchange->keepalive_timer, silent_enough, exchange);
    timer_arm(wheel_of(exchange), &exchange->keepalive_timer, now + keepalive->every_ns);
}

bool keepalive_take(struct exchange *exchange, uint32_t max, struct chunk *out, uint64_t now)
{
    struct segment *comment = &exchange->engine->comment;
    if (!exchange->keepalive.due || max < comment->length || !cut_is_clean(&exchange->cut))
        return false;
    keepalive_said(&exchange->keepalive, now);
    counter_add(&exchange->engine->counters.event_stream_comments, 1);
    *out = (struct chunk){comment, 0, comment->length};
    return true;
}

void keepalive_end(struct exchange *exchange)
{
    if (!exchange->keepalive.on)
        return;
    timer_cancel(wheel_of(exchange), &exchange->keepalive_timer);
    exchange->keepalive.on = false;
    exchange->keepalive.due = false;
}
