/*
 * What a peer may not do, held against RFC 9113 section by section: frames in, and the GOAWAY or
 * RST_STREAM that must come out, with its code and its counter. Every row is fed whole, byte by
 * byte, and cut off at every byte.
 */
#include "dataplane/base/check.h"
#include "tests/support/cmocka.h"
#include "tests/support/h2_lab.h"

#include <stdio.h>

enum expected {
    GOAWAY,
    RST,   /* of stream 1 unless the row says otherwise */
    OPEN,  /* nothing: the connection goes on */
    HTTP1, /* an HTTP/1.1 answer and the end */
};

#define VIOLATES(name)                                                                             \
    offsetof(struct h2_counters, name) / sizeof(uint64_t) + 1, H2_VIOLATION_##name
#define NOTHING 0, H2_VIOLATION_none

struct row {
    const char *section;
    const char *what;
    enum h2_role role;
    const char *frames;
    enum expected expected;
    uint32_t code;
    size_t counter; /* index + 1 in struct h2_counters; 0: none */
    enum h2_violation violation;
    uint32_t stream_id; /* RST: 0 means 1 */
};

/*
 * Server rows start behind the client's preface and SETTINGS, unless their frames begin with
 * PREFACE or RAW. Client rows have streams 1 (request complete) and 3 (request not complete).
 * `!reset`: the owner resets stream 1. `!answer`: the owner answers all streams and ends them.
 * `!shutdown`: graceful shutdown, whose PING is answered.
 */
static const struct row rows[] = {
#include "tests/unit/h2/h2_rules.def"
};

static bool is_from_start(const struct row *row)
{
    return strncmp(row->frames, "PREFACE", 7) == 0 || strncmp(row->frames, "RAW", 3) == 0 ||
           strncmp(row->frames, "!start", 6) == 0;
}

static void open_row(const struct row *row)
{
    struct h2_config config = lab_config();
    lab_create(&config);
    lab_open(row->role);
    if (is_from_start(row))
        return;
    lab_handshake();
    if (row->role == H2_CLIENT)
        lab_request(2);
    lab_forget_sent();
}

static void check_outcome(const struct row *row)
{
    if (row->expected == HTTP1) {
        assert_memory_equal(lab.sent, "HTTP/1.1 505 ", 13);
        assert_null(lab.owner.conn);
        return;
    }
    struct lab_seen goaway = lab_seen(H2_FRAME_GOAWAY, 0);
    struct lab_seen rst = lab_seen(H2_FRAME_RST_STREAM, row->stream_id == 0 ? 1 : row->stream_id);
    assert_int_equal(goaway.count, row->expected == GOAWAY);
    assert_int_equal(lab.owner.conn == NULL, row->expected == GOAWAY);
    if (row->expected == GOAWAY)
        assert_int_equal(goaway.numbers[1], row->code);
    else
        assert_int_equal(rst.count, row->expected == RST);
    if (row->expected == RST)
        assert_int_equal(rst.numbers[0], row->code);
    if (row->counter > 0)
        assert_true(lab_counter(row->counter - 1) > 0);
}

/* Nothing but what the row is about was violated. */
static void check_no_other(const struct row *row)
{
    for (uint32_t i = 1; i < H2_VIOLATIONS; i++)
        if (i != row->violation)
            assert_int_equal(lab_counter(h2_violation_rules[i].counter_offset / 8), 0);
}

static void run_row(const struct row *row, size_t step)
{
    open_row(row);
    lab_play(row->frames, step, SIZE_MAX);
    check_outcome(row);
    check_no_other(row);
    lab_close();
}

static void is_answered_as_the_rfc_says(void **state)
{
    run_row(*state, SIZE_MAX);
}

static void is_the_same_in_pieces(void **state)
{
    run_row(*state, 1);
    run_row(*state, 5);
}

static size_t script_bytes(const char *text)
{
    static uint8_t memory[1 << 18];
    size_t sum = 0;
    while (*text != 0) {
        struct writer out = writer_over(memory, sizeof(memory));
        text = h2_script_write(text, &out);
        sum += writer_length(&out);
        text += *text == '!' ? strcspn(text, ";") : 0;
    }
    return sum;
}

/* Cut off, a connection is simply over: no violation that the whole would not show, no leak. */
static void is_harmless_cut_anywhere(void **state)
{
    const struct row *row = *state;
    size_t length = script_bytes(row->frames);
    size_t stride = length > 400 ? length / 100 : 1;
    for (size_t limit = 0; limit < length; limit += stride) {
        open_row(row);
        lab_play(row->frames, SIZE_MAX, limit);
        check_no_other(row);
        lab_close();
    }
}

static struct CMUnitTest tests[3 * array_count(rows)];
static char names[array_count(tests)][160];
static size_t test_count;

static void add_test(const struct row *row, const char *what, CMUnitTestFunction run)
{
    char *name = names[test_count];
    snprintf(name, sizeof(names[0]), "%s %s: %s", row->section, row->what, what);
    tests[test_count++] = (struct CMUnitTest){
        .name = name, .test_func = run, .initial_state = (void *)(uintptr_t)row};
}

int main(void)
{
    for (size_t i = 0; i < array_count(rows); i++) {
        add_test(&rows[i], "answered as the RFC says", is_answered_as_the_rfc_says);
        add_test(&rows[i], "the same in pieces", is_the_same_in_pieces);
        add_test(&rows[i], "harmless cut anywhere", is_harmless_cut_anywhere);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
