#include "dataplane/base/check.h"
#include "tests/load/bench_table/bench_table.h"

#include <stdlib.h>
#include <string.h>
#include <urcu-qsbr.h>

#include <urcu/rculfhash.h>

struct lfht_entry {
    struct cds_lfht_node node;
    struct rcu_head head;
    struct lfht_entry *next; /* of the free ones */
    uint64_t value;
    uint32_t thread;
    uint8_t key[BENCH_KEY_BYTES];
};

static struct cds_lfht *table;
static struct lfht_entry *entries;
static struct lfht_entry *unused[BENCH_THREADS_MAX];
static struct lfht_entry *removed[BENCH_THREADS_MAX]; /* their grace period has passed */

static uint32_t buckets_for(uint32_t keys)
{
    uint32_t count = 1;
    while (count < keys)
        count *= 2;
    return count;
}

/* A bucket for each key, fixed: nothing is resized while it is measured. */
static void create(uint32_t keys, uint32_t threads)
{
    uint32_t buckets = buckets_for(keys);
    table = cds_lfht_new(buckets, buckets, buckets, 0, NULL);
    entries = calloc(keys, sizeof(*entries));
    check(table != NULL && entries != NULL);
    for (uint32_t i = keys; i-- > 0;) {
        uint32_t thread = (uint32_t)((uint64_t)i * threads / keys);
        entries[i].thread = thread;
        entries[i].next = unused[thread];
        unused[thread] = &entries[i];
    }
}

/* The table's memory stays: to empty it would take longer than the measurement. */
static void destroy(void)
{
    rcu_barrier();
    free(entries);
    memset(unused, 0, sizeof(unused));
    memset(removed, 0, sizeof(removed));
}

static void enter(uint32_t thread)
{
    rcu_register_thread();
}

static void leave_thread(uint32_t thread)
{
    rcu_unregister_thread();
}

static void rest(uint32_t thread)
{
    rcu_quiescent_state();
}

/* Callbacks run on liburcu's own thread; nobody takes or removes now. */
static void settle(void)
{
    rcu_barrier();
    for (uint32_t i = 0; i < BENCH_THREADS_MAX; i++) {
        while (removed[i] != NULL) {
            struct lfht_entry *entry = removed[i];
            removed[i] = entry->next;
            entry->next = unused[i];
            unused[i] = entry;
        }
    }
}

static int serves(struct cds_lfht_node *node, const void *key)
{
    return memcmp(caa_container_of(node, struct lfht_entry, node)->key, key, BENCH_KEY_BYTES) == 0;
}

static void lead(struct bench_burst *burst)
{
    for (uint32_t i = 0; i < BENCH_BURST; i++) {
        const struct bench_key *key = &burst->keys[i];
        struct lfht_entry *mine = unused[burst->thread];
        check(mine != NULL);
        unused[burst->thread] = mine->next;
        mine->value = burst->values[i];
        memcpy(mine->key, key->bytes, BENCH_KEY_BYTES);
        cds_lfht_node_init(&mine->node);
        burst->places[i] = mine;
        burst->failed += cds_lfht_add_unique(table, (unsigned long)key->hash, serves, key->bytes,
                                             &mine->node) != &mine->node;
    }
}

static void join(struct bench_burst *burst)
{
    for (uint32_t i = 0; i < BENCH_BURST; i++) {
        struct cds_lfht_iter iter;
        cds_lfht_lookup(table, (unsigned long)burst->keys[i].hash, serves, burst->keys[i].bytes,
                        &iter);
        struct cds_lfht_node *node = cds_lfht_iter_get_node(&iter);
        burst->failed += node == NULL;
        burst->values[i] =
            node == NULL ? 0 : caa_container_of(node, struct lfht_entry, node)->value;
    }
}

static void passed(struct rcu_head *head)
{
    struct lfht_entry *entry = caa_container_of(head, struct lfht_entry, head);
    entry->next = removed[entry->thread];
    removed[entry->thread] = entry;
}

static void leave(struct bench_burst *burst)
{
    for (uint32_t i = 0; i < BENCH_BURST; i++) {
        struct lfht_entry *mine = burst->places[i];
        burst->failed += cds_lfht_del(table, &mine->node) != 0;
        call_rcu(&mine->head, passed);
    }
}

const struct bench_table bench_lfht = {
    .name = "cds_lfht",
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
