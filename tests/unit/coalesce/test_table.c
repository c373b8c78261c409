/*
 * table: the lock-free table and the entries behind it: against a model, in all interleavings of
 * small schedules, and with threads (to be run under ThreadSanitizer as well).
 *
 * The table is compiled into this file with a stop before each atomic operation, so that the
 * exploration can decide who goes next.
 */
#include <stdatomic.h>

static void stop_here(void);

#undef atomic_load_explicit
#undef atomic_compare_exchange_strong_explicit
#define atomic_load_explicit(object, order) (stop_here(), plain_load(object, order))
#define atomic_compare_exchange_strong_explicit(object, expected, desired, success, failure)       \
    (stop_here(), __atomic_compare_exchange_n((uint64_t *)(object), expected, desired, false,      \
                                              success, failure))
#define plain_load(object, order) __atomic_load_n((const uint64_t *)(object), order)

#include "dataplane/coalesce/table.c" /* NOLINT: see above */

#include "dataplane/coalesce/entries.h"
#include "tests/support/cmocka.h"

#include <pthread.h>
#include <rte_rcu_qsbr.h>
#include <stdlib.h>
#include <ucontext.h>

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1

/* DPDK keeps the last acknowledged token in a plain word; an older one only makes it look again. */
const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
    return "race:__rte_rcu_qsbr_check_selective\nrace:__rte_rcu_qsbr_check_all\n"
           "race:rte_rcu_qsbr_check\n";
}
#else
#define UNDER_TSAN 0
#endif

static struct coalesce_table *table;

static int set_up(void **state)
{
    table = coalesce_table_create(64, 11, 22, -1);
    assert_non_null(table);
    return 0;
}

static int tear_down(void **state)
{
    memory_reset();
    return 0;
}

static void key_number(uint32_t number, char text[16])
{
    snprintf(text, 16, "key %u", number);
}

static struct key_entry *find(uint32_t number)
{
    char text[16];
    key_number(number, text);
    return table_find(table, table_hash(table, bytes_text(text)), bytes_text(text));
}

static struct key_entry *take(struct entries *entries, uint32_t number, handle flight)
{
    char text[16];
    key_number(number, text);
    return entries_take(entries, table_hash(table, bytes_text(text)), bytes_text(text), flight);
}

static uint32_t bucket_index(uint32_t number)
{
    char text[16];
    key_number(number, text);
    return (uint32_t)(table_hash(table, bytes_text(text)) & table->bucket_mask);
}

/* COUNT keys that share a bucket. */
static void crowd(uint32_t *numbers, uint32_t count)
{
    uint32_t found = 0;
    for (uint32_t number = 0; found < count; number++)
        if (bucket_index(number) == 5)
            numbers[found++] = number;
}

/* --- one thread --- */

static void what_was_put_is_found_until_it_is_removed(void **state)
{
    struct entries entries;
    struct key_entry *met;
    assert_true(entries_init(&entries, table, 0, 1, NULL, -1));
    assert_null(find(1));
    struct key_entry *entry = take(&entries, 1, 77);
    assert_null(find(1));
    assert_int_equal(table_put(table, entry, &met), TABLE_PUT_DONE);
    assert_ptr_equal(find(1), entry);
    assert_int_equal(find(1)->flight, 77);
    assert_null(find(2));
    struct key_entry *second = take(&entries, 1, 78);
    assert_int_equal(table_put(table, second, &met), TABLE_PUT_MET);
    assert_ptr_equal(met, entry);
    entries_give(&entries, second);
    table_remove(table, entry);
    assert_null(find(1));
    entries_retire(&entries, entry);
    assert_int_equal(entries_tick(&entries, 10), 2);
}

static void a_full_bucket_refuses_and_takes_again(void **state)
{
    uint32_t numbers[4];
    struct key_entry *in[4];
    struct key_entry *met;
    struct entries entries;
    assert_true(entries_init(&entries, table, 0, 1, NULL, -1));
    crowd(numbers, 4);
    for (int i = 0; i < 4; i++) {
        in[i] = take(&entries, numbers[i], 1);
        assert_int_equal(table_put(table, in[i], &met), i < 3 ? TABLE_PUT_DONE : TABLE_PUT_FULL);
    }
    assert_null(find(numbers[3]));
    table_remove(table, in[1]);
    assert_ptr_equal(find(numbers[0]), in[0]);
    assert_ptr_equal(find(numbers[2]), in[2]);
    assert_null(find(numbers[1]));
    assert_int_equal(table_put(table, in[3], &met), TABLE_PUT_DONE);
    assert_ptr_equal(find(numbers[3]), in[3]);
}

