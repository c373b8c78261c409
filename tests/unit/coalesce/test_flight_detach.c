/* Answers that may not be shared go to the one who asked first (C6). */
#include "tests/unit/coalesce/flight_case.h"

struct sharing_case {
    enum world_route route;
    const char *name;
    const char *value;
    bool shared;
    const char *request_name;
    const char *request_value;
};

static const struct sharing_case sharing_cases[] = {
    {ROUTE_GET, "cache-control", "max-age=5", true, NULL, NULL},
    {ROUTE_GET, "cache-control", "private", true, NULL, NULL},
    {ROUTE_GET, "cache-control", "no-store", false, NULL, NULL},
    {ROUTE_GET, "cache-control", "max-age=1, No-Store", false, NULL, NULL},
    {ROUTE_GET, "set-cookie", "a=b", false, NULL, NULL},
    {ROUTE_GET, "vary", "*", false, NULL, NULL},
    {ROUTE_GET, "vary", "Accept-Encoding, accept", true, NULL, NULL},
    {ROUTE_GET, "vary", "accept, user-agent", false, NULL, NULL},
    {ROUTE_GET, "vary", "origin", false, NULL, NULL},
    {ROUTE_GET, "vary", "cookie, authorization", true, NULL, NULL},
    {ROUTE_GET, "vary", "x-unheard-of", false, NULL, NULL},
    {ROUTE_GET, "content-length", "8192", true, NULL, NULL},
    {ROUTE_GET, "content-length", "8193", false, NULL, NULL},
    {ROUTE_PUBLIC, "cache-control", "no-store", true, NULL, NULL},
    {ROUTE_PUBLIC, "cache-control", "private", false, NULL, NULL},
    {ROUTE_PUBLIC, "set-cookie", "a=b", true, NULL, NULL},
    {ROUTE_PUBLIC, "vary", "cookie", false, NULL, NULL},
    {ROUTE_PUBLIC, NULL, NULL, false, "authorization", "Bearer x"},
    {ROUTE_PUBLIC, "cache-control", "public", true, "authorization", "Bearer x"},
    {ROUTE_GET, NULL, NULL, true, "authorization", "Bearer x"},
};

static void ask_like(struct client *client, const struct sharing_case *c)
{
    const char *const extra[] = {c->request_name, c->request_value, NULL};
    client_prepare(client, worker, c->route, "GET", "/", extra, false);
    client_subscribe(client);
}

static void c6_an_answer_that_may_not_be_shared_goes_to_its_originator_only(void **state)
{
    for (size_t i = 0; i < array_count(sharing_cases); i++) {
        const struct sharing_case *c = &sharing_cases[i];
        struct client clients[3];
        uint32_t before = worker->upstream->started;
        print_message("%s: %s\n", c->name != NULL ? c->name : "-", c->value ? c->value : "-");
        for (int j = 0; j < 3; j++)
            ask_like(&clients[j], c);
        head("200", c->name, c->value);
        assert_int_equal(worker->upstream->started, before + (c->shared ? 1 : 3));
        for (int j = 0; j < 3; j++)
            assert_int_equal(clients[j].refused, !c->shared && j > 0);
        client_drink(&clients[0]);
        assert_true(clients[0].head_read);
        client_drink(&clients[1]);
        assert_int_equal(clients[1].head_read, c->shared);
        for (int j = 0; j < 3; j++)
            client_leave(&clients[j]);
        world_pass(world, 121 * CLOCK_S); /* C8: until the mark is over */
    }
}

static void c6_a_cookie_that_is_set_reaches_the_originator_only(void **state)
{
    struct client clients[2];
    for (int i = 0; i < 2; i++)
        client_ask(&clients[i], worker, ROUTE_PUBLIC, "GET", "/");
    head("200", "set-cookie", "a=b");
    for (int i = 0; i < 2; i++) {
        uint8_t room[512];
        struct fields seen;
        struct bytes cookie;
        fields_init(&seen, room, sizeof(room));
        assert_true(coalesce_head(&clients[i].subscriber, &seen));
        assert_int_equal(seen.count, i == 0 ? 3 : 2);
        assert_int_equal(fields_find(&seen, FIELD_SET_COOKIE, &cookie), i == 0);
    }
    client_leave(&clients[0]);
    client_leave(&clients[1]);
    world_pass(world, CLOCK_S);
}

static void c6_without_its_originator_an_unshareable_answer_is_for_nobody(void **state)
{
    struct client a, b;
    client_get(&a, worker, "/");
    client_get(&b, worker, "/");
    client_leave(&a);
    head("200", "cache-control", "no-store");
    assert_int_equal(b.refused, 1);
    assert_int_equal(worker->upstream->cancelled, 1);
    answer_whole(worker, 7);
    assert_whole(&b, 7);
    assert_int_equal(b.answer, 2);
    client_leave(&b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(c6_an_answer_that_may_not_be_shared_goes_to_its_originator_only),
        CASE(c6_a_cookie_that_is_set_reaches_the_originator_only),
        CASE(c6_without_its_originator_an_unshareable_answer_is_for_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
