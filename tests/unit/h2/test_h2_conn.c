/*
 * What a connection does over its life: opening, requests, windows, shutdown, deadlines, budgets,
 * and what its owner may do from inside callbacks.
 */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/memory.h"
#include "tests/support/cmocka.h"
#include "tests/support/h2_lab.h"

#include <stdio.h>

#define COUNT(name) (h2_counters(lab.h2)->name)

static void open_with(enum h2_role role, const struct h2_config *config)
{
    lab_create(config);
    lab_open(role);
    lab_handshake();
}

static void open_server(void)
{
    struct h2_config config = lab_config();
    open_with(H2_SERVER, &config);
}

static void open_client(void)
{
    struct h2_config config = lab_config();
    open_with(H2_CLIENT, &config);
}

static void assert_goaway(enum h2_error code)
{
    struct lab_seen seen = lab_seen(H2_FRAME_GOAWAY, 0);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.numbers[1], code);
    assert_null(lab.owner.conn);
}

/* ---- opening ---- */

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

/* ---- requests ---- */

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

static void without_a_stream_object_the_request_is_refused(void **state)
{
    struct h2_config config = lab_config();
    config.streams_max = 1;
    open_with(H2_SERVER, &config);
    lab_script("HEADERS/5/1 @get; HEADERS/5/3 @get");
    assert_int_equal(lab_seen(H2_FRAME_RST_STREAM, 3).numbers[0], H2_REFUSED_STREAM);
    assert_int_equal(COUNT(streams_exhausted), 1);
    lab_close();
}

static void without_a_header_block_the_connection_is_shed(void **state)
{
    struct h2_config config = lab_config();
    config.header_blocks_max = 0;
    open_with(H2_SERVER, &config);
    lab_script("HEADERS/5/1 @get");
    assert_int_equal(lab.owner.headers, 1);
    lab_script("HEADERS/1/3 82");
    assert_goaway(H2_ENHANCE_YOUR_CALM);
    assert_int_equal(COUNT(header_blocks_exhausted), 1);
    lab_close();
}

/* Two connections share one block: who holds it for a second makes way. */
static void a_header_block_held_for_long_goes_to_others(void **state)
{
    struct h2_config config = lab_config();
    config.header_blocks_max = 1;
    config.connections_max = 2;
    open_with(H2_SERVER, &config);
    lab_script("HEADERS/1/1 82");
    struct h2_conn *holder = lab.owner.conn;
    struct pipe held = lab.pipe;
    for (uint32_t i = 0; i < 2; i++)
        held.ends[i].peer = &held.ends[1 - i];
    holder->transport = pipe_transport(&held.ends[0]);
    lab_open(H2_SERVER);
    lab_handshake();
    lab_script("HEADERS/1/1 82");
    assert_goaway(H2_ENHANCE_YOUR_CALM);
    lab_wait(CLOCK_S);
    pipe_release(&lab.pipe);
    lab_open(H2_SERVER);
    struct h2_conn *second = lab.owner.conn;
    lab_handshake();
    lab.owner.conn = holder; /* closed() is told for it first */
    uint8_t memory[100];
    struct writer out = writer_over(memory, sizeof(memory));
    h2_script_write("HEADERS/1/1 82", &out);
    pipe_feed(&lab.pipe.ends[0], writer_written(&out));
    h2_in(second, lab.now);
    assert_true(held.ends[0].closed);
    assert_int_equal(COUNT(header_block_evicted), 1);
    assert_int_equal(lab.owner.closed, 2);
    pipe_release(&held);
    lab.owner.conn = second;
    lab.owner.closed = 0;
    lab_script("CONTINUATION/4/1 8784410161");
    assert_int_equal(lab.owner.headers, 1);
    lab_close();
}

