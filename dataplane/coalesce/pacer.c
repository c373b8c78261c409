#include "dataplane/coalesce/pacer.h"

#define STARTS_A_KEY   16
#define STARTS_EACH_NS (10 * CLOCK_MS)

static uint32_t starts_of(const struct coalesce *coalesce)
{
    return coalesce_part(coalesce, STARTS_A_KEY);
}

static struct subscriber *first_of(struct feed *feed)
{
    return list_entry(feed->subscribers.next, struct subscriber, link);
}

/* Send one of FEED apart. */
static void start(struct feed *feed, struct subscriber *subscriber, uint64_t now)
{
    feed_remove(feed, subscriber);
    subscriber->ops->refused(subscriber, now);
}

static void close_pacer(struct pacer *pacer)
{
    timer_cancel(pacer->coalesce->config.wheel, &pacer->timer);
    pool_give(&pacer->coalesce->pacers, pacer);
}

static void next_starts(struct timer *timer, void *context, uint64_t now)
{
    struct pacer *pacer = context;
    uint32_t left = starts_of(pacer->coalesce);
    pacer->starting = true;
    for (; left > 0 && pacer->feed.subscriber_count > 0; left--)
        start(&pacer->feed, first_of(&pacer->feed), now);
    pacer->starting = false;
    if (pacer->feed.subscriber_count == 0)
        close_pacer(pacer);
    else
        timer_arm(pacer->coalesce->config.wheel, timer, now + STARTS_EACH_NS);
}

static struct pacer *open_pacer(struct coalesce *coalesce, uint64_t now)
{
    struct pacer *pacer = pool_take(&coalesce->pacers);
    if (pacer == NULL)
        return NULL;
    *pacer = (struct pacer){.coalesce = coalesce};
    feed_init(&pacer->feed, FEED_OF_PACER, true, 0);
    timer_init(&pacer->timer, next_starts, pacer);
    timer_arm(coalesce->config.wheel, &pacer->timer, now + STARTS_EACH_NS);
    return pacer;
}

/* All but EXCEPT. */
static void move_all(struct feed *feed, struct pacer *pacer, const struct subscriber *except,
                     uint64_t now)
{
    list_for_each (link, next, &feed->subscribers) {
        struct subscriber *subscriber = list_entry(link, struct subscriber, link);
        if (subscriber == except)
            continue;
        uint64_t deadline_ns = subscriber->deadline_ns;
        feed_remove(feed, subscriber);
        feed_add(&pacer->feed, subscriber, SUBSCRIBER_PENDING, deadline_ns, now);
    }
}

static void tell_why(struct feed *feed, const struct subscriber *except, enum apart why)
{
    list_for_each (link, next, &feed->subscribers) {
        struct subscriber *subscriber = list_entry(link, struct subscriber, link);
        if (subscriber != except)
            subscriber->apart = why;
    }
}

uint32_t pacer_refuse(struct coalesce *coalesce, struct feed *feed, const struct subscriber *except,
                      enum apart why, uint64_t now)
{
    tell_why(feed, except, why);
    bool stays = except != NULL && except->home == feed;
    uint32_t count = feed->subscriber_count - stays;
    struct pacer *pacer = count > starts_of(coalesce) ? open_pacer(coalesce, now) : NULL;
    if (pacer == NULL)
        return feed_refuse(feed, except, now);
    counter_add(&coalesce->counters.paced, count - starts_of(coalesce));
    move_all(feed, pacer, except, now);
    next_starts(&pacer->timer, pacer, now);
    return count;
}

void pacer_left(struct pacer *pacer, struct subscriber *subscriber)
{
    feed_remove(&pacer->feed, subscriber);
    if (pacer->feed.subscriber_count == 0 && !pacer->starting)
        close_pacer(pacer);
}
