/*
 * Two of our connections, client and server role, over a pipe: bodies in both directions arrive
 * byte for byte, whatever pieces the transport makes of them.
 */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/memory.h"
#include "dataplane/h2/h2_conn.h"
#include "tests/support/cmocka.h"
#include "tests/support/h2_app.h"
#include "tests/support/pipe.h"

#define EXCHANGES 40

struct side {
    struct h2_app app;
    struct h2_exchange exchanges[EXCHANGES];
};

/* A worker with one connection in each role. */
struct pair {
    struct random random;
    struct timer_wheel wheel;
    struct segment_pool segments;
    struct h2 *h2;
    struct pipe pipe;
    struct side client;
    struct side server;
    uint64_t now;
    uint32_t consume_percent;
    uint32_t deliver_max;
};

static struct pair pair;

struct pair_config {
    uint64_t seed;
    uint32_t capacity;
    uint32_t piece_max;
    uint32_t deliver_max;
    uint32_t consume_percent;
    uint32_t stream_window;
    uint32_t connection_window;
    uint32_t concurrent_streams;
    uint32_t starve_in_100;
    uint32_t header_blocks;
};

static const struct pair_config plain = {
    .seed = 1,
    .capacity = 1 << 20,
    .piece_max = UINT32_MAX,
    .deliver_max = UINT32_MAX,
    .consume_percent = 100,
    .stream_window = 1 << 20,
    .connection_window = 1 << 20,
    .concurrent_streams = 100,
    .header_blocks = 8,
};

static void open_side(struct side *side, enum h2_role role, struct pipe_end *end)
{
    *side = (struct side){.app = {
                              .h2 = pair.h2,
                              .segments = &pair.segments,
                              .random = &pair.random,
                              .exchanges = side->exchanges,
                              .exchanges_max = EXCHANGES,
                          }};
    side->app.conn =
        h2_open(pair.h2, role, pipe_transport(end), &h2_app_handler, &side->app, pair.now);
    assert_non_null(side->app.conn);
}

static void open_pair(const struct pair_config *config)
{
    memset(&pair, 0, sizeof(pair));
    random_seed(&pair.random, config->seed);
    pair.now = CLOCK_S;
    timer_wheel_init(&pair.wheel, pair.now);
    assert_true(segment_pool_init(&pair.segments, "test bodies", 4 * EXCHANGES, 4096, -1));
    struct h2_config h2 = {
        .wheel = &pair.wheel,
        .random = &pair.random,
        .connections_max = 2,
        .streams_max = 4 * EXCHANGES,
        .header_blocks_max = config->header_blocks,
        .hpack_tables_max = 4,
        .memo_places = 16,
        .server_concurrent_streams = config->concurrent_streams,
        .stream_window_bytes = config->stream_window,
        .connection_window_bytes = config->connection_window,
        .header_list_bytes = 32768,
        .settings_timeout_ns = 10 * CLOCK_S,
        .idle_timeout_ns = 300 * CLOCK_S,
        .preface_timeout_ns = 10 * CLOCK_S,
        .socket_id = -1,
    };
    pair.h2 = h2_create(&h2);
    assert_non_null(pair.h2);
    pipe_open(&pair.pipe, config->capacity, &pair.random);
    for (uint32_t i = 0; i < 2; i++) {
        pair.pipe.ends[i].piece_max = config->piece_max;
        pair.pipe.ends[i].starve_in_100 = config->starve_in_100;
    }
    pair.consume_percent = config->consume_percent;
    pair.deliver_max = config->deliver_max;
    open_side(&pair.client, H2_CLIENT, &pair.pipe.ends[0]);
    open_side(&pair.server, H2_SERVER, &pair.pipe.ends[1]);
}

static bool move_bytes(struct pipe_end *from, struct h2_app *to)
{
    uint32_t most = pair.deliver_max;
    if (most != UINT32_MAX)
        most = random_below(&pair.random, most + 1);
    bool moved = pipe_deliver(from, most) > 0;
    if (to->conn != NULL && from->delivered > 0)
        h2_in(to->conn, pair.now);
    return moved;
}

/* The far end closed: what it sent is read first. */
static void see_end(struct pipe_end *from, struct h2_app *to)
{
    if (to->conn != NULL && (from->closed || from->aborted) && from->queued == 0)
        h2_transport_ended(to->conn, from->aborted, pair.now);
}

/* One turn of the worker. */
static void turn(void)
{
    pair.now += CLOCK_MS / 10;
    timer_wheel_advance(&pair.wheel, pair.now, 100);
    uint32_t before[2] = {pair.pipe.ends[0].queued, pair.pipe.ends[1].queued};
    move_bytes(&pair.pipe.ends[0], &pair.server.app);
    move_bytes(&pair.pipe.ends[1], &pair.client.app);
    if (pair.client.app.conn != NULL && pair.pipe.ends[0].queued < before[0])
        h2_writable(pair.client.app.conn);
    if (pair.server.app.conn != NULL && pair.pipe.ends[1].queued < before[1])
        h2_writable(pair.server.app.conn);
    h2_app_consume(&pair.client.app, pair.consume_percent);
    h2_app_consume(&pair.server.app, pair.consume_percent);
    h2_flush(pair.h2, pair.now);
    see_end(&pair.pipe.ends[0], &pair.server.app);
    see_end(&pair.pipe.ends[1], &pair.client.app);
}

