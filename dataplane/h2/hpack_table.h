/*
 * hpack_table: the dynamic table (RFC 7541 2.3.2, 4), one object of the tables pool for one
 * direction of one connection.
 *
 * Texts lie in a byte ring, entries in a ring of slots; both are as large as HPACK_TABLE_BYTES can
 * ever need, since every entry counts 32 bytes more than its texts. The name of a listed field is
 * not stored, its token says it. An entry is found through one of a few chains, selected by the
 * hash of the whole field, or by that of its name, from the newest to the oldest.
 *
 * Life: hpack_table_take(), then add and evict in any order, then hpack_table_give(). One worker.
 */
#pragma once

#include "dataplane/base/writer.h"
#include "dataplane/h2/fields.h"
#include "dataplane/h2/hpack.h"

#define HPACK_ENTRY_BYTES   32 /* RFC 7541 4.1: what an entry counts beside its texts */
#define HPACK_TABLE_ENTRIES (HPACK_TABLE_BYTES / HPACK_ENTRY_BYTES)
#define HPACK_TABLE_CHAINS  64
#define HPACK_TABLE_SEEN    8

struct hpack_entry {
    uint32_t hash; /* of name and value; never 0 */
    uint16_t text_at;
    uint16_t name_bytes; /* 0 when the token tells the name */
    uint16_t value_bytes;
    uint8_t token;
    uint8_t form;            /* enum field_form; not FORM_UNKNOWN in a decoder's table */
    uint8_t older;           /* slot of the next one in its chain of fields */
    uint8_t older_with_name; /* and in that of names */
};

struct hpack_table {
    uint32_t used_bytes; /* as RFC 7541 4.1 counts */
    uint16_t text_end;   /* where the next text goes */
    uint8_t count;
    uint8_t next_slot;
    uint8_t seen_at;                    /* the oldest of `seen` */
    uint8_t newest[HPACK_TABLE_CHAINS]; /* slot; says nothing when that entry is gone */
    uint8_t newest_with_name[HPACK_TABLE_CHAINS];
    uint32_t seen[HPACK_TABLE_SEEN]; /* by hash: fields that were sent and not entered */
    struct hpack_entry entries[HPACK_TABLE_ENTRIES];
    uint8_t text[HPACK_TABLE_BYTES];
};

/* An empty table, or NULL when none is left. */
struct hpack_table *hpack_table_take(struct hpack_tables *tables);

/* The same, at the expense of an encoder if need be: one that has long encoded nothing, if any. */
struct hpack_table *hpack_table_demand(struct hpack_tables *tables);

void hpack_table_give(struct hpack_tables *tables, struct hpack_table *table);

/* The size of a field as an entry. RFC 7541 4.1 */
size_t hpack_entry_bytes(const struct field *field);

/* Evict the oldest entries until at most LIMIT_BYTES are used. RFC 7541 4.3 */
void hpack_table_evict(struct hpack_table *table, uint32_t limit_bytes);

/*
 * Enter a field as the newest entry, evicting what is necessary. Its size is at most LIMIT_BYTES,
 * which is at most HPACK_TABLE_BYTES. Its texts are not part of the table. What it says of its form
 * and hash is kept; the hash is made when it is 0. RFC 7541 4.4
 */
void hpack_table_add(struct hpack_table *table, uint32_t limit_bytes, const struct field *field);

/*
 * The name of the entry at POSITION (below table->count, 0 is the newest), copied to ROOM. A name
 * that its token tells is not copied. ROOM fails when it is too small.
 */
void hpack_table_name(const struct hpack_table *table, uint32_t position, struct writer *room,
                      struct field *out);

/* Append the entry at POSITION (below table->count) to OUT, with all that is known of it. */
void hpack_table_append(const struct hpack_table *table, uint32_t position, struct fields *out);

/* Of name and value; never 0. O(bytes), eight at a time. */
uint32_t hpack_hash_of(const struct field *field);

/*
 * The position of the newest entry with the name and value of FIELD, whose hash is HASH; of the
 * newest one with its name. -1: there is none. O(entries in one chain), at most
 * HPACK_TABLE_ENTRIES.
 */
int32_t hpack_table_find(const struct hpack_table *table, const struct field *field, uint32_t hash);
int32_t hpack_table_find_name(const struct hpack_table *table, const struct field *field);

/* Was a field of this hash among the last HPACK_TABLE_SEEN others that were passed in here? */
bool hpack_table_seen(struct hpack_table *table, uint32_t hash);
