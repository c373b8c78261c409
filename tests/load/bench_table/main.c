#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/random.h"
#include "dataplane/base/siphash.h"
#include "tests/load/bench_table/bench_table.h"
#include "tests/support/test_eal.h"

#include <pthread.h>
#include <rte_eal.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIVE_DEFAULT 1000000u
#define WINDOW       (128u * BENCH_BURST) /* keys that come and go in a round, for each thread */
#define ROUNDS       4
#define JOINS        (WINDOW / BENCH_BURST)

enum operation { LEAD, JOIN, LEAVE, OPERATIONS };

static const char *const operation_names[OPERATIONS] = {"lead", "join", "leave"};
static const struct siphash_key secret = {1, 2};
static uint32_t live = LIVE_DEFAULT;
static double cycles_per_ns;

/* One thread's work and what it took, cycles a burst. */
struct runner {
    const struct bench_table *table;
    uint32_t thread;
    uint32_t threads;
    pthread_barrier_t *together;
    struct random random;
    struct bench_key keys[BENCH_BURST];
    uint64_t values[BENCH_BURST];
    void *places[BENCH_BURST];
    void **window_places;
    uint32_t *order;
    uint64_t cycles[OPERATIONS][ROUNDS * WINDOW / BENCH_BURST];
    uint32_t bursts[OPERATIONS];
    uint32_t failed;
};

/* Keys of one length that differ in the middle, as those of requests do. */
static void make_key(struct bench_key *key, uint32_t number)
{
    memset(key->bytes, 'x', BENCH_KEY_BYTES);
    memcpy(key->bytes + 96, &number, sizeof(number));
    key->hash = siphash(&secret, bytes_of(key->bytes, BENCH_KEY_BYTES));
}

static void run_burst(struct runner *runner, enum operation operation, bool counts)
{
    bench_operation *act = NULL;
    struct bench_burst burst = {runner->thread, runner->keys, runner->values, runner->places, 0};
    switch (operation) {
    case LEAD:
        act = runner->table->lead;
        break;
    case JOIN:
        act = runner->table->join;
        break;
    case LEAVE:
        act = runner->table->leave;
        break;
    case OPERATIONS:
        break;
    }
    uint64_t begin = clock_cycles();
    act(&burst);
    runner->table->rest(runner->thread);
    uint64_t cycles = clock_cycles() - begin;
    runner->failed += burst.failed;
    if (counts)
        runner->cycles[operation][runner->bursts[operation]++] = cycles;
}

static void prepare(struct runner *runner, uint32_t i, uint32_t number)
{
    make_key(&runner->keys[i], number);
    runner->values[i] = number + 1ull;
}

/* This thread's part of the keys that stay. */
static void fill(struct runner *runner)
{
    uint32_t mine = live / runner->threads / BENCH_BURST * BENCH_BURST;
    for (uint32_t done = 0; done < mine; done += BENCH_BURST) {
        for (uint32_t i = 0; i < BENCH_BURST; i++)
            prepare(runner, i, (done + i) * runner->threads + runner->thread);
        run_burst(runner, LEAD, false);
    }
}

static uint32_t window_number(const struct runner *runner, uint32_t at)
{
    return live + runner->thread * WINDOW + at;
}

static void lead_window(struct runner *runner)
{
    for (uint32_t from = 0; from < WINDOW; from += BENCH_BURST) {
        for (uint32_t i = 0; i < BENCH_BURST; i++)
            prepare(runner, i, window_number(runner, from + i));
        run_burst(runner, LEAD, true);
        memcpy(&runner->window_places[from], runner->places, sizeof(runner->places));
    }
}

/* Any of those that stay, whoever led them. */
static void join_some(struct runner *runner)
{
    uint32_t known = live / runner->threads / BENCH_BURST * BENCH_BURST * runner->threads;
    for (uint32_t burst = 0; burst < JOINS; burst++) {
        uint32_t numbers[BENCH_BURST];
        uint32_t missed = runner->failed;
        for (uint32_t i = 0; i < BENCH_BURST; i++) {
            numbers[i] = (uint32_t)(random_u64(&runner->random) % known);
            prepare(runner, i, numbers[i]);
        }
        run_burst(runner, JOIN, true);
        for (uint32_t i = 0; i < BENCH_BURST; i++)
            check(runner->values[i] == numbers[i] + 1ull ||
                  (runner->values[i] == 0 && runner->failed > missed));
    }
}

static void shuffle(struct runner *runner)
{
    for (uint32_t i = WINDOW - 1; i > 0; i--) {
        uint32_t other = (uint32_t)(random_u64(&runner->random) % (i + 1));
        uint32_t kept = runner->order[i];
        runner->order[i] = runner->order[other];
        runner->order[other] = kept;
    }
}

static void leave_window(struct runner *runner)
{
    shuffle(runner);
    for (uint32_t from = 0; from < WINDOW; from += BENCH_BURST) {
        for (uint32_t i = 0; i < BENCH_BURST; i++) {
            prepare(runner, i, window_number(runner, runner->order[from + i]));
            runner->places[i] = runner->window_places[runner->order[from + i]];
        }
        run_burst(runner, LEAVE, true);
    }
}

static void wait_for_all(struct runner *runner)
{
    runner->table->exit(runner->thread); /* who waits must not hold back grace periods */
    pthread_barrier_wait(runner->together);
    if (runner->thread == 0)
        runner->table->settle();
    pthread_barrier_wait(runner->together);
    runner->table->enter(runner->thread);
}

