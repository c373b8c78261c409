/* C1, C2, C14: POSTs at the same time, over connections of different workers, end to end. */
#include "dataplane/base/clock.h"
#include "tests/support/checks.h"
#include "tests/support/cmocka.h"

#include <stdio.h>

#define REQUESTS 100
#define CONNS    8

struct crowd {
    struct world *world;
    struct client_conn *conns[CONNS];
    struct client_request *requests[REQUESTS];
};

static void open_crowd(struct crowd *crowd, const struct world_config *config)
{
    crowd->world = world_open(config);
    uint16_t workers = crowd->world->config.workers;
    for (uint32_t i = 0; i < CONNS; i++)
        crowd->conns[i] = world_connect_to(crowd->world, (uint16_t)(i % workers), i % 2 == 0);
}

static void ask(struct crowd *crowd, uint32_t i, const char *path, uint64_t body_bytes)
{
    struct client_script script = {.method = "POST", .path = path, .body_bytes = body_bytes};
    crowd->requests[i] = world_send(crowd->world, crowd->conns[i % CONNS], &script);
}

static void assert_whole(const struct crowd *crowd, uint64_t bytes)
{
    for (uint32_t i = 0; i < REQUESTS; i++) {
        assert_int_equal(crowd->requests[i]->outcome, CLIENT_FINISHED);
        assert_true(client_is_whole(crowd->requests[i], 200, bytes));
    }
}

static void one_upstream_request(const struct world_config *config, uint64_t body_bytes)
{
    struct crowd crowd;
    open_crowd(&crowd, config);
    world_plan(crowd.world, &(struct backend_plan){.head_after_ns = CLOCK_S,
                                                   .chunk_bytes = 5000,
                                                   .chunk_every_ns = CLOCK_MS,
                                                   .trailers = true});
    for (uint32_t i = 0; i < REQUESTS; i++)
        ask(&crowd, i, "/ask?size=50000", body_bytes);
    assert_true(world_run(crowd.world));
    assert_int_equal(crowd.world->log.count, 1);
    assert_int_equal(crowd.world->log.seen[0].body_bytes, body_bytes);
    assert_whole(&crowd, 50000);
    assert_int_equal(world_counter(crowd.world, "coalesce", "saved"), REQUESTS - 1);
    assert_true(check_and_close(crowd.world));
}

static void c1_a_hundred_posts_ask_once(void **state)
{
    one_upstream_request(&(struct world_config){.seed = 1}, 2000);
    one_upstream_request(&(struct world_config){.seed = 2, .workers = 2}, 1);
    one_upstream_request(&(struct world_config){.seed = 3, .workers = 4}, 20000);
}

static void c1_a_hundred_posts_ask_once_over_a_bad_wire(void **state)
{
    const struct wire_faults faults = {
        .drop_ppm = 10000, .reorder_ppm = 10000, .reorder_ns = CLOCK_MS, .delay_ns = CLOCK_MS};
    one_upstream_request(
        &(struct world_config){.seed = 4, .workers = 2, .front = faults, .back = faults}, 3000);
}

static void c2_other_bodies_are_other_requests(void **state)
{
    struct crowd crowd;
    open_crowd(&crowd, &(struct world_config){.seed = 10, .workers = 2});
    world_plan(crowd.world, &(struct backend_plan){.head_after_ns = CLOCK_S});
    for (uint32_t i = 0; i < REQUESTS; i++)
        ask(&crowd, i, "/ask?size=100", 500 + i / 10);
    assert_true(world_run(crowd.world));
    assert_int_equal(crowd.world->log.count, REQUESTS / 10);
    assert_whole(&crowd, 100);
    for (uint32_t i = 0; i < REQUESTS; i++)
        assert_true((crowd.requests[i]->serial == crowd.requests[0]->serial) == (i < 10));
    assert_true(check_and_close(crowd.world));
}

/* More than a mebibyte is streamed, each on its own; what does not fit into memory likewise. */
static void c1_bodies_past_a_bound_are_streamed(void **state)
{
    struct crowd crowd;
    open_crowd(&crowd, &(struct world_config){.seed = 11});
    struct client_request *large[3];
    struct client_script script = {.method = "POST", .path = "/ask?size=10", .body_bytes = 1500000};
    for (uint32_t i = 0; i < 3; i++)
        large[i] = world_send(crowd.world, crowd.conns[i], &script);
    assert_true(world_run(crowd.world));
    assert_int_equal(crowd.world->log.count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(client_is_whole(large[i], 200, 10));
        assert_string_equal(large[i]->cache_status, "weir; fwd=bypass; detail=body-bound");
        assert_int_equal(crowd.world->log.seen[i].body_bytes, 1500000);
    }
    assert_int_equal(world_counter(crowd.world, "coalesce", "bypass_body_bound"), 3);
    assert_true(check_and_close(crowd.world));
}

