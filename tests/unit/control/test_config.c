/* The configuration: rules across keys, slots, restarts, files. */
#include "control/config.h"

#include "control/config_report.h"
#include "control/config_values.h"
#include "dataplane/base/check.h"
#include "tests/unit/control/config_document.h"

#include <unistd.h>

static void defaults_are_those_of_the_design(void **state)
{
    struct config_findings findings = {0};
    struct config *config = read_with("", "deny", NULL, &findings);
    assert_non_null(config);
    assert_int_equal(config->workers, 1);
    assert_int_equal(config->idle, CONFIG_IDLE_POLL);
    assert_int_equal(config->health.probe, CONFIG_PROBE_HTTP);
    assert_int_equal(config->health.fall, 3);
    assert_true(config->health.interval_up_ns == 2000000000);
    assert_int_equal(config->services[0].health.eject_region_percent, 30);
    assert_int_equal(config->routes[0].coalesce.mode, COALESCE_OFF);
    assert_int_equal(config->routes[0].coalesce.flight_bytes, 1048576);
    assert_string_equal(config->routes[0].path_prefix, "/");
    assert_true(config->routes[0].request_timeout_ns == 300000000000);
    assert_true(config->failover.down_dwell_ns == 6000000000);
    assert_true(config->failover.down_interval_ns == 60000000000);
    assert_int_equal(config->failover.ramp_steps, 5);
    assert_int_equal(config->failover.ramp_permille[0], 50);
    assert_int_equal(config->failover.ramp_permille[4], 1000);
    assert_int_equal(config->failover.node_count, 1);
    assert_string_equal(config->failover.nodes[0], "edge-1");
    assert_int_equal(config->store.kind, CONFIG_STORE_MEMORY);
    assert_int_equal(config->control.mode, 0600);
    assert_int_equal(config->backends[0].weight, 100);
    assert_string_equal(config->backends[1].name, "[fd00::1]:8080");
    assert_true(config->limits.drain_timeout_ns == 30000000000);
    config_free(config);
}

/* A backend speaks what it says, else what its service says, else HTTP/2. */
static void a_protocol_is_the_backends_or_its_services(void **state)
{
    static const struct {
        const char *service, *backend;
        enum upstream_protocol spoken;
    } cases[] = {
        {NULL, NULL, UPSTREAM_HTTP2}, {NULL, "h1", UPSTREAM_HTTP1},
        {"h1", NULL, UPSTREAM_HTTP1}, {"h1", "service", UPSTREAM_HTTP1},
        {"h1", "h2", UPSTREAM_HTTP2}, {"h2", "h1", UPSTREAM_HTTP1},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct config_findings findings = {0};
        json_t *document = parse(base);
        if (cases[i].service != NULL)
            json_object_set_new(at(document, "services[0]"), "protocol",
                                json_string(cases[i].service));
        if (cases[i].backend != NULL)
            json_object_set_new(at(document, "services[0].regions.eu.backends[0]"), "protocol",
                                json_string(cases[i].backend));
        struct config *config = config_read_json(document, NULL, &findings);
        assert_non_null(config);
        assert_int_equal(config->backends[0].protocol, cases[i].spoken);
        bool both = cases[i].service != NULL && strcmp(cases[i].service, "h1") == 0;
        assert_int_equal(config->backends[1].protocol, both ? UPSTREAM_HTTP1 : UPSTREAM_HTTP2);
        config_free(config);
        json_decref(document);
    }
}

static void services_and_routes_inherit_and_change(void **state)
{
    struct config_findings findings = {0};
    json_t *document = parse(base);
    json_object_set_new(document, "health", parse("{'fall': 7, 'rise': 2}"));
    json_object_set_new(document, "coalesce", parse("{'mode': 'get', 'key_headers': ['X-A']}"));
    json_object_set_new(at(document, "services[0]"), "health", parse("{'fall': 9}"));
    json_object_set_new(at(document, "routes[0]"), "coalesce", parse("{'linger': '2s'}"));
    struct config *config = config_read_json(document, NULL, &findings);
    assert_non_null(config);
    assert_int_equal(config->health.fall, 7);
    assert_int_equal(config->services[0].health.fall, 9);
    assert_int_equal(config->services[0].health.rise, 2);
    assert_int_equal(config->routes[0].coalesce.mode, COALESCE_GET);
    assert_true(config->routes[0].coalesce.linger_ns == 2000000000);
    assert_int_equal(config->routes[0].coalesce.key_header_count, 1);
    assert_string_equal(config->routes[0].coalesce.key_headers[0], "x-a");
    config_free(config);
    json_decref(document);
}

