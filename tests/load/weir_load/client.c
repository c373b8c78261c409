/*
 * client: connections that carry requests, and idle ones.
 *
 * Life of a connection: connect_one() .. TCP_OPENED .. opened(): available() for the first time,
 * SETTINGS have been exchanged .. over(). A request ends in exactly one place, end().
 */
#include "tests/load/weir_load/load.h"

#include "dataplane/base/check.h"
#include "dataplane/h2/h2_tcp.h"
#include "dataplane/tls/transport.h"
#include "tests/load/weir_load/message.h"

#define OPENS_A_TURN  32
#define BEGINS_A_TURN 512
#define CLOSES_A_TURN 64
#define FIRST_OPENS   4                /* at once, until the next hops have been found */
#define PAUSE_NS      (100 * CLOCK_MS) /* after a connection that failed */

/* Owner: client->conns. */
struct load_conn {
    struct list link; /* client->willing */
    struct client *client;
    struct tcp_conn *tcp; /* until HTTP/2 has it */
    struct h2_conn *h2;
    uint64_t due_at_ns; /* --new-connection: its request, of which connecting is a part */
    uint32_t under_way;
    bool idle;
    bool open;
    bool done; /* --new-connection: had its request */
};

/* Owner: client->requests, until end(). */
struct load_request {
    struct load_conn *conn;
    struct h2_stream *stream;
    uint64_t due_at_ns;
    uint64_t number;
    uint64_t received;
    uint64_t sent; /* of the request's body */
    uint32_t seed; /* of both bodies */
    uint16_t status;
    bool head_sent;
    bool ended; /* END_STREAM sent */
    bool complete;
    bool corrupt;
};

static struct phase_stats *stats(struct client *client)
{
    return &client->phases[client->load->phase];
}

static const struct load_options *options_of(const struct client *client)
{
    return &client->load->options;
}

/* ---- requests ---- */

static bool wants_more(const struct load_conn *conn)
{
    const struct load_options *options = options_of(conn->client);
    if (!conn->open || conn->idle || conn->h2 == NULL || conn->done)
        return false;
    return conn->under_way < (options->new_connection ? 1 : options->streams) &&
           h2_request_room(conn->h2) > 0;
}

static void offer(struct load_conn *conn)
{
    if (wants_more(conn) && !list_is_linked(&conn->link))
        list_push_back(&conn->client->willing, &conn->link);
}

/* Those that a run leaves under way are no part of its rate, but of its latency: they may be the
 * slowest. */
static void end_well(struct client *client, const struct load_request *request, uint64_t now)
{
    struct phase_stats *phase = stats(client);
    bool finishes = client->load->phase == LOAD_FINISH;
    phase->requests++;
    phase->bytes += request->received;
    phase->last_end_at_ns = now;
    if (phase->first_end_at_ns == 0)
        phase->first_end_at_ns = now;
    histogram_add(finishes ? &client->phases[LOAD_RUN].latency : &phase->latency,
                  now - request->due_at_ns);
}

static void end(struct load_request *request)
{
    struct load_conn *conn = request->conn;
    conn->under_way--;
    conn->client->under_way--;
    pool_give(&conn->client->requests, request);
    offer(conn);
}

static void end_badly(struct load_request *request, enum load_error error)
{
    stats(request->conn->client)->errors[error]++;
    end(request);
}

static void on_headers(void *owner, struct h2_stream *stream, const struct fields *fields,
                       enum h2_section section, bool last, uint64_t now)
{
    struct load_request *request = h2_stream_owner(stream);
    struct bytes status;
    if (section == H2_SECTION_HEADERS && fields_find(fields, FIELD_STATUS, &status))
        request->status = (uint16_t)message_number(status);
    request->complete = last;
}

