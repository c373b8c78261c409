/*
 * Requests: how many, which identifiers, how they end.
 */
#include "tests/unit/h2/h2_case.h"

static void streams_beyond_the_announced_are_refused(void **state)
{
    struct h2_config config = lab_config();
    config.server_concurrent_streams = 2;
    open_with(H2_SERVER, &config);
    lab_script("HEADERS/5/1 @get; HEADERS/5/3 @get; HEADERS/4/5 @get; DATA/1/5 z3");
    assert_int_equal(lab_seen(H2_FRAME_RST_STREAM, 5).numbers[0], H2_REFUSED_STREAM);
    assert_int_equal(COUNT(streams_exceeded), 1);
    lab_answer();
    lab_script("HEADERS/5/7 @get");
    assert_int_equal(lab_seen(H2_FRAME_RST_STREAM, 7).count, 0);
    assert_int_equal(lab.owner.headers, 3);
    lab_close();
}

static void an_answer_before_the_request_ends_cuts_it_short(void **state)
{
    open_server();
    lab_script("HEADERS/4/1 @post; DATA/0/1 '12; !answer");
    assert_int_equal(lab_seen(H2_FRAME_HEADERS, 1).flags, H2_FLAG_END_STREAM | H2_FLAG_END_HEADERS);
    assert_int_equal(lab_seen(H2_FRAME_RST_STREAM, 1).count, 1);
    assert_int_equal(lab_seen(H2_FRAME_RST_STREAM, 1).numbers[0], H2_NO_ERROR);
    assert_int_equal(lab.owner.finished, 1);
    assert_int_equal(lab.owner.resets, 0);
    lab_script("DATA/1/1 '345");
    assert_int_equal(COUNT(frames_discarded), 1);
    lab_close();
}

static void a_request_refused_is_told_as_unprocessed(void **state)
{
    open_client();
    lab_request(2);
    lab_script("RST_STREAM/0/1 00000007");
    assert_int_equal(lab.owner.resets, 1);
    assert_true(lab.owner.last_reset.unprocessed && lab.owner.last_reset.by_peer);
    assert_false(lab.owner.last_reset.conn_lost);
    lab_script("RST_STREAM/0/3 00000008");
    assert_int_equal(lab.owner.last_reset.code, H2_CANCEL);
    assert_false(lab.owner.last_reset.unprocessed);
    lab_close();
}

static void a_complete_answer_outlives_the_request(void **state)
{
    open_client();
    lab_request(2);
    lab_script("HEADERS/5/3 @200");
    assert_int_equal(lab.owner.finished, 0);
    lab_script("RST_STREAM/0/3 00000000");
    assert_int_equal(lab.owner.finished, 1);
    assert_int_equal(lab.owner.resets, 0);
    lab_close();
}

static void request_room_follows_the_server(void **state)
{
    open_client();
    lab_script("SETTINGS/0/0 000300000002");
    assert_int_equal(h2_request_room(lab.owner.conn), 2);
    lab_request(2);
    assert_int_equal(h2_request_room(lab.owner.conn), 0);
    assert_null(h2_request(lab.owner.conn, NULL, lab.now));
    assert_int_equal(COUNT(requests_no_room), 1);
    uint32_t told = lab.owner.available;
    lab_script("HEADERS/5/1 @200");
    assert_int_equal(lab.owner.finished, 1);
    assert_int_equal(lab.owner.available, told + 1);
    assert_int_equal(h2_request_room(lab.owner.conn), 1);
    lab_script("SETTINGS/0/0 000300000000");
    assert_int_equal(h2_request_room(lab.owner.conn), 0);
    assert_int_equal(lab.owner.available, told + 1);
    lab_script("SETTINGS/0/0 000300000005");
    assert_int_equal(lab.owner.available, told + 2);
    lab_close();
}

