#include "tests/support/h2_app.h"

#include "dataplane/base/check.h"

#include <stdio.h>
#include <stdlib.h>

#define LARGE_VALUE_BYTES 2500
#define LARGE_VALUES      8

uint8_t h2_plan_byte(const struct h2_plan *plan, bool request, uint32_t position)
{
    uint32_t x = plan->seed + position * 2654435761u + (request ? 77 : 0);
    return (uint8_t)(x >> 13 ^ x);
}

void h2_plan_write(const struct h2_plan *plan, char *path)
{
    snprintf(path, H2_APP_PATH_BYTES, "/%u/%u/%u/%d/%d/%d/%d/%d/%d/%d", plan->seed,
             plan->request_bytes, plan->response_bytes, plan->request_trailers,
             plan->response_trailers, plan->interim, plan->early, plan->large_headers,
             plan->server_resets, plan->client_resets);
}

void h2_plan_read(struct bytes path, struct h2_plan *plan)
{
    char text[H2_APP_PATH_BYTES];
    unsigned n[10] = {0};
    check(path.length < sizeof(text));
    memcpy(text, path.data, path.length);
    text[path.length] = 0;
    check(sscanf(text, "/%u/%u/%u/%u/%u/%u/%u/%u/%u/%u", &n[0], &n[1], &n[2], &n[3], &n[4], &n[5],
                 &n[6], &n[7], &n[8], &n[9]) == 10);
    *plan = (struct h2_plan){n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9]};
}

static uint8_t fields_memory[65536];
static struct fields fields;

static void add_text(enum field_token token, const char *text)
{
    fields_add_token(&fields, token, bytes_text(text));
}

static void add_number(enum field_token token, uint32_t number)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", number);
    add_text(token, text);
}

static void add_large(void)
{
    static uint8_t value[LARGE_VALUE_BYTES];
    for (uint32_t i = 0; i < LARGE_VALUES; i++) {
        memset(value, 'a' + (int)i, sizeof(value));
        char name[16];
        snprintf(name, sizeof(name), "x-large-%u", i);
        struct bytes text = bytes_text(name);
        fields_add(&fields, (struct field){.token = FIELD_OTHER,
                                           .name = text,
                                           .value = bytes_of(value, sizeof(value))});
    }
}

static void check_large(const struct fields *got)
{
    struct field field;
    uint32_t found = 0;
    for (uint32_t at = 0; fields_next(got, &at, &field);)
        if (field.token == FIELD_OTHER && field.value.length == LARGE_VALUE_BYTES)
            found++;
    check(found == LARGE_VALUES);
}

static struct h2_supply section(enum h2_supply_kind kind, bool end)
{
    check(!fields.overflow);
    return (struct h2_supply){.kind = kind, .end = end, .fields = &fields};
}

static uint32_t bytes_to_send(const struct h2_exchange *exchange)
{
    if (exchange->is_client)
        return exchange->plan.request_bytes;
    return exchange->plan.head ? 0 : exchange->plan.response_bytes;
}

static bool has_trailers(const struct h2_exchange *exchange)
{
    return exchange->is_client ? exchange->plan.request_trailers
                               : exchange->plan.response_trailers && !exchange->plan.head;
}

static const char *method_of(const struct h2_plan *plan)
{
    if (plan->tunnel)
        return "CONNECT";
    return plan->head ? "HEAD" : plan->request_bytes > 0 ? "POST" : "GET";
}

