#include "dataplane/coalesce/story.h"

#include "dataplane/coalesce/relay.h"

struct flight_story flight_story(const struct flight *flight)
{
    bool picked = flight->tried_at_ns > 0;
    return (struct flight_story){
        .upstream_ns =
            flight->answered_at_ns > 0 ? flight->answered_at_ns - flight->tried_at_ns : 0,
        .retried = flight->retried != NULL ? flight->retried : "",
        .backend_slot = picked ? flight->attempt.slot : STORY_NO_BACKEND,
        .backend_generation = picked ? flight->attempt.generation : 0,
        .attempts = flight->attempts,
        .shared = flight->coalesced && !flight->in_shadow,
    };
}

static bool relay_story(const struct relay *relay, struct flight_story *out)
{
    if (relay->state != RELAY_LIVE || relay->feed.state == FEED_WAITING)
        return false;
    *out = relay->branch->story;
    return true;
}

bool coalesce_story(const struct subscriber *subscriber, struct flight_story *out)
{
    struct feed *home = subscriber->home;
    if (home == NULL)
        return false;
    switch (home->host) {
    case FEED_OF_FLIGHT:
        *out = flight_story(flight_of_feed(home));
        return true;
    case FEED_OF_RELAY:
        return relay_story(relay_of_feed(home), out);
    case FEED_OF_PACER:
    case FEED_OF_NOBODY:
        return false;
    }
    return false;
}

void joins_count(struct coalesce *coalesce, const struct subscriber *subscriber, bool answered)
{
    static const struct {
        uint64_t below_bytes;
        size_t counter;
    } classes[] = {
        {1, COUNTER_AT(joined_at_head)},
        {4 * 1024, COUNTER_AT(joined_below_4k)},
        {64 * 1024, COUNTER_AT(joined_below_64k)},
        {UINT64_MAX, COUNTER_AT(joined_later)},
    };
    uint32_t i = 0;
    if (!answered) {
        COALESCE_COUNT(coalesce, joined_before_head);
        return;
    }
    while (subscriber->joined_at_bytes >= classes[i].below_bytes)
        i++;
    count_at(coalesce, classes[i].counter);
}
