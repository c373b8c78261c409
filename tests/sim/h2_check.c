#include "tests/sim/h2_check.h"

#include <stdlib.h>
#include <string.h>

#define PREFACE          "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define PREFACE_BYTES    24u
#define HEADER_BYTES     9u
#define LARGEST_FRAME    16384u
#define WINDOW_DEFAULT   65535
#define WINDOW_MAX       INT64_C(0x7fffffff)
#define STREAMS_STEP     64u
#define SETTINGS_WAITING 16u

/* RFC 9113 6 */
enum type {
    DATA,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    PUSH_PROMISE,
    PING,
    GOAWAY,
    WINDOW_UPDATE,
    CONTINUATION,
};

#define END_STREAM  0x1
#define ACK         0x1
#define END_HEADERS 0x4

#define SETTING_CONCURRENT 0x3
#define SETTING_WINDOW     0x4

struct h2_seen_frame {
    uint32_t length;
    uint8_t type;
    uint8_t flags;
    uint32_t id;
    const uint8_t *payload;
};

/* What one end has said of a stream. */
struct half {
    int64_t data;    /* bytes sent */
    int64_t arrived; /* of them */
    int64_t credit;  /* by WINDOW_UPDATE for the other's data, sent */
    int64_t credit_arrived;
    bool headers;
    bool end;
    bool reset;
    bool over_arrived; /* its END_STREAM */
    bool reset_arrived;
};

struct stream {
    struct half halves[2];
};

/* A setting as its receiver has to obey it: lower values count once they are acknowledged. */
struct setting {
    int64_t values[SETTINGS_WAITING]; /* [0] is in effect, the others are not acknowledged yet */
    uint32_t count;
};

struct end {
    bool has_begun; /* its preface or first SETTINGS */
    size_t parsed;  /* bytes */
    size_t parsed_arrived;
    uint32_t block; /* stream of the header block under way; 0: none */
    int64_t data;
    int64_t arrived;
    int64_t credit;
    int64_t credit_arrived;
    uint32_t settings_arrived; /* of the peer: to be acknowledged */
    uint32_t settings_acked;
    uint32_t pings_arrived;
    uint32_t pings_acked;
    uint32_t goaway;       /* its last stream */
    struct setting window; /* that the peer of this end has to obey */
    struct setting concurrent;
    int64_t window_sent; /* latest INITIAL_WINDOW_SIZE it has sent */
};

struct h2_check {
    struct sim *sim;
    bool is_known; /* it is HTTP/2 ... */
    bool is_other; /* ... or not */
    uint32_t client;
    uint32_t last_id;
    struct end ends[2];
    struct stream *streams; /* by id / 2 */
    uint32_t stream_room;
    uint32_t number; /* for messages */
};

struct h2_check *h2_check_new(struct sim *sim)
{
    struct h2_check *check = calloc(1, sizeof(*check));
    sim_require(sim, check != NULL);
    check->sim = sim;
    check->number = ++sim->h2_connections;
    for (uint32_t i = 0; i < 2; i++) {
        struct end *end = &check->ends[i];
        end->credit = end->credit_arrived = WINDOW_DEFAULT;
        end->window_sent = WINDOW_DEFAULT;
        end->window = (struct setting){.values = {WINDOW_DEFAULT}, .count = 1};
        end->concurrent = (struct setting){.values = {INT64_MAX}, .count = 1};
        end->goaway = UINT32_MAX;
    }
    return check;
}

void h2_check_free(struct h2_check *check)
{
    if (check != NULL)
        free(check->streams);
    free(check);
}

static uint32_t u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static struct stream *stream_of(struct h2_check *check, uint32_t id)
{
    uint32_t place = id / 2;
    if (place >= check->stream_room) {
        uint32_t room = place + STREAMS_STEP;
        check->streams = realloc(check->streams, room * sizeof(*check->streams));
        sim_require(check->sim, check->streams != NULL);
        memset(check->streams + check->stream_room, 0,
               (room - check->stream_room) * sizeof(*check->streams));
        check->stream_room = room;
    }
    return &check->streams[place];
}

