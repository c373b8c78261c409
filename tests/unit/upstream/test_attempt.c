/* attempt: every way it ends, what that says about the backend, and what callbacks may do. */
#include "tests/unit/upstream/upstream_world.h"

static void expect_outcomes(uint32_t backend, enum backend_outcome outcome, uint64_t count)
{
    for (uint32_t i = 0; i < BACKEND_OUTCOMES; i++)
        assert_int_equal(world_load(backend)->outcomes[i], i == outcome ? count : 0);
}

static void a_complete_answer_counts_by_its_status(void **state)
{
    static const struct {
        const char *status;
        enum backend_outcome outcome;
    } cases[] = {
        {"200", BACKEND_SUCCESS},    {"204", BACKEND_SUCCESS},    {"404", BACKEND_SUCCESS},
        {"429", BACKEND_SUCCESS},    {"500", BACKEND_SUCCESS},    {"501", BACKEND_SUCCESS},
        {"502", BACKEND_BAD_STATUS}, {"503", BACKEND_BAD_STATUS}, {"504", BACKEND_BAD_STATUS},
        {"505", BACKEND_SUCCESS},
    };
    for (uint32_t i = 0; i < array_count(cases); i++) {
        struct try try;
        memset(world_load(0)->outcomes, 0, sizeof(world_load(0)->outcomes));
        try_open(&try, 0);
        fake_h2_status(try.attempt.stream, cases[i].status, false, world.now);
        fake_h2_data(try.attempt.stream, "body", true, world.now);
        assert_int_equal(try.done, 1);
        assert_int_equal(try.headers, 1);
        assert_int_equal(try.data_bytes, 4);
        assert_int_equal(try.ended, 1);
        expect_outcomes(0, cases[i].outcome, 1);
    }
}

static void interim_and_trailers_pass_and_only_final_headers_answer(void **state)
{
    struct try try;
    struct h2_stream *stream = try_open(&try, 0);
    assert_true(try.attempt.began);
    fake_h2_answer(stream, H2_SECTION_INTERIM, "103", FIELD_LINK, "</a>", false, world.now);
    assert_false(try.attempt.answered);
    fake_h2_status(stream, "200", false, world.now);
    assert_true(try.attempt.answered);
    fake_h2_data(stream, "abc", false, world.now);
    assert_int_equal(stream->consumed, 3);
    fake_h2_answer(stream, H2_SECTION_TRAILERS, NULL, FIELD_SERVER, "x", true, world.now);
    assert_int_equal(try.interims, 1);
    assert_int_equal(try.trailers, 1);
    assert_int_equal(try.done, 1);
}

static void grpc_answers_want_a_status(void **state)
{
    static const struct {
        bool in_headers, in_trailers;
        enum backend_outcome outcome;
    } cases[] = {{true, false, BACKEND_SUCCESS},
                 {false, true, BACKEND_SUCCESS},
                 {false, false, BACKEND_LOST_MID_BODY}};
    for (uint32_t i = 0; i < array_count(cases); i++) {
        struct try try;
        uint8_t data[256];
        struct fields fields;
        memset(world_load(0)->outcomes, 0, sizeof(world_load(0)->outcomes));
        struct h2_stream *stream = try_open(&try, 0);
        fields_init(&fields, data, sizeof(data));
        fields_add_token(&fields, FIELD_STATUS, bytes_text("200"));
        fields_add_token(&fields, FIELD_CONTENT_TYPE, bytes_text("application/grpc+proto"));
        if (cases[i].in_headers)
            fields_add_token(&fields, FIELD_GRPC_STATUS, bytes_text("0"));
        fake_h2_headers(stream, &fields, H2_SECTION_HEADERS, false, world.now);
        if (cases[i].in_trailers)
            fake_h2_answer(stream, H2_SECTION_TRAILERS, NULL, FIELD_GRPC_STATUS, "0", true,
                           world.now);
        else
            fake_h2_data(stream, "", true, world.now);
        assert_int_equal(try.done, 1);
        expect_outcomes(0, cases[i].outcome, 1);
    }
}