static struct h2_supply supply_headers(struct h2_exchange *exchange)
{
    const struct h2_plan *plan = &exchange->plan;
    char path[H2_APP_PATH_BYTES];
    h2_plan_write(plan, path);
    fields_init(&fields, fields_memory, sizeof(fields_memory));
    if (plan->tunnel && exchange->is_client)
        add_text(FIELD_PROTOCOL, "test");
    if (plan->tunnel && !exchange->is_client)
        h2_stream_tunnel(exchange->stream);
    if (exchange->is_client) {
        add_text(FIELD_METHOD, method_of(plan));
        add_text(FIELD_SCHEME, "https");
        add_text(FIELD_AUTHORITY, "weir.example");
        add_text(FIELD_PATH, path);
    } else {
        add_text(FIELD_STATUS, "200");
        add_text(FIELD_SERVER, "test");
    }
    if (plan->seed % 2 == 0 && !plan->tunnel)
        add_number(FIELD_CONTENT_LENGTH,
                   exchange->is_client ? plan->request_bytes : plan->response_bytes);
    if (plan->large_headers)
        add_large();
    exchange->headers_sent = true;
    exchange->end_sent = bytes_to_send(exchange) == 0 && !has_trailers(exchange);
    return section(H2_SUPPLY_HEADERS, exchange->end_sent);
}

static struct h2_supply supply_trailers(struct h2_exchange *exchange)
{
    fields_init(&fields, fields_memory, sizeof(fields_memory));
    add_text(FIELD_GRPC_STATUS, "0");
    exchange->end_sent = true;
    return section(H2_SUPPLY_TRAILERS, true);
}

static void drop_segment(struct h2_exchange *exchange)
{
    if (exchange->segment != NULL)
        segment_drop(exchange->segment);
    exchange->segment = NULL;
}

static struct h2_supply supply_data(struct h2_exchange *exchange, uint32_t max)
{
    uint32_t left = bytes_to_send(exchange) - exchange->sent_bytes;
    uint32_t length = left < max ? left : max;
    if (length > 1 && random_below(exchange->app->random, 2) == 0)
        length = 1 + random_below(exchange->app->random, length);
    if (max == 0)
        return (struct h2_supply){.kind = H2_SUPPLY_NONE};
    drop_segment(exchange);
    struct segment *segment = segment_take(exchange->app->segments);
    check(segment != NULL);
    exchange->segment = segment;
    if (length > segment->capacity)
        length = segment->capacity;
    for (uint32_t i = 0; i < length; i++)
        segment->data[i] =
            h2_plan_byte(&exchange->plan, exchange->is_client, exchange->sent_bytes + i);
    segment->length = length;
    exchange->sent_bytes += length;
    exchange->end_sent = exchange->sent_bytes == bytes_to_send(exchange) && !has_trailers(exchange);
    return (struct h2_supply){
        .kind = H2_SUPPLY_DATA,
        .end = exchange->end_sent,
        .chunk = {segment, 0, length},
    };
}

static void abandoned(struct h2_exchange *exchange)
{
    exchange->outcome = H2_OUTCOME_ABANDONED;
    exchange->stream = NULL;
}

static struct h2_supply app_supply(struct h2_stream *stream, uint32_t max, uint64_t now)
{
    struct h2_exchange *exchange = h2_stream_owner(stream);
    check(exchange->stream == stream && exchange->outcome == H2_OUTCOME_OPEN);
    check(!exchange->end_sent);
    if (max > exchange->app->supply_max_seen)
        exchange->app->supply_max_seen = max;
    const struct h2_plan *plan = &exchange->plan;
    bool may_answer = exchange->is_client || plan->early || exchange->end_received;
    if (!exchange->is_client && plan->interim && !exchange->interim_sent) {
        exchange->interim_sent = true;
        fields_init(&fields, fields_memory, sizeof(fields_memory));
        add_text(FIELD_STATUS, "103");
        return section(H2_SUPPLY_INTERIM, false);
    }
    if (!may_answer)
        return (struct h2_supply){.kind = H2_SUPPLY_NONE};
    if (!exchange->headers_sent)
        return supply_headers(exchange);
    bool resets = exchange->is_client ? plan->client_resets : plan->server_resets;
    if (resets && exchange->sent_bytes * 2 >= bytes_to_send(exchange)) {
        abandoned(exchange);
        return (struct h2_supply){.kind = H2_SUPPLY_RESET, .code = H2_CANCEL};
    }
    if (exchange->sent_bytes == bytes_to_send(exchange))
        return supply_trailers(exchange);
    return supply_data(exchange, max);
}

