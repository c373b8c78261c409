/* C7, C8, C9, C10, C15: what answers, failures and slow readers teach about a key. */
#include "tests/support/coalesce_world.h"

static struct world *world;
static struct world_worker *worker;

static int set_up(void **state)
{
    world = world_create_sized(2, 128, 256);
    worker = &world->workers[0];
    return 0;
}

static int tear_down(void **state)
{
    world_assert_empty(world);
    world_destroy(world);
    return 0;
}

static struct fake_try *last_try(struct world_worker *at)
{
    struct fake_try *try = fake_last(at->upstream);
    assert_non_null(try);
    return try;
}

/* Answer all that is under way with an empty 200 of the field. */
static void answer_all(struct world_worker *at, const char *name, const char *value)
{
    for (uint32_t i = 0; i < at->upstream->started; i++)
        if (at->upstream->tries[i].attempt != NULL)
            answer_head(at, &at->upstream->tries[i], "200", name, value, true);
}

static void get_with(struct client *client, struct world_worker *at, const char *name,
                     const char *value)
{
    const char *const extra[] = {name, value, NULL};
    client_prepare(client, at, ROUTE_GET, "GET", "/", extra, false);
    client_subscribe(client);
}

/* Ask and be answered, alone. */
static void once(const char *name, const char *value)
{
    struct client client;
    client_get(&client, worker, "/");
    answer_head(worker, last_try(worker), "200", name, value, true);
    client_leave(&client);
}

/* --- C7 --- */

static void c7_those_sent_apart_start_at_a_pace(void **state)
{
    struct client clients[61];
    uint32_t part = 16 / 2; /* two workers */
    for (size_t i = 0; i < array_count(clients); i++)
        client_get(&clients[i], worker, "/");
    answer_head(worker, last_try(worker), "200", "cache-control", "no-store", true);
    assert_int_equal(worker->upstream->started, 1 + part);
    assert_int_equal(counters_of(worker)->detached_unshareable, 60);
    assert_int_equal(counters_of(worker)->paced, 60 - part);
    for (uint32_t wave = 2; wave <= 7; wave++) {
        world_pass(world, 9 * CLOCK_MS);
        assert_int_equal(worker->upstream->started, 1 + (wave - 1) * part);
        world_pass(world, 2 * CLOCK_MS);
        assert_int_equal(worker->upstream->started, 1 + wave * part);
    }
    world_pass(world, 11 * CLOCK_MS);
    assert_int_equal(worker->upstream->started, 61); /* nobody waits for anybody's answer */
    answer_all(worker, NULL, NULL);
    for (size_t i = 0; i < array_count(clients); i++) {
        client_drink(&clients[i]);
        assert_true(clients[i].ended);
        client_leave(&clients[i]);
    }
}

static void c7_who_leaves_while_waiting_does_not_start(void **state)
{
    struct client clients[40];
    for (size_t i = 0; i < array_count(clients); i++)
        client_get(&clients[i], worker, "/");
    answer_head(worker, last_try(worker), "200", "cache-control", "no-store", true);
    for (size_t i = 0; i < array_count(clients); i++)
        client_leave(&clients[i]);
    world_pass(world, CLOCK_S);
    assert_int_equal(worker->upstream->started, 1 + 8);
}

static void c7_without_a_free_pacer_all_start_at_once(void **state)
{
    struct client clients[40];
    struct pool *pacers = &worker->coalesce->pacers;
    void *taken[PACERS_MAX];
    for (int i = 0; i < PACERS_MAX; i++)
        taken[i] = pool_take(pacers);
    for (size_t i = 0; i < array_count(clients); i++)
        client_get(&clients[i], worker, "/");
    answer_head(worker, last_try(worker), "200", "cache-control", "no-store", true);
    assert_int_equal(worker->upstream->started, 40);
    for (size_t i = 0; i < array_count(clients); i++)
        client_leave(&clients[i]);
    for (int i = 0; i < PACERS_MAX; i++)
        pool_give(pacers, taken[i]);
}

/* --- C8 --- */

static void c8_a_marked_key_is_not_shared(void **state)
{
    struct client a, b, c;
    once("cache-control", "no-store");
    client_get(&a, worker, "/");
    client_get(&b, worker, "/");
    client_get(&c, worker, "/other");
    assert_int_equal(worker->upstream->started, 4);
    assert_int_equal(a.subscriber.apart, APART_MARKED);
    assert_int_equal(b.subscriber.apart, APART_MARKED);
    assert_int_equal(c.subscriber.apart, APART_NOT);
    assert_int_equal(counters_of(worker)->bypass_marked, 2);
    answer_all(worker, "cache-control", "no-store");
    client_leave(&a);
    client_leave(&b);
    client_leave(&c);
}

static void c8_a_mark_lasts_two_minutes(void **state)
{
    struct client a, b;
    once("cache-control", "no-store");
    world_pass(world, 121 * CLOCK_S);
    client_get(&a, worker, "/");
    client_get(&b, worker, "/");
    assert_int_equal(worker->upstream->started, 2);
    answer_all(worker, NULL, NULL);
    client_leave(&a);
    client_leave(&b);
}

