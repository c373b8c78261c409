/* Identical requests at the same time, over connections that belong to different workers. */
#include "dataplane/base/clock.h"
#include "tests/support/checks.h"
#include "tests/support/cmocka.h"

#include <stdio.h>

#define REQUESTS 200
#define CONNS    8

struct crowd {
    struct world *world;
    struct client_conn *conns[CONNS];
    struct client_request *requests[REQUESTS];
};

/* CONNS connections, in turn to each worker. */
static void open_crowd(struct crowd *crowd, const struct world_config *config)
{
    crowd->world = world_open(config);
    uint16_t workers = crowd->world->config.workers;
    for (uint32_t i = 0; i < CONNS; i++)
        crowd->conns[i] = world_connect_to(crowd->world, (uint16_t)(i % workers), i % 2 == 0);
}

static void ask_all(struct crowd *crowd, const struct client_script *script)
{
    for (uint32_t i = 0; i < REQUESTS; i++)
        crowd->requests[i] = world_send(crowd->world, crowd->conns[i % CONNS], script);
}

static uint32_t whole_count(const struct crowd *crowd, uint64_t bytes)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < REQUESTS; i++)
        count += crowd->requests[i]->outcome == CLIENT_FINISHED &&
                 client_is_whole(crowd->requests[i], 200, bytes);
    return count;
}

/* The same answer: the serial number names it, and the bytes were compared with it. */
static void assert_one_answer(const struct crowd *crowd, uint64_t bytes)
{
    assert_int_equal(whole_count(crowd, bytes), REQUESTS);
    for (uint32_t i = 1; i < REQUESTS; i++)
        assert_int_equal(crowd->requests[i]->serial, crowd->requests[0]->serial);
}

static void one_upstream_request(const struct world_config *config, uint64_t bytes)
{
    struct crowd crowd;
    char path[64];
    open_crowd(&crowd, config);
    snprintf(path, sizeof(path), "/share?size=%lu", bytes);
    world_plan(crowd.world, &(struct backend_plan){.head_after_ns = CLOCK_S,
                                                   .chunk_bytes = 10000,
                                                   .chunk_every_ns = CLOCK_MS,
                                                   .trailers = true});
    ask_all(&crowd, &(struct client_script){.path = path});
    assert_true(world_run(crowd.world));
    assert_int_equal(crowd.world->log.count, 1);
    assert_one_answer(&crowd, bytes);
    for (uint32_t i = 0; i < REQUESTS; i++)
        assert_true(crowd.requests[i]->trailers);
    assert_true(check_and_close(crowd.world));
}

static void two_hundred_ask_once_one_worker(void **state)
{
    one_upstream_request(&(struct world_config){.seed = 1}, 100000);
}

static void two_hundred_ask_once_two_workers(void **state)
{
    one_upstream_request(&(struct world_config){.seed = 2, .workers = 2}, 100000);
    one_upstream_request(&(struct world_config){.seed = 3, .workers = 2}, 0);
}

static void two_hundred_ask_once_four_workers(void **state)
{
    for (uint64_t seed = 4; seed < 8; seed++)
        one_upstream_request(&(struct world_config){.seed = seed, .workers = 4}, 100000);
    one_upstream_request(&(struct world_config){.seed = 8, .workers = 4}, 1);
}

static void two_hundred_ask_once_over_a_bad_wire(void **state)
{
    const struct wire_faults faults = {
        .drop_ppm = 10000, .reorder_ppm = 10000, .reorder_ns = CLOCK_MS, .delay_ns = CLOCK_MS};
    for (uint64_t seed = 10; seed < 13; seed++)
        one_upstream_request(
            &(struct world_config){.seed = seed, .workers = 4, .front = faults, .back = faults},
            200000);
}

/* More than a flight keeps: late joiners get their own flight, everybody the whole answer. */
static void a_large_answer_is_whole_for_everybody(void **state)
{
    struct crowd crowd;
    open_crowd(&crowd, &(struct world_config){.seed = 20, .workers = 2});
    world_plan(crowd.world, &(struct backend_plan){.head_after_ns = 100 * CLOCK_MS});
    for (uint32_t i = 0; i < REQUESTS; i++)
        crowd.requests[i] =
            world_get(crowd.world, crowd.conns[i % CONNS],
                      i < REQUESTS / 10 ? "/share?size=2000000" : "/share?size=30000");
    assert_true(world_run(crowd.world));
    for (uint32_t i = 0; i < REQUESTS; i++)
        assert_true(client_is_whole(crowd.requests[i], 200, i < REQUESTS / 10 ? 2000000 : 30000));
    assert_true(check_and_close(crowd.world));
}

static const struct backend_plan stream_of_a_second = {.chunk_bytes = 1000,
                                                       .chunk_every_ns = 10 * CLOCK_MS};

