/* What the control socket's methods answer, and what they do to the daemon. */
#include "control/methods.h"
#include "tests/unit/control/control_fixture.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool listing_arrived(void *context)
{
    struct daemon *daemon = context;
    return daemon->end != NULL;
}

static bool listing_forgotten(void *context)
{
    struct daemon *daemon = context;
    return daemon->forgotten > 0;
}

static void a_listing_is_forgotten_with_its_client(void **state)
{
    struct fixture *fixture = *state;
    struct control_peer peer;
    control_peer_open(&peer, fixture->daemon);
    control_peer_send(&peer, "{'jsonrpc':'2.0','id':1,'method':'flight.list'}");
    fake_daemon_run_until(fixture->daemon, listing_arrived, fixture->daemon);
    json_t *error = control_peer_refused(&fixture->peer, "flight.list", NULL);
    assert_int_equal(number_of(error, "code"), -32000);
    json_decref(error);
    control_peer_close(&peer);
    fake_daemon_run_until(fixture->daemon, listing_forgotten, fixture->daemon);
    expect_alive(fixture);
}

static void flights_are_listed_by_the_names_of_route_and_backend(void **state)
{
    struct fixture *fixture = *state;
    struct daemon *daemon = fixture->daemon;
    struct fact_flight flight = {.handle = 0xabc,
                                 .age_ns = 2500000000,
                                 .body_bytes = 77,
                                 .subscribers = 3,
                                 .backend_slot = 2,
                                 .route = 1,
                                 .attempt = 1,
                                 .state = FLIGHT_ANSWERING,
                                 .coalesced = 1};
    control_peer_send(&fixture->peer, "{'jsonrpc':'2.0','id':1,'method':'flight.list'}");
    fake_daemon_run_until(daemon, listing_arrived, daemon);
    daemon->show(daemon->listing_context, 1, &flight);
    flight.attempt = 0;
    flight.route = 999; /* of a configuration that has gone */
    daemon->show(daemon->listing_context, 0, &flight);
    fake_flights_end(daemon, true);
    json_t *answer = control_peer_read(&fixture->peer);
    const json_t *flights = json_object_get(json_object_get(answer, "result"), "flights");
    const json_t *first = json_array_get(flights, 0);
    assert_int_equal(json_array_size(flights), 2);
    assert_string_equal(text_of(first, "id"), "1-0000000000000abc");
    assert_string_equal(text_of(first, "route"), daemon->config->routes[1].name);
    assert_string_equal(text_of(first, "backend"), "us-1");
    assert_int_equal(number_of(first, "worker"), 1);
    assert_int_equal(number_of(first, "age_ms"), 2500);
    assert_int_equal(number_of(first, "subscribers"), 3);
    assert_null(json_object_get(json_array_get(flights, 1), "backend"));
    json_decref(answer);
}

static void a_flight_is_ended_by_the_id_it_is_listed_with(void **state)
{
    struct fixture *fixture = *state;
    struct daemon *daemon = fixture->daemon;
    struct fact_flight flight = {.handle = 0xabc};
    control_peer_send(&fixture->peer, "{'jsonrpc':'2.0','id':1,'method':'flight.kill',"
                                      "'params':{'id':'0-0000000000000abc'}}");
    fake_daemon_run_until(daemon, listing_arrived, daemon);
    assert_int_equal(daemon->kill_worker, 0);
    assert_int_equal(daemon->kill_flight, 0xabc);
    daemon->show(daemon->listing_context, 0, &flight);
    fake_flights_end(daemon, true);
    json_t *answer = control_peer_read(&fixture->peer);
    const json_t *result = json_object_get(answer, "result");
    assert_string_equal(text_of(json_object_get(result, "killed"), "id"), "0-0000000000000abc");
    assert_string_equal(text_of(result, "text"), "the flight has ended");
    json_decref(answer);
    json_decref(control_peer_refused(&fixture->peer, "flight.kill", "{'id':'99-1'}"));
    json_decref(control_peer_refused(&fixture->peer, "flight.kill", "{'id':'0-1x'}"));
}

