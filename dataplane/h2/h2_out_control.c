/*
 * h2_out_control: the frames a connection sends on its own account, made from what struct h2_conn
 * says is due. Each is marked as sent only when the transport has taken it.
 */
#include "dataplane/base/clock.h"
#include "dataplane/base/counter.h"
#include "dataplane/h2/h2_conn.h"
#include "dataplane/h2/h2_flow.h"

#define LARGEST_CONTROL_PAYLOAD 8
#define FIRST_FRAMES_BYTES                                                                         \
    (H2_PREFACE_BYTES + H2_FRAME_HEADER_BYTES + H2_OUR_SETTINGS_MAX * H2_SETTING_BYTES)

static bool send_frame(struct h2_conn *conn, enum h2_frame_type type, uint8_t flags,
                       uint32_t stream_id, struct bytes payload)
{
    uint8_t bytes[H2_FRAME_HEADER_BYTES + LARGEST_CONTROL_PAYLOAD];
    check(payload.length <= LARGEST_CONTROL_PAYLOAD);
    h2_frame_write(bytes, (struct h2_frame){
                              .length = (uint32_t)payload.length,
                              .type = (uint8_t)type,
                              .flags = flags,
                              .stream_id = stream_id,
                          });
    if (payload.length > 0)
        memcpy(bytes + H2_FRAME_HEADER_BYTES, payload.data, payload.length);
    if (!h2_out_send(conn, bytes_of(bytes, H2_FRAME_HEADER_BYTES + payload.length)))
        return false;
    counter_add(&conn->h2->counters.frames_out, 1);
    return true;
}

/* RST_STREAM and WINDOW_UPDATE carry one number, GOAWAY two. */
static bool send_numbers(struct h2_conn *conn, enum h2_frame_type type, uint32_t stream_id,
                         const uint32_t *numbers, uint32_t count)
{
    uint8_t payload[LARGEST_CONTROL_PAYLOAD];
    struct writer w = writer_over(payload, sizeof(payload));
    for (uint32_t i = 0; i < count; i++)
        writer_u32(&w, numbers[i]);
    return send_frame(conn, type, 0, stream_id, writer_written(&w));
}

static bool send_number(struct h2_conn *conn, enum h2_frame_type type, uint32_t stream_id,
                        uint32_t number)
{
    return send_numbers(conn, type, stream_id, &number, 1);
}

/* RFC 9113 6.5.3: it has to be acknowledged in time. */
static void settings_sent(struct h2_conn *conn)
{
    counter_add(&conn->h2->counters.frames_out, 1);
    conn->settings_unacked++;
    uint64_t timeout_ns = conn->h2->config.settings_timeout_ns;
    if (timeout_ns > 0)
        h2_conn_deadline(conn, H2_DEADLINE_ACK, conn->h2->now + timeout_ns);
}

/* RFC 9113 3.4: the client's preface, and both sides' first SETTINGS. */
static bool out_settings(struct h2_conn *conn)
{
    if (!conn->settings_due)
        return true;
    uint8_t bytes[FIRST_FRAMES_BYTES];
    struct writer w = writer_over(bytes, sizeof(bytes));
    if (conn->role == H2_CLIENT)
        writer_bytes(&w, bytes_of(H2_PREFACE, H2_PREFACE_BYTES));
    h2_settings_write(conn, &w);
    check(!w.failed);
    if (!h2_out_send(conn, writer_written(&w)))
        return false;
    conn->settings_due = false;
    settings_sent(conn);
    return true;
}

static bool out_connect_protocol(struct h2_conn *conn)
{
    if (!conn->connect_due)
        return true;
    uint8_t bytes[H2_FRAME_HEADER_BYTES + H2_SETTING_BYTES];
    struct writer w = writer_over(bytes, sizeof(bytes));
    h2_settings_write_connect(&w);
    if (!h2_out_send(conn, writer_written(&w)))
        return false;
    conn->connect_due = false;
    settings_sent(conn);
    return true;
}

static bool out_acks(struct h2_conn *conn)
{
    while (conn->settings_ack_count > 0) {
        if (!send_frame(conn, H2_FRAME_SETTINGS, H2_FLAG_ACK, 0, BYTES_NONE))
            return false;
        conn->settings_ack_count--;
    }
    while (conn->ping_ack_count > 0) {
        uint8_t payload[8];
        struct writer w = writer_over(payload, sizeof(payload));
        writer_u64(&w, conn->ping_acks[0]);
        if (!send_frame(conn, H2_FRAME_PING, H2_FLAG_ACK, 0, writer_written(&w)))
            return false;
        conn->ping_ack_count--;
        memmove(conn->ping_acks, conn->ping_acks + 1,
                conn->ping_ack_count * sizeof(conn->ping_acks[0]));
    }
    return true;
}

