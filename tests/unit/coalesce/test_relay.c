/* Flights that several workers share, step by step. */
#include "tests/unit/coalesce/relay_case.h"

static void all_workers_share_one_request(void **state)
{
    struct client clients[9];
    for (uint16_t i = 0; i < 9; i++) {
        client_get(&clients[i], at(i % 3), "/");
        if (i == 4)
            world_settle(world);
        if (i == 5)
            head(NULL, NULL);
        if (i == 6)
            data(2500, false);
    }
    world_settle(world);
    data(3000, false);
    for (uint16_t i = 0; i < 9; i++)
        client_drink(&clients[i]);
    data(500, true);
    for (uint16_t i = 0; i < 9; i++) {
        assert_whole(&clients[i], 6000);
        assert_int_equal(clients[i].answer, clients[0].answer);
        client_leave(&clients[i]);
    }
    assert_int_equal(at(0)->upstream->started, 1);
    assert_int_equal(at(1)->upstream->started + at(2)->upstream->started, 0);
    assert_int_equal(counters_of(at(0))->joins_accepted, 2);
    uint64_t saved = 0;
    for (uint16_t i = 0; i < 3; i++)
        saved += counters_of(at(i))->saved;
    assert_int_equal(saved, 8);
}

static void a_bare_answer_and_trailers_reach_everybody(void **state)
{
    static const char *const trailers[] = {"grpc-status", "0", NULL};
    struct client a, b;
    share(&a, &b);
    head(NULL, NULL);
    world_settle(world);
    client_drink(&b);
    assert_true(b.head_read);
    assert_false(b.ended);
    fake_section(first_try(), H2_SECTION_TRAILERS, trailers, true, world->now);
    world_settle(world);
    assert_whole(&b, 0);
    assert_true(b.has_trailers);
    assert_int_equal(b.subscriber.feed->trailers.count, 1);
    client_leave(&a);
    client_leave(&b);
}

/* Each worker gives names for itself: by one of another's its own section would be sent. */
static void names_of_sections_stay_with_their_worker(void **state)
{
    static const char *const hints[] = {":status", "103", "link", "</a.css>", NULL};
    static const char *const trailers[] = {"grpc-status", "0", NULL};
    struct client a, b;
    share(&a, &b);
    fake_pull(first_try(), world->now);
    fake_section(first_try(), H2_SECTION_INTERIM, hints, false, world->now);
    world_settle(world);
    assert_int_not_equal(a.subscriber.feed->interim.name, 0);
    assert_int_equal(b.subscriber.feed->interim.count, 2);
    assert_int_equal(b.subscriber.feed->interim.name, 0);
    head(NULL, NULL);
    fake_section(first_try(), H2_SECTION_TRAILERS, trailers, true, world->now);
    world_settle(world);
    assert_int_not_equal(a.subscriber.feed->head.name, 0);
    assert_int_not_equal(a.subscriber.feed->trailers.name, 0);
    assert_whole(&b, 0);
    assert_int_equal(b.subscriber.feed->head.name, 0);
    assert_int_equal(b.subscriber.feed->trailers.name, 0);
    client_leave(&a);
    client_leave(&b);
}

static void a_join_that_comes_too_late_gets_a_flight_of_its_own(void **state)
{
    struct client a, b;
    client_get(&a, at(0), "/");
    client_get(&b, at(1), "/");
    answer_whole(at(0), 10);
    world_settle(world);
    assert_int_equal(b.refused, 1);
    assert_int_equal(b.subscriber.role, SUBSCRIBER_LED);
    assert_int_equal(counters_of(at(0))->refused_ended, 1);
    assert_int_equal(counters_of(at(1))->refused_by_owner, 1);
    answer_whole(at(1), 20);
    assert_whole(&a, 10);
    assert_whole(&b, 20);
    client_leave(&a);
    client_leave(&b);
}

static void c13_c17_c18_the_owner_refuses_as_it_would_its_own(void **state)
{
    struct client a, b, late;
    client_get(&a, at(0), "/");
    head(NULL, NULL);
    client_get(&b, at(1), "/");
    world->now += 6 * CLOCK_S; /* stalled */
    world_settle(world);
    assert_int_equal(b.refused, 1);
    assert_int_equal(counters_of(at(0))->refused_stalled, 1);
    client_leave(&a);
    client_leave(&b);

    client_get(&a, at(0), "/");
    client_prepare(&late, at(1), ROUTE_GET, "GET", "/", NULL, false);
    late.asked.deadline_ns = world->now + FLIGHT_TIME_MAX_NS + 1;
    client_subscribe(&late);
    world_settle(world);
    assert_int_equal(late.refused, 1);
    assert_int_equal(counters_of(at(0))->refused_cap, 1);
    client_leave(&late);

    client_get(&b, at(1), "/");
    client_prepare(&late, at(1), ROUTE_GET, "GET", "/", NULL, false);
    late.asked.deadline_ns = world->now + FLIGHT_TIME_MAX_NS + 1;
    client_subscribe(&late); /* behind a join that is accepted */
    assert_int_equal(late.subscriber.role, SUBSCRIBER_PENDING);
    world_settle(world);
    assert_int_equal(b.refused, 0);
    assert_int_equal(late.refused, 1);
    client_leave(&a);
    client_leave(&b);
    client_leave(&late);
    world_pass(world, CLOCK_S);
}

