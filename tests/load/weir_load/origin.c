/*
 * origin: answers every request with 200 and the body its path asks for, and checks the request's
 * own body, when all of the request is there.
 */
#include "dataplane/base/check.h"
#include "dataplane/h2/h2_tcp.h"
#include "dataplane/tls/transport.h"
#include "tests/load/weir_load/message.h"

#define EXCHANGES_MAX 65536

/* Owner: origin->exchanges, until its stream ends. */
struct exchange {
    uint64_t received;
    uint64_t promised; /* content-length of the request, UINT64_MAX: none */
    uint64_t size;     /* of the answer's body */
    uint64_t sent;
    uint32_t seed;
    bool corrupt;
    bool head_sent;
    bool ended;
};

static void judge(struct origin *origin, struct h2_stream *stream)
{
    struct exchange *exchange = h2_stream_owner(stream);
    bool short_of = exchange->promised != UINT64_MAX && exchange->received != exchange->promised;
    origin->requests++;
    origin->bytes_in += exchange->received;
    origin->corrupt += exchange->corrupt || short_of;
    h2_stream_ready(stream);
}

static struct origin *origin_of(struct h2_stream *stream)
{
    return h2_conn_owner(h2_stream_conn(stream));
}

static void on_headers(void *owner, struct h2_stream *stream, const struct fields *fields,
                       enum h2_section section, bool last, uint64_t now)
{
    struct origin *origin = owner;
    struct bytes path = BYTES_NONE;
    struct bytes length;
    if (section == H2_SECTION_TRAILERS) {
        judge(origin, stream);
        return;
    }
    struct exchange *exchange = pool_take(&origin->exchanges);
    if (exchange == NULL) {
        origin->resets++;
        h2_stream_reset(stream, H2_REFUSED_STREAM);
        return;
    }
    (void)fields_find(fields, FIELD_PATH, &path);
    bool has_length = fields_find(fields, FIELD_CONTENT_LENGTH, &length);
    *exchange = (struct exchange){
        .promised = has_length ? message_number(length) : UINT64_MAX,
        .size = message_size(path),
        .seed = body_seed(path),
    };
    h2_stream_set_owner(stream, exchange);
    if (last)
        judge(origin, stream);
}

static void on_data(struct h2_stream *stream, struct bytes bytes, bool last, uint64_t now)
{
    struct exchange *exchange = h2_stream_owner(stream);
    if (!body_matches(exchange->seed, exchange->received, bytes))
        exchange->corrupt = true;
    exchange->received += bytes.length;
    h2_stream_consumed(stream, (uint32_t)bytes.length);
    if (last)
        judge(origin_of(stream), stream);
}

static struct h2_supply send_body(struct origin *origin, struct exchange *exchange, uint32_t max)
{
    uint64_t left = exchange->size - exchange->sent;
    if (max == 0 || left == 0)
        return (struct h2_supply){.kind = H2_SUPPLY_NONE};
    struct chunk chunk = body_chunk(exchange->seed, exchange->sent, left, max);
    exchange->sent += chunk.length;
    exchange->ended = chunk.length == left;
    origin->bytes_out += chunk.length;
    return (struct h2_supply){.kind = H2_SUPPLY_DATA, .chunk = chunk, .end = exchange->ended};
}

static struct h2_supply on_supply(struct h2_stream *stream, uint32_t max, uint64_t now)
{
    struct exchange *exchange = h2_stream_owner(stream);
    if (exchange->ended)
        return (struct h2_supply){.kind = H2_SUPPLY_NONE};
    if (exchange->head_sent)
        return send_body(origin_of(stream), exchange, max);
    exchange->head_sent = true;
    exchange->ended = exchange->size == 0;
    if (!exchange->ended)
        h2_stream_ready(stream);
    return (struct h2_supply){.kind = H2_SUPPLY_HEADERS,
                              .fields = message_answer(exchange->size),
                              .end = exchange->ended};
}

static void on_reset(struct h2_stream *stream, struct h2_reset reset, uint64_t now)
{
    struct origin *origin = origin_of(stream);
    if (h2_stream_owner(stream) == NULL)
        return;
    origin->resets++;
    pool_give(&origin->exchanges, h2_stream_owner(stream));
}

static void on_finished(struct h2_stream *stream, uint64_t now)
{
    struct origin *origin = origin_of(stream);
    origin->answers++;
    pool_give(&origin->exchanges, h2_stream_owner(stream));
}

static void on_available(void *owner, struct h2_conn *h2, uint64_t now)
{
    /* Client role only. */
}

static void on_closed(void *owner, struct h2_conn *h2, uint64_t now)
{
    /* The connection is known by its events only. */
}

static const struct h2_handler handler = {
    .headers = on_headers,
    .data = on_data,
    .supply = on_supply,
    .reset = on_reset,
    .finished = on_finished,
    .available = on_available,
    .closed = on_closed,
};

static void on_event(void *context, struct tcp_conn *tcp, uint32_t events, uint64_t now)
{
    h2_tcp_event(context, events, now);
}

static const struct tcp_app app = {.event = on_event};

static void on_accept(void *context, struct tcp_conn *tcp, uint32_t events, uint64_t now)
{
    struct origin *origin = context;
    if (events & TCP_FAILED) {
        tcp_abort(tcp);
        return;
    }
    struct h2_conn *h2 =
        h2_open(origin->load->host.h2, H2_SERVER, transport_tcp(tcp), &handler, origin, now);
    if (h2 == NULL)
        return;
    origin->connections++;
    tcp_set_app(tcp, &app, h2);
    h2_tcp_event(h2, events & ~(uint32_t)TCP_OPENED, now);
}

static const struct tcp_app accept_app = {.event = on_accept};

bool origin_init(struct origin *origin, struct load *load)
{
    const struct load_options *options = &load->options;
    bool none = options->role == LOAD_CLIENT;
    origin->load = load;
    if (!pool_init(&origin->exchanges, "load answers", POOL_LIFO, none ? 0 : EXCHANGES_MAX,
                   sizeof(struct exchange), -1))
        return false;
    for (uint32_t i = 0; !none && i < options->back_address_count; i++)
        if (!tcp_listen(load->host.tcp, &options->back_addresses[i].address,
                        (uint16_t)options->listen, &accept_app, origin))
            return false;
    return true;
}
