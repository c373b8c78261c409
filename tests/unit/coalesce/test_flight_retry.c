/* What is tried again, where and how often (C14). */
#include "tests/unit/coalesce/flight_case.h"

struct retry_case {
    const char *method;
    bool replay_safe;
    bool begun;
    enum attempt_failure why;
    bool again;
    enum flight_failure failure;
};

static const struct retry_case retry_cases[] = {
    {"GET", false, true, ATTEMPT_CONNECTION_LOST, true, FLIGHT_CONNECTION_LOST},
    {"GET", false, true, ATTEMPT_RESET, true, FLIGHT_BACKEND_RESET},
    {"GET", false, true, ATTEMPT_MALFORMED, true, FLIGHT_BAD_RESPONSE},
    {"GET", false, true, ATTEMPT_UNPROCESSED, true, FLIGHT_BACKEND_RESET},
    {"POST", false, true, ATTEMPT_CONNECTION_LOST, false, FLIGHT_CONNECTION_LOST},
    {"POST", false, true, ATTEMPT_RESET, false, FLIGHT_BACKEND_RESET},
    {"POST", false, true, ATTEMPT_MALFORMED, false, FLIGHT_BAD_RESPONSE},
    {"POST", false, true, ATTEMPT_UNPROCESSED, true, FLIGHT_BACKEND_RESET},
    {"POST", true, true, ATTEMPT_CONNECTION_LOST, true, FLIGHT_CONNECTION_LOST},
    {"POST", true, true, ATTEMPT_RESET, true, FLIGHT_BACKEND_RESET},
    {"POST", false, false, ATTEMPT_CONNECTION_LOST, true, FLIGHT_CONNECTION_LOST},
    {"POST", false, false, ATTEMPT_CONNECT_REFUSED, true, FLIGHT_CONNECT_FAILED},
    {"POST", false, false, ATTEMPT_CONNECT_TIMEOUT, true, FLIGHT_CONNECT_FAILED},
    {"POST", false, false, ATTEMPT_UNREACHABLE, true, FLIGHT_CONNECT_FAILED},
    {"POST", false, false, ATTEMPT_NO_ROOM, true, FLIGHT_NO_MEMORY},
};

static void c14_a_request_is_tried_again_only_when_that_is_safe(void **state)
{
    for (size_t i = 0; i < array_count(retry_cases); i++) {
        const struct retry_case *c = &retry_cases[i];
        struct client client;
        uint32_t before = worker->upstream->started;
        print_message("%s %d %d %d\n", c->method, c->replay_safe, c->begun, c->why);
        world->routes[ROUTE_OFF].replay_safe = c->replay_safe;
        client_ask(&client, worker, ROUTE_OFF, c->method, "/");
        if (c->begun)
            fail_begun(c->why);
        else
            lose(c->why);
        assert_int_equal(worker->upstream->started, before + (c->again ? 2 : 1));
        if (c->again) {
            answer_whole(worker, 10);
            assert_whole(&client, 10);
        } else {
            assert_failed(&client, c->failure);
            assert_true(client.subscriber.feed->before_head);
        }
        client_leave(&client);
    }
}

static void c14_there_is_no_third_attempt(void **state)
{
    struct client clients[5];
    for (size_t i = 0; i < array_count(clients); i++)
        client_get(&clients[i], worker, "/");
    fail_begun(ATTEMPT_CONNECTION_LOST);
    fail_begun(ATTEMPT_CONNECTION_LOST);
    assert_int_equal(worker->upstream->started, 2);
    for (size_t i = 0; i < array_count(clients); i++) {
        assert_failed(&clients[i], FLIGHT_CONNECTION_LOST);
        client_leave(&clients[i]);
    }
    assert_int_equal(counters_of(worker)->retries_denied_second, 1);
}

static void c14_nothing_is_tried_again_after_headers(void **state)
{
    static const enum attempt_failure reasons[] = {ATTEMPT_CONNECTION_LOST, ATTEMPT_UNPROCESSED,
                                                   ATTEMPT_RESET, ATTEMPT_MALFORMED};
    for (size_t i = 0; i < array_count(reasons); i++) {
        struct client client;
        uint32_t before = worker->upstream->started;
        client_get(&client, worker, "/");
        head("200", NULL, NULL);
        lose(reasons[i]);
        assert_int_equal(worker->upstream->started, before + 1);
        client_drink(&client);
        assert_true(client.failed);
        assert_false(client.subscriber.feed->before_head);
        client_leave(&client);
    }
}

