/*
 * What a connection does at its beginning, with too little room, and from inside callbacks.
 */
#include "dataplane/base/memory.h"
#include "tests/unit/h2/h2_case.h"

#include <stdio.h>

static void the_server_says_nothing_before_the_preface(void **state)
{
    struct h2_config config = lab_config();
    config.connection_window_bytes = 1000000;
    lab_create(&config);
    lab_open(H2_SERVER);
    lab_flush();
    assert_int_equal(lab.sent_bytes, 0);
    lab_script("PREFACE");
    assert_int_equal(lab_seen(H2_FRAME_SETTINGS, 0).count, 1);
    assert_int_equal(lab_seen(H2_FRAME_WINDOW_UPDATE, 0).numbers[0], 1000000 - 65535);
    lab_forget_sent();
    lab_script("SETTINGS/0/0");
    assert_int_equal(lab_seen(H2_FRAME_SETTINGS, 0).flags, H2_FLAG_ACK);
    lab_close();
}

static void the_client_begins_with_preface_and_push_disabled(void **state)
{
    struct h2_config config = lab_config();
    lab_create(&config);
    lab_open(H2_CLIENT);
    lab_flush();
    assert_memory_equal(lab.sent, H2_PREFACE, H2_PREFACE_BYTES);
    struct h2_frame frame = h2_frame_read(lab.sent + H2_PREFACE_BYTES);
    assert_int_equal(frame.type, H2_FRAME_SETTINGS);
    static const uint8_t no_push[] = {0, 2, 0, 0, 0, 0};
    assert_memory_equal(lab.sent + H2_PREFACE_BYTES + 9, no_push, sizeof(no_push));
    assert_int_equal(h2_request_room(lab.owner.conn), 0);
    assert_true(h2_is_open(lab.owner.conn));
    assert_null(h2_request(lab.owner.conn, NULL, lab.now));
    lab_script("SETTINGS/0/0");
    assert_int_equal(lab.owner.available, 1);
    assert_true(h2_request_room(lab.owner.conn) > 0);
    lab_close();
}

static void http1_is_answered_in_full(void **state)
{
    struct h2_config config = lab_config();
    lab_create(&config);
    lab_open(H2_SERVER);
    lab_script("RAW 'GET 20 '/ 20 'HTTP/1.1 0d0a");
    lab.sent[lab.sent_bytes] = 0;
    const char *body = strstr((char *)lab.sent, "\r\n\r\n");
    assert_non_null(body);
    assert_non_null(strstr((char *)lab.sent, "connection: close\r\n"));
    unsigned length = 0;
    const char *told = strstr((char *)lab.sent, "content-length: ");
    assert_non_null(told);
    assert_int_equal(sscanf(told, "content-length: %u", &length), 1);
    assert_int_equal(strlen(body + 4), length);
    assert_int_equal(COUNT(http1_refused), 1);
    assert_true(lab.pipe.ends[0].closed);
    lab_close();
}

static void without_an_object_the_transport_is_aborted(void **state)
{
    open_server();
    struct pipe other;
    pipe_open(&other, 1000, NULL);
    assert_null(
        h2_open(lab.h2, H2_SERVER, pipe_transport(&other.ends[0]), &lab_handler, NULL, lab.now));
    assert_true(other.ends[0].aborted);
    assert_int_equal(COUNT(connections_shed), 1);
    pipe_release(&other);
    lab_close();
}

static void creation_fails_cleanly_at_every_take(void **state)
{
    struct h2_config config = lab_config();
    uint32_t takes = 0;
    struct h2 *h2 = NULL;
    while (h2 == NULL) {
        assert_true(takes < 100);
        memory_fail_after(takes++);
        h2 = h2_create(&config);
        memory_reset();
    }
    assert_true(takes > 10);
}

static void what_came_before_the_end_is_read(void **state)
{
    open_client();
    lab_request(1);
    uint8_t memory[100];
    struct writer out = writer_over(memory, sizeof(memory));
    h2_script_write("HEADERS/5/1 @200", &out);
    pipe_feed(&lab.pipe.ends[0], writer_written(&out));
    h2_transport_ended(lab.owner.conn, false, lab.now);
    assert_int_equal(lab.owner.finished, 1);
    assert_int_equal(lab.owner.resets, 0);
    lab_close();
}

