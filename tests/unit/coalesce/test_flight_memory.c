/* What an answer needs has its memory before the answer begins (C16, flight_window,
 * flight_section). */
#include "tests/unit/coalesce/flight_case.h"

#define CLIENTS 4

/* Backends may send so much with every request. */
static void use_windows(uint32_t flights, uint32_t segments, uint32_t bytes)
{
    use_sizes(flights, segments);
    worker->coalesce->config.first_window_bytes = bytes;
}

static uint32_t spare(void)
{
    return segments_spare(&worker->coalesce->payload);
}

/* Somebody else takes all spare memory but LEFT segments. */
static uint32_t use_up(struct segment **taken, uint32_t left)
{
    uint32_t count = 0;
    while (spare() > left)
        taken[count++] = segment_take(&worker->coalesce->payload);
    return count;
}

static void give_back(struct segment **taken, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        segment_drop(taken[i]);
}

static void ask_alone(struct client *client)
{
    client_ask(client, worker, ROUTE_OFF, "GET", "/");
    assert_int_equal(client->result, SUBSCRIBE_OK);
}

static void what_a_backend_may_send_has_its_memory(void **state)
{
    struct client clients[CLIENTS];
    struct segment *taken[64];
    use_windows(CLIENTS + 2, 32, 2 * WORLD_SEGMENT);
    for (int i = 0; i < CLIENTS; i++)
        ask_alone(&clients[i]);
    uint32_t count = use_up(taken, 0);
    assert_int_equal(count, 32 - 2 * CLIENTS);
    assert_null(segment_take(&worker->coalesce->payload));
    for (int i = 0; i < CLIENTS; i++) {
        struct fake_try *try = &worker->upstream->tries[i];
        answer_head(worker, try, "200", NULL, NULL, false);
        answer_data(worker, try, 2 * WORLD_SEGMENT, true);
    }
    for (int i = 0; i < CLIENTS; i++) {
        assert_whole(&clients[i], 2 * WORLD_SEGMENT);
        client_leave(&clients[i]);
    }
    give_back(taken, count);
    assert_int_equal(spare(), 32);
}

static void without_memory_for_a_window_no_flight_begins(void **state)
{
    struct client client;
    struct segment *taken[64];
    use_windows(CLIENTS + 2, 32, 4 * WORLD_SEGMENT);
    uint32_t count = use_up(taken, 3);
    client_ask(&client, worker, ROUTE_OFF, "GET", "/");
    assert_int_equal(client.result, SUBSCRIBE_SHED);
    assert_int_equal(client.subscriber.limit, LIMIT_PAYLOAD);
    give_back(taken, count);
}

static void a_second_attempt_has_a_window_of_its_own(void **state)
{
    struct client client;
    use_windows(CLIENTS + 2, 32, 2 * WORLD_SEGMENT);
    ask_alone(&client);
    flight_window_grew(last_try()->attempt, 3 * WORLD_SEGMENT, world->now);
    assert_int_equal(spare(), 32 - 5);
    fail_begun(ATTEMPT_CONNECTION_LOST);
    assert_int_equal(spare(), 32 - 2);
    head("200", NULL, NULL);
    data(10, true);
    assert_int_equal(spare(), 32 - 1);
    assert_whole(&client, 10);
    client_leave(&client);
}

static void windows_grow_beside_the_first_windows_of_others(void **state)
{
    struct client clients[3];
    use_windows(8, 64, WORLD_SEGMENT);
    uint64_t low = worker->coalesce->payload_low;
    ask_alone(&clients[0]);
    struct attempt *first = last_try()->attempt;
    ask_alone(&clients[1]);
    struct attempt *second = last_try()->attempt;
    for (int i = 0; i < 20; i++) {
        struct attempt *attempt = i % 2 == 0 ? first : second;
        uint64_t room = flight_window_room(attempt);
        room = room < 5 * WORLD_SEGMENT ? room : 5 * WORLD_SEGMENT;
        flight_window_grew(attempt, (uint32_t)room, world->now);
    }
    assert_true(flight_window_room(first) < WORLD_SEGMENT);
    assert_true(spare() >= 6 + low);
    ask_alone(&clients[2]);
    for (int i = 0; i < 3; i++)
        client_leave(&clients[i]);
    assert_int_equal(spare(), 64);
}

