/* timeline_run: what the lines of a script do. */
#include "dataplane/base/clock.h"
#include "dataplane/base/writer.h"
#include "tests/support/cmocka.h"
#include "tests/support/tcp_checks.h"
#include "tests/timelines/timeline.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES   512
#define EARLY_NS     CLOCK_MS       /* deadlines are kept in truncated milliseconds */
#define LATE_NS      (2 * CLOCK_MS) /* and the wheel has ticks */
#define PEER_WINDOW  65535
#define PIECE_BYTES  4096u
#define ALL_FAMILIES 3u

void timeline_fail(const struct timeline *t, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    print_error("%s:%d (%s, %.3f ms): %s\n", t->file, t->line, t->script.v6 ? "IPv6" : "IPv4",
                (double)t->script.now / (double)CLOCK_MS, message);
    fail();
    abort();
}

/* ---- the layer above ---- */

static struct timeline_app *app_of(struct timeline *t)
{
    if (t->app_count == 0)
        timeline_fail(t, "there is no connection yet");
    return &t->apps[t->app_count - 1];
}

static struct timeline_app *app_that_lives(struct timeline *t)
{
    struct timeline_app *app = app_of(t);
    if (app->conn == NULL)
        timeline_fail(t, "the connection was let go already");
    return app;
}

/* False: a byte is not the pattern's. */
static bool read_some(struct timeline_app *app, uint64_t most)
{
    bool good = true;
    while (most > 0) {
        struct bytes got = bytes_first(tcp_read(app->conn), most);
        if (got.length == 0)
            break;
        for (size_t i = 0; i < got.length; i++)
            good &= got.data[i] == tcp_stream_byte(TIMELINE_SEED, app->received + i);
        app->received += got.length;
        most -= got.length;
        tcp_read_done(app->conn, (uint32_t)got.length);
    }
    return good;
}

static void send_some(struct timeline_app *app)
{
    uint8_t piece[PIECE_BYTES];
    while (app->to_send > 0) {
        uint32_t room = tcp_send_room(app->conn);
        uint64_t length = RTE_MIN(RTE_MIN(app->to_send, (uint64_t)room), sizeof(piece));
        for (uint64_t i = 0; i < length; i++)
            piece[i] = tcp_stream_byte(TIMELINE_SEED, app->queued + i);
        if (length == 0 || !tcp_send_copy(app->conn, bytes_of(piece, length)))
            return;
        app->queued += length;
        app->to_send -= length;
    }
}

static void app_event(void *context, struct tcp_conn *conn, uint32_t events, uint64_t now)
{
    struct timeline_app *app = context;
    app->events |= events;
    if (events & TCP_FAILED) {
        struct tcp_info info;
        tcp_info(conn, now, &info);
        app->failure = info.failure;
        return;
    }
    if (app->reads && !read_some(app, UINT64_MAX))
        fail_msg("received bytes are not the pattern");
    send_some(app);
}

static const struct tcp_app app_calls = {.event = app_event};

static struct timeline_app *app_new(struct timeline *t)
{
    if (t->app_count == TIMELINE_APPS)
        timeline_fail(t, "too many connections");
    struct timeline_app *app = &t->apps[t->app_count++];
    *app = (struct timeline_app){.reads = true};
    return app;
}

static void accept_event(void *context, struct tcp_conn *conn, uint32_t events, uint64_t now)
{
    struct timeline_app *app = app_new(context);
    app->conn = conn;
    tcp_set_app(conn, &app_calls, app);
    app_event(app, conn, events, now);
}

static const struct tcp_app accept_calls = {.event = accept_event};

/* ---- the stack ---- */

static void listen_all(struct timeline *t, bool listen)
{
    static const char *const addresses[] = {"10.0.0.1", "fd00::1"};
    t->is_listening = listen;
    for (size_t i = 0; i < array_count(addresses); i++) {
        struct ip_address address;
        assert_true(ip_address_parse(addresses[i], &address));
        tcp_unlisten(t->script.host.tcp, &address, SCRIPT_PORT);
        if (listen)
            assert_true(tcp_listen(t->script.host.tcp, &address, SCRIPT_PORT, &accept_calls, t));
    }
}