static void a_routes_mode_is_changed_while_running(void **state)
{
    struct fixture *fixture = *state;
    const char *name = fixture->daemon->config->routes[0].name;
    char parameters[256];
    snprintf(parameters, sizeof(parameters), "{'route':'%s','mode':'shadow'}", name);
    json_decref(control_peer_call(&fixture->peer, "coalesce.route", parameters));
    assert_int_equal(fixture->daemon->config->routes[0].coalesce.mode, COALESCE_SHADOW);
    snprintf(parameters, sizeof(parameters), "{'route':'%s','mode':'all'}",
             fixture->daemon->config->routes[0].name);
    json_decref(control_peer_refused(&fixture->peer, "coalesce.route", parameters));
    json_decref(
        control_peer_refused(&fixture->peer, "coalesce.route", "{'route':'nobody','mode':'off'}"));
}

static void a_drain_says_who_ordered_it_and_waits_for_the_store(void **state)
{
    struct fixture *fixture = *state;
    struct failover *failover = &fixture->daemon->failover;
    char who[64];
    control_peer_send(&fixture->peer, "{'jsonrpc':'2.0','id':1,'method':'region.drain',"
                                      "'params':{'region':'us','ttl':'10m'}}");
    fake_daemon_run_until(fixture->daemon, drain_arrived, fixture->daemon);
    assert_int_equal(failover->command, FAILOVER_DRAIN);
    assert_int_equal(failover->region, 1);
    assert_int_equal(failover->ttl_ms, 600000);
    snprintf(who, sizeof(who), "uid=%u pid=%d", getuid(), getpid());
    assert_memory_equal(failover->by, who, strlen(who));
    fake_command_done(fixture->daemon, true, "us is drained");
    json_t *answer = control_peer_read(&fixture->peer);
    assert_string_equal(text_of(json_object_get(answer, "result"), "text"), "us is drained");
    json_decref(answer);
}

static void a_refusal_of_the_store_is_told(void **state)
{
    struct fixture *fixture = *state;
    control_peer_send(&fixture->peer, "{'jsonrpc':'2.0','id':1,'method':'region.undrain',"
                                      "'params':{'region':'eu'}}");
    fake_daemon_run_until(fixture->daemon, drain_arrived, fixture->daemon);
    assert_int_equal(fixture->daemon->failover.command, FAILOVER_UNDRAIN);
    assert_int_equal(fixture->daemon->failover.ttl_ms, 0);
    fake_command_done(fixture->daemon, false, "not drained");
    json_t *answer = control_peer_read(&fixture->peer);
    assert_int_equal(code_of(answer), -32000);
    assert_string_equal(text_of(json_object_get(answer, "error"), "message"), "not drained");
    json_decref(answer);
}

static void regions_and_backends_are_listed_as_programs_expect_them(void **state)
{
    struct fixture *fixture = *state;
    fixture->daemon->failover.active[0] = false;
    fixture->daemon->failover.usable[1] = false;
    json_t *result = control_peer_call(&fixture->peer, "region.list", NULL);
    const json_t *eu = json_array_get(json_object_get(result, "regions"), 0);
    assert_int_equal(json_array_size(json_object_get(result, "regions")), 2);
    assert_string_equal(text_of(eu, "name"), "eu");
    assert_string_equal(text_of(eu, "automatic"), "up");
    assert_true(json_is_false(json_object_get(eu, "active")));
    json_decref(result);
    result = control_peer_call(&fixture->peer, "backend.list", NULL);
    const json_t *second = json_array_get(json_object_get(result, "backends"), 1);
    const json_t *fourth = json_array_get(json_object_get(result, "backends"), 3);
    assert_int_equal(json_array_size(json_object_get(result, "backends")), 4);
    assert_string_equal(text_of(second, "name"), "eu-2");
    assert_true(json_is_false(json_object_get(second, "usable")));
    assert_string_equal(text_of(fourth, "name"), "10.1.2.9:9000");
    assert_string_equal(text_of(fourth, "service"), "models");
    assert_string_equal(text_of(fourth, "region"), "us");
    assert_int_equal(number_of(fourth, "weight"), 7);
    json_decref(result);
}

