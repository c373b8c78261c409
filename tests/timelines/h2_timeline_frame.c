/* h2_timeline_frame: a frame as a script writes it. */
#include "tests/timelines/h2_timeline.h"

#include <stdlib.h>
#include <string.h>

#define PAYLOAD_BYTES (1 << 17)

static const struct {
    const char *name;
    uint8_t flag;
} flag_names[] = {
    {"end_stream", H2_FLAG_END_STREAM},   {"ack", H2_FLAG_ACK},
    {"end_headers", H2_FLAG_END_HEADERS}, {"padded", H2_FLAG_PADDED},
    {"priority", H2_FLAG_PRIORITY},
};

/* RFC 9113 7 */
static const char *const code_names[] = {
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
};

static const struct {
    const char *name;
    uint16_t id;
} setting_names[] = {
#define SETTING(name, id, min, max, bad) {#name, id},
#include "dataplane/h2/h2_settings.def"
#undef SETTING
};

uint32_t h2_timeline_code(const struct timeline *t, struct timeline_line *line)
{
    for (uint32_t i = 0; i < array_count(code_names); i++)
        if (timeline_accept(line, code_names[i]))
            return i;
    return timeline_number(t, line);
}

static uint16_t setting_read(const struct timeline *t, struct timeline_line *line)
{
    for (size_t i = 0; i < array_count(setting_names); i++)
        if (timeline_accept(line, setting_names[i].name))
            return setting_names[i].id;
    return (uint16_t)timeline_number(t, line);
}

static bool flag_read(struct timeline_line *line, struct h2_frame *frame)
{
    for (size_t i = 0; i < array_count(flag_names); i++) {
        if (!timeline_accept(line, flag_names[i].name))
            continue;
        frame->flags |= flag_names[i].flag;
        return true;
    }
    return false;
}

/* Fields of one number, each at its place in the payload. */
static bool number_read(struct h2_timeline *t, struct timeline_line *line, struct writer *payload,
                        struct h2_timeline_frame *out)
{
    if (timeline_accept(line, "code")) {
        out->has_code = true;
        out->code = h2_timeline_code(&t->base, line);
        writer_u32(payload, out->code);
    } else if (timeline_accept(line, "last")) {
        out->has_last = true;
        out->last = timeline_number(&t->base, line);
        writer_u32(payload, out->last);
    } else if (timeline_accept(line, "increment")) {
        out->has_increment = true;
        out->increment = timeline_number(&t->base, line);
        writer_u32(payload, out->increment);
    } else if (timeline_accept(line, "set")) {
        writer_u16(payload, setting_read(&t->base, line));
        writer_u32(payload, timeline_number(&t->base, line));
    } else if (timeline_accept(line, "depends")) {
        writer_u32(payload, timeline_number(&t->base, line));
        writer_u8(payload, 15);
    } else if (timeline_accept(line, "u32")) {
        writer_u32(payload, timeline_number(&t->base, line));
    } else {
        return false;
    }
    return true;
}

static void header_read(struct h2_timeline *t, struct timeline_line *line, struct h2_frame *out)
{
    char *end;
    const char *type = timeline_need(&t->base, line);
    if (!h2_script_type(type, strlen(type), &out->type)) {
        out->type = (uint8_t)timeline_number_of(&t->base, type, &end);
        if (*end != '\0')
            timeline_fail(&t->base, "'%s' is not a type of frame", type);
    }
    out->stream_id = timeline_number(&t->base, line);
}

void h2_timeline_frame_read(struct h2_timeline *t, struct timeline_line *line,
                            struct h2_timeline_frame *out)
{
    static uint8_t memory[PAYLOAD_BYTES];
    struct writer payload = writer_over(memory, sizeof(memory));
    uint32_t padding = 0;
    memset(out, 0, sizeof(*out));
    header_read(t, line, &out->frame);
    while (line->at < line->count) {
        if (flag_read(line, &out->frame) || number_read(t, line, &payload, out))
            continue;
        if (timeline_accept(line, "length")) {
            out->has_length = true;
            out->frame.length = timeline_number(&t->base, line);
        } else if (timeline_accept(line, "pad")) { /* before the rest of the payload */
            padding = timeline_number(&t->base, line);
            out->frame.flags |= H2_FLAG_PADDED;
            writer_u8(&payload, (uint8_t)padding);
        } else if (timeline_accept(line, "echo")) {
            writer_bytes(&payload, bytes_of(t->echo, sizeof(t->echo)));
        } else {
            const char *word = timeline_next(line);
            h2_script_write_word(word, strlen(word), &payload);
        }
    }
    for (; padding > 0; padding--)
        writer_u8(&payload, 0);
    if (payload.failed)
        timeline_fail(&t->base, "the payload is too long");
    out->payload = writer_written(&payload);
    if (!out->has_length)
        out->frame.length = (uint32_t)out->payload.length;
}

static const char *type_name(uint8_t type)
{
    switch (type) {
#define FRAME(name, type, on, length_min, length_max, length_unit, bad_length, received, idle,     \
              half_closed, closed)                                                                 \
    case type:                                                                                     \
        return #name;
#include "dataplane/h2/h2_frame_types.def"
#undef FRAME
    }
    return "?";
}

void h2_timeline_describe(const struct h2_frame *frame, struct bytes payload, char *out,
                          size_t room)
{
    struct reader numbers = reader_over(payload);
    out[0] = '\0';
    timeline_append(out, room, "%s %u flags 0x%x length %u", type_name(frame->type),
                    frame->stream_id, frame->flags, frame->length);
    if (frame->type == H2_FRAME_GOAWAY)
        timeline_append(out, room, " last %u", reader_u32(&numbers));
    if (frame->type == H2_FRAME_WINDOW_UPDATE)
        timeline_append(out, room, " increment %u", reader_u32(&numbers));
    if (frame->type != H2_FRAME_GOAWAY && frame->type != H2_FRAME_RST_STREAM)
        return;
    uint32_t code = reader_u32(&numbers);
    if (code < array_count(code_names))
        timeline_append(out, room, " code %s", code_names[code]);
    else
        timeline_append(out, room, " code %u", code);
}
