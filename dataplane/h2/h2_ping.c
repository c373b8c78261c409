/*
 * h2_ping: PING in both directions (RFC 9113 6.7).
 */
#include "dataplane/base/clock.h"
#include "dataplane/base/counter.h"
#include "dataplane/h2/h2_conn.h"

uint64_t h2_ping_payload(const struct h2_conn *conn, enum h2_ping ping)
{
    return (conn->ping_cookie & ~0xffull) | ping;
}

static void answered(struct h2_conn *conn, enum h2_ping ping)
{
    conn->pings_open &= (uint8_t)~ping;
    switch (ping) {
    case H2_PING_LIVENESS:
        conn->due_ns[H2_DEADLINE_PING] = CLOCK_NEVER;
        return;
    case H2_PING_SHUTDOWN:
        h2_goaway_final(conn);
        return;
    }
}

/* One of nothing is harmless, but not without end. */
static enum h2_violation ack_in(struct h2_conn *conn, uint64_t payload, uint64_t now)
{
    static const enum h2_ping pings[] = {H2_PING_LIVENESS, H2_PING_SHUTDOWN};
    for (uint32_t i = 0; i < array_count(pings); i++) {
        if ((conn->pings_open & pings[i]) != 0 && payload == h2_ping_payload(conn, pings[i])) {
            answered(conn, pings[i]);
            return H2_VIOLATION_none;
        }
    }
    counter_add(&conn->h2->counters.acks_unasked, 1);
    return h2_budget_charge(&conn->budgets, H2_BUDGET_ping, now);
}

enum h2_violation h2_ping_in(struct h2_conn *conn, uint64_t payload, bool ack, uint64_t now)
{
    if (ack)
        return ack_in(conn, payload, now);
    counter_add(&conn->h2->counters.pings_in, 1);
    enum h2_violation violation = h2_budget_charge(&conn->budgets, H2_BUDGET_ping, now);
    if (violation != H2_VIOLATION_none)
        return violation;
    check(conn->ping_ack_count < H2_LIMIT_PING_ACKS);
    conn->ping_acks[conn->ping_ack_count++] = payload;
    h2_conn_wake_control(conn);
    return H2_VIOLATION_none;
}

void h2_ping(struct h2_conn *conn, uint64_t timeout_ns, uint64_t now)
{
    bool under_way = ((conn->pings_due | conn->pings_open) & H2_PING_LIVENESS) != 0;
    if (under_way || h2_conn_is_closed(conn))
        return;
    conn->ping_for_ns = timeout_ns;
    conn->pings_due |= H2_PING_LIVENESS;
    h2_conn_deadline(conn, H2_DEADLINE_PING, now + timeout_ns);
    h2_conn_wake_control(conn);
}

static bool peer_acknowledges(const struct h2_conn *conn, uint64_t now)
{
    const struct transport *transport = &conn->transport;
    return transport->ops->silent_for_ns != NULL &&
           transport->ops->silent_for_ns(transport->stream, now) < conn->ping_for_ns;
}

/*
 * It ends a connection whose path is silent, or that nobody uses. A peer that goes on to
 * acknowledge is there and busy, or has not even come to the PING: what is under way has times of
 * its own.
 */
void h2_ping_late(struct h2_conn *conn, uint64_t now)
{
    if (conn->stream_count == 0 || !peer_acknowledges(conn, now)) {
        h2_violate(conn, 0, H2_VIOLATION_ping_lost);
        return;
    }
    counter_add(&conn->h2->counters.pings_late, 1);
    h2_conn_deadline(conn, H2_DEADLINE_PING, now + conn->ping_for_ns);
}
