/*
 * Memory, windows and rings of flights that several workers share: what is lent comes back, what
 * is full waits.
 */
#include "tests/unit/coalesce/relay_case.h"

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

/* One has been cut off by now, and the other gets all of the answer. */
static void only_the_slow_one_is_cut(struct client *fast, struct client *slow)
{
    assert_int_equal(counters_of(at(1))->detached_slow, 1);
    assert_int_equal(first_try()->consumed, WORLD_FLIGHT + 1);
    client_drink(slow);
    assert_int_equal(slow->failure, FLIGHT_TOO_SLOW);
    data(1, true);
    assert_whole(fast, WORLD_FLIGHT + 2);
    client_leave(fast);
    client_leave(slow);
}

/* The owner's order is of one moment: who could not be judged in it is looked at again. */
static void c15_elsewhere_who_waits_for_its_turn_is_judged_later(void **state)
{
    struct client fast, slow;
    share(&fast, &slow);
    slow.waits_its_turn = true;
    head(NULL, NULL);
    data(WORLD_FLIGHT + 1, false);
    client_drink(&fast);
    for (int i = 0; i < 40; i++)
        world_pass(world, 10 * CLOCK_MS);
    assert_int_equal(counters_of(at(1))->detached_slow, 0);
    slow.waits_its_turn = false;
    for (int i = 0; i < 3; i++)
        world_pass(world, 10 * CLOCK_MS);
    only_the_slow_one_is_cut(&fast, &slow);
}

/* At first all are equally slow; then one of them reads on. */
static void c15_who_falls_behind_later_is_cut_off_too(void **state)
{
    struct client owner, fast, slow;
    share(&owner, &fast);
    client_get(&slow, at(1), "/");
    head(NULL, NULL);
    data(WORLD_FLIGHT + 1, false);
    client_leave(&owner);
    world_pass(world, 251 * CLOCK_MS);
    world_pass(world, 11 * CLOCK_MS);
    assert_int_equal(counters_of(at(1))->detached_slow, 0);
    client_drink(&fast);
    world_pass(world, 11 * CLOCK_MS);
    only_the_slow_one_is_cut(&fast, &slow);
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
    flight_clear_time(flight_of_feed(a.subscriber.home), TIME_PATIENCE);
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

/* Who waits in vain in every turn takes no turn of those who were not looked at. */
static void many_relays_that_wait_in_vain_starve_no_other(void **state)
{
    static struct relay relays[TICK_WORK_MAX + 1];
    struct coalesce *coalesce = at(1)->coalesce;
    struct relay *last = &relays[TICK_WORK_MAX];
    uint32_t free_count = coalesce->lents.free_count;
    for (size_t i = 0; i < array_count(relays); i++) {
        relays[i] = (struct relay){
            .coalesce = coalesce, .state = RELAY_LIVE, .starved = &relays[i] != last};
        list_init(&relays[i].waiting_link);
        list_push_back(&coalesce->waiting_relays, &relays[i].waiting_link);
    }
    coalesce->lents.free_count = 0;
    relays_tick(coalesce, world->now);
    assert_true(list_is_linked(&last->waiting_link));
    relays_tick(coalesce, world->now);
    assert_false(list_is_linked(&last->waiting_link));
    coalesce->lents.free_count = free_count;
    list_init(&coalesce->waiting_relays);
}

static void many_branches_that_wait_in_vain_starve_no_other(void **state)
{
    static struct branch branches[TICK_WORK_MAX + 1];
    struct coalesce *coalesce = at(0)->coalesce;
    struct flight flight = {.coalesce = coalesce};
    struct branch *last = &branches[TICK_WORK_MAX];
    uint32_t free_count = coalesce->loans.free_count;
    for (size_t i = 0; i < array_count(branches); i++) {
        branches[i] = (struct branch){
            .flight = &flight, .joined_posted = true, .starved = &branches[i] != last};
        list_init(&branches[i].waiting_link);
        list_push_back(&coalesce->waiting_branches, &branches[i].waiting_link);
    }
    coalesce->loans.free_count = 0;
    branches_tick(coalesce);
    assert_true(list_is_linked(&last->waiting_link));
    branches_tick(coalesce);
    assert_false(list_is_linked(&last->waiting_link));
    coalesce->loans.free_count = free_count;
    list_init(&coalesce->waiting_branches);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(lent_memory_is_kept_until_it_comes_back_but_the_request_is_not),
        CASE(a_long_stream_passes_through_little_memory),
        CASE(a_slow_reader_elsewhere_keeps_the_window_shut),
        CASE(held_segments_do_not_keep_the_window_shut),
        CASE(c15_a_slow_reader_elsewhere_is_cut_off),
        CASE(c15_who_falls_behind_later_is_cut_off_too),
        CASE(c15_elsewhere_who_waits_for_its_turn_is_judged_later),
        CASE(c13_a_subscriber_elsewhere_extends_the_deadline),
        CASE(a_full_ring_to_the_owner_means_an_own_flight),
        CASE(full_rings_delay_and_lose_nothing),
        CASE(a_refusal_waits_for_room),
        CASE(without_lent_objects_the_relay_waits),
        CASE(without_loans_the_branch_waits),
        CASE(many_relays_that_wait_in_vain_starve_no_other),
        CASE(many_branches_that_wait_in_vain_starve_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