static void maybe_close(struct h2_app *app, uint64_t now)
{
    if (app->close_in_callback && app->conn != NULL && random_below(app->random, 200) == 0)
        h2_close(app->conn, H2_INTERNAL_ERROR, now);
}

static struct h2_exchange *new_exchange(struct h2_app *app)
{
    check(app->exchange_count < app->exchanges_max);
    struct h2_exchange *exchange = &app->exchanges[app->exchange_count++];
    *exchange = (struct h2_exchange){.app = app};
    return exchange;
}

static struct h2_exchange *accept_request(struct h2_app *app, struct h2_stream *stream,
                                          const struct fields *got)
{
    struct h2_exchange *exchange = new_exchange(app);
    struct bytes text;
    check(fields_find(got, FIELD_PATH, &text));
    h2_plan_read(text, &exchange->plan);
    check(fields_find(got, FIELD_METHOD, &text));
    exchange->plan.head = bytes_equal_text(text, "HEAD");
    exchange->plan.tunnel = bytes_equal_text(text, "CONNECT");
    exchange->stream = stream;
    h2_stream_set_owner(stream, exchange);
    return exchange;
}

static void end_in(struct h2_exchange *exchange, bool end)
{
    if (!end)
        return;
    check(!exchange->end_received);
    exchange->end_received = true;
    if (!exchange->is_client)
        h2_stream_ready(exchange->stream);
}

static void app_headers(void *owner, struct h2_stream *stream, const struct fields *got,
                        enum h2_section kind, bool end, uint64_t now)
{
    struct h2_app *app = owner;
    struct h2_exchange *exchange = h2_stream_owner(stream);
    if (exchange == NULL)
        exchange = accept_request(app, stream, got);
    check(exchange->stream == stream && exchange->outcome == H2_OUTCOME_OPEN);
    check(!exchange->end_received && !exchange->parts_received && !got->overflow);
    switch (kind) {
    case H2_SECTION_INTERIM:
        check(exchange->is_client && !exchange->headers_received && !end);
        exchange->interim_received++;
        break;
    case H2_SECTION_HEADERS:
        check(!exchange->headers_received);
        exchange->headers_received = true;
        if (exchange->plan.large_headers)
            check_large(got);
        if (!exchange->is_client && (exchange->plan.early || exchange->plan.interim))
            h2_stream_ready(stream);
        break;
    case H2_SECTION_TRAILERS:
        check(exchange->headers_received && end);
        exchange->trailers_received = true;
        break;
    }
    end_in(exchange, end);
    maybe_close(app, now);
}

static void take_bytes(struct h2_exchange *exchange, struct bytes bytes)
{
    check(exchange->outcome == H2_OUTCOME_OPEN && exchange->headers_received);
    check(!exchange->end_received);
    for (size_t i = 0; i < bytes.length; i++)
        check(bytes.data[i] == h2_plan_byte(&exchange->plan, !exchange->is_client,
                                            exchange->received_bytes + (uint32_t)i));
    exchange->received_bytes += (uint32_t)bytes.length;
    exchange->unconsumed_bytes += (uint32_t)bytes.length;
}

/* Or a callback closes the connection. */
static void maybe_reset(struct h2_exchange *exchange, uint64_t now)
{
    struct h2_app *app = exchange->app;
    if (exchange->plan.client_resets && exchange->is_client && random_below(app->random, 8) == 0) {
        struct h2_stream *stream = exchange->stream;
        abandoned(exchange);
        h2_stream_reset(stream, H2_CANCEL);
    }
    maybe_close(app, now);
}

static void app_data(struct h2_stream *stream, struct bytes bytes, bool end, uint64_t now)
{
    struct h2_exchange *exchange = h2_stream_owner(stream);
    check(bytes.length > 0 || end || exchange->parts_received);
    exchange->parts_received = false;
    take_bytes(exchange, bytes);
    end_in(exchange, end);
    maybe_reset(exchange, now);
}

