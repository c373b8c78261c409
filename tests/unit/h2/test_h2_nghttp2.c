/*
 * Our connection with nghttp2 as the other side, in both roles: bodies, trailers, interim
 * responses and HEAD arrive as they were sent, under random pieces, windows and settings.
 */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/memory.h"
#include "dataplane/h2/h2_conn.h"
#include "tests/support/cmocka.h"
#include "tests/support/h2_app.h"
#include "tests/support/pipe.h"

#include <nghttp2/nghttp2.h>

#define EXCHANGES   30
#define BODY_BYTES  100000
#define LARGE_BYTES 2500
#define LARGE       8

/* nghttp2's side of an exchange. */
struct theirs {
    struct h2_plan plan;
    int32_t id;
    bool is_client;
    bool request_ended;
    bool closed;
    uint32_t closed_code;
    uint32_t sent_bytes;
    uint32_t received_bytes;
    uint32_t interim;
    uint32_t large_seen;
    bool trailers;
    bool final;
};

struct match {
    struct random random;
    struct timer_wheel wheel;
    struct segment_pool segments;
    struct h2 *h2;
    struct h2_app app;
    struct h2_exchange exchanges[EXCHANGES];
    struct pipe pipe; /* ends[0]: ours */
    nghttp2_session *session;
    bool they_are_client;
    struct theirs theirs[EXCHANGES];
    uint32_t theirs_count;
    uint64_t now;
    const uint8_t *rest; /* of what they have, that did not fit */
    size_t rest_bytes;
    uint32_t goaway_code; /* from either side; UINT32_MAX: none */
};

static struct match match;

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name,
        .value = (uint8_t *)(uintptr_t)value,
        .namelen = strlen(name),
        .valuelen = strlen(value),
    };
}

static struct theirs *theirs_of(int32_t id)
{
    return nghttp2_session_get_stream_user_data(match.session, id);
}

static uint32_t to_send(const struct theirs *their)
{
    if (their->is_client)
        return their->plan.request_bytes;
    return their->plan.head ? 0 : their->plan.response_bytes;
}

static bool sends_trailers(const struct theirs *their)
{
    return their->is_client ? their->plan.request_trailers
                            : their->plan.response_trailers && !their->plan.head;
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *out, size_t length,
                         uint32_t *flags, nghttp2_data_source *source, void *context)
{
    struct theirs *their = source->ptr;
    uint32_t left = to_send(their) - their->sent_bytes;
    if (length > left)
        length = left;
    if (length > 1)
        length = 1 + random_below(&match.random, (uint32_t)length);
    for (size_t i = 0; i < length; i++)
        out[i] = h2_plan_byte(&their->plan, their->is_client, their->sent_bytes + (uint32_t)i);
    their->sent_bytes += (uint32_t)length;
    if (their->sent_bytes < to_send(their))
        return (ssize_t)length;
    *flags = NGHTTP2_DATA_FLAG_EOF;
    if (sends_trailers(their)) {
        nghttp2_nv trailer = field("grpc-status", "0");
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        check(nghttp2_submit_trailer(session, id, &trailer, 1) == 0);
    }
    return (ssize_t)length;
}

static size_t add_large(nghttp2_nv *fields, size_t count)
{
    static char value[LARGE_BYTES + 1];
    memset(value, 'v', LARGE_BYTES);
    for (uint32_t i = 0; i < LARGE; i++)
        fields[count++] = field("x-large", value);
    return count;
}

static nghttp2_data_provider body_of(struct theirs *their)
{
    return (nghttp2_data_provider){.source = {.ptr = their}, .read_callback = read_body};
}

static bool has_body(const struct theirs *their)
{
    return to_send(their) > 0 || sends_trailers(their);
}

static void they_answer(struct theirs *their)
{
    nghttp2_nv interim = field(":status", "103");
    nghttp2_nv fields[16] = {field(":status", "200")};
    nghttp2_data_provider body = body_of(their);
    size_t count = their->plan.large_headers ? add_large(fields, 1) : 1;
    if (their->plan.interim)
        check(nghttp2_submit_headers(match.session, 0, their->id, NULL, &interim, 1, NULL) == 0);
    check(nghttp2_submit_response(match.session, their->id, fields, count,
                                  has_body(their) ? &body : NULL) == 0);
}

