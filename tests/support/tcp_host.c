#include "tests/support/tcp_host.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"

#include <string.h>

#define SEGMENT_BYTES 4096u
#define PIECE_MAX     4096u

void tcp_host_prepare(struct tcp_host *host, struct wire *wire, uint16_t end, const char *v4,
                      const char *v6)
{
    memset(host, 0, sizeof(*host));
    net_host_prepare(&host->base, wire, end, 0, 1);
    net_host_add_address(&host->base, v4);
    if (v6 != NULL)
        net_host_add_address(&host->base, v6);
    host->config = (struct tcp_config){
        .workers = 1,
        .connections_max = 64,
        .time_wait_max = 64,
        .spans_max = 1024,
        .blocks_max = 512,
        .reassembly_max = 2048,
        .receive_window_bytes = 256 * 1024,
        .send_queue_bytes = 256 * 1024,
        .listeners_max = 8,
        .connect_timeout_ns = 10 * CLOCK_S,
        .user_timeout_ns = 60 * CLOCK_S,
        .keepalive_idle_ns = 0,
        .time_wait_ns = 10 * CLOCK_S,
        .socket_id = -1,
    };
}

void tcp_host_open(struct tcp_host *host)
{
    net_host_open(&host->base);
    host->config.net = host->base.net;
    host->config.wheel = &host->base.wheel;
    host->config.random = &host->base.random;
    host->tcp = tcp_create(&host->config);
    check(host->tcp != NULL);
    check(segment_pool_init(&host->segments, "test segments", 512, SEGMENT_BYTES, -1));
}

static void give(struct tcp_host *host, struct rte_mbuf **packets, uint16_t count, uint64_t now)
{
    uint16_t most = host->burst_max > 0 ? host->burst_max : NET_BURST;
    for (uint16_t at = 0; at < count; at = (uint16_t)(at + most))
        tcp_in(host->tcp, packets + at, count - at < most ? (uint16_t)(count - at) : most, now);
}

void tcp_host_receive(struct tcp_host *host, uint64_t now)
{
    struct net_arrivals arrivals;
    for (int burst = 0; burst < 4; burst++) {
        net_host_receive(&host->base, now, &arrivals);
        check(arrivals.foreign_count == 0);
        give(host, arrivals.own, arrivals.own_count, now);
    }
    while (timer_wheel_advance(&host->base.wheel, now, 1000) == 1000)
        ;
}

void tcp_host_finish(struct tcp_host *host, uint64_t now)
{
    tcp_out(host->tcp, now);
    net_flush(host->base.net);
}

void tcp_host_turn(struct tcp_host *host, uint64_t now)
{
    tcp_host_receive(host, now);
    tcp_dispatch(host->tcp, UINT32_MAX, now);
    tcp_host_finish(host, now);
}

uint32_t tcp_host_used(const struct tcp_host *host)
{
    return tcp_objects_used(host->tcp) + pool_used(&host->segments.segments);
}

uint8_t tcp_stream_byte(uint32_t seed, uint64_t position)
{
    uint64_t x = (position >> 3) * 0x9e3779b97f4a7c15ull + seed;
    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9ull;
    return (uint8_t)(x >> (8 * (position & 7)));
}

static void fill(const struct tcp_stream *stream, uint8_t *out, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++)
        out[i] = tcp_stream_byte(stream->seed_out, stream->sent + i);
}

static void read_some(struct tcp_stream *stream)
{
    uint32_t left = stream->read_max;
    while (left > 0 && stream->conn != NULL) {
        struct bytes got = bytes_first(tcp_read(stream->conn), left);
        if (got.length == 0)
            return;
        for (size_t i = 0; i < got.length; i++)
            if (got.data[i] != tcp_stream_byte(stream->seed_in, stream->received + i))
                stream->corrupt = true;
        stream->received += got.length;
        left -= (uint32_t)got.length;
        tcp_read_done(stream->conn, (uint32_t)got.length);
    }
}

static bool send_from_segment(struct tcp_stream *stream, uint32_t length)
{
    struct segment *segment = segment_take(&stream->host->segments);
    if (segment == NULL)
        return false;
    uint32_t offset = random_below(&stream->random, SEGMENT_BYTES - length + 1);
    fill(stream, segment->data + offset, length);
    segment->length = offset + length;
    bool queued = tcp_send_segment(stream->conn, segment, offset, length);
    segment_drop(segment);
    return queued;
}

