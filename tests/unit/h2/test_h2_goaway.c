/*
 * Graceful shutdown from either side (RFC 9113 6.8).
 */
#include "dataplane/base/clock.h"
#include "tests/unit/h2/h2_case.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_shuts_down_in_two_steps),
        cmocka_unit_test(a_client_finishes_its_requests),
        cmocka_unit_test(shutdown_before_the_preface_closes_at_once),
        cmocka_unit_test(goaway_returns_what_was_not_processed),
        cmocka_unit_test(streams_beyond_goaway_are_unprocessed_when_the_connection_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
