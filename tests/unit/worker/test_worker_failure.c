/* Backends and regions that fail: what is tried again, what clients are told. */
#include "dataplane/base/clock.h"
#include "tests/support/checks.h"
#include "tests/support/cmocka.h"

#include <stdio.h>

/* ---- one request, and a first attempt that fails ---- */

/* The first request that any backend sees fails as PLAN says; later ones are answered. */
static struct backend_plan first_fails(void *context, const struct backend_seen *seen)
{
    const struct backend_plan *plan = context;
    return seen->serial == 1 ? *plan : (struct backend_plan){0};
}

static struct backend_plan all_fail(void *context, const struct backend_seen *seen)
{
    return *(const struct backend_plan *)context;
}

struct outcome {
    struct world *world;
    struct client_request *request;
};

static struct outcome ask(uint64_t seed, backend_chooser *choose, struct backend_plan plan,
                          const struct client_script *script)
{
    struct outcome outcome = {world_open(&(struct world_config){.seed = seed, .workers = 2}), NULL};
    world_choose(outcome.world, choose, &plan);
    struct client_conn *conn = world_connect_to(outcome.world, 0, seed % 2 == 0);
    outcome.request = world_send(outcome.world, conn, script);
    assert_true(world_run(outcome.world));
    return outcome;
}

static const struct client_script get = {.path = "/share?size=5000"};
static const struct client_script post = {
    .method = "POST", .path = "/own?size=5000", .body_bytes = 5000};
static const struct client_script safe_post = {
    .method = "POST", .path = "/safe?size=5000", .body_bytes = 5000};

static bool same_region(const struct world *world)
{
    return world->log.seen[0].backend->name[0] == world->log.seen[1].backend->name[0];
}

static void assert_retried_once(struct outcome outcome, uint64_t bytes)
{
    assert_int_equal(outcome.request->outcome, CLIENT_FINISHED);
    assert_true(client_is_whole(outcome.request, 200, bytes));
    assert_int_equal(outcome.request->serial, 2);
    assert_int_equal(outcome.world->log.count, 2);
    assert_ptr_not_equal(outcome.world->log.seen[0].backend, outcome.world->log.seen[1].backend);
}

static void a_reset_before_headers_is_retried_once(void **state)
{
    struct outcome outcome =
        ask(1, first_fails, (struct backend_plan){.act = BACKEND_RESETS}, &get);
    assert_retried_once(outcome, 5000);
    assert_int_equal(world_counter(outcome.world, "coalesce", "retries_reset"), 1);
    assert_true(check_and_close(outcome.world));
}

static void there_is_no_third_attempt(void **state)
{
    struct outcome outcome = ask(2, all_fail, (struct backend_plan){.act = BACKEND_RESETS}, &get);
    assert_true(client_is_local(outcome.request, 502));
    assert_true(outcome.request->has_retry_after); /* C9 */
    assert_int_equal(outcome.world->log.count, 2);
    assert_true(check_and_close(outcome.world));
}

static void a_lost_connection_leaves_the_region(void **state)
{
    static const enum backend_act acts[] = {BACKEND_ABORTS, BACKEND_CLOSES};
    for (uint64_t i = 0; i < array_count(acts); i++) {
        struct outcome outcome =
            ask(3 + i, first_fails, (struct backend_plan){.act = acts[i]}, &get);
        assert_retried_once(outcome, 5000);
        assert_false(same_region(outcome.world));
        assert_true(check_and_close(outcome.world));
    }
}

static void what_was_refused_is_retried_whatever_the_method(void **state)
{
    struct outcome outcome =
        ask(5, first_fails, (struct backend_plan){.act = BACKEND_REFUSES, .early = true}, &post);
    assert_retried_once(outcome, 5000);
    assert_int_equal(outcome.world->log.seen[1].body_bytes, 5000);
    assert_true(check_and_close(outcome.world));
}

