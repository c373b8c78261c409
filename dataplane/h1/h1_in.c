#include "dataplane/base/check.h"
#include "dataplane/base/counter.h"
#include "dataplane/h1/h1_conn.h"

static bool is_over(const struct h1_conn *conn)
{
    return conn->parser.place == H1_OVER;
}

/* Whether the connection is as it was before the exchange (C26, RFC 9112 9.3). */
static enum h1_conn_cause cause_of_end(struct h1_conn *conn, bool more)
{
    if (more) {
        h1_violation_count(&conn->h1->counters, H1_VIOLATION_bytes_unasked);
        return H1_CAUSE_DOUBTFUL;
    }
    if (!conn->request_ended) {
        counter_add(&conn->h1->counters.requests_cut_short, 1);
        return H1_CAUSE_DOUBTFUL;
    }
    return conn->parser.last || conn->ended || conn->retires ? H1_CAUSE_LAST : H1_CAUSE_KEPT;
}

/* The answer is complete, and has been told. MORE bytes follow it. */
static void finish(struct h1_conn *conn, bool more, uint64_t now)
{
    enum h1_conn_cause cause = cause_of_end(conn, more);
    h1_clean(conn);
    h1_change(conn, cause);
    counter_add(cause == H1_CAUSE_KEPT ? &conn->h1->counters.kept : &conn->h1->counters.not_kept,
                1);
    conn->handler->finished(conn, now);
    if (conn->state == H1_CONN_SPENT)
        conn->handler->available(conn, now);
}

/* --- what was found --- */

static void count_head(struct h1_conn *conn)
{
    struct h1_counters *counters = &conn->h1->counters;
    counter_add(&counters->answers, 1);
    if (conn->parser.place == H1_CHUNK_SIZE)
        counter_add(&counters->answers_chunked, 1);
    if (conn->parser.until_close)
        counter_add(&counters->answers_until_close, 1);
}

/* RFC 9112 9.5: who has answered and will close does not want the rest. */
static void tell_head(struct h1_conn *conn, uint64_t now)
{
    struct h1_block *block = conn->block;
    count_head(conn);
    conn->unwanted = conn->parser.last && !conn->request_ended;
    conn->handler->headers(conn, &block->fields, H2_SECTION_HEADERS, is_over(conn), now);
    if (conn->state == H1_CONN_BUSY)
        h1_block_give(conn);
}

static void tell_interim(struct h1_conn *conn, uint64_t now)
{
    counter_add(&conn->h1->counters.answers_interim, 1);
    conn->handler->headers(conn, &conn->block->fields, H2_SECTION_INTERIM, false, now);
    if (conn->state == H1_CONN_BUSY)
        h1_block_give(conn);
}

/* Before it is told: its bytes are no longer allowed for. */
static void tell_data(struct h1_conn *conn, struct bytes data, uint64_t now)
{
    check(data.length <= conn->credit);
    conn->credit -= data.length;
    counter_add(&conn->h1->counters.body_in, data.length);
    conn->handler->data(conn, data, is_over(conn), now);
}

/* A section that does not fit is the owner's matter, as in HTTP/2: it cancels. */
static void tell_bad(struct h1_conn *conn, uint64_t now)
{
    enum h1_violation why = conn->parser.violation;
    bool too_large = why == H1_VIOLATION_head_too_large || why == H1_VIOLATION_fields_too_many;
    if (!too_large) {
        h1_fail(conn, why, (struct h2_reset){.code = H2_PROTOCOL_ERROR}, now);
        return;
    }
    h1_violation_count(&conn->h1->counters, why);
    conn->handler->headers(conn, &conn->block->fields, H2_SECTION_HEADERS, false, now);
    check(conn->state != H1_CONN_BUSY);
}

static void act(struct h1_conn *conn, const struct h1_step *step, uint64_t now)
{
    switch (step->found) {
    case H1_FOUND_NOTHING:
        break;
    case H1_FOUND_NO_BLOCK:
        h1_block_take(conn, now);
        break;
    case H1_FOUND_INTERIM:
        tell_interim(conn, now);
        break;
    case H1_FOUND_HEAD:
        tell_head(conn, now);
        break;
    case H1_FOUND_DATA:
        tell_data(conn, step->data, now);
        break;
    case H1_FOUND_TRAILERS:
        conn->handler->headers(conn, &conn->block->fields, H2_SECTION_TRAILERS, true, now);
        break;
    case H1_FOUND_END:
        conn->handler->data(conn, BYTES_NONE, true, now);
        break;
    case H1_FOUND_BAD:
        tell_bad(conn, now);
        break;
    }
}

/* --- reading --- */

/* Before there is a request, or before a byte of it was sent: another connection may take it. */
static void refuse_view(struct h1_conn *conn, struct bytes view, uint64_t now)
{
    conn->transport.ops->read_done(conn->transport.stream, (uint32_t)view.length);
    if (conn->state == H1_CONN_IDLE)
        h1_unasked(conn, now);
    else
        h1_fail(conn, H1_VIOLATION_bytes_unasked,
                (struct h2_reset){.conn_lost = true, .unprocessed = true}, now);
}

/* The next view of the transport. False: nothing more can be done with it now. */
static bool read_view(struct h1_conn *conn, uint64_t now)
{
    const struct transport *transport = &conn->transport;
    struct bytes view = transport->ops->read(transport->stream);
    if (view.length == 0)
        return false;
    if (conn->state == H1_CONN_IDLE || !conn->head_sent) {
        refuse_view(conn, view, now);
        return false;
    }
    uint32_t max = conn->credit < UINT32_MAX ? (uint32_t)conn->credit : UINT32_MAX;
    struct h1_step step = h1_parse(&conn->parser, view, max);
    act(conn, &step, now);
    if (conn->state == H1_CONN_BUSY && is_over(conn))
        finish(conn, step.taken < view.length, now);
    transport->ops->read_done(transport->stream, step.taken);
    return step.taken > 0 || step.found == H1_FOUND_NO_BLOCK;
}

/* RFC 9112 8: the end of the connection is that of the answer, or cuts it. */
static void at_end(struct h1_conn *conn, uint64_t now)
{
    if (h1_parser_ends(&conn->parser)) {
        conn->handler->data(conn, BYTES_NONE, true, now);
        if (conn->state == H1_CONN_BUSY)
            finish(conn, false, now);
        return;
    }
    bool began = conn->parser.status != 0;
    h1_fail(conn, began ? conn->parser.violation : H1_VIOLATION_none,
            (struct h2_reset){.conn_lost = true, .unprocessed = !conn->head_sent}, now);
}

static void pause(struct h1_conn *conn)
{
    counter_add(&conn->h1->counters.reading_paused, 1);
    if (conn->handler->paused != NULL)
        conn->handler->paused(conn);
}

/* A body without credit: what TLS would decrypt now it had to keep. */
static bool is_held(const struct h1_conn *conn)
{
    return conn->state == H1_CONN_BUSY && conn->credit == 0 && h1_parser_in_body(&conn->parser);
}

void h1_read(struct h1_conn *conn, uint64_t now)
{
    conn->reads = true;
    while (conn->state != H1_CONN_SPENT && !is_held(conn) && read_view(conn, now))
        ;
    if (conn->state == H1_CONN_BUSY && conn->ended && !h1_has_bytes(conn))
        at_end(conn, now);
    conn->reads = false;
    if (is_held(conn))
        pause(conn);
}
