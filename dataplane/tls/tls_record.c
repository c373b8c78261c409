/*
 * tls_record: plain bytes become records and records plain bytes: the transport of an open session.
 *
 * Sending: pieces are gathered in the worker's one buffer, for one session at a time, and are a
 * record when another session sends, when the record is full, or when the turn ends: a record costs
 * as much as the ciphering of some kilobytes, a copy next to nothing. When TCP has no memory for a
 * record, the session keeps its bytes and takes nothing more until it is gone.
 * Receiving: one record at a time in the worker's other buffer; what the owner leaves there is kept
 * with the session.
 */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/tls/tls_private.h"

#include <openssl/err.h>
#include <string.h>

/* More than the headers, nonces and tags of all records of a piece and of what is gathered. */
#define RECORDS_EXTRA 256

/*
 * A record is read when all of it has come. So they are short after a pause, when the congestion
 * window lets a few packets through; in flow they are as long as they may be.
 */
#define FIRST_RECORD_BYTES 4096
#define FIRST_BYTES        32768
#define PAUSE_NS           CLOCK_S

static void count_failure(struct tls *tls)
{
    int reason = ERR_GET_REASON(ERR_peek_error());
    if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256)
        counter_add(&tls->counters.alerts_received, 1);
    else if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        counter_add(&tls->counters.truncated, 1);
    else if (reason == ERR_R_MALLOC_FAILURE)
        counter_add(&tls->counters.no_memory, 1);
    else
        counter_add(&tls->counters.records_broken, 1);
}

static void fail_writing(struct tls_session *session)
{
    count_failure(session->tls);
    tls_session_fail(session);
}

/*
 * TCP has no memory. OpenSSL wants the same bytes again: it may hold the record, or it may have
 * something else to send first and have looked at nothing yet. So they are kept with the session.
 * There are two at most: the one that was refused, and the rest of the piece that it is from.
 */
static bool wait_for_tcp(struct tls_session *session, const uint8_t *data, uint32_t length)
{
    struct tls *tls = session->tls;
    check(session->waiting_count < TLS_WAITING_MAX);
    uint8_t *copy = pool_take(&tls->kept);
    if (copy == NULL) {
        counter_add(&tls->counters.kept_shed, 1);
        tls_session_fail(session);
        return false;
    }
    memcpy(copy, data, length);
    session->waiting[session->waiting_count++] = (struct tls_waiting){copy, length};
    counter_add(&tls->counters.writes_waited, 1);
    tls_session_tell(session, 0);
    return true;
}

static void count_sent(struct tls_session *session, uint32_t length)
{
    counter_add(&session->tls->counters.bytes_out, length);
    counter_add(&session->tls->counters.records_out, 1);
    session->sent_at_ns = session->tls->now;
    if (session->flow_bytes < FIRST_BYTES)
        session->flow_bytes += length;
}

/* Hand bytes of at most a record to OpenSSL. True: they are taken, TCP may not have them yet. */
static bool encrypt(struct tls_session *session, const uint8_t *data, uint32_t length)
{
    size_t done = 0;
    if (session->waiting_count > 0)
        return wait_for_tcp(session, data, length);
    tls_forget_errors();
    if (SSL_write_ex(session->ssl, data, length, &done) == 1 && done == length)
        return true;
    if (done == 0 && SSL_get_error(session->ssl, 0) == SSL_ERROR_WANT_WRITE)
        return wait_for_tcp(session, data, length);
    fail_writing(session);
    return false;
}

static void end_waiting(struct tls_session *session)
{
    pool_give(&session->tls->kept, session->waiting[0].data);
    session->waiting[0] = session->waiting[1];
    session->waiting_count--;
}

