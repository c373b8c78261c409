#include "dataplane/base/check.h"
#include "dataplane/base/memory.h"
#include "dataplane/coalesce/coalesce.h"
#include "dataplane/coalesce/entries.h"
#include "tests/load/bench_table/bench_table.h"

#include <rte_rcu_qsbr.h>
#include <stdlib.h>

static struct coalesce_table *table;
static struct rte_rcu_qsbr *quiescence;
static struct entries entries[BENCH_THREADS_MAX];

static void create(uint32_t keys, uint32_t threads)
{
    size_t size = rte_rcu_qsbr_get_memsize(threads);
    table = coalesce_table_create(keys, 1, 2, -1);
    quiescence = aligned_alloc(64, (size + 63) & ~(size_t)63);
    check(table != NULL && quiescence != NULL && rte_rcu_qsbr_init(quiescence, threads) == 0);
    for (uint32_t i = 0; i < threads; i++)
        check(entries_init(&entries[i], table, (uint16_t)i, (uint16_t)threads, quiescence, -1));
}

static void destroy(void)
{
    memory_reset();
    free(quiescence);
}

static void enter(uint32_t thread)
{
    check(rte_rcu_qsbr_thread_register(quiescence, thread) == 0);
    rte_rcu_qsbr_thread_online(quiescence, thread);
}

static void leave_thread(uint32_t thread)
{
    rte_rcu_qsbr_thread_offline(quiescence, thread);
    check(rte_rcu_qsbr_thread_unregister(quiescence, thread) == 0);
}

static void rest(uint32_t thread)
{
    rte_rcu_qsbr_quiescent(quiescence, thread);
    entries_tick(&entries[thread], 2 * BENCH_BURST);
}

static void settle(void)
{
}

static struct bytes key_of(const struct bench_key *key)
{
    return bytes_of(key->bytes, BENCH_KEY_BYTES);
}

static void lead_one(struct bench_burst *burst, uint32_t i)
{
    struct key_entry *met = NULL;
    struct key_entry *mine = entries_take(&entries[burst->thread], burst->keys[i].hash,
                                          key_of(&burst->keys[i]), burst->values[i]);
    burst->places[i] = mine;
    if (mine != NULL && table_put(table, mine, &met) == TABLE_PUT_DONE)
        return;
    if (mine != NULL)
        entries_give(&entries[burst->thread], mine);
    burst->places[i] = NULL;
    burst->failed++;
}

/* As the product does: who owns the flight, and which it is. */
static void join_one(struct bench_burst *burst, uint32_t i)
{
    const struct key_entry *met = table_find(table, burst->keys[i].hash, key_of(&burst->keys[i]));
    burst->values[i] = met == NULL ? 0 : met->flight;
    burst->failed += met == NULL;
}

static void leave_one(struct bench_burst *burst, uint32_t i)
{
    struct key_entry *mine = burst->places[i];
    if (mine == NULL)
        return;
    table_remove(table, mine);
    entries_retire(&entries[burst->thread], mine);
}

static void lead(struct bench_burst *burst)
{
    for (uint32_t i = 0; i < BENCH_BURST; i++)
        lead_one(burst, i);
}

static void join(struct bench_burst *burst)
{
    for (uint32_t i = 0; i < BENCH_BURST; i++)
        join_one(burst, i);
}

static void leave(struct bench_burst *burst)
{
    for (uint32_t i = 0; i < BENCH_BURST; i++)
        leave_one(burst, i);
}

static void prefetch_buckets(const struct bench_burst *burst, uint32_t from)
{
    for (uint32_t i = from; i < from + BENCH_BATCH; i++)
        table_prefetch(table, burst->keys[i].hash);
}

static void prefetch_entries(const struct bench_burst *burst, uint32_t from)
{
    for (uint32_t i = from; i < from + BENCH_BATCH; i++)
        table_prefetch_entries(table, burst->keys[i].hash);
}

/* Inlined: a call by pointer would be measured, too. */
static inline __attribute__((always_inline)) void
in_batches(struct bench_burst *burst, void (*one)(struct bench_burst *burst, uint32_t index))
{
    for (uint32_t from = 0; from < BENCH_BURST; from += BENCH_BATCH) {
        prefetch_buckets(burst, from);
        prefetch_entries(burst, from);
        for (uint32_t i = from; i < from + BENCH_BATCH; i++)
            one(burst, i);
    }
}

static void lead_batched(struct bench_burst *burst)
{
    in_batches(burst, lead_one);
}

static void join_batched(struct bench_burst *burst)
{
    in_batches(burst, join_one);
}

static void leave_batched(struct bench_burst *burst)
{
    for (uint32_t from = 0; from < BENCH_BURST; from += BENCH_BATCH) {
        prefetch_buckets(burst, from);
        for (uint32_t i = from; i < from + BENCH_BATCH; i++)
            __builtin_prefetch(burst->places[i], 1);
        for (uint32_t i = from; i < from + BENCH_BATCH; i++)
            leave_one(burst, i);
    }
}

const struct bench_table bench_ours = {
    .name = "weir",
    .create = create,
    .destroy = destroy,
    .enter = enter,
    .exit = leave_thread,
    .rest = rest,
    .settle = settle,
    .lead = lead,
    .join = join,
    .leave = leave,
};

const struct bench_table bench_ours_batched = {
    .name = "weir, batches of 8",
    .create = create,
    .destroy = destroy,
    .enter = enter,
    .exit = leave_thread,
    .rest = rest,
    .settle = settle,
    .lead = lead_batched,
    .join = join_batched,
    .leave = leave_batched,
};
