/* Snapshots that change under load, and draining. */
#include "dataplane/base/clock.h"
#include "tests/support/checks.h"
#include "tests/support/cmocka.h"

#include <stdio.h>

#define LOAD  200
#define CONNS 8

struct load {
    struct world *world;
    struct client_conn *conns[CONNS];
    struct client_request *requests[LOAD];
};

/* Shared and own requests, answered over some 100 ms. */
static void open_load(struct load *load, uint64_t seed, uint16_t workers)
{
    load->world = world_open(&(struct world_config){.seed = seed, .workers = workers});
    world_plan(load->world, &(struct backend_plan){.head_after_ns = 30 * CLOCK_MS,
                                                   .chunk_bytes = 3000,
                                                   .chunk_every_ns = 10 * CLOCK_MS});
    for (uint32_t i = 0; i < CONNS; i++)
        load->conns[i] = world_connect_to(load->world, (uint16_t)(i % workers), i % 2 == 0);
    for (uint32_t i = 0; i < LOAD; i++) {
        char path[64];
        snprintf(path, sizeof(path), i % 2 == 0 ? "/share/%u?size=20000" : "/own/%u?size=20000",
                 i / 4);
        load->requests[i] = world_get(load->world, load->conns[i % CONNS], path);
    }
}

static bool half_arrived(struct world *world, void *context)
{
    return world->log.count > LOAD / 3;
}

static void run_to_the_middle(struct load *load)
{
    assert_true(world_run_until(load->world, half_arrived, NULL, 60 * CLOCK_S));
}

static void assert_all_whole(const struct load *load)
{
    for (uint32_t i = 0; i < LOAD; i++) {
        assert_int_equal(load->requests[i]->outcome, CLIENT_FINISHED);
        assert_true(client_is_whole(load->requests[i], 200, 20000));
    }
}

static uint32_t requests_of_region(const struct world *world, uint16_t region)
{
    return world->backends[2 * region].requests + world->backends[2 * region + 1].requests;
}

/* What runs at it is finished; nothing new goes there; its connections are closed. */
static void a_backend_is_removed_under_load(void **state)
{
    for (uint64_t seed = 1; seed < 4; seed++) {
        struct load load;
        open_load(&load, seed, 4);
        run_to_the_middle(&load);
        load.world->draft.removed[0] = true;
        world_publish(load.world);
        world_run_for(load.world, 5 * CLOCK_MS);
        uint32_t seen = load.world->backends[0].requests;
        assert_true(seen > 0);
        assert_true(world_run(load.world));
        assert_all_whole(&load);
        assert_in_range(load.world->backends[0].requests, seen, seen + 4);
        world_run_for(load.world, CLOCK_S);
        assert_int_equal(backend_conn_count(&load.world->backends[0]), 0);
        struct client_request *after = world_get(load.world, load.conns[0], "/own?size=1");
        assert_true(world_run(load.world));
        assert_true(client_is_whole(after, 200, 1));
        assert_true(check_and_close(load.world));
    }
}

static void a_slot_with_another_backend_is_another_backend(void **state)
{
    struct load load;
    open_load(&load, 5, 2);
    run_to_the_middle(&load);
    load.world->draft.backends[0].generation = 2;
    load.world->draft.backends[0].address = load.world->draft.backends[2].address;
    world_publish(load.world);
    assert_true(world_run(load.world));
    assert_all_whole(&load);
    world_run_for(load.world, CLOCK_S);
    assert_int_equal(backend_conn_count(&load.world->backends[0]), 0);
    assert_true(check_and_close(load.world));
}

static void an_inactive_region_takes_nothing_new(void **state)
{
    struct load load;
    open_load(&load, 6, 4);
    run_to_the_middle(&load);
    assert_int_equal(requests_of_region(load.world, 1), 0);
    load.world->draft.regions[0].active = false;
    world_publish(load.world);
    assert_true(world_run(load.world));
    assert_all_whole(&load);
    uint32_t seen = requests_of_region(load.world, 0);
    for (uint32_t i = 0; i < 20; i++) {
        struct client_request *request =
            world_get(load.world, load.conns[i % CONNS], "/own?size=10");
        assert_true(world_run(load.world));
        assert_true(client_is_whole(request, 200, 10));
    }
    assert_int_equal(requests_of_region(load.world, 0), seen);
    assert_true(check_and_close(load.world));
}

