#include "dataplane/base/check.h"
#include "dataplane/base/memory.h"
#include "dataplane/base/pool.h"
#include "dataplane/h1/h1_tcp.h"
#include "dataplane/h2/h2_tcp.h"
#include "dataplane/tls/tls_target.h"
#include "dataplane/upstream/upstream.h"

/* A probe's request: five short fields, a path of PROBE_PATH_MAX and an authority. */
#define PROBE_AUTHORITY_MAX 255u /* a host name's bound; what is longer is cut */
#define PROBE_FIELD_BYTES   640u

enum probe_state {
    PROBE_CONNECTING, /* SYN sent */
    PROBE_SECURING,   /* TCP is up, the TLS handshake under way */
    PROBE_OPENING,    /* TCP is up, and TLS, HTTP/2's SETTINGS awaited */
    PROBE_ASKING,     /* the request is on its way, the answer awaited */
    PROBE_ENDING,     /* the result has been told; the timer is about to close the connection */
};

/* Owner: the prober's pool, from prober_start() to the end of the connection. */
struct probe {
    struct prober *prober;
    enum probe_state state;
    uint8_t kind;
    struct probe_result result;
    uint64_t started_at_ns;
    struct timer timer; /* time-out; ENDING: the next advance */
    struct tcp_conn *tcp;
    bool secure;                     /* never in clear text */
    const struct tls_target *target; /* held; NULL although secure: no memory for TLS at start */
    struct tls_session *tls;         /* from SECURING on */
    struct h2_conn *h2;              /* PROBE_HTTP2, while it lives */
    struct h1_conn *h1;              /* PROBE_HTTP1, likewise */
    struct fields request;
    uint8_t request_data[PROBE_FIELD_BYTES];
};

struct prober {
    struct prober_config config;
    struct pool probes;
};

struct prober *prober_create(const struct prober_config *config)
{
    struct prober *prober = memory_take("prober", sizeof(*prober), config->socket_id);
    if (prober == NULL)
        return NULL;
    prober->config = *config;
    if (!pool_init(&prober->probes, "probes", POOL_RESTING, config->probes_max,
                   sizeof(struct probe), config->socket_id))
        return NULL;
    return prober;
}

uint32_t prober_count(const struct prober *prober)
{
    return pool_used(&prober->probes);
}

static void give_back(struct probe *probe)
{
    timer_cancel(probe->prober->config.wheel, &probe->timer);
    tls_target_drop(probe->target);
    pool_give(&probe->prober->probes, probe);
}

/* Tell the result, once. Afterwards the probe is ENDING. */
static void conclude(struct probe *probe, enum probe_outcome outcome, uint64_t now)
{
    struct prober_config *config = &probe->prober->config;
    if (probe->state == PROBE_ENDING)
        return;
    probe->state = PROBE_ENDING;
    probe->result.outcome = (uint8_t)outcome;
    probe->result.took_ns = now - probe->started_at_ns;
    config->result(config->context, &probe->result);
}

/* --- both of HTTP --- */

/* The result is known inside a callback: the connection is closed after it, by the timer. */
static void conclude_inside(struct probe *probe, enum probe_outcome outcome, uint64_t now)
{
    conclude(probe, outcome, now);
    timer_arm(probe->prober->config.wheel, &probe->timer, now);
}

static void answered(struct probe *probe, const struct fields *fields, enum h2_section section,
                     uint64_t now)
{
    struct bytes status;
    if (section != H2_SECTION_HEADERS || probe->state == PROBE_ENDING)
        return;
    if (fields_find(fields, FIELD_STATUS, &status) && status.length == 3)
        probe->result.status = (uint16_t)((status.data[0] - '0') * 100 +
                                          (status.data[1] - '0') * 10 + (status.data[2] - '0'));
    bool good = probe->result.status >= 200 && probe->result.status <= 299;
    conclude_inside(probe, good ? PROBE_OK : PROBE_BAD_STATUS, now);
}

static struct h2_supply supply_request(const struct probe *probe)
{
    return (struct h2_supply){.kind = H2_SUPPLY_HEADERS, .end = true, .fields = &probe->request};
}

static void probe_over(struct probe *probe, uint64_t now)
{
    conclude(probe, PROBE_RESET, now);
    give_back(probe);
}

/* --- HTTP/2 --- */

static void probe_headers(void *owner, struct h2_stream *stream, const struct fields *fields,
                          enum h2_section section, bool end, uint64_t now)
{
    answered(owner, fields, section, now);
}

static void probe_data(struct h2_stream *stream, struct bytes bytes, bool end, uint64_t now)
{
    h2_stream_consumed(stream, (uint32_t)bytes.length);
}

static struct h2_supply probe_supply(struct h2_stream *stream, uint32_t max, uint64_t now)
{
    return supply_request(h2_stream_owner(stream));
}

static void probe_reset(struct h2_stream *stream, struct h2_reset reset, uint64_t now)
{
    conclude_inside(h2_stream_owner(stream), PROBE_RESET, now);
}

static void probe_finished(struct h2_stream *stream, uint64_t now)
{
}

