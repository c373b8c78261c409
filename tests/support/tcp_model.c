#include "tests/support/tcp_model.h"

#include "dataplane/base/memory.h"
#include "dataplane/base/reader.h"
#include "dataplane/base/writer.h"
#include "tests/support/frames.h"
#include "tests/support/tcp_checks.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP_NS       (200 * CLOCK_US) /* longer than a tick of the wheel */
#define LONGEST_NS    CLOCK_S
#define TURNS_MAX     4000 /* of one life of the model; then time goes in long steps */
#define ETHERNET      14u
#define IP_BYTES(v4)  ((v4) ? 20u : 40u)
#define FINISH_FOR_NS (400 * CLOCK_S)

static struct wire *wire; /* only its pools are used: 0 is the host's, 1 the peer's */
static struct tcp_model model;
static const struct port_features features = {.mtu_max = 1500};
static struct port_queue port;
static struct rte_mbuf *burst[NET_BURST];
static uint16_t burst_count;
static struct rte_mbuf *starved[MODEL_HOST_MBUFS];
static uint32_t starved_count;
static bool asked_v4;
static bool asked_v6;

static bool is_traced; /* environment variable TCP_MODEL_TRACE: segments are printed */

/* One line a segment, numbers from the first bytes of both sides on. */
static void trace(const char *arrow, const struct model_flow *flow, const struct tcp_segment *seg)
{
    static const char letters[] = "FSRPA";
    char flags[sizeof(letters)] = "";
    const struct tcp_conn *conn = tcp_model_conn(flow);
    if (!is_traced)
        return;
    for (int i = 0, at = 0; i < 5; i++)
        if (seg->flags >> i & 1)
            flags[at++] = letters[i];
    bool ours = arrow[0] == '<';
    uint32_t first = ours ? flow->host_first : flow->peer_first;
    uint32_t other = ours ? flow->peer_first : flow->host_first;
    fprintf(stderr, "%10.3f %d %s %-4s seq %d +%u ack %d win %u%s (%s)\n",
            (double)model.now / (double)CLOCK_MS, (int)(flow - model.flows), arrow, flags,
            (int)(seg->seq - first), seg->length, (int)(seg->ack - other), seg->window,
            seg->options.present & TCP_OPTION_SACK ? " sack" : "",
            conn == NULL ? "none" : tcp_state_name(conn->state));
}

static bool bit_is_set(const uint8_t *bits, uint32_t at)
{
    return at <= MODEL_STREAM_BYTES && (bits[at / 8] >> (at % 8) & 1) != 0;
}

static void bit_set(uint8_t *bits, uint32_t at)
{
    if (at <= MODEL_STREAM_BYTES)
        bits[at / 8] |= (uint8_t)(1u << (at % 8));
}

static struct model_flow *flow_of(const struct flow_tuple *tuple)
{
    for (int i = 0; i < MODEL_FLOWS; i++)
        if (memcmp(&model.flows[i].tuple, tuple, sizeof(*tuple)) == 0)
            return &model.flows[i];
    return NULL;
}

struct tcp_conn *tcp_model_conn(const struct model_flow *flow)
{
    return pool_get(&model.host.tcp->conns, flow->conn);
}

struct model_flow *tcp_model_flow(const struct tcp_conn *conn)
{
    struct model_flow *flow = flow_of(&conn->tuple);
    return flow != NULL && tcp_model_conn(flow) == conn ? flow : NULL;
}

bool tcp_model_was_sent(const struct model_flow *flow, uint64_t bytes)
{
    return bytes <= flow->whole;
}

/* ---- what leaves the host ---- */

/* Bytes are the pattern, and lie within what the peer allowed. */
static void check_bytes(const struct model_flow *flow, const struct tcp_segment *seg,
                        const uint8_t *payload)
{
    int32_t position = (int32_t)(seg->seq - flow->host_first);
    if (seg->length == 0)
        return;
    check(position >= 0 && position + (int64_t)seg->length <= flow->granted);
    for (uint32_t i = 0; i < seg->length; i++)
        check(payload[i] == tcp_stream_byte(MODEL_SEED, (uint32_t)position + i));
}

