/* Answers that are wrong or lost before anybody was told of them (C11, C14). */
#include "tests/unit/coalesce/flight_case.h"

/* In one turn, at the last try. */
static void head_of_turn_as(const char *status, const char *length)
{
    char number[32];
    snprintf(number, sizeof(number), "%llu", (unsigned long long)answer_number(worker, last_try()));
    const char *const fields[] = {":status",        status, "x-answer", number,
                                  "content-length", length, NULL};
    fake_pull(last_try(), world->now);
    fake_section(last_try(), H2_SECTION_HEADERS, fields, false, world->now);
}

static void head_of_turn(const char *length)
{
    head_of_turn_as("200", length);
}

static void ended_head(void)
{
    answer_head(worker, last_try(), "200", "content-length", "10", true);
}

static void too_short(void)
{
    head_of_turn("10");
    data(9, true);
}

static void too_long(void)
{
    head_of_turn("10");
    data(11, false);
}

static void empty_end(void)
{
    head_of_turn("10");
    data(0, true);
}

static void trailers_too_soon(void)
{
    static const char *const trailers[] = {"x-sum", "1", NULL};
    head_of_turn("10");
    fake_section(last_try(), H2_SECTION_TRAILERS, trailers, true, world->now);
}

static void lost_behind_its_head(void)
{
    head_of_turn("10");
    lose(ATTEMPT_CONNECTION_LOST);
}

static void reset_behind_its_head(void)
{
    head_of_turn("10");
    lose(ATTEMPT_RESET);
}

static void too_short_in_pieces(void)
{
    head_of_turn("10");
    data(5, false);
    data(4, true);
}

static void trailers_behind_a_part(void)
{
    static const char *const trailers[] = {"x-sum", "1", NULL};
    head_of_turn("10");
    data(9, false);
    fake_section(last_try(), H2_SECTION_TRAILERS, trailers, true, world->now);
}

static void lost_behind_a_part(void)
{
    head_of_turn("5000");
    data(3000, false);
    lose(ATTEMPT_CONNECTION_LOST);
}

static void reset_behind_a_part(void)
{
    head_of_turn("10");
    data(9, false);
    lose(ATTEMPT_RESET);
}

static void (*const wrong_answers[])(void) = {ended_head,
                                              too_short,
                                              too_long,
                                              empty_end,
                                              trailers_too_soon,
                                              lost_behind_its_head,
                                              reset_behind_its_head,
                                              too_short_in_pieces,
                                              trailers_behind_a_part,
                                              lost_behind_a_part,
                                              reset_behind_a_part};

static void c14_what_nobody_was_told_of_is_tried_again(void **state)
{
    for (size_t i = 0; i < array_count(wrong_answers); i++) {
        struct client leader, other;
        uint32_t before = worker->upstream->started;
        client_get(&leader, worker, "/");
        client_get(&other, worker, "/");
        wrong_answers[i]();
        assert_int_equal(worker->upstream->started, before + 2);
        assert_int_equal(leader.subscriber.feed->state, FEED_WAITING);
        answer_whole(worker, 20);
        assert_whole(&leader, 20);
        assert_whole(&other, 20);
        client_leave(&leader);
        client_leave(&other);
    }
    assert_int_equal(counters_of(worker)->heads_replaced, array_count(wrong_answers));
    assert_int_equal(counters_of(worker)->length_mismatch, 7);
}

/* It was taken out of the table for its 500: those who share it are still told apart by its key. */
static void c14_whom_a_500_brought_together_share_the_second_attempt(void **state)
{
    struct client leader, other;
    client_get(&leader, worker, "/");
    client_get(&other, worker, "/");
    head_of_turn_as("500", "10");
    lose(ATTEMPT_CONNECTION_LOST);
    answer_whole(worker, 20);
    assert_int_equal(other.refused, 0);
    assert_int_equal(worker->upstream->started, 2);
    assert_whole(&leader, 20);
    assert_whole(&other, 20);
    client_leave(&leader);
    client_leave(&other);
}

/* C6 holds for the second answer as it does for the first. */
static void c6_the_second_answer_is_judged_by_the_key_as_well(void **state)
{
    struct client leader, other;
    client_get(&leader, worker, "/");
    client_get(&other, worker, "/");
    head_of_turn_as("500", "10");
    lose(ATTEMPT_CONNECTION_LOST);
    head("200", "cache-control", "no-store");
    assert_int_equal(other.refused, 1);
    assert_int_equal(counters_of(worker)->markers_alone, 1);
    client_leave(&leader);
    client_leave(&other);
}

