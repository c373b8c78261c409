#include "dataplane/h2/h2_conn.h"

#include "dataplane/base/clock.h"
#include "dataplane/base/counter.h"
#include "dataplane/h2/h2_flow.h"

#define ILLEGAL H2_CONN_STATES

static const uint8_t transitions[H2_CONN_STATES][H2_CONN_CAUSES] = {
    [H2_CONN_PREFACE] = {[H2_CONN_PREFACE_READ] = H2_CONN_SETTINGS,
                         [H2_CONN_SETTINGS_READ] = ILLEGAL,
                         [H2_CONN_GOAWAY_ANNOUNCED] = ILLEGAL,
                         [H2_CONN_GOAWAY_FINAL] = ILLEGAL,
                         [H2_CONN_ENDED] = H2_CONN_CLOSED},
    [H2_CONN_SETTINGS] = {[H2_CONN_PREFACE_READ] = ILLEGAL,
                          [H2_CONN_SETTINGS_READ] = H2_CONN_OPEN,
                          [H2_CONN_GOAWAY_ANNOUNCED] = ILLEGAL,
                          [H2_CONN_GOAWAY_FINAL] = H2_CONN_DRAINING,
                          [H2_CONN_ENDED] = H2_CONN_CLOSED},
    [H2_CONN_OPEN] = {[H2_CONN_PREFACE_READ] = ILLEGAL,
                      [H2_CONN_SETTINGS_READ] = H2_CONN_OPEN,
                      [H2_CONN_GOAWAY_ANNOUNCED] = H2_CONN_ANNOUNCED,
                      [H2_CONN_GOAWAY_FINAL] = H2_CONN_DRAINING,
                      [H2_CONN_ENDED] = H2_CONN_CLOSED},
    [H2_CONN_ANNOUNCED] = {[H2_CONN_PREFACE_READ] = ILLEGAL,
                           [H2_CONN_SETTINGS_READ] = H2_CONN_ANNOUNCED,
                           [H2_CONN_GOAWAY_ANNOUNCED] = H2_CONN_ANNOUNCED,
                           [H2_CONN_GOAWAY_FINAL] = H2_CONN_DRAINING,
                           [H2_CONN_ENDED] = H2_CONN_CLOSED},
    [H2_CONN_DRAINING] = {[H2_CONN_PREFACE_READ] = ILLEGAL,
                          [H2_CONN_SETTINGS_READ] = H2_CONN_DRAINING,
                          [H2_CONN_GOAWAY_ANNOUNCED] = H2_CONN_DRAINING,
                          [H2_CONN_GOAWAY_FINAL] = H2_CONN_DRAINING,
                          [H2_CONN_ENDED] = H2_CONN_CLOSED},
    [H2_CONN_CLOSED] = {[H2_CONN_PREFACE_READ] = ILLEGAL,
                        [H2_CONN_SETTINGS_READ] = ILLEGAL,
                        [H2_CONN_GOAWAY_ANNOUNCED] = ILLEGAL,
                        [H2_CONN_GOAWAY_FINAL] = ILLEGAL,
                        [H2_CONN_ENDED] = ILLEGAL},
};

void h2_conn_move(struct h2_conn *conn, enum h2_conn_cause cause)
{
    check(conn->state < H2_CONN_STATES && cause < H2_CONN_CAUSES);
    uint8_t next = transitions[conn->state][cause];
    check(next != ILLEGAL);
    conn->state = next;
}

void h2_conn_wake(struct h2_conn *conn)
{
    if (!h2_conn_is_closed(conn) && !list_is_linked(&conn->active))
        list_push_back(&conn->h2->active, &conn->active);
}

void h2_conn_wake_control(struct h2_conn *conn)
{
    conn->control_due = true;
    h2_conn_wake(conn);
}

/* The timer is left alone when it fires early: it looks and is armed again. */
static void arm_for(struct h2_conn *conn, uint64_t due_at_ns)
{
    if (due_at_ns == CLOCK_NEVER)
        return;
    if (!timer_is_armed(&conn->timer) || conn->timer.due_at_ns > due_at_ns)
        timer_arm(conn->h2->config.wheel, &conn->timer, due_at_ns);
}

void h2_conn_deadline(struct h2_conn *conn, enum h2_deadline deadline, uint64_t due_at_ns)
{
    conn->due_ns[deadline] = due_at_ns;
    arm_for(conn, due_at_ns);
}

