/*
 * relay: flights shared by several workers. First the steps one by one, then workers, mails,
 * clients and backends in random order: every client reads the bytes of one answer, an end only
 * when that answer ended, nothing that was not for it, and nothing is left in the end.
 */
#include "dataplane/coalesce/relay.h"
#include "tests/support/coalesce_world.h"

static struct world *world;

static int set_up(void **state)
{
    world = world_create(3);
    return 0;
}

static int tear_down(void **state)
{
    world_assert_empty(world);
    world_destroy(world);
    return 0;
}

static struct world_worker *at(uint16_t index)
{
    return &world->workers[index];
}

static struct fake_try *first_try(void)
{
    return &at(0)->upstream->tries[0];
}

static void head(const char *name, const char *value)
{
    answer_head(at(0), first_try(), "200", name, value, false);
}

static void data(size_t length, bool end)
{
    answer_data(at(0), first_try(), length, end);
    world_settle(world);
}

static void assert_whole(struct client *client, uint64_t bytes)
{
    client_drink(client);
    assert_true(client->ended);
    assert_int_equal(client->bytes, bytes);
}

/* Leads at worker 0, joins at worker 1; the join is accepted. */
static void share(struct client *owner, struct client *other)
{
    client_get(owner, at(0), "/");
    client_get(other, at(1), "/");
    assert_int_equal(other->subscriber.role, SUBSCRIBER_PENDING);
    assert_null(other->subscriber.feed);
    world_settle(world);
    assert_int_equal(other->subscriber.role, SUBSCRIBER_JOINED);
    assert_non_null(other->subscriber.feed);
}

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

static void C17_C18_C13_the_owner_refuses_as_it_would_its_own(void **state)
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

static void lent_memory_is_kept_until_it_comes_back_but_the_request_is_not(void **state)
{
    struct client a, b;
    share(&a, &b);
    head(NULL, NULL);
    data(3000, false);
    client_read(&b, 3000);
    assert_true(b.held_count > 2);
    coalesce_leave(&b.subscriber, world->now); /* TCP still holds what it was given */
    client_leave(&a);
    world_pass(world, CLOCK_S);
    assert_int_equal(at(0)->upstream->cancelled, 1);
    assert_int_equal(coalesce_flight_count(at(0)->coalesce), 1);
    for (uint32_t i = 0; i < b.held_count; i++)
        assert_int_equal(b.held[i]->data[0], b.held[i]->data[0]);
    client_release(&b, 0);
    world_settle(world);
    assert_int_equal(coalesce_flight_count(at(0)->coalesce), 1);
    client_release_all(&b);
    world->clients_alive--;
    world_settle(world);
    assert_int_equal(coalesce_flight_count(at(0)->coalesce), 0);
}

static void a_long_stream_passes_through_little_memory(void **state)
{
    struct client a, b;
    share(&a, &b);
    head(NULL, NULL);
    for (int i = 0; i < 200; i++) {
        data(1300, false);
        client_drink(&a);
        client_drink(&b);
        world_settle(world);
        assert_int_equal(first_try()->consumed, first_try()->sent);
        assert_true(pool_used(&at(0)->coalesce->payload.segments) <= WORLD_FLIGHT / 1024 + 3);
        assert_true(pool_used(&at(1)->coalesce->lents) <= WORLD_FLIGHT / 1024 + 3);
    }
    data(1, true);
    assert_whole(&a, 260001);
    assert_whole(&b, 260001);
    client_leave(&a);
    client_leave(&b);
}

static void a_slow_reader_elsewhere_keeps_the_window_shut(void **state)
{
    struct client a, b;
    share(&a, &b);
    client_leave(&a);
    head(NULL, NULL);
    data(WORLD_FLIGHT + 1, false);
    assert_int_equal(first_try()->consumed, 0);
    client_read(&b, 1100);
    client_release_all(&b);
    world_settle(world);
    assert_int_equal(first_try()->consumed, WORLD_FLIGHT + 1);
    data(1, true);
    assert_whole(&b, WORLD_FLIGHT + 2);
    client_leave(&b);
}

/* What is unacknowledged on one connection does not stop the others. */
static void held_segments_do_not_keep_the_window_shut(void **state)
{
    struct client a, b;
    share(&a, &b);
    head(NULL, NULL);
    for (int i = 0; i < 20; i++) {
        data(1024, false);
        client_drink(&a);
        client_read(&b, i == 0 ? 1024 : 0);
        while (i > 0 && b.bytes < a.bytes) {
            struct chunk chunk = body_peek(&b.subscriber.feed->body, &b.subscriber.cursor, 1024);
            body_cursor_advance(&b.subscriber.cursor, chunk.length);
            b.bytes += chunk.length;
            coalesce_advanced(&b.subscriber, world->now);
        }
        world_settle(world);
    }
    assert_true(b.held_count > 0);
    assert_int_equal(first_try()->consumed, first_try()->sent);
    client_leave(&a);
    client_leave(&b);
}

