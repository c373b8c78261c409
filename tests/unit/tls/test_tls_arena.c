#include "dataplane/tls/tls_arena.h"

#include "dataplane/base/check.h"
#include "dataplane/base/memory.h"
#include "dataplane/base/random.h"
#include "tests/support/cmocka.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MEBIBYTE (1u << 20)
#define BLOCKS   2000

static struct tls_arena *arena;

static int open_arena(void **state)
{
    arena = tls_arena_create(4 * MEBIBYTE, -1);
    assert_non_null(arena);
    tls_arena_enter(arena);
    return 0;
}

static int close_arena(void **state)
{
    tls_arena_forget();
    memory_reset();
    return 0;
}

static void blocks_are_apart_aligned_and_as_large_as_asked(void **state)
{
    static const size_t sizes[] = {0, 1, 16, 17, 100, 1000, 6000, 16384 + 400, 18000, 65536};
    uint8_t *blocks[array_count(sizes)];
    for (size_t i = 0; i < array_count(sizes); i++) {
        blocks[i] = tls_arena_take(sizes[i]);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 16, 0);
        memset(blocks[i], (int)i, sizes[i]);
    }
    for (size_t i = 0; i < array_count(sizes); i++)
        for (size_t b = 0; b < sizes[i]; b++)
            assert_int_equal(blocks[i][b], i);
    assert_true(tls_arena_used_bytes(arena) >= 65536);
    for (size_t i = 0; i < array_count(sizes); i++)
        tls_arena_give(blocks[i]);
    assert_int_equal(tls_arena_used_bytes(arena), 0);
}

static void a_full_arena_refuses_and_recovers(void **state)
{
    static void *blocks[BLOCKS];
    uint32_t taken = 0;
    while (taken < BLOCKS && (blocks[taken] = tls_arena_take(17000)) != NULL)
        taken++;
    assert_int_equal(taken, 4 * MEBIBYTE / 65536 * 3);
    assert_int_equal(tls_arena_refused(arena), 1);
    assert_null(tls_arena_take(16)); /* no page is left for another class either */
    while (taken > 0)
        tls_arena_give(blocks[--taken]);
    assert_int_equal(tls_arena_used_bytes(arena), 0);
    /* Pages are free for any class again. */
    for (; taken < BLOCKS && (blocks[taken] = tls_arena_take(4096)) != NULL; taken++)
        ;
    assert_int_equal(taken, 4 * MEBIBYTE / 4096);
    while (taken > 0)
        tls_arena_give(blocks[--taken]);
}

/* A peak, and then the few that stay have a block in every page: there is room for newcomers. */
static void a_peak_that_is_over_keeps_nobody_out(void **state)
{
    static void *blocks[BLOCKS];
    uint32_t taken = 0;
    assert_false(tls_arena_is_short(arena));
    while (!tls_arena_is_short(arena)) {
        assert_true(taken < BLOCKS);
        blocks[taken++] = tls_arena_take(6000);
    }
    assert_true(taken > 300);
    for (uint32_t i = 0; i < taken; i++)
        if (i % 4 != 0) {
            tls_arena_give(blocks[i]);
            blocks[i] = NULL;
        }
    assert_false(tls_arena_is_short(arena));
    uint32_t again = 0;
    for (uint32_t i = 0; i < taken && !tls_arena_is_short(arena); i++)
        if (blocks[i] == NULL) {
            blocks[i] = tls_arena_take(6000);
            again++;
        }
    assert_true(again > taken / 8 && again < taken);
    for (uint32_t i = 0; i < taken; i++)
        tls_arena_give(blocks[i]);
    assert_int_equal(tls_arena_used_bytes(arena), 0);
}

static void what_is_too_large_is_refused(void **state)
{
    assert_null(tls_arena_take(65537));
    assert_null(tls_arena_take(SIZE_MAX));
    assert_int_equal(tls_arena_refused(arena), 2);
}