static void on_data(struct h2_stream *stream, struct bytes bytes, bool last, uint64_t now)
{
    struct load_request *request = h2_stream_owner(stream);
    if (request->status == 200 && !body_matches(request->seed, request->received, bytes))
        request->corrupt = true;
    request->received += bytes.length;
    request->complete = last;
    h2_stream_consumed(stream, (uint32_t)bytes.length);
}

static void on_finished(struct h2_stream *stream, uint64_t now)
{
    struct load_request *request = h2_stream_owner(stream);
    struct load_conn *conn = request->conn;
    struct client *client = conn->client;
    if (request->status != 200)
        end_badly(request, LOAD_ERROR_STATUS);
    else if (request->received != load_body_bytes(options_of(client), request->number))
        end_badly(request, LOAD_ERROR_LENGTH);
    else if (request->corrupt)
        end_badly(request, LOAD_ERROR_BODY);
    else {
        end_well(client, request, now);
        end(request);
    }
    if (!options_of(client)->new_connection)
        return;
    h2_close(conn->h2, H2_NO_ERROR, now);
}

static void on_reset(struct h2_stream *stream, struct h2_reset reset, uint64_t now)
{
    struct load_request *request = h2_stream_owner(stream);
    enum load_error error = LOAD_ERROR_RESET;
    if (reset.unprocessed)
        error = LOAD_ERROR_REFUSED;
    else if (reset.conn_lost)
        error = LOAD_ERROR_LOST;
    /* Answered whole, and the rest of our body was not wanted (RFC 9113 8.1): still an error, as
     * the origin reads all. */
    end_badly(request, error);
}

static struct h2_supply send_body(struct load_request *request, uint32_t max)
{
    uint64_t left = options_of(request->conn->client)->request_bytes - request->sent;
    if (max == 0 || left == 0)
        return (struct h2_supply){.kind = H2_SUPPLY_NONE};
    struct chunk chunk = body_chunk(request->seed, request->sent, left, max);
    request->sent += chunk.length;
    request->ended = chunk.length == left;
    return (struct h2_supply){.kind = H2_SUPPLY_DATA, .chunk = chunk, .end = request->ended};
}

static struct h2_supply on_supply(struct h2_stream *stream, uint32_t max, uint64_t now)
{
    struct load_request *request = h2_stream_owner(stream);
    if (request->ended)
        return (struct h2_supply){.kind = H2_SUPPLY_NONE};
    if (request->head_sent)
        return send_body(request, max);
    struct bytes path;
    const struct fields *fields =
        message_request(options_of(request->conn->client), request->number, &path);
    request->seed = body_seed(path);
    request->head_sent = true;
    request->ended = options_of(request->conn->client)->request_bytes == 0;
    if (!request->ended)
        h2_stream_ready(stream);
    return (struct h2_supply){.kind = H2_SUPPLY_HEADERS, .fields = fields, .end = request->ended};
}

/* When the request with NUMBER of this phase was to begin, which is not later than NOW. */
static uint64_t due_at(const struct client *client, uint64_t number, uint64_t now)
{
    const struct load_options *options = options_of(client);
    if (options->rate == 0)
        return now;
    uint64_t began = client->phases[client->load->phase].began_at_ns;
    uint64_t due = began + (uint64_t)((double)number * 1e9 / (double)options->rate);
    return due < now ? due : now;
}

/* False: not now. */
static bool begin_one(struct client *client, struct load_conn *conn, uint64_t now)
{
    struct load_request *request = pool_take(&client->requests);
    if (request == NULL)
        return false;
    *request = (struct load_request){
        .conn = conn,
        .due_at_ns = options_of(client)->new_connection ? conn->due_at_ns
                                                        : due_at(client, client->begun, now),
    };
    request->stream = h2_request(conn->h2, request, now);
    if (request->stream == NULL) {
        pool_give(&client->requests, request);
        return false;
    }
    request->number = keys_next(&client->keys, &client->load->host.random);
    client->begun++;
    client->under_way++;
    conn->under_way++;
    conn->done = options_of(client)->new_connection;
    return true;
}

