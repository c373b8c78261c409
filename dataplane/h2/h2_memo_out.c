/*
 * Header blocks that are sent: parts of sections that come again are not encoded again.
 */
#include "dataplane/base/check.h"
#include "dataplane/h2/h2_memo_place.h"

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
    uint32_t place = h2_memo_place_of(memo, hash);
    struct h2_memo_out *out = &memo->outs[place];
    if (!is_part(out, state, part))
        out = &memo->outs[h2_memo_beside(memo, place)];
    if (!is_part(out, state, part))
        return NULL;
    out->found = true;
    return out;
}

/* Where it may be kept. NULL: it was not wanted twice running. */
static struct h2_memo_out *want_out(const struct h2_memo *memo, uint32_t hash)
{
    uint32_t place = h2_memo_place_of(memo, hash);
    struct h2_memo_out *out = &memo->outs[place];
    bool in_use = out->found;
    out->found = false;
    if (in_use)
        out = &memo->outs[h2_memo_beside(memo, place)];
    bool again = out->latest == hash;
    out->latest = hash;
    return again ? out : NULL;
}

/* FRONT and REST are one behind the other in the block, or something else stands between them. */
static void keep_block(struct h2_memo_out *place, uint64_t state, const struct part *part,
                       struct bytes front, struct bytes rest)
{
    struct bytes section = unnamed(part);
    if (front.length + rest.length > H2_MEMO_BLOCK_BYTES)
        return;
    place->state = state;
    place->name = part->name;
    place->section_bytes = (uint32_t)section.length;
    place->front_bytes = (uint32_t)front.length;
    place->block_bytes = (uint32_t)(front.length + rest.length);
    copy_short(place->section, section.data, section.length);
    copy_short(place->block, front.data, front.length);
    copy_short(place->block + front.length, rest.data, rest.length);
}

static bool put(struct writer *out, const uint8_t *block, uint32_t bytes)
{
    uint8_t *room = writer_take(out, bytes);
    if (room != NULL)
        copy_short(room, block, bytes);
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
    struct bytes block = bytes_of(start, (size_t)(out->at - start));
    if (place != NULL && fits && encoder->same_again && encoder->state == state)
        keep_block(place, state, part, block, BYTES_NONE);
    return fits;
}

static bool encode_part(struct h2_memo *memo, struct hpack_encoder *encoder,
                        const struct part *part, struct writer *out)
{
    struct bytes section = unnamed(part);
    if (part->bytes == 0 || section.length > H2_MEMO_SECTION_BYTES)
        return encode_all(encoder, part->data, part->bytes, out);
    uint64_t state = encoder->state;
    uint32_t hash = h2_memo_sample(h2_memo_mix(state, part->name), section);
    const struct h2_memo_out *place = find_out(memo, hash, state, part);
    if (place == NULL)
        return encode_new(memo, encoder, hash, part, out);
    memo->found_out++;
    encoder->used = true;
    return put(out, place->block, place->block_bytes);
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

/* What has a name, but for a field of its own. */
struct around {
    struct part named;
    uint32_t from, to; /* its own field */
};

static bool encode_front(struct hpack_encoder *encoder, const struct around *around,
                         struct writer *out)
{
    return encode_all(encoder, around->named.data, around->from, out);
}

static bool encode_between(struct hpack_encoder *encoder, const struct around *around,
                           struct writer *out)
{
    return encode_all(encoder, around->named.data + around->from, around->to - around->from, out);
}

static bool encode_rest(struct hpack_encoder *encoder, const struct around *around,
                        struct writer *out)
{
    return encode_all(encoder, around->named.data + around->to, around->named.bytes - around->to,
                      out);
}

/* encode_new() of what may come again with another field in it. */
static bool encode_new_around(struct h2_memo *memo, struct hpack_encoder *encoder, uint32_t hash,
                              const struct around *around, struct writer *out)
{
    struct h2_memo_out *place = want_out(memo, hash);
    uint64_t state = encoder->state;
    const uint8_t *start = out->at;
    bool fits = encode_front(encoder, around, out);
    bool same_again = encoder->same_again;
    struct bytes front = bytes_of(start, (size_t)(out->at - start));
    fits = fits && encode_between(encoder, around, out);
    start = out->at;
    fits = fits && encode_rest(encoder, around, out);
    struct bytes rest = bytes_of(start, (size_t)(out->at - start));
    if (place != NULL && fits && same_again && encoder->same_again && encoder->state == state)
        keep_block(place, state, &around->named, front, rest);
    return fits;
}

static bool encode_around(struct h2_memo *memo, struct hpack_encoder *encoder,
                          const struct fields *fields, struct writer *out)
{
    struct around around = {
        .named = {fields->data, fields->named_bytes, fields->named_bytes, fields->name},
        .from = fields->part_ends[PART_FRONT],
        .to = fields->part_ends[PART_OWN],
    };
    uint64_t state = encoder->state;
    uint32_t hash = (uint32_t)h2_memo_mix(state * 0x9e3779b97f4a7c15, fields->name) | 1;
    const struct h2_memo_out *place = find_out(memo, hash, state, &around.named);
    if (place == NULL)
        return encode_new_around(memo, encoder, hash, &around, out);
    memo->found_out++;
    if (!put(out, place->block, place->front_bytes) || !encode_between(encoder, &around, out))
        return false;
    if (encoder->state != state) /* what is its own has become an entry: indices are others */
        return encode_rest(encoder, &around, out);
    return put(out, place->block + place->front_bytes, place->block_bytes - place->front_bytes);
}

/* Up to END: at once when it has a name. */
static bool encode_known(struct h2_memo *memo, struct hpack_encoder *encoder,
                         const struct fields *fields, uint32_t end, struct writer *out)
{
    const uint32_t *ends = fields->part_ends;
    if (fields->own_unnamed && fields->name != 0 && fields->named_bytes <= end)
        return encode_around(memo, encoder, fields, out) &&
               encode_from(memo, encoder, fields, fields->named_bytes, end, out);
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