static void without_a_table_the_connection_is_shed(void **state)
{
    struct h2_config config = lab_config();
    config.hpack_tables_max = 0;
    open_with(H2_SERVER, &config);
    lab_script("HEADERS/5/1 82 87 84 01 01 61");
    assert_int_equal(lab.owner.headers, 1);
    lab_script("HEADERS/5/3 @get");
    assert_goaway(H2_ENHANCE_YOUR_CALM);
    assert_int_equal(COUNT(hpack_tables_exhausted), 1);
    lab_close();
}

/* Two connections share one table: who rests makes way, and learns which requests were taken. */
static void a_table_of_a_connection_that_rests_goes_to_others(void **state)
{
    struct h2_config config = lab_config();
    config.hpack_tables_max = 1;
    config.connections_max = 2;
    open_with(H2_SERVER, &config);
    lab_script("HEADERS/5/1 @get; RST_STREAM/0/1 00000008");
    assert_int_equal(lab.owner.headers, 1);
    struct h2_conn *resting = lab.owner.conn;
    struct pipe rested = lab.pipe;
    for (uint32_t i = 0; i < 2; i++)
        rested.ends[i].peer = &rested.ends[1 - i];
    resting->transport = pipe_transport(&rested.ends[0]);
    lab_open(H2_SERVER);
    struct h2_conn *second = lab.owner.conn;
    lab_handshake();
    lab.owner.conn = resting; /* closed() is told for it */
    uint8_t memory[200];
    struct writer out = writer_over(memory, sizeof(memory));
    h2_script_write("HEADERS/5/1 @get", &out);
    pipe_feed(&lab.pipe.ends[0], writer_written(&out));
    h2_in(second, lab.now);
    assert_true(rested.ends[0].closed);
    assert_int_equal(COUNT(resting_closed), 1);
    assert_int_equal(COUNT(hpack_tables_exhausted), 0);
    assert_int_equal(lab.owner.closed, 1);
    assert_int_equal(lab.owner.headers, 2);
    pipe_release(&rested);
    lab.owner.conn = second;
    lab.owner.closed = 0;
    lab_close();
}

/* One that is busy does not make way: the newcomer is shed. */
static void a_table_of_a_connection_with_streams_stays(void **state)
{
    struct h2_config config = lab_config();
    config.hpack_tables_max = 1;
    config.connections_max = 2;
    open_with(H2_SERVER, &config);
    lab_script("HEADERS/5/1 @get");
    struct h2_conn *busy = lab.owner.conn;
    struct pipe kept = lab.pipe;
    for (uint32_t i = 0; i < 2; i++)
        kept.ends[i].peer = &kept.ends[1 - i];
    busy->transport = pipe_transport(&kept.ends[0]);
    lab_open(H2_SERVER);
    lab_handshake();
    lab_script("HEADERS/5/1 @get");
    assert_goaway(H2_ENHANCE_YOUR_CALM);
    assert_int_equal(COUNT(resting_closed), 0);
    assert_int_equal(COUNT(hpack_tables_exhausted), 1);
    pipe_release(&lab.pipe);
    lab.pipe = kept;
    for (uint32_t i = 0; i < 2; i++)
        lab.pipe.ends[i].peer = &lab.pipe.ends[1 - i];
    busy->transport = pipe_transport(&lab.pipe.ends[0]);
    lab.owner.conn = busy;
    lab.owner.closed = 0;
    lab_close();
}

static void a_header_list_too_large_is_told_as_overflow(void **state)
{
    struct h2_config config = lab_config();
    config.header_list_bytes = 1000;
    open_with(H2_SERVER, &config);
    lab_script("HEADERS/5/1 @get 40 01 61 7f b906 z952; HEADERS/5/3 82 87 84 bf");
    assert_int_equal(lab.owner.headers, 2);
    assert_int_equal(lab.owner.overflows, 1);
    assert_int_equal(COUNT(header_lists_too_large), 1);
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
    lab_close();
}

