#include "tests/support/client.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/tls/tls_private.h"

#include <stdlib.h>

static struct client_request *request_of(struct h2_stream *stream)
{
    struct client_request *request = h2_stream_owner(stream);
    check(request != NULL && request->outcome == CLIENT_OPEN && request->stream == stream);
    return request;
}

/* The one place where a request ends. */
static void end(struct client_request *request, enum client_outcome outcome, uint64_t now)
{
    check(request->outcome == CLIENT_OPEN && outcome != CLIENT_OPEN);
    pattern_release(&request->source);
    list_remove(&request->link);
    request->stream = NULL;
    request->outcome = outcome;
    request->ended_at_ns = now;
}

/* ---- what comes ---- */

static void copy_text(char *out, size_t room, struct bytes text)
{
    struct bytes some = bytes_first(text, room - 1);
    memcpy(out, some.data, some.length);
    out[some.length] = 0;
}

static uint64_t number(struct bytes text)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.length; i++)
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    return value;
}

static void take_head(struct client_request *request, const struct fields *fields)
{
    uint32_t at = 0;
    struct field field;
    check(request->status == 0);
    while (fields_next(fields, &at, &field)) {
        if (field.token == FIELD_STATUS)
            request->status = (uint16_t)number(field.value);
        else if (field.token == FIELD_CACHE_STATUS)
            copy_text(request->cache_status, sizeof(request->cache_status), field.value);
        else if (field.token == FIELD_RETRY_AFTER)
            request->has_retry_after = true;
        else if (field.token == FIELD_CONTENT_LENGTH)
            request->length = number(field.value), request->has_length = true;
        else if (bytes_equal_text(field.name, "x-serial"))
            request->serial = number(field.value);
        else if (bytes_equal_text(field.name, "x-backend"))
            copy_text(request->backend, sizeof(request->backend), field.value);
    }
    check(request->status >= 200);
}

static void take_trailers(struct client_request *request, const struct fields *fields)
{
    uint32_t at = 0;
    struct field field;
    check(request->status != 0 && !request->trailers);
    request->trailers = true;
    while (fields_next(fields, &at, &field))
        if (bytes_equal_text(field.name, "x-serial") && number(field.value) != request->serial)
            request->corrupt = true;
}

static void on_headers(void *owner, struct h2_stream *stream, const struct fields *fields,
                       enum h2_section section, bool last, uint64_t now)
{
    struct client_request *request = request_of(stream);
    check(!request->complete && !fields->overflow);
    switch (section) {
    case H2_SECTION_INTERIM:
        request->interims++;
        break;
    case H2_SECTION_HEADERS:
        take_head(request, fields);
        break;
    case H2_SECTION_TRAILERS:
        take_trailers(request, fields);
        break;
    }
    request->complete = last;
}

static void verify(struct client_request *request, struct bytes bytes)
{
    if (request->serial == 0) {
        size_t used = strlen(request->text);
        copy_text(request->text + used, sizeof(request->text) - used, bytes);
        return;
    }
    uint64_t seed = pattern_seed(bytes_text(request->path), request->serial);
    if (!pattern_matches(seed, request->received, bytes))
        request->corrupt = true;
}

static void on_data(struct h2_stream *stream, struct bytes bytes, bool last, uint64_t now)
{
    struct client_request *request = request_of(stream);
    check(!request->complete && request->status != 0);
    verify(request, bytes);
    request->received += bytes.length;
    request->complete = last;
    if (request->script.holds_credit)
        request->unconsumed += (uint32_t)bytes.length;
    else
        h2_stream_consumed(stream, (uint32_t)bytes.length);
    uint64_t leaves_after = request->script.leaves_after;
    if (leaves_after != 0 && request->received >= leaves_after && !request->complete)
        client_leave(request, now);
}

static void on_reset(struct h2_stream *stream, struct h2_reset reset, uint64_t now)
{
    struct client_request *request = request_of(stream);
    request->reset = reset;
    end(request, request->conn->leaving ? CLIENT_ABANDONED : CLIENT_RESET, now);
}

static void on_finished(struct h2_stream *stream, uint64_t now)
{
    struct client_request *request = request_of(stream);
    check(request->complete);
    end(request, CLIENT_FINISHED, now);
}

/* ---- what is sent ---- */

static void add(struct fields *fields, const char *name, const char *value)
{
    struct field field = {.name = bytes_text(name), .value = bytes_text(value)};
    field.token = field_token_of(field.name);
    fields_add(fields, field);
}

static const struct fields *head_of(const struct client_request *request)
{
    static _Thread_local uint8_t room[64 * 1024];
    static _Thread_local struct fields fields;
    const struct client_script *script = &request->script;
    fields_init(&fields, room, sizeof(room));
    add(&fields, ":method", script->method != NULL ? script->method : "GET");
    add(&fields, ":scheme", "http");
    if (script->authority == NULL || script->authority[0] != 0)
        add(&fields, ":authority", script->authority != NULL ? script->authority : "test.example");
    add(&fields, ":path", request->path);
    for (int i = 0; i < CLIENT_FIELDS_MAX && script->names[i] != NULL; i++)
        add(&fields, script->names[i], script->values[i]);
    check(!fields.overflow);
    return &fields;
}

