/*
 * h2_frame: the frame header (RFC 9113 4.1) and the rules of every frame type as one table
 * (h2_frame_types.def, RFC 9113 5.1 and 6). Pure; any thread.
 */
#pragma once

#include "dataplane/h2/h2_violation.h"

#define H2_FRAME_HEADER_BYTES 9
#define H2_FRAME_PAYLOAD_BYTES                                                                     \
    16384 /* what we accept and the most we send: the smallest maximum                             \
           */
#define H2_STREAM_ID_MAX 0x7fffffffU
#define H2_PREFACE       "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define H2_PREFACE_BYTES 24

enum h2_frame_type {
#define FRAME(name, type, on, length_min, length_max, length_unit, bad_length, received, idle,     \
              half_closed, closed)                                                                 \
    H2_FRAME_##name = type,
#include "dataplane/h2/h2_frame_types.def"
#undef FRAME
    H2_FRAME_TYPES
};

enum h2_flag {
    H2_FLAG_END_STREAM = 0x1,
    H2_FLAG_ACK = 0x1,
    H2_FLAG_END_HEADERS = 0x4,
    H2_FLAG_PADDED = 0x8,
    H2_FLAG_PRIORITY = 0x20,
};

struct h2_frame {
    uint32_t length; /* of the payload, 24 bits */
    uint32_t stream_id;
    uint8_t type;
    uint8_t flags;
};

enum h2_frame_on {
    H2_ON_STREAM,
    H2_ON_CONNECTION,
    H2_ON_ANY,
};

struct h2_frame_rule {
    bool known;
    enum h2_frame_on on;
    uint32_t length_min;
    uint32_t length_max;
    uint32_t length_unit;
    enum h2_violation bad_length;
    enum h2_violation received;
    enum h2_violation idle;
    enum h2_violation half_closed;
    enum h2_violation closed;
};

extern const struct h2_frame_rule h2_frame_rules[H2_FRAME_TYPES];

static inline bool h2_frame_is_known(uint8_t type)
{
    return type < H2_FRAME_TYPES && h2_frame_rules[type].known;
}

/* Nine bytes and back. The reserved bit is ignored and sent as 0. */
static inline struct h2_frame h2_frame_read(const uint8_t *bytes)
{
    uint32_t front, id;
    memcpy(&front, bytes, sizeof(front));
    memcpy(&id, bytes + 5, sizeof(id));
    front = __builtin_bswap32(front);
    return (struct h2_frame){
        .length = front >> 8,
        .stream_id = __builtin_bswap32(id) & H2_STREAM_ID_MAX,
        .type = (uint8_t)front,
        .flags = bytes[4],
    };
}

static inline void h2_frame_write(uint8_t *bytes, struct h2_frame frame)
{
    uint32_t front = __builtin_bswap32(frame.length << 8 | frame.type);
    uint32_t id = __builtin_bswap32(frame.stream_id);
    memcpy(bytes, &front, sizeof(front));
    bytes[4] = frame.flags;
    memcpy(bytes + 5, &id, sizeof(id));
}

/* Whether it is on a stream, or not, as its type wants. */
static inline enum h2_violation h2_frame_check_place(const struct h2_frame_rule *rule,
                                                     uint32_t stream_id)
{
    switch (rule->on) {
    case H2_ON_STREAM:
        return stream_id == 0 ? H2_VIOLATION_stream_id_zero : H2_VIOLATION_none;
    case H2_ON_CONNECTION:
        return stream_id != 0 ? H2_VIOLATION_stream_id_not_zero : H2_VIOLATION_none;
    case H2_ON_ANY:
        return H2_VIOLATION_none;
    }
    return H2_VIOLATION_none;
}

/*
 * What is wrong with a frame by its header alone, whatever the state of its stream. Types beyond
 * the table only have to keep to the maximum size.
 */
static inline enum h2_violation h2_frame_check(const struct h2_frame *frame)
{
    if (frame->length > H2_FRAME_PAYLOAD_BYTES)
        return H2_VIOLATION_frame_too_large;
    if (!h2_frame_is_known(frame->type))
        return H2_VIOLATION_none;
    const struct h2_frame_rule *rule = &h2_frame_rules[frame->type];
    if (rule->received != H2_VIOLATION_none)
        return rule->received;
    enum h2_violation violation = h2_frame_check_place(rule, frame->stream_id);
    if (violation != H2_VIOLATION_none)
        return violation;
    if (frame->length < rule->length_min || frame->length > rule->length_max ||
        (rule->length_unit > 1 && frame->length % rule->length_unit != 0))
        return rule->bad_length;
    return H2_VIOLATION_none;
}
