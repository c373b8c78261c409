/*
 * Workers, mails, clients and backends in random order: every client reads the bytes of one answer,
 * an end only when that answer ended, nothing that was not for it, and nothing is left in the end.
 */
#include "tests/unit/coalesce/relay_case.h"

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

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(in_any_order_everybody_reads_one_whole_answer_or_learns_that_it_broke),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