static void app_part(struct h2_stream *stream, struct bytes bytes, uint64_t now)
{
    struct h2_exchange *exchange = h2_stream_owner(stream);
    check(bytes.length > 0);
    take_bytes(exchange, bytes);
    exchange->parts_received = true;
    maybe_reset(exchange, now);
}

static void app_reset(struct h2_stream *stream, struct h2_reset reset, uint64_t now)
{
    struct h2_exchange *exchange = h2_stream_owner(stream);
    check(exchange->outcome == H2_OUTCOME_OPEN && exchange->stream == stream);
    exchange->outcome = H2_OUTCOME_RESET;
    exchange->reset = reset;
    exchange->stream = NULL;
    maybe_close(exchange->app, now);
}

static void app_finished(struct h2_stream *stream, uint64_t now)
{
    struct h2_exchange *exchange = h2_stream_owner(stream);
    check(exchange->outcome == H2_OUTCOME_OPEN && exchange->stream == stream);
    if (exchange->plan.tunnel) /* nobody was cut short */
        check(exchange->received_bytes == (exchange->is_client ? exchange->plan.response_bytes
                                                               : exchange->plan.request_bytes) &&
              exchange->sent_bytes == bytes_to_send(exchange));
    exchange->outcome = H2_OUTCOME_FINISHED;
    exchange->stream = NULL;
    maybe_close(exchange->app, now);
}

static void app_available(void *owner, struct h2_conn *conn, uint64_t now)
{
    struct h2_app *app = owner;
    check(app->conn == conn);
    app->available_count++;
}

static void app_closed(void *owner, struct h2_conn *conn, uint64_t now)
{
    struct h2_app *app = owner;
    check(app->conn == conn && h2_app_open_count(app) == 0);
    app->conn = NULL;
    app->closed_count++;
}

const struct h2_handler h2_app_handler = {
    .headers = app_headers,
    .data = app_data,
    .part = app_part,
    .supply = app_supply,
    .reset = app_reset,
    .finished = app_finished,
    .available = app_available,
    .closed = app_closed,
};

bool h2_app_request(struct h2_app *app, const struct h2_plan *plan, uint64_t now)
{
    if (h2_request_room(app->conn) == 0 || app->exchange_count == app->exchanges_max)
        return false;
    struct h2_exchange *exchange = new_exchange(app);
    exchange->plan = *plan;
    exchange->is_client = true;
    exchange->stream = h2_request(app->conn, exchange, now);
    check(exchange->stream != NULL);
    return true;
}

void h2_app_ask_again(struct h2_app *app, uint64_t now)
{
    for (uint32_t i = 0; i < app->exchange_count && h2_request_room(app->conn) > 0; i++) {
        struct h2_exchange *exchange = &app->exchanges[i];
        bool came_back = exchange->outcome == H2_OUTCOME_RESET && exchange->reset.unprocessed &&
                         !exchange->reset.conn_lost;
        if (!came_back)
            continue;
        exchange->outcome = H2_OUTCOME_OPEN;
        exchange->stream = h2_request(app->conn, exchange, now);
        check(exchange->stream != NULL);
    }
}

void h2_app_consume(struct h2_app *app, uint32_t percent)
{
    for (uint32_t i = 0; i < app->exchange_count; i++) {
        struct h2_exchange *exchange = &app->exchanges[i];
        uint32_t count = exchange->unconsumed_bytes;
        if (count == 0 || exchange->stream == NULL)
            continue;
        check(!exchange->parts_received);
        if (percent < 100)
            count = (uint32_t)((uint64_t)count * percent / 100);
        exchange->unconsumed_bytes -= count;
        h2_stream_consumed(exchange->stream, count);
    }
}

uint32_t h2_app_open_count(const struct h2_app *app)
{
    uint32_t open = 0;
    for (uint32_t i = 0; i < app->exchange_count; i++)
        open += app->exchanges[i].outcome == H2_OUTCOME_OPEN;
    return open;
}

void h2_app_release(struct h2_app *app)
{
    for (uint32_t i = 0; i < app->exchange_count; i++)
        drop_segment(&app->exchanges[i]);
}