static void they_ask(const struct h2_plan *plan)
{
    struct theirs *their = &match.theirs[match.theirs_count++];
    char path[H2_APP_PATH_BYTES];
    *their = (struct theirs){.plan = *plan, .is_client = true};
    h2_plan_write(plan, path);
    nghttp2_nv fields[16] = {
        field(":method", plan->head ? "HEAD" : "POST"),
        field(":scheme", "https"),
        field(":authority", "weir.example"),
        field(":path", path),
    };
    nghttp2_data_provider body = body_of(their);
    size_t count = plan->large_headers ? add_large(fields, 4) : 4;
    their->id = nghttp2_submit_request(match.session, NULL, fields, count,
                                       has_body(their) ? &body : NULL, their);
    check(their->id > 0);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    if (match.they_are_client || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    check(match.theirs_count < EXCHANGES);
    struct theirs *their = &match.theirs[match.theirs_count++];
    *their = (struct theirs){.id = frame->hd.stream_id};
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, their);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                     void *context)
{
    struct theirs *their = theirs_of(frame->hd.stream_id);
    struct bytes field_name = bytes_of(name, name_length);
    struct bytes field_value = bytes_of(value, value_length);
    bool head = their->plan.head || bytes_equal_text(field_value, "HEAD");
    if (bytes_equal_text(field_name, ":path"))
        h2_plan_read(field_value, &their->plan);
    their->plan.head = head;
    if (bytes_equal_text(field_name, "grpc-status"))
        their->trailers = true;
    if (bytes_equal_text(field_value, "103"))
        their->interim++;
    if (bytes_equal_text(field_value, "200"))
        their->final = true;
    their->large_seen += value_length == LARGE_BYTES;
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    if (frame->hd.type == NGHTTP2_GOAWAY)
        match.goaway_code = frame->goaway.error_code;
    bool may_end = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (!may_end || match.they_are_client)
        return 0;
    struct theirs *their = theirs_of(frame->hd.stream_id);
    if (their == NULL)
        return 0;
    bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (ends)
        their->request_ended = true;
    if (ends)
        they_answer(their);
    return 0;
}

static int on_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                    size_t length, void *context)
{
    struct theirs *their = theirs_of(id);
    for (size_t i = 0; i < length; i++)
        check(data[i] ==
              h2_plan_byte(&their->plan, !their->is_client, their->received_bytes + (uint32_t)i));
    their->received_bytes += (uint32_t)length;
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *context)
{
    struct theirs *their = theirs_of(id);
    if (their == NULL)
        return 0;
    their->closed = true;
    their->closed_code = code;
    return 0;
}

/* nghttp2 found fault with us. */
static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    if (frame->hd.type != NGHTTP2_GOAWAY)
        return 0;
    match.goaway_code = frame->goaway.error_code;
    print_error("%.*s\n", (int)frame->goaway.opaque_data_len, frame->goaway.opaque_data);
    return 0;
}

static void open_session(void)
{
    nghttp2_session_callbacks *callbacks;
    check(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_chunk);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    if (match.they_are_client)
        check(nghttp2_session_client_new(&match.session, callbacks, NULL) == 0);
    else
        check(nghttp2_session_server_new(&match.session, callbacks, NULL) == 0);
    nghttp2_session_callbacks_del(callbacks);
}

static uint32_t pick(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t choices[] = {a, b, c};
    return choices[random_below(&match.random, 3)];
}

static void submit_settings(void)
{
    nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, pick(100, 65535, 1 << 20)},
        {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, pick(0, 256, 4096)},
        {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, pick(16384, 20000, 1 << 20)},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, pick(1, 10, 100)},
    };
    check(nghttp2_submit_settings(match.session, 0, entries, array_count(entries)) == 0);
}

static void open_match(uint64_t seed, bool they_are_client)
{
    memset(&match, 0, sizeof(match));
    random_seed(&match.random, seed);
    match.now = CLOCK_S;
    match.they_are_client = they_are_client;
    match.goaway_code = UINT32_MAX;
    timer_wheel_init(&match.wheel, match.now);
    assert_true(segment_pool_init(&match.segments, "test bodies", 2 * EXCHANGES, 4096, -1));
    struct h2_config config = {
        .wheel = &match.wheel,
        .random = &match.random,
        .connections_max = 1,
        .streams_max = EXCHANGES,
        .header_blocks_max = 2,
        .hpack_tables_max = 2,
        .memo_places = 16,
        .server_concurrent_streams = 100,
        .stream_window_bytes = pick(65535, 100000, 1 << 20),
        .connection_window_bytes = pick(0, 100000, 1 << 20),
        .header_list_bytes = 32768,
        .socket_id = -1,
    };
    match.h2 = h2_create(&config);
    assert_non_null(match.h2);
    pipe_open(&match.pipe, pick(20000, 65536, 300000), &match.random);
    match.pipe.ends[1].piece_max = pick(50, 3000, UINT32_MAX);
    match.app = (struct h2_app){
        .h2 = match.h2,
        .segments = &match.segments,
        .random = &match.random,
        .exchanges = match.exchanges,
        .exchanges_max = EXCHANGES,
    };
    match.app.conn =
        h2_open(match.h2, they_are_client ? H2_SERVER : H2_CLIENT,
                pipe_transport(&match.pipe.ends[0]), &h2_app_handler, &match.app, match.now);
    open_session();
    submit_settings();
}

static void close_match(void)
{
    if (match.app.conn != NULL)
        h2_transport_ended(match.app.conn, false, match.now);
    nghttp2_session_del(match.session);
    h2_app_release(&match.app);
    assert_int_equal(match.app.closed_count, 1);
    assert_int_equal(pool_used(&match.h2->streams), 0);
    assert_int_equal(pool_used(&match.h2->header_blocks), 0);
    assert_int_equal(pool_used(&match.h2->hpack_tables.pool), 0);
    assert_int_equal(pool_used(&match.segments.segments), 0);
    pipe_release(&match.pipe);
    memory_reset();
}

