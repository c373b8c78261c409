/* upstream on real h2 and tcp: two hosts on a wire, the backend being our own server role. */
#include "dataplane/base/clock.h"
#include "dataplane/base/memory.h"
#include "dataplane/h2/h2_tcp.h"
#include "dataplane/upstream/upstream.h"
#include "tests/support/cmocka.h"
#include "tests/support/tcp_host.h"

#define CALLS          200
#define SERVER_CONNS   32
#define SERVER_STREAMS 256
#define BODY_BYTES     30000u
#define CHUNK_BYTES    4000u
#define TURN_NS        (200 * CLOCK_US)
#define PORT           8080

/* One host with HTTP/2. */
struct site {
    struct tcp_host host;
    struct h2 *h2;
};

/* --- the backend --- */

struct server_conn {
    struct h2_conn *h2;
};

/* An answer under way. What is asked for stands in the path. */
struct answer {
    struct h2_stream *stream; /* NULL: free */
    char plan;                /* o: 200, 5: 503, h: hang, r: reset, m: reset in mid-body */
    bool headers_sent;
    bool starved; /* no segment was free */
    uint32_t body_left;
};

static struct {
    struct site site;
    struct server_conn conns[SERVER_CONNS];
    struct answer answers[SERVER_STREAMS];
    uint32_t requests;
    struct segment *supplied; /* by the last supply() */
} server;

static void server_headers(void *owner, struct h2_stream *stream, const struct fields *fields,
                           enum h2_section section, bool end, uint64_t now)
{
    struct bytes path;
    struct answer *answer = server.answers;
    while (answer->stream != NULL)
        assert_true(++answer < server.answers + SERVER_STREAMS);
    assert_true(fields_find(fields, FIELD_PATH, &path) && path.length == 2);
    *answer =
        (struct answer){.stream = stream, .plan = (char)path.data[1], .body_left = BODY_BYTES};
    server.requests++;
    h2_stream_set_owner(stream, answer);
    if (answer->plan == 'r') {
        answer->stream = NULL;
        h2_stream_reset(stream, H2_INTERNAL_ERROR);
    } else if (answer->plan != 'h') {
        h2_stream_ready(stream);
    }
}

static void server_data(struct h2_stream *stream, struct bytes bytes, bool end, uint64_t now)
{
    h2_stream_consumed(stream, (uint32_t)bytes.length);
}

static struct h2_supply server_supply_headers(struct answer *answer)
{
    static uint8_t data[256];
    static struct fields fields;
    fields_init(&fields, data, sizeof(data));
    fields_add_token(&fields, FIELD_STATUS, bytes_text(answer->plan == '5' ? "503" : "200"));
    fields_add_token(&fields, FIELD_CONTENT_LENGTH, bytes_text("30000"));
    answer->headers_sent = true;
    return (struct h2_supply){.kind = H2_SUPPLY_HEADERS, .fields = &fields};
}

static void drop_supplied(void)
{
    if (server.supplied != NULL)
        segment_drop(server.supplied);
    server.supplied = NULL;
}

static struct h2_supply server_supply(struct h2_stream *stream, uint32_t max, uint64_t now)
{
    struct answer *answer = h2_stream_owner(stream);
    drop_supplied();
    if (!answer->headers_sent)
        return server_supply_headers(answer);
    if (answer->plan == 'm' && answer->body_left < BODY_BYTES / 2) {
        answer->stream = NULL;
        return (struct h2_supply){.kind = H2_SUPPLY_RESET, .code = H2_INTERNAL_ERROR};
    }
    uint32_t length = max < CHUNK_BYTES ? max : CHUNK_BYTES;
    length = answer->body_left < length ? answer->body_left : length;
    if (length == 0)
        return (struct h2_supply){.kind = H2_SUPPLY_NONE};
    struct segment *segment = segment_take(&server.site.host.segments);
    answer->starved = segment == NULL;
    if (segment == NULL)
        return (struct h2_supply){.kind = H2_SUPPLY_NONE};
    server.supplied = segment;
    memset(segment->data, answer->plan, length);
    segment->length = length;
    answer->body_left -= length;
    return (struct h2_supply){.kind = H2_SUPPLY_DATA,
                              .end = answer->body_left == 0,
                              .chunk = {.segment = segment, .length = length}};
}

