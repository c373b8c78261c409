#include "tests/support/h2_lab.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/memory.h"

struct h2_lab lab;

static uint32_t place_of(const struct h2_stream *stream)
{
    uint32_t place = 0;
    while (lab.owner.streams[place] != stream)
        check(++place < LAB_STREAMS);
    return place;
}

static void forget(const struct h2_stream *stream)
{
    lab.owner.streams[place_of(stream)] = NULL;
}

static void remember(struct h2_stream *stream)
{
    uint32_t place = place_of(NULL);
    lab.owner.streams[place] = stream;
    lab.owner.sent_headers[place] = false;
    lab.owner.sent_bytes[place] = 0;
}

static void on_headers(void *owner, struct h2_stream *stream, const struct fields *fields,
                       enum h2_section section, bool end, uint64_t now)
{
    check(owner == &lab.owner);
    lab.owner.headers += section == H2_SECTION_HEADERS;
    lab.owner.trailers += section == H2_SECTION_TRAILERS;
    lab.owner.overflows += fields->overflow;
    lab.owner.overflows_named += fields->overflow && fields->name != 0;
    if (lab.owner.closes_at_once) {
        if (h2_stream_owner(stream) == NULL)
            remember(stream);
        h2_close(lab.owner.conn, H2_INTERNAL_ERROR, now);
        return;
    }
    if (lab.owner.resets_at_once) {
        if (h2_stream_owner(stream) != NULL)
            forget(stream);
        h2_stream_reset(stream, H2_CANCEL);
        return;
    }
    if (h2_stream_owner(stream) == NULL)
        remember(stream);
    h2_stream_set_owner(stream, owner);
}

static void on_data(struct h2_stream *stream, struct bytes bytes, bool end, uint64_t now)
{
    (void)place_of(stream);
    check(bytes.length > 0 || end);
    lab.owner.data_bytes += bytes.length;
}

static struct h2_supply section(struct fields *fields, bool end)
{
    check(!fields->overflow);
    return (struct h2_supply){.kind = H2_SUPPLY_HEADERS, .end = end, .fields = fields};
}

/* The rest of the body, as far as MAX allows. */
static struct h2_supply supply_body(uint32_t place, uint32_t max)
{
    uint32_t left = lab.owner.body_bytes - lab.owner.sent_bytes[place];
    uint32_t length = left < max ? left : max;
    if (length > lab.segment.length)
        length = lab.segment.length;
    if (length == 0)
        return (struct h2_supply){.kind = H2_SUPPLY_NONE};
    lab.owner.sent_bytes[place] += length;
    return (struct h2_supply){
        .kind = H2_SUPPLY_DATA, .end = length == left, .chunk = {&lab.segment, 0, length}};
}

/* From inside a callback. */
static struct h2_supply change_mind(struct h2_stream *stream, uint64_t now)
{
    lab.owner.changes_mind = false;
    forget(stream);
    h2_stream_reset(stream, H2_CANCEL);
    struct h2_stream *next = h2_request(lab.owner.conn, &lab.owner, now);
    check(next != NULL);
    remember(next);
    return (struct h2_supply){.kind = H2_SUPPLY_NONE};
}

static struct h2_supply on_supply(struct h2_stream *stream, uint32_t max, uint64_t now)
{
    static uint8_t memory[512];
    static struct fields fields;
    uint32_t place = place_of(stream);
    bool is_client = h2_stream_conn(stream)->role == H2_CLIENT;
    if (lab.owner.sent_headers[place] && lab.owner.changes_mind)
        return change_mind(stream, now);
    bool has_body = !is_client || lab.owner.uploads != NULL || lab.owner.connects;
    if (lab.owner.sent_headers[place])
        return supply_body(place, has_body ? max : 0);
    if (!is_client && !lab.owner.answer)
        return (struct h2_supply){.kind = H2_SUPPLY_NONE};
    lab.owner.sent_headers[place] = true;
    fields_init(&fields, memory, sizeof(memory));
    if (!is_client && lab.owner.connects)
        h2_stream_tunnel(stream);
    if (!is_client) {
        fields_add_token(&fields, FIELD_STATUS, bytes_text("200"));
        return section(&fields, lab.owner.body_bytes == 0);
    }
    fields_add_token(&fields, FIELD_METHOD, bytes_text(lab.owner.connects ? "CONNECT" : "GET"));
    if (lab.owner.connects)
        fields_add_token(&fields, FIELD_PROTOCOL, bytes_text("websocket"));
    fields_add_token(&fields, FIELD_SCHEME, bytes_text("https"));
    fields_add_token(&fields, FIELD_AUTHORITY, bytes_text("a"));
    fields_add_token(&fields, FIELD_PATH, bytes_text("/"));
    if (lab.owner.uploads != NULL)
        fields_add_token(&fields, FIELD_PRIORITY, bytes_text(lab.owner.uploads[place]));
    bool is_whole = lab.owner.requests == LAB_WHOLE ||
                    (lab.owner.requests == LAB_EVERY_OTHER && place % 2 == 0);
    return section(&fields, is_whole);
}

