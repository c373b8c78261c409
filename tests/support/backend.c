#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/support/backend_http1.h"
#include "tests/support/backend_tls.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the log ---- */

void backend_log_open(struct backend_log *log)
{
    log->seen = calloc(BACKEND_LOG_MAX, sizeof(*log->seen));
    log->count = 0;
    check(log->seen != NULL);
}

void backend_log_close(struct backend_log *log)
{
    free(log->seen);
    log->seen = NULL;
}

uint32_t backend_log_count(const struct backend_log *log, const char *path)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < log->count; i++)
        count += path == NULL || strcmp(log->seen[i].path, path) == 0;
    return count;
}

/* ---- exchanges ---- */

static struct backend_exchange *exchange_of(struct h2_stream *stream)
{
    struct backend_exchange *exchange = h2_stream_owner(stream);
    check(exchange != NULL && exchange->stream == stream);
    return exchange;
}

static struct timer_wheel *wheel_of(struct backend *backend)
{
    return &backend->host.base.base.wheel;
}

void backend_exchange_give(struct backend_exchange *exchange, uint64_t now)
{
    exchange->seen->over_at_ns = now;
    timer_cancel(wheel_of(exchange->conn->backend), &exchange->timer);
    pattern_release(&exchange->source);
    exchange->conn = NULL;
}

static void hurt(struct backend_seen *seen, uint64_t now)
{
    if (seen->hurt_at_ns == 0)
        seen->hurt_at_ns = now;
}

static void hurt_all_of(const struct backend_conn *conn, uint64_t now)
{
    const struct backend *backend = conn->backend;
    for (uint32_t i = 0; i < BACKEND_EXCHANGES_MAX; i++)
        if (backend->exchanges[i].conn == conn)
            hurt(backend->exchanges[i].seen, now);
}

/* The head is due, or the next chunk. */
static void timer_fired(struct timer *timer, void *context, uint64_t now)
{
    struct backend_exchange *exchange = context;
    const struct backend_plan *plan = &exchange->plan;
    if (!exchange->head_due)
        exchange->head_due = true;
    else
        exchange->allowed += plan->chunk_bytes;
    if (plan->chunk_bytes != 0 && exchange->allowed < exchange->source.total)
        timer_arm(wheel_of(exchange->conn->backend), timer, now + plan->chunk_every_ns);
    if (exchange->stream != NULL)
        h2_stream_ready(exchange->stream);
}

static struct backend_exchange *take(struct backend_conn *conn, struct h2_stream *stream)
{
    struct backend_exchange *exchange = conn->backend->exchanges;
    while (exchange->conn != NULL)
        check(++exchange < conn->backend->exchanges + BACKEND_EXCHANGES_MAX);
    *exchange = (struct backend_exchange){.conn = conn, .stream = stream};
    timer_init(&exchange->timer, timer_fired, exchange);
    if (stream != NULL)
        h2_stream_set_owner(stream, exchange);
    return exchange;
}

static void copy_field(const struct fields *fields, enum field_token token, char *out, size_t room)
{
    struct bytes value = BYTES_NONE;
    out[0] = 0;
    if (!fields_find(fields, token, &value))
        return;
    check(value.length < room);
    memcpy(out, value.data, value.length);
    out[value.length] = 0;
}

static struct backend_seen *log_request(struct backend *backend, const struct fields *fields,
                                        uint64_t now)
{
    struct backend_log *log = backend->log;
    check(log->count < BACKEND_LOG_MAX && !fields->overflow);
    struct backend_seen *seen = &log->seen[log->count++];
    *seen = (struct backend_seen){.backend = backend, .serial = log->count, .at_ns = now};
    copy_field(fields, FIELD_METHOD, seen->method, sizeof(seen->method));
    copy_field(fields, FIELD_PATH, seen->path, sizeof(seen->path));
    copy_field(fields, FIELD_AUTHORIZATION, seen->authorization, sizeof(seen->authorization));
    copy_field(fields, FIELD_REFERER, seen->referer, sizeof(seen->referer));
    copy_field(fields, FIELD_VIA, seen->via, sizeof(seen->via));
    copy_field(fields, FIELD_X_FORWARDED_FOR, seen->forwarded_for, sizeof(seen->forwarded_for));
    backend->requests++;
    return seen;
}

uint64_t backend_size_of(const char *path)
{
    const char *at = strstr(path, "size=");
    return at != NULL ? strtoull(at + 5, NULL, 10) : 0;
}

