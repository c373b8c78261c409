/*
 * fields: a decoded header or trailer section: name and value pairs in order, in one block of
 * memory that can be copied as it is.
 *
 * Names are lower case. Each field carries the token of a well-known name, so that rules are a
 * switch and not a string comparison. The memory belongs to whoever initialised the fields.
 */
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/base/writer.h"

enum field_token {
    FIELD_OTHER, /* any name not listed */
#define FIELD(token, name) FIELD_##token,
#include "dataplane/h2/field_names.def"
#undef FIELD
    FIELD_TOKENS
};

struct fields {
    uint8_t *data;
    uint32_t capacity;  /* bytes at data */
    uint32_t used;      /* bytes */
    uint16_t count;     /* fields */
    bool overflow;      /* something did not fit; sticky */
};

struct field {
    enum field_token token;
    bool never_index; /* RFC 7541 6.2.3: keep out of every compression table */
    struct bytes name;
    struct bytes value;
};

/*
 * Bytes a field takes in the block beside its value, and its name when that is FIELD_OTHER. Less
 * than RFC 9113 6.5.2 counts (name + value + 32): a header list whose size is at most N always fits
 * into a block of N bytes.
 */
#define FIELD_HEAD_BYTES 8

void fields_init(struct fields *fields, void *data, uint32_t capacity);

/*
 * Append; sets `overflow` when it does not fit (name at most 64 KiB), and from then on adds nothing
 * more. Copies name and value; they may lie in fields_room(), or outside of the block.
 * `field.token` has to be field_token_of(field.name): the name of a token is not looked at.
 */
void fields_add(struct fields *fields, struct field field);

/*
 * The free memory in which the texts of the next field end up: its name when it is FIELD_OTHER, then
 * its value. What makes texts can make them here, and fields_add() need not copy. The writer has
 * failed already when no field can be added.
 */
struct writer fields_room(const struct fields *fields);

/* Append by token (not FIELD_OTHER); the name comes from the table. */
void fields_add_token(struct fields *fields, enum field_token token, struct bytes value);

/* Copy all of FROM into INTO (initialised, any former contents dropped). False: does not fit. */
bool fields_copy(struct fields *into, const struct fields *from);

/* The token of a lower-case name, FIELD_OTHER when it is not listed. O(length). */
enum field_token field_token_of(struct bytes name);

/* The name of a token other than FIELD_OTHER. */
struct bytes field_name(enum field_token token);

/* Walk: `at` starts at 0; false after the last field. */
bool fields_next(const struct fields *fields, uint32_t *at, struct field *out);

/* The first field with the token; false when there is none. O(fields). */
bool fields_find(const struct fields *fields, enum field_token token, struct bytes *out_value);
