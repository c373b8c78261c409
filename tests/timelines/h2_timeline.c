/* h2_timeline: what the language of HTTP/2's scripts consists of. */
#include "tests/timelines/h2_timeline.h"

#include <stdio.h>
#include <string.h>

static struct timeline *begin(void)
{
    static struct h2_timeline t;
    memset(&t, 0, sizeof(t));
    t.config = lab_config();
    return &t.base;
}

static void open_stack(struct timeline *base)
{
    struct h2_timeline *t = h2_timeline_of(base);
    t->config.window_budget_bytes = t->window_budget;
    lab_create(&t->config);
    lab_open(t->role);
}

static void end(struct timeline *base)
{
    const struct h2_timeline *t = h2_timeline_of(base);
    lab_flush();
    struct reader rest = reader_over(bytes_of(lab.sent, lab.sent_bytes));
    struct h2_frame frame;
    struct bytes payload;
    char text[200];
    reader_skip(&rest, t->seen_bytes);
    if (h2_script_read(&rest, &frame, &payload)) {
        h2_timeline_describe(&frame, payload, text, sizeof(text));
        timeline_fail(base, "at the end of the script there still came: %s", text);
    }
    lab_close();
}

/* as client, as server: which side we are. */
static void do_as(struct timeline *base, struct timeline_line *line)
{
    bool is_client = timeline_accept(line, "client");
    if (!is_client && !timeline_accept(line, "server"))
        timeline_fail(base, "as client, as server");
    h2_timeline_of(base)->role = is_client ? H2_CLIENT : H2_SERVER;
}

static void do_set(struct timeline *base, struct timeline_line *line)
{
    struct h2_config *c = &h2_timeline_of(base)->config;
    const struct timeline_setting settings[] = {
        {"streams", &c->streams_max, NULL},
        {"concurrent_streams", &c->server_concurrent_streams, NULL},
        {"stream_window", &c->stream_window_bytes, NULL},
        {"connection_window", &c->connection_window_bytes, NULL},
        {"stream_window_max", &c->stream_window_max_bytes, NULL},
        {"connection_window_max", &c->connection_window_max_bytes, NULL},
        {"header_list", &c->header_list_bytes, NULL},
        {"header_blocks", &c->header_blocks_max, NULL},
        {"settings_timeout", NULL, &c->settings_timeout_ns},
        {"preface_timeout", NULL, &c->preface_timeout_ns},
        {"idle_timeout", NULL, &c->idle_timeout_ns},
        {"stall_timeout", NULL, &c->stall_timeout_ns},
        {"window_budget", &h2_timeline_of(base)->window_budget, NULL},
    };
    (void)timeline_set(base, line, settings, array_count(settings));
}

static const struct timeline_statement head[] = {
    {"as", do_as, true}, {"set", do_set, true}, {NULL, NULL, false}};

/* How states are reached; of the states of streams stream 1 is in them. */
#define SERVER        "as server\nhandshake\n"
#define SERVER_OPEN   SERVER "< HEADERS 1 end_headers @get\n"
#define SERVER_ENDED  SERVER "< HEADERS 1 end_headers end_stream @get\n"
#define CLIENT        "as client\nhandshake\n"
#define CLIENT_OPEN   CLIENT "request open\n> HEADERS 1\n"
#define CLIENT_ENDED  CLIENT "request\n> HEADERS 1 end_stream\n"
#define PEER_RESETS   "< RST_STREAM 1 code CANCEL\n"
#define WE_RESET      "reset 1 CANCEL\n> RST_STREAM 1 code CANCEL\n"
#define WE_ANSWER     "answer\n> HEADERS 1 end_stream\n"
#define IS_CUT_SHORT  "> RST_STREAM 1 code NO_ERROR\n"
#define ANSWER_COMES  "< HEADERS 1 end_headers end_stream @200\n"
#define WE_ANNOUNCE   "shutdown\n> GOAWAY 0 last 2147483647 code NO_ERROR\n> PING 0\n"
#define WE_FINISH     "< PING 0 ack echo\n> GOAWAY 0 last 1 code NO_ERROR\n"
#define CLIENT_LEAVES "shutdown\n> GOAWAY 0 last 0 code NO_ERROR\n"