static void resets_are_told_and_counted_by_their_kind(void **state)
{
    enum { NOTHING = BACKEND_OUTCOMES };
    static const struct {
        struct h2_reset reset;
        bool answered;
        enum attempt_failure why;
        uint32_t outcome;
    } cases[] = {
        {{.code = H2_INTERNAL_ERROR, .by_peer = true}, false, ATTEMPT_RESET, BACKEND_LOST_EARLY},
        {{.code = H2_INTERNAL_ERROR, .by_peer = true}, true, ATTEMPT_RESET, BACKEND_LOST_MID_BODY},
        {{.code = H2_NO_ERROR, .by_peer = true}, true, ATTEMPT_RESET, BACKEND_LOST_MID_BODY},
        {{.code = H2_PROTOCOL_ERROR}, false, ATTEMPT_MALFORMED, BACKEND_LOST_EARLY},
        {{.code = H2_PROTOCOL_ERROR}, true, ATTEMPT_MALFORMED, BACKEND_LOST_MID_BODY},
        {{.code = H2_REFUSED_STREAM, .by_peer = true, .unprocessed = true},
         false,
         ATTEMPT_UNPROCESSED,
         BACKEND_LOST_EARLY},
        {{.by_peer = true, .unprocessed = true}, false, ATTEMPT_UNPROCESSED, NOTHING},
        {{.conn_lost = true}, false, ATTEMPT_CONNECTION_LOST, BACKEND_LOST_EARLY},
        {{.conn_lost = true}, true, ATTEMPT_CONNECTION_LOST, BACKEND_LOST_MID_BODY},
        {{.conn_lost = true, .unprocessed = true}, false, ATTEMPT_UNPROCESSED, BACKEND_LOST_EARLY},
    };
    for (uint32_t i = 0; i < array_count(cases); i++) {
        struct try try;
        memset(world_load(0)->outcomes, 0, sizeof(world_load(0)->outcomes));
        struct h2_stream *stream = try_open(&try, 0);
        if (cases[i].answered)
            fake_h2_status(stream, "200", false, world.now);
        fake_h2_refuse(stream, cases[i].reset, world.now);
        assert_int_equal(try.failed, 1);
        assert_int_equal(try.why, cases[i].why);
        expect_outcomes(0, cases[i].outcome, cases[i].outcome == NOTHING ? 0 : 1);
        assert_int_equal(world_load(0)->in_flight, 0);
    }
}

static void c26_one_attempt_has_one_outcome(void **state)
{
    struct try try;
    struct h2_stream *stream = try_open(&try, 0);
    fake_h2_status(stream, "503", false, world.now);
    expect_outcomes(0, BACKEND_BAD_STATUS, 1);
    attempt_report_late(&try.attempt);
    fake_h2_refuse(stream, (struct h2_reset){.by_peer = true}, world.now);
    expect_outcomes(0, BACKEND_BAD_STATUS, 1);
}

static void a_complete_answer_survives_a_reset_of_the_rest_of_the_request(void **state)
{
    static const struct h2_reset resets[] = {{.code = H2_NO_ERROR, .by_peer = true},
                                             {.code = H2_CANCEL, .by_peer = true},
                                             {.conn_lost = true}};
    for (uint32_t i = 0; i < array_count(resets); i++) {
        struct try try;
        try_init(&try);
        try.keeps_uploading = true;
        try_start(&try, 0);
        world_tick();
        if (i == 0)
            world_open(0, 100);
        world_flush();
        fake_h2_status(try.attempt.stream, "413", true, world.now);
        assert_int_equal(try.done, 0);
        fake_h2_refuse(try.attempt.stream, resets[i], world.now);
        assert_int_equal(try.done, 1);
        assert_int_equal(try.failed, 0);
        expect_outcomes(0, BACKEND_SUCCESS, i + 1);
    }
}

static void too_large_a_section_is_refused_without_blame(void **state)
{
    struct try try;
    struct h2_stream *stream = try_open(&try, 0);
    struct fields fields = {.overflow = true};
    fake_h2_headers(stream, &fields, H2_SECTION_HEADERS, false, world.now);
    assert_int_equal(try.why, ATTEMPT_MALFORMED);
    assert_int_equal(stream->reset_code, H2_CANCEL);
    expect_outcomes(0, BACKEND_OUTCOMES, 0);
}

static void a_request_that_the_backend_would_not_take_is_not_sent(void **state)
{
    struct try try;
    try_init(&try);
    try_start(&try, 0);
    world_tick();
    world_open(0, 100);
    fake_h2.too_large = true;
    world_flush();
    fake_h2.too_large = false;
    assert_int_equal(try.attempt.state, ATTEMPT_IDLE);
    assert_int_equal(try.failed, 1);
    assert_int_equal(try.why, ATTEMPT_UNPROCESSED);
    assert_false(try.attempt.began);
    assert_int_equal(upstream_counters(world.upstream)->requests_too_large, 1);
    expect_outcomes(0, BACKEND_OUTCOMES, 0);
}

