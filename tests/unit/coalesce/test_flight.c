/* flight: one worker, its clients, one answer for those who ask alike. */
#include "tests/unit/coalesce/flight_case.h"

static void one_client_gets_the_whole_answer(void **state)
{
    struct client client;
    client_ask(&client, worker, ROUTE_OFF, "GET", "/");
    assert_int_equal(client.subscriber.role, SUBSCRIBER_LED);
    assert_int_equal(client.subscriber.feed->state, FEED_WAITING);
    answer_whole(worker, 5000);
    assert_true(client.news > 0);
    assert_whole(&client, 5000);
    client_leave(&client);
    assert_int_equal(client.subscriber.role, SUBSCRIBER_NONE);
    assert_int_equal(counters_of(worker)->bypass_route_off, 1);
}

static void an_answer_without_a_body_ends(void **state)
{
    struct client client;
    client_ask(&client, worker, ROUTE_OFF, "GET", "/");
    answer_whole(worker, 0);
    assert_whole(&client, 0);
    client_leave(&client);
}

static void identical_gets_cost_one_request(void **state)
{
    struct client clients[10];
    for (size_t i = 0; i < array_count(clients); i++) {
        client_get(&clients[i], worker, "/x");
        if (i == 5)
            head("200", NULL, NULL);
        if (i == 7)
            data(2500, false);
    }
    assert_int_equal(clients[0].subscriber.role, SUBSCRIBER_LED);
    assert_int_equal(clients[9].subscriber.role, SUBSCRIBER_JOINED);
    assert_int_equal(clients[9].subscriber.joined_at_bytes, 2500);
    data(1000, true);
    for (size_t i = 0; i < array_count(clients); i++) {
        assert_whole(&clients[i], 3500);
        assert_int_equal(clients[i].answer, clients[0].answer);
        client_leave(&clients[i]);
    }
    assert_int_equal(worker->upstream->started, 1);
    assert_int_equal(counters_of(worker)->saved, 9);
    assert_int_equal(counters_of(worker)->joined_local, 9);
}

static void different_paths_do_not_share(void **state)
{
    struct client a, b;
    client_get(&a, worker, "/a");
    client_get(&b, worker, "/b");
    assert_int_equal(worker->upstream->started, 2);
    client_leave(&a);
    client_leave(&b);
    world_pass(world, CLOCK_S);
}

static void an_ended_flight_is_not_joined(void **state)
{
    struct client a, b;
    client_get(&a, worker, "/");
    answer_whole(worker, 10);
    client_get(&b, worker, "/");
    assert_int_equal(b.subscriber.role, SUBSCRIBER_LED);
    answer_whole(worker, 20);
    assert_whole(&a, 10);
    assert_whole(&b, 20);
    client_leave(&a);
    client_leave(&b);
}

static void shadow_counts_but_joins_nothing(void **state)
{
    struct client clients[3];
    for (size_t i = 0; i < array_count(clients); i++) {
        client_ask(&clients[i], worker, ROUTE_SHADOW, "GET", "/");
        assert_int_equal(clients[i].subscriber.role, SUBSCRIBER_LED);
        answer_head(worker, last_try(), "200", "cache-control", "no-store", false);
    }
    assert_int_equal(worker->upstream->started, 3);
    assert_int_equal(counters_of(worker)->shadow_joins, 2);
    for (size_t i = 0; i < array_count(clients); i++) {
        client_leave(&clients[i]);
        assert_int_equal(worker->upstream->cancelled, i + 1); /* no lingering either */
    }
}

static void a_full_table_means_own_flights(void **state)
{
    struct client clients[2];
    worker->coalesce->entries.free_count = 0; /* as if all were in use */
    client_get(&clients[0], worker, "/");
    client_get(&clients[1], worker, "/");
    worker->coalesce->entries.free_count = worker->coalesce->entries.count;
    assert_int_equal(worker->upstream->started, 2);
    assert_int_equal(counters_of(worker)->table_no_entry, 2);
    client_leave(&clients[0]);
    client_leave(&clients[1]);
}

