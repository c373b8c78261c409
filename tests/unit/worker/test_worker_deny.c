/* The deny list on ports without a steering program: applied and taken back while traffic flows. */
#include "dataplane/base/clock.h"
#include "dataplane/net/deny.h"
#include "tests/support/checks.h"
#include "tests/support/cmocka.h"

/* The first client host: 10.0.0.2 and fd00::2. */
static const struct deny_v4 v4_ranges[] = {{0x0a000002, 0x0a000002}};
static const struct deny_v6 v6_ranges[] = {
    {{0xfd00000000000000, 2}, {0xfd00000000000000, 2}},
};
static uint32_t v4_index[DENY_V4_INDEX];
static struct deny_table table;

static void make_table(void)
{
    for (uint32_t high = 0; high < DENY_V4_INDEX; high++)
        v4_index[high] = high > 0x0a00;
    table = (struct deny_table){
        .v4_count = 1, .v6_count = 1, .v4 = v4_ranges, .v6 = v6_ranges, .v4_index = v4_index};
}

static void set_denied(struct world *world, const struct deny_table *denied)
{
    world->draft.denied = denied;
    world_publish(world);
    world_run_for(world, CLOCK_S);
}

static void denied_clients_get_nothing_and_others_everything(uint16_t workers, bool v6)
{
    struct world *world = world_open(&(struct world_config){.seed = workers, .workers = workers});
    make_table();
    struct client_conn *first = world_connect(world, 0, v6);
    struct client_conn *second = world_connect(world, 1, v6);
    struct client_request *before = world_get(world, first, "/own?size=5000");
    assert_true(world_run(world));
    assert_true(client_is_whole(before, 200, 5000));

    set_denied(world, &table);
    struct client_conn *late = world_connect(world, 0, v6);
    struct client_request *denied = world_get(world, first, "/own?size=5000");
    struct client_request *allowed = world_get(world, second, "/own?size=5000");
    world_run_for(world, 5 * CLOCK_S);
    assert_true(client_is_whole(allowed, 200, 5000));
    assert_int_equal(denied->received, 0);
    assert_false(late->opened); /* and it gives up soon */
    assert_true(world_counter(world, "net", "in_denied") > 0);
    uint64_t dropped = world_counter(world, "net", "in_denied");

    set_denied(world, NULL); /* what waited comes through */
    assert_true(world_run(world));
    assert_true(client_is_whole(denied, 200, 5000));
    assert_true(world_counter(world, "net", "in_denied") >= dropped);
    assert_true(check_and_close(world));
}

static void the_list_holds_on_every_worker(void **state)
{
    denied_clients_get_nothing_and_others_everything(1, false);
    denied_clients_get_nothing_and_others_everything(2, true);
    denied_clients_get_nothing_and_others_everything(4, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_list_holds_on_every_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