static const struct fields *trailers_of(const struct client_request *request)
{
    static _Thread_local uint8_t room[32768];
    static _Thread_local struct fields fields;
    const char *value = request->script.trailer;
    fields_init(&fields, room, sizeof(room));
    add(&fields, "x-request-check", value != NULL ? value : "whole");
    check(!fields.overflow);
    return &fields;
}

static struct h2_supply send_body(struct client_request *request, uint32_t max)
{
    uint64_t stops_after = request->script.stops_after;
    if (stops_after > 0 && request->source.position >= stops_after)
        return (struct h2_supply){.kind = H2_SUPPLY_NONE};
    struct chunk chunk = pattern_next(&request->source, max);
    bool all = request->source.position == request->source.total;
    if (all && request->script.trailers && chunk.length == 0) {
        request->request_ended = true;
        return (struct h2_supply){
            .kind = H2_SUPPLY_TRAILERS, .fields = trailers_of(request), .end = true};
    }
    if (chunk.length == 0)
        return (struct h2_supply){.kind = H2_SUPPLY_NONE};
    request->request_ended = all && !request->script.trailers;
    return (struct h2_supply){
        .kind = H2_SUPPLY_DATA, .chunk = chunk, .end = request->request_ended};
}

static struct h2_supply on_supply(struct h2_stream *stream, uint32_t max, uint64_t now)
{
    struct client_request *request = request_of(stream);
    if (request->request_ended)
        return (struct h2_supply){.kind = H2_SUPPLY_NONE};
    if (request->head_sent)
        return send_body(request, max);
    request->head_sent = true;
    request->sent_at_ns = now;
    request->request_ended = request->source.total == 0 && !request->script.trailers;
    return (struct h2_supply){
        .kind = H2_SUPPLY_HEADERS, .fields = head_of(request), .end = request->request_ended};
}

/* ---- connections ---- */

static void give_up_unsent(struct client_conn *conn, uint64_t now)
{
    list_for_each (link, next, &conn->unsent)
        end(list_entry(link, struct client_request, link), CLIENT_UNSENT, now);
}

static void send_waiting(struct client_conn *conn, uint64_t now)
{
    if (conn->h2 == NULL)
        return;
    while (!list_is_empty(&conn->unsent) && h2_request_room(conn->h2) > 0) {
        struct client_request *request =
            list_entry(list_pop_front(&conn->unsent), struct client_request, link);
        list_push_back(&conn->sent, &request->link);
        request->stream = h2_request(conn->h2, request, now);
        check(request->stream != NULL);
    }
    if (!h2_is_open(conn->h2))
        give_up_unsent(conn, now);
}

static void on_available(void *owner, struct h2_conn *h2, uint64_t now)
{
    /* client_turn() looks. */
}

static void over(struct client_conn *conn, uint64_t now)
{
    conn->h2 = NULL;
    conn->session = NULL;
    conn->tcp = NULL;
    conn->over = true;
    check(list_is_empty(&conn->sent));
    give_up_unsent(conn, now);
}

