/*
 * upstream_path: whether the way to a backend, and its HTTP/2, still answer (failover.md,
 * "Suspicion"). A connection that is suspected is left as it is: h2 and TCP decide about its end.
 *
 * A backend is silent for this worker from a suspicion on until anything is heard on any connection
 * to it, or no suspected one is left: new flights go elsewhere if they can (region/pick).
 */
#include "dataplane/base/check.h"
#include "dataplane/base/counter.h"
#include "dataplane/upstream/upstream_private.h"

static struct upstream_slot *slot_of(const struct upstream_conn *conn)
{
    return &conn->upstream->slots[conn->slot];
}

static void arm(struct upstream_conn *conn, uint64_t due_at_ns)
{
    timer_arm(conn->upstream->config.wheel, &conn->timer, due_at_ns);
}

static void serve_waiting(struct upstream_conn *conn)
{
    if (slot_of(conn)->waiting_count > 0)
        slot_touch(conn->upstream, conn->slot);
}

/* A connection of the slot's past, or one that takes nothing more, says nothing about it. */
static void set_silent(const struct upstream_conn *conn, bool silent)
{
    if (slot_of(conn)->generation == conn->generation && slot_of(conn)->present)
        backend_set_silent(conn->upstream->config.loads, conn->slot, silent);
}

static void suspect(struct upstream_conn *conn, enum suspicion why)
{
    struct backend_load *load = upstream_load(conn->upstream, conn->slot, conn->generation);
    if (conn->suspect == SUSPICION_NONE && load != NULL)
        counter_add(&load->suspected, 1);
    if (conn->suspect == SUSPICION_NONE)
        counter_add(&conn->upstream->counters.suspicions, 1);
    if (why == SUSPICION_PATH)
        counter_add(&conn->upstream->counters.paths_silent, 1);
    conn->suspect = why;
    if (conn->state < UPSTREAM_DRAINING)
        set_silent(conn, true);
    serve_waiting(conn);
}

static void trust(struct upstream_conn *conn)
{
    conn->suspect = SUSPICION_NONE;
    set_silent(conn, false);
    serve_waiting(conn);
}

/* Not open yet and silent: nobody goes on waiting for it alone. */
static void suspect_coming(struct upstream_conn *conn)
{
    suspect(conn, SUSPICION_PATH);
    if (!slot_has_hope(slot_of(conn)))
        slot_fail_waiting(conn->upstream, conn->slot, ATTEMPT_CONNECT_TIMEOUT);
}

/* Its packets may lie with somebody who was not run: not the moment to speak of silence. */
static bool judged_later(struct upstream_conn *conn, uint64_t now)
{
    const struct upstream_config *config = &conn->upstream->config;
    if (config->all_look == NULL || config->all_look(config->context))
        return false;
    counter_add(&conn->upstream->counters.suspicions_put_off, 1);
    arm(conn, now + UPSTREAM_PUT_OFF_NS);
    return true;
}

/* --- questions --- */

/* Ask for a sign of life when the backend has been quiet for longer than at the PING before. */
static void ping_if_quiet(struct upstream_conn *conn, uint64_t now)
{
    if (conn->speaks->ping == NULL || conn->pings == UPSTREAM_PINGS_MAX || conn->pinged_at_ns != 0)
        return;
    if (now - conn->quiet_since_ns < UPSTREAM_PING_NS << (UPSTREAM_PING_SHIFT * conn->pings))
        return;
    conn->pings++;
    conn->pinged_at_ns = now;
    counter_add(&conn->upstream->counters.pings, 1);
    conn->speaks->ping(conn, conn->upstream->config.ping_timeout_ns, now);
}

/* Data on its way is a question by itself. */
static void ask_if_quiet(struct upstream_conn *conn, const struct tcp_info *info, uint64_t now)
{
    if (info->unacked_for_ns > 0 || info->silent_for_ns < UPSTREAM_ASK_NS)
        return;
    if (conn->asked_at_ns == 0)
        conn->asked_at_ns = now;
    counter_add(&conn->upstream->counters.asks, 1);
    tcp_ask(conn->tcp, now);
}

