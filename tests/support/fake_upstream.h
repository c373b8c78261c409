/*
 * fake_upstream: attempts (dataplane/upstream/upstream.h) whose backends are played by the test.
 * Takes the place of the real ones at link time. What the real ones promise is kept: results come
 * only from fake_* calls, an attempt is idle before done() and failed().
 */
#pragma once

#include "dataplane/upstream/upstream.h"
#include "tests/support/cmocka.h"

#define FAKE_TRIES_MAX 4096

/* One attempt that was started, and what has become of it. */
struct fake_try {
    struct attempt *attempt; /* NULL: over */
    uint64_t id;
    uint64_t sent;          /* response body bytes */
    uint64_t consumed;      /* of them given back as credit */
    uint64_t request_bytes; /* body bytes pulled */
    uint64_t request_sum;   /* a checksum of them */
    bool request_head;
    bool request_trailers;
    bool request_ended;
    bool head_sent;
    bool response_ended;
};

struct upstream {
    struct fake_try tries[FAKE_TRIES_MAX];
    uint32_t started;
    uint32_t cancelled;
    uint32_t late;
    uint32_t refusals_due; /* so many attempt_start() find no room */
};

static inline struct fake_try *fake_of(struct attempt *attempt)
{
    struct upstream *upstream = attempt->upstream;
    for (uint32_t i = 0; i < upstream->started; i++)
        if (upstream->tries[i].attempt == attempt)
            return &upstream->tries[i];
    return NULL;
}

/* The last one that was started; NULL when it is over. */
static inline struct fake_try *fake_last(struct upstream *upstream)
{
    assert_true(upstream->started > 0);
    struct fake_try *last = &upstream->tries[upstream->started - 1];
    return last->attempt != NULL ? last : NULL;
}

static inline uint32_t fake_active(const struct upstream *upstream)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < upstream->started; i++)
        count += upstream->tries[i].attempt != NULL;
    return count;
}

void attempt_init(struct attempt *attempt, struct upstream *upstream,
                  const struct attempt_handler *handler)
{
    *attempt =
        (struct attempt){.handler = handler, .upstream = upstream, .failure = ATTEMPT_FAILURES};
    list_init(&attempt->link);
}

bool attempt_start(struct attempt *attempt, const struct snapshot_backend *backend, uint64_t now)
{
    struct upstream *upstream = attempt->upstream;
    assert_int_equal(attempt->state, ATTEMPT_IDLE);
    if (upstream->refusals_due > 0) {
        upstream->refusals_due--;
        return false;
    }
    attempt_init(attempt, upstream, attempt->handler);
    attempt->state = ATTEMPT_WAITING;
    attempt->slot = backend->slot;
    attempt->generation = backend->generation;
    assert_true(upstream->started < FAKE_TRIES_MAX);
    upstream->tries[upstream->started] =
        (struct fake_try){.attempt = attempt, .id = upstream->started + 1};
    upstream->started++;
    return true;
}

void attempt_ready(struct attempt *attempt)
{
}

void attempt_consumed(struct attempt *attempt, uint32_t count)
{
    struct fake_try *try = fake_of(attempt);
    if (try == NULL || attempt->state != ATTEMPT_OPEN)
        return;
    try->consumed += count;
    assert_true(try->consumed <= try->sent);
}

void attempt_credit_now(struct attempt *attempt)
{
}

void attempt_report_late(struct attempt *attempt)
{
    attempt->upstream->late++;
}

static inline void fake_over(struct attempt *attempt)
{
    struct fake_try *try = fake_of(attempt);
    assert_non_null(try);
    try->attempt = NULL;
    attempt->state = ATTEMPT_IDLE;
}

void attempt_cancel(struct attempt *attempt, uint64_t now)
{
    if (attempt->state == ATTEMPT_IDLE)
        return;
    attempt->upstream->cancelled++;
    fake_over(attempt);
}

/* --- the backend's part --- */

static inline void fake_open(struct fake_try *try)
{
    if (try->attempt->state == ATTEMPT_WAITING)
        try->attempt->state = ATTEMPT_OPEN;
}

/* Pull what there is of the request. */
static inline void fake_pull(struct fake_try *try, uint64_t now)
{
    struct attempt *attempt = try->attempt;
    fake_open(try);
    while (!try->request_ended) {
        struct h2_supply piece = attempt->handler->supply(attempt, 1000, now);
        if (piece.kind == H2_SUPPLY_NONE)
            return;
        attempt->began = true;
        assert_true(piece.kind != H2_SUPPLY_HEADERS || !try->request_head);
        try->request_head |= piece.kind == H2_SUPPLY_HEADERS;
        try->request_trailers |= piece.kind == H2_SUPPLY_TRAILERS;
        for (uint32_t i = 0; piece.kind == H2_SUPPLY_DATA && i < piece.chunk.length; i++)
            try->request_sum =
                try->request_sum * 31 + piece.chunk.segment->data[piece.chunk.offset + i];
        try->request_bytes += piece.kind == H2_SUPPLY_DATA ? piece.chunk.length : 0;
        try->request_ended = piece.end;
    }
}

static inline void fake_done_if_over(struct fake_try *try, uint64_t now)
{
    struct attempt *attempt = try->attempt;
    if (attempt == NULL || !try->response_ended || !try->request_ended)
        return;
    fake_over(attempt);
    attempt->handler->done(attempt, now);
}

/* NAMES: pairs of name and value, ended by NULL. The section has a name that no other one has. */
static inline void fake_section(struct fake_try *try, enum h2_section section,
                                const char *const *names, bool end, uint64_t now)
{
    static uint64_t sections;
    uint8_t room[4096];
    struct fields fields;
    struct attempt *attempt = try->attempt;
    fields_init(&fields, room, sizeof(room));
    for (; *names != NULL; names += 2)
        fields_add(&fields, (struct field){.token = field_token_of(bytes_text(names[0])),
                                           .name = bytes_text(names[0]),
                                           .value = bytes_text(names[1])});
    fields_name(&fields, ++sections);
    fake_open(try);
    attempt->answered |= section == H2_SECTION_HEADERS;
    if (section == H2_SECTION_HEADERS)
        attempt->content = content_kind_of(&fields);
    try->head_sent |= section == H2_SECTION_HEADERS;
    try->response_ended |= end;
    attempt->handler->headers(attempt, &fields, section, end, now);
    fake_done_if_over(try, now);
}

static inline void fake_data(struct fake_try *try, const void *data, size_t length, bool end,
                             uint64_t now)
{
    struct attempt *attempt = try->attempt;
    try->sent += length;
    try->response_ended |= end;
    attempt->handler->data(attempt, bytes_of(data, length), end, now);
    fake_done_if_over(try, now);
}

static inline void fake_fail(struct fake_try *try, enum attempt_failure why, uint64_t now)
{
    struct attempt *attempt = try->attempt;
    fake_over(attempt);
    attempt->handler->failed(attempt, why, now);
}

static inline void fake_suspect(struct fake_try *try, enum suspicion why, uint64_t now)
{
    try->attempt->handler->suspected(try->attempt, why, now);
}
