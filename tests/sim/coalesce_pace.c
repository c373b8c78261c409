#include "tests/sim/coalesce_pace.h"

#include "dataplane/base/clock.h"

#include <string.h>

#define TIMES    4
#define STEP_NS  (50 * CLOCK_MS) /* what may go until its end goes when it begins */
#define TOUCH_NS (20 * CLOCK_MS) /* a packet, and a worker's turn, on good wires */

/* Whoever asked after the stream had begun, and shares it. */
static bool is_late(const struct client_request *request, const struct backend_seen *seen)
{
    return strstr(request->cache_status, "collapsed") != NULL && seen->head_sent &&
           request->sent_at_ns > seen->head_at_ns + TOUCH_NS;
}

/* What it may have by NOW, of what has been sent. The stream is younger for Weir by a touch. */
static uint64_t most_of(const struct client_request *request, const struct backend_seen *seen,
                        uint64_t now)
{
    uint64_t here_ns = now + STEP_NS - request->sent_at_ns;
    uint64_t age_ns = now + STEP_NS - seen->head_at_ns - TOUCH_NS;
    if (TIMES * here_ns >= age_ns)
        return seen->sent_bytes;
    return seen->sent_bytes * (TIMES * here_ns / CLOCK_US) / (age_ns / CLOCK_US) + 1;
}

static bool has_caught_up(const struct client_request *request, const struct backend_seen *seen,
                          uint64_t now)
{
    uint64_t age_ns = request->sent_at_ns - seen->head_at_ns;
    return now > request->sent_at_ns + age_ns / (TIMES - 1) + STEP_NS + 2 * TOUCH_NS;
}

/* What is on its way at any time: pieces of two touches, and the one that is sent now. */
static uint64_t under_way(const struct round *round)
{
    const struct backend_plan *answer = &round->answer;
    return (2 * TOUCH_NS / answer->chunk_every_ns + 1) * answer->chunk_bytes;
}

static void check_pace_of(const struct round *round, uint32_t index)
{
    const struct client_request *request = round->askers[index].request;
    const struct backend_seen *seen = round_answer_of(round, index);
    uint64_t now = round->world->now;
    if (seen == NULL || request->outcome != CLIENT_OPEN || !is_late(request, seen))
        return;
    uint64_t most = most_of(request, seen, now);
    if (request->received > most)
        sim_fail(round->sim, "%s, %s: %llu bytes of a stream, at its pace it has %llu",
                 request->path, round->askers[index].tag, (unsigned long long)request->received,
                 (unsigned long long)most);
    if (round->story->is_steady && has_caught_up(request, seen, now) &&
        request->received + under_way(round) < seen->sent_bytes)
        sim_fail(round->sim, "%s, %s: %llu bytes of %llu, when it should have caught up",
                 request->path, round->askers[index].tag, (unsigned long long)request->received,
                 (unsigned long long)seen->sent_bytes);
}

void coalesce_check_pace(const struct round *round)
{
    for (uint32_t i = 0; i < round->count; i++)
        if (round->calm && round->is_event_stream && round->askers[i].request != NULL)
            check_pace_of(round, i);
}