static void probe_available(void *owner, struct h2_conn *conn, uint64_t now)
{
    struct probe *probe = owner;
    if (probe->state != PROBE_OPENING)
        return;
    struct h2_stream *stream = h2_is_open(conn) ? h2_request(conn, probe, now) : NULL;
    if (stream == NULL) {
        conclude_inside(probe, h2_is_open(conn) ? PROBE_NO_ROOM : PROBE_RESET, now);
        return;
    }
    probe->state = PROBE_ASKING;
    h2_stream_ready(stream);
}

static void probe_closed(void *owner, struct h2_conn *conn, uint64_t now)
{
    probe_over(owner, now);
}

static const struct h2_handler probe_handler = {
    .headers = probe_headers,
    .data = probe_data,
    .supply = probe_supply,
    .reset = probe_reset,
    .finished = probe_finished,
    .available = probe_available,
    .closed = probe_closed,
};

/* --- HTTP/1.1 --- */

static void probe1_headers(struct h1_conn *conn, const struct fields *fields,
                           enum h2_section section, bool end, uint64_t now)
{
    answered(h1_conn_owner(conn), fields, section, now);
    if (fields->overflow)
        h1_cancel(conn, now);
}

/* The answer's beginning was enough. */
static void probe1_data(struct h1_conn *conn, struct bytes bytes, bool end, uint64_t now)
{
}

static struct h2_supply probe1_supply(struct h1_conn *conn, uint32_t max, uint64_t now)
{
    return supply_request(h1_conn_owner(conn));
}

static void probe1_reset(struct h1_conn *conn, struct h2_reset reset, uint64_t now)
{
    conclude_inside(h1_conn_owner(conn), PROBE_RESET, now);
}

static void probe1_finished(struct h1_conn *conn, uint64_t now)
{
}

/* It takes no other request, which there is not. */
static void probe1_available(struct h1_conn *conn, uint64_t now)
{
    conclude_inside(h1_conn_owner(conn), PROBE_RESET, now);
}

static void probe1_closed(struct h1_conn *conn, uint64_t now)
{
    probe_over(h1_conn_owner(conn), now);
}

static const struct h1_handler probe1_handler = {
    .headers = probe1_headers,
    .data = probe1_data,
    .supply = probe1_supply,
    .reset = probe1_reset,
    .finished = probe1_finished,
    .available = probe1_available,
    .closed = probe1_closed,
};

/* --- TCP and TLS --- */

/* Nothing is spoken on the connection: it goes without a word. */
static void hang_up(struct probe *probe)
{
    if (probe->tls != NULL)
        tls_session_abort(probe->tls);
    else
        tcp_abort(probe->tcp);
    give_back(probe);
}

/* Speak what ALPN has found, or in clear text what was ordered. False: no room. */
static bool open_http(struct probe *probe, struct transport transport, uint64_t now)
{
    struct prober_config *config = &probe->prober->config;
    bool http2 = probe->tls != NULL ? tls_session_protocol(probe->tls) == TLS_PROTOCOL_H2
                                    : probe->kind == PROBE_HTTP2;
    if (http2) {
        probe->state = PROBE_OPENING;
        probe->h2 = h2_open(config->h2, H2_CLIENT, transport, &probe_handler, probe, now);
        return probe->h2 != NULL;
    }
    probe->state = PROBE_ASKING;
    probe->h1 = h1_open(config->h1, transport, &probe1_handler, probe);
    if (probe->h1 == NULL)
        return false;
    (void)h1_request(probe->h1, now);
    h1_ready(probe->h1);
    return true;
}

static void probe_established(struct probe *probe, struct transport transport, uint64_t now)
{
    if (probe->kind == PROBE_TCP) {
        conclude(probe, PROBE_OK, now);
        transport.ops->close(transport.stream);
        give_back(probe);
        return;
    }
    if (open_http(probe, transport, now))
        return;
    conclude(probe, PROBE_NO_ROOM, now);
    give_back(probe);
}

/* PROBE may be given back by it. */
static void tell_http(struct probe *probe, uint32_t events, uint64_t now)
{
    if (probe->h2 != NULL)
        h2_tcp_event(probe->h2, events, now);
    else if (probe->h1 != NULL)
        h1_tcp_event(probe->h1, events, now);
}

static void probe_failed(struct probe *probe, uint64_t now)
{
    if (probe->h2 != NULL || probe->h1 != NULL) {
        tell_http(probe, TCP_FAILED, now);
        return;
    }
    conclude(probe, probe->state == PROBE_SECURING ? PROBE_TLS_FAILED : PROBE_CONNECT_FAILED, now);
    hang_up(probe);
}

/* What is above TCP, or TLS. TRANSPORT: of TCP_OPENED. */
static void take_events(struct probe *probe, struct transport transport, uint32_t events,
                        uint64_t now)
{
    struct pool *probes = &probe->prober->probes;
    handle self = pool_handle(probes, probe); /* its slot may be free after each call into HTTP */
    if ((events & TCP_FAILED) != 0) {
        probe_failed(probe, now);
        return;
    }
    if ((events & TCP_OPENED) != 0)
        probe_established(probe, transport, now);
    if (pool_get(probes, self) != NULL)
        tell_http(probe, events, now);
}

