#include "tests/sim/reference_peer.h"

#include "dataplane/base/clock.h"

#include <string.h>

#define RTO_MAX_NS   (8 * CLOCK_S)
#define KEEPALIVE_NS (20 * CLOCK_S)
#define CALM_ACK_NS  (200 * CLOCK_MS)
#define SCALE_MAX    14
#define WINDOW_MAX   65535u
#define SEGMENT_MAX  1400u
#define ROUNDS       1500u /* a transfer takes about as many, at most */
#define MSS_V4       536u
#define MSS_V6       1220u
#define DUPLICATES   3u

static uint64_t now_of(const struct reference_conn *conn)
{
    return conn->sim->now;
}

static bool percent(struct reference_conn *conn, uint32_t chance)
{
    return chance > 0 && !conn->is_calm && sim_draw(conn->sim, 1, 100) <= chance;
}

/* ---- scripts ---- */

static void draw_options(struct sim *sim, struct reference_script *script)
{
    script->mss = sim_one_in(sim, 4) ? 0 : (uint16_t)sim_draw(sim, 216, 1460);
    script->wscale = sim_one_in(sim, 3) ? -1 : (int)sim_draw(sim, 0, 15);
    script->sack = !sim_one_in(sim, 3);
    script->ts = !sim_one_in(sim, 3);
    script->padding = sim_one_in(sim, 3) ? (uint8_t)(4 * sim_draw(sim, 1, 2)) : 0;
    if (script->ts && script->padding == 8)
        script->padding = 4; /* 40 bytes are all there is */
}

static void draw_sending(struct sim *sim, struct reference_script *script)
{
    uint32_t least = 1 + (uint32_t)(script->to_send / ROUNDS);
    script->segment_max = sim_one_in(sim, 2) ? SEGMENT_MAX : sim_draw_log(sim, least, SEGMENT_MAX);
    script->segments_vary = sim_one_in(sim, 2);
    if (script->segments_vary && script->segment_max < 4 * least)
        script->segment_max = 4 * least;
    script->flight_max = sim_draw_log(sim, least, 100000);
    script->rto_ns = sim_draw_log(sim, 50, 2000) * CLOCK_MS;
    script->fast_retransmit = sim_one_in(sim, 2);
    script->syn_data = sim_one_in(sim, 8);
    script->urgent_percent = sim_one_in(sim, 4) ? sim_draw(sim, 1, 50) : 0;
    script->old_ppm = sim_one_in(sim, 3) ? sim_draw_log(sim, 100, 100000) : 0;
    script->idle_ppm = sim_one_in(sim, 3) ? sim_draw_log(sim, 100, 50000) : 0;
    script->write_every_ns = sim_one_in(sim, 4) ? sim_draw_log(sim, 10, 20000) * CLOCK_US : 0;
}

static void draw_receiving(struct sim *sim, struct reference_script *script)
{
    uint32_t least = 1 + (uint32_t)(script->expects / ROUNDS);
    script->buffer = sim_draw_log(sim, least, 300000);
    script->ack_every = sim_draw_log(sim, 1, 20);
    script->ack_delay_ns = sim_draw_log(sim, 1, sim_one_in(sim, 4) ? 5000 : 200) * CLOCK_MS;
    script->keeps_ahead = script->sack || sim_one_in(sim, 2);
    script->renege_percent = sim_one_in(sim, 3) ? sim_draw(sim, 1, 30) : 0;
    script->shrink_percent = sim_one_in(sim, 5) ? sim_draw(sim, 1, 50) : 0;
    script->is_silly = sim_one_in(sim, 4);
    script->updates = !sim_one_in(sim, 5);
    if (sim_one_in(sim, 3)) {
        script->read_bytes = sim_draw_log(sim, 1 + (uint32_t)(script->expects / 300), 100000);
        script->read_every_ns = sim_draw_log(sim, 1, 3000) * CLOCK_MS;
    }
}

