#include "dataplane/base/check.h"
#include "dataplane/base/counter.h"
#include "dataplane/base/random.h"
#include "dataplane/upstream/upstream_private.h"

/* Legal transitions. Nothing leads back to CONNECTING, which is 0: not a transition. */
static const enum upstream_conn_state transitions[UPSTREAM_CONN_STATES][UPSTREAM_CONN_CAUSES] = {
    [UPSTREAM_CONNECTING] =
        {
            [UPSTREAM_CONNECTED] = UPSTREAM_SECURING,
            [UPSTREAM_ESTABLISHED] = UPSTREAM_OPENING,
            [UPSTREAM_RETIRED] = UPSTREAM_CLOSED,
            [UPSTREAM_OVER] = UPSTREAM_CLOSED,
        },
    [UPSTREAM_SECURING] =
        {
            [UPSTREAM_ESTABLISHED] = UPSTREAM_OPENING,
            [UPSTREAM_RETIRED] = UPSTREAM_CLOSED,
            [UPSTREAM_OVER] = UPSTREAM_CLOSED,
        },
    [UPSTREAM_OPENING] =
        {
            [UPSTREAM_GREETED] = UPSTREAM_OPEN,
            [UPSTREAM_DOOR_CLOSED] = UPSTREAM_DRAINING,
            [UPSTREAM_RETIRED] = UPSTREAM_DRAINING,
            [UPSTREAM_OVER] = UPSTREAM_CLOSED,
        },
    [UPSTREAM_OPEN] =
        {
            [UPSTREAM_DOOR_CLOSED] = UPSTREAM_DRAINING,
            [UPSTREAM_RETIRED] = UPSTREAM_DRAINING,
            [UPSTREAM_OVER] = UPSTREAM_CLOSED,
        },
    [UPSTREAM_DRAINING] =
        {
            [UPSTREAM_OVER] = UPSTREAM_CLOSED,
        },
};

static struct upstream_slot *slot_of(const struct upstream_conn *conn)
{
    return &conn->upstream->slots[conn->slot];
}

static struct backend_load *load_of(const struct upstream_conn *conn)
{
    return upstream_load(conn->upstream, conn->slot, conn->generation);
}

static void arm(struct upstream_conn *conn, uint64_t due_at_ns)
{
    timer_arm(conn->upstream->config.wheel, &conn->timer, due_at_ns);
}

static void arm_for_idle(struct upstream_conn *conn)
{
    arm(conn, conn->idle_since_ns + conn->idle_for_ns);
}

static void begin_idling(struct upstream_conn *conn, uint64_t now)
{
    conn->idle_since_ns = now;
    conn->idle_for_ns = conn->speaks->idle_for_ns(conn);
    list_push_back(&conn->upstream->idle, &conn->idle);
    if (!conn->suspect)
        arm_for_idle(conn);
}

/* --- entering states --- */

static void enter_open(struct upstream_conn *conn, uint64_t now)
{
    struct upstream *upstream = conn->upstream;
    struct backend_load *load = load_of(conn);
    uint64_t age_ns = upstream->config.max_age_ns;
    age_ns = age_ns > 0 ? age_ns : UPSTREAM_AGE_NS;
    uint64_t jitter_ms = age_ns / UPSTREAM_AGE_JITTER / CLOCK_MS + 1;
    conn->retire_at_ns =
        now + age_ns + random_below(upstream->config.random, (uint32_t)jitter_ms) * CLOCK_MS;
    upstream_path_opened(conn);
    counter_add(&upstream->counters.connections_opened, 1);
    if (load != NULL) {
        counter_add(&load->connected, 1);
        counter_set(&load->connect_failed_row, 0);
    }
    uint32_t room = conn->speaks->room(conn);
    slot_of(conn)->streams_expected =
        room < 1 ? 1 : (room < UPSTREAM_STREAMS_ASSUMED ? room : UPSTREAM_STREAMS_ASSUMED);
    begin_idling(conn, now);
}