static void the_load_of_a_backend_is_that_of_its_present_life(void **state)
{
    struct fixture *fixture = *state;
    struct daemon *daemon = fixture->daemon;
    const struct config_backend *backend = &daemon->config->backends[0];
    struct backend_load *loads[] = {&daemon->workers[0].loads.slots[backend->slot],
                                    &daemon->workers[1].loads.slots[backend->slot]};
    *loads[0] = (struct backend_load){.generation = backend->generation,
                                      .in_flight = 3,
                                      .outcomes = {[BACKEND_SUCCESS] = 10, [BACKEND_LATE] = 1}};
    *loads[1] = (struct backend_load){
        .generation = backend->generation, .in_flight = 4, .outcomes = {[BACKEND_BAD_STATUS] = 2}};
    json_t *result = control_peer_call(&fixture->peer, "backend.list", NULL);
    const json_t *first = json_array_get(json_object_get(result, "backends"), 0);
    assert_int_equal(number_of(first, "in_flight"), 7);
    assert_int_equal(number_of(first, "succeeded"), 10);
    assert_int_equal(number_of(first, "failed"), 3);
    json_decref(result);
    loads[1]->generation--;
    result = control_peer_call(&fixture->peer, "backend.list", NULL);
    first = json_array_get(json_object_get(result, "backends"), 0);
    assert_int_equal(number_of(first, "in_flight"), 3);
    json_decref(result);
}

static void status_tells_store_and_configuration(void **state)
{
    struct fixture *fixture = *state;
    json_t *result = control_peer_call(&fixture->peer, "status", NULL);
    const json_t *store = json_object_get(result, "store");
    const json_t *config = json_object_get(result, "config");
    assert_string_equal(text_of(store, "kind"), "memory");
    assert_string_equal(text_of(store, "state"), "connected");
    assert_true(json_is_false(json_object_get(config, "differs")));
    assert_string_equal(text_of(config, "running_file"), "none");
    assert_int_equal(number_of(result, "workers"), 2);
    json_decref(result);
}

static void counters_are_summed_and_chosen_by_prefix(void **state)
{
    struct fixture *fixture = *state;
    fixture->daemon->workers[0].counters.loop.received_packets = 30;
    fixture->daemon->workers[1].counters.loop.received_packets = 12;
    json_t *result = control_peer_call(&fixture->peer, "stats", "{'prefix': 'worker.'}");
    const json_t *counters = json_object_get(result, "counters");
    const json_t *one = json_object_get(counters, "worker.received_packets");
    assert_int_equal(number_of(one, "sum"), 42);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(one, "workers"), 1)), 12);
    assert_string_equal(text_of(one, "unit"), "packets");
    size_t few = json_object_size(counters);
    json_decref(result);
    result = control_peer_call(&fixture->peer, "stats", NULL);
    assert_true(json_object_size(json_object_get(result, "counters")) > few);
    assert_int_equal(json_object_size(json_object_get(result, "counters")),
                     counter_description_count);
    json_decref(result);
}

static void histograms_are_told_with_their_bounds(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t i = 1; i <= 100; i++)
        histogram_add(&fixture->daemon->workers[i % 2].request_histograms.duration, i);
    json_t *result = control_peer_call(&fixture->peer, "stats", "{'prefix': 'request.dur'}");
    const json_t *histograms = json_object_get(result, "histograms");
    const json_t *one = json_object_get(histograms, "request.duration");
    assert_int_equal(json_object_size(histograms), 1);
    assert_int_equal(number_of(one, "count"), 100);
    assert_int_equal(number_of(one, "sum"), 5050);
    assert_int_equal(number_of(one, "p50"), 64);
    assert_int_equal(number_of(one, "p99"), 128);
    const json_t *last = json_array_get(json_object_get(one, "buckets"), 7);
    assert_int_equal(number_of(last, "most"), 128);
    assert_int_equal(number_of(last, "count"), 36);
    json_decref(result);
}