static void server_finished(struct h2_stream *stream, uint64_t now)
{
    ((struct answer *)h2_stream_owner(stream))->stream = NULL;
}

static void server_reset(struct h2_stream *stream, struct h2_reset reset, uint64_t now)
{
    server_finished(stream, now);
}

static void server_closed(void *owner, struct h2_conn *conn, uint64_t now)
{
    ((struct server_conn *)owner)->h2 = NULL;
}

static const struct h2_handler server_handler = {
    .headers = server_headers,
    .data = server_data,
    .supply = server_supply,
    .reset = server_reset,
    .finished = server_finished,
    .closed = server_closed,
};

static void server_event(void *app, struct tcp_conn *tcp, uint32_t events, uint64_t now)
{
    struct server_conn *conn = app;
    if (conn->h2 != NULL)
        h2_tcp_event(conn->h2, events, now);
    else if ((events & TCP_FAILED) != 0)
        tcp_abort(tcp);
}

static const struct tcp_app server_app = {server_event};

static void server_accept(void *app, struct tcp_conn *tcp, uint32_t events, uint64_t now)
{
    struct server_conn *conn = server.conns;
    if ((events & TCP_FAILED) != 0) {
        tcp_abort(tcp);
        return;
    }
    while (conn->h2 != NULL)
        assert_true(++conn < server.conns + SERVER_CONNS);
    tcp_set_app(tcp, &server_app, conn);
    conn->h2 = h2_open(server.site.h2, H2_SERVER, transport_tcp(tcp), &server_handler, conn, now);
    assert_non_null(conn->h2);
    server_event(conn, tcp, events & ~(uint32_t)TCP_OPENED, now);
}

static const struct tcp_app accept_app = {server_accept};

/* --- the side of upstream --- */

struct call {
    struct attempt attempt;
    char plan;
    uint32_t body_bytes;
    uint32_t wrong_bytes;
    uint32_t done, failed, suspected;
    enum attempt_failure why;
    uint32_t retries; /* left, for what was certainly not processed */
};

static struct {
    struct wire *wire;
    uint64_t now;
    struct site site;
    struct upstream *upstream;
    struct prober *prober;
    struct probe_result result;
    uint32_t results;
    struct backend_loads loads;
    struct snapshot_service service;
    struct snapshot_backend backend;
    struct snapshot snapshot;
    struct call calls[CALLS];
} rig;

static struct call *call_of(struct attempt *attempt)
{
    return container_of(attempt, struct call, attempt);
}

static struct h2_supply call_supply(struct attempt *attempt, uint32_t max, uint64_t now)
{
    static uint8_t data[256];
    static struct fields fields;
    char path[] = {'/', call_of(attempt)->plan, 0};
    fields_init(&fields, data, sizeof(data));
    fields_add_token(&fields, FIELD_METHOD, bytes_text("GET"));
    fields_add_token(&fields, FIELD_SCHEME, bytes_text("http"));
    fields_add_token(&fields, FIELD_AUTHORITY, bytes_text("backend"));
    fields_add_token(&fields, FIELD_PATH, bytes_text(path));
    return (struct h2_supply){.kind = H2_SUPPLY_HEADERS, .end = true, .fields = &fields};
}

static void call_headers(struct attempt *attempt, const struct fields *fields,
                         enum h2_section section, bool end, uint64_t now)
{
}

static void call_data(struct attempt *attempt, struct bytes bytes, bool end, uint64_t now)
{
    struct call *call = call_of(attempt);
    call->body_bytes += (uint32_t)bytes.length;
    for (size_t i = 0; i < bytes.length; i++)
        call->wrong_bytes += bytes.data[i] != (uint8_t)call->plan;
    attempt_consumed(attempt, (uint32_t)bytes.length);
}

