/* Bodies and trailers of requests: streamed, kept, sent again. */
#include "tests/unit/coalesce/flight_case.h"

static uint64_t sum_of(const uint8_t *data, size_t length)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < length; i++)
        sum = sum * 31 + data[i];
    return sum;
}

static void a_request_body_is_streamed_and_replayed(void **state)
{
    static uint8_t body[20000];
    struct client client;
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (uint8_t)(i * 7);
    ask_with_body(&client, "PUT");
    push(&client, body, 5000, false);
    fake_pull(last_try(), world->now);
    assert_int_equal(last_try()->request_bytes, 5000);
    assert_int_equal(client.request_sent, 5000);
    push(&client, body + 5000, 5000, false);
    lose(ATTEMPT_CONNECTION_LOST);
    fake_pull(last_try(), world->now);
    assert_int_equal(last_try()->request_bytes, 10000);
    push(&client, body + 10000, 10000, true);
    fake_pull(last_try(), world->now);
    assert_true(last_try()->request_ended);
    assert_int_equal(last_try()->request_sum, sum_of(body, sizeof(body)));
    assert_int_equal(client.request_sent, 20000); /* each byte once */
    answer_whole(worker, 1);
    assert_whole(&client, 1);
    client_leave(&client);
}

static void request_trailers_come_last(void **state)
{
    uint8_t room[256];
    struct fields trailers;
    struct client client;
    fields_init(&trailers, room, sizeof(room));
    fields_add(&trailers, (struct field){.name = bytes_text("x-sum"), .value = bytes_text("1")});
    ask_with_body(&client, "PUT");
    push(&client, (const uint8_t *)"abc", 3, false);
    assert_true(coalesce_request_body(&client.subscriber, BYTES_NONE, true, &trailers, world->now));
    fake_pull(last_try(), world->now);
    assert_true(last_try()->request_trailers && last_try()->request_ended);
    answer_whole(worker, 1);
    client_leave(&client);
}

static void a_body_that_outgrew_what_is_kept_is_not_replayed(void **state)
{
    static uint8_t body[4096];
    struct client client;
    use_sizes(16, 1024);
    ask_with_body(&client, "PUT");
    for (size_t sent = 0; sent <= REPLAY_BYTES; sent += sizeof(body)) {
        push(&client, body, sizeof(body), false);
        fake_pull(last_try(), world->now);
    }
    push(&client, body, sizeof(body), false);
    fake_pull(last_try(), world->now);
    assert_true(pool_used(&worker->coalesce->payload.segments) < 16); /* what was sent is gone */
    lose(ATTEMPT_UNPROCESSED);
    assert_failed(&client, FLIGHT_BACKEND_RESET);
    assert_int_equal(counters_of(worker)->retries_denied_body, 1);
    push(&client, body, 100, true); /* the client goes on, and gets its window */
    assert_int_equal(client.request_sent, REPLAY_BYTES + 2 * sizeof(body) + 100);
    client_leave(&client);
}

static void a_body_without_memory_is_refused(void **state)
{
    static uint8_t body[70000];
    struct client client;
    ask_with_body(&client, "PUT");
    assert_false(coalesce_request_body(&client.subscriber, bytes_of(body, sizeof(body)), true, NULL,
                                       world->now));
    assert_int_equal(worker->upstream->cancelled, 1);
    client_leave(&client);
}

static void an_answer_may_come_before_the_request_has_ended(void **state)
{
    struct client client;
    ask_with_body(&client, "PUT");
    push(&client, (const uint8_t *)"abc", 3, false);
    answer_whole(worker, 4);
    assert_whole(&client, 4);
    push(&client, (const uint8_t *)"def", 3, true);
    fake_pull(last_try(), world->now);
    assert_int_equal(last_try()->request_bytes, 6);
    fake_done_if_over(last_try(), world->now);
    client_leave(&client);
    assert_int_equal(worker->upstream->cancelled, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(a_request_body_is_streamed_and_replayed),
        CASE(request_trailers_come_last),
        CASE(a_body_that_outgrew_what_is_kept_is_not_replayed),
        CASE(a_body_without_memory_is_refused),
        CASE(an_answer_may_come_before_the_request_has_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
