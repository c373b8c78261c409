/*
 * h1_conn: exchanges on one connection: how they end, and whether the connection is used again
 * (rule C26). The test plays the backend over a pipe.
 */
#include <stdarg.h>
#include <stdio.h>

#include "dataplane/base/memory.h"
#include "dataplane/h1/h1.h"
#include "tests/support/cmocka.h"
#include "tests/support/pipe.h"

#define OK   "HTTP/1.1 200 OK\r\n"
#define FIVE OK "content-length: 5\r\n\r\nhello"

struct desk {
    struct pipe pipe;
    struct h1 *h1;
    struct h1_conn *conn;
    struct segment_pool segments;
    struct segment *segment;
    char told[4096];
    bool closed;
    bool cancels_at_head;
    bool consumes;
    uint64_t body_bytes;

    /* The request: its fields, then pieces of a body, "" ends it; NULL: nothing yet. */
    struct fields fields;
    uint8_t data[8192];
    const char *const *pieces; /* NULL: there is no body */
    uint32_t piece;
    bool head_taken;
    bool trails;
};

static struct desk desk;

__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
    va_list arguments;
    size_t length = strlen(desk.told);
    va_start(arguments, format);
    vsnprintf(desk.told + length, sizeof(desk.told) - length, format, arguments);
    va_end(arguments);
}

static void on_headers(struct h1_conn *conn, const struct fields *fields, enum h2_section section,
                       bool end, uint64_t now)
{
    static const char *const names[] = {"head", "interim", "trailers"};
    struct bytes status = BYTES_NONE;
    if (fields->overflow) {
        tell("overflow ");
        h1_cancel(conn, now);
        return;
    }
    (void)fields_find(fields, FIELD_STATUS, &status);
    tell("%s%.*s%s ", names[section], (int)status.length, (const char *)status.data,
         end ? "!" : "");
    if (section == H2_SECTION_HEADERS && desk.cancels_at_head)
        h1_cancel(conn, now);
}

static void on_data(struct h1_conn *conn, struct bytes bytes, bool end, uint64_t now)
{
    tell("%.*s%s ", (int)bytes.length, (const char *)bytes.data, end ? "!" : "");
    desk.body_bytes += bytes.length;
    if (desk.consumes)
        h1_consumed(conn, (uint32_t)bytes.length);
}

static struct h2_supply on_supply(struct h1_conn *conn, uint32_t max, uint64_t now)
{
    if (!desk.head_taken) {
        desk.head_taken = true;
        return (struct h2_supply){
            .kind = H2_SUPPLY_HEADERS, .fields = &desk.fields, .end = desk.pieces == NULL};
    }
    const char *piece = desk.pieces != NULL ? desk.pieces[desk.piece] : NULL;
    if (piece == NULL)
        return (struct h2_supply){.kind = H2_SUPPLY_NONE};
    desk.piece++;
    if (piece[0] == '\0' && desk.trails)
        return (struct h2_supply){.kind = H2_SUPPLY_TRAILERS, .fields = &desk.fields, .end = true};
    if (piece[0] == '\0')
        return (struct h2_supply){.kind = H2_SUPPLY_DATA, .end = true};
    struct segment *segment = desk.segment;
    uint32_t at = segment->length, length = (uint32_t)strlen(piece);
    assert_true(at + length <= segment->capacity && length <= max);
    memcpy(segment->data + at, piece, length);
    segment->length += length;
    return (struct h2_supply){.kind = H2_SUPPLY_DATA, .chunk = {segment, at, length}};
}

static void on_reset(struct h1_conn *conn, struct h2_reset reset, uint64_t now)
{
    tell("reset%s%s ", reset.conn_lost ? "-lost" : "", reset.unprocessed ? "-unsent" : "");
}

static void on_finished(struct h1_conn *conn, uint64_t now)
{
    tell("finished ");
}

static void on_available(struct h1_conn *conn, uint64_t now)
{
    assert_false(h1_is_open(conn));
    tell("spent ");
}

static void on_closed(struct h1_conn *conn, uint64_t now)
{
    desk.closed = true;
    tell("closed ");
}