static void secure_event(void *app, struct tls_session *session, uint32_t events, uint64_t now)
{
    take_events(app, transport_tls(session), events, now);
}

/* EVENTS came with TCP's being up. */
static void probe_secure(struct probe *probe, uint32_t events, uint64_t now)
{
    static const struct tls_app secure_app = {secure_event};
    if (probe->target == NULL) {
        conclude(probe, PROBE_NO_ROOM, now);
        hang_up(probe);
        return;
    }
    probe->state = PROBE_SECURING;
    probe->tls =
        tls_connect(probe->prober->config.tls, probe->target, probe->tcp, &secure_app, probe, now);
    if (probe->tls != NULL) {
        tls_session_events(probe->tls, events & ~(uint32_t)TCP_OPENED, now);
        return;
    }
    conclude(probe, PROBE_NO_ROOM, now);
    give_back(probe);
}

static void probe_event(void *app, struct tcp_conn *tcp, uint32_t events, uint64_t now)
{
    struct probe *probe = app;
    if (probe->secure && (events & (TCP_OPENED | TCP_FAILED)) == TCP_OPENED)
        probe_secure(probe, events, now);
    else
        take_events(probe, transport_tcp(tcp), events, now);
}

static const struct tcp_app probe_app = {probe_event};

/* Time is up, or the result is told: let go of the connection. */
static void probe_fired(struct timer *timer, void *context, uint64_t now)
{
    struct probe *probe = context;
    conclude(probe, PROBE_TIMEOUT, now);
    if (probe->h2 != NULL) {
        h2_close(probe->h2, H2_NO_ERROR, now); /* ends in probe_over() */
        return;
    }
    if (probe->h1 != NULL) {
        h1_close(probe->h1, now); /* likewise */
        return;
    }
    hang_up(probe);
}

/* --- starting --- */

static const struct snapshot_backend *find_backend(const struct snapshot *snapshot,
                                                   const struct probe_order *order)
{
    for (uint32_t i = 0; i < snapshot->backend_count; i++) {
        const struct snapshot_backend *backend = &snapshot->backends[i];
        if (backend->slot == order->slot && backend->generation == order->generation)
            return backend;
    }
    return NULL;
}

/* What the probe asks: GET path. The authority is the service's, else the backend's name. */
static void write_request(struct probe *probe, const struct snapshot *snapshot,
                          const struct snapshot_backend *backend, const char *path)
{
    struct bytes authority = snapshot->services[backend->service].authority;
    if (authority.length == 0)
        authority = backend->name;
    fields_init(&probe->request, probe->request_data, sizeof(probe->request_data));
    fields_add_token(&probe->request, FIELD_METHOD, bytes_text("GET"));
    fields_add_token(&probe->request, FIELD_SCHEME, bytes_text(backend->tls ? "https" : "http"));
    fields_add_token(&probe->request, FIELD_AUTHORITY, bytes_first(authority, PROBE_AUTHORITY_MAX));
    fields_add_token(&probe->request, FIELD_PATH, bytes_of(path, strnlen(path, PROBE_PATH_MAX)));
    fields_add_token(&probe->request, FIELD_USER_AGENT, bytes_text("weir-probe"));
    check(!probe->request.overflow);
}

/* False: no connection to be had; the probe has been given back. */
static bool probe_connect(struct probe *probe, const struct snapshot_backend *backend,
                          uint64_t timeout_ns, uint64_t now)
{
    struct prober_config *config = &probe->prober->config;
    timer_init(&probe->timer, probe_fired, probe);
    probe->tcp = tcp_connect(config->tcp, &backend->address, backend->port, &probe_app, probe, now);
    if (probe->tcp == NULL) {
        give_back(probe);
        return false;
    }
    timer_arm(config->wheel, &probe->timer, now + timeout_ns);
    return true;
}

void prober_start(struct prober *prober, const struct snapshot *snapshot,
                  const struct probe_order *order, uint64_t now)
{
    const struct snapshot_backend *backend = find_backend(snapshot, order);
    struct probe *probe = backend != NULL ? pool_take(&prober->probes) : NULL;
    struct probe_result result = {
        .slot = order->slot, .generation = order->generation, .outcome = PROBE_NO_ROOM};
    if (probe == NULL) {
        prober->config.result(prober->config.context, &result);
        return;
    }
    *probe = (struct probe){.prober = prober,
                            .state = PROBE_CONNECTING,
                            .kind = order->kind,
                            .result = result,
                            .started_at_ns = now,
                            .secure = backend->tls};
    if (backend->tls && prober->config.tls != NULL)
        probe->target = tls_target_hold(
            tls_contexts_target(snapshot->tls, backend->tls_target, prober->config.self));
    write_request(probe, snapshot, backend, order->path);
    if (!probe_connect(probe, backend, order->timeout_ns, now))
        prober->config.result(prober->config.context, &result);
}