static void hear_answer(struct upstream_conn *conn, const struct tcp_info *info, uint64_t now)
{
    if (info->silent_for_ns < now - conn->asked_at_ns + CLOCK_MS) /* it is in milliseconds */
        conn->asked_at_ns = 0;
}

static bool path_is_silent(const struct upstream_conn *conn, const struct tcp_info *info,
                           uint64_t now)
{
    uint64_t most_ns = UPSTREAM_UNACKED_RTTS * info->smoothed_rtt_ns;
    if (most_ns < UPSTREAM_UNACKED_NS)
        most_ns = UPSTREAM_UNACKED_NS;
    bool unanswered = conn->asked_at_ns != 0 && now - conn->asked_at_ns >= most_ns;
    return unanswered || info->unacked_for_ns >= most_ns;
}

static enum suspicion judge(struct upstream_conn *conn, const struct tcp_info *info, uint64_t now)
{
    hear_answer(conn, info, now);
    if (path_is_silent(conn, info, now))
        return SUSPICION_PATH;
    bool unanswered =
        conn->pinged_at_ns != 0 && now - conn->pinged_at_ns >= UPSTREAM_PING_SUSPECT_NS;
    return unanswered ? SUSPICION_PING : SUSPICION_NONE;
}

/* --- for the other files of this folder --- */

void upstream_path_watch_connecting(struct upstream_conn *conn, uint64_t now)
{
    if (!conn->suspect && !judged_later(conn, now))
        suspect_coming(conn);
}

void upstream_path_watch_opening(struct upstream_conn *conn, uint64_t now)
{
    struct tcp_info info;
    tcp_info(conn->tcp, now, &info);
    bool silent = path_is_silent(conn, &info, now) ||
                  now - conn->established_at_ns >= UPSTREAM_OPENING_SUSPECT_NS;
    uint64_t give_up_at_ns = conn->established_at_ns + UPSTREAM_OPENING_NS;
    uint64_t next_ns = now + UPSTREAM_WATCH_NS;
    arm(conn, next_ns < give_up_at_ns ? next_ns : give_up_at_ns);
    if (silent && !conn->suspect && !judged_later(conn, now))
        suspect_coming(conn);
}

void upstream_path_watch(struct upstream_conn *conn, uint64_t now)
{
    struct tcp_info info;
    tcp_info(conn->tcp, now, &info);
    enum suspicion why = judge(conn, &info, now);
    if (why > conn->suspect && judged_later(conn, now))
        return;
    if (why == SUSPICION_NONE && conn->suspect)
        trust(conn);
    arm(conn, now + (why == SUSPICION_NONE ? UPSTREAM_WATCH_NS : UPSTREAM_SUSPECT_WATCH_NS));
    if (why > conn->suspect) {
        suspect(conn, why);
        attempts_suspect(conn, why, now);
        return;
    }
    ask_if_quiet(conn, &info, now);
    if (conn->attempt_count > 0)
        ping_if_quiet(conn, now);
}

void upstream_path_in_use(struct upstream_conn *conn, uint64_t now)
{
    conn->quiet_since_ns = now;
    conn->asked_at_ns = 0;
    arm(conn, now + UPSTREAM_WATCH_NS);
}

void upstream_path_received(struct upstream_conn *conn, uint64_t now)
{
    conn->quiet_since_ns = now;
    conn->pinged_at_ns = 0;
    if (conn->suspect && conn->state == UPSTREAM_OPEN)
        trust(conn);
    else if (conn->upstream->config.loads->silent_count > 0)
        set_silent(conn, false);
}

void upstream_path_opened(struct upstream_conn *conn)
{
    conn->suspect = SUSPICION_NONE;
    set_silent(conn, false);
}

void upstream_path_left(const struct upstream_conn *conn)
{
    list_for_each (link, next, &slot_of(conn)->connections)
        if (list_entry(link, struct upstream_conn, link)->suspect)
            return;
    set_silent(conn, false);
}
