/*
 * The return path, with whole workers: on a port whose RSS is known every packet arrives at its
 * owner once that has shown; on one that lies, packets are handed over and nothing breaks.
 */
#include "dataplane/base/clock.h"
#include "dataplane/worker/mail.h"
#include "tests/support/checks.h"
#include "tests/support/cmocka.h"
#include "tests/support/toeplitz.h"

#include <rte_mbuf.h>
#include <stdio.h>

#define CONNECTIONS 20
#define REQUESTS    4

enum card {
    CARD_HONEST, /* RSS as it is known */
    CARD_MUTE,   /* the same, without telling the hash */
    CARD_FIRST,  /* everything in the first queue */
    CARD_OTHER,  /* by another hash, and tells that one */
};

struct cards {
    enum card card;
    uint16_t workers;
};

static struct port_rss rss;
static struct cards cards;

static uint32_t other_hash(uint32_t hash)
{
    return (hash ^ 0x5bd1e995) * 2654435761u;
}

static uint16_t steer(void *context, uint16_t end, const uint8_t *frame, uint16_t length)
{
    uint32_t hash;
    if (end != 0 || cards.card == CARD_FIRST || !toeplitz_hash(frame, length, &hash))
        return 0;
    if (cards.card == CARD_OTHER)
        hash = other_hash(hash) >> 16;
    return rss.queues[hash % TOEPLITZ_ENTRIES];
}

static bool tell(void *context, uint16_t end, const uint8_t *frame, uint16_t length, uint32_t *hash)
{
    if (end != 0 || cards.card == CARD_MUTE || !toeplitz_hash(frame, length, hash))
        return false;
    if (cards.card == CARD_OTHER)
        *hash = other_hash(*hash);
    return true;
}

static struct world *open_world(uint16_t workers, enum card card, uint64_t seed)
{
    struct world *world = world_open(&(struct world_config){.seed = seed, .workers = workers});
    rss = toeplitz_rss(workers);
    cards = (struct cards){card, workers};
    struct wire *wires[] = {world->front, world->back};
    for (int i = 0; i < 2; i++) {
        wire_set_steer(wires[i], steer, NULL);
        wire_set_hash(wires[i], tell, NULL);
        for (uint16_t q = 0; q < workers; q++)
            wire_queue(wires[i], 0, q)->rss = &rss;
    }
    return world;
}

static struct client_conn *conns[CONNECTIONS];

/* New connections of clients in place of the old ones; a host makes at most 128. */
static void connect_anew(struct world *world)
{
    for (uint32_t i = 0; i < CONNECTIONS; i++)
        conns[i] = world_connect(world, i % WORLD_CLIENTS, i % 2 == 1);
}

/* Requests over the connections of clients, all answered. */
static void load(struct world *world)
{
    for (uint32_t i = 0; i < CONNECTIONS; i++)
        for (uint32_t r = 0; r < REQUESTS; r++)
            world_get(world, conns[i], r % 2 == 0 ? "/own?size=20000" : "/share?size=3000");
    assert_true(world_run(world));
}

/* New connections to backends: the old ones go with their backends. */
static void renew_backends(struct world *world)
{
    for (uint16_t region = 0; region < WORLD_REGIONS; region++)
        world_region_crash(world, region);
    world_run_for(world, 5 * CLOCK_S);
    for (uint16_t region = 0; region < WORLD_REGIONS; region++)
        world_region_up(world, region);
    world_run_for(world, 5 * CLOCK_S);
}

static uint64_t clients_foreign(struct world *world)
{
    return world_counter(world, "net", "in_foreign") -
           world_counter(world, "net", "in_replies_foreign");
}

static uint64_t proven(struct wire *wire)
{
    uint64_t count = 0;
    for (uint16_t q = 0; q < cards.workers; q++)
        count += wire_queue(wire, 0, q)->spreads;
    return count;
}