/* Of requests that were accepted, but not sent before SETTINGS lowered the number. */
static void what_a_lowered_number_of_streams_has_no_place_for_comes_back(void **state)
{
    open_client();
    lab_script("SETTINGS/0/0 000300000003");
    lab.owner.requests = LAB_OPEN;
    lab_request(1);
    lab_forget_sent();
    for (uint32_t i = 1; i < 3; i++)
        lab.owner.streams[i] = h2_request(lab.owner.conn, &lab.owner, lab.now);
    uint8_t memory[100];
    struct writer out = writer_over(memory, sizeof(memory));
    h2_script_write("SETTINGS/0/0 000300000002", &out);
    pipe_feed(&lab.pipe.ends[0], writer_written(&out));
    h2_in(lab.owner.conn, lab.now);
    assert_int_equal(lab.owner.resets, 1);
    assert_true(lab.owner.last_reset.unprocessed);
    assert_false(lab.owner.last_reset.conn_lost);
    assert_int_equal(COUNT(streams_unprocessed), 1);
    lab_flush();
    assert_int_equal(lab_seen(H2_FRAME_HEADERS, UINT32_MAX).count, 1);
    lab_script("SETTINGS/0/0 000300000000");
    assert_int_equal(lab.owner.resets, 1); /* what was sent goes on */
    lab_close();
}

/* The order of our RST_STREAM and HEADERS, as letters. */
static const char *order_of_requests(void)
{
    static char text[16];
    size_t length = 0;
    struct h2_frame frame;
    struct bytes payload;
    struct reader r = reader_over(bytes_of(lab.sent, lab.sent_bytes));
    while (h2_script_read(&r, &frame, &payload) && length < sizeof(text) - 1)
        text[length++] = frame.type == H2_FRAME_RST_STREAM ? 'r'
                         : frame.type == H2_FRAME_HEADERS  ? 'h'
                                                           : '?';
    text[length] = 0;
    return text;
}

/* RFC 9113 5.1.2: a stream that we reset counts at the server until it reads our RST_STREAM. */
static void a_request_in_place_of_another_goes_behind_its_reset(void **state)
{
    open_client();
    lab_script("SETTINGS/0/0 000300000001");
    lab.owner.requests = LAB_OPEN;
    lab_request(1);
    lab_forget_sent();
    lab.owner.changes_mind = true;
    h2_stream_ready(lab_stream(1));
    lab_flush();
    lab_flush();
    assert_string_equal(order_of_requests(), "rh");
    lab_close();
}

static void identifiers_run_out_gracefully(void **state)
{
    open_client();
    lab.owner.conn->next_id = H2_STREAM_ID_MAX - 2;
    assert_int_equal(h2_request_room(lab.owner.conn), 2);
    lab_request(2);
    assert_false(h2_is_open(lab.owner.conn));
    assert_int_equal(h2_request_room(lab.owner.conn), 0);
    assert_int_equal(lab_seen(H2_FRAME_HEADERS, H2_STREAM_ID_MAX).count, 1);
    assert_int_equal(lab_seen(H2_FRAME_GOAWAY, 0).count, 1);
    assert_int_equal(lab.owner.available, 2);
    lab_script("HEADERS/5/7ffffffd @200; HEADERS/5/7fffffff @200");
    assert_non_null(lab.owner.conn);
    lab_script("RST_STREAM/0/7fffffff 00000000");
    assert_null(lab.owner.conn);
    assert_int_equal(lab.owner.finished, 2);
    lab_close();
}

static void a_place_is_kept_for_what_goes_on(void **state)
{
    struct h2_config config = lab_config();
    config.server_concurrent_streams = 2;
    open_with(H2_SERVER, &config);
    uint64_t slot = h2_slot_hold(lab.owner.conn);
    lab_script("HEADERS/5/1 @get; HEADERS/5/3 @get");
    assert_int_equal(lab_seen(H2_FRAME_RST_STREAM, 3).numbers[0], H2_REFUSED_STREAM);
    h2_slot_free(lab.h2, slot);
    lab_script("HEADERS/5/5 @get");
    assert_int_equal(lab_seen(H2_FRAME_RST_STREAM, 5).count, 0);
    slot = h2_slot_hold(lab.owner.conn);
    h2_transport_ended(lab.owner.conn, false, lab.now);
    h2_slot_free(lab.h2, slot); /* too late, and harmless */
    lab_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_beyond_the_announced_are_refused),
        cmocka_unit_test(an_answer_before_the_request_ends_cuts_it_short),
        cmocka_unit_test(a_request_refused_is_told_as_unprocessed),
        cmocka_unit_test(a_complete_answer_outlives_the_request),
        cmocka_unit_test(request_room_follows_the_server),
        cmocka_unit_test(what_a_lowered_number_of_streams_has_no_place_for_comes_back),
        cmocka_unit_test(a_request_in_place_of_another_goes_behind_its_reset),
        cmocka_unit_test(identifiers_run_out_gracefully),
        cmocka_unit_test(a_place_is_kept_for_what_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
