/*
 * answer: the client's side of an answer, pulled piece by piece by HTTP/2: from the feed of the
 * flight, or a local one. A client never sees a good end of an answer that was not complete: after
 * headers were sent, whatever breaks is RST_STREAM(INTERNAL_ERROR) (rule C11); or grpc-status 14
 * where a gRPC answer is cut between messages, or the route's event before the reset where an event
 * stream is cut between events.
 */
#include "dataplane/request/exchange.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/counter.h"

static const struct h2_supply nothing = {.kind = H2_SUPPLY_NONE};

/* Whether a backend was asked, and what became of it, for the gate of panics. */
static void tell_gate(struct exchange *exchange, uint16_t status)
{
    bool asked =
        exchange->local == LOCAL_NONE || exchange->local == LOCAL_TIMEOUT ||
        (exchange->local == LOCAL_FLIGHT && flight_failure_answer(exchange->failure)->asked);
    if (asked)
        panic_gate_saw(&exchange->engine->panic_gate, status < 500);
}

/* The answer begins: its head goes to HTTP/2. */
static void begin(struct exchange *exchange, uint16_t status, uint64_t now)
{
    struct request_engine *engine = exchange->engine;
    struct request_counters *counters = &engine->counters;
    uint64_t *const classes[] = {&counters->answered_1xx, &counters->answered_2xx,
                                 &counters->answered_3xx, &counters->answered_4xx,
                                 &counters->answered_5xx};
    exchange->head_sent = true;
    exchange->access.status = status;
    exchange->access.head_at_ns = now;
    tell_gate(exchange, status);
    histogram_add(&engine->histograms.first_byte, (now - exchange->access.began_ns) / CLOCK_US);
    if (status >= 100 && status < 600)
        counter_add(classes[status / 100 - 1], 1);
}

static void add_cache_status(const struct exchange *exchange, struct fields *head)
{
    uint8_t room[CACHE_STATUS_BYTES];
    fields_add_token(head, FIELD_CACHE_STATUS, cache_status(exchange, room));
}

/* C11: a client of gRPC reads it as UNAVAILABLE. Nothing of the flight is needed any more. */
static struct h2_supply grpc_end(struct exchange *exchange, enum flight_failure failure,
                                 uint64_t now)
{
    struct request_engine *engine = exchange->engine;
    struct fields *trailers = &engine->scratch;
    counter_add(&engine->counters.cut_grpc, 1);
    fields_init(trailers, trailers->data, trailers->capacity);
    fields_add_token(trailers, FIELD_GRPC_STATUS, bytes_text("14"));
    fields_add_token(trailers, FIELD_GRPC_MESSAGE,
                     bytes_text(flight_failure_answer(failure)->reason));
    exchange_leave(exchange, now);
    return (struct h2_supply){.kind = H2_SUPPLY_TRAILERS, .fields = trailers, .end = true};
}

/* C11: the route's event; what follows is a reset. False: there is none. */
static bool take_last_words(struct exchange *exchange, uint32_t max)
{
    const struct snapshot_route *route = exchange_route(exchange);
    if (route == NULL || route->event_stream_error.length == 0 ||
        route->event_stream_error.length > max)
        return false;
    exchange->last_words = coalesce_text(exchange->engine->config.coalesce,
                                         exchange->subscriber.principal, route->event_stream_error);
    return exchange->last_words != NULL;
}

static struct h2_supply last_words(struct exchange *exchange, uint64_t now)
{
    struct segment *segment = exchange->last_words;
    counter_add(&exchange->engine->counters.cut_events, 1);
    exchange_leave(exchange, now);
    h2_stream_ready(exchange->stream);
    return (struct h2_supply){.kind = H2_SUPPLY_DATA, .chunk = {segment, 0, segment->length}};
}

static struct h2_supply broken(struct exchange *exchange, enum h2_error code, uint64_t now)
{
    struct request_engine *engine = exchange->engine;
    counter_add(&engine->counters.broken, 1);
    exchange_end(exchange, &(struct access_ending){ACCESS_RESET, code, NULL}, now);
    return (struct h2_supply){.kind = H2_SUPPLY_RESET, .code = code};
}

/*
 * 1 to 3 seconds, so that those who were turned away do not come back all at once (C9); or the rest
 * of what a backend asked for (C10).
 */