/* The first block may be a D-SACK, which may tell of anything; others tell what the peer sent. */
static void check_sack(const struct model_flow *flow, const struct tcp_options *options)
{
    for (uint32_t i = 0; i < options->sack_count; i++) {
        const struct tcp_range *block = &options->sack[i];
        check(seq_lt(block->start, block->end));
        for (uint32_t at = block->start; i > 0 && at != block->end; at++)
            check(bit_is_set(flow->bytes_sent, at - flow->peer_first));
    }
}

/* What is acknowledged was sent; acknowledgements and windows never go back. */
static void check_ack(struct model_flow *flow, const struct tcp_conn *conn,
                      const struct tcp_segment *seg)
{
    uint32_t scale = seg->flags & TCP_SYN ? 0 : conn->rcv_wscale;
    uint32_t edge = seg->ack + ((uint32_t)seg->window << scale);
    uint32_t most = flow->peer_first + flow->whole + bit_is_set(flow->fins_sent, flow->whole);
    check(seq_leq(seg->ack, most));
    if (flow->acked) {
        check(seq_geq(seg->ack, flow->last_ack));
        bool says_less = (seg->flags & TCP_SYN) != 0; /* unscaled: it cannot say more */
        check(says_less || seq_gt(edge + (1u << scale), flow->right_edge));
    }
    flow->last_ack = seg->ack;
    flow->right_edge = flow->acked ? seq_max(flow->right_edge, edge) : edge;
    flow->acked = true;
}

static void departed(const struct tcp_segment *seg, const uint8_t *payload)
{
    struct model_flow *flow = flow_of(&seg->tuple);
    if (flow == NULL)
        return;
    if (seg->options.present & TCP_OPTION_TIMESTAMP)
        flow->ts_seen = seg->options.ts_value;
    const struct tcp_conn *conn = tcp_model_conn(flow);
    trace("<", flow, seg);
    bool cookie = conn == NULL && seg->flags == (TCP_SYN | TCP_ACK);
    if (seg->flags & TCP_SYN)
        flow->timestamps = (seg->options.present & TCP_OPTION_TIMESTAMP) != 0;
    if (cookie) {
        flow->snd_nxt = seg->seq + 1;
        flow->rcv_nxt = seg->ack;
    }
    if (conn == NULL || seg->flags & TCP_RST)
        return;
    if (seg->flags & TCP_SYN)
        check(seg->seq == flow->host_first - 1);
    check_bytes(flow, seg, payload);
    if ((seg->flags & TCP_ACK) == 0 || conn->state == TCP_STATE_SYN_SENT)
        return;
    check_ack(flow, conn, seg);
    check_sack(flow, &seg->options);
}

static void read_header(struct reader *r, struct tcp_segment *seg)
{
    seg->tuple.local_port = reader_u16(r);
    seg->tuple.remote_port = reader_u16(r);
    seg->seq = reader_u32(r);
    seg->ack = reader_u32(r);
    uint32_t header_bytes = (reader_u8(r) >> 4) * 4u;
    seg->flags = reader_u8(r);
    seg->window = reader_u16(r);
    reader_skip(r, 4);
    check(header_bytes >= 20);
    check(tcp_options_read(reader_bytes(r, header_bytes - 20), &seg->options) && !r->failed);
    seg->length = (uint32_t)reader_left(r);
}

/* A segment is held against the model, a question is noted. */
static void frame_departed(const uint8_t *frame, uint32_t length)
{
    uint16_t type = (uint16_t)(frame[12] << 8 | frame[13]);
    const uint8_t *ip = frame + ETHERNET;
    bool v4 = type == 0x0800;
    uint8_t protocol = v4 ? ip[9] : ip[6];
    asked_v4 |= type == 0x0806;
    asked_v6 |= type == 0x86dd && protocol == IPPROTO_ICMPV6;
    if ((!v4 && type != 0x86dd) || protocol != IPPROTO_TCP)
        return;
    struct tcp_segment seg = {.packet = NULL};
    uint32_t local;
    uint32_t remote;
    memcpy(&local, ip + 12, sizeof(local));
    memcpy(&remote, ip + 16, sizeof(remote));
    seg.tuple.local = v4 ? ip_address_from_v4(local) : ip_address_from_v6(ip + 8);
    seg.tuple.remote = v4 ? ip_address_from_v4(remote) : ip_address_from_v6(ip + 24);
    uint32_t before = ETHERNET + IP_BYTES(v4);
    struct reader r = reader_over(bytes_of(frame + before, length - before));
    read_header(&r, &seg);
    departed(&seg, r.at);
}

