/*
 * fuzz_tcp_conn: whole connections in both roles against hand-made segments. An input is two bytes
 * of configuration and a program of records of eight bytes (the last may be short): operation,
 * flow, and six arguments. Segments are made relative to the connection's true numbers, so that
 * they get far. What is checked: tests/support/tcp_model.h, and here that what is read is the
 * peer's pattern, not more than it sent, and no event comes that may not.
 */
#include "dataplane/base/reader.h"
#include "dataplane/base/writer.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/tcp_model.h"

#include <string.h>

#define APPS          24
#define RECORD_BYTES  8
#define RECORDS_MAX   300
#define SEGMENT_BYTES 4096u

enum behaviour {
    READ_ALL = 1 << 0,
    CLOSE_AT_EOF = 1 << 1,
    CLOSE_AT_OPEN = 1 << 2,
    ABORT_AT_OPEN = 1 << 3,
    SEND_AT_OPEN = 1 << 4,
    KEEP_FAILED = 1 << 5, /* let go of what failed only at the end */
    USE_SEGMENTS = 1 << 6,
    ABORT_AT_EOF = 1 << 7,
};

/* The layer above a connection. */
struct app {
    struct tcp_conn *conn; /* NULL: this place is free */
    uint64_t sent;
    uint64_t received;
    uint32_t want; /* bytes to be sent as room comes */
    uint8_t behaviour;
    bool opened;
    bool ended; /* EOF was told */
    bool failed;
};

/* One operation. */
struct record {
    uint8_t operation;
    uint8_t flow;
    uint8_t a[6];
};

static struct tcp_model *model;
static struct app apps[APPS];
static uint8_t behaviour; /* of new connections */
static bool is_listening;

/* ---- the layer above ---- */

static void let_go(struct app *app, bool gracefully)
{
    if (gracefully)
        tcp_close(app->conn);
    else
        tcp_abort(app->conn);
    memset(app, 0, sizeof(*app));
}

static void read_up_to(struct app *app, uint64_t most)
{
    const struct model_flow *flow = tcp_model_flow(app->conn);
    while (most > 0) {
        struct bytes got = bytes_first(tcp_read(app->conn), most);
        if (got.length == 0)
            return;
        for (size_t i = 0; i < got.length; i++)
            check(got.data[i] == tcp_stream_byte(MODEL_SEED, app->received + i));
        app->received += got.length;
        most -= got.length;
        check(flow != NULL && tcp_model_was_sent(flow, app->received));
        tcp_read_done(app->conn, (uint32_t)got.length);
    }
}

static void pattern(uint8_t *out, uint64_t position, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++)
        out[i] = tcp_stream_byte(MODEL_SEED, position + i);
}

static bool send_segment(struct app *app, uint32_t length)
{
    struct segment *segment = segment_take(&model->host.segments);
    if (segment == NULL)
        return false;
    uint32_t offset = (uint32_t)(app->sent % (SEGMENT_BYTES - length + 1));
    pattern(segment->data + offset, app->sent, length);
    segment->length = offset + length;
    bool queued = tcp_send_segment(app->conn, segment, offset, length);
    segment_drop(segment);
    return queued;
}

static bool send_piece(struct app *app, uint32_t length)
{
    uint8_t piece[SEGMENT_BYTES];
    if (app->behaviour & USE_SEGMENTS)
        return send_segment(app, length);
    pattern(piece, app->sent, length);
    return tcp_send_copy(app->conn, bytes_of(piece, length));
}

static void send_wanted(struct app *app)
{
    while (app->want > 0) {
        uint32_t length = RTE_MIN(RTE_MIN(app->want, SEGMENT_BYTES), tcp_send_room(app->conn));
        if (length == 0 || !send_piece(app, length))
            return;
        app->sent += length;
        app->want -= length;
    }
}

/* The rules of enum tcp_event. */
static void check_events(const struct app *app, uint32_t events)
{
    check(events != 0 && !app->failed);
    check(app->opened ? (events & TCP_OPENED) == 0 : (events & (TCP_OPENED | TCP_FAILED)) != 0);
    check(!(app->ended && events & TCP_EOF));
    if (events & TCP_FAILED)
        check(events == TCP_FAILED);
}