/* One key changed, and what is found; NULL: nothing. */
static const struct {
    const char *path;
    const char *key;
    const char *value;
    const char *finding;
} rules[] = {
    {"", "node", "'edge 1'", "node: is \"edge 1\"; expected a name of letters"},
    {"", "node", "''", "node: is empty"},
    {"", "state_dir", "'/var\\nlib'", "state_dir: has a control character"},
    {"", "eal", "['-l', '']", "eal[1]: expected a text that is not empty"},
    {"", "eal", "['--no-huge']", NULL},
    {"", "ports", "[]", "ports: is empty; expected at least one"},
    {"", "deny", "['192.0.2.0/24', '2001:db8::/33']", NULL},
    {"", "deny", "['192.0.2.0/33']", "deny[0]: is not a network"},
    {"ports[0]", "device", "''", "ports[0].device: is empty"},
    {"ports[0]", "device", "'net_af_xdp0'", "ports[0].device: names no interface"},
    {"ports[0]", "device", "'net_af_xdp0,iface=eth1'", NULL},
    {"ports[0]", "device", "'net_af_xdp0,iface=eth1,queue_count=2'",
     "ports[0].device: has 2 queues; expected queue_count=1"},
    {"", "ports",
     "[{'name': 'a', 'device': 'net_af_xdp0,iface=eth1', 'mtu': 1800,"
     " 'interfaces': [{'addresses': ['10.0.0.1/24', 'fd00::1/64']}]}]",
     "ports[0].mtu: is 1800; AF_XDP takes at most 1770"},
    {"", "ports",
     "[{'name': 'a', 'device': 'net_af_xdp0,iface=eth1', 'mbufs': 2048,"
     " 'interfaces': [{'addresses': ['10.0.0.1/24', 'fd00::1/64']}]}]",
     "ports[0].mbufs: is 2048; AF_XDP needs at least 3072"},
    {"ports[0]", "interfaces", "[]", "ports[0].interfaces: is empty"},
    {"ports[0]", "interfaces", "[{'addresses': ['10.0.0.1/24']}]",
     "services[0].regions.us: backend [fd00::1]:8080 has an IPv6 address"},
    {"listeners[0]", "address", "'0.0.0.0'", "listeners[0].address: is not the address of a host"},
    {"listeners[0]", "address", "'::'", "listeners[0].address: is not the address of a host"},
    {"listeners[0]", "address", "'ff02::1'", "listeners[0].address: is not the address of a host"},
    {"listeners[0]", "address", "'10.0.0.80/24'", "listeners[0].address: is not an address"},
    {"listeners[0]", "port", "40000", "listeners[0].port: is 40000; expected a number from 1"},
    {"", "listeners",
     "[{'name': 'a', 'address': '10.0.0.80', 'port': 80},"
     " {'name': 'a', 'address': '10.0.0.80', 'port': 81}]",
     "listeners[1].name: \"a\" is the name of listeners[0] already"},
    {"", "listeners",
     "[{'name': 'a', 'address': '10.0.0.80', 'port': 80},"
     " {'name': 'b', 'address': '10.0.0.80', 'port': 80}]",
     "listeners[1].address: listeners[0] has this address and port"},
    {"", "regions", "[{'name': 'eu'}]", "services[0].regions: \"us\" is not the name of a region"},
    {"", "regions", "[{'name': 'eu'}, {'name': 'us'}, {'name': 'eu'}]",
     "regions[2].name: \"eu\" is the name of regions[0] already"},
    {"", "regions", "[{'name': 'eu'}, {'name': 'us'}, {'name': 'asia'}]", NULL},
    {"regions[0]", "on_failure", "'review'", NULL},
    {"regions[1]", "on_recovery", "'maybe'", "regions[1].on_recovery: "},
    {"services[0]", "regions", "{}", "services[0].regions: has no backend"},
    {"services[0]", "regions", "{'eu': {'backends': []}}", "services[0].regions: has no backend"},
    {"services[0]", "regions", "{'eu': []}", "services[0].regions.eu: expected {\"backends\""},
    {"services[0]", "regions", "{'eu': {'backend': [], 'backends': []}}",
     "services[0].regions.eu: has the key \"backend\""},
    {"services[0].regions.eu", "backends", "[5]",
     "services[0].regions.eu.backends[0]: is a number"},
    {"services[0].regions.eu", "backends",
     "[{'address': '10.1.1.1', 'port': 80}, {'address': '10.1.1.1', 'port': 80}]",
     "services[0].regions.eu: backend 10.1.1.1:80 stands twice"},
    {"services[0].regions.eu", "backends", "[{'address': '127.0.0.1', 'port': 80}]",
     "services[0].regions.eu: the address of backend 127.0.0.1:80"},
    {"services[0]", "protocol", "'h1'", NULL},
    {"services[0]", "protocol", "'http/1.1'",
     "services[0].protocol: is \"http/1.1\"; expected one of \"h2\", \"h1\""},
    {"services[0]", "protocol", "'service'", "services[0].protocol: is \"service\""},
    {"services[0].regions.eu.backends[0]", "protocol", "'h3'",
     "services[0].regions.eu.backends[0].protocol: is \"h3\"; expected one of \"h2\", \"h1\", "
     "\"service\""},
    {"services[0]", "health", "{'probe': 'http1', 'path': 'x'}",
     "services[0].health: path is \"x\""},
    {"services[0]", "health", "{'probe': 'http3'}", "services[0].health.probe: is \"http3\""},
    {"limits", "http1_connections", "0", "limits.http1_connections: is 0"},
    {"services[0]", "health", "{'path': 'healthz'}", "services[0].health: path is \"healthz\""},
    {"services[0]", "health", "{'path': 'healthz', 'probe': 'tcp'}", NULL},
    {"health", "eject", "'10m'", "health: eject is longer than eject_max"},
    {"routes[0]", "service", "'page'", "routes[0].service: \"page\" is not the name of a service"},
    {"routes[0]", "path", "'x'", "routes[0].path: is \"x\"; expected a path that begins"},
    {"routes[0]", "authority", "'*.example.org'", NULL},
    {"routes[0]", "authority", "'www.*.org'", "routes[0].authority: is \"www.*.org\""},
    {"routes[0]", "coalesce", "{'share_across_principals': true}",
     "routes[0].coalesce: share_across_principals needs i_know_responses_are_public"},
    {"routes[0]", "coalesce",
     "{'share_across_principals': true, 'i_know_responses_are_public': true}", NULL},
    {"", "coalesce", "{'share_across_principals': true, 'i_know_responses_are_public': true}",
     "coalesce.share_across_principals: is true for all routes"},
    {"routes[0]", "coalesce", "{'key_headers': ['X-A'], 'neutral_headers': ['x-a']}",
     "routes[0].coalesce: \"x-a\" is in key_headers and in neutral_headers"},
    {"routes[0]", "coalesce", "{'when_json': {'temperature': [0]}}",
     "routes[0].coalesce.when_json.temperature: is a list; expected a number, true, false, null"},
    {"routes[0]", "coalesce", "{'when_json': {'model': 'a\\\\b'}}",
     "routes[0].coalesce.when_json.model: is a text; expected a number"},
    {"routes[0]", "coalesce", "{'when_json': {'': 0}}",
     "routes[0].coalesce.when_json.: expected a name of 1 to 63 bytes"},
    {"routes[0]", "coalesce", "{'when_json': ['temperature']}",
     "routes[0].coalesce.when_json: is a list; expected an object: names of members"},
    {"routes[0]", "extended_connect", "['websocket', 'web socket']",
     "routes[0].extended_connect[1]: \"web socket\" is not the name of a protocol"},
    {"routes[0]", "extended_connect", "[':protocol']",
     "routes[0].extended_connect[0]: \":protocol\" is not the name of a protocol"},
    {"routes[0]", "coalesce", "{'key_headers': ['x a']}",
     "routes[0].coalesce: key_headers: \"x a\" is not the name of a header"},
    {"routes[0]", "coalesce", "{'principal_headers': [':path']}",
     "routes[0].coalesce: principal_headers: \":path\" is not the name of a header"},
    {"routes[0]", "coalesce", "{'neutral_headers': ['Authorization']}",
     "routes[0].coalesce: \"authorization\" says who asks"},
    {"routes[0]", "coalesce",
     "{'principal_headers': ['X-Api-Key'], 'neutral_headers': ['x-api-key']}",
     "routes[0].coalesce: \"x-api-key\" says who asks"},
    {"routes[0]", "coalesce", "{'mode': 'all'}",
     "routes[0].coalesce.mode: is \"all\"; expected one of \"off\", \"shadow\", \"get\""},
    {"", "routes",
     "[{'name': 'a', 'service': 'pages', 'path': '/x'},"
     " {'name': 'b', 'service': 'pages', 'path': '/x'}]",
     "routes[1]: routes[0] has the same authority and path"},
    {"failover", "nodes", "['edge-2', 'edge-3']", "failover.nodes: does not name this node"},
    {"failover", "nodes", "['edge-1', 'edge-1']", "failover.nodes: \"edge-1\" stands there twice"},
    {"failover", "ramp_percent", "[5, 5, 100]", "failover.ramp_percent[1]: expected percentages"},
    {"failover", "ramp_percent", "[5, 50]", "failover.ramp_percent: expected 100 as the last"},
    {"failover", "ramp_percent", "[1, 2, 3, 4, 5, 6, 7, 8, 100]",
     "failover.ramp_percent: has 9 elements; expected at most 8"},
    {"failover", "min_active_regions", "3", "failover.min_active_regions: is 3; there are only 2"},
    {"failover", "hold_down", "'1h'", "failover.hold_down: is longer than hold_down_max"},
    {"failover", "suspect_below", "35",
     "failover.suspect_below: is 35; expected less than clear_at"},
    {"failover", "degraded_below", "25", "failover.suspect_below: is 25; expected less than degra"},
    {"failover", "up_at", "72", "failover.degraded_below: is 72; expected less than up_at, 72"},
    {"failover", "recover_at", "40",
     "failover.recovering_below: is 40; expected less than recover"},
    {"failover", "penalty_back", "2500",
     "failover.penalty_back: is 2500; expected less than penal"},
    {"failover", "vote_interval", "'3s'", "failover.vote_interval: is not shorter than"},
    {"failover", "vote_fresh", "'7s'", "failover.vote_fresh: is longer than vote_gone"},
    {"failover", "hold_down", "'5'", "failover.hold_down: is not a duration"},
    {"failover", "hold_down", "'5 s'", "failover.hold_down: is not a duration"},
    {"failover", "hold_down", "'1ms'", "failover.hold_down: is 1ms; expected 100ms to 24h"},
    {"listeners[0]", "http1", "'426'", NULL},
    {"listeners[0]", "http1", "426", "listeners[0].http1: "},
    {"listeners[0]", "http1", "'redirect'",
     "listeners[0].http1_location: is \"\"; expected a scheme"},
    {"listeners[0]", "http1_location", "'https://a.example'",
     "listeners[0].http1_location: has no use without"},
    {"", "tls", "{'key_log_file': '-'}", "tls.key_log_file: is \"-\"; expected a path that begins"},
    {"", "tls", "{'key_log_file': '/run/keys'}", NULL},
    {"", "store", "{'kind': 'redis', 'address': '192.0.2.1:6379'}", NULL},
    {"", "store", "{'kind': 'redis', 'sentinels': ['192.0.2.1:1', '[2001:db8::1]:1']}", NULL},
    {"", "store", "{'kind': 'redis', 'address': '[::1]:6379'}", NULL},
    {"", "store", "{'kind': 'redis', 'address': 'unix:/run/redis.sock'}", NULL},
    {"", "store", "{'kind': 'redis', 'address': 'redis.example'}", "store.address: is"},
    {"", "store", "{'kind': 'redis', 'address': '::1:6379'}", "store.address: is"},
    {"", "store", "{'kind': 'redis', 'address': 'redis.example:6379'}", "store.address: is"},
    {"", "store", "{'kind': 'redis', 'sentinels': ['10.0.0.1:26379', '10.0.0.2']}",
     "store.sentinels[1]: is"},
    {"", "store", "{'kind': 'redis', 'sentinels': ['[::1]:1', '[::1]:1']}",
     "store.sentinels[1]: \"[::1]:1\" stands there twice"},
    {"", "store", "{'kind': 'redis', 'sentinels': ['[::1]:1'], 'master': 'a b'}", "store.master"},
    {"", "store", "{'kind': 'redis', 'sentinels': '10.0.0.1:26379'}", "store.sentinels"},
    {"", "store", "{'kind': 'redis', 'address': ':6379'}", "store.address: is"},
    {"", "metrics", "{'listen': '127.0.0.1'}", "metrics.listen: is"},
    {"", "metrics", "{'listen': 'unix:/run/metrics'}", "metrics.listen: is"},
    {"", "log", "{'access': {'sample': 1.5}}",
     "log.access.sample: is 1.5; expected a number from 0 to 1"},
    {"", "log", "{'access': {'sample': -0.1}}", "log.access.sample: is"},
    {"", "store", "{'kind': 'redis', 'address': 'redis:70000'}", "store.address: is"},
    {"", "store", "{'cluster': 'a}b'}", "store.cluster: is"},
    {"control", "mode", "'0666'", NULL},
    {"control", "mode", "'0888'", "control.mode: is not a file mode"},
    {"limits", "exchanges", "100000", "limits.exchanges: is 100000, more than limits.streams"},
    {"limits", "payload_bytes", "'1000 MiB'", "limits.payload_bytes: is not a size"},
    {"limits", "payload_bytes", "'2000000MiB'",
     "limits.payload_bytes: is 2097152000000 bytes; expected"},
    {"", "limits", "{'payload_bytes': '1048576MiB', 'segment_bytes': 1024}",
     "limits.payload_bytes: makes more than 268435456 segments"},
};

