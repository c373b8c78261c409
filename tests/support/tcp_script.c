#include "tests/support/tcp_script.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/memory.h"
#include "dataplane/base/reader.h"
#include "dataplane/base/writer.h"

#include <string.h>

#define STEP_NS (10 * CLOCK_US)
#define SEED    7u

void script_prepare(struct tcp_script *script)
{
    struct wire_config config = {.ends = 2, .queues = 1, .seed = 1, .mbufs = 2047};
    memset(script, 0, sizeof(*script));
    script->wire = wire_create(&config);
    script->now = CLOCK_S;
    script->seq = 1000;
    script->ts_value = 5000;
    tcp_host_prepare(&script->host, script->wire, 0, "10.0.0.1/24", "fd00::1/64");
    net_host_prepare(&script->peer, script->wire, 1, 0, 1);
    net_host_add_address(&script->peer, "10.0.0.2/24");
    net_host_add_address(&script->peer, "fd00::2/64");
}

void script_open(struct tcp_script *script)
{
    wire_advance(script->wire, script->now);
    tcp_host_open(&script->host);
    net_host_open(&script->peer);
    script->acceptor = (struct tcp_acceptor){.streams = script->streams, .room = 8};
    for (uint32_t i = 0; i < 8; i++)
        tcp_stream_init(&script->streams[i], &script->host, SEED);
    tcp_stream_init(&script->client, &script->host, SEED);
    check(tcp_stream_listen(&script->host, "10.0.0.1", SCRIPT_PORT, &script->acceptor));
    check(tcp_stream_listen(&script->host, "fd00::1", SCRIPT_PORT, &script->acceptor));
}

/* What arrived at the peer, as a struct script_segment. */
static void note(struct tcp_script *script, struct rte_mbuf *packet)
{
    struct tcp_segment seg;
    check(script->got_count < SCRIPT_SEGMENTS);
    struct script_segment *got = &script->got[script->got_count++];
    check((packet->packet_type & RTE_PTYPE_L4_MASK) == RTE_PTYPE_L4_TCP);
    check(tcp_segment_read(script->host.tcp, packet, &seg));
    *got = (struct script_segment){
        .flags = seg.flags,
        .seq = seg.seq,
        .ack = seg.ack,
        .window = seg.window,
        .options = seg.options,
        .length = seg.length,
    };
    check(seg.length <= SCRIPT_PAYLOAD);
    memcpy(got->payload, rte_pktmbuf_mtod(packet, const void *), seg.length);
    script->tuple.remote_port = seg.tuple.remote_port;
    rte_pktmbuf_free(packet);
}

static void peer_turn(struct tcp_script *script)
{
    struct net_arrivals arrivals;
    net_host_receive(&script->peer, script->now, &arrivals);
    for (uint16_t i = 0; i < arrivals.own_count; i++)
        note(script, arrivals.own[i]);
    timer_wheel_advance(&script->peer.wheel, script->now, 1000);
    net_flush(script->peer.net);
}

static void turn_at(struct tcp_script *script, uint64_t now)
{
    script->now = now;
    wire_advance(script->wire, now);
    tcp_host_turn(&script->host, now);
    peer_turn(script);
}

void script_step(struct tcp_script *script)
{
    turn_at(script, script->now + STEP_NS);
}

void script_run_for(struct tcp_script *script, uint64_t for_ns)
{
    uint64_t end = script->now + for_ns;
    while (script->now < end) {
        uint64_t next = script->now + CLOCK_MS;
        turn_at(script, next < end ? next : end);
    }
}

void script_close(struct tcp_script *script)
{
    uint64_t end = script->now + 200 * CLOCK_S;
    while (script->now < end) {
        script->got_count = 0;
        turn_at(script, script->now + 20 * CLOCK_MS);
    }
    check(tcp_host_used(&script->host) == 0);
    check(tcp_time_wait_count(script->host.tcp) == 0);
    check(wire_mbufs_used(script->wire) == 0);
    wire_destroy(script->wire);
    memory_reset();
}

bool script_take(struct tcp_script *script, struct script_segment *out)
{
    for (int i = 0; i < 4 && script->taken == script->got_count; i++)
        script_step(script);
    if (script->taken == script->got_count)
        return false;
    *out = script->got[script->taken++];
    uint32_t end =
        out->seq + out->length + ((out->flags & TCP_SYN) != 0) + ((out->flags & TCP_FIN) != 0);
    if (out->flags & TCP_SYN || seq_gt(end, script->ack))
        script->ack = end;
    if (out->options.present & TCP_OPTION_TIMESTAMP)
        script->ts_echo = out->options.ts_value;
    if (script->taken == script->got_count) {
        script->taken = 0;
        script->got_count = 0;
    }
    return true;
}