static void call_done(struct attempt *attempt, uint64_t now)
{
    call_of(attempt)->done++;
}

static void call_failed(struct attempt *attempt, enum attempt_failure why, uint64_t now)
{
    struct call *call = call_of(attempt);
    if (why == ATTEMPT_UNPROCESSED && call->retries > 0) {
        call->retries--;
        assert_true(attempt_start(attempt, &rig.backend, now));
        return;
    }
    call->failed++;
    call->why = why;
}

static void call_suspected(struct attempt *attempt, enum suspicion why, uint64_t now)
{
    call_of(attempt)->suspected++;
}

static const struct attempt_handler call_handler = {
    .supply = call_supply,
    .headers = call_headers,
    .data = call_data,
    .done = call_done,
    .failed = call_failed,
    .suspected = call_suspected,
};

static void call_start(struct call *call, char plan)
{
    *call = (struct call){.plan = plan, .retries = 3};
    attempt_init(&call->attempt, rig.upstream, &call_handler);
    assert_true(attempt_start(&call->attempt, &rig.backend, rig.now));
}

static bool calls_over(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (rig.calls[i].done + rig.calls[i].failed == 0)
            return false;
    return true;
}

static void probed(void *context, const struct probe_result *result)
{
    rig.result = *result;
    rig.results++;
}

/* --- turns --- */

static void site_open(struct site *site, uint16_t end, const char *address)
{
    tcp_host_prepare(&site->host, rig.wire, end, address, NULL);
    site->host.config.connect_timeout_ns = 2 * CLOCK_S;
    tcp_host_open(&site->host);
    struct h2_config config = {
        .wheel = &site->host.base.wheel,
        .random = &site->host.base.random,
        .connections_max = 64,
        .streams_max = 1024,
        .header_blocks_max = 16,
        .hpack_tables_max = 128,
        .memo_places = 16,
        .server_concurrent_streams = 20,
        .stream_window_bytes = 65535,
        .connection_window_bytes = 1 << 20,
        .header_list_bytes = 32768,
        .settings_timeout_ns = 5 * CLOCK_S,
        .idle_timeout_ns = 600 * CLOCK_S,
        .preface_timeout_ns = 5 * CLOCK_S,
        .socket_id = -1,
    };
    site->h2 = h2_create(&config);
    assert_non_null(site->h2);
}

static void feed_starved(void)
{
    for (uint32_t i = 0; i < SERVER_STREAMS; i++)
        if (server.answers[i].stream != NULL && server.answers[i].starved)
            h2_stream_ready(server.answers[i].stream);
}

static void turn(void)
{
    rig.now += TURN_NS;
    wire_advance(rig.wire, rig.now);
    struct site *sites[] = {&rig.site, &server.site};
    for (uint32_t i = 0; i < 2; i++) {
        tcp_host_receive(&sites[i]->host, rig.now);
        tcp_dispatch(sites[i]->host.tcp, UINT32_MAX, rig.now);
        if (i == 0)
            upstream_tick(rig.upstream, rig.now);
        else
            feed_starved();
        h2_flush(sites[i]->h2, rig.now);
        tcp_host_finish(&sites[i]->host, rig.now);
    }
}

static void turns(uint64_t for_ns)
{
    for (uint64_t i = 0; i < for_ns / TURN_NS; i++)
        turn();
}

static void turn_until_over(uint32_t count, uint64_t within_ns)
{
    for (uint64_t i = 0; i < within_ns / TURN_NS && !calls_over(count); i++)
        turn();
    assert_true(calls_over(count));
}

