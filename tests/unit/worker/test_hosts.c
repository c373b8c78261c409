/* The client and backend hosts of the tests against each other, without Weir between them. */
#include "dataplane/base/clock.h"
#include "dataplane/base/memory.h"
#include "tests/support/backend.h"
#include "tests/support/client.h"
#include "tests/support/cmocka.h"

#define TURN_NS (100 * CLOCK_US)
#define PORT    8080

static struct {
    struct wire *wire;
    uint64_t now;
    struct client client;
    struct backend backend;
    struct backend_log log;
} pair;

static void open_pair(uint64_t seed)
{
    struct wire_config config = {.ends = 2, .queues = 1, .seed = seed, .mbufs = 2048};
    pair.wire = wire_create(&config);
    pair.now = CLOCK_S;
    wire_advance(pair.wire, pair.now);
    client_prepare(&pair.client, pair.wire, 0, "10.1.0.1/24", "fd01::1/64");
    backend_prepare(&pair.backend, pair.wire, 1, "only", "10.1.0.2/24", "fd01::2/64");
    backend_log_open(&pair.log);
    client_open(&pair.client);
    backend_open(&pair.backend, PORT, &pair.log);
}

static void turn(uint64_t length_ns)
{
    pair.now += length_ns;
    wire_advance(pair.wire, pair.now);
    client_turn(&pair.client, pair.now);
    backend_turn(&pair.backend, pair.now);
}

static void run(void)
{
    for (int i = 0; i < 200000 && client_open_count(&pair.client) > 0; i++)
        turn(TURN_NS);
    assert_int_equal(client_open_count(&pair.client), 0);
}

static void close_pair(void)
{
    for (uint32_t i = 0; i < pair.client.conn_count; i++)
        client_conn_close(&pair.client.conns[i], pair.now);
    for (int i = 0; i < 20000; i++)
        turn(5 * CLOCK_MS);
    assert_int_equal(h2_host_used(&pair.client.host), 0);
    assert_int_equal(h2_host_used(&pair.backend.host), 0);
    assert_int_equal(wire_mbufs_used(pair.wire), 0);
    wire_destroy(pair.wire);
    backend_log_close(&pair.log);
    client_destroy(&pair.client);
    backend_destroy(&pair.backend);
    memory_reset();
}

static struct client_conn *connect_to(const char *address)
{
    return client_connect(&pair.client, address, PORT, pair.now);
}

static void bodies_arrive_byte_by_byte(const char *address)
{
    static const uint32_t sizes[] = {0, 1, 1460, 65535, 1 << 20};
    struct client_request *requests[array_count(sizes)];
    open_pair(1);
    struct client_conn *conn = connect_to(address);
    for (size_t i = 0; i < array_count(sizes); i++) {
        char path[64];
        snprintf(path, sizeof(path), "/echo?size=%u", sizes[i]);
        struct client_script script = {.method = "POST",
                                       .path = path,
                                       .body_bytes = sizes[array_count(sizes) - 1 - i],
                                       .trailers = i % 2 == 0};
        requests[i] = client_send(conn, &script, pair.now);
    }
    run();
    for (size_t i = 0; i < array_count(sizes); i++) {
        assert_int_equal(requests[i]->outcome, CLIENT_FINISHED);
        assert_true(client_is_whole(requests[i], 200, sizes[i]));
        assert_false(pair.log.seen[i].corrupt);
        assert_true(pair.log.seen[i].whole);
    }
    close_pair();
}

static void bodies_arrive_over_ipv4(void **state)
{
    bodies_arrive_byte_by_byte("10.1.0.2");
}

static void bodies_arrive_over_ipv6(void **state)
{
    bodies_arrive_byte_by_byte("fd01::2");
}

static struct client_request *ask(struct backend_plan plan)
{
    pair.backend.plan = plan;
    struct client_request *request = client_get(connect_to("10.1.0.2"), "/x?size=5000", pair.now);
    run();
    return request;
}

static void a_backend_does_as_it_is_told(void **state)
{
    open_pair(2);
    struct client_request *request = ask((struct backend_plan){.status = 503, .trailers = true});
    assert_true(client_is_whole(request, 503, 5000) && request->trailers);
    request = ask((struct backend_plan){.interim = true, .no_length = true});
    assert_true(client_is_whole(request, 200, 5000) && request->interims == 1);
    uint64_t before = pair.now;
    request = ask((struct backend_plan){.head_after_ns = CLOCK_S});
    assert_true(client_is_whole(request, 200, 5000) && pair.now >= before + CLOCK_S);
    before = pair.now;
    request = ask((struct backend_plan){.chunk_bytes = 1000, .chunk_every_ns = 100 * CLOCK_MS});
    assert_true(client_is_whole(request, 200, 5000) && pair.now >= before + 500 * CLOCK_MS);
    close_pair();
}

