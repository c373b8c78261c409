/*
 * relay, branch, table: two workers as two real threads, with the real rings between them, each
 * playing its clients and its backend. What test_relay shows for every order of steps, this shows
 * for memory: it is meant for ThreadSanitizer, and checks the bytes without it as well.
 */
#include "dataplane/base/ring_spsc.h"
#include "dataplane/coalesce/relay.h"
#include "tests/support/coalesce_world.h"

#include <pthread.h>
#include <rte_rcu_qsbr.h>

#define THREADS    2
#define CLIENTS    12
#define RING       64
#define TRIES_ROOM (FAKE_TRIES_MAX - 256)
#define ENOUGH     300      /* whole answers that each thread should have read from the other */
#define TURNS_MAX  20000000 /* in which it has to come to that */

#if defined(__SANITIZE_THREAD__)
/* DPDK keeps the last acknowledged token in a plain word; an older one only makes it look again. */
const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
    return "race:__rte_rcu_qsbr_check_selective\nrace:__rte_rcu_qsbr_check_all\n"
           "race:rte_rcu_qsbr_check\n";
}
#endif

struct lane {
    struct ring_spsc mails; /* to the other thread */
};

/* What one thread owns. Its world has the one worker that is its own, and the shared table. */
struct side {
    pthread_t thread;
    uint16_t index;
    struct world world;
    struct random random;
    struct client clients[CLIENTS];
    bool alive[CLIENTS];
    uint64_t whole_from_other;
    uint64_t whole;
    bool had_enough;
};

static struct side *sides[THREADS];
static struct lane lanes[THREADS];
static struct rte_rcu_qsbr *quiescence;
static uint32_t satisfied;

static bool ring_post(struct postman *postman, uint16_t to, const struct mail *mail)
{
    return ring_spsc_push(&lanes[postman->self].mails, mail);
}

static struct world_worker *worker_of(struct side *side)
{
    return &side->world.workers[side->index];
}

static uint32_t dice(struct side *side, uint32_t bound)
{
    return random_below(&side->random, bound);
}

static void take_mail(struct side *side)
{
    struct mail mail;
    for (uint32_t i = 0; i < 16 && ring_spsc_pop(&lanes[1 - side->index].mails, &mail); i++)
        coalesce_mail(worker_of(side)->coalesce, &mail, side->world.now);
}

static void come_or_read(struct side *side)
{
    static const char *const paths[] = {"/a", "/b"};
    uint32_t i = dice(side, CLIENTS);
    struct client *client = &side->clients[i];
    if (!side->alive[i]) {
        if (worker_of(side)->upstream->started > TRIES_ROOM)
            return;
        client_get(client, worker_of(side), paths[dice(side, 2)]);
        side->alive[i] = client->result == SUBSCRIBE_OK;
        return;
    }
    if (client->result == SUBSCRIBE_OK)
        client_read(client, dice(side, 5000));
    while (client->held_count > 0 && dice(side, 3) > 0)
        client_release(client, dice(side, client->held_count));
    if (client->result == SUBSCRIBE_OK && !client->ended && !client->failed && dice(side, 60) > 0)
        return;
    side->whole += client->ended;
    side->whole_from_other += client->ended && client->answer / 1000000 != side->index;
    client_leave(client);
    side->alive[i] = false;
}

static void answer_something(struct side *side)
{
    struct world_worker *worker = worker_of(side);
    struct upstream *upstream = worker->upstream;
    uint32_t span = upstream->started < 12 ? upstream->started : 12;
    if (span == 0)
        return;
    struct fake_try *try = &upstream->tries[upstream->started - 1 - dice(side, span)];
    if (try->attempt == NULL || try->response_ended)
        return;
    if (dice(side, 60) == 0) {
        fake_fail(try, ATTEMPT_CONNECTION_LOST, side->world.now);
        return;
    }
    if (!try->head_sent) {
        bool shareable = dice(side, 10) > 0;
        answer_head(worker, try, "200", shareable ? NULL : "cache-control", "no-store", false);
        return;
    }
    if (try->sent - try->consumed < 6000)
        answer_data(worker, try, dice(side, 2000), dice(side, 12) == 0);
}

/* The record of tries is finite: begin it anew when nothing is under way. */
static void forget_tries(struct side *side)
{
    struct upstream *upstream = worker_of(side)->upstream;
    if (upstream->started > TRIES_ROOM && fake_active(upstream) == 0)
        upstream->started = 0;
}

