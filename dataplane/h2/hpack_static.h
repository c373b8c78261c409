/* hpack_static: the static table (RFC 7541 Appendix A). Any thread; constant. */
#pragma once

#include "dataplane/h2/fields.h"

#define HPACK_STATIC_ENTRIES 61

#define HPACK_STATIC_VALUE 16 /* bytes for the longest value */

/* As it lies in a block of fields, padded. */
struct hpack_static_entry {
    struct field_head head;
    uint8_t value[HPACK_STATIC_VALUE];
};

/* By index, 1..HPACK_STATIC_ENTRIES; 0 is no entry. Entries of one name are neighbours. */
extern const struct hpack_static_entry hpack_static_table[HPACK_STATIC_ENTRIES + 1];

/* The first index with the name of TOKEN, 0 when there is none. */
uint32_t hpack_static_name(enum field_token token);

/* The index of the entry whose name is TOKEN's and whose value is VALUE, 0 when there is none. */
uint32_t hpack_static_find(enum field_token token, struct bytes value);
