#include "dataplane/request/exchange.h"
#include "tests/support/cmocka.h"

#include <stdio.h>

static struct snapshot_route routes[] = {
    {.path_prefix = {(const uint8_t *)"/", 1}, .service = 0},
};
static struct snapshot_service service;
static struct request_peer peer;
static struct snapshot snapshot = {.node = {(const uint8_t *)"edge-1", 6},
                                   .routes = routes,
                                   .route_count = array_count(routes),
                                   .services = &service,
                                   .service_count = 1};

#define FIELDS_MAX 8

struct pair {
    const char *name;
    const char *value;
};

static void fill(struct fields *fields, void *room, uint32_t size, const struct pair *pairs)
{
    fields_init(fields, room, size);
    for (int i = 0; i < FIELDS_MAX && pairs[i].name != NULL; i++)
        fields_add(fields, (struct field){.token = field_token_of(bytes_text(pairs[i].name)),
                                          .name = bytes_text(pairs[i].name),
                                          .value = bytes_text(pairs[i].value)});
}

static enum local_answer judge(const struct pair *pairs, struct fields *out, void *out_room,
                               uint32_t out_size)
{
    uint8_t room[4096];
    struct fields request;
    struct request_way way;
    fill(&request, room, sizeof(room), pairs);
    fields_init(out, out_room, out_size);
    return request_rules(&snapshot, &peer, &request, out, &way);
}