/* Requests that were accepted, but not sent before SETTINGS lowered the number, wait. */
static void a_lowered_number_of_streams_is_kept_to(void **state)
{
    open_client();
    lab_script("SETTINGS/0/0 000300000003");
    for (uint32_t i = 0; i < 3; i++)
        lab.owner.streams[i] = h2_request(lab.owner.conn, &lab.owner, lab.now);
    uint8_t memory[100];
    struct writer out = writer_over(memory, sizeof(memory));
    h2_script_write("SETTINGS/0/0 000300000001", &out);
    pipe_feed(&lab.pipe.ends[0], writer_written(&out));
    h2_in(lab.owner.conn, lab.now);
    lab_flush();
    assert_int_equal(lab_seen(H2_FRAME_HEADERS, UINT32_MAX).count, 1);
    lab_script("HEADERS/5/1 @200; PING/0/0 z8");
    assert_int_equal(lab_seen(H2_FRAME_HEADERS, UINT32_MAX).count, 2);
    lab_script("SETTINGS/0/0 000300000002");
    assert_int_equal(lab_seen(H2_FRAME_HEADERS, UINT32_MAX).count, 3);
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

/* ---- windows ---- */

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

/* ---- shutdown ---- */

static void a_server_shuts_down_in_two_steps(void **state)
{
    open_server();
    lab_script("HEADERS/4/1 @get");
    h2_shutdown(lab.owner.conn, lab.now);
    lab_flush();
    assert_int_equal(lab_seen(H2_FRAME_GOAWAY, 0).numbers[0], H2_STREAM_ID_MAX);
    lab_script("HEADERS/4/3 @get");
    assert_int_equal(lab.owner.headers, 2);
    lab_forget_sent();
    lab_wait(CLOCK_S + CLOCK_MS);
    assert_int_equal(lab_seen(H2_FRAME_GOAWAY, 0).numbers[0], 3);
    lab_script("HEADERS/4/5 @get; DATA/1/1; DATA/1/3");
    assert_int_equal(lab.owner.headers, 2);
    assert_non_null(lab.owner.conn);
    lab_answer();
    assert_int_equal(lab.owner.finished, 2);
    assert_null(lab.owner.conn);
    assert_true(lab.pipe.ends[0].closed);
    lab_close();
}

static void a_client_finishes_its_requests(void **state)
{
    open_client();
    lab_request(1);
    h2_shutdown(lab.owner.conn, lab.now);
    lab_flush();
    assert_int_equal(lab_seen(H2_FRAME_GOAWAY, 0).count, 1);
    assert_false(h2_is_open(lab.owner.conn));
    assert_null(h2_request(lab.owner.conn, NULL, lab.now));
    lab_script("HEADERS/5/1 @200");
    assert_int_equal(lab.owner.finished, 1);
    assert_null(lab.owner.conn);
    lab_close();
}

static void shutdown_before_the_preface_closes_at_once(void **state)
{
    struct h2_config config = lab_config();
    lab_create(&config);
    lab_open(H2_SERVER);
    h2_shutdown(lab.owner.conn, lab.now);
    assert_null(lab.owner.conn);
    lab_close();
}

static void goaway_returns_what_was_not_processed(void **state)
{
    open_client();
    lab_request(3);
    struct h2_stream *unsent = h2_request(lab.owner.conn, &lab.owner, lab.now);
    lab.owner.streams[3] = unsent;
    uint32_t told = lab.owner.available;
    lab_script("GOAWAY/0/0 00000001 00000000");
    assert_int_equal(lab.owner.resets, 3);
    assert_int_equal(lab.owner.unprocessed, 3);
    assert_int_equal(lab.owner.available, told + 1);
    assert_false(h2_is_open(lab.owner.conn));
    assert_int_equal(h2_conn_stream_count(lab.owner.conn), 1);
    lab_script("HEADERS/5/1 @200");
    assert_int_equal(lab.owner.finished, 1);
    assert_null(lab.owner.conn);
    lab_close();
}

static void streams_beyond_goaway_are_unprocessed_when_the_connection_is_lost(void **state)
{
    open_client();
    lab_request(1);
    h2_transport_ended(lab.owner.conn, true, lab.now);
    assert_int_equal(lab.owner.resets, 1);
    assert_true(lab.owner.last_reset.conn_lost);
    assert_false(lab.owner.last_reset.unprocessed);
    assert_true(lab.pipe.ends[0].aborted);
    lab_close();
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

/* ---- from inside callbacks ---- */

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

/* ---- deadlines ---- */

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

/* ---- room ---- */

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

/* ---- abuse ---- */

struct flood {
    const char *name;
    const char *before;
    const char *frames; /* %x: a fresh stream identifier */
    uint32_t burst;
    uint32_t per_second;
    size_t counter;
};

#define FLOOD(name) offsetof(struct h2_counters, name) / sizeof(uint64_t)

static const struct flood floods[] = {
    {"rapid reset", "", "HEADERS/5/%1$x @get; RST_STREAM/0/%1$x 00000008", 1000, 33,
     FLOOD(reset_flood)},
    {"making us reset by malformed requests", "", "HEADERS/5/%x 82", 1000, 33, FLOOD(reset_flood)},
    {"making us reset by WINDOW_UPDATE", "", "HEADERS/5/%1$x @get; WINDOW_UPDATE/0/%1$x 00000000",
     1000, 33, FLOOD(reset_flood)},
    {"PING", "", "PING/0/0 z8", 1000, 100, FLOOD(ping_flood)},
    {"SETTINGS", "", "SETTINGS/0/0", 98, 10, FLOOD(settings_flood)}, /* 2 were the handshake's */
    {"SETTINGS ACK", "", "SETTINGS/1/0", 98, 10, FLOOD(settings_flood)},
    {"empty DATA", "HEADERS/4/1 @get", "DATA/0/1", 500, 50, FLOOD(empty_data_flood)},
    {"nothing but padding", "HEADERS/4/1 @get", "DATA/8/1 00", 500, 50, FLOOD(empty_data_flood)},
    {"PRIORITY", "", "PRIORITY/0/1 0000000310", 2000, 200, FLOOD(priority_flood)},
    {"WINDOW_UPDATE", "", "WINDOW_UPDATE/0/0 00000001", 4000, 400, FLOOD(window_update_flood)},
    {"unknown frames", "", "ee/0/0 00", 1000, 100, FLOOD(unknown_flood)},
    {"DATA on a closed stream", "HEADERS/4/1 @get; !reset", "DATA/0/1 00", 40000, 10000,
     FLOOD(discarded_flood)},
};

static void send_times(const struct flood *flood, uint32_t times, uint32_t *id)
{
    char text[200];
    for (uint32_t i = 0; i < times; i++) {
        snprintf(text, sizeof(text), flood->frames, *id);
        *id += 2;
        lab_script(text);
        lab_forget_sent();
    }
}

static void what_peers_may_do_is_bounded(void **state)
{
    for (size_t i = 0; i < array_count(floods); i++) {
        const struct flood *flood = &floods[i];
        uint32_t id = 3;
        struct h2_config config = lab_config();
        config.idle_timeout_ns = 0;
        open_with(H2_SERVER, &config);
        lab_script(flood->before);
        send_times(flood, flood->burst, &id);
        if (lab.owner.conn == NULL)
            print_error("%s: over too early\n", flood->name);
        assert_non_null(lab.owner.conn);
        lab_wait(CLOCK_S);
        send_times(flood, flood->per_second, &id);
        assert_non_null(lab.owner.conn);
        assert_int_equal(lab_counter(flood->counter), 0);
        char text[200];
        snprintf(text, sizeof(text), flood->frames, id);
        lab_script(text);
        if (lab.owner.conn != NULL)
            print_error("%s: not bounded\n", flood->name);
        assert_goaway(H2_ENHANCE_YOUR_CALM);
        assert_int_equal(lab_counter(flood->counter), 1);
        lab_close();
    }
}

static void window_updates_that_our_data_explains_are_free(void **state)
{
    open_server();
    lab.owner.body_bytes = 10000000;
    lab_script("HEADERS/5/1 @get; WINDOW_UPDATE/0/1 00ffffff; !answer");
    for (uint32_t i = 0; i < 8000; i++) {
        lab_script("WINDOW_UPDATE/0/0 00000100");
        lab_forget_sent();
    }
    assert_non_null(lab.owner.conn);
    lab_close();
}

static void more_resets_than_are_remembered_are_forgiven(void **state)
{
    open_server();
    char text[100];
    lab_script("HEADERS/4/1 @get");
    for (uint32_t id = 3; id < 3 + 2 * 40; id += 2) {
        lab_reset_first();
        snprintf(text, sizeof(text), "HEADERS/4/%x @get", id);
        lab_script(text);
    }
    lab_script("DATA/0/1 z100; DATA/1/5 z100");
    assert_non_null(lab.owner.conn);
    assert_int_equal(COUNT(frames_discarded), 2);
    lab_close();
}

static void interim_responses_are_bounded(void **state)
{
    open_client();
    lab_request(1);
    for (uint32_t i = 0; i < 32; i++)
        lab_script("HEADERS/4/1 08 03 '103");
    assert_int_equal(lab.owner.resets, 0);
    lab_script("HEADERS/4/1 08 03 '103");
    assert_int_equal(lab.owner.resets, 1);
    assert_int_equal(COUNT(interim_flood), 1);
    lab_close();
}

/* ---- clients that do not take ---- */

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

/* ---- memory and places ---- */

static void more_fields_than_a_hundred_are_too_many(void **state)
{
    open_server();
    char text[1000];
    int at = snprintf(text, sizeof(text), "HEADERS/5/1 @get ");
    for (uint32_t i = 0; i < 96; i++) /* @get has 4 */
        at += snprintf(text + at, sizeof(text) - (size_t)at, "6001%x", 0x61 + i % 16);
    lab_script(text);
    assert_int_equal(lab.owner.headers, 1);
    assert_int_equal(lab.owner.overflows, 0);
    text[8] = '5';
    text[10] = '3';
    snprintf(text + at, sizeof(text) - (size_t)at, "600161");
    lab_script(text);
    assert_int_equal(lab.owner.headers, 2);
    assert_int_equal(lab.owner.overflows, 1);
    assert_int_equal(COUNT(header_fields_too_many), 1);
    lab_close();
}

/* A request whose section takes some 15 KiB. */
static void send_large_request(uint32_t id)
{
    static uint8_t bytes[16384];
    struct writer w = writer_over(bytes, sizeof(bytes));
    uint8_t *header = writer_take(&w, H2_FRAME_HEADER_BYTES);
    static const uint8_t start[] = {0x82, 0x87, 0x84, 0x41, 1, 'a', 0, 1, 'a', 0x7f, 0x81, 0x74};
    writer_bytes(&w, bytes_of(start, sizeof(start))); /* 127 + 1 + (0x74 << 7) = 14976 */
    memset(writer_take(&w, 14976), 'v', 14976);
    struct bytes all = writer_written(&w);
    h2_frame_write(header, (struct h2_frame){.length = (uint32_t)all.length - H2_FRAME_HEADER_BYTES,
                                             .type = H2_FRAME_HEADERS,
                                             .flags = H2_FLAG_END_HEADERS,
                                             .stream_id = id});
    lab_feed(all, SIZE_MAX);
}

/* Seventeen fit into 256 KiB; when one of them ends there is room again. */
static void headers_of_one_client_are_bounded(void **state)
{
    open_server();
    for (uint32_t id = 1; id <= 35; id += 2)
        send_large_request(id);
    assert_int_equal(lab.owner.headers, 17);
    assert_int_equal(lab_seen(H2_FRAME_RST_STREAM, 35).numbers[0], H2_REFUSED_STREAM);
    assert_int_equal(COUNT(header_memory_exceeded), 1);
    lab_script("RST_STREAM/0/1 00000008");
    send_large_request(37);
    assert_int_equal(lab.owner.headers, 18);
    assert_int_equal(COUNT(header_memory_exceeded), 1);
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
        cmocka_unit_test(streams_beyond_the_announced_are_refused),
        cmocka_unit_test(without_a_stream_object_the_request_is_refused),
        cmocka_unit_test(without_a_header_block_the_connection_is_shed),
        cmocka_unit_test(a_header_block_held_for_long_goes_to_others),
        cmocka_unit_test(without_a_table_the_connection_is_shed),
        cmocka_unit_test(a_table_of_a_connection_that_rests_goes_to_others),
        cmocka_unit_test(a_table_of_a_connection_with_streams_stays),
        cmocka_unit_test(a_header_list_too_large_is_told_as_overflow),
        cmocka_unit_test(an_answer_before_the_request_ends_cuts_it_short),
        cmocka_unit_test(a_request_refused_is_told_as_unprocessed),
        cmocka_unit_test(a_complete_answer_outlives_the_request),
        cmocka_unit_test(request_room_follows_the_server),
        cmocka_unit_test(a_lowered_number_of_streams_is_kept_to),
        cmocka_unit_test(identifiers_run_out_gracefully),
        cmocka_unit_test(a_sender_keeps_to_both_windows),
        cmocka_unit_test(a_window_may_become_negative),
        cmocka_unit_test(streams_share_the_connection_window_in_turns),
        cmocka_unit_test(connection_credit_returns_without_the_owner),
        cmocka_unit_test(windows_grow_when_a_round_trip_fills_them),
        cmocka_unit_test(windows_stay_where_the_path_does_not_fill_them),
        cmocka_unit_test(a_reader_that_does_not_keep_up_gets_no_larger_window),
        cmocka_unit_test(windows_grow_within_the_budget_and_give_it_back),
        cmocka_unit_test(a_server_shuts_down_in_two_steps),
        cmocka_unit_test(a_client_finishes_its_requests),
        cmocka_unit_test(shutdown_before_the_preface_closes_at_once),
        cmocka_unit_test(goaway_returns_what_was_not_processed),
        cmocka_unit_test(streams_beyond_goaway_are_unprocessed_when_the_connection_is_lost),
        cmocka_unit_test(what_came_before_the_end_is_read),
        cmocka_unit_test(closing_tells_everybody),
        cmocka_unit_test(the_owner_may_reset_in_headers),
        cmocka_unit_test(the_owner_may_close_in_headers),
        cmocka_unit_test(a_slow_preface_ends_the_connection),
        cmocka_unit_test(settings_have_to_be_acknowledged),
        cmocka_unit_test(an_idle_client_connection_is_closed),
        cmocka_unit_test(a_header_block_has_to_be_completed),
        cmocka_unit_test(a_ping_unanswered_ends_the_connection),
        cmocka_unit_test(answers_that_do_not_fit_stop_the_reading),
        cmocka_unit_test(a_ping_is_answered_before_data),
        cmocka_unit_test(what_peers_may_do_is_bounded),
        cmocka_unit_test(window_updates_that_our_data_explains_are_free),
        cmocka_unit_test(more_resets_than_are_remembered_are_forgiven),
        cmocka_unit_test(interim_responses_are_bounded),
        cmocka_unit_test(a_stream_without_window_is_reset_in_time),
        cmocka_unit_test(a_stream_that_takes_little_is_reset_too),
        cmocka_unit_test(a_connection_without_window_is_ended_in_time),
        cmocka_unit_test(a_window_that_opens_in_time_harms_nobody),
        cmocka_unit_test(a_transport_without_room_is_given_up_in_time),
        cmocka_unit_test(more_fields_than_a_hundred_are_too_many),
        cmocka_unit_test(headers_of_one_client_are_bounded),
        cmocka_unit_test(a_place_is_kept_for_what_goes_on),
        cmocka_unit_test(an_idle_connection_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
