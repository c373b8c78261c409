#include "dataplane/h2/hpack_table.h"

#include "dataplane/base/check.h"
#include "dataplane/base/copy.h"

#define SLOT_MASK (HPACK_TABLE_ENTRIES - 1)
#define TEXT_MASK (HPACK_TABLE_BYTES - 1)

_Static_assert((HPACK_TABLE_BYTES & TEXT_MASK) == 0, "positions wrap by a mask");
_Static_assert(HPACK_TABLE_BYTES <= UINT16_MAX && HPACK_TABLE_ENTRIES <= UINT8_MAX,
               "positions and slots fit into their fields");

#define ENCODERS_ASKED 8 /* whether they still need their table; then the next one loses it */

bool hpack_tables_init(struct hpack_tables *tables, uint32_t count, int socket_id)
{
    list_init(&tables->encoders);
    tables->taken_back = 0;
    tables->states = 0;
    return pool_init(&tables->pool, "hpack tables", POOL_LIFO, count, sizeof(struct hpack_table),
                     socket_id);
}

struct hpack_table *hpack_table_take(struct hpack_tables *tables)
{
    struct hpack_table *table = pool_take(&tables->pool);
    if (table == NULL)
        return NULL;
    memset(table, 0, offsetof(struct hpack_table, entries));
    return table;
}

/* The clock algorithm: who has encoded since it was last asked goes to the end of the line. */
static void take_back(struct hpack_tables *tables)
{
    for (int asked = 0; !list_is_empty(&tables->encoders); asked++) {
        struct list *link = tables->encoders.next;
        struct hpack_encoder *encoder = list_entry(link, struct hpack_encoder, link);
        if (!encoder->used || asked == ENCODERS_ASKED) {
            hpack_encoder_yield(encoder);
            tables->taken_back++;
            return;
        }
        encoder->used = false;
        list_remove(link);
        list_push_back(&tables->encoders, link);
    }
}

struct hpack_table *hpack_table_demand(struct hpack_tables *tables)
{
    if (tables->pool.free_count == 0)
        take_back(tables);
    return hpack_table_take(tables);
}

void hpack_table_give(struct hpack_tables *tables, struct hpack_table *table)
{
    pool_give(&tables->pool, table);
}

size_t hpack_entry_bytes(const struct field *field)
{
    struct bytes name = field->token == FIELD_OTHER ? field->name : field_name(field->token);
    return name.length + field->value.length + HPACK_ENTRY_BYTES;
}

/* Slots count upwards with age 0 for the newest. */
static uint32_t age_of(const struct hpack_table *table, uint32_t slot)
{
    return (table->next_slot - 1U - slot) & SLOT_MASK;
}

static const struct hpack_entry *entry_at(const struct hpack_table *table, uint32_t position)
{
    check(position < table->count);
    return &table->entries[(table->next_slot - 1U - position) & SLOT_MASK];
}

static uint32_t bytes_of_entry(const struct hpack_entry *entry)
{
    uint32_t name = entry->token == FIELD_OTHER
                        ? entry->name_bytes
                        : (uint32_t)field_name((enum field_token)entry->token).length;
    return name + entry->value_bytes + HPACK_ENTRY_BYTES;
}

void hpack_table_evict(struct hpack_table *table, uint32_t limit_bytes)
{
    while (table->used_bytes > limit_bytes) {
        table->used_bytes -= bytes_of_entry(entry_at(table, table->count - 1U));
        table->count--;
    }
}

static void put_text(struct hpack_table *table, struct bytes text)
{
    struct bytes first = bytes_first(text, HPACK_TABLE_BYTES - table->text_end);
    if (text.length == 0)
        return;
    memcpy(table->text + table->text_end, first.data, first.length);
    if (text.length > first.length)
        memcpy(table->text, first.data + first.length, text.length - first.length);
    table->text_end = (uint16_t)((table->text_end + text.length) & TEXT_MASK);
}