static void c15_a_slow_reader_elsewhere_is_cut_off(void **state)
{
    struct client fast, slow, slow_here, fast_there;
    share(&fast, &slow);
    client_get(&slow_here, at(0), "/");
    client_get(&fast_there, at(1), "/");
    head(NULL, NULL);
    data(WORLD_FLIGHT + 1, false);
    client_drink(&fast);
    client_drink(&fast_there);
    world_pass(world, 240 * CLOCK_MS);
    assert_int_equal(counters_of(at(1))->detached_slow, 0);
    world_pass(world, 20 * CLOCK_MS);
    world_pass(world, 20 * CLOCK_MS);
    assert_int_equal(counters_of(at(0))->detached_slow, 1);
    assert_int_equal(counters_of(at(1))->detached_slow, 1);
    client_drink(&slow);
    client_drink(&slow_here);
    assert_true(slow.failed && slow_here.failed);
    assert_int_equal(slow.failure, FLIGHT_TOO_SLOW);
    assert_int_equal(first_try()->consumed, WORLD_FLIGHT + 1);
    data(1, true);
    assert_whole(&fast, WORLD_FLIGHT + 2);
    assert_whole(&fast_there, WORLD_FLIGHT + 2);
    client_leave(&fast);
    client_leave(&slow);
    client_leave(&slow_here);
    client_leave(&fast_there);
}

static void c13_a_subscriber_elsewhere_extends_the_deadline(void **state)
{
    struct client a, b, c;
    client_prepare(&a, at(0), ROUTE_GET, "GET", "/", NULL, false);
    a.asked.deadline_ns = world->now + 10 * CLOCK_S;
    client_subscribe(&a);
    client_get(&b, at(1), "/");
    world_settle(world);
    world_pass(world, 5 * CLOCK_S);
    client_get(&c, at(1), "/");
    uint64_t latest = c.asked.deadline_ns;
    flight_of_feed(a.subscriber.home)->first_byte_timeout_ns = CLOCK_S * 1000;
    timer_cancel(&at(0)->wheel, &flight_of_feed(a.subscriber.home)->patience);
    world_pass(world, latest - world->now - CLOCK_S);
    assert_int_equal(b.subscriber.feed->state, FEED_WAITING);
    world_pass(world, 2 * CLOCK_S);
    assert_int_equal(b.subscriber.feed->state, FEED_FAILED);
    client_drink(&c);
    assert_int_equal(c.failure, FLIGHT_TIMEOUT);
    client_leave(&a);
    client_leave(&b);
    client_leave(&c);
}

static void a_full_ring_to_the_owner_means_an_own_flight(void **state)
{
    struct client a, b;
    client_get(&a, at(0), "/");
    world->ring_size = 0;
    client_get(&b, at(1), "/");
    world->ring_size = WORLD_RING;
    assert_int_equal(b.subscriber.role, SUBSCRIBER_LED);
    assert_int_equal(counters_of(at(1))->refused_mail, 1);
    client_leave(&a);
    client_leave(&b);
    world_pass(world, CLOCK_S);
}

static void full_rings_delay_and_lose_nothing(void **state)
{
    struct client a, b, c;
    client_get(&a, at(0), "/");
    client_get(&b, at(1), "/");
    world->ring_size = 0;
    world_mail_one(world, 0, 1); /* JOINED cannot be posted */
    world_tick(world);
    assert_int_equal(b.subscriber.role, SUBSCRIBER_PENDING);
    world->ring_size = WORLD_RING;
    world_settle(world);
    assert_int_equal(b.subscriber.role, SUBSCRIBER_JOINED);

    world->ring_size = 0;
    head(NULL, NULL);
    answer_data(at(0), first_try(), 2000, false);
    world_tick(world);
    client_drink(&b);
    assert_int_equal(b.bytes, 0);
    world->ring_size = WORLD_RING;
    world_settle(world);
    client_drink(&b);
    assert_int_equal(b.bytes, 2000);

    client_get(&c, at(2), "/");
    data(1, true);
    client_drink(&b);
    world->ring_size = 0;
    client_leave(&b); /* LEFT cannot be posted */
    world_tick(world);
    assert_int_equal(pool_used(&at(1)->coalesce->relays), 1);
    world->ring_size = WORLD_RING;
    world_settle(world);
    assert_int_equal(pool_used(&at(1)->coalesce->relays), 0);
    client_leave(&a);
    client_leave(&c);
}