void reference_draw_script(struct sim *sim, struct reference_script *script, uint64_t to_send,
                           uint64_t expects, enum app_end end)
{
    *script = (struct reference_script){.to_send = to_send, .expects = expects, .end = end};
    if (end == APP_ENDS_AT_ONCE)
        script->to_send = 0;
    draw_options(sim, script);
    draw_sending(sim, script);
    draw_receiving(sim, script);
    script->opens_simultaneously = sim_one_in(sim, 6);
    if (end == APP_ABORTS)
        script->abort_after = sim_draw(sim, 0, (uint32_t)(to_send + expects));
}

void reference_init(struct reference_conn *conn, struct sim *sim, struct reference_link *link,
                    uint32_t id, bool is_client, const struct app_half *peer)
{
    struct reference_script script = conn->script;
    *conn = (struct reference_conn){
        .sim = sim,
        .link = link,
        .script = script,
        .half = {.sent = script.to_send},
        .peer = peer,
        .id = id,
        .is_client = is_client,
        .iss = (uint32_t)random_u64(&sim->random),
        .ts_offset = (uint32_t)random_u64(&sim->random),
    };
}

void reference_calm(struct reference_conn *conn)
{
    conn->is_calm = true;
    conn->script.read_every_ns = 0;
    conn->script.write_every_ns = 0;
    conn->script.is_silly = false;
    conn->script.updates = true;
    conn->read_at_ns = 0;
    conn->write_at_ns = 0;
    if (conn->script.ack_delay_ns > CALM_ACK_NS)
        conn->script.ack_delay_ns = CALM_ACK_NS;
}

static void note(const struct reference_conn *conn, const char *what)
{
    sim_note(conn->sim, "peer %u: %s, acknowledged %u, received %u", conn->id, what, conn->una,
             conn->rcv);
}

/* ---- where it stands ---- */

/* Offset behind the last byte, and FIN if it is wanted. */
static uint32_t stream_end(const struct reference_conn *conn)
{
    return (uint32_t)conn->script.to_send + 1 + conn->fin_wanted;
}

static bool fin_is_in(const struct reference_conn *conn)
{
    return conn->has_fin && conn->rcv > conn->fin_at;
}

/* Bytes of payload received in order. */
static uint32_t payload(const struct reference_conn *conn)
{
    return conn->rcv == 0 ? 0 : conn->rcv - 1 - fin_is_in(conn);
}

static bool is_synchronized(const struct reference_conn *conn)
{
    return conn->state == REFERENCE_SYN_RECEIVED || conn->state == REFERENCE_OPEN;
}

static void gone(struct reference_conn *conn, const char *why, bool failed)
{
    if (!conn->half.over) {
        note(conn, why);
        conn->half.failed = failed;
        conn->half.failed_at_ns = now_of(conn);
    }
    conn->half.over = true;
    conn->state = REFERENCE_GONE;
}

static void over_if_done(struct reference_conn *conn)
{
    if (conn->half.over || conn->state != REFERENCE_OPEN || !conn->fin_wanted ||
        conn->una < stream_end(conn) || !fin_is_in(conn))
        return;
    note(conn, "is done");
    conn->half.over = true;
}

/* ---- segments out ---- */

static uint16_t window(struct reference_conn *conn, bool syn)
{
    const struct reference_script *script = &conn->script;
    uint32_t unread = payload(conn) - conn->read;
    uint32_t room = script->buffer > unread ? script->buffer - unread : 0;
    uint32_t edge = conn->rcv + room;
    uint32_t step = script->buffer / 2 < SEGMENT_MAX ? script->buffer / 2 : SEGMENT_MAX;
    uint32_t scale = conn->scales_agreed && !syn && script->wscale > 0
                         ? (uint32_t)(script->wscale > SCALE_MAX ? SCALE_MAX : script->wscale)
                         : 0;
    if (percent(conn, script->shrink_percent))
        edge = conn->rcv + (room > 0 ? sim_draw(conn->sim, 0, room) : 0);
    else if (edge < conn->announced || (!script->is_silly && edge < conn->announced + step))
        edge = conn->announced > conn->rcv ? conn->announced : conn->rcv;
    uint32_t field = (edge - conn->rcv) >> scale;
    if (field == 0 && scale > 0 && edge > conn->rcv && room >= script->buffer)
        field = 1; /* a buffer smaller than the scale's unit would stay shut for ever */
    field = field > WINDOW_MAX ? WINDOW_MAX : field;
    conn->announced = conn->rcv + (field << scale);
    if (conn->announced > conn->announced_max)
        conn->announced_max = conn->announced;
    return (uint16_t)field;
}

