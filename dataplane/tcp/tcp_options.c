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

/* How a SYN of Linux has its options; see syn_of_linux(). */
#define MSS_BEGIN                0x0204u
#define SACK_PERMITTED_TIMESTAMP 0x0402080au
#define SCALE_BEGIN              0x010303u
#define TCP_SYN_OPTIONS_BYTES    20

static bool sack_read(struct reader body, struct tcp_options *out)
{
    size_t length = reader_left(&body);
    if (length == 0 || length % 8 != 0 || length > 8 * TCP_SACK_BLOCKS_MAX)
        return false;
    out->sack_count = (uint32_t)(length / 8);
    for (uint32_t i = 0; i < out->sack_count; i++) {
        out->sack[i].start = reader_u32(&body);
        out->sack[i].end = reader_u32(&body);
    }
    out->present |= TCP_OPTION_SACK;
    return true;
}

/* One option's body; a length that its kind cannot have fails. */
static bool option_read(uint8_t kind, struct reader body, struct tcp_options *out)
{
    switch (kind) {
    case KIND_MSS:
        out->mss = reader_u16(&body);
        out->present |= TCP_OPTION_MSS;
        break;
    case KIND_WINDOW_SCALE:
        out->window_scale = reader_u8(&body);
        out->present |= TCP_OPTION_WINDOW_SCALE;
        break;
    case KIND_SACK_PERMITTED:
        out->present |= TCP_OPTION_SACK_PERMITTED;
        break;
    case KIND_SACK:
        return sack_read(body, out);
    case KIND_TIMESTAMP:
        out->ts_value = reader_u32(&body);
        out->ts_echo = reader_u32(&body);
        out->present |= TCP_OPTION_TIMESTAMP;
        break;
    default:
        return true;
    }
    return !body.failed && reader_left(&body) == 0;
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

/* MSS, SACK permitted, timestamp, NOP, window scale: the SYN of Linux. */
static bool syn_of_linux(struct bytes raw, struct tcp_options *out)
{
    struct reader r = reader_over(raw);
    uint32_t mss = reader_u32(&r);
    uint32_t kinds = reader_u32(&r);
    out->ts_value = reader_u32(&r);
    out->ts_echo = reader_u32(&r);
    uint32_t scale = reader_u32(&r);
    if (mss >> 16 != MSS_BEGIN || kinds != SACK_PERMITTED_TIMESTAMP || scale >> 8 != SCALE_BEGIN)
        return false;
    out->mss = (uint16_t)mss;
    out->window_scale = (uint8_t)scale;
    out->present =
        TCP_OPTION_MSS | TCP_OPTION_SACK_PERMITTED | TCP_OPTION_TIMESTAMP | TCP_OPTION_WINDOW_SCALE;
    return true;
}

static bool any_read(struct bytes raw, struct tcp_options *out)
{
    while (raw.length > 0) {
        uint8_t kind = raw.data[0];
        if (kind == KIND_END)
            return true;
        if (kind == KIND_NOP) {
            raw = bytes_after(raw, 1);
            continue;
        }
        if (raw.length < 2 || raw.data[1] < 2 || raw.data[1] > raw.length)
            return false;
        struct bytes option = bytes_first(raw, raw.data[1]);
        if (!option_read(kind, reader_over(bytes_after(option, 2)), out))
            return false;
        raw = bytes_after(raw, option.length);
    }
    return true;
}

bool tcp_options_read(struct bytes raw, struct tcp_options *out)
{
    out->present = 0;
    out->sack_count = 0;
    if (timestamp_alone(raw, out))
        return true;
    if (raw.length == TCP_SYN_OPTIONS_BYTES && syn_of_linux(raw, out))
        return true;
    return any_read(raw, out);
}

static uint8_t *put_word(uint8_t *at, uint32_t word)
{
    uint32_t on_wire = htonl(word);
    memcpy(at, &on_wire, sizeof(on_wire));
    return at + sizeof(on_wire);
}

/* Those of the SYN are a word each, with NOPs in front. */
static uint8_t *put_options_of_syn(uint8_t *at, const struct tcp_options *options)
{
    if (options->present & TCP_OPTION_MSS)
        at = put_word(at, KIND_MSS << 24 | 4 << 16 | options->mss);
    if (options->present & TCP_OPTION_SACK_PERMITTED)
        at = put_word(at, KIND_NOP << 24 | KIND_NOP << 16 | KIND_SACK_PERMITTED << 8 | 2);
    if (options->present & TCP_OPTION_WINDOW_SCALE)
        at =
            put_word(at, KIND_NOP << 24 | KIND_WINDOW_SCALE << 16 | 3 << 8 | options->window_scale);
    return at;
}

static uint8_t *put_timestamp(uint8_t *at, const struct tcp_options *options)
{
    at = put_word(at, TIMESTAMP_ALONE);
    at = put_word(at, options->ts_value);
    return put_word(at, options->ts_echo);
}

static uint8_t *put_sack(uint8_t *at, const struct tcp_options *options)
{
    at = put_word(at,
                  KIND_NOP << 24 | KIND_NOP << 16 | KIND_SACK << 8 | (2 + 8 * options->sack_count));
    for (uint32_t i = 0; i < options->sack_count; i++) {
        at = put_word(at, options->sack[i].start);
        at = put_word(at, options->sack[i].end);
    }
    return at;
}

/* Each is whole words, with NOPs. */
static size_t bytes_of_options(const struct tcp_options *options)
{
    uint8_t present = options->present;
    return 4u * ((present & TCP_OPTION_MSS) != 0) +
           4u * ((present & TCP_OPTION_SACK_PERMITTED) != 0) +
           4u * ((present & TCP_OPTION_WINDOW_SCALE) != 0) +
           (present & TCP_OPTION_TIMESTAMP ? TCP_TIMESTAMP_BYTES : 0) +
           (present & TCP_OPTION_SACK ? TCP_SACK_BYTES(options->sack_count) : 0);
}

void tcp_options_write(struct writer *w, const struct tcp_options *options)
{
    uint8_t *at = writer_take(w, bytes_of_options(options));
    if (at == NULL)
        return;
    if (options->present & ~(TCP_OPTION_TIMESTAMP | TCP_OPTION_SACK))
        at = put_options_of_syn(at, options);
    if (options->present & TCP_OPTION_TIMESTAMP)
        at = put_timestamp(at, options);
    if (options->present & TCP_OPTION_SACK)
        (void)put_sack(at, options);
}