/* C3 */
static void c3_the_hash_alone_does_not_make_keys_equal(void **state)
{
    struct entries entries;
    struct key_entry *met;
    assert_true(entries_init(&entries, table, 0, 1, NULL, -1));
    struct key_entry *a = take(&entries, 1, 1);
    struct key_entry *b = take(&entries, 2, 2);
    b->hash = a->hash;
    assert_int_equal(table_put(table, a, &met), TABLE_PUT_DONE);
    assert_int_equal(table_put(table, b, &met), TABLE_PUT_DONE);
    assert_ptr_equal(table_find(table, a->hash, bytes_text("key 2")), b);
    assert_ptr_equal(table_find(table, a->hash, bytes_text("key 1")), a);
    assert_null(table_find(table, a->hash, bytes_text("key 3")));
}

static void entries_are_bounded_and_shared_out(void **state)
{
    struct entries entries[3];
    struct key_entry *taken[64];
    char seen[64] = {0};
    uint32_t count = 0;
    for (uint16_t worker = 0; worker < 3; worker++) {
        assert_true(entries_init(&entries[worker], table, worker, 3, NULL, -1));
        struct key_entry *entry;
        while ((entry = take(&entries[worker], count, 1)) != NULL) {
            taken[count++] = entry;
            assert_int_equal(seen[entry - table->entries]++, 0);
            assert_int_equal(entry->owner, worker);
        }
    }
    assert_int_equal(count, 63);
    entries_give(&entries[0], taken[0]);
    assert_int_equal(entries_tick(&entries[0], 10), 1);
    assert_non_null(take(&entries[0], 1, 1));
    assert_null(take(&entries[0], 1, 1));
}

static void long_keys_come_from_a_pool_of_their_own(void **state)
{
    static uint8_t key[COALESCE_KEY_BYTES + 1];
    struct entries entries;
    struct key_entry *taken[64];
    uint32_t count = 0;
    assert_true(entries_init(&entries, table, 0, 1, NULL, -1));
    assert_null(entries_take(&entries, 1, bytes_of(key, sizeof(key)), 1));
    while ((taken[count] = entries_take(&entries, 1, bytes_of(key, COALESCE_KEY_BYTES), 1)) != NULL)
        count++;
    assert_int_equal(count, 64 / 8 + 1);
    assert_non_null(entries_take(&entries, 1, bytes_of(key, TABLE_KEY_BYTES), 1));
    for (uint32_t i = 0; i < count; i++)
        entries_retire(&entries, taken[i]);
    assert_int_equal(entries_tick(&entries, 100), count);
    assert_int_equal(pool_used(&entries.large_keys), 0);
}

static struct rte_rcu_qsbr *quiescence_create(uint32_t threads)
{
    size_t bytes = rte_rcu_qsbr_get_memsize(threads);
    struct rte_rcu_qsbr *quiescence = aligned_alloc(64, (bytes + 63) / 64 * 64);
    assert_non_null(quiescence);
    assert_int_equal(rte_rcu_qsbr_init(quiescence, threads), 0);
    for (uint32_t i = 0; i < threads; i++) {
        rte_rcu_qsbr_thread_register(quiescence, i);
        rte_rcu_qsbr_thread_online(quiescence, i);
    }
    return quiescence;
}

static void an_entry_rests_until_all_workers_have_passed(void **state)
{
    struct rte_rcu_qsbr *quiescence = quiescence_create(2);
    struct entries entries;
    struct key_entry *met;
    assert_true(entries_init(&entries, table, 0, 1, quiescence, -1));
    struct key_entry *entry = take(&entries, 1, 1);
    table_put(table, entry, &met);
    struct key_entry *seen = find(1);
    table_remove(table, entry);
    entries_retire(&entries, entry);
    assert_int_equal(entries_tick(&entries, 10), 0);
    rte_rcu_qsbr_quiescent(quiescence, 0);
    assert_int_equal(entries_tick(&entries, 10), 0);
    assert_memory_equal(seen->key, "key 1", 5);
    rte_rcu_qsbr_quiescent(quiescence, 1);
    assert_int_equal(entries_tick(&entries, 10), 1);
    free(quiescence);
}