static void on_reset(struct h2_stream *stream, struct h2_reset reset, uint64_t now)
{
    lab.owner.resets++;
    lab.owner.unprocessed += reset.unprocessed;
    lab.owner.last_reset = reset;
    forget(stream);
}

static void on_finished(struct h2_stream *stream, uint64_t now)
{
    lab.owner.finished++;
    forget(stream);
}

static void on_available(void *owner, struct h2_conn *conn, uint64_t now)
{
    check(owner == &lab.owner && conn == lab.owner.conn);
    lab.owner.available++;
}

static void on_closed(void *owner, struct h2_conn *conn, uint64_t now)
{
    check(owner == &lab.owner && conn == lab.owner.conn);
    lab.owner.closed++;
    lab.owner.conn = NULL;
}

const struct h2_handler lab_handler = {
    .headers = on_headers,
    .data = on_data,
    .supply = on_supply,
    .reset = on_reset,
    .finished = on_finished,
    .available = on_available,
    .closed = on_closed,
};

struct h2_config lab_config(void)
{
    return (struct h2_config){
        .wheel = &lab.wheel,
        .random = &lab.random,
        .connections_max = 1,
        .streams_max = LAB_STREAMS,
        .header_blocks_max = 2,
        .hpack_tables_max = 2,
        .memo_places = 16,
        .server_concurrent_streams = 100,
        .stream_window_bytes = 65535,
        .connection_window_bytes = 65535,
        .header_list_bytes = 16384,
        .settings_timeout_ns = 10 * CLOCK_S,
        .idle_timeout_ns = 300 * CLOCK_S,
        .stall_timeout_ns = 60 * CLOCK_S,
        .preface_timeout_ns = 10 * CLOCK_S,
        .socket_id = -1,
    };
}

void lab_create(const struct h2_config *config)
{
    memset(&lab, 0, offsetof(struct h2_lab, segment_bytes));
    lab.now = 7 * CLOCK_S;
    random_seed(&lab.random, 1);
    timer_wheel_init(&lab.wheel, lab.now);
    lab.config = *config;
    lab.segment = (struct segment){
        .data = lab.segment_bytes,
        .length = sizeof(lab.segment_bytes),
        .capacity = sizeof(lab.segment_bytes),
        .references = 1,
    };
    lab.h2 = h2_create(config);
    check(lab.h2 != NULL);
}

void lab_open(enum h2_role role)
{
    pipe_open(&lab.pipe, 1 << 18, NULL);
    lab.owner.conn =
        h2_open(lab.h2, role, pipe_transport(&lab.pipe.ends[0]), &lab_handler, &lab.owner, lab.now);
    check(lab.owner.conn != NULL);
}

void lab_handshake(void)
{
    lab_script(lab.owner.conn->role == H2_SERVER ? "PREFACE; SETTINGS/0/0; !flush; SETTINGS/1/0"
                                                 : "!flush; SETTINGS/0/0; SETTINGS/1/0");
    lab_forget_sent();
}

uint32_t lab_room(void)
{
    uint32_t room = 0;
    for (uint32_t i = 0; i < LAB_STREAMS; i++)
        room += lab.owner.streams[i] == NULL;
    return room;
}

void lab_request(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct h2_stream *stream = h2_request(lab.owner.conn, &lab.owner, lab.now);
        check(stream != NULL);
        remember(stream);
    }
    lab_flush();
}

static void collect(void)
{
    struct bytes bytes = pipe_take(&lab.pipe.ends[0]);
    check(lab.sent_bytes + bytes.length <= sizeof(lab.sent));
    if (bytes.length > 0)
        memcpy(lab.sent + lab.sent_bytes, bytes.data, bytes.length);
    lab.sent_bytes += (uint32_t)bytes.length;
}

void lab_flush(void)
{
    h2_flush(lab.h2, lab.now);
    collect();
}

void lab_feed(struct bytes bytes, size_t step)
{
    for (size_t at = 0; at < bytes.length && lab.owner.conn != NULL; at += step) {
        pipe_feed(&lab.pipe.ends[0], bytes_first(bytes_after(bytes, at), step));
        h2_in(lab.owner.conn, lab.now);
        if (step == SIZE_MAX)
            break;
    }
    lab_flush();
}

void lab_wait(uint64_t for_ns)
{
    lab.now += for_ns;
    while (timer_wheel_advance(&lab.wheel, lab.now, 100) == 100)
        ;
    lab_flush();
}

void lab_answer(void)
{
    lab.owner.answer = true;
    for (uint32_t i = 0; i < LAB_STREAMS; i++)
        if (lab.owner.streams[i] != NULL)
            h2_stream_ready(lab.owner.streams[i]);
    lab_flush();
    lab.owner.answer = false;
}

