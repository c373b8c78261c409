/*
 * Pools that are far too small. What does not fit is refused in good order, counted, and when the
 * rush is over everything works again.
 */
#include "dataplane/base/clock.h"
#include "tests/support/checks.h"
#include "tests/support/cmocka.h"

#include <stdio.h>

#define LOAD  160
#define CONNS 12

struct rush {
    struct world *world;
    struct client_conn *conns[CONNS];
    struct client_request *requests[LOAD];
};

static bool all_decided(struct world *world, void *context)
{
    const struct rush *rush = context;
    for (uint32_t i = 0; i < CONNS; i++)
        if (!rush->conns[i]->opened && !rush->conns[i]->over)
            return false;
    return true;
}

static void send_everything(struct rush *rush)
{
    for (uint32_t i = 0; i < LOAD; i++) {
        char path[64];
        snprintf(path, sizeof(path), i % 3 == 0 ? "/share/%u?size=9000" : "/own/%u?size=9000",
                 i / 6);
        struct client_script script = {.path = path};
        if (i % 3 == 1) {
            script.method = "POST";
            script.body_bytes = 9000;
        }
        rush->requests[i] = world_send(rush->world, rush->conns[i % CONNS], &script);
    }
}

/* What may become of a request beside a whole answer and a refusal in good order. */
enum excuse {
    EXCUSE_NONE,
    EXCUSE_BROKEN = 1 << 0,  /* reset in mid-body: payload memory was used up */
    EXCUSE_NO_PATH = 1 << 1, /* 502: no next hop to the backend is known */
};

/* Whole, or refused so that it may be sent again, or with a reason. */
static bool is_acceptable(const struct client_request *request, uint32_t excuses)
{
    if (client_is_whole(request, 200, 9000) || client_is_local(request, 503) ||
        request->outcome == CLIENT_UNSENT)
        return true;
    if (client_is_local(request, 502))
        return (excuses & EXCUSE_NO_PATH) != 0;
    if (request->outcome != CLIENT_RESET || request->complete)
        return false;
    bool refused = request->reset.unprocessed || request->reset.conn_lost;
    return (refused && request->status == 0) || (excuses & EXCUSE_BROKEN) != 0;
}

static uint32_t whole_count(const struct rush *rush)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < LOAD; i++)
        count += client_is_whole(rush->requests[i], 200, 9000);
    return count;
}

/* New connections for those that were refused; then requests one after the other. */
static void works_again(struct rush *rush)
{
    struct world *world = rush->world;
    for (uint32_t i = 0; i < CONNS; i++)
        client_conn_close(rush->conns[i], world->now);
    world_run_for(world, 60 * CLOCK_S);
    world_plan(world, &(struct backend_plan){0});
    struct client_conn *conn = world_connect_to(world, 0, false);
    for (uint32_t i = 0; i < 8; i++) {
        struct client_request *request =
            world_get(world, conn, i % 2 == 0 ? "/share?size=3000" : "/own?size=3000");
        assert_true(world_run(world));
        assert_true(client_is_whole(request, 200, 3000));
    }
}

/* Returns how many were answered whole in the rush. */
static uint32_t rush_with(const struct world_config *config, uint32_t excuses)
{
    struct rush rush = {.world = world_open(config)};
    world_plan(rush.world, &(struct backend_plan){.head_after_ns = 20 * CLOCK_MS,
                                                  .chunk_bytes = 2000,
                                                  .chunk_every_ns = 5 * CLOCK_MS});
    for (uint32_t i = 0; i < CONNS; i++)
        rush.conns[i] = world_connect(rush.world, i % WORLD_CLIENTS, i % 2 == 0);
    assert_true(world_run_until(rush.world, all_decided, &rush, 60 * CLOCK_S));
    send_everything(&rush);
    assert_true(world_run(rush.world));
    for (uint32_t i = 0; i < LOAD; i++)
        assert_true(is_acceptable(rush.requests[i], excuses));
    uint32_t whole = whole_count(&rush);
    works_again(&rush);
    assert_true(check_and_close(rush.world));
    return whole;
}