static int setup(void **state)
{
    memset(&rig, 0, sizeof(rig));
    memset(&server, 0, sizeof(server));
    rig.now = CLOCK_S;
    struct wire_config wire = {.ends = 2, .queues = 1, .seed = 11, .mbufs = 4096};
    rig.wire = wire_create(&wire);
    site_open(&rig.site, 0, "10.0.0.1/24");
    site_open(&server.site, 1, "10.0.0.2/24");
    struct ip_address address;
    assert_true(ip_address_parse("10.0.0.2", &address));
    assert_true(tcp_listen(server.site.host.tcp, &address, PORT, &accept_app, NULL));
    rig.backend = (struct snapshot_backend){
        .slot = 3, .generation = 1, .address = address, .port = PORT, .weight = 1};
    rig.backend.name = bytes_text("b");
    rig.snapshot = (struct snapshot){.generation = 1,
                                     .services = &rig.service,
                                     .service_count = 1,
                                     .backends = &rig.backend,
                                     .backend_count = 1};
    struct upstream_config config = {.tcp = rig.site.host.tcp,
                                     .h2 = rig.site.h2,
                                     .loads = &rig.loads,
                                     .wheel = &rig.site.host.base.wheel,
                                     .random = &rig.site.host.base.random,
                                     .connections_max = 16,
                                     .backend_connections = 8,
                                     .waiting_max = CALLS,
                                     .ping_timeout_ns = 5 * CLOCK_S,
                                     .socket_id = -1};
    rig.upstream = upstream_create(&config);
    struct prober_config prober = {.tcp = rig.site.host.tcp,
                                   .h2 = rig.site.h2,
                                   .wheel = &rig.site.host.base.wheel,
                                   .probes_max = 4,
                                   .result = probed,
                                   .socket_id = -1};
    rig.prober = prober_create(&prober);
    assert_true(rig.upstream != NULL && rig.prober != NULL);
    upstream_apply(rig.upstream, &rig.snapshot, rig.now);
    return 0;
}

/* Drained, nothing is left anywhere. */
static int teardown(void **state)
{
    upstream_drain(rig.upstream, rig.now);
    turns(15 * CLOCK_S);
    assert_int_equal(upstream_connection_count(rig.upstream), 0);
    assert_int_equal(prober_count(rig.prober), 0);
    assert_int_equal(rig.loads.slots[3].in_flight, 0);
    assert_int_equal(rig.loads.slots[3].connections, 0);
    assert_int_equal(h2_connection_count(rig.site.h2), 0);
    assert_int_equal(h2_stream_count(rig.site.h2), 0);
    assert_int_equal(h2_connection_count(server.site.h2), 0);
    assert_int_equal(tcp_connection_count(rig.site.host.tcp), 0);
    assert_int_equal(tcp_connection_count(server.site.host.tcp), 0);
    drop_supplied();
    assert_int_equal(tcp_host_used(&rig.site.host), 0);
    assert_int_equal(tcp_host_used(&server.site.host), 0);
    wire_destroy(rig.wire);
    memory_reset();
    return 0;
}

static void expect_whole(const struct call *call)
{
    assert_int_equal(call->done, 1);
    assert_int_equal(call->failed, 0);
    assert_int_equal(call->body_bytes, BODY_BYTES);
    assert_int_equal(call->wrong_bytes, 0);
}

static void many_calls_share_few_connections(void **state)
{
    for (uint32_t i = 0; i < CALLS; i++)
        call_start(&rig.calls[i], 'o');
    turn_until_over(CALLS, 20 * CLOCK_S);
    for (uint32_t i = 0; i < CALLS; i++)
        expect_whole(&rig.calls[i]);
    assert_int_equal(server.requests, CALLS);
    assert_in_range(upstream_connection_count(rig.upstream), 2, 8);
    assert_int_equal(rig.loads.slots[3].outcomes[BACKEND_SUCCESS], CALLS);
    uint64_t first_bytes = 0;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        first_bytes += rig.loads.slots[3].first_bytes.buckets[i];
    assert_int_equal(first_bytes, CALLS);
    assert_in_range(rig.loads.slots[3].first_bytes.sum, 1, CALLS * 20000000ull);
}

static void calls_survive_a_wire_that_loses(void **state)
{
    struct wire_faults faults = {.drop_ppm = 20000, .reorder_ppm = 20000, .reorder_ns = CLOCK_MS};
    wire_set_faults_everywhere(rig.wire, &faults);
    for (uint32_t i = 0; i < 50; i++)
        call_start(&rig.calls[i], 'o');
    turn_until_over(50, 120 * CLOCK_S);
    for (uint32_t i = 0; i < 50; i++)
        expect_whole(&rig.calls[i]);
    wire_set_faults_everywhere(rig.wire, &(struct wire_faults){0});
}