static void all_proven(struct world *world)
{
    for (int round = 0; round < 60; round++) {
        if (proven(world->front) < cards.workers)
            connect_anew(world);
        load(world);
        if (proven(world->front) + proven(world->back) == 2u * cards.workers)
            return;
        renew_backends(world);
    }
    fail_msg("the prediction was not proved");
}

static void an_honest_card_brings_packets_home(uint16_t workers, enum card card, uint64_t seed)
{
    struct world *world = open_world(workers, card, seed);
    all_proven(world);
    renew_backends(world);
    uint64_t direct = world_counter(world, "net", "in_replies_direct");
    uint64_t here = world_counter(world, "tcp", "connect_replies_here");
    uint64_t foreign = world_counter(world, "net", "in_replies_foreign");
    uint64_t handed = world_counter(world, "worker", "handed_over_packets");
    load(world);
    assert_true(world_counter(world, "net", "in_replies_direct") > direct + 100);
    assert_true(world_counter(world, "tcp", "connect_replies_here") > here);
    assert_int_equal(world_counter(world, "net", "in_replies_foreign"), foreign);
    assert_int_equal(world_counter(world, "worker", "handed_over_packets"), handed);
    assert_int_equal(world_counter(world, "tcp", "connect_replies_elsewhere"), 0);
    assert_int_equal(clients_foreign(world), 0);
    assert_int_equal(world_counter(world, "net", "rss_contradicted"), 0);
    assert_int_equal(world_counter(world, "net", "rss_hash_wrong"), 0);
    assert_int_equal(world_counter(world, "worker", "drop_hand_over_full"), 0);
    assert_true(check_and_close(world));
}

static void honest_cards_bring_packets_home(void **state)
{
    an_honest_card_brings_packets_home(2, CARD_HONEST, 1);
    an_honest_card_brings_packets_home(4, CARD_HONEST, 2);
}

static void cards_that_tell_no_hash_do_too(void **state)
{
    an_honest_card_brings_packets_home(2, CARD_MUTE, 3);
    an_honest_card_brings_packets_home(4, CARD_MUTE, 4);
}

static void one_worker_needs_no_prediction(void **state)
{
    struct world *world = open_world(1, CARD_HONEST, 5);
    connect_anew(world);
    load(world);
    assert_int_equal(world_counter(world, "net", "in_foreign"), 0);
    assert_int_equal(world_counter(world, "net", "rss_matched"), 0);
    assert_true(world_counter(world, "tcp", "connect_replies_here") > 0);
    assert_true(check_and_close(world));
}

static void a_lying_card_is_found_out_and_works(enum card card, uint16_t workers, uint64_t seed)
{
    struct world *world = open_world(workers, card, seed);
    for (int round = 0; round < 4; round++) {
        connect_anew(world);
        load(world);
        renew_backends(world);
    }
    assert_true(world_counter(world, "net", "rss_contradicted") > 100);
    assert_int_equal(world_counter(world, "net", "rss_proven"), 0);
    assert_int_equal(world_counter(world, "tcp", "connect_replies_here"), 0);
    assert_true(world_counter(world, "worker", "handed_over_packets") > 100);
    assert_int_equal(world_counter(world, "worker", "drop_hand_over_full"), 0);
    if (card == CARD_OTHER)
        assert_true(world_counter(world, "net", "rss_hash_wrong") > 0);
    assert_true(check_and_close(world));
}

static void lying_cards_are_found_out_and_work(void **state)
{
    a_lying_card_is_found_out_and_works(CARD_FIRST, 2, 6);
    a_lying_card_is_found_out_and_works(CARD_FIRST, 4, 7);
    a_lying_card_is_found_out_and_works(CARD_OTHER, 2, 8);
    a_lying_card_is_found_out_and_works(CARD_OTHER, 4, 9);
}

