/* What weir --check promises to be enough, against what the workers really take. */
#include "control/config.h"
#include "control/worker_limits.h"

#include "dataplane/base/check.h"
#include "dataplane/base/memory.h"
#include "dataplane/tls/tls_arena.h"
#include "dataplane/worker/worker.h"
#include "tests/support/cmocka.h"

#include <jansson.h>
#include <rte_rcu_qsbr.h>
#include <stdio.h>
#include <string.h>

static json_t *document(void)
{
    return json_pack("{s:s, s:[{s:s, s:s, s:[{s:[s]}]}], s:[{s:s, s:s, s:i}], s:[{s:s}],"
                     " s:[{s:s, s:{s:{s:[{s:s, s:i}]}}}], s:[{s:s, s:s}], s:{}}",
                     "node", "n", "ports", "name", "p", "device", "net_ring0", "interfaces",
                     "addresses", "10.0.0.1/24", "listeners", "name", "l", "address", "10.0.0.1",
                     "port", 80, "regions", "name", "r", "services", "name", "s", "regions", "r",
                     "backends", "address", "10.0.0.2", "port", 80, "routes", "name", "a",
                     "service", "s", "limits");
}

static uint64_t port_bytes(const struct config *config)
{
    return (uint64_t)config->ports[0].mbufs * 2560 * config->workers;
}

static uint64_t taken_bytes(const struct config *config)
{
    static struct worker_shared shared;
    memset(&shared, 0, sizeof(shared));
    shared.workers = (uint16_t)config->workers;
    shared.quiescence = memory_take("quiescence", rte_rcu_qsbr_get_memsize(config->workers), -1);
    assert_int_equal(rte_rcu_qsbr_init(shared.quiescence, config->workers), 0);
    shared.table = coalesce_table_create(config->limits.coalesce_keys, 1, 2, -1);
    assert_non_null(shared.table);
    for (uint16_t i = 0; i < shared.workers; i++) {
        struct worker_config worker = {
            .index = i,
            .shared = &shared,
            .limits = worker_limits_of(config),
            .random_seed = 1,
            .socket_id = -1,
        };
        shared.members[i] = worker_create(&worker);
        assert_non_null(shared.members[i]);
    }
    assert_true(worker_connect(&shared, -1));
    uint64_t bytes = memory_taken_bytes();
    memory_reset();
    tls_arena_forget();
    return bytes;
}

struct sums {
    uint64_t promised; /* without the ports */
    uint64_t taken;
};

/* LIMITS is taken over. */
static struct sums sums_of(json_t *limits)
{
    struct config_findings findings = {0};
    json_t *json = document();
    json_object_set_new(json, "limits", limits);
    /* No listener uses it, so nobody reads it; but TLS gets its memory. */
    json_object_set_new(
        json, "certificates",
        json_pack("[{s:s, s:s, s:s}]", "name", "c", "chain_file", "c.pem", "key_file", "c.key"));
    struct config *config = config_read_json(json, NULL, &findings);
    if (config == NULL)
        fail_msg("%s", findings.lines[0]);
    struct sums sums = {config_memory_bytes(config) - port_bytes(config), taken_bytes(config)};
    config_free(config);
    json_decref(json);
    return sums;
}

/* Small, so that the test is quick; powers of two, as tables round up to them. */
static json_t *small_limits(void)
{
    return json_pack("{s:i, s:i, s:i, s:i, s:i, s:s, s:i, s:i, s:i}", "client_connections", 256,
                     "streams", 4096, "upstream_connections", 64, "flights", 512, "exchanges", 512,
                     "payload_bytes", "4MiB", "time_wait", 1024, "neighbours", 256, "coalesce_keys",
                     4096);
}

static void the_defaults_fit(void **state)
{
    struct sums sums = sums_of(json_object());
    assert_true(sums.promised >= sums.taken);
    assert_true(sums.promised < sums.taken * 3 / 2);
}

/* A limit that grows may take no more than what the promise grows by. CHANGE is taken over. */
static void expect_growth_promised(const char *what, json_t *change)
{
    struct sums before = sums_of(small_limits());
    json_t *limits = small_limits();
    json_object_update(limits, change);
    json_decref(change);
    struct sums after = sums_of(limits);
    assert_true(after.promised >= after.taken);
    int64_t promised = (int64_t)(after.promised - before.promised);
    int64_t taken = (int64_t)(after.taken - before.taken);
    if (promised < taken)
        fail_msg("%s: %ld bytes more promised, %ld more taken", what, promised, taken);
}

static void every_limit_is_in_the_sum(void **state)
{
    static const struct {
        const char *key;
        int value;
    } cases[] = {
        {"client_connections", 1024}, {"streams", 16384},        {"upstream_connections", 512},
        {"backend_connections", 64},  {"flights", 2048},         {"exchanges", 2048},
        {"payload_bytes", 33554432},  {"time_wait", 8192},       {"neighbours", 4096},
        {"header_bytes", 65536},      {"coalesce_keys", 32768},  {"hpack_tables", 4096},
        {"send_blocks", 16384},       {"access_records", 16384},
        {"tls_bytes", 134217728},
    };
    for (size_t i = 0; i < array_count(cases); i++)
        expect_growth_promised(cases[i].key, json_pack("{s:i}", cases[i].key, cases[i].value));
}

static void limits_together_are_in_the_sum(void **state)
{
    expect_growth_promised(
        "small segments", json_pack("{s:s, s:i}", "payload_bytes", "32MiB", "segment_bytes", 1024));
    expect_growth_promised("large headers",
                           json_pack("{s:i, s:i}", "header_bytes", 65536, "flights", 2048));
    expect_growth_promised("small headers",
                           json_pack("{s:i, s:i}", "header_bytes", 4096, "exchanges", 4096));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_fit),
        cmocka_unit_test(every_limit_is_in_the_sum),
        cmocka_unit_test(limits_together_are_in_the_sum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
