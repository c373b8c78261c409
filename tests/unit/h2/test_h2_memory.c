/*
 * When objects run out: streams, header blocks, compression tables, headers of one client.
 */
#include "dataplane/base/clock.h"
#include "dataplane/base/memory.h"
#include "tests/unit/h2/h2_case.h"

#include <stdio.h>

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

/* A connection that is not the lab's for the time being. */
struct aside {
    struct h2_conn *conn;
    struct pipe pipe;
};

static void move_pipe(struct pipe *to, const struct pipe *from, struct h2_conn *conn)
{
    *to = *from;
    for (uint32_t i = 0; i < 2; i++)
        to->ends[i].peer = &to->ends[1 - i];
    if (conn != NULL)
        conn->transport = pipe_transport(&to->ends[0]);
}

/* The lab's connection steps aside and another one is opened. */
static void open_another(struct aside *first)
{
    first->conn = lab.owner.conn;
    move_pipe(&first->pipe, &lab.pipe, first->conn);
    lab_open(H2_SERVER);
    lab_handshake();
}

static void change_places(struct aside *other)
{
    struct aside now = {lab.owner.conn, lab.pipe};
    lab.owner.conn = other->conn;
    move_pipe(&lab.pipe, &other->pipe, other->conn);
    other->conn = now.conn;
    move_pipe(&other->pipe, &now.pipe, now.conn);
}

/* What SCRIPT brings the lab's connection ends FIRST in good order, which is all that ends. */
static void play_to_the_end_of(struct aside *first, const char *script)
{
    uint8_t memory[200];
    struct writer out = writer_over(memory, sizeof(memory));
    struct h2_conn *conn = lab.owner.conn;
    lab.owner.conn = first->conn; /* closed() is told for it */
    h2_script_write(script, &out);
    pipe_feed(&lab.pipe.ends[0], writer_written(&out));
    h2_in(conn, lab.now);
    assert_true(first->pipe.ends[0].closed);
    assert_int_equal(lab.owner.closed, 1);
    pipe_release(&first->pipe);
    lab.owner.conn = conn;
    lab.owner.closed = 0;
}

/* The lab's connection was shed; FIRST is the lab's again. */
static void back_to(struct aside *first)
{
    assert_goaway(H2_ENHANCE_YOUR_CALM);
    lab.owner.closed = 0;
    change_places(first);
    pipe_release(&first->pipe);
}

/* Two connections share one block: who holds it for a second makes way. */
static void a_header_block_held_for_long_goes_to_others(void **state)
{
    struct aside holder;
    struct h2_config config = lab_config();
    config.header_blocks_max = 1;
    config.connections_max = 2;
    open_with(H2_SERVER, &config);
    lab_script("HEADERS/1/1 82");
    open_another(&holder);
    lab_script("HEADERS/1/1 82");
    back_to(&holder);
    lab_wait(CLOCK_S);
    open_another(&holder);
    play_to_the_end_of(&holder, "HEADERS/1/1 82");
    assert_int_equal(COUNT(header_block_evicted), 1);
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

/* Two connections share one table. */
static void open_with_one_table(void)
{
    struct h2_config config = lab_config();
    config.hpack_tables_max = 1;
    config.connections_max = 2;
    open_with(H2_SERVER, &config);
}

/* Who rests makes way, and learns which requests were taken. */
static void a_table_of_a_connection_that_rests_goes_to_others(void **state)
{
    static const char *const requests[] = {
        "HEADERS/5/1 @get; RST_STREAM/0/1 00000008",
        "HEADERS/5/1 @get 00 02 'te 04 'gzip", /* refused: it never had a stream */
    };
    for (size_t i = 0; i < array_count(requests); i++) {
        struct aside resting;
        open_with_one_table();
        lab_script(requests[i]);
        open_another(&resting);
        play_to_the_end_of(&resting, "HEADERS/5/1 @get");
        assert_int_equal(COUNT(resting_closed), 1);
        assert_int_equal(COUNT(hpack_tables_exhausted), 0);
        lab_close();
    }
}

/* One that is busy does not make way: the newcomer is shed. */
static void a_table_of_a_connection_with_streams_stays(void **state)
{
    struct aside busy;
    open_with_one_table();
    lab_script("HEADERS/5/1 @get");
    open_another(&busy);
    lab_script("HEADERS/5/1 @get");
    back_to(&busy);
    assert_int_equal(COUNT(resting_closed), 0);
    assert_int_equal(COUNT(hpack_tables_exhausted), 1);
    lab_close();
}

/* Its table has gone back with a size update of 0, in a request that was refused. */
static void a_connection_that_rests_without_table_has_none_to_give(void **state)
{
    struct aside resting;
    open_with_one_table();
    lab_script("HEADERS/5/1 @get; RST_STREAM/0/1 00000008; HEADERS/5/3 20 82");
    open_another(&resting);
    lab_script("HEADERS/5/1 @get");
    change_places(&resting);
    lab_script("HEADERS/5/5 3fe11f @get");
    back_to(&resting);
    assert_int_equal(COUNT(resting_closed), 0);
    assert_int_equal(COUNT(hpack_tables_exhausted), 1);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_stream_object_the_request_is_refused),
        cmocka_unit_test(without_a_header_block_the_connection_is_shed),
        cmocka_unit_test(a_header_block_held_for_long_goes_to_others),
        cmocka_unit_test(without_a_table_the_connection_is_shed),
        cmocka_unit_test(a_table_of_a_connection_that_rests_goes_to_others),
        cmocka_unit_test(a_table_of_a_connection_with_streams_stays),
        cmocka_unit_test(a_connection_that_rests_without_table_has_none_to_give),
        cmocka_unit_test(a_header_list_too_large_is_told_as_overflow),
        cmocka_unit_test(more_fields_than_a_hundred_are_too_many),
        cmocka_unit_test(headers_of_one_client_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