static void connection_event(void *context, struct tcp_conn *conn, uint32_t events, uint64_t now)
{
    struct app *app = context;
    check(app->conn == conn);
    check_events(app, events);
    app->opened |= (events & TCP_OPENED) != 0;
    app->ended |= (events & TCP_EOF) != 0;
    app->failed |= (events & TCP_FAILED) != 0;
    if (app->failed) {
        struct tcp_info info;
        tcp_info(conn, now, &info);
        check(info.failure != TCP_FAILURE_NONE && info.failure < TCP_FAILURES);
        if ((app->behaviour & KEEP_FAILED) == 0)
            let_go(app, app->sent % 2 != 0);
        return;
    }
    if (events & TCP_OPENED && app->behaviour & SEND_AT_OPEN)
        app->want += 3000;
    send_wanted(app);
    if (app->behaviour & READ_ALL)
        read_up_to(app, UINT64_MAX);
    bool closes = (events & TCP_OPENED && app->behaviour & CLOSE_AT_OPEN) ||
                  (events & TCP_EOF && app->behaviour & CLOSE_AT_EOF);
    bool aborts = (events & TCP_OPENED && app->behaviour & ABORT_AT_OPEN) ||
                  (events & TCP_EOF && app->behaviour & ABORT_AT_EOF);
    if (aborts || closes)
        let_go(app, !aborts);
}

static const struct tcp_app connection_app = {.event = connection_event};

static struct app *app_new(struct tcp_conn *conn)
{
    for (int i = 0; i < APPS; i++)
        if (apps[i].conn == NULL) {
            apps[i] = (struct app){.conn = conn, .behaviour = behaviour};
            return &apps[i];
        }
    return NULL;
}

static void accept_event(void *context, struct tcp_conn *conn, uint32_t events, uint64_t now)
{
    check(context == &is_listening && events & TCP_OPENED && (events & TCP_FAILED) == 0);
    struct app *app = app_new(conn);
    if (app == NULL) {
        tcp_abort(conn);
        return;
    }
    tcp_set_app(conn, &connection_app, app);
    connection_event(app, conn, events, now);
}

static const struct tcp_app accept_app = {.event = accept_event};

static void listen_all(bool listen)
{
    for (int i = 0; i < MODEL_ACTIVE_FROM; i++) {
        const struct flow_tuple *tuple = &model->flows[i].tuple;
        if (listen)
            (void)tcp_listen(model->host.tcp, &tuple->local, MODEL_PORT, &accept_app,
                             &is_listening);
        else
            tcp_unlisten(model->host.tcp, &tuple->local, MODEL_PORT);
    }
}

/* Who holds the flow's connection; NULL: nobody. */
static struct app *app_of(const struct model_flow *flow)
{
    const struct tcp_conn *conn = tcp_model_conn(flow);
    for (int i = 0; conn != NULL && i < APPS; i++)
        if (apps[i].conn == conn)
            return &apps[i];
    return NULL;
}

/* ---- numbers ---- */

static int32_t delta_of(uint8_t code)
{
    static const int32_t deltas[32] = {
        0,     1,  -1,  2,    100,    -100,    536,    -536,  1460,      -1460, 2920,
        -2920, 10, -10, 4000, -4000,  16384,   -16384, 65535, -65535,    2047,  1 << 20,
        3,     -3, 700, -700, -65536, 1 << 30, 1448,   -1448, INT32_MIN, 255,
    };
    return deltas[code & 31];
}

/* Sequence numbers of the peer's by which something happens. */
static uint32_t seq_of(const struct model_flow *flow, uint8_t code)
{
    const struct tcp_conn *conn = tcp_model_conn(flow);
    uint32_t next = flow->peer_first + flow->whole;
    uint32_t bases[8] = {flow->rcv_nxt, next, flow->rcv_nxt,    flow->rcv_nxt,
                         flow->rcv_nxt, next, flow->peer_first, flow->rcv_nxt};
    if (conn != NULL) {
        bases[2] = conn->rcv_adv;
        bases[3] = conn->last_ack_sent;
        bases[4] = conn->rx.ahead_first != NULL ? tcp_mbuf_seq(conn->rx.ahead_first) : next;
        bases[5] = conn->rx.ahead_last != NULL ? tcp_mbuf_end(conn->rx.ahead_last) : next;
        bases[7] = conn->flags & TCP_CONN_FIN_SEEN ? conn->fin_at : next;
    }
    return bases[code & 7] + (uint32_t)delta_of(code >> 3);
}

/* The record NUMBER of what is in flight, or the last; NULL: none is. */
static const struct tcp_sent *record_at(const struct tcp_conn *conn, uint32_t number)
{
    const struct tcp_sent *sent = tcp_sent_at(conn, conn->sent_first);
    for (; sent != NULL && sent->next != 0 && number > 0; number--)
        sent = tcp_sent_at(conn, sent->next);
    return sent;
}