/* From now on the answer may begin. */
static void schedule(struct backend_exchange *exchange, uint64_t now)
{
    timer_arm(wheel_of(exchange->conn->backend), &exchange->timer,
              now + exchange->plan.head_after_ns);
    if (exchange->plan.head_after_ns == 0)
        timer_fired(&exchange->timer, exchange, now);
}

static void request_ended(struct backend_exchange *exchange, uint64_t now)
{
    exchange->seen->whole = true;
    if (!exchange->plan.early)
        schedule(exchange, now);
}

/* What is planned, as far as this connection has it. */
static struct backend_plan plan_of(const struct backend_conn *conn, const struct backend_seen *seen)
{
    const struct backend *backend = conn->backend;
    struct backend_plan plan =
        backend->choose != NULL ? backend->choose(backend->choose_context, seen) : backend->plan;
    plan.until_close &= conn->http1 != NULL && conn->session != NULL;
    plan.no_length |= plan.until_close;
    return plan;
}

struct backend_exchange *backend_exchange_begin(struct backend_conn *conn, struct h2_stream *stream,
                                                const struct fields *fields, bool end, uint64_t now)
{
    struct backend *backend = conn->backend;
    struct backend_exchange *exchange = take(conn, stream);
    struct backend_seen *seen = log_request(backend, fields, now);
    exchange->seen = seen;
    exchange->plan = plan_of(conn, seen);
    exchange->is_head = strcmp(seen->method, "HEAD") == 0;
    exchange->source = (struct pattern_source){
        .seed = pattern_seed(bytes_text(seen->path), seen->serial),
        .total = backend_size_of(seen->path),
        .pool = &backend->host.bodies,
    };
    exchange->allowed = exchange->plan.chunk_bytes == 0 ? exchange->source.total : 0;
    if (exchange->plan.early)
        schedule(exchange, now);
    if (end)
        request_ended(exchange, now);
    return exchange;
}

void backend_exchange_trailers(struct backend_exchange *exchange, uint64_t now)
{
    exchange->seen->trailers = true;
    request_ended(exchange, now);
}

static void on_headers(void *owner, struct h2_stream *stream, const struct fields *fields,
                       enum h2_section section, bool end, uint64_t now)
{
    if (section == H2_SECTION_HEADERS) {
        backend_exchange_begin(owner, stream, fields, end, now);
        return;
    }
    backend_exchange_trailers(exchange_of(stream), now);
}

void backend_exchange_data(struct backend_exchange *exchange, struct bytes bytes, bool end,
                           uint64_t now)
{
    struct backend_seen *seen = exchange->seen;
    if (!pattern_matches(pattern_seed(bytes_text(seen->path), 0), seen->body_bytes, bytes))
        seen->corrupt = true;
    seen->body_bytes += bytes.length;
    if (end)
        request_ended(exchange, now);
}

static void on_data(struct h2_stream *stream, struct bytes bytes, bool end, uint64_t now)
{
    h2_stream_consumed(stream, (uint32_t)bytes.length);
    backend_exchange_data(exchange_of(stream), bytes, end, now);
}

static void on_reset(struct h2_stream *stream, struct h2_reset reset, uint64_t now)
{
    backend_exchange_give(exchange_of(stream), now);
}

static void on_finished(struct h2_stream *stream, uint64_t now)
{
    struct backend_exchange *exchange = exchange_of(stream);
    check(exchange->ended);
    backend_exchange_give(exchange, now);
}

/* ---- the answer ---- */

static const struct h2_supply nothing = {.kind = H2_SUPPLY_NONE};

static void add(struct fields *fields, const char *name, const char *value)
{
    struct field field = {.name = bytes_text(name), .value = bytes_text(value)};
    field.token = field_token_of(field.name);
    fields_add(fields, field);
}

static void add_number(struct fields *fields, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, value);
    add(fields, name, text);
}

static struct fields *section(void)
{
    static _Thread_local uint8_t room[8192];
    static _Thread_local struct fields fields;
    fields_init(&fields, room, sizeof(room));
    return &fields;
}

static struct h2_supply interim(struct backend_exchange *exchange)
{
    struct fields *fields = section();
    add(fields, ":status", "103");
    exchange->interim_sent = true;
    return (struct h2_supply){.kind = H2_SUPPLY_INTERIM, .fields = fields};
}