static void rules_across_keys_name_the_key_to_change(void **state)
{
    for (size_t i = 0; i < array_count(rules); i++) {
        struct config_findings findings = {0};
        struct config *config =
            read_with(rules[i].path, rules[i].key, parse(rules[i].value), &findings);
        bool found = rules[i].finding == NULL;
        for (uint32_t f = 0; f < findings.count && !found; f++)
            found = strncmp(findings.lines[f], rules[i].finding, strlen(rules[i].finding)) == 0;
        if (!found || (config != NULL) != (rules[i].finding == NULL))
            fail_msg("%s.%s = %s: wanted %s, got %s", rules[i].path, rules[i].key, rules[i].value,
                     rules[i].finding != NULL ? rules[i].finding : "no finding",
                     findings.count > 0 ? findings.lines[0] : "no finding");
        config_findings_free(&findings);
        config_free(config);
    }
}

static void all_findings_are_told_at_once(void **state)
{
    struct config_findings findings = {0};
    json_t *document = parse("{'node': 5, 'workers': 1000, 'listenrs': []}");
    assert_null(config_read_json(document, NULL, &findings));
    assert_non_null(find_line(&findings, "node"));
    assert_non_null(find_line(&findings, "workers"));
    assert_non_null(find_line(&findings, "listenrs"));
    assert_non_null(find_line(&findings, "listeners"));
    assert_non_null(find_line(&findings, "routes"));
    config_findings_free(&findings);
    json_decref(document);
}

