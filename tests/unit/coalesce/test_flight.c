/* flight: sharing, attempts, windows, limits and ends of flights on one worker. */
#include "tests/support/coalesce_world.h"

static struct world *world;
static struct world_worker *worker;

static int set_up(void **state)
{
    world = world_create(1);
    worker = &world->workers[0];
    return 0;
}

static int tear_down(void **state)
{
    world_assert_empty(world);
    world_destroy(world);
    return 0;
}

static void use_sizes(uint32_t flights, uint32_t segments)
{
    world_destroy(world);
    world = world_create_sized(1, flights, segments);
    worker = &world->workers[0];
}

static struct fake_try *last_try(void)
{
    struct fake_try *try = fake_last(worker->upstream);
    assert_non_null(try);
    return try;
}

static void head(const char *status, const char *name, const char *value)
{
    answer_head(worker, last_try(), status, name, value, false);
}

static void data(size_t length, bool end)
{
    answer_data(worker, last_try(), length, end);
}

static void lose(enum attempt_failure why)
{
    fake_fail(last_try(), why, world->now);
}

/* A failure of an attempt whose request is with the backend. */
static void fail_begun(enum attempt_failure why)
{
    fake_pull(last_try(), world->now);
    lose(why);
}

static uint32_t region_of_last_try(void)
{
    return (last_try()->attempt->slot - 10) / WORLD_EACH;
}

static void assert_failed(struct client *client, enum flight_failure failure)
{
    client_drink(client);
    assert_true(client->failed);
    assert_false(client->ended);
    assert_int_equal(client->failure, failure);
}

static void assert_whole(struct client *client, uint64_t bytes)
{
    client_drink(client);
    assert_true(client->ended);
    assert_int_equal(client->bytes, bytes);
}

/* --- sharing --- */

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

/* --- C10, C16, C17, C18: who may still join --- */

static void C10_a_5xx_goes_to_those_present_only(void **state)
{
    struct client a, b, late;
    client_get(&a, worker, "/");
    client_get(&b, worker, "/");
    head("503", NULL, NULL);
    client_get(&late, worker, "/");
    assert_int_equal(late.subscriber.role, SUBSCRIBER_LED);
    assert_int_equal(worker->upstream->started, 2);
    answer_data(worker, &worker->upstream->tries[0], 10, true);
    assert_whole(&a, 10);
    assert_whole(&b, 10);
    assert_int_equal(a.answer, b.answer);
    client_leave(&a);
    client_leave(&b);
    answer_whole(worker, 5);
    assert_whole(&late, 5);
    client_leave(&late);
}

static void C17_nobody_joins_when_the_prefix_is_gone(void **state)
{
    struct client a, late;
    client_get(&a, worker, "/");
    head("200", NULL, NULL);
    data(WORLD_FLIGHT + 1, false);
    assert_int_equal(counters_of(worker)->removed_prefix, 1);
    client_get(&late, worker, "/");
    assert_int_equal(late.subscriber.role, SUBSCRIBER_LED);
    answer_whole(worker, 1);
    client_leave(&late);
    answer_data(worker, &worker->upstream->tries[0], 1, true);
    assert_whole(&a, WORLD_FLIGHT + 2);
    client_leave(&a);
}

static void C17_a_post_stream_is_joined_early_only(void **state)
{
    struct client a, b, late, next;
    client_ask(&a, worker, ROUTE_POST, "POST", "/");
    head("200", NULL, NULL);
    worker->coalesce->snapshot = &world->snapshot;
    world->now += 11 * CLOCK_S;
    data(100, false);
    client_ask(&b, worker, ROUTE_POST, "POST", "/");
    assert_int_equal(b.subscriber.role, SUBSCRIBER_JOINED); /* late, but within the first 64 KiB */
    flight_of_feed(a.subscriber.home)->flight_bytes = 1 << 20;
    client_drink(&a);
    client_drink(&b);
    data(30000, false);
    client_ask(&late, worker, ROUTE_POST, "POST", "/");
    assert_int_equal(late.subscriber.role, SUBSCRIBER_JOINED);
    client_leave(&late);
    flight_of_feed(a.subscriber.home)->feed.body.written_bytes += POST_JOIN_BYTES;
    client_ask(&next, worker, ROUTE_POST, "POST", "/");
    flight_of_feed(a.subscriber.home)->feed.body.written_bytes -= POST_JOIN_BYTES;
    assert_int_equal(next.subscriber.role, SUBSCRIBER_LED);
    assert_int_equal(counters_of(worker)->removed_late, 1);
    client_leave(&a);
    client_leave(&b);
    client_leave(&next);
}

