/*
 * bench_table: the join-or-lead table beside rte_hash and liburcu's cds_lfht, on the same
 * operations, keys and hashes. Nanoseconds an operation; see docs/benchmarks.md.
 *
 *     bench_table [LIVE_KEYS]
 *
 * An operation is done for a burst of keys that lie in the cache, as a request's do; the table's
 * memory does not. The hash is known: its cost is the same for all, and it is printed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_KEY_BYTES   192 /* a GET with an API key and a few fields */
#define BENCH_BURST       256
#define BENCH_BATCH       8
#define BENCH_THREADS_MAX 2

struct bench_key {
    uint64_t hash;
    uint8_t bytes[BENCH_KEY_BYTES];
};

/* What a burst works on. */
struct bench_burst {
    uint32_t thread;
    const struct bench_key *keys;
    uint64_t *values; /* lead: what to store, from 1 on; join: what was found, 0: nothing */
    void **places;    /* lead: where it is now; leave: whom to remove */
    uint32_t failed;
};

typedef void bench_operation(struct bench_burst *burst);

/* A table in the race. Functions stop the program when there is not enough memory. */
struct bench_table {
    const char *name;
    void (*create)(uint32_t keys, uint32_t threads);
    void (*destroy)(void);
    void (*enter)(uint32_t thread); /* called in the thread, also exit and rest */
    void (*exit)(uint32_t thread);
    void (*rest)(uint32_t thread); /* holds no reference: quiescent; frees what may be freed */
    void (*settle)(void);          /* nobody works: frees all that was removed */
    bench_operation *lead;         /* insert if absent */
    bench_operation *join;         /* find, compare, read where the flight is */
    bench_operation *leave;        /* remove, the memory is used again after a grace period */
};

extern const struct bench_table bench_ours;
extern const struct bench_table bench_ours_batched;
extern const struct bench_table bench_rte_hash;
extern const struct bench_table bench_rte_hash_batched;
extern const struct bench_table bench_lfht;