static void a_document_of_another_kind_is_refused(void **state)
{
    static const char *const documents[] = {"[]",
                                            "5",
                                            "'text'",
                                            "null",
                                            "{'services': 5}",
                                            "{'services': [5, {'regions': 5}], 'regions': 7}"};
    for (size_t i = 0; i < array_count(documents); i++) {
        struct config_findings findings = {0};
        json_t *document = parse(documents[i]);
        assert_null(config_read_json(document, NULL, &findings));
        assert_true(findings.count > 0);
        config_findings_free(&findings);
        json_decref(document);
    }
}

static void routes_are_sorted_as_workers_want_them(void **state)
{
    static const char *const wanted[] = {"exact-long", "exact",    "wild-long",
                                         "wild",       "any-long", "any"};
    struct config_findings findings = {0};
    struct config *config = read_with(
        "", "routes",
        parse("[{'name': 'any', 'service': 'pages'},"
              " {'name': 'wild', 'authority': '*.b.org', 'service': 'pages'},"
              " {'name': 'exact', 'authority': 'B.org', 'service': 'pages'},"
              " {'name': 'wild-long', 'authority': '*.a.b.org', 'service': 'pages'},"
              " {'name': 'any-long', 'path': '/x/', 'service': 'pages'},"
              " {'name': 'exact-long', 'authority': 'b.org', 'path': '/x', 'service': 'pages'}]"),
        &findings);
    assert_non_null(config);
    for (size_t i = 0; i < array_count(wanted); i++)
        assert_string_equal(config->routes[i].name, wanted[i]);
    assert_string_equal(config->routes[1].authority, "b.org");
    config_free(config);
}