static void C18_nobody_joins_a_stalled_flight(void **state)
{
    struct client a, b, late;
    client_get(&a, worker, "/");
    world_pass(world, 20 * CLOCK_S); /* no headers yet: not stalled */
    client_get(&b, worker, "/");
    assert_int_equal(b.subscriber.role, SUBSCRIBER_JOINED);
    head("200", NULL, NULL);
    data(10, false);
    world_pass(world, 6 * CLOCK_S);
    client_get(&late, worker, "/");
    assert_int_equal(late.subscriber.role, SUBSCRIBER_LED);
    assert_int_equal(counters_of(worker)->removed_stalled, 1);
    assert_true(flight_of_feed(late.subscriber.home)->entry != NULL);
    client_leave(&a);
    client_leave(&b);
    client_leave(&late);
    world_pass(world, CLOCK_S);
}

static void C13_nobody_joins_who_could_not_get_the_full_time(void **state)
{
    struct client a, late;
    client_get(&a, worker, "/");
    client_prepare(&late, worker, ROUTE_GET, "GET", "/", NULL, false);
    late.asked.deadline_ns = world->now + FLIGHT_TIME_MAX_NS + 1;
    client_subscribe(&late);
    assert_int_equal(late.subscriber.role, SUBSCRIBER_LED);
    assert_int_equal(counters_of(worker)->refused_cap, 1);
    client_leave(&a);
    client_leave(&late);
    world_pass(world, CLOCK_S);
}

/* --- C6 --- */

struct sharing_case {
    enum world_route route;
    const char *name;
    const char *value;
    bool shared;
    const char *request_name;
    const char *request_value;
};

static const struct sharing_case sharing_cases[] = {
    {ROUTE_GET, "cache-control", "max-age=5", true, NULL, NULL},
    {ROUTE_GET, "cache-control", "private", true, NULL, NULL},
    {ROUTE_GET, "cache-control", "no-store", false, NULL, NULL},
    {ROUTE_GET, "cache-control", "max-age=1, No-Store", false, NULL, NULL},
    {ROUTE_GET, "set-cookie", "a=b", false, NULL, NULL},
    {ROUTE_GET, "vary", "*", false, NULL, NULL},
    {ROUTE_GET, "vary", "Accept-Encoding, accept", true, NULL, NULL},
    {ROUTE_GET, "vary", "accept, user-agent", false, NULL, NULL},
    {ROUTE_GET, "vary", "origin", false, NULL, NULL},
    {ROUTE_GET, "vary", "cookie, authorization", true, NULL, NULL},
    {ROUTE_GET, "vary", "x-unheard-of", false, NULL, NULL},
    {ROUTE_GET, "content-length", "8192", true, NULL, NULL},
    {ROUTE_GET, "content-length", "8193", false, NULL, NULL},
    {ROUTE_PUBLIC, "cache-control", "no-store", true, NULL, NULL},
    {ROUTE_PUBLIC, "cache-control", "private", false, NULL, NULL},
    {ROUTE_PUBLIC, "set-cookie", "a=b", true, NULL, NULL},
    {ROUTE_PUBLIC, "vary", "cookie", false, NULL, NULL},
    {ROUTE_PUBLIC, NULL, NULL, false, "authorization", "Bearer x"},
    {ROUTE_PUBLIC, "cache-control", "public", true, "authorization", "Bearer x"},
    {ROUTE_GET, NULL, NULL, true, "authorization", "Bearer x"},
};

static void ask_like(struct client *client, const struct sharing_case *c)
{
    const char *const extra[] = {c->request_name, c->request_value, NULL};
    client_prepare(client, worker, c->route, "GET", "/", extra, false);
    client_subscribe(client);
}