/* Whoever comes in the turn in which a beginning is replaced has missed nothing of the answer. */
static void c14_who_joins_before_the_end_of_the_turn_shares_the_second_attempt(void **state)
{
    struct client leader, other;
    client_get(&leader, worker, "/");
    head_of_turn("10");
    data(9, false);
    client_get(&other, worker, "/");
    assert_int_equal(other.subscriber.joined_at_bytes, 0);
    lose(ATTEMPT_CONNECTION_LOST);
    answer_whole(worker, 20);
    assert_whole(&leader, 20);
    assert_whole(&other, 20);
    client_leave(&leader);
    client_leave(&other);
}

static void c14_a_second_wrong_answer_is_the_last(void **state)
{
    struct client client;
    client_get(&client, worker, "/");
    too_short();
    too_short();
    assert_int_equal(worker->upstream->started, 2);
    assert_failed(&client, FLIGHT_BAD_RESPONSE);
    assert_true(client.subscriber.feed->before_head);
    client_leave(&client);
}

static void c14_a_wrong_answer_to_a_post_is_the_last(void **state)
{
    struct client client;
    client_ask(&client, worker, ROUTE_OFF, "POST", "/");
    too_short();
    assert_int_equal(worker->upstream->started, 1);
    assert_failed(&client, FLIGHT_BAD_RESPONSE);
    assert_true(client.subscriber.feed->before_head);
    client_leave(&client);
}

static void c11_what_was_told_of_is_broken(void **state)
{
    struct client client;
    client_get(&client, worker, "/");
    head("200", "content-length", "10");
    assert_int_equal(client.news, 1);
    data(9, true);
    assert_int_equal(worker->upstream->started, 1);
    assert_failed(&client, FLIGHT_BAD_RESPONSE);
    assert_false(client.subscriber.feed->before_head);
    client_leave(&client);
}

static void a_head_is_told_at_the_end_of_the_turn(void **state)
{
    for (int with_byte = 0; with_byte < 2; with_byte++) {
        struct client client;
        client_get(&client, worker, "/");
        head_of_turn("10");
        if (with_byte)
            data(1, false);
        assert_int_equal(client.subscriber.feed->state, FEED_WAITING);
        assert_int_equal(client.news, 0);
        coalesce_tick(worker->coalesce, world->now);
        assert_int_equal(client.subscriber.feed->state, FEED_HEAD);
        assert_int_equal(client.news, 1);
        data(with_byte ? 9 : 10, true);
        assert_whole(&client, 10);
        client_leave(&client);
    }
}

/* Whoever was alone leaves in the turn in which the head came. */
static void a_head_for_nobody_is_forgotten(void **state)
{
    struct client client;
    client_ask(&client, worker, ROUTE_OFF, "GET", "/");
    head_of_turn("10");
    client_leave(&client);
    coalesce_tick(worker->coalesce, world->now);
    assert_int_equal(coalesce_flight_count(worker->coalesce), 0);
}

/* What the first answer made of it does not stick to the second. */
static void a_tunnel_that_was_refused_and_lost_is_asked_for_again(void **state)
{
    static const char *const extra[] = {":protocol", "websocket", NULL};
    struct client client;
    world->routes[ROUTE_OFF].replay_safe = true;
    client_prepare(&client, worker, ROUTE_OFF, "CONNECT", "/", extra, true);
    client_subscribe(&client);
    answer_head(worker, last_try(), "200", NULL, NULL, false);
    assert_int_equal(client.subscriber.feed->state, FEED_HEAD);
    client_leave(&client);
    client_prepare(&client, worker, ROUTE_OFF, "CONNECT", "/", extra, true);
    client_subscribe(&client);
    const char *const refusal[] = {":status", "403", NULL};
    fake_pull(last_try(), world->now);
    fake_section(last_try(), H2_SECTION_HEADERS, refusal, false, world->now);
    lose(ATTEMPT_CONNECTION_LOST);
    uint64_t tunnels = counters_of(worker)->tunnels;
    head("200", NULL, NULL);
    assert_int_equal(counters_of(worker)->tunnels, tunnels + 1);
    client_leave(&client);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(c14_what_nobody_was_told_of_is_tried_again),
        CASE(c14_a_second_wrong_answer_is_the_last),
        CASE(c14_a_wrong_answer_to_a_post_is_the_last),
        CASE(c11_what_was_told_of_is_broken),
        CASE(c14_whom_a_500_brought_together_share_the_second_attempt),
        CASE(c6_the_second_answer_is_judged_by_the_key_as_well),
        CASE(c14_who_joins_before_the_end_of_the_turn_shares_the_second_attempt),
        CASE(a_head_is_told_at_the_end_of_the_turn),
        CASE(a_head_for_nobody_is_forgotten),
        CASE(a_tunnel_that_was_refused_and_lost_is_asked_for_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
