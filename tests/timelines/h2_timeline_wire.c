/* h2_timeline_wire: frames of the peer, and those that are expected of us. */
#include "tests/timelines/h2_timeline.h"

#include <string.h>

#define BYTE_BY_BYTE 1

static void feed(const struct h2_timeline *t, struct bytes bytes)
{
    lab_feed(bytes, t->base.variant == BYTE_BY_BYTE ? 1 : SIZE_MAX);
}

/* < FRAME */
static void do_inject(struct timeline *base, struct timeline_line *line)
{
    struct h2_timeline *t = h2_timeline_of(base);
    struct h2_timeline_frame wanted;
    static uint8_t memory[1 << 18];
    struct writer out = writer_over(memory, sizeof(memory));
    h2_timeline_frame_read(t, line, &wanted);
    uint8_t *header = writer_take(&out, H2_FRAME_HEADER_BYTES);
    h2_frame_write(header, wanted.frame);
    writer_bytes(&out, wanted.payload);
    if (out.failed)
        timeline_fail(base, "the frame is too long");
    if (lab.owner.conn == NULL)
        timeline_fail(base, "the connection is over");
    feed(t, writer_written(&out));
}

/* raw WORDS: bytes without a header. */
static void do_raw(struct timeline *base, struct timeline_line *line)
{
    uint8_t memory[1024];
    struct writer out = writer_over(memory, sizeof(memory));
    for (const char *word; (word = timeline_next(line)) != NULL;)
        h2_script_write_word(word, strlen(word), &out);
    feed(h2_timeline_of(base), writer_written(&out));
}

static void do_preface(struct timeline *base, struct timeline_line *line)
{
    feed(h2_timeline_of(base), bytes_of(H2_PREFACE, H2_PREFACE_BYTES));
}

/* Both sides' preface and SETTINGS, acknowledged. */
static void do_handshake(struct timeline *base, struct timeline_line *line)
{
    lab_handshake();
    h2_timeline_of(base)->seen_bytes = 0;
}

/* The next frame of ours. */
static bool take(struct h2_timeline *t, struct h2_frame *frame, struct bytes *payload)
{
    lab_flush();
    struct bytes rest = bytes_after(bytes_of(lab.sent, lab.sent_bytes), t->seen_bytes);
    bool is_first = t->role == H2_CLIENT && t->seen_bytes == 0;
    if (is_first && rest.length >= H2_PREFACE_BYTES &&
        memcmp(rest.data, H2_PREFACE, H2_PREFACE_BYTES) == 0)
        rest = bytes_after(rest, H2_PREFACE_BYTES);
    struct reader r = reader_over(rest);
    if (!h2_script_read(&r, frame, payload))
        return false;
    t->seen_bytes = lab.sent_bytes - (uint32_t)reader_left(&r);
    if (frame->type == H2_FRAME_PING && payload->length == sizeof(t->echo))
        memcpy(t->echo, payload->data, sizeof(t->echo));
    return true;
}

static bool has_fields(const struct h2_timeline_frame *wanted, const struct h2_frame *got,
                       struct bytes payload)
{
    struct reader numbers = reader_over(payload);
    bool same = got->type == wanted->frame.type && got->stream_id == wanted->frame.stream_id;
    bool ends = wanted->frame.type == H2_FRAME_DATA || wanted->frame.type == H2_FRAME_HEADERS ||
                wanted->frame.type == H2_FRAME_SETTINGS || wanted->frame.type == H2_FRAME_PING;
    if (ends)
        same &= ((got->flags ^ wanted->frame.flags) & H2_FLAG_END_STREAM) == 0;
    if (wanted->has_length)
        same &= got->length == wanted->frame.length;
    if (wanted->has_last)
        same &= reader_u32(&numbers) == wanted->last;
    else if (got->type == H2_FRAME_GOAWAY)
        reader_skip(&numbers, 4);
    if (wanted->has_increment)
        same &= reader_u32(&numbers) == wanted->increment;
    if (wanted->has_code)
        same &= reader_u32(&numbers) == wanted->code;
    return same;
}

/* > FRAME: what is named is the same; END_STREAM and ACK also when not named. */
static void do_expect(struct timeline *base, struct timeline_line *line)
{
    struct h2_timeline *t = h2_timeline_of(base);
    struct h2_timeline_frame wanted;
    struct h2_frame got;
    struct bytes payload;
    char text[200];
    h2_timeline_frame_read(t, line, &wanted);
    if (!take(t, &got, &payload))
        timeline_fail(base, "no frame came");
    h2_timeline_describe(&got, payload, text, sizeof(text));
    if (!has_fields(&wanted, &got, payload))
        timeline_fail(base, "another frame came: %s", text);
}

/* data STREAM N [end_stream]: frames of DATA, N bytes together. */
static void do_data(struct timeline *base, struct timeline_line *line)
{
    struct h2_timeline *t = h2_timeline_of(base);
    uint32_t id = timeline_number(base, line);
    uint32_t left = timeline_number(base, line);
    bool end = timeline_accept(line, "end_stream");
    bool ended = false;
    while (left > 0 || (end && !ended)) {
        struct h2_frame got;
        struct bytes payload;
        char text[200];
        if (!take(t, &got, &payload))
            timeline_fail(base, "%u bytes are missing", left);
        h2_timeline_describe(&got, payload, text, sizeof(text));
        ended = (got.flags & H2_FLAG_END_STREAM) != 0;
        bool is_data = got.type == H2_FRAME_DATA && got.stream_id == id;
        if (!is_data || got.length > left || (ended && (!end || got.length != left)))
            timeline_fail(base, "another frame came: %s", text);
        left -= got.length;
    }
}

static void do_nothing(struct timeline *base, struct timeline_line *line)
{
    struct h2_frame got;
    struct bytes payload;
    char text[200];
    if (!take(h2_timeline_of(base), &got, &payload))
        return;
    h2_timeline_describe(&got, payload, text, sizeof(text));
    timeline_fail(base, "nothing should come: %s", text);
}

static void do_ignore(struct timeline *base, struct timeline_line *line)
{
    struct h2_frame got;
    struct bytes payload;
    while (take(h2_timeline_of(base), &got, &payload))
        ;
}

static void do_wait(struct timeline *base, struct timeline_line *line)
{
    lab_wait(timeline_duration(base, line));
}

/* room N: the transport takes so many bytes more. */
static void do_room(struct timeline *base, struct timeline_line *line)
{
    lab.pipe.ends[0].capacity = timeline_number(base, line);
    if (lab.owner.conn != NULL)
        h2_writable(lab.owner.conn);
    lab_flush();
}

const struct timeline_statement h2_timeline_wire[] = {
    {"<", do_inject, false},
    {">", do_expect, false},
    {"raw", do_raw, false},
    {"preface", do_preface, false},
    {"data", do_data, false},
    {"handshake", do_handshake, false},
    {"nothing", do_nothing, false},
    {"ignore", do_ignore, false},
    {"wait", do_wait, false},
    {"room", do_room, false},
    {NULL, NULL, false},
};