static void C6_an_answer_that_may_not_be_shared_goes_to_its_originator_only(void **state)
{
    for (size_t i = 0; i < array_count(sharing_cases); i++) {
        const struct sharing_case *c = &sharing_cases[i];
        struct client clients[3];
        uint32_t before = worker->upstream->started;
        print_message("%s: %s\n", c->name != NULL ? c->name : "-", c->value ? c->value : "-");
        for (int j = 0; j < 3; j++)
            ask_like(&clients[j], c);
        head("200", c->name, c->value);
        assert_int_equal(worker->upstream->started, before + (c->shared ? 1 : 3));
        for (int j = 0; j < 3; j++)
            assert_int_equal(clients[j].refused, !c->shared && j > 0);
        client_drink(&clients[0]);
        assert_true(clients[0].head_read);
        client_drink(&clients[1]);
        assert_int_equal(clients[1].head_read, c->shared);
        for (int j = 0; j < 3; j++)
            client_leave(&clients[j]);
        world_pass(world, 121 * CLOCK_S); /* C8: until the mark is over */
    }
}

static void C6_a_cookie_that_is_set_reaches_the_originator_only(void **state)
{
    struct client clients[2];
    for (int i = 0; i < 2; i++)
        client_ask(&clients[i], worker, ROUTE_PUBLIC, "GET", "/");
    head("200", "set-cookie", "a=b");
    for (int i = 0; i < 2; i++) {
        uint8_t room[512];
        struct fields seen;
        struct bytes cookie;
        fields_init(&seen, room, sizeof(room));
        assert_true(coalesce_head(&clients[i].subscriber, &seen));
        assert_int_equal(seen.count, i == 0 ? 3 : 2);
        assert_int_equal(fields_find(&seen, FIELD_SET_COOKIE, &cookie), i == 0);
    }
    client_leave(&clients[0]);
    client_leave(&clients[1]);
    world_pass(world, CLOCK_S);
}

static void C6_without_its_originator_an_unshareable_answer_is_for_nobody(void **state)
{
    struct client a, b;
    client_get(&a, worker, "/");
    client_get(&b, worker, "/");
    client_leave(&a);
    head("200", "cache-control", "no-store");
    assert_int_equal(b.refused, 1);
    assert_int_equal(worker->upstream->cancelled, 1);
    answer_whole(worker, 7);
    assert_whole(&b, 7);
    assert_int_equal(b.answer, 2);
    client_leave(&b);
}

/* --- C14: what is tried again --- */

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

static void C14_a_request_is_tried_again_only_when_that_is_safe(void **state)
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

static void C14_there_is_no_third_attempt(void **state)
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

static void C14_nothing_is_tried_again_after_headers(void **state)
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

static void C14a_a_failed_connect_moves_on_at_most_three_times_and_costs_nothing(void **state)
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

static void C14a_the_retry_leaves_the_region(void **state)
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

static void C14a_the_only_backend_may_be_tried_again_when_it_lost_the_connection(void **state)
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

static void C14b_resets_are_retried_within_the_budget_and_losses_always(void **state)
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
    fake_suspect(&tries[0], world->now);
    assert_non_null(tries[0].attempt); /* a POST stays: it may yet be answered */
    fake_suspect(&tries[1], world->now);
    assert_non_null(tries[1].attempt); /* nothing was sent: the connect will tell */
    fake_pull(&tries[1], world->now);
    fake_suspect(&tries[1], world->now);
    assert_null(tries[1].attempt);
    assert_int_equal(worker->upstream->cancelled, 1);
    assert_int_equal(region_of_last_try(), 1);
    fake_pull(&tries[2], world->now);
    fake_suspect(&tries[2], world->now);
    assert_non_null(tries[2].attempt); /* there is no third attempt */
    answer_whole(worker, 1);
    assert_whole(&get, 1);
    client_leave(&get);
    client_leave(&post);
}

static void suspicion_without_elsewhere_changes_nothing(void **state)
{
    struct client client;
    for (int i = 1; i < WORLD_BACKENDS; i++)
        world->backends[i].usable = false;
    client_get(&client, worker, "/");
    fake_pull(last_try(), world->now);
    fake_suspect(last_try(), world->now);
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
    fail_begun(ATTEMPT_CONNECTION_LOST);
    answer_whole(worker, 1);
    assert_whole(&client, 1);
    client_leave(&client);

    world->routes[ROUTE_GET].service = 1;
    client_get(&client, worker, "/");
    world->snapshot.service_count = 1; /* the service was taken away */
    fail_begun(ATTEMPT_CONNECTION_LOST);
    assert_failed(&client, FLIGHT_CONNECTION_LOST);
    client_leave(&client);
}