/* Who comes to a relay that has joined already is judged there, and costs no mail. */
static void c13_c18_a_relay_refuses_as_its_owner_would(void **state)
{
    struct client a, b, late;
    share(&a, &b);
    client_prepare(&late, at(1), ROUTE_GET, "GET", "/", NULL, false);
    late.asked.deadline_ns = world->now + FLIGHT_TIME_MAX_NS + 1;
    client_subscribe(&late);
    assert_int_equal(late.subscriber.apart, APART_CAP);
    assert_int_equal(late.subscriber.role, SUBSCRIBER_LED);
    assert_int_equal(counters_of(at(1))->refused_cap, 1);
    client_leave(&late);

    head(NULL, NULL);
    data(10, false);
    client_drink(&b);
    world->now += 4 * CLOCK_S;
    client_get(&late, at(1), "/");
    assert_int_equal(late.subscriber.role, SUBSCRIBER_JOINED);
    client_leave(&late);
    world->now += 2 * CLOCK_S; /* stalled */
    client_get(&late, at(1), "/");
    assert_int_equal(late.subscriber.apart, APART_STALLED);
    assert_int_equal(late.subscriber.role, SUBSCRIBER_LED);
    assert_int_equal(counters_of(at(1))->refused_stalled, 1);
    client_leave(&late);
    client_leave(&a);
    client_leave(&b);
    world_pass(world, CLOCK_S);
}

static void nobody_joins_a_relay_of_a_flight_that_left_the_table(void **state)
{
    struct client a, b, late;
    share(&a, &b);
    struct key_entry found = *flight_of_feed(a.subscriber.home)->entry;
    head(NULL, NULL);
    answer_data(at(0), first_try(), WORLD_FLIGHT + 1, false);
    /* as if it had been looked up before, and no mail has come yet */
    client_prepare(&late, at(1), ROUTE_GET, "GET", "/", NULL, false);
    struct relay_target target = {(uint16_t)found.owner, found.flight, found.hash};
    assert_false(
        relay_join(at(1)->coalesce, &target, &late.subscriber, late.asked.deadline_ns, world->now));
    assert_int_equal(late.subscriber.role, SUBSCRIBER_NONE);
    world_settle(world);
    client_leave(&a);
    client_leave(&b);
}

static void c21_a_103_goes_to_those_present_on_every_worker(void **state)
{
    static const char *const early[] = {":status", "103", "link", "</a>", NULL};
    struct client a, b, late;
    share(&a, &b);
    fake_pull(first_try(), world->now);
    fake_section(first_try(), H2_SECTION_INTERIM, early, false, world->now);
    client_get(&late, at(2), "/");
    world_settle(world);
    assert_true(a.subscriber.interim_due && b.subscriber.interim_due);
    assert_false(late.subscriber.interim_due);
    head(NULL, NULL);
    answer_data(at(0), first_try(), 100, true);
    world_settle(world);
    client_drink(&b);
    client_drink(&late);
    assert_true(b.ended && late.ended);
    client_leave(&a);
    client_leave(&b);
    client_leave(&late);
    world_settle(world);
}

static void c6_an_unshareable_answer_stays_with_its_originator(void **state)
{
    struct client clients[6];
    for (uint16_t i = 0; i < 6; i++)
        client_get(&clients[i], at(i % 3), "/");
    world_settle(world);
    head("cache-control", "no-store");
    data(100, true);
    for (uint16_t i = 1; i < 6; i++) {
        assert_int_equal(clients[i].refused, 1);
        assert_int_equal(clients[i].subscriber.role, SUBSCRIBER_LED);
        client_drink(&clients[i]);
        assert_false(clients[i].head_read);
    }
    assert_whole(&clients[0], 100);
    for (uint16_t i = 0; i < 6; i++)
        client_leave(&clients[i]);
}

static void c11_a_broken_answer_is_broken_for_everybody(void **state)
{
    struct client a, b, c;
    share(&a, &b);
    client_get(&c, at(2), "/");
    world_settle(world);
    head(NULL, NULL);
    data(1500, false);
    client_drink(&b);
    assert_int_equal(b.bytes, 1500);
    fake_fail(first_try(), ATTEMPT_CONNECTION_LOST, world->now);
    world_settle(world);
    client_drink(&a);
    client_drink(&b);
    client_drink(&c);
    assert_true(a.failed && b.failed && c.failed);
    assert_int_equal(b.failure, FLIGHT_CONNECTION_LOST);
    assert_false(b.ended);
    client_leave(&a);
    client_leave(&b);
    client_leave(&c);
}