/* LENGTH bytes at AT in the ring, in one piece at PLACE. */
static void get_text(const struct hpack_table *table, uint32_t at, size_t length, uint8_t *place)
{
    size_t first = length < HPACK_TABLE_BYTES - at ? length : HPACK_TABLE_BYTES - at;
    copy_short(place, table->text + at, first);
    if (length > first)
        memcpy(place + first, table->text, length - first);
}

static bool text_equals(const struct hpack_table *table, uint32_t at, struct bytes text)
{
    if (text.length <= HPACK_TABLE_BYTES - at)
        return equal_short(table->text + at, text.data, text.length);
    struct bytes first = bytes_first(text, HPACK_TABLE_BYTES - at);
    struct bytes rest = bytes_after(text, first.length);
    return bytes_equal(bytes_of(table->text + at, first.length), first) &&
           bytes_equal(bytes_of(table->text, rest.length), rest);
}

/* The next eight bytes go in. */
static inline uint64_t mix_eight(uint64_t mixed, uint64_t eight)
{
    mixed = (mixed ^ eight) * 0xd6e8feb86659fd93;
    return mixed ^ mixed >> 32;
}

/* Fewer than eight bytes, all of them. */
static inline uint64_t load_below_8(const uint8_t *text, size_t length)
{
    if (length >= 4)
        return (uint64_t)copy_load4(text) << 32 | copy_load4(text + length - 4);
    if (length == 0)
        return 0;
    return (uint64_t)text[0] << 16 | (uint64_t)text[length / 2] << 8 | text[length - 1];
}

/*
 * Every byte counts: paths of one site begin and end alike, and those that had the same hash would
 * be compared with each other each time, and be taken for one that comes again.
 */
static uint64_t mix_text(struct bytes text)
{
    uint64_t mixed = text.length * 0x9e3779b97f4a7c15;
    if (text.length < 8)
        return mix_eight(mixed, load_below_8(text.data, text.length));
    for (size_t at = 0; at + 8 < text.length; at += 8)
        mixed = mix_eight(mixed, copy_load8(text.data + at));
    return mix_eight(mixed, copy_load8(text.data + text.length - 8));
}

static uint64_t mix_name(const struct field *field)
{
    return field->token == FIELD_OTHER ? mix_text(field->name) : field->token * 0x9e3779b97f4a7c15;
}

uint32_t hpack_hash_of(const struct field *field)
{
    uint64_t name = mix_name(field);
    uint32_t hash = (uint32_t)(((name ^ name >> 29) + mix_text(field->value)) >> 32);
    return hash != 0 ? hash : 1;
}

static uint32_t chain_of(uint32_t hash)
{
    return hash % HPACK_TABLE_CHAINS;
}

static uint32_t name_chain_of(const struct field *field)
{
    return (uint32_t)(mix_name(field) >> 40) % HPACK_TABLE_CHAINS;
}

void hpack_table_add(struct hpack_table *table, uint32_t limit_bytes, const struct field *field)
{
    uint32_t bytes = (uint32_t)hpack_entry_bytes(field);
    check(bytes <= limit_bytes && limit_bytes <= HPACK_TABLE_BYTES);
    hpack_table_evict(table, limit_bytes - bytes);
    uint8_t slot = table->next_slot;
    uint32_t hash = field->hash != 0 ? field->hash : hpack_hash_of(field);
    uint8_t *newest = &table->newest[chain_of(hash)];
    uint8_t *newest_with_name = &table->newest_with_name[name_chain_of(field)];
    table->entries[slot] = (struct hpack_entry){
        .hash = hash,
        .text_at = table->text_end,
        .name_bytes = field->token == FIELD_OTHER ? (uint16_t)field->name.length : 0,
        .value_bytes = (uint16_t)field->value.length,
        .token = (uint8_t)field->token,
        .form = field->form,
        .older = *newest,
        .older_with_name = *newest_with_name,
    };
    if (field->token == FIELD_OTHER)
        put_text(table, field->name);
    put_text(table, field->value);
    *newest = slot;
    *newest_with_name = slot;
    table->next_slot = (uint8_t)((slot + 1) & SLOT_MASK);
    table->used_bytes += bytes;
    table->count++;
}