static void a_post_that_was_reset_is_not_retried(void **state)
{
    struct outcome outcome =
        ask(6, first_fails, (struct backend_plan){.act = BACKEND_RESETS}, &post);
    assert_true(client_is_local(outcome.request, 502));
    assert_int_equal(outcome.world->log.count, 1);
    assert_true(check_and_close(outcome.world));
}

static void a_post_that_is_safe_to_replay_is(void **state)
{
    struct outcome outcome =
        ask(7, first_fails, (struct backend_plan){.act = BACKEND_ABORTS}, &safe_post);
    assert_retried_once(outcome, 5000);
    assert_int_equal(outcome.world->log.seen[1].body_bytes, 5000);
    assert_true(check_and_close(outcome.world));
}

static void a_post_too_large_to_be_kept_is_not_retried(void **state)
{
    struct client_script script = safe_post;
    script.body_bytes = 300000;
    struct outcome outcome =
        ask(8, first_fails, (struct backend_plan){.act = BACKEND_ABORTS}, &script);
    assert_true(client_is_local(outcome.request, 502));
    assert_int_equal(outcome.world->log.count, 1);
    assert_true(check_and_close(outcome.world));
}

static void a_late_first_byte_is_retried(void **state)
{
    struct client_script script = {.path = "/short?size=5000"};
    struct outcome outcome =
        ask(9, first_fails, (struct backend_plan){.act = BACKEND_HANGS}, &script);
    assert_retried_once(outcome, 5000);
    assert_true(check_and_close(outcome.world));
}

static void a_backend_that_shuts_down_is_left_in_good_order(void **state)
{
    struct outcome outcome =
        ask(10, first_fails, (struct backend_plan){.act = BACKEND_SHUTS_DOWN}, &get);
    assert_true(client_is_whole(outcome.request, 200, 5000));
    assert_int_equal(outcome.world->log.count, 1);
    assert_true(check_and_close(outcome.world));
}

/* ---- after headers were forwarded ---- */

/* Everybody on the flight is told honestly: a reset, never END_STREAM. */
static void breaks_in_mid_body(uint64_t seed, enum backend_act act)
{
    struct client_request *requests[12];
    struct world *world = world_open(&(struct world_config){.seed = seed, .workers = 4});
    world_plan(world, &(struct backend_plan){.head_after_ns = 200 * CLOCK_MS,
                                             .chunk_bytes = 5000,
                                             .chunk_every_ns = 20 * CLOCK_MS,
                                             .act = act,
                                             .act_late = true,
                                             .act_after_bytes = 20000});
    struct client_conn *conns[4];
    for (uint16_t w = 0; w < 4; w++)
        conns[w] = world_connect_to(world, w, w % 2 == 0);
    for (uint32_t i = 0; i < array_count(requests); i++)
        requests[i] = world_get(world, conns[i % 4], "/short?size=50000");
    assert_true(world_run(world));
    assert_int_equal(world->log.count, 1);
    for (uint32_t i = 0; i < array_count(requests); i++) {
        assert_int_equal(requests[i]->outcome, CLIENT_RESET);
        assert_int_equal(requests[i]->reset.code, H2_INTERNAL_ERROR);
        assert_false(requests[i]->complete);
        assert_int_equal(requests[i]->status, 200);
        assert_true(requests[i]->received <= 20000);
    }
    assert_true(check_and_close(world));
}

static void what_breaks_in_mid_body_is_a_reset_for_everybody(void **state)
{
    static const enum backend_act acts[] = {BACKEND_RESETS, BACKEND_CLOSES, BACKEND_ABORTS,
                                            BACKEND_SENDS_LESS, BACKEND_HANGS};
    for (uint64_t i = 0; i < array_count(acts); i++)
        breaks_in_mid_body(20 + i, acts[i]);
}

/* ---- connects ---- */

