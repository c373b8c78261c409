#include "control/config_keys.h"

#include "dataplane/base/check.h"

#define MEMBER(type, member)                                                                       \
    .offset = offsetof(struct type, member), .size = sizeof(((struct type *)0)->member)
#define COUNTED(type, member, count)                                                               \
    MEMBER(type, member), .count_offset = offsetof(struct type, count)
#define MS(n)  ((uint64_t)(n)*1000000)
#define SEC(n) ((uint64_t)(n)*1000000000)
#define MIB(n) ((uint64_t)(n)*1024 * 1024)
#define DAY    SEC(86400)
#define OBJECT(object, type, table)                                                                \
    const struct config_object object = {#type, sizeof(struct type), table, array_count(table)}

static const char *const idle_choices[] = {"poll", "adaptive", NULL};
static const char *const mode_choices[] = {"auto", "review", "manual", NULL};
static const char *const store_choices[] = {"memory", "redis", NULL};
static const char *const probe_choices[] = {"tcp", "http2", "http1", "http", NULL};
static const char *const protocol_choices[] = {"h2", "h1", NULL};
static const char *const backend_protocol_choices[] = {"h2", "h1", "service", NULL};
static const char *const cookies_choices[] = {"auto", "always", NULL};
static const char *const forward_choices[] = {"off", "append", "replace", NULL};
static const char *const no_region_choices[] = {"panic", "fail", NULL};
static const char *const priority_choices[] = {"normal", "critical", "sheddable", NULL};
static const char *const tls_policy_choices[] = {"modern", "intermediate", NULL};
static const char *const http1_choices[] = {"505", "426", "redirect", NULL};
static const char *const tls_http1_choices[] = {"reject", "answer", NULL};
static const char *const client_certificate_choices[] = {"none", "request", "require", NULL};
static const char *const congestion_choices[] = {"cubic", "newreno", NULL};
static const char *const coalesce_choices[] = {"off", "shadow", "get", "post-body", NULL};

static const struct config_key interface_keys[] = {
    {"vlan", KEY_INTEGER, KEY_RESTART, MEMBER(config_port_interface, vlan), .high = 4094,
     .fallback = "0", .help = "VLAN id; 0: untagged"},
    {"addresses", KEY_PREFIXES, KEY_RESTART | KEY_REQUIRED,
     COUNTED(config_port_interface, addresses, address_count), .capacity = 8, .inlined = true,
     .help = "our own addresses with their networks; connections to backends come from them"},
    {"gateway_v4", KEY_ADDRESS, KEY_RESTART | KEY_PRESENCE,
     MEMBER(config_port_interface, gateway_v4),
     .present_offset = offsetof(struct config_port_interface, has_gateway_v4),
     .help = "next hop for IPv4 outside the networks"},
    {"gateway_v6", KEY_ADDRESS, KEY_RESTART | KEY_PRESENCE,
     MEMBER(config_port_interface, gateway_v6),
     .present_offset = offsetof(struct config_port_interface, has_gateway_v6),
     .help = "next hop for IPv6 outside the networks"},
};
static OBJECT(interface_object, config_port_interface, interface_keys);

static const struct config_key port_keys[] = {
    {"name", KEY_TEXT, KEY_REQUIRED | KEY_RESTART | KEY_NAME, MEMBER(config_port, name),
     .help = "the operator's name for it"},
    {"device", KEY_TEXT, KEY_REQUIRED | KEY_RESTART, MEMBER(config_port, device),
     .help = "a PCI address, or DPDK devargs: net_af_xdp0,iface=eth1,queue_count=2"},
    {"mtu", KEY_INTEGER, KEY_RESTART, MEMBER(config_port, mtu), .low = 1280, .high = 2026,
     .fallback = "1500",
     .help = "bytes of IP packet; one buffer holds it: jumbo frames are not supported"},
    {"mbufs", KEY_INTEGER, KEY_RESTART, MEMBER(config_port, mbufs), .low = 2048, .high = 4194304,
     .fallback = "16384", .help = "packet buffers a queue"},
    {"interfaces", KEY_LIST, KEY_RESTART | KEY_REQUIRED,
     COUNTED(config_port, interfaces, interface_count), .capacity = 8, .inlined = true,
     .object = &interface_object, .help = "one for each VLAN"},
};
static OBJECT(port_object, config_port, port_keys);

static const struct config_key listener_tls_keys[] = {
    {"certificates", KEY_TEXTS, 0, COUNTED(config_listener_tls, certificates, certificate_count),
     .capacity = CONFIG_LISTENER_CERTIFICATES,
     .help = "names of certificates: the client's server name chooses, the first one is for "
             "others; none: clear text"},
    {"policy", KEY_CHOICE, 0, MEMBER(config_listener_tls, policy), .fallback = "\"intermediate\"",
     .choices = tls_policy_choices,
     .help = "modern: TLS 1.3; intermediate: also 1.2 with ECDHE and AEAD"},
    {"http1", KEY_CHOICE, 0, MEMBER(config_listener_tls, http1), .fallback = "\"reject\"",
     .choices = tls_http1_choices,
     .help = "clients that offer http/1.1 and not h2: an alert, or the listener's `http1` answer"},
    {"client_certificate", KEY_CHOICE, 0, MEMBER(config_listener_tls, client_certificate),
     .fallback = "\"none\"", .choices = client_certificate_choices,
     .help = "request: who shows one has to show a good one; require: no connection without"},
    {"client_ca_file", KEY_TEXT, 0, MEMBER(config_listener_tls, client_ca_file), .fallback = "\"\"",
     .help = "PEM: whose certificates clients may show"},
};
static OBJECT(listener_tls_object, config_listener_tls, listener_tls_keys);

static const struct config_key listener_keys[] = {
    {"name", KEY_TEXT, KEY_REQUIRED | KEY_NAME, MEMBER(config_listener, name), .help = "its name"},
    {"address", KEY_ADDRESS, KEY_REQUIRED, MEMBER(config_listener, address),
     .help = "service address (VIP); not assigned to the host"},
    {"port", KEY_INTEGER, KEY_REQUIRED, MEMBER(config_listener, port), .low = 1, .high = 32767,
     .help = "TCP port, below the ports connections to backends are opened from"},
    {"http1", KEY_CHOICE, 0, MEMBER(config_listener, http1), .fallback = "\"505\"",
     .choices = http1_choices,
     .help =
         "what who speaks HTTP/1 is told: a refusal by 505, or by 426 with `upgrade`; or 308 to "
         "`http1_location`"},
    {"http1_location", KEY_TEXT, 0, MEMBER(config_listener, http1_location), .fallback = "\"\"",
     .help = "where `redirect` leads, before the request's path: https://shop.example"},
    {"tls", KEY_OBJECT, 0, MEMBER(config_listener, tls), .object = &listener_tls_object,
     .help = "TLS towards clients"},
};
static OBJECT(listener_object, config_listener, listener_keys);

static const struct config_key certificate_keys[] = {
    {"name", KEY_TEXT, KEY_REQUIRED | KEY_NAME, MEMBER(config_certificate, name),
     .help = "its name"},
    {"chain_file", KEY_TEXT, KEY_REQUIRED, MEMBER(config_certificate, chain_file),
     .help = "PEM: the certificate, then intermediate ones; it is for the names in its "
             "subjectAltName"},
    {"key_file", KEY_TEXT, KEY_REQUIRED, MEMBER(config_certificate, key_file),
     .help = "PEM: its private key, without a password"},
    {"ocsp_file", KEY_TEXT, 0, MEMBER(config_certificate, ocsp_file), .fallback = "\"\"",
     .help = "DER: its OCSP response, stapled for clients that ask; somebody else keeps it fresh, "
             "`weirctl certificate reload` reads it again"},
};
static OBJECT(certificate_object, config_certificate, certificate_keys);

static const struct config_key tls_keys[] = {
    {"ticket_key_file", KEY_TEXT, 0, MEMBER(config_tls, ticket_key_file), .fallback = "\"\"",
     .help = "keys of session tickets, 80 bytes each, at most three, the one that makes tickets "
             "first; the same on all nodes; empty: a key of this process's own"},
    {"key_log_file", KEY_TEXT, KEY_RESTART, MEMBER(config_tls, key_log_file), .fallback = "\"\"",
     .help = "SECRETS of all TLS connections are written there (the format of SSLKEYLOGFILE): who "
             "reads the file reads what they carry; for looking into captures, never for long"},
};
static OBJECT(tls_object, config_tls, tls_keys);

static const struct config_key region_keys[] = {
    {"name", KEY_TEXT, KEY_REQUIRED | KEY_NAME, MEMBER(config_region, name), .help = "its name"},
    {"on_failure", KEY_CHOICE, 0, MEMBER(config_region, on_failure), .fallback = "\"auto\"",
     .choices = mode_choices,
     .help = "to DOWN: by itself, when `region.approve` says so, or only reported"},
    {"on_recovery", KEY_CHOICE, 0, MEMBER(config_region, on_recovery), .fallback = "\"auto\"",
     .choices = mode_choices, .help = "the same from DOWN to RECOVERING"},
};
static OBJECT(region_object, config_region, region_keys);

static const struct config_key health_keys[] = {
    {"probe", KEY_CHOICE, 0, MEMBER(config_health, probe), .fallback = "\"http\"",
     .choices = probe_choices,
     .help = "connect only, or a GET that any 2xx answers: in HTTP/2, in HTTP/1.1, or in what the "
             "backend speaks"},
    {"path", KEY_TEXT, 0, MEMBER(config_health, path), .fallback = "\"/healthz\"",
     .help = "path of the GET"},
    {"interval_up", KEY_DURATION, 0, MEMBER(config_health, interval_up_ns), .low = MS(100),
     .high = DAY, .fallback = "\"2s\"", .help = "between probes of a backend that is up"},
    {"interval_doubt", KEY_DURATION, 0, MEMBER(config_health, interval_doubt_ns), .low = MS(50),
     .high = DAY, .fallback = "\"500ms\"", .help = "between probes of a backend in doubt"},
    {"interval_down", KEY_DURATION, 0, MEMBER(config_health, interval_down_ns), .low = MS(100),
     .high = DAY, .fallback = "\"5s\"", .help = "between probes of a backend that is down"},
    {"jitter_percent", KEY_INTEGER, 0, MEMBER(config_health, jitter_percent), .high = 50,
     .fallback = "20", .help = "of the intervals, either way"},
    {"timeout", KEY_DURATION, 0, MEMBER(config_health, timeout_ns), .low = MS(10), .high = SEC(60),
     .fallback = "\"1s\"", .help = "of one probe"},
    {"fall", KEY_INTEGER, 0, MEMBER(config_health, fall), .low = 1, .high = 100, .fallback = "3",
     .help = "failed probes in a row until down"},
    {"rise", KEY_INTEGER, 0, MEMBER(config_health, rise), .low = 1, .high = 100, .fallback = "3",
     .help = "successful probes in a row until up"},
    {"connect_failures", KEY_INTEGER, 0, MEMBER(config_health, connect_failures), .low = 1,
     .high = 1000, .fallback = "3", .help = "failed connects of traffic in a row until down"},
    {"eject_failures", KEY_INTEGER, 0, MEMBER(config_health, eject_failures), .low = 1,
     .high = 1000, .fallback = "5", .help = "failures of traffic in a row until ejected"},
    {"eject", KEY_DURATION, 0, MEMBER(config_health, eject_ns), .low = MS(100), .high = DAY,
     .fallback = "\"30s\"", .help = "first ejection; multiplied by the times ejected"},
    {"eject_max", KEY_DURATION, 0, MEMBER(config_health, eject_max_ns), .low = MS(100), .high = DAY,
     .fallback = "\"300s\"", .help = "longest ejection"},
    {"eject_region_percent", KEY_INTEGER, 0, MEMBER(config_health, eject_region_percent),
     .high = 100, .fallback = "30", .help = "of a region's backends that may be ejected"},
    {"warm_up", KEY_DURATION, 0, MEMBER(config_health, warm_up_ns), .high = SEC(3600),
     .fallback = "\"10s\"", .help = "a backend that comes back has its whole weight after so "
                                    "long; 0s: at once"},
    {"warm_up_percent", KEY_INTEGER, 0, MEMBER(config_health, warm_up_percent), .low = 1,
     .high = 100, .fallback = "30", .help = "of its weight that it has at first"},
};
static OBJECT(health_object, config_health, health_keys);

static const struct config_key backend_tls_keys[] = {
    {"verify", KEY_BOOL, 0, MEMBER(config_backend_tls, verify), .fallback = "true",
     .help = "refuse a backend whose certificate is not for its name, has expired, or is by nobody in "
             "`ca_file`; false: take anybody"},
    {"ca_file", KEY_TEXT, 0, MEMBER(config_backend_tls, ca_file),
     .fallback = "\"/etc/ssl/certs/ca-certificates.crt\"",
     .help = "PEM: who is trusted, authorities or the certificate itself"},
    {"server_name", KEY_TEXT, 0, MEMBER(config_backend_tls, server_name), .fallback = "\"\"",
     .help = "asked for by SNI and to be in the certificate; empty: the host of the service's "
             "`authority`, or without one the address, which is not asked for"},
    {"certificate", KEY_TEXT, 0, MEMBER(config_backend_tls, certificate), .fallback = "\"\"",
     .help = "one of `certificates`, for backends that ask for ours"},
    {"policy", KEY_CHOICE, 0, MEMBER(config_backend_tls, policy), .fallback = "\"intermediate\"",
     .choices = tls_policy_choices,
     .help = "modern: TLS 1.3; intermediate: also TLS 1.2 with ECDHE and AEAD"},
};
OBJECT(config_backend_tls_object, config_backend_tls, backend_tls_keys);

static const struct config_key backend_keys[] = {
    {"name", KEY_TEXT, 0, MEMBER(config_backend, name), .help = "default: address:port"},
    {"address", KEY_ADDRESS, KEY_REQUIRED, MEMBER(config_backend, address), .help = "where it is"},
    {"port", KEY_INTEGER, KEY_REQUIRED, MEMBER(config_backend, port), .low = 1, .high = 65535,
     .help = "TCP port"},
    {"protocol", KEY_CHOICE, 0, MEMBER(config_backend, protocol), .fallback = "\"service\"",
     .choices = backend_protocol_choices,
     .help = "what it speaks: HTTP/2, HTTP/1.1, or what its service says"},
    {"weight", KEY_INTEGER, 0, MEMBER(config_backend, weight), .low = 1, .high = 1000,
     .fallback = "100", .help = "its part of the region's traffic"},
    {"capacity", KEY_INTEGER, 0, MEMBER(config_backend, capacity), .high = 1000000, .fallback = "0",
     .help = "concurrent flights it can carry, from all nodes; 0: not known, the region is not "
             "clipped"},
    {"tls", KEY_OBJECT, KEY_LATER, MEMBER(config_backend, tls),
     .object = &config_backend_tls_object,
     .help = "connect with TLS; beside `backends` it is for all of the region, and what is here is "
             "what differs; default: clear text"},
};
OBJECT(config_backend_object, config_backend, backend_keys);

static const struct config_key service_keys[] = {
    {"name", KEY_TEXT, KEY_REQUIRED | KEY_NAME, MEMBER(config_service, name), .help = "its name"},
    {"authority", KEY_TEXT, 0, MEMBER(config_service, authority), .fallback = "\"\"",
     .help = ":authority towards backends; empty keeps the client's"},
    {"protocol", KEY_CHOICE, 0, MEMBER(config_service, protocol), .fallback = "\"h2\"",
     .choices = protocol_choices, .help = "what its backends speak: HTTP/2, or HTTP/1.1"},
    {"regions", KEY_MAP, KEY_REQUIRED, .object = &config_backend_object,
     .help = "region name to its `backends`, and to what their `tls` has in common"},
    {"health", KEY_OBJECT, 0, MEMBER(config_service, health), .object = &health_object,
     .help = "what differs from the top-level `health`"},
};
static OBJECT(service_object, config_service, service_keys);

static const struct config_key coalesce_keys[] = {
    {"mode", KEY_CHOICE, 0, MEMBER(config_coalesce, mode), .fallback = "\"off\"",
     .choices = coalesce_choices, .help = "which requests may share a flight"},
    {"share_across_principals", KEY_BOOL, 0, MEMBER(config_coalesce, share_across_principals),
     .fallback = "false", .help = "leave credentials out of the key"},
    {"i_know_responses_are_public", KEY_BOOL, 0,
     MEMBER(config_coalesce, i_know_responses_are_public), .fallback = "false",
     .help = "has to stand beside share_across_principals"},
    {"ignore_no_store", KEY_BOOL, 0, MEMBER(config_coalesce, ignore_no_store), .fallback = "false",
     .help = "share answers that say no-store"},
    {"ignore_set_cookie", KEY_BOOL, 0, MEMBER(config_coalesce, ignore_set_cookie),
     .fallback = "false", .help = "share answers that set cookies"},
    {"linger", KEY_DURATION, 0, MEMBER(config_coalesce, linger_ns), .high = SEC(60),
     .fallback = "\"500ms\"", .help = "a GET flight goes on for so long without subscribers"},
    {"flight_bytes", KEY_SIZE, 0, MEMBER(config_coalesce, flight_bytes), .low = 65536,
     .high = MIB(64), .fallback = "\"1MiB\"", .help = "payload a flight holds at most"},
    {"key_headers", KEY_TEXTS, 0, COUNTED(config_coalesce, key_headers, key_header_count),
     .capacity = 32, .help = "further headers that are part of the key"},
    {"neutral_headers", KEY_TEXTS, 0,
     COUNTED(config_coalesce, neutral_headers, neutral_header_count), .capacity = 32,
     .help = "further headers that do not change the answer"},
    {"principal_headers", KEY_TEXTS, 0,
     COUNTED(config_coalesce, principal_headers, principal_header_count), .capacity = 32,
     .help = "headers with API keys: they say who asks"},
    {"when_json", KEY_LITERALS, 0, COUNTED(config_coalesce, when_json, when_json_count),
     .capacity = 16,
     .help = "POST bodies share only if they are JSON objects with these members: "
             "{\"temperature\": 0}"},
};
static OBJECT(coalesce_object, config_coalesce, coalesce_keys);

static const struct config_key route_keys[] = {
    {"name", KEY_TEXT, KEY_REQUIRED | KEY_NAME, MEMBER(config_route, name), .help = "its name"},
    {"authority", KEY_TEXT, 0, MEMBER(config_route, authority), .fallback = "\"\"",
     .help = "host, host:port, *.domain, or empty for any"},
    {"path", KEY_TEXT, 0, MEMBER(config_route, path_prefix), .fallback = "\"/\"",
     .help = "prefix, whole path segments"},
    {"service", KEY_TEXT, KEY_REQUIRED, MEMBER(config_route, service_name),
     .help = "name of a service"},
    {"replay_safe", KEY_BOOL, 0, MEMBER(config_route, replay_safe), .fallback = "false",
     .help = "a second attempt is safe whatever the method"},
    {"request_timeout", KEY_DURATION, 0, MEMBER(config_route, request_timeout_ns), .low = MS(10),
     .high = SEC(600), .fallback = "\"300s\"",
     .help = "of a whole exchange; a flight takes joiners while their full time ends within 600s"},
    {"first_byte_timeout", KEY_DURATION, 0, MEMBER(config_route, first_byte_timeout_ns),
     .low = MS(10), .high = SEC(600), .fallback = "\"60s\"",
     .help = "of one attempt until its response headers"},
    {"idle_timeout", KEY_DURATION, 0, MEMBER(config_route, idle_timeout_ns), .low = MS(10),
     .high = SEC(600), .fallback = "\"60s\"", .help = "of a response without progress"},
    {"body_timeout", KEY_DURATION, 0, MEMBER(config_route, body_timeout_ns), .low = MS(10),
     .high = SEC(600), .fallback = "\"60s\"", .help = "of a request body without progress: 408"},
    {"forwarded", KEY_CHOICE, 0, MEMBER(config_route, forwarded), .fallback = "\"off\"",
     .choices = forward_choices,
     .help = "`forwarded` towards backends: the client's unchanged, with ours appended, or ours only"},
    {"x_forwarded", KEY_CHOICE, 0, MEMBER(config_route, x_forwarded), .fallback = "\"append\"",
     .choices = forward_choices,
     .help = "the same for `x-forwarded-for`, `-proto` and `-host`; append adds the last two only "
             "where they are missing"},
    {"when_no_region", KEY_CHOICE, 0, MEMBER(config_route, when_no_region),
     .fallback = "\"panic\"", .choices = no_region_choices,
     .help = "every active region looks sick: try all of their backends, or fail with 503"},
    {"priority", KEY_CHOICE, 0, MEMBER(config_route, priority), .fallback = "\"normal\"",
     .choices = priority_choices,
     .help = "who is refused first when there is not room for all: a critical request may find a "
             "limit full to the last place, a normal one to 90 %, a sheddable one to 70 %; a "
             "client's urgency of 6 or 7 (RFC 9218) makes its request sheddable"},
    {"hold_first_byte", KEY_DURATION, 0, MEMBER(config_route, hold_first_byte_ns), .high = SEC(15),
     .fallback = "\"0s\"",
     .help = "response headers wait so long for the first body byte: until then a failing backend "
             "can be replaced unseen"},
    {"hold_first_byte_stream", KEY_DURATION, 0, MEMBER(config_route, hold_stream_ns),
     .high = SEC(15), .fallback = "\"1s\"", .help = "the same for event streams and gRPC"},
    {"event_stream_error", KEY_TEXT, 0, MEMBER(config_route, event_stream_error),
     .fallback = "\"\"",
     .help = "data of an `event: error` that clients get before an event stream that broke is reset; "
             "empty: the reset alone"},
    {"event_stream_keepalive", KEY_DURATION, 0, MEMBER(config_route, event_stream_keepalive_ns),
     .high = SEC(600), .fallback = "\"0s\"",
     .help = "after so long a silence an event stream gets a comment between two events; 15s is "
             "usual; 0s: never"},
    {"extended_connect", KEY_TEXTS, 0,
     COUNTED(config_route, extended_connect, extended_connect_count), .capacity = 8,
     .help = "protocols that CONNECT may ask for (RFC 8441), [\"websocket\"]: passed on to backends "
             "that announce it; none: 501"},
    {"coalesce", KEY_OBJECT, 0, MEMBER(config_route, coalesce), .object = &coalesce_object,
     .help = "what differs from the top-level `coalesce`"},
};
static OBJECT(route_object, config_route, route_keys);

static const struct config_key failover_keys[] = {
#define DURATION(key, member, least, text, what)                                                   \
    {                                                                                              \
        key, KEY_DURATION, 0, MEMBER(config_failover, member), .low = least, .high = DAY,          \
                                                               .fallback = text, .help = what      \
    }
#define NUMBER(key, member, least, most, text, what)                                               \
    {                                                                                              \
        key, KEY_INTEGER, 0, MEMBER(config_failover, member), .low = least, .high = most,          \
                                                              .fallback = text, .help = what       \
    }
#define PERCENT(key, member, most, text, what) NUMBER(key, member, 1, most, text, what)
    DURATION("hard_failure", hard_failure_ns, MS(100), "\"3s\"", "no success for so long"),
    NUMBER("hard_tries", hard_tries, 1, 100000, "5", "... after at least so many tries"),
    NUMBER("hard_tries_per_backend", hard_tries_per_backend, 0, 1000, "3",
           "... and so many for each usable backend"),
    DURATION("down_dwell", down_dwell_ns, MS(100), "\"6s\"", "SUSPECT to DOWN: A below suspect_below"),
    DURATION("degraded_dwell", degraded_dwell_ns, MS(100), "\"6s\"", "UP to DEGRADED"),
    DURATION("up_dwell", up_dwell_ns, MS(100), "\"30s\"", "DEGRADED to UP"),
    DURATION("suspect_clear", suspect_clear_ns, MS(100), "\"5s\"", "SUSPECT clears"),
    DURATION("hold_down", hold_down_ns, MS(100), "\"60s\"", "first hold-down; doubles"),
    DURATION("hold_down_max", hold_down_max_ns, MS(100), "\"900s\"", "longest hold-down"),
    DURATION("recover_dwell", recover_dwell_ns, MS(100), "\"60s\"",
             "DOWN to RECOVERING"),
    DURATION("ramp_step", ramp_step_ns, MS(100), "\"60s\"", "one step of the ramp"),
    {"ramp_percent", KEY_PERMILLES, 0, COUNTED(config_failover, ramp_permille, ramp_steps),
     .capacity = 8, .inlined = true, .low = 1, .high = 100, .fallback = "[5, 10, 25, 50, 100]",
     .help = "shares of a recovering region, growing, the last one 100"},
    {"min_active_regions", KEY_INTEGER, 0, MEMBER(config_failover, min_active_regions), .low = 1,
     .high = 32, .fallback = "1", .help = "rule S1"},
    PERCENT("suspect_below", suspect_below, 100, "25", "A below: to SUSPECT, and on to DOWN"),
    PERCENT("degraded_below", degraded_below, 100, "72", "A below: UP to DEGRADED"),
    PERCENT("recovering_below", recovering_below, 100, "40", "A below: RECOVERING to DOWN"),
    PERCENT("clear_at", clear_at, 100, "35", "A at least: SUSPECT clears"),
    PERCENT("recover_at", recover_at, 100, "50", "A at least: DOWN to RECOVERING"),
    PERCENT("up_at", up_at, 100, "80", "A at least: to UP"),
    PERCENT("spill_percent", spill_percent, 1000, "140",
            "share of a DEGRADED region, in percent of A; the rest spills"),
    PERCENT("capacity_percent", capacity_percent, 100, "80",
            "of the backends' capacity that a region is given; what is beyond goes to the next one"),
    NUMBER("panic_below", panic_below, 0, 100, "50",
           "A of every active region below: health inside them is not believed; 0: never"),
    PERCENT("grow_percent", grow_percent, 1000, "25",
            "a region that is given more by spill or ramp grows by so much in grow_interval"),
    DURATION("grow_interval", grow_interval_ns, MS(100), "\"5s\"", "see grow_percent"),
    DURATION("quiet", quiet_ns, MS(100), "\"30m\"",
             "so long without a failure halves the next hold-down"),
    NUMBER("penalty", penalty, 0, 100000, "1000", "of one automatic DOWN; 0: none"),
    NUMBER("penalty_out", penalty_out, 1, 100000, "2500",
           "a region above stays out until its penalty is below penalty_back"),
    NUMBER("penalty_back", penalty_back, 1, 100000, "750", "see penalty_out"),
    DURATION("penalty_half_life", penalty_half_life_ns, SEC(1), "\"10m\"", "of the penalty"),
    PERCENT("worse_percent", worse_percent, 10000, "200",
            "RECOVERING to DOWN: errors above so many percent of those before the failure"),
    NUMBER("worse_samples", worse_samples, 1, 1000000, "200", "... of at least so many requests"),
    PERCENT("worse_at_least", worse_at_least, 100, "5",
            "... and of at least so many percent of them"),
    DURATION("down_interval", down_interval_ns, MS(100), "\"60s\"",
             "rule S2: between two automatic DOWN"),
    DURATION("correlated", correlated_ns, MS(100), "\"10s\"", "rule S3"),
    DURATION("freeze", freeze_ns, MS(100), "\"60s\"", "rule S3: frozen for so long"),
    DURATION("force_ttl", force_ttl_ns, SEC(1), "\"4h\"",
             "region.force_up and force_down end by themselves after so long"),
    DURATION("store_lost", store_lost_ns, MS(100), "\"6s\"", "store unreachable: frozen"),
    DURATION("vote_interval", vote_interval_ns, MS(100), "\"1s\"", "between votes"),
    DURATION("vote_fresh", vote_fresh_ns, MS(100), "\"3s\"", "a vote counts for so long"),
    DURATION("vote_gone", vote_gone_ns, MS(100), "\"6s\"", "a vote is forgotten after so long"),
    {"review_unless_hard", KEY_BOOL, 0, MEMBER(config_failover, review_unless_hard),
     .fallback = "false",
     .help = "on_failure of `review` does not wait when nothing succeeds any more"},
    DURATION("proposal_ttl", proposal_ttl_ns, SEC(1), "\"30m\"",
             "a proposal of mode `review` is withdrawn after so long; so long a rejection holds"),
    {"dry_run", KEY_BOOL, 0, MEMBER(config_failover, dry_run), .fallback = "false",
     .help = "automation changes no region: it only says what it would have done"},
    {"single_node", KEY_BOOL, 0, MEMBER(config_failover, single_node), .fallback = "false",
     .help = "decide alone, with doubled dwells"},
    {"nodes", KEY_TEXTS, 0, COUNTED(config_failover, nodes, node_count), .capacity = 64,
     .help = "the roster: names of all nodes, this one included; default: this node"},
#undef DURATION
#undef NUMBER
#undef PERCENT
};
static OBJECT(failover_object, config_failover, failover_keys);

static const struct config_key store_keys[] = {
    {"kind", KEY_CHOICE, KEY_RESTART, MEMBER(config_store, kind), .fallback = "\"memory\"",
     .choices = store_choices, .help = "memory: this node alone; redis: shared by the nodes"},
    {"address", KEY_TEXT, 0, MEMBER(config_store, address), .fallback = "\"127.0.0.1:6379\"",
     .help = "IP address with port, [IPv6]:port or unix:/path; not used with `sentinels`"},
    {"sentinels", KEY_TEXTS, 0, COUNTED(config_store, sentinels, sentinel_count),
     .capacity = CONFIG_SENTINELS_MAX,
     .help = "addresses of Sentinels that are asked in turn where the master is"},
    {"master", KEY_TEXT, KEY_NAME, MEMBER(config_store, master), .fallback = "\"weir\"",
     .help = "what Sentinel calls it"},
    {"sentinel_user", KEY_TEXT, 0, MEMBER(config_store, sentinel_user), .fallback = "\"\"",
     .help = "ACL user at the Sentinels"},
    {"sentinel_password_file", KEY_TEXT, 0, MEMBER(config_store, sentinel_password_file),
     .fallback = "\"\"", .help = "file whose first line is the password at the Sentinels"},
    {"cluster", KEY_TEXT, 0, MEMBER(config_store, cluster), .fallback = "\"default\"",
     .help = "name in the keys: weir:{cluster}:..."},
    {"user", KEY_TEXT, 0, MEMBER(config_store, user), .fallback = "\"\"", .help = "ACL user"},
    {"password_file", KEY_TEXT, 0, MEMBER(config_store, password_file), .fallback = "\"\"",
     .help = "file whose first line is the password"},
    {"connect_timeout", KEY_DURATION, 0, MEMBER(config_store, connect_timeout_ns), .low = MS(10),
     .high = SEC(60), .fallback = "\"200ms\"", .help = "of a connect"},
    {"command_timeout", KEY_DURATION, 0, MEMBER(config_store, command_timeout_ns), .low = MS(10),
     .high = SEC(60), .fallback = "\"200ms\"", .help = "of a command"},
};
static OBJECT(store_object, config_store, store_keys);

static const struct config_key control_keys[] = {
    {"socket", KEY_TEXT, KEY_RESTART, MEMBER(config_control, socket),
     .fallback = "\"/run/weir/control.sock\"", .help = "path of the control socket"},
    {"mode", KEY_MODE, KEY_RESTART, MEMBER(config_control, mode), .high = 0777,
     .fallback = "\"0600\"", .help = "its file mode"},
};
static OBJECT(control_object, config_control, control_keys);

static const struct config_key tcp_keys[] = {
    {"congestion", KEY_CHOICE, KEY_RESTART, MEMBER(config_tcp, congestion),
     .fallback = "\"cubic\"", .choices = congestion_choices,
     .help = "how fast we send when the path is the limit: RFC 9438, or RFC 5681"},
    {"ecn", KEY_BOOL, KEY_RESTART, MEMBER(config_tcp, ecn), .fallback = "true",
     .help = "ask for and agree to explicit congestion notification (RFC 3168)"},
    {"syn_cookies", KEY_CHOICE, 0, MEMBER(config_tcp, syn_cookies), .fallback = "\"auto\"",
     .choices = cookies_choices,
     .help = "answer SYNs without memory for the connection: above the backlog, or always"},
    {"backlog", KEY_INTEGER, 0, MEMBER(config_tcp, backlog), .low = 1, .high = 1000000,
     .fallback = "1024",
     .help = "half-open connections of a worker from which on SYNs get cookies"},
    {"cookie_secret_file", KEY_TEXT, 0, MEMBER(config_tcp, cookie_secret_file),
     .fallback = "\"\"",
     .help = "file with 32 hexadecimal digits, the same on all nodes behind the same addresses; a "
             "second line is taken, too; read again when it changes; empty: made at start"},
};
static OBJECT(tcp_object, config_tcp, tcp_keys);

static const struct config_key access_keys[] = {
    {"path", KEY_TEXT, 0, MEMBER(config_access, path), .fallback = "\"\"",
     .help = "file that gets a line of JSON for each request that has ended; `-`: standard output; "
             "empty: none, at no cost"},
    {"sample", KEY_FRACTION, 0, MEMBER(config_access, sample), .fallback = "1.0",
     .help = "of the requests that ended well; all others, and all with a status of 500 or more, "
             "have their line"},
    {"query", KEY_BOOL, 0, MEMBER(config_access, query), .fallback = "false",
     .help = "paths with their query, which may hold secrets"},
};
static OBJECT(access_object, config_access, access_keys);

static const struct config_key log_keys[] = {
    {"access", KEY_OBJECT, 0, MEMBER(config_log, access), .object = &access_object,
     .help = "the access log"},
};
static OBJECT(log_object, config_log, log_keys);

static const struct config_key metrics_keys[] = {
    {"listen", KEY_TEXT, 0, MEMBER(config_metrics, listen), .fallback = "\"\"",
     .help = "address and port of the host for `/metrics` and `/ready`: `127.0.0.1:9180`; empty: none"},
};
static OBJECT(metrics_object, config_metrics, metrics_keys);

static const struct config_key admission_keys[] = {
    {"requests", KEY_INTEGER, 0, MEMBER(config_admission, requests), .high = 4000000,
     .fallback = "0",
     .help = "in progress, a worker; beyond: 503; 0: 15 of 16 `limits.exchanges`"},
    {"requests_per_principal", KEY_INTEGER, 0, MEMBER(config_admission, requests_per_principal),
     .high = 4000000, .fallback = "0",
     .help = "in progress, a worker; 0: three times what is left for others, as always"},
    {"flights_per_principal", KEY_INTEGER, 0, MEMBER(config_admission, flights_per_principal),
     .low = 1, .high = 1000000, .fallback = "1024",
     .help = "that others may join, all workers together, each a part; requests beyond are not "
             "shared"},
    {"principals_per_address", KEY_INTEGER, 0, MEMBER(config_admission, principals_per_address),
     .low = 1, .high = 1000000, .fallback = "1024",
     .help = "credentials from one address (/64 in IPv6) that count as principals of their own at a "
             "time, a worker; further ones count as the address"},
};
static OBJECT(admission_object, config_admission, admission_keys);

static const struct config_key limits_keys[] = {
#define LIMIT(key, member, least, most, text, what)                                                \
    {                                                                                              \
        key, KEY_INTEGER, KEY_RESTART, MEMBER(config_limits, member),                              \
            .low = least, .high = most, .fallback = text, .help = what                             \
    }
    LIMIT("client_connections", client_connections, 1, 4000000, "8192", "a worker"),
    LIMIT("streams", streams, 1, 4000000, "32768", "HTTP/2 streams of both sides, a worker"),
    LIMIT("upstream_connections", upstream_connections, 1, 65536, "1024", "a worker"),
    LIMIT("backend_connections", backend_connections, 1, 64, "4", "to one backend, a worker"),
    LIMIT("http1_connections", http1_connections, 1, 4096, "64",
          "to one backend of HTTP/1.1, each for one request at a time, a worker"),
    LIMIT("flights", flights, 1, 1000000, "8192", "a worker"),
    LIMIT("exchanges", exchanges, 1, 4000000, "16384", "requests in progress, a worker"),
    {"payload_bytes", KEY_SIZE, KEY_RESTART, MEMBER(config_limits, payload_bytes), .low = MIB(1),
     .high = MIB(1048576), .fallback = "\"64MiB\"", .help = "bodies in motion, a worker"},
    {"segment_bytes", KEY_SIZE, KEY_RESTART, MEMBER(config_limits, segment_bytes), .low = 1024,
     .high = 65536, .fallback = "\"4KiB\"", .help = "one piece of a body"},
    LIMIT("time_wait", time_wait, 16, 4000000, "16384", "TIME_WAIT entries, a worker"),
    LIMIT("neighbours", neighbours, 16, 65536, "1024", "ARP and NDP entries, a worker"),
    {"header_bytes", KEY_SIZE, KEY_RESTART, MEMBER(config_limits, header_bytes), .low = 4096,
     .high = 65536, .fallback = "\"16KiB\"", .help = "a header section, decoded"},
    LIMIT("hpack_tables", hpack_tables, 0, 8000000, "0",
          "header compression states (6.2 KiB) of client connections, a worker, at most two each; 0: "
          "8192 and one for eight connections, at most two each"),
    LIMIT("send_blocks", send_blocks, 0, 8000000, "0",
          "pieces (2 KiB) for headers on their way out, a worker; 0: 12288 and one for sixteen "
          "connections, at most 4096 and one each"),
    LIMIT("coalesce_keys", coalesce_keys, 1024, 16777216, "65536", "all workers together"),
    {"client_stall_timeout", KEY_DURATION, KEY_RESTART,
     MEMBER(config_limits, client_stall_timeout_ns), .low = MS(100), .high = DAY,
     .fallback = "\"60s\"", .help = "a client that takes nothing of what waits for it"},
    {"client_held_bytes", KEY_SIZE, KEY_RESTART, MEMBER(config_limits, client_held_bytes),
     .low = 65536, .high = MIB(1024), .fallback = "\"1MiB\"",
     .help = "of answers held for one client connection: above it backends wait until it reads"},
    LIMIT("access_records", access_records, 64, 1048576, "4096",
          "of ended requests on their way to the access log, a worker"),
    {"client_idle_timeout", KEY_DURATION, KEY_RESTART,
     MEMBER(config_limits, client_idle_timeout_ns), .low = MS(100), .high = DAY,
     .fallback = "\"300s\"", .help = "a client connection without requests: GOAWAY, and the end"},
    {"upstream_max_age", KEY_DURATION, KEY_RESTART, MEMBER(config_limits, upstream_max_age_ns),
     .low = SEC(1), .high = DAY, .fallback = "\"1h\"",
     .help = "a connection to a backend is replaced then, and up to a tenth later"},
    {"tls_bytes", KEY_SIZE, KEY_RESTART, MEMBER(config_limits, tls_bytes), .low = MIB(8),
     .high = 1ull << 40, .fallback = "\"64MiB\"",
     .help = "memory of OpenSSL, a worker, taken if there are `certificates` or backends with TLS at start"},
    {"tls_handshake_timeout", KEY_DURATION, KEY_RESTART,
     MEMBER(config_limits, tls_handshake_timeout_ns), .low = MS(100), .high = SEC(600),
     .fallback = "\"10s\"", .help = "a TLS handshake takes no longer"},
    {"drain_timeout", KEY_DURATION, 0, MEMBER(config_limits, drain_timeout_ns), .high = DAY,
     .fallback = "\"30s\"", .help = "SIGTERM: what is left after so long is closed"},
#undef LIMIT
};
static OBJECT(limits_object, config_limits, limits_keys);

static const struct config_key root_keys[] = {
    {"node", KEY_TEXT, KEY_REQUIRED | KEY_RESTART | KEY_NAME, MEMBER(config, node),
     .help = "this node's name, unique in the cluster"},
    {"state_dir", KEY_TEXT, KEY_RESTART, MEMBER(config, state_dir), .fallback = "\"/var/lib/weir\"",
     .help = "what survives a restart: running.json, region state"},
    {"log_file", KEY_TEXT, KEY_RESTART, MEMBER(config, log_file), .fallback = "\"\"",
     .help = "empty: standard error"},
    {"eal", KEY_ARGUMENTS, KEY_RESTART, COUNTED(config, eal, eal_count), .capacity = 48,
     .help = "further DPDK EAL arguments"},
    {"workers", KEY_INTEGER, KEY_RESTART, MEMBER(config, workers), .low = 1, .high = 64,
     .fallback = "1", .help = "poll-mode cores"},
    {"idle", KEY_CHOICE, KEY_RESTART, MEMBER(config, idle), .fallback = "\"poll\"",
     .choices = idle_choices, .help = "poll spins; adaptive sleeps up to 100 us when idle"},
    {"ports", KEY_LIST, KEY_REQUIRED | KEY_RESTART, COUNTED(config, ports, port_count),
     .capacity = 16, .object = &port_object, .help = "DPDK ports"},
    {"listeners", KEY_LIST, KEY_REQUIRED, COUNTED(config, listeners, listener_count),
     .capacity = SNAPSHOT_LISTENERS_MAX, .object = &listener_object,
     .help = "where clients connect"},
    {"certificates", KEY_LIST, 0, COUNTED(config, certificates, certificate_count),
     .capacity = 256, .object = &certificate_object, .help = "certificates of listeners with TLS"},
    {"tls", KEY_OBJECT, 0, MEMBER(config, tls_settings), .object = &tls_object, .help = "TLS"},
    {"regions", KEY_LIST, KEY_REQUIRED, COUNTED(config, regions, region_count),
     .capacity = SNAPSHOT_REGIONS_MAX, .object = &region_object, .help = "in order of preference"},
    {"health", KEY_OBJECT, 0, MEMBER(config, health), .object = &health_object,
     .help = "health of backends, for all services"},
    {"coalesce", KEY_OBJECT, 0, MEMBER(config, coalesce), .object = &coalesce_object,
     .help = "coalescing, for all routes"},
    {"services", KEY_LIST, KEY_REQUIRED, COUNTED(config, services, service_count),
     .capacity = SNAPSHOT_SERVICES_MAX, .object = &service_object, .help = "what routes point to"},
    {"routes", KEY_LIST, KEY_REQUIRED, COUNTED(config, routes, route_count),
     .capacity = SNAPSHOT_ROUTES_MAX, .object = &route_object,
     .help = "most specific first, whatever their order here"},
    {"deny", KEY_PREFIXES, 0, COUNTED(config, deny, deny_count), .capacity = 65536,
     .help = "sources that get nothing"},
    {"failover", KEY_OBJECT, 0, MEMBER(config, failover), .object = &failover_object,
     .help = "region failover"},
    {"store", KEY_OBJECT, 0, MEMBER(config, store), .object = &store_object,
     .help = "where the agreed state is kept"},
    {"control", KEY_OBJECT, 0, MEMBER(config, control), .object = &control_object,
     .help = "the control socket"},
    {"tcp", KEY_OBJECT, 0, MEMBER(config, tcp), .object = &tcp_object, .help = "TCP"},
    {"admission", KEY_OBJECT, 0, MEMBER(config, admission), .object = &admission_object,
     .help = "how many requests are taken, and from whom"},
    {"log", KEY_OBJECT, 0, MEMBER(config, log), .object = &log_object, .help = "logs"},
    {"metrics", KEY_OBJECT, 0, MEMBER(config, metrics), .object = &metrics_object,
     .help = "what monitoring reads"},
    {"limits", KEY_OBJECT, 0, MEMBER(config, limits), .object = &limits_object,
     .help = "sizes of pools, all taken at start"},
};
OBJECT(config_root, config, root_keys);