static struct world_config config_of(uint64_t seed)
{
    return (struct world_config){.seed = seed, .workers = 2, .limits = world_limits};
}

static void with_enough_of_everything_all_is_answered(void **state)
{
    struct world_config config = config_of(1);
    assert_int_equal(rush_with(&config, EXCUSE_NONE), LOAD);
}

static void few_client_connections(void **state)
{
    struct world_config config = config_of(2);
    config.limits.client_connections = 2;
    assert_in_range(rush_with(&config, EXCUSE_NONE), 1, LOAD - 1);
}

static void few_streams(void **state)
{
    for (uint32_t streams = 2; streams <= 16; streams *= 2) {
        struct world_config config = config_of(3 + streams);
        config.limits.streams = streams;
        assert_in_range(rush_with(&config, EXCUSE_NONE), 1, LOAD - 1);
    }
}

static void few_upstream_connections(void **state)
{
    for (uint32_t conns = 1; conns <= 4; conns++) {
        struct world_config config = config_of(30 + conns);
        config.limits.upstream_connections = conns;
        config.limits.backend_connections = 1;
        assert_in_range(rush_with(&config, EXCUSE_NONE), 1, LOAD);
    }
}

static void few_flights(void **state)
{
    for (uint32_t flights = 1; flights <= 16; flights *= 4) {
        struct world_config config = config_of(40 + flights);
        config.limits.flights = flights;
        assert_in_range(rush_with(&config, EXCUSE_NONE), 1, LOAD - 1);
    }
}

static void few_exchanges(void **state)
{
    for (uint32_t exchanges = 1; exchanges <= 16; exchanges *= 4) {
        struct world_config config = config_of(60 + exchanges);
        config.limits.exchanges = exchanges;
        assert_in_range(rush_with(&config, EXCUSE_NONE), 1, LOAD - 1);
    }
}

static void few_segments(void **state)
{
    for (uint32_t segments = 16; segments <= 128; segments *= 2) {
        struct world_config config = config_of(80 + segments);
        config.limits.segments = segments;
        assert_in_range(rush_with(&config, EXCUSE_BROKEN), 1, LOAD);
    }
}

static void few_of_what_time_needs(void **state)
{
    struct world_config config = config_of(300);
    config.limits.time_wait = 1;
    config.limits.neighbours = 2;
    assert_in_range(rush_with(&config, EXCUSE_NO_PATH), 1, LOAD);
}

static void few_packets(void **state)
{
    struct world_config config = config_of(301);
    config.mbufs = 128;
    assert_in_range(rush_with(&config, EXCUSE_NONE), 1, LOAD);
}

/* Everything small at the same time, drawn from the seed. */
static void little_of_everything(void **state)
{
    for (uint64_t seed = 400; seed < 412; seed++) {
        struct world_config config = config_of(seed);
        struct random random;
        random_seed(&random, seed);
        config.workers = (uint16_t)(1 + random_below(&random, 4));
        config.limits.client_connections = 2 + random_below(&random, 12);
        config.limits.streams = 4 + random_below(&random, 64);
        config.limits.upstream_connections = 1 + random_below(&random, 8);
        config.limits.backend_connections = 1 + random_below(&random, 3);
        config.limits.flights = 1 + random_below(&random, 32);
        config.limits.exchanges = 1 + random_below(&random, 64);
        config.limits.segments = 16 + random_below(&random, 128);
        config.limits.time_wait = 1 + random_below(&random, 16);
        rush_with(&config, EXCUSE_BROKEN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_enough_of_everything_all_is_answered),
        cmocka_unit_test(few_client_connections),
        cmocka_unit_test(few_streams),
        cmocka_unit_test(few_upstream_connections),
        cmocka_unit_test(few_flights),
        cmocka_unit_test(few_exchanges),
        cmocka_unit_test(few_segments),
        cmocka_unit_test(few_of_what_time_needs),
        cmocka_unit_test(few_packets),
        cmocka_unit_test(little_of_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