/* Connections from before go on: who owns them has not changed. */
static void a_card_that_begins_to_lie_hurts_no_connection(void **state)
{
    struct world *world = open_world(4, CARD_HONEST, 10);
    all_proven(world);
    connect_anew(world);
    world_run_for(world, CLOCK_S);
    uint64_t resets = world_counter(world, "tcp", "resets_out");
    uint64_t accepted = world_counter(world, "tcp", "connections_accepted");
    cards.card = CARD_OTHER;
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        struct client_request *request = world_get(world, conns[i], "/own?size=50000");
        assert_true(world_run(world));
        assert_true(client_is_whole(request, 200, 50000));
    }
    assert_int_equal(world_counter(world, "tcp", "connections_accepted"), accepted);
    assert_int_equal(world_counter(world, "tcp", "resets_out"), resets);
    assert_true(world_counter(world, "net", "rss_withdrawn") > 0);
    assert_true(check_and_close(world));
}

/* A worker that is not run while others hand it more packets than its ring takes. */
static void what_a_full_ring_does_not_take_is_counted_and_freed(void **state)
{
    enum { RING = WORKER_HAND_OVER_RING, MORE = 100 };
    struct world *world =
        world_open(&(struct world_config){.seed = 20, .workers = 2, .mbufs = 2 * RING});
    struct worker *from = world->shared.members[0], *to = world->shared.members[1];
    struct rte_mempool *pool = wire_queue(world->front, 0, 0)->mempool;
    unsigned free_before = rte_mempool_avail_count(pool);
    for (uint32_t i = 0; i < RING + MORE; i++) {
        struct net_arrivals arrivals = {.foreign_count = 1, .foreign_owner = {to->index}};
        arrivals.foreign[0] = rte_pktmbuf_alloc(pool);
        assert_non_null(arrivals.foreign[0]);
        mail_hand_over(from, &arrivals);
    }
    assert_int_equal(world_counter(world, "worker", "handed_over_packets"), RING);
    assert_int_equal(world_counter(world, "worker", "drop_hand_over_full"), MORE);
    assert_int_equal(rte_mempool_avail_count(pool), free_before - RING);
    for (struct rte_mbuf *packet; ring_spsc_pop(&to->lanes_in[0]->hand_overs, &packet);)
        rte_pktmbuf_free(packet);
    assert_int_equal(rte_mempool_avail_count(pool), free_before);
    assert_true(check_and_close(world));
}

/* Whoever takes less in a turn than others hand over in one falls behind until its ring is full. */
static void what_a_turn_hands_over_a_turn_takes(void **state)
{
    enum { TURN = WORKER_BURSTS_A_TURN * NET_BURST, MORE = 1 };
    struct world *world =
        world_open(&(struct world_config){.seed = 21, .workers = 2, .mbufs = 2048});
    struct worker *from = world->shared.members[0], *to = world->shared.members[1];
    struct rte_mempool *pool = wire_queue(world->front, 0, 0)->mempool;
    for (uint32_t i = 0; i < TURN + MORE; i++) {
        struct net_arrivals arrivals = {.foreign_count = 1, .foreign_owner = {to->index}};
        arrivals.foreign[0] = rte_pktmbuf_alloc(pool); /* nothing in it: it is dropped */
        assert_non_null(arrivals.foreign[0]);
        mail_hand_over(from, &arrivals);
    }
    uint64_t taken = world_counter(world, "worker", "taken_over_packets");
    worker_turn(to, world->now);
    assert_int_equal(world_counter(world, "worker", "taken_over_packets"), taken + TURN);
    worker_turn(to, world->now);
    assert_int_equal(world_counter(world, "worker", "taken_over_packets"), taken + TURN + MORE);
    assert_true(check_and_close(world));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(honest_cards_bring_packets_home),
        cmocka_unit_test(cards_that_tell_no_hash_do_too),
        cmocka_unit_test(one_worker_needs_no_prediction),
        cmocka_unit_test(lying_cards_are_found_out_and_work),
        cmocka_unit_test(a_card_that_begins_to_lie_hurts_no_connection),
        cmocka_unit_test(what_a_full_ring_does_not_take_is_counted_and_freed),
        cmocka_unit_test(what_a_turn_hands_over_a_turn_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