/* --- request bodies --- */

static uint64_t sum_of(const uint8_t *data, size_t length)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < length; i++)
        sum = sum * 31 + data[i];
    return sum;
}

static void ask_with_body(struct client *client, const char *method)
{
    client_prepare(client, worker, ROUTE_OFF, method, "/", NULL, true);
    client_subscribe(client);
}

static void push(struct client *client, const uint8_t *data, size_t length, bool end)
{
    assert_true(
        coalesce_request_body(&client->subscriber, bytes_of(data, length), end, NULL, world->now));
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

/* --- C12: nobody left --- */

static void C12_an_own_flight_is_cancelled_at_once(void **state)
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

static void C12_a_coalesced_get_lingers(void **state)
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
static void C12_lingering_keeps_a_place_of_the_client_that_left(void **state)
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

static void C12_the_flight_goes_on_without_its_leader(void **state)
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

/* --- C13: time --- */

static void C13_the_flight_lasts_as_long_as_its_latest_subscriber(void **state)
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

static void C13_a_late_first_byte_is_retried_once(void **state)
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
    timer_cancel(&worker->wheel, &flight_of_feed(client.subscriber.home)->deadline);
    fake_pull(last_try(), world->now);
    world_pass(world, 61 * CLOCK_S);
    assert_failed(&client, FLIGHT_TIMEOUT);
    assert_int_equal(flight_failure_answer(client.failure)->status, 504);
    client_leave(&client);
}

static void C13_a_slow_client_is_not_a_late_backend(void **state)
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

static void C13_silence_in_the_body_breaks_the_answer(void **state)
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

/* --- C11: truth --- */

static void C11_a_declared_length_must_be_met(void **state)
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
        answer_head(worker, last_try(), cases[i].status, "content-length", cases[i].declared,
                    cases[i].sent == 0);
        if (cases[i].sent > 0 && fake_last(worker->upstream) != NULL)
            data(cases[i].sent, true);
        client_drink(&client);
        assert_int_equal(client.ended, cases[i].good);
        assert_int_equal(client.failed, !cases[i].good);
        client_leave(&client);
    }
}

static void C11_two_lengths_must_agree(void **state)
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

static void C11_a_cut_answer_never_ends_well(void **state)
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

static void C11_done_without_an_end_is_no_end(void **state)
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
    static const char *const trailers[] = {"grpc-status", "0", "connection", "x", NULL};
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

static void fields_that_end_at_this_hop_are_stripped(void **state)
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

/* --- windows and memory --- */

static void the_window_stays_shut_while_too_much_is_held(void **state)
{
    struct client client;
    client_ask(&client, worker, ROUTE_OFF, "GET", "/");
    head("200", NULL, NULL);
    data(WORLD_FLIGHT, false);
    assert_int_equal(last_try()->consumed, WORLD_FLIGHT);
    data(1000, false);
    assert_int_equal(last_try()->consumed, WORLD_FLIGHT);
    client_read(&client, 900);
    client_release_all(&client);
    assert_int_equal(last_try()->consumed, WORLD_FLIGHT); /* within the first segment */
    client_read(&client, 200);
    client_release_all(&client);
    assert_int_equal(last_try()->consumed, WORLD_FLIGHT + 1000);
    client_drink(&client);
    assert_true(pool_used(&worker->coalesce->payload.segments) <= 1);
    data(10, true);
    assert_whole(&client, WORLD_FLIGHT + 1010);
    client_leave(&client);
}

static void what_everybody_has_read_is_let_go_of(void **state)
{
    struct client clients[3];
    for (int i = 0; i < 3; i++)
        client_get(&clients[i], worker, "/");
    head("200", NULL, NULL);
    for (int round = 0; round < 100; round++) {
        data(1500, false);
        for (int i = 0; i < 3; i++)
            client_drink(&clients[i]);
        assert_true(pool_used(&worker->coalesce->payload.segments) <= WORLD_FLIGHT / 1024 + 2);
    }
    data(1, true);
    for (int i = 0; i < 3; i++) {
        assert_whole(&clients[i], 150001);
        client_leave(&clients[i]);
    }
}