static bool may_begin(const struct client *client, uint64_t now)
{
    const struct load *load = client->load;
    if (client->stopping || load->phase == LOAD_CONNECT)
        return false;
    if (load->phase == LOAD_RUN && load->options.requests > 0 &&
        client->begun >= load->options.requests)
        return false;
    return client->begun < due_by(load->options.rate, client->phases[load->phase].began_at_ns, now);
}

static bool begin_some(struct client *client, uint64_t now)
{
    uint32_t begun = 0;
    while (begun < BEGINS_A_TURN && !list_is_empty(&client->willing) && may_begin(client, now)) {
        struct load_conn *conn =
            list_entry(list_pop_front(&client->willing), struct load_conn, link);
        if (!wants_more(conn))
            continue;
        if (!begin_one(client, conn, now)) {
            list_push_back(&client->willing, &conn->link);
            break;
        }
        begun++;
        offer(conn);
    }
    return begun > 0;
}

/* ---- connections ---- */

static void over(struct load_conn *conn, uint64_t now)
{
    struct client *client = conn->client;
    bool wanted = client->closing || conn->done;
    if (!conn->open)
        client->opening--;
    if (!wanted) {
        client->connections_lost += conn->open;
        client->idle_lost += conn->open && conn->idle;
        client->open_again_at_ns = now + PAUSE_NS;
    }
    *(conn->idle ? &client->idle : &client->active) -= 1;
    list_remove(&conn->link);
    pool_give(&client->conns, conn);
}