static void turn(struct side *side)
{
    struct world_worker *worker = worker_of(side);
    side->world.now += CLOCK_MS;
    coalesce_begin_step(worker->coalesce, &side->world.snapshot);
    take_mail(side);
    timer_wheel_advance(&worker->wheel, side->world.now, 1000);
    for (uint32_t i = 0; i < 4; i++)
        come_or_read(side);
    for (uint32_t i = 0; i < 4; i++)
        answer_something(side);
    coalesce_tick(worker->coalesce, side->world.now);
    forget_tries(side);
    rte_rcu_qsbr_quiescent(quiescence, side->index);
}

static void everybody_leaves(struct side *side)
{
    for (uint32_t i = 0; i < CLIENTS; i++)
        if (side->alive[i])
            client_leave(&side->clients[i]);
}

static bool is_satisfied(struct side *side)
{
    if (!side->had_enough && side->whole_from_other >= ENOUGH) {
        side->had_enough = true;
        __atomic_fetch_add(&satisfied, 1, __ATOMIC_RELAXED);
    }
    return __atomic_load_n(&satisfied, __ATOMIC_RELAXED) >= THREADS;
}

static void *run(void *context)
{
    struct side *side = context;
    for (uint32_t i = 0; i < TURNS_MAX && !is_satisfied(side); i++)
        turn(side);
    everybody_leaves(side);
    rte_rcu_qsbr_thread_offline(quiescence, side->index);
    return NULL;
}

static void make_quiescence(void)
{
    size_t bytes = rte_rcu_qsbr_get_memsize(THREADS);
    quiescence = aligned_alloc(64, (bytes + 63) / 64 * 64);
    assert_non_null(quiescence);
    assert_int_equal(rte_rcu_qsbr_init(quiescence, THREADS), 0);
    for (uint32_t i = 0; i < THREADS; i++) {
        rte_rcu_qsbr_thread_register(quiescence, i);
        rte_rcu_qsbr_thread_online(quiescence, i);
    }
}

static struct side *make_side(uint16_t index, struct coalesce_table *table)
{
    struct side *side = calloc(1, sizeof(*side));
    assert_non_null(side);
    side->index = index;
    side->world.count = THREADS;
    side->world.now = CLOCK_S;
    side->world.table = table;
    side->world.quiescence = quiescence;
    random_seed(&side->random, 100 + index);
    world_make_snapshot(&side->world);
    world_make_worker(&side->world, index, 16, 128);
    worker_of(side)->postman.post = ring_post;
    assert_true(ring_spsc_init(&lanes[index].mails, "test mails", RING, sizeof(struct mail), -1));
    return side;
}

/* What is still under way, on one thread. */
static void finish(void)
{
    for (int i = 0; i < 2000; i++)
        for (uint16_t j = 0; j < THREADS; j++) {
            struct world_worker *worker = worker_of(sides[j]);
            sides[j]->world.now += CLOCK_MS;
            take_mail(sides[j]);
            timer_wheel_advance(&worker->wheel, sides[j]->world.now, 1000);
            coalesce_tick(worker->coalesce, sides[j]->world.now);
        }
}

static void assert_nothing_left(const struct coalesce *coalesce)
{
    assert_int_equal(pool_used(&coalesce->flights), 0);
    assert_int_equal(pool_used(&coalesce->branches), 0);
    assert_int_equal(pool_used(&coalesce->relays), 0);
    assert_int_equal(pool_used(&coalesce->loans), 0);
    assert_int_equal(pool_used(&coalesce->lents), 0);
    assert_int_equal(pool_used(&coalesce->payload.segments), 0);
    assert_int_equal(coalesce->entries.free_count, coalesce->entries.count);
}

static void two_threads_share_flights_and_lose_nothing(void **state)
{
    struct coalesce_table *table = coalesce_table_create(64, 1, 2, -1);
    make_quiescence();
    for (uint16_t i = 0; i < THREADS; i++)
        sides[i] = make_side(i, table);
    for (uint16_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&sides[i]->thread, NULL, run, sides[i]), 0);
    for (uint16_t i = 0; i < THREADS; i++)
        pthread_join(sides[i]->thread, NULL);
    finish();
    for (uint16_t i = 0; i < THREADS; i++) {
        print_message("%llu whole answers, %llu of the other worker's\n",
                      (unsigned long long)sides[i]->whole,
                      (unsigned long long)sides[i]->whole_from_other);
        assert_true(sides[i]->whole_from_other >= ENOUGH);
        assert_nothing_left(worker_of(sides[i])->coalesce);
        free(worker_of(sides[i])->upstream);
        free(sides[i]);
    }
    free(quiescence);
    memory_reset();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_threads_share_flights_and_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