/* The slot does not count on the connection any more. */
static void leave_slot(struct upstream_conn *conn)
{
    list_remove(&conn->link);
    slot_of(conn)->connection_count--;
    upstream_path_left(conn);
    if (slot_of(conn)->waiting_count > 0)
        slot_touch(conn->upstream, conn->slot);
}

static void enter_draining(struct upstream_conn *conn, uint64_t now)
{
    leave_slot(conn);
    list_push_back(&conn->upstream->retiring, &conn->link);
    arm(conn, now + (conn->attempt_count > 0 ? UPSTREAM_WATCH_NS : UPSTREAM_END_NS));
}

static void count_connect_failure(struct upstream_conn *conn)
{
    struct upstream_counters *counters = &conn->upstream->counters;
    struct backend_load *load = load_of(conn);
    if (conn->failure == ATTEMPT_NO_ROOM) {
        counter_add(&counters->connects_no_room, 1); /* our own lack is nobody's failure */
        return;
    }
    if (conn->failure == ATTEMPT_CONNECT_TIMEOUT)
        counter_add(&counters->connects_timeout, 1);
    else if (conn->failure == ATTEMPT_UNREACHABLE)
        counter_add(&counters->connects_unreachable, 1);
    else if (conn->failure == ATTEMPT_TLS_FAILED)
        counter_add(&counters->connects_tls_failed, 1);
    else
        counter_add(&counters->connects_refused, 1);
    if (load == NULL)
        return;
    counter_add(&load->outcomes[BACKEND_CONNECT_FAILED], 1);
    counter_add(&load->connect_failed_row, 1);
}

/* It ended without having been of use: those who wait move on if nothing else is coming. */
static void let_down(struct upstream_conn *conn, uint64_t now)
{
    slot_of(conn)->grow_after_ns = now + UPSTREAM_GROW_PAUSE_NS;
    if (!slot_has_hope(slot_of(conn)))
        slot_fail_waiting(conn->upstream, conn->slot, conn->failure);
}

static void enter_closed(struct upstream_conn *conn)
{
    struct backend_load *load = load_of(conn);
    check(conn->attempt_count == 0);
    timer_cancel(conn->upstream->config.wheel, &conn->timer);
    list_remove(&conn->link);
    list_push_back(&conn->upstream->closed, &conn->link);
    if (load != NULL)
        counter_set(&load->connections, load->connections - 1);
}

/* The one place where a connection changes state. */
static void conn_change(struct upstream_conn *conn, enum upstream_conn_cause cause, uint64_t now)
{
    enum upstream_conn_state before = conn->state;
    enum upstream_conn_state after = transitions[before][cause];
    check(after != UPSTREAM_CONNECTING);
    conn->state = after;
    if (before == UPSTREAM_OPEN)
        list_remove(&conn->idle);
    if (after == UPSTREAM_SECURING || after == UPSTREAM_OPENING)
        arm(conn, now + UPSTREAM_WATCH_NS);
    else if (after == UPSTREAM_OPEN)
        enter_open(conn, now);
    else if (after == UPSTREAM_DRAINING)
        enter_draining(conn, now);
    else if (before != UPSTREAM_DRAINING)
        leave_slot(conn);
    if (after == UPSTREAM_CLOSED)
        enter_closed(conn);
    if (cause == UPSTREAM_OVER && before < UPSTREAM_OPEN)
        count_connect_failure(conn);
    if (cause == UPSTREAM_OVER && before == UPSTREAM_OPEN)
        counter_add(&conn->upstream->counters.connections_lost, 1);
    if (before < UPSTREAM_DRAINING && after >= UPSTREAM_DRAINING && !conn->served &&
        cause != UPSTREAM_RETIRED)
        let_down(conn, now);
}

/* Before anything is spoken: the connection goes without a word. */
static void hang_up(struct upstream_conn *conn)
{
    if (conn->tls != NULL)
        tls_session_abort(conn->tls);
    else
        tcp_abort(conn->tcp);
    conn->tls = NULL;
    conn->tcp = NULL;
}