static void c14a_a_failed_connect_moves_on_at_most_three_times_and_costs_nothing(void **state)
{
    struct client client;
    uint32_t slots[3];
    client_ask(&client, worker, ROUTE_OFF, "POST", "/");
    for (int i = 0; i < 3; i++) {
        slots[i] = last_try()->attempt->slot;
        lose(ATTEMPT_CONNECT_REFUSED);
    }
    assert_int_equal(worker->upstream->started, 3);
    assert_true(slots[0] != slots[1] && slots[1] != slots[2] && slots[0] != slots[2]);
    assert_failed(&client, FLIGHT_CONNECT_FAILED);
    client_leave(&client);

    client_ask(&client, worker, ROUTE_OFF, "GET", "/");
    lose(ATTEMPT_CONNECT_REFUSED);
    fail_begun(ATTEMPT_CONNECTION_LOST);
    lose(ATTEMPT_CONNECT_TIMEOUT);
    answer_whole(worker, 3); /* the second attempt, at the fourth backend */
    assert_whole(&client, 3);
    client_leave(&client);
}

static void c14a_the_retry_leaves_the_region(void **state)
{
    static const struct {
        enum attempt_failure why;
        bool leaves;
    } cases[] = {
        {ATTEMPT_CONNECTION_LOST, true}, {ATTEMPT_RESET, true}, {ATTEMPT_MALFORMED, false}};
    for (size_t i = 0; i < array_count(cases); i++) {
        struct client client;
        client_get(&client, worker, "/");
        assert_int_equal(region_of_last_try(), 0);
        fail_begun(cases[i].why);
        assert_int_equal(region_of_last_try(), cases[i].leaves ? 1 : 0);
        answer_whole(worker, 1);
        client_leave(&client);
    }
}

static void c14a_the_only_backend_may_be_tried_again_when_it_lost_the_connection(void **state)
{
    struct client client;
    for (int i = 1; i < WORLD_BACKENDS; i++)
        world->backends[i].usable = false;
    client_get(&client, worker, "/");
    fail_begun(ATTEMPT_UNPROCESSED);
    assert_int_equal(worker->upstream->started, 2);
    answer_whole(worker, 1);
    assert_whole(&client, 1);
    client_leave(&client);

    client_get(&client, worker, "/");
    fail_begun(ATTEMPT_RESET);
    assert_failed(&client, FLIGHT_BACKEND_RESET);
    client_leave(&client);

    world_pass(world, 300 * CLOCK_MS); /* C9 */
    client_get(&client, worker, "/");
    lose(ATTEMPT_CONNECT_REFUSED);
    assert_failed(&client, FLIGHT_CONNECT_FAILED);
    client_leave(&client);
}

/* Where it lost the connection, and not where no connect went through. */
static void c14a_it_returns_to_the_backend_that_it_lost(void **state)
{
    struct client client;
    for (int i = 2; i < WORLD_BACKENDS; i++)
        world->backends[i].usable = false;
    client_get(&client, worker, "/");
    uint32_t lost_slot = last_try()->attempt->slot;
    fail_begun(ATTEMPT_CONNECTION_LOST);
    assert_int_not_equal(last_try()->attempt->slot, lost_slot);
    lose(ATTEMPT_CONNECT_REFUSED);
    assert_int_equal(last_try()->attempt->slot, lost_slot);
    answer_whole(worker, 1);
    assert_whole(&client, 1);
    client_leave(&client);
}

/* What the first attempt was refused by does not use up the picks of the second. */
static void c14a_each_attempt_has_its_picks(void **state)
{
    struct client client;
    client_get(&client, worker, "/");
    lose(ATTEMPT_CONNECT_REFUSED);
    lose(ATTEMPT_CONNECT_REFUSED);
    uint32_t lost_slot = last_try()->attempt->slot;
    fail_begun(ATTEMPT_CONNECTION_LOST);
    lose(ATTEMPT_CONNECT_REFUSED); /* all four have been tried */
    assert_int_equal(last_try()->attempt->slot, lost_slot);
    answer_whole(worker, 1);
    assert_whole(&client, 1);
    client_leave(&client);
}

static void without_backends_the_flight_fails_at_once_and_quietly(void **state)
{
    struct client client;
    for (int i = 0; i < WORLD_BACKENDS; i++)
        world->backends[i].usable = false;
    client_get(&client, worker, "/");
    assert_int_equal(client.result, SUBSCRIBE_OK);
    assert_int_equal(client.news, 0); /* not from inside coalesce_subscribe() */
    assert_failed(&client, FLIGHT_NO_BACKEND);
    assert_true(client.subscriber.feed->before_head);
    assert_int_equal(flight_failure_answer(client.failure)->status, 503);
    client_leave(&client);
}