static uint32_t ack_of(const struct model_flow *flow, uint8_t code)
{
    const struct tcp_conn *conn = tcp_model_conn(flow);
    uint32_t base = flow->snd_nxt;
    if (conn != NULL) {
        const struct tcp_sent *first = tcp_sent_at(conn, conn->sent_first);
        const struct tcp_sent *third = record_at(conn, 3);
        const uint32_t bases[8] = {
            conn->snd_nxt,
            conn->snd_una,
            first != NULL ? tcp_sent_end(first) : conn->snd_nxt,
            third != NULL ? tcp_sent_end(third) : conn->snd_nxt,
            conn->snd_una - conn->snd_wnd_max,
            tcp_send_queue_end(&conn->queue),
            conn->sent_last != 0 ? tcp_sent_at(conn, conn->sent_last)->seq : conn->snd_nxt,
            conn->recover,
        };
        base = bases[code & 7];
    }
    return base + (uint32_t)delta_of(code >> 3);
}

static uint16_t window_of(uint8_t code)
{
    static const uint16_t windows[16] = {65535, 0,    1,   100,  536,  1460,  8192,  16384,
                                         2920,  4000, 217, 1024, 3000, 32768, 60000, 10};
    return code < 240 ? (uint16_t)(code << 8) : windows[code & 15];
}

static uint32_t length_of(uint8_t code)
{
    return code < 128 ? code : RTE_MIN((code - 127u) * 12u, MODEL_PAYLOAD_MAX);
}

/* ---- options ---- */

/* What SYNs offer. */
static void syn_options(uint8_t code, struct tcp_options *options)
{
    static const uint8_t sets[8] = {
        31 & ~TCP_OPTION_SACK,
        0,
        TCP_OPTION_MSS | TCP_OPTION_SACK_PERMITTED,
        TCP_OPTION_MSS | TCP_OPTION_TIMESTAMP,
        TCP_OPTION_MSS | TCP_OPTION_WINDOW_SCALE,
        TCP_OPTION_MSS,
        TCP_OPTION_MSS | TCP_OPTION_WINDOW_SCALE | TCP_OPTION_SACK_PERMITTED,
        TCP_OPTION_TIMESTAMP | TCP_OPTION_SACK_PERMITTED,
    };
    static const uint16_t sizes[4] = {1460, 536, 1, 65535};
    static const uint8_t scales[4] = {0, 7, 14, 255};
    options->present = sets[code & 7];
    options->mss = sizes[code >> 3 & 3];
    options->window_scale = scales[code >> 5 & 3];
}

static void timestamp_option(const struct model_flow *flow, uint8_t code,
                             struct tcp_options *options)
{
    const struct tcp_conn *conn = tcp_model_conn(flow);
    uint32_t clock = tcp_ms(model->now) + 5000;
    bool negotiated = conn != NULL ? (conn->flags & TCP_CONN_TIMESTAMPS) != 0 : flow->timestamps;
    options->ts_value = clock;
    options->ts_echo = flow->ts_seen;
    switch (code & 3) {
    case 0:
        if (!negotiated)
            return;
        break;
    case 1:
        options->present &= (uint8_t)~TCP_OPTION_TIMESTAMP;
        return;
    case 2:
        options->ts_value = (conn != NULL ? conn->ts_recent : clock) - 1;
        options->ts_echo = flow->ts_seen - 100;
        break;
    default:
        options->ts_value = clock + 0x40000000u;
        options->ts_echo = flow->ts_seen + 100000;
        break;
    }
    options->present |= TCP_OPTION_TIMESTAMP;
}

/* One block over records in flight: the nibbles of CODE are the first one and how many more. */
static void sack_block(const struct model_flow *flow, uint8_t code, struct tcp_options *options)
{
    const struct tcp_conn *conn = tcp_model_conn(flow);
    if (conn == NULL || conn->sent_first == 0)
        return;
    const struct tcp_sent *first = record_at(conn, code & 15);
    const struct tcp_sent *last = record_at(conn, (code & 15u) + (code >> 4));
    options->sack[options->sack_count++] = (struct tcp_range){first->seq, tcp_sent_end(last)};
    options->present |= TCP_OPTION_SACK;
}