static void c8_a_shareable_answer_clears_the_mark(void **state)
{
    struct client a, b;
    once("cache-control", "no-store");
    once(NULL, NULL);
    assert_int_equal(counters_of(worker)->markers_cleared, 1);
    client_get(&a, worker, "/");
    client_get(&b, worker, "/");
    assert_int_equal(worker->upstream->started, 3);
    answer_all(worker, NULL, NULL);
    client_leave(&a);
    client_leave(&b);
}

static void c8_learned_vary_joins_the_key(void **state)
{
    struct client clients[4];
    once("vary", "User-Agent, accept");
    assert_int_equal(counters_of(worker)->markers_vary, 1);
    get_with(&clients[0], worker, "user-agent", "a");
    get_with(&clients[1], worker, "user-agent", "b");
    get_with(&clients[2], worker, "user-agent", "a");
    get_with(&clients[3], worker, "user-agent", "b");
    assert_int_equal(worker->upstream->started, 3);
    answer_all(worker, "vary", "user-agent, accept");
    for (size_t i = 0; i < array_count(clients); i++) {
        client_drink(&clients[i]);
        assert_true(clients[i].ended);
        assert_int_equal(clients[i].refused, 0);
    }
    assert_int_equal(clients[0].answer, clients[2].answer);
    assert_int_equal(clients[1].answer, clients[3].answer);
    assert_int_not_equal(clients[0].answer, clients[1].answer);
    for (size_t i = 0; i < array_count(clients); i++)
        client_leave(&clients[i]);
}

static void c8_more_names_are_learned_one_after_another(void **state)
{
    struct client a, b;
    once("vary", "user-agent");
    once("vary", "user-agent, origin");
    get_with(&a, worker, "origin", "x");
    get_with(&b, worker, "origin", "y");
    assert_int_equal(worker->upstream->started, 4);
    answer_all(worker, "vary", "user-agent, origin");
    assert_int_equal(a.refused + b.refused, 0);
    client_leave(&a);
    client_leave(&b);
}

static void c8_a_vary_that_cannot_be_learned_marks_the_key(void **state)
{
    static const char *const values[] = {
        "*", "user-agent, *",
        "x-a-name-that-is-longer-than-all-the-room-there-is-for-learned-names"};
    for (size_t i = 0; i < array_count(values); i++) {
        once("vary", values[i]);
        assert_int_equal(counters_of(worker)->markers_alone, i + 1);
    }
}

static void c8_shadow_learns_nothing(void **state)
{
    struct client a;
    client_ask(&a, worker, ROUTE_SHADOW, "GET", "/");
    answer_head(worker, last_try(worker), "200", "cache-control", "no-store", true);
    client_leave(&a);
    assert_int_equal(worker->coalesce->markers.used, 0);
}

/* --- C9 --- */

static void break_flight(struct world_worker *at)
{
    fake_pull(last_try(at), world->now);
    fake_fail(last_try(at), ATTEMPT_MALFORMED, world->now);
    if (fake_last(at->upstream) == NULL)
        return;
    fake_pull(last_try(at), world->now);
    fake_fail(last_try(at), ATTEMPT_MALFORMED, world->now);
}

static void c9_after_a_failure_all_wait_for_one_next_flight(void **state)
{
    struct client a, b, next[5];
    client_get(&a, worker, "/");
    client_get(&b, worker, "/");
    break_flight(worker);
    assert_int_equal(worker->upstream->started, 2);
    for (size_t i = 0; i < array_count(next); i++)
        client_get(&next[i], worker, "/");
    client_drink(&a);
    client_drink(&b);
    assert_true(a.failed && b.failed);
    assert_int_equal(worker->upstream->started, 2);
    world_pass(world, 249 * CLOCK_MS);
    assert_int_equal(worker->upstream->started, 2);
    world_pass(world, 2 * CLOCK_MS);
    assert_int_equal(worker->upstream->started, 3);
    answer_whole(worker, 10);
    for (size_t i = 0; i < array_count(next); i++) {
        client_drink(&next[i]);
        assert_true(next[i].ended);
        client_leave(&next[i]);
    }
    client_leave(&a);
    client_leave(&b);
}

static void c9_other_workers_that_heard_of_it_wait_as_well(void **state)
{
    struct client a, b, c;
    client_get(&a, worker, "/");
    client_get(&b, &world->workers[1], "/");
    world_settle(world);
    break_flight(worker);
    world_settle(world);
    client_get(&c, &world->workers[1], "/");
    world_pass(world, 100 * CLOCK_MS);
    assert_int_equal(world->workers[1].upstream->started, 0);
    world_pass(world, 200 * CLOCK_MS);
    assert_int_equal(world->workers[1].upstream->started, 1);
    answer_whole(&world->workers[1], 10);
    client_leave(&a);
    client_leave(&b);
    client_leave(&c);
    world_settle(world);
}