static bool send_piece(struct tcp_stream *stream, uint32_t length)
{
    if (stream->use_segments && random_below(&stream->random, 2) == 0)
        return send_from_segment(stream, length);
    uint8_t piece[PIECE_MAX];
    fill(stream, piece, length);
    return tcp_send_copy(stream->conn, bytes_of(piece, length));
}

static void send_some(struct tcp_stream *stream)
{
    uint32_t most = stream->piece_max == 0 ? PIECE_MAX : stream->piece_max;
    while (stream->sent < stream->to_send) {
        uint32_t room = tcp_send_room(stream->conn);
        uint64_t left = stream->to_send - stream->sent;
        uint32_t length = 1 + random_below(&stream->random, most);
        if (length > room)
            length = room;
        if (length > left)
            length = (uint32_t)left;
        if (length == 0 || !send_piece(stream, length))
            return;
        stream->sent += length;
    }
}

void tcp_stream_pump(struct tcp_stream *stream)
{
    if (stream->conn == NULL || !stream->opened)
        return;
    read_some(stream);
    send_some(stream);
    bool read_all = tcp_read(stream->conn).length == 0;
    bool sent_all = stream->sent == stream->to_send;
    if ((stream->close_after_sending && sent_all) ||
        (stream->close_after_eof && stream->eof && sent_all && read_all)) {
        tcp_close(stream->conn);
        stream->conn = NULL;
    }
}

static void stream_event(void *context, struct tcp_conn *conn, uint32_t events, uint64_t now)
{
    struct tcp_stream *stream = context;
    check(stream->conn == conn);
    stream->events |= events;
    stream->writable_events += (events & TCP_WRITABLE) != 0;
    if (events & TCP_OPENED) {
        stream->opened = true;
        stream->opened_events++;
    }
    if (events & TCP_EOF)
        stream->eof = true;
    if (events & TCP_FAILED) {
        struct tcp_info info;
        tcp_info(conn, now, &info);
        stream->failed = true;
        stream->failure = info.failure;
        if (stream->abort_on_fail) {
            tcp_abort(conn);
            stream->conn = NULL;
        }
        return;
    }
    tcp_stream_pump(stream);
}

static const struct tcp_app stream_app = {.event = stream_event};

static void accept_event(void *context, struct tcp_conn *conn, uint32_t events, uint64_t now)
{
    struct tcp_acceptor *acceptor = context;
    check(events & TCP_OPENED);
    if (acceptor->count == acceptor->room) {
        tcp_abort(conn);
        return;
    }
    struct tcp_stream *stream = &acceptor->streams[acceptor->count++];
    stream->conn = conn;
    tcp_set_app(conn, &stream_app, stream);
    stream_event(stream, conn, events, now);
}

static const struct tcp_app accept_app = {.event = accept_event};

void tcp_stream_init(struct tcp_stream *stream, struct tcp_host *host, uint32_t seed)
{
    *stream = (struct tcp_stream){
        .host = host,
        .seed_out = seed,
        .seed_in = seed,
        .read_max = UINT32_MAX,
        .close_after_eof = true,
        .abort_on_fail = true,
    };
    random_seed(&stream->random, seed);
}

bool tcp_stream_connect(struct tcp_stream *stream, const char *address, uint16_t port, uint64_t now)
{
    struct ip_address remote;
    check(ip_address_parse(address, &remote));
    stream->conn = tcp_connect(stream->host->tcp, &remote, port, &stream_app, stream, now);
    return stream->conn != NULL;
}

bool tcp_stream_listen(struct tcp_host *host, const char *address, uint16_t port,
                       struct tcp_acceptor *acceptor)
{
    struct ip_address local;
    check(ip_address_parse(address, &local));
    return tcp_listen(host->tcp, &local, port, &accept_app, acceptor);
}

bool tcp_stream_is_done(const struct tcp_stream *stream, uint64_t total)
{
    return stream->conn == NULL && !stream->failed && !stream->corrupt &&
           stream->sent == stream->to_send && stream->received == total;
}