/* --- the timer --- */

static void opening_fired(struct upstream_conn *conn, uint64_t now)
{
    if (now < conn->established_at_ns + UPSTREAM_OPENING_NS) {
        upstream_path_watch_opening(conn, now);
        return;
    }
    conn->failure = ATTEMPT_CONNECT_TIMEOUT;
    if (conn->state == UPSTREAM_OPENING) {
        conn->speaks->close(conn, H2_SETTINGS_TIMEOUT, now);
        return;
    }
    hang_up(conn);
    conn_change(conn, UPSTREAM_OVER, now);
}

/*
 * Of a connection in use: each watch. Who waits is looked at, too: after a connect that failed
 * nobody else does so when the pause is over, and one attempt may take its connection for long
 * (HTTP/1.1).
 */
static void open_fired(struct upstream_conn *conn, uint64_t now)
{
    struct upstream_counters *counters = &conn->upstream->counters;
    bool idles = conn->attempt_count == 0;
    if (slot_of(conn)->waiting_count > 0)
        slot_touch(conn->upstream, conn->slot);
    if (now >= conn->retire_at_ns)
        upstream_conn_retire(conn, &counters->connections_aged, now);
    else if (idles && conn->suspect && now - conn->idle_since_ns >= UPSTREAM_SUSPECT_IDLE_NS)
        upstream_conn_retire(conn, &counters->connections_silent, now);
    else if (!idles || conn->suspect)
        upstream_path_watch(conn, now);
    else if (now - conn->idle_since_ns >= conn->idle_for_ns)
        upstream_conn_retire(conn, &counters->connections_idle, now);
    else
        arm_for_idle(conn);
}

static void draining_fired(struct upstream_conn *conn, uint64_t now)
{
    if (conn->attempt_count > 0)
        upstream_path_watch(conn, now);
    else
        conn->speaks->close(conn, H2_NO_ERROR, now);
}

static void conn_fired(struct timer *timer, void *context, uint64_t now)
{
    struct upstream_conn *conn = context;
    switch (conn->state) {
    case UPSTREAM_CONNECTING:
        upstream_path_watch_connecting(conn, now);
        break;
    case UPSTREAM_SECURING:
    case UPSTREAM_OPENING:
        opening_fired(conn, now);
        break;
    case UPSTREAM_OPEN:
        open_fired(conn, now);
        break;
    case UPSTREAM_DRAINING:
        draining_fired(conn, now);
        break;
    case UPSTREAM_CLOSED:
    case UPSTREAM_CONN_STATES:
        check(!"a closed connection has no timer");
    }
}

/* --- what the protocol and tcp tell --- */

void upstream_conn_available(struct upstream_conn *conn, uint64_t now)
{
    bool is_open = conn->speaks->is_open(conn);
    if (conn->state == UPSTREAM_OPENING && is_open)
        conn_change(conn, UPSTREAM_GREETED, now);
    if (conn->state != UPSTREAM_OPENING && conn->state != UPSTREAM_OPEN)
        return;
    if (!is_open) {
        counter_add(&conn->upstream->counters.connections_goaway, 1);
        conn_change(conn, UPSTREAM_DOOR_CLOSED, now);
    } else if (slot_of(conn)->waiting_count > 0) {
        slot_touch(conn->upstream, conn->slot);
    }
}

void upstream_conn_over(struct upstream_conn *conn, uint64_t now)
{
    conn->speaks = NULL;
    conn->tcp = NULL;
    conn_change(conn, UPSTREAM_OVER, now);
}

static enum attempt_failure failure_of(const struct upstream_conn *conn, enum tcp_failure failure)
{
    switch (failure) {
    case TCP_FAILURE_TIMEOUT:
        return ATTEMPT_CONNECT_TIMEOUT;
    case TCP_FAILURE_UNREACHABLE:
        return ATTEMPT_UNREACHABLE;
    case TCP_FAILURE_NONE:
    case TCP_FAILURE_REFUSED:
    case TCP_FAILURE_RESET:
    case TCP_FAILURES:
        break;
    }
    return conn->state == UPSTREAM_SECURING ? ATTEMPT_TLS_FAILED : ATTEMPT_CONNECT_REFUSED;
}

