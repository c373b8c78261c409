/*
 * Windows in both directions, and how they grow.
 */
#include "dataplane/base/clock.h"
#include "tests/unit/h2/h2_case.h"

#include <stdio.h>

static void a_sender_keeps_to_both_windows(void **state)
{
    open_server();
    lab.owner.body_bytes = 100000;
    lab_script("HEADERS/5/1 @get; !answer");
    assert_int_equal(lab_data_sent(1), 65535);
    lab_script("WINDOW_UPDATE/0/1 00000064");
    assert_int_equal(lab_data_sent(1), 65535);
    lab_script("WINDOW_UPDATE/0/0 00000032");
    assert_int_equal(lab_data_sent(1), 65535 + 50);
    lab_script("WINDOW_UPDATE/0/0 00ffffff");
    assert_int_equal(lab_data_sent(1), 65535 + 100);
    lab_script("WINDOW_UPDATE/0/1 00ffffff");
    assert_int_equal(lab_data_sent(1), 100000);
    assert_int_equal(lab.owner.finished, 1);
    lab_close();
}

static void a_window_may_become_negative(void **state)
{
    open_server();
    lab.owner.body_bytes = 100000;
    lab_script("HEADERS/5/1 @get; !answer; WINDOW_UPDATE/0/0 00ffffff");
    assert_int_equal(lab_data_sent(1), 65535);
    lab_script("SETTINGS/0/0 000400000064");  /* now -65435 */
    lab_script("WINDOW_UPDATE/0/1 0000ff9b"); /* now 0 */
    assert_int_equal(lab_data_sent(1), 65535);
    lab_script("SETTINGS/0/0 00040000006e"); /* now 10 */
    assert_int_equal(lab_data_sent(1), 65545);
    lab_close();
}

static void streams_share_the_connection_window_in_turns(void **state)
{
    open_server();
    lab.owner.body_bytes = 60000;
    lab_script("HEADERS/5/1 @get; HEADERS/5/3 @get; !answer");
    assert_int_equal(lab_data_sent(1) + lab_data_sent(3), 65535);
    assert_true(lab_data_sent(1) >= 16384 && lab_data_sent(3) >= 16384);
    lab_script("WINDOW_UPDATE/0/0 00ffffff");
    assert_int_equal(lab_data_sent(1), 60000);
    assert_int_equal(lab_data_sent(3), 60000);
    lab_close();
}

static void connection_credit_returns_without_the_owner(void **state)
{
    struct h2_config config = lab_config();
    config.stream_window_bytes = 100000;
    open_with(H2_SERVER, &config);
    lab_script("HEADERS/4/1 @get; DATA/0/1 z16384; DATA/0/1 z16384; DATA/0/1 z16384");
    assert_int_equal(lab_seen(H2_FRAME_WINDOW_UPDATE, 1).count, 0);
    assert_int_equal(lab_seen(H2_FRAME_WINDOW_UPDATE, 0).numbers[0], 49152);
    h2_stream_consumed(lab.owner.streams[0], 49152);
    lab_flush();
    assert_int_equal(lab_seen(H2_FRAME_WINDOW_UPDATE, 1).count, 0);
    lab_script("DATA/0/1 z16384");
    h2_stream_consumed(lab.owner.streams[0], 16384);
    lab_flush();
    assert_int_equal(lab_seen(H2_FRAME_WINDOW_UPDATE, 1).numbers[0], 65536);
    lab_close();
}

static struct h2_config growing_config(void)
{
    struct h2_config config = lab_config();
    config.stream_window_bytes = 65536;
    config.connection_window_bytes = 65536;
    config.stream_window_max_bytes = 262144;
    config.connection_window_max_bytes = 1 << 20;
    config.window_budget_bytes = 1 << 20;
    return config;
}

/* The client sends so many frames, one every PACE_NS; each is consumed at once. */
static void upload(uint32_t id, uint32_t frames, uint64_t pace_ns)
{
    char text[64];
    snprintf(text, sizeof(text), "DATA/0/%x z16384", id);
    for (uint32_t i = 0; i < frames; i++) {
        lab.now += pace_ns;
        lab_script(text);
        h2_stream_consumed(h2_stream_find(lab.owner.conn, id), 16384);
        lab_flush();
        lab_forget_sent();
    }
}

static uint32_t window_of(uint32_t id)
{
    return h2_stream_find(lab.owner.conn, id)->window.bytes;
}

static void windows_grow_when_a_round_trip_fills_them(void **state)
{
    struct h2_config config = growing_config();
    open_with(H2_SERVER, &config);
    lab_script("HEADERS/4/1 @get");
    upload(1, 1, CLOCK_MS);
    assert_int_equal(window_of(1), 65536);
    upload(1, 1, CLOCK_MS);
    assert_int_equal(window_of(1), 131072);
    upload(1, 40, CLOCK_MS);
    assert_int_equal(window_of(1), 262144);
    assert_int_equal(lab.owner.conn->window.bytes, 1 << 19); /* half of it takes 16 ms */
    const struct h2_stream *stream = h2_stream_find(lab.owner.conn, 1);
    assert_int_equal(stream->receive_window + stream->credit, 262144);
    assert_true(COUNT(windows_grown) > 2);
    lab_script("RST_STREAM/0/1 00000008");
    assert_true(lab.h2->grown_bytes > 0); /* the connection's */
    h2_close(lab.owner.conn, H2_NO_ERROR, lab.now);
    assert_int_equal(lab.h2->grown_bytes, 0);
    lab_close();
}