static void a_tunnel_goes_only_to_a_backend_that_takes_some(void **state)
{
    for (uint32_t i = 0; i < 2; i++) {
        struct try try;
        try_init(&try);
        try.asks_tunnel = true;
        try_start(&try, 0);
        world_tick();
        if (i == 0)
            world_open(0, 100);
        fake_h2.takes_connect = i == 1;
        world_flush();
        assert_int_equal(try.failed, i == 0);
        assert_int_equal(try.attempt.began, i == 1);
        assert_int_equal(upstream_counters(world.upstream)->attempts_no_tunnel, 1);
        if (i == 0)
            assert_int_equal(try.why, ATTEMPT_NO_TUNNEL);
        else
            try_cancel(&try);
    }
    fake_h2.takes_connect = false;
    expect_outcomes(0, BACKEND_OUTCOMES, 0);
}

static void lateness_is_what_the_owner_says(void **state)
{
    struct try try;
    try_open(&try, 0);
    attempt_report_late(&try.attempt);
    try_cancel(&try);
    expect_outcomes(0, BACKEND_LATE, 1);
    memset(world_load(0)->outcomes, 0, sizeof(world_load(0)->outcomes));
    fake_h2_status(try_open(&try, 0), "200", false, world.now);
    attempt_report_late(&try.attempt); /* silence in mid-body */
    try_cancel(&try);
    expect_outcomes(0, BACKEND_LOST_MID_BODY, 1);
    memset(world_load(0)->outcomes, 0, sizeof(world_load(0)->outcomes));
    try_init(&try);
    try_start(&try, 1);
    attempt_report_late(&try.attempt); /* waits for a connection: it was not the backend */
    try_cancel(&try);
    attempt_report_late(&try.attempt);
    expect_outcomes(0, BACKEND_OUTCOMES, 0);
    expect_outcomes(1, BACKEND_OUTCOMES, 0);
}

static void an_attempt_is_open_at_once_where_nobody_waits(void **state)
{
    struct try first, second;
    try_open(&first, 0);
    try_init(&second);
    try_start(&second, 0);
    assert_int_equal(second.attempt.state, ATTEMPT_OPEN);
    assert_ptr_equal(second.attempt.conn, first.attempt.conn);
    assert_int_equal(upstream_waiting_count(world.upstream), 0);
    try_cancel(&first);
    try_cancel(&second);
}

static void cancelling_works_in_every_state_and_blames_nobody(void **state)
{
    struct try try;
    try_init(&try);
    try_cancel(&try); /* idle */
    assert_int_equal(world.counters->attempts_cancelled, 0);
    try_start(&try, 0);
    try_cancel(&try); /* before the tick */
    world_tick();
    assert_int_equal(fake_tcp.count, 0);
    try_start(&try, 0);
    world_tick();
    try_cancel(&try); /* while connecting */
    assert_int_equal(world_load(0)->in_flight, 0);
    try_start(&try, 0);
    world_tick();
    assert_int_equal(fake_tcp.count, 1);
    fake_tcp_fail(world_tcp(0), TCP_FAILURE_REFUSED, world.now);
    try_cancel(&try); /* its failure not told yet */
    world_tick();
    assert_int_equal(try.failed, 0);
    struct h2_stream *stream = try_open(&try, 0);
    try_cancel(&try); /* open */
    assert_int_equal(stream->reset_code, H2_CANCEL);
    stream = try_open(&try, 0);
    fake_h2_status(stream, "200", false, world.now);
    try_cancel(&try); /* in mid-body */
    assert_false(stream->live);
    assert_int_equal(world_load(0)->outcomes[BACKEND_LOST_MID_BODY], 0);
    assert_int_equal(world_load(0)->outcomes[BACKEND_LOST_EARLY], 0);
    assert_int_equal(world_load(0)->outcomes[BACKEND_SUCCESS], 0);
    assert_int_equal(world.counters->attempts_cancelled, 5);
}

static void what_is_over_ignores_its_owner(void **state)
{
    struct try try;
    try_init(&try);
    attempt_ready(&try.attempt);
    attempt_consumed(&try.attempt, 10);
    try_start(&try, 0);
    attempt_ready(&try.attempt);
    attempt_consumed(&try.attempt, 10);
    try_cancel(&try);
    try_open(&try, 0);
    world_answer(&try, "200");
    attempt_ready(&try.attempt);
    attempt_consumed(&try.attempt, 10);
    assert_int_equal(try.done, 1);
}