static void a_refused_connect_moves_on_at_no_cost(void **state)
{
    struct world *world = world_open(&(struct world_config){.seed = 30});
    backend_refuse(&world->backends[0]);
    backend_refuse(&world->backends[1]);
    struct backend_plan plan = {.act = BACKEND_RESETS};
    world_choose(world, first_fails, &plan);
    struct client_conn *conn = world_connect_to(world, 0, false);
    struct client_request *request = world_get(world, conn, "/share?size=5000");
    assert_true(world_run(world));
    /* Both of eu refused, then us-0 or us-1 reset, then the other one answered. */
    assert_retried_once((struct outcome){world, request}, 5000);
    assert_in_range(world_counter(world, "coalesce", "connects_moved"), 1, 2);
    assert_true(check_and_close(world));
}

static void a_post_moves_on_from_a_refused_connect(void **state)
{
    struct world *world = world_open(&(struct world_config){.seed = 31});
    backend_refuse(&world->backends[0]);
    backend_refuse(&world->backends[1]);
    struct client_request *request = world_send(world, world_connect_to(world, 0, false), &post);
    assert_true(world_run(world));
    assert_true(client_is_whole(request, 200, 5000));
    assert_int_equal(world->log.count, 1);
    assert_int_equal(world->log.seen[0].body_bytes, 5000);
    assert_true(check_and_close(world));
}

static void a_silent_backend_is_left_after_the_connect_timeout(void **state)
{
    struct world *world = world_open(&(struct world_config){.seed = 32});
    world_region_die(world, 0);
    struct client_request *request = world_send(world, world_connect_to(world, 0, false), &post);
    assert_true(world_run(world));
    assert_true(client_is_whole(request, 200, 5000));
    assert_int_equal(world->log.count, 1);
    assert_true(check_and_close(world));
}

/* ---- a region fails under load ---- */

#define LOAD 300

enum region_end {
    REGION_CRASHES, /* every connection is reset */
    REGION_DIES,    /* nothing comes any more */
};

static bool some_are_answered(struct world *world, void *context)
{
    return world->log.count > LOAD / 4;
}

/*
 * Requests everywhere: shared, own, to be answered soon or slowly. When the region ends, what has
 * no headers yet must end well.
 */
static void region_ends_under_load(uint64_t seed, enum region_end how, struct wire_faults faults)
{
    struct client_request *requests[LOAD];
    bool had_head[LOAD];
    struct world *world = world_open(
        &(struct world_config){.seed = seed, .workers = 4, .front = faults, .back = faults});
    world_plan(world, &(struct backend_plan){.head_after_ns = 30 * CLOCK_MS,
                                             .chunk_bytes = 2000,
                                             .chunk_every_ns = 2 * CLOCK_MS});
    struct client_conn *conns[8];
    for (uint16_t i = 0; i < array_count(conns); i++)
        conns[i] = world_connect_to(world, i % 4, i % 2 == 0);
    for (uint32_t i = 0; i < LOAD; i++) {
        char path[64];
        snprintf(path, sizeof(path), i % 2 == 0 ? "/share/%u?size=9000" : "/own/%u?size=9000",
                 i / 6);
        requests[i] = world_get(world, conns[i % array_count(conns)], path);
    }
    assert_true(world_run_until(world, some_are_answered, NULL, 60 * CLOCK_S));
    for (uint32_t i = 0; i < LOAD; i++)
        had_head[i] = requests[i]->status != 0;
    if (how == REGION_CRASHES)
        world_region_crash(world, 0);
    else
        world_region_die(world, 0);
    assert_true(world_run(world));
    uint32_t broken = 0;
    for (uint32_t i = 0; i < LOAD; i++) {
        if (client_is_whole(requests[i], 200, 9000))
            continue;
        /* Headers may have been on their way to the client when the region ended. */
        assert_true(had_head[i] || requests[i]->status == 200);
        assert_int_equal(requests[i]->outcome, CLIENT_RESET);
        broken++;
    }
    assert_true(broken < LOAD);
    assert_true(check_and_close(world));
}

