/* Windows of backends that begin small, where memory is short of large ones for everybody. */
#include "dataplane/base/clock.h"
#include "tests/support/checks.h"
#include "tests/support/cmocka.h"

#include <stdio.h>

#define SIZE (1u << 20)

static bool is_over(struct world *world, void *context)
{
    const struct client_request *request = context;
    return request->outcome != CLIENT_OPEN;
}

/* What one answer of SIZE takes, over 10 ms to the backend and back, with room for FLIGHTS. */
static uint64_t time_of_answer(uint32_t flights)
{
    struct world_config config = {
        .seed = 51, .workers = 1, .limits = world_limits, .back = {.delay_ns = 5 * CLOCK_MS}};
    char path[64];
    config.limits.flights = flights;
    config.limits.segments = 16384;
    snprintf(path, sizeof(path), "/own?size=%u", SIZE);
    struct world *world = world_open(&config);
    struct client_conn *conn = world_connect_to(world, 0, false);
    world_set_faults(world, &config.front, &config.back);
    uint64_t began_at_ns = world->now;
    struct client_request *request = world_get(world, conn, path);
    assert_true(world_run_until(world, is_over, request, 60 * CLOCK_S));
    assert_true(client_is_whole(request, 200, SIZE));
    uint64_t took_ns = world->now - began_at_ns;
    assert_true(check_and_close(world));
    return took_ns;
}

/* 64 KiB at once for each of 64 flights; 8 KiB for 4096, and the rest with the request. */
static void a_small_first_window_costs_no_time(void **state)
{
    uint64_t large_ns = time_of_answer(64);
    uint64_t small_ns = time_of_answer(4096);
    assert_in_range(small_ns, large_ns * 9 / 10, large_ns * 11 / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_first_window_costs_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