static const struct h1_handler handler = {
    .headers = on_headers,
    .data = on_data,
    .supply = on_supply,
    .reset = on_reset,
    .finished = on_finished,
    .available = on_available,
    .closed = on_closed,
};

static void desk_open(uint32_t window)
{
    struct h1_config config = {.connections_max = 2,
                               .blocks_max = 1,
                               .header_list_bytes = 1024,
                               .first_window_bytes = window,
                               .socket_id = -1};
    desk = (struct desk){.consumes = true};
    pipe_open(&desk.pipe, 65536, NULL);
    desk.h1 = h1_create(&config);
    assert_non_null(desk.h1);
    assert_true(segment_pool_init(&desk.segments, "segments", 1, 4096, -1));
    desk.segment = segment_take(&desk.segments);
    desk.conn = h1_open(desk.h1, pipe_transport(&desk.pipe.ends[0]), &handler, NULL);
    assert_non_null(desk.conn);
}

static void desk_close(void)
{
    if (!desk.closed)
        h1_close(desk.conn, 0);
    assert_true(desk.closed);
    assert_int_equal(h1_objects_used(desk.h1), 0);
    assert_int_equal(desk.segment->references, 1 + 0);
    segment_drop(desk.segment);
    pipe_release(&desk.pipe);
    memory_reset();
}

/* A request with METHOD and one more field, if any. */
static void ask(const char *method, enum field_token token, const char *value,
                const char *const *pieces)
{
    fields_init(&desk.fields, desk.data, sizeof(desk.data));
    fields_add_token(&desk.fields, FIELD_METHOD, bytes_text(method));
    fields_add_token(&desk.fields, FIELD_SCHEME, bytes_text("http"));
    fields_add_token(&desk.fields, FIELD_AUTHORITY, bytes_text("a"));
    fields_add_token(&desk.fields, FIELD_PATH, bytes_text("/"));
    if (value != NULL)
        fields_add_token(&desk.fields, token, bytes_text(value));
    desk.pieces = pieces;
    desk.piece = 0;
    desk.head_taken = false;
    assert_true(h1_request(desk.conn, 0));
    h1_ready(desk.conn);
    h1_flush(desk.h1, 0);
}

static void get(void)
{
    ask("GET", FIELD_TE, NULL, NULL);
}

static void answer(const char *bytes)
{
    pipe_feed(&desk.pipe.ends[0], bytes_text(bytes));
    h1_in(desk.conn, 0);
}

/* No view of the transport stays with the connection: others may want the place it lies in. */
static void expect_told(const char *told)
{
    assert_null(desk.pipe.ends[1].view);
    assert_string_equal(desk.told, told);
    desk.told[0] = '\0';
}

static void expect_sent(const char *text)
{
    struct bytes sent = pipe_take(&desk.pipe.ends[0]);
    assert_int_equal(sent.length, strlen(text));
    assert_memory_equal(sent.data, text, sent.length);
}

/* --- ends --- */