static void on_closed(void *owner, struct h2_conn *h2, uint64_t now)
{
    over(owner, now);
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

static void opened(struct client_conn *conn, struct transport transport,
                   const struct tcp_info *info, uint64_t now)
{
    conn->tuple = (struct flow_tuple){info->tuple.remote, info->tuple.local,
                                      info->tuple.remote_port, info->tuple.local_port};
    conn->opened = true;
    conn->tcp = NULL;
    conn->session = NULL;
    conn->h2 = h2_open(conn->client->host.h2, H2_CLIENT, transport, &handler, conn, now);
    check(conn->h2 != NULL);
}

/* Before it is HTTP/2, it is let go here. */
static void let_go(struct client_conn *conn, uint64_t now)
{
    if (conn->session != NULL)
        tls_session_abort(conn->session);
    else
        tcp_abort(conn->tcp);
    over(conn, now);
}

static void take_events(struct client_conn *conn, struct transport transport,
                        const struct tcp_info *info, uint32_t events, uint64_t now)
{
    if (events & TCP_FAILED)
        conn->failure = info->failure;
    if (conn->h2 == NULL && (events & TCP_FAILED) != 0) {
        let_go(conn, now);
        return;
    }
    if (events & TCP_OPENED)
        opened(conn, transport, info, now);
    if ((events & ~(uint32_t)TCP_OPENED) != 0)
        h2_tcp_event(conn->h2, events, now);
}

static void on_session_event(void *app, struct tls_session *session, uint32_t events, uint64_t now)
{
    struct tcp_info info;
    tls_session_info(session, now, &info);
    take_events(app, transport_tls(session), &info, events, now);
}

static const struct tls_app tls_app = {.event = on_session_event};

static void begin_handshake(struct client_conn *conn, uint32_t events, uint64_t now)
{
    struct client *client = conn->client;
    struct tcp_conn *tcp = conn->tcp;
    conn->tcp = NULL;
    conn->session = tls_connect(client->host.tls, client->target, tcp, &tls_app, conn, now);
    check(conn->session != NULL);
    if (client->tls12)
        SSL_set_max_proto_version(conn->session->ssl, TLS1_2_VERSION);
    tls_session_events(conn->session, events & ~(uint32_t)TCP_OPENED, now);
}

static void on_event(void *app, struct tcp_conn *tcp, uint32_t events, uint64_t now)
{
    struct client_conn *conn = app;
    struct tcp_info info;
    tcp_info(tcp, now, &info);
    if ((events & TCP_OPENED) != 0 && conn->client->target != NULL)
        begin_handshake(conn, events, now);
    else
        take_events(conn, transport_tcp(tcp), &info, events, now);
}

static const struct tcp_app app = {.event = on_event};

struct client_conn *client_connect(struct client *client, const char *address, uint16_t port,
                                   uint64_t now)
{
    struct ip_address remote;
    check(ip_address_parse(address, &remote) && client->conn_count < CLIENT_CONNS_MAX);
    struct client_conn *conn = &client->conns[client->conn_count++];
    *conn = (struct client_conn){.client = client};
    list_init(&conn->unsent);
    list_init(&conn->sent);
    conn->tcp = tcp_connect(client->host.base.tcp, &remote, port, &app, conn, now);
    check(conn->tcp != NULL);
    return conn;
}

void client_conn_abort(struct client_conn *conn, uint64_t now)
{
    conn->leaving = true;
    if (conn->h2 != NULL) {
        h2_transport_ended(conn->h2, true, now);
    } else if (conn->tcp != NULL || conn->session != NULL) {
        let_go(conn, now);
    }
}

void client_conn_close(struct client_conn *conn, uint64_t now)
{
    conn->leaving = true;
    if (conn->h2 != NULL)
        h2_close(conn->h2, H2_NO_ERROR, now);
    else
        client_conn_abort(conn, now);
}

/* ---- requests ---- */

struct client_request *client_send(struct client_conn *conn, const struct client_script *script,
                                   uint64_t now)
{
    struct client *client = conn->client;
    check(client->request_count < CLIENT_REQUESTS_MAX);
    struct client_request *request = &client->requests[client->request_count++];
    *request = (struct client_request){.conn = conn, .script = *script};
    copy_text(request->path, sizeof(request->path), bytes_text(script->path));
    request->source = (struct pattern_source){
        .seed = pattern_seed(bytes_text(request->path), 0),
        .total = script->body_bytes,
        .pool = &client->host.bodies,
    };
    list_push_back(&conn->unsent, &request->link);
    if (conn->over)
        end(request, CLIENT_UNSENT, now);
    return request;
}

struct client_request *client_get(struct client_conn *conn, const char *path, uint64_t now)
{
    return client_send(conn, &(struct client_script){.path = path}, now);
}

void client_leave(struct client_request *request, uint64_t now)
{
    struct h2_stream *stream = request->stream;
    if (request->outcome != CLIENT_OPEN)
        return;
    end(request, CLIENT_ABANDONED, now);
    if (stream != NULL)
        h2_stream_reset(stream, H2_CANCEL);
}

void client_resume(struct client_request *request)
{
    request->script.holds_credit = false;
    if (request->stream != NULL)
        h2_stream_consumed(request->stream, request->unconsumed);
    request->unconsumed = 0;
}

bool client_is_whole(const struct client_request *request, uint16_t status, uint64_t bytes)
{
    return request->complete && !request->corrupt && request->serial != 0 &&
           request->status == status && request->received == bytes;
}

bool client_is_local(const struct client_request *request, uint16_t status)
{
    return request->complete && request->serial == 0 && request->status == status;
}

/* ---- the host ---- */

void client_prepare(struct client *client, struct wire *wire, uint16_t end_of_wire, const char *v4,
                    const char *v6)
{
    memset(client, 0, sizeof(*client));
    h2_host_prepare(&client->host, wire, end_of_wire, v4, v6);
}

void client_open(struct client *client)
{
    h2_host_open(&client->host);
    client->requests = calloc(CLIENT_REQUESTS_MAX, sizeof(*client->requests));
    check(client->requests != NULL);
}

void client_destroy(struct client *client)
{
    free(client->requests);
    client->requests = NULL;
}

void client_forget(struct client *client)
{
    check(client_open_count(client) == 0);
    for (uint32_t i = 0; i < client->conn_count; i++)
        check(client->conns[i].over);
    client->conn_count = 0;
    client->request_count = 0;
}

/* A sender that found no segment tries again. */
static void retry_starved(struct client_conn *conn)
{
    list_for_each (link, next, &conn->sent) {
        struct client_request *request = list_entry(link, struct client_request, link);
        if (request->source.starved)
            h2_stream_ready(request->stream);
    }
}

void client_turn(struct client *client, uint64_t now)
{
    for (uint32_t i = 0; i < client->conn_count; i++) {
        send_waiting(&client->conns[i], now);
        retry_starved(&client->conns[i]);
    }
    h2_host_turn(&client->host, now);
}

uint32_t client_open_count(const struct client *client)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < client->request_count; i++)
        count += client->requests[i].outcome == CLIENT_OPEN;
    return count;
}
