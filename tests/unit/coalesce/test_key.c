/* key: rules C1, C2, C4, C5 and C25: who may share, and what makes two requests the same. */
#include "dataplane/coalesce/coalesce.h"
#include "dataplane/coalesce/key.h"
#include "tests/support/cmocka.h"

#include <stdio.h>

#define FIELDS_MAX 12

/* A request: pairs of name and value after the target, ended by NULL. */
struct request {
    const char *method;
    const char *authority;
    const char *path;
    const char *extra[2 * FIELDS_MAX + 1];
};

struct made {
    enum key_verdict verdict;
    uint8_t room[COALESCE_KEY_BYTES];
    struct bytes key;
    char detail[64];
};

static struct snapshot_route route_of(enum coalesce_mode mode)
{
    return (struct snapshot_route){.name = bytes_text("r"), .coalesce = {.mode = mode}};
}

static void add(struct fields *fields, const char *name, const char *value)
{
    fields_add(fields, (struct field){.token = field_token_of(bytes_text(name)),
                                      .name = bytes_text(name),
                                      .value = bytes_text(value)});
}

static void make(struct made *made, const struct snapshot_route *route, uint16_t index,
                 const struct request *request, bool has_body)
{
    uint8_t room[16384];
    struct fields fields;
    struct bytes detail;
    fields_init(&fields, room, sizeof(room));
    add(&fields, ":method", request->method != NULL ? request->method : "GET");
    add(&fields, ":scheme", "https");
    add(&fields, ":authority", request->authority != NULL ? request->authority : "a.example");
    add(&fields, ":path", request->path != NULL ? request->path : "/");
    for (const char *const *extra = request->extra; *extra != NULL; extra += 2)
        add(&fields, extra[0], extra[1]);
    assert_false(fields.overflow);
    memset(made, 0, sizeof(*made));
    made->verdict = coalesce_key(route, index, &fields, has_body, made->room, &made->key, &detail);
    if (detail.length > 0 && detail.length < sizeof(made->detail))
        memcpy(made->detail, detail.data, detail.length);
}

static enum key_verdict verdict_of(enum coalesce_mode mode, struct request request, bool has_body)
{
    struct snapshot_route route = route_of(mode);
    static struct made made;
    make(&made, &route, 0, &request, has_body);
    assert_int_equal(made.key.length > 0, made.verdict == KEY_OK || made.verdict == KEY_SHADOW);
    return made.verdict;
}

static bool same_on(const struct snapshot_route *route, struct request a, struct request b)
{
    static struct made made[2];
    make(&made[0], route, 3, &a, false);
    make(&made[1], route, 3, &b, false);
    assert_int_equal(made[0].verdict, KEY_OK);
    assert_int_equal(made[1].verdict, KEY_OK);
    return bytes_equal(made[0].key, made[1].key);
}

static bool same(struct request a, struct request b)
{
    struct snapshot_route route = route_of(COALESCE_GET);
    return same_on(&route, a, b);
}

#define R(...)    ((struct request){__VA_ARGS__})
#define WITH(...) R(.extra = {__VA_ARGS__})

static void c1_get_and_head_and_post_where_the_route_says_so(void **state)
{
    static const struct {
        enum coalesce_mode mode;
        const char *method;
        bool has_body;
        enum key_verdict verdict;
    } cases[] = {
        {COALESCE_OFF, "GET", false, KEY_ROUTE_OFF},
        {COALESCE_SHADOW, "GET", false, KEY_SHADOW},
        {COALESCE_SHADOW, "POST", false, KEY_SHADOW},
        {COALESCE_SHADOW, "POST", true, KEY_SHADOW_BODY},
        {COALESCE_SHADOW, "PUT", true, KEY_METHOD},
        {COALESCE_GET, "GET", false, KEY_OK},
        {COALESCE_GET, "HEAD", false, KEY_OK},
        {COALESCE_GET, "POST", false, KEY_METHOD},
        {COALESCE_GET, "PUT", false, KEY_METHOD},
        {COALESCE_GET, "get", false, KEY_METHOD},
        {COALESCE_GET, "GET", true, KEY_HAS_BODY},
        {COALESCE_POST_BODY, "GET", false, KEY_OK},
        {COALESCE_POST_BODY, "POST", false, KEY_OK},
        {COALESCE_POST_BODY, "POST", true, KEY_HOLD_BODY},
        {COALESCE_POST_BODY, "PUT", false, KEY_METHOD},
        {COALESCE_POST_BODY, "DELETE", false, KEY_METHOD},
        {COALESCE_POST_BODY, "PATCH", false, KEY_METHOD},
        {COALESCE_POST_BODY, "OPTIONS", false, KEY_METHOD},
    };
    for (size_t i = 0; i < array_count(cases); i++)
        assert_int_equal(verdict_of(cases[i].mode, R(.method = cases[i].method), cases[i].has_body),
                         cases[i].verdict);
}