static void closing_tells_everybody(void **state)
{
    open_server();
    lab_script("HEADERS/4/1 @get; HEADERS/4/3 @get");
    h2_close(lab.owner.conn, H2_INTERNAL_ERROR, lab.now);
    lab_flush();
    assert_goaway(H2_INTERNAL_ERROR);
    assert_int_equal(lab_seen(H2_FRAME_GOAWAY, 0).numbers[0], 3);
    assert_int_equal(lab.owner.resets, 2);
    assert_true(lab.owner.last_reset.conn_lost);
    lab_close();
}

static void the_owner_may_reset_in_headers(void **state)
{
    open_server();
    lab.owner.resets_at_once = true;
    lab_script("HEADERS/4/1 @get; DATA/1/1 z10; HEADERS/5/3 @get");
    assert_int_equal(lab_seen(H2_FRAME_RST_STREAM, 1).numbers[0], H2_CANCEL);
    assert_int_equal(lab_seen(H2_FRAME_RST_STREAM, 3).numbers[0], H2_CANCEL);
    assert_int_equal(lab.owner.data_bytes, 0);
    assert_int_equal(lab.owner.resets, 0);
    lab_close();
}

static void the_owner_may_close_in_headers(void **state)
{
    open_server();
    lab.owner.closes_at_once = true;
    lab_script("HEADERS/4/1 @get; DATA/1/1 z10; HEADERS/5/3 @get");
    assert_goaway(H2_INTERNAL_ERROR);
    assert_int_equal(lab.owner.headers, 1);
    assert_int_equal(lab.owner.resets, 1);
    lab_close();
}

static void answers_that_do_not_fit_stop_the_reading(void **state)
{
    open_server();
    uint32_t capacity = lab.pipe.ends[0].capacity;
    lab.pipe.ends[0].capacity = 0;
    lab_script("PING/0/0 z8; PING/0/0 z8; PING/0/0 z8; PING/0/0 z8; PING/0/0 z8; PING/0/0 z8");
    assert_int_equal(COUNT(pings_in), 4);
    assert_true(COUNT(reading_paused) > 0);
    lab.pipe.ends[0].capacity = capacity;
    h2_writable(lab.owner.conn);
    lab_flush();
    lab_flush();
    assert_int_equal(COUNT(pings_in), 6);
    assert_int_equal(lab_seen(H2_FRAME_PING, 0).count, 6);
    lab_close();
}

static void a_ping_is_answered_before_data(void **state)
{
    open_server();
    lab.owner.body_bytes = 1000;
    lab_script("HEADERS/5/1 @get");
    uint8_t memory[100];
    struct writer out = writer_over(memory, sizeof(memory));
    h2_script_write("PING/0/0 0102030405060708", &out);
    pipe_feed(&lab.pipe.ends[0], writer_written(&out));
    h2_in(lab.owner.conn, lab.now);
    lab_forget_sent();
    lab_answer();
    struct h2_frame frame = h2_frame_read(lab.sent);
    assert_int_equal(frame.type, H2_FRAME_PING);
    assert_int_equal(frame.flags, H2_FLAG_ACK);
    assert_memory_equal(lab.sent + 9, "\1\2\3\4\5\6\7\10", 8);
    assert_int_equal(lab_data_sent(1), 1000);
    lab_close();
}

static void an_idle_connection_is_small(void **state)
{
    assert_true(sizeof(struct h2_conn) <= 1024);
    assert_true(sizeof(struct h2_stream) <= 128);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_server_says_nothing_before_the_preface),
        cmocka_unit_test(the_client_begins_with_preface_and_push_disabled),
        cmocka_unit_test(http1_is_answered_in_full),
        cmocka_unit_test(without_an_object_the_transport_is_aborted),
        cmocka_unit_test(creation_fails_cleanly_at_every_take),
        cmocka_unit_test(what_came_before_the_end_is_read),
        cmocka_unit_test(closing_tells_everybody),
        cmocka_unit_test(the_owner_may_reset_in_headers),
        cmocka_unit_test(the_owner_may_close_in_headers),
        cmocka_unit_test(answers_that_do_not_fit_stop_the_reading),
        cmocka_unit_test(a_ping_is_answered_before_data),
        cmocka_unit_test(an_idle_connection_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