/* ---- settings ---- */

/* The largest of what may be obeyed yet. */
static int64_t most_of(const struct setting *setting)
{
    int64_t most = setting->values[0];
    for (uint32_t i = 1; i < setting->count; i++)
        most = setting->values[i] > most ? setting->values[i] : most;
    return most;
}

static void setting_arrives(struct h2_check *check, struct setting *setting, int64_t value)
{
    sim_require(check->sim, setting->count < SETTINGS_WAITING);
    setting->values[setting->count++] = value;
}

static void setting_acked(struct setting *setting)
{
    if (setting->count < 2)
        return;
    memmove(setting->values, setting->values + 1, --setting->count * sizeof(setting->values[0]));
}

/* The last value of ID in a SETTINGS frame; BEFORE if it is not named. */
static int64_t setting_in(const struct h2_seen_frame *frame, uint32_t id, int64_t before)
{
    for (uint32_t at = 0; at + 6 <= frame->length; at += 6)
        if (((uint32_t)frame->payload[at] << 8 | frame->payload[at + 1]) == id)
            before = u32(frame->payload + at + 2);
    return before;
}

/* ---- what is sent ---- */

struct sent {
    struct h2_check *check;
    const struct h2_seen_frame *frame;
    uint32_t from;
    struct end *self;
    struct end *peer;
    struct stream *stream; /* NULL: of the connection */
    bool tested;
};

static void expect(const struct sent *s, bool good, const char *rule)
{
    static const char *const names[] = {"DATA",          "HEADERS",      "PRIORITY", "RST_STREAM",
                                        "SETTINGS",      "PUSH_PROMISE", "PING",     "GOAWAY",
                                        "WINDOW_UPDATE", "CONTINUATION"};
    const struct h2_seen_frame *frame = s->frame;
    if (good || !s->tested)
        return;
    sim_fail(s->check->sim,
             "HTTP/2 connection %u, the %s: %s: %s on stream %u, flags 0x%x, %u bytes",
             s->check->number, s->from == s->check->client ? "client" : "server", rule,
             frame->type <= CONTINUATION ? names[frame->type] : "another frame", frame->id,
             frame->flags, frame->length);
}

/* As its client sees it: neither ended on both sides nor reset. */
static uint32_t open_streams(const struct h2_check *check)
{
    uint32_t open = 0;
    for (uint32_t place = 0; place < check->stream_room; place++) {
        const struct half *ours = &check->streams[place].halves[check->client];
        const struct half *theirs = &check->streams[place].halves[1 - check->client];
        bool over = ours->reset || theirs->reset_arrived || (ours->end && theirs->over_arrived);
        open += ours->headers && !over;
    }
    return open;
}

static void sent_headers(const struct sent *s)
{
    struct h2_check *check = s->check;
    struct half *half = &s->stream->halves[s->from];
    bool opens = s->from == check->client && !half->headers;
    if (opens) {
        expect(s, s->frame->id % 2 == 1 && s->frame->id > check->last_id, "not a new identifier");
        check->last_id = s->frame->id;
        expect(s, open_streams(check) < most_of(&s->peer->concurrent),
               "more streams than the server allows");
    }
    expect(s, opens || s->frame->id <= check->last_id, "an answer to nothing");
    half->headers = true;
    half->end |= (s->frame->flags & END_STREAM) != 0;
}

static void sent_data(const struct sent *s)
{
    struct half *half = &s->stream->halves[s->from];
    const struct half *other = &s->stream->halves[1 - s->from];
    half->data += s->frame->length;
    s->self->data += s->frame->length;
    expect(s, half->headers, "DATA before HEADERS");
    if (s->frame->length > 0) {
        int64_t credit = most_of(&s->peer->window) + other->credit_arrived;
        expect(s, half->data <= credit, "beyond the window of the stream");
        expect(s, s->self->data <= s->peer->credit_arrived, "beyond the window of the connection");
    }
    half->end |= (s->frame->flags & END_STREAM) != 0;
}