static bool first_has_some(struct world *world, void *context)
{
    const struct client_request *request = context;
    return request->received > 20000;
}

/* Members leave in mid-body, by a reset and with their connection; the others do not notice. */
static void members_leave_in_the_middle(uint64_t seed, uint16_t workers)
{
    struct crowd crowd;
    open_crowd(&crowd, &(struct world_config){.seed = seed, .workers = workers});
    world_plan(crowd.world, &stream_of_a_second);
    ask_all(&crowd, &(struct client_script){.path = "/share?size=100000"});
    assert_true(
        world_run_until(crowd.world, first_has_some, crowd.requests[REQUESTS - 1], 60 * CLOCK_S));
    for (uint32_t i = 1; i < REQUESTS; i += 3)
        client_leave(crowd.requests[i], crowd.world->now);
    client_conn_abort(crowd.conns[1], crowd.world->now);
    assert_true(world_run(crowd.world));
    for (uint32_t i = 0; i < REQUESTS; i++)
        if (i % 3 != 1 && i % CONNS != 1)
            assert_true(client_is_whole(crowd.requests[i], 200, 100000));
    assert_int_equal(crowd.world->log.count, 1);
    assert_true(check_and_close(crowd.world));
}

static void members_leave(void **state)
{
    members_leave_in_the_middle(30, 1);
    members_leave_in_the_middle(31, 2);
    members_leave_in_the_middle(32, 4);
}

/* The first to ask leads; it leaves before the answer begins, or in mid-body. */
static void leader_leaves_when(uint64_t seed, uint16_t workers, uint64_t at_bytes)
{
    struct crowd crowd;
    open_crowd(&crowd, &(struct world_config){.seed = seed, .workers = workers});
    struct backend_plan plan = stream_of_a_second;
    plan.head_after_ns = CLOCK_S;
    world_plan(crowd.world, &plan);
    struct client_script script = {.path = "/share?size=100000", .leaves_after = at_bytes};
    struct client_request *leader = world_send(crowd.world, crowd.conns[0], &script);
    world_run_for(crowd.world, 100 * CLOCK_MS);
    assert_int_equal(crowd.world->log.count, 1);
    ask_all(&crowd, &(struct client_script){.path = "/share?size=100000"});
    world_run_for(crowd.world, 100 * CLOCK_MS);
    if (at_bytes == 0)
        client_leave(leader, crowd.world->now);
    assert_true(world_run(crowd.world));
    assert_int_equal(leader->outcome, CLIENT_ABANDONED);
    assert_int_equal(crowd.world->log.count, 1);
    assert_one_answer(&crowd, 100000);
    assert_true(check_and_close(crowd.world));
}

static void the_leader_leaves_before_the_answer(void **state)
{
    leader_leaves_when(40, 1, 0);
    leader_leaves_when(41, 4, 0);
}

static void the_leader_leaves_in_mid_body(void **state)
{
    leader_leaves_when(42, 1, 30000);
    leader_leaves_when(43, 4, 30000);
}

/* C12: at once for what nobody may join, after a while for a GET. */
static void when_all_leave_the_backend_is_told(void **state)
{
    struct world *world = world_open(&(struct world_config){.seed = 50});
    struct client_conn *conn = world_connect_to(world, 0, false);
    world_plan(world, &stream_of_a_second);
    struct client_script script = {.path = "/share?size=1000000", .leaves_after = 5000};
    struct client_request *shared = world_send(world, conn, &script);
    script.path = "/own?size=1000000";
    struct client_request *own = world_send(world, conn, &script);
    assert_true(world_run(world));
    assert_int_equal(shared->outcome, CLIENT_ABANDONED);
    assert_int_equal(own->outcome, CLIENT_ABANDONED);
    world_run_for(world, CLOCK_S);
    assert_int_equal(world_counter(world, "coalesce", "cancelled"), 2);
    for (uint32_t i = 0; i < WORLD_BACKENDS_MAX; i++)
        assert_int_equal(h2_stream_count(world->backends[i].host.h2), 0);
    assert_true(check_and_close(world));
}

static void within_the_linger_time_a_flight_is_joined_again(void **state)
{
    struct world *world = world_open(&(struct world_config){.seed = 51, .workers = 2});
    struct client_conn *first = world_connect_to(world, 0, false);
    struct client_conn *second = world_connect_to(world, 1, false);
    world_plan(world, &(struct backend_plan){.head_after_ns = CLOCK_S});
    struct client_request *left = world_get(world, first, "/share?size=10");
    world_run_for(world, 100 * CLOCK_MS);
    client_leave(left, world->now);
    world_run_for(world, 100 * CLOCK_MS);
    struct client_request *joined = world_get(world, second, "/share?size=10");
    assert_true(world_run(world));
    assert_true(client_is_whole(joined, 200, 10));
    assert_int_equal(world->log.count, 1);
    assert_true(check_and_close(world));
}