static void one_grace_period_is_for_all_retired_before_it(void **state)
{
    struct rte_rcu_qsbr *quiescence = quiescence_create(2);
    struct entries entries;
    assert_true(entries_init(&entries, table, 0, 1, quiescence, -1));
    uint64_t token = quiescence->token;
    for (uint32_t i = 0; i < 3; i++)
        entries_give(&entries, take(&entries, i, i));
    assert_int_equal(entries_tick(&entries, 10), 0);
    assert_int_equal(quiescence->token, token + 1);
    entries_give(&entries, take(&entries, 3, 3));
    rte_rcu_qsbr_quiescent(quiescence, 0);
    rte_rcu_qsbr_quiescent(quiescence, 1);
    assert_int_equal(entries_tick(&entries, 2), 2);
    assert_int_equal(entries_tick(&entries, 2),
                     1); /* the fourth came later: it is asked about now */
    assert_int_equal(entries_tick(&entries, 2), 0);
    rte_rcu_qsbr_quiescent(quiescence, 0);
    rte_rcu_qsbr_quiescent(quiescence, 1);
    assert_int_equal(entries_tick(&entries, 2), 1);
    free(quiescence);
}

static void random_changes_match_a_model(void **state)
{
    enum { KEYS = 40 };
    struct entries entries;
    struct key_entry *model[KEYS] = {0};
    uint32_t seed = 7;
    uint32_t full = 0;
    assert_true(entries_init(&entries, table, 0, 1, NULL, -1));
    table->bucket_mask = 15; /* a crowded table */
    for (int i = 0; i < 200000; i++) {
        seed = seed * 1664525 + 1013904223;
        uint32_t key = (seed >> 16) % KEYS;
        assert_ptr_equal(find(key), model[key]);
        if (model[key] != NULL && (seed & 1) == 0) {
            table_remove(table, model[key]);
            entries_retire(&entries, model[key]);
            model[key] = NULL;
        } else {
            struct key_entry *met;
            struct key_entry *entry = take(&entries, key, key);
            enum table_put put = table_put(table, entry, &met);
            if (put == TABLE_PUT_MET)
                assert_ptr_equal(met, model[key]);
            else if (put == TABLE_PUT_DONE)
                model[key] = entry;
            else
                full++;
            if (put != TABLE_PUT_DONE)
                entries_give(&entries, entry);
        }
        entries_tick(&entries, 10);
    }
    assert_true(full > 0);
}

/* --- all interleavings --- */

#define ACTORS_MAX  3
#define STACK_BYTES 65536
#define STEPS_MAX   64

struct actor {
    ucontext_t context;
    uint8_t stack[STACK_BYTES];
    bool running;
    const char *script; /* see act() */
    struct entries entries;
    struct key_entry *mine;
    uint32_t led;
    uint32_t met;
};

static struct actor actors[ACTORS_MAX];
static struct actor *current; /* NULL: no exploration, stops do nothing */
static ucontext_t director;
static uint32_t explored_keys[2];

static void stop_here(void)
{
    if (current != NULL)
        swapcontext(&current->context, &director);
}

static void lead_or_join(struct actor *actor, uint32_t number)
{
    char text[16];
    struct key_entry *met;
    key_number(number, text);
    actor->mine = take(&actor->entries, number, actor->entries.owner);
    if (table_put(table, actor->mine, &met) == TABLE_PUT_DONE) {
        actor->led++;
        return;
    }
    assert_true(bytes_equal_text(bytes_of(met->key, met->key_length), text));
    actor->met++;
    entries_give(&actor->entries, actor->mine);
    actor->mine = NULL;
}

static void leave(struct actor *actor)
{
    if (actor->mine == NULL)
        return;
    table_remove(table, actor->mine);
    entries_retire(&actor->entries, actor->mine);
    actor->mine = NULL;
}

/* a, b: lead or join that key; '-': take it out again, if it led. */
static void act(void)
{
    struct actor *actor = current;
    for (const char *step = actor->script; *step != 0; step++) {
        if (*step == '-')
            leave(actor);
        else
            lead_or_join(actor, explored_keys[*step - 'a']);
    }
    actor->running = false;
}