struct script_segment script_make(const struct tcp_script *script, uint8_t flags)
{
    struct script_segment segment = {
        .flags = flags,
        .seq = script->seq,
        .ack = flags & TCP_ACK ? script->ack : 0,
        .window = 65535,
    };
    if (script->timestamps) {
        segment.options.present = TCP_OPTION_TIMESTAMP;
        segment.options.ts_value = script->ts_value;
        segment.options.ts_echo = script->ts_echo;
    }
    return segment;
}

void script_fill(struct script_segment *segment, uint64_t position, uint32_t length)
{
    check(length <= SCRIPT_PAYLOAD);
    segment->length = length;
    for (uint32_t i = 0; i < length; i++)
        segment->payload[i] = tcp_stream_byte(SEED, position + i);
}

void script_send(struct tcp_script *script, const struct script_segment *segment)
{
    uint8_t bytes[TCP_HEADER_MAX_BYTES + SCRIPT_PAYLOAD];
    struct writer w = writer_over(bytes, sizeof(bytes));
    writer_u16(&w, script->tuple.local_port);
    writer_u16(&w, script->tuple.remote_port);
    writer_u32(&w, segment->seq);
    writer_u32(&w, segment->ack);
    uint8_t *offset = writer_take(&w, 1);
    writer_u8(&w, segment->flags);
    writer_u16(&w, segment->window);
    writer_u32(&w, 0);
    tcp_options_write(&w, &segment->options);
    *offset = (uint8_t)(writer_length(&w) / 4 << 4);
    writer_bytes(&w, bytes_of(segment->payload, segment->length));
    check(!w.failed);

    struct net_path path;
    check(net_route(script->peer.net, &script->tuple.remote, &path));
    struct rte_mbuf *packet = net_packet_take(script->peer.net, &path);
    check(packet != NULL);
    char *room = rte_pktmbuf_append(packet, (uint16_t)writer_length(&w));
    check(room != NULL);
    memcpy(room, bytes, writer_length(&w));
    struct net_send how = {&path, &script->tuple.local, &script->tuple.remote, IPPROTO_TCP,
                           segment->traffic_class};
    net_send(script->peer.net, &how, packet, script->now);
    net_flush(script->peer.net);
}

void script_send_data(struct tcp_script *script, int32_t offset, uint32_t length)
{
    struct script_segment segment = script_make(script, TCP_ACK | TCP_PSH);
    segment.seq += (uint32_t)offset;
    script_fill(&segment, (uint64_t)(segment.seq - script->peer_first), length);
    script_send(script, &segment);
}

static void set_addresses(struct tcp_script *script)
{
    const char *ours = script->v6 ? "fd00::2" : "10.0.0.2";
    const char *theirs = script->v6 ? "fd00::1" : "10.0.0.1";
    check(ip_address_parse(ours, &script->tuple.local));
    check(ip_address_parse(theirs, &script->tuple.remote));
}

void script_accept(struct tcp_script *script, const struct tcp_options *options)
{
    set_addresses(script);
    script->tuple.local_port = SCRIPT_PEER_PORT;
    script->tuple.remote_port = SCRIPT_PORT;
    struct script_segment syn = script_make(script, TCP_SYN);
    struct script_segment answer;
    syn.options = *options;
    syn.options.ts_value = script->ts_value;
    script_send(script, &syn);
    while (!script_take(script, &answer))
        ;
    check(answer.flags == (TCP_SYN | TCP_ACK) && answer.ack == script->seq + 1);
    script->seq++;
    script->peer_first = script->seq;
    script->timestamps = (answer.options.present & TCP_OPTION_TIMESTAMP) != 0;
    uint32_t before = script->acceptor.count;
    struct script_segment ack = script_make(script, TCP_ACK);
    script_send(script, &ack);
    script_step(script);
    check(script->acceptor.count == before + 1);
}

void script_connect(struct tcp_script *script, const struct tcp_options *options)
{
    struct script_segment syn;
    set_addresses(script);
    script->tuple.local_port = SCRIPT_PEER_PORT;
    const char *address = script->v6 ? "fd00::2" : "10.0.0.2";
    check(tcp_stream_connect(&script->client, address, SCRIPT_PEER_PORT, script->now));
    while (!script_take(script, &syn))
        ;
    check(syn.flags == TCP_SYN);
    script->timestamps = (options->present & TCP_OPTION_TIMESTAMP) != 0;
    struct script_segment answer = script_make(script, TCP_SYN | TCP_ACK);
    answer.options = *options;
    answer.options.ts_value = script->ts_value;
    answer.options.ts_echo = script->ts_echo;
    script_send(script, &answer);
    script->seq++;
    script->peer_first = script->seq;
    check(script_take(script, &syn));
    check(syn.flags == TCP_ACK && syn.ack == script->seq && script->client.opened);
}

struct tcp_conn *script_conn(struct tcp_script *script)
{
    return script->client.opened ? script->client.conn
                                 : script->streams[script->acceptor.count - 1].conn;
}