static const struct config_backend *backend_named(const struct config *config, const char *name)
{
    for (uint32_t i = 0; i < config->backend_count; i++)
        if (strcmp(config->backends[i].name, name) == 0)
            return &config->backends[i];
    fail_msg("no backend %s", name);
    return NULL;
}

static struct config *with_backends(const char *eu, const struct config *previous)
{
    struct config_findings findings = {0};
    json_t *document = parse(base);
    json_object_set_new(at(document, "services[0].regions.eu"), "backends", parse(eu));
    struct config *config = config_read_json(document, previous, &findings);
    json_decref(document);
    assert_non_null(config);
    return config;
}

#define A "{'name': 'a', 'address': '10.1.1.1', 'port': 1}"
#define B "{'name': 'b', 'address': '10.1.1.2', 'port': 1}"
#define C "{'name': 'c', 'address': '10.1.1.3', 'port': 1}"

static void a_backend_that_stays_keeps_its_slot(void **state)
{
    struct config *first = with_backends("[" A "," B "]", NULL);
    struct config_backend a = *backend_named(first, "a");
    struct config_backend b = *backend_named(first, "b");
    struct config *second = with_backends("[" C "," B "]", first);
    const struct config_backend *c = backend_named(second, "c");
    assert_int_equal(backend_named(second, "b")->slot, b.slot);
    assert_int_equal(backend_named(second, "b")->generation, b.generation);
    assert_true(c->generation > b.generation && c->generation > a.generation);
    struct config *third = with_backends("[" A "," B "," C "]", second);
    assert_int_equal(backend_named(third, "c")->slot, c->slot);
    assert_true(backend_named(third, "a")->generation > c->generation);
    for (uint32_t i = 0; i < third->backend_count; i++)
        for (uint32_t j = 0; j < i; j++)
            assert_int_not_equal(third->backends[i].slot, third->backends[j].slot);
    config_free(first);
    config_free(second);
    config_free(third);
}

