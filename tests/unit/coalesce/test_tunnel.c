/* tunnel: flights of extended CONNECT (RFC 8441): their times, their ends, and what is not tried
 * again. */
#include "tests/unit/coalesce/flight_case.h"

static void ask(struct client *client)
{
    static const char *const extra[] = {":protocol", "websocket", NULL};
    client_prepare(client, worker, ROUTE_GET, "CONNECT", "/chat", extra, true);
    client->asked.idempotent = false;
    assert_true(client->asked.verdict != KEY_OK);
    client_subscribe(client);
    assert_int_equal(client->result, SUBSCRIBE_OK);
}

static void say(struct client *client, size_t length, bool end)
{
    static const uint8_t text[4000];
    assert_true(
        coalesce_request_body(&client->subscriber, bytes_of(text, length), end, NULL, world->now));
}

static void agree(const char *status)
{
    answer_head(worker, last_try(), status, NULL, NULL, false);
}

static void an_open_tunnel_has_no_times_of_its_own(void **state)
{
    struct client client;
    ask(&client);
    agree("200");
    for (int i = 0; i < 30; i++)
        world_pass(world, 60 * CLOCK_S);
    client_drink(&client);
    assert_true(client.head_read && !client.failed);
    answer_data(worker, last_try(), 500, true);
    client_drink(&client);
    assert_true(client.ended);
    assert_int_equal(counters_of(worker)->tunnels, 1);
    client_leave(&client);
}

static void what_is_not_agreed_to_is_an_answer_like_others(void **state)
{
    struct client client;
    ask(&client);
    agree("403");
    world_pass(world, 31 * CLOCK_S);
    client_drink(&client);
    assert_true(client.failed);
    assert_int_equal(client.failure, FLIGHT_TIMEOUT);
    assert_int_equal(counters_of(worker)->tunnels, 0);
    client_leave(&client);
}

/* Its body has not ended, as ever: that is no excuse for the backend. */
static void an_answer_has_to_come_in_time(void **state)
{
    struct client client;
    ask(&client);
    fake_pull(last_try(), world->now);
    world_pass(world, 61 * CLOCK_S);
    client_drink(&client);
    assert_true(client.failed);
    assert_int_equal(client.failure, FLIGHT_TIMEOUT);
    client_leave(&client);
}

static void no_second_attempt_once_a_byte_was_said(void **state)
{
    static const struct {
        size_t said;
        uint32_t attempts;
    } cases[] = {{0, 2}, {1, 1}};
    for (size_t i = 0; i < array_count(cases); i++) {
        struct client client;
        uint32_t before = worker->upstream->started;
        ask(&client);
        if (cases[i].said > 0)
            say(&client, cases[i].said, false);
        fake_pull(last_try(), world->now);
        fake_fail(last_try(), ATTEMPT_UNPROCESSED, world->now);
        assert_int_equal(worker->upstream->started - before, cases[i].attempts);
        client_leave(&client);
    }
}

static void backends_that_take_no_tunnels_are_passed_over(void **state)
{
    struct client client;
    ask(&client);
    for (int i = 0; i < 3; i++) {
        assert_false(client.failed);
        fake_fail(last_try(), ATTEMPT_NO_TUNNEL, world->now);
    }
    client_drink(&client);
    assert_true(client.failed);
    assert_int_equal(client.failure, FLIGHT_NO_TUNNEL);
    assert_int_equal(flight_failure_answer(client.failure)->status, 502);
    client_leave(&client);
}

/* The backend has ended its side; the client says some more, ends its own, and is gone. */
static void half_close(struct client *client)
{
    ask(client);
    agree("200");
    answer_data(worker, last_try(), 300, true);
    client_drink(client);
    assert_true(client->ended);
    say(client, 700, true);
    client_leave(client);
    assert_int_equal(coalesce_flight_count(worker->coalesce), 1);
}

static void the_clients_last_words_reach_the_backend(void **state)
{
    struct client client;
    half_close(&client);
    struct fake_try *try = last_try();
    fake_pull(try, world->now);
    assert_int_equal(try->request_bytes, 700);
    assert_true(try->request_ended);
    fake_done_if_over(try, world->now);
    assert_int_equal(coalesce_flight_count(worker->coalesce), 0);
    assert_int_equal(worker->upstream->cancelled, 0);
}

static void last_words_that_nobody_takes_do_not_wait_for_ever(void **state)
{
    struct client client;
    half_close(&client);
    world_pass(world, 31 * CLOCK_S);
    assert_int_equal(coalesce_flight_count(worker->coalesce), 0);
    assert_int_equal(worker->upstream->cancelled, 1);
}

static void a_client_that_has_not_ended_its_side_cancels(void **state)
{
    struct client client;
    ask(&client);
    agree("200");
    answer_data(worker, last_try(), 300, true);
    say(&client, 700, false);
    client_leave(&client);
    assert_int_equal(coalesce_flight_count(worker->coalesce), 0);
    assert_int_equal(worker->upstream->cancelled, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_open_tunnel_has_no_times_of_its_own),
        CASE(what_is_not_agreed_to_is_an_answer_like_others),
        CASE(an_answer_has_to_come_in_time),
        CASE(no_second_attempt_once_a_byte_was_said),
        CASE(backends_that_take_no_tunnels_are_passed_over),
        CASE(the_clients_last_words_reach_the_backend),
        CASE(last_words_that_nobody_takes_do_not_wait_for_ever),
        CASE(a_client_that_has_not_ended_its_side_cancels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