static void c25_trailers_of_a_request_are_in_no_key(void **state)
{
    struct world *world = world_open(&(struct world_config){.seed = 12});
    struct client_conn *conn = world_connect_to(world, 0, false);
    world_plan(world, &(struct backend_plan){.head_after_ns = CLOCK_S});
    struct client_script script = {
        .method = "POST", .path = "/ask?size=10", .body_bytes = 100, .trailers = true};
    struct client_request *a = world_send(world, conn, &script);
    struct client_request *b = world_send(world, conn, &script);
    assert_true(world_run(world));
    assert_true(client_is_whole(a, 200, 10) && client_is_whole(b, 200, 10));
    assert_int_equal(world->log.count, 2);
    assert_true(world->log.seen[0].trailers && world->log.seen[1].trailers);
    assert_true(check_and_close(world));
}

static bool first_is_out(struct world *world, void *context)
{
    return world_counter(world, "request", "request_bytes") > 20000;
}

/* A client that stops in mid-body: after 2 s what is here goes on, the rest follows. */
static void c1_a_body_is_held_for_two_seconds(void **state)
{
    struct world *world = world_open(&(struct world_config){.seed = 13});
    struct client_conn *conn = world_connect_to(world, 0, false);
    struct client_script script = {.method = "POST", .path = "/ask?size=10", .body_bytes = 200000};
    struct client_request *request = world_send(world, conn, &script);
    assert_true(world_run_until(world, first_is_out, NULL, 10 * CLOCK_S));
    assert_int_equal(world->log.count, 0);
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++)
        world_freeze(world, world->config.workers + i, 3 * CLOCK_S);
    world_run_for(world, 2500 * CLOCK_MS);
    assert_int_equal(world->log.count, 1);
    assert_true(world_run(world));
    assert_true(client_is_whole(request, 200, 10));
    assert_int_equal(world->log.seen[0].body_bytes, 200000);
    assert_true(check_and_close(world));
}

static bool first_has_its_beginning(struct world *world, void *context)
{
    const struct client_request *request = context;
    return request->received >= 1000;
}

/* C17: who joins an answer that has begun gets what there is at once, not with the next piece. */
static void join_amid_an_answer(const struct world_config *config)
{
    struct world *world = world_open(config);
    uint16_t workers = world->config.workers;
    struct client_script script = {.method = "POST", .path = "/ask?size=2000", .body_bytes = 20000};
    world_plan(world, &(struct backend_plan){.chunk_bytes = 1000, .chunk_every_ns = 4 * CLOCK_S});
    struct client_request *first = world_send(world, world_connect_to(world, 0, false), &script);
    assert_true(world_run_until(world, first_has_its_beginning, first, 10 * CLOCK_S));
    struct client_conn *conn = world_connect_to(world, (uint16_t)(workers - 1), false);
    struct client_request *second = world_send(world, conn, &script);
    assert_true(world_run_until(world, first_has_its_beginning, second, CLOCK_S));
    assert_int_equal(first->received, 1000);
    assert_true(world_run(world));
    assert_true(client_is_whole(first, 200, 2000) && client_is_whole(second, 200, 2000));
    assert_int_equal(world->log.count, 1);
    assert_true(check_and_close(world));
}

static void c17_who_joins_late_gets_the_beginning_at_once(void **state)
{
    join_amid_an_answer(&(struct world_config){.seed = 70});
    join_amid_an_answer(&(struct world_config){.seed = 71, .workers = 2});
}

static bool has_ended(struct world *world, void *context)
{
    return ((const struct client_request *)context)->outcome != CLIENT_OPEN;
}

/*
 * A stream of 4000 bytes in 40 s. Who joins when it is 12 s old has 4 s until it has caught up, and
 * has on its way no more than four times what came in that time, and what a step brings.
 */
static void replay_a_stream(const struct world_config *config)
{
    struct world *world = world_open(config);
    uint16_t workers = world->config.workers;
    world_plan(world, &(struct backend_plan){.chunk_bytes = 100,
                                             .chunk_every_ns = CLOCK_S,
                                             .name = "content-type",
                                             .value = "text/event-stream"});
    struct client_script script = {.path = "/share?size=4000"};
    struct client_request *first = world_send(world, world_connect_to(world, 0, false), &script);
    world_run_for(world, 12 * CLOCK_S);
    uint64_t there = first->received;
    struct client_conn *conn = world_connect_to(world, (uint16_t)(workers - 1), false);
    struct client_request *late = world_send(world, conn, &script);
    for (uint32_t tenth = 1; tenth <= 60; tenth++) {
        world_run_for(world, CLOCK_S / 10);
        assert_true(late->received <= (uint64_t)tenth * 40 + 60);
        assert_true(tenth < 10 || late->received >= (uint64_t)(tenth - 5) * 30 ||
                    late->received >= there);
    }
    assert_true(late->received >= there + 400 && late->received == first->received);
    assert_true(world_run_until(world, has_ended, late, 60 * CLOCK_S));
    assert_true(client_is_whole(first, 200, 4000) && client_is_whole(late, 200, 4000));
    assert_int_equal(world->log.count, 1);
    assert_int_equal(world_counter(world, "request", "replays_paced"), 1);
    assert_true(check_and_close(world));
}