static void c9_who_leaves_while_it_waits_leaves_nothing(void **state)
{
    struct client a, b;
    client_get(&a, worker, "/");
    break_flight(worker);
    client_get(&b, worker, "/");
    client_leave(&a);
    client_leave(&b);
    world_pass(world, 5 * CLOCK_S);
}

/* --- C10 --- */

static void c10_retry_after_holds_new_flights_back(void **state)
{
    struct client a, b, c;
    client_get(&a, worker, "/");
    answer_head(worker, last_try(worker), "503", "retry-after", "3", true);
    client_get(&b, worker, "/");
    assert_int_equal(b.result, SUBSCRIBE_SHUT);
    assert_int_equal(b.subscriber.retry_after_ns, 3 * CLOCK_S);
    world_pass(world, 2 * CLOCK_S);
    client_get(&b, worker, "/");
    assert_int_equal(b.result, SUBSCRIBE_SHUT);
    assert_int_equal(b.subscriber.retry_after_ns, CLOCK_S);
    world_pass(world, CLOCK_S + 1);
    client_get(&c, worker, "/");
    assert_int_equal(c.result, SUBSCRIBE_OK);
    answer_whole(worker, 1);
    client_leave(&a);
    client_leave(&c);
}

static void c10_five_seconds_at_most_and_no_date_without_another(void **state)
{
    struct client a, b;
    client_get(&a, worker, "/");
    answer_head(worker, last_try(worker), "429", "retry-after", "3600", true);
    client_leave(&a);
    client_get(&b, worker, "/");
    assert_int_equal(b.subscriber.retry_after_ns, 5 * CLOCK_S);
    world_pass(world, 6 * CLOCK_S);
    client_get(&a, worker, "/");
    answer_head(worker, last_try(worker), "503", "retry-after", "Wed, 21 Oct 2015 07:28:00 GMT",
                true);
    client_leave(&a);
    client_get(&b, worker, "/");
    assert_int_equal(b.result, SUBSCRIBE_OK);
    answer_whole(worker, 1);
    client_leave(&b);
}

/* How long the key is shut after a 503 of DATE with retry-after THEN. */
static uint64_t shut_for(const char *path, const char *date, const char *then)
{
    const char *const fields[] = {":status", "503", "date", date, "retry-after", then, NULL};
    struct client a, b;
    client_get(&a, worker, path);
    fake_pull(last_try(worker), world->now);
    fake_section(last_try(worker), H2_SECTION_HEADERS, fields, true, world->now);
    client_leave(&a);
    client_get(&b, worker, path);
    if (b.result == SUBSCRIBE_SHUT)
        return b.subscriber.retry_after_ns;
    answer_whole(worker, 1);
    client_leave(&b);
    return 0;
}

static void c10_a_date_counts_from_the_answers_own(void **state)
{
    static const char date[] = "Sun, 06 Nov 1994 08:49:37 GMT";
    assert_int_equal(shut_for("/1", date, "Sun, 06 Nov 1994 08:49:39 GMT"), 2 * CLOCK_S);
    assert_int_equal(shut_for("/2", date, "Mon, 07 Nov 1994 08:49:39 GMT"), 5 * CLOCK_S);
    assert_int_equal(shut_for("/3", date, date), 0);
    assert_int_equal(shut_for("/4", date, "Sun, 06 Nov 1994 08:49:36 GMT"), 0);
    assert_int_equal(shut_for("/5", "yesterday", date), 0);
}

static void c10_other_workers_that_saw_it_hold_back_as_well(void **state)
{
    struct client a, b, c;
    client_get(&a, worker, "/");
    client_get(&b, &world->workers[1], "/");
    world_settle(world);
    answer_head(worker, last_try(worker), "503", "retry-after", "2", true);
    world_settle(world);
    client_get(&c, &world->workers[1], "/");
    assert_int_equal(c.result, SUBSCRIBE_SHUT);
    client_leave(&a);
    client_leave(&b);
    world_settle(world);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(c7_those_sent_apart_start_at_a_pace),
        CASE(c7_who_leaves_while_waiting_does_not_start),
        CASE(c7_without_a_free_pacer_all_start_at_once),
        CASE(c8_a_marked_key_is_not_shared),
        CASE(c8_a_mark_lasts_two_minutes),
        CASE(c8_a_shareable_answer_clears_the_mark),
        CASE(c8_learned_vary_joins_the_key),
        CASE(c8_more_names_are_learned_one_after_another),
        CASE(c8_a_vary_that_cannot_be_learned_marks_the_key),
        CASE(c8_shadow_learns_nothing),
        CASE(c9_after_a_failure_all_wait_for_one_next_flight),
        CASE(c9_other_workers_that_heard_of_it_wait_as_well),
        CASE(c9_who_leaves_while_it_waits_leaves_nothing),
        CASE(c10_retry_after_holds_new_flights_back),
        CASE(c10_five_seconds_at_most_and_no_date_without_another),
        CASE(c10_a_date_counts_from_the_answers_own),
        CASE(c10_other_workers_that_saw_it_hold_back_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