struct h2_stream *lab_stream(uint32_t id)
{
    return lab.owner.conn == NULL ? NULL : h2_stream_find(lab.owner.conn, id);
}

void lab_reset(struct h2_stream *stream, enum h2_error code)
{
    forget(stream);
    h2_stream_reset(stream, code);
    lab_flush();
}

void lab_reset_first(void)
{
    if (lab.owner.streams[0] != NULL)
        lab_reset(lab.owner.streams[0], H2_CANCEL);
}

/* The PING behind the first GOAWAY comes back: the second one follows. */
static void shut_down(void)
{
    h2_shutdown(lab.owner.conn, lab.now);
    lab_flush();
    uint8_t ping[H2_FRAME_HEADER_BYTES + 8];
    check(lab.sent_bytes >= sizeof(ping));
    memcpy(ping, lab.sent + lab.sent_bytes - sizeof(ping), sizeof(ping));
    check(ping[3] == H2_FRAME_PING);
    ping[4] = H2_FLAG_ACK;
    lab_feed(bytes_of(ping, sizeof(ping)), sizeof(ping));
    lab_forget_sent();
}

static void act(const char *word)
{
    if (strncmp(word, "!answer", 7) == 0)
        lab_answer();
    else if (strncmp(word, "!reset", 6) == 0)
        lab_reset_first();
    else if (strncmp(word, "!shutdown", 9) == 0)
        shut_down();
    else
        lab_flush();
}

void lab_play(const char *text, size_t step, size_t limit)
{
    static uint8_t memory[1 << 18];
    while (*text != 0) {
        struct writer out = writer_over(memory, sizeof(memory));
        text = h2_script_write(text, &out);
        struct bytes bytes = bytes_first(writer_written(&out), limit);
        limit -= bytes.length;
        lab_feed(bytes, step);
        if (*text == 0 || lab.owner.conn == NULL || limit == 0)
            return;
        act(text);
        text += strcspn(text, ";");
    }
}

void lab_script(const char *text)
{
    lab_play(text, SIZE_MAX, SIZE_MAX);
}

static struct reader sent_frames(void)
{
    struct reader r = reader_over(bytes_of(lab.sent, lab.sent_bytes));
    if (reader_left(&r) >= H2_PREFACE_BYTES && memcmp(r.at, H2_PREFACE, H2_PREFACE_BYTES) == 0)
        reader_skip(&r, H2_PREFACE_BYTES);
    return r;
}

struct lab_seen lab_seen(enum h2_frame_type type, uint32_t stream_id)
{
    struct lab_seen seen = {0};
    struct h2_frame frame;
    struct bytes payload;
    struct reader r = sent_frames();
    while (h2_script_read(&r, &frame, &payload)) {
        if (frame.type != type || (stream_id != UINT32_MAX && frame.stream_id != stream_id))
            continue;
        struct reader numbers = reader_over(payload);
        seen.count++;
        seen.flags = frame.flags;
        seen.numbers[0] = reader_u32(&numbers);
        seen.numbers[1] = reader_u32(&numbers);
    }
    check(reader_left(&r) == 0);
    return seen;
}

uint64_t lab_data_sent(uint32_t stream_id)
{
    uint64_t sum = 0;
    struct h2_frame frame;
    struct bytes payload;
    struct reader r = sent_frames();
    while (h2_script_read(&r, &frame, &payload)) {
        check(frame.length <= H2_FRAME_PAYLOAD_BYTES);
        if (frame.type == H2_FRAME_DATA && frame.stream_id == stream_id)
            sum += frame.length;
    }
    return sum;
}

void lab_forget_sent(void)
{
    lab.sent_bytes = 0;
}

void lab_close(void)
{
    if (lab.owner.conn != NULL)
        h2_transport_ended(lab.owner.conn, false, lab.now);
    check(lab.owner.closed == 1);
    check(lab.pipe.ends[0].closed || lab.pipe.ends[0].aborted);
    for (uint32_t i = 0; i < LAB_STREAMS; i++)
        check(lab.owner.streams[i] == NULL);
    check(pool_used(&lab.h2->conns) == 0);
    check(pool_used(&lab.h2->streams) == 0);
    check(pool_used(&lab.h2->header_blocks) == 0);
    check(pool_used(&lab.h2->hpack_tables.pool) == 0);
    check(lab.wheel.armed_count == 0 && lab.segment.references == 1);
    check(h2_stream_count(lab.h2) == 0 && h2_connection_count(lab.h2) == 0);
    pipe_release(&lab.pipe);
    memory_reset();
}

uint64_t lab_counter(size_t index)
{
    uint64_t value;
    memcpy(&value, (uint8_t *)h2_counters(lab.h2) + index * sizeof(value), sizeof(value));
    return value;
}