static void c1_not_with_expect_or_an_upgrade(void **state)
{
    assert_int_equal(verdict_of(COALESCE_GET, WITH("expect", "100-continue"), false),
                     KEY_EXPECT_OR_UPGRADE);
    assert_int_equal(verdict_of(COALESCE_GET, WITH("upgrade", "x"), false), KEY_EXPECT_OR_UPGRADE);
    assert_int_equal(verdict_of(COALESCE_GET, WITH(":protocol", "websocket"), false),
                     KEY_EXPECT_OR_UPGRADE);
}

static void c2_the_target_is_the_key(void **state)
{
    assert_true(same(R(.path = "/a?b=1"), R(.path = "/a?b=1")));
    assert_false(same(R(.path = "/a?b=1"), R(.path = "/a?b=2")));
    assert_false(same(R(.path = "/a?b=1"), R(.path = "/a?B=1")));
    assert_false(same(R(.path = "/a?x&y"), R(.path = "/a?y&x")));
    assert_false(same(R(.authority = "a.example"), R(.authority = "b.example")));
    assert_false(same(R(.method = "GET"), R(.method = "HEAD")));
    assert_false(same(R(.authority = "a", .path = "/bc"), R(.authority = "a/b", .path = "c")));
}

static void c19_head_has_a_key_of_its_own(void **state)
{
    assert_false(same(R(.method = "GET"), R(.method = "HEAD")));
    assert_true(same(R(.method = "HEAD"), R(.method = "HEAD")));
}

static void c20_ranges_and_conditions_meet_only_their_like(void **state)
{
    static const char *const names[] = {
        "range",         "if-range",          "if-match",
        "if-none-match", "if-modified-since", "if-unmodified-since"};
    for (size_t i = 0; i < array_count(names); i++) {
        assert_true(same(WITH(names[i], "bytes=0-9"), WITH(names[i], "bytes=0-9")));
        assert_false(same(WITH(names[i], "bytes=0-9"), WITH(names[i], "bytes=0-8")));
        assert_false(same(WITH(names[i], "bytes=0-9"), WITH(names[i], "bytes= 0-9")));
        assert_false(same(WITH(names[i], "bytes=0-9"), R(.path = "/")));
    }
}

static void c2_headers_that_select_the_answer_are_the_key(void **state)
{
    static const char *const names[] = {
        "accept",
        "accept-encoding",
        "accept-language",
        "content-type",
        "content-encoding",
        "grpc-encoding",
        "grpc-accept-encoding",
        "range",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
        "if-range",
        "idempotency-key",
        "cache-control",
        "pragma",
        "authorization",
        "cookie",
        "api-key",
        "x-api-key",
    };
    for (size_t i = 0; i < array_count(names); i++) {
        assert_true(same(WITH(names[i], "x"), WITH(names[i], "x")));
        assert_false(same(WITH(names[i], "x"), WITH(names[i], "y")));
        assert_false(same(WITH(names[i], "x"), WITH(NULL)));
        assert_false(same(WITH(names[i], ""), WITH(NULL)));
        assert_false(same(WITH(names[i], "x"), WITH(names[i], "x", names[i], "x")));
    }
}

