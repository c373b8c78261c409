/*
 * feed: the list of subscribers of a feed, and what of its body they still need. Used by flights
 * and relays, which own the feeds. One worker.
 *
 * To know when the front of the body can go without looking at every subscriber each time, a feed
 * counts those that are behind: whose cursor is before `behind_until`, the end of the first kept
 * segment. When the last of them passes, the feed looks for the slowest once: every subscriber
 * pays for one look a segment.
 */
#pragma once

#include "dataplane/coalesce/coalesce.h"

/* Of a feed that is all zero. */
void feed_init(struct feed *feed, enum feed_host host, bool keeps_prefix, uint32_t segment_bytes);

/* Put the subscriber at the beginning of the feed. Its prefix is kept. */
void feed_add(struct feed *feed, struct subscriber *subscriber, enum subscriber_role role,
              uint64_t deadline_ns, uint64_t now);

/* Take it out; it is on no feed then. True: it was the last one behind, feed_trim() has work. */
bool feed_remove(struct feed *feed, struct subscriber *subscriber);

/* The subscriber moved its cursor. True: it was the last one behind, feed_trim() has work. */
bool feed_advanced(struct feed *feed, struct subscriber *subscriber);

/* More is held for every one of its subscribers than should be, see coalesce_pause(). */
static inline bool feed_is_paused(const struct feed *feed)
{
    return feed->subscriber_count > 0 && feed->paused_count == feed->subscriber_count;
}

/* Where the slowest subscriber is; the end of the body when there is none. O(subscribers). */
uint64_t feed_slowest(const struct feed *feed);

/*
 * Let go of what lies before LIMIT and all subscribers, unless the prefix is kept. Returns where
 * the slowest is. O(subscribers).
 */
uint64_t feed_trim(struct feed *feed, uint64_t limit, uint32_t segment_bytes);

/* Whether any subscriber has got to POSITION. O(subscribers). */
bool feed_has_reached(const struct feed *feed, uint64_t position);

/* `interim` is there: it is due to all who are here now. O(subscribers). */
void feed_show_interim(struct feed *feed);

/* Tell all subscribers. They may leave from inside, and others of the same feed too. */
void feed_news(struct feed *feed, uint64_t now);

/* Take all subscribers but EXCEPT (may be NULL) out and tell them to go elsewhere. */
uint32_t feed_refuse(struct feed *feed, const struct subscriber *except, uint64_t now);

/*
 * Cut off those whose cursor is before POSITION and who are held up by their own clients: they see
 * NOWHERE instead. Returns how many.
 */
uint32_t feed_cut(struct feed *feed, struct feed *nowhere, uint64_t position, uint64_t now);
