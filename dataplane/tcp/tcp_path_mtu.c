/*
 * tcp_path_mtu: how large a path's packets may be. It is lowered by ICMP (RFC 1191, RFC 8201), and
 * where full segments vanish without a word (RFC 8899 4.3); and raised again by a probe (RFC 4821
 * 7): 10 minutes after the last change or attempt (RFC 8201 4) one segment of the full size is
 * sent, with ordinary ones behind it that tell of its loss. If it arrives, all may be as large; if
 * not, it is sent again in pieces, which says nothing of congestion (RFC 4821 7.6).
 *
 * Without SACK a probe could stop the connection for a timeout: then the size stays.
 */
#include "dataplane/tcp/tcp_internal.h"
#include "dataplane/tcp/tcp_recovery.h"

#define PATH_MTU_MIN_V4 552u /* as Linux: less is only ever an attack */
#define PATH_MTU_MIN_V6 1280u

#define BLACK_HOLE_TIMEOUTS 3u    /* in a row */
#define BLACK_HOLE_MTU      1280u /* RFC 8200 5; IPv4 paths without it are older than that */

#define PROBE_AFTER_NS (600 * CLOCK_S)
#define PROBE_TAIL     (TCP_DUPLICATES + 1) /* segments behind it (RFC 4821 7.4) */

static uint32_t mss_of(const struct tcp_conn *conn, uint32_t mtu)
{
    uint32_t headers = ip_address_is_v4(&conn->tuple.remote) ? 40 : 60;
    uint32_t fits = mtu - headers;
    uint32_t mss = conn->peer_mss < fits ? conn->peer_mss : fits;
    return conn->flags & TCP_CONN_TIMESTAMPS ? mss - TCP_TIMESTAMP_BYTES : mss;
}

void tcp_path_mtu_init(struct tcp_conn *conn)
{
    conn->mss = (uint16_t)mss_of(conn, conn->path.mtu);
}

static void set(struct tcp_conn *conn, uint32_t mtu)
{
    conn->path.mtu = (uint16_t)mtu;
    conn->mss = (uint16_t)mss_of(conn, mtu);
}

static void lower(struct tcp_conn *conn, uint32_t mtu, uint64_t now)
{
    set(conn, mtu);
    conn->flags |= TCP_CONN_MTU_LOWERED;
    conn->path_mtu_at_ms = tcp_ms(now);
}

bool tcp_path_mtu_message(struct tcp_conn *conn, uint32_t mtu, uint64_t now)
{
    uint32_t least = ip_address_is_v4(&conn->tuple.remote) ? PATH_MTU_MIN_V4 : PATH_MTU_MIN_V6;
    if (mtu < least)
        mtu = least;
    if (mtu >= conn->path.mtu)
        return false;
    tcp_count(conn->tcp, path_mtu_lowered);
    lower(conn, mtu, now);
    tcp_recovery_too_large(conn);
    tcp_conn_want_out(conn);
    return true;
}

void tcp_path_mtu_timeout(struct tcp_conn *conn, uint64_t now)
{
    const struct tcp_sent *first = tcp_sent_at(conn, conn->sent_first);
    if (conn->timeouts + 1u < BLACK_HOLE_TIMEOUTS || conn->path.mtu <= BLACK_HOLE_MTU ||
        first->length + TCP_TIMESTAMP_BYTES < conn->mss)
        return;
    tcp_count(conn->tcp, path_mtu_black_holes);
    lower(conn, BLACK_HOLE_MTU, now);
}

/* Whether what follows a probe of LENGTH may go, too, and all is quiet. */
static bool may_probe(const struct tcp_conn *conn, uint32_t length)
{
    uint32_t needed = length + PROBE_TAIL * conn->mss;
    uint32_t unsent = tcp_send_queue_end(&conn->queue) - conn->snd_nxt;
    uint32_t used = tcp_flight(conn);
    return conn->flags & TCP_CONN_SACK && conn->recovery == TCP_RECOVERY_OPEN &&
           conn->backoff == 0 && conn->sacked_count == 0 && conn->lost_bytes == 0 &&
           unsent >= needed && used + needed <= conn->snd_wnd && used + needed <= conn->cwnd;
}

uint32_t tcp_path_mtu_probe(struct tcp_conn *conn, uint64_t now)
{
    struct net_path full;
    if (tcp_since_ns(conn->path_mtu_at_ms, now) < PROBE_AFTER_NS || !may_probe(conn, conn->mss) ||
        !net_route(conn->tcp->config.net, &conn->tuple.remote, &full))
        return 0;
    uint32_t length = mss_of(conn, full.mtu);
    return length > conn->mss && may_probe(conn, length) ? length : 0;
}

void tcp_path_mtu_probe_sent(struct tcp_conn *conn, uint64_t now)
{
    tcp_count(conn->tcp, path_mtu_probes);
    tcp_sent_at(conn, conn->sent_last)->flags |= TCP_SENT_MTU_PROBE;
    conn->path_mtu_at_ms = tcp_ms(now);
}

void tcp_path_mtu_probe_arrived(struct tcp_conn *conn)
{
    struct net_path full;
    if (!net_route(conn->tcp->config.net, &conn->tuple.remote, &full) || full.mtu <= conn->path.mtu)
        return;
    tcp_count(conn->tcp, path_mtu_raised);
    set(conn, full.mtu);
    conn->flags &= ~(uint32_t)TCP_CONN_MTU_LOWERED;
    if (conn->cwnd < conn->mss)
        conn->cwnd = conn->mss;
}

bool tcp_path_mtu_probe_is_all_lost(struct tcp_conn *conn)
{
    if ((conn->flags & TCP_CONN_MTU_LOWERED) == 0)
        return false;
    const struct tcp_sent *lost = tcp_sent_next_lost(conn);
    return lost != NULL && lost->flags & TCP_SENT_MTU_PROBE &&
           conn->lost_bytes == tcp_sent_bytes(lost);
}
