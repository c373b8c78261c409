/*
 * What has to happen in time: preface, SETTINGS, header blocks, PING, clients that do not take.
 */
#include "dataplane/base/clock.h"
#include "tests/unit/h2/h2_case.h"

#include <stdio.h>

static void a_slow_preface_ends_the_connection(void **state)
{
    struct h2_config config = lab_config();
    lab_create(&config);
    lab_open(H2_SERVER);
    lab_script("PREFACE");
    lab_wait(9 * CLOCK_S);
    assert_non_null(lab.owner.conn);
    lab_wait(CLOCK_S + CLOCK_MS);
    assert_goaway(H2_SETTINGS_TIMEOUT);
    assert_int_equal(COUNT(preface_slow), 1);
    lab_close();
}

static void settings_have_to_be_acknowledged(void **state)
{
    struct h2_config config = lab_config();
    lab_create(&config);
    lab_open(H2_SERVER);
    lab_script("PREFACE; SETTINGS/0/0");
    lab_wait(10 * CLOCK_S + CLOCK_MS);
    assert_goaway(H2_SETTINGS_TIMEOUT);
    assert_int_equal(COUNT(settings_slow), 1);
    lab_close();
}

static void an_idle_client_connection_is_closed(void **state)
{
    open_server();
    lab_wait(200 * CLOCK_S);
    lab_script("HEADERS/5/1 @get");
    lab_wait(400 * CLOCK_S);
    assert_non_null(lab.owner.conn);
    lab_answer();
    lab_wait(299 * CLOCK_S);
    assert_int_equal(lab_seen(H2_FRAME_GOAWAY, 0).count, 0);
    lab_wait(2 * CLOCK_S);
    assert_int_equal(lab_seen(H2_FRAME_GOAWAY, 0).count, 1);
    lab_wait(2 * CLOCK_S);
    assert_null(lab.owner.conn);
    assert_int_equal(COUNT(idle_closed), 1);
    lab_close();
}

static void a_header_block_has_to_be_completed(void **state)
{
    open_server();
    lab_script("HEADERS/1/1 82");
    lab_wait(10 * CLOCK_S + CLOCK_MS);
    assert_goaway(H2_ENHANCE_YOUR_CALM);
    assert_int_equal(COUNT(header_block_slow), 1);
    lab_close();
}

static void a_ping_unanswered_ends_the_connection(void **state)
{
    open_client();
    lab_request(1);
    h2_ping(lab.owner.conn, CLOCK_S, lab.now);
    h2_ping(lab.owner.conn, CLOCK_S, lab.now);
    lab_flush();
    assert_int_equal(lab_seen(H2_FRAME_PING, 0).count, 1);
    uint8_t ping[H2_FRAME_HEADER_BYTES + 8];
    memcpy(ping, lab.sent + lab.sent_bytes - sizeof(ping), sizeof(ping));
    ping[4] = H2_FLAG_ACK;
    lab_feed(bytes_of(ping, sizeof(ping)), SIZE_MAX);
    lab_wait(2 * CLOCK_S);
    assert_non_null(lab.owner.conn);
    h2_ping(lab.owner.conn, CLOCK_S, lab.now);
    lab_wait(CLOCK_S + CLOCK_MS);
    assert_null(lab.owner.conn);
    assert_true(lab.owner.last_reset.conn_lost);
    assert_true(lab.pipe.ends[0].aborted);
    assert_int_equal(COUNT(ping_lost), 1);
    lab_close();
}

/* Its TCP acknowledges: it is busy, or far behind. Requests that wait for it have their own time.
 */
static void a_busy_peer_may_answer_a_ping_late(void **state)
{
    for (int silent = 0; silent < 2; silent++) {
        open_client();
        lab_request(1);
        lab.pipe.ends[0].acknowledges = true;
        h2_ping(lab.owner.conn, CLOCK_S, lab.now);
        for (int i = 0; i < 10; i++)
            lab_wait(CLOCK_S + CLOCK_MS);
        assert_non_null(lab.owner.conn);
        assert_in_range(COUNT(pings_late), 9, 10);
        if (silent)
            lab.pipe.ends[0].acknowledges = false;
        else
            lab_script("HEADERS/5/1 @200"); /* now nobody needs it */
        lab_wait(CLOCK_S + CLOCK_MS);
        assert_null(lab.owner.conn);
        assert_int_equal(COUNT(ping_lost), 1);
        lab_close();
    }
}

static void a_stream_without_window_is_reset_in_time(void **state)
{
    open_server();
    lab.owner.body_bytes = 100000;
    lab_script("HEADERS/5/1 @get; WINDOW_UPDATE/0/0 00ffffff; !answer");
    lab_script("HEADERS/4/3 @get"); /* not answered: it only waits for its owner */
    lab_wait(59 * CLOCK_S);
    assert_int_equal(lab.owner.resets, 0);
    lab_wait(2 * CLOCK_S);
    assert_int_equal(lab_seen(H2_FRAME_RST_STREAM, 1).numbers[0], H2_ENHANCE_YOUR_CALM);
    assert_int_equal(lab.owner.resets, 1);
    assert_int_equal(COUNT(stream_stalled), 1);
    lab_wait(200 * CLOCK_S);
    assert_int_equal(lab.owner.resets, 1);
    lab_script("DATA/1/3; !answer");
    assert_int_equal(COUNT(stream_stalled), 1);
    lab_close();
}