static void a_backend_misbehaves_as_it_is_told(void **state)
{
    open_pair(3);
    struct client_request *request = ask((struct backend_plan){.act = BACKEND_RESETS});
    assert_int_equal(request->outcome, CLIENT_RESET);
    assert_int_equal(request->reset.code, H2_INTERNAL_ERROR);
    request = ask((struct backend_plan){.act = BACKEND_REFUSES});
    assert_true(request->reset.unprocessed);
    request = ask((struct backend_plan){.act = BACKEND_CLOSES});
    assert_true(request->outcome == CLIENT_RESET && request->status == 0);
    request =
        ask((struct backend_plan){.act = BACKEND_ABORTS, .act_late = true, .act_after_bytes = 100});
    assert_true(request->outcome == CLIENT_RESET && request->status == 200);
    assert_true(request->received <= 100 && request->reset.conn_lost);
    request = ask(
        (struct backend_plan){.act = BACKEND_SENDS_LESS, .act_late = true, .act_after_bytes = 100});
    assert_int_equal(request->outcome, CLIENT_RESET); /* its h2 compares with content-length */
    request = ask((struct backend_plan){.act = BACKEND_SHUTS_DOWN});
    assert_true(client_is_whole(request, 200, 5000));
    close_pair();
}

static void a_backend_refuses_dies_and_comes_back(void **state)
{
    open_pair(4);
    backend_refuse(&pair.backend);
    struct client_request *request = ask((struct backend_plan){0});
    assert_int_equal(request->outcome, CLIENT_UNSENT);
    assert_int_equal(request->conn->failure, TCP_FAILURE_REFUSED);
    backend_die(&pair.backend, pair.now);
    request = ask((struct backend_plan){0});
    assert_int_equal(request->conn->failure, TCP_FAILURE_TIMEOUT);
    backend_up(&pair.backend);
    request = ask((struct backend_plan){0});
    assert_true(client_is_whole(request, 200, 5000));
    close_pair();
}

static void clients_leave(void **state)
{
    open_pair(5);
    pair.backend.plan = (struct backend_plan){.chunk_bytes = 100, .chunk_every_ns = CLOCK_MS};
    struct client_conn *a = connect_to("10.1.0.2");
    struct client_conn *b = connect_to("10.1.0.2");
    struct client_script script = {.path = "/a?size=100000", .leaves_after = 1000};
    struct client_request *first = client_send(a, &script, pair.now);
    struct client_request *second = client_get(b, "/b?size=100000", pair.now);
    for (int i = 0; i < 1000; i++)
        turn(TURN_NS);
    assert_int_equal(first->outcome, CLIENT_ABANDONED);
    assert_int_equal(second->outcome, CLIENT_OPEN);
    client_conn_abort(b, pair.now);
    assert_int_equal(second->outcome, CLIENT_ABANDONED);
    close_pair();
}

static void bodies_arrive_over_a_bad_wire(void **state)
{
    for (uint64_t seed = 10; seed < 14; seed++) {
        open_pair(seed);
        struct wire_faults faults = {.drop_ppm = 20000,
                                     .duplicate_ppm = 10000,
                                     .reorder_ppm = 20000,
                                     .reorder_ns = CLOCK_MS,
                                     .corrupt_ppm = 2000,
                                     .delay_ns = CLOCK_MS};
        backend_set_faults(&pair.backend, &faults);
        struct client_conn *conn = connect_to(seed % 2 == 0 ? "10.1.0.2" : "fd01::2");
        struct client_script script = {
            .method = "POST", .path = "/lossy?size=300000", .body_bytes = 200000};
        struct client_request *request = client_send(conn, &script, pair.now);
        run();
        assert_true(client_is_whole(request, 200, 300000));
        assert_false(pair.log.seen[0].corrupt);
        close_pair();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_arrive_over_ipv4),
        cmocka_unit_test(bodies_arrive_over_ipv6),
        cmocka_unit_test(a_backend_does_as_it_is_told),
        cmocka_unit_test(a_backend_misbehaves_as_it_is_told),
        cmocka_unit_test(a_backend_refuses_dies_and_comes_back),
        cmocka_unit_test(clients_leave),
        cmocka_unit_test(bodies_arrive_over_a_bad_wire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