/* For every SYN, or above a backlog of half-open connections. */
static void set_cookies(const struct timeline *t)
{
    struct tcp_cookie_settings settings = {
        .mode = t->cookie_backlog == 0 ? TCP_COOKIES_ALWAYS : TCP_COOKIES_AUTO,
        .backlog = t->cookie_backlog == 0 ? 1 : t->cookie_backlog,
        .secrets = {{1, 2}},
    };
    if (t->has_cookies)
        tcp_set_cookies(t->script.host.tcp, &settings);
}

static void open_stack(struct timeline *t)
{
    if (t->is_open)
        return;
    struct tcp_script *script = &t->script;
    t->is_open = true;
    script->host.config.ecn = t->ecn != 0;
    script_open(script);
    set_cookies(t);
    listen_all(t, true);
    assert_true(ip_address_parse(script->v6 ? "fd00::2" : "10.0.0.2", &script->tuple.local));
    assert_true(ip_address_parse(script->v6 ? "fd00::1" : "10.0.0.1", &script->tuple.remote));
    script->tuple.local_port = SCRIPT_PEER_PORT;
    script->tuple.remote_port = SCRIPT_PORT;
    script->ack = 0;
    t->peer_iss = script->seq;
    t->mark = script->now;
}

static void prepare(struct timeline *t, const char *file, bool v6)
{
    memset(t, 0, sizeof(*t));
    script_prepare(&t->script);
    t->file = file;
    t->script.v6 = v6;
    t->peer_window = PEER_WINDOW;
    t->script.host.config.receive_window_bytes = 65535;
}

/* The connection of the present tuple; NULL: none, or TIME_WAIT (*IS_TIME_WAIT). */
static struct tcp_conn *find(const struct timeline *t, bool *is_time_wait)
{
    struct tcp *tcp = t->script.host.tcp;
    struct flow_tuple tuple = {
        .local = t->script.tuple.remote,
        .remote = t->script.tuple.local,
        .local_port = t->script.tuple.remote_port,
        .remote_port = t->script.tuple.local_port,
    };
    tcp_reference ref = tcp_table_find(&tcp->table, tcp_table_hash(&tcp->table, &tuple), &tuple);
    *is_time_wait = ref != TCP_REFERENCE_NONE && tcp_reference_is_time_wait(ref);
    if (ref == TCP_REFERENCE_NONE || *is_time_wait)
        return NULL;
    return pool_at(&tcp->conns, tcp_reference_index(ref));
}

static void finish(struct timeline *t)
{
    struct script_segment rest;
    char text[256];
    open_stack(t);
    if (script_take(&t->script, &rest)) {
        timeline_describe(t, &rest, text, sizeof(text));
        timeline_fail(t, "at the end of the script there still came: %s", text);
    }
    for (uint32_t i = 0; i < t->app_count; i++)
        if (t->apps[i].conn != NULL)
            tcp_abort(t->apps[i].conn);
    listen_all(t, false);
    script_close(&t->script);
}

/* ---- segments ---- */

static void do_inject(struct timeline *t, struct timeline_line *line)
{
    struct timeline_segment wanted;
    timeline_segment_read(t, line, true, &wanted);
    struct script_segment segment = script_make(&t->script, wanted.flags);
    if (!wanted.has_seq)
        timeline_fail(t, "seq is missing");
    segment.seq = wanted.seq;
    segment.ack = !wanted.has_ack && wanted.flags & TCP_ACK ? t->script.ack : wanted.ack;
    segment.window = wanted.has_window ? wanted.window : t->peer_window;
    struct tcp_options *options = &segment.options;
    segment.traffic_class = wanted.congestion ? 3 : 0;
    bool syn = (wanted.flags & TCP_SYN) != 0;
    if (syn || wanted.no_timestamp)
        options->present = 0;
    uint32_t echo = options->ts_echo;
    uint32_t value = options->ts_value;
    uint8_t present = options->present | wanted.options.present;
    *options = wanted.options;
    options->present = present;
    options->ts_value = wanted.has_timestamp ? wanted.options.ts_value : value;
    options->ts_echo = wanted.has_echo ? wanted.options.ts_echo : echo;
    if (syn)
        t->script.timestamps = (present & TCP_OPTION_TIMESTAMP) != 0;
    script_fill(&segment, (uint64_t)(segment.seq + syn - t->peer_iss) - 1, wanted.length);
    script_send(&t->script, &segment);
    t->mark = t->script.now;
}