static void deadline_passed(struct h2_conn *conn, enum h2_deadline deadline, uint64_t now)
{
    switch (deadline) {
    case H2_DEADLINE_PREFACE:
        h2_violate(conn, 0, H2_VIOLATION_preface_slow);
        return;
    case H2_DEADLINE_ACK:
        h2_violate(conn, 0, H2_VIOLATION_settings_slow);
        return;
    case H2_DEADLINE_IDLE:
        counter_add(&conn->h2->counters.idle_closed, 1);
        h2_shutdown(conn, now);
        return;
    case H2_DEADLINE_PING:
        h2_ping_late(conn, now);
        return;
    case H2_DEADLINE_SHUTDOWN:
        h2_goaway_final(conn);
        return;
    case H2_DEADLINE_HEADER_BLOCK:
        h2_violate(conn, 0, H2_VIOLATION_header_block_slow);
        return;
    case H2_DEADLINE_STALL:
        h2_stall_tick(conn, now);
        return;
    case H2_DEADLINES:
        return;
    }
}

static void conn_tick(struct timer *timer, void *context, uint64_t now)
{
    struct h2_conn *conn = context;
    h2_enter(conn->h2, now);
    for (uint32_t i = 0; i < H2_DEADLINES && !h2_conn_is_closed(conn); i++) {
        if (conn->due_ns[i] > now)
            continue;
        conn->due_ns[i] = CLOCK_NEVER;
        deadline_passed(conn, (enum h2_deadline)i, now);
    }
    for (uint32_t i = 0; i < H2_DEADLINES && !h2_conn_is_closed(conn); i++)
        arm_for(conn, conn->due_ns[i]);
    h2_leave(conn->h2);
}

static void conn_init(struct h2_conn *conn, struct h2 *h2, enum h2_role role, uint64_t now)
{
    *conn = (struct h2_conn){
        .h2 = h2,
        .role = (uint8_t)role,
        .next_id = 1,
        .connect_protocol = role == H2_SERVER && h2->connect_protocol,
        .goaway_last_id = H2_STREAM_ID_MAX,
        .send_window = H2_DEFAULT_WINDOW_BYTES,
        .receive_window = H2_DEFAULT_WINDOW_BYTES,
        /* what is granted at the start is no sign of speed */
        .window = {h2_flow_connection_window(h2), (uint32_t)((now - CLOCK_S) / CLOCK_US)},
        .first_window_bytes = h2_flow_first_window(h2, role),
        .ping_cookie = random_u64(h2->config.random),
    };
    list_init(&conn->active);
    list_init(&conn->streams);
    list_init(&conn->unsent);
    h2_ready_init(&conn->ready);
    list_init(&conn->parked);
    list_init(&conn->credits);
    list_init(&conn->resets);
    list_init(&conn->holding);
    list_init(&conn->resting);
    timer_init(&conn->timer, conn_tick, conn);
    for (uint32_t i = 0; i < H2_DEADLINES; i++)
        conn->due_ns[i] = CLOCK_NEVER;
    struct hpack_tables *tables = h2_tables_for(h2, role);
    hpack_decoder_init(&conn->decoder, tables);
    hpack_encoder_init(&conn->encoder, tables);
    conn->encoder.plain = role == H2_CLIENT;
    h2_settings_defaults(&conn->peer);
    h2_budgets_init(&conn->budgets, now);
}

/*
 * Our own first frames: what the connection window is above 65,535 is credit from the start. The
 * server waits for the client preface, since it may have to answer HTTP/1 instead.
 */
static void begin(struct h2_conn *conn, uint64_t now)
{
    const struct h2_config *config = &conn->h2->config;
    conn->credit = conn->window.bytes - H2_DEFAULT_WINDOW_BYTES;
    if (conn->role == H2_SERVER) {
        conn->state = H2_CONN_PREFACE;
        conn->in.phase = H2_IN_PREFACE;
        if (config->preface_timeout_ns > 0)
            h2_conn_deadline(conn, H2_DEADLINE_PREFACE, now + config->preface_timeout_ns);
        return;
    }
    conn->state = H2_CONN_SETTINGS;
    conn->in.phase = H2_IN_HEADER;
    conn->settings_due = true;
    h2_conn_wake_control(conn);
}

struct h2_conn *h2_open(struct h2 *h2, enum h2_role role, struct transport transport,
                        const struct h2_handler *handler, void *owner, uint64_t now)
{
    struct h2_conn *conn = pool_take(&h2->conns);
    if (conn == NULL) {
        counter_add(&h2->counters.connections_shed, 1);
        transport.ops->abort(transport.stream);
        return NULL;
    }
    h2_enter(h2, now);
    conn_init(conn, h2, role, now);
    conn->handler = handler;
    conn->owner = owner;
    conn->transport = transport;
    begin(conn, now);
    counter_add(&h2->counters.connections_opened, 1);
    h2_leave(h2);
    return conn;
}

/* Requests that the peer cannot have seen are safe to repeat. */
static void lose_streams(struct h2_conn *conn, enum h2_error code)
{
    struct list *lists[] = {&conn->streams, &conn->unsent};
    for (uint32_t i = 0; i < array_count(lists); i++) {
        while (!list_is_empty(lists[i])) {
            struct h2_stream *stream = list_entry(lists[i]->next, struct h2_stream, link);
            struct h2_reset reset = {
                .code = code,
                .conn_lost = true,
                .unprocessed = stream->id == 0 ||
                               (conn->role == H2_CLIENT && stream->id > conn->goaway_last_id),
            };
            counter_add(&conn->h2->counters.streams_lost, 1);
            h2_stream_lost(stream, reset);
        }
    }
}

