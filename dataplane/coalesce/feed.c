#include "dataplane/coalesce/feed.h"

#include "dataplane/base/check.h"

static struct subscriber *subscriber_at(struct list *link)
{
    return list_entry(link, struct subscriber, link);
}

void feed_init(struct feed *feed, enum feed_host host, bool keeps_prefix, uint32_t segment_bytes)
{
    feed->host = host;
    feed->keeps_prefix = keeps_prefix;
    feed->behind_until = segment_bytes;
    list_init(&feed->subscribers);
}

void feed_add(struct feed *feed, struct subscriber *subscriber, enum subscriber_role role,
              uint64_t deadline_ns, uint64_t now)
{
    check(feed->body.kept_from == 0);
    list_init(&subscriber->link);
    list_push_back(&feed->subscribers, &subscriber->link);
    body_cursor_init(&subscriber->cursor);
    subscriber->feed = role == SUBSCRIBER_PENDING ? NULL : feed;
    subscriber->home = feed;
    subscriber->role = role;
    subscriber->joined_at_bytes = feed->state == FEED_WAITING ? 0 : feed->body.written_bytes;
    subscriber->joined_at_ns = now;
    subscriber->told_position = 0;
    subscriber->interim_due = false;
    subscriber->deadline_ns = deadline_ns;
    feed->subscriber_count++;
    feed->paused_count += subscriber->paused;
    feed->behind_count++;
}

static bool passes(struct feed *feed, uint64_t from, uint64_t to)
{
    if (from >= feed->behind_until || to < feed->behind_until)
        return false;
    return --feed->behind_count == 0 && !feed->keeps_prefix;
}

bool feed_remove(struct feed *feed, struct subscriber *subscriber)
{
    check(subscriber->home == feed);
    list_remove(&subscriber->link);
    subscriber->feed = NULL;
    subscriber->home = NULL;
    subscriber->role = SUBSCRIBER_NONE;
    feed->subscriber_count--;
    feed->paused_count -= subscriber->paused;
    return passes(feed, subscriber->told_position, UINT64_MAX);
}

bool feed_advanced(struct feed *feed, struct subscriber *subscriber)
{
    uint64_t from = subscriber->told_position;
    subscriber->told_position = subscriber->cursor.position;
    return passes(feed, from, subscriber->told_position);
}

uint64_t feed_slowest(const struct feed *feed)
{
    uint64_t slowest = feed->body.written_bytes;
    list_for_each (link, next, &feed->subscribers)
        if (subscriber_at(link)->told_position < slowest)
            slowest = subscriber_at(link)->told_position;
    return slowest;
}

bool feed_has_reached(const struct feed *feed, uint64_t position)
{
    list_for_each (link, next, &feed->subscribers)
        if (subscriber_at(link)->told_position >= position)
            return true;
    return false;
}

static void count_those_behind(struct feed *feed, uint32_t segment_bytes)
{
    feed->behind_until = feed->body.kept_from + segment_bytes;
    feed->behind_count = 0;
    list_for_each (link, next, &feed->subscribers)
        feed->behind_count += subscriber_at(link)->told_position < feed->behind_until;
}

uint64_t feed_trim(struct feed *feed, uint64_t limit, uint32_t segment_bytes)
{
    uint64_t slowest = feed_slowest(feed);
    if (!feed->keeps_prefix)
        body_discard(&feed->body, slowest < limit ? slowest : limit);
    count_those_behind(feed, segment_bytes);
    return slowest;
}

void feed_show_interim(struct feed *feed)
{
    feed->has_interim = true;
    list_for_each (link, next, &feed->subscribers)
        subscriber_at(link)->interim_due = true;
}

/*
 * Each is put back before it is told, so whoever leaves or is removed meanwhile is found in one of
 * the two lists. One alone stays where it is.
 */
void feed_news(struct feed *feed, uint64_t now)
{
    struct list untold;
    struct list *link = feed->subscribers.next;
    if (link == feed->subscribers.previous) {
        if (link != &feed->subscribers)
            subscriber_at(link)->ops->news(subscriber_at(link), now);
        return;
    }
    list_init(&untold);
    list_append_all(&untold, &feed->subscribers);
    while ((link = list_pop_front(&untold)) != NULL) {
        struct subscriber *subscriber = subscriber_at(link);
        list_push_back(&feed->subscribers, link);
        subscriber->ops->news(subscriber, now);
    }
}

uint32_t feed_refuse(struct feed *feed, const struct subscriber *except, uint64_t now)
{
    struct list leaving;
    struct list *link;
    uint32_t count = 0;
    list_init(&leaving);
    list_append_all(&leaving, &feed->subscribers);
    while ((link = list_pop_front(&leaving)) != NULL) {
        struct subscriber *subscriber = subscriber_at(link);
        if (subscriber == except) {
            list_push_back(&feed->subscribers, link);
            continue;
        }
        feed_remove(feed, subscriber);
        subscriber->ops->refused(subscriber, now);
        count++;
    }
    return count;
}

static void cut(struct feed *feed, struct feed *nowhere, struct subscriber *subscriber,
                uint64_t now)
{
    feed_remove(feed, subscriber);
    list_push_back(&nowhere->subscribers, &subscriber->link);
    nowhere->subscriber_count++;
    nowhere->paused_count += subscriber->paused;
    subscriber->feed = nowhere;
    subscriber->home = nowhere;
    subscriber->role = SUBSCRIBER_JOINED;
    subscriber->apart = APART_SLOW;
    subscriber->ops->news(subscriber, now);
}

static bool is_held_up(const struct subscriber *subscriber)
{
    return subscriber->ops->held_up == NULL || subscriber->ops->held_up(subscriber);
}

uint32_t feed_cut(struct feed *feed, struct feed *nowhere, uint64_t position, uint64_t now)
{
    struct list untold;
    struct list *link;
    uint32_t count = 0;
    list_init(&untold);
    list_append_all(&untold, &feed->subscribers);
    while ((link = list_pop_front(&untold)) != NULL) {
        struct subscriber *subscriber = subscriber_at(link);
        list_push_back(&feed->subscribers, link);
        if (subscriber->told_position >= position || !is_held_up(subscriber))
            continue;
        cut(feed, nowhere, subscriber, now);
        count++;
    }
    return count;
}