static struct h2_supply head(struct backend_exchange *exchange, uint64_t now)
{
    const struct backend_plan *plan = &exchange->plan;
    struct fields *fields = section();
    add_number(fields, ":status", plan->status != 0 ? plan->status : 200);
    if (!plan->no_length)
        add_number(fields, "content-length", exchange->source.total);
    add_number(fields, "x-serial", exchange->seen->serial);
    add(fields, "x-backend", exchange->conn->backend->name);
    if (plan->name != NULL)
        add(fields, plan->name, plan->value);
    if (plan->new_keys && exchange->conn->session != NULL)
        backend_tls_update_keys(exchange->conn);
    check(!fields->overflow);
    exchange->head_sent = exchange->seen->head_sent = true;
    exchange->seen->head_at_ns = now;
    bool empty = exchange->is_head || exchange->source.total == 0;
    exchange->ended = empty && (exchange->is_head || !plan->trailers) && !plan->act_late;
    exchange->seen->answered = exchange->ended;
    return (struct h2_supply){.kind = H2_SUPPLY_HEADERS, .fields = fields, .end = exchange->ended};
}

static struct h2_supply trailers(struct backend_exchange *exchange)
{
    struct fields *fields = section();
    if (exchange->plan.cookie_trailers)
        add(fields, "set-cookie", "a=b");
    else
        add_number(fields, "x-serial", exchange->seen->serial);
    exchange->ended = exchange->seen->answered = true;
    return (struct h2_supply){.kind = H2_SUPPLY_TRAILERS, .fields = fields, .end = true};
}

static struct h2_supply body(struct backend_exchange *exchange, uint32_t max)
{
    struct pattern_source *source = &exchange->source;
    uint64_t until = exchange->allowed < source->total ? exchange->allowed : source->total;
    if (exchange->plan.act_late && exchange->plan.act_after_bytes < until)
        until = exchange->plan.act_after_bytes;
    uint64_t left = until - source->position;
    struct chunk chunk = pattern_next(source, left < max ? (uint32_t)left : max);
    bool all = source->position == source->total;
    if (chunk.length == 0)
        return all && exchange->plan.trailers ? trailers(exchange) : nothing;
    exchange->seen->sent_bytes = source->position;
    exchange->ended = all && !exchange->plan.trailers && !exchange->plan.act_late;
    exchange->seen->answered = exchange->ended;
    return (struct h2_supply){.kind = H2_SUPPLY_DATA, .chunk = chunk, .end = exchange->ended};
}

static struct h2_supply reset(struct backend_exchange *exchange, enum h2_error code, uint64_t now)
{
    backend_exchange_give(exchange, now);
    return (struct h2_supply){.kind = H2_SUPPLY_RESET, .code = code};
}

static struct h2_supply act(struct backend_exchange *exchange, uint64_t now)
{
    enum backend_act what = exchange->plan.act;
    exchange->ended = true;
    hurt(exchange->seen, now);
    switch (what) {
    case BACKEND_RESETS:
        return reset(exchange, H2_INTERNAL_ERROR, now);
    case BACKEND_REFUSES:
        return reset(exchange, H2_REFUSED_STREAM, now);
    case BACKEND_SENDS_LESS:
        exchange->seen->answered = exchange->source.position == exchange->source.total;
        return (struct h2_supply){.kind = H2_SUPPLY_DATA, .end = true};
    case BACKEND_CLOSES:
    case BACKEND_ABORTS:
    case BACKEND_CUTS:
    case BACKEND_RENEGOTIATES:
        exchange->conn->act = what;
        return nothing;
    case BACKEND_SHUTS_DOWN: /* and answers: see acts_instead() */
    case BACKEND_ANSWERS:
    case BACKEND_HANGS:
        break;
    }
    return nothing;
}

static bool acts_now(const struct backend_exchange *exchange)
{
    const struct backend_plan *plan = &exchange->plan;
    if (plan->act == BACKEND_ANSWERS || plan->act == BACKEND_SHUTS_DOWN)
        return false;
    if (!plan->act_late)
        return !exchange->head_sent;
    return exchange->head_sent && exchange->source.position >= plan->act_after_bytes;
}

struct h2_supply backend_exchange_supply(struct backend_exchange *exchange, uint32_t max,
                                         uint64_t now)
{
    if (exchange->ended || !exchange->head_due)
        return nothing;
    if (acts_now(exchange))
        return act(exchange, now);
    if (exchange->plan.act == BACKEND_SHUTS_DOWN && !exchange->head_sent)
        exchange->conn->act = BACKEND_SHUTS_DOWN;
    if (exchange->plan.interim && !exchange->interim_sent)
        return interim(exchange);
    return exchange->head_sent ? body(exchange, max) : head(exchange, now);
}