static bool flush_waiting(struct tls_session *session)
{
    while (session->waiting_count > 0) {
        size_t done = 0;
        uint32_t length = session->waiting[0].length;
        tls_forget_errors();
        bool written = SSL_write_ex(session->ssl, session->waiting[0].data, length, &done) == 1;
        if (!written && SSL_get_error(session->ssl, 0) == SSL_ERROR_WANT_WRITE)
            return false;
        end_waiting(session);
        if (!written || done != length)
            fail_writing(session);
    }
    return true;
}

static void flush_gathered(struct tls *tls)
{
    struct tls_session *session = tls->gathering;
    uint32_t length = tls->gathered_bytes;
    tls->gathering = NULL;
    tls->gathered_bytes = 0;
    if (session == NULL || length == 0 || session->state == TLS_BROKEN)
        return;
    count_sent(session, length);
    /* Whom the gathered bytes left no room is told of some: TCP may be short of it only now. */
    if (encrypt(session, tls->gathered, length))
        (void)tcp_copy_room(session->tcp);
}

void tls_flush(struct tls *tls)
{
    flush_gathered(tls);
}

bool tls_records_flush(struct tls_session *session)
{
    if (session->tls->gathering == session)
        flush_gathered(session->tls);
    return flush_waiting(session);
}

static bool takes(const struct tls_session *session)
{
    return session->state == TLS_OPEN && session->waiting_count == 0;
}

/* What TCP takes, less what records add and what waits to become one. */
static uint32_t record_room(void *stream)
{
    struct tls_session *session = stream;
    struct tls *tls = session->tls;
    if (!takes(session))
        return 0;
    uint32_t taken = RECORDS_EXTRA + (tls->gathering == session ? tls->gathered_bytes : 0);
    uint32_t room = tcp_copy_room(session->tcp);
    if (room <= taken)
        return 0;
    return room - taken < TLS_RECORD_BYTES ? room - taken : TLS_RECORD_BYTES;
}

/* Plain bytes of the session's next record. */
static uint32_t next_record_bytes(struct tls_session *session)
{
    if (session->waiting_count > 0)
        return TLS_RECORD_BYTES; /* the rest of a piece waits, too, in one buffer */
    if (session->tls->now - session->sent_at_ns > PAUSE_NS)
        session->flow_bytes = 0;
    return session->flow_bytes < FIRST_BYTES ? FIRST_RECORD_BYTES : TLS_RECORD_BYTES;
}

static void begin_gathering(struct tls_session *session)
{
    struct tls *tls = session->tls;
    if (tls->gathering == session)
        return;
    flush_gathered(tls);
    tls->gathering = session;
    tls->gathered_max = next_record_bytes(session);
}

/* Pieces are at most as long as a record. */
static void gather(struct tls_session *session, const uint8_t *data, uint32_t length)
{
    struct tls *tls = session->tls;
    while (length > 0) {
        begin_gathering(session);
        uint32_t part = tls->gathered_max - tls->gathered_bytes;
        if (part > length)
            part = length;
        memcpy(tls->gathered + tls->gathered_bytes, data, part);
        tls->gathered_bytes += part;
        data += part;
        length -= part;
        if (tls->gathered_bytes == tls->gathered_max)
            flush_gathered(tls);
    }
}

static bool record_send_copy(void *stream, struct bytes bytes)
{
    struct tls_session *session = stream;
    if (!takes(session) || bytes.length > TLS_RECORD_BYTES)
        return false;
    gather(session, bytes.data, (uint32_t)bytes.length);
    return true;
}

static bool record_send_segment(void *stream, struct segment *segment, uint32_t offset,
                                uint32_t length)
{
    return record_send_copy(stream, bytes_of(segment->data + offset, length));
}

/* A record that nobody took is there first. */
static struct bytes kept_view(const struct tls_session *session)
{
    return bytes_of(session->kept + session->kept_at, session->kept_end - session->kept_at);
}

