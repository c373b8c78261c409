#include "dataplane/tcp/tcp_options.h"

#include "dataplane/base/check.h"
#include "dataplane/base/random.h"
#include "tests/support/cmocka.h"

#include <stdlib.h>

/* The bytes in a block of exactly their size, so that the sanitizer sees a read behind them. */
static bool read_exact(const void *data, size_t length, struct tcp_options *out)
{
    uint8_t *copy = malloc(length == 0 ? 1 : length);
    memcpy(copy, data, length);
    bool good = tcp_options_read(bytes_of(copy, length), out);
    free(copy);
    return good;
}

static void assert_same(const struct tcp_options *a, const struct tcp_options *b)
{
    assert_int_equal(a->present, b->present);
    if (a->present & TCP_OPTION_MSS)
        assert_int_equal(a->mss, b->mss);
    if (a->present & TCP_OPTION_WINDOW_SCALE)
        assert_int_equal(a->window_scale, b->window_scale);
    if (a->present & TCP_OPTION_TIMESTAMP) {
        assert_int_equal(a->ts_value, b->ts_value);
        assert_int_equal(a->ts_echo, b->ts_echo);
    }
    if (a->present & TCP_OPTION_SACK) {
        assert_int_equal(a->sack_count, b->sack_count);
        assert_memory_equal(a->sack, b->sack, a->sack_count * sizeof(a->sack[0]));
    }
}

static struct tcp_options sample(uint8_t present, uint32_t blocks)
{
    struct tcp_options options = {
        .present = present,
        .window_scale = 7,
        .mss = 1460,
        .ts_value = 0x01020304,
        .ts_echo = 0xfffefdfc,
        .sack_count = blocks,
        .sack = {{1, 2}, {0xfffffff0, 5}, {100, 200}, {300, 400}},
    };
    return options;
}

static size_t write(const struct tcp_options *options, uint8_t out[64])
{
    struct writer w = writer_over(out, 64);
    tcp_options_write(&w, options);
    assert_false(w.failed);
    return writer_length(&w);
}

static void what_is_written_is_read_again(void **state)
{
    for (uint8_t present = 0; present < 32; present++) {
        for (uint32_t blocks = 1; blocks <= 4; blocks++) {
            uint8_t raw[64];
            struct tcp_options options = sample(present, blocks);
            struct tcp_options read;
            size_t length = write(&options, raw);
            assert_int_equal(length % 4, 0);
            assert_true(read_exact(raw, length, &read));
            assert_same(&options, &read);
        }
    }
}

static void what_a_header_can_hold_fits(void **state)
{
    uint8_t raw[64];
    struct tcp_options syn = sample(TCP_OPTION_MSS | TCP_OPTION_WINDOW_SCALE |
                                        TCP_OPTION_SACK_PERMITTED | TCP_OPTION_TIMESTAMP,
                                    1);
    assert_true(write(&syn, raw) <= TCP_OPTIONS_MAX_BYTES);
    struct tcp_options with_time = sample(TCP_OPTION_TIMESTAMP | TCP_OPTION_SACK, 3);
    assert_int_equal(write(&with_time, raw), TCP_TIMESTAMP_BYTES + TCP_SACK_BYTES(3));
    assert_true(write(&with_time, raw) <= TCP_OPTIONS_MAX_BYTES);
    struct tcp_options without = sample(TCP_OPTION_SACK, 4);
    assert_int_equal(write(&without, raw), TCP_SACK_BYTES(4));
}

static void other_orders_and_unknown_options_are_read(void **state)
{
    static const uint8_t raw[] = {
        2, 4, 5,  0xb4, 1, 3, 3, 9, 4, 2, 30, 4, 9,   9,   34,
        2, 8, 10, 0,    0, 0, 7, 0, 0, 0, 8,  0, 255, 255,
    };
    struct tcp_options read;
    assert_true(read_exact(raw, sizeof(raw), &read));
    assert_int_equal(read.present, TCP_OPTION_MSS | TCP_OPTION_WINDOW_SCALE |
                                       TCP_OPTION_SACK_PERMITTED | TCP_OPTION_TIMESTAMP);
    assert_int_equal(read.mss, 1460);
    assert_int_equal(read.window_scale, 9);
    assert_int_equal(read.ts_value, 7);
    assert_int_equal(read.ts_echo, 8);
}

