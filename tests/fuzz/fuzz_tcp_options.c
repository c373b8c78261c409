/*
 * fuzz_tcp_options: the options of a TCP header. An input is what stands between the fixed header
 * and the data; only its first 40 bytes fit there, but the parser must not rely on that. What was
 * read and is written again means the same when it is read again.
 */
#include "dataplane/base/check.h"
#include "dataplane/tcp/tcp_options.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

/* All options at once: more than a header holds. */
#define ROOM 128

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    return 0;
}

static bool same_ranges(const struct tcp_options *a, const struct tcp_options *b)
{
    if (a->sack_count != b->sack_count)
        return false;
    for (uint32_t i = 0; i < a->sack_count; i++)
        if (a->sack[i].start != b->sack[i].start || a->sack[i].end != b->sack[i].end)
            return false;
    return true;
}

static void check_same(const struct tcp_options *a, const struct tcp_options *b)
{
    check(a->present == b->present);
    if (a->present & TCP_OPTION_MSS)
        check(a->mss == b->mss);
    if (a->present & TCP_OPTION_WINDOW_SCALE)
        check(a->window_scale == b->window_scale);
    if (a->present & TCP_OPTION_TIMESTAMP)
        check(a->ts_value == b->ts_value && a->ts_echo == b->ts_echo);
    check(same_ranges(a, b));
}

/* Bytes in a block of exactly their size: the sanitizer sees a read behind them. */
static bool read_exact(const void *data, size_t length, struct tcp_options *out)
{
    uint8_t *block = malloc(length + 1);
    check(block != NULL);
    memcpy(block + 1, data, length);
    bool good = tcp_options_read(bytes_of(block + 1, length), out);
    free(block);
    return good;
}

static size_t write_options(const struct tcp_options *options, uint8_t *out, size_t room)
{
    struct writer w = writer_over(out, room);
    tcp_options_write(&w, options);
    return w.failed ? 0 : writer_length(&w);
}

/* Meaning survives writing and reading, and every cut of what was written is survived. */
static void check_round_trip(const struct tcp_options *options)
{
    uint8_t raw[ROOM];
    struct tcp_options again;
    size_t length = write_options(options, raw, sizeof(raw));
    check(length % 4 == 0 && (length > 0) == (options->present != 0));
    check(read_exact(raw, length, &again));
    check_same(options, &again);
    for (size_t cut = 0; cut < length; cut++)
        (void)read_exact(raw, cut, &again);
}

/* A writer that is too small fails and keeps to its room. */
static void check_small_room(const struct tcp_options *options, size_t room)
{
    uint8_t *block = malloc(room + 1);
    check(block != NULL);
    check(write_options(options, block, room) <= room);
    free(block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tcp_options options = {.present = 0};
    if (!read_exact(data, size, &options))
        return 0;
    check(options.sack_count <= TCP_SACK_BLOCKS_MAX);
    check((options.sack_count > 0) == ((options.present & TCP_OPTION_SACK) != 0));
    check_round_trip(&options);
    check_small_room(&options, size % (TCP_OPTIONS_MAX_BYTES + 1));
    return 0;
}
