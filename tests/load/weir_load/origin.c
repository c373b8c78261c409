/*
 * origin: answers every request with 200 and the body its path asks for, and checks the request's
 * own body, when all of the request is there.
 *
 * and, if the options want it, fails at random instead: 503, RST_STREAM, or the end of the
 * connection.
 *
 *     size=N    bytes of the body
 *     delay=MS  the answer begins so much later
 *     pace=N    an event stream: N times a second another LOAD_EVENT_BYTES of the body
 */
#include "dataplane/base/check.h"
#include "dataplane/h2/h2_tcp.h"
#include "dataplane/tls/transport.h"
#include "tests/load/weir_load/message.h"

#define EXCHANGES_MAX 65536

/* Owner: origin->exchanges, until its stream ends. */
struct exchange {
    struct origin *origin;
    struct h2_stream *stream;
    struct timer next; /* the answer's beginning, or its next event */
    uint64_t delay_ns;
    uint64_t pace; /* events a second, 0: all at once */
    uint64_t began_at_ns;
    uint64_t received;
    uint64_t promised; /* content-length of the request, UINT64_MAX: none */
    uint64_t size;     /* of the answer's body */
    uint64_t sent;
    uint32_t seed;
    bool corrupt;
    bool failed; /* answers 503 */
    bool head_sent;
    bool ended;
};

static void go_on(struct timer *timer, void *context, uint64_t now)
{
    const struct exchange *exchange = context;
    h2_stream_ready(exchange->stream);
}

static void go_on_at(struct exchange *exchange, uint64_t at_ns)
{
    timer_arm(&exchange->origin->load->host.wheel, &exchange->next, at_ns);
}

static void over(struct exchange *exchange)
{
    struct origin *origin = exchange->origin;
    timer_cancel(&origin->load->host.wheel, &exchange->next);
    pool_give(&origin->exchanges, exchange);
}

static struct origin *origin_of(struct h2_stream *stream)
{
    return h2_conn_owner(h2_stream_conn(stream));
}

enum fate { FATE_ANSWER, FATE_STATUS, FATE_RESET, FATE_HANGUP };

static enum fate draw_fate(struct origin *origin)
{
    const struct load_failures *failures = &origin->load->options.failures;
    uint64_t dice = random_below(&origin->load->host.random, 10000);
    if (dice < failures->statuses)
        return FATE_STATUS;
    if (dice < failures->statuses + failures->resets)
        return FATE_RESET;
    return dice < failures->statuses + failures->resets + failures->hangups ? FATE_HANGUP
                                                                            : FATE_ANSWER;
}

/* The answer begins now, or when its delay is over. */
static void begin_answer(struct exchange *exchange, uint64_t now)
{
    if (exchange->delay_ns > 0)
        go_on_at(exchange, now + exchange->delay_ns);
    else
        h2_stream_ready(exchange->stream);
}

/* What becomes of a request that is there as a whole. */
static void decide(struct exchange *exchange, uint64_t now)
{
    struct origin *origin = exchange->origin;
    struct h2_stream *stream = exchange->stream;
    enum fate fate = draw_fate(origin);
    origin->failures += fate != FATE_ANSWER;
    switch (fate) {
    case FATE_STATUS:
        exchange->failed = true;
        exchange->size = exchange->pace = 0;
        begin_answer(exchange, now);
        return;
    case FATE_ANSWER:
        begin_answer(exchange, now);
        return;
    case FATE_RESET:
        origin->resets++;
        over(exchange);
        h2_stream_reset(stream, H2_INTERNAL_ERROR);
        return;
    case FATE_HANGUP:
        h2_close(h2_stream_conn(stream), H2_INTERNAL_ERROR, now);
        return;
    }
}

static void judge(struct origin *origin, struct h2_stream *stream, uint64_t now)
{
    struct exchange *exchange = h2_stream_owner(stream);
    bool short_of = exchange->promised != UINT64_MAX && exchange->received != exchange->promised;
    origin->requests++;
    origin->bytes_in += exchange->received;
    origin->corrupt += exchange->corrupt || short_of;
    decide(exchange, now);
}