static void a_refusal_waits_for_room(void **state)
{
    struct client a, b;
    client_get(&a, at(0), "/");
    client_get(&b, at(1), "/");
    answer_whole(at(0), 1);
    world->ring_size = 0;
    world_mail_one(world, 0, 1);
    world_tick(world);
    assert_int_equal(at(0)->coalesce->refusal_count, 1);
    assert_int_equal(b.subscriber.role, SUBSCRIBER_PENDING);
    world->ring_size = WORLD_RING;
    world_settle(world);
    assert_int_equal(b.refused, 1);
    client_leave(&a);
    client_leave(&b);
}

static void without_lent_objects_the_relay_waits(void **state)
{
    struct client a, b;
    void *taken[64];
    share(&a, &b);
    head(NULL, NULL);
    struct pool *lents = &at(1)->coalesce->lents;
    for (int i = 0; i < 62; i++)
        taken[i] = pool_take(lents);
    data(4000, true);
    client_drink(&b);
    assert_int_equal(b.bytes, 2048);
    assert_false(b.ended);
    for (int i = 0; i < 62; i++)
        pool_give(lents, taken[i]);
    world_settle(world);
    assert_whole(&b, 4000);
    assert_true(counters_of(at(1))->relays_starved > 0);
    client_leave(&a);
    client_leave(&b);
}

static void without_loans_the_branch_waits(void **state)
{
    struct client a, b;
    void *taken[64];
    share(&a, &b);
    head(NULL, NULL);
    struct pool *loans = &at(0)->coalesce->loans;
    for (int i = 0; i < 62; i++)
        taken[i] = pool_take(loans);
    data(4000, true);
    client_drink(&b);
    assert_int_equal(b.bytes, 2048);
    assert_false(b.ended);
    for (int i = 0; i < 62; i++)
        pool_give(loans, taken[i]);
    world_settle(world);
    assert_whole(&b, 4000);
    assert_true(counters_of(at(0))->branches_starved > 0);
    client_leave(&a);
    client_leave(&b);
}

/* --- random order --- */

#define CLIENTS_MAX 24
#define PATHS       3
#define STEPS       5000
#define KEPT_MAX    44

/* What a backend has promised about an answer. */
struct promise {
    bool shareable;
    bool ended;
    uint64_t length; /* when ended */
};

struct play {
    struct random random;
    struct client clients[CLIENTS_MAX];
    bool alive[CLIENTS_MAX];
    struct promise promises[WORLD_WORKERS_MAX][FAKE_TRIES_MAX + 1];
    void *loans[WORLD_WORKERS_MAX][KEPT_MAX]; /* taken away, so that they are scarce */
    void *lents[WORLD_WORKERS_MAX][KEPT_MAX];
    uint64_t ends;
    uint64_t joins;
};

static uint32_t dice(struct play *play, uint32_t bound)
{
    return random_below(&play->random, bound);
}

static struct promise *promise_of(struct play *play, uint64_t answer)
{
    assert_true(answer % 1000000 <= FAKE_TRIES_MAX);
    return &play->promises[answer / 1000000][answer % 1000000];
}

static void check_client(struct play *play, struct client *client)
{
    if (!client->head_read)
        return;
    const struct promise *promise = promise_of(play, client->answer);
    assert_true(promise->shareable || client->subscriber.role != SUBSCRIBER_JOINED ||
                client->failed);
    if (!client->ended)
        return;
    assert_true(promise->ended);
    assert_int_equal(client->bytes, promise->length);
    play->ends++;
    play->joins += client->subscriber.role == SUBSCRIBER_JOINED;
}

static void play_come(struct play *play)
{
    static const char *const paths[PATHS] = {"/a", "/b", "/c"};
    uint32_t i = dice(play, CLIENTS_MAX);
    if (play->alive[i])
        return;
    client_get(&play->clients[i], at((uint16_t)dice(play, world->count)), paths[dice(play, PATHS)]);
    play->alive[i] = play->clients[i].result == SUBSCRIBE_OK;
}

static void play_go(struct play *play, struct client *client)
{
    if (dice(play, 3) > 0) {
        client_leave(client);
        return;
    }
    /* TCP gives back some before and the rest after it has left. */
    coalesce_leave(&client->subscriber, world->now);
    world->clients_alive--;
    world_mail_one(world, (uint16_t)dice(play, world->count), (uint16_t)dice(play, world->count));
    client_release_all(client);
}