static void a_window_that_is_used_up_opens_by_a_segment_when_memory_is_low(void **state)
{
    struct client client;
    struct segment *taken[64];
    use_windows(CLIENTS + 2, 32, 2 * WORLD_SEGMENT);
    ask_alone(&client);
    uint32_t count = use_up(taken, 0);
    head("200", NULL, NULL);
    data(2 * WORLD_SEGMENT, false);
    assert_int_equal(last_try()->consumed, 0);
    client_read(&client, 2 * WORLD_SEGMENT); /* not acknowledged */
    world_tick(world);
    assert_int_equal(last_try()->consumed, 0);
    client_release_all(&client);
    world_tick(world);
    assert_int_equal(last_try()->consumed, WORLD_SEGMENT);
    data(WORLD_SEGMENT - 1, false);
    world_tick(world);
    assert_int_equal(last_try()->consumed, WORLD_SEGMENT); /* a byte is left */
    data(1, false);
    client_drink(&client);
    world_tick(world);
    assert_int_equal(last_try()->consumed, 2 * WORLD_SEGMENT);
    give_back(taken, count);
    world_tick(world);
    assert_int_equal(last_try()->consumed, 3 * WORLD_SEGMENT);
    data(1, true);
    assert_whole(&client, 3 * WORLD_SEGMENT + 1);
    client_leave(&client);
}

/* We give it what it needs a segment at a time: then it is its silence, not ours. */
static void an_open_window_is_no_excuse_for_silence(void **state)
{
    struct client client;
    struct segment *taken[64];
    use_windows(CLIENTS + 2, 32, WORLD_SEGMENT);
    ask_alone(&client);
    uint32_t count = use_up(taken, 1);
    head("200", NULL, NULL);
    data(WORLD_SEGMENT / 2, false);
    client_drink(&client);
    assert_int_equal(last_try()->consumed, 0);
    world_pass(world, 31 * CLOCK_S);
    assert_failed(&client, FLIGHT_TIMEOUT);
    client_leave(&client);
    give_back(taken, count);
}

static void c22_trailers_have_room_whatever_others_keep(void **state)
{
    static const char *const hints[] = {":status", "103", "link", "</style.css>", NULL};
    static const char *const trailers[] = {"grpc-status", "0", NULL};
    struct client clients[CLIENTS];
    use_sizes(CLIENTS, 64);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        client_get_as(&clients[i], worker, 1 + i, ROUTE_OFF, "/"); /* nobody has all flights */
        fake_pull(last_try(), world->now);
        fake_section(last_try(), H2_SECTION_INTERIM, hints, false, world->now);
    }
    assert_true(counters_of(worker)->interim_dropped > 0);
    for (int i = 0; i < CLIENTS; i++) {
        struct fake_try *try = &worker->upstream->tries[i];
        answer_head(worker, try, "200", NULL, NULL, false);
        answer_data(worker, try, 100, false);
        fake_section(try, H2_SECTION_TRAILERS, trailers, true, world->now);
    }
    for (int i = 0; i < CLIENTS; i++) {
        assert_whole(&clients[i], 100);
        assert_true(clients[i].has_trailers);
        client_leave(&clients[i]);
    }
    assert_int_equal(worker->coalesce->extra_sections, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(what_a_backend_may_send_has_its_memory),
        CASE(without_memory_for_a_window_no_flight_begins),
        CASE(a_second_attempt_has_a_window_of_its_own),
        CASE(windows_grow_beside_the_first_windows_of_others),
        CASE(a_window_that_is_used_up_opens_by_a_segment_when_memory_is_low),
        CASE(an_open_window_is_no_excuse_for_silence),
        CASE(c22_trailers_have_room_whatever_others_keep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
