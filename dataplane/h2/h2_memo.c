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
    memo->given = memory_take("h2 section names", memo->places * sizeof(*memo->given), socket_id);
    return memo->ins != NULL && memo->outs != NULL && memo->given != NULL;
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

static inline uint32_t beside(const struct h2_memo *memo, uint32_t place)
{
    return (place ^ 1) & (memo->places - 1);
}

/* --- in --- */

static bool is_block(const struct h2_memo_in *in, uint64_t state, struct bytes block)
{
    return in->state == state && in->block_bytes == block.length &&
           equal_short(in->block, block.data, block.length);
}

/*
 * Equal sections have one name, whichever connections they came on, as long as one of them is
 * there: what is kept by name is kept once for all who ask the same.
 */
static uint64_t name_of(struct h2_memo *memo, const struct h2_memo_in *in)
{
    struct bytes section = bytes_of(in->section, in->fields.used);
    struct h2_memo_name *given = &memo->given[place_of(memo, hash_of_section(0, section))];
    const struct fields *other = &memo->ins[given->place].fields;
    if (given->name != 0 && other->name == given->name &&
        bytes_equal(bytes_of(other->data, other->used), section))
        return given->name;
    *given = (struct h2_memo_name){++memo->names, (uint32_t)(in - memo->ins)};
    return given->name;
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
    fields_name(&in->fields, name_of(memo, in));
}

/* NULL: it is not there. */
static struct h2_memo_in *find_in(const struct h2_memo *memo, uint32_t hash, uint64_t state,
                                  struct bytes block)
{
    uint32_t place = place_of(memo, hash);
    struct h2_memo_in *in = &memo->ins[place];
    if (!is_block(in, state, block))
        in = &memo->ins[beside(memo, place)];
    if (!is_block(in, state, block))
        return NULL;
    in->found = true;
    return in;
}

/* Where it may be kept. */
static struct h2_memo_in *want_in(const struct h2_memo *memo, uint32_t hash)
{
    uint32_t place = place_of(memo, hash);
    struct h2_memo_in *in = &memo->ins[place];
    bool in_use = in->found;
    in->found = false;
    return in_use ? &memo->ins[beside(memo, place)] : in;
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
    struct h2_memo_in *in = find_in(memo, hash, state, block);
    if (in != NULL) {
        memo->found_in++;
        *out = in->fields;
        *kept = in;
        return HPACK_OK;
    }
    in = want_in(memo, hash);
    enum hpack_result result = hpack_decode(decoder, block, out);
    bool again = in->latest == hash;
    in->latest = hash;
    if (!again || result != HPACK_OK || decoder->state != state || out->overflow ||
        out->used > H2_MEMO_SECTION_BYTES)
        return result;
    keep_section(memo, in, state, block, out);
    fields_name(out, in->fields.name);
    *kept = in;
    return HPACK_OK;
}

/* --- out --- */

/* A run of fields that is looked for: NAMED bytes are as good as said by the name, if any. */
struct part {
    const uint8_t *data;
    uint32_t bytes;
    uint32_t named_bytes; /* 0: none */
    uint64_t name;
};

/* What no name says. */
static inline struct bytes unnamed(const struct part *part)
{
    return bytes_of(part->data + part->named_bytes, part->bytes - part->named_bytes);
}

static bool encode_all(struct hpack_encoder *encoder, const uint8_t *data, uint32_t bytes,
                       struct writer *out)
{
    const struct fields fields = {.data = (uint8_t *)(uintptr_t)data, .used = bytes};
    return hpack_encode(encoder, &fields, out);
}

static inline bool is_part(const struct h2_memo_out *out, uint64_t state, const struct part *part)
{
    struct bytes section = unnamed(part);
    return out->state == state && out->name == part->name && out->section_bytes == section.length &&
           equal_short(out->section, section.data, section.length);
}

static struct h2_memo_out *find_out(const struct h2_memo *memo, uint32_t hash, uint64_t state,
                                    const struct part *part)
{
    uint32_t place = place_of(memo, hash);
    struct h2_memo_out *out = &memo->outs[place];
    if (!is_part(out, state, part))
        out = &memo->outs[beside(memo, place)];
    if (!is_part(out, state, part))
        return NULL;
    out->found = true;
    return out;
}