static void on_available(void *owner, struct h2_conn *h2, uint64_t now)
{
    struct load_conn *conn = owner;
    if (!conn->open && h2_is_open(h2)) {
        conn->open = true;
        conn->client->opening--;
        conn->client->connections_opened++;
        stats(conn->client)->opened++;
    }
    offer(conn);
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

static void failed(struct load_conn *conn, struct tcp_conn *tcp, uint64_t now)
{
    struct tcp_info info;
    tcp_info(tcp, now, &info);
    conn->client->connect_failures[info.failure]++;
    tcp_abort(tcp);
    over(conn, now);
}

static void on_event(void *context, struct tcp_conn *tcp, uint32_t events, uint64_t now)
{
    struct load_conn *conn = context;
    if (conn->h2 == NULL && (events & TCP_FAILED) != 0) {
        failed(conn, tcp, now);
        return;
    }
    if (events & TCP_OPENED) {
        conn->tcp = NULL;
        conn->h2 = h2_open(conn->client->load->host.h2, H2_CLIENT, transport_tcp(tcp), &handler,
                           conn, now);
        if (conn->h2 == NULL) {
            over(conn, now);
            return;
        }
    }
    h2_tcp_event(conn->h2, events, now);
}

static const struct tcp_app app = {.event = on_event};

static const struct ip_address *next_source(struct client *client, bool v4)
{
    const struct load_options *options = options_of(client);
    const struct ip_address *source;
    do {
        source = &options->sources[client->next_source[v4]++ % options->source_count];
    } while (ip_address_is_v4(source) != v4); /* each target's family has one */
    return source;
}

/* --new-connection: requests of this phase that have begun or have a connection that is for them.
 */
static uint64_t pending(const struct client *client)
{
    return client->begun + client->active - client->under_way;
}

/* False: nothing was left to make it of. */
static bool connect_one(struct client *client, bool idle, uint64_t now)
{
    const struct load_options *options = options_of(client);
    const struct load_target *target =
        &options->targets[client->next_target % options->target_count];
    struct load_conn *conn = pool_take(&client->conns);
    if (conn == NULL)
        return false;
    *conn = (struct load_conn){
        .client = client, .idle = idle, .due_at_ns = due_at(client, pending(client), now)};
    list_init(&conn->link);
    conn->tcp = tcp_connect_from(client->load->host.tcp,
                                 next_source(client, ip_address_is_v4(&target->address)),
                                 &target->address, target->port, &app, conn, now);
    if (conn->tcp == NULL) {
        client->connect_failures[TCP_FAILURE_NONE]++;
        pool_give(&client->conns, conn);
        return false;
    }
    client->next_target++;
    client->opening++;
    *(idle ? &client->idle : &client->active) += 1;
    return true;
}

static bool wants_idle(const struct client *client)
{
    return client->load->phase >= LOAD_OPENING && client->idle < client->idle_wanted;
}

/* With --new-connection a connection is opened for each request, none for none. */
static bool wants_active(const struct client *client, uint64_t now)
{
    if (client->active >= client->active_wanted)
        return false;
    if (!options_of(client)->new_connection)
        return true;
    const struct load *load = client->load;
    uint64_t expected = pending(client);
    if (load->phase == LOAD_RUN && load->options.requests > 0 && expected >= load->options.requests)
        return false;
    return expected < due_by(load->options.rate, client->phases[load->phase].began_at_ns, now);
}

static bool open_some(struct client *client, uint64_t now)
{
    const struct load_options *options = options_of(client);
    uint64_t allowed = due_by(options->open_rate, client->load->started_at_ns, now);
    uint64_t at_once = client->connections_opened < FIRST_OPENS ? FIRST_OPENS : options->opening;
    uint32_t opened = 0;
    bool early = options->new_connection && client->load->phase == LOAD_CONNECT;
    if (client->stopping || early || now < client->open_again_at_ns)
        return false;
    while (opened < OPENS_A_TURN && client->opening < at_once && client->next_target < allowed) {
        bool active = wants_active(client, now);
        if (!active && !wants_idle(client))
            break;
        if (!connect_one(client, !active, now)) {
            client->open_again_at_ns = now + PAUSE_NS;
            break;
        }
        opened++;
    }
    return opened > 0;
}

bool client_tick(struct client *client, uint64_t now)
{
    if (client->load->options.role == LOAD_ORIGIN)
        return false;
    bool opened = open_some(client, now);
    return begin_some(client, now) || opened;
}

void client_give_up(struct client *client, uint64_t now)
{
    for (uint32_t i = 0; i < client->requests.count; i++) {
        struct load_request *request = pool_at(&client->requests, i);
        if (request == NULL)
            continue;
        h2_stream_reset(request->stream, H2_CANCEL);
        end_badly(request, LOAD_ERROR_LATE);
    }
}

bool client_close_some(struct client *client, uint64_t now)
{
    client->closing = true;
    for (int closed = 0; closed < CLOSES_A_TURN && client->close_at < client->conns.count;) {
        struct load_conn *conn = pool_at(&client->conns, client->close_at++);
        if (conn == NULL)
            continue;
        closed++;
        if (conn->h2 != NULL) {
            h2_close(conn->h2, H2_NO_ERROR, now);
            continue;
        }
        tcp_abort(conn->tcp);
        over(conn, now);
    }
    return client->close_at == client->conns.count;
}

bool client_init(struct client *client, struct load *load)
{
    const struct load_options *options = &load->options;
    bool none = options->role == LOAD_ORIGIN;
    uint64_t conns = none ? 0 : options->connections + options->idle;
    uint64_t requests = none ? 0 : options->connections * options->streams;
    client->load = load;
    client->active_wanted = none ? 0 : options->connections;
    client->idle_wanted = none ? 0 : options->idle;
    list_init(&client->willing);
    return keys_init(&client->keys, options->paths, options->zipf) &&
           pool_init(&client->conns, "load connections", POOL_LIFO, (uint32_t)conns,
                     sizeof(struct load_conn), -1) &&
           pool_init(&client->requests, "load requests", POOL_LIFO, (uint32_t)requests,
                     sizeof(struct load_request), -1);
}