static void supply_may_hold_back_or_give_up(void **state)
{
    struct try try;
    try_init(&try);
    try.holds_back = true;
    try_start(&try, 0);
    world_tick();
    world_open(0, 100);
    world_flush();
    assert_int_equal(try.attempt.state, ATTEMPT_OPEN);
    assert_false(try.attempt.began);
    try.gives_up = true;
    attempt_ready(&try.attempt);
    world_flush();
    assert_int_equal(try.attempt.state, ATTEMPT_IDLE);
    assert_int_equal(try.failed + try.done, 0);
    assert_int_equal(world_load(0)->in_flight, 0);
    expect_outcomes(0, BACKEND_OUTCOMES, 0);
}

/* --- callbacks that do things --- */

static void start_again_elsewhere(struct try *try, uint64_t now)
{
    try->then = NULL;
    assert_true(try_start(try, 1));
    assert_int_equal(try->attempt.state, ATTEMPT_WAITING);
}

static void a_failed_attempt_may_start_again_at_once(void **state)
{
    struct try tries[3];
    for (uint32_t i = 0; i < 3; i++) {
        try_init(&tries[i]);
        tries[i].then = start_again_elsewhere;
        try_start(&tries[i], 0);
    }
    world_tick();
    fake_tcp_fail(world_tcp(0), TCP_FAILURE_REFUSED, world.now);
    world_tick();
    assert_int_equal(fake_tcp.count, 2);
    world_open(1, 100);
    world_flush();
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(tries[i].failed, 1);
        world_answer(&tries[i], "200");
        assert_int_equal(tries[i].done, 1);
    }
}

static void a_lost_attempt_may_start_again_from_the_loss(void **state)
{
    static struct try tries[50];
    for (uint32_t i = 0; i < 50; i++) {
        try_open(&tries[i], 0);
        tries[i].then = start_again_elsewhere;
    }
    fake_tcp_fail(world_tcp(0), TCP_FAILURE_RESET, world.now);
    world_tick();
    world_open(1, 100);
    world_flush();
    for (uint32_t i = 0; i < 50; i++) {
        assert_int_equal(tries[i].failed, 1);
        world_answer(&tries[i], "200");
        assert_int_equal(tries[i].done, 1);
    }
}

static void start_again_for_ever(struct try *try, uint64_t now)
{
    try_start(try, 0);
}

static void a_tick_ends_though_failures_start_again(void **state)
{
    struct try try;
    try_init(&try);
    fake_tcp.full = true;
    try.then = start_again_for_ever;
    try_start(&try, 0);
    for (uint32_t i = 1; i < 10; i++) {
        upstream_tick(world.upstream, world.now);
        assert_int_equal(try.failed, i);
    }
    try_cancel(&try);
}

static void cancel_the_other(struct try *try, uint64_t now)
{
    if (try->other != NULL)
        try_cancel(try->other);
}

/* Whoever is told first cancels the other, who is then told nothing. */
static void expect_one_told(const struct try *a, const struct try *b)
{
    assert_int_equal(a->failed + b->failed, 1);
    assert_int_equal(a->ends, 1);
    assert_int_equal(b->ends, 1);
}

static void callbacks_may_cancel_others(void **state)
{
    struct try a, b;
    try_init(&a);
    try_init(&b);
    a.then = b.then = cancel_the_other;
    a.other = &b;
    b.other = &a;
    try_start(&a, 0);
    try_start(&b, 0);
    world_tick();
    fake_tcp_fail(world_tcp(0), TCP_FAILURE_REFUSED, world.now); /* both wait to be told */
    world_tick();
    expect_one_told(&a, &b);
    try_open(&a, 0);
    try_open(&b, 0);
    a.then = b.then = cancel_the_other;
    a.other = &b;
    b.other = &a;
    fake_tcp_fail(world_tcp(1), TCP_FAILURE_RESET, world.now); /* both open on it */
    world_tick();
    expect_one_told(&a, &b);
}

static void start_the_other(struct try *try, uint64_t now)
{
    try_start(try->other, 0);
}

static void done_may_start_another(void **state)
{
    struct try a, b;
    try_open(&a, 0);
    try_init(&b);
    a.then = start_the_other;
    a.other = &b;
    world_answer(&a, "200");
    assert_int_equal(b.attempt.state, ATTEMPT_OPEN);
    assert_int_equal(fake_tcp.count, 1);
    try_cancel(&b);
}

/* --- anything at all, many times --- */