static void a_backend_that_moves_is_another_one(void **state)
{
    struct config *first = with_backends("[" A "]", NULL);
    struct config *second =
        with_backends("[{'name': 'a', 'address': '10.1.1.1', 'port': 2}]", first);
    assert_true(backend_named(second, "a")->generation > backend_named(first, "a")->generation);
    config_free(first);
    config_free(second);
}

static struct {
    const char *path;
    const char *key;
    const char *value;
    const char *needs; /* NULL: applied while running */
} const changes[] = {
    {"", "node", "'other'", "node"},
    {"", "workers", "2", "workers"},
    {"", "workers", "1", NULL}, /* its default */
    {"", "idle", "'adaptive'", "idle"},
    {"", "eal", "['--no-huge']", "eal"},
    {"ports[0]", "mtu", "2000", "ports"},
    {"store", "kind", "'redis'", "store.kind"},
    {"store", "kind", "'memory'", NULL},
    {"control", "socket", "'/run/other'", "control.socket"},
    {"limits", "streams", "65536", "limits.streams"},
    {"limits", "drain_timeout", "'5s'", NULL},
    {"listeners[0]", "port", "8080", NULL},
    {"failover", "hold_down", "'7s'", NULL},
    {"routes[0]", "replay_safe", "true", NULL},
    {"", "deny", "['192.0.2.0/24']", NULL},
    {"services[0].regions.eu.backends[0]", "weight", "5", NULL},
};

static void what_sizes_memory_or_binds_hardware_needs_a_restart(void **state)
{
    struct config_findings findings = {0};
    struct config *running = read_with("", "deny", NULL, &findings);
    for (size_t i = 0; i < array_count(changes); i++) {
        struct config_findings paths = {0};
        struct config *wanted =
            read_with(changes[i].path, changes[i].key, parse(changes[i].value), &findings);
        assert_non_null(wanted);
        config_needs_restart(running, wanted, &paths);
        assert_int_equal(paths.count, changes[i].needs != NULL ? 1 : 0);
        if (changes[i].needs != NULL)
            assert_non_null(find_line(&paths, changes[i].needs));
        config_findings_free(&paths);
        config_free(wanted);
    }
    config_free(running);
}