static uint16_t port_transmit(struct port_queue *queue, struct rte_mbuf **packets, uint16_t count)
{
    for (uint16_t i = 0; i < count; i++) {
        check(packets[i]->nb_segs == 1);
        frame_departed(rte_pktmbuf_mtod(packets[i], const uint8_t *), packets[i]->data_len);
        rte_pktmbuf_free(packets[i]);
    }
    return count;
}

static uint16_t port_receive(struct port_queue *queue, struct rte_mbuf **packets, uint16_t max)
{
    return 0;
}

/* ---- what the peer sends ---- */

static struct rte_mbuf *packet_of(const void *data, size_t length)
{
    struct rte_mbuf *packet = rte_pktmbuf_alloc(wire_queue(wire, 1, 0)->mempool);
    check(packet != NULL); /* how many of these the host may hold is bounded */
    char *room = rte_pktmbuf_append(packet, (uint16_t)length);
    check(room != NULL);
    memcpy(room, data, length);
    return packet;
}

static void answer(const struct frame *frame)
{
    struct net_arrivals arrivals;
    struct rte_mbuf *packet = packet_of(frame->data, frame->length);
    net_in(model.host.base.net, 0, &packet, 1, model.now, &arrivals);
    check(arrivals.own_count == 0 && arrivals.foreign_count == 0);
}

/* ARP and NDP. */
static void answer_questions(void)
{
    static struct frame frame;
    struct frame_ends ends = {.to_mac = {2}, .from_mac = {2, 0, 0, 0, 1}};
    bool v4 = asked_v4 && !model.silent;
    bool v6 = asked_v6 && !model.silent;
    asked_v4 = false;
    asked_v6 = false;
    if (v4) {
        frame_arp(&frame, &ends, 2, "10.0.0.2", "10.0.0.1");
        answer(&frame);
    }
    if (v6) {
        ends.from = "fd00::2";
        ends.to = "fd00::1";
        frame_ndp(&frame, &ends, 136, 0x60000000u, "fd00::2");
        answer(&frame);
    }
}

/*
 * A connection that appears with more than a SYN behind it was made from a cookie: what its first
 * segments brought was sent, and the window is the one they said.
 */
static void begin_from_cookie(struct model_flow *flow, const struct tcp_conn *conn)
{
    bool fin = conn->flags & TCP_CONN_FIN_SEEN && conn->rcv_nxt == conn->fin_at + 1;
    flow->peer_first = conn->rcv_nxt - conn->rx.bytes - fin;
    flow->granted = conn->snd_wnd_max;
    flow->whole = conn->rx.bytes;
    for (uint32_t i = 0; i < flow->whole; i++)
        bit_set(flow->bytes_sent, i);
    for (const struct rte_mbuf *m = conn->rx.ahead_first; m != NULL; m = m->next)
        for (uint32_t i = 0; i < m->data_len; i++)
            bit_set(flow->bytes_sent, tcp_mbuf_seq(m) + i - flow->peer_first);
    if (conn->flags & TCP_CONN_FIN_SEEN)
        bit_set(flow->fins_sent, conn->fin_at - flow->peer_first);
}

/* A new connection of this flow. */
static void begin(struct model_flow *flow, const struct tcp_conn *conn)
{
    flow->conn = pool_handle(&model.host.tcp->conns, conn);
    flow->host_first = conn->queue.seq;
    flow->granted = 0;
    flow->acked = false;
    flow->whole = 0;
    memset(flow->bytes_sent, 0, sizeof(flow->bytes_sent));
    memset(flow->fins_sent, 0, sizeof(flow->fins_sent));
    if (conn->state == TCP_STATE_SYN_RECEIVED)
        flow->peer_first = conn->rcv_nxt;
    else if (conn->state != TCP_STATE_SYN_SENT)
        begin_from_cookie(flow, conn);
}

