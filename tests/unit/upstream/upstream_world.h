/*
 * upstream_world: an upstream over fake tcp and h2, three backends, and attempts that write down
 * what they are told.
 */
#pragma once

#include "dataplane/base/memory.h"
#include "dataplane/upstream/upstream.h"
#include "tests/support/fake_h2.h"
#include "tests/support/fake_tcp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define WORLD_BACKENDS 3
#define MS             1000000ull
#define SECOND         1000000000ull

static struct world {
    uint64_t now;
    struct timer_wheel wheel;
    struct random random;
    struct backend_loads loads;
    struct snapshot_backend backends[WORLD_BACKENDS];
    struct snapshot snapshot;
    struct upstream_config config;
    struct upstream *upstream;
    struct upstream_counters *counters;
    void (*at_end)(void); /* called by world_teardown() before memory goes */
} world;

/* An attempt and its story. */
struct
try {
    struct attempt attempt;
    uint32_t starts; /* that were accepted */
    uint32_t ends;   /* done, failed or cancelled */
    uint32_t interims, headers, trailers, data_bytes, ended;
    uint32_t done, failed, suspected;
    enum suspicion suspicion; /* the last one told */
    enum attempt_failure why;
    bool holds_back;                              /* supply() has nothing */
    bool gives_up;                                /* supply() answers with a reset */
    bool keeps_uploading;                         /* the request does not end */
    bool asks_tunnel;                             /* it is extended CONNECT */
    const char *path;                             /* NULL: "/" */
    void (*then)(struct try * try, uint64_t now); /* called last in done, failed and suspected */
    struct try *other;                            /* for `then` */
};

static inline struct try *try_of(struct attempt *attempt)
{
    return container_of(attempt, struct try, attempt);
}

static inline struct h2_supply try_supply(struct attempt *attempt, uint32_t max, uint64_t now)
{
    static uint8_t data[256];
    static struct fields fields;
    struct try *try = try_of(attempt);
    fields_init(&fields, data, sizeof(data));
    fields_add_token(&fields, FIELD_METHOD, bytes_text("GET"));
    fields_add_token(&fields, FIELD_AUTHORITY, bytes_text("a"));
    fields_add_token(&fields, FIELD_PATH, bytes_text(try->path != NULL ? try->path : "/"));
    if (try->asks_tunnel)
        fields_add_token(&fields, FIELD_PROTOCOL, bytes_text("websocket"));
    if (try->gives_up) {
        try->ends++;
        return (struct h2_supply){.kind = H2_SUPPLY_RESET, .code = H2_CANCEL};
    }
    if (try->holds_back || (try->keeps_uploading && attempt->began))
        return (struct h2_supply){.kind = H2_SUPPLY_NONE};
    return (struct h2_supply){
        .kind = H2_SUPPLY_HEADERS, .end = !try->keeps_uploading, .fields = &fields};
}

static inline void try_headers(struct attempt *attempt, const struct fields *fields,
                               enum h2_section section, bool end, uint64_t now)
{
    struct try *try = try_of(attempt);
    assert_int_equal(attempt->state, ATTEMPT_OPEN);
    try->interims += section == H2_SECTION_INTERIM;
    try->headers += section == H2_SECTION_HEADERS;
    try->trailers += section == H2_SECTION_TRAILERS;
    try->ended += end;
}

static inline void try_data(struct attempt *attempt, struct bytes bytes, bool end, uint64_t now)
{
    struct try *try = try_of(attempt);
    assert_int_equal(attempt->state, ATTEMPT_OPEN);
    try->data_bytes += (uint32_t)bytes.length;
    try->ended += end;
    attempt_consumed(attempt, (uint32_t)bytes.length);
}

static inline void try_then(struct try *try, uint64_t now)
{
    void (*then)(struct try * try, uint64_t now) = try->then;
    if (then != NULL)
        then(try, now);
}

static inline void try_done(struct attempt *attempt, uint64_t now)
{
    struct try *try = try_of(attempt);
    assert_int_equal(attempt->state, ATTEMPT_IDLE);
    try->done++;
    try->ends++;
    try_then(try, now);
}

static inline void try_failed(struct attempt *attempt, enum attempt_failure why, uint64_t now)
{
    struct try *try = try_of(attempt);
    assert_int_equal(attempt->state, ATTEMPT_IDLE);
    try->failed++;
    try->ends++;
    try->why = why;
    try_then(try, now);
}

static inline void try_suspected(struct attempt *attempt, enum suspicion why, uint64_t now)
{
    struct try *try = try_of(attempt);
    assert_int_equal(attempt->state, ATTEMPT_OPEN);
    try->suspected++;
    try->suspicion = why;
    try_then(try, now);
}

static const struct attempt_handler try_handler = {
    .supply = try_supply,
    .headers = try_headers,
    .data = try_data,
    .done = try_done,
    .failed = try_failed,
    .suspected = try_suspected,
};

static inline void try_init(struct try *try)
{
    *try = (struct try){0};
    attempt_init(&try->attempt, world.upstream, &try_handler);
}

static inline bool try_start(struct try *try, uint32_t backend)
{
    bool started = attempt_start(&try->attempt, &world.backends[backend], world.now);
    try->starts += started;
    return started;
}

static inline void try_cancel(struct try *try)
{
    try->ends += try->attempt.state != ATTEMPT_IDLE;
    attempt_cancel(&try->attempt, world.now);
    assert_int_equal(try->attempt.state, ATTEMPT_IDLE);
}

