#include "dataplane/h2/h2_violation.h"

#include "dataplane/base/counter.h"
#include "dataplane/h2/h2_conn.h"

const struct h2_violation_rule h2_violation_rules[H2_VIOLATIONS] = {
    [H2_VIOLATION_none] = {H2_SCOPE_NONE, H2_NO_ERROR, 0},
#define VIOLATION(name, scope, code, help)                                                         \
    [H2_VIOLATION_##name] = {H2_SCOPE_##scope, H2_##code, offsetof(struct h2_counters, name)},
#include "dataplane/h2/h2_violations.def"
#undef VIOLATION
};

static void count(struct h2 *h2, const struct h2_violation_rule *rule)
{
    uint8_t *counters = (uint8_t *)&h2->counters;
    counter_add((uint64_t *)(void *)(counters + rule->counter_offset), 1);
}

static void end_connection(struct h2_conn *conn, enum h2_violation violation)
{
    h2_conn_end(conn, (struct h2_end){
                          .code = h2_violation_rules[violation].code,
                          .goaway = true,
                          .abort = violation == H2_VIOLATION_ping_lost ||
                                   violation == H2_VIOLATION_connection_stalled,
                      });
}

/*
 * A stream that the peer never opened cannot be reset: there the connection ends (RFC 9113 5.4.1
 * allows that). Resets by the peer's fault cost it budget like its own.
 */
static void end_stream(struct h2_conn *conn, uint32_t stream_id, enum h2_violation violation)
{
    enum h2_error code = h2_violation_rules[violation].code;
    struct h2 *h2 = conn->h2;
    struct h2_stream *stream = h2_stream_find(conn, stream_id);
    uint32_t highest = conn->role == H2_CLIENT ? conn->next_id - 1 : conn->last_peer_id;
    bool client_made = (stream_id & 1) == 1;
    if (stream == NULL && (!client_made || stream_id > highest)) {
        h2_conn_end(conn, (struct h2_end){.code = code, .goaway = true});
        return;
    }
    if (stream != NULL)
        h2_stream_fail(stream, code);
    else
        h2_conn_refuse(conn, stream_id, code);
    if (conn->role == H2_CLIENT || violation == H2_VIOLATION_streams_exhausted)
        return;
    enum h2_violation flood = h2_budget_charge(&conn->budgets, H2_BUDGET_reset, h2->now);
    if (flood != H2_VIOLATION_none && !h2_conn_is_closed(conn)) {
        count(h2, &h2_violation_rules[flood]);
        end_connection(conn, flood);
    }
}

void h2_violate(struct h2_conn *conn, uint32_t stream_id, enum h2_violation violation)
{
    const struct h2_violation_rule *rule = &h2_violation_rules[violation];
    if (h2_conn_is_closed(conn) || rule->scope == H2_SCOPE_NONE)
        return;
    count(conn->h2, rule);
    if (rule->scope == H2_SCOPE_CONNECTION)
        end_connection(conn, violation);
    else
        end_stream(conn, stream_id, violation);
}

void h2_violate_stream(struct h2_stream *stream, enum h2_violation violation)
{
    const struct h2_violation_rule *rule = &h2_violation_rules[violation];
    count(stream->conn->h2, rule);
    h2_stream_fail(stream, rule->code);
}