/* A segment of ours, at UNTIL at the latest. */
static bool take(struct timeline *t, struct script_segment *out, uint64_t until)
{
    while (!script_take(&t->script, out)) {
        if (t->script.now >= until)
            return false;
        script_run_for(&t->script, RTE_MIN(CLOCK_MS, until - t->script.now));
    }
    tcp_check_all(t->script.host.tcp);
    return true;
}

static void check_flags(const struct timeline *t, const struct timeline_segment *wanted,
                        const struct script_segment *got, const char *text)
{
    uint8_t relevant = wanted->push ? 0xff : (uint8_t)~TCP_PSH;
    if (wanted->flags != (got->flags & relevant))
        timeline_fail(t, "other flags came: %s", text);
}

static void check_numbers(const struct timeline *t, const struct timeline_segment *wanted,
                          const struct script_segment *got, const char *text)
{
    if (wanted->has_seq && wanted->seq != got->seq)
        timeline_fail(t, "another sequence number came: %s", text);
    if (wanted->has_ack && wanted->ack != got->ack)
        timeline_fail(t, "another acknowledgement came: %s", text);
    if (wanted->has_window && wanted->window != got->window)
        timeline_fail(t, "another window came: %s", text);
    if (wanted->length != got->length)
        timeline_fail(t, "another length came: %s", text);
    for (uint32_t i = 0; i < got->length; i++)
        if (got->payload[i] != tcp_stream_byte(TIMELINE_SEED, got->seq - t->host_iss - 1 + i))
            timeline_fail(t, "payload is not the pattern: %s", text);
}

static void check_options(const struct timeline *t, const struct timeline_segment *wanted,
                          const struct script_segment *got, const char *text)
{
    const struct tcp_options *a = &wanted->options;
    const struct tcp_options *b = &got->options;
    bool has_timestamp = (b->present & TCP_OPTION_TIMESTAMP) != 0;
    bool same = !(wanted->has_mss && (!(b->present & TCP_OPTION_MSS) || a->mss != b->mss)) &&
                !(wanted->has_scale && (!(b->present & TCP_OPTION_WINDOW_SCALE) ||
                                        a->window_scale != b->window_scale)) &&
                !(wanted->has_sack_permitted && !(b->present & TCP_OPTION_SACK_PERMITTED)) &&
                !(wanted->has_echo && (!has_timestamp || a->ts_echo != b->ts_echo)) &&
                !(wanted->no_timestamp && has_timestamp) &&
                !(wanted->no_sack && b->present & TCP_OPTION_SACK);
    if (a->present & TCP_OPTION_SACK)
        same &= b->present & TCP_OPTION_SACK && a->sack_count == b->sack_count &&
                memcmp(a->sack, b->sack, a->sack_count * sizeof(a->sack[0])) == 0;
    if (!same)
        timeline_fail(t, "other options came: %s", text);
}

/* The first SYN of ours says what our numbers count from. */
static void learn_iss(struct timeline *t, const struct script_segment *got)
{
    if (!t->has_host_iss && got->flags & TCP_SYN) {
        t->host_iss = got->seq;
        t->has_host_iss = true;
    }
}

static void do_expect(struct timeline *t, struct timeline_line *line)
{
    struct timeline_segment wanted;
    struct script_segment got;
    char text[256];
    struct timeline_line again = *line;
    timeline_segment_read(t, line, false, &wanted);
    uint64_t latest = wanted.after_ns > 0 ? wanted.after_ns + LATE_NS : wanted.within_ns;
    if (!take(t, &got, t->mark + latest))
        timeline_fail(t, "no segment came");
    learn_iss(t, &got);
    timeline_segment_read(t, &again, false, &wanted); /* numbers are known only now */
    timeline_describe(t, &got, text, sizeof(text));
    check_flags(t, &wanted, &got, text);
    check_numbers(t, &wanted, &got, text);
    check_options(t, &wanted, &got, text);
    if (t->script.now - t->mark + EARLY_NS < wanted.after_ns)
        timeline_fail(t, "it came after %.3f ms already: %s",
                      (double)(t->script.now - t->mark) / (double)CLOCK_MS, text);
    if (got.flags & TCP_SYN && got.flags & TCP_ACK)
        t->script.timestamps = (got.options.present & TCP_OPTION_TIMESTAMP) != 0;
    t->mark = t->script.now;
}

