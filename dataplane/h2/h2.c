#include "dataplane/h2/h2.h"

#include "dataplane/base/counter.h"
#include "dataplane/base/memory.h"
#include "dataplane/h2/h2_conn.h"
#include "dataplane/h2/h2_flow.h"

/* A turn may wake further connections; more often than this they wait for the next one. */
#define FLUSH_PASSES 4

/* The stream table: a power of two slots, at least one a stream. */
static bool create_slots(struct h2 *h2)
{
    uint32_t bits = 1;
    while ((1ull << bits) < h2->config.streams_max)
        bits++;
    h2->slot_shift = 64 - bits;
    h2->slot_factor = random_u64(h2->config.random) | 1;
    h2->slots =
        memory_take("h2 stream table", sizeof(struct h2_stream *) << bits, h2->config.socket_id);
    return h2->slots != NULL;
}

static bool create_scratch(struct h2 *h2)
{
    const struct h2_config *config = &h2->config;
    h2->fields = memory_take("h2 header list", config->header_list_bytes, config->socket_id);
    h2->encoded = memory_take("h2 header block", sizeof(*h2->encoded), config->socket_id);
    return h2->fields != NULL && h2->encoded != NULL;
}

static bool create_pools(struct h2 *h2)
{
    const struct h2_config *config = &h2->config;
    int socket_id = config->socket_id;
    return pool_init(&h2->conns, "h2 connections", POOL_RESTING, config->connections_max,
                     sizeof(struct h2_conn), socket_id) &&
           pool_init(&h2->streams, "h2 streams", POOL_RESTING, config->streams_max,
                     sizeof(struct h2_stream), socket_id) &&
           pool_init(&h2->header_blocks, "h2 header blocks", POOL_LIFO, config->header_blocks_max,
                     sizeof(struct h2_header_block), socket_id) &&
           hpack_tables_init(&h2->hpack_tables, config->hpack_tables_max, socket_id) &&
           hpack_tables_init(&h2->hpack_own_tables, config->hpack_own_tables_max, socket_id) &&
           h2_memo_init(&h2->memo, config->memo_places, socket_id);
}

struct h2 *h2_create(const struct h2_config *config)
{
    check(config->stream_window_bytes >= H2_DEFAULT_WINDOW_BYTES &&
          config->stream_window_bytes <= H2_WINDOW_MAX &&
          config->connection_window_bytes <= H2_WINDOW_MAX &&
          config->header_list_bytes <= H2_LIMIT_HEADER_BLOCK_BYTES);
    struct h2 *h2 = memory_take("h2", sizeof(*h2), config->socket_id);
    if (h2 == NULL)
        return NULL;
    h2->config = *config;
    list_init(&h2->active);
    list_init(&h2->block_holders);
    list_init(&h2->resting);
    list_init(&h2->dead_conns);
    if (!create_pools(h2) || !create_slots(h2) || !create_scratch(h2))
        return NULL;
    h2->hpack_own_tables.states = UINT64_MAX / 2; /* so that no two tables' states have one name */
    return h2;
}

struct h2_counters *h2_counters(struct h2 *h2)
{
    return &h2->counters;
}

void h2_enter(struct h2 *h2, uint64_t now)
{
    h2->depth++;
    h2->now = now;
}

void h2_bury_dead_streams(struct h2 *h2)
{
    for (struct h2_stream *stream; (stream = h2->dead_streams) != NULL;) {
        h2->dead_streams = stream->next_in_slot;
        pool_give(&h2->streams, stream);
    }
}

/* What parts of HTTP/2 have counted for themselves. */
static void count_parts(struct h2 *h2)
{
    counter_set(&h2->counters.header_blocks_in_known, h2->memo.found_in);
    counter_set(&h2->counters.header_blocks_in_alike, h2->memo.found_alike);
    counter_set(&h2->counters.header_sections_in_known, h2->memo.found_section);
    counter_set(&h2->counters.header_parts_out_known, h2->memo.found_out);
    counter_set(&h2->counters.hpack_tables_taken_back,
                h2->hpack_tables.taken_back + h2->hpack_own_tables.taken_back);
}

void h2_leave(struct h2 *h2)
{
    check(h2->depth > 0);
    if (--h2->depth > 0)
        return;
    h2_bury_dead_streams(h2);
    count_parts(h2);
    struct list *link;
    while ((link = list_pop_front(&h2->dead_conns)) != NULL)
        pool_give(&h2->conns, list_entry(link, struct h2_conn, active));
}

void h2_writable(struct h2_conn *conn)
{
    h2_conn_wake(conn);
}