static void close_pair(void)
{
    if (pair.client.app.conn != NULL)
        h2_close(pair.client.app.conn, H2_NO_ERROR, pair.now);
    if (pair.server.app.conn != NULL)
        h2_close(pair.server.app.conn, H2_NO_ERROR, pair.now);
    assert_int_equal(pair.client.app.closed_count, 1);
    assert_int_equal(pair.server.app.closed_count, 1);
    h2_app_release(&pair.client.app);
    h2_app_release(&pair.server.app);
    assert_int_equal(pool_used(&pair.h2->conns), 0);
    assert_int_equal(pool_used(&pair.h2->streams), 0);
    assert_int_equal(pool_used(&pair.h2->header_blocks), 0);
    assert_int_equal(pool_used(&pair.h2->hpack_tables.pool), 0);
    assert_int_equal(pool_used(&pair.segments.segments), 0);
    assert_int_equal(pair.wheel.armed_count, 0);
    assert_int_equal(h2_stream_count(pair.h2), 0);
    pipe_release(&pair.pipe);
    memory_reset();
}

static bool is_random(uint32_t one_in)
{
    return random_below(&pair.random, one_in) == 0;
}

static uint32_t random_length(uint32_t most)
{
    return is_random(3) ? 0 : random_below(&pair.random, most);
}

static struct h2_plan random_plan(uint32_t seed, uint32_t most, bool with_resets)
{
    struct h2_plan plan = {
        .seed = seed,
        .request_bytes = random_length(most),
        .response_bytes = random_length(most),
        .request_trailers = is_random(3),
        .response_trailers = is_random(3),
        .interim = is_random(4),
        .large_headers = is_random(8),
        .server_resets = with_resets && is_random(5),
        .client_resets = with_resets && is_random(5),
        .head = is_random(10),
        .early = with_resets && is_random(5),
    };
    return plan;
}

static void check_exchange(const struct h2_exchange *exchange)
{
    const struct h2_plan *plan = &exchange->plan;
    if (plan->server_resets || plan->client_resets)
        return;
    assert_int_equal(exchange->outcome, H2_OUTCOME_FINISHED);
    uint32_t expected = exchange->is_client ? plan->response_bytes : plan->request_bytes;
    if (exchange->is_client && plan->head)
        expected = 0;
    if (plan->early && !exchange->is_client) /* the rest of the request was not wanted */
        return;
    assert_int_equal(exchange->received_bytes, expected);
    if (plan->early)
        return;
    assert_true(exchange->end_sent && exchange->end_received);
    bool trailers =
        exchange->is_client ? plan->response_trailers && !plan->head : plan->request_trailers;
    assert_int_equal(exchange->trailers_received, trailers);
    if (exchange->is_client)
        assert_int_equal(exchange->interim_received, plan->interim);
}

/* What went wrong, for whoever reads the failure. */
static void print_counters(void)
{
    static const struct {
        const char *name;
        size_t offset;
    } counters[] = {
#define COUNTER(name, unit, help) {#name, offsetof(struct h2_counters, name)},
#include "dataplane/h2/h2_counters.def"
#undef COUNTER
    };
    for (uint32_t i = 0; i < array_count(counters); i++) {
        uint64_t value;
        memcpy(&value, (uint8_t *)h2_counters(pair.h2) + counters[i].offset, sizeof(value));
        if (value > 0)
            print_error("%s %llu\n", counters[i].name, (unsigned long long)value);
    }
}

static void assert_open(void)
{
    if (pair.client.app.conn == NULL || pair.server.app.conn == NULL)
        print_counters();
    assert_non_null(pair.client.app.conn);
    assert_non_null(pair.server.app.conn);
}

/* COUNT random exchanges, all of which must end well. */
static void run_exchanges(uint32_t count, uint32_t most_bytes, bool with_resets)
{
    uint32_t started = 0;
    for (uint32_t turns = 0; turns < 400000; turns++) {
        turn();
        assert_open();
        while (started < count) {
            struct h2_plan plan = random_plan(started + 1, most_bytes, with_resets);
            if (!h2_app_request(&pair.client.app, &plan, pair.now))
                break;
            started++;
        }
        if (started == count && h2_app_open_count(&pair.client.app) == 0 &&
            h2_app_open_count(&pair.server.app) == 0)
            break;
    }
    if (started < count || h2_app_open_count(&pair.client.app) > 0)
        print_counters();
    assert_int_equal(started, count);
    assert_int_equal(h2_app_open_count(&pair.client.app), 0);
    assert_int_equal(h2_app_open_count(&pair.server.app), 0);
    for (uint32_t i = 0; i < pair.client.app.exchange_count; i++)
        check_exchange(&pair.client.exchanges[i]);
    for (uint32_t i = 0; i < pair.server.app.exchange_count; i++)
        check_exchange(&pair.server.exchanges[i]);
}