/* A byte now and then is not enough, 1 KiB within the time is. */
static void a_stream_that_takes_little_is_reset_too(void **state)
{
    for (uint32_t bytes = 1; bytes <= 25; bytes += 24) {
        open_server();
        lab.owner.body_bytes = 100000;
        lab_script("HEADERS/5/1 @get; WINDOW_UPDATE/0/0 00ffffff; !answer");
        for (uint32_t i = 0; i < 100; i++) {
            char text[64];
            lab_wait(CLOCK_S);
            snprintf(text, sizeof(text), "WINDOW_UPDATE/0/1 %08x", bytes);
            lab_script(text);
        }
        assert_int_equal(COUNT(stream_stalled), bytes == 1);
        lab_close();
    }
}

static void a_connection_without_window_is_ended_in_time(void **state)
{
    open_server();
    lab.owner.body_bytes = 60000;
    lab_script("HEADERS/5/1 @get; HEADERS/5/3 @get; !answer");
    for (uint32_t i = 0; i < 70; i++) {
        lab_wait(CLOCK_S);
        lab_script("WINDOW_UPDATE/0/0 00000001");
    }
    assert_goaway(H2_ENHANCE_YOUR_CALM);
    assert_int_equal(COUNT(connection_stalled), 1);
    assert_true(lab.pipe.ends[0].aborted);
    lab_close();
}

static void a_window_that_opens_in_time_harms_nobody(void **state)
{
    open_server();
    lab.owner.body_bytes = 60000;
    lab_script("HEADERS/5/1 @get; HEADERS/5/3 @get; !answer");
    lab_wait(50 * CLOCK_S);
    lab_script("WINDOW_UPDATE/0/0 00010000");
    assert_int_equal(lab.owner.finished, 2);
    lab_wait(50 * CLOCK_S);
    assert_non_null(lab.owner.conn);
    assert_int_equal(COUNT(connection_stalled), 0);
    lab_close();
}

static void a_transport_without_room_is_given_up_in_time(void **state)
{
    open_server();
    lab.owner.body_bytes = 60000;
    lab_script("HEADERS/5/1 @get");
    lab.pipe.ends[0].capacity = 30000;
    lab.owner.answer = true;
    h2_stream_ready(lab.owner.streams[0]);
    for (uint32_t i = 0; i < 40; i++) { /* nothing is taken out of the pipe */
        lab.now += 2 * CLOCK_S;
        timer_wheel_advance(&lab.wheel, lab.now, 100);
        h2_flush(lab.h2, lab.now);
    }
    assert_null(lab.owner.conn);
    assert_int_equal(COUNT(connection_stalled), 1);
    assert_true(lab.pipe.ends[0].aborted);
    lab_close();
}

/* C15: no window of its own, none of the connection's, no room; but not one with nothing to say. */
static void who_is_held_up_by_its_client_is_known(void **state)
{
    open_server();
    lab.owner.body_bytes = 100000;
    lab_script("HEADERS/5/1 @get; WINDOW_UPDATE/0/0 00ffffff; HEADERS/5/3 @get");
    assert_false(h2_stream_is_held_up(lab_stream(1)));
    lab_script("!answer");
    assert_true(h2_stream_is_held_up(lab_stream(1)));
    lab_script("WINDOW_UPDATE/0/1 00ffffff");
    assert_int_equal(lab.owner.finished, 1);
    assert_true(h2_stream_is_held_up(lab_stream(3)));
    lab_close();

    open_server();
    lab.owner.body_bytes = 60000;
    lab_script("HEADERS/5/1 @get; HEADERS/5/3 @get; !answer");
    assert_true(h2_stream_is_held_up(lab_stream(3)));
    lab_script("WINDOW_UPDATE/0/0 00010000");
    assert_int_equal(lab.owner.finished, 2);
    lab_close();

    open_server();
    lab.owner.body_bytes = 60000;
    lab_script("HEADERS/5/1 @get");
    uint32_t capacity = lab.pipe.ends[0].capacity;
    lab.pipe.ends[0].capacity = 30000;
    lab.owner.answer = true;
    h2_stream_ready(lab.owner.streams[0]);
    h2_flush(lab.h2, lab.now);
    assert_true(h2_stream_is_held_up(lab_stream(1)));
    lab.pipe.ends[0].capacity = capacity;
    h2_writable(lab.owner.conn);
    lab_flush();
    assert_int_equal(lab.owner.finished, 1);
    lab_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_preface_ends_the_connection),
        cmocka_unit_test(settings_have_to_be_acknowledged),
        cmocka_unit_test(an_idle_client_connection_is_closed),
        cmocka_unit_test(a_header_block_has_to_be_completed),
        cmocka_unit_test(a_ping_unanswered_ends_the_connection),
        cmocka_unit_test(a_busy_peer_may_answer_a_ping_late),
        cmocka_unit_test(a_stream_without_window_is_reset_in_time),
        cmocka_unit_test(a_stream_that_takes_little_is_reset_too),
        cmocka_unit_test(a_connection_without_window_is_ended_in_time),
        cmocka_unit_test(a_window_that_opens_in_time_harms_nobody),
        cmocka_unit_test(a_transport_without_room_is_given_up_in_time),
        cmocka_unit_test(who_is_held_up_by_its_client_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