/* The window that is open after this update: credit sent less the data that it got. */
static void sent_window_update(const struct sent *s)
{
    uint32_t increment = u32(s->frame->payload) & 0x7fffffff;
    const struct sim *sim = s->check->sim;
    int64_t open, most;
    expect(s, increment > 0, "an increment of 0");
    if (s->stream == NULL) {
        s->self->credit += increment;
        open = s->self->credit - s->peer->arrived;
        most = sim->h2_connection_window;
    } else {
        struct half *half = &s->stream->halves[s->from];
        half->credit += increment;
        open = s->self->window_sent + half->credit - s->stream->halves[1 - s->from].arrived;
        most = sim->h2_stream_window;
    }
    expect(s, open <= WINDOW_MAX, "a window above 2^31-1");
    expect(s, most == 0 || open <= most, "a window above what was configured");
}

static void sent_settings(const struct sent *s)
{
    if ((s->frame->flags & ACK) == 0) {
        s->self->window_sent = setting_in(s->frame, SETTING_WINDOW, s->self->window_sent);
        return;
    }
    expect(s, ++s->self->settings_acked <= s->self->settings_arrived, "acknowledges no SETTINGS");
    setting_acked(&s->peer->window);
    setting_acked(&s->peer->concurrent);
}

static void sent_goaway(const struct sent *s)
{
    uint32_t last = u32(s->frame->payload) & 0x7fffffff;
    expect(s, last <= s->self->goaway, "GOAWAY with a larger last stream");
    s->self->goaway = last;
}

/* Order, size, and what may still be said of a stream. */
static void check_any(const struct sent *s)
{
    const struct h2_seen_frame *frame = s->frame;
    expect(s, frame->length <= LARGEST_FRAME, "larger than SETTINGS_MAX_FRAME_SIZE");
    if (!s->self->has_begun)
        expect(s, frame->type == SETTINGS && (frame->flags & ACK) == 0, "first is not SETTINGS");
    s->self->has_begun = true;
    bool is_rest = frame->type == CONTINUATION;
    expect(s, is_rest == (s->self->block != 0) && (!is_rest || frame->id == s->self->block),
           "a header block is interrupted");
    if (frame->type == HEADERS || is_rest)
        s->self->block = (frame->flags & END_HEADERS) != 0 ? 0 : frame->id;
    if (s->stream == NULL || frame->type == PRIORITY || is_rest)
        return;
    const struct half *half = &s->stream->halves[s->from];
    expect(s, frame->id <= s->check->last_id || frame->type == HEADERS, "on an idle stream");
    expect(s, !half->reset, "on a stream that it has reset");
    expect(s, !half->end || frame->type == RST_STREAM || frame->type == WINDOW_UPDATE,
           "behind END_STREAM");
}

static void frame_sent(struct h2_check *check, uint32_t from, const struct h2_seen_frame *frame,
                       bool tested)
{
    struct sent s = {check,
                     frame,
                     from,
                     &check->ends[from],
                     &check->ends[1 - from],
                     frame->id != 0 ? stream_of(check, frame->id) : NULL,
                     tested};
    check_any(&s);
    check->sim->h2_frames++;
    switch (frame->type) {
    case DATA:
        sent_data(&s);
        break;
    case HEADERS:
        sent_headers(&s);
        break;
    case RST_STREAM:
        s.stream->halves[from].reset = true;
        break;
    case SETTINGS:
        sent_settings(&s);
        break;
    case PUSH_PROMISE:
        expect(&s, false, "a push");
        break;
    case PING:
        if ((frame->flags & ACK) != 0)
            expect(&s, ++s.self->pings_acked <= s.self->pings_arrived, "acknowledges no PING");
        break;
    case GOAWAY:
        sent_goaway(&s);
        break;
    case WINDOW_UPDATE:
        sent_window_update(&s);
        break;
    }
}