static void c2_no_two_requests_give_the_same_bytes_by_accident(void **state)
{
    assert_false(same(WITH("accept", "ab"), WITH("accept", "a", "accept-language", "b")));
    assert_false(same(WITH("cookie", "a", "cookie", "b"), WITH("cookie", "ab")));
    assert_false(same(WITH("cookie", "a", "cookie", "b"), WITH("cookie", "b", "cookie", "a")));
    assert_false(same(WITH("accept", "x"), WITH("accept-language", "x")));
    assert_false(same(WITH("accept", "x", "range", "y"), WITH("accept", "y", "range", "x")));
}

static void c2_the_order_of_different_headers_does_not_matter(void **state)
{
    assert_true(same(WITH("accept", "x", "cookie", "c", "range", "r"),
                     WITH("range", "r", "accept", "x", "cookie", "c")));
}

static void c2_route_and_service_are_in_the_key(void **state)
{
    static struct made made[5];
    struct request request = WITH(NULL);
    struct snapshot_route route = route_of(COALESCE_GET);
    make(&made[0], &route, 1, &request, false);
    make(&made[1], &route, 2, &request, false);
    route.service = 1;
    make(&made[2], &route, 1, &request, false);
    route.service = 0;
    route.name = bytes_text("s");
    make(&made[3], &route, 1, &request, false);
    route = route_of(COALESCE_SHADOW);
    make(&made[4], &route, 1, &request, false);
    for (int i = 1; i < 5; i++)
        assert_false(bytes_equal(made[0].key, made[i].key));
}

static void c4_principals_do_not_share_unless_the_route_says_so(void **state)
{
    struct snapshot_route route = route_of(COALESCE_GET);
    struct bytes principals[] = {bytes_text("x-tenant")};
    route.coalesce.principal_headers = principals;
    route.coalesce.principal_header_count = 1;
    assert_false(same_on(&route, WITH("x-tenant", "a"), WITH("x-tenant", "b")));
    assert_false(same_on(&route, WITH("x-tenant", "a"), WITH(NULL)));
    assert_true(same_on(&route, WITH("x-tenant", "a"), WITH("x-tenant", "a")));
    route.coalesce.share_across_principals = true;
    assert_true(same_on(&route, WITH("x-tenant", "a"), WITH("x-tenant", "b")));
    assert_true(same_on(&route, WITH("authorization", "a"), WITH("cookie", "b")));
    assert_false(same_on(&route, WITH("accept", "a"), WITH("accept", "b")));
    /* a header that is keyed anyway stays keyed, even if it is said to be a principal's */
    principals[0] = bytes_text("accept");
    assert_false(same_on(&route, WITH("accept", "a"), WITH("accept", "b")));
}

static void c5_clients_opt_out(void **state)
{
    static const struct {
        const char *name;
        const char *value;
        enum key_verdict verdict;
    } cases[] = {
        {"cache-control", "no-store", KEY_CLIENT_OPTED_OUT},
        {"cache-control", "no-cache", KEY_CLIENT_OPTED_OUT},
        {"cache-control", "max-age=0 ,\tNO-Cache", KEY_CLIENT_OPTED_OUT},
        {"cache-control", "no-cache=\"x\"", KEY_CLIENT_OPTED_OUT},
        {"cache-control", "max-age=0", KEY_OK},
        {"cache-control", "xno-store", KEY_OK},
        {"cache-control", "", KEY_OK},
        {"cache-control", ",,", KEY_OK},
        {"pragma", "no-cache", KEY_CLIENT_OPTED_OUT},
        {"pragma", "x", KEY_OK},
        {"x-no-coalesce", "", KEY_CLIENT_OPTED_OUT},
        {"x-no-coalesce", "0", KEY_CLIENT_OPTED_OUT},
    };
    for (size_t i = 0; i < array_count(cases); i++)
        assert_int_equal(verdict_of(COALESCE_GET, WITH(cases[i].name, cases[i].value), false),
                         cases[i].verdict);
    assert_int_equal(verdict_of(COALESCE_GET,
                                WITH("cache-control", "max-age=1", "cache-control", "no-store"),
                                false),
                     KEY_CLIENT_OPTED_OUT);
}