static void a_backend_without_room_is_passed_over(void **state)
{
    struct client client;
    worker->upstream->refusals_due = 2;
    client_get(&client, worker, "/");
    assert_int_equal(worker->upstream->started, 1);
    answer_whole(worker, 1);
    client_leave(&client);
    worker->upstream->refusals_due = 3;
    client_get(&client, worker, "/");
    assert_failed(&client, FLIGHT_NO_MEMORY);
    client_leave(&client);
}

static void c14b_resets_are_retried_within_the_budget_and_losses_always(void **state)
{
    struct client clients[10];
    for (size_t i = 0; i < array_count(clients); i++)
        client_ask(&clients[i], worker, ROUTE_OFF, "GET", "/");
    for (size_t i = 0; i < 5; i++) {
        fake_pull(&worker->upstream->tries[i], world->now);
        fake_fail(&worker->upstream->tries[i], ATTEMPT_RESET, world->now);
    }
    assert_int_equal(counters_of(worker)->retries_reset, 3);
    assert_int_equal(counters_of(worker)->retries_denied_budget, 2);
    for (size_t i = 5; i < 10; i++) {
        fake_pull(&worker->upstream->tries[i], world->now);
        fake_fail(&worker->upstream->tries[i], ATTEMPT_CONNECTION_LOST, world->now);
    }
    assert_int_equal(counters_of(worker)->retries_lost, 5);
    for (size_t i = 0; i < array_count(clients); i++)
        client_leave(&clients[i]);
}

static void suspicion_moves_what_may_move(void **state)
{
    struct client get, post;
    client_ask(&post, worker, ROUTE_OFF, "POST", "/");
    client_ask(&get, worker, ROUTE_OFF, "GET", "/");
    struct fake_try *tries = worker->upstream->tries;
    fake_pull(&tries[0], world->now);
    fake_suspect(&tries[0], SUSPICION_PATH, world->now);
    assert_non_null(tries[0].attempt); /* a POST stays: it may yet be answered */
    fake_suspect(&tries[1], SUSPICION_PATH, world->now);
    assert_non_null(tries[1].attempt); /* nothing was sent: the connect will tell */
    fake_pull(&tries[1], world->now);
    fake_suspect(&tries[1], SUSPICION_PATH, world->now);
    assert_null(tries[1].attempt);
    assert_int_equal(worker->upstream->cancelled, 1);
    assert_int_equal(region_of_last_try(), 1);
    fake_pull(&tries[2], world->now);
    fake_suspect(&tries[2], SUSPICION_PATH, world->now);
    assert_non_null(tries[2].attempt); /* there is no third attempt */
    answer_whole(worker, 1);
    assert_whole(&get, 1);
    client_leave(&get);
    client_leave(&post);
}

/* C14b: who hears no packet has lost its connection; who hears no PING may only be slow. */
static void a_silent_path_costs_no_budget_and_an_unanswered_ping_does(void **state)
{
    static const struct {
        enum suspicion why;
        uint32_t moved, denied;
    } cases[] = {{SUSPICION_PATH, 10, 0}, {SUSPICION_PING, 3, 7}};
    for (size_t i = 0; i < array_count(cases); i++) {
        struct client clients[10];
        uint64_t denied = counters_of(worker)->retries_denied_budget;
        uint32_t first = worker->upstream->started;
        uint32_t cancelled = worker->upstream->cancelled;
        for (size_t c = 0; c < array_count(clients); c++)
            client_ask(&clients[c], worker, ROUTE_OFF, "GET", "/");
        for (uint32_t c = 0; c < array_count(clients); c++) {
            fake_pull(&worker->upstream->tries[first + c], world->now);
            fake_suspect(&worker->upstream->tries[first + c], cases[i].why, world->now);
        }
        assert_int_equal(worker->upstream->cancelled - cancelled, cases[i].moved);
        assert_int_equal(counters_of(worker)->retries_denied_budget - denied, cases[i].denied);
        for (size_t c = 0; c < array_count(clients); c++)
            client_leave(&clients[c]);
    }
}

/* C14a: a connect that nobody answers is a silent path; one that is refused is not. */
static void an_unanswered_connect_leaves_the_region(void **state)
{
    static const struct {
        enum attempt_failure why;
        uint16_t region;
    } cases[] = {
        {ATTEMPT_CONNECT_TIMEOUT, 1}, {ATTEMPT_UNREACHABLE, 1}, {ATTEMPT_CONNECT_REFUSED, 0}};
    for (size_t i = 0; i < array_count(cases); i++) {
        struct client client;
        client_get(&client, worker, "/");
        assert_int_equal(region_of_last_try(), 0);
        fake_fail(last_try(), cases[i].why, world->now);
        assert_int_equal(region_of_last_try(), cases[i].region);
        client_leave(&client);
        world_pass(world, CLOCK_S);
    }
}

