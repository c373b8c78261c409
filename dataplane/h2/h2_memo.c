/*
 * The memory, and header blocks that are received. h2_memo_out.c has those that are sent.
 */
#include "dataplane/base/check.h"
#include "dataplane/base/memory.h"
#include "dataplane/h2/h2_memo_place.h"

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

/* All of BYTES, which are few. */
static uint64_t mix_bytes(uint64_t hash, struct bytes bytes)
{
    uint64_t last = 0;
    size_t at = 0;
    for (; at + 8 <= bytes.length; at += 8)
        hash = h2_memo_mix(hash, copy_load8(bytes.data + at));
    copy_below_16((uint8_t *)&last, bytes.data + at, bytes.length - at);
    return h2_memo_mix(hash, last);
}

/* Never 0. */
static uint32_t hash_of_block(uint64_t state, struct bytes block)
{
    return (uint32_t)mix_bytes(state * 0x9e3779b97f4a7c15 + block.length, block) | 1;
}

/* Of no decoder: what is kept under it is a section, looked for by what it says. */
#define STATE_OF_NONE UINT64_MAX

/* A block, or what of it comes again around another field; or such a part of a section. */
struct wanted {
    struct bytes front; /* all of it, or what stands before its own field */
    struct bytes rest;  /* what stands behind that */
    uint64_t state;     /* of the decoder, or STATE_OF_NONE */
    uint32_t hash;
    bool is_shape;
    struct hpack_own own; /* of a shape */
};

static void want_block(struct wanted *wanted, uint64_t state, struct bytes block)
{
    wanted->front = block;
    wanted->rest = BYTES_NONE;
    wanted->state = state;
    wanted->hash = hash_of_block(state, block);
    wanted->own.token = FIELD_OTHER;
    wanted->is_shape = false;
}

/* It is no shape when no field of the block may be another. */
static void want_shape(struct wanted *wanted, uint64_t state, struct bytes block)
{
    wanted->is_shape = hpack_find_own(block, &wanted->own);
    if (!wanted->is_shape)
        return;
    wanted->front = bytes_first(block, wanted->own.at);
    wanted->rest = bytes_after(block, wanted->own.end);
    wanted->state = state;
    uint64_t hash = (state + wanted->own.token) * 0x9e3779b97f4a7c15 + wanted->front.length;
    wanted->hash = (uint32_t)mix_bytes(mix_bytes(hash, wanted->front), wanted->rest) | 1;
}

/*
 * A section without its path. What its other fields say, and what is known of them, is the same in
 * whatever block it came, and with whatever table. False: it has no path.
 */
static bool want_section(struct wanted *wanted, const struct fields *section)
{
    uint32_t at = 0, end = 0, position = 0;
    struct field field;
    for (; fields_next(section, &end, &field) && field.token != FIELD_PATH; at = end)
        position++;
    if (at == section->used)
        return false;
    wanted->front = bytes_of(section->data, at);
    wanted->rest = bytes_of(section->data + end, section->used - end);
    wanted->state = STATE_OF_NONE;
    wanted->hash = h2_memo_sample(h2_memo_sample(STATE_OF_NONE, wanted->front), wanted->rest);
    wanted->own = (struct hpack_own){.token = FIELD_PATH, .position = position};
    wanted->is_shape = true;
    return true;
}

static inline bool is_wanted(const struct h2_memo_in *in, const struct wanted *wanted)
{
    struct bytes front = wanted->front, rest = wanted->rest;
    const uint8_t *kept = wanted->state == STATE_OF_NONE ? in->section : in->block;
    return in->state == wanted->state && in->is_shape == wanted->is_shape &&
           in->sought == wanted->own.token && in->front_bytes == front.length &&
           in->block_bytes == front.length + rest.length &&
           equal_short(kept, front.data, front.length) &&
           equal_short(kept + front.length, rest.data, rest.length);
}

/* Two shapes need not miss the same field, nor at the same place. */
static bool is_section(const struct h2_memo_in *a, const struct h2_memo_in *b)
{
    struct bytes name = bytes_of(a->own_name, a->own_name_bytes);
    return a->is_shape == b->is_shape && a->own == b->own &&
           bytes_equal(name, bytes_of(b->own_name, b->own_name_bytes)) &&
           (!a->is_shape || a->fields.part_ends[PART_FRONT] == b->fields.part_ends[PART_FRONT]) &&
           bytes_equal(bytes_of(a->section, a->fields.used), bytes_of(b->section, b->fields.used));
}

/*
 * Equal sections have one name, whichever connections they came on, as long as one of them is
 * there: what is kept by name is kept once for all who ask the same. So have equal shapes.
 */
static uint64_t name_of(struct h2_memo *memo, const struct h2_memo_in *in)
{
    struct bytes section = bytes_of(in->section, in->fields.used);
    struct h2_memo_name *given = &memo->given[h2_memo_place_of(memo, h2_memo_sample(0, section))];
    const struct h2_memo_in *other = &memo->ins[given->place];
    if (given->name != 0 && other->fields.name == given->name && is_section(other, in))
        return given->name;
    *given = (struct h2_memo_name){++memo->names, (uint32_t)(in - memo->ins)};
    return given->name;
}

