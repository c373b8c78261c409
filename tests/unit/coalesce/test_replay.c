/* How fast who joins a stream late gets its beginning (C17). */
#include "tests/unit/coalesce/flight_case.h"

static void stream_head(const char *type)
{
    head("200", "content-type", type);
}

static uint64_t until(const struct client *client, uint64_t after_ns)
{
    return coalesce_replay_until(worker->coalesce, &client->subscriber, world->now + after_ns);
}

/* A stream with so many bytes in a second, for ten seconds. Its leader reads them. */
static void stream_for_ten_seconds(struct client *leader, size_t each)
{
    for (int second = 0; second < 10; second++) {
        world->now += CLOCK_S;
        data(each, false);
        client_drink(leader);
    }
}

/* The answer ends, and both have gone. */
static void finish(struct client *leader, struct client *late)
{
    data(0, true);
    client_leave(late);
    client_leave(leader);
}

static void c17_the_beginning_comes_at_four_times_its_rate(void **state)
{
    struct client leader, late;
    client_get(&leader, worker, "/");
    stream_head("text/event-stream; charset=utf-8");
    stream_for_ten_seconds(&leader, 300);
    client_get(&late, worker, "/");
    assert_int_equal(late.subscriber.role, SUBSCRIBER_JOINED);
    assert_int_equal(until(&late, 0), 0);
    assert_int_equal(until(&late, CLOCK_S),
                     3000 * 4 / 11); /* that much is there; more is to come */
    world->now += CLOCK_S;
    data(300, false);
    assert_int_equal(until(&late, 0), 1200);
    world->now += CLOCK_S;
    data(300, false);
    assert_int_equal(until(&late, 0), 2400);
    world->now += 4 * CLOCK_S / 3 + CLOCK_MS;
    assert_int_equal(until(&late, 0), UINT64_MAX); /* a third of ten seconds: it has caught up */
    assert_int_equal(until(&leader, 0), UINT64_MAX);
    finish(&leader, &late);
}

/* What has ended goes on at its pace: four times the rate that it had. */
static void c17_the_end_does_not_hurry_it(void **state)
{
    struct client leader, late;
    client_get(&leader, worker, "/");
    stream_head("application/grpc+proto");
    stream_for_ten_seconds(&leader, 300);
    client_get(&late, worker, "/");
    data(0, true);
    assert_int_equal(until(&late, CLOCK_S), 3000 * 4 / 11);
    assert_int_equal(until(&late, 4 * CLOCK_S), UINT64_MAX);
    client_leave(&late);
    client_leave(&leader);
}

static void c17_what_is_no_stream_or_was_joined_at_its_beginning_is_not_paced(void **state)
{
    static const struct {
        const char *type;
        bool late;
    } cases[] = {{"text/plain", true}, {"text/event-stream", false}, {"application/json", true}};
    for (size_t i = 0; i < array_count(cases); i++) {
        struct client leader, other;
        client_get(&leader, worker, "/");
        if (!cases[i].late)
            client_get(&other, worker, "/");
        stream_head(cases[i].type);
        stream_for_ten_seconds(&leader, 300);
        if (cases[i].late)
            client_get(&other, worker, "/");
        assert_int_equal(other.subscriber.role, SUBSCRIBER_JOINED);
        assert_int_equal(until(&other, 0), UINT64_MAX);
        finish(&leader, &other);
    }
}

/* C16 goes before C17: no more than half of what a flight may hold waits for a pace. */
static void c17_nobody_is_kept_waiting_for_more_than_half_of_a_flight(void **state)
{
    struct client leader, late;
    client_get(&leader, worker, "/");
    stream_head("text/event-stream");
    stream_for_ten_seconds(&leader, 700);
    client_get(&late, worker, "/");
    assert_int_equal(until(&late, 0), 7000 - WORLD_FLIGHT / 2);
    finish(&leader, &late);
}

static void c17_nobody_is_kept_waiting_when_memory_is_low(void **state)
{
    struct client leader, late;
    client_get(&leader, worker, "/");
    stream_head("text/event-stream");
    stream_for_ten_seconds(&leader, 300);
    client_get(&late, worker, "/");
    worker->coalesce->payload_low = payload_free(worker->coalesce) + 1;
    assert_int_equal(until(&late, 0), UINT64_MAX);
    finish(&leader, &late);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(c17_the_beginning_comes_at_four_times_its_rate),
        CASE(c17_the_end_does_not_hurry_it),
        CASE(c17_what_is_no_stream_or_was_joined_at_its_beginning_is_not_paced),
        CASE(c17_nobody_is_kept_waiting_for_more_than_half_of_a_flight),
        CASE(c17_nobody_is_kept_waiting_when_memory_is_low),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