static void add_options(const struct reference_conn *conn, struct frame_segment *s)
{
    const struct reference_script *script = &conn->script;
    bool syn = (s->flags & FRAME_SYN) != 0;
    bool first = syn && (s->flags & FRAME_ACK) == 0; /* then nothing is agreed yet */
    s->wscale = -1;
    s->padding_options = script->padding;
    if (syn) {
        s->mss = script->mss;
        s->wscale = first || conn->scales_agreed ? script->wscale : -1;
        s->sack_ok = first ? script->sack : conn->sack_agreed;
    }
    s->has_ts = syn && first ? script->ts : conn->ts_agreed;
    s->ts_value = (uint32_t)(now_of(conn) / CLOCK_MS) + conn->ts_offset;
    s->ts_echo = s->flags & FRAME_ACK ? conn->ts_recent : 0;
    if (syn || !conn->sack_agreed)
        return;
    uint32_t most = s->has_ts || s->padding_options > 0 ? 2 : FRAME_SACKS_MAX;
    for (uint32_t i = 0; i < conn->range_count && s->sack_count < most; i++)
        s->sacks[s->sack_count++] =
            (struct frame_sack){conn->irs + conn->ranges[i].start, conn->irs + conn->ranges[i].end};
}

static void fill(const struct reference_conn *conn, uint32_t offset, uint32_t length, uint8_t *out)
{
    for (uint32_t i = 0; i < length; i++)
        out[i] = offset + i == 0 ? 0 : app_byte(conn->id, conn->is_client, offset + i - 1);
}

/* Send a made segment; its bytes are those at its sequence number. */
static void send_made(struct reference_conn *conn, struct frame_segment *s)
{
    uint8_t data[SEGMENT_MAX + 100];
    uint32_t syn = (s->flags & FRAME_SYN) != 0;
    fill(conn, s->seq - conn->iss + syn, s->length, data);
    s->data = data;
    reference_link_send(conn->link, s);
    s->data = NULL;
}

static void emit(struct reference_conn *conn, uint8_t flags, uint32_t offset, uint32_t length)
{
    struct frame_segment s = {.seq = conn->iss + offset, .flags = flags, .length = length};
    reference_link_address(&s, conn->v6);
    s.from.port = conn->port;
    s.to.port = conn->their_port;
    s.window = conn->rcv > 0 ? window(conn, (flags & FRAME_SYN) != 0)
                             : (uint16_t)(conn->script.buffer < WINDOW_MAX ? conn->script.buffer
                                                                           : WINDOW_MAX);
    if (flags & FRAME_ACK)
        s.ack = conn->irs + conn->rcv;
    if (length > 0 && percent(conn, conn->script.urgent_percent)) {
        s.flags |= FRAME_URG;
        s.urgent = (uint16_t)sim_draw(conn->sim, 0, length);
    }
    add_options(conn, &s);
    send_made(conn, &s);
    conn->old[conn->old_count++ % REFERENCE_OLD] = s;
    if (flags & FRAME_ACK) {
        conn->ack_pending = 0;
        conn->ack_at_ns = 0;
    }
    uint32_t end = offset + length + ((flags & FRAME_SYN) != 0) + ((flags & FRAME_FIN) != 0);
    conn->max = end > conn->max ? end : conn->max;
}

