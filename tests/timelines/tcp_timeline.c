/* tcp_timeline: the host with our stack, and what the language of TCP's scripts consists of. */
#include "tests/timelines/tcp_timeline.h"

#include "tests/support/cmocka.h"
#include "tests/support/tcp_checks.h"

#include <string.h>

#define PEER_WINDOW 65535

/* What a script runs over. */
enum {
    OVER_V4,
    OVER_V6,
};

void tcp_timeline_listen(struct tcp_timeline *t, bool listen)
{
    static const char *const addresses[] = {"10.0.0.1", "fd00::1"};
    t->is_listening = listen;
    for (size_t i = 0; i < array_count(addresses); i++) {
        struct ip_address address;
        assert_true(ip_address_parse(addresses[i], &address));
        tcp_unlisten(t->script.host.tcp, &address, SCRIPT_PORT);
        if (listen)
            assert_true(
                tcp_listen(t->script.host.tcp, &address, SCRIPT_PORT, &tcp_timeline_accept, t));
    }
}

/* For every SYN, or above a backlog of half-open connections. */
static void set_cookies(const struct tcp_timeline *t)
{
    struct tcp_cookie_settings settings = {
        .mode = t->cookie_backlog == 0 ? TCP_COOKIES_ALWAYS : TCP_COOKIES_AUTO,
        .backlog = t->cookie_backlog == 0 ? 1 : t->cookie_backlog,
        .secrets = {{1, 2}},
    };
    if (t->has_cookies)
        tcp_set_cookies(t->script.host.tcp, &settings);
}

static void open_stack(struct timeline *base)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    struct tcp_script *script = &t->script;
    script->v6 = base->variant == OVER_V6;
    script->host.config.ecn = t->ecn != 0;
    script_open(script);
    set_cookies(t);
    tcp_timeline_listen(t, true);
    assert_true(ip_address_parse(script->v6 ? "fd00::2" : "10.0.0.2", &script->tuple.local));
    assert_true(ip_address_parse(script->v6 ? "fd00::1" : "10.0.0.1", &script->tuple.remote));
    script->tuple.local_port = SCRIPT_PEER_PORT;
    script->tuple.remote_port = SCRIPT_PORT;
    script->ack = 0;
    t->peer_iss = script->seq;
    t->mark = script->now;
}

static struct timeline *begin(void)
{
    static struct tcp_timeline t;
    memset(&t, 0, sizeof(t));
    script_prepare(&t.script);
    t.peer_window = PEER_WINDOW;
    t.script.host.config.receive_window_bytes = 65535;
    return &t.base;
}

struct tcp_conn *tcp_timeline_find(const struct tcp_timeline *t, bool *is_time_wait)
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

static void end(struct timeline *base)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    struct script_segment rest;
    char text[256];
    if (script_take(&t->script, &rest)) {
        tcp_timeline_describe(t, &rest, text, sizeof(text));
        timeline_fail(&t->base, "at the end of the script there still came: %s", text);
    }
    for (uint32_t i = 0; i < t->app_count; i++)
        if (t->apps[i].conn != NULL)
            tcp_abort(t->apps[i].conn);
    tcp_timeline_listen(t, false);
    script_close(&t->script);
}

const char *tcp_timeline_state(const struct tcp_timeline *t)
{
    bool is_time_wait;
    const struct tcp_conn *conn = tcp_timeline_find(t, &is_time_wait);
    if (is_time_wait)
        return "TIME_WAIT";
    if (conn != NULL)
        return tcp_state_name(conn->state);
    return t->is_listening ? "LISTEN" : "CLOSED";
}

static void do_over(struct timeline *base, struct timeline_line *line)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    const char *family = timeline_need(&t->base, line);
    if (strcmp(family, "v4") != 0 && strcmp(family, "v6") != 0 && strcmp(family, "both") != 0)
        timeline_fail(&t->base, "over: v4, v6 or both");
}

/* set NAME VALUE: before anything happens. */
static void do_set(struct timeline *base, struct timeline_line *line)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    struct tcp_config *c = &t->script.host.config;
    const struct timeline_setting settings[] = {
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
    const struct timeline_setting *set = timeline_set(base, line, settings, array_count(settings));
    t->has_cookies |= set->number == &t->cookie_backlog;
}

static const struct timeline_statement head[] = {
    {"over", do_over, true}, {"set", do_set, true}, {NULL, NULL, false}};

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

static const struct timeline_way ways[] = {
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
    {NULL, NULL, NULL},
};

#define COUNTER(name, unit, help) {#name, offsetof(struct tcp_counters, name)},
static const struct timeline_counter counter_names[] = {
#include "dataplane/tcp/tcp_counters.def"
    {NULL, 0},
};
#undef COUNTER

static const void *counters(struct timeline *base)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    script_step(&t->script);
    return tcp_counters(t->script.host.tcp);
}

static uint64_t now(const struct timeline *base)
{
    return ((const struct tcp_timeline *)base)->script.now;
}

static const char *state(struct timeline *base)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    script_step(&t->script);
    return tcp_timeline_state(t);
}

static uint32_t chosen(const char *text)
{
    if (strstr(text, "\nover both") != NULL)
        return 1u << OVER_V4 | 1u << OVER_V6;
    return strstr(text, "\nover v6") != NULL ? 1u << OVER_V6 : 1u << OVER_V4;
}

/* The eleven states of RFC 9293 ... */
static const char *const states[] = {
    "LISTEN",     "SYN_SENT", "SYN_RECEIVED", "ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2",
    "CLOSE_WAIT", "CLOSING",  "LAST_ACK",     "TIME_WAIT",   "CLOSED",     NULL,
};

/* ... and what may arrive in them. */
static const char *const arrivals[] = {
    "syn_in_window",
    "syn_out_of_window",
    "syn_ack",
    "ack_old",
    "ack_duplicate",
    "ack_new",
    "ack_future",
    "rst_exact",
    "rst_in_window",
    "rst_out_of_window",
    "fin",
    "data_in_window",
    "data_before_window",
    "data_after_window",
    "data_overlapping_window",
    "no_ack",
    NULL,
};

const struct timeline_protocol tcp_timeline_protocol = {
    .name = "tcp",
    .variants = (const char *const[]){[OVER_V4] = "IPv4", [OVER_V6] = "IPv6", NULL},
    .begin = begin,
    .open = open_stack,
    .end = end,
    .now = now,
    .state = state,
    .counters = counters,
    .chosen = chosen,
    .statements =
        (const struct timeline_statement *const[]){head, tcp_timeline_wire, tcp_timeline_calls,
                                                   tcp_timeline_icmp, tcp_timeline_facts, NULL},
    .ways = ways,
    .counter_names = counter_names,
    .matrices = (const struct timeline_matrix[]){{states, arrivals}, {NULL, NULL}},
};
