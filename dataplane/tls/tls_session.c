/*
 * tls_session: the engine, and the life of a session: handshake, open, closing or broken.
 */
#include "dataplane/base/clock.h"
#include "dataplane/base/memory.h"
#include "dataplane/tls/tls_private.h"

#include <openssl/err.h>

#define HANDSHAKES_A_TURN 4
#define NEWS_A_TURN       1024
#define CLOSE_TIMEOUT_NS  (10 * CLOCK_S)

static bool create_pools(struct tls *tls)
{
    const struct tls_config *config = &tls->config;
    tls->gathered = memory_take("tls buffers", TLS_RECORD_BYTES, config->socket_id);
    tls->plain = memory_take("tls buffers", TLS_RECORD_BYTES, config->socket_id);
    return tls->gathered != NULL && tls->plain != NULL && tls_key_log_init(tls) &&
           pool_init(&tls->sessions, "tls sessions", POOL_RESTING, config->sessions_max,
                     sizeof(struct tls_session), config->socket_id) &&
           pool_init(&tls->kept, "tls kept", POOL_LIFO, config->kept_max, TLS_RECORD_BYTES,
                     config->socket_id);
}

struct tls *tls_create(const struct tls_config *config)
{
    struct tls *tls = memory_take("tls engines", sizeof(*tls), config->socket_id);
    if (tls == NULL || !tls_bio_init())
        return NULL;
    tls->config = *config;
    list_init(&tls->handshakes);
    list_init(&tls->own_handshakes);
    list_init(&tls->news);
    if (config->memory_bytes > 0) {
        tls->arena = tls_arena_create(config->memory_bytes, config->socket_id);
        if (tls->arena == NULL)
            return NULL;
    }
    return create_pools(tls) ? tls : NULL;
}

void tls_enter(struct tls *tls)
{
    tls_arena_enter(tls->arena);
}

struct tls_counters *tls_counters(struct tls *tls)
{
    return &tls->counters;
}

uint32_t tls_session_count(const struct tls *tls)
{
    return pool_used(&tls->sessions);
}

void tls_set_app(struct tls_session *session, const struct tls_app *app, void *context)
{
    session->app = app;
    session->context = context;
}

void tls_session_info(const struct tls_session *session, uint64_t now, struct tcp_info *out)
{
    tcp_info(session->tcp, now, out);
}

static void note_failure(struct tls_session *session)
{
    if (session->state == TLS_HANDSHAKE && session->target != NULL)
        tls_target_failed(session->target);
}