static void end_reading(struct tls_session *session, int result)
{
    int error = SSL_get_error(session->ssl, result);
    if (error == SSL_ERROR_WANT_READ)
        return;
    if (error == SSL_ERROR_WANT_WRITE) { /* an answer of TLS itself has to go first */
        tls_session_tell(session, TCP_READABLE);
        return;
    }
    if (error == SSL_ERROR_ZERO_RETURN) {
        session->peer_done = true;
        counter_add(&session->tls->counters.closed_clean, 1);
        tls_session_tell(session, TCP_EOF);
        return;
    }
    count_failure(session->tls);
    tls_session_fail(session);
}

/* Whether OpenSSL would find anything: to let it look costs as much as a record. */
static bool has_input(const struct tls_session *session)
{
    return session->tcp_ended || tcp_read(session->tcp).length > 0 ||
           SSL_has_pending(session->ssl) == 1;
}

static struct bytes record_read(void *stream)
{
    struct tls_session *session = stream;
    struct tls *tls = session->tls;
    size_t length = 0;
    if (session->kept != NULL)
        return kept_view(session);
    if (session->state != TLS_OPEN || session->peer_done)
        return BYTES_NONE;
    if (tls->reading != NULL) { /* somebody is in the middle of the buffer */
        tls_session_tell(session, TCP_READABLE);
        return BYTES_NONE;
    }
    if (!has_input(session))
        return BYTES_NONE;
    tls_forget_errors();
    int result = SSL_read_ex(session->ssl, tls->plain, TLS_RECORD_BYTES, &length);
    if (session->messages > TLS_MESSAGES_MAX) {
        counter_add(&tls->counters.key_update_floods, 1);
        tls_session_fail(session);
        return BYTES_NONE;
    }
    if (result != 1) {
        end_reading(session, result);
        return BYTES_NONE;
    }
    counter_add(&tls->counters.bytes_in, length);
    counter_add(&tls->counters.records_in, 1);
    tls->reading = session;
    tls->plain_bytes = (uint32_t)length;
    return bytes_of(tls->plain, length);
}

/* The buffer is needed for others: what is left of it stays with the session. */
static void keep(struct tls_session *session, uint32_t from)
{
    struct tls *tls = session->tls;
    session->kept = pool_take(&tls->kept);
    if (session->kept == NULL) {
        counter_add(&tls->counters.kept_shed, 1);
        tls_session_fail(session);
        return;
    }
    counter_add(&tls->counters.kept, 1);
    session->kept_at = 0;
    session->kept_end = tls->plain_bytes - from;
    memcpy(session->kept, tls->plain + from, session->kept_end);
}

static void record_read_done(void *stream, uint32_t count)
{
    struct tls_session *session = stream;
    struct tls *tls = session->tls;
    if (session->kept != NULL) {
        session->kept_at += count;
        if (session->kept_at < session->kept_end)
            return;
        pool_give(&tls->kept, session->kept);
        session->kept = NULL;
        return;
    }
    if (tls->reading != session)
        return;
    tls->reading = NULL;
    if (count < tls->plain_bytes)
        keep(session, count);
}

static void record_close(void *stream)
{
    tls_session_close(stream);
}

static void record_abort(void *stream)
{
    tls_session_abort(stream);
}

static uint64_t record_rtt_ns(void *stream, uint64_t now)
{
    const struct tls_session *session = stream;
    struct tcp_info info;
    tcp_info(session->tcp, now, &info);
    return info.smoothed_rtt_ns;
}

static uint64_t record_silent_for_ns(void *stream, uint64_t now)
{
    const struct tls_session *session = stream;
    struct tcp_info info;
    tcp_info(session->tcp, now, &info);
    return info.silent_for_ns;
}

static const struct transport_ops record_ops = {
    .room = record_room,
    .send_copy = record_send_copy,
    .send_segment = record_send_segment,
    .read = record_read,
    .read_done = record_read_done,
    .close = record_close,
    .abort = record_abort,
    .rtt_ns = record_rtt_ns,
    .silent_for_ns = record_silent_for_ns,
};

struct transport transport_tls(struct tls_session *session)
{
    return (struct transport){&record_ops, session};
}