void tcp_model_opened(struct model_flow *flow, const struct tcp_conn *conn)
{
    flow->tuple = conn->tuple;
    begin(flow, conn);
}

static void follow(struct model_flow *flow)
{
    struct tcp *tcp = model.host.tcp;
    uint32_t hash = tcp_table_hash(&tcp->table, &flow->tuple);
    tcp_reference ref = tcp_table_find(&tcp->table, hash, &flow->tuple);
    if (ref == TCP_REFERENCE_NONE) {
        flow->conn = HANDLE_NONE;
        return;
    }
    uint32_t index = tcp_reference_index(ref);
    if (tcp_reference_is_time_wait(ref)) {
        const struct tcp_time_wait *entry = pool_at(&tcp->time_waits, index);
        flow->conn = HANDLE_NONE;
        flow->snd_nxt = entry->snd_nxt;
        flow->rcv_nxt = entry->rcv_nxt;
        return;
    }
    const struct tcp_conn *conn = pool_at(&tcp->conns, index);
    if (pool_handle(&tcp->conns, conn) != flow->conn)
        begin(flow, conn);
    flow->snd_nxt = conn->snd_nxt;
    flow->rcv_nxt = conn->rcv_nxt;
}

static void follow_all(void)
{
    for (int i = 0; i < MODEL_FLOWS; i++)
        follow(&model.flows[i]);
}

static void deliver_burst(void)
{
    uint16_t count = burst_count;
    burst_count = 0;
    tcp_in(model.host.tcp, burst, count, model.now);
    net_flush(model.host.base.net);
    follow_all();
}

/* The peer's bytes and FIN, for what we may deliver and acknowledge. */
static void note_sent(struct model_flow *flow, const struct model_segment *segment)
{
    uint32_t position = segment->seq + ((segment->flags & TCP_SYN) != 0) - flow->peer_first;
    for (uint32_t i = 0; i < segment->length; i++)
        bit_set(flow->bytes_sent, position + i);
    if (segment->flags & TCP_FIN)
        bit_set(flow->fins_sent, position + segment->length);
    while (bit_is_set(flow->bytes_sent, flow->whole))
        flow->whole++;
}

/* The window that a segment gives, if it may be believed. */
static void note_granted(struct model_flow *flow, const struct model_segment *segment)
{
    const struct tcp_conn *conn = tcp_model_conn(flow);
    if (conn == NULL || (segment->flags & TCP_ACK) == 0 || seq_gt(segment->ack, conn->snd_nxt))
        return;
    int64_t window = segment->window;
    if ((segment->flags & TCP_SYN) == 0)
        window <<= conn->snd_wscale;
    int64_t edge = (int32_t)(segment->ack - flow->host_first) + window;
    if (edge > flow->granted)
        flow->granted = edge;
}

static uint32_t ip_write(struct writer *w, const struct flow_tuple *tuple, bool from_peer,
                         uint8_t protocol, uint32_t length)
{
    bool v4 = ip_address_is_v4(&tuple->remote);
    const struct ip_address *from = from_peer ? &tuple->remote : &tuple->local;
    const struct ip_address *to = from_peer ? &tuple->local : &tuple->remote;
    uint8_t header[40] = {0};
    header[0] = v4 ? 0x45 : 0x60;
    uint32_t claimed = v4 ? length + 20 : length;
    header[v4 ? 2 : 4] = (uint8_t)(claimed >> 8);
    header[v4 ? 3 : 5] = (uint8_t)claimed;
    header[v4 ? 9 : 6] = protocol;
    memcpy(header + (v4 ? 12 : 8), from->bytes + (v4 ? 12 : 0), v4 ? 4 : 16);
    memcpy(header + (v4 ? 16 : 24), to->bytes + (v4 ? 12 : 0), v4 ? 4 : 16);
    writer_bytes(w, bytes_of(header, IP_BYTES(v4)));
    return IP_BYTES(v4);
}

