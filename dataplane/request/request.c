/*
 * request: the engine, its client connections, and the HTTP/2 handler that leads to exchanges.
 */
#include "dataplane/request/request.h"

#include "dataplane/base/counter.h"
#include "dataplane/base/memory.h"
#include "dataplane/request/exchange.h"

#include <stdio.h>

/* What this hop may add to a section: via, x-forwarded-for, cache-status and their heads. */
#define HOP_BYTES 512

static void on_headers(void *owner, struct h2_stream *stream, const struct fields *fields,
                       enum h2_section section, bool end, uint64_t now)
{
    struct client *client = owner;
    if (section == H2_SECTION_HEADERS)
        exchange_begin(client, stream, fields, end, now);
    else
        exchange_body(h2_stream_owner(stream), BYTES_NONE, end, fields, now);
}

static void on_data(struct h2_stream *stream, struct bytes bytes, bool end, uint64_t now)
{
    exchange_body(h2_stream_owner(stream), bytes, end, NULL, now);
}

static struct h2_supply on_supply(struct h2_stream *stream, uint32_t max, uint64_t now)
{
    return exchange_supply(h2_stream_owner(stream), max, now);
}

static void on_reset(struct h2_stream *stream, struct h2_reset reset, uint64_t now)
{
    struct exchange *exchange = h2_stream_owner(stream);
    if (exchange == NULL)
        return;
    enum access_end end = reset.by_peer     ? ACCESS_CLIENT_RESET
                          : reset.conn_lost ? ACCESS_CLIENT_LOST
                                            : ACCESS_RESET;
    counter_add(&exchange->engine->counters.client_reset, 1);
    exchange_end(exchange, &(struct access_ending){end, reset.code, NULL}, now);
}

static void on_finished(struct h2_stream *stream, uint64_t now)
{
    struct exchange *exchange = h2_stream_owner(stream);
    counter_add(&exchange->engine->counters.finished, 1);
    exchange_end(exchange, &(struct access_ending){ACCESS_FINISHED, 0, NULL}, now);
}

static void on_available(void *owner, struct h2_conn *conn, uint64_t now)
{
    /* Client role only. */
}

static bool on_http1(void *owner, struct bytes line, struct writer *out)
{
    const struct client *client = owner;
    return request_http1_answer(client->engine->snapshot, &client->peer, line, out);
}

static void on_closed(void *owner, struct h2_conn *conn, uint64_t now)
{
    struct client *client = owner;
    client_timer_end(client);
    list_remove(&client->link);
    pool_give(&client->engine->clients, client);
}

static const struct h2_handler handler = {
    .headers = on_headers,
    .data = on_data,
    .supply = on_supply,
    .reset = on_reset,
    .finished = on_finished,
    .available = on_available,
    .http1 = on_http1,
    .closed = on_closed,
};

static bool create_pools(struct request_engine *engine)
{
    const struct request_config *config = &engine->config;
    uint32_t clients = config->connections_max;
    return pool_init(&engine->clients, "request clients", POOL_LIFO, clients, sizeof(struct client),
                     config->socket_id) &&
           pool_init(&engine->exchanges, "request exchanges", POOL_RESTING, config->exchanges_max,
                     sizeof(struct exchange), config->socket_id) &&
           section_pools_init(&engine->sections, "request sections", config->exchanges_max,
                              config->header_bytes + HOP_BYTES, config->socket_id);
}

struct request_engine *request_create(const struct request_config *config)
{
    struct request_engine *engine =
        memory_take("request engines", sizeof(*engine), config->socket_id);
    uint32_t scratch_bytes = config->header_bytes + HOP_BYTES;
    void *scratch = memory_take("request scratch", scratch_bytes, config->socket_id);
    if (engine == NULL || scratch == NULL)
        return NULL;
    engine->config = *config;
    list_init(&engine->client_list);
    list_init(&engine->leaving_list);
    fields_init(&engine->scratch, scratch, scratch_bytes);
    keepalive_comment_init(&engine->comment);
    admission_init(&engine->admission, config->exchanges_max);
    if (!create_pools(engine) || !plans_init(&engine->plans, config->socket_id) ||
        !access_log_init(&engine->access, config->access_records, config->socket_id) ||
        !local_answers_init(engine, config->socket_id))
        return NULL;
    return engine;
}

struct request_counters *request_counters(struct request_engine *engine)
{
    return &engine->counters;
}

const struct request_histograms *request_histograms(const struct request_engine *engine)
{
    return &engine->histograms;
}

void request_begin_step(struct request_engine *engine, const struct snapshot *snapshot)
{
    engine->snapshot = snapshot;
    admission_set(&engine->admission, &snapshot->admission);
    access_log_set(&engine->access, &snapshot->access);
    panic_gate_set(&engine->panic_gate, snapshot->panic);
}

_Static_assert(CLIENT_ADDRESS_TEXT >= INET6_ADDRSTRLEN, "any address fits");

static struct client *take_client(struct request_engine *engine, const struct request_peer *peer)
{
    struct client *client = pool_take(&engine->clients);
    if (client == NULL)
        return NULL;
    char text[INET6_ADDRSTRLEN];
    *client = (struct client){
        .engine = engine,
        .peer = *peer,
        .address_name = coalesce_address_name(engine->config.coalesce, &peer->remote),
    };
    account_init(&client->account);
    client_timer_init(client);
    ip_address_format(&peer->remote, text);
    request_rules_address(client, bytes_text(text));
    list_push_back(&engine->client_list, &client->link);
    return client;
}

bool request_accept(struct request_engine *engine, struct transport transport,
                    const struct request_peer *peer, struct h2_conn **out_conn, uint64_t now)
{
    struct client *client = take_client(engine, peer);
    if (client == NULL) {
        counter_add(&engine->counters.connections_shed, 1);
        transport.ops->abort(transport.stream);
        return false;
    }
    client->conn = h2_open(engine->config.h2, H2_SERVER, transport, &handler, client, now);
    if (client->conn == NULL) {
        counter_add(&engine->counters.connections_shed, 1);
        on_closed(client, NULL, now);
        return false;
    }
    counter_add(&engine->counters.connections, 1);
    *out_conn = client->conn;
    return true;
}

bool request_drain(struct request_engine *engine, uint32_t max, uint64_t now)
{
    for (; max > 0; max--) {
        struct list *link = list_pop_front(&engine->client_list);
        if (link == NULL)
            return false;
        list_push_back(&engine->leaving_list, link);
        h2_shutdown(list_entry(link, struct client, link)->conn, now);
    }
    return true;
}

const struct access_record *request_record(struct request_engine *engine)
{
    return ring_spsc_front(&engine->access.records);
}

void request_record_done(struct request_engine *engine)
{
    ring_spsc_drop(&engine->access.records);
}

uint32_t request_connection_count(const struct request_engine *engine)
{
    return pool_used(&engine->clients);
}

uint32_t request_exchange_count(const struct request_engine *engine)
{
    return pool_used(&engine->exchanges);
}

uint32_t request_objects_used(const struct request_engine *engine)
{
    return pool_used(&engine->clients) + pool_used(&engine->exchanges) +
           section_pools_used(&engine->sections);
}