static void conn_failed(struct upstream_conn *conn, uint64_t now)
{
    struct tcp_info info;
    tcp_info(conn->tcp, now, &info);
    conn->failure = failure_of(conn, info.failure);
    if (conn->speaks != NULL) {
        conn->speaks->event(conn, TCP_FAILED, now);
        return;
    }
    hang_up(conn);
    conn_change(conn, UPSTREAM_OVER, now);
}

/* Our own lack: TRANSPORT has been let go of. */
static void conn_without_room(struct upstream_conn *conn, uint64_t now)
{
    conn->speaks = NULL;
    conn->tls = NULL;
    conn->tcp = NULL;
    conn->failure = ATTEMPT_NO_ROOM;
    conn_change(conn, UPSTREAM_OVER, now);
}

static void conn_established(struct upstream_conn *conn, struct transport transport, uint64_t now)
{
    static const struct upstream_ops *const ops[UPSTREAM_PROTOCOLS] = {
        [UPSTREAM_HTTP2] = &upstream_h2_ops,
        [UPSTREAM_HTTP1] = &upstream_h1_ops,
    };
    conn->speaks = ops[conn->protocol];
    if (conn->speaks->open(conn, transport, now)) {
        conn->tls = NULL;
        conn_change(conn, UPSTREAM_ESTABLISHED, now);
        if (!conn->speaks->greets)
            upstream_conn_available(conn, now);
        return;
    }
    conn_without_room(conn, now);
}

/* What is above TCP and TLS. */
static void pass_events(struct upstream_conn *conn, uint32_t events, uint64_t now)
{
    if ((events & (TCP_READABLE | TCP_EOF)) != 0)
        upstream_path_received(conn, now);
    if (conn->speaks != NULL)
        conn->speaks->event(conn, events, now);
}

/* TLS's events: the handshake is over, and all that follows. */
static void secure_event(void *app, struct tls_session *session, uint32_t events, uint64_t now)
{
    struct upstream_conn *conn = app;
    if ((events & TCP_FAILED) != 0) {
        conn_failed(conn, now);
        return;
    }
    if ((events & TCP_OPENED) != 0) {
        bool is_http2 = tls_session_protocol(session) == TLS_PROTOCOL_H2;
        conn->protocol = is_http2 ? UPSTREAM_HTTP2 : UPSTREAM_HTTP1;
        conn_established(conn, transport_tls(session), now);
    }
    pass_events(conn, events, now);
}

/* EVENTS came with TCP's being up. */
static void conn_secure(struct upstream_conn *conn, uint32_t events, uint64_t now)
{
    static const struct tls_app secure_app = {secure_event};
    const struct tls_target *target = slot_of(conn)->target;
    if (target == NULL) {
        hang_up(conn);
        conn_without_room(conn, now);
        return;
    }
    conn->tls = tls_connect(conn->upstream->config.tls, target, conn->tcp, &secure_app, conn, now);
    if (conn->tls == NULL) {
        conn_without_room(conn, now);
        return;
    }
    conn_change(conn, UPSTREAM_CONNECTED, now);
    tls_session_events(conn->tls, events & ~(uint32_t)TCP_OPENED, now);
}

static void conn_event(void *app, struct tcp_conn *tcp, uint32_t events, uint64_t now)
{
    struct upstream_conn *conn = app;
    if ((events & TCP_FAILED) != 0) {
        conn_failed(conn, now);
        return;
    }
    if ((events & TCP_OPENED) != 0) {
        conn->established_at_ns = now;
        if (slot_of(conn)->secure) {
            conn_secure(conn, events, now);
            return;
        }
        conn_established(conn, transport_tcp(tcp), now);
    }
    pass_events(conn, events, now);
}