static void an_operator_ends_a_flight(void **state)
{
    struct client a, b;
    struct fact_flight fact;
    client_get(&a, worker, "/");
    client_get(&b, worker, "/");
    handle flight = pool_handle(&worker->coalesce->flights, flight_of_feed(a.subscriber.home));
    assert_false(coalesce_kill(worker->coalesce, flight + 1, &fact, world->now));
    assert_true(coalesce_kill(worker->coalesce, flight, &fact, world->now));
    assert_int_equal(fact.subscribers, 2);
    assert_failed(&a, FLIGHT_CANCELLED);
    assert_failed(&b, FLIGHT_CANCELLED);
    assert_false(coalesce_kill(worker->coalesce, flight, &fact, world->now));
    assert_int_equal(counters_of(worker)->killed, 1);
    client_leave(&a);
    client_leave(&b);
}

static void c23_fields_that_end_at_this_hop_are_stripped(void **state)
{
    static const char *const fields[] = {
        ":status", "200", "connection",       "close", "te", "trailers", "keep-alive", "5",
        "server",  "x",   "proxy-connection", "y",     NULL};
    struct client client;
    client_get(&client, worker, "/");
    fake_pull(last_try(), world->now);
    fake_section(last_try(), H2_SECTION_HEADERS, fields, true, world->now);
    assert_int_equal(client.subscriber.feed->head.count, 2);
    client_leave(&client);
}

static void leave_on_news(struct subscriber *subscriber, uint64_t now)
{
    coalesce_leave(subscriber, now);
    client_of(subscriber)->worker->world->clients_alive--;
}

static void leaving_from_inside_news_is_harmless(void **state)
{
    static const struct subscriber_ops leavers = {
        .news = leave_on_news, .request_sent = client_request_sent, .refused = client_refused};
    struct client clients[4];
    for (int i = 0; i < 4; i++) {
        client_get(&clients[i], worker, "/");
        clients[i].subscriber.ops = &leavers;
    }
    head("200", NULL, NULL);
    world_pass(world, CLOCK_S);
    assert_int_equal(coalesce_flight_count(worker->coalesce), 0);
}

static uint32_t listed;

static void show(void *context, const struct fact_flight *fact)
{
    assert_int_equal(fact->subscribers, 2);
    assert_int_equal(fact->coalesced, 1);
    assert_int_equal(fact->state, FLIGHT_ANSWERING);
    assert_int_equal(fact->body_bytes, 5);
    assert_int_equal(fact->attempt, 1);
    assert_int_equal(fact->age_ns, 3 * CLOCK_S);
    listed++;
}

static void flights_are_listed(void **state)
{
    struct client a, b;
    client_get(&a, worker, "/");
    client_get(&b, worker, "/");
    head("200", NULL, NULL);
    data(5, false);
    listed = 0;
    coalesce_list(worker->coalesce, 10, world->now + 3 * CLOCK_S, show, NULL);
    assert_int_equal(listed, 1);
    coalesce_list(worker->coalesce, 0, world->now, show, NULL);
    assert_int_equal(listed, 1);
    assert_string_equal(flight_state_name(FLIGHT_ANSWERING), "answering");
    client_leave(&a);
    client_leave(&b);
    world_pass(world, CLOCK_S);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(one_client_gets_the_whole_answer),
        CASE(an_answer_without_a_body_ends),
        CASE(identical_gets_cost_one_request),
        CASE(different_paths_do_not_share),
        CASE(an_ended_flight_is_not_joined),
        CASE(shadow_counts_but_joins_nothing),
        CASE(a_full_table_means_own_flights),
        CASE(an_operator_ends_a_flight),
        CASE(c23_fields_that_end_at_this_hop_are_stripped),
        CASE(leaving_from_inside_news_is_harmless),
        CASE(flights_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