static void an_unusable_backend_takes_nothing_new(void **state)
{
    struct load load;
    open_load(&load, 7, 2);
    load.world->draft.backends[0].usable = false;
    world_publish(load.world);
    assert_true(world_run(load.world));
    assert_all_whole(&load);
    assert_int_equal(load.world->backends[0].requests, 0);
    assert_true(load.world->backends[1].requests > 0);
    assert_true(check_and_close(load.world));
}

/* Every turn another snapshot, with routes, backends and regions that come and go. */
static void snapshots_change_all_the_time(void **state)
{
    for (uint64_t seed = 10; seed < 13; seed++) {
        struct load load;
        open_load(&load, seed, 4);
        struct world *world = load.world;
        for (int i = 0; i < 300; i++) {
            world->draft.removed[1] = random_below(&world->random, 2) == 0;
            world->draft.removed[3] = random_below(&world->random, 2) == 0;
            world->draft.regions[0].active = random_below(&world->random, 3) != 0;
            world->draft.regions[0].suspect = random_below(&world->random, 3) == 0;
            world->draft.backends[2].drained = random_below(&world->random, 3) == 0;
            world_publish(world);
            world_turn(world);
        }
        world->draft.regions[0].active = true;
        world_publish(world);
        assert_true(world_run(world));
        uint32_t whole = 0;
        for (uint32_t i = 0; i < LOAD; i++) {
            bool is_whole = client_is_whole(load.requests[i], 200, 20000);
            /* Only a moment without any usable backend is an excuse. */
            assert_true(is_whole || client_is_local(load.requests[i], 503));
            whole += is_whole;
        }
        assert_true(whole > LOAD / 2);
        assert_true(check_and_close(world));
    }
}

static struct client_request *ask_again(struct world *world, struct client_conn *conn)
{
    struct client_request *request = world_get(world, conn, "/own?size=10");
    assert_true(world_run(world));
    return request;
}

/* Also one that came so often that it is known what becomes of it. */
static void a_request_that_came_before_goes_by_the_routes_of_now(void **state)
{
    struct world *world = world_open(&(struct world_config){.seed = 8, .workers = 1});
    struct client_conn *conn = world_connect_to(world, 0, false);
    for (int round = 0; round < 3; round++) {
        uint64_t known = world_counter(world, "h2", "header_blocks_in_known");
        world->draft.routes[WORLD_ROUTE_OWN].service = WORLD_SERVICE;
        world_publish(world);
        for (int i = 0; i < 10; i++)
            assert_true(client_is_whole(ask_again(world, conn), 200, 10));
        assert_true(world_counter(world, "h2", "header_blocks_in_known") >= known + 5);
        world->draft.routes[WORLD_ROUTE_OWN].service = WORLD_SERVICE_EMPTY;
        world_publish(world);
        for (int i = 0; i < 5; i++)
            assert_int_equal(ask_again(world, conn)->status, 503);
    }
    assert_true(check_and_close(world));
}

/* ---- drain ---- */

static bool all_drained(struct world *world, void *context)
{
    for (uint16_t i = 0; i < world->config.workers; i++)
        if (world->facts[i][FACT_DRAINED] == 0)
            return false;
    return true;
}

static void draining_finishes_what_is_under_way(void **state)
{
    for (uint64_t seed = 20; seed < 23; seed++) {
        struct load load;
        open_load(&load, seed, 4);
        run_to_the_middle(&load);
        assert_false(all_drained(load.world, NULL));
        load.world->draft.draining = true;
        world_publish(load.world);
        assert_true(world_run(load.world));
        assert_all_whole(&load);
        assert_true(world_run_until(load.world, all_drained, NULL, 60 * CLOCK_S));
        for (uint32_t i = 0; i < CONNS; i++)
            assert_true(load.conns[i]->over);
        world_run_for(load.world, CLOCK_S);
        for (uint16_t i = 0; i < load.world->config.workers; i++)
            assert_int_equal(load.world->facts[i][FACT_DRAINED], 1);
        assert_true(check_and_close(load.world));
    }
}

