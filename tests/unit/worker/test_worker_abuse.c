/*
 * Clients that are a burden, seen from the whole data path: what they hold is let go in time and
 * counted, what they make backends do is bounded, and others notice nothing.
 */
#include "dataplane/base/clock.h"
#include "tests/support/checks.h"
#include "tests/support/cmocka.h"

#include <stdio.h>

static struct world *open_one(uint64_t seed)
{
    return world_open(&(struct world_config){.seed = seed});
}

/* Somebody else's requests, one after the other. */
static void innocent_is_served(struct world *world)
{
    for (uint32_t i = 0; i < 5; i++) {
        struct client_request *request =
            world_get(world, world_connect(world, 1, false), "/own?size=5000");
        world_run_for(world, 500 * CLOCK_MS);
        assert_true(client_is_whole(request, 200, 5000));
    }
}

static void a_request_body_that_stops_is_answered_408(void **state)
{
    struct world *world = open_one(31);
    struct client_request *request = world_send(
        world, world_connect(world, 0, false),
        &(struct client_script){
            .method = "POST", .path = "/own", .body_bytes = 500000, .stops_after = 5000});
    world_run_for(world, 15 * CLOCK_S);
    assert_int_equal(request->outcome, CLIENT_OPEN);
    innocent_is_served(world);
    world_run_for(world, 10 * CLOCK_S);
    assert_int_equal(request->status, 408);
    assert_int_equal(world_counter(world, "request", "body_timeouts"), 1);
    assert_int_equal(world_counter(world, "request", "local_body_timeout"), 1);
    assert_true(check_and_close(world));
}

static void a_reader_that_takes_nothing_is_sent_away(void **state)
{
    struct world_config config = {.seed = 32, .limits = world_limits};
    config.limits.stall_timeout_ns = 20 * CLOCK_S; /* sooner than the route's request_timeout */
    struct world *world = world_open(&config);
    struct client_request *request =
        world_send(world, world_connect(world, 0, false),
                   &(struct client_script){.path = "/own?size=2000000", .holds_credit = true});
    world_run_for(world, 15 * CLOCK_S);
    assert_int_equal(request->outcome, CLIENT_OPEN);
    innocent_is_served(world);
    world_run_for(world, 10 * CLOCK_S);
    assert_int_equal(request->outcome, CLIENT_RESET);
    assert_int_equal(request->reset.code, H2_ENHANCE_YOUR_CALM);
    assert_int_equal(world_counter(world, "h2", "stream_stalled"), 1);
    innocent_is_served(world);
    assert_true(check_and_close(world));
}

/*
 * Shared flights linger after a client has left them: as long as they do, they count. 100 at work
 * and no more, however often it opens and resets.
 */
static void opening_and_resetting_has_no_more_at_work_than_is_allowed(void **state)
{
    struct world *world = open_one(33);
    struct client_conn *conn = world_connect(world, 0, false);
    uint32_t refused = 0;
    world_plan(world, &(struct backend_plan){.act = BACKEND_HANGS});
    world_run_for(world, 50 * CLOCK_MS);
    for (uint32_t i = 0; i < 300; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/share/%u?size=10", i);
        struct client_request *request = world_get(world, conn, path);
        world_run_for(world, CLOCK_MS);
        if (request->outcome == CLIENT_OPEN)
            client_leave(request, world->now);
        else
            refused += request->reset.code == H2_REFUSED_STREAM;
    }
    assert_in_range(world->log.count, 90, 110);
    assert_true(refused > 100);
    assert_int_equal(refused, world_counter(world, "h2", "streams_exceeded"));
    world_plan(world, &(struct backend_plan){.status = 200});
    world_run_for(world, CLOCK_S);
    innocent_is_served(world);
    struct client_request *again = world_get(world, conn, "/share/again?size=10");
    assert_true(world_run(world));
    assert_true(client_is_whole(again, 200, 10));
    assert_true(check_and_close(world));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_body_that_stops_is_answered_408),
        cmocka_unit_test(a_reader_that_takes_nothing_is_sent_away),
        cmocka_unit_test(opening_and_resetting_has_no_more_at_work_than_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
