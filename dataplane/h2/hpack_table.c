#include "dataplane/h2/hpack_table.h"

#include "dataplane/base/check.h"

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

static void get_text(const struct hpack_table *table, uint32_t at, size_t length,
                     struct writer *room)
{
    uint8_t *place = writer_take(room, length);
    if (place == NULL)
        return;
    size_t first = length < HPACK_TABLE_BYTES - at ? length : HPACK_TABLE_BYTES - at;
    memcpy(place, table->text + at, first);
    memcpy(place + first, table->text, length - first);
}

static bool text_equals(const struct hpack_table *table, uint32_t at, struct bytes text)
{
    if (text.length == 0)
        return true;
    struct bytes first = bytes_first(text, HPACK_TABLE_BYTES - at);
    struct bytes rest = bytes_of(first.data + first.length, text.length - first.length);
    return bytes_equal(bytes_of(table->text + at, first.length), first) &&
           bytes_equal(bytes_of(table->text, rest.length), rest);
}

void hpack_table_add(struct hpack_table *table, uint32_t limit_bytes, const struct field *field,
                     struct hpack_key key)
{
    uint32_t bytes = (uint32_t)hpack_entry_bytes(field);
    check(bytes <= limit_bytes && limit_bytes <= HPACK_TABLE_BYTES);
    hpack_table_evict(table, limit_bytes - bytes);
    uint32_t slot = table->next_slot;
    struct hpack_entry *entry = &table->entries[slot];
    *entry = (struct hpack_entry){
        .hash = key.hash,
        .text_at = table->text_end,
        .name_bytes = field->token == FIELD_OTHER ? (uint16_t)field->name.length : 0,
        .value_bytes = (uint16_t)field->value.length,
        .token = (uint8_t)field->token,
        .older = table->newest[key.chain],
    };
    if (field->token == FIELD_OTHER)
        put_text(table, field->name);
    put_text(table, field->value);
    table->newest[key.chain] = (uint8_t)slot;
    table->next_slot = (uint8_t)((slot + 1) & SLOT_MASK);
    table->used_bytes += bytes;
    table->count++;
}

void hpack_table_name(const struct hpack_table *table, uint32_t position, struct writer *room,
                      struct field *out)
{
    const struct hpack_entry *entry = entry_at(table, position);
    const uint8_t *place = room->at;
    out->token = (enum field_token)entry->token;
    if (out->token != FIELD_OTHER) {
        out->name = field_name(out->token);
        return;
    }
    get_text(table, entry->text_at, entry->name_bytes, room);
    out->name = bytes_of(place, entry->name_bytes);
}

void hpack_table_field(const struct hpack_table *table, uint32_t position, struct writer *room,
                       struct field *out)
{
    hpack_table_name(table, position, room, out);
    const struct hpack_entry *entry = entry_at(table, position);
    const uint8_t *place = room->at;
    uint32_t at = (entry->text_at + (uint32_t)entry->name_bytes) & TEXT_MASK;
    get_text(table, at, entry->value_bytes, room);
    out->value = bytes_of(place, entry->value_bytes);
}

/* Up to 8 bytes from each end, and the length: cheap, and found entries are compared anyway. */
static uint64_t mix_text(struct bytes text)
{
    uint64_t first = 0;
    uint64_t last = 0;
    if (text.length >= 8) {
        memcpy(&first, text.data, 8);
        memcpy(&last, text.data + text.length - 8, 8);
    } else {
        for (size_t i = 0; i < text.length; i++)
            first = first << 8 | text.data[i];
    }
    uint64_t mixed = (first + text.length) * 0x9e3779b97f4a7c15;
    return (mixed ^ mixed >> 32 ^ last) * 0xd6e8feb86659fd93;
}

struct hpack_key hpack_key_of(const struct field *field)
{
    uint64_t name =
        field->token == FIELD_OTHER ? mix_text(field->name) : field->token * 0x9e3779b97f4a7c15;
    uint64_t both = (name ^ name >> 29) + mix_text(field->value);
    return (struct hpack_key){
        .hash = (uint32_t)(both >> 32),
        .chain = (uint8_t)(name >> 40) % HPACK_TABLE_CHAINS,
    };
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

/*
 * A chain ends at a slot that is free or was used again since: its age is then not greater than
 * that of the entry that points to it. So no link has to be mended when an entry goes.
 */
struct hpack_found hpack_table_find(const struct hpack_table *table, const struct field *field,
                                    struct hpack_key key)
{
    struct hpack_found found = {.field = -1, .name = -1};
    uint32_t slot = table->newest[key.chain];
    int32_t before = -1;
    for (;;) {
        int32_t age = (int32_t)age_of(table, slot);
        if (age >= table->count || age <= before)
            return found;
        const struct hpack_entry *entry = &table->entries[slot];
        bool same_hash = entry->hash == key.hash;
        if ((same_hash || found.name < 0) && has_name(table, entry, field)) {
            found.name = found.name < 0 ? age : found.name;
            found.field = same_hash && has_value(table, entry, field) ? age : -1;
        }
        if (found.field >= 0)
            return found;
        before = age;
        slot = entry->older;
    }
}