static void one_small_request_is_answered(void **state)
{
    open_pair(&plain);
    struct h2_plan plan = {.seed = 2, .response_bytes = 100};
    for (uint32_t i = 0; i < 5; i++)
        turn();
    assert_int_equal(pair.client.app.available_count, 1);
    assert_true(h2_app_request(&pair.client.app, &plan, pair.now));
    for (uint32_t i = 0; i < 5; i++)
        turn();
    check_exchange(&pair.client.exchanges[0]);
    check_exchange(&pair.server.exchanges[0]);
    assert_int_equal(pair.client.exchanges[0].received_bytes, 100);
    close_pair();
}

static void bodies_arrive_under_any_pieces_and_windows(void **state)
{
    static const uint32_t pieces[] = {1, 7, 100, 5000, UINT32_MAX};
    static const uint32_t capacities[] = {5500, 7000, 20000, 300000};
    for (uint32_t seed = 0; seed < 24; seed++) {
        struct pair_config config = plain;
        config.seed = seed + 10;
        config.piece_max = pieces[seed % array_count(pieces)];
        config.capacity = capacities[seed % array_count(capacities)];
        config.deliver_max = seed % 3 == 0 ? UINT32_MAX : 2000 + 997 * (seed % 7);
        config.consume_percent = seed % 2 == 0 ? 100 : 40;
        config.stream_window = seed % 5 == 0 ? 65535 : 100000;
        config.connection_window = seed % 4 == 0 ? 0 : 200000;
        config.concurrent_streams = 1 + seed % 20;
        open_pair(&config);
        run_exchanges(config.piece_max == 1 ? 4 : 30, config.piece_max == 1 ? 2000 : 60000, false);
        close_pair();
    }
}

static void resets_in_both_directions_leave_others_alone(void **state)
{
    for (uint32_t seed = 0; seed < 20; seed++) {
        struct pair_config config = plain;
        config.seed = seed + 1000;
        config.capacity = 30000;
        config.deliver_max = 5000;
        config.piece_max = 3000;
        open_pair(&config);
        run_exchanges(EXCHANGES, 60000, true);
        close_pair();
    }
}

static void a_transport_without_memory_only_delays(void **state)
{
    for (uint32_t seed = 0; seed < 12; seed++) {
        struct pair_config config = plain;
        config.seed = seed + 2000;
        config.capacity = 40000;
        config.starve_in_100 = 30;
        open_pair(&config);
        run_exchanges(30, 60000, seed % 2 == 1);
        assert_true(h2_counters(pair.h2)->sends_starved > 0);
        close_pair();
    }
}

/* Turns until both connections are over or TURNS have passed; whatever happens must be consistent.
 */
static void run_until_over(uint32_t turns, uint64_t seed)
{
    uint32_t started = 0;
    while (turns-- > 0 && (pair.client.app.conn != NULL || pair.server.app.conn != NULL)) {
        turn();
        while (pair.client.app.conn != NULL && started < EXCHANGES) {
            struct h2_plan plan = random_plan(started + 1, 30000, true);
            if (!h2_app_request(&pair.client.app, &plan, pair.now))
                break;
            started++;
        }
        if (pair.client.app.conn != NULL && is_random(200))
            h2_shutdown(pair.client.app.conn, pair.now);
        if (pair.server.app.conn != NULL && is_random(200))
            h2_shutdown(pair.server.app.conn, pair.now);
        if (pair.client.app.conn != NULL && is_random(500))
            h2_transport_ended(pair.client.app.conn, true, pair.now);
    }
}

static void owners_may_close_from_any_callback(void **state)
{
    uint64_t ended = 0;
    for (uint32_t seed = 0; seed < 200; seed++) {
        struct pair_config config = plain;
        config.seed = seed + 5000;
        config.capacity = 20000;
        config.deliver_max = 4000;
        open_pair(&config);
        pair.client.app.close_in_callback = seed % 2 == 0;
        pair.server.app.close_in_callback = seed % 3 == 0;
        run_until_over(2000, seed);
        ended += pair.client.app.closed_count;
        close_pair();
    }
    assert_true(ended > 50);
}

/* Without blocks a section that does not fit is refused, and what must be put together is shed. */
static void without_header_blocks_nothing_hangs_or_leaks(void **state)
{
    for (uint32_t seed = 0; seed < 40; seed++) {
        struct pair_config config = plain;
        config.seed = seed + 7000;
        config.capacity = 20000;
        config.deliver_max = 4000;
        config.header_blocks = seed % 2;
        config.starve_in_100 = seed % 4 == 0 ? 20 : 0;
        open_pair(&config);
        run_until_over(2000, seed);
        close_pair();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_small_request_is_answered),
        cmocka_unit_test(bodies_arrive_under_any_pieces_and_windows),
        cmocka_unit_test(resets_in_both_directions_leave_others_alone),
        cmocka_unit_test(a_transport_without_memory_only_delays),
        cmocka_unit_test(owners_may_close_from_any_callback),
        cmocka_unit_test(without_header_blocks_nothing_hangs_or_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
