#include "dataplane/request/exchange.h"
#include "tests/support/cmocka.h"

/* Routes as the control thread sorts them. */
static const struct snapshot_route routes[] = {
    {.name = {(const uint8_t *)"exact", 5},
     .authority = {(const uint8_t *)"api.example.com", 15},
     .path_prefix = {(const uint8_t *)"/v1", 3}},
    {.name = {(const uint8_t *)"port", 4},
     .authority = {(const uint8_t *)"api.example.com:8080", 20},
     .path_prefix = {(const uint8_t *)"/", 1}},
    {.name = {(const uint8_t *)"wild", 4},
     .authority = {(const uint8_t *)"*.example.com", 13},
     .path_prefix = {(const uint8_t *)"/", 1}},
    {.name = {(const uint8_t *)"slash", 5},
     .authority = {NULL, 0},
     .path_prefix = {(const uint8_t *)"/files/", 7}},
    {.name = {(const uint8_t *)"plain", 5},
     .authority = {NULL, 0},
     .path_prefix = {(const uint8_t *)"/chat", 5}},
};

static const struct snapshot snapshot = {.routes = routes, .route_count = array_count(routes)};

static void the_first_route_that_matches_whole_segments_is_taken(void **state)
{
    static const struct {
        const char *authority;
        const char *path;
        const char *route; /* NULL: none */
    } cases[] = {
        {"api.example.com", "/v1", "exact"},
        {"API.Example.COM", "/v1/models", "exact"},
        {"api.example.com:443", "/v1?x=1", "exact"},
        {"api.example.com", "/v10", "wild"},
        {"api.example.com:8080", "/other", "port"},
        {"www.example.com", "/", "wild"},
        {"a.b.example.com", "/", "wild"},
        {"example.com", "/", NULL},
        {".example.com", "/x", NULL},
        {"xexample.com", "/x", NULL},
        {"other", "/chat", "plain"},
        {"other", "/chat/room", "plain"},
        {"other", "/chats", NULL},
        {"other", "/files/a", "slash"},
        {"other", "/files", NULL},
        {"[2001:db8::1]:80", "/chat", "plain"},
        {"other", "*", NULL},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        const struct snapshot_route *route =
            route_match(&snapshot, bytes_text(cases[i].authority), bytes_text(cases[i].path));
        if (cases[i].route == NULL)
            assert_null(route);
        else if (route == NULL || !bytes_equal_text(route->name, cases[i].route))
            fail_msg("%s%s: expected %s", cases[i].authority, cases[i].path, cases[i].route);
    }
}

static void a_client_may_say_that_it_matters_less_but_not_more(void **state)
{
    static const struct {
        enum priority route;
        const char *field; /* NULL: none */
        enum priority expected;
    } cases[] = {
        {PRIORITY_NORMAL, NULL, PRIORITY_NORMAL},
        {PRIORITY_CRITICAL, NULL, PRIORITY_CRITICAL},
        {PRIORITY_NORMAL, "u=0", PRIORITY_NORMAL},
        {PRIORITY_SHEDDABLE, "u=0", PRIORITY_SHEDDABLE},
        {PRIORITY_NORMAL, "u=5", PRIORITY_NORMAL},
        {PRIORITY_NORMAL, "u=6", PRIORITY_SHEDDABLE},
        {PRIORITY_CRITICAL, "u=7, i", PRIORITY_SHEDDABLE},
        {PRIORITY_NORMAL, "u=9", PRIORITY_NORMAL},
        {PRIORITY_CRITICAL, "what", PRIORITY_CRITICAL},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        uint8_t room[256];
        struct fields request;
        struct snapshot_route route = {.priority = cases[i].route};
        fields_init(&request, room, sizeof(room));
        if (cases[i].field != NULL)
            fields_add_token(&request, FIELD_PRIORITY, bytes_text(cases[i].field));
        assert_int_equal(route_priority(&route, &request), cases[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_route_that_matches_whole_segments_is_taken),
        cmocka_unit_test(a_client_may_say_that_it_matters_less_but_not_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