static void texts_of_values_are_read_and_printed(void **state)
{
    static const struct {
        const char *text;
        uint64_t ns; /* UINT64_MAX: not a duration */
    } durations[] = {
        {"0s", 0},
        {"1ns", 1},
        {"250us", 250000},
        {"2ms", 2000000},
        {"3s", 3000000000},
        {"5m", 300000000000},
        {"2h", 7200000000000},
        {"", UINT64_MAX},
        {"5", UINT64_MAX},
        {"s", UINT64_MAX},
        {"-1s", UINT64_MAX},
        {"1.5s", UINT64_MAX},
        {"1s ", UINT64_MAX},
        {"99999999999999999999s", UINT64_MAX},
        {"9999999999h", UINT64_MAX},
    };
    for (size_t i = 0; i < array_count(durations); i++) {
        uint64_t ns = 0;
        bool good = value_duration(durations[i].text, &ns);
        assert_int_equal(good, durations[i].ns != UINT64_MAX);
        if (good)
            assert_true(ns == durations[i].ns);
    }
    char text[32];
    uint64_t bytes;
    value_duration_text(90000000000, text, sizeof(text));
    assert_string_equal(text, "90s");
    value_size_text(65536, text, sizeof(text));
    assert_string_equal(text, "64KiB");
    assert_true(value_size("64KiB", &bytes) && bytes == 65536);
    assert_true(value_size("7", &bytes) && bytes == 7);
    assert_false(value_size("7KB", &bytes));
    assert_false(value_size("99999999999GiB", &bytes));
}

static void a_file_that_is_not_json_is_told_with_its_line(void **state)
{
    char path[] = "/tmp/weir_test_config_XXXXXX";
    struct config_findings findings = {0};
    int fd = mkstemp(path);
    static const char text[] = "{\n  \"node\": 5,\n  \"node\": 6\n}";
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    assert_null(config_read_file(path, NULL, &findings));
    assert_non_null(strstr(findings.lines[0], "line 3, column"));
    config_findings_free(&findings);
    unlink(path);
    assert_null(config_read_file(path, NULL, &findings));
    assert_non_null(strstr(findings.lines[0], "cannot be read"));
    config_findings_free(&findings);
}

static void memory_grows_with_workers_and_limits(void **state)
{
    struct config_findings findings = {0};
    struct config *one = read_with("", "deny", NULL, &findings);
    struct config *two = read_with("", "workers", json_integer(2), &findings);
    struct config *big = read_with("limits", "payload_bytes", json_string("1GiB"), &findings);
    assert_true(config_memory_bytes(two) > config_memory_bytes(one) * 3 / 2);
    assert_true(config_memory_bytes(big) > config_memory_bytes(one) + (900ull << 20));
    config_free(one);
    config_free(two);
    config_free(big);
}

static void running_json_is_started_with_once_there_is_one(void **state)
{
    char folder[] = "/tmp/weir_test_config_XXXXXX";
    char path[64];
    char applied[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/weir.json", folder);
    snprintf(applied, sizeof(applied), "%s/running.json", folder);
    json_t *document = parse(base);
    json_object_set_new(document, "state_dir", json_string(folder));
    assert_int_equal(json_dump_file(document, path, 0), 0);
    struct config *config = config_load(path, true);
    assert_non_null(config);
    assert_int_equal(config->listeners[0].port, 80);
    config_free(config);
    json_object_set_new(at(document, "listeners[0]"), "port", json_integer(81));
    assert_int_equal(json_dump_file(document, applied, 0), 0);
    config = config_load(path, true);
    assert_int_equal(config->listeners[0].port, 81);
    config_free(config);
    config = config_load(path, false);
    assert_int_equal(config->listeners[0].port, 80);
    config_free(config);
    json_decref(document);
    unlink(path);
    unlink(applied);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_design),
        cmocka_unit_test(a_protocol_is_the_backends_or_its_services),
        cmocka_unit_test(services_and_routes_inherit_and_change),
        cmocka_unit_test(rules_across_keys_name_the_key_to_change),
        cmocka_unit_test(all_findings_are_told_at_once),
        cmocka_unit_test(a_document_of_another_kind_is_refused),
        cmocka_unit_test(routes_are_sorted_as_workers_want_them),
        cmocka_unit_test(a_backend_that_stays_keeps_its_slot),
        cmocka_unit_test(a_backend_that_moves_is_another_one),
        cmocka_unit_test(what_sizes_memory_or_binds_hardware_needs_a_restart),
        cmocka_unit_test(texts_of_values_are_read_and_printed),
        cmocka_unit_test(a_file_that_is_not_json_is_told_with_its_line),
        cmocka_unit_test(memory_grows_with_workers_and_limits),
        cmocka_unit_test(running_json_is_started_with_once_there_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