/* Blocks that no honest peer sends, or D-SACKs. */
static void strange_block(const struct model_flow *flow, uint8_t code, struct tcp_options *options)
{
    const struct tcp_conn *conn = tcp_model_conn(flow);
    if (conn == NULL)
        return;
    const struct tcp_range blocks[4] = {
        {conn->snd_una - 100, conn->snd_una},
        {conn->snd_nxt, conn->snd_nxt + 1000},
        {conn->snd_una + 10, conn->snd_una + 9},
        {conn->snd_una + (uint32_t)delta_of(code >> 2), conn->snd_nxt},
    };
    options->sack[options->sack_count++] = blocks[code & 3];
    options->present |= TCP_OPTION_SACK;
}

static void put_options(struct model_segment *segment, const struct tcp_options *options)
{
    uint8_t raw[128];
    struct writer w = writer_over(raw, sizeof(raw));
    tcp_options_write(&w, options);
    segment->raw_length = (uint32_t)RTE_MIN(writer_length(&w), sizeof(segment->raw));
    memcpy(segment->raw, raw, segment->raw_length); /* what does not fit is cut off */
}

/* ---- operations ---- */

static struct model_segment segment_of(const struct model_flow *flow, uint8_t flags)
{
    return (struct model_segment){
        .flags = flags,
        .seq = flow->rcv_nxt,
        .ack = flags & TCP_ACK ? flow->snd_nxt : 0,
        .window = flow->window,
    };
}

static void send_made(struct model_flow *flow, struct model_segment *segment,
                      struct tcp_options *options, const struct record *record)
{
    if (options->sack_count > 3 || options->present & TCP_OPTION_TIMESTAMP)
        options->sack_count = RTE_MIN(options->sack_count, 3u);
    put_options(segment, options);
    tcp_model_send(flow, segment, (record->flow & 8) != 0);
}

/* Anything: a[0] flags, a[1] seq, a[2] ack, a[3] window, a[4] options, a[5] length. */
static void do_segment(struct model_flow *flow, const struct record *record)
{
    const uint8_t *a = record->a;
    struct model_segment segment = segment_of(flow, a[0] & 0x3f);
    struct tcp_options options = {.present = 0};
    segment.seq = seq_of(flow, a[1]);
    segment.ack = ack_of(flow, a[2]);
    segment.window = window_of(a[3]);
    segment.length = length_of(a[5]);
    flow->window = segment.window;
    if (a[0] & TCP_SYN) {
        syn_options(a[4], &options);
        options.ts_value = tcp_ms(model->now) + 5000;
        options.ts_echo = flow->ts_seen;
    } else {
        timestamp_option(flow, a[4], &options);
        for (int i = a[4] >> 2 & 3; i > 0; i--)
            if (a[4] & 0x40)
                strange_block(flow, (uint8_t)(a[2] + i), &options);
            else
                sack_block(flow, (uint8_t)(a[2] ^ (i * 37)), &options);
    }
    if (a[4] & 0x80 && (a[0] & TCP_SYN) == 0) {
        segment.raw_length = 4; /* malformed */
        memcpy(segment.raw, "\x08\x0a\x00\x00", 4);
        tcp_model_send(flow, &segment, (record->flow & 8) != 0);
        return;
    }
    send_made(flow, &segment, &options, record);
}

static void do_ack(struct model_flow *flow, const struct record *record)
{
    const uint8_t *a = record->a;
    struct model_segment segment = segment_of(flow, TCP_ACK);
    struct tcp_options options = {.present = 0};
    const struct tcp_conn *conn = tcp_model_conn(flow);
    const struct tcp_sent *upto = conn != NULL ? record_at(conn, a[0]) : NULL;
    if (upto != NULL)
        segment.ack = tcp_sent_end(upto);
    if (a[1] & 1)
        flow->window = window_of(a[2]);
    segment.window = flow->window;
    timestamp_option(flow, 0, &options);
    send_made(flow, &segment, &options, record);
}

/* a[0]: how many blocks; a[1] to a[3]: which records; a[4]: a D-SACK or something strange first. */
static void do_sack(struct model_flow *flow, const struct record *record)
{
    const uint8_t *a = record->a;
    struct model_segment segment = segment_of(flow, TCP_ACK);
    struct tcp_options options = {.present = 0};
    const struct tcp_conn *conn = tcp_model_conn(flow);
    if (conn != NULL)
        segment.ack = conn->snd_una;
    timestamp_option(flow, 0, &options);
    if (a[4] & 1)
        strange_block(flow, a[4] >> 1, &options);
    for (int i = 0; i < 1 + a[0] % 3; i++)
        sack_block(flow, a[1 + i], &options);
    send_made(flow, &segment, &options, record);
}