static void memory_moves_on_when_the_slowest_leaves(void **state)
{
    struct client fast, slow;
    client_get(&fast, worker, "/");
    client_get(&slow, worker, "/");
    head("200", NULL, NULL);
    data(WORLD_FLIGHT, false);
    data(WORLD_FLIGHT, false);
    client_drink(&fast);
    assert_int_equal(last_try()->consumed, WORLD_FLIGHT);
    client_leave(&slow);
    assert_int_equal(last_try()->consumed, 2 * WORLD_FLIGHT);
    data(1, true);
    assert_whole(&fast, 2 * WORLD_FLIGHT + 1);
    client_leave(&fast);
}

static void C15_who_holds_the_others_back_is_cut_off(void **state)
{
    struct client fast, slow, slower;
    client_get(&fast, worker, "/");
    client_get(&slow, worker, "/");
    client_get(&slower, worker, "/");
    head("200", NULL, NULL);
    data(WORLD_FLIGHT + 1, false);
    client_drink(&fast);
    client_read(&slow, 10);
    world_pass(world, 249 * CLOCK_MS);
    assert_int_equal(slow.subscriber.role, SUBSCRIBER_JOINED);
    assert_ptr_equal(slow.subscriber.feed, fast.subscriber.feed);
    world_pass(world, 2 * CLOCK_MS);
    assert_int_equal(counters_of(worker)->detached_slow, 2);
    assert_int_equal(last_try()->consumed, WORLD_FLIGHT + 1);
    assert_failed(&slow, FLIGHT_TOO_SLOW);
    assert_failed(&slower, FLIGHT_TOO_SLOW);
    client_leave(&slow);
    client_leave(&slower);
    data(1, true);
    assert_whole(&fast, WORLD_FLIGHT + 2);
    client_leave(&fast);
}

static void C15_who_keeps_up_does_not_pay_for_another(void **state)
{
    struct client fast, steady, slow;
    client_get(&fast, worker, "/");
    client_get(&steady, worker, "/");
    client_get(&slow, worker, "/");
    head("200", NULL, NULL);
    data(WORLD_FLIGHT + 1, false);
    client_drink(&fast);
    client_drink(&steady);
    world_pass(world, 251 * CLOCK_MS);
    assert_failed(&slow, FLIGHT_TOO_SLOW);
    client_leave(&slow);
    for (int round = 0; round < 3; round++) { /* the time of the flight is used up */
        data(WORLD_FLIGHT + WORLD_SEGMENT, false);
        client_drink(&fast);
        world_pass(world, CLOCK_MS);
        client_drink(&steady);
    }
    assert_int_equal(counters_of(worker)->detached_slow, 1);
    data(1, true);
    assert_whole(&fast, 4 * WORLD_FLIGHT + 3 * WORLD_SEGMENT + 2);
    assert_whole(&steady, 4 * WORLD_FLIGHT + 3 * WORLD_SEGMENT + 2);
    client_leave(&fast);
    client_leave(&steady);
}

static void C15_those_who_are_equally_slow_stay(void **state)
{
    struct client a, b;
    client_get(&a, worker, "/");
    client_get(&b, worker, "/");
    head("200", NULL, NULL);
    data(WORLD_FLIGHT + 1, false);
    world_pass(world, CLOCK_S);
    assert_int_equal(counters_of(worker)->detached_slow, 0);
    data(1, true);
    assert_whole(&a, WORLD_FLIGHT + 2);
    assert_whole(&b, WORLD_FLIGHT + 2);
    client_leave(&a);
    client_leave(&b);
}

static void alone_a_subscriber_may_be_as_slow_as_it_is(void **state)
{
    struct client a;
    client_get(&a, worker, "/");
    head("200", NULL, NULL);
    data(WORLD_FLIGHT + 1, false);
    world_pass(world, 40 * CLOCK_S); /* beyond the idle timeout: it is not the backend's fault */
    assert_false(a.failed);
    data(1, true);
    assert_whole(&a, WORLD_FLIGHT + 2);
    client_leave(&a);
}