static struct rte_mbuf *segment_packet(const struct model_flow *flow,
                                       const struct model_segment *segment)
{
    uint8_t bytes[FRAME_ROOM] = {0};
    uint32_t header = 20 + segment->raw_length;
    struct writer w = writer_over(bytes, sizeof(bytes));
    (void)writer_take(&w, ETHERNET);
    uint32_t l3 = ip_write(&w, &flow->tuple, true, IPPROTO_TCP, header + segment->length);
    writer_u16(&w, flow->tuple.remote_port);
    writer_u16(&w, flow->tuple.local_port);
    writer_u32(&w, segment->seq);
    writer_u32(&w, segment->ack);
    writer_u8(&w, (uint8_t)(header / 4 << 4));
    writer_u8(&w, segment->flags);
    writer_u16(&w, segment->window);
    writer_u32(&w, 0);
    writer_bytes(&w, bytes_of(segment->raw, segment->raw_length));
    uint32_t position = segment->seq + ((segment->flags & TCP_SYN) != 0) - flow->peer_first;
    for (uint32_t i = 0; i < segment->length; i++)
        writer_u8(&w, tcp_stream_byte(MODEL_SEED, position + i));
    check(!w.failed);
    struct rte_mbuf *packet = packet_of(bytes, writer_length(&w));
    packet->l2_len = ETHERNET;
    packet->l3_len = l3;
    packet->port = 0; /* of the interface */
    packet->packet_type = RTE_PTYPE_L4_TCP;
    return packet;
}

/* What begins or ends a connection comes alone, so that the model can follow. */
void tcp_model_send(struct model_flow *flow, const struct model_segment *segment, bool later)
{
    bool alone = !later || (segment->flags & (TCP_SYN | TCP_RST)) != 0;
    if (burst_count == NET_BURST || (burst_count > 0 && alone))
        deliver_burst();
    struct model_segment cut = *segment;
    bool opens = (segment->flags & TCP_SYN) != 0;
    const struct tcp_conn *conn = tcp_model_conn(flow);
    if (opens && (conn == NULL || conn->state == TCP_STATE_SYN_SENT))
        flow->peer_first = segment->seq + 1;
    uint32_t position = segment->seq + opens - flow->peer_first;
    bool in_stream = position + segment->length <= MODEL_STREAM_BYTES;
    if (conn == NULL && position != 0)
        cut.length = 0; /* what a cookie brings back would not be the pattern */
    if (!in_stream && position <= MODEL_STREAM_BYTES)
        cut.length = MODEL_STREAM_BYTES - position;
    struct tcp_segment seen = {.flags = cut.flags, .seq = cut.seq, .ack = cut.ack};
    seen.length = cut.length;
    seen.window = cut.window;
    trace(">", flow, &seen);
    note_sent(flow, &cut);
    note_granted(flow, &cut);
    burst[burst_count++] = segment_packet(flow, &cut);
    if (alone)
        deliver_burst();
}

void tcp_model_icmp(struct model_flow *flow, uint8_t type, uint8_t code, uint32_t rest,
                    uint32_t seq)
{
    uint8_t bytes[FRAME_ROOM] = {0};
    bool v4 = ip_address_is_v4(&flow->tuple.remote);
    struct writer w = writer_over(bytes, sizeof(bytes));
    (void)writer_take(&w, ETHERNET);
    uint32_t l3 =
        ip_write(&w, &flow->tuple, true, v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, 16 + IP_BYTES(v4));
    writer_u8(&w, type);
    writer_u8(&w, code);
    writer_u16(&w, 0);
    writer_u32(&w, rest);
    ip_write(&w, &flow->tuple, false, IPPROTO_TCP, 1000);
    writer_u16(&w, flow->tuple.local_port);
    writer_u16(&w, flow->tuple.remote_port);
    writer_u32(&w, seq);
    struct rte_mbuf *packet = packet_of(bytes, writer_length(&w));
    packet->l2_len = ETHERNET;
    packet->l3_len = l3;
    packet->l4_len = 8 + IP_BYTES(v4);
    packet->packet_type = RTE_PTYPE_L4_ICMP;
    deliver_burst();
    burst[burst_count++] = packet;
    deliver_burst();
}

