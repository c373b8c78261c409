#include "dataplane/h1/h1_conn.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/counter.h"

/* Legal transitions; H1_CONN_STATES: none. */
static const uint8_t transitions[H1_CONN_STATES][H1_CONN_CAUSES] = {
    [H1_CONN_IDLE] =
        {
            [H1_CAUSE_REQUEST] = H1_CONN_BUSY,
            [H1_CAUSE_KEPT] = H1_CONN_STATES,
            [H1_CAUSE_LAST] = H1_CONN_SPENT,
            [H1_CAUSE_DOUBTFUL] = H1_CONN_SPENT,
        },
    [H1_CONN_BUSY] =
        {
            [H1_CAUSE_REQUEST] = H1_CONN_STATES,
            [H1_CAUSE_KEPT] = H1_CONN_IDLE,
            [H1_CAUSE_LAST] = H1_CONN_SPENT,
            [H1_CAUSE_DOUBTFUL] = H1_CONN_SPENT,
        },
    [H1_CONN_SPENT] =
        {
            [H1_CAUSE_REQUEST] = H1_CONN_STATES,
            [H1_CAUSE_KEPT] = H1_CONN_STATES,
            [H1_CAUSE_LAST] = H1_CONN_SPENT,
            [H1_CAUSE_DOUBTFUL] = H1_CONN_SPENT,
        },
};

void h1_change(struct h1_conn *conn, enum h1_conn_cause cause)
{
    enum h1_conn_state after = (enum h1_conn_state)transitions[conn->state][cause];
    check(after != H1_CONN_STATES);
    conn->state = after;
    conn->hard |= cause == H1_CAUSE_DOUBTFUL;
    if (conn->retires && after != H1_CONN_BUSY)
        h1_wake(conn);
}

/* --- an exchange --- */

bool h1_is_open(const struct h1_conn *conn)
{
    return conn->state != H1_CONN_SPENT && !conn->retires;
}

bool h1_has_room(const struct h1_conn *conn)
{
    return conn->state == H1_CONN_IDLE && !conn->retires;
}

/* A view is given back before anybody else reads: transports may have one place for all of them. */
bool h1_has_bytes(const struct h1_conn *conn)
{
    const struct transport *transport = &conn->transport;
    bool has = transport->ops->read(transport->stream).length > 0;
    if (has)
        transport->ops->read_done(transport->stream, 0);
    return has;
}

void h1_unasked(struct h1_conn *conn, uint64_t now)
{
    h1_violation_count(&conn->h1->counters, H1_VIOLATION_bytes_unasked);
    h1_change(conn, H1_CAUSE_DOUBTFUL);
    conn->handler->available(conn, now);
}

bool h1_request(struct h1_conn *conn, uint64_t now)
{
    if (!h1_has_room(conn))
        return false;
    if (h1_has_bytes(conn)) { /* what came before a request cannot be its answer */
        h1_unasked(conn, now);
        return false;
    }
    h1_change(conn, H1_CAUSE_REQUEST);
    conn->exchanges++;
    conn->credit = conn->h1->config.first_window_bytes;
    conn->framing = (struct h1_framing){0};
    conn->piece = (struct h1_piece){0};
    conn->body_sent = 0;
    conn->ready = false;
    conn->head_sent = false;
    conn->request_ended = false;
    conn->unwanted = false;
    h1_parser_init(&conn->parser, false);
    return true;
}

void h1_ready(struct h1_conn *conn)
{
    if (conn->state != H1_CONN_BUSY)
        return;
    conn->ready = true;
    h1_wake(conn);
}

void h1_consumed(struct h1_conn *conn, uint32_t count)
{
    if (conn->state != H1_CONN_BUSY)
        return;
    bool was_held = conn->credit == 0;
    conn->credit += count;
    if (was_held && !conn->reads)
        h1_wake(conn);
}

/* The block is free again: the exchange that had it is given up, as the slowest of all. */
static void evict_slowest(struct h1 *h1, uint64_t now)
{
    struct h1_block *block = list_entry(h1->held.next, struct h1_block, held);
    counter_add(&h1->counters.blocks_exhausted, 1);
    h1_fail(block->conn, H1_VIOLATION_none, (struct h2_reset){.conn_lost = true}, now);
}

void h1_block_take(struct h1_conn *conn, uint64_t now)
{
    struct h1 *h1 = conn->h1;
    struct h1_block *block = pool_take(&h1->blocks);
    if (block == NULL) {
        evict_slowest(h1, now);
        block = pool_take(&h1->blocks);
    }
    check(block != NULL);
    block->conn = conn;
    list_init(&block->held);
    list_push_back(&h1->held, &block->held);
    fields_init(&block->fields, block->data, h1->config.header_list_bytes);
    conn->block = block;
    conn->parser.fields = &block->fields;
}

void h1_block_give(struct h1_conn *conn)
{
    if (conn->block != NULL) {
        list_remove(&conn->block->held);
        pool_give(&conn->h1->blocks, conn->block);
    }
    conn->block = NULL;
    conn->parser.fields = NULL;
}