void hpack_table_name(const struct hpack_table *table, uint32_t position, struct writer *room,
                      struct field *out)
{
    const struct hpack_entry *entry = entry_at(table, position);
    out->token = (enum field_token)entry->token;
    out->name = field_names[entry->token];
    if (out->token != FIELD_OTHER)
        return;
    uint8_t *place = writer_take(room, entry->name_bytes);
    if (place == NULL)
        return;
    get_text(table, entry->text_at, entry->name_bytes, place);
    out->name = bytes_of(place, entry->name_bytes);
}

void hpack_table_append(const struct hpack_table *table, uint32_t position, struct fields *out)
{
    const struct hpack_entry *entry = entry_at(table, position);
    struct field_head head = {
        .token = entry->token,
        .form = entry->form,
        .hash = entry->hash,
        .name_bytes = entry->name_bytes,
        .value_bytes = entry->value_bytes,
    };
    uint8_t *place = fields_append(out, &head);
    if (place != NULL)
        get_text(table, entry->text_at, (size_t)entry->name_bytes + entry->value_bytes, place);
}

static bool has_name(const struct hpack_table *table, const struct hpack_entry *entry,
                     const struct field *field)
{
    if (entry->token != field->token)
        return false;
    return field->token != FIELD_OTHER || (entry->name_bytes == field->name.length &&
                                           text_equals(table, entry->text_at, field->name));
}

static bool has_value(const struct hpack_table *table, const struct hpack_entry *entry,
                      const struct field *field)
{
    uint32_t at = (entry->text_at + (uint32_t)entry->name_bytes) & TEXT_MASK;
    return entry->value_bytes == field->value.length && text_equals(table, at, field->value);
}

/* A walk along a chain of entries. */
struct walk {
    const struct hpack_table *table;
    uint32_t slot;
    int32_t age; /* the position of the entry; -1 before the first */
};

/*
 * The entry at the walk's slot, NULL at the end: a chain ends at a slot that is free or was used
 * again since, whose age is then not greater than that of the entry that points to it. So no link
 * has to be mended when an entry goes.
 */
static inline const struct hpack_entry *walk_entry(struct walk *walk)
{
    int32_t age = (int32_t)age_of(walk->table, walk->slot);
    if (age >= walk->table->count || age <= walk->age)
        return NULL;
    walk->age = age;
    return &walk->table->entries[walk->slot];
}

int32_t hpack_table_find(const struct hpack_table *table, const struct field *field, uint32_t hash)
{
    struct walk walk = {table, table->newest[chain_of(hash)], -1};
    for (const struct hpack_entry *at; (at = walk_entry(&walk)) != NULL; walk.slot = at->older)
        if (at->hash == hash && has_name(table, at, field) && has_value(table, at, field))
            return walk.age;
    return -1;
}

int32_t hpack_table_find_name(const struct hpack_table *table, const struct field *field)
{
    struct walk walk = {table, table->newest_with_name[name_chain_of(field)], -1};
    const struct hpack_entry *at;
    for (; (at = walk_entry(&walk)) != NULL; walk.slot = at->older_with_name)
        if (has_name(table, at, field))
            return walk.age;
    return -1;
}

bool hpack_table_seen(struct hpack_table *table, uint32_t hash)
{
    for (uint32_t i = 0; i < HPACK_TABLE_SEEN; i++)
        if (table->seen[i] == hash)
            return true;
    table->seen[table->seen_at] = hash;
    table->seen_at = (uint8_t)((table->seen_at + 1) % HPACK_TABLE_SEEN);
    return false;
}