static void the_syn_of_linux_is_read_as_any_other(void **state)
{
    uint8_t raw[] = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 7, 0, 0, 0, 8, 1, 3, 3, 9};
    struct tcp_options read;
    assert_true(read_exact(raw, sizeof(raw), &read));
    assert_int_equal(read.present, TCP_OPTION_MSS | TCP_OPTION_WINDOW_SCALE |
                                       TCP_OPTION_SACK_PERMITTED | TCP_OPTION_TIMESTAMP);
    assert_int_equal(read.mss, 1460);
    assert_int_equal(read.window_scale, 9);
    assert_int_equal(read.ts_value, 7);
    assert_int_equal(read.ts_echo, 8);
    raw[16] = 0; /* the end, before the window scale */
    assert_true(read_exact(raw, sizeof(raw), &read));
    assert_int_equal(read.present,
                     TCP_OPTION_MSS | TCP_OPTION_SACK_PERMITTED | TCP_OPTION_TIMESTAMP);
    raw[16] = 1;
    raw[5] = 3;
    assert_false(read_exact(raw, sizeof(raw), &read));
}

static void impossible_lengths_are_refused(void **state)
{
    static const struct {
        uint8_t raw[8];
        size_t length;
    } cases[] = {
        {{2}, 1},
        {{2, 0}, 2},
        {{2, 1}, 2},
        {{2, 3, 5}, 3},
        {{2, 5, 1, 1, 1}, 5},
        {{3, 2}, 2},
        {{3, 4, 1, 1}, 4},
        {{4, 3, 0}, 3},
        {{5, 2}, 2},
        {{5, 6, 1, 1, 1, 1}, 6},
        {{8, 6, 1, 1, 1, 1}, 6},
        {{30, 0}, 2},
        {{30, 1}, 2},
        {{30, 9, 1, 1}, 4},
        {{1, 1, 30}, 3},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct tcp_options read;
        assert_false(read_exact(cases[i].raw, cases[i].length, &read));
    }
}

static void every_cut_and_every_flipped_bit_stays_in_bounds(void **state)
{
    for (uint8_t present = 0; present < 32; present++) {
        uint8_t raw[64];
        struct tcp_options options = sample(present, 2);
        struct tcp_options read;
        size_t length = write(&options, raw);
        for (size_t cut = 0; cut < length; cut++)
            (void)read_exact(raw, cut, &read);
        for (size_t bit = 0; bit < 8 * length; bit++) {
            raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (read_exact(raw, length, &read))
                assert_true(read.sack_count <= TCP_SACK_BLOCKS_MAX);
            raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

static void noise_stays_in_bounds(void **state)
{
    struct random random;
    random_seed(&random, 1);
    for (int i = 0; i < 200000; i++) {
        uint8_t raw[TCP_OPTIONS_MAX_BYTES];
        struct tcp_options read;
        size_t length = random_below(&random, sizeof(raw) + 1);
        for (size_t j = 0; j < length; j++)
            raw[j] = (uint8_t)random_below(&random, random_below(&random, 2) == 0 ? 12 : 256);
        if (read_exact(raw, length, &read))
            assert_true(read.sack_count <= TCP_SACK_BLOCKS_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(what_a_header_can_hold_fits),
        cmocka_unit_test(other_orders_and_unknown_options_are_read),
        cmocka_unit_test(the_syn_of_linux_is_read_as_any_other),
        cmocka_unit_test(impossible_lengths_are_refused),
        cmocka_unit_test(every_cut_and_every_flipped_bit_stays_in_bounds),
        cmocka_unit_test(noise_stays_in_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