/* The number of a segment without data lies in their window. */
static void send_ack(struct reference_conn *conn)
{
    uint32_t offset = conn->max <= conn->edge ? conn->max : conn->edge;
    emit(conn, FRAME_ACK, offset > conn->una ? offset : conn->una, 0);
}

static void send_syn(struct reference_conn *conn)
{
    bool first = conn->state == REFERENCE_SYN_SENT;
    uint32_t data = first && conn->script.syn_data && conn->script.to_send > 0 ? 1 : 0;
    emit(conn, first ? FRAME_SYN : FRAME_SYN | FRAME_ACK, 0, data);
    uint64_t wait = conn->script.rto_ns << (conn->backoff < 6 ? conn->backoff : 6);
    conn->rto_at_ns = now_of(conn) + (wait < RTO_MAX_NS ? wait : RTO_MAX_NS);
}

void reference_refuse(struct reference_link *link, const struct frame_segment *segment)
{
    if (segment->flags & FRAME_RST)
        return;
    struct frame_segment s = {.flags = FRAME_RST, .wscale = -1};
    reference_link_address(&s, segment->v6);
    s.from.port = segment->to.port;
    s.to.port = segment->from.port;
    if (segment->flags & FRAME_ACK) {
        s.seq = segment->ack;
    } else {
        s.flags |= FRAME_ACK;
        s.ack = segment->seq + segment->length + ((segment->flags & FRAME_SYN) != 0) +
                ((segment->flags & FRAME_FIN) != 0);
    }
    reference_link_send(link, &s);
}

/* ---- opening ---- */

void reference_connect(struct reference_conn *conn, uint16_t port, uint16_t their_port)
{
    conn->port = port;
    conn->their_port = their_port;
    conn->state = REFERENCE_SYN_SENT;
    conn->heard_at_ns = now_of(conn);
    note(conn, "connects");
    send_syn(conn);
}

static void learn_syn(struct reference_conn *conn, const struct frame_segment *s)
{
    const struct reference_script *script = &conn->script;
    conn->irs = s->seq;
    conn->rcv = 1;
    conn->their_mss = s->mss != 0 ? s->mss : s->v6 ? MSS_V6 : MSS_V4;
    conn->scales_agreed = script->wscale >= 0 && s->wscale >= 0;
    conn->their_scale = conn->scales_agreed ? s->wscale : 0;
    conn->sack_agreed = script->sack && s->sack_ok;
    conn->ts_agreed = script->ts && s->has_ts;
    conn->ts_recent = s->ts_value;
    conn->edge = 1u + s->window; /* of a SYN: not scaled */
}

static void opened(struct reference_conn *conn)
{
    conn->state = REFERENCE_OPEN;
    conn->nxt = 1;
    conn->backoff = 0;
    conn->rto_at_ns = 0;
    note(conn, "opened");
}

static void wait_in(struct reference_conn *conn, const struct frame_segment *s)
{
    if (s->flags & FRAME_RST)
        return;
    if ((s->flags & (FRAME_ACK | FRAME_SYN)) != FRAME_SYN) {
        reference_refuse(conn->link, s);
        return;
    }
    if (conn->script.opens_simultaneously) {
        conn->script.opens_simultaneously = false;
        reference_connect(conn, s->to.port, s->from.port); /* as if the SYN had not come */
        return;
    }
    conn->port = s->to.port;
    conn->their_port = s->from.port;
    conn->state = REFERENCE_SYN_RECEIVED;
    learn_syn(conn, s);
    send_syn(conn);
}

static void syn_sent_in(struct reference_conn *conn, const struct frame_segment *s)
{
    uint32_t ack = s->ack - conn->iss;
    bool acks = (s->flags & FRAME_ACK) != 0;
    if (acks && (ack < 1 || ack > conn->max)) {
        reference_refuse(conn->link, s);
        return;
    }
    if (s->flags & FRAME_RST) {
        if (acks)
            gone(conn, "refused", true);
        return;
    }
    if ((s->flags & FRAME_SYN) == 0)
        return;
    learn_syn(conn, s);
    if (acks) {
        conn->una = ack;
        opened(conn);
        conn->nxt = ack;
        conn->edge = ack + s->window;
        send_ack(conn);
        return;
    }
    conn->state = REFERENCE_SYN_RECEIVED;
    send_syn(conn);
}