enum { TRIES = 40, STEPS = 4000, SEEDS = 400 };

static struct try walkers[TRIES];

static uint32_t dice(uint32_t bound)
{
    return random_below(&world.random, bound);
}

static void walk_restart(struct try *try, uint64_t now)
{
    if (dice(3) == 0 && try->attempt.state == ATTEMPT_IDLE)
        try_start(try, dice(WORLD_BACKENDS));
    if (dice(10) == 0)
        try_cancel(&walkers[dice(TRIES)]);
}

static struct tcp_conn *random_tcp(void)
{
    uint32_t first = fake_tcp.count > 24 ? fake_tcp.count - 24 : 0;
    if (fake_tcp.count == 0)
        return NULL;
    struct tcp_conn *conn = &fake_tcp.conns[first + dice(fake_tcp.count - first)];
    return conn->state == FAKE_TCP_HELD ? conn : NULL;
}

static void walk_connection(void)
{
    struct tcp_conn *tcp = random_tcp();
    struct h2_conn *h2 = tcp != NULL ? world_h2_over(tcp) : NULL;
    if (tcp == NULL)
        return;
    if (dice(12) == 0)
        fake_tcp_fail(tcp, (enum tcp_failure)(1 + dice(TCP_FAILURES - 1)), world.now);
    else if (h2 == NULL)
        fake_tcp_tell(tcp, TCP_OPENED, world.now);
    else if (!h2->settled)
        fake_h2_settings(h2, dice(6), world.now);
    else if (dice(8) == 0)
        fake_h2_goaway(h2, dice(4), world.now);
    else if (dice(8) == 0)
        fake_tcp_tell(tcp, TCP_READABLE | TCP_EOF, world.now);
    else
        tcp->info = (struct tcp_info){.unacked_for_ns = dice(2) * 200 * MS,
                                      .silent_for_ns = dice(2) * 200 * MS};
}

static void walk_stream(struct try *try)
{
    struct h2_stream *stream = try->attempt.stream;
    if (try->attempt.state == ATTEMPT_OPEN && dice(2) == 0)
        fake_h2_pull(stream, world.now);
    if (try->attempt.state != ATTEMPT_OPEN || try->attempt.stream != stream)
        return;
    switch (dice(5)) {
    case 0:
        fake_h2_pull(stream, world.now);
        break;
    case 1:
        fake_h2_refuse(stream,
                       (struct h2_reset){.by_peer = dice(2) == 0, .unprocessed = dice(2) == 0},
                       world.now);
        break;
    case 2:
        fake_h2_status(stream, dice(2) == 0 ? "200" : "503", dice(2) == 0, world.now);
        break;
    case 3:
        fake_h2_data(stream, "data", dice(2) == 0, world.now);
        break;
    case 4:
        attempt_report_late(&try->attempt);
        break;
    }
}

static void walk_time(void)
{
    static const uint64_t spans_ms[] = {20, 20, 20, 20, 20, 3000, 70000};
    uint64_t span_ms = spans_ms[dice(array_count(spans_ms))];
    world.now += dice((uint32_t)span_ms) * MS;
    timer_wheel_advance(&world.wheel, world.now, 1000);
}

static void walk_snapshot(void)
{
    uint32_t backend = dice(WORLD_BACKENDS);
    if (dice(2) == 0)
        world.backends[backend].generation++; /* of which starts may know before apply */
    if (dice(4) == 0)
        return;
    world.snapshot.backend_count = 1 + dice(WORLD_BACKENDS);
    upstream_apply(world.upstream, &world.snapshot, world.now);
}

static bool walk_looks(const void *context)
{
    return dice(2) == 0;
}

static void walk_step(void)
{
    struct try *try = &walkers[dice(TRIES)];
    fake_tcp.full = dice(50) == 0;
    fake_tcp.tls_full = dice(50) == 0;
    fake_h2.full = dice(50) == 0;
    fake_h2.too_large = dice(20) == 0;
    fake_h2.takes_connect = dice(2) == 0;
    try->asks_tunnel = dice(20) == 0;
    switch (dice(12)) {
    case 0:
    case 1:
    case 2:
        if (try->attempt.state == ATTEMPT_IDLE)
            try_start(try, dice(WORLD_BACKENDS));
        break;
    case 3:
    case 4:
    case 5:
        walk_connection();
        break;
    case 6:
    case 7:
    case 8:
        walk_stream(try);
        break;
    case 9:
        walk_time();
        break;
    case 10:
        if (dice(3) == 0)
            try_cancel(try);
        break;
    case 11:
        if (dice(20) == 0)
            walk_snapshot();
        break;
    }
    if (dice(2) == 0)
        upstream_tick(world.upstream, world.now);
}

