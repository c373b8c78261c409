/*
 * listeners: what this worker accepts, and how an accepted connection becomes HTTP/2.
 */
#include "dataplane/worker/worker_internal.h"

#include "dataplane/h2/h2_tcp.h"
#include "dataplane/tls/tls.h"

/* Events of a client connection go to its HTTP/2 connection. */
static void client_event(void *app, struct tcp_conn *conn, uint32_t events, uint64_t now)
{
    h2_tcp_event(app, events, now);
}

static const struct tcp_app client_app = {.event = client_event};

static struct request_peer peer_of(const struct tcp_info *info)
{
    return (struct request_peer){
        .remote = info->tuple.remote,
        .local = info->tuple.local,
        .remote_port = info->tuple.remote_port,
        .local_port = info->tuple.local_port,
    };
}

static void tls_client_event(void *app, struct tls_session *session, uint32_t events, uint64_t now)
{
    h2_tcp_event(app, events, now);
}

static const struct tls_app tls_client_app = {.event = tls_client_event};

/* Who it is, by certificate. False: that cannot be said. */
static bool identify(const struct tls_session *session, struct request_peer *peer)
{
    struct tls_client_identity identity;
    if (!tls_session_identity(session, &identity))
        return false;
    peer->certificate_asked = identity.asked;
    peer->certificate_shown = identity.shown;
    _Static_assert(sizeof(peer->fingerprint) == sizeof(identity.sha256), "SHA-256");
    memcpy(peer->fingerprint, identity.sha256, sizeof(peer->fingerprint));
    return true;
}

/* The handshake is done. */
static void tls_accept_event(void *app, struct tls_session *session, uint32_t events, uint64_t now)
{
    struct worker *worker = app;
    struct tcp_info info;
    tls_session_info(session, now, &info);
    struct request_peer peer = peer_of(&info);
    struct h2_conn *h2 = NULL;
    if (!identify(session, &peer)) {
        counter_add(&worker->counters.loop.connections_shed, 1);
        tls_session_abort(session);
        return;
    }
    if (!request_accept(worker->requests, transport_tls(session), &peer, &h2, now)) {
        counter_add(&worker->counters.loop.connections_shed, 1);
        return;
    }
    tls_set_app(session, &tls_client_app, h2);
    h2_tcp_event(h2, events & ~(uint32_t)TCP_OPENED, now);
}

static const struct tls_app tls_accept_app = {.event = tls_accept_event};

/* Whether the connection was for TLS; what became of it is TLS's. */
static bool accept_tls(struct worker *worker, struct tcp_conn *conn, const struct tcp_info *info,
                       uint32_t events, uint64_t now)
{
    const struct snapshot_listener *listener =
        snapshot_listener_at(worker->snapshot, &info->tuple.local, info->tuple.local_port);
    if (listener != NULL && !listener->tls)
        return false;
    /* The listener has just gone, or was configured later than there was memory for TLS. */
    if (listener == NULL || worker->tls == NULL) {
        counter_add(&worker->counters.loop.connections_shed, 1);
        tcp_abort(conn);
        return true;
    }
    const struct tls_profile *profile =
        tls_contexts_profile(worker->snapshot->tls, listener->tls_profile, worker->index);
    struct tls_session *session =
        tls_accept(worker->tls, profile, conn, &tls_accept_app, worker, now);
    if (session != NULL)
        tls_session_events(session, events & ~(uint32_t)TCP_OPENED, now);
    return true;
}

static void accept_event(void *app, struct tcp_conn *conn, uint32_t events, uint64_t now)
{
    struct worker *worker = app;
    if (events & TCP_FAILED) {
        tcp_abort(conn);
        return;
    }
    struct tcp_info info;
    tcp_info(conn, now, &info);
    if (accept_tls(worker, conn, &info, events, now))
        return;
    struct request_peer peer = peer_of(&info);
    struct h2_conn *h2 = NULL;
    if (!request_accept(worker->requests, transport_tcp(conn), &peer, &h2, now)) {
        counter_add(&worker->counters.loop.connections_shed, 1);
        return;
    }
    tcp_set_app(conn, &client_app, h2);
    if (events & ~(uint32_t)TCP_OPENED)
        client_event(h2, conn, events & ~(uint32_t)TCP_OPENED, now);
}

static const struct tcp_app accept_app = {.event = accept_event};

static void close_dropped(struct worker *worker, const struct snapshot *snapshot)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < worker->listener_count; i++) {
        struct worker_listener *listener = &worker->listeners[i];
        if (!snapshot->draining &&
            snapshot_listener_at(snapshot, &listener->address, listener->port) != NULL)
            worker->listeners[kept++] = *listener;
        else
            tcp_unlisten(worker->tcp, &listener->address, listener->port);
    }
    worker->listener_count = kept;
}

static bool is_listening(const struct worker *worker, const struct snapshot_listener *wanted)
{
    for (uint32_t i = 0; i < worker->listener_count; i++)
        if (worker->listeners[i].port == wanted->port &&
            ip_address_equal(&worker->listeners[i].address, &wanted->address))
            return true;
    return false;
}

/* Returns how many listeners were opened. */
static uint32_t open_new(struct worker *worker, const struct snapshot *snapshot)
{
    uint32_t before = worker->listener_count;
    for (uint32_t i = 0; i < snapshot->listener_count; i++) {
        const struct snapshot_listener *wanted = &snapshot->listeners[i];
        if (is_listening(worker, wanted))
            continue;
        if (worker->listener_count == SNAPSHOT_LISTENERS_MAX ||
            !tcp_listen(worker->tcp, &wanted->address, wanted->port, &accept_app, worker)) {
            counter_add(&worker->counters.loop.listen_failed, 1);
            continue;
        }
        worker->listeners[worker->listener_count++] =
            (struct worker_listener){wanted->address, wanted->port};
    }
    return worker->listener_count - before;
}

void worker_listeners_apply(struct worker *worker, const struct snapshot *snapshot, uint64_t now)
{
    struct ip_address vips[SNAPSHOT_LISTENERS_MAX];
    for (uint32_t i = 0; i < snapshot->listener_count; i++)
        vips[i] = snapshot->listeners[i].address;
    /* Addresses stay ours while draining: connections go on. */
    net_set_vips(worker->net, vips, snapshot->listener_count);
    close_dropped(worker, snapshot);
    uint32_t opened = snapshot->draining ? 0 : open_new(worker, snapshot);
    /* One worker announces for all: switches and neighbours learn where the addresses are now. */
    if (opened > 0 && worker->index == 0)
        net_announce(worker->net, now);
}
