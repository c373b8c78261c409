#include "dataplane/h2/h2_memo.h"

#include "dataplane/base/check.h"
#include "dataplane/base/copy.h"
#include "dataplane/base/memory.h"

bool h2_memo_init(struct h2_memo *memo, uint32_t places, int socket_id)
{
    if (places == 0)
        return true;
    memo->places = 1;
    while (memo->places < places)
        memo->places *= 2;
    memo->ins = memory_take("h2 blocks received", memo->places * sizeof(*memo->ins), socket_id);
    memo->outs = memory_take("h2 blocks sent", memo->places * sizeof(*memo->outs), socket_id);
    return memo->ins != NULL && memo->outs != NULL;
}

static inline uint64_t mix(uint64_t mixed, uint64_t eight)
{
    mixed = (mixed ^ eight) * 0xd6e8feb86659fd93;
    return mixed ^ mixed >> 32;
}

/* All of a block, which is short. Never 0. */
static uint32_t hash_of_block(uint64_t state, struct bytes block)
{
    uint64_t hash = state * 0x9e3779b97f4a7c15 + block.length;
    uint64_t last = 0;
    size_t at = 0;
    for (; at + 8 <= block.length; at += 8)
        hash = mix(hash, copy_load8(block.data + at));
    copy_below_16((uint8_t *)&last, block.data + at, block.length - at);
    return (uint32_t)mix(hash, last) | 1;
}

#define SAMPLE_STEP 24 /* bytes: some of each field, which begins with a head of 16 */

/* Some of a section, which is long. Never 0. */
static uint32_t hash_of_section(uint64_t state, struct bytes section)
{
    uint64_t hash = state * 0x9e3779b97f4a7c15 + section.length;
    if (section.length < 8)
        return (uint32_t)mix(hash, 0) | 1;
    for (size_t at = 0; at + 8 < section.length; at += SAMPLE_STEP)
        hash = mix(hash, copy_load8(section.data + at));
    return (uint32_t)mix(hash, copy_load8(section.data + section.length - 8)) | 1;
}

static inline uint32_t place_of(const struct h2_memo *memo, uint32_t hash)
{
    return hash >> 1 & (memo->places - 1);
}

/* --- in --- */

static bool is_block(const struct h2_memo_in *in, uint64_t state, struct bytes block)
{
    return in->state == state && bytes_equal(bytes_of(in->block, in->block_bytes), block);
}

static void keep_section(struct h2_memo *memo, struct h2_memo_in *in, uint64_t state,
                         struct bytes block, const struct fields *section)
{
    in->state = state;
    in->judged = H2_JUDGED_NOT;
    in->block_bytes = (uint32_t)block.length;
    memcpy(in->block, block.data, block.length);
    fields_init(&in->fields, in->section, sizeof(in->section));
    (void)fields_copy(&in->fields, section);
    in->fields.name = ++memo->names;
}

/* An empty block is no section worth keeping. */
static bool may_keep(const struct h2_memo *memo, const struct hpack_decoder *decoder,
                     struct bytes block)
{
    return memo->places > 0 && block.length > 0 && block.length <= H2_MEMO_BLOCK_BYTES &&
           !decoder->must_shrink;
}

enum hpack_result h2_memo_decode(struct h2_memo *memo, struct hpack_decoder *decoder,
                                 struct bytes block, struct fields *out, struct h2_memo_in **kept)
{
    *kept = NULL;
    if (!may_keep(memo, decoder, block))
        return hpack_decode(decoder, block, out);
    uint64_t state = decoder->state;
    uint32_t hash = hash_of_block(state, block);
    struct h2_memo_in *in = &memo->ins[place_of(memo, hash)];
    if (is_block(in, state, block)) {
        memo->found_in++;
        *out = in->fields;
        *kept = in;
        return HPACK_OK;
    }
    enum hpack_result result = hpack_decode(decoder, block, out);
    bool again = in->latest == hash;
    in->latest = hash;
    if (!again || result != HPACK_OK || decoder->state != state || out->overflow ||
        out->used > H2_MEMO_SECTION_BYTES)
        return result;
    keep_section(memo, in, state, block, out);
    out->name = in->fields.name;
    *kept = in;
    return HPACK_OK;
}

/* --- out --- */

static bool is_section(const struct h2_memo_out *out, uint64_t state, struct bytes section)
{
    return out->state == state && bytes_equal(bytes_of(out->section, out->section_bytes), section);
}

static void keep_block(struct h2_memo_out *place, uint64_t state, struct bytes section,
                       struct bytes block)
{
    place->state = state;
    place->section_bytes = (uint32_t)section.length;
    place->block_bytes = (uint32_t)block.length;
    memcpy(place->section, section.data, section.length);
    memcpy(place->block, block.data, block.length);
}

static bool encode_part(struct h2_memo *memo, struct hpack_encoder *encoder,
                        const struct fields *part, struct writer *out)
{
    if (part->used == 0 || part->used > H2_MEMO_SECTION_BYTES)
        return hpack_encode(encoder, part, out);
    uint64_t state = encoder->state;
    struct bytes section = bytes_of(part->data, part->used);
    uint32_t hash = hash_of_section(state, section);
    struct h2_memo_out *place = &memo->outs[place_of(memo, hash)];
    if (is_section(place, state, section)) {
        memo->found_out++;
        encoder->used = true;
        writer_bytes(out, bytes_of(place->block, place->block_bytes));
        return !out->failed;
    }
    const uint8_t *start = out->at;
    bool fits = hpack_encode(encoder, part, out);
    bool again = place->latest == hash;
    place->latest = hash;
    size_t length = (size_t)(out->at - start);
    if (again && fits && encoder->same_again && encoder->state == state &&
        length <= H2_MEMO_BLOCK_BYTES)
        keep_block(place, state, section, bytes_of(start, length));
    return fits;
}

/* The fields from AT on, up to END. */
static struct fields part_of(const struct fields *fields, uint32_t at, uint32_t end)
{
    return (struct fields){.data = fields->data + at, .used = end - at};
}

bool h2_memo_encode(struct h2_memo *memo, struct hpack_encoder *encoder,
                    const struct fields *fields, struct writer *out)
{
    if (memo->places == 0 || encoder->announce || fields->used == 0)
        return hpack_encode(encoder, fields, out);
    bool in_parts = fields->part_ends[0] > 0;
    uint32_t first = in_parts ? fields->part_ends[0] : fields->used;
    uint32_t second = in_parts ? fields->part_ends[1] : fields->used;
    check(first <= second && second <= fields->used);
    struct fields target = part_of(fields, 0, first);
    struct fields others = part_of(fields, first, second);
    struct fields rest = part_of(fields, second, fields->used);
    bool fits = encode_part(memo, encoder, &target, out);
    if (others.used > 0)
        fits = encode_part(memo, encoder, &others, out);
    return rest.used > 0 ? hpack_encode(encoder, &rest, out) : fits;
}