static void logs_are_reopened(void **state)
{
    struct fixture *fixture = *state;
    json_decref(control_peer_call(&fixture->peer, "log.reopen", NULL));
    assert_int_equal(fixture->daemon->reopened, 1);
}

static void ports_are_listed_with_features_and_counts(void **state)
{
    struct fixture *fixture = *state;
    json_t *result = control_peer_call(&fixture->peer, "port.list", NULL);
    const json_t *port = json_array_get(json_object_get(result, "ports"), 0);
    assert_string_equal(text_of(port, "name"), "front");
    assert_int_equal(number_of(json_object_get(port, "statistics"), "received_packets"), 11);
    assert_int_equal(number_of(json_object_get(port, "steering"), "redirected"), 42);
    assert_true(json_is_true(json_object_get(json_object_get(port, "features"), "rx_checksum")));
    json_decref(result);
}

struct busy_wait {
    struct fixture *fixture;
    double busy;
};

/* The workers' counters go on; the share is known when two samples were taken. */
static bool share_known(void *context)
{
    struct busy_wait *wait = context;
    for (int i = 0; i < FAKE_WORKERS; i++) {
        struct loop_counters *loop = &wait->fixture->daemon->workers[i].counters.loop;
        loop->busy_cycles += 100;
        loop->idle_cycles += 300;
        loop->turns += 1;
    }
    return wait->fixture->daemon->workers[0].counters.loop.turns > 2500;
}

static void workers_are_listed_with_their_busy_share(void **state)
{
    struct fixture *fixture = *state;
    struct busy_wait wait = {.fixture = fixture};
    json_t *result = control_peer_call(&fixture->peer, "worker.list", NULL);
    assert_int_equal(json_array_size(json_object_get(result, "workers")), 2);
    assert_true(json_is_null(
        json_object_get(json_array_get(json_object_get(result, "workers"), 0), "busy")));
    json_decref(result);
    fake_daemon_run_until(fixture->daemon, share_known, &wait);
    result = control_peer_call(&fixture->peer, "worker.list", NULL);
    const json_t *worker = json_array_get(json_object_get(result, "workers"), 1);
    double busy = json_real_value(json_object_get(worker, "busy"));
    assert_true(busy > 0.2 && busy < 0.3);
    assert_true(number_of(worker, "turns_per_second") > 0);
    json_decref(result);
}

static void help_names_every_method(void **state)
{
    struct fixture *fixture = *state;
    json_t *result = control_peer_call(&fixture->peer, "help", NULL);
    const json_t *methods = json_object_get(result, "methods");
    assert_int_equal(json_array_size(methods), method_count);
    for (uint32_t i = 0; i < method_count; i++)
        assert_string_equal(text_of(json_array_get(methods, i), "name"), method_table[i].name);
    json_decref(result);
}

/* The fake's configuration with one key changed; PATH is one or two names. */

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_listing_is_forgotten_with_its_client),
        CASE(a_flight_is_ended_by_the_id_it_is_listed_with),
        CASE(a_routes_mode_is_changed_while_running),
        CASE(flights_are_listed_by_the_names_of_route_and_backend),
        CASE(a_drain_says_who_ordered_it_and_waits_for_the_store),
        CASE(a_refusal_of_the_store_is_told),
        CASE(regions_and_backends_are_listed_as_programs_expect_them),
        CASE(the_load_of_a_backend_is_that_of_its_present_life),
        CASE(status_tells_store_and_configuration),
        CASE(counters_are_summed_and_chosen_by_prefix),
        CASE(histograms_are_told_with_their_bounds),
        CASE(logs_are_reopened),
        CASE(ports_are_listed_with_features_and_counts),
        CASE(workers_are_listed_with_their_busy_share),
        CASE(help_names_every_method),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
