/* Clients that leave, and time limits (C12, C13). */
#include "tests/unit/coalesce/flight_case.h"

static void c12_an_own_flight_is_cancelled_at_once(void **state)
{
    struct client client;
    client_ask(&client, worker, ROUTE_OFF, "GET", "/");
    client_leave(&client);
    assert_int_equal(worker->upstream->cancelled, 1);
    client_ask(&client, worker, ROUTE_POST, "POST", "/");
    client_leave(&client);
    assert_int_equal(worker->upstream->cancelled, 2);
    assert_int_equal(coalesce_flight_count(worker->coalesce), 0);
}

static void c12_a_coalesced_get_lingers(void **state)
{
    struct client a, b;
    client_get(&a, worker, "/");
    client_leave(&a);
    world_pass(world, 400 * CLOCK_MS);
    assert_int_equal(worker->upstream->cancelled, 0);
    head("200", NULL, NULL);
    data(10, false);
    client_get(&b, worker, "/");
    assert_int_equal(b.subscriber.role, SUBSCRIBER_JOINED);
    world_pass(world, 400 * CLOCK_MS);
    assert_int_equal(worker->upstream->cancelled, 0);
    client_drink(&b);
    assert_int_equal(b.bytes, 10);
    client_leave(&b);
    world_pass(world, 501 * CLOCK_MS);
    assert_int_equal(worker->upstream->cancelled, 1);
    assert_int_equal(counters_of(worker)->lingered, 2);
    assert_int_equal(counters_of(worker)->lingered_joined, 1);
}

static uint32_t places_taken, places_left;

static void count_left(void *context, uint64_t place)
{
    assert_ptr_equal(context, &places_left);
    assert_int_equal(place, 42);
    places_left++;
}

static struct subscriber_place count_taken(struct subscriber *subscriber)
{
    places_taken++;
    return (struct subscriber_place){count_left, &places_left, 42};
}

/* While it lingers the backend works for the client that left: it keeps a place for that. */
static void c12_lingering_keeps_a_place_of_the_client_that_left(void **state)
{
    static const struct subscriber_ops ops = {.news = client_news,
                                              .request_sent = client_request_sent,
                                              .refused = client_refused,
                                              .lingers = count_taken};
    struct client a, b, c;
    places_taken = places_left = 0;
    client_get(&a, worker, "/");
    client_get(&b, worker, "/");
    a.subscriber.ops = &ops;
    b.subscriber.ops = &ops;
    client_leave(&a);
    assert_int_equal(places_taken, 0); /* somebody else still wants it */
    client_leave(&b);
    assert_int_equal(places_taken, 1);
    assert_int_equal(places_left, 0);
    client_get(&c, worker, "/");
    c.subscriber.ops = &ops;
    assert_int_equal(places_left, 1);
    client_leave(&c);
    assert_int_equal(places_taken, 2);
    world_pass(world, 501 * CLOCK_MS);
    assert_int_equal(worker->upstream->cancelled, 1);
    assert_int_equal(places_left, 2);
    client_ask(&a, worker, ROUTE_OFF, "GET", "/");
    a.subscriber.ops = &ops;
    client_leave(&a);
    assert_int_equal(places_taken, 2); /* it was cancelled at once */
}

static void c12_the_flight_goes_on_without_its_leader(void **state)
{
    struct client leader, other;
    client_get(&leader, worker, "/");
    client_get(&other, worker, "/");
    head("200", NULL, NULL);
    client_leave(&leader);
    data(3000, true);
    assert_whole(&other, 3000);
    client_leave(&other);
    assert_int_equal(worker->upstream->cancelled, 0);
}

/* A leader whose section stays where it is until it leaves, and somebody who joins. */
static void lead_and_join(struct client *leader, struct client *other)
{
    client_prepare(leader, worker, ROUTE_GET, "GET", "/where/it/was", NULL, false);
    leader->asked.fields_stay = true;
    client_subscribe(leader);
    client_get(other, worker, "/where/it/was");
    assert_int_equal(other->subscriber.role, SUBSCRIBER_JOINED);
    assert_int_equal(section_pools_used(&worker->coalesce->sections), 0);
}

static void leave_and_forget(struct client *leader)
{
    client_leave(leader);
    memset(leader->request_room, 0xee, sizeof(leader->request_room));
}

static void the_request_of_a_leader_that_has_left_is_tried_again_for_others(void **state)
{
    struct client a, b;
    struct bytes path = BYTES_NONE;
    lead_and_join(&a, &b);
    leave_and_forget(&a);
    assert_int_equal(section_pools_used(&worker->coalesce->sections), 1);
    fail_begun(ATTEMPT_CONNECTION_LOST);
    assert_int_equal(worker->upstream->started, 2);
    struct h2_supply piece = flight_supply(last_try()->attempt, 0, world->now);
    assert_int_equal(piece.kind, H2_SUPPLY_HEADERS);
    assert_true(fields_find(piece.fields, FIELD_PATH, &path));
    assert_true(bytes_equal_text(path, "/where/it/was"));
    answer_whole(worker, 10);
    assert_whole(&b, 10);
    client_leave(&b);
}