/* The field at POSITION, and where it stands. */
static struct field note_own(struct fields *fields, uint32_t position)
{
    uint32_t at = 0;
    struct field field = {.token = FIELD_OTHER};
    for (; position > 0; position--)
        (void)fields_next(fields, &at, &field);
    fields->part_ends[PART_FRONT] = at;
    (void)fields_next(fields, &at, &field);
    fields->part_ends[PART_OWN] = at;
    return field;
}

static void keep_own(struct h2_memo_in *in, const struct field *own)
{
    struct bytes name = own->token == FIELD_OTHER ? own->name : BYTES_NONE;
    in->own = own->token;
    in->own_name_bytes = (uint8_t)name.length;
    if (name.length > 0)
        memcpy(in->own_name, name.data, name.length);
}

/* What it is found by, where that is not the section itself. */
static void keep_block(struct h2_memo_in *in, const struct wanted *wanted)
{
    if (wanted->state == STATE_OF_NONE)
        return;
    copy_short(in->block, wanted->front.data, wanted->front.length);
    copy_short(in->block + in->front_bytes, wanted->rest.data, wanted->rest.length);
}

/* SECTION, or its shape, which is what WANTED becomes; the name is for both. */
static void keep_section(struct h2_memo *memo, struct h2_memo_in *in, const struct wanted *wanted,
                         struct fields *section)
{
    in->state = wanted->state;
    in->judged = H2_JUDGED_NOT;
    in->sought = wanted->own.token;
    in->is_shape = wanted->is_shape;
    keep_own(in, &(struct field){.token = FIELD_OTHER});
    in->front_bytes = (uint32_t)wanted->front.length;
    in->block_bytes = in->front_bytes + (uint32_t)wanted->rest.length;
    keep_block(in, wanted);
    fields_init(&in->fields, in->section, sizeof(in->section));
    if (wanted->is_shape) {
        struct field own = note_own(section, wanted->own.position);
        keep_own(in, &own);
        (void)fields_copy_shape(&in->fields, section);
    } else {
        (void)fields_copy(&in->fields, section);
    }
    in->fields.own_unnamed = wanted->is_shape;
    in->fields.name = 0; /* not that which SECTION may have had */
    in->fields.name = name_of(memo, in);
    in->fields.named_bytes = in->fields.used;
    fields_name(section, in->fields.name);
    section->own_unnamed = wanted->is_shape;
}

/* NULL: it is not there. */
static struct h2_memo_in *find_in(const struct h2_memo *memo, const struct wanted *wanted)
{
    uint32_t place = h2_memo_place_of(memo, wanted->hash);
    struct h2_memo_in *in = &memo->ins[place];
    if (!is_wanted(in, wanted))
        in = &memo->ins[h2_memo_beside(memo, place)];
    if (!is_wanted(in, wanted))
        return NULL;
    in->found = true;
    return in;
}

/* Where it may be kept. NULL: it was not wanted twice running. */
static struct h2_memo_in *want_in(const struct h2_memo *memo, const struct wanted *wanted)
{
    uint32_t place = h2_memo_place_of(memo, wanted->hash);
    struct h2_memo_in *in = &memo->ins[place];
    bool in_use = in->found;
    in->found = false;
    if (in_use)
        in = &memo->ins[h2_memo_beside(memo, place)];
    uint32_t *latest = wanted->state == STATE_OF_NONE ? &in->latest_section : &in->latest;
    bool again = *latest == wanted->hash;
    *latest = wanted->hash;
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
    struct bytes name = bytes_of(in->own_name, in->own_name_bytes);
    if (!fields_front_of(out, &in->fields) || !hpack_append_own(&shape->own, in->own, name, out) ||
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

/* Whether the section without its own field is judged whatever that says, but for itself. */
static bool may_differ(const struct wanted *shape, const struct fields *section)
{
    struct field own = {.token = FIELD_OTHER};
    uint32_t at = 0;
    if (shape->own.token != FIELD_OTHER)
        return true;
    for (uint32_t i = 0; i <= shape->own.position; i++)
        (void)fields_next(section, &at, &own);
    return h2_message_is_ordinary(&own) && own.name.length <= H2_MEMO_OWN_NAME_BYTES;
}

/* A section that was decoded in full, if its shape is known from another block or table. */
static void find_section(struct h2_memo *memo, struct fields *section, struct h2_memo_in **kept)
{
    struct wanted wanted;
    if (!fields_may_have(section, FIELD_PATH) || !want_section(&wanted, section))
        return;
    struct h2_memo_in *in = find_in(memo, &wanted);
    if (in == NULL) {
        want(memo, &wanted, section, kept);
        return;
    }
    memo->found_section++;
    section->part_ends[PART_FRONT] = (uint32_t)wanted.front.length;
    section->part_ends[PART_OWN] = section->used - (uint32_t)wanted.rest.length;
    fields_name_around(section, in->fields.name);
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
    if (shape.is_shape && find_alike(memo, &shape, out, kept)) {
        want(memo, &whole, out, kept);
        return HPACK_OK;
    }
    enum hpack_result result = hpack_decode(decoder, block, out);
    if (result != HPACK_OK || out->overflow)
        return result;
    if (decoder->state == whole.state)
        want(memo, &whole, out, kept);
    if (*kept == NULL && decoder->state == whole.state && shape.is_shape && may_differ(&shape, out))
        want(memo, &shape, out, kept);
    if (*kept == NULL)
        find_section(memo, out, kept);
    return HPACK_OK;
}