static void play_client(struct play *play)
{
    uint32_t i = dice(play, CLIENTS_MAX);
    struct client *client = &play->clients[i];
    if (!play->alive[i])
        return;
    if (client->result != SUBSCRIBE_OK) { /* refused, and then shed */
        play->alive[i] = false;
        world->clients_alive--;
        client_release_all(client);
        return;
    }
    bool was_ended = client->ended;
    client_read(client, dice(play, 4000));
    if (!was_ended)
        check_client(play, client);
    while (client->held_count > 0 && dice(play, 3) > 0)
        client_release(client, dice(play, client->held_count));
    if (dice(play, 30) == 0 || ((client->ended || client->failed) && dice(play, 3) == 0)) {
        play_go(play, client);
        play->alive[i] = false;
    }
}

static struct fake_try *any_try(struct play *play, struct world_worker **out_worker)
{
    struct world_worker *worker = at((uint16_t)dice(play, world->count));
    struct upstream *upstream = worker->upstream;
    *out_worker = worker;
    if (upstream->started == 0)
        return NULL;
    uint32_t span = upstream->started < 24 ? upstream->started : 24;
    struct fake_try *try = &upstream->tries[upstream->started - 1 - dice(play, span)];
    return try->attempt != NULL && !try->response_ended ?
    try : NULL
        ;
}

static void play_head(struct play *play, struct world_worker *worker, struct fake_try *try)
{
    struct promise *promise = promise_of(play, answer_number(worker, try));
    bool shareable = dice(play, 8) > 0;
    promise->shareable = shareable;
    answer_head(worker, try, dice(play, 10) == 0 ? "500" : "200",
                shareable ? NULL : "cache-control", "no-store", false);
}

static void play_backend(struct play *play)
{
    static const enum attempt_failure failures[] = {ATTEMPT_CONNECTION_LOST, ATTEMPT_UNPROCESSED,
                                                    ATTEMPT_RESET, ATTEMPT_CONNECT_REFUSED};
    struct world_worker *worker;
    struct fake_try *try = any_try(play, &worker);
    if (try == NULL)
        return;
    uint32_t choice = dice(play, 100);
    if (dice(play, 2) == 0)
        fake_pull(try, world->now);
    if (choice < 6) {
        fake_fail(try, failures[dice(play, try->request_head ? 3 : 4)], world->now);
        return;
    }
    if (!try->head_sent) {
        play_head(play, worker, try);
        return;
    }
    bool end = choice < 12;
    size_t length = dice(play, 2500);
    if (end) {
        struct promise *promise = promise_of(play, answer_number(worker, try));
        promise->length = try->sent + length;
        promise->ended = true;
    }
    /* A real backend stops when its window is used up. */
    if (end || try->sent - try->consumed < 6000)
        answer_data(worker, try, length, end);
}

static void play_step(struct play *play)
{
    uint32_t choice = dice(play, 100);
    uint16_t any = (uint16_t)dice(play, world->count);
    if (choice < 25) {
        world_mail_one(world, any, (uint16_t)dice(play, world->count));
    } else if (choice < 33) {
        coalesce_tick(at(any)->coalesce, world->now);
    } else if (choice < 43) {
        play_come(play);
    } else if (choice < 68) {
        play_client(play);
    } else if (choice < 98) {
        play_backend(play);
    } else {
        world->now += dice(play, 60) * CLOCK_MS;
        for (uint16_t i = 0; i < world->count; i++)
            timer_wheel_advance(&at(i)->wheel, world->now, 1000);
    }
}

/* Everybody goes, and what was under way comes to its end. */
static void play_end(struct play *play)
{
    world->ring_size = WORLD_RING;
    for (uint16_t i = 0; i < 3; i++)
        for (uint32_t j = 0; j < KEPT_MAX && play->loans[i][j] != NULL; j++) {
            pool_give(&at(i)->coalesce->loans, play->loans[i][j]);
            pool_give(&at(i)->coalesce->lents, play->lents[i][j]);
        }
    for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
        if (!play->alive[i])
            continue;
        client_drink(&play->clients[i]);
        coalesce_leave(&play->clients[i].subscriber, world->now);
        world->clients_alive--;
        client_release_all(&play->clients[i]);
    }
    world_settle(world);
    world_pass(world, CLOCK_S);
    world_settle(world);
    world_assert_empty(world);
}

/* What has to happen in the plays, or they show nothing. */
#define SEEN(name)                                                                                 \
    {                                                                                              \
        offsetof(struct coalesce_counters, name), #name                                            \
    }