static inline void world_config(void)
{
    memset(&world, 0, sizeof(world));
    fake_tcp_init();
    fake_h2_init();
    world.now = 5 * SECOND;
    timer_wheel_init(&world.wheel, world.now);
    random_seed(&world.random, 1);
    for (uint16_t i = 0; i < WORLD_BACKENDS; i++)
        world.backends[i] = (struct snapshot_backend){
            .slot = 7u * i, .generation = 1, .port = (uint16_t)(80 + i), .weight = 1};
    world.snapshot = (struct snapshot){
        .generation = 1, .backends = world.backends, .backend_count = WORLD_BACKENDS};
    world.config = (struct upstream_config){.tcp = &fake_tcp.tcp,
                                            .h2 = &fake_h2.h2,
                                            .loads = &world.loads,
                                            .wheel = &world.wheel,
                                            .random = &world.random,
                                            .connections_max = 64,
                                            .backend_connections = 8,
                                            .waiting_max = 1000,
                                            .ping_timeout_ns = 5 * SECOND,
                                            .socket_id = -1};
}

/* Backend INDEX speaks TLS. Before world_create(). */
static inline void world_secure(uint32_t index)
{
    world.backends[index].tls = true;
    world.config.tls = (struct tls *)&fake_tcp; /* which nobody looks at */
}

static inline void world_create(void)
{
    world.upstream = upstream_create(&world.config);
    assert_non_null(world.upstream);
    world.counters = upstream_counters(world.upstream);
    upstream_apply(world.upstream, &world.snapshot, world.now);
}

static inline int world_setup(void **state)
{
    world_config();
    world_create();
    return 0;
}

static inline void world_tick(void)
{
    for (uint32_t i = 0; upstream_tick(world.upstream, world.now); i++)
        assert_true(i < 1000);
}

/* Let time pass in steps of a millisecond, or of 10 for long spans. */
static inline void world_pass(uint64_t for_ns)
{
    uint64_t until = world.now + for_ns;
    uint64_t step = for_ns > SECOND ? 10 * MS : MS;
    while (world.now < until) {
        world.now += step;
        timer_wheel_advance(&world.wheel, world.now, 1000);
        world_tick();
    }
}

static inline struct tcp_conn *world_tcp(uint32_t index)
{
    assert_true(index < fake_tcp.count);
    return &fake_tcp.conns[index];
}

/* The HTTP/2 connection over TCP connection INDEX. */
static inline struct h2_conn *world_h2(uint32_t index)
{
    for (uint32_t i = 0; i < fake_h2.conn_count; i++)
        if (fake_h2.conns[i].transport.stream == world_tcp(index))
            return &fake_h2.conns[i];
    fail_msg("no HTTP/2 on connection %u", index);
    return NULL;
}

/* TCP connection INDEX comes up, HTTP/2 too, with room for STREAMS. */
static inline void world_open(uint32_t index, uint32_t streams)
{
    fake_tcp_tell(world_tcp(index), TCP_OPENED, world.now);
    fake_h2_settings(world_h2(index), streams, world.now);
    world_tick();
}

/* Send what is ready everywhere. */
static inline void world_flush(void)
{
    for (uint32_t i = 0; i < fake_h2.stream_count; i++)
        if (fake_h2.streams[i].live)
            fake_h2_pull(&fake_h2.streams[i], world.now);
    world_tick();
}

/* A try on a backend with an open connection, its request sent. */
static inline struct h2_stream *try_open(struct try *try, uint32_t backend)
{
    uint32_t connects = fake_tcp.count;
    try_init(try);
    assert_true(try_start(try, backend));
    world_tick();
    if (fake_tcp.count > connects)
        world_open(connects, 100);
    world_flush();
    assert_int_equal(try->attempt.state, ATTEMPT_OPEN);
    return try->attempt.stream;
}

static inline void world_answer(struct try *try, const char *status)
{
    fake_h2_status(try->attempt.stream, status, true, world.now);
    world_tick();
}

static inline struct backend_load *world_load(uint32_t backend)
{
    return &world.loads.slots[world.backends[backend].slot];
}

/* The HTTP/2 connection over a TCP connection, or NULL. */
static inline struct h2_conn *world_h2_over(const struct tcp_conn *tcp)
{
    for (uint32_t i = 0; i < fake_h2.conn_count; i++)
        if (fake_h2.conns[i].transport.stream == tcp && fake_h2.conns[i].live)
            return &fake_h2.conns[i];
    return NULL;
}

/* TCP gives up on what was never answered. */
static inline void world_end_connects(void)
{
    for (uint32_t i = 0; i < fake_tcp.count; i++)
        if (fake_tcp.conns[i].state == FAKE_TCP_HELD && world_h2_over(&fake_tcp.conns[i]) == NULL)
            fake_tcp_fail(&fake_tcp.conns[i], TCP_FAILURE_TIMEOUT, world.now);
}

/* When all tries are over: drained, nothing is left anywhere. */
static inline int world_teardown(void **state)
{
    upstream_drain(world.upstream, world.now);
    world_end_connects();
    world_tick();
    world_pass(12 * SECOND);
    assert_int_equal(upstream_connection_count(world.upstream), 0);
    assert_int_equal(upstream_waiting_count(world.upstream), 0);
    assert_int_equal(fake_h2.live_streams, 0);
    assert_int_equal(fake_h2.live_conns, 0);
    assert_int_equal(fake_tcp.held, 0);
    assert_int_equal(world.wheel.armed_count, 0);
    for (uint32_t i = 0; i < WORLD_BACKENDS; i++) {
        assert_int_equal(world_load(i)->in_flight, 0);
        assert_int_equal(world_load(i)->connections, 0);
    }
    if (world.at_end != NULL)
        world.at_end();
    memory_reset();
    return 0;
}

#define world_test(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
