/*
 * tcp_icmp: ICMP errors about our segments: RFC 5461 and RFC 9293 3.9.2.2 (soft and hard errors),
 * RFC 5927 (a message counts only when its sequence number is in flight), RFC 1191 and RFC 8201
 * (path MTU).
 *
 * On an established connection unreachable is a soft error: retransmission goes on, the user
 * timeout decides. While connecting it is hard, so that the caller can turn elsewhere at once.
 */
#include "dataplane/base/reader.h"
#include "dataplane/tcp/tcp_internal.h"
#include "dataplane/tcp/tcp_recovery.h"

enum icmp_meaning {
    ICMP_OTHER,
    ICMP_TOO_BIG,
    ICMP_UNREACHABLE,
    ICMP_PORT_UNREACHABLE,
};

struct icmp_error {
    enum icmp_meaning meaning;
    uint32_t mtu;
    struct flow_tuple tuple; /* of the connection: local is the inner source */
    uint32_t seq;
};

static enum icmp_meaning meaning_v4(uint8_t type, uint8_t code)
{
    if (type != 3)
        return ICMP_OTHER;
    if (code == 4)
        return ICMP_TOO_BIG;
    return code == 2 || code == 3 ? ICMP_PORT_UNREACHABLE : ICMP_UNREACHABLE;
}

static enum icmp_meaning meaning_v6(uint8_t type, uint8_t code)
{
    if (type == 2)
        return ICMP_TOO_BIG;
    if (type != 1)
        return ICMP_OTHER;
    return code == 4 ? ICMP_PORT_UNREACHABLE : ICMP_UNREACHABLE;
}

static void read_inner_v4(struct reader *r, struct icmp_error *error)
{
    uint32_t header_bytes = (reader_u8(r) & 15u) * 4u;
    reader_skip(r, 11);
    struct bytes source = reader_bytes(r, 4);
    struct bytes destination = reader_bytes(r, 4);
    if (r->failed || header_bytes < 20) {
        r->failed = true;
        return;
    }
    reader_skip(r, header_bytes - 20);
    uint32_t word;
    memcpy(&word, source.data, sizeof(word));
    error->tuple.local = ip_address_from_v4(word);
    memcpy(&word, destination.data, sizeof(word));
    error->tuple.remote = ip_address_from_v4(word);
}

/* We send no extension headers: TCP follows at once. */
static void read_inner_v6(struct reader *r, struct icmp_error *error)
{
    reader_skip(r, 6);
    uint8_t next_header = reader_u8(r);
    reader_skip(r, 1);
    struct bytes source = reader_bytes(r, 16);
    struct bytes destination = reader_bytes(r, 16);
    if (r->failed || next_header != IPPROTO_TCP) {
        r->failed = true;
        return;
    }
    error->tuple.local = ip_address_from_v6(source.data);
    error->tuple.remote = ip_address_from_v6(destination.data);
}

static bool read_error(const struct rte_mbuf *packet, struct icmp_error *error)
{
    uint32_t before = packet->l2_len + packet->l3_len;
    if (packet->data_len < before)
        return false;
    bool v4 = *rte_pktmbuf_mtod_offset(packet, const uint8_t *, packet->l2_len) >> 4 == 4;
    struct reader r = reader_over(bytes_of(rte_pktmbuf_mtod_offset(packet, const uint8_t *, before),
                                           packet->data_len - before));
    uint8_t type = reader_u8(&r);
    uint8_t code = reader_u8(&r);
    reader_skip(&r, 2);
    uint32_t rest = reader_u32(&r);
    error->meaning = v4 ? meaning_v4(type, code) : meaning_v6(type, code);
    error->mtu = v4 ? rest & 0xffff : rest;
    if (v4)
        read_inner_v4(&r, error);
    else
        read_inner_v6(&r, error);
    error->tuple.local_port = reader_u16(&r);
    error->tuple.remote_port = reader_u16(&r);
    error->seq = reader_u32(&r);
    return !r.failed;
}

static bool is_in_flight(const struct tcp_conn *conn, uint32_t seq)
{
    return seq_geq(seq, conn->snd_una) && seq_lt(seq, conn->snd_nxt);
}

static void error_in(struct tcp_conn *conn, const struct icmp_error *error, uint64_t now)
{
    tcp_count(conn->tcp, icmp_used);
    switch (error->meaning) {
    case ICMP_TOO_BIG:
        if (!tcp_path_mtu_message(conn, error->mtu, now))
            tcp_count(conn->tcp, icmp_ignored);
        break;
    case ICMP_UNREACHABLE:
        if (conn->state == TCP_STATE_SYN_SENT)
            tcp_conn_fail(conn, TCP_FAILURE_UNREACHABLE, TCP_CAUSE_UNREACHABLE);
        break;
    case ICMP_PORT_UNREACHABLE:
        if (conn->state == TCP_STATE_SYN_SENT)
            tcp_conn_fail(conn, TCP_FAILURE_REFUSED, TCP_CAUSE_UNREACHABLE);
        break;
    case ICMP_OTHER:
        break;
    }
}

void tcp_icmp_in(struct tcp *tcp, const struct rte_mbuf *packet, uint64_t now)
{
    struct icmp_error error;
    if (!read_error(packet, &error)) {
        tcp_count(tcp, icmp_ignored);
        return;
    }
    uint32_t hash = tcp_table_hash(&tcp->table, &error.tuple);
    tcp_reference ref = tcp_table_find(&tcp->table, hash, &error.tuple);
    if (ref == TCP_REFERENCE_NONE || tcp_reference_is_time_wait(ref)) {
        tcp_count(tcp, icmp_ignored);
        return;
    }
    struct tcp_conn *conn = pool_at(&tcp->conns, tcp_reference_index(ref));
    if (is_in_flight(conn, error.seq))
        error_in(conn, &error, now);
    else
        tcp_count(tcp, icmp_ignored);
}