static void c25_neutral_headers_are_never_keyed(void **state)
{
    static const char *const names[] = {
        "user-agent",       "referer",           "origin",
        "sec-fetch-mode",   "priority",          "te",
        "grpc-timeout",     "traceparent",       "tracestate",
        "x-request-id",     "forwarded",         "x-forwarded-for",
        "x-forwarded-host", "x-forwarded-proto", "x-forwarded-any",
        "x-stainless-lang", "content-length",    "sec-ch-ua",
    };
    for (size_t i = 0; i < array_count(names); i++) {
        assert_true(same(WITH(names[i], "x"), WITH(names[i], "y")));
        assert_true(same(WITH(names[i], "x"), WITH(NULL)));
    }
}

static void c25_a_header_that_is_neither_makes_the_request_ineligible(void **state)
{
    static const char *const names[] = {"x-foo", "via", "date", "secret", "x-forwarded", "from"};
    struct snapshot_route route = route_of(COALESCE_GET);
    for (size_t i = 0; i < array_count(names); i++) {
        static struct made made;
        struct request request = WITH("accept", "x", names[i], "y");
        make(&made, &route, 0, &request, false);
        assert_int_equal(made.verdict, KEY_UNKEYED_HEADER);
        assert_string_equal(made.detail, names[i]);
    }
}

static void c25_the_route_makes_headers_keyed_or_neutral(void **state)
{
    struct snapshot_route route = route_of(COALESCE_GET);
    struct bytes keyed[] = {bytes_text("x-model"), bytes_text("user-agent")};
    struct bytes neutral[] = {bytes_text("x-noise"), bytes_text("accept")};
    route.coalesce.key_headers = keyed;
    route.coalesce.key_header_count = 2;
    route.coalesce.neutral_headers = neutral;
    route.coalesce.neutral_header_count = 2;
    assert_false(same_on(&route, WITH("x-model", "a"), WITH("x-model", "b")));
    assert_false(same_on(&route, WITH("x-model", "a"), WITH(NULL)));
    assert_false(same_on(&route, WITH("x-model", ""), WITH(NULL)));
    assert_true(same_on(&route, WITH("x-model", "a"), WITH("x-model", "a")));
    assert_false(same_on(&route, WITH("user-agent", "a"), WITH("user-agent", "b")));
    assert_true(same_on(&route, WITH("x-noise", "a"), WITH("x-noise", "b")));
    assert_false(same_on(&route, WITH("accept", "a"), WITH("accept", "b")));
    assert_false(same_on(&route, WITH("x-model", "a", "x-model", "b"), WITH("x-model", "ab")));
}

static void what_a_key_covers(void **state)
{
    static struct made made;
    struct snapshot_route route = route_of(COALESCE_GET);
    struct bytes keyed[] = {bytes_text("x-model")};
    struct bytes principals[] = {bytes_text("x-tenant")};
    struct request request = WITH("accept", "x-fake", "cookie", "x-noise");
    route.coalesce.key_headers = keyed;
    route.coalesce.key_header_count = 1;
    route.coalesce.principal_headers = principals;
    route.coalesce.principal_header_count = 1;
    make(&made, &route, 0, &request, false);
    assert_true(key_has_principal(made.key));
    static const struct {
        const char *name;
        bool covered;
        bool covered_across;
    } cases[] = {
        {"accept", true, true},
        {"accept-encoding", true, true},
        {"range", true, true},
        {"cookie", true, false},
        {"authorization", true, false},
        {"x-api-key", true, false},
        {"x-model", true, true},
        {"x-tenant", true, false},
        {"user-agent", false, false},
        {"origin", false, false},
        {"x-other", false, false},
        {"x-fake", false, false},
        {"x-noise", false, false},
        {"*", false, false},
        {"", false, false},
        {"accept-charset", false, false},
    };
    for (size_t i = 0; i < array_count(cases); i++)
        assert_int_equal(key_covers(made.key, bytes_text(cases[i].name)), cases[i].covered);
    route.coalesce.share_across_principals = true;
    make(&made, &route, 0, &request, false);
    assert_false(key_has_principal(made.key));
    for (size_t i = 0; i < array_count(cases); i++)
        assert_int_equal(key_covers(made.key, bytes_text(cases[i].name)), cases[i].covered_across);
}