static void an_exchange_after_another_on_one_connection(void **state)
{
    desk_open(1000);
    for (uint32_t i = 0; i < 3; i++) {
        get();
        expect_sent("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_false(h1_has_room(desk.conn));
        answer(FIVE);
        expect_told("head200 hello! finished ");
        assert_true(h1_has_room(desk.conn));
    }
    assert_int_equal(h1_exchange_count(desk.conn), 3);
    assert_int_equal(h1_counters(desk.h1)->kept, 3);
    desk_close();
}

/* C26: what makes a connection one that is never used again. */
static void after_anything_doubtful_a_connection_is_not_used_again(void **state)
{
    static const struct {
        const char *method, *answer, *told;
        bool hard; /* it is aborted, not closed in good order */
    } cases[] = {
        {"GET", FIVE "x", "head200 hello! finished spent ", true},
        {"GET", FIVE OK "content-length: 0\r\n\r\n", "head200 hello! finished spent ", true},
        {"GET", "HTTP/1.1 204 N\r\n\r\n0\r\n\r\n", "head204! finished spent ", true},
        {"HEAD", FIVE, "head200! finished spent ", true},
        {"GET", OK "connection: close\r\ncontent-length: 0\r\n\r\n", "head200! finished spent ",
         false},
        {"GET", "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx", "head200 x! finished spent ",
         false},
        {"GET", OK "content-length: 5, 5\r\n\r\n", "reset spent ", true},
        {"GET", OK "a : b\r\n\r\n", "reset spent ", true},
        {"GET", "HTTP/1.1 101 S\r\n\r\n", "reset spent ", true},
        {"GET", OK "transfer-encoding: chunked\r\n\r\n1\r\nx\r\nz", "head200 x reset spent ", true},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        desk_open(1000);
        ask(cases[i].method, FIELD_TE, NULL, NULL);
        answer(cases[i].answer);
        expect_told(cases[i].told);
        assert_false(h1_is_open(desk.conn));
        assert_false(h1_request(desk.conn, 0));
        h1_shutdown(desk.conn, 0);
        assert_true(desk.closed);
        assert_int_equal(desk.pipe.ends[0].aborted, cases[i].hard);
        assert_int_equal(desk.pipe.ends[0].closed, !cases[i].hard);
        desk_close();
    }
}

static void bytes_that_nobody_asked_for_end_the_connection(void **state)
{
    desk_open(1000);
    answer("HTTP/1.1 408 Request Timeout\r\n\r\n");
    expect_told("spent ");
    assert_int_equal(h1_counters(desk.h1)->bytes_unasked, 1);
    desk_close();

    desk_open(1000);
    get();
    answer(FIVE);
    expect_told("head200 hello! finished ");
    answer("x");
    expect_told("spent ");
    desk_close();
}

static void an_answer_ends_well_only_as_it_said(void **state)
{
    static const struct {
        const char *answer, *told;
    } cases[] = {
        {"", "reset-lost spent "},
        {"HTTP/1.1 200", "reset-lost spent "},
        {OK "content-length: 6\r\n\r\nhello", "head200 hello reset-lost spent "},
        {OK "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
         "head200 hello reset-lost spent "},
        {OK "\r\nhello", "head200 hello ! finished spent "},
        {FIVE, "head200 hello! finished spent "},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        desk_open(1000);
        get();
        pipe_feed(&desk.pipe.ends[0], bytes_text(cases[i].answer));
        h1_transport_ended(desk.conn, false, 0);
        expect_told(cases[i].told);
        desk_close();
    }
}

static void a_connection_that_fails_ends_its_answer_badly(void **state)
{
    desk_open(1000);
    get();
    answer(OK "\r\nhello");
    h1_transport_ended(desk.conn, true, 0);
    expect_told("head200 hello reset-lost closed ");
    assert_true(desk.pipe.ends[0].aborted);
    desk_close();
}

static void a_backend_may_close_between_two_exchanges(void **state)
{
    desk_open(1000);
    get();
    answer(FIVE);
    expect_told("head200 hello! finished ");
    h1_transport_ended(desk.conn, false, 0);
    expect_told("spent ");
    h1_shutdown(desk.conn, 0);
    assert_true(desk.pipe.ends[0].closed);
    assert_int_equal(h1_counters(desk.h1)->closed_idle, 1);
    desk_close();
}

static void a_cancelled_exchange_costs_its_connection(void **state)
{
    desk_open(1000);
    get();
    h1_cancel(desk.conn, 0);
    expect_told("spent ");
    desk_close();

    desk_open(1000);
    desk.cancels_at_head = true;
    get();
    answer(FIVE);
    expect_told("head200 spent ");
    desk_close();

    desk_open(1000); /* but not before a byte was sent */
    assert_true(h1_request(desk.conn, 0));
    h1_cancel(desk.conn, 0);
    expect_told("");
    assert_true(h1_has_room(desk.conn));
    desk_close();
}

static void a_shutdown_waits_for_the_answer(void **state)
{
    desk_open(1000);
    get();
    h1_shutdown(desk.conn, 0);
    assert_false(desk.closed);
    answer(FIVE);
    assert_false(desk.closed);
    h1_flush(desk.h1, 0);
    expect_told("head200 hello! finished spent closed ");
    desk_close();
}

static void a_section_that_is_too_large_is_the_owners_matter(void **state)
{
    char text[2048] = OK "x: ";
    memset(text + strlen(text), 'y', 1500);
    desk_open(1000);
    get();
    answer(text);
    expect_told("overflow spent ");
    assert_int_equal(h1_counters(desk.h1)->head_too_large, 1);
    desk_close();
}

static void interim_heads_and_trailers_are_told(void **state)
{
    desk_open(1000);
    get();
    answer("HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nlink: </a>\r\n\r\n");
    answer(OK "transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx: y\r\n\r\n");
    expect_told("interim100 interim103 head200 hi trailers! finished ");
    assert_true(h1_has_room(desk.conn));
    desk_close();
}

/* They came when nobody was told: a transport may put that off. */
static void no_request_is_sent_behind_bytes_that_nobody_asked_for(void **state)
{
    desk_open(1000);
    pipe_feed(&desk.pipe.ends[0], bytes_text("220 mail at your service\r\n"));
    assert_false(h1_request(desk.conn, 0));
    expect_told("spent ");
    assert_false(h1_is_open(desk.conn));
    assert_int_equal(h1_counters(desk.h1)->bytes_unasked, 1);
    desk_close();

    desk_open(1000);
    assert_true(h1_request(desk.conn, 0));
    answer(FIVE);
    expect_told("reset-lost-unsent spent ");
    desk_close();
}

/* --- requests --- */

static void bodies_are_sent_as_declared_or_in_chunks(void **state)
{
    static const char *const pieces[] = {"abc", "defghijklmnopq", "", NULL};
    desk_open(1000);
    ask("POST", FIELD_CONTENT_LENGTH, "17", pieces);
    expect_sent("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 17\r\n\r\nabcdefghijklmnopq");
    answer(FIVE);
    expect_told("head200 hello! finished ");
    ask("POST", FIELD_TE, NULL, pieces);
    expect_sent("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
                "3\r\nabc\r\ne\r\ndefghijklmnopq\r\n0\r\n\r\n");
    answer(FIVE);
    expect_told("head200 hello! finished ");
    assert_true(h1_has_room(desk.conn));
    desk_close();
}

static void a_body_of_another_length_is_not_sent_as_if_it_were_whole(void **state)
{
    static const char *const pieces[] = {"abc", "", NULL};
    static const char *const lengths[] = {"2", "4"};
    for (uint32_t i = 0; i < 2; i++) {
        desk_open(1000);
        ask("POST", FIELD_CONTENT_LENGTH, lengths[i], pieces);
        expect_told("reset spent ");
        assert_int_equal(h1_counters(desk.h1)->request_length_mismatch, 1);
        desk_close();
    }
}

static void trailers_go_behind_chunks_only(void **state)
{
    static const char *const pieces[] = {"abc", "", NULL};
    desk_open(1000);
    desk.trails = true;
    ask("POST", FIELD_X_REQUEST_ID, "1", pieces);
    expect_sent("POST / HTTP/1.1\r\nhost: a\r\nx-request-id: 1\r\ntransfer-encoding: chunked\r\n"
                "\r\n3\r\nabc\r\n0\r\nx-request-id: 1\r\n\r\n");
    answer(FIVE);
    ask("POST", FIELD_CONTENT_LENGTH, "3", pieces);
    expect_sent("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc");
    assert_int_equal(h1_counters(desk.h1)->trailers_dropped, 1);
    answer(FIVE);
    assert_true(h1_has_room(desk.conn));
    desk_close();
}

static void an_early_answer_is_an_answer_and_costs_the_connection(void **state)
{
    static const char *const pieces[] = {"abc", NULL};
    desk_open(1000);
    ask("POST", FIELD_TE, NULL, pieces);
    answer("HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno");
    expect_told("head413 no! finished spent ");
    assert_int_equal(h1_counters(desk.h1)->requests_cut_short, 1);
    desk_close();
}

static void nothing_more_is_sent_to_who_has_answered_and_will_close(void **state)
{
    static const char *const pieces[] = {"abc", NULL, "def", "", NULL};
    desk_open(1000);
    ask("POST", FIELD_TE, NULL, pieces);
    (void)pipe_take(&desk.pipe.ends[0]);
    answer("HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 2\r\n\r\n");
    desk.piece = 2;
    h1_ready(desk.conn);
    h1_flush(desk.h1, 0);
    expect_sent("");
    answer("no");
    expect_told("head413 no! finished spent ");
    desk_close();
}

static void an_answer_may_begin_while_the_request_goes_on(void **state)
{
    static const char *const pieces[] = {"abc", NULL, "def", "", NULL};
    desk_open(1000);
    ask("POST", FIELD_TE, NULL, pieces);
    (void)pipe_take(&desk.pipe.ends[0]);
    answer(OK "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    desk.piece = 2;
    h1_ready(desk.conn);
    h1_flush(desk.h1, 0);
    expect_sent("3\r\ndef\r\n0\r\n\r\n");
    answer("3\r\ndef\r\n0\r\n\r\n");
    expect_told("head200 abc def ! finished ");
    assert_true(h1_has_room(desk.conn));
    desk_close();
}

/* --- shortage --- */

static void a_slow_reader_stops_reading_and_its_credit_starts_it_again(void **state)
{
    desk_open(3);
    desk.consumes = false;
    get();
    answer(FIVE);
    expect_told("head200 hel ");
    assert_int_equal(h1_counters(desk.h1)->reading_paused, 1);
    h1_in(desk.conn, 0); /* nothing is read that nobody can take */
    expect_told("");
    h1_consumed(desk.conn, 1);
    h1_flush(desk.h1, 0);
    expect_told("l ");
    h1_transport_ended(desk.conn, false, 0); /* what came before its end is read first */
    expect_told("");
    h1_consumed(desk.conn, 4);
    h1_flush(desk.h1, 0);
    expect_told("o! finished spent ");
    desk_close();
}

static void a_request_for_which_there_is_no_memory_was_not_sent(void **state)
{
    struct random random;
    random_seed(&random, 1);
    desk_open(1000);
    desk.pipe.ends[0].random = &random;
    desk.pipe.ends[0].starve_in_100 = 100;
    get();
    expect_told("reset-unsent ");
    desk.pipe.ends[0].starve_in_100 = 0;
    assert_true(h1_has_room(desk.conn));
    get();
    expect_sent("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    desk_close();
}

/* A record of TLS is smaller than a head may be. */
static void a_head_goes_in_as_many_pieces_as_it_takes(void **state)
{
    static char value[5000], expected[6000];
    memset(value, 'v', sizeof(value) - 1);
    snprintf(expected, sizeof(expected), "GET / HTTP/1.1\r\nhost: a\r\nx-request-id: %s\r\n\r\n",
             value);
    desk_open(1000);
    desk.pipe.ends[0].room_max = 4096;
    ask("GET", FIELD_X_REQUEST_ID, value, NULL);
    expect_sent(expected);
    answer(FIVE);
    expect_told("head200 hello! finished ");
    desk.pipe.ends[0].capacity = 4200; /* half of it goes: nothing can follow */
    ask("GET", FIELD_X_REQUEST_ID, value, NULL);
    expect_told("reset-unsent spent ");
    assert_int_equal(h1_counters(desk.h1)->requests, 1);
    assert_int_equal(h1_counters(desk.h1)->requests_unsent, 1);
    desk_close();
}

static void pieces_wait_for_memory_and_stay_whole(void **state)
{
    static const char *const pieces[] = {"abc", "defghi", "", NULL};
    for (uint32_t seed = 0; seed < 50; seed++) {
        struct random random;
        random_seed(&random, seed);
        desk_open(1000);
        ask("POST", FIELD_TE, NULL, (const char *const[]){NULL});
        (void)pipe_take(&desk.pipe.ends[0]);
        desk.pieces = pieces;
        desk.pipe.ends[0].random = &random;
        desk.pipe.ends[0].starve_in_100 = 60;
        h1_ready(desk.conn);
        for (uint32_t turn = 0; turn < 200; turn++)
            h1_flush(desk.h1, 0);
        expect_sent("3\r\nabc\r\n6\r\ndefghi\r\n0\r\n\r\n");
        desk_close();
    }
}

/* Who dribbles does so at its own expense. */
static void the_slowest_head_makes_room_for_another(void **state)
{
    desk_open(1000);
    struct pipe other;
    pipe_open(&other, 65536, NULL);
    struct h1_conn *second = h1_open(desk.h1, pipe_transport(&other.ends[0]), &handler, NULL);
    get();
    answer("HTTP/1.1 200");
    assert_true(h1_request(second, 0));
    desk.head_taken = false;
    h1_ready(second);
    h1_flush(desk.h1, 0);
    pipe_feed(&other.ends[0], bytes_text(FIVE));
    h1_in(second, 0);
    expect_told("reset-lost spent head200 hello! finished ");
    assert_int_equal(h1_counters(desk.h1)->blocks_exhausted, 1);
    assert_false(h1_is_open(desk.conn));
    assert_true(h1_has_room(second));
    h1_close(second, 0);
    desk.closed = false;
    pipe_release(&other);
    desk_close();
}

/* It would be known only when the head is written, and then no backend could take it. */
static void a_target_that_grows_too_long_is_refused_before(void **state)
{
    static const struct {
        uint32_t above_ascii;
        bool fits;
    } cases[] = {{0, true}, {10, true}, {2100, false}};
    bool tunnel;
    desk_open(4096);
    for (size_t i = 0; i < array_count(cases); i++) {
        uint8_t path[2101] = "/";
        uint64_t refused = h1_counters(desk.h1)->request_too_large;
        memset(path + 1, 'a', sizeof(path) - 1);
        memset(path + 1, 0xc3, cases[i].above_ascii);
        fields_init(&desk.fields, desk.data, sizeof(desk.data));
        fields_add_token(&desk.fields, FIELD_METHOD, bytes_text("GET"));
        fields_add_token(&desk.fields, FIELD_AUTHORITY, bytes_text("a"));
        fields_add_token(&desk.fields, FIELD_PATH, bytes_of(path, sizeof(path)));
        assert_false(desk.fields.overflow);
        assert_int_equal(h1_takes(desk.h1, &desk.fields, &tunnel), cases[i].fits);
        assert_false(tunnel);
        assert_int_equal(h1_counters(desk.h1)->request_too_large - refused, !cases[i].fits);
    }
    desk_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exchange_after_another_on_one_connection),
        cmocka_unit_test(after_anything_doubtful_a_connection_is_not_used_again),
        cmocka_unit_test(bytes_that_nobody_asked_for_end_the_connection),
        cmocka_unit_test(no_request_is_sent_behind_bytes_that_nobody_asked_for),
        cmocka_unit_test(an_answer_ends_well_only_as_it_said),
        cmocka_unit_test(a_connection_that_fails_ends_its_answer_badly),
        cmocka_unit_test(a_backend_may_close_between_two_exchanges),
        cmocka_unit_test(a_cancelled_exchange_costs_its_connection),
        cmocka_unit_test(a_shutdown_waits_for_the_answer),
        cmocka_unit_test(a_section_that_is_too_large_is_the_owners_matter),
        cmocka_unit_test(interim_heads_and_trailers_are_told),
        cmocka_unit_test(bodies_are_sent_as_declared_or_in_chunks),
        cmocka_unit_test(a_body_of_another_length_is_not_sent_as_if_it_were_whole),
        cmocka_unit_test(trailers_go_behind_chunks_only),
        cmocka_unit_test(an_early_answer_is_an_answer_and_costs_the_connection),
        cmocka_unit_test(nothing_more_is_sent_to_who_has_answered_and_will_close),
        cmocka_unit_test(an_answer_may_begin_while_the_request_goes_on),
        cmocka_unit_test(a_slow_reader_stops_reading_and_its_credit_starts_it_again),
        cmocka_unit_test(a_request_for_which_there_is_no_memory_was_not_sent),
        cmocka_unit_test(a_head_goes_in_as_many_pieces_as_it_takes),
        cmocka_unit_test(pieces_wait_for_memory_and_stay_whole),
        cmocka_unit_test(the_slowest_head_makes_room_for_another),
        cmocka_unit_test(a_target_that_grows_too_long_is_refused_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
