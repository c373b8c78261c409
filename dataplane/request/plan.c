#include "dataplane/request/plan.h"

#include "dataplane/base/memory.h"
#include "dataplane/base/writer.h"
#include "dataplane/coalesce/key.h"

_Static_assert((PLAN_PLACES & (PLAN_PLACES - 1)) == 0, "places are chosen by a mask");

bool plans_init(struct plans *plans, int socket_id)
{
    plans->places =
        memory_take("request plans", PLAN_PLACES * sizeof(struct plan_place), socket_id);
    return plans->places != NULL;
}

/* Names are given one after the other. */
static struct plan_place *place_of(const struct plans *plans, uint64_t name)
{
    return &plans->places[name & (PLAN_PLACES - 1)];
}

static bool is_place_of(const struct plan_place *place, const struct plan_of *of)
{
    bool is_shape = of->own != NULL;
    return of->name != 0 && place->name == of->name && place->generation == of->generation &&
           place->has_body == of->has_body && place->is_shape == is_shape &&
           (of->path.length == 0 || place->plan.route == of->route);
}

/* The key with PATH in it. Empty: it has become too long. */
static struct bytes key_with_path(const struct plan_place *place, struct bytes path, uint8_t *room)
{
    struct bytes around = place->plan.key;
    struct writer key = writer_over(room, COALESCE_KEY_BYTES);
    writer_bytes(&key, bytes_first(around, place->path_at));
    writer_u32(&key, (uint32_t)path.length);
    writer_bytes(&key, path);
    writer_bytes(&key, bytes_after(around, place->path_at));
    return key.failed ? BYTES_NONE : writer_written(&key);
}

/* The plan of a shape, with what is its own in it again. NULL: it does not fit. */
static const struct plan *fill(struct plans *plans, const struct plan_place *place,
                               const struct plan_of *of, struct fields *forwarded,
                               uint8_t *key_room)
{
    struct plan *plan = &plans->filled;
    *plan = place->plan;
    if (plan->key.length > 0 && of->path.length > 0) {
        plan->key = key_with_path(place, of->path, key_room);
        plan->key_hash = 0;
        if (plan->key.length == 0)
            return NULL;
    }
    if (!fields_front_of(forwarded, &place->forwarded))
        return NULL;
    fields_append_from(forwarded, of->own);
    plan->keyed_bytes += forwarded->used - place->forwarded.part_ends[PART_FRONT];
    return fields_rest_of(forwarded, &place->forwarded) ? plan : NULL;
}

const struct plan *plans_find(struct plans *plans, const struct plan_of *of,
                              struct fields *forwarded, uint8_t *key_room)
{
    const struct plan_place *place = place_of(plans, of->name);
    if (!is_place_of(place, of))
        return NULL;
    if (!place->is_shape)
        return fields_copy(forwarded, &place->forwarded) ? &place->plan : NULL;
    const struct plan *plan = fill(plans, place, of, forwarded, key_room);
    if (plan == NULL)
        fields_init(forwarded, forwarded->data, forwarded->capacity);
    return plan;
}

/* Where the field that is its own stands in what is forwarded. False: it is not. */
static bool mark_own(struct fields *forwarded, enum field_token own)
{
    struct field field;
    for (uint32_t at = 0, end = 0; fields_next(forwarded, &end, &field); at = end) {
        if (field.token != own)
            continue;
        forwarded->part_ends[PART_FRONT] = at;
        forwarded->part_ends[PART_OWN] = end;
        return true;
    }
    return false;
}

/* FORWARDED, and a name for it. False: it is too large. */
static bool keep_forwarded(struct plans *plans, struct plan_place *place, const uint8_t *own,
                           const struct fields *forwarded)
{
    uint64_t name = PLAN_NAMES | ++plans->names;
    fields_init(&place->forwarded, place->section, sizeof(place->section));
    if (own == NULL) {
        bool fits = fields_copy(&place->forwarded, forwarded);
        fields_name(&place->forwarded, name);
        return fits;
    }
    struct fields marked = *forwarded;
    bool fits =
        mark_own(&marked, field_token_at(own)) && fields_copy_shape(&place->forwarded, &marked);
    fields_name_around(&place->forwarded, name);
    place->plan.keyed_bytes -= forwarded->used - place->forwarded.used;
    return fits;
}

/* PATH: the key is kept without. False: it is too long. */
static bool keep_key(struct plan_place *place, struct bytes key, struct bytes path)
{
    struct bytes front = key, rest = BYTES_NONE;
    if (path.length > 0 && key.length > 0) {
        size_t at = (size_t)(key_path(key).data - key.data);
        front = bytes_first(key, at - sizeof(uint32_t));
        rest = bytes_after(key, at + path.length);
    }
    struct writer room = writer_over(place->key, sizeof(place->key));
    writer_bytes(&room, front);
    writer_bytes(&room, rest);
    place->path_at = (uint32_t)front.length;
    place->plan.key = writer_written(&room);
    return !room.failed;
}

void plans_keep(struct plans *plans, const struct plan_of *of, const struct plan *plan,
                const struct fields *forwarded)
{
    struct plan_place *place = place_of(plans, of->name);
    bool is_shape = of->own != NULL;
    /* That a key is too long says nothing of other paths. */
    if (of->name == 0 || forwarded->overflow || (is_shape && plan->verdict == KEY_TOO_LONG))
        return;
    place->name = of->name;
    place->generation = of->generation;
    place->has_body = of->has_body;
    place->is_shape = is_shape;
    place->plan = *plan;
    if (!keep_key(place, plan->key, of->path) || !keep_forwarded(plans, place, of->own, forwarded))
        place->name = 0;
}