void tls_session_free(struct tls_session *session)
{
    struct tls *tls = session->tls;
    note_failure(session);
    if (tls->gathering == session) {
        tls->gathering = NULL;
        tls->gathered_bytes = 0;
    }
    if (tls->reading == session)
        tls->reading = NULL;
    if (session->kept != NULL)
        pool_give(&tls->kept, session->kept);
    for (uint32_t i = 0; i < session->waiting_count; i++)
        pool_give(&tls->kept, session->waiting[i].data);
    list_remove(&session->link);
    timer_cancel(tls->config.wheel, &session->deadline);
    /* A lost connection says nothing against its session; to OpenSSL it would. */
    if (session->target != NULL && (session->state != TLS_BROKEN || session->tcp_failed))
        SSL_set_shutdown(session->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(session->ssl);
    tls_profile_drop(session->profile);
    tls_target_drop(session->target);
    pool_give(&tls->sessions, session);
}

void tls_session_tell(struct tls_session *session, uint32_t events)
{
    session->events |= events;
    if (!list_is_linked(&session->link))
        list_push_back(&session->tls->news, &session->link);
}

void tls_session_fail(struct tls_session *session)
{
    if (session->state == TLS_BROKEN)
        return;
    note_failure(session);
    session->state = TLS_BROKEN;
    tls_session_tell(session, TCP_FAILED);
}

void tls_session_abort(struct tls_session *session)
{
    /* After a violation of TLS the alert that says so still goes out. */
    if (session->state == TLS_BROKEN && !session->tcp_failed)
        tcp_close(session->tcp);
    else
        tcp_abort(session->tcp);
    tls_session_free(session);
}

void tls_session_close(struct tls_session *session)
{
    if (session->tls->reading == session)
        session->tls->reading = NULL; /* who reads it has gone */
    if (session->state == TLS_BROKEN) {
        tls_session_abort(session);
        return;
    }
    session->state = TLS_CLOSING;
    if (!tls_records_flush(session)) {
        if (!timer_is_armed(&session->deadline))
            timer_arm(session->tls->config.wheel, &session->deadline,
                      session->tls->now + CLOSE_TIMEOUT_NS);
        tls_session_tell(session, 0);
        return;
    }
    tls_forget_errors();
    (void)SSL_shutdown(session->ssl); /* close_notify; without room for it the end is only FIN */
    tcp_close(session->tcp);
    tls_session_free(session);
}

/* The handshake, or the last record, has had its time. */
static void give_up(struct timer *timer, void *context, uint64_t now)
{
    struct tls_session *session = context;
    if (session->state == TLS_HANDSHAKE)
        counter_add(&session->tls->counters.handshake_timeouts, 1);
    tcp_abort(session->tcp);
    tls_session_free(session);
}

static void handshake_event(struct tls_session *session, uint32_t events)
{
    if (events & TCP_FAILED) {
        tls_handshake_lose(session);
        return;
    }
    if (events & (TCP_READABLE | TCP_EOF))
        tls_handshake_queue(session);
}

/*
 * TCP's end is not told: the stream's end is close_notify, or it is cut (RFC 8446 6.1). Reading
 * finds out which, after the bytes before it.
 */
static void open_event(struct tls_session *session, uint32_t events, uint64_t now)
{
    if (events & TCP_EOF)
        events = (events & ~(uint32_t)TCP_EOF) | TCP_READABLE;
    if (events & TCP_FAILED)
        session->state = TLS_BROKEN;
    else if (events & TCP_WRITABLE && !tls_records_flush(session))
        events &= ~(uint32_t)TCP_WRITABLE; /* it is told when the record has gone */
    if (events != 0)
        session->app->event(session->context, session, events, now);
}

static void tcp_event(void *app, struct tcp_conn *conn, uint32_t events, uint64_t now)
{
    struct tls_session *session = app;
    session->tls->now = now;
    session->tcp_ended |= (events & (TCP_EOF | TCP_FAILED)) != 0;
    session->tcp_failed |= (events & TCP_FAILED) != 0;
    switch (session->state) {
    case TLS_HANDSHAKE:
        handshake_event(session, events);
        break;
    case TLS_OPEN:
        open_event(session, events, now);
        break;
    case TLS_CLOSING:
        if (events & TCP_FAILED)
            tls_session_abort(session);
        else
            tls_session_close(session);
        break;
    case TLS_BROKEN:
        break; /* its owner will be told, or was */
    }
}

static const struct tcp_app session_app = {.event = tcp_event};

/*
 * What is of handshake type after the handshake is counted: a peer may not make us work on it for
 * ever. Messages, and in TLS 1.2 records, too, whose header says so: of a client hello that would
 * negotiate anew OpenSSL tells nothing else, and answers each with an alert (RFC 5246 7.2.2).
 */
static void on_message(int written, int version, int type, const void *data, size_t length,
                       SSL *ssl, void *argument)
{
    struct tls_session *session = argument;
    bool message = type == SSL3_RT_HANDSHAKE;
    bool record =
        type == SSL3_RT_HEADER && length > 0 && ((const uint8_t *)data)[0] == SSL3_RT_HANDSHAKE;
    if (!written && (message || record) && session->state == TLS_OPEN)
        session->messages++;
}

/* SSL is taken over; NULL: there was no memory for it. */
static bool start_ssl(struct tls_session *session, SSL *ssl)
{
    session->ssl = ssl;
    BIO *bio = ssl != NULL ? tls_bio_new(session) : NULL;
    if (bio == NULL)
        return false;
    SSL_set_bio(ssl, bio, bio);
    SSL_set_app_data(ssl, session);
    SSL_set_msg_callback(ssl, on_message);
    SSL_set_msg_callback_arg(ssl, session);
    return true;
}

static SSL *accepting_ssl(const struct tls_profile *profile)
{
    SSL *ssl = SSL_new(profile->contexts[0].context);
    if (ssl != NULL)
        SSL_set_accept_state(ssl);
    return ssl;
}

/* BEGUN says what kind of session it is, and whose. Takes CONN, and lets go of it on failure. */
static struct tls_session *begin(struct tls *tls, const struct tls_session *begun)
{
    struct tls_session *session = pool_take(&tls->sessions);
    if (session == NULL) {
        counter_add(&tls->counters.no_session, 1);
        tcp_abort(begun->tcp);
        return NULL;
    }
    *session = *begun;
    session->tls = tls;
    session->state = TLS_HANDSHAKE;
    if (session->target != NULL)
        tls_target_hold(session->target);
    else
        tls_profile_hold(session->profile);
    list_init(&session->link);
    timer_init(&session->deadline, give_up, session);
    tls_forget_errors();
    if (start_ssl(session, session->target != NULL ? tls_target_ssl(session->target)
                                                   : accepting_ssl(session->profile))) {
        tcp_set_app(session->tcp, &session_app, session);
        return session;
    }
    counter_add(&tls->counters.no_memory, 1);
    tcp_abort(session->tcp);
    tls_session_free(session);
    return NULL;
}

struct tls_session *tls_accept(struct tls *tls, const struct tls_profile *profile,
                               struct tcp_conn *conn, const struct tls_app *app, void *context,
                               uint64_t now)
{
    if (tls->arena != NULL && tls_arena_is_short(tls->arena)) {
        counter_add(&tls->counters.no_memory, 1);
        tcp_abort(conn);
        return NULL;
    }
    struct tls_session *session = begin(
        tls,
        &(struct tls_session){.profile = profile, .tcp = conn, .app = app, .context = context});
    if (session == NULL)
        return NULL;
    timer_arm(tls->config.wheel, &session->deadline, now + tls->config.handshake_timeout_ns);
    counter_add(&tls->counters.accepted, 1);
    return session;
}

struct tls_session *tls_connect(struct tls *tls, const struct tls_target *target,
                                struct tcp_conn *conn, const struct tls_app *app, void *context,
                                uint64_t now)
{
    struct tls_session *session = begin(
        tls, &(struct tls_session){.target = target, .tcp = conn, .app = app, .context = context});
    if (session == NULL)
        return NULL;
    tls->now = now;
    counter_add(&tls->counters.connected, 1);
    tls_handshake_queue(session); /* it is ours to speak first */
    return session;
}

void tls_session_events(struct tls_session *session, uint32_t events, uint64_t now)
{
    if (events != 0)
        tcp_event(session, session->tcp, events, now);
}

static void tell_news(struct tls_session *session, uint64_t now)
{
    if (session->state == TLS_CLOSING) {
        tls_session_close(session);
        return;
    }
    bool waited = session->waiting_count > 0;
    if (waited && session->state == TLS_OPEN && !tls_records_flush(session))
        tls_session_tell(session, 0);
    else if (waited)
        session->events |= TCP_WRITABLE;
    uint32_t events = session->events;
    session->events = 0;
    if (events & TCP_FAILED)
        events = TCP_FAILED;
    if (events != 0)
        session->app->event(session->context, session, events, now);
}

/* Some of QUEUE. */
static bool run_handshakes(struct tls *tls, struct list *queue, uint64_t now)
{
    uint32_t done = 0;
    struct list *link;
    while (done < HANDSHAKES_A_TURN && (link = list_pop_front(queue)) != NULL) {
        tls_handshake_step(list_entry(link, struct tls_session, link), now);
        done++;
    }
    if (!list_is_empty(queue))
        counter_add(&tls->counters.handshakes_put_off, 1);
    return done > 0;
}

static bool run_news(struct tls *tls, uint64_t now)
{
    struct list here;
    list_init(&here);
    list_append_all(&here, &tls->news); /* what is told from here on waits for the next turn */
    uint32_t done = 0;
    struct list *link;
    while (done < NEWS_A_TURN && (link = list_pop_front(&here)) != NULL) {
        tell_news(list_entry(link, struct tls_session, link), now);
        done++;
    }
    list_prepend_all(&tls->news, &here);
    return done > 0;
}

static void set_gauges(struct tls *tls)
{
    if (tls->arena == NULL)
        return;
    counter_set(&tls->counters.memory_used, tls_arena_used_bytes(tls->arena));
    counter_set(&tls->counters.memory_most, tls_arena_most_bytes(tls->arena));
    counter_set(&tls->counters.memory_refused, tls_arena_refused(tls->arena));
}

bool tls_turn(struct tls *tls, uint64_t now)
{
    tls->now = now;
    bool busy = run_handshakes(tls, &tls->own_handshakes, now);
    busy |= run_handshakes(tls, &tls->handshakes, now);
    busy |= run_news(tls, now);
    set_gauges(tls);
    return busy;
}
