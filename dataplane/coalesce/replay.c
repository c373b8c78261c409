/*
 * replay: how fast who joins a stream late gets its beginning (C17): at most four times as fast as
 * it came. Whoever joined when the answer was T old has caught up a third of T later, whatever has
 * come meanwhile.
 *
 * Memory goes before that: nobody is kept waiting for what lies further back than half of what a
 * flight may hold, or while payload memory is low.
 */
#include "dataplane/coalesce/coalesce_private.h"

#define REPLAY_TIMES 4

static bool is_paced(const struct coalesce *coalesce, const struct subscriber *subscriber)
{
    const struct feed *feed = subscriber->feed;
    return feed != NULL && feed->streams_since_ns != 0 && subscriber->joined_at_bytes > 0 &&
           payload_free(coalesce) >= coalesce->payload_low;
}

uint64_t coalesce_replay_until(const struct coalesce *coalesce, const struct subscriber *subscriber,
                               uint64_t at_ns)
{
    const struct feed *feed = subscriber->feed;
    if (!is_paced(coalesce, subscriber) || at_ns < subscriber->joined_at_ns)
        return UINT64_MAX;
    uint64_t here_ms = (at_ns - subscriber->joined_at_ns) / CLOCK_MS * REPLAY_TIMES;
    uint64_t age_ms =
        at_ns > feed->streams_since_ns ? (at_ns - feed->streams_since_ns) / CLOCK_MS : 0;
    if (here_ms >= age_ms)
        return UINT64_MAX;
    uint64_t written = feed->body.written_bytes;
    uint64_t paced = written * here_ms / age_ms;
    uint64_t far = written > feed->replay_bytes ? written - feed->replay_bytes : 0;
    return paced > far ? paced : far;
}
