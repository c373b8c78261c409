/*
 * reader: a bounded cursor over bytes from a peer, big-endian, with a sticky failed bit.
 *
 * Read all fields, then ask `failed` once. A read past the end sets `failed`, yields zero and moves
 * nothing, so a parser cannot leave its bounds: parse, check, act.
 */
#pragma once

#include "dataplane/base/bytes.h"

#include <endian.h>

struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

static inline struct reader reader_over(struct bytes bytes)
{
    return (struct reader){bytes.data, bytes_after(bytes, bytes.length).data, false};
}

static inline size_t reader_left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}

/* The next COUNT bytes as a view into the source; nothing and `failed` when there are fewer. */
static inline struct bytes reader_bytes(struct reader *r, size_t count)
{
    if (r->failed || reader_left(r) < count) {
        r->failed = true;
        return BYTES_NONE;
    }
    struct bytes got = bytes_of(r->at, count);
    r->at = bytes_after(got, count).data;
    return got;
}

static inline void reader_skip(struct reader *r, size_t count)
{
    (void)reader_bytes(r, count);
}

static inline uint64_t reader_number(struct reader *r, size_t count)
{
    struct bytes raw = reader_bytes(r, count);
    uint64_t value = 0;
    for (size_t i = 0; i < raw.length; i++)
        value = value << 8 | raw.data[i];
    return value;
}

static inline uint8_t reader_u8(struct reader *r)
{
    struct bytes raw = reader_bytes(r, 1);
    return raw.length > 0 ? raw.data[0] : 0;
}

static inline uint16_t reader_u16(struct reader *r)
{
    uint16_t value = 0;
    struct bytes raw = reader_bytes(r, sizeof(value));
    if (raw.length > 0)
        memcpy(&value, raw.data, sizeof(value));
    return be16toh(value);
}

static inline uint32_t reader_u24(struct reader *r)
{
    return (uint32_t)reader_number(r, 3);
}

static inline uint32_t reader_u32(struct reader *r)
{
    uint32_t value = 0;
    struct bytes raw = reader_bytes(r, sizeof(value));
    if (raw.length > 0)
        memcpy(&value, raw.data, sizeof(value));
    return be32toh(value);
}

static inline uint64_t reader_u64(struct reader *r)
{
    return reader_number(r, 8);
}
