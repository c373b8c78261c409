/*
 * What is held for clients that read nothing: bounded for each connection, let go of in the end,
 * and no burden to anybody else. Those who read go on, also on the same connection.
 */
#include "dataplane/base/clock.h"
#include "tests/support/checks.h"
#include "tests/support/cmocka.h"

#include <stdio.h>

#define STREAMS 90
#define WINDOW  (64u << 10) /* what a backend may send before anybody looks */
#define BOUND   (512u << 10)
#define SIZE    400000
#define SEGMENT 4096u

/* First windows of all flights fill half of the payload memory (worker_create.c). */
#define SEGMENTS     16384u
#define FIRST_WINDOW (SEGMENTS / 2 / 1024 * SEGMENT)

static struct world *open_world(uint64_t seed, uint16_t workers)
{
    struct world_config config = {.seed = seed, .workers = workers, .limits = world_limits};
    config.limits.client_held_bytes = BOUND;
    config.limits.segments = SEGMENTS;
    config.limits.stall_timeout_ns = 20 * CLOCK_S;
    return world_open(&config);
}

/* COUNT requests whose answers nobody takes. */
static void ask(struct world *world, struct client_conn *conn, const char *format,
                struct client_request **out, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char path[64];
        snprintf(path, sizeof(path), format, i);
        out[i] =
            world_send(world, conn, &(struct client_script){.path = path, .holds_credit = true});
    }
    world_run_for(world, 3 * CLOCK_S);
}

static void ask_and_take_nothing(struct world *world, struct client_conn *conn, const char *format,
                                 struct client_request **out)
{
    ask(world, conn, format, out, STREAMS);
}

/* The bound, and what backends had been promised before it was reached: WINDOW a stream. */
static void held_is_bounded(const struct world *world, uint64_t window)
{
    uint64_t most = BOUND + STREAMS * (window + 2 * SEGMENT);
    assert_in_range(world_counter(world, "request", "held_for_client_max"), BOUND, most);
    assert_true(world_counter(world, "request", "clients_paused") > 0);
    assert_true(world_counter(world, "coalesce", "windows_held_clients") > 0);
}

static void innocent_is_served(struct world *world, uint32_t bytes)
{
    char path[64];
    snprintf(path, sizeof(path), "/own?size=%u", bytes);
    struct client_request *request = world_get(world, world_connect(world, 1, false), path);
    world_run_for(world, 4 * CLOCK_S);
    assert_true(client_is_whole(request, 200, bytes));
}

static void expect_bounded(uint64_t seed, const char *format)
{
    struct client_request *requests[STREAMS];
    struct world *world = open_world(seed, 1);
    struct client_conn *conn = world_connect_to(world, 0, false);
    ask_and_take_nothing(world, conn, format, requests);
    held_is_bounded(world, WINDOW);
    innocent_is_served(world, 2000000);
    world_run_for(world, 30 * CLOCK_S);
    for (uint32_t i = 0; i < STREAMS; i++)
        assert_int_equal(requests[i]->outcome, CLIENT_RESET);
    assert_int_equal(world_counter(world, "request", "held_for_clients"), 0);
    assert_true(check_and_close(world));
}

static void a_client_that_reads_nothing_has_a_bound(void **state)
{
    expect_bounded(41, "/own/%u?size=400000");
}

/* Their beginnings are kept for others who may come: not on this client's account. */
static void the_bound_holds_for_flights_that_others_may_join(void **state)
{
    expect_bounded(42, "/share/%u?size=400000");
}

/* Two connections of one client: one leads, the other joins from another worker. */
static void the_bound_holds_across_workers(void **state)
{
    struct client_request *led[STREAMS], *joined[STREAMS];
    struct world *world = open_world(43, 2);
    struct client_conn *first = world_connect_to(world, 0, false);
    struct client_conn *second = world_connect_to(world, 1, false);
    world_plan(world, &(struct backend_plan){.head_after_ns = 500 * CLOCK_MS});
    for (uint32_t i = 0; i < STREAMS; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/share/%u?size=400000", i);
        struct client_script script = {.path = path, .holds_credit = true};
        led[i] = world_send(world, first, &script);
        joined[i] = world_send(world, second, &script);
    }
    world_run_for(world, 4 * CLOCK_S);
    assert_true(world_counter(world, "coalesce", "joined_remote") > STREAMS / 2);
    held_is_bounded(world, 2 * WINDOW); /* shared streams' windows have doubled once */
    for (uint32_t i = 0; i < STREAMS; i++) {
        client_resume(led[i]);
        client_resume(joined[i]);
    }
    assert_true(world_run(world));
    for (uint32_t i = 0; i < STREAMS; i++) {
        assert_true(client_is_whole(led[i], 200, SIZE));
        assert_true(client_is_whole(joined[i], 200, SIZE));
    }
    assert_true(check_and_close(world));
}