static void answers_that_may_not_be_shared_are_not(void **state)
{
    struct crowd crowd;
    open_crowd(&crowd, &(struct world_config){.seed = 60, .workers = 4});
    world_plan(crowd.world, &(struct backend_plan){.head_after_ns = CLOCK_S,
                                                   .name = "cache-control",
                                                   .value = "no-store"});
    ask_all(&crowd, &(struct client_script){.path = "/share?size=1000"});
    assert_true(world_run(crowd.world));
    assert_int_equal(whole_count(&crowd, 1000), REQUESTS);
    for (uint32_t i = 0; i < REQUESTS; i++)
        for (uint32_t j = 0; j < i; j++)
            assert_int_not_equal(crowd.requests[i]->serial, crowd.requests[j]->serial);
    assert_true(check_and_close(crowd.world));
}

/* C4: other credentials, other answers; and the wrong method, a body, an opt-out. */
static void who_differs_gets_an_answer_of_their_own(void **state)
{
    static const struct client_script scripts[] = {
        {.path = "/share?size=10"},
        {.path = "/share?size=10", .names = {"authorization"}, .values = {"Bearer a"}},
        {.path = "/share?size=10", .names = {"authorization"}, .values = {"Bearer b"}},
        {.path = "/share?size=10", .names = {"cookie"}, .values = {"a=b"}},
        {.path = "/share?size=10", .names = {"x-unknown"}, .values = {"1"}},
        {.path = "/share?size=10", .names = {"cache-control"}, .values = {"no-cache"}},
        {.path = "/share?size=10", .authority = "other.example"},
        {.path = "/share?size=10", .method = "HEAD"},
        {.path = "/share?size=10", .method = "POST", .body_bytes = 1},
        {.path = "/share?size=11"},
    };
    struct client_request *requests[array_count(scripts)];
    struct world *world = world_open(&(struct world_config){.seed = 61});
    struct client_conn *conn = world_connect_to(world, 0, true);
    world_plan(world, &(struct backend_plan){.head_after_ns = CLOCK_S});
    for (size_t i = 0; i < array_count(scripts); i++)
        requests[i] = world_send(world, conn, &scripts[i]);
    assert_true(world_run(world));
    assert_int_equal(world->log.count, array_count(scripts));
    for (size_t i = 0; i < array_count(scripts); i++) {
        assert_int_equal(requests[i]->status, 200);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(requests[i]->serial, requests[j]->serial);
    }
    assert_true(check_and_close(world));
}

/* C15: one that does not read is cut off, or served alone; it does not hold the others. */
static void one_that_does_not_read_holds_nobody(void **state)
{
    for (uint64_t seed = 70; seed < 73; seed++) {
        struct world *world = world_open(&(struct world_config){.seed = seed, .workers = 2});
        struct client_conn *a = world_connect_to(world, 0, false);
        struct client_conn *b = world_connect_to(world, 1, false);
        struct client_conn *c = world_connect_to(world, seed % 2, false);
        world_plan(world, &(struct backend_plan){.head_after_ns = CLOCK_S});
        struct client_script script = {.path = "/share?size=3000000"};
        struct client_request *first = world_send(world, a, &script);
        struct client_request *second = world_send(world, b, &script);
        script.holds_credit = true;
        struct client_request *slow = world_send(world, c, &script);
        world_run_for(world, 30 * CLOCK_S);
        assert_true(client_is_whole(first, 200, 3000000));
        assert_true(client_is_whole(second, 200, 3000000));
        client_resume(slow);
        assert_true(world_run(world));
        assert_true(slow->outcome == CLIENT_RESET || client_is_whole(slow, 200, 3000000));
        assert_true(check_and_close(world));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_hundred_ask_once_one_worker),
        cmocka_unit_test(two_hundred_ask_once_two_workers),
        cmocka_unit_test(two_hundred_ask_once_four_workers),
        cmocka_unit_test(two_hundred_ask_once_over_a_bad_wire),
        cmocka_unit_test(a_large_answer_is_whole_for_everybody),
        cmocka_unit_test(members_leave),
        cmocka_unit_test(the_leader_leaves_before_the_answer),
        cmocka_unit_test(the_leader_leaves_in_mid_body),
        cmocka_unit_test(when_all_leave_the_backend_is_told),
        cmocka_unit_test(within_the_linger_time_a_flight_is_joined_again),
        cmocka_unit_test(answers_that_may_not_be_shared_are_not),
        cmocka_unit_test(who_differs_gets_an_answer_of_their_own),
        cmocka_unit_test(one_that_does_not_read_holds_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
