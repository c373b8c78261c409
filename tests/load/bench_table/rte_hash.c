#include "dataplane/base/check.h"
#include "tests/load/bench_table/bench_table.h"

#include <rte_hash.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>
#include <stdlib.h>
#include <string.h>

/* The keys lie in the hash's own store; a position is given back after a grace period. */
static struct rte_hash *hash;
static struct rte_rcu_qsbr *quiescence;

/* Ordinary memory for DPDK's allocator: whatever pages the other tables have, it has too. */
static int heap_socket(void)
{
    static bool made;
    size_t page = 2 << 20, bytes = (size_t)1 << 30;
    if (!made) {
        void *memory = aligned_alloc(page, bytes);
        check(memory != NULL && rte_malloc_heap_create("bench") == 0);
        check(rte_malloc_heap_memory_add("bench", memory, bytes, NULL, (unsigned)(bytes / page),
                                         page) == 0);
        made = true;
    }
    return rte_malloc_heap_get_socket("bench");
}

static uint32_t never_called(const void *key, uint32_t length, uint32_t seed)
{
    check(!"every call gives the hash");
    return 0;
}

/* What is removed waits in a queue until readers have passed, as ours does. */
static void create(uint32_t keys, uint32_t threads)
{
    struct rte_hash_parameters parameters = {
        .name = "bench",
        .entries = keys,
        .key_len = BENCH_KEY_BYTES,
        .hash_func = never_called,
        .socket_id = heap_socket(),
        .extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF | RTE_HASH_EXTRA_FLAGS_EXT_TABLE |
                      (threads > 1 ? RTE_HASH_EXTRA_FLAGS_MULTI_WRITER_ADD : 0),
    };
    size_t size = rte_rcu_qsbr_get_memsize(threads);
    quiescence = aligned_alloc(64, (size + 63) & ~(size_t)63);
    check(quiescence != NULL && rte_rcu_qsbr_init(quiescence, threads) == 0);
    hash = rte_hash_create(&parameters);
    check(hash != NULL);
    rte_hash_set_cmp_func(hash, memcmp);
    struct rte_hash_rcu_config reclaiming = {
        .v = quiescence, .mode = RTE_HASH_QSBR_MODE_DQ, .max_reclaim_size = 2 * BENCH_BURST};
    check(rte_hash_rcu_qsbr_add(hash, &reclaiming) == 0);
}

static void destroy(void)
{
    rte_hash_free(hash);
    free(quiescence);
}

/* Its caches of free positions are lcores'. */
static void enter(uint32_t thread)
{
    check(rte_lcore_id() != LCORE_ID_ANY || rte_thread_register() == 0);
    check(rte_rcu_qsbr_thread_register(quiescence, thread) == 0);
    rte_rcu_qsbr_thread_online(quiescence, thread);
}

static void leave_thread(uint32_t thread)
{
    rte_rcu_qsbr_thread_offline(quiescence, thread);
    check(rte_rcu_qsbr_thread_unregister(quiescence, thread) == 0);
    if (rte_lcore_id() != rte_get_main_lcore())
        rte_thread_unregister();
}

static void rest(uint32_t thread)
{
    rte_rcu_qsbr_quiescent(quiescence, thread);
}

static void settle(void)
{
}

/* It overwrites what is there, and does not tell: an insertion only if absent would cost more. */
static void lead(struct bench_burst *burst)
{
    for (uint32_t i = 0; i < BENCH_BURST; i++)
        burst->failed += rte_hash_add_key_with_hash_data(hash, burst->keys[i].bytes,
                                                         (hash_sig_t)burst->keys[i].hash,
                                                         (void *)burst->values[i]) != 0;
}

static void join(struct bench_burst *burst)
{
    for (uint32_t i = 0; i < BENCH_BURST; i++) {
        void *value = NULL;
        burst->failed +=
            rte_hash_lookup_with_hash_data(hash, burst->keys[i].bytes,
                                           (hash_sig_t)burst->keys[i].hash, &value) < 0;
        burst->values[i] = (uint64_t)value;
    }
}

static void join_batched(struct bench_burst *burst)
{
    for (uint32_t from = 0; from < BENCH_BURST; from += BENCH_BATCH) {
        const void *keys[BENCH_BATCH];
        hash_sig_t hashes[BENCH_BATCH];
        uint64_t found = 0;
        for (uint32_t i = 0; i < BENCH_BATCH; i++) {
            keys[i] = burst->keys[from + i].bytes;
            hashes[i] = (hash_sig_t)burst->keys[from + i].hash;
        }
        rte_hash_lookup_with_hash_bulk_data(hash, keys, hashes, BENCH_BATCH, &found,
                                            (void **)&burst->values[from]);
        burst->failed += BENCH_BATCH - (uint32_t)__builtin_popcountll(found);
    }
}

static void leave(struct bench_burst *burst)
{
    for (uint32_t i = 0; i < BENCH_BURST; i++)
        burst->failed += rte_hash_del_key_with_hash(hash, burst->keys[i].bytes,
                                                    (hash_sig_t)burst->keys[i].hash) < 0;
}

const struct bench_table bench_rte_hash = {
    .name = "rte_hash",
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

/* It has batches for look-ups only. */
const struct bench_table bench_rte_hash_batched = {
    .name = "rte_hash, bulk of 8",
    .create = create,
    .destroy = destroy,
    .enter = enter,
    .exit = leave_thread,
    .rest = rest,
    .settle = settle,
    .lead = lead,
    .join = join_batched,
    .leave = leave,
};