static bool send_goaway(struct h2_conn *conn, uint32_t last_id, enum h2_error code)
{
    uint32_t numbers[] = {last_id, (uint32_t)code};
    if (!send_numbers(conn, H2_FRAME_GOAWAY, 0, numbers, array_count(numbers)))
        return false;
    counter_add(&conn->h2->counters.goaway_out, 1);
    return true;
}

static bool out_goaway(struct h2_conn *conn)
{
    if (conn->goaway_due == H2_GOAWAY_NOT)
        return true;
    uint32_t last_id =
        conn->goaway_due == H2_GOAWAY_ANNOUNCE ? H2_STREAM_ID_MAX : conn->accepted_id;
    if (!send_goaway(conn, last_id, H2_NO_ERROR))
        return false;
    conn->goaway_due = H2_GOAWAY_NOT;
    return true;
}

static bool out_pings(struct h2_conn *conn)
{
    static const enum h2_ping pings[] = {H2_PING_LIVENESS, H2_PING_SHUTDOWN};
    for (uint32_t i = 0; i < array_count(pings); i++) {
        if ((conn->pings_due & pings[i]) == 0)
            continue;
        uint8_t payload[8];
        struct writer w = writer_over(payload, sizeof(payload));
        writer_u64(&w, h2_ping_payload(conn, pings[i]));
        if (!send_frame(conn, H2_FRAME_PING, 0, 0, writer_written(&w)))
            return false;
        conn->pings_due &= (uint8_t)~pings[i];
        conn->pings_open |= (uint8_t)pings[i];
    }
    return true;
}

static bool out_credit(struct h2_conn *conn)
{
    if (h2_flow_credit_is_due(conn)) {
        uint32_t credit = h2_flow_connection_credit(conn);
        if (!send_number(conn, H2_FRAME_WINDOW_UPDATE, 0, credit))
            return false;
        h2_flow_connection_credited(conn, credit);
    }
    while (!list_is_empty(&conn->credits)) {
        struct h2_stream *stream = list_entry(conn->credits.next, struct h2_stream, credit_link);
        if (h2_stream_can_receive(stream)) {
            uint32_t credit = h2_flow_stream_credit(stream);
            if (credit > 0 && !send_number(conn, H2_FRAME_WINDOW_UPDATE, stream->id, credit))
                return false;
            h2_flow_stream_credited(stream, credit);
        }
        list_remove(&stream->credit_link);
    }
    return true;
}

static bool out_resets(struct h2_conn *conn)
{
    while (!list_is_empty(&conn->resets)) {
        struct h2_stream *stream = list_entry(conn->resets.next, struct h2_stream, link);
        if (!send_number(conn, H2_FRAME_RST_STREAM, stream->id, stream->reset_code))
            return false;
        h2_stream_forget(stream);
    }
    while (conn->refusal_count > 0) {
        struct h2_refusal *refusal = &conn->refusals[0];
        if (!send_number(conn, H2_FRAME_RST_STREAM, refusal->stream_id, refusal->code))
            return false;
        conn->refusal_count--;
        memmove(conn->refusals, conn->refusals + 1,
                conn->refusal_count * sizeof(conn->refusals[0]));
    }
    return true;
}

bool h2_out_control(struct h2_conn *conn)
{
    if (!h2_out_is_whole(conn) || conn->state == H2_CONN_PREFACE)
        return false;
    if (!out_settings(conn) || !out_connect_protocol(conn) || !out_acks(conn) ||
        !out_goaway(conn) || !out_pings(conn) || !out_credit(conn) || !out_resets(conn))
        return false;
    conn->control_due = false;
    return true;
}

void h2_out_last_goaway(struct h2_conn *conn, enum h2_error code)
{
    if (conn->state == H2_CONN_PREFACE)
        conn->settings_due = true;
    if (h2_out_is_whole(conn) && out_settings(conn) && out_resets(conn) &&
        send_goaway(conn, conn->accepted_id, code))
        return;
    counter_add(&conn->h2->counters.goaway_unsent, 1);
}