static void an_answer_for_one_only_is_held_in_small_amounts(void **state)
{
    struct client own, shared;
    uint32_t most = 64 * 1024;
    use_sizes(8, 4 * most / WORLD_SEGMENT);
    client_ask(&own, worker, ROUTE_OFF, "GET", "/");
    flight_of_feed(own.subscriber.home)->flight_bytes = 1 << 20; /* the route's */
    head("200", NULL, NULL);
    data(most, false);
    assert_int_equal(last_try()->consumed, most);
    data(1, false);
    assert_int_equal(last_try()->consumed, most);
    client_drink(&own);
    assert_int_equal(last_try()->consumed, most + 1);
    client_leave(&own);

    client_get(&shared, worker, "/");
    flight_of_feed(shared.subscriber.home)->flight_bytes = 1 << 20;
    head("200", NULL, NULL);
    data(most, false);
    data(1, false);
    assert_int_equal(last_try()->consumed, most + 1); /* others may still join */
    data(1, true);
    client_leave(&shared);
}

static void windows_stay_shut_while_memory_is_low(void **state)
{
    struct client clients[7];
    struct fake_try *tries = worker->upstream->tries;
    for (uint32_t i = 0; i < array_count(clients); i++)
        client_get_as(&clients[i], worker, 1 + i, ROUTE_OFF, "/");
    for (size_t i = 0; i < array_count(clients); i++) {
        answer_head(worker, &tries[i], "200", NULL, NULL, false);
        answer_data(worker, &tries[i], WORLD_FLIGHT, false);
    }
    assert_int_equal(tries[6].consumed, WORLD_FLIGHT); /* 8 of 64 segments are free */
    answer_data(worker, &tries[0], 1, false);
    client_drink(&clients[1]);
    answer_data(worker, &tries[1], 7 * 1024, false);
    answer_data(worker, &tries[1], 1000, false); /* and now 7 */
    assert_int_equal(tries[1].consumed, WORLD_FLIGHT + 7 * 1024);
    assert_int_equal(counters_of(worker)->windows_held_memory, 1);
    coalesce_tick(worker->coalesce, world->now);
    assert_int_equal(tries[1].consumed, WORLD_FLIGHT + 7 * 1024);
    client_drink(&clients[2]);
    coalesce_tick(worker->coalesce, world->now);
    assert_int_equal(tries[1].consumed, tries[1].sent);
    for (size_t i = 0; i < array_count(clients); i++)
        client_leave(&clients[i]);
}

static void without_payload_memory_the_flight_fails_and_new_ones_are_shed(void **state)
{
    static const size_t sizes[] = {32 * 1024, 20 * 1024, 9 * 1024};
    struct client clients[3], next;
    struct fake_try *tries = worker->upstream->tries;
    for (uint32_t i = 0; i < array_count(clients); i++) {
        client_get_as(&clients[i], worker, 1 + i, ROUTE_OFF, "/");
        answer_head(worker, &tries[i], "200", NULL, NULL, false);
        answer_data(worker, &tries[i], sizes[i], false);
    }
    client_get_as(&next, worker, 9, ROUTE_OFF, "/"); /* 3 of 64 segments are free */
    assert_int_equal(next.result, SUBSCRIBE_SHED);
    assert_int_equal(next.subscriber.limit, LIMIT_PAYLOAD);
    assert_int_equal(counters_of(worker)->shed_payload, 1);
    answer_data(worker, &tries[2], 4 * 1024, false);
    assert_failed(&clients[2], FLIGHT_NO_MEMORY);
    for (size_t i = 0; i < array_count(clients); i++)
        client_leave(&clients[i]);
}

static void without_flights_new_requests_are_shed_but_joining_goes_on(void **state)
{
    struct client clients[16], more;
    for (uint32_t i = 0; i < array_count(clients); i++)
        client_get_as(&clients[i], worker, 1 + i, i == 0 ? ROUTE_GET : ROUTE_OFF, "/");
    client_ask(&more, worker, ROUTE_OFF, "GET", "/");
    assert_int_equal(more.result, SUBSCRIBE_SHED);
    assert_int_equal(more.subscriber.limit, LIMIT_FLIGHTS);
    assert_int_equal(more.subscriber.role, SUBSCRIBER_NONE);
    client_get(&more, worker, "/");
    assert_int_equal(more.subscriber.role, SUBSCRIBER_JOINED);
    client_leave(&more);
    for (size_t i = 0; i < array_count(clients); i++)
        client_leave(&clients[i]);
    world_pass(world, CLOCK_S);
}