void h2_transport_ended(struct h2_conn *conn, bool failed, uint64_t now)
{
    struct h2 *h2 = conn->h2;
    h2_enter(h2, now);
    if (failed)
        counter_add(&h2->counters.connections_lost, 1);
    else
        h2_in_run(conn, now); /* what came before the end */
    h2_conn_end(conn, (struct h2_end){.code = H2_INTERNAL_ERROR, .abort = failed});
    h2_leave(h2);
}

/* True: it may have more to write, and no event will say so. */
static bool flush_conn(struct h2_conn *conn, uint64_t now)
{
    bool done = h2_out_run(conn, now);
    conn->blocked = !done && !conn->starved;
    if (!h2_conn_is_closed(conn) && conn->read_due && h2_conn_answers_fit(conn))
        h2_in_run(conn, now);
    if (!h2_conn_is_closed(conn))
        h2_conn_tell_room(conn);
    if (!h2_conn_is_closed(conn) && done)
        h2_conn_end_if_drained(conn);
    return !h2_conn_is_closed(conn) && conn->starved;
}

static void flush_pass(struct h2 *h2, struct list *again, uint64_t now)
{
    struct list turn;
    struct list *link;
    list_init(&turn);
    list_append_all(&turn, &h2->active);
    while ((link = list_pop_front(&turn)) != NULL) {
        struct h2_conn *conn = list_entry(link, struct h2_conn, active);
        if (flush_conn(conn, now)) {
            list_remove(&conn->active);
            list_push_back(again, &conn->active);
        }
        h2_bury_streams(h2);
    }
}

void h2_flush(struct h2 *h2, uint64_t now)
{
    if (h2->depth > 0) /* from a callback: the outer call goes on, or the next flush */
        return;
    struct list again;
    list_init(&again);
    h2_enter(h2, now);
    h2_announce_on(h2);
    for (uint32_t pass = 0; pass < FLUSH_PASSES && !list_is_empty(&h2->active); pass++)
        flush_pass(h2, &again, now);
    list_append_all(&h2->active, &again);
    h2_leave(h2);
}

/* Identifiers not used yet (RFC 9113 5.1.1), those of requests not sent yet excluded. */
static uint32_t ids_left(const struct h2_conn *conn)
{
    if (conn->next_id > H2_STREAM_ID_MAX)
        return 0;
    return (H2_STREAM_ID_MAX - conn->next_id) / 2 + 1 - conn->unsent_count;
}

bool h2_is_open(const struct h2_conn *conn)
{
    bool open = conn->state == H2_CONN_SETTINGS || conn->state == H2_CONN_OPEN;
    return conn->role == H2_CLIENT && open && ids_left(conn) > 0;
}

uint32_t h2_request_room(const struct h2_conn *conn)
{
    if (conn->state != H2_CONN_OPEN || conn->peer.concurrent_streams <= conn->stream_count)
        return 0;
    uint32_t room = conn->peer.concurrent_streams - conn->stream_count;
    uint32_t ids = ids_left(conn);
    uint32_t objects = conn->h2->streams.free_count;
    room = ids < room ? ids : room;
    return objects < room ? objects : room;
}

struct h2_stream *h2_request(struct h2_conn *conn, void *stream_owner, uint64_t now)
{
    check(conn->role == H2_CLIENT);
    uint32_t room = h2_request_room(conn);
    if (room == 0) {
        counter_add(&conn->h2->counters.requests_no_room, 1);
        conn->room_was_told = false;
        return NULL;
    }
    struct h2_stream *stream = h2_stream_take(conn);
    check(stream != NULL);
    stream->owner = stream_owner;
    conn->unsent_count++;
    list_push_back(&conn->unsent, &stream->link);
    if (room == 1) /* which it took */
        conn->room_was_told = false;
    h2_stream_ready(stream);
    return stream;
}

void h2_stream_consumed(struct h2_stream *stream, uint32_t count)
{
    if (h2_stream_is_alive(stream))
        h2_flow_consumed(stream, count);
}

void h2_stream_credit_now(struct h2_stream *stream)
{
    if (h2_stream_is_alive(stream))
        h2_flow_credit_now(stream);
}

uint32_t h2_connection_count(const struct h2 *h2)
{
    return pool_used(&h2->conns);
}

uint32_t h2_stream_count(const struct h2 *h2)
{
    return h2->stream_count;
}

uint32_t h2_objects_used(const struct h2 *h2)
{
    return pool_used(&h2->conns) + pool_used(&h2->streams) + pool_used(&h2->header_blocks) +
           pool_used(&h2->hpack_tables.pool) + pool_used(&h2->hpack_own_tables.pool);
}
