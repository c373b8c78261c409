/*
 * bench_relay: cycles of time stamp counter for each DATA frame that HTTP/2 takes from a backend
 * and gives to a client: parsing and both windows on one side, the copy into a segment, supply()
 * and the frame on the other, the WINDOW_UPDATE that are due. TCP and coalescing are not in it. A
 * burst of frames a round, which come in one view; the median of many rounds, and the best tenth.
 *
 *     bench_relay [ROUNDS]
 */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/h2/h2_conn.h"
#include "tests/support/h2_script.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUNDS_MAX 100000
#define BURST      16
#define VIEW_BYTES (BURST * (H2_FRAME_HEADER_BYTES + H2_FRAME_PAYLOAD_BYTES))

/* One side's transport: what it reads next; what is sent only counts. */
struct side {
    struct h2_conn *conn;
    struct h2_stream *stream;
    struct bytes view;
    uint64_t sent_bytes;
    bool head_sent;
};

static struct {
    struct h2 *h2;
    struct random random;
    struct timer_wheel wheel;
    struct side client, backend;
    struct segment segments[BURST];
    uint8_t texts[BURST][H2_FRAME_PAYLOAD_BYTES];
    uint32_t filled, taken; /* of the segments */
    uint8_t view[VIEW_BYTES];
    uint64_t now;
} relay;

static uint64_t samples[ROUNDS_MAX];
static uint32_t rounds = 20000;

/* --- the transport --- */

static uint32_t side_room(void *stream)
{
    return 1 << 20;
}

static bool side_send_copy(void *stream, struct bytes bytes)
{
    ((struct side *)stream)->sent_bytes += bytes.length;
    return true;
}

static bool side_send_segment(void *stream, struct segment *segment, uint32_t offset,
                              uint32_t length)
{
    ((struct side *)stream)->sent_bytes += length;
    return true;
}

static struct bytes side_read(void *stream)
{
    return ((struct side *)stream)->view;
}

static void side_read_done(void *stream, uint32_t count)
{
    struct side *side = stream;
    side->view = bytes_after(side->view, count);
}

static void side_end(void *stream)
{
}

static const struct transport_ops side_ops = {
    .room = side_room,
    .send_copy = side_send_copy,
    .send_segment = side_send_segment,
    .read = side_read,
    .read_done = side_read_done,
    .close = side_end,
    .abort = side_end,
};

/* --- the owner of both streams --- */

static void on_headers(void *owner, struct h2_stream *stream, const struct fields *fields,
                       enum h2_section section, bool end, uint64_t now)
{
    struct side *side = owner;
    side->stream = stream;
    h2_stream_set_owner(stream, side);
}

static void on_data(struct h2_stream *stream, struct bytes bytes, bool end, uint64_t now)
{
    struct segment *segment = &relay.segments[relay.filled++];
    memcpy(segment->data, bytes.data, bytes.length);
    segment->length = (uint32_t)bytes.length;
    h2_stream_ready(relay.client.stream);
}

static struct h2_supply head_of(struct side *side)
{
    static uint8_t room[512];
    static struct fields fields;
    bool is_request = side == &relay.backend;
    fields_init(&fields, room, sizeof(room));
    side->head_sent = true;
    if (is_request) {
        fields_add_token(&fields, FIELD_METHOD, bytes_text("GET"));
        fields_add_token(&fields, FIELD_SCHEME, bytes_text("http"));
        fields_add_token(&fields, FIELD_AUTHORITY, bytes_text("a"));
        fields_add_token(&fields, FIELD_PATH, bytes_text("/"));
    } else {
        fields_add_token(&fields, FIELD_STATUS, bytes_text("200"));
    }
    return (struct h2_supply){.kind = H2_SUPPLY_HEADERS, .fields = &fields, .end = is_request};
}

static struct h2_supply on_supply(struct h2_stream *stream, uint32_t max, uint64_t now)
{
    struct side *side = h2_stream_owner(stream);
    if (!side->head_sent)
        return head_of(side);
    if (side == &relay.backend || relay.taken == relay.filled)
        return (struct h2_supply){.kind = H2_SUPPLY_NONE};
    struct segment *segment = &relay.segments[relay.taken++];
    check(segment->length <= max);
    h2_stream_consumed(relay.backend.stream, segment->length);
    return (struct h2_supply){.kind = H2_SUPPLY_DATA, .chunk = {segment, 0, segment->length}};
}

static void on_reset(struct h2_stream *stream, struct h2_reset reset, uint64_t now)
{
}

static void on_finished(struct h2_stream *stream, uint64_t now)
{
}

static void on_conn(void *owner, struct h2_conn *conn, uint64_t now)
{
}

