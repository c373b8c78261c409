/*
 * Plans of shapes: what a plan gives for another path, or content-length, is, to the byte, what
 * comes out when all of the request is looked at.
 */
#include "dataplane/base/memory.h"
#include "dataplane/base/random.h"
#include "dataplane/request/exchange.h"
#include "tests/support/cmocka.h"

#define ROUNDS 3000

static struct bytes key_header[] = {{(const uint8_t *)"x-tenant", 8}};
static struct snapshot_route routes[] = {
    {.path_prefix = {(const uint8_t *)"/a", 2}, .name = {(const uint8_t *)"a", 1}},
    {.path_prefix = {(const uint8_t *)"/long", 5},
     .name = {(const uint8_t *)"long", 4},
     .authority = {(const uint8_t *)"*.site", 6},
     .x_forwarded = FORWARD_REPLACE,
     .coalesce = {.mode = COALESCE_GET, .key_headers = key_header, .key_header_count = 1}},
    {.path_prefix = {(const uint8_t *)"/", 1},
     .name = {(const uint8_t *)"rest", 4},
     .x_forwarded = FORWARD_APPEND,
     .service = 1,
     .coalesce = {.mode = COALESCE_POST_BODY}},
};
static struct snapshot_service services[2] = {
    [1] = {.authority = {(const uint8_t *)"inner", 5}},
};
static struct snapshot snapshot = {.node = {(const uint8_t *)"edge-1", 6},
                                   .routes = routes,
                                   .route_count = array_count(routes),
                                   .services = services,
                                   .service_count = array_count(services)};
static struct request_peer peer;
static struct plans plans;
static struct random randomness;

/* What becomes of a request. */
struct outcome {
    struct plan plan;
    struct fields forwarded;
    uint8_t section[8192];
    uint8_t key[COALESCE_KEY_BYTES];
};

static const char *any_of(const char *const *texts, uint32_t count)
{
    return texts[random_below(&randomness, count)];
}

static void add(struct fields *fields, const char *name, const char *value)
{
    fields_add(fields, (struct field){.token = field_token_of(bytes_text(name)),
                                      .name = bytes_text(name),
                                      .value = bytes_text(value)});
}

/* Fields that have rules, or are part of keys, or neither. */
static void add_others(struct fields *fields)
{
    static const char *const names[] = {"accept",
                                        "te",
                                        "host",
                                        "x-tenant",
                                        "x-own",
                                        "x_forwarded_for",
                                        "x-forwarded-for",
                                        "forwarded",
                                        "x-request-id",
                                        "authorization",
                                        "cookie",
                                        "cache-control",
                                        "max-forwards",
                                        "via",
                                        "x-no-coalesce",
                                        "proxy-authorization"};
    static const char *const values[] = {"trailers", "1", "one.site", "", "no-cache", "text"};
    for (uint32_t n = random_below(&randomness, 6); n > 0; n--)
        add(fields, any_of(names, array_count(names)), any_of(values, array_count(values)));
}

static void random_path(char *path, size_t size)
{
    static const char *const begins[] = {"/a", "/ab", "/long", "/long/", "/", "/x?", "*", "/a?q"};
    (void)snprintf(path, size, "%s", any_of(begins, array_count(begins)));
    size_t length = strlen(path);
    uint32_t more = random_below(&randomness, random_below(&randomness, 8) == 0 ? 4300 : 30);
    for (; more > 0 && length + 1 < size && path[0] == '/'; more--)
        path[length++] = (char)('a' + random_below(&randomness, 26));
    path[length] = '\0';
}

/* The field that others of its shape have with other values. */
static void add_own(struct fields *request, const char *name, const char *value)
{
    request->part_ends[PART_FRONT] = request->used;
    add(request, name, value);
    request->part_ends[PART_OWN] = request->used;
}

/* A request as HTTP/2 tells of one of a shape: LENGTH, or else PATH, is its own. */
static void make(struct fields *request, uint64_t seed, const char *path, const char *length)
{
    static const char *const methods[] = {"GET", "POST", "HEAD", "OPTIONS", "CONNECT", "TRACE"};
    static const char *const authorities[] = {"one.site", "ONE.SITE:80", "other", "site"};
    random_seed(&randomness, seed);
    add(request, ":method", any_of(methods, array_count(methods)));
    bool by_host = random_below(&randomness, 8) == 0;
    if (!by_host)
        add(request, ":authority", any_of(authorities, array_count(authorities)));
    if (length != NULL)
        add(request, ":path", path);
    else
        add_own(request, ":path", path);
    add(request, ":scheme", random_below(&randomness, 2) == 0 ? "http" : "https");
    if (by_host)
        add(request, "host", any_of(authorities, array_count(authorities)));
    add_others(request);
    if (length != NULL)
        add_own(request, "content-length", length);
    add_others(request);
    fields_name_around(request, seed);
}

