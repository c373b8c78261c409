/* The snapshot: everything the workers read, in one block. */
#include "control/snapshot_build.h"

#include "dataplane/region/pick.h"
#include "tests/support/cmocka.h"
#include "tests/support/fake_daemon.h"

#include <string.h>

struct fixture {
    struct daemon *daemon;
    const struct snapshot *snapshot;
};

static int open_fixture(void **state)
{
    static struct fixture fixture;
    fixture.daemon = fake_daemon_create();
    fixture.snapshot = NULL;
    *state = &fixture;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *fixture = *state;
    snapshot_free(fixture->snapshot);
    fake_daemon_destroy(fixture->daemon);
    return 0;
}

static struct cookie_secrets secrets;

static const struct snapshot *build(struct fixture *fixture, bool draining)
{
    snapshot_free(fixture->snapshot);
    fixture->snapshot =
        snapshot_build(fixture->daemon->config, &fixture->daemon->failover, &secrets, 7, draining);
    assert_non_null(fixture->snapshot);
    return fixture->snapshot;
}

static void assert_text(struct bytes bytes, const char *text)
{
    assert_int_equal(bytes.length, strlen(text));
    assert_memory_equal(bytes.data, text, strlen(text));
}

static void it_holds_what_the_configuration_says(void **state)
{
    const struct snapshot *snapshot = build(*state, false);
    struct ip_address vip;
    assert_true(ip_address_parse("10.0.0.80", &vip));
    assert_int_equal(snapshot->generation, 7);
    assert_false(snapshot->draining);
    assert_text(snapshot->node, "fake-1");
    assert_int_equal(snapshot->listener_count, 1);
    assert_text(snapshot->listeners[0].name, "web");
    assert_true(ip_address_equal(&snapshot->listeners[0].address, &vip));
    assert_int_equal(snapshot->listeners[0].port, 80);
    assert_int_equal(snapshot->service_count, 2);
    assert_text(snapshot->services[0].authority, "");
    assert_text(snapshot->services[1].authority, "models.test");
    assert_int_equal(snapshot->region_count, 2);
    assert_text(snapshot->regions[1].name, "us");
    assert_int_equal(snapshot->backend_count, 4);
    assert_text(snapshot->backends[2].name, "us-1");
    assert_int_equal(snapshot->backends[3].weight, 7);
    assert_int_equal(snapshot->backends[3].port, 9000);
    assert_false(snapshot->backends[3].drained);
}

static void routes_stand_in_the_order_of_their_match(void **state)
{
    const struct snapshot *snapshot = build(*state, false);
    const struct snapshot_route *ask = &snapshot->routes[0];
    assert_int_equal(snapshot->route_count, 2);
    assert_text(ask->name, "ask");
    assert_text(ask->path_prefix, "/ask/");
    assert_int_equal(ask->service, 1);
    assert_true(ask->replay_safe);
    assert_int_equal(ask->coalesce.mode, COALESCE_POST_BODY);
    assert_int_equal(ask->coalesce.key_header_count, 1);
    assert_text(ask->coalesce.key_headers[0], "x-model");
    assert_int_equal(ask->coalesce.flight_bytes, 1048576);
    assert_true(ask->request_timeout_ns == 300000000000);
    assert_text(snapshot->routes[1].name, "rest");
    assert_int_equal(snapshot->routes[1].coalesce.mode, COALESCE_OFF);
}

static void groups_are_the_backends_of_a_service_in_a_region(void **state)
{
    struct fixture *fixture = *state;
    const struct snapshot *snapshot = build(fixture, false);
    for (uint32_t s = 0; s < snapshot->service_count; s++)
        for (uint32_t r = 0; r < snapshot->region_count; r++) {
            struct snapshot_group group = snapshot->services[s].groups[r];
            uint32_t expected = 0;
            for (uint32_t b = 0; b < snapshot->backend_count; b++)
                expected += snapshot->backends[b].service == s && snapshot->backends[b].region == r;
            uint32_t weight = 0;
            assert_int_equal(group.count, expected);
            for (uint32_t b = group.first; b < group.first + group.count; b++) {
                assert_int_equal(snapshot->backends[b].service, s);
                assert_int_equal(snapshot->backends[b].region, r);
                weight += snapshot->backends[b].usable ? snapshot->backends[b].weight : 0;
                assert_int_equal(group.weight_ends[b - group.first], weight);
            }
        }
}

static void it_holds_what_failover_says(void **state)
{
    struct fixture *fixture = *state;
    struct failover *failover = &fixture->daemon->failover;
    uint32_t slot = fixture->daemon->config->backends[1].slot;
    failover->usable[slot] = false;
    failover->active[0] = false;
    failover->suspect[1] = true;
    failover->share[1] = 250;
    failover->capacity[1] = 80;
    failover->panic = true;
    failover->node_flights = 4000;
    const struct snapshot *snapshot = build(fixture, true);
    assert_true(snapshot->draining);
    assert_true(snapshot->panic);
    assert_int_equal(snapshot->admission.node_flights, 4000);
    assert_int_equal(snapshot->regions[0].capacity, 0);
    assert_int_equal(snapshot->regions[1].capacity, 80);
    assert_true(snapshot->backends[0].usable);
    assert_false(snapshot->backends[1].usable);
    assert_int_equal(snapshot->backends[1].slot, slot);
    assert_false(snapshot->regions[0].active);
    assert_true(snapshot->regions[1].active);
    assert_false(snapshot->regions[0].suspect);
    assert_true(snapshot->regions[1].suspect);
    assert_int_equal(snapshot->regions[1].share_permille, 250);
}

static void it_does_not_refer_to_the_configuration_any_more(void **state)
{
    struct fixture *fixture = *state;
    struct daemon *daemon = fixture->daemon;
    const struct snapshot *snapshot = build(fixture, false);
    json_t *document = fake_config_document(daemon);
    struct config_findings findings = {0};
    config_free(daemon->config);
    daemon->config = config_read_json(document, NULL, &findings);
    json_decref(document);
    assert_text(snapshot->node, "fake-1");
    assert_text(snapshot->routes[0].coalesce.key_headers[0], "x-model");
    assert_text(snapshot->backends[3].name, "10.1.2.9:9000");
}

static void backends_are_picked_by_it(void **state)
{
    struct fixture *fixture = *state;
    static struct backend_loads loads;
    const struct snapshot *snapshot = build(fixture, false);
    struct random random;
    uint32_t backend;
    random_seed(&random, 1);
    for (int i = 0; i < 100; i++) {
        struct pick_request pages = {.service = 0, .avoid_region = -1};
        struct pick_request models = {.service = 1, .avoid_region = -1};
        assert_int_equal(pick_backend(snapshot, &loads, &pages, &random, &backend), PICK_OK);
        assert_true(backend < 2); /* eu is preferred */
        assert_int_equal(pick_backend(snapshot, &loads, &models, &random, &backend), PICK_OK);
        assert_int_equal(backend, 3);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(it_holds_what_the_configuration_says),
        CASE(routes_stand_in_the_order_of_their_match),
        CASE(groups_are_the_backends_of_a_service_in_a_region),
        CASE(it_holds_what_failover_says),
        CASE(it_does_not_refer_to_the_configuration_any_more),
        CASE(backends_are_picked_by_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