static void each_kind_of_answer_is_told_and_counted(void **state)
{
    static const struct {
        char plan;
        bool done;
        enum attempt_failure why;
        enum backend_outcome outcome;
    } cases[] = {{'o', true, 0, BACKEND_SUCCESS},
                 {'5', true, 0, BACKEND_BAD_STATUS},
                 {'r', false, ATTEMPT_RESET, BACKEND_LOST_EARLY},
                 {'m', false, ATTEMPT_RESET, BACKEND_LOST_MID_BODY}};
    for (uint32_t i = 0; i < array_count(cases); i++)
        call_start(&rig.calls[i], cases[i].plan);
    turn_until_over(array_count(cases), 5 * CLOCK_S);
    for (uint32_t i = 0; i < array_count(cases); i++) {
        assert_int_equal(rig.calls[i].done, cases[i].done);
        assert_int_equal(rig.calls[i].failed, !cases[i].done);
        if (!cases[i].done)
            assert_int_equal(rig.calls[i].why, cases[i].why);
        assert_int_equal(rig.loads.slots[3].outcomes[cases[i].outcome], 1);
    }
}

static void cancelling_resets_the_stream_at_the_backend(void **state)
{
    call_start(&rig.calls[0], 'h');
    turns(50 * CLOCK_MS);
    assert_int_equal(server.requests, 1);
    assert_int_equal(h2_stream_count(server.site.h2), 1);
    attempt_cancel(&rig.calls[0].attempt, rig.now);
    turns(50 * CLOCK_MS);
    assert_int_equal(h2_stream_count(server.site.h2), 0);
    call_start(&rig.calls[0], 'o');
    turn_until_over(1, CLOCK_S);
    expect_whole(&rig.calls[0]);
    assert_int_equal(upstream_connection_count(rig.upstream), 1);
}

static void a_backend_that_shuts_down_loses_nothing(void **state)
{
    for (uint32_t i = 0; i < CALLS; i++)
        call_start(&rig.calls[i], 'o');
    for (uint32_t round = 0; round < 5; round++) {
        turns(3 * CLOCK_MS);
        for (uint32_t i = 0; i < SERVER_CONNS; i++)
            if (server.conns[i].h2 != NULL)
                h2_shutdown(server.conns[i].h2, rig.now);
    }
    turn_until_over(CALLS, 20 * CLOCK_S);
    for (uint32_t i = 0; i < CALLS; i++)
        expect_whole(&rig.calls[i]);
    assert_true(upstream_counters(rig.upstream)->connections_goaway > 0);
}

static void a_backend_that_dies_fails_its_calls_at_once(void **state)
{
    for (uint32_t i = 0; i < 20; i++)
        call_start(&rig.calls[i], 'h');
    turns(50 * CLOCK_MS);
    assert_int_equal(server.requests, 20);
    for (uint32_t i = 0; i < SERVER_CONNS; i++)
        if (server.conns[i].h2 != NULL)
            h2_transport_ended(server.conns[i].h2, true, rig.now);
    turn_until_over(20, 50 * CLOCK_MS);
    for (uint32_t i = 0; i < 20; i++)
        assert_int_equal(rig.calls[i].why, ATTEMPT_CONNECTION_LOST);
    tcp_unlisten(server.site.host.tcp, &rig.backend.address, PORT);
    call_start(&rig.calls[0], 'o');
    turn_until_over(1, 50 * CLOCK_MS);
    assert_int_equal(rig.calls[0].why, ATTEMPT_CONNECT_REFUSED);
    assert_int_equal(rig.loads.slots[3].connect_failed_row, 1);
}