static struct h2_memo_out *want_out(const struct h2_memo *memo, uint32_t hash)
{
    uint32_t place = place_of(memo, hash);
    struct h2_memo_out *out = &memo->outs[place];
    bool in_use = out->found;
    out->found = false;
    return in_use ? &memo->outs[beside(memo, place)] : out;
}

static void keep_block(struct h2_memo_out *place, uint64_t state, const struct part *part,
                       struct bytes block)
{
    struct bytes section = unnamed(part);
    place->state = state;
    place->name = part->name;
    place->section_bytes = (uint32_t)section.length;
    place->block_bytes = (uint32_t)block.length;
    copy_short(place->section, section.data, section.length);
    memcpy(place->block, block.data, block.length);
}

static bool put_block(const struct h2_memo_out *place, struct writer *out)
{
    uint8_t *room = writer_take(out, place->block_bytes);
    if (room != NULL)
        copy_short(room, place->block, place->block_bytes);
    return room != NULL;
}

/* Encode what was not found, and perhaps keep it. */
static bool encode_new(struct h2_memo *memo, struct hpack_encoder *encoder, uint32_t hash,
                       const struct part *part, struct writer *out)
{
    struct h2_memo_out *place = want_out(memo, hash);
    uint64_t state = encoder->state;
    const uint8_t *start = out->at;
    bool fits = encode_all(encoder, part->data, part->bytes, out);
    bool again = place->latest == hash;
    place->latest = hash;
    size_t length = (size_t)(out->at - start);
    if (again && fits && encoder->same_again && encoder->state == state &&
        length <= H2_MEMO_BLOCK_BYTES)
        keep_block(place, state, part, bytes_of(start, length));
    return fits;
}

static bool encode_part(struct h2_memo *memo, struct hpack_encoder *encoder,
                        const struct part *part, struct writer *out)
{
    struct bytes section = unnamed(part);
    if (part->bytes == 0 || section.length > H2_MEMO_SECTION_BYTES)
        return encode_all(encoder, part->data, part->bytes, out);
    uint64_t state = encoder->state;
    uint32_t hash = hash_of_section(mix(state, part->name), section);
    const struct h2_memo_out *place = find_out(memo, hash, state, part);
    if (place == NULL)
        return encode_new(memo, encoder, hash, part, out);
    memo->found_out++;
    encoder->used = true;
    return put_block(place, out);
}

/* From FROM to TO, which are likely to have come before together. */
static bool encode_from(struct h2_memo *memo, struct hpack_encoder *encoder,
                        const struct fields *fields, uint32_t from, uint32_t to, struct writer *out)
{
    struct part part = {.data = fields->data + from, .bytes = to - from};
    return part.bytes == 0 || encode_part(memo, encoder, &part, out);
}

/* From FROM to TO, which are not. */
static bool encode_own(struct hpack_encoder *encoder, const struct fields *fields, uint32_t from,
                       uint32_t to, struct writer *out)
{
    return from == to || encode_all(encoder, fields->data + from, to - from, out);
}

/* Up to END: at once when it has a name. */
static bool encode_known(struct h2_memo *memo, struct hpack_encoder *encoder,
                         const struct fields *fields, uint32_t end, struct writer *out)
{
    const uint32_t *ends = fields->part_ends;
    if (fields->name != 0 && fields->named_bytes <= end) {
        struct part named = {fields->data, end, fields->named_bytes, fields->name};
        return encode_part(memo, encoder, &named, out);
    }
    if (ends[PART_FIELDS] == 0)
        return encode_from(memo, encoder, fields, 0, end, out);
    return encode_from(memo, encoder, fields, 0, ends[PART_FRONT], out) &&
           encode_own(encoder, fields, ends[PART_FRONT], ends[PART_OWN], out) &&
           encode_from(memo, encoder, fields, ends[PART_OWN], end, out);
}

bool h2_memo_encode(struct h2_memo *memo, struct hpack_encoder *encoder,
                    const struct fields *fields, struct writer *out)
{
    if (memo->places == 0 || encoder->announce || fields->used == 0)
        return hpack_encode(encoder, fields, out);
    const uint32_t *ends = fields->part_ends;
    uint32_t end = ends[PART_FIELDS] > 0 ? ends[PART_FIELDS] : fields->used;
    check(ends[PART_FRONT] <= ends[PART_OWN] && ends[PART_OWN] <= end && end <= fields->used);
    return encode_known(memo, encoder, fields, end, out) &&
           encode_own(encoder, fields, end, fields->used, out);
}