static struct h2_supply on_supply(struct h2_stream *stream, uint32_t max, uint64_t now)
{
    return backend_exchange_supply(exchange_of(stream), max, now);
}

/* ---- connections ---- */

static void on_available(void *owner, struct h2_conn *h2, uint64_t now)
{
    check(!"a server is not told of room");
}

static void on_closed(void *owner, struct h2_conn *h2, uint64_t now)
{
    struct backend_conn *conn = owner;
    conn->h2 = NULL;
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

void backend_conn_event(struct backend_conn *conn, uint32_t events, uint64_t now)
{
    if (conn->http1 != NULL)
        backend_http1_event(conn->http1, events);
    else
        h2_tcp_event(conn->h2, events, now);
}

static void on_event(void *context, struct tcp_conn *tcp, uint32_t events, uint64_t now)
{
    backend_conn_event(context, events, now);
}

static const struct tcp_app app = {.event = on_event};

static bool is_free(const struct backend_conn *conn)
{
    return conn->h2 == NULL && conn->http1 == NULL;
}

static struct backend_conn *open_conn(struct backend *backend, struct transport transport,
                                      uint64_t now)
{
    struct backend_conn *conn = backend->conns;
    while (!is_free(conn))
        check(++conn < backend->conns + BACKEND_CONNS_MAX);
    *conn = (struct backend_conn){.backend = backend};
    backend->accepted++;
    if (backend->speaks_http1)
        conn->http1 = backend_http1_open(conn, transport);
    else
        conn->h2 = h2_open(backend->host.h2, H2_SERVER, transport, &handler, conn, now);
    check(!is_free(conn));
    return conn;
}

void backend_conn_open(struct backend *backend, struct transport transport,
                       struct tls_session *session, uint32_t events, uint64_t now)
{
    struct backend_conn *conn = open_conn(backend, transport, now);
    conn->session = session;
    tls_set_app(session, &backend_tls_app, conn);
    if (events != 0)
        backend_conn_event(conn, events, now);
}

static void on_accept(void *context, struct tcp_conn *tcp, uint32_t events, uint64_t now)
{
    struct backend *backend = context;
    if (events & TCP_FAILED) {
        tcp_abort(tcp);
        return;
    }
    if (backend->profile != NULL) {
        backend_tls_accept(backend, tcp, events, now);
        return;
    }
    struct backend_conn *conn = open_conn(backend, transport_tcp(tcp), now);
    tcp_set_app(tcp, &app, conn);
    if ((events & ~(uint32_t)TCP_OPENED) != 0)
        backend_conn_event(conn, events, now);
}

static const struct tcp_app accept_app = {.event = on_accept};

uint32_t backend_conn_count(const struct backend *backend)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < BACKEND_CONNS_MAX; i++)
        count += !is_free(&backend->conns[i]);
    return count;
}

static void end_conn(struct backend_conn *conn, uint64_t now)
{
    if (conn->http1 != NULL)
        backend_http1_end(conn->http1, true, now);
    else
        h2_transport_ended(conn->h2, true, now);
}

static void close_conn(struct backend_conn *conn, uint64_t now)
{
    if (conn->http1 != NULL)
        backend_http1_end(conn->http1, false, now);
    else
        h2_close(conn->h2, H2_INTERNAL_ERROR, now);
}

static void cut_conn(struct backend_conn *conn, uint64_t now)
{
    const struct backend *backend = conn->backend;
    for (uint32_t i = 0; i < BACKEND_EXCHANGES_MAX; i++)
        if (backend->exchanges[i].conn == conn)
            backend->exchanges[i].seen->cut = !backend->exchanges[i].seen->answered;
    backend_tls_cut(conn);
    end_conn(conn, now);
}

static void carry_out(struct backend_conn *conn, uint64_t now)
{
    enum backend_act what = conn->act;
    conn->act = BACKEND_ANSWERS;
    if (what != BACKEND_SHUTS_DOWN)
        hurt_all_of(conn, now);
    switch (what) {
    case BACKEND_SHUTS_DOWN:
        h2_shutdown(conn->h2, now);
        break;
    case BACKEND_CUTS:
        if (conn->session != NULL)
            cut_conn(conn, now);
        else
            close_conn(conn, now);
        break;
    case BACKEND_CLOSES:
        close_conn(conn, now);
        break;
    case BACKEND_RENEGOTIATES:
        if (conn->session == NULL || !backend_tls_renegotiate(conn))
            end_conn(conn, now);
        break;
    case BACKEND_ABORTS:
        end_conn(conn, now);
        break;
    case BACKEND_ANSWERS: /* what the connection has nothing to do with */
    case BACKEND_HANGS:
    case BACKEND_RESETS:
    case BACKEND_REFUSES:
    case BACKEND_SENDS_LESS:
        break;
    }
}