static void a_request_needs_a_usable_target(void **state)
{
    static const struct {
        struct pair fields[FIELDS_MAX];
        enum local_answer answer;
    } cases[] = {
        {{{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}},
         LOCAL_NONE},
        {{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {"host", "a"}}, LOCAL_NONE},
        {{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}}, LOCAL_BAD_REQUEST},
        {{{":method", "CONNECT"}, {":authority", "a:443"}}, LOCAL_METHOD},
        {{{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", "x"}},
         LOCAL_BAD_REQUEST},
        {{{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", "*"}},
         LOCAL_BAD_REQUEST},
        {{{":method", "OPTIONS"}, {":scheme", "http"}, {":authority", "a"}, {":path", "*"}},
         LOCAL_NONE},
        {{{":method", "TRACE"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}},
         LOCAL_METHOD},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        uint8_t room[4096];
        struct fields out;
        assert_int_equal(judge(cases[i].fields, &out, room, sizeof(room)), cases[i].answer);
    }
}

static void fields_that_end_at_this_hop_are_not_forwarded(void **state)
{
    static const struct pair request[FIELDS_MAX] = {
        {":method", "GET"}, {":scheme", "http"},       {":authority", "a"}, {":path", "/"},
        {"host", "a"},      {"keep-alive", "timeout"}, {"te", "gzip"},      {"x-own", "stays"},
    };
    uint8_t room[4096];
    struct fields out;
    struct bytes value;
    uint32_t at = 0;
    struct field field;
    int others = 0;
    assert_int_equal(judge(request, &out, room, sizeof(room)), LOCAL_NONE);
    assert_false(fields_find(&out, FIELD_HOST, &value));
    assert_false(fields_find(&out, FIELD_KEEP_ALIVE, &value));
    assert_false(fields_find(&out, FIELD_TE, &value));
    while (fields_next(&out, &at, &field))
        others += field.token == FIELD_OTHER;
    assert_int_equal(others, 1);
    assert_int_equal(out.count, 5);
}

static void te_trailers_is_forwarded(void **state)
{
    static const struct pair request[FIELDS_MAX] = {{":method", "POST"},
                                                    {":scheme", "http"},
                                                    {":authority", "a"},
                                                    {":path", "/"},
                                                    {"te", "trailers"}};
    uint8_t room[4096];
    struct fields out;
    struct bytes value;
    assert_int_equal(judge(request, &out, room, sizeof(room)), LOCAL_NONE);
    assert_true(fields_find(&out, FIELD_TE, &value));
}

static void max_forwards_of_options_counts_the_hops(void **state)
{
    static const struct {
        const char *method;
        const char *sent;
        enum local_answer answer;
        const char *told;
    } cases[] = {
        {"OPTIONS", "0", LOCAL_OPTIONS, NULL},
        {"OPTIONS", "000", LOCAL_OPTIONS, NULL},
        {"OPTIONS", "1", LOCAL_NONE, "0"},
        {"OPTIONS", "10", LOCAL_NONE, "9"},
        {"OPTIONS", "255", LOCAL_NONE, "254"},
        {"OPTIONS", "256", LOCAL_NONE, "255"},
        {"OPTIONS", "99999999999999999999", LOCAL_NONE, "255"},
        {"OPTIONS", "", LOCAL_BAD_REQUEST, NULL},
        {"OPTIONS", "-1", LOCAL_BAD_REQUEST, NULL},
        {"OPTIONS", "1x", LOCAL_BAD_REQUEST, NULL},
        {"GET", "0", LOCAL_NONE, "0"},
        {"GET", "x", LOCAL_NONE, "x"},
        {"TRACE", "0", LOCAL_METHOD, NULL},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        const struct pair request[FIELDS_MAX] = {{":method", cases[i].method},
                                                 {":scheme", "http"},
                                                 {":authority", "a"},
                                                 {":path", "/"},
                                                 {"max-forwards", cases[i].sent}};
        uint8_t room[4096];
        struct fields out;
        struct bytes value = BYTES_NONE;
        assert_int_equal(judge(request, &out, room, sizeof(room)), cases[i].answer);
        if (cases[i].told == NULL)
            continue;
        assert_true(fields_find(&out, FIELD_MAX_FORWARDS, &value));
        assert_true(bytes_equal_text(value, cases[i].told));
    }
}

static void extended_connect_goes_on_where_the_route_names_its_protocol(void **state)
{
    static const struct {
        const char *protocol;
        enum local_answer answer;
    } cases[] = {{"websocket", LOCAL_NONE},
                 {"WebSocket", LOCAL_NONE},
                 {"connect-udp", LOCAL_METHOD},
                 {"websockets", LOCAL_METHOD}};
    static const struct bytes protocols[] = {{(const uint8_t *)"websocket", 9}};
    for (size_t i = 0; i < array_count(cases); i++) {
        const struct pair request[FIELDS_MAX] = {
            {":method", "CONNECT"}, {":protocol", cases[i].protocol},
            {":scheme", "https"},   {":authority", "a"},
            {":path", "/chat"},     {"sec-websocket-version", "13"}};
        uint8_t room[4096];
        struct fields out;
        struct bytes value = BYTES_NONE;
        routes[0].extended_connect = NULL;
        routes[0].extended_connect_count = 0;
        assert_int_equal(judge(request, &out, room, sizeof(room)), LOCAL_METHOD);
        routes[0].extended_connect = protocols;
        routes[0].extended_connect_count = array_count(protocols);
        assert_int_equal(judge(request, &out, room, sizeof(room)), cases[i].answer);
        routes[0].extended_connect_count = 0;
        if (cases[i].answer != LOCAL_NONE)
            continue;
        assert_true(fields_find(&out, FIELD_PROTOCOL, &value));
        assert_true(bytes_equal_text(value, cases[i].protocol));
        assert_true(fields_find(&out, FIELD_PATH, &value));
        assert_int_equal(out.count, 6);
    }
}

static void a_service_may_name_its_own_authority(void **state)
{
    static const struct pair request[FIELDS_MAX] = {
        {":method", "GET"}, {":scheme", "http"}, {":authority", "public"}, {":path", "/"}};
    uint8_t room[4096];
    struct fields out;
    struct bytes value;
    service.authority = bytes_text("inner");
    assert_int_equal(judge(request, &out, room, sizeof(room)), LOCAL_NONE);
    service.authority = BYTES_NONE;
    assert_true(fields_find(&out, FIELD_AUTHORITY, &value));
    assert_true(bytes_equal_text(value, "inner"));
}

static void what_does_not_fit_is_431_at_every_size(void **state)
{
    static const struct pair request[FIELDS_MAX] = {{":method", "GET"},
                                                    {":scheme", "http"},
                                                    {":authority", "a"},
                                                    {":path", "/"},
                                                    {"x-own", "value"}};
    uint8_t room[4096];
    struct fields out;
    assert_int_equal(judge(request, &out, room, sizeof(room)), LOCAL_NONE);
    for (uint32_t size = 0; size < out.used; size++) {
        uint8_t small[4096];
        struct fields cut;
        assert_int_equal(judge(request, &cut, small, size), LOCAL_HEADER_SIZE);
    }
}

/* What a backend hears of the client, by policy. NULL: the field is not there. */
struct told {
    enum forward_policy forwarded;
    enum forward_policy x_forwarded;
    const char *address;
    struct pair sent[2]; /* by the client */
    const char *told_for;
    const char *told_proto;
    const char *told_host;
    const char *told_forwarded;
};

static const struct told told[] = {
    {FORWARD_OFF, FORWARD_OFF, "192.0.2.7", {{0}}, NULL, NULL, NULL, NULL},
    {FORWARD_OFF,
     FORWARD_OFF,
     "192.0.2.7",
     {{"x-forwarded-for", "1.1.1.1"}, {"forwarded", "for=x"}},
     "1.1.1.1",
     NULL,
     NULL,
     "for=x"},
    {FORWARD_OFF, FORWARD_APPEND, "192.0.2.7", {{0}}, "192.0.2.7", "http", "shop.example", NULL},
    {FORWARD_OFF,
     FORWARD_APPEND,
     "192.0.2.7",
     {{"x-forwarded-for", "1.1.1.1"}, {"x-forwarded-proto", "https"}},
     "1.1.1.1, 192.0.2.7",
     "https",
     "shop.example",
     NULL},
    {FORWARD_OFF,
     FORWARD_REPLACE,
     "192.0.2.7",
     {{"x-forwarded-for", "1.1.1.1"}, {"x-forwarded-host", "evil"}},
     "192.0.2.7",
     "http",
     "shop.example",
     NULL},
    {FORWARD_APPEND,
     FORWARD_OFF,
     "192.0.2.7",
     {{"forwarded", "for=x"}},
     NULL,
     NULL,
     NULL,
     "for=x, for=192.0.2.7;host=\"shop.example\";proto=http"},
    {FORWARD_REPLACE,
     FORWARD_OFF,
     "2001:db8::7",
     {{"forwarded", "for=x"}},
     NULL,
     NULL,
     NULL,
     "for=\"[2001:db8::7]\";host=\"shop.example\";proto=http"},
};

/* All values of a field, as one list. */
static void assert_told(const struct fields *fields, enum field_token token, const char *expected)
{
    char list[256] = "";
    struct field field;
    for (uint32_t at = 0; fields_next(fields, &at, &field);)
        if (field.token == token)
            snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%.*s",
                     list[0] == 0 ? "" : ", ", (int)field.value.length,
                     (const char *)field.value.data);
    assert_string_equal(list, expected == NULL ? "" : expected);
}

static void backends_hear_of_the_client_as_the_route_says(void **state)
{
    for (size_t i = 0; i < array_count(told); i++) {
        struct snapshot_route route = {.path_prefix = bytes_text("/"),
                                       .forwarded = told[i].forwarded,
                                       .x_forwarded = told[i].x_forwarded};
        const struct snapshot with_route = {.node = bytes_text("edge-1"),
                                            .routes = &route,
                                            .route_count = 1,
                                            .services = &service,
                                            .service_count = 1};
        const struct pair pairs[FIELDS_MAX] = {
            {":method", "GET"}, {":scheme", "http"}, {":authority", "shop.example"},
            {":path", "/"},     told[i].sent[0],     told[i].sent[1]};
        struct client client = {0};
        request_rules_address(&client, bytes_text(told[i].address));
        uint8_t request_room[2048], room[2048];
        struct fields request, out;
        struct request_way way;
        fill(&request, request_room, sizeof(request_room), pairs);
        fields_init(&out, room, sizeof(room));
        assert_int_equal(request_rules(&with_route, &peer, &request, &out, &way), LOCAL_NONE);
        request_rules_hop(&with_route, way.route, &request, &out);
        request_rules_client(&client, way.route, &request, &out);
        assert_told(&out, FIELD_VIA, "2 edge-1");
        assert_told(&out, FIELD_X_FORWARDED_FOR, told[i].told_for);
        assert_told(&out, FIELD_X_FORWARDED_PROTO, told[i].told_proto);
        assert_told(&out, FIELD_X_FORWARDED_HOST, told[i].told_host);
        assert_told(&out, FIELD_FORWARDED, told[i].told_forwarded);
    }
}

/* What a client says about its certificate counts only where nobody asks for it. */
static void a_certificate_is_told_by_us_alone(void **state)
{
    static const struct {
        bool asked, shown, elsewhere;
        const char *told;
    } cases[] = {
        {false, false, false, "Hash=forged"},
        {false, false, true, NULL},
        {true, false, true, NULL},
        {true, true, true, "Hash=00000000000000000000000000000000000000000000000000000000000000a7"},
    };
    static const struct pair pairs[FIELDS_MAX] = {{":method", "GET"},
                                                  {":scheme", "https"},
                                                  {":authority", "shop.example"},
                                                  {":path", "/"},
                                                  {"x-forwarded-client-cert", "Hash=forged"}};
    for (size_t i = 0; i < array_count(cases); i++) {
        uint8_t room[2048];
        struct fields out;
        peer = (struct request_peer){.certificate_asked = cases[i].asked,
                                     .certificate_shown = cases[i].shown,
                                     .fingerprint = {[31] = 0xa7}};
        snapshot.asks_certificates = cases[i].elsewhere;
        assert_int_equal(judge(pairs, &out, room, sizeof(room)), LOCAL_NONE);
        assert_told(&out, FIELD_X_FORWARDED_CLIENT_CERT, cases[i].told);
    }
    peer = (struct request_peer){0};
    snapshot.asks_certificates = false;
}

static void what_a_client_may_not_say_is_no_trailer_either(void **state)
{
    static const struct pair said[FIELDS_MAX] = {{"x-check", "1"},
                                                 {"x-forwarded-client-cert", "Hash=1"},
                                                 {"x-forwarded-for", "192.0.2.1"},
                                                 {"forwarded", "a"},
                                                 {"proxy-authorization", "b"},
                                                 {"host", "a"},
                                                 {"te", "trailers"},
                                                 {"grpc-status", "0"}};
    uint8_t trailer_room[1024], room[1024];
    struct fields trailers, scratch;
    struct field field;
    uint32_t at = 0;
    fill(&trailers, trailer_room, sizeof(trailer_room), said);
    fields_init(&scratch, room, sizeof(room));
    uint32_t disguised;
    const struct fields *left = request_rules_trailers(&trailers, &scratch, &disguised);
    assert_int_equal(left->count, 2);
    assert_true(fields_next(left, &at, &field) && bytes_equal_text(field.name, "x-check"));
    assert_true(fields_next(left, &at, &field) && bytes_equal_text(field.name, "grpc-status"));
    fill(&trailers, trailer_room, sizeof(trailer_room), (struct pair[FIELDS_MAX]){{"host", "a"}});
    assert_null(request_rules_trailers(&trailers, &scratch, &disguised));
    assert_int_equal(disguised, 0);
    fill(&trailers, trailer_room, sizeof(trailer_room),
         (struct pair[FIELDS_MAX]){{"x_forwarded_client_cert", "Hash=1"}});
    assert_null(request_rules_trailers(&trailers, &scratch, &disguised));
    assert_int_equal(disguised, 1);
}

/* Servers that read `_` for `-` would take them for ours, or for what frames the request. */
static void names_that_read_like_ours_do_not_go_on(void **state)
{
    static const struct {
        const char *name;
        bool passes;
    } cases[] = {
        {"x_forwarded_for", false},
        {"x-forwarded_for", false},
        {"x_forwarded-host", false},
        {"x_forwarded_proto", false},
        {"x_forwarded_client_cert", false},
        {"transfer_encoding", false},
        {"content_length", false},
        {"proxy_authorization", false},
        {"max_forwards", false},
        {"keep_alive", false},
        {"user_agent", true},
        {"api_key", true},
        {"_forwarded", true},
        {"x_forwarded_for_", true},
        {"x_forwarded_client_cert_fingerprint_of_the_day", true},
        {"_", true},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        const struct pair pairs[FIELDS_MAX] = {{":method", "GET"},      {":scheme", "http"},
                                               {":authority", "a"},     {":path", "/"},
                                               {cases[i].name, "said"}, {"x_own", "stays"}};
        uint8_t request_room[2048], room[2048];
        struct fields request, out;
        struct request_way way;
        fill(&request, request_room, sizeof(request_room), pairs);
        fields_init(&out, room, sizeof(room));
        assert_int_equal(request_rules(&snapshot, &peer, &request, &out, &way), LOCAL_NONE);
        assert_int_equal(way.disguised, !cases[i].passes);
        assert_int_equal(out.count, 5 + cases[i].passes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_needs_a_usable_target),
        cmocka_unit_test(fields_that_end_at_this_hop_are_not_forwarded),
        cmocka_unit_test(te_trailers_is_forwarded),
        cmocka_unit_test(max_forwards_of_options_counts_the_hops),
        cmocka_unit_test(extended_connect_goes_on_where_the_route_names_its_protocol),
        cmocka_unit_test(a_service_may_name_its_own_authority),
        cmocka_unit_test(what_does_not_fit_is_431_at_every_size),
        cmocka_unit_test(backends_hear_of_the_client_as_the_route_says),
        cmocka_unit_test(a_certificate_is_told_by_us_alone),
        cmocka_unit_test(what_a_client_may_not_say_is_no_trailer_either),
        cmocka_unit_test(names_that_read_like_ours_do_not_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