static void draining_takes_no_new_connections(void **state)
{
    struct world *world = world_open(&(struct world_config){.seed = 24, .workers = 2});
    struct client_conn *before = world_connect_to(world, 0, false);
    world_plan(world, &(struct backend_plan){.head_after_ns = 2 * CLOCK_S});
    struct client_request *under_way = world_get(world, before, "/own?size=10");
    world_run_for(world, 100 * CLOCK_MS);
    world->draft.draining = true;
    world_publish(world);
    world_run_for(world, 100 * CLOCK_MS);
    struct client_conn *after = world_connect(world, 1, true);
    struct client_request *late = world_get(world, before, "/own?size=10");
    assert_true(world_run(world));
    world_run_for(world, CLOCK_S);
    assert_true(client_is_whole(under_way, 200, 10));
    assert_true(after->over && !after->opened);
    assert_int_equal(after->failure, TCP_FAILURE_REFUSED);
    assert_int_equal(late->outcome, CLIENT_UNSENT);
    assert_true(all_drained(world, NULL));
    assert_true(check_and_close(world));
}

static void an_idle_process_is_drained_at_once(void **state)
{
    struct world *world = world_open(&(struct world_config){.seed = 25, .workers = 2});
    world->draft.draining = true;
    world_publish(world);
    assert_true(world_run_until(world, all_drained, NULL, CLOCK_S));
    assert_true(check_and_close(world));
}

/* Whatever the moment at which the drain meets the opening of a connection. */
static void a_connection_that_opens_meanwhile_does_not_hold_the_drain(void **state)
{
    for (uint32_t turns = 0; turns < 24; turns++) {
        struct world *world = world_open(&(struct world_config){.seed = 30 + turns, .workers = 2});
        struct client_conn *conn = world_connect(world, 0, turns % 2 == 0);
        for (uint32_t i = 0; i < turns; i++)
            world_turn(world);
        world->draft.draining = true;
        world_publish(world);
        assert_true(world_run_until(world, all_drained, NULL, 10 * CLOCK_S));
        world_run_for(world, 10 * CLOCK_S);
        assert_true(conn->over);
        assert_true(check_and_close(world));
    }
}

/* A drain that was called off: connections are taken again, and a later drain is told anew. */
static void draining_can_be_called_off(void **state)
{
    struct world *world = world_open(&(struct world_config){.seed = 26, .workers = 2});
    world->draft.draining = true;
    world_publish(world);
    assert_true(world_run_until(world, all_drained, NULL, CLOCK_S));
    world->draft.draining = false;
    world_publish(world);
    world_run_for(world, 10 * CLOCK_MS);
    struct client_request *request =
        world_get(world, world_connect_to(world, 1, false), "/own?size=10");
    assert_true(world_run(world));
    assert_true(client_is_whole(request, 200, 10));
    memset(world->facts, 0, sizeof(world->facts));
    world->draft.draining = true;
    world_publish(world);
    assert_true(world_run_until(world, all_drained, NULL, 60 * CLOCK_S));
    assert_true(check_and_close(world));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backend_is_removed_under_load),
        cmocka_unit_test(a_slot_with_another_backend_is_another_backend),
        cmocka_unit_test(an_inactive_region_takes_nothing_new),
        cmocka_unit_test(a_request_that_came_before_goes_by_the_routes_of_now),
        cmocka_unit_test(an_unusable_backend_takes_nothing_new),
        cmocka_unit_test(snapshots_change_all_the_time),
        cmocka_unit_test(draining_finishes_what_is_under_way),
        cmocka_unit_test(draining_takes_no_new_connections),
        cmocka_unit_test(an_idle_process_is_drained_at_once),
        cmocka_unit_test(a_connection_that_opens_meanwhile_does_not_hold_the_drain),
        cmocka_unit_test(draining_can_be_called_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