/* flight SEQ LENGTH: new segments, one behind the other. */
static void do_flight(struct timeline *t, struct timeline_line *line)
{
    uint32_t at = t->host_iss + timeline_number(t, line);
    uint32_t end = at + timeline_number(t, line);
    while (at != end) {
        struct script_segment got;
        char text[256];
        if (!take(t, &got, t->script.now))
            timeline_fail(t, "the flight ends at %u", at - t->host_iss);
        timeline_describe(t, &got, text, sizeof(text));
        if (got.seq != at || got.length == 0 || seq_gt(at + got.length, end))
            timeline_fail(t, "not the flight's next segment came: %s", text);
        at += got.length;
    }
    t->mark = t->script.now;
}

static void do_nothing(struct timeline *t, struct timeline_line *line)
{
    struct script_segment got;
    char text[256];
    uint64_t for_ns = timeline_accept(line, "for") ? timeline_duration(t, line) : 0;
    if (take(t, &got, t->script.now + for_ns)) {
        timeline_describe(t, &got, text, sizeof(text));
        timeline_fail(t, "nothing should come: %s", text);
    }
    t->mark = t->script.now;
}

static void do_ignore(struct timeline *t, struct timeline_line *line)
{
    struct script_segment got;
    while (script_take(&t->script, &got))
        ;
    t->mark = t->script.now;
}

static void do_wait(struct timeline *t, struct timeline_line *line)
{
    script_run_for(&t->script, timeline_duration(t, line));
    t->mark = t->script.now;
}

/* ---- calls of the layer above ---- */

static void do_connect(struct timeline *t, struct timeline_line *line)
{
    struct timeline_app *app = app_new(t);
    app->conn = tcp_connect(t->script.host.tcp, &t->script.tuple.local, SCRIPT_PEER_PORT,
                            &app_calls, app, t->script.now);
    if (app->conn == NULL)
        timeline_fail(t, "no connection can be opened");
    t->mark = t->script.now;
}

static void do_listen(struct timeline *t, struct timeline_line *line)
{
    listen_all(t, true);
}

static void do_unlisten(struct timeline *t, struct timeline_line *line)
{
    listen_all(t, false);
}

static void do_send(struct timeline *t, struct timeline_line *line)
{
    struct timeline_app *app = app_that_lives(t);
    app->to_send += timeline_number(t, line);
    send_some(app);
    t->mark = t->script.now;
}

static void do_read(struct timeline *t, struct timeline_line *line)
{
    struct timeline_app *app = app_that_lives(t);
    uint64_t before = app->received;
    uint32_t count = timeline_number(t, line);
    if (!read_some(app, count) || app->received != before + count)
        timeline_fail(t, "only %u bytes, or wrong ones, could be read",
                      (uint32_t)(app->received - before));
    t->mark = t->script.now;
}

static void do_reading(struct timeline *t, struct timeline_line *line)
{
    struct timeline_app *app = app_that_lives(t);
    const char *word = timeline_need(t, line);
    app->reads = strcmp(word, "on") == 0;
    if (app->reads)
        (void)read_some(app, UINT64_MAX);
}

static void do_close(struct timeline *t, struct timeline_line *line)
{
    struct timeline_app *app = app_that_lives(t);
    tcp_close(app->conn);
    app->conn = NULL;
    t->mark = t->script.now;
}

static void do_abort(struct timeline *t, struct timeline_line *line)
{
    struct timeline_app *app = app_that_lives(t);
    tcp_abort(app->conn);
    app->conn = NULL;
    t->mark = t->script.now;
}

/* ---- the peer and the network ---- */

static void do_peer(struct timeline *t, struct timeline_line *line)
{
    const char *what = timeline_need(t, line);
    uint32_t value = timeline_number(t, line);
    if (strcmp(what, "window") == 0) {
        t->peer_window = (uint16_t)value;
    } else if (strcmp(what, "clock") == 0) {
        t->script.ts_value = value;
    } else if (strcmp(what, "port") == 0) {
        t->script.tuple.local_port = (uint16_t)value;
        t->script.tuple.remote_port = SCRIPT_PORT;
        t->has_host_iss = false;
        t->host_iss = 0;
        t->script.ack = 0;
        t->script.timestamps = false;
    } else {
        timeline_fail(t, "peer: port, window or clock");
    }
}

/* Another connection on the same tuple begins: our numbers are counted from its SYN. */
static void do_again(struct timeline *t, struct timeline_line *line)
{
    t->has_host_iss = false;
    t->host_iss = 0;
    t->script.timestamps = false;
}

