#include "dataplane/h2/h2_frame.h"

#include "dataplane/base/reader.h"
#include "dataplane/base/writer.h"

const struct h2_frame_rule h2_frame_rules[H2_FRAME_TYPES] = {
#define FRAME(name, type, on, length_min, length_max, length_unit, bad_length, received, idle,     \
              half_closed, closed)                                                                 \
    [type] = {true,                                                                                \
              H2_ON_##on,                                                                          \
              length_min,                                                                          \
              length_max,                                                                          \
              length_unit,                                                                         \
              H2_VIOLATION_##bad_length,                                                           \
              H2_VIOLATION_##received,                                                             \
              H2_VIOLATION_##idle,                                                                 \
              H2_VIOLATION_##half_closed,                                                          \
              H2_VIOLATION_##closed},
#include "dataplane/h2/h2_frame_types.def"
#undef FRAME
};

struct h2_frame h2_frame_read(const uint8_t *bytes)
{
    struct reader r = reader_over(bytes_of(bytes, H2_FRAME_HEADER_BYTES));
    struct h2_frame frame;
    frame.length = reader_u24(&r);
    frame.type = reader_u8(&r);
    frame.flags = reader_u8(&r);
    frame.stream_id = reader_u32(&r) & H2_STREAM_ID_MAX;
    return frame;
}

void h2_frame_write(uint8_t *bytes, struct h2_frame frame)
{
    struct writer w = writer_over(bytes, H2_FRAME_HEADER_BYTES);
    writer_u24(&w, frame.length);
    writer_u8(&w, frame.type);
    writer_u8(&w, frame.flags);
    writer_u32(&w, frame.stream_id);
}

static enum h2_violation check_place(const struct h2_frame_rule *rule, uint32_t stream_id)
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

enum h2_violation h2_frame_check(const struct h2_frame *frame)
{
    if (frame->length > H2_FRAME_PAYLOAD_BYTES)
        return H2_VIOLATION_frame_too_large;
    if (!h2_frame_is_known(frame->type))
        return H2_VIOLATION_none;
    const struct h2_frame_rule *rule = &h2_frame_rules[frame->type];
    if (rule->received != H2_VIOLATION_none)
        return rule->received;
    enum h2_violation violation = check_place(rule, frame->stream_id);
    if (violation != H2_VIOLATION_none)
        return violation;
    if (frame->length < rule->length_min || frame->length > rule->length_max ||
        frame->length % rule->length_unit != 0)
        return rule->bad_length;
    return H2_VIOLATION_none;
}