/* 16 KiB every 20 ms, where a round trip takes 10: 64 KiB are enough. */
static void windows_stay_where_the_path_does_not_fill_them(void **state)
{
    struct h2_config config = growing_config();
    open_with(H2_SERVER, &config);
    lab_script("HEADERS/4/1 @get");
    upload(1, 40, 20 * CLOCK_MS);
    assert_int_equal(window_of(1), 65536);
    assert_int_equal(COUNT(windows_grown), 0);
    lab_close();
}

static void a_reader_that_does_not_keep_up_gets_no_larger_window(void **state)
{
    struct h2_config config = growing_config();
    open_with(H2_SERVER, &config);
    lab_script("HEADERS/4/1 @get; HEADERS/4/3 @get");
    lab_script(
        "DATA/0/3 z16384; DATA/0/3 z16384; !flush; DATA/0/3 z16384; DATA/0/3 z16384; !flush");
    upload(1, 4, CLOCK_MS); /* the other one is not held up */
    assert_int_equal(window_of(1), 131072);
    assert_int_equal(window_of(3), 65536);
    assert_int_equal(h2_stream_find(lab.owner.conn, 3)->receive_window, 0);
    lab_close();
}

static void windows_grow_within_the_budget_and_give_it_back(void **state)
{
    struct h2_config config = growing_config();
    config.window_budget_bytes = 200000;
    open_with(H2_SERVER, &config);
    lab_script("HEADERS/4/1 @get; HEADERS/4/3 @get");
    for (uint32_t i = 0; i < 20; i++) {
        upload(1, 1, CLOCK_MS);
        upload(3, 1, CLOCK_MS);
        assert_true(lab.h2->grown_bytes <= 200000);
    }
    assert_true(COUNT(windows_not_grown) > 0);
    lab_script("RST_STREAM/0/1 00000008; RST_STREAM/0/3 00000008");
    assert_int_equal(lab.owner.conn->grown_bytes, 0);
    lab_script("HEADERS/4/5 @get"); /* what is owed is paid with the next bytes */
    upload(5, 40, 20 * CLOCK_MS);
    assert_int_equal(lab.owner.conn->credit_debt, 0);
    h2_close(lab.owner.conn, H2_NO_ERROR, lab.now);
    assert_int_equal(lab.h2->grown_bytes, 0);
    lab_close();
}

static void a_request_begins_small_and_gets_what_there_is(void **state)
{
    struct h2_config config = lab_config();
    config.first_window_bytes = 4096;
    config.window_budget_bytes = 100000;
    open_with(H2_CLIENT, &config);
    lab_request(3);
    assert_int_equal(lab_stream(1)->receive_window, 65535);
    assert_int_equal(lab_seen(H2_FRAME_WINDOW_UPDATE, 1).numbers[0], 65535 - 4096);
    assert_int_equal(lab_stream(3)->receive_window, 4096 + 100000 - (65535 - 4096));
    assert_int_equal(lab_stream(5)->receive_window, 4096);
    assert_int_equal(lab_seen(H2_FRAME_WINDOW_UPDATE, 5).count, 0);
    lab_script("HEADERS/4/5 @200; DATA/0/5 z4097"); /* the small one holds */
    assert_null(lab_stream(5));
    assert_int_equal(lab.owner.conn->grown_bytes, 0);
    h2_close(lab.owner.conn, H2_NO_ERROR, lab.now);
    assert_int_equal(lab.h2->grown_bytes, 0);
    lab_close();
}

/* The stream's window when its request has been sent, which is whole. */
static uint32_t window_of_request(uint32_t id)
{
    lab.owner.requests = LAB_WHOLE;
    lab_request(1);
    return lab_stream(id)->receive_window;
}

static void answer_with(uint32_t id, const char *frames)
{
    char script[64];
    (void)snprintf(script, sizeof(script), frames, id, id);
    lab_script(script);
}

static void after_small_answers_windows_become_larger_only_with_larger_ones(void **state)
{
    struct h2_config config = lab_config();
    uint32_t id = 1;
    config.first_window_bytes = 4096;
    config.window_budget_bytes = 1 << 20;
    open_with(H2_CLIENT, &config);
    for (; id < 2 * H2_LIMIT_SMALL_ANSWERS; id += 2) {
        assert_int_equal(window_of_request(id), 65535);
        answer_with(id, "HEADERS/4/%x @200; DATA/1/%x z4096");
    }
    lab_forget_sent();
    assert_int_equal(window_of_request(id), 4096);
    answer_with(id, "HEADERS/5/%x @200");
    id += 2;
    assert_int_equal(window_of_request(id), 4096);
    assert_int_equal(lab_seen(H2_FRAME_WINDOW_UPDATE, UINT32_MAX).count, 0);
    answer_with(id, "HEADERS/4/%x @200"); /* it may become large */
    assert_int_equal(lab_stream(id)->receive_window, 65535);
    assert_int_equal(window_of_request(id + 2), 4096);
    answer_with(id, "DATA/0/%x z4097"); /* it has */
    assert_int_equal(window_of_request(id + 4), 65535);
    h2_close(lab.owner.conn, H2_NO_ERROR, lab.now);
    lab_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sender_keeps_to_both_windows),
        cmocka_unit_test(a_window_may_become_negative),
        cmocka_unit_test(streams_share_the_connection_window_in_turns),
        cmocka_unit_test(connection_credit_returns_without_the_owner),
        cmocka_unit_test(windows_grow_when_a_round_trip_fills_them),
        cmocka_unit_test(windows_stay_where_the_path_does_not_fill_them),
        cmocka_unit_test(a_reader_that_does_not_keep_up_gets_no_larger_window),
        cmocka_unit_test(windows_grow_within_the_budget_and_give_it_back),
        cmocka_unit_test(a_request_begins_small_and_gets_what_there_is),
        cmocka_unit_test(after_small_answers_windows_become_larger_only_with_larger_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