/* Of each region: what is at backends of the snapshot. */
static void walk_check_regions(void)
{
    uint64_t sums[SNAPSHOT_REGIONS_MAX] = {0};
    for (uint32_t i = 0; i < world.snapshot.backend_count; i++)
        sums[world.backends[i].region] += world.loads.slots[world.backends[i].slot].in_flight;
    for (uint32_t i = 0; i < SNAPSHOT_REGIONS_MAX; i++)
        assert_int_equal(world.loads.regions[i], sums[i]);
}

/* Each accepted start has ended exactly once, or is under way. */
static void walk_check(void)
{
    uint64_t waiting = 0;
    for (uint32_t i = 0; i < TRIES; i++) {
        const struct try *try = &walkers[i];
        bool under_way = try->attempt.state != ATTEMPT_IDLE;
        assert_int_equal(try->starts, try->ends + under_way);
        waiting += try->attempt.state == ATTEMPT_WAITING;
    }
    assert_int_equal(upstream_waiting_count(world.upstream), waiting);
    walk_check_regions();
}

/* What all walks together came across: every counter of the folder. */
static struct upstream_counters seen;

static void walk_sum(void)
{
    const uint64_t *from = (const uint64_t *)world.counters;
    uint64_t *into = (uint64_t *)&seen;
    for (size_t i = 0; i < sizeof(seen) / sizeof(uint64_t); i++)
        into[i] += from[i];
}

#define COUNTER(name, unit, help) #name,
static const char *const counter_names[] = {
#include "dataplane/upstream/upstream_counters.def"
};
#undef COUNTER

static void expect_all_seen(void)
{
    const uint64_t *counts = (const uint64_t *)&seen;
    for (size_t i = 0; i < array_count(counter_names); i++) {
        bool not_here = strcmp(counter_names[i], "connections_aged") == 0 ||
                        strcmp(counter_names[i], "attempts_untranslatable") == 0 || /* HTTP/1.1 */
                        strcmp(counter_names[i], "attempts_stale") == 0;
        if (counts[i] == 0 && !not_here)
            fail_msg("no walk came across %s", counter_names[i]);
    }
}

static void anything_in_any_order_keeps_the_books(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        world_config();
        world.config.connections_max = 6;
        world.config.backend_connections = 3;
        world.config.waiting_max = 8;
        world.config.all_look = walk_looks;
        world_secure(WORLD_BACKENDS - 1);
        world_create();
        random_seed(&world.random, seed);
        world.at_end = walk_sum;
        for (uint32_t i = 0; i < TRIES; i++) {
            try_init(&walkers[i]);
            walkers[i].then = walk_restart;
            walkers[i].keeps_uploading = i % 4 == 0;
        }
        for (uint32_t i = 0; i < STEPS; i++) {
            walk_step();
            walk_check();
        }
        fake_tcp.full = fake_tcp.tls_full = fake_h2.full = false;
        for (uint32_t i = 0; i < TRIES; i++)
            try_cancel(&walkers[i]);
        world_teardown(NULL);
    }
    expect_all_seen();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(a_complete_answer_counts_by_its_status),
        world_test(interim_and_trailers_pass_and_only_final_headers_answer),
        world_test(grpc_answers_want_a_status),
        world_test(resets_are_told_and_counted_by_their_kind),
        world_test(c26_one_attempt_has_one_outcome),
        world_test(a_complete_answer_survives_a_reset_of_the_rest_of_the_request),
        world_test(a_tunnel_goes_only_to_a_backend_that_takes_some),
        world_test(too_large_a_section_is_refused_without_blame),
        world_test(a_request_that_the_backend_would_not_take_is_not_sent),
        world_test(lateness_is_what_the_owner_says),
        world_test(an_attempt_is_open_at_once_where_nobody_waits),
        world_test(cancelling_works_in_every_state_and_blames_nobody),
        world_test(what_is_over_ignores_its_owner),
        world_test(supply_may_hold_back_or_give_up),
        world_test(a_failed_attempt_may_start_again_at_once),
        world_test(a_lost_attempt_may_start_again_from_the_loss),
        world_test(a_tick_ends_though_failures_start_again),
        world_test(callbacks_may_cancel_others),
        world_test(done_may_start_another),
        cmocka_unit_test(anything_in_any_order_keeps_the_books),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