/* ---- acknowledgements ---- */

static void new_ack(struct reference_conn *conn, uint32_t ack)
{
    conn->una = ack;
    conn->nxt = conn->nxt < ack ? ack : conn->nxt;
    conn->duplicates = 0;
    conn->backoff = 0;
    conn->rto_at_ns = 0;
}

static void ack_in(struct reference_conn *conn, const struct frame_segment *s, uint32_t seq)
{
    uint32_t ack = s->ack - conn->iss;
    if (ack > conn->max || ack < conn->una)
        return;
    uint32_t edge = ack + ((uint32_t)s->window << (s->flags & FRAME_SYN ? 0 : conn->their_scale));
    bool is_new = ack > conn->una;
    if (is_new)
        new_ack(conn, ack);
    else if (s->length == 0 && edge == conn->edge && conn->max > conn->una)
        conn->duplicates++;
    if (is_new || conn->wl1 <= seq) {
        if (conn->edge <= conn->nxt && edge > conn->nxt)
            conn->rto_at_ns = 0; /* the window opens */
        conn->edge = edge;
        conn->wl1 = seq;
    }
    if (conn->script.fast_retransmit && conn->duplicates == DUPLICATES)
        conn->nxt = conn->una;
}

/* ---- data ---- */

/* Every byte, also one that was here before, is the one that was sent. */
static void check_data(const struct reference_conn *conn, const struct frame_segment *s,
                       uint32_t seq)
{
    for (uint32_t i = 0; i < s->length; i++)
        if (seq + i == 0 || s->data[i] != app_byte(conn->id, !conn->is_client, seq + i - 1))
            sim_fail(conn->sim, "peer %u: received another byte than was sent, at %u", conn->id,
                     seq + i);
    if (s->length > 0 && seq + s->length - 1 > conn->peer->sent)
        sim_fail(conn->sim, "peer %u: received more than was sent", conn->id);
    if ((s->flags & FRAME_FIN) == 0)
        return;
    if (!conn->peer->closed || seq + s->length != conn->peer->sent + 1)
        sim_fail(conn->sim, "peer %u: FIN at %u, sent were %llu, %s", conn->id, seq + s->length,
                 (unsigned long long)conn->peer->sent,
                 conn->peer->closed ? "closed" : "not closed");
}

static void keep_range(struct reference_conn *conn, uint32_t start, uint32_t end)
{
    uint32_t kept = 0;
    if (!conn->script.keeps_ahead)
        return;
    if (percent(conn, conn->script.renege_percent)) {
        conn->range_count = 0; /* all of it (RFC 2018 8) */
        return;
    }
    for (uint32_t i = 0; i < conn->range_count; i++) {
        struct reference_range range = conn->ranges[i];
        if (range.start <= end && start <= range.end) {
            start = range.start < start ? range.start : start;
            end = range.end > end ? range.end : end;
        } else if (kept < REFERENCE_RANGES - 1) {
            conn->ranges[kept++] = range;
        }
    }
    memmove(conn->ranges + 1, conn->ranges, kept * sizeof(conn->ranges[0]));
    conn->ranges[0] = (struct reference_range){start, end};
    conn->range_count = kept + 1;
}

/* What had been kept ahead may now be next. */
static void join_ranges(struct reference_conn *conn)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < conn->range_count; i++)
        if (conn->ranges[i].start <= conn->rcv && conn->ranges[i].end > conn->rcv) {
            conn->rcv = conn->ranges[i].end;
            i = UINT32_MAX; /* from the beginning */
        }
    for (uint32_t i = 0; i < conn->range_count; i++)
        if (conn->ranges[i].start > conn->rcv)
            conn->ranges[kept++] = conn->ranges[i];
    conn->range_count = kept;
}