/* Takes all places of sections, into TAKEN of ROOM. Returns how many. */
static uint32_t fill_sections(struct fields *taken, uint32_t room)
{
    uint8_t text[16];
    struct fields empty;
    uint32_t count = 0;
    fields_init(&empty, text, sizeof(text));
    while (section_copy(&worker->coalesce->sections, &empty, &taken[count]))
        assert_true(++count < room);
    return count;
}

static void without_room_a_request_goes_on_where_it_is_but_not_again(void **state)
{
    static struct fields taken[4096];
    struct client a, b;
    for (int begun = 0; begun < 2; begun++) {
        uint32_t started = worker->upstream->started + 1;
        lead_and_join(&a, &b);
        if (begun)
            fake_pull(last_try(), world->now);
        uint32_t count = fill_sections(taken, array_count(taken));
        leave_and_forget(&a);
        while (count > 0)
            section_give(&worker->coalesce->sections, &taken[--count]);
        if (begun)
            lose(ATTEMPT_CONNECTION_LOST);
        assert_failed(&b, begun ? FLIGHT_CONNECTION_LOST : FLIGHT_NO_MEMORY);
        assert_int_equal(worker->upstream->started, started);
        client_leave(&b);
        world_pass(world, CLOCK_S);
    }
}

static void c13_the_flight_lasts_as_long_as_its_latest_subscriber(void **state)
{
    struct client a, b;
    client_prepare(&a, worker, ROUTE_GET, "GET", "/", NULL, false);
    a.asked.deadline_ns = world->now + 10 * CLOCK_S;
    client_subscribe(&a);
    client_prepare(&b, worker, ROUTE_GET, "GET", "/", NULL, false);
    b.asked.deadline_ns = world->now + 20 * CLOCK_S;
    client_subscribe(&b);
    world_pass(world, 15 * CLOCK_S);
    assert_int_equal(a.subscriber.feed->state, FEED_WAITING); /* its exchange has its own timer */
    world_pass(world, 6 * CLOCK_S);
    assert_failed(&a, FLIGHT_TIMEOUT);
    assert_failed(&b, FLIGHT_TIMEOUT);
    client_leave(&a);
    client_leave(&b);
}

static void c13_a_late_first_byte_is_retried_once(void **state)
{
    struct client client;
    client_get(&client, worker, "/");
    fake_pull(last_try(), world->now);
    client.subscriber.feed = client.subscriber.home;
    world_pass(world, 59 * CLOCK_S);
    assert_int_equal(worker->upstream->started, 1);
    world_pass(world, 2 * CLOCK_S);
    assert_int_equal(worker->upstream->started, 2);
    assert_int_equal(worker->upstream->late, 1);
    assert_int_equal(worker->upstream->cancelled, 1);
    assert_int_equal(counters_of(worker)->retries_late, 1);
    flight_of_feed(client.subscriber.home)->deadline_ns = CLOCK_NEVER;
    flight_clear_time(flight_of_feed(client.subscriber.home), TIME_DEADLINE);
    fake_pull(last_try(), world->now);
    world_pass(world, 61 * CLOCK_S);
    assert_failed(&client, FLIGHT_TIMEOUT);
    assert_int_equal(flight_failure_answer(client.failure)->status, 504);
    client_leave(&client);
}

static void c13_a_slow_client_is_not_a_late_backend(void **state)
{
    struct client client;
    ask_with_body(&client, "PUT");
    fake_pull(last_try(), world->now);
    world_pass(world, 70 * CLOCK_S);
    assert_int_equal(worker->upstream->late, 0);
    push(&client, (const uint8_t *)"x", 1, true);
    fake_pull(last_try(), world->now);
    answer_whole(worker, 1);
    client_leave(&client);
}

static void c13_silence_in_the_body_breaks_the_answer(void **state)
{
    struct client client;
    client_get(&client, worker, "/");
    head("200", NULL, NULL);
    for (int i = 0; i < 3; i++) {
        world_pass(world, 20 * CLOCK_S);
        data(1, false);
        client_drink(&client);
    }
    assert_false(client.failed);
    world_pass(world, 31 * CLOCK_S);
    assert_failed(&client, FLIGHT_TIMEOUT);
    assert_int_equal(worker->upstream->late, 1);
    assert_int_equal(worker->upstream->cancelled, 1);
    client_leave(&client);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(c12_an_own_flight_is_cancelled_at_once),
        CASE(c12_a_coalesced_get_lingers),
        CASE(c12_lingering_keeps_a_place_of_the_client_that_left),
        CASE(c12_the_flight_goes_on_without_its_leader),
        CASE(the_request_of_a_leader_that_has_left_is_tried_again_for_others),
        CASE(without_room_a_request_goes_on_where_it_is_but_not_again),
        CASE(c13_the_flight_lasts_as_long_as_its_latest_subscriber),
        CASE(c13_a_late_first_byte_is_retried_once),
        CASE(c13_a_slow_client_is_not_a_late_backend),
        CASE(c13_silence_in_the_body_breaks_the_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
