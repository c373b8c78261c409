/*
 * fuzz_h2_conn: one HTTP/2 connection, either role, with a hostile peer and a busy owner.
 *
 * The first octet chooses the role and how much memory there is. Then a sequence of operations, one
 * octet each:
 *   0x00..0x7f  so many octets more: the peer sends them
 *   0x80..0x8f  two octets of length, type and flags from the next two, stream from one: a frame
 *               whose header is right, with that many of the octets that follow
 *   0x90..0xef  an act of the owner or of the transport, see act()
 *   0xf0..0xff  a change of what the owner does from here on, see change()
 * Whatever comes, the connection ends with every stream told and every object given back; that
 * is what lab_close() checks.
 */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/h2_lab.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return 0;
}

static void open_connection(uint8_t how)
{
    struct h2_config config = lab_config();
    config.header_blocks_max = how >> 1 & 3;
    config.hpack_tables_max = how >> 3 & 3;
    config.streams_max = (how & 0x20) != 0 ? 2 : LAB_STREAMS;
    config.server_concurrent_streams = 20;
    if ((how & 0x10) != 0) {
        config.stream_window_max_bytes = 1 << 18;
        config.connection_window_max_bytes = 1 << 19;
        config.window_budget_bytes = 1 << 18;
    }
    lab_create(&config);
    h2_announce_connect(lab.h2, true);
    lab_open((how & 1) != 0 ? H2_CLIENT : H2_SERVER);
    if ((how & 0x40) != 0)
        lab_handshake();
    lab.owner.body_bytes = (how & 0x80) != 0 ? 50000 : 0;
}

static void feed(struct bytes bytes)
{
    if (lab.pipe.ends[1].capacity - lab.pipe.ends[1].queued >= bytes.length)
        lab_feed(bytes, SIZE_MAX);
    lab_forget_sent();
}

/* Reads until its end is the best an owner can do for an input that asks for more. */
static struct bytes take(struct reader *in, size_t count)
{
    return reader_bytes(in, count < reader_left(in) ? count : reader_left(in));
}

/* Frames of fixed size have it, unless the input insists: other lengths end the connection. */
static uint32_t length_of(uint8_t type, uint16_t wish)
{
    const struct h2_frame_rule *rule = h2_frame_is_known(type) ? &h2_frame_rules[type] : NULL;
    bool is_fixed = rule != NULL && rule->length_min == rule->length_max;
    return is_fixed && (wish & 0x8000) == 0 ? rule->length_min
                                            : wish % (2 * H2_FRAME_PAYLOAD_BYTES);
}

static void feed_frame(struct reader *in)
{
    uint8_t header[H2_FRAME_HEADER_BYTES];
    struct h2_frame frame = {0};
    uint16_t wish = reader_u16(in);
    frame.type = reader_u8(in) % (H2_FRAME_TYPES + 1);
    frame.length = length_of(frame.type, wish);
    frame.flags = reader_u8(in);
    frame.stream_id = reader_u8(in);
    struct bytes payload = take(in, frame.length);
    frame.length = (uint32_t)payload.length;
    h2_frame_write(header, frame);
    feed(bytes_of(header, sizeof(header)));
    if (lab.owner.conn != NULL)
        feed(payload);
}

static void consume_all(void)
{
    for (uint32_t i = 0; i < LAB_STREAMS; i++) {
        struct h2_stream *stream = lab.owner.streams[i];
        if (stream == NULL)
            continue;
        uint64_t window = stream->window.bytes;
        h2_stream_consumed(stream, (uint32_t)(window - stream->receive_window - stream->credit));
    }
    lab_flush();
}

static void act(uint8_t what)
{
    struct h2_conn *conn = lab.owner.conn;
    switch (what % 16) {
    case 0:
        lab_answer();
        break;
    case 1:
        lab_reset_first();
        break;
    case 2:
        h2_shutdown(conn, lab.now);
        break;
    case 3:
        lab_wait(CLOCK_S);
        break;
    case 4:
        lab_wait(20 * CLOCK_S);
        break;
    case 5:
        lab.owner.resets_at_once = !lab.owner.resets_at_once;
        break;
    case 6:
        lab.owner.closes_at_once = true;
        break;
    case 7:
        h2_close(conn, H2_INTERNAL_ERROR, lab.now);
        break;
    case 8:
        h2_transport_ended(conn, true, lab.now);
        break;
    case 9:
        lab.pipe.ends[0].capacity = 0;
        break;
    case 10:
        lab.pipe.ends[0].capacity = 1 << 18;
        h2_writable(conn);
        break;
    case 11:
        lab.pipe.ends[0].capacity = 6000;
        break;
    case 12:
        if (conn->role == H2_CLIENT && h2_request_room(conn) > 0 && lab_room() > 0)
            lab_request(1);
        break;
    case 13:
        consume_all();
        break;
    case 14:
        h2_ping(conn, CLOCK_S, lab.now);
        break;
    case 15:
        lab_flush();
        break;
    }
}

static void change(uint8_t what)
{
    static const uint32_t bodies[] = {0, 1, 50000, 1 << 20};
    switch (what % 16) {
    case 0:
        lab.owner.connects = !lab.owner.connects;
        break;
    case 1:
        lab.pipe.ends[0].random = &lab.random;
        lab.pipe.ends[0].starve_in_100 ^= 50;
        break;
    case 2:
    case 3:
    case 4:
        lab.owner.requests = (enum lab_requests)(what % 16 - 2);
        break;
    case 5:
    case 6:
        h2_announce_connect(lab.h2, what % 16 == 6);
        break;
    case 8:
    case 9:
    case 10:
    case 11:
        if (lab.owner.body_bytes < bodies[what % 4]) /* what was begun can still be ended */
            lab.owner.body_bytes = bodies[what % 4];
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader in = reader_over(bytes_of(data, size));
    open_connection(reader_u8(&in));
    while (!in.failed && reader_left(&in) > 0 && lab.owner.conn != NULL) {
        uint8_t what = reader_u8(&in);
        if (what < 0x80)
            feed(take(&in, what + 1u));
        else if (what < 0x90)
            feed_frame(&in);
        else if (what < 0xf0)
            act(what);
        else
            change(what);
        lab_flush();
        lab_forget_sent();
    }
    lab.pipe.ends[0].capacity = 1 << 18;
    lab.pipe.ends[0].starve_in_100 = 0;
    lab_close();
    return 0;
}