static const struct h2_handler handler = {
    .headers = on_headers,
    .data = on_data,
    .supply = on_supply,
    .reset = on_reset,
    .finished = on_finished,
    .available = on_conn,
    .closed = on_conn,
};

/* --- the bench --- */

static void feed(struct side *side, struct bytes view)
{
    side->view = view;
    h2_in(side->conn, relay.now);
    check(side->view.length == 0);
}

static void feed_script(struct side *side, const char *script)
{
    static uint8_t memory[1024];
    struct writer out = writer_over(memory, sizeof(memory));
    (void)h2_script_write(script, &out);
    feed(side, writer_written(&out));
    h2_flush(relay.h2, relay.now);
}

static void create(void)
{
    struct h2_config config = {
        .wheel = &relay.wheel,
        .random = &relay.random,
        .connections_max = 2,
        .streams_max = 4,
        .header_blocks_max = 2,
        .hpack_tables_max = 4,
        .memo_places = 16,
        .server_concurrent_streams = 100,
        .stream_window_bytes = 1 << 20,
        .connection_window_bytes = 4 << 20,
        .header_list_bytes = 16384,
        .socket_id = -1,
    };
    relay.now = CLOCK_S;
    random_seed(&relay.random, 1);
    timer_wheel_init(&relay.wheel, relay.now);
    for (uint32_t i = 0; i < BURST; i++)
        relay.segments[i] = (struct segment){
            .data = relay.texts[i], .capacity = H2_FRAME_PAYLOAD_BYTES, .references = 1};
    relay.h2 = h2_create(&config);
    check(relay.h2 != NULL);
}

static void open_side(struct side *side, enum h2_role role)
{
    struct transport transport = {&side_ops, side};
    side->conn = h2_open(relay.h2, role, transport, &handler, side, relay.now);
    check(side->conn != NULL);
    h2_flush(relay.h2, relay.now);
}

/* A client that has asked, and a backend that has begun to answer. */
static void open_relay(void)
{
    create();
    open_side(&relay.client, H2_SERVER);
    open_side(&relay.backend, H2_CLIENT);
    feed_script(&relay.backend, "SETTINGS/0/0; SETTINGS/1/0");
    relay.backend.stream = h2_request(relay.backend.conn, &relay.backend, relay.now);
    check(relay.backend.stream != NULL);
    h2_flush(relay.h2, relay.now);
    feed_script(&relay.backend, "HEADERS/4/1 @200");
    feed_script(&relay.client, "PREFACE; SETTINGS/0/0 00047fffffff; SETTINGS/1/0;"
                               "WINDOW_UPDATE/0/0 7fff0000; HEADERS/5/1 @get");
    h2_stream_ready(relay.client.stream);
    h2_flush(relay.h2, relay.now);
}

static struct bytes burst_of(uint32_t bytes)
{
    struct writer out = writer_over(relay.view, sizeof(relay.view));
    for (uint32_t i = 0; i < BURST; i++) {
        uint8_t *header = writer_take(&out, H2_FRAME_HEADER_BYTES);
        h2_frame_write(header,
                       (struct h2_frame){.length = bytes, .type = H2_FRAME_DATA, .stream_id = 1});
        memset(writer_take(&out, bytes), 'x', bytes);
    }
    return writer_written(&out);
}

/* The client opens its windows again: not measured. */
static void return_credit(uint32_t bytes)
{
    char script[80];
    snprintf(script, sizeof(script), "WINDOW_UPDATE/0/0 %08x; WINDOW_UPDATE/0/1 %08x", bytes,
             bytes);
    feed_script(&relay.client, script);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void bench(uint32_t bytes)
{
    struct bytes burst = burst_of(bytes);
    for (uint32_t i = 0; i < rounds; i++) {
        relay.filled = relay.taken = 0;
        relay.now += 100 * CLOCK_US;
        uint64_t begin = clock_cycles();
        feed(&relay.backend, burst);
        h2_flush(relay.h2, relay.now);
        samples[i] = (clock_cycles() - begin) * 10 / BURST;
        check(relay.taken == BURST);
        return_credit(BURST * bytes);
    }
    qsort(samples, rounds, sizeof(samples[0]), compare);
    printf("DATA of %5u bytes relayed: %8.1f cycles a frame (best tenth %8.1f)\n", bytes,
           (double)samples[rounds / 2] / 10, (double)samples[rounds / 10] / 10);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        rounds = (uint32_t)strtoul(argv[1], NULL, 10);
    if (rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: bench_relay [ROUNDS], 1 to %u\n", ROUNDS_MAX);
        return 2;
    }
    open_relay();
    bench(100);
    bench(1400);
    bench(H2_FRAME_PAYLOAD_BYTES);
    return 0;
}