static void a_key_that_is_too_long_is_no_key(void **state)
{
    static char value[COALESCE_KEY_BYTES];
    size_t longest = 0;
    for (size_t length = 3900; length < sizeof(value) - 1; length++) {
        memset(value, 'x', length);
        value[length] = 0;
        enum key_verdict verdict = verdict_of(COALESCE_GET, WITH("cookie", value), false);
        if (verdict == KEY_OK)
            longest = length;
        else
            assert_int_equal(verdict, KEY_TOO_LONG);
    }
    assert_in_range(longest, 3901, 4080);
}

/* Random requests of few names and values: the keys are equal exactly when what is keyed is. */
static uint32_t seed = 1;

static uint32_t dice(uint32_t bound)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 16) % bound;
}

static struct request random_request(char flat[64])
{
    static const char *const names[] = {"accept", "cookie", "range", "user-agent"};
    static const char *const values[] = {"", "a", "aa", "b"};
    struct request request = {0};
    uint32_t count = 0;
    char *at = flat;
    for (uint32_t name = 0; name < array_count(names); name++)
        for (uint32_t times = dice(3); times > 0; times--) {
            uint32_t value = dice(array_count(values));
            request.extra[count++] = names[name];
            request.extra[count++] = values[value];
            if (name < 3)
                at += sprintf(at, "%u=%u;", name, value);
        }
    *at = 0;
    return request;
}

static void keys_are_equal_exactly_when_what_is_keyed_is(void **state)
{
    int equal = 0;
    for (int i = 0; i < 50000; i++) {
        char flat[2][64];
        struct request a = random_request(flat[0]);
        struct request b = random_request(flat[1]);
        bool expected = strcmp(flat[0], flat[1]) == 0;
        assert_int_equal(same(a, b), expected);
        equal += expected;
    }
    assert_true(equal > 100);
}

static void lists_are_walked(void **state)
{
    struct bytes rest = bytes_text(" a , b,,c");
    struct bytes element;
    static const char *const elements[] = {"a", "b", "", "c"};
    for (size_t i = 0; i < array_count(elements); i++) {
        assert_true(list_value_next(&rest, &element));
        assert_true(bytes_equal_text(element, elements[i]));
    }
    assert_false(list_value_next(&rest, &element));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(c1_get_and_head_and_post_where_the_route_says_so),
        cmocka_unit_test(c1_not_with_expect_or_an_upgrade),
        cmocka_unit_test(c2_the_target_is_the_key),
        cmocka_unit_test(c19_head_has_a_key_of_its_own),
        cmocka_unit_test(c20_ranges_and_conditions_meet_only_their_like),
        cmocka_unit_test(c2_headers_that_select_the_answer_are_the_key),
        cmocka_unit_test(c2_no_two_requests_give_the_same_bytes_by_accident),
        cmocka_unit_test(c2_the_order_of_different_headers_does_not_matter),
        cmocka_unit_test(c2_route_and_service_are_in_the_key),
        cmocka_unit_test(c4_principals_do_not_share_unless_the_route_says_so),
        cmocka_unit_test(c5_clients_opt_out),
        cmocka_unit_test(c25_neutral_headers_are_never_keyed),
        cmocka_unit_test(c25_a_header_that_is_neither_makes_the_request_ineligible),
        cmocka_unit_test(c25_the_route_makes_headers_keyed_or_neutral),
        cmocka_unit_test(what_a_key_covers),
        cmocka_unit_test(a_key_that_is_too_long_is_no_key),
        cmocka_unit_test(keys_are_equal_exactly_when_what_is_keyed_is),
        cmocka_unit_test(lists_are_walked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