static void begin(const char *const *scripts, uint32_t count)
{
    memory_reset();
    set_up(NULL);
    for (uint16_t i = 0; i < count; i++) {
        struct actor *actor = &actors[i];
        assert_true(entries_init(&actor->entries, table, i, (uint16_t)count, NULL, -1));
        actor->script = scripts[i];
        actor->running = true;
        actor->led = 0;
        actor->met = 0;
        actor->mine = NULL;
        getcontext(&actor->context);
        actor->context.uc_stack.ss_sp = actor->stack;
        actor->context.uc_stack.ss_size = sizeof(actor->stack);
        actor->context.uc_link = &director;
        makecontext(&actor->context, act, 0);
    }
}

/* Whatever was done so far: no key is served twice. */
static void check_served_once(void)
{
    for (int k = 0; k < 2; k++) {
        uint32_t served = 0;
        char text[16];
        key_number(explored_keys[k], text);
        uint64_t word = __atomic_load_n((uint64_t *)&table->buckets[5], __ATOMIC_SEQ_CST);
        for (int place = 0; place < BUCKET_PLACES; place++) {
            struct key_entry *entry = entry_at(table, word, place);
            served +=
                entry != NULL && bytes_equal_text(bytes_of(entry->key, entry->key_length), text);
        }
        assert_true(served <= 1);
    }
}

static void go_on(struct actor *actor)
{
    current = actor;
    swapcontext(&director, &actor->context);
    current = NULL;
    check_served_once();
}

struct schedule {
    uint8_t choice[STEPS_MAX];
    uint8_t choices[STEPS_MAX];
    uint32_t length;
};

static uint32_t running_actors(uint32_t count, struct actor **out)
{
    uint32_t running = 0;
    for (uint32_t i = 0; i < count; i++)
        if (actors[i].running)
            out[running++] = &actors[i];
    return running;
}

static void run(struct schedule *schedule, uint32_t count)
{
    struct actor *able[ACTORS_MAX];
    uint32_t step = 0;
    for (uint32_t running; (running = running_actors(count, able)) > 0; step++) {
        assert_true(step < STEPS_MAX);
        if (step >= schedule->length)
            schedule->choice[step] = 0;
        schedule->choices[step] = (uint8_t)running;
        go_on(able[schedule->choice[step]]);
    }
    schedule->length = step;
}

/* The next schedule in order; false after the last. */
static bool next_schedule(struct schedule *schedule)
{
    while (schedule->length > 0) {
        uint32_t last = schedule->length - 1;
        if (++schedule->choice[last] < schedule->choices[last])
            return true;
        schedule->length--;
    }
    return false;
}

static uint32_t explore(const char *const *scripts, uint32_t count, uint32_t *out_most_led)
{
    struct schedule schedule = {0};
    uint32_t schedules = 0;
    *out_most_led = 0;
    do {
        uint32_t led = 0;
        begin(scripts, count);
        run(&schedule, count);
        for (uint32_t i = 0; i < count; i++)
            led += actors[i].led;
        assert_true(led > 0);
        *out_most_led = led > *out_most_led ? led : *out_most_led;
        schedules++;
    } while (next_schedule(&schedule));
    return schedules;
}

static void in_every_interleaving_a_key_is_served_at_most_once(void **state)
{
    static const struct {
        const char *scripts[ACTORS_MAX];
        uint32_t count;
        uint32_t most_led;
    } cases[] = {
        {{"a", "a", "a"}, 3, 1},   {{"a-", "a-"}, 2, 2},     {{"a-a-", "a-a-"}, 2, 4},
        {{"a-", "a-", "a"}, 3, 3}, {{"b-", "a", "a"}, 3, 2}, {{"b-a", "a-b"}, 2, 4},
    };
    if (UNDER_TSAN)
        skip(); /* ThreadSanitizer does not know about contexts that are swapped */
    crowd(explored_keys, 2);
    for (size_t i = 0; i < array_count(cases); i++) {
        uint32_t most_led;
        uint32_t schedules = explore(cases[i].scripts, cases[i].count, &most_led);
        print_message("%u schedules\n", schedules);
        assert_int_equal(most_led, cases[i].most_led);
    }
}

