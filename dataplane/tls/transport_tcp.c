#include "dataplane/tls/transport.h"

#include "dataplane/tcp/tcp.h"

static uint32_t plain_room(void *stream)
{
    return tcp_send_room(stream);
}

static bool plain_send_copy(void *stream, struct bytes bytes)
{
    return tcp_send_copy(stream, bytes);
}

static bool plain_send_segment(void *stream, struct segment *segment, uint32_t offset,
                               uint32_t length)
{
    return tcp_send_segment(stream, segment, offset, length);
}

static uint8_t *plain_place(void *stream, uint32_t least, uint32_t *out_bytes)
{
    return tcp_send_place(stream, least, out_bytes);
}

static void plain_placed(void *stream, uint32_t count)
{
    tcp_send_placed(stream, count);
}

static struct bytes plain_read(void *stream)
{
    return tcp_read(stream);
}

static void plain_read_done(void *stream, uint32_t count)
{
    tcp_read_done(stream, count);
}

static void plain_close(void *stream)
{
    tcp_close(stream);
}

static void plain_abort(void *stream)
{
    tcp_abort(stream);
}

static uint64_t plain_rtt_ns(void *stream, uint64_t now)
{
    struct tcp_info info;
    tcp_info(stream, now, &info);
    return info.smoothed_rtt_ns;
}

static uint64_t plain_silent_for_ns(void *stream, uint64_t now)
{
    struct tcp_info info;
    tcp_info(stream, now, &info);
    return info.silent_for_ns;
}

static const struct transport_ops plain_ops = {
    .room = plain_room,
    .send_copy = plain_send_copy,
    .send_segment = plain_send_segment,
    .place = plain_place,
    .placed = plain_placed,
    .read = plain_read,
    .read_done = plain_read_done,
    .close = plain_close,
    .abort = plain_abort,
    .rtt_ns = plain_rtt_ns,
    .silent_for_ns = plain_silent_for_ns,
};

struct transport transport_tcp(struct tcp_conn *conn)
{
    return (struct transport){&plain_ops, conn};
}