static void ack_soon(struct reference_conn *conn, bool at_once)
{
    conn->ack_pending++;
    if (at_once || conn->ack_pending >= conn->script.ack_every)
        conn->ack_at_ns = now_of(conn);
    else if (conn->ack_at_ns == 0)
        conn->ack_at_ns = now_of(conn) + conn->script.ack_delay_ns;
}

static void data_in(struct reference_conn *conn, const struct frame_segment *s, uint32_t seq)
{
    uint32_t limit = conn->script.shrink_percent > 0 ? conn->announced : conn->announced_max;
    uint32_t start = seq;
    uint32_t end = seq + s->length;
    if (s->flags & FRAME_FIN && !conn->has_fin) {
        conn->has_fin = true;
        conn->fin_at = end;
    }
    limit = limit > conn->rcv ? limit : conn->rcv;
    end = end < limit ? end : limit;
    bool is_next = start <= conn->rcv && end > conn->rcv;
    if (is_next)
        conn->rcv = end;
    else if (start > conn->rcv && end > start)
        keep_range(conn, start, end);
    bool was_gap = conn->range_count > 0;
    join_ranges(conn);
    if (conn->has_fin && conn->rcv == conn->fin_at) {
        conn->rcv++;
        note(conn, "EOF");
    }
    ack_soon(conn, !is_next || was_gap || fin_is_in(conn));
}

/* ---- segments in ---- */

static bool is_acceptable(const struct reference_conn *conn, uint32_t seq, uint32_t span)
{
    uint32_t limit = conn->announced_max > conn->rcv ? conn->announced_max : conn->rcv;
    bool is_old = (int32_t)(seq + span - conn->rcv) < 0 || (span > 0 && seq + span == conn->rcv);
    return !is_old && (int32_t)(seq - limit) <= 0;
}

static void reset_in(struct reference_conn *conn, uint32_t seq)
{
    if ((int32_t)(seq - conn->rcv) >= 0 && (int32_t)(seq - conn->announced_max) <= 0)
        gone(conn, "reset", true);
    else
        send_ack(conn);
}

/* True: go on with it. */
static bool syn_again_in(struct reference_conn *conn, const struct frame_segment *s, uint32_t seq)
{
    if (conn->state == REFERENCE_SYN_RECEIVED && seq == 0) {
        if (s->flags & FRAME_ACK)
            return true; /* both opened at the same time */
        send_syn(conn);
        return false;
    }
    send_ack(conn);
    return false;
}

static void synchronized_in(struct reference_conn *conn, const struct frame_segment *s)
{
    uint32_t syn = (s->flags & FRAME_SYN) != 0;
    uint32_t seq = s->seq - conn->irs;
    uint32_t span = s->length + ((s->flags & FRAME_FIN) != 0);
    if (s->flags & FRAME_RST) {
        reset_in(conn, seq);
        return;
    }
    if (syn && !syn_again_in(conn, s, seq))
        return;
    seq += syn;
    if (!syn && seq <= conn->peer->sent + 1)
        check_data(conn, s, seq);
    if (!is_acceptable(conn, seq, span)) {
        send_ack(conn);
        return;
    }
    if ((s->flags & FRAME_ACK) == 0)
        return;
    if (s->has_ts && seq <= conn->rcv)
        conn->ts_recent = s->ts_value;
    if (conn->state == REFERENCE_SYN_RECEIVED) {
        if (s->ack - conn->iss < 1 || s->ack - conn->iss > conn->max) {
            reference_refuse(conn->link, s);
            return;
        }
        opened(conn);
    }
    ack_in(conn, s, seq);
    if (span > 0)
        data_in(conn, s, seq);
    else if (syn)
        send_ack(conn);
    over_if_done(conn);
}