/* --- threads --- */

#define THREADS     2
#define THREAD_KEYS 6
#define ENOUGH      20000    /* times a thread should lead and meet somebody */
#define TURNS_MAX   50000000 /* in which it has to come to that */

static struct rte_rcu_qsbr *quiescence;
static _Atomic uint32_t leaders[THREAD_KEYS];
static uint32_t satisfied;

struct racer {
    pthread_t thread;
    uint16_t index;
    struct entries entries;
    struct key_entry *mine[THREAD_KEYS];
    uint64_t met;
    uint64_t led;
    uint64_t wrong;
};

static struct racer racers[THREADS];

static void inspect(struct racer *racer, const struct key_entry *entry, uint32_t key)
{
    char text[16];
    key_number(key, text);
    racer->met++;
    racer->wrong += !bytes_equal_text(bytes_of(entry->key, entry->key_length), text) ||
                    entry->flight != 1000 + key;
}

static void race_lead(struct racer *racer, uint32_t key)
{
    struct key_entry *met;
    struct key_entry *entry = take(&racer->entries, key, 1000 + key);
    if (entry == NULL)
        return;
    enum table_put put = table_put(table, entry, &met);
    if (put == TABLE_PUT_DONE) {
        racer->wrong += atomic_fetch_add(&leaders[key], 1) != 0;
        racer->mine[key] = entry;
        racer->led++;
        return;
    }
    if (put == TABLE_PUT_MET)
        inspect(racer, met, key);
    entries_give(&racer->entries, entry);
}

static void race_turn(struct racer *racer, uint32_t dice)
{
    uint32_t key = dice % THREAD_KEYS;
    if (racer->mine[key] != NULL) {
        atomic_fetch_sub(&leaders[key], 1);
        table_remove(table, racer->mine[key]);
        entries_retire(&racer->entries, racer->mine[key]);
        racer->mine[key] = NULL;
        return;
    }
    const struct key_entry *entry = find(key);
    if (entry != NULL)
        inspect(racer, entry, key);
    else
        race_lead(racer, key);
}

static void *race(void *context)
{
    struct racer *racer = context;
    uint32_t seed = racer->index;
    bool had_enough = false;
    for (int i = 0; i < TURNS_MAX && __atomic_load_n(&satisfied, __ATOMIC_RELAXED) < THREADS; i++) {
        seed = seed * 1664525 + 1013904223;
        race_turn(racer, seed >> 16);
        entries_tick(&racer->entries, 8);
        rte_rcu_qsbr_quiescent(quiescence, racer->index);
        if (!had_enough && racer->led >= ENOUGH && racer->met >= ENOUGH) {
            had_enough = true;
            __atomic_fetch_add(&satisfied, 1, __ATOMIC_RELAXED);
        }
    }
    rte_rcu_qsbr_thread_offline(quiescence, racer->index);
    return NULL;
}

static void threads_agree_on_one_leader_and_read_whole_entries(void **state)
{
    quiescence = quiescence_create(THREADS);
    table->bucket_mask = 1; /* everybody meets everybody */
    for (uint16_t i = 0; i < THREADS; i++) {
        racers[i] = (struct racer){.index = i};
        assert_true(entries_init(&racers[i].entries, table, i, THREADS, quiescence, -1));
    }
    for (uint16_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    for (uint16_t i = 0; i < THREADS; i++)
        pthread_join(racers[i].thread, NULL);
    for (uint16_t i = 0; i < THREADS; i++) {
        assert_int_equal(racers[i].wrong, 0);
        assert_true(racers[i].led >= ENOUGH);
        assert_true(racers[i].met >= ENOUGH);
    }
    free(quiescence);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(what_was_put_is_found_until_it_is_removed),
        CASE(a_full_bucket_refuses_and_takes_again),
        CASE(c3_the_hash_alone_does_not_make_keys_equal),
        CASE(entries_are_bounded_and_shared_out),
        CASE(long_keys_come_from_a_pool_of_their_own),
        CASE(an_entry_rests_until_all_workers_have_passed),
        CASE(one_grace_period_is_for_all_retired_before_it),
        CASE(random_changes_match_a_model),
        CASE(in_every_interleaving_a_key_is_served_at_most_once),
        CASE(threads_agree_on_one_leader_and_read_whole_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