static void a_region_crashes_under_load(void **state)
{
    for (uint64_t seed = 40; seed < 44; seed++)
        region_ends_under_load(seed, REGION_CRASHES, (struct wire_faults){0});
}

static void a_region_dies_under_load(void **state)
{
    for (uint64_t seed = 50; seed < 54; seed++)
        region_ends_under_load(seed, REGION_DIES, (struct wire_faults){0});
}

static void a_region_dies_under_load_on_a_bad_wire(void **state)
{
    const struct wire_faults faults = {.drop_ppm = 10000,
                                       .duplicate_ppm = 5000,
                                       .reorder_ppm = 10000,
                                       .reorder_ns = CLOCK_MS,
                                       .delay_ns = CLOCK_MS};
    for (uint64_t seed = 60; seed < 63; seed++)
        region_ends_under_load(seed, seed % 2 == 0 ? REGION_DIES : REGION_CRASHES, faults);
}

/* ---- time ---- */

static void the_deadline_of_a_request_is_kept(void **state)
{
    struct world *world = world_open(&(struct world_config){.seed = 70});
    struct client_conn *conn = world_connect_to(world, 0, false);
    world_plan(world, &(struct backend_plan){.chunk_bytes = 100, .chunk_every_ns = 100 * CLOCK_MS});
    uint64_t before = world->now;
    struct client_request *request = world_get(world, conn, "/short?size=1000000");
    assert_true(world_run(world));
    assert_int_equal(request->outcome, CLIENT_RESET);
    assert_int_equal(request->reset.code, H2_INTERNAL_ERROR);
    assert_in_range(world->now - before, 3 * CLOCK_S, 4 * CLOCK_S);
    world_run_for(world, CLOCK_S);
    for (uint32_t i = 0; i < WORLD_BACKENDS_MAX; i++)
        assert_int_equal(h2_stream_count(world->backends[i].host.h2), 0);
    assert_true(check_and_close(world));
}

static void a_request_whose_body_never_ends_is_a_504(void **state)
{
    struct world *world = world_open(&(struct world_config){.seed = 71});
    struct client_conn *conn = world_connect_to(world, 0, false);
    world_plan(world, &(struct backend_plan){.act = BACKEND_HANGS, .early = true});
    struct client_script script = {.method = "POST", .path = "/short", .body_bytes = 100000000};
    struct client_request *request = world_send(world, conn, &script);
    assert_true(world_run_until(world, some_are_answered, NULL, 10 * CLOCK_S) == false);
    assert_true(client_is_local(request, 504));
    assert_true(world_run(world));
    assert_true(check_and_close(world));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reset_before_headers_is_retried_once),
        cmocka_unit_test(there_is_no_third_attempt),
        cmocka_unit_test(a_lost_connection_leaves_the_region),
        cmocka_unit_test(what_was_refused_is_retried_whatever_the_method),
        cmocka_unit_test(a_post_that_was_reset_is_not_retried),
        cmocka_unit_test(a_post_that_is_safe_to_replay_is),
        cmocka_unit_test(a_post_too_large_to_be_kept_is_not_retried),
        cmocka_unit_test(a_late_first_byte_is_retried),
        cmocka_unit_test(a_backend_that_shuts_down_is_left_in_good_order),
        cmocka_unit_test(what_breaks_in_mid_body_is_a_reset_for_everybody),
        cmocka_unit_test(a_refused_connect_moves_on_at_no_cost),
        cmocka_unit_test(a_post_moves_on_from_a_refused_connect),
        cmocka_unit_test(a_silent_backend_is_left_after_the_connect_timeout),
        cmocka_unit_test(a_region_crashes_under_load),
        cmocka_unit_test(a_region_dies_under_load),
        cmocka_unit_test(a_region_dies_under_load_on_a_bad_wire),
        cmocka_unit_test(the_deadline_of_a_request_is_kept),
        cmocka_unit_test(a_request_whose_body_never_ends_is_a_504),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