static struct bytes retry_after(const struct exchange *exchange)
{
    static const uint8_t digits[] = "123456789";
    if (exchange->local != LOCAL_SHUT)
        return bytes_of(&digits[random_below(exchange->engine->config.random, 3)], 1);
    uint64_t seconds = (exchange->subscriber.retry_after_ns + CLOCK_S - 1) / CLOCK_S;
    return bytes_of(&digits[seconds < 9 ? seconds - 1 : 8], 1);
}

static struct h2_supply local_head(struct exchange *exchange, uint64_t now)
{
    struct fields *head = &exchange->engine->scratch;
    uint16_t status = local_answer_status(exchange);
    uint8_t digits[3] = {(uint8_t)('0' + status / 100), (uint8_t)('0' + status / 10 % 10),
                         (uint8_t)('0' + status % 10)};
    fields_init(head, head->data, head->capacity);
    fields_add_token(head, FIELD_STATUS, bytes_of(digits, sizeof(digits)));
    fields_add_token(head, FIELD_CONTENT_TYPE, bytes_text("text/plain"));
    add_cache_status(exchange, head);
    if (exchange->local == LOCAL_OPTIONS) /* RFC 9110 9.3.7 */
        fields_add_token(head, FIELD_ALLOW,
                         bytes_text("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    if (local_answer_retry_after(exchange))
        fields_add_token(head, FIELD_RETRY_AFTER, retry_after(exchange));
    begin(exchange, status, now);
    local_answer_count(exchange);
    return (struct h2_supply){.kind = H2_SUPPLY_HEADERS, .fields = head, .end = exchange->is_head};
}

static struct h2_supply local_supply(struct exchange *exchange, uint32_t max, uint64_t now)
{
    if (!exchange->head_sent)
        return local_head(exchange, now);
    struct chunk text = local_answer_text(exchange);
    if (max == 0)
        return nothing;
    text.offset = exchange->local_at;
    text.length -= exchange->local_at;
    bool end = text.length <= max;
    text.length = end ? text.length : max;
    exchange->local_at += text.length;
    exchange->access.bytes_out += text.length;
    return (struct h2_supply){.kind = H2_SUPPLY_DATA, .chunk = text, .end = end};
}

void exchange_answer_locally(struct exchange *exchange, enum local_answer local, uint64_t now)
{
    exchange_leave(exchange, now);
    exchange_hold_end(exchange);
    exchange->local = local;
    exchange->due_at_ns = CLOCK_NEVER;
    h2_stream_ready(exchange->stream);
}

/* What only concerns streams, of which there are fewer. */
static void begin_stream(struct exchange *exchange, const struct fields *head, uint64_t now)
{
    cut_begin(&exchange->cut, head, exchange->is_head);
    keepalive_begin(exchange, now);
    replay_begin(exchange, now);
}

static struct h2_supply feed_head(struct exchange *exchange, const struct feed *feed, uint32_t max,
                                  uint64_t now)
{
    struct fields *head = &exchange->engine->scratch;
    fields_init(head, head->data, head->capacity);
    coalesce_head(&exchange->subscriber, head);
    add_cache_status(exchange, head);
    if (!h2_peer_takes(h2_stream_conn(exchange->stream), head)) {
        exchange_answer_locally(exchange, LOCAL_RESPONSE_SIZE, now);
        return local_supply(exchange, max, now);
    }
    begin(exchange, fields_status(head), now);
    if (exchange->asks_tunnel && exchange->access.status / 100 == 2)
        exchange_tunnel_opened(exchange, now);
    bool bare = feed->state == FEED_ENDED && feed->body.written_bytes == 0 && !feed->has_trailers;
    if (feed->streams_since_ns != 0)
        begin_stream(exchange, head, now);
    coalesce_body_drop(&exchange->subscriber.held); /* nobody is sent elsewhere any more */
    return (struct h2_supply){.kind = H2_SUPPLY_HEADERS, .fields = head, .end = bare};
}

static struct h2_supply feed_data(struct exchange *exchange, const struct feed *feed,
                                  struct chunk chunk, uint64_t now)
{
    struct body_cursor *cursor = &exchange->subscriber.cursor;
    if (exchange->tunnel)
        exchange->body_at_ns = now;
    body_cursor_advance(cursor, chunk.length);
    keepalive_said(&exchange->keepalive, now);
    cut_pass(&exchange->cut, bytes_of(chunk.segment->data + chunk.offset, chunk.length));
    counter_add(&exchange->engine->counters.response_bytes, chunk.length);
    exchange->access.bytes_out += chunk.length;
    if (exchange->subscriber.role == SUBSCRIBER_JOINED)
        counter_add(&exchange->engine->counters.saved_bytes, chunk.length);
    bool end =
        feed->state == FEED_ENDED && !feed->has_trailers && body_is_read(&feed->body, cursor);
    return (struct h2_supply){.kind = H2_SUPPLY_DATA, .chunk = chunk, .end = end};
}

static struct h2_supply feed_body(struct exchange *exchange, const struct feed *feed, uint32_t max,
                                  uint64_t now)
{
    struct body_cursor *cursor = &exchange->subscriber.cursor;
    struct chunk chunk = body_peek(&feed->body, cursor, replay_room(exchange, max));
    if (chunk.length > 0)
        return feed_data(exchange, feed, chunk, now);
    if (feed->state == FEED_HEAD && keepalive_take(exchange, max, &chunk, now))
        return (struct h2_supply){.kind = H2_SUPPLY_DATA, .chunk = chunk};
    if (feed->state != FEED_ENDED || !body_is_read(&feed->body, cursor))
        return nothing;
    if (feed->has_trailers)
        return (struct h2_supply){
            .kind = H2_SUPPLY_TRAILERS, .fields = &feed->trailers, .end = true};
    return (struct h2_supply){.kind = H2_SUPPLY_DATA, .end = true};
}

/* The flight failed: an honest answer if none has begun, else a reset. */
static struct h2_supply feed_failed(struct exchange *exchange, const struct feed *feed,
                                    uint32_t max, uint64_t now)
{
    exchange->failure = feed->failure;
    bool clean = exchange->head_sent && cut_is_clean(&exchange->cut);
    if (clean && exchange->cut.kind == CUT_GRPC)
        return grpc_end(exchange, feed->failure, now);
    if (clean && take_last_words(exchange, max))
        return last_words(exchange, now);
    bool too_slow = feed->failure == FLIGHT_TOO_SLOW;
    if (exchange->tunnel) /* RFC 9113 7 */
        return broken(exchange, H2_CONNECT_ERROR, now);
    if (exchange->head_sent)
        return broken(exchange, too_slow ? H2_CANCEL : H2_INTERNAL_ERROR, now);
    if (too_slow) { /* C15: it has received nothing, so it may have a flight of its own */
        exchange->failure = FLIGHT_OK;
        exchange_resubscribe(exchange, now);
        return exchange->local != LOCAL_NONE ? local_supply(exchange, max, now) : nothing;
    }
    exchange_answer_locally(exchange, LOCAL_FLIGHT, now);
    return local_supply(exchange, max, now);
}

/* C21. False: none is due. */
static bool supply_interim(struct exchange *exchange, const struct feed *feed,
                           struct h2_supply *out)
{
    struct fields *section = &exchange->engine->scratch;
    if (!exchange->subscriber.interim_due || exchange->head_sent || feed->state == FEED_FAILED)
        return false;
    fields_init(section, section->data, section->capacity);
    exchange->subscriber.interim_due = false;
    *out = (struct h2_supply){.kind = H2_SUPPLY_INTERIM, .fields = section};
    return coalesce_interim(&exchange->subscriber, section);
}

static struct h2_supply supply(struct exchange *exchange, uint32_t max, uint64_t now)
{
    if (exchange->local != LOCAL_NONE)
        return local_supply(exchange, max, now);
    if (exchange->last_words != NULL)
        return broken(exchange, H2_INTERNAL_ERROR, now);
    const struct feed *feed = exchange->subscriber.feed;
    if (feed == NULL)
        return nothing;
    /* What the last call handed out is held by HTTP/2 now: the flight may let go of it. */
    if (exchange->subscriber.cursor.position > 0)
        coalesce_advanced(&exchange->subscriber, now);
    struct h2_supply early;
    if (supply_interim(exchange, feed, &early))
        return early;
    switch (feed->state) {
    case FEED_WAITING:
        return nothing;
    case FEED_HEAD:
    case FEED_ENDED:
        return exchange->head_sent ? feed_body(exchange, feed, max, now)
                                   : feed_head(exchange, feed, max, now);
    case FEED_FAILED:
        return feed_failed(exchange, feed, max, now);
    }
    check(!"a feed state");
}

struct h2_supply exchange_supply(struct exchange *exchange, uint32_t max, uint64_t now)
{
    struct h2_supply piece = supply(exchange, max, now);
    if (piece.kind == H2_SUPPLY_RESET) /* with it the exchange is over */
        return piece;
    bool none_read = piece.kind == H2_SUPPLY_HEADERS && exchange->local == LOCAL_NONE;
    if (!none_read && account_may_change(exchange))
        account_update(exchange, now);
    return piece;
}
