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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_route_that_matches_whole_segments_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