static void who_finds_no_capacity_is_told_so(void **state)
{
    struct client client;
    for (int i = 0; i < WORLD_REGIONS; i++) {
        world->regions[i].capacity = 1;
        worker->loads.regions[i] = 1;
    }
    client_get(&client, worker, "/");
    assert_failed(&client, FLIGHT_NO_CAPACITY);
    assert_int_equal(flight_failure_answer(FLIGHT_NO_CAPACITY)->status, 503);
    assert_false(flight_failure_answer(FLIGHT_NO_CAPACITY)->asked);
    assert_true(flight_failure_answer(FLIGHT_CONNECT_FAILED)->asked);
    assert_int_equal(counters_of(worker)->failed_no_capacity, 1);
    client_leave(&client);
    world_pass(world, CLOCK_S);
    worker->loads.regions[1] = 0;
    client_get(&client, worker, "/");
    assert_int_equal(region_of_last_try(), 1);
    answer_whole(worker, 1);
    client_leave(&client);
}

static void in_panic_who_is_slow_is_not_tried_again(void **state)
{
    struct client slow, lost;
    world->snapshot.panic = true;
    client_ask(&slow, worker, ROUTE_OFF, "GET", "/");
    fake_pull(last_try(), world->now);
    fake_suspect(last_try(), SUSPICION_PING, world->now);
    assert_int_equal(worker->upstream->started, 1);
    assert_int_equal(counters_of(worker)->retries_denied_panic, 1);
    client_ask(&lost, worker, ROUTE_OFF, "GET", "/");
    fake_pull(last_try(), world->now);
    fake_fail(last_try(), ATTEMPT_CONNECTION_LOST, world->now);
    assert_int_equal(worker->upstream->started, 3);
    client_leave(&slow);
    client_leave(&lost);
}

static void suspicion_without_elsewhere_changes_nothing(void **state)
{
    struct client client;
    for (int i = 1; i < WORLD_BACKENDS; i++)
        world->backends[i].usable = false;
    client_get(&client, worker, "/");
    fake_pull(last_try(), world->now);
    fake_suspect(last_try(), SUSPICION_PATH, world->now);
    assert_int_equal(worker->upstream->started, 1);
    answer_whole(worker, 1);
    client_leave(&client);
}

static void the_retry_finds_its_service_by_name_in_a_new_snapshot(void **state)
{
    struct snapshot_service services[2] = {
        {.name = bytes_text("another"), .groups = world->groups},
        {.name = bytes_text("svc"), .groups = world->groups},
    };
    static const struct snapshot_group none[WORLD_REGIONS];
    struct client client;
    client_get(&client, worker, "/");
    services[0].groups = none;
    world->snapshot.services = services;
    world->snapshot.service_count = 2;
    world->snapshot.generation++;
    fail_begun(ATTEMPT_CONNECTION_LOST);
    answer_whole(worker, 1);
    assert_whole(&client, 1);
    client_leave(&client);

    world->routes[ROUTE_GET].service = 1;
    client_get(&client, worker, "/");
    world->snapshot.service_count = 1; /* the service was taken away */
    world->snapshot.generation++;
    fail_begun(ATTEMPT_CONNECTION_LOST);
    assert_failed(&client, FLIGHT_CONNECTION_LOST);
    client_leave(&client);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(c14_a_request_is_tried_again_only_when_that_is_safe),
        CASE(c14_there_is_no_third_attempt),
        CASE(c14_nothing_is_tried_again_after_headers),
        CASE(c14a_a_failed_connect_moves_on_at_most_three_times_and_costs_nothing),
        CASE(c14a_the_retry_leaves_the_region),
        CASE(c14a_the_only_backend_may_be_tried_again_when_it_lost_the_connection),
        CASE(c14a_it_returns_to_the_backend_that_it_lost),
        CASE(c14a_each_attempt_has_its_picks),
        CASE(without_backends_the_flight_fails_at_once_and_quietly),
        CASE(a_backend_without_room_is_passed_over),
        CASE(c14b_resets_are_retried_within_the_budget_and_losses_always),
        CASE(suspicion_moves_what_may_move),
        CASE(a_silent_path_costs_no_budget_and_an_unanswered_ping_does),
        CASE(an_unanswered_connect_leaves_the_region),
        CASE(who_finds_no_capacity_is_told_so),
        CASE(in_panic_who_is_slow_is_not_tried_again),
        CASE(suspicion_without_elsewhere_changes_nothing),
        CASE(the_retry_finds_its_service_by_name_in_a_new_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