static const struct tcp_app conn_app = {conn_event};

/* --- for the other files of this folder --- */

static struct upstream_conn *conn_take(struct upstream *upstream, uint64_t now)
{
    struct upstream_conn *conn = pool_take(&upstream->connections);
    if (conn == NULL && upstream_conn_reclaim(upstream, now)) {
        upstream_conns_give_back(upstream);
        conn = pool_take(&upstream->connections);
    }
    if (conn == NULL)
        counter_add(&upstream->counters.connections_full, 1);
    return conn;
}

bool upstream_conn_start(struct upstream *upstream, uint32_t slot, uint64_t now)
{
    struct upstream_slot *backend = &upstream->slots[slot];
    struct upstream_conn *conn = conn_take(upstream, now);
    if (conn == NULL)
        return false;
    *conn = (struct upstream_conn){.upstream = upstream,
                                   .state = UPSTREAM_CONNECTING,
                                   .slot = slot,
                                   .generation = backend->generation,
                                   .protocol = backend->protocol,
                                   .failure = ATTEMPT_CONNECT_REFUSED};
    conn->tcp =
        tcp_connect(upstream->config.tcp, &backend->address, backend->port, &conn_app, conn, now);
    if (conn->tcp == NULL) {
        pool_give(&upstream->connections, conn);
        counter_add(&upstream->counters.connects_no_room, 1);
        return false;
    }
    list_init(&conn->idle);
    list_init(&conn->attempts);
    list_push_back(&backend->connections, &conn->link);
    backend->connection_count++;
    timer_init(&conn->timer, conn_fired, conn);
    arm(conn, now + UPSTREAM_CONNECT_SUSPECT_NS);
    counter_add(&upstream->counters.connects, 1);
    struct backend_load *load = load_of(conn);
    if (load != NULL)
        counter_add(&load->connections, 1);
    return true;
}

void upstream_conn_retire(struct upstream_conn *conn, uint64_t *counter, uint64_t now)
{
    counter_add(counter, 1);
    if (conn->state < UPSTREAM_OPENING)
        hang_up(conn);
    conn_change(conn, UPSTREAM_RETIRED, now);
}

void upstream_conns_shut_down(struct upstream *upstream, uint64_t now)
{
    for (struct list *link; (link = list_pop_front(&upstream->retiring)) != NULL;) {
        struct upstream_conn *conn = list_entry(link, struct upstream_conn, link);
        list_push_back(&upstream->draining, link);
        conn->speaks->shut_down(conn, now);
    }
}

bool upstream_conn_reclaim(struct upstream *upstream, uint64_t now)
{
    if (list_is_empty(&upstream->idle))
        return false;
    struct upstream_conn *conn = list_entry(upstream->idle.next, struct upstream_conn, idle);
    upstream_conn_retire(conn, &upstream->counters.connections_reclaimed, now);
    conn->speaks->close(conn, H2_NO_ERROR, now);
    return true;
}

void upstream_conns_give_back(struct upstream *upstream)
{
    for (struct list *link; (link = list_pop_front(&upstream->closed)) != NULL;)
        pool_give(&upstream->connections, list_entry(link, struct upstream_conn, link));
}

void upstream_conn_joined(struct upstream_conn *conn, uint64_t now)
{
    conn->served = true;
    if (conn->attempt_count++ > 0)
        return;
    list_remove(&conn->idle);
    upstream_path_in_use(conn, now);
}

void upstream_conn_left(struct upstream_conn *conn, uint64_t now)
{
    check(conn->attempt_count > 0);
    conn->attempt_count--;
    if (slot_of(conn)->waiting_count > 0)
        slot_touch(conn->upstream, conn->slot);
    if (conn->attempt_count > 0)
        return;
    if (conn->state == UPSTREAM_OPEN)
        begin_idling(conn, now);
    else
        arm(conn, now + UPSTREAM_END_NS);
}