/* a[0]: how many segments, a[1]: bytes left out before each, a[2]: length, a[3]: FIN at the end. */
static void do_data(struct model_flow *flow, const struct record *record)
{
    const uint8_t *a = record->a;
    uint32_t at = a[4] & 1 ? seq_of(flow, a[4]) : flow->rcv_nxt;
    uint32_t count = 1 + a[0] % 8;
    for (uint32_t i = 0; i < count; i++) {
        struct model_segment segment = segment_of(flow, TCP_ACK | TCP_PSH);
        struct tcp_options options = {.present = 0};
        segment.seq = at + length_of(a[1]);
        segment.length = length_of(a[2]);
        if (i + 1 == count && a[3] & 1)
            segment.flags |= TCP_FIN;
        at = segment.seq + segment.length;
        timestamp_option(flow, 0, &options);
        send_made(flow, &segment, &options, record);
    }
}

static void connect_flow(struct model_flow *flow)
{
    struct tcp_conn *conn = tcp_model_conn(flow);
    struct app *app = app_new(NULL);
    if (conn != NULL || app == NULL)
        return;
    conn = tcp_connect(model->host.tcp, &flow->tuple.remote, flow->tuple.remote_port,
                       &connection_app, app, model->now);
    if (conn == NULL)
        return;
    app->conn = conn;
    tcp_model_opened(flow, conn);
}

static void send_syn(struct model_flow *flow, uint8_t flags, uint8_t code,
                     const struct record *record)
{
    struct model_segment segment = segment_of(flow, flags);
    struct tcp_options options = {.present = 0};
    segment.seq += record->a[1];
    syn_options(code, &options);
    options.ts_value = tcp_ms(model->now) + 5000;
    options.ts_echo = flow->ts_seen;
    send_made(flow, &segment, &options, record);
}

/* A whole handshake. a[0]: options. */
static void do_open(struct model_flow *flow, const struct record *record)
{
    bool active = flow >= &model->flows[MODEL_ACTIVE_FROM];
    if (active)
        connect_flow(flow);
    if (active)
        tcp_model_turn();
    flow->window = 65535;
    send_syn(flow, active ? TCP_SYN | TCP_ACK : TCP_SYN, record->a[0], record);
    tcp_model_turn();
    if (active)
        return;
    struct model_segment segment = segment_of(flow, TCP_ACK);
    struct tcp_options options = {.present = 0};
    timestamp_option(flow, 0, &options);
    send_made(flow, &segment, &options, record);
}

static void do_connect(struct model_flow *flow, const struct record *record)
{
    if (flow >= &model->flows[MODEL_ACTIVE_FROM])
        connect_flow(flow);
}

static void do_app_send(struct model_flow *flow, const struct record *record)
{
    struct app *app = app_of(flow);
    if (app == NULL || app->failed)
        return;
    app->want += RTE_MIN(length_of(record->a[0]) * (1u + record->a[1]), 1u << 17);
    if (app->opened || record->a[2] & 1)
        send_wanted(app);
}

static void do_app_read(struct model_flow *flow, const struct record *record)
{
    struct app *app = app_of(flow);
    if (app != NULL && app->opened && !app->failed)
        read_up_to(app, length_of(record->a[0]));
}

static void do_app_close(struct model_flow *flow, const struct record *record)
{
    struct app *app = app_of(flow);
    if (app != NULL)
        let_go(app, record->a[0] % 4 != 3);
}

static void do_behave(struct model_flow *flow, const struct record *record)
{
    struct app *app = app_of(flow);
    behaviour = record->a[0];
    if (app != NULL)
        app->behaviour = behaviour;
}

static void do_time(struct model_flow *flow, const struct record *record)
{
    static const uint64_t units[4] = {10 * CLOCK_US, CLOCK_MS, 25 * CLOCK_MS, 300 * CLOCK_MS};
    uint64_t for_ns = units[record->a[0] & 3] * (1u + record->a[1]);
    if (for_ns < CLOCK_MS)
        model->now += for_ns;
    else
        tcp_model_run_for(for_ns);
}