void backend_turn(struct backend *backend, uint64_t now)
{
    for (uint32_t i = 0; i < BACKEND_EXCHANGES_MAX; i++)
        if (backend->exchanges[i].conn != NULL && backend->exchanges[i].stream != NULL &&
            backend->exchanges[i].source.starved)
            h2_stream_ready(backend->exchanges[i].stream);
    for (uint32_t i = 0; i < BACKEND_CONNS_MAX; i++)
        if (backend->conns[i].http1 != NULL)
            backend_http1_turn(backend->conns[i].http1, now);
    h2_host_turn(&backend->host, now);
    for (uint32_t i = 0; i < BACKEND_CONNS_MAX; i++)
        if (!is_free(&backend->conns[i]) && backend->conns[i].act != BACKEND_ANSWERS)
            carry_out(&backend->conns[i], now);
}

/* ---- states ---- */

static void listen_all(struct backend *backend, bool on)
{
    const char *texts[] = {backend->v4, backend->v6};
    struct tcp *tcp = backend->host.base.tcp;
    for (size_t i = 0; i < array_count(texts); i++) {
        struct ip_address address;
        check(ip_address_parse(texts[i], &address));
        if (on)
            check(tcp_listen(tcp, &address, backend->port, &accept_app, backend));
        else
            tcp_unlisten(tcp, &address, backend->port);
    }
}

static void apply_faults(struct backend *backend)
{
    struct wire *wire = backend->host.base.base.wire;
    struct wire_faults faults = backend->faults;
    faults.cut |= backend->state == BACKEND_DEAD;
    wire_set_faults(wire, 0, backend->end, &faults);
    wire_set_faults(wire, backend->end, 0, &faults);
}

void backend_set_faults(struct backend *backend, const struct wire_faults *faults)
{
    backend->faults = *faults;
    apply_faults(backend);
}

void backend_up(struct backend *backend)
{
    if (backend->state != BACKEND_UP)
        listen_all(backend, true);
    backend->state = BACKEND_UP;
    apply_faults(backend);
}

void backend_refuse(struct backend *backend)
{
    check(backend->state == BACKEND_UP);
    listen_all(backend, false);
    backend->state = BACKEND_REFUSING;
}

/* Handshakes end when they are done. */
static void abort_all(struct backend *backend, uint64_t now)
{
    backend->life++;
    for (uint32_t i = 0; i < BACKEND_CONNS_MAX; i++) {
        if (is_free(&backend->conns[i]))
            continue;
        hurt_all_of(&backend->conns[i], now);
        end_conn(&backend->conns[i], now);
    }
}

void backend_crash(struct backend *backend, uint64_t now)
{
    if (backend->state == BACKEND_UP)
        backend_refuse(backend);
    abort_all(backend, now);
}

void backend_die(struct backend *backend, uint64_t now)
{
    if (backend->state == BACKEND_UP)
        listen_all(backend, false);
    backend->state = BACKEND_DEAD;
    apply_faults(backend);
    abort_all(backend, now);
}

/* ---- life ---- */

static void without_length(char *out, size_t room, const char *prefix)
{
    snprintf(out, room, "%.*s", (int)strcspn(prefix, "/"), prefix);
}

void backend_prepare(struct backend *backend, struct wire *wire, uint16_t end, const char *name,
                     const char *v4, const char *v6)
{
    memset(backend, 0, sizeof(*backend));
    h2_host_prepare(&backend->host, wire, end, v4, v6);
    snprintf(backend->name, sizeof(backend->name), "%s", name);
    without_length(backend->v4, sizeof(backend->v4), v4);
    without_length(backend->v6, sizeof(backend->v6), v6);
    backend->end = end;
}

void backend_open(struct backend *backend, uint16_t port, struct backend_log *log)
{
    h2_host_open(&backend->host);
    backend->port = port;
    backend->log = log;
    backend->exchanges = calloc(BACKEND_EXCHANGES_MAX, sizeof(*backend->exchanges));
    check(backend->exchanges != NULL);
    listen_all(backend, true);
}

void backend_destroy(struct backend *backend)
{
    for (uint32_t i = 0; i < BACKEND_CONNS_MAX; i++)
        free(backend->conns[i].http1);
    free(backend->exchanges);
    backend->exchanges = NULL;
}