/* ---- what arrives ---- */

static void settings_arrive(struct h2_check *check, struct end *of, struct end *at,
                            const struct h2_seen_frame *frame)
{
    if ((frame->flags & ACK) != 0)
        return;
    at->settings_arrived++;
    setting_arrives(check, &of->window,
                    setting_in(frame, SETTING_WINDOW, of->window.values[of->window.count - 1]));
    setting_arrives(
        check, &of->concurrent,
        setting_in(frame, SETTING_CONCURRENT, of->concurrent.values[of->concurrent.count - 1]));
}

static void frame_arrives(struct h2_check *check, uint32_t from, const struct h2_seen_frame *frame)
{
    struct end *of = &check->ends[from];
    struct end *at = &check->ends[1 - from];
    struct half *half = frame->id != 0 ? &stream_of(check, frame->id)->halves[from] : NULL;
    switch (frame->type) {
    case DATA:
        of->arrived += frame->length;
        half->arrived += frame->length;
        half->over_arrived |= (frame->flags & END_STREAM) != 0;
        break;
    case HEADERS:
        half->over_arrived |= (frame->flags & END_STREAM) != 0;
        break;
    case RST_STREAM:
        half->reset_arrived = true;
        break;
    case SETTINGS:
        settings_arrive(check, of, at, frame);
        break;
    case PING:
        at->pings_arrived += (frame->flags & ACK) == 0;
        break;
    case WINDOW_UPDATE:
        *(half == NULL ? &of->credit_arrived : &half->credit_arrived) +=
            u32(frame->payload) & 0x7fffffff;
        break;
    }
}

/* ---- bytes ---- */

/*
 * The frame at AT. DATA counts from its header on, for sender and receiver; a header block when it
 * is sent.
 */
static bool read_frame(const uint8_t *bytes, size_t count, size_t at, bool whole,
                       struct h2_seen_frame *frame)
{
    if (count < at + HEADER_BYTES)
        return false;
    const uint8_t *header = bytes + at;
    *frame = (struct h2_seen_frame){
        .length = (uint32_t)header[0] << 16 | (uint32_t)header[1] << 8 | header[2],
        .type = header[3],
        .flags = header[4],
        .id = u32(header + 5) & 0x7fffffff,
        .payload = header + HEADER_BYTES,
    };
    bool is_block = frame->type == HEADERS || frame->type == CONTINUATION;
    bool early = frame->type == DATA || (is_block && !whole);
    return early || count >= at + HEADER_BYTES + frame->length;
}

/* Who sent the preface is the client. False: not known yet, or not HTTP/2. */
static bool is_http2(struct h2_check *check, uint32_t end, const uint8_t *bytes, size_t count)
{
    if (check->is_known || check->is_other)
        return check->is_known;
    if (count < PREFACE_BYTES)
        return false;
    check->is_known = memcmp(bytes, PREFACE, PREFACE_BYTES) == 0;
    check->is_other = !check->is_known;
    check->client = end;
    check->ends[end].parsed = check->ends[end].parsed_arrived = PREFACE_BYTES;
    return check->is_known;
}

void h2_check_sent(struct h2_check *check, uint32_t end, const uint8_t *bytes, size_t count,
                   bool tested)
{
    struct h2_seen_frame frame;
    struct end *self = &check->ends[end];
    if (!is_http2(check, end, bytes, count))
        return;
    while (read_frame(bytes, count, self->parsed, false, &frame)) {
        self->parsed += HEADER_BYTES + frame.length;
        frame_sent(check, end, &frame, tested);
    }
}

void h2_check_arrived(struct h2_check *check, uint32_t end, const uint8_t *bytes, size_t count)
{
    struct h2_seen_frame frame;
    struct end *self = &check->ends[end];
    while (check->is_known && read_frame(bytes, count, self->parsed_arrived, true, &frame)) {
        self->parsed_arrived += HEADER_BYTES + frame.length;
        frame_arrives(check, end, &frame);
    }
}
