/*
 * The decoder keeps the next 56 or more bits in a register. The next HUFFMAN_PAIR_BITS of them
 * select a row that holds up to two whole symbols: texts of headers have codes of 5 to 7 bits.
 * Longer codes are found by their length, since the code is canonical: they are ordered by length.
 */
#include "dataplane/h2/hpack_huffman.h"

#include "dataplane/h2/hpack_huffman_table.h"

#include <endian.h>

#define HUFFMAN_LONGEST 30 /* bits of a code */

struct bit_reader {
    uint64_t window; /* the next bits, the first one topmost */
    uint32_t count;  /* bits in it that are accounted for */
    const uint8_t *at;
    const uint8_t *end;
};

/*
 * At least 56 bits afterwards, unless the text ends. The wide load also brings bits that are not
 * yet accounted for; they are the right ones, and are brought again by the next load.
 */
static inline void refill(struct bit_reader *in)
{
    if (in->end - in->at >= 8) {
        uint64_t next;
        memcpy(&next, in->at, sizeof(next));
        in->window |= be64toh(next) >> in->count;
        uint32_t bytes = (63 - in->count) / 8;
        in->at += bytes;
        in->count += bytes * 8;
        return;
    }
    while (in->count < 56 && in->at < in->end) {
        in->window |= (uint64_t)*in->at++ << (56 - in->count);
        in->count += 8;
    }
}

static inline void consume(struct bit_reader *in, uint32_t bits)
{
    in->window <<= bits;
    in->count -= bits;
}

/* The first symbol in the window, which holds 30 bits, and its code's length. */
static uint32_t first_symbol(uint64_t window, uint32_t *length)
{
    const struct huffman_pair *pair = &huffman_pairs[window >> (64 - HUFFMAN_PAIR_BITS)];
    if (pair->count > 0) {
        *length = huffman_codes[pair->symbols[0]].length;
        return pair->symbols[0];
    }
    const struct huffman_long *row = huffman_longs;
    while (window >> 34 >= row->end) /* the last row's end is above all numbers of 30 bits */
        row++;
    *length = row->length;
    uint32_t code = (uint32_t)(window >> (64 - row->length));
    return huffman_symbols[row->first_symbol + (code - row->first_code)];
}

/* Whole pairs and single symbols, up to a long code or the last bits in the window. */
static inline uint8_t *decode_pairs(struct bit_reader *in, uint8_t *out, const uint8_t *end)
{
    while (in->count >= HUFFMAN_PAIR_BITS && end - out >= 2) {
        const struct huffman_pair *pair = &huffman_pairs[in->window >> (64 - HUFFMAN_PAIR_BITS)];
        if (pair->count == 0)
            break;
        memcpy(out, pair->symbols, 2);
        out += pair->count;
        consume(in, pair->length);
    }
    return out;
}

/* RFC 7541 5.2: at most 7 bits, the first of EOS, that is, ones. */
static bool is_padding(const struct bit_reader *in)
{
    return in->count < 8 && (in->count == 0 || ~in->window >> (64 - in->count) == 0);
}

bool hpack_huffman_decode(struct bytes text, struct writer *out)
{
    struct bit_reader in = {.at = text.data, .end = bytes_after(text, text.length).data};
    uint8_t *at = out->at; /* a copy: the stores of symbols could change *out for all C knows */
    const uint8_t *end = out->failed ? out->at : out->end;
    for (;;) {
        refill(&in);
        at = decode_pairs(&in, at, end);
        if (in.count < HUFFMAN_LONGEST && in.at < in.end)
            continue;
        uint32_t length;
        uint32_t symbol = first_symbol(in.window, &length);
        if (length > in.count)
            break;
        if (symbol == HUFFMAN_EOS)
            return false;
        if (at < end)
            *at++ = (uint8_t)symbol;
        else
            out->failed = true;
        consume(&in, length);
    }
    out->at = at;
    return is_padding(&in);
}

size_t hpack_huffman_length(struct bytes text)
{
    size_t bits = 0;
    for (size_t i = 0; i < text.length; i++)
        bits += huffman_codes[text.data[i]].length;
    return (bits + 7) / 8;
}

/* Codes that are still to be written: the lowest `count` bits, fewer than 8 between two calls. */
struct bit_writer {
    uint64_t bits;
    uint32_t count;
    uint8_t *at;
};

/* Codes one behind the other. */
struct codes {
    uint64_t bits;
    uint32_t length;
};

static inline struct codes code_of(uint8_t symbol)
{
    return (struct codes){huffman_codes[symbol].bits, huffman_codes[symbol].length};
}

static inline struct codes join(struct codes first, struct codes second)
{
    return (struct codes){first.bits << second.length | second.bits, first.length + second.length};
}

/* At most 56 bits. Eight bytes are written, of which those count that are full. */
static inline void put(struct bit_writer *out, struct codes codes)
{
    out->bits = out->bits << codes.length | codes.bits;
    out->count += codes.length;
    uint64_t bytes = htobe64(out->bits << (64 - out->count));
    memcpy(out->at, &bytes, sizeof(bytes));
    out->at += out->count / 8;
    out->count &= 7;
}

#define JOINED_BITS 56
#define STEP        4 /* symbols */

static inline void put_four(struct bit_writer *out, const uint8_t *text)
{
    struct codes front = join(code_of(text[0]), code_of(text[1]));
    struct codes four = join(front, join(code_of(text[2]), code_of(text[3])));
    if (four.length <= JOINED_BITS)
        put(out, four);
    else
        for (int i = 0; i < STEP; i++)
            put(out, code_of(text[i]));
}

/* The last code is padded with ones. */
static uint8_t *finish(const struct bit_writer *out)
{
    if (out->count == 0)
        return out->at;
    *out->at = (uint8_t)(out->bits << (8 - out->count) | 0xff >> out->count);
    return out->at + 1;
}

size_t hpack_huffman_encode_wide(struct bytes text, uint8_t *out)
{
    struct bit_writer writer = {.at = out};
    size_t i = 0;
    for (; i + STEP <= text.length; i += STEP)
        put_four(&writer, text.data + i);
    for (; i < text.length; i++)
        put(&writer, code_of(text.data[i]));
    return (size_t)(finish(&writer) - out);
}

void hpack_huffman_encode(struct bytes text, uint8_t *out)
{
    struct bit_writer writer = {.at = out};
    for (size_t i = 0; i < text.length; i++) {
        struct codes code = code_of(text.data[i]);
        writer.bits = writer.bits << code.length | code.bits;
        for (writer.count += code.length; writer.count >= 8; writer.count -= 8)
            *writer.at++ = (uint8_t)(writer.bits >> (writer.count - 8));
    }
    (void)finish(&writer);
}