/* A client may leave some of its streams alone and read others. */
static void a_stream_that_is_read_goes_on_beside_those_that_are_not(void **state)
{
    struct client_request *requests[STREAMS];
    struct world *world = open_world(44, 1);
    struct client_conn *conn = world_connect_to(world, 0, false);
    ask_and_take_nothing(world, conn, "/own/%u?size=400000", requests);
    held_is_bounded(world, WINDOW);
    client_resume(requests[STREAMS - 1]);
    struct client_request *shared = world_get(world, conn, "/share?size=1500000");
    world_run_for(world, 10 * CLOCK_S);
    assert_true(client_is_whole(requests[STREAMS - 1], 200, SIZE));
    assert_true(client_is_whole(shared, 200, 1500000));
    assert_int_equal(requests[0]->outcome, CLIENT_OPEN);
    for (uint32_t i = 0; i < STREAMS - 1; i++)
        client_resume(requests[i]);
    assert_true(world_run(world));
    for (uint32_t i = 0; i < STREAMS; i++)
        assert_true(client_is_whole(requests[i], 200, SIZE));
    assert_true(check_and_close(world));
}

/* It is paused, and asks on: of each further answer it gets what a first window lets in. */
static void what_a_paused_client_asks_for_costs_first_windows(void **state)
{
    struct client_request *first[STREAMS / 2], *more[STREAMS / 2];
    struct world *world = open_world(45, 1);
    struct client_conn *conn = world_connect_to(world, 0, false);
    ask(world, conn, "/own/%u?size=400000", first, STREAMS / 2);
    uint64_t before = world_counter(world, "request", "held_for_client_max");
    assert_true(world_counter(world, "request", "held_for_clients") > BOUND);
    /* What comes in one turn is held until its end: first windows may pause it before it is. */
    assert_in_range(world_counter(world, "request", "clients_paused"), 1, 3);
    ask(world, conn, "/own/more/%u?size=400000", more, STREAMS / 2);
    uint64_t after = world_counter(world, "request", "held_for_client_max");
    assert_in_range(after - before, 0, STREAMS / 2 * (FIRST_WINDOW + SEGMENT));
    for (uint32_t i = 0; i < STREAMS / 2; i++) {
        client_resume(first[i]);
        client_resume(more[i]);
    }
    assert_true(world_run(world));
    for (uint32_t i = 0; i < STREAMS / 2; i++)
        assert_true(client_is_whole(first[i], 200, SIZE) && client_is_whole(more[i], 200, SIZE));
    assert_true(check_and_close(world));
}

/*
 * Many of its requests run out of time at once, and beside them the time of one is looked at whose
 * body came in time. It goes on as they made room.
 */
static void who_goes_on_when_others_run_out_of_time_is_not_paused(void **state)
{
    struct client_request *late[STREAMS / 2];
    struct world *world = open_world(46, 1);
    struct snapshot_route *routes = world->draft.routes;
    routes[WORLD_ROUTE_SAFE].request_timeout_ns = 4 * CLOCK_S;
    routes[WORLD_ROUTE_OWN].body_timeout_ns = 4 * CLOCK_S;
    world_publish(world);
    struct client_conn *conn = world_connect_to(world, 0, false);
    for (uint32_t i = 0; i < STREAMS / 2; i++)
        late[i] = world_send(
            world, conn, &(struct client_script){.path = "/safe?size=400000", .holds_credit = true});
    struct client_request *other =
        world_send(world, conn,
                   &(struct client_script){.method = "POST",
                                           .path = "/own?size=400000",
                                           .body_bytes = 100,
                                           .holds_credit = true});
    world_run_for(world, 3 * CLOCK_S);
    assert_true(world_counter(world, "request", "held_for_clients") > BOUND);
    world_run_for(world, 3 * CLOCK_S);
    for (uint32_t i = 0; i < STREAMS / 2; i++)
        assert_int_equal(late[i]->outcome, CLIENT_RESET);
    assert_in_range(world_counter(world, "request", "held_for_clients"), 1, BOUND / 2);
    uint64_t before = world_counter(world, "coalesce", "windows_held_clients");
    client_resume(other);
    assert_true(world_run(world));
    assert_int_equal(world_counter(world, "coalesce", "windows_held_clients"), before);
    assert_true(client_is_whole(other, 200, SIZE));
    assert_true(check_and_close(world));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_that_reads_nothing_has_a_bound),
        cmocka_unit_test(the_bound_holds_for_flights_that_others_may_join),
        cmocka_unit_test(the_bound_holds_across_workers),
        cmocka_unit_test(a_stream_that_is_read_goes_on_beside_those_that_are_not),
        cmocka_unit_test(what_a_paused_client_asks_for_costs_first_windows),
        cmocka_unit_test(who_goes_on_when_others_run_out_of_time_is_not_paused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