static void release(struct h2_conn *conn)
{
    while (!list_is_empty(&conn->resets))
        h2_stream_forget(list_entry(conn->resets.next, struct h2_stream, link));
    h2_flow_connection_ended(conn);
    h2_header_block_release(conn);
    h2_out_release(conn);
    list_remove(&conn->resting);
    hpack_decoder_close(&conn->decoder);
    hpack_encoder_close(&conn->encoder);
    timer_cancel(conn->h2->config.wheel, &conn->timer);
    list_remove(&conn->active);
    list_push_back(&conn->h2->dead_conns, &conn->active);
}

void h2_conn_end(struct h2_conn *conn, struct h2_end end)
{
    if (h2_conn_is_closed(conn))
        return;
    struct h2 *h2 = conn->h2;
    h2_enter(h2, h2->now);
    h2_place_close(conn);
    if (end.goaway)
        h2_out_last_goaway(conn, end.code);
    h2_conn_move(conn, H2_CONN_ENDED);
    lose_streams(conn, end.code);
    if (end.abort)
        conn->transport.ops->abort(conn->transport.stream);
    else
        conn->transport.ops->close(conn->transport.stream);
    counter_add(&h2->counters.connections_closed, 1);
    conn->handler->closed(conn->owner, conn, h2->now);
    release(conn);
    h2_leave(h2);
}

void h2_conn_end_if_drained(struct h2_conn *conn)
{
    if (conn->state != H2_CONN_DRAINING || conn->stream_count > 0 || conn->control_due ||
        !h2_out_is_whole(conn))
        return;
    h2_conn_end(conn, (struct h2_end){.code = H2_NO_ERROR});
}

void h2_conn_rests(struct h2_conn *conn)
{
    bool rests = conn->role == H2_SERVER && conn->stream_count == 0 &&
                 conn->decoder.table != NULL && !h2_conn_is_closed(conn);
    if (!rests)
        list_remove(&conn->resting);
    else if (!list_is_linked(&conn->resting))
        list_push_back(&conn->h2->resting, &conn->resting);
}

void h2_conn_refuse(struct h2_conn *conn, uint32_t stream_id, enum h2_error code)
{
    check(conn->refusal_count < H2_LIMIT_REFUSALS);
    conn->refusals[conn->refusal_count++] = (struct h2_refusal){stream_id, code};
    h2_conn_remember_reset(conn, stream_id);
    h2_conn_wake_control(conn);
}

void h2_conn_remember_reset(struct h2_conn *conn, uint32_t stream_id)
{
    uint32_t *place = &conn->recent_resets[conn->recent_reset_at];
    conn->recent_reset_at = (uint8_t)((conn->recent_reset_at + 1) % H2_LIMIT_RECENT_RESETS);
    if (*place != 0)
        conn->resets_forgotten = true;
    *place = stream_id;
}

/* When more streams were reset than we remember, any closed stream may be one of them. */
bool h2_conn_forgive(const struct h2_conn *conn, uint32_t stream_id)
{
    if (conn->resets_forgotten)
        return true;
    for (uint32_t i = 0; i < H2_LIMIT_RECENT_RESETS; i++)
        if (conn->recent_resets[i] == stream_id)
            return true;
    return false;
}

void h2_conn_forgive_no_more(struct h2_conn *conn, uint32_t stream_id)
{
    for (uint32_t i = 0; i < H2_LIMIT_RECENT_RESETS; i++)
        if (conn->recent_resets[i] == stream_id)
            conn->recent_resets[i] = 0;
}

void h2_conn_tell_room(struct h2_conn *conn)
{
    bool has_room = !conn->room_was_told && conn->role == H2_CLIENT && h2_request_room(conn) > 0;
    if (!has_room && !conn->door_closed)
        return;
    conn->door_closed = false;
    conn->room_was_told = true;
    conn->handler->available(conn->owner, conn, conn->h2->now);
}

void *h2_conn_owner(const struct h2_conn *conn)
{
    return conn->owner;
}

uint64_t h2_slot_hold(struct h2_conn *conn)
{
    conn->held_count++;
    counter_add(&conn->h2->counters.slots_held, 1);
    return pool_handle(&conn->h2->conns, conn);
}

void h2_slot_free(struct h2 *h2, uint64_t slot)
{
    struct h2_conn *conn = pool_get(&h2->conns, slot);
    if (conn != NULL && conn->held_count > 0)
        conn->held_count--;
}

uint32_t h2_conn_stream_count(const struct h2_conn *conn)
{
    return conn->stream_count;
}
