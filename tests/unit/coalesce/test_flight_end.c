/* Good ends and honest ones; trailers and interim answers (C11, C21, C22). */
#include "tests/unit/coalesce/flight_case.h"

static void c11_a_declared_length_must_be_met(void **state)
{
    static const struct {
        const char *method;
        const char *status;
        const char *declared;
        size_t sent;
        bool good;
    } cases[] = {
        {"GET", "200", "10", 10, true},
        {"GET", "200", "10", 9, false},
        {"GET", "200", "10", 11, false},
        {"GET", "200", "0", 0, true},
        {"GET", "200", "1", 0, false},
        {"HEAD", "200", "10", 0, true},
        {"GET", "304", "10", 0, true},
        {"GET", "204", "10", 0, true},
        {"GET", "200", "1x", 10, false},
        {"GET", "200", "", 10, false},
        {"GET", "200", "99999999999999999999", 10, false},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct client client;
        print_message("%s %s %s %zu\n", cases[i].method, cases[i].status, cases[i].declared,
                      cases[i].sent);
        client_ask(&client, worker, ROUTE_OFF, cases[i].method, "/");
        for (int attempt = 0; attempt < 2 && fake_last(worker->upstream) != NULL; attempt++) {
            answer_head(worker, last_try(), cases[i].status, "content-length", cases[i].declared,
                        cases[i].sent == 0);
            if (cases[i].sent > 0 && fake_last(worker->upstream) != NULL)
                data(cases[i].sent, true);
        }
        client_drink(&client);
        assert_int_equal(client.ended, cases[i].good);
        assert_int_equal(client.failed, !cases[i].good);
        client_leave(&client);
    }
}

static void c11_two_lengths_must_agree(void **state)
{
    static const char *const heads[][7] = {
        {":status", "200", "content-length", "5", "content-length", "6", NULL},
        {":status", "200", "content-length", "5", "content-length", "5", NULL},
    };
    for (int i = 0; i < 2; i++) {
        struct client client;
        client_ask(&client, worker, ROUTE_OFF, "GET", "/");
        fake_pull(last_try(), world->now);
        fake_section(last_try(), H2_SECTION_HEADERS, heads[i], false, world->now);
        client_drink(&client);
        assert_int_equal(client.failed, i == 0);
        client_leave(&client);
    }
}

static void c11_a_cut_answer_never_ends_well(void **state)
{
    for (int joined = 0; joined < 2; joined++) {
        struct client a, b;
        client_get(&a, worker, "/");
        client_get(&b, worker, "/");
        head("200", NULL, NULL);
        data(2000, false);
        client_read(&a, 500);
        client_release_all(&a);
        lose(ATTEMPT_CONNECTION_LOST);
        assert_failed(&a, FLIGHT_CONNECTION_LOST);
        assert_failed(&b, FLIGHT_CONNECTION_LOST);
        client_leave(&a);
        client_leave(&b);
    }
}

static void c11_done_without_an_end_is_no_end(void **state)
{
    struct client client;
    client_get(&client, worker, "/");
    head("200", NULL, NULL);
    struct attempt *attempt = last_try()->attempt;
    fake_over(attempt);
    attempt->handler->done(attempt, world->now);
    assert_failed(&client, FLIGHT_BAD_RESPONSE);
    client_leave(&client);
}

static void trailers_go_to_everybody_and_end_the_answer(void **state)
{
    static const char *const trailers[] = {"grpc-status", "0",   "connection", "x",
                                           "set-cookie",  "a=b", NULL};
    struct client a, b;
    client_get(&a, worker, "/");
    client_get(&b, worker, "/");
    head("200", NULL, NULL);
    data(10, false);
    fake_section(last_try(), H2_SECTION_TRAILERS, trailers, true, world->now);
    assert_whole(&a, 10);
    assert_whole(&b, 10);
    assert_true(a.has_trailers && b.has_trailers);
    assert_int_equal(a.subscriber.feed->trailers.count, 1);
    client_leave(&a);
    client_leave(&b);
}

static void interim(const char *status)
{
    const char *const fields[] = {":status", status,       "link", "</a>", "set-cookie",
                                  "a=b",     "connection", "x",    NULL};
    fake_pull(last_try(), world->now);
    fake_section(last_try(), H2_SECTION_INTERIM, fields, false, world->now);
}

static void c21_a_103_goes_to_those_present(void **state)
{
    struct client a, b, late;
    uint8_t room[256];
    struct fields seen;
    client_get(&a, worker, "/");
    client_get(&b, worker, "/");
    interim("103");
    client_get(&late, worker, "/");
    assert_int_equal(a.subscriber.feed->state, FEED_WAITING);
    assert_true(a.subscriber.interim_due && b.subscriber.interim_due);
    assert_false(late.subscriber.interim_due);
    fields_init(&seen, room, sizeof(room));
    assert_true(coalesce_interim(&a.subscriber, &seen));
    assert_int_equal(seen.count, 3);
    fields_init(&seen, room, sizeof(room));
    assert_true(coalesce_interim(&b.subscriber, &seen));
    assert_int_equal(seen.count, 2); /* without the originator's cookie */
    assert_int_equal(counters_of(worker)->interim_forwarded, 1);
    answer_whole(worker, 1);
    client_leave(&a);
    client_leave(&b);
    client_leave(&late);
}

static void c22_a_100_goes_to_nobody(void **state)
{
    struct client client;
    client_get(&client, worker, "/");
    interim("100");
    interim("102");
    assert_false(client.subscriber.interim_due);
    interim("103");
    interim("103");
    assert_int_equal(counters_of(worker)->interim_dropped, 3);
    answer_whole(worker, 1);
    client_leave(&client);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(c11_a_declared_length_must_be_met),
        CASE(c11_two_lengths_must_agree),
        CASE(c11_a_cut_answer_never_ends_well),
        CASE(c11_done_without_an_end_is_no_end),
        CASE(trailers_go_to_everybody_and_end_the_answer),
        CASE(c21_a_103_goes_to_those_present),
        CASE(c22_a_100_goes_to_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