/* ---- time, and what runs out ---- */

void tcp_model_starve(uint32_t count)
{
    rte_pktmbuf_free_bulk(starved, starved_count);
    starved_count = 0;
    if (count == UINT32_MAX)
        return;
    while (starved_count < MODEL_HOST_MBUFS) {
        starved[starved_count] = rte_pktmbuf_alloc(port.mempool);
        if (starved[starved_count] == NULL)
            break;
        starved_count++;
    }
    for (; count > 0 && starved_count > 0; count--)
        rte_pktmbuf_free(starved[--starved_count]);
}

void tcp_model_turn(void)
{
    struct tcp *tcp = model.host.tcp;
    model.turns++;
    deliver_burst();
    while (timer_wheel_advance(&model.host.base.wheel, model.now, 1000) == 1000)
        ;
    net_flush(model.host.base.net);
    tcp_dispatch(tcp, UINT32_MAX, model.now);
    net_flush(model.host.base.net);
    tcp_out(tcp, model.now);
    net_flush(model.host.base.net);
    answer_questions();
    net_flush(model.host.base.net);
    follow_all();
    tcp_check_all(tcp);
}

void tcp_model_run_for(uint64_t for_ns)
{
    uint64_t end = model.now + for_ns;
    while (model.now < end) {
        uint64_t longest = model.turns < TURNS_MAX ? LONGEST_NS : 10 * LONGEST_NS;
        uint64_t next = timer_wheel_next_ns(&model.host.base.wheel);
        next = RTE_MAX(next, model.now + (model.turns < TURNS_MAX ? STEP_NS : longest));
        next = RTE_MIN(next, model.now + longest);
        model.now = RTE_MIN(next, end);
        tcp_model_turn();
    }
}

/* ---- life ---- */

void tcp_model_init(void)
{
    struct wire_config config = {.ends = 2, .queues = 1, .mbufs = MODEL_HOST_MBUFS};
    wire = wire_create(&config);
    is_traced = getenv("TCP_MODEL_TRACE") != NULL;
}

static void flow_init(int i)
{
    struct model_flow *flow = &model.flows[i];
    bool v6 = i % MODEL_ACTIVE_FROM == 2;
    flow->conn = HANDLE_NONE;
    flow->window = 65535;
    flow->peer_first = 1000u * (uint32_t)i;
    flow->tuple.remote_port = (uint16_t)(MODEL_PEER_PORT + i);
    flow->tuple.local_port = i < MODEL_ACTIVE_FROM ? MODEL_PORT : 0;
    check(ip_address_parse(v6 ? "fd00::1" : "10.0.0.1", &flow->tuple.local));
    check(ip_address_parse(v6 ? "fd00::2" : "10.0.0.2", &flow->tuple.remote));
}

struct tcp_model *tcp_model_prepare(void)
{
    memset(&model, 0, sizeof(model));
    model.now = CLOCK_S;
    port = (struct port_queue){
        .receive = port_receive,
        .transmit = port_transmit,
        .mempool = wire_queue(wire, 0, 0)->mempool,
        .features = &features,
    };
    tcp_host_prepare(&model.host, wire, 0, "10.0.0.1/24", "fd00::1/64");
    model.host.base.config.queues[0] = &port;
    model.host.base.port = &port;
    return &model;
}

void tcp_model_open(void)
{
    tcp_host_open(&model.host);
    for (int i = 0; i < MODEL_FLOWS; i++)
        flow_init(i);
}

static bool is_all_over(void)
{
    return tcp_host_used(&model.host) == 0 && tcp_time_wait_count(model.host.tcp) == 0 &&
           wire_mbufs_used(wire) == 0;
}

void tcp_model_close(void)
{
    tcp_model_starve(UINT32_MAX);
    uint64_t end = model.now + FINISH_FOR_NS;
    model.silent = true; /* nobody waits for ever for a neighbour */
    while (model.now < end && !is_all_over())
        tcp_model_run_for(CLOCK_S);
    check(is_all_over());
    memory_reset();
}