static const struct {
    size_t offset;
    const char *name;
} seen[] = {
    SEEN(joined_local),
    SEEN(joined_remote),
    SEEN(saved),
    SEEN(refused_ended),
    SEEN(refused_mail),
    SEEN(refused_by_owner),

    SEEN(detached_unshareable),
    SEEN(detached_slow),
    SEEN(removed_prefix),
    SEEN(removed_server_error),
    SEEN(removed_unshareable),
    SEEN(retries_lost),
    SEEN(retries_unprocessed),
    SEEN(retries_reset),
    SEEN(connects_moved),
    SEEN(completed),
    SEEN(failed_connection_lost),
    SEEN(failed_no_memory),
    SEEN(cancelled),
    SEEN(lingered_joined),
    SEEN(windows_held),
    SEEN(windows_held_memory),
    SEEN(joins_refused),
    SEEN(mail_retried),
    SEEN(relays_starved),
    SEEN(branches_starved),
    SEEN(shed_principal_payload),
    SEEN(keys_reused),
};

static void add_seen(uint64_t sums[array_count(seen)])
{
    for (uint16_t i = 0; i < world->count; i++)
        for (size_t j = 0; j < array_count(seen); j++)
            sums[j] += *(const uint64_t *)((const uint8_t *)counters_of(at(i)) + seen[j].offset);
}

/* Some plays have few objects to lend with, or few segments. */
static void world_for(struct play *play)
{
    world_destroy(world);
    world = world_create_sized(3, 12, 48 + dice(play, 100));
    world->ring_size = 1 + dice(play, 8);
    for (uint16_t i = 0; i < 3 && dice(play, 2) == 0; i++)
        for (uint32_t j = 0; j < KEPT_MAX; j++) {
            play->loans[i][j] = pool_take(&at(i)->coalesce->loans);
            play->lents[i][j] = pool_take(&at(i)->coalesce->lents);
        }
}

static void in_any_order_everybody_reads_one_whole_answer_or_learns_that_it_broke(void **state)
{
    uint64_t sums[array_count(seen)] = {0};
    uint64_t ends = 0;
    uint64_t joins = 0;
    uint32_t seeds = getenv("SEEDS") != NULL ? (uint32_t)atoi(getenv("SEEDS")) : 150;
    struct play *play = malloc(sizeof(*play));
    for (uint32_t seed = 1; seed <= seeds; seed++) {
        memset(play, 0, sizeof(*play));
        random_seed(&play->random, seed);
        world_for(play);
        for (int step = 0; step < STEPS; step++)
            play_step(play);
        play_end(play);
        add_seen(sums);
        ends += play->ends;
        joins += play->joins;
    }
    free(play);
    print_message("%llu answers read to their end, %llu of them joined\n", (unsigned long long)ends,
                  (unsigned long long)joins);
    assert_true(ends > 5 * seeds && joins > seeds);
    for (size_t i = 0; i < array_count(seen); i++) {
        print_message("%8llu %s\n", (unsigned long long)sums[i], seen[i].name);
        assert_true(sums[i] > 0);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(all_workers_share_one_request),
        CASE(a_bare_answer_and_trailers_reach_everybody),
        CASE(a_join_that_comes_too_late_gets_a_flight_of_its_own),
        CASE(C17_C18_C13_the_owner_refuses_as_it_would_its_own),
        CASE(nobody_joins_a_relay_of_a_flight_that_left_the_table),
        CASE(c21_a_103_goes_to_those_present_on_every_worker),
        CASE(c6_an_unshareable_answer_stays_with_its_originator),
        CASE(c11_a_broken_answer_is_broken_for_everybody),
        CASE(a_failure_before_headers_is_the_same_for_everybody),
        CASE(a_retry_serves_those_on_other_workers_too),
        CASE(c12_the_flight_goes_on_for_other_workers),
        CASE(leaving_before_the_answer_to_the_join),
        CASE(lent_memory_is_kept_until_it_comes_back_but_the_request_is_not),
        CASE(a_long_stream_passes_through_little_memory),
        CASE(a_slow_reader_elsewhere_keeps_the_window_shut),
        CASE(held_segments_do_not_keep_the_window_shut),
        CASE(c15_a_slow_reader_elsewhere_is_cut_off),
        CASE(c13_a_subscriber_elsewhere_extends_the_deadline),
        CASE(a_full_ring_to_the_owner_means_an_own_flight),
        CASE(full_rings_delay_and_lose_nothing),
        CASE(a_refusal_waits_for_room),
        CASE(without_lent_objects_the_relay_waits),
        CASE(without_loans_the_branch_waits),
        CASE(in_any_order_everybody_reads_one_whole_answer_or_learns_that_it_broke),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