/* a[0]: the kind, a[1] and a[2]: the MTU or other rest, a[3]: which segment. */
static void do_icmp(struct model_flow *flow, const struct record *record)
{
    static const uint8_t kinds[2][8][2] = {
        {{3, 4}, {3, 1}, {3, 3}, {3, 2}, {11, 0}, {12, 0}, {3, 13}, {3, 4}},
        {{2, 0}, {1, 0}, {1, 4}, {1, 3}, {3, 0}, {4, 1}, {1, 1}, {2, 0}},
    };
    const uint8_t *kind = kinds[!ip_address_is_v4(&flow->tuple.remote)][record->a[0] & 7];
    uint32_t rest = (uint32_t)(record->a[1] << 8 | record->a[2]) & 0xfff;
    tcp_model_icmp(flow, kind[0], kind[1], rest, ack_of(flow, record->a[3]));
}

static void do_starve(struct model_flow *flow, const struct record *record)
{
    tcp_model_starve(record->a[0] & 1 ? UINT32_MAX : record->a[1] % 8u);
}

static void do_neighbour(struct model_flow *flow, const struct record *record)
{
    model->silent = (record->a[0] & 1) != 0;
}

static void do_listen(struct model_flow *flow, const struct record *record)
{
    listen_all((record->a[0] & 1) != 0);
}

typedef void operation(struct model_flow *flow, const struct record *record);

/* Corpora know these by number. */
static operation *const operations[16] = {
    do_segment, do_open, do_data, do_ack,    do_sack,   do_app_send,  do_app_read, do_app_close,
    do_connect, do_time, do_icmp, do_behave, do_starve, do_neighbour, do_listen,   do_data,
};

static void run_record(const struct record *record)
{
    struct model_flow *flow = &model->flows[(record->flow & 7) % MODEL_FLOWS];
    bool without_turn = (record->flow & 0x18) != 0;
    operations[record->operation % array_count(operations)](flow, record);
    if (!without_turn)
        tcp_model_turn();
}

static void configure(uint8_t sizes, uint8_t more)
{
    static const uint32_t windows[4] = {65535, 4096, 262144, 16384};
    static const uint32_t queues[4] = {65536, 4096, 131072, 16384};
    struct tcp_config *config = &model->host.config;
    config->receive_window_bytes = windows[sizes & 3];
    config->send_queue_bytes = queues[sizes >> 2 & 3];
    config->reassembly_max = sizes & 0x10 ? 16 : 160;
    config->connections_max = sizes & 0x20 ? 2 : 8;
    config->spans_max = sizes & 0x40 ? 6 : 64;
    config->blocks_max = sizes & 0x40 ? 4 : 48;
    config->time_wait_max = sizes & 0x80 ? 1 : 8;
    config->keepalive_idle_ns = more & 1 ? 5 * CLOCK_S : 0;
    config->user_timeout_ns = more & 2 ? 2 * CLOCK_S : 20 * CLOCK_S;
    config->connect_timeout_ns = more & 4 ? 700 * CLOCK_MS : 5 * CLOCK_S;
    config->time_wait_ns = more & 8 ? CLOCK_S : 5 * CLOCK_S;
}

/* After tcp_model_open(). */
static void configure_cookies(uint8_t more)
{
    struct tcp_cookie_settings settings = {
        .mode = more & 16 ? TCP_COOKIES_ALWAYS : TCP_COOKIES_AUTO,
        .backlog = 1,
        .secrets = {{1, 2}},
        .shared = (more & 64) != 0,
    };
    if (more & (16 | 32))
        tcp_set_cookies(model->host.tcp, &settings);
}

static void let_all_go(void)
{
    for (int i = 0; i < APPS; i++)
        if (apps[i].conn != NULL)
            let_go(&apps[i], false);
    listen_all(false);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    tcp_model_init();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader reader = reader_over(bytes_of(data, size));
    memset(apps, 0, sizeof(apps));
    behaviour = READ_ALL;
    model = tcp_model_prepare();
    uint8_t sizes = reader_u8(&reader);
    uint8_t more = reader_u8(&reader);
    configure(sizes, more);
    tcp_model_open();
    configure_cookies(more);
    listen_all(true);
    for (int i = 0; i < RECORDS_MAX && reader_left(&reader) > 0; i++) {
        uint8_t raw[RECORD_BYTES] = {0};
        size_t length = RTE_MIN(reader_left(&reader), sizeof(raw));
        memcpy(raw, reader_bytes(&reader, length).data, length);
        struct record record = {raw[0], raw[1], {raw[2], raw[3], raw[4], raw[5], raw[6], raw[7]}};
        run_record(&record);
    }
    tcp_model_turn();
    let_all_go();
    tcp_model_close();
    return 0;
}