static void a_cut_wire_is_suspected_soon(void **state)
{
    call_start(&rig.calls[0], 'h');
    turns(50 * CLOCK_MS);
    wire_set_faults_everywhere(rig.wire, &(struct wire_faults){.cut = true});
    call_start(&rig.calls[1], 'o'); /* data that nobody acknowledges */
    turns(400 * CLOCK_MS);
    assert_int_equal(rig.calls[0].suspected, 1);
    assert_int_equal(rig.calls[1].suspected, 1);
    call_start(&rig.calls[2], 'o'); /* a connect that nobody answers */
    turns(400 * CLOCK_MS);
    assert_int_equal(rig.calls[2].failed, 1);
    assert_int_equal(rig.calls[2].why, ATTEMPT_CONNECT_TIMEOUT);
    wire_set_faults_everywhere(rig.wire, &(struct wire_faults){0});
    attempt_cancel(&rig.calls[0].attempt, rig.now);
    turns(5 * CLOCK_S);
    expect_whole(&rig.calls[1]); /* TCP has brought it over after all */
}

static void silence_is_found_by_a_ping(void **state)
{
    call_start(&rig.calls[0], 'h');
    turns(50 * CLOCK_MS);
    wire_set_faults_everywhere(rig.wire, &(struct wire_faults){.cut = true});
    turns(2 * CLOCK_S);
    assert_int_equal(rig.calls[0].suspected, 1);
    turns(6 * CLOCK_S); /* the PING's own time is up */
    assert_int_equal(rig.calls[0].failed, 1);
    assert_int_equal(rig.calls[0].why, ATTEMPT_CONNECTION_LOST);
    wire_set_faults_everywhere(rig.wire, &(struct wire_faults){0});
    turns(70 * CLOCK_S); /* the backend's side of it times out */
    for (uint32_t i = 0; i < SERVER_CONNS; i++)
        if (server.conns[i].h2 != NULL)
            h2_close(server.conns[i].h2, H2_NO_ERROR, rig.now);
}

static void expect_probe(enum probe_kind kind, const char *path, enum probe_outcome outcome,
                         uint32_t status)
{
    struct probe_order order = {
        .slot = 3, .generation = 1, .timeout_ns = 500 * CLOCK_MS, .kind = (uint8_t)kind};
    memcpy(order.path, path, strlen(path));
    rig.results = 0;
    prober_start(rig.prober, &rig.snapshot, &order, rig.now);
    turns(600 * CLOCK_MS);
    assert_int_equal(rig.results, 1);
    assert_int_equal(rig.result.outcome, outcome);
    assert_int_equal(rig.result.status, status);
    assert_int_equal(prober_count(rig.prober), 0);
}

static void probes_find_out(void **state)
{
    expect_probe(PROBE_TCP, "", PROBE_OK, 0);
    expect_probe(PROBE_HTTP2, "/o", PROBE_OK, 200);
    expect_probe(PROBE_HTTP2, "/5", PROBE_BAD_STATUS, 503);
    expect_probe(PROBE_HTTP2, "/r", PROBE_RESET, 0);
    expect_probe(PROBE_HTTP2, "/h", PROBE_TIMEOUT, 0);
    tcp_unlisten(server.site.host.tcp, &rig.backend.address, PORT);
    expect_probe(PROBE_TCP, "", PROBE_CONNECT_FAILED, 0);
    wire_set_faults_everywhere(rig.wire, &(struct wire_faults){.cut = true});
    expect_probe(PROBE_TCP, "", PROBE_TIMEOUT, 0);
    wire_set_faults_everywhere(rig.wire, &(struct wire_faults){0});
}

#define wire_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        wire_test(many_calls_share_few_connections),
        wire_test(calls_survive_a_wire_that_loses),
        wire_test(each_kind_of_answer_is_told_and_counted),
        wire_test(cancelling_resets_the_stream_at_the_backend),
        wire_test(a_backend_that_shuts_down_loses_nothing),
        wire_test(a_backend_that_dies_fails_its_calls_at_once),
        wire_test(a_cut_wire_is_suspected_soon),
        wire_test(silence_is_found_by_a_ping),
        wire_test(probes_find_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