/* What they have, as far as the pipe takes it. */
static void they_send(void)
{
    struct pipe_end *end = &match.pipe.ends[0];
    for (;;) {
        if (match.rest_bytes == 0) {
            ssize_t length = nghttp2_session_mem_send(match.session, &match.rest);
            assert_true(length >= 0);
            match.rest_bytes = (size_t)length;
        }
        uint32_t room = end->peer->capacity - end->peer->queued;
        size_t part = match.rest_bytes < room ? match.rest_bytes : room;
        if (part == 0)
            return;
        pipe_feed(end, bytes_of(match.rest, part));
        match.rest += part;
        match.rest_bytes -= part;
    }
}

static void turn(void)
{
    match.now += CLOCK_MS / 10;
    they_send();
    h2_in(match.app.conn, match.now);
    assert_non_null(match.app.conn);
    h2_app_consume(&match.app, random_below(&match.random, 2) == 0 ? 100 : 50);
    h2_flush(match.h2, match.now);
    assert_non_null(match.app.conn);
    struct bytes ours = pipe_take(&match.pipe.ends[0]);
    ssize_t used = nghttp2_session_mem_recv(match.session, ours.data, ours.length);
    assert_int_equal(used, ours.length);
    h2_writable(match.app.conn);
    assert_int_equal(match.goaway_code, UINT32_MAX);
}

static bool one_in(uint32_t count)
{
    return random_below(&match.random, count) == 0;
}

static struct h2_plan random_plan(uint32_t seed)
{
    return (struct h2_plan){
        .seed = seed,
        .request_bytes = one_in(3) ? 0 : random_below(&match.random, BODY_BYTES),
        .response_bytes = one_in(3) ? 0 : random_below(&match.random, BODY_BYTES),
        .request_trailers = one_in(3),
        .response_trailers = one_in(3),
        .interim = one_in(4),
        .large_headers = one_in(6),
        .head = one_in(10),
    };
}

static uint32_t ended_count(void)
{
    uint32_t ended = 0;
    for (uint32_t i = 0; i < match.theirs_count; i++)
        ended += match.theirs[i].closed;
    return ended;
}

static void check_theirs(const struct theirs *their)
{
    const struct h2_plan *plan = &their->plan;
    uint32_t expected =
        their->is_client ? (plan->head ? 0 : plan->response_bytes) : plan->request_bytes;
    assert_true(their->closed);
    assert_int_equal(their->closed_code, 0);
    assert_int_equal(their->received_bytes, expected);
    assert_int_equal(their->trailers, their->is_client ? plan->response_trailers && !plan->head
                                                       : plan->request_trailers);
    assert_int_equal(their->large_seen, plan->large_headers ? LARGE : 0);
    if (their->is_client)
        assert_int_equal(their->interim, plan->interim);
}

static void check_ours(const struct h2_exchange *exchange)
{
    const struct h2_plan *plan = &exchange->plan;
    uint32_t expected =
        exchange->is_client ? (plan->head ? 0 : plan->response_bytes) : plan->request_bytes;
    assert_int_equal(exchange->outcome, H2_OUTCOME_FINISHED);
    assert_int_equal(exchange->received_bytes, expected);
    assert_int_equal(exchange->trailers_received, exchange->is_client
                                                      ? plan->response_trailers && !plan->head
                                                      : plan->request_trailers);
    if (exchange->is_client)
        assert_int_equal(exchange->interim_received, plan->interim);
}

static void start_exchanges(uint32_t *started)
{
    while (*started < EXCHANGES) {
        struct h2_plan plan = random_plan(*started + 1);
        if (match.they_are_client)
            they_ask(&plan);
        else if (!h2_app_request(&match.app, &plan, match.now))
            return;
        (*started)++;
    }
}

static void run_match(uint64_t seed, bool they_are_client)
{
    uint32_t started = 0;
    open_match(seed, they_are_client);
    for (uint32_t turns = 0; turns < 100000 && ended_count() < EXCHANGES; turns++) {
        turn();
        if (!they_are_client)
            h2_app_ask_again(&match.app, match.now);
        start_exchanges(&started);
        if (turns < 1000 && one_in(50))
            submit_settings();
    }
    turn();
    assert_int_equal(match.theirs_count, EXCHANGES);
    assert_int_equal(match.app.exchange_count, EXCHANGES);
    for (uint32_t i = 0; i < EXCHANGES; i++) {
        check_theirs(&match.theirs[i]);
        check_ours(&match.exchanges[i]);
    }
    close_match();
}

static void nghttp2_asks_us(void **state)
{
    for (uint64_t seed = 0; seed < 30; seed++)
        run_match(seed, true);
}

static void nghttp2_answers_us(void **state)
{
    for (uint64_t seed = 100; seed < 130; seed++)
        run_match(seed, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nghttp2_asks_us),
        cmocka_unit_test(nghttp2_answers_us),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