static const struct timeline_way ways[] = {
    {"server_idle", "open, idle", SERVER},
    {"server_open", "open, open", SERVER_OPEN},
    {"server_half_closed_local", "open, closed", SERVER_OPEN WE_ANSWER IS_CUT_SHORT},
    {"server_half_closed_remote", "open, half_closed_remote", SERVER_ENDED},
    {"server_closed_by_end", "open, closed", SERVER_ENDED WE_ANSWER},
    {"server_closed_by_peer", "open, closed", SERVER_OPEN PEER_RESETS},
    {"server_closed_by_us", "open, closed", SERVER_OPEN WE_RESET},
    {"client_idle", "open, idle", CLIENT},
    {"client_open", "open, open", CLIENT_OPEN},
    {"client_half_closed_local", "open, half_closed_local", CLIENT_ENDED},
    {"client_half_closed_remote", "open, half_closed_remote", CLIENT_OPEN ANSWER_COMES},
    {"client_closed_by_end", "open, closed", CLIENT_ENDED ANSWER_COMES},
    {"client_closed_by_peer", "open, closed", CLIENT_ENDED PEER_RESETS},
    {"client_closed_by_us", "open, closed", CLIENT_ENDED WE_RESET},
    {"server_before_preface", "preface, idle", "as server\nnothing\n"},
    {"server_before_settings", "settings, idle", "as server\npreface\n> SETTINGS 0\n"},
    {"server_header_block", "open, idle", SERVER "< HEADERS 1 end_stream 82\n"},
    {"server_goaway_sent", "draining, open", SERVER_OPEN WE_ANNOUNCE WE_FINISH},
    {"server_goaway_announced", "announced, open", SERVER_OPEN WE_ANNOUNCE},
    {"server_goaway_received", "draining, open", SERVER_OPEN "< GOAWAY 0 last 0 code NO_ERROR\n"},
    {"client_before_settings", "settings, idle", "as client\n> SETTINGS 0\n"},
    {"client_header_block", "open, half_closed_local", CLIENT_ENDED "< HEADERS 1 end_stream 88\n"},
    {"client_goaway_sent", "draining, half_closed_local", CLIENT_ENDED CLIENT_LEAVES},
    {"client_goaway_received", "draining, half_closed_local",
     CLIENT_ENDED "< GOAWAY 0 last 1 code NO_ERROR\n"},
    {NULL, NULL, NULL},
};

#define COUNTER(name, unit, help) {#name, offsetof(struct h2_counters, name)},
static const struct timeline_counter counter_names[] = {
#include "dataplane/h2/h2_counters.def"
    {NULL, 0},
};
#undef COUNTER

static const void *counters(struct timeline *base)
{
    return h2_counters(lab.h2);
}

static uint64_t now(const struct timeline *base)
{
    return lab.now;
}

static const char *state(struct timeline *base)
{
    struct h2_timeline *t = h2_timeline_of(base);
    (void)snprintf(t->state_text, sizeof(t->state_text), "%s, %s", h2_timeline_conn_state(),
                   h2_timeline_stream_state(1));
    return t->state_text;
}

static uint32_t chosen(const char *text)
{
    return 3;
}

/* RFC 9113 5.1, both roles, and what may arrive on a stream. */
static const char *const stream_states[] = {
    "server_idle",
    "server_open",
    "server_half_closed_local",
    "server_half_closed_remote",
    "server_closed_by_end",
    "server_closed_by_peer",
    "server_closed_by_us",
    "client_idle",
    "client_open",
    "client_half_closed_local",
    "client_half_closed_remote",
    "client_closed_by_end",
    "client_closed_by_peer",
    "client_closed_by_us",
    NULL,
};

static const char *const stream_arrivals[] = {
    "headers",      "data",         "rst_stream",      "window_update", "priority",
    "continuation", "push_promise", "priority_update", "trailers",      NULL,
};

/* Of the connection, and what may arrive on it. */
static const char *const conn_states[] = {
    "server_before_preface",
    "server_before_settings",
    "server_header_block",
    "server_goaway_sent",
    "server_goaway_announced",
    "server_goaway_received",
    "client_before_settings",
    "client_header_block",
    "client_goaway_sent",
    "client_goaway_received",
    NULL,
};

static const char *const conn_arrivals[] = {
    "headers",  "data",         "rst_stream",   "window_update",
    "priority", "continuation", "push_promise", "priority_update",
    "settings", "settings_ack", "ping",         "goaway",
    "unknown",  NULL,
};

const struct timeline_protocol h2_timeline_protocol = {
    .name = "h2",
    .variants = (const char *const[]){"whole", "byte by byte", NULL},
    .begin = begin,
    .open = open_stack,
    .end = end,
    .now = now,
    .state = state,
    .counters = counters,
    .chosen = chosen,
    .statements =
        (const struct timeline_statement *const[]){head, h2_timeline_wire, h2_timeline_owner,
                                                   h2_timeline_facts, NULL},
    .ways = ways,
    .counter_names = counter_names,
    .matrices = (const struct timeline_matrix[]){{stream_states, stream_arrivals},
                                                 {conn_states, conn_arrivals},
                                                 {NULL, NULL}},
};