static void c17_a_stream_is_replayed_at_four_times_its_rate(void **state)
{
    replay_a_stream(&(struct world_config){.seed = 72});
    replay_a_stream(&(struct world_config){.seed = 73, .workers = 2});
}

/* The region dies with the request in it: one second attempt, with the same body, for everybody. */
static void c14_the_body_goes_to_another_region(void **state)
{
    struct crowd crowd;
    open_crowd(&crowd, &(struct world_config){.seed = 14, .workers = 2});
    crowd.world->draft.routes[WORLD_ROUTE_ASK].replay_safe = true;
    world_publish(crowd.world);
    world_plan(crowd.world, &(struct backend_plan){.head_after_ns = CLOCK_S});
    for (uint32_t i = 0; i < REQUESTS; i++)
        ask(&crowd, i, "/ask?size=5000", 9000);
    world_run_for(crowd.world, 500 * CLOCK_MS);
    assert_int_equal(crowd.world->log.count, 1);
    world_region_crash(crowd.world,
                       crowd.world->log.seen[0].backend - crowd.world->backends < 2 ? 0 : 1);
    assert_true(world_run(crowd.world));
    assert_int_equal(crowd.world->log.count, 2);
    assert_int_equal(crowd.world->log.seen[1].body_bytes, 9000);
    assert_whole(&crowd, 5000);
    assert_true(check_and_close(crowd.world));
}

/* C12: nobody waits for a POST any more: the backend hears of it at once. */
static void c12_a_post_without_takers_is_cancelled_at_once(void **state)
{
    struct world *world = world_open(&(struct world_config){.seed = 15});
    struct client_conn *conn = world_connect_to(world, 0, false);
    world_plan(world, &(struct backend_plan){.head_after_ns = 10 * CLOCK_S});
    struct client_script script = {.method = "POST", .path = "/ask?size=10", .body_bytes = 100};
    struct client_request *a = world_send(world, conn, &script);
    struct client_request *b = world_send(world, conn, &script);
    world_run_for(world, 100 * CLOCK_MS);
    assert_int_equal(world->log.count, 1);
    client_leave(a, world->now);
    world_run_for(world, 10 * CLOCK_MS);
    assert_int_equal(world_counter(world, "coalesce", "cancelled"), 0);
    client_leave(b, world->now);
    world_run_for(world, 10 * CLOCK_MS);
    assert_int_equal(world_counter(world, "coalesce", "cancelled"), 1);
    assert_true(check_and_close(world));
}

/* Each has its own answer, and nothing waits for the end of a body: it is only counted. */
static void count_in_shadow(const struct world_config *config, uint64_t body_bytes)
{
    struct crowd crowd;
    open_crowd(&crowd, config);
    crowd.world->draft.routes[WORLD_ROUTE_ASK].coalesce.mode = COALESCE_SHADOW;
    world_publish(crowd.world);
    world_plan(crowd.world, &(struct backend_plan){.head_after_ns = CLOCK_S});
    for (uint32_t i = 0; i < REQUESTS; i++)
        ask(&crowd, i, "/ask?size=1000", body_bytes);
    assert_true(world_run(crowd.world));
    assert_int_equal(crowd.world->log.count, REQUESTS);
    assert_whole(&crowd, 1000);
    assert_int_equal(world_counter(crowd.world, "coalesce", "saved"), 0);
    assert_int_equal(world_counter(crowd.world, "request", "shadow_unknown"), 0);
    assert_int_equal(world_counter(crowd.world, "coalesce", "shadow_joins"), REQUESTS - 1);
    assert_true(check_and_close(crowd.world));
}

static void posts_in_shadow_are_counted_and_not_shared(void **state)
{
    count_in_shadow(&(struct world_config){.seed = 60}, 2000);
    count_in_shadow(&(struct world_config){.seed = 61, .workers = 2}, 1);
    count_in_shadow(&(struct world_config){.seed = 62, .workers = 4}, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(c1_a_hundred_posts_ask_once),
        cmocka_unit_test(c1_a_hundred_posts_ask_once_over_a_bad_wire),
        cmocka_unit_test(c2_other_bodies_are_other_requests),
        cmocka_unit_test(c1_bodies_past_a_bound_are_streamed),
        cmocka_unit_test(c25_trailers_of_a_request_are_in_no_key),
        cmocka_unit_test(c1_a_body_is_held_for_two_seconds),
        cmocka_unit_test(c17_who_joins_late_gets_the_beginning_at_once),
        cmocka_unit_test(c17_a_stream_is_replayed_at_four_times_its_rate),
        cmocka_unit_test(c14_the_body_goes_to_another_region),
        cmocka_unit_test(posts_in_shadow_are_counted_and_not_shared),
        cmocka_unit_test(c12_a_post_without_takers_is_cancelled_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
