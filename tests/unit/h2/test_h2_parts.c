/*
 * DATA frames that come in parts, for an owner who takes parts: it is told the whole of what was
 * read at once.
 */
#include "tests/unit/h2/h2_case.h"

/* What the owner has seen, as letters: p: part(), d: data() with bytes, n: without, e: the end. */
static struct {
    char text[32];
    uint32_t length;
    uint64_t bytes;
    bool resets; /* at the first part */
} seen;

static void note(char what, size_t bytes)
{
    assert_true(seen.length < sizeof(seen.text) - 1);
    seen.text[seen.length++] = what;
    seen.bytes += bytes;
}

static void on_part(struct h2_stream *stream, struct bytes bytes, uint64_t now)
{
    assert_true(bytes.length > 0);
    note('p', bytes.length);
    if (seen.resets)
        lab_reset(stream, H2_CANCEL);
}

static void on_data(struct h2_stream *stream, struct bytes bytes, bool end, uint64_t now)
{
    note(end ? 'e' : bytes.length > 0 ? 'd' : 'n', bytes.length);
}

static const char *letters(void)
{
    seen.text[seen.length] = 0;
    seen.length = 0;
    return seen.text;
}

/* A client with a request under way that gets its answer in views of at most PIECE bytes. */
static void open_in_pieces(uint32_t piece)
{
    static struct h2_handler handler;
    handler = lab_handler;
    handler.part = on_part;
    handler.data = on_data;
    memset(&seen, 0, sizeof(seen));
    open_client();
    lab.owner.conn->handler = &handler;
    lab_request(1);
    lab_script("HEADERS/4/1 @200");
    lab.pipe.ends[1].piece_max = piece;
}

static void a_frame_in_parts_is_told_with_its_last(void **state)
{
    open_in_pieces(1000);
    lab_script("DATA/0/1 z3500");
    assert_string_equal(letters(), "pppd");
    assert_int_equal(seen.bytes, 3500);
    lab_script("DATA/1/1 z2500");
    assert_string_equal(letters(), "ppe");
    assert_int_equal(seen.bytes, 6000);
    lab_close();
}

static void a_frame_that_is_whole_is_told_at_once(void **state)
{
    open_in_pieces(1000);
    lab_script("DATA/0/1 z100");
    lab_script("DATA/0/1 z0; DATA/1/1 z200");
    assert_string_equal(letters(), "de");
    lab_close();
}

static void what_has_come_of_a_frame_is_told_before_the_rest_is_waited_for(void **state)
{
    open_in_pieces(1000);
    lab_play("DATA/0/1 z5000", SIZE_MAX, 9 + 2500);
    assert_string_equal(letters(), "pppn");
    assert_int_equal(seen.bytes, 2500);
    lab_close();
}

static void padding_is_no_part(void **state)
{
    open_in_pieces(1000);
    lab_script("DATA/9/1 ff z3000 z255");
    assert_string_equal(letters(), "pppe");
    assert_int_equal(seen.bytes, 3000);
    lab_close();
}

static void who_ends_the_stream_at_a_part_hears_no_more(void **state)
{
    open_in_pieces(1000);
    lab_request(1);
    lab_script("HEADERS/4/3 @200");
    seen.resets = true;
    lab_script("DATA/0/1 z3500; DATA/0/3 z100");
    assert_string_equal(letters(), "pd");
    assert_int_equal(lab_seen(H2_FRAME_RST_STREAM, 1).count, 1);
    assert_non_null(lab.owner.conn);
    lab_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_in_parts_is_told_with_its_last),
        cmocka_unit_test(a_frame_that_is_whole_is_told_at_once),
        cmocka_unit_test(what_has_come_of_a_frame_is_told_before_the_rest_is_waited_for),
        cmocka_unit_test(padding_is_no_part),
        cmocka_unit_test(who_ends_the_stream_at_a_part_hears_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