/* What the path asks for, else what the options say. */
static uint64_t delay_of(struct origin *origin, struct bytes path)
{
    const struct load_options *options = &origin->load->options;
    uint64_t asked_ns = message_parameter(path, "delay=") * CLOCK_MS;
    uint64_t spread_us = options->spread_ns / CLOCK_US;
    if (asked_ns > 0 || options->delay_ns + spread_us == 0)
        return asked_ns;
    return options->delay_ns +
           random_below(&origin->load->host.random, (uint32_t)(spread_us + 1)) * CLOCK_US;
}

static void on_headers(void *owner, struct h2_stream *stream, const struct fields *fields,
                       enum h2_section section, bool last, uint64_t now)
{
    struct origin *origin = owner;
    struct bytes path = BYTES_NONE;
    struct bytes length;
    if (section == H2_SECTION_TRAILERS) {
        judge(origin, stream, now);
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
        .origin = origin,
        .stream = stream,
        .delay_ns = delay_of(origin, path),
        .pace = message_parameter(path, "pace="),
        .promised = has_length ? message_number(length) : UINT64_MAX,
        .size = message_parameter(path, "size="),
        .seed = body_seed(path),
    };
    timer_init(&exchange->next, go_on, exchange);
    h2_stream_set_owner(stream, exchange);
    if (last)
        judge(origin, stream, now);
}

static void on_data(struct h2_stream *stream, struct bytes bytes, bool last, uint64_t now)
{
    struct exchange *exchange = h2_stream_owner(stream);
    if (!body_matches(exchange->seed, exchange->received, bytes))
        exchange->corrupt = true;
    exchange->received += bytes.length;
    h2_stream_consumed(stream, (uint32_t)bytes.length);
    if (last)
        judge(origin_of(stream), stream, now);
}

/* How much may be sent at once: the rest, or of one event what is due. */
static uint64_t due_now(struct exchange *exchange, uint64_t now)
{
    uint64_t left = exchange->size - exchange->sent;
    if (exchange->pace == 0)
        return left;
    uint64_t event = exchange->sent / LOAD_EVENT_BYTES;
    uint64_t rest = LOAD_EVENT_BYTES - exchange->sent % LOAD_EVENT_BYTES;
    uint64_t due_at_ns = exchange->began_at_ns + event * CLOCK_S / exchange->pace;
    if (now < due_at_ns) {
        go_on_at(exchange, due_at_ns);
        return 0;
    }
    return rest < left ? rest : left;
}

static struct h2_supply send_body(struct exchange *exchange, uint32_t max, uint64_t now)
{
    struct origin *origin = exchange->origin;
    uint64_t due = max == 0 ? 0 : due_now(exchange, now);
    if (due == 0)
        return (struct h2_supply){.kind = H2_SUPPLY_NONE};
    struct chunk chunk = body_chunk(exchange->seed, exchange->sent, due, max);
    exchange->sent += chunk.length;
    exchange->ended = exchange->sent == exchange->size;
    origin->bytes_out += chunk.length;
    return (struct h2_supply){.kind = H2_SUPPLY_DATA, .chunk = chunk, .end = exchange->ended};
}

static struct h2_supply on_supply(struct h2_stream *stream, uint32_t max, uint64_t now)
{
    struct exchange *exchange = h2_stream_owner(stream);
    if (exchange->ended)
        return (struct h2_supply){.kind = H2_SUPPLY_NONE};
    if (exchange->head_sent)
        return send_body(exchange, max, now);
    exchange->head_sent = true;
    exchange->began_at_ns = now;
    exchange->ended = exchange->size == 0;
    if (!exchange->ended)
        h2_stream_ready(stream);
    return (struct h2_supply){.kind = H2_SUPPLY_HEADERS,
                              .fields = exchange->pace > 0
                                            ? message_events()
                                            : message_answer(exchange->size, exchange->failed),
                              .end = exchange->ended};
}

static void on_reset(struct h2_stream *stream, struct h2_reset reset, uint64_t now)
{
    struct origin *origin = origin_of(stream);
    if (h2_stream_owner(stream) == NULL)
        return;
    origin->resets++;
    over(h2_stream_owner(stream));
}

static void on_finished(struct h2_stream *stream, uint64_t now)
{
    struct origin *origin = origin_of(stream);
    origin->answers++;
    over(h2_stream_owner(stream));
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