struct icmp_kind {
    const char *name;
    uint8_t v4[2];
    uint8_t v6[2];
};

static const struct icmp_kind icmp_kinds[] = {
    {"too_big", {3, 4}, {2, 0}},           {"net_unreachable", {3, 0}, {1, 0}},
    {"host_unreachable", {3, 1}, {1, 3}},  {"port_unreachable", {3, 3}, {1, 4}},
    {"admin_prohibited", {3, 13}, {1, 1}}, {"time_exceeded", {11, 0}, {3, 0}},
};

static const struct icmp_kind *icmp_kind(const struct timeline *t, const char *name)
{
    for (size_t i = 0; i < array_count(icmp_kinds); i++)
        if (strcmp(icmp_kinds[i].name, name) == 0)
            return &icmp_kinds[i];
    timeline_fail(t, "'%s' is not an ICMP error", name);
}

/* As an mbuf that net hands over: Ethernet, IP, the message about a segment of ours. */
static void icmp_deliver(struct timeline *t, const struct icmp_kind *kind, uint32_t rest,
                         uint32_t seq)
{
    uint8_t bytes[256] = {0};
    bool v6 = t->script.v6;
    uint16_t header = v6 ? 40 : 20;
    struct writer w = writer_over(bytes, sizeof(bytes));
    (void)writer_take(&w, 14u + header); /* of the outer ones only the version is looked at */
    bytes[14] = v6 ? 0x60 : 0x45;
    writer_bytes(&w, bytes_of(v6 ? kind->v6 : kind->v4, 2));
    writer_u16(&w, 0);
    writer_u32(&w, rest);
    uint8_t *inner = writer_take(&w, header);
    inner[0] = v6 ? 0x60 : 0x45;
    inner[v6 ? 6 : 9] = IPPROTO_TCP;
    const uint8_t *ours = t->script.tuple.remote.bytes + (v6 ? 0 : 12);
    const uint8_t *theirs = t->script.tuple.local.bytes + (v6 ? 0 : 12);
    memcpy(inner + (v6 ? 8 : 12), ours, v6 ? 16 : 4);
    memcpy(inner + (v6 ? 24 : 16), theirs, v6 ? 16 : 4);
    writer_u16(&w, t->script.tuple.remote_port);
    writer_u16(&w, t->script.tuple.local_port);
    writer_u32(&w, seq);
    struct rte_mbuf *packet = rte_pktmbuf_alloc(t->script.host.base.port->mempool);
    assert_non_null(packet);
    uint16_t length = (uint16_t)writer_length(&w);
    memcpy(rte_pktmbuf_append(packet, length), bytes, length);
    packet->l2_len = 14;
    packet->l3_len = header;
    packet->packet_type = RTE_PTYPE_L4_ICMP;
    tcp_in(t->script.host.tcp, &packet, 1, t->script.now);
}

/* icmp KIND [mtu N] [seq N] */
static void do_icmp(struct timeline *t, struct timeline_line *line)
{
    const struct icmp_kind *kind = icmp_kind(t, timeline_need(t, line));
    uint32_t mtu = timeline_accept(line, "mtu") ? timeline_number(t, line) : 0;
    if (!timeline_accept(line, "seq"))
        timeline_fail(t, "seq is missing");
    icmp_deliver(t, kind, mtu, t->host_iss + timeline_number(t, line));
    t->mark = t->script.now;
}

/* ---- what has to be ---- */

static const char *state_of(const struct timeline *t)
{
    bool is_time_wait;
    const struct tcp_conn *conn = find(t, &is_time_wait);
    if (is_time_wait)
        return "TIME_WAIT";
    if (conn != NULL)
        return tcp_state_name(conn->state);
    return t->is_listening ? "LISTEN" : "CLOSED";
}

/* A connection that is gone leaves its tuple to the listener: CLOSED is true then, too. */
static void do_state(struct timeline *t, struct timeline_line *line)
{
    const char *wanted = timeline_need(t, line);
    script_step(&t->script);
    const char *state = state_of(t);
    if (strcmp(wanted, "CLOSED") == 0 && strcmp(state, "LISTEN") == 0)
        return;
    if (strcmp(wanted, state) != 0)
        timeline_fail(t, "the state is %s", state);
}

