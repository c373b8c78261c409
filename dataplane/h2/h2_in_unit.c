/*
 * h2_in_unit: payloads of fixed size: SETTINGS (entry by entry), PING, GOAWAY, RST_STREAM,
 * WINDOW_UPDATE, PRIORITY and PRIORITY_UPDATE.
 */
#include "dataplane/base/clock.h"
#include "dataplane/base/counter.h"
#include "dataplane/h2/h2_flow.h"
#include "dataplane/h2/h2_in.h"

void h2_in_settings_complete(struct h2_conn *conn, uint64_t now)
{
    const struct h2_config *config = &conn->h2->config;
    h2_in_violate(conn, h2_settings_complete(conn));
    if (h2_conn_is_closed(conn))
        return;
    conn->settings_ack_count++;
    h2_conn_wake_control(conn);
    h2_in_next_frame(&conn->in);
    if (conn->settings_seen) {
        h2_conn_tell_room(conn);
        return;
    }
    conn->settings_seen = true;
    h2_conn_move(conn, H2_CONN_SETTINGS_READ);
    conn->due_ns[H2_DEADLINE_PREFACE] = CLOCK_NEVER;
    if (conn->role == H2_SERVER) {
        if (config->idle_timeout_ns > 0)
            h2_conn_deadline(conn, H2_DEADLINE_IDLE, now + config->idle_timeout_ns);
        return;
    }
    conn->room_was_told = true;
    conn->handler->available(conn->owner, conn, now);
}

/* RFC 9113 8.1: a server that has answered completely may refuse the rest of the request. */
static enum h2_violation rst_stream_in(struct h2_conn *conn, uint32_t code, uint64_t now)
{
    struct h2_stream *stream = h2_stream_find(conn, conn->in.frame.stream_id);
    if (stream == NULL) {
        h2_conn_forgive_no_more(conn, conn->in.frame.stream_id);
        return H2_VIOLATION_none;
    }
    bool is_client = conn->role == H2_CLIENT;
    if (is_client && code == H2_NO_ERROR && stream->state == H2_STATE_HALF_CLOSED_REMOTE) {
        h2_stream_move(stream, H2_CAUSE_RESET);
        h2_stream_finish(stream);
        return H2_VIOLATION_none;
    }
    counter_add(&conn->h2->counters.streams_reset_by_peer, 1);
    h2_stream_lost(stream, (struct h2_reset){
                               .code = code,
                               .by_peer = true,
                               .unprocessed = is_client && code == H2_REFUSED_STREAM,
                           });
    if (is_client || h2_conn_is_closed(conn))
        return H2_VIOLATION_none;
    return h2_budget_charge(&conn->budgets, H2_BUDGET_reset, now);
}

static enum h2_violation window_update_in(struct h2_conn *conn, uint32_t increment, uint64_t now)
{
    enum h2_violation violation = h2_budget_charge(&conn->budgets, H2_BUDGET_window_update, now);
    if (violation != H2_VIOLATION_none)
        return violation;
    if (conn->in.frame.stream_id == 0)
        return h2_flow_window_update(conn, NULL, increment);
    struct h2_stream *stream = h2_stream_find(conn, conn->in.frame.stream_id);
    return stream == NULL ? H2_VIOLATION_none : h2_flow_window_update(conn, stream, increment);
}

/* These are not used (RFC 9113 5.3.2), those of RFC 9218 are. */
static enum h2_violation priority_in(struct h2_conn *conn, uint32_t dependency, uint64_t now)
{
    if (dependency == conn->in.frame.stream_id)
        return H2_VIOLATION_depends_on_itself;
    return h2_budget_charge(&conn->budgets, H2_BUDGET_priority, now);
}

/* RFC 9218 7.1 */
static enum h2_violation priority_update_in(struct h2_conn *conn, struct reader *unit, uint64_t now)
{
    uint32_t id = reader_u32(unit) & H2_STREAM_ID_MAX;
    if (conn->role == H2_CLIENT || (id & 1) == 0)
        return H2_VIOLATION_priority_update_bad;
    h2_priority_update(conn, id, reader_bytes(unit, reader_left(unit)));
    return h2_budget_charge(&conn->budgets, H2_BUDGET_priority, now);
}

static enum h2_violation unit_in(struct h2_conn *conn, struct reader *unit, uint64_t now)
{
    bool ack = (conn->in.frame.flags & H2_FLAG_ACK) != 0;
    uint16_t setting;
    uint32_t last_id;
    switch ((enum h2_frame_type)conn->in.frame.type) {
    case H2_FRAME_SETTINGS:
        setting = reader_u16(unit);
        return h2_settings_apply(conn, setting, reader_u32(unit));
    case H2_FRAME_PING:
        return h2_ping_in(conn, reader_u64(unit), ack, now);
    case H2_FRAME_GOAWAY:
        last_id = reader_u32(unit) & H2_STREAM_ID_MAX;
        return h2_goaway_in(conn, last_id, reader_u32(unit));
    case H2_FRAME_RST_STREAM:
        return rst_stream_in(conn, reader_u32(unit), now);
    case H2_FRAME_WINDOW_UPDATE:
        return window_update_in(conn, reader_u32(unit) & H2_STREAM_ID_MAX, now);
    case H2_FRAME_PRIORITY:
        return priority_in(conn, reader_u32(unit) & H2_STREAM_ID_MAX, now);
    case H2_FRAME_PRIORITY_UPDATE:
        return priority_update_in(conn, unit, now);
    case H2_FRAME_DATA:
    case H2_FRAME_HEADERS:
    case H2_FRAME_PUSH_PROMISE:
    case H2_FRAME_CONTINUATION:
    case H2_FRAME_TYPES:
        break;
    }
    return H2_VIOLATION_none;
}

bool h2_in_unit(struct h2_conn *conn, struct reader *r, uint64_t now)
{
    struct h2_in *in = &conn->in;
    const uint8_t *bytes = h2_in_gather(in, r, in->want);
    if (bytes == NULL)
        return false;
    in->left -= in->want;
    struct reader unit = reader_over(bytes_of(bytes, in->want));
    h2_in_violate(conn, unit_in(conn, &unit, now));
    if (h2_conn_is_closed(conn))
        return true;
    if (in->frame.type != H2_FRAME_SETTINGS)
        h2_in_skip_rest(in);
    else if (in->left == 0)
        h2_in_settings_complete(conn, now);
    return true;
}