static void a_block_keeps_its_bytes_when_it_grows(void **state)
{
    char *text = tls_arena_resize(NULL, 10);
    strcpy(text, "nine tail");
    text = tls_arena_resize(text, 15);
    assert_string_equal(text, "nine tail");
    for (size_t size = 16; size <= 65536; size *= 2) {
        text = tls_arena_resize(text, size);
        assert_string_equal(text, "nine tail");
    }
    assert_null(tls_arena_resize(text, 70000));
    assert_string_equal(text, "nine tail");
    tls_arena_give(text);
    assert_int_equal(tls_arena_used_bytes(arena), 0);
}

/* A walk: contents stay, the sum of what is used is right at the end. */
static void random_takes_and_gives_disturb_nobody(void **state)
{
    static struct {
        uint8_t *data;
        size_t bytes;
        uint8_t mark;
    } held[300];
    struct random random;
    random_seed(&random, 7);
    for (uint32_t step = 0; step < 200000; step++) {
        uint32_t at = random_below(&random, array_count(held));
        for (size_t i = 0; held[at].data != NULL && i < held[at].bytes; i++)
            assert_int_equal(held[at].data[i], held[at].mark);
        tls_arena_give(held[at].data);
        held[at].bytes = 1 + random_below(&random, 1u << (1 + random_below(&random, 14)));
        held[at].mark = (uint8_t)step;
        held[at].data = tls_arena_take(held[at].bytes);
        if (held[at].data != NULL)
            memset(held[at].data, held[at].mark, held[at].bytes);
    }
    for (size_t i = 0; i < array_count(held); i++)
        tls_arena_give(held[i].data);
    assert_int_equal(tls_arena_used_bytes(arena), 0);
}

static void *give_elsewhere(void *context)
{
    void **blocks = context;
    for (uint32_t i = 0; i < BLOCKS; i++)
        tls_arena_give(blocks[i]);
    return NULL;
}

static void what_another_thread_frees_comes_back(void **state)
{
    static void *blocks[2][BLOCKS];
    pthread_t threads[2];
    for (uint32_t round = 0; round < 20; round++) {
        for (uint32_t t = 0; t < 2; t++)
            for (uint32_t i = 0; i < BLOCKS; i++) {
                blocks[t][i] = tls_arena_take(500);
                assert_non_null(blocks[t][i]);
            }
        for (uint32_t t = 0; t < 2; t++)
            assert_int_equal(pthread_create(&threads[t], NULL, give_elsewhere, blocks[t]), 0);
        for (uint32_t t = 0; t < 2; t++)
            pthread_join(threads[t], NULL);
    }
    tls_arena_give(tls_arena_take(500)); /* looks at what has come back */
    assert_int_equal(tls_arena_used_bytes(arena), 0);
}

static void outside_of_an_arena_memory_is_the_library_s(void **state)
{
    tls_arena_enter(NULL);
    void *block = tls_arena_take(100000);
    assert_non_null(block);
    assert_int_equal(tls_arena_used_bytes(arena), 0);
    tls_arena_enter(arena);
    block = tls_arena_resize(block, 200000); /* it stays where it came from */
    assert_non_null(block);
    tls_arena_give(block);
    assert_int_equal(tls_arena_used_bytes(arena), 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_arena, close_arena)
    const struct CMUnitTest tests[] = {
        CASE(blocks_are_apart_aligned_and_as_large_as_asked),
        CASE(a_full_arena_refuses_and_recovers),
        CASE(a_peak_that_is_over_keeps_nobody_out),
        CASE(what_is_too_large_is_refused),
        CASE(a_block_keeps_its_bytes_when_it_grows),
        CASE(random_takes_and_gives_disturb_nobody),
        CASE(what_another_thread_frees_comes_back),
        CASE(outside_of_an_arena_memory_is_the_library_s),
    };
#undef CASE
    return cmocka_run_group_tests(tests, NULL, NULL);
}