static void *run(void *context)
{
    struct runner *runner = context;
    cpu_set_t cpu;
    CPU_ZERO(&cpu);
    CPU_SET((int)runner->thread, &cpu);
    pthread_setaffinity_np(pthread_self(), sizeof(cpu), &cpu);
    runner->table->enter(runner->thread);
    fill(runner);
    for (int round = 0; round < ROUNDS; round++) {
        wait_for_all(runner);
        lead_window(runner);
        wait_for_all(runner);
        join_some(runner);
        wait_for_all(runner);
        leave_window(runner);
    }
    runner->table->exit(runner->thread);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* A tenth of the bursts took less: other work on the machine lengthens most of them. */
static double fast_ns(struct runner *runners, uint32_t threads, enum operation operation)
{
    static uint64_t all[BENCH_THREADS_MAX * ROUNDS * WINDOW / BENCH_BURST];
    uint32_t count = 0;
    for (uint32_t i = 0; i < threads; i++) {
        memcpy(&all[count], runners[i].cycles[operation],
               runners[i].bursts[operation] * sizeof(all[0]));
        count += runners[i].bursts[operation];
    }
    qsort(all, count, sizeof(all[0]), compare);
    return (double)all[count / 10] / cycles_per_ns / BENCH_BURST;
}

static struct runner *runners_make(const struct bench_table *table, uint32_t threads,
                                   pthread_barrier_t *together)
{
    struct runner *runners = calloc(threads, sizeof(*runners));
    check(runners != NULL);
    for (uint32_t i = 0; i < threads; i++) {
        struct runner *runner = &runners[i];
        runner->table = table;
        runner->thread = i;
        runner->threads = threads;
        runner->together = together;
        runner->window_places = calloc(WINDOW, sizeof(void *));
        runner->order = calloc(WINDOW, sizeof(uint32_t));
        check(runner->window_places != NULL && runner->order != NULL);
        for (uint32_t at = 0; at < WINDOW; at++)
            runner->order[at] = at;
        random_seed(&runner->random, 7 + i);
    }
    return runners;
}

static void race(const struct bench_table *table, uint32_t threads, double ns[OPERATIONS])
{
    pthread_t ids[BENCH_THREADS_MAX];
    pthread_barrier_t together;
    pthread_barrier_init(&together, NULL, threads);
    struct runner *runners = runners_make(table, threads, &together);
    uint32_t failed = 0;
    table->create(live + live / 8 + 4 * WINDOW, threads);
    for (uint32_t i = 0; i < threads; i++)
        check(pthread_create(&ids[i], NULL, run, &runners[i]) == 0);
    for (uint32_t i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    for (int operation = 0; operation < OPERATIONS; operation++)
        ns[operation] = fast_ns(runners, threads, (enum operation)operation);
    for (uint32_t i = 0; i < threads; i++) {
        failed += runners[i].failed;
        free(runners[i].window_places);
        free(runners[i].order);
    }
    printf("%-22s %7u", table->name, threads);
    for (int operation = 0; operation < OPERATIONS; operation++)
        printf(" %8.1f", ns[operation]);
    printf(" %8u\n", failed);
    fflush(stdout);
    table->destroy();
    free(runners);
    pthread_barrier_destroy(&together);
}

static void calibrate(void)
{
    uint64_t ns = clock_now_ns(), cycles = clock_cycles();
    while (clock_now_ns() - ns < 50000000)
        ;
    cycles_per_ns = (double)(clock_cycles() - cycles) / (double)(clock_now_ns() - ns);
}

static void print_hash(void)
{
    struct bench_key key;
    uint64_t best = UINT64_MAX;
    for (uint32_t i = 0; i < 10000; i++) {
        uint64_t begin = clock_cycles();
        make_key(&key, i);
        uint64_t cycles = clock_cycles() - begin;
        best = cycles < best ? cycles : best;
    }
    printf("hash of %u bytes, the same for all: %.1f ns at best\n\n", BENCH_KEY_BYTES,
           (double)best / cycles_per_ns);
}

static void print_ratios(const char *what, double ours[OPERATIONS], double theirs[OPERATIONS])
{
    printf("%-30s", what);
    for (int operation = 0; operation < OPERATIONS; operation++)
        printf(" %8.2f", theirs[operation] / ours[operation]);
    printf("\n");
}

static void race_all(uint32_t threads)
{
    static const struct bench_table *const tables[] = {
        &bench_ours, &bench_ours_batched, &bench_rte_hash, &bench_rte_hash_batched,
#ifdef WITH_URCU
        &bench_lfht,
#endif
    };
    static const char *const pairs[] = {"rte_hash / weir", "rte_hash bulk / weir batches",
                                        "cds_lfht / weir", "cds_lfht / weir batches"};
    double ns[5][OPERATIONS];
    for (size_t i = 0; i < array_count(tables); i++)
        race(tables[i], threads, ns[i]);
    printf("%-30s\n", "ratios (above 1: weir is ahead)");
    print_ratios(pairs[0], ns[0], ns[2]);
    print_ratios(pairs[1], ns[1], ns[3]);
    if (array_count(tables) == 5) {
        print_ratios(pairs[2], ns[0], ns[4]);
        print_ratios(pairs[3], ns[1], ns[4]);
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    if (argc > 1)
        live = (uint32_t)strtoul(argv[1], NULL, 10);
    if (live < 1024 || live > 1500000) {
        fprintf(stderr, "usage: bench_table [LIVE_KEYS], 1024 to 1500000\n");
        return 2;
    }
    test_eal_init();
    calibrate();
    print_hash();
    printf("%u live keys of %u bytes; ns an operation, of bursts of %u the one that a tenth "
           "undercut\n\n",
           live, BENCH_KEY_BYTES, BENCH_BURST);
    printf("%-22s %7s", "", "threads");
    for (int operation = 0; operation < OPERATIONS; operation++)
        printf(" %8s", operation_names[operation]);
    printf(" %8s\n", "failed");
    race_all(1);
    race_all(2);
    return 0;
}