static void a_failure_before_headers_is_the_same_for_everybody(void **state)
{
    struct client a, b;
    share(&a, &b);
    for (int i = 0; i < 2; i++) {
        fake_pull(fake_last(at(0)->upstream), world->now);
        fake_fail(fake_last(at(0)->upstream), ATTEMPT_CONNECTION_LOST, world->now);
    }
    world_settle(world);
    client_drink(&a);
    client_drink(&b);
    assert_true(a.failed && b.failed);
    assert_true(b.subscriber.feed->before_head);
    client_leave(&a);
    client_leave(&b);
}

static void a_retry_serves_those_on_other_workers_too(void **state)
{
    struct client a, b;
    share(&a, &b);
    fake_pull(first_try(), world->now);
    fake_fail(first_try(), ATTEMPT_CONNECTION_LOST, world->now);
    answer_whole(at(0), 1000);
    world_settle(world);
    assert_whole(&a, 1000);
    assert_whole(&b, 1000);
    assert_int_equal(b.answer, 2);
    client_leave(&a);
    client_leave(&b);
}

/* What nobody has been told of is lent to nobody: a join comes in between, and then it is replaced.
 */
static void a_beginning_that_is_held_back_is_not_lent(void **state)
{
    struct client owner, other;
    static const char *const fields[] = {":status", "200", "x-answer", "0", NULL};
    client_get(&owner, at(0), "/");
    client_get(&other, at(1), "/");
    fake_pull(first_try(), world->now);
    fake_section(first_try(), H2_SECTION_HEADERS, fields, false, world->now);
    answer_data(at(0), first_try(), 700, false);
    assert_true(world_mail_one(world, 0, 1));
    assert_true(world_mail_one(world, 1, 0));
    assert_int_equal(other.subscriber.role, SUBSCRIBER_JOINED);
    assert_int_equal(other.subscriber.feed->body.written_bytes, 0);
    fake_fail(first_try(), ATTEMPT_CONNECTION_LOST, world->now);
    answer_whole(at(0), 2000);
    world_settle(world);
    assert_whole(&owner, 2000);
    assert_whole(&other, 2000);
    client_leave(&owner);
    client_leave(&other);
}

static void c12_the_flight_goes_on_for_other_workers(void **state)
{
    struct client a, b;
    share(&a, &b);
    client_leave(&a);
    world_pass(world, CLOCK_S);
    assert_int_equal(at(0)->upstream->cancelled, 0);
    head(NULL, NULL);
    data(10, false);
    client_leave(&b);
    world_settle(world);
    assert_int_equal(at(0)->upstream->cancelled, 0); /* lingers */
    world_pass(world, CLOCK_S);
    assert_int_equal(at(0)->upstream->cancelled, 1);
}

static void leaving_before_the_answer_to_the_join(void **state)
{
    struct client a, b;
    client_get(&a, at(0), "/");
    client_get(&b, at(1), "/");
    client_leave(&b);
    world_settle(world);
    assert_int_equal(counters_of(at(0))->joins_accepted, 1);
    assert_int_equal(pool_used(&at(1)->coalesce->relays), 0);
    client_leave(&a);
    world_pass(world, CLOCK_S);
}

static void c16_a_worker_has_its_part_of_a_bound(void **state)
{
    struct client clients[3];
    world->snapshot.admission.flights_per_principal = 5; /* three workers: one each */
    client_get_as(&clients[0], at(0), 1, ROUTE_GET, "/1");
    client_get_as(&clients[1], at(0), 1, ROUTE_GET, "/2");
    client_get_as(&clients[2], at(1), 1, ROUTE_GET, "/3");
    assert_int_equal(clients[0].subscriber.apart, APART_NOT);
    assert_int_equal(clients[1].subscriber.apart, APART_PRINCIPAL);
    assert_int_equal(clients[2].subscriber.apart, APART_NOT);
    for (int i = 0; i < 3; i++)
        client_leave(&clients[i]);
    world_pass(world, CLOCK_S);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(all_workers_share_one_request),
        CASE(a_bare_answer_and_trailers_reach_everybody),
        CASE(names_of_sections_stay_with_their_worker),
        CASE(a_join_that_comes_too_late_gets_a_flight_of_its_own),
        CASE(c13_c17_c18_the_owner_refuses_as_it_would_its_own),
        CASE(c13_c18_a_relay_refuses_as_its_owner_would),
        CASE(nobody_joins_a_relay_of_a_flight_that_left_the_table),
        CASE(c21_a_103_goes_to_those_present_on_every_worker),
        CASE(c6_an_unshareable_answer_stays_with_its_originator),
        CASE(c11_a_broken_answer_is_broken_for_everybody),
        CASE(a_failure_before_headers_is_the_same_for_everybody),
        CASE(a_retry_serves_those_on_other_workers_too),
        CASE(a_beginning_that_is_held_back_is_not_lent),
        CASE(c12_the_flight_goes_on_for_other_workers),
        CASE(leaving_before_the_answer_to_the_join),
        CASE(c16_a_worker_has_its_part_of_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