/* All of it looked at, as exchange.c does. False: it is refused. */
static bool look_at(const struct fields *request, bool has_body, struct outcome *out)
{
    struct request_way way;
    struct bytes method = BYTES_NONE, detail;
    fields_init(&out->forwarded, out->section, sizeof(out->section));
    if (request_rules(&snapshot, &peer, request, &out->forwarded, &way) != LOCAL_NONE)
        return false;
    (void)fields_find(request, FIELD_METHOD, &method);
    out->plan = (struct plan){
        .route = (uint16_t)(way.route - routes),
        .disguised_fields = (uint16_t)way.disguised,
        .keyed_bytes = out->forwarded.used,
        .keyed_fields = out->forwarded.count,
        .idempotent = bytes_equal_text(method, "GET"),
    };
    out->plan.verdict = coalesce_key(way.route, out->plan.route, &out->forwarded, has_body,
                                     out->key, &out->plan.key, &detail);
    request_rules_hop(&snapshot, way.route, request, &out->forwarded);
    return !out->forwarded.overflow;
}

static struct plan_of plan_of(const struct fields *request, bool has_body)
{
    const uint8_t *own = request->data + request->part_ends[PART_FRONT];
    struct plan_of of = {request->name, 1, has_body, 0, own, BYTES_NONE};
    if (field_token_at(own) != FIELD_PATH)
        return of;
    of.path = field_value(own);
    const struct snapshot_route *route =
        of.path.data[0] == '/' ? request_rules_route(&snapshot, request, of.path) : NULL;
    if (route == NULL)
        of.name = 0;
    else
        of.route = (uint16_t)(route - routes);
    return of;
}

static void assert_same(const struct plan *plan, const struct fields *forwarded,
                        const struct outcome *wanted)
{
    assert_int_equal(plan->route, wanted->plan.route);
    assert_int_equal(plan->verdict, wanted->plan.verdict);
    assert_int_equal(plan->disguised_fields, wanted->plan.disguised_fields);
    assert_int_equal(plan->keyed_bytes, wanted->plan.keyed_bytes);
    assert_int_equal(plan->keyed_fields, wanted->plan.keyed_fields);
    assert_int_equal(plan->idempotent, wanted->plan.idempotent);
    assert_int_equal(plan->key.length, wanted->plan.key.length);
    assert_true(bytes_equal(plan->key, wanted->plan.key));
    assert_int_equal(forwarded->used, wanted->forwarded.used);
    assert_int_equal(forwarded->count, wanted->forwarded.count);
    assert_memory_equal(forwarded->data, wanted->forwarded.data, forwarded->used);
    assert_memory_equal(forwarded->present, wanted->forwarded.present, sizeof(forwarded->present));
    assert_int_equal(forwarded->part_ends[PART_FIELDS], wanted->forwarded.part_ends[PART_FIELDS]);
    assert_true(forwarded->own_unnamed && forwarded->name != 0);
    assert_int_equal(forwarded->named_bytes, forwarded->used);
}

static uint32_t found_of_round(uint64_t seed)
{
    static struct outcome wanted;
    static uint8_t room[8192], found_room[8192], key_room[COALESCE_KEY_BYTES];
    static char path[4400];
    uint32_t found_count = 0;
    for (uint32_t i = 0; i < 6; i++) {
        struct fields request, found;
        random_seed(&randomness, seed * 100 + i);
        char digits[16];
        bool lengthy = seed % 4 == 0;
        (void)snprintf(digits, sizeof(digits), "%u", random_below(&randomness, 100000));
        if (i == 0 || !lengthy)
            random_path(path, sizeof(path));
        fields_init(&request, room, sizeof(room));
        fields_init(&found, found_room, sizeof(found_room));
        make(&request, seed, path, lengthy ? digits : NULL);
        bool has_body = seed % 3 == 0;
        struct plan_of of = plan_of(&request, has_body);
        const struct plan *plan = plans_find(&plans, &of, &found, key_room);
        bool goes_on = look_at(&request, has_body, &wanted);
        assert_true(goes_on || plan == NULL);
        if (plan != NULL)
            assert_same(plan, &found, &wanted);
        else
            assert_int_equal(found.used, 0);
        if (plan == NULL && goes_on)
            plans_keep(&plans, &of, &wanted.plan, &wanted.forwarded);
        found_count += plan != NULL;
    }
    return found_count;
}

static void a_plan_for_another_of_its_shape_is_what_a_full_look_gives(void **state)
{
    uint32_t found = 0;
    (void)state;
    assert_true(plans_init(&plans, -1));
    for (uint64_t seed = 1; seed <= ROUNDS; seed++)
        found += found_of_round(seed);
    assert_true(found > ROUNDS);
    memory_reset();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_for_another_of_its_shape_is_what_a_full_look_gives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
