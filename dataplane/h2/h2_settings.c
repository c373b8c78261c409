#include "dataplane/h2/h2_settings.h"

#include "dataplane/h2/h2_conn.h"
#include "dataplane/h2/h2_flow.h"

struct setting_rule {
    uint32_t min;
    uint32_t max;
    enum h2_violation bad;
};

static const struct setting_rule setting_rules[H2_SETTINGS_END] = {
#define SETTING(name, id, min, max, bad) [id] = {min, max, H2_VIOLATION_##bad},
#include "dataplane/h2/h2_settings.def"
#undef SETTING
};

void h2_settings_defaults(struct h2_peer_settings *settings)
{
    *settings = (struct h2_peer_settings){
        .concurrent_streams = UINT32_MAX,
        .header_list_bytes = UINT32_MAX,
        .initial_window_bytes = H2_DEFAULT_WINDOW_BYTES,
        .announced_window_bytes = H2_DEFAULT_WINDOW_BYTES,
    };
}

static enum h2_violation check_value(const struct h2_conn *conn, uint16_t id, uint32_t value)
{
    const struct setting_rule *rule = &setting_rules[id];
    if (rule->bad != H2_VIOLATION_none && (value < rule->min || value > rule->max))
        return rule->bad;
    if (id == H2_SETTING_ENABLE_PUSH && value == 1 && conn->role == H2_CLIENT)
        return rule->bad;
    bool takes_back = conn->role == H2_CLIENT && conn->connect_protocol && value == 0;
    if (id == H2_SETTING_ENABLE_CONNECT_PROTOCOL && takes_back)
        return rule->bad; /* RFC 8441 3 */
    return H2_VIOLATION_none;
}

/* MAX_FRAME_SIZE is at least what we ever send: it does not change what we do. */
enum h2_violation h2_settings_apply(struct h2_conn *conn, uint16_t id, uint32_t value)
{
    if (id >= H2_SETTINGS_END)
        return H2_VIOLATION_none;
    enum h2_violation violation = check_value(conn, id, value);
    if (violation != H2_VIOLATION_none)
        return violation;
    if (id == H2_SETTING_HEADER_TABLE_SIZE)
        hpack_encoder_limit(&conn->encoder, value);
    else if (id == H2_SETTING_MAX_CONCURRENT_STREAMS)
        conn->peer.concurrent_streams = value;
    else if (id == H2_SETTING_INITIAL_WINDOW_SIZE)
        conn->peer.announced_window_bytes = value;
    else if (id == H2_SETTING_MAX_HEADER_LIST_SIZE)
        conn->peer.header_list_bytes = value;
    else if (id == H2_SETTING_ENABLE_CONNECT_PROTOCOL && conn->role == H2_CLIENT)
        conn->connect_protocol = value == 1;
    return H2_VIOLATION_none;
}

enum h2_violation h2_settings_complete(struct h2_conn *conn)
{
    uint32_t announced = conn->peer.announced_window_bytes;
    if (conn->unsent_count > 0) {
        h2_stream_return_excess(conn);
        h2_stream_fill_slots(conn);
    }
    if (h2_request_room(conn) == 0)
        conn->room_was_told = false; /* available() when there is some again */
    if (announced == conn->peer.initial_window_bytes)
        return H2_VIOLATION_none;
    return h2_flow_initial_window(conn, announced);
}

void h2_announce_connect(struct h2 *h2, bool announced)
{
    if (announced && !h2->connect_protocol)
        h2->announced_to = 0;
    h2->connect_protocol = announced;
}

/* Who has not had our SETTINGS yet finds it there. */
static void announce_to(struct h2_conn *conn)
{
    if (conn->role != H2_SERVER || conn->connect_protocol || h2_conn_is_closed(conn))
        return;
    conn->connect_protocol = true;
    if (conn->state == H2_CONN_PREFACE || conn->settings_due)
        return;
    conn->connect_due = true;
    h2_conn_wake_control(conn);
}

void h2_announce_on(struct h2 *h2)
{
    if (!h2->connect_protocol)
        return;
    for (uint32_t i = 0; i < H2_LIMIT_ANNOUNCED && h2->announced_to < h2->conns.count; i++) {
        struct h2_conn *conn = pool_at(&h2->conns, h2->announced_to++);
        if (conn != NULL)
            announce_to(conn);
    }
}

bool h2_peer_connects(const struct h2_conn *conn)
{
    return conn->role == H2_CLIENT && conn->connect_protocol;
}

bool h2_peer_takes(const struct h2_conn *conn, const struct fields *fields)
{
    uint64_t bytes = 0;
    struct field field;
    if (fields_list_bound(fields) <= conn->peer.header_list_bytes)
        return true;
    for (uint32_t at = 0; fields_next(fields, &at, &field);)
        bytes += field.name.length + field.value.length + 32;
    return bytes <= conn->peer.header_list_bytes;
}

static void write_setting(struct writer *out, enum h2_setting id, uint32_t value)
{
    writer_u16(out, (uint16_t)id);
    writer_u32(out, value);
}

void h2_settings_write_connect(struct writer *out)
{
    uint8_t *header = writer_take(out, H2_FRAME_HEADER_BYTES);
    if (header == NULL)
        return;
    write_setting(out, H2_SETTING_ENABLE_CONNECT_PROTOCOL, 1);
    h2_frame_write(header,
                   (struct h2_frame){.length = H2_SETTING_BYTES, .type = H2_FRAME_SETTINGS});
}

void h2_settings_write(const struct h2_conn *conn, struct writer *out)
{
    const struct h2_config *config = &conn->h2->config;
    uint8_t *header = writer_take(out, H2_FRAME_HEADER_BYTES);
    if (header == NULL)
        return;
    const uint8_t *payload = out->at;
    if (conn->role == H2_CLIENT)
        write_setting(out, H2_SETTING_ENABLE_PUSH, 0);
    else
        write_setting(out, H2_SETTING_MAX_CONCURRENT_STREAMS, config->server_concurrent_streams);
    if (conn->role == H2_SERVER)
        write_setting(out, H2_SETTING_NO_RFC7540_PRIORITIES, 1); /* RFC 9218 2.1 */
    if (conn->role == H2_SERVER && conn->connect_protocol)
        write_setting(out, H2_SETTING_ENABLE_CONNECT_PROTOCOL, 1);
    write_setting(out, H2_SETTING_INITIAL_WINDOW_SIZE, conn->first_window_bytes);
    write_setting(out, H2_SETTING_MAX_HEADER_LIST_SIZE, config->header_list_bytes);
    h2_frame_write(header, (struct h2_frame){.length = (uint32_t)(out->at - payload),
                                             .type = H2_FRAME_SETTINGS});
}