void reference_in(struct reference_conn *conn, const struct frame_segment *s)
{
    conn->heard_at_ns = now_of(conn);
    switch (conn->state) {
    case REFERENCE_WAITS:
        wait_in(conn, s);
        return;
    case REFERENCE_SYN_SENT:
        syn_sent_in(conn, s);
        return;
    case REFERENCE_SYN_RECEIVED:
    case REFERENCE_OPEN:
        synchronized_in(conn, s);
        return;
    case REFERENCE_GONE:
        reference_refuse(conn->link, s);
        return;
    }
}

/* ---- sending ---- */

static uint32_t segment_length(struct reference_conn *conn)
{
    uint32_t options = (conn->ts_agreed ? 12 : 0) + (conn->sack_agreed ? 20 : 0) + 8;
    uint32_t most = conn->their_mss > options + 1 ? conn->their_mss - options : 1;
    most = most < conn->script.segment_max ? most : conn->script.segment_max;
    return conn->script.segments_vary ? sim_draw(conn->sim, 1, most) : most;
}

/* One segment from nxt on that the window allows; false: none. */
static bool send_next(struct reference_conn *conn)
{
    uint32_t data_end = (uint32_t)conn->script.to_send + 1;
    if (conn->nxt >= stream_end(conn) || conn->nxt >= conn->edge)
        return false;
    uint32_t length = segment_length(conn);
    uint32_t window_left = conn->edge - conn->nxt;
    uint32_t left = conn->nxt < data_end ? data_end - conn->nxt : 0;
    length = length < left ? length : left;
    length = length < window_left ? length : window_left;
    bool fin = conn->fin_wanted && conn->nxt + length == data_end &&
               (length == 0 || (length < window_left && sim_one_in(conn->sim, 2)));
    emit(conn, (uint8_t)(FRAME_ACK | FRAME_PSH | (fin ? FRAME_FIN : 0)), conn->nxt, length);
    conn->nxt += length + fin;
    return true;
}

static void arm(struct reference_conn *conn)
{
    bool waits = conn->max > conn->una || conn->nxt < stream_end(conn);
    if (!waits) {
        conn->rto_at_ns = 0;
        return;
    }
    uint64_t wait = conn->script.rto_ns << (conn->backoff < 6 ? conn->backoff : 6);
    if (conn->rto_at_ns == 0)
        conn->rto_at_ns = now_of(conn) + (wait < RTO_MAX_NS ? wait : RTO_MAX_NS);
}

static void send_more(struct reference_conn *conn)
{
    uint64_t now = now_of(conn);
    while (conn->nxt - conn->una < conn->script.flight_max && now >= conn->write_at_ns &&
           send_next(conn))
        if (conn->script.write_every_ns > 0)
            conn->write_at_ns = now + conn->script.write_every_ns;
    arm(conn);
}

/* Go back to the first byte not acknowledged; or probe a window that is shut (3.8.6.1). */
static void timed_out(struct reference_conn *conn)
{
    conn->backoff++;
    conn->rto_at_ns = 0;
    if (!is_synchronized(conn) || conn->state == REFERENCE_SYN_RECEIVED) {
        send_syn(conn);
        return;
    }
    conn->nxt = conn->una;
    if (conn->edge > conn->una || conn->una >= stream_end(conn))
        return;
    bool fin = conn->una == conn->script.to_send + 1;
    emit(conn, (uint8_t)(FRAME_ACK | (fin ? FRAME_FIN : 0)), conn->una, fin ? 0 : 1);
}

/* ---- the application ---- */

static void read_some(struct reference_conn *conn)
{
    uint32_t there = payload(conn);
    uint64_t now = now_of(conn);
    if (conn->read == there || now < conn->read_at_ns)
        return;
    uint32_t count = there - conn->read;
    if (conn->script.read_every_ns > 0) {
        count = count < conn->script.read_bytes ? count : conn->script.read_bytes;
        conn->read_at_ns = now + conn->script.read_every_ns;
    }
    conn->read += count;
    uint32_t room = conn->script.buffer - (there - conn->read);
    uint32_t step = conn->script.buffer / 2 < SEGMENT_MAX ? conn->script.buffer / 2 : SEGMENT_MAX;
    bool was_small = conn->announced < conn->rcv + step;
    if (conn->script.updates && was_small && conn->rcv + room >= conn->announced + step)
        ack_soon(conn, true);
}