static void events_text(const struct timeline_app *app, char *out, size_t room)
{
    static const char *const failures[TCP_FAILURES] = {"", "refused", "reset", "timeout",
                                                       "unreachable"};
    bool failed = (app->events & TCP_FAILED) != 0;
    (void)snprintf(out, room, "%s%s%s%s%s%s", app->events & TCP_OPENED ? "opened " : "",
                   app->events & TCP_READABLE ? "readable " : "",
                   app->events & TCP_WRITABLE ? "writable " : "",
                   app->events & TCP_EOF ? "eof " : "", failed ? "failed " : "",
                   failed ? failures[app->failure] : "");
}

/* event opened eof, event failed reset, event none: all that were told since the last time. */
static void do_event(struct timeline *t, struct timeline_line *line)
{
    char told[128] = "";
    script_step(&t->script);
    if (t->app_count > 0) {
        events_text(app_of(t), told, sizeof(told));
        app_of(t)->events = 0;
    }
    char *rest = NULL;
    bool same = true;
    bool none = timeline_accept(line, "none");
    char copy[128];
    memcpy(copy, told, sizeof(copy));
    for (char *word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        same &= !none && timeline_accept(line, word);
    if (!same || line->at != line->count)
        timeline_fail(t, "the events are: %s", told[0] == '\0' ? "none" : told);
}

static void do_received(struct timeline *t, struct timeline_line *line)
{
    uint32_t wanted = timeline_number(t, line);
    script_step(&t->script);
    if (app_of(t)->received != wanted)
        timeline_fail(t, "%u bytes were received", (uint32_t)app_of(t)->received);
}

#define COUNTER(name, unit, help) {#name, offsetof(struct tcp_counters, name)},
static const struct counter_name {
    const char *name;
    size_t offset;
} counter_names[] = {
#include "dataplane/tcp/tcp_counters.def"
};
#undef COUNTER

static uint64_t counter_of(const struct timeline *t, const char *name)
{
    const char *counters = (const char *)tcp_counters(t->script.host.tcp);
    for (size_t i = 0; i < array_count(counter_names); i++)
        if (strcmp(counter_names[i].name, name) == 0)
            return *(const uint64_t *)(const void *)(counters + counter_names[i].offset);
    timeline_fail(t, "there is no counter '%s'", name);
}

/* counter NAME N */
static void do_counter(struct timeline *t, struct timeline_line *line)
{
    const char *name = timeline_need(t, line);
    uint32_t wanted = timeline_number(t, line);
    script_step(&t->script);
    uint64_t value = counter_of(t, name);
    if (value != wanted)
        timeline_fail(t, "%s is %u", name, (uint32_t)value);
}

static uint32_t conn_value(const struct timeline *t, const char *name)
{
    bool is_time_wait;
    const struct tcp_conn *conn = find(t, &is_time_wait);
    if (conn == NULL)
        timeline_fail(t, "there is no connection");
    const struct {
        const char *name;
        uint32_t value;
    } values[] = {
        {"cwnd", conn->cwnd},
        {"ssthresh", conn->ssthresh},
        {"mss", conn->mss},
        {"snd_wnd", conn->snd_wnd},
        {"snd_una", conn->snd_una - t->host_iss},
        {"snd_nxt", conn->snd_nxt - t->host_iss},
        {"rcv_nxt", conn->rcv_nxt - t->peer_iss},
        {"rcv_edge", conn->rcv_adv - t->peer_iss},
        {"rto_ms", (uint32_t)(tcp_rto_ns(conn) / CLOCK_MS)},
        {"backoff", conn->backoff},
        {"recovery", conn->recovery},
        {"lost", conn->lost_bytes},
        {"sacked", conn->sacked_bytes},
    };
    for (size_t i = 0; i < array_count(values); i++)
        if (strcmp(values[i].name, name) == 0)
            return values[i].value;
    timeline_fail(t, "a connection has no '%s'", name);
}

/* conn NAME N, conn NAME >= N, conn NAME <= N */
static void do_conn(struct timeline *t, struct timeline_line *line)
{
    const char *name = timeline_need(t, line);
    bool least = timeline_accept(line, ">=");
    bool most = !least && timeline_accept(line, "<=");
    uint32_t wanted = timeline_number(t, line);
    script_step(&t->script);
    uint32_t value = conn_value(t, name);
    bool good = least ? value >= wanted : most ? value <= wanted : value == wanted;
    if (!good)
        timeline_fail(t, "%s is %u", name, value);
}

/* ---- the head of a script ---- */

static void do_over(struct timeline *t, struct timeline_line *line)
{
    const char *family = timeline_need(t, line);
    if (strcmp(family, "v4") != 0 && strcmp(family, "v6") != 0 && strcmp(family, "both") != 0)
        timeline_fail(t, "over: v4, v6 or both");
}

/* set NAME VALUE: before anything happens. */
static void do_set(struct timeline *t, struct timeline_line *line)
{
    struct tcp_config *c = &t->script.host.config;
    struct {
        const char *name;
        uint32_t *number;
        uint64_t *duration;
    } settings[] = {
        {"receive_window", &c->receive_window_bytes, NULL},
        {"send_queue", &c->send_queue_bytes, NULL},
        {"connections", &c->connections_max, NULL},
        {"time_waits", &c->time_wait_max, NULL},
        {"reassembly", &c->reassembly_max, NULL},
        {"keepalive", NULL, &c->keepalive_idle_ns},
        {"user_timeout", NULL, &c->user_timeout_ns},
        {"connect_timeout", NULL, &c->connect_timeout_ns},
        {"time_wait", NULL, &c->time_wait_ns},
        {"cookies", &t->cookie_backlog, NULL},
        {"ecn", &t->ecn, NULL},
    };
    const char *name = timeline_need(t, line);
    if (t->is_open)
        timeline_fail(t, "the stack runs already");
    for (size_t i = 0; i < array_count(settings); i++) {
        if (strcmp(settings[i].name, name) != 0)
            continue;
        t->has_cookies |= settings[i].number == &t->cookie_backlog;
        if (settings[i].number != NULL)
            *settings[i].number = timeline_number(t, line);
        else
            *settings[i].duration = timeline_duration(t, line);
        return;
    }
    timeline_fail(t, "there is no setting '%s'", name);
}

/* ---- lines ---- */

static const struct statement {
    const char *name;
    void (*run)(struct timeline *t, struct timeline_line *line);
    bool in_head; /* before the stack runs */
} statements[] = {
    {"<", do_inject, false},          {">", do_expect, false},
    {"flight", do_flight, false},     {"nothing", do_nothing, false},
    {"ignore", do_ignore, false},     {"wait", do_wait, false},
    {"connect", do_connect, false},   {"listen", do_listen, false},
    {"unlisten", do_unlisten, false}, {"send", do_send, false},
    {"read", do_read, false},         {"reading", do_reading, false},
    {"close", do_close, false},       {"abort", do_abort, false},
    {"peer", do_peer, false},         {"again", do_again, false},
    {"icmp", do_icmp, false},         {"state", do_state, false},
    {"event", do_event, false},       {"received", do_received, false},
    {"counter", do_counter, false},   {"conn", do_conn, false},
    {"over", do_over, true},          {"set", do_set, true},
};

static void run_words(struct timeline *t, struct timeline_line *line)
{
    const char *name = timeline_next(line);
    for (size_t i = 0; i < array_count(statements); i++) {
        if (strcmp(statements[i].name, name) != 0)
            continue;
        if (!statements[i].in_head)
            open_stack(t);
        statements[i].run(t, line);
        if (line->at != line->count)
            timeline_fail(t, "'%s' is too much", line->words[line->at]);
        return;
    }
    timeline_fail(t, "there is no statement '%s'", name);
}

/* repeat N ...: the same line so many times. */
static void run_line(struct timeline *t, struct timeline_line *line)
{
    uint32_t times = timeline_accept(line, "repeat") ? timeline_number(t, line) : 1;
    if (line->at == line->count)
        timeline_fail(t, "repeat what?");
    for (; times > 0; times--) {
        struct timeline_line copy = *line;
        run_words(t, &copy);
    }
}

/* How each state is reached from LISTEN; the peer's SYN has the options that are asked for. */
#define TO_SYN_RECEIVED "< SYN seq 0 %s\n> SYN ACK seq 0 ack 1\n"
#define TO_ESTABLISHED  TO_SYN_RECEIVED "< ACK seq 1 ack 1\nevent opened\n"
#define TO_FIN_WAIT_1   TO_ESTABLISHED "close\n> FIN ACK seq 1 ack 1\n"
#define TO_FIN_WAIT_2   TO_FIN_WAIT_1 "< ACK seq 1 ack 2\n"
#define TO_CLOSE_WAIT   TO_ESTABLISHED "< FIN ACK seq 1 ack 1\n> ACK seq 1 ack 2\nevent eof\n"
#define TO_CLOSING      TO_FIN_WAIT_1 "< FIN ACK seq 1 ack 1\n> ACK seq 2 ack 2\n"
#define TO_LAST_ACK     TO_CLOSE_WAIT "close\n> FIN ACK seq 1 ack 2\n"
#define TO_TIME_WAIT    TO_FIN_WAIT_2 "< FIN ACK seq 1 ack 2\n> ACK seq 2 ack 2\n"
#define TO_SYN_SENT     "connect\n> SYN seq 0\n"
#define TO_CONNECTED    TO_SYN_SENT "< SYN ACK seq 0 ack 1 %s\n> ACK seq 1 ack 1\nevent opened\n"

static const struct way {
    const char *name;
    const char *state;
    const char *text;
} ways[] = {
    {"LISTEN", "LISTEN", ""},
    {"CLOSED", "CLOSED", "unlisten\n"},
    {"SYN_SENT", "SYN_SENT", TO_SYN_SENT},
    {"SYN_RECEIVED", "SYN_RECEIVED", TO_SYN_RECEIVED},
    {"ESTABLISHED", "ESTABLISHED", TO_ESTABLISHED},
    {"FIN_WAIT_1", "FIN_WAIT_1", TO_FIN_WAIT_1},
    {"FIN_WAIT_2", "FIN_WAIT_2", TO_FIN_WAIT_2},
    {"CLOSE_WAIT", "CLOSE_WAIT", TO_CLOSE_WAIT},
    {"CLOSING", "CLOSING", TO_CLOSING},
    {"LAST_ACK", "LAST_ACK", TO_LAST_ACK},
    {"TIME_WAIT", "TIME_WAIT", TO_TIME_WAIT},
    {"CONNECTED", "ESTABLISHED", TO_CONNECTED}, /* we opened it */
};

static const struct way *way_to(const struct timeline *t, const char *name)
{
    for (size_t i = 0; i < array_count(ways); i++)
        if (strcmp(ways[i].name, name) == 0)
            return &ways[i];
    timeline_fail(t, "'%s' cannot be reached", name);
}

/* One line of TEXT into LINE; where the next one begins. */
static const char *line_of(const char *text, char line[LINE_BYTES])
{
    size_t length = strcspn(text, "\n");
    size_t kept = RTE_MIN(length, (size_t)LINE_BYTES - 1);
    memcpy(line, text, kept);
    line[kept] = '\0';
    return text + length + (text[length] == '\n');
}

/* reach STATE [options of the peer's SYN, plain if there are none] */
static void reach(struct timeline *t, struct timeline_line *line)
{
    char options[LINE_BYTES] = "";
    const struct way *way = way_to(t, timeline_need(t, line));
    const char *word;
    while ((word = timeline_next(line)) != NULL) {
        strncat(options, word, sizeof(options) - strlen(options) - 2);
        strncat(options, " ", 2);
    }
    for (const char *at = way->text; *at != '\0';) {
        char template[LINE_BYTES];
        char text[2 * LINE_BYTES];
        struct timeline_line one;
        at = line_of(at, template);
        char *place = strstr(template, "%s");
        if (place != NULL)
            *place = '\0';
        (void)snprintf(text, sizeof(text), "%s%s", template, place != NULL ? options : "");
        timeline_words(t, text, &one);
        run_line(t, &one);
    }
    open_stack(t);
    script_step(&t->script);
    if (strcmp(state_of(t), way->state) != 0)
        timeline_fail(t, "%s is not reached, but %s", way->name, state_of(t));
}

void timeline_run(const char *file, const char *text, bool v6)
{
    static struct timeline t;
    prepare(&t, file, v6);
    while (*text != '\0') {
        char buffer[LINE_BYTES];
        struct timeline_line line;
        text = line_of(text, buffer);
        t.line++;
        timeline_words(&t, buffer, &line);
        if (line.count == 0)
            continue;
        if (timeline_accept(&line, "reach"))
            reach(&t, &line);
        else
            run_line(&t, &line);
    }
    finish(&t);
}

uint32_t timeline_families(const char *text)
{
    if (strstr(text, "\nover both") != NULL)
        return ALL_FAMILIES;
    return strstr(text, "\nover v6") != NULL ? 2 : 1;
}