void h1_clean(struct h1_conn *conn)
{
    h1_block_give(conn);
    if (conn->piece.chunk.length > 0)
        segment_drop(conn->piece.chunk.segment);
    conn->piece.chunk.length = 0;
}

void h1_fail(struct h1_conn *conn, enum h1_violation why, struct h2_reset reset, uint64_t now)
{
    h1_violation_count(&conn->h1->counters, why);
    h1_clean(conn);
    h1_change(conn, H1_CAUSE_DOUBTFUL);
    conn->handler->reset(conn, reset, now);
    conn->handler->available(conn, now);
}

void h1_cancel(struct h1_conn *conn, uint64_t now)
{
    if (conn->state != H1_CONN_BUSY)
        return;
    h1_clean(conn);
    if (!conn->head_sent) {
        h1_change(conn, H1_CAUSE_KEPT);
        return;
    }
    counter_add(&conn->h1->counters.cancelled, 1);
    h1_change(conn, H1_CAUSE_DOUBTFUL);
    conn->handler->available(conn, now);
}

/* --- a connection --- */

struct h1_conn *h1_open(struct h1 *h1, struct transport transport, const struct h1_handler *handler,
                        void *owner)
{
    struct h1_conn *conn = pool_take(&h1->conns);
    if (conn == NULL) {
        counter_add(&h1->counters.connections_shed, 1);
        transport.ops->abort(transport.stream);
        return NULL;
    }
    *conn = (struct h1_conn){.h1 = h1,
                             .handler = handler,
                             .owner = owner,
                             .transport = transport,
                             .state = H1_CONN_IDLE};
    list_init(&conn->active);
    h1_parser_init(&conn->parser, false);
    counter_add(&h1->counters.connections_opened, 1);
    return conn;
}

/* It is over: the transport goes, and then the object. */
static void end(struct h1_conn *conn, uint64_t now)
{
    const struct transport *transport = &conn->transport;
    check(!conn->reads);
    h1_clean(conn);
    list_remove(&conn->active);
    counter_add(&conn->h1->counters.connections_closed, 1);
    if (conn->hard)
        transport->ops->abort(transport->stream);
    else
        transport->ops->close(transport->stream);
    conn->handler->closed(conn, now);
    pool_give(&conn->h1->conns, conn);
}

bool h1_end_if_retired(struct h1_conn *conn, uint64_t now)
{
    if (!conn->retires || conn->state == H1_CONN_BUSY)
        return false;
    end(conn, now);
    return true;
}

void h1_close(struct h1_conn *conn, uint64_t now)
{
    bool was_busy = conn->state == H1_CONN_BUSY;
    h1_clean(conn);
    h1_change(conn, was_busy ? H1_CAUSE_DOUBTFUL : H1_CAUSE_LAST);
    if (was_busy)
        conn->handler->reset(
            conn, (struct h2_reset){.conn_lost = true, .unprocessed = !conn->head_sent}, now);
    end(conn, now);
}

void h1_shutdown(struct h1_conn *conn, uint64_t now)
{
    conn->retires = true;
    h1_end_if_retired(conn, now);
}

/* The backend has closed its direction, and all it has said before has been read. */
static void ended_well(struct h1_conn *conn, uint64_t now)
{
    if (conn->state != H1_CONN_IDLE)
        return;
    counter_add(&conn->h1->counters.closed_idle, 1);
    h1_change(conn, H1_CAUSE_LAST);
    conn->handler->available(conn, now);
}

void h1_transport_ended(struct h1_conn *conn, bool failed, uint64_t now)
{
    if (failed) {
        conn->hard = true;
        h1_close(conn, now);
        return;
    }
    conn->ended = true;
    h1_read(conn, now);
    ended_well(conn, now);
}

void h1_in(struct h1_conn *conn, uint64_t now)
{
    h1_read(conn, now);
}

void h1_writable(struct h1_conn *conn)
{
    h1_wake(conn);
}

void *h1_conn_owner(const struct h1_conn *conn)
{
    return conn->owner;
}

uint32_t h1_exchange_count(const struct h1_conn *conn)
{
    return conn->exchanges;
}

bool h1_is_until_close(const struct h1_conn *conn)
{
    return conn->parser.until_close;
}

uint64_t h1_keeps_for_ns(const struct h1_conn *conn)
{
    return conn->parser.keeps_for_s * CLOCK_S;
}

/* Only what grows by percents may not fit: it is tried. */
static enum h1_violation check_room(struct h1 *h1, const struct fields *request)
{
    struct writer out = writer_over(h1->head, h1->head_capacity);
    struct h1_framing framing;
    if (!h1_request_grows(request))
        return H1_VIOLATION_none;
    return h1_request_write(request, false, &out, &framing);
}

bool h1_takes(struct h1 *h1, const struct fields *request, bool *tunnel)
{
    enum h1_violation violation = h1_request_check(request);
    if (violation == H1_VIOLATION_none)
        violation = check_room(h1, request);
    *tunnel = violation == H1_VIOLATION_request_tunnel;
    h1_violation_count(&h1->counters, violation);
    return violation == H1_VIOLATION_none;
}