static void end_if_wanted(struct reference_conn *conn)
{
    const struct reference_script *script = &conn->script;
    bool eof = fin_is_in(conn);
    bool wanted = false;
    if (conn->fin_wanted)
        return;
    switch (script->end) {
    case APP_ENDS_WHEN_DONE:
        wanted = payload(conn) >= script->expects || eof;
        break;
    case APP_ENDS_AFTER_EOF:
        wanted = eof;
        break;
    case APP_ENDS_AFTER_SENDING:
    case APP_ENDS_AT_ONCE:
        wanted = true;
        break;
    case APP_ABORTS:
        if (conn->una - 1 + payload(conn) < script->abort_after && !eof)
            return;
        emit(conn, FRAME_RST | FRAME_ACK, conn->max < conn->edge ? conn->max : conn->una, 0);
        gone(conn, "aborts", false);
        return;
    case APP_ENDINGS:
        break;
    }
    if (!wanted)
        return;
    conn->fin_wanted = true;
    conn->half.closed = true;
    conn->half.closed_at_ns = now_of(conn);
    note(conn, "closes");
}

/* ---- oddities ---- */

static bool happens(struct reference_conn *conn, uint32_t ppm)
{
    return ppm > 0 && !conn->is_calm && sim_draw(conn->sim, 1, 1000000) <= ppm;
}

static void be_odd(struct reference_conn *conn)
{
    uint32_t known = conn->old_count < REFERENCE_OLD ? conn->old_count : REFERENCE_OLD;
    if (known > 0 && happens(conn, conn->script.old_ppm))
        send_made(conn, &conn->old[sim_draw(conn->sim, 0, known - 1)]);
    if (conn->state != REFERENCE_OPEN || !happens(conn, conn->script.idle_ppm))
        return;
    if (sim_one_in(conn->sim, 2))
        send_ack(conn);
    else
        emit(conn, FRAME_ACK, conn->una - 1, sim_draw(conn->sim, 0, 1)); /* 3.8.4 */
}

static void keep_alive(struct reference_conn *conn)
{
    uint64_t now = now_of(conn);
    if (conn->state != REFERENCE_OPEN || conn->half.over || now < conn->heard_at_ns + KEEPALIVE_NS)
        return;
    conn->heard_at_ns = now;
    emit(conn, FRAME_ACK, conn->una - 1, 0);
}

void reference_turn(struct reference_conn *conn)
{
    uint64_t now = now_of(conn);
    if (conn->state == REFERENCE_WAITS || conn->state == REFERENCE_GONE)
        return;
    be_odd(conn);
    if (conn->rto_at_ns != 0 && now >= conn->rto_at_ns)
        timed_out(conn);
    if (conn->state != REFERENCE_OPEN)
        return;
    read_some(conn);
    end_if_wanted(conn);
    if (conn->state == REFERENCE_GONE)
        return;
    send_more(conn);
    if (conn->ack_at_ns != 0 && now >= conn->ack_at_ns)
        send_ack(conn);
    keep_alive(conn);
    over_if_done(conn);
}

uint64_t reference_next_ns(const struct reference_conn *conn)
{
    uint64_t next = CLOCK_NEVER;
    uint64_t now = now_of(conn);
    if (conn->state == REFERENCE_WAITS || conn->state == REFERENCE_GONE)
        return next;
    const uint64_t times[] = {
        conn->rto_at_ns, conn->ack_at_ns, conn->write_at_ns > now ? conn->write_at_ns : 0,
        conn->read < payload(conn) ? conn->read_at_ns : 0,
        conn->half.over || conn->state != REFERENCE_OPEN ? 0 : conn->heard_at_ns + KEEPALIVE_NS};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
        if (times[i] != 0 && times[i] < next)
            next = times[i];
    return next;
}
