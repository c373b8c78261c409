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

/* All of BYTES, which are few. */
static uint64_t mix_bytes(uint64_t hash, struct bytes bytes)
{
    uint64_t last = 0;
    size_t at = 0;
    for (; at + 8 <= bytes.length; at += 8)
        hash = mix(hash, copy_load8(bytes.data + at));
    copy_below_16((uint8_t *)&last, bytes.data + at, bytes.length - at);
    return mix(hash, last);
}

/* Never 0. */
static uint32_t hash_of_block(uint64_t state, struct bytes block)
{
    return (uint32_t)mix_bytes(state * 0x9e3779b97f4a7c15 + block.length, block) | 1;
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

/* A block, or what of it comes again around another field. */
struct wanted {
    struct bytes front; /* all of it, or what stands before its own field */
    struct bytes rest;  /* what stands behind that */
    uint64_t state;     /* of the decoder */
    uint32_t hash;
    struct hpack_own own; /* token FIELD_OTHER: the whole block is wanted */
};

static inline bool is_shape(const struct wanted *wanted)
{
    return wanted->own.token != FIELD_OTHER;
}

static void want_block(struct wanted *wanted, uint64_t state, struct bytes block)
{
    wanted->front = block;
    wanted->rest = BYTES_NONE;
    wanted->state = state;
    wanted->hash = hash_of_block(state, block);
    wanted->own.token = FIELD_OTHER;
}

/* Its token is FIELD_OTHER when no field of the block may be another. */
static void want_shape(struct wanted *wanted, uint64_t state, struct bytes block)
{
    if (!hpack_find_own(block, &wanted->own)) {
        wanted->own.token = FIELD_OTHER;
        return;
    }
    wanted->front = bytes_first(block, wanted->own.at);
    wanted->rest = bytes_after(block, wanted->own.end);
    wanted->state = state;
    uint64_t hash = (state + wanted->own.token) * 0x9e3779b97f4a7c15 + wanted->front.length;
    wanted->hash = (uint32_t)mix_bytes(mix_bytes(hash, wanted->front), wanted->rest) | 1;
}

static inline bool is_wanted(const struct h2_memo_in *in, const struct wanted *wanted)
{
    struct bytes front = wanted->front, rest = wanted->rest;
    return in->state == wanted->state && in->own == wanted->own.token &&
           in->front_bytes == front.length && in->block_bytes == front.length + rest.length &&
           equal_short(in->block, front.data, front.length) &&
           equal_short(in->block + front.length, rest.data, rest.length);
}

/* Two shapes need not miss the same field, nor at the same place. */
static bool is_section(const struct h2_memo_in *a, const struct h2_memo_in *b)
{
    return a->own == b->own &&
           (a->own == FIELD_OTHER ||
            a->fields.part_ends[PART_FRONT] == b->fields.part_ends[PART_FRONT]) &&
           bytes_equal(bytes_of(a->section, a->fields.used), bytes_of(b->section, b->fields.used));
}

/*
 * Equal sections have one name, whichever connections they came on, as long as one of them is
 * there: what is kept by name is kept once for all who ask the same. So have equal shapes.
 */
static uint64_t name_of(struct h2_memo *memo, const struct h2_memo_in *in)
{
    struct bytes section = bytes_of(in->section, in->fields.used);
    struct h2_memo_name *given = &memo->given[place_of(memo, hash_of_section(0, section))];
    const struct h2_memo_in *other = &memo->ins[given->place];
    if (given->name != 0 && other->fields.name == given->name && is_section(other, in))
        return given->name;
    *given = (struct h2_memo_name){++memo->names, (uint32_t)(in - memo->ins)};
    return given->name;
}

/* Where the field at POSITION stands. */
static void note_own(struct fields *fields, uint32_t position)
{
    uint32_t at = 0;
    struct field field;
    for (; position > 0; position--)
        (void)fields_next(fields, &at, &field);
    fields->part_ends[PART_FRONT] = at;
    (void)fields_next(fields, &at, &field);
    fields->part_ends[PART_OWN] = at;
}

/* SECTION, or its shape, which is what WANTED becomes; the name is for both. */
static void keep_section(struct h2_memo *memo, struct h2_memo_in *in, const struct wanted *wanted,
                         struct fields *section)
{
    in->state = wanted->state;
    in->judged = H2_JUDGED_NOT;
    in->own = wanted->own.token;
    in->front_bytes = (uint32_t)wanted->front.length;
    in->block_bytes = in->front_bytes + (uint32_t)wanted->rest.length;
    copy_short(in->block, wanted->front.data, wanted->front.length);
    copy_short(in->block + in->front_bytes, wanted->rest.data, wanted->rest.length);
    fields_init(&in->fields, in->section, sizeof(in->section));
    if (is_shape(wanted)) {
        note_own(section, wanted->own.position);
        (void)fields_copy_shape(&in->fields, section);
    } else {
        (void)fields_copy(&in->fields, section);
    }
    in->fields.own_unnamed = is_shape(wanted);
    in->fields.name = 0; /* not that which SECTION may have had */
    in->fields.name = name_of(memo, in);
    in->fields.named_bytes = in->fields.used;
    fields_name(section, in->fields.name);
    section->own_unnamed = is_shape(wanted);
}

/* NULL: it is not there. */
static struct h2_memo_in *find_in(const struct h2_memo *memo, const struct wanted *wanted)
{
    uint32_t place = place_of(memo, wanted->hash);
    struct h2_memo_in *in = &memo->ins[place];
    if (!is_wanted(in, wanted))
        in = &memo->ins[beside(memo, place)];
    if (!is_wanted(in, wanted))
        return NULL;
    in->found = true;
    return in;
}

/* Where it may be kept. NULL: it was not wanted twice running. */
static struct h2_memo_in *want_in(const struct h2_memo *memo, const struct wanted *wanted)
{
    uint32_t place = place_of(memo, wanted->hash);
    struct h2_memo_in *in = &memo->ins[place];
    bool in_use = in->found;
    in->found = false;
    if (in_use)
        in = &memo->ins[beside(memo, place)];
    bool again = in->latest == wanted->hash;
    in->latest = wanted->hash;
    return again ? in : NULL;
}

/* An empty block is no section worth keeping. */
static bool may_keep(const struct h2_memo *memo, const struct hpack_decoder *decoder,
                     struct bytes block)
{
    return memo->places > 0 && block.length > 0 && block.length <= H2_MEMO_BLOCK_BYTES &&
           !decoder->must_shrink;
}

/* The block, if it is known. */
static bool find_block(struct h2_memo *memo, const struct wanted *whole, struct fields *out,
                       struct h2_memo_in **kept)
{
    struct h2_memo_in *in = find_in(memo, whole);
    if (in == NULL)
        return false;
    memo->found_in++;
    *out = in->fields;
    *kept = in;
    return true;
}

/*
 * The block, if its shape is known: its own field is decoded, which changes no table. False: it is
 * not, or that field is wrong, or it does not fit, and OUT is empty. It has to fit with room for a
 * name: those in full pass through OUT when all is decoded.
 */
static bool find_alike(struct h2_memo *memo, const struct wanted *shape, struct fields *out,
                       struct h2_memo_in **kept)
{
    struct h2_memo_in *in = find_in(memo, shape);
    if (in == NULL)
        return false;
    if (!fields_front_of(out, &in->fields) || !hpack_append_own(&shape->own, out) ||
        !fields_rest_of(out, &in->fields) || fields_left(out) < FIELD_NAME_MAX) {
        fields_init(out, out->data, out->capacity);
        return false;
    }
    memo->found_alike++;
    *kept = in;
    return true;
}

/* Keep it, when it was wanted twice running. */
static void want(struct h2_memo *memo, const struct wanted *wanted, struct fields *section,
                 struct h2_memo_in **kept)
{
    struct h2_memo_in *in = want_in(memo, wanted);
    if (in == NULL || section->used > H2_MEMO_SECTION_BYTES)
        return;
    keep_section(memo, in, wanted, section);
    *kept = in;
}

enum hpack_result h2_memo_decode(struct h2_memo *memo, struct hpack_decoder *decoder,
                                 struct bytes block, struct fields *out, struct h2_memo_in **kept)
{
    *kept = NULL;
    if (!may_keep(memo, decoder, block))
        return hpack_decode(decoder, block, out);
    struct wanted whole, shape;
    want_block(&whole, decoder->state, block);
    if (find_block(memo, &whole, out, kept))
        return HPACK_OK;
    want_shape(&shape, whole.state, block);
    if (is_shape(&shape) && find_alike(memo, &shape, out, kept)) {
        want(memo, &whole, out, kept);
        return HPACK_OK;
    }
    enum hpack_result result = hpack_decode(decoder, block, out);
    if (result != HPACK_OK || decoder->state != whole.state || out->overflow)
        return result;
    want(memo, &whole, out, kept);
    if (*kept == NULL && is_shape(&shape))
        want(memo, &shape, out, kept);
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

/* Where it may be kept. NULL: it was not wanted twice running. */
static struct h2_memo_out *want_out(const struct h2_memo *memo, uint32_t hash)
{
    uint32_t place = place_of(memo, hash);
    struct h2_memo_out *out = &memo->outs[place];
    bool in_use = out->found;
    out->found = false;
    if (in_use)
        out = &memo->outs[beside(memo, place)];
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
    uint32_t hash = hash_of_section(mix(state, part->name), section);
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
    uint32_t hash = (uint32_t)mix(state * 0x9e3779b97f4a7c15, fields->name) | 1;
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