static void every_failed_allocation_is_reported(void **state)
{
    struct coalesce_config config = worker->coalesce->config;
    for (uint32_t n = 0; n < 100; n++) {
        memory_reset();
        config.table = coalesce_table_create(64, 1, 2, -1);
        memory_fail_after(n);
        if (coalesce_create(&config) != NULL) {
            assert_true(n > 10);
            free(worker->upstream);
            free(world);
            memory_reset();
            set_up(state);
            return;
        }
    }
    fail();
}

/* --- order of calls --- */

static void leaving_from_inside_news_is_harmless(void **state);

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

static void flights_are_listed(void **state);
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

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

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
        CASE(C10_a_5xx_goes_to_those_present_only),
        CASE(C17_nobody_joins_when_the_prefix_is_gone),
        CASE(C17_a_post_stream_is_joined_early_only),
        CASE(C18_nobody_joins_a_stalled_flight),
        CASE(C13_nobody_joins_who_could_not_get_the_full_time),
        CASE(C6_an_answer_that_may_not_be_shared_goes_to_its_originator_only),
        CASE(C6_a_cookie_that_is_set_reaches_the_originator_only),
        CASE(C6_without_its_originator_an_unshareable_answer_is_for_nobody),
        CASE(C14_a_request_is_tried_again_only_when_that_is_safe),
        CASE(C14_there_is_no_third_attempt),
        CASE(C14_nothing_is_tried_again_after_headers),
        CASE(C14a_a_failed_connect_moves_on_at_most_three_times_and_costs_nothing),
        CASE(C14a_the_retry_leaves_the_region),
        CASE(C14a_the_only_backend_may_be_tried_again_when_it_lost_the_connection),
        CASE(without_backends_the_flight_fails_at_once_and_quietly),
        CASE(a_backend_without_room_is_passed_over),
        CASE(C14b_resets_are_retried_within_the_budget_and_losses_always),
        CASE(suspicion_moves_what_may_move),
        CASE(suspicion_without_elsewhere_changes_nothing),
        CASE(the_retry_finds_its_service_by_name_in_a_new_snapshot),
        CASE(a_request_body_is_streamed_and_replayed),
        CASE(request_trailers_come_last),
        CASE(a_body_that_outgrew_what_is_kept_is_not_replayed),
        CASE(a_body_without_memory_is_refused),
        CASE(an_answer_may_come_before_the_request_has_ended),
        CASE(C12_an_own_flight_is_cancelled_at_once),
        CASE(C12_a_coalesced_get_lingers),
        CASE(C12_lingering_keeps_a_place_of_the_client_that_left),
        CASE(C12_the_flight_goes_on_without_its_leader),
        CASE(C13_the_flight_lasts_as_long_as_its_latest_subscriber),
        CASE(C13_a_late_first_byte_is_retried_once),
        CASE(C13_a_slow_client_is_not_a_late_backend),
        CASE(C13_silence_in_the_body_breaks_the_answer),
        CASE(C11_a_declared_length_must_be_met),
        CASE(C11_two_lengths_must_agree),
        CASE(C11_a_cut_answer_never_ends_well),
        CASE(C11_done_without_an_end_is_no_end),
        CASE(trailers_go_to_everybody_and_end_the_answer),
        CASE(c21_a_103_goes_to_those_present),
        CASE(c22_a_100_goes_to_nobody),
        CASE(an_operator_ends_a_flight),
        CASE(fields_that_end_at_this_hop_are_stripped),
        CASE(the_window_stays_shut_while_too_much_is_held),
        CASE(what_everybody_has_read_is_let_go_of),
        CASE(memory_moves_on_when_the_slowest_leaves),
        CASE(C15_who_holds_the_others_back_is_cut_off),
        CASE(C15_who_keeps_up_does_not_pay_for_another),
        CASE(C15_those_who_are_equally_slow_stay),
        CASE(alone_a_subscriber_may_be_as_slow_as_it_is),
        CASE(an_answer_for_one_only_is_held_in_small_amounts),
        CASE(windows_stay_shut_while_memory_is_low),
        CASE(without_payload_memory_the_flight_fails_and_new_ones_are_shed),
        CASE(without_flights_new_requests_are_shed_but_joining_goes_on),
        CASE(every_failed_allocation_is_reported),
        CASE(leaving_from_inside_news_is_harmless),
        CASE(flights_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
