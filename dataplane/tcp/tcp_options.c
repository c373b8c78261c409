/* tcp_options: RFC 9293 3.2, RFC 7323 2.2 and 3.2, RFC 2018 2 and 3. */
#include "dataplane/tcp/tcp_options.h"

#include "dataplane/base/reader.h"

#include <arpa/inet.h>

enum {
    KIND_END = 0,
    KIND_NOP = 1,
    KIND_MSS = 2,
    KIND_WINDOW_SCALE = 3,
    KIND_SACK_PERMITTED = 4,
    KIND_SACK = 5,
    KIND_TIMESTAMP = 8,
};

/* NOP, NOP, timestamp, 10: how everybody sends it. */
#define TIMESTAMP_ALONE 0x0101080au

static bool sack_read(struct reader *body, struct tcp_options *out)
{
    size_t length = reader_left(body);
    if (length == 0 || length % 8 != 0 || length > 8 * TCP_SACK_BLOCKS_MAX)
        return false;
    out->sack_count = 0;
    while (reader_left(body) > 0) {
        out->sack[out->sack_count].start = reader_u32(body);
        out->sack[out->sack_count].end = reader_u32(body);
        out->sack_count++;
    }
    out->present |= TCP_OPTION_SACK;
    return true;
}

/* One option's body; a length that its kind cannot have fails. */
static bool option_read(uint8_t kind, struct reader *body, struct tcp_options *out)
{
    switch (kind) {
    case KIND_MSS:
        out->mss = reader_u16(body);
        out->present |= TCP_OPTION_MSS;
        break;
    case KIND_WINDOW_SCALE:
        out->window_scale = reader_u8(body);
        out->present |= TCP_OPTION_WINDOW_SCALE;
        break;
    case KIND_SACK_PERMITTED:
        out->present |= TCP_OPTION_SACK_PERMITTED;
        break;
    case KIND_SACK:
        return sack_read(body, out);
    case KIND_TIMESTAMP:
        out->ts_value = reader_u32(body);
        out->ts_echo = reader_u32(body);
        out->present |= TCP_OPTION_TIMESTAMP;
        break;
    default:
        return true;
    }
    return !body->failed && reader_left(body) == 0;
}

static bool timestamp_alone(struct bytes raw, struct tcp_options *out)
{
    struct reader r = reader_over(raw);
    if (raw.length != TCP_TIMESTAMP_BYTES || reader_u32(&r) != TIMESTAMP_ALONE)
        return false;
    out->ts_value = reader_u32(&r);
    out->ts_echo = reader_u32(&r);
    out->present = TCP_OPTION_TIMESTAMP;
    return true;
}

bool tcp_options_read(struct bytes raw, struct tcp_options *out)
{
    out->present = 0;
    out->sack_count = 0;
    if (timestamp_alone(raw, out))
        return true;

    struct reader r = reader_over(raw);
    while (reader_left(&r) > 0) {
        uint8_t kind = reader_u8(&r);
        if (kind == KIND_END)
            return true;
        if (kind == KIND_NOP)
            continue;
        uint8_t length = reader_u8(&r);
        if (r.failed || length < 2)
            return false;
        struct reader body = reader_over(reader_bytes(&r, length - 2u));
        if (r.failed || !option_read(kind, &body, out))
            return false;
    }
    return true;
}

/* In one go what nearly every segment carries. */
static void write_timestamp(struct writer *w, const struct tcp_options *options)
{
    uint32_t words[] = {htonl(TIMESTAMP_ALONE), htonl(options->ts_value), htonl(options->ts_echo)};
    writer_bytes(w, bytes_of((const uint8_t *)words, sizeof(words)));
}

static void write_pair(struct writer *w, uint8_t first, uint8_t second)
{
    writer_u8(w, first);
    writer_u8(w, second);
}

void tcp_options_write(struct writer *w, const struct tcp_options *options)
{
    if (options->present == TCP_OPTION_TIMESTAMP) {
        write_timestamp(w, options);
        return;
    }
    if (options->present & TCP_OPTION_MSS) {
        write_pair(w, KIND_MSS, 4);
        writer_u16(w, options->mss);
    }
    if (options->present & TCP_OPTION_SACK_PERMITTED) {
        write_pair(w, KIND_NOP, KIND_NOP);
        write_pair(w, KIND_SACK_PERMITTED, 2);
    }
    if (options->present & TCP_OPTION_TIMESTAMP)
        write_timestamp(w, options);
    if (options->present & TCP_OPTION_WINDOW_SCALE) {
        writer_u8(w, KIND_NOP);
        write_pair(w, KIND_WINDOW_SCALE, 3);
        writer_u8(w, options->window_scale);
    }
    if (options->present & TCP_OPTION_SACK) {
        write_pair(w, KIND_NOP, KIND_NOP);
        write_pair(w, KIND_SACK, (uint8_t)(2 + 8 * options->sack_count));
        for (uint32_t i = 0; i < options->sack_count; i++) {
            writer_u32(w, options->sack[i].start);
            writer_u32(w, options->sack[i].end);
        }
    }
}
