/*
 * fields: a decoded header or trailer section: name and value pairs in order, in one block of
 * memory that can be copied as it is.
 *
 * Names are lower case. Each field carries the token of a well-known name, so that rules are a
 * switch and not a string comparison. The memory belongs to whoever initialised the fields.
 */
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/base/copy.h"
#include "dataplane/base/writer.h"

enum field_token {
    FIELD_OTHER, /* any name not listed */
#define FIELD(token, name) FIELD_##token,
#include "dataplane/h2/field_names.def"
#undef FIELD
    FIELD_TOKENS
};

/* What of a section is likely to come again, each part for itself; it has them in this order. */
enum fields_part {
    PART_FRONT,  /* comes again */
    PART_OWN,    /* differs: what is asked for */
    PART_FIELDS, /* comes again, also with others in front */
    FIELDS_PARTS /* and what stands behind them differs, too */
};

struct fields {
    uint8_t *data;
    uint32_t capacity;   /* bytes at data */
    uint32_t used;       /* bytes */
    uint16_t count;      /* fields */
    bool overflow;       /* something did not fit; sticky */
    bool own_unnamed;    /* the name is of all but what lies between PART_FRONT and PART_OWN */
    uint64_t present[2]; /* a bit for each token that was added: without it, there is none */
    /* Where they end, in bytes. All 0: nobody has said; most likely all comes again together. */
    uint32_t part_ends[FIELDS_PARTS];
    uint32_t named_bytes; /* so many from the beginning on are what the name is of */
    uint64_t name;        /* what has the same name, of one worker, is equal; 0: it has none */
};

/* What a field is by itself, whatever message it stands in: field_form.h finds out. */
enum field_form {
    FORM_UNKNOWN, /* nobody has looked yet */
    FORM_GOOD,
    FORM_NAME_BAD,    /* no token in lower case: RFC 9113 8.2.1 */
    FORM_VALUE_BAD,   /* a control character, or white space around it: RFC 9113 8.2.1 */
    FORM_GRAMMAR_BAD, /* a good value, but not for this pseudo-header field, or for host */
};

struct field {
    enum field_token token;
    bool never_index;     /* RFC 7541 6.2.3: keep out of every compression table */
    uint8_t static_index; /* the entry of RFC 7541 Appendix A that equals it; 0: none is known */
    uint8_t form;         /* enum field_form */
    uint32_t hash;        /* of name and value, as hpack_table.h makes it; 0: not known */
    struct bytes name;
    struct bytes value;
};

/*
 * In the block a field is a head, then its name when it is not a listed one, then its value. Heads
 * are not aligned. What is known of a field goes with it from the table it was decoded from to the
 * one it is encoded with, so that a field that comes again is neither checked nor hashed again.
 */
struct field_head {
    uint8_t token;
    uint8_t never_index;
    uint8_t static_index;
    uint8_t form;
    uint32_t hash;
    uint32_t name_bytes; /* 0 when the token tells the name; at most 64 KiB */
    uint32_t value_bytes;
};

/*
 * Bytes a field takes in the block beside its value, and its name when that is FIELD_OTHER. Less
 * than RFC 9113 6.5.2 counts (name + value + 32): a header list whose size is at most N always fits
 * into a block of N bytes.
 */
#define FIELD_HEAD_BYTES sizeof(struct field_head)

/* The name of a token; that of FIELD_OTHER is empty. */
extern const struct bytes field_names[FIELD_TOKENS];

void fields_init(struct fields *fields, void *data, uint32_t capacity);

/*
 * Append; sets `overflow` when it does not fit (name at most 64 KiB), and from then on adds nothing
 * more. Copies name and value; they may lie in fields_room(), or outside of the block.
 * `field.token` has to be field_token_of(field.name): the name of a token is not looked at.
 */
void fields_add(struct fields *fields, struct field field);

/*
 * The free memory in which the texts of the next field end up: its name when it is FIELD_OTHER,
 * then its value. What makes texts can make them here, and fields_add() need not copy. The writer
 * has failed already when no field can be added.
 */
struct writer fields_room(const struct fields *fields);

/*
 * Append a field whose texts the caller then copies to where this says: head->name_bytes, which is
 * 0 unless the token is FIELD_OTHER, and head->value_bytes in one piece. NULL: it does not fit, and
 * `overflow` is set.
 */
static inline uint8_t *fields_append(struct fields *fields, const struct field_head *head)
{
    size_t bytes = sizeof(*head) + head->name_bytes + (size_t)head->value_bytes;
    if (fields->overflow || fields->count == UINT16_MAX || head->name_bytes > UINT16_MAX ||
        bytes > fields->capacity - fields->used) {
        fields->overflow = true;
        return NULL;
    }
    uint8_t *place = fields->data + fields->used;
    memcpy(place, head, sizeof(*head));
    fields->used += (uint32_t)bytes;
    fields->count++;
    fields->present[head->token / 64] |= 1ULL << head->token % 64;
    return place + sizeof(*head);
}

/* Free bytes in the block. */
static inline uint32_t fields_left(const struct fields *fields)
{
    return fields->capacity - fields->used;
}

#define FIELD_NAME_MAX 32 /* bytes of a listed name, see fields.c */

/* No less than RFC 9113 6.5.2 counts: names, values, and 32 for each field. O(1) */
static inline uint64_t fields_list_bound(const struct fields *fields)
{
    return fields->used + (uint64_t)fields->count * (FIELD_NAME_MAX + 32 - FIELD_HEAD_BYTES);
}

/* Append by token (not FIELD_OTHER); the name comes from the table. */
void fields_add_token(struct fields *fields, enum field_token token, struct bytes value);

/* What is there now has a name; more may be appended behind it. */
static inline void fields_name(struct fields *fields, uint64_t name)
{
    fields->name = name;
    fields->named_bytes = fields->used;
    fields->own_unnamed = false;
}

/* The same, but for the field between the ends of PART_FRONT and PART_OWN, which may be another. */
static inline void fields_name_around(struct fields *fields, uint64_t name)
{
    fields_name(fields, name);
    fields->own_unnamed = true;
}

/* Copy all of FROM into INTO (initialised, any former contents dropped). False: does not fit. */
bool fields_copy(struct fields *into, const struct fields *from);

/*
 * A shape: a section without the one field between the ends of PART_FRONT and PART_OWN.
 *
 * fields_copy_shape() makes it, of FROM (not overflown), into INTO (initialised); it gets no name.
 * A section of that shape is made in INTO (initialised, empty) by fields_front_of(), the field of
 * its own, whoever appends it, and fields_rest_of(), which gives it the shape's name. False: it
 * does not fit. What is copied lies outside of INTO. O(bytes)
 */
bool fields_copy_shape(struct fields *into, const struct fields *from);
bool fields_front_of(struct fields *into, const struct fields *shape);
bool fields_rest_of(struct fields *into, const struct fields *shape);

/* The token of a lower-case name, FIELD_OTHER when it is not listed. O(length). */
enum field_token field_token_of(struct bytes name);

/* The name of a token other than FIELD_OTHER. */
struct bytes field_name(enum field_token token);

/* The texts of a field, name_bytes and value_bytes of them, behind its head. */
static inline void field_read(const uint8_t *at, struct field_head *head, struct field *out)
{
    memcpy(head, at, sizeof(*head));
    const uint8_t *text = at + sizeof(*head);
    *out = (struct field){
        .token = (enum field_token)head->token,
        .never_index = head->never_index != 0,
        .static_index = head->static_index,
        .form = head->form,
        .hash = head->hash,
        .name = head->token == FIELD_OTHER ? bytes_of(text, head->name_bytes)
                                           : field_names[head->token],
        .value = bytes_of(text + head->name_bytes, head->value_bytes),
    };
}

/* The token of the field whose head is at AT; its value. */
static inline enum field_token field_token_at(const uint8_t *at)
{
    return (enum field_token)at[offsetof(struct field_head, token)];
}

static inline struct bytes field_value(const uint8_t *at)
{
    struct field_head head;
    memcpy(&head, at, sizeof(head));
    return bytes_of(at + sizeof(head) + head.name_bytes, head.value_bytes);
}

/* Walk: `at` starts at 0; false after the last field. */
static inline bool fields_next(const struct fields *fields, uint32_t *at, struct field *out)
{
    if (*at >= fields->used)
        return false;
    struct field_head head;
    field_read(fields->data + *at, &head, out);
    *at += (uint32_t)sizeof(head) + head.name_bytes + head.value_bytes;
    return true;
}

/* False: there is no field with this token. True: there may be. */
static inline bool fields_may_have(const struct fields *fields, enum field_token token)
{
    return (fields->present[token / 64] >> (token % 64) & 1) != 0;
}

/* fields_find() of what may be there. */
bool fields_search(const struct fields *fields, enum field_token token, struct bytes *out_value);

/* One after the other: `at` starts at 0; false after the last one with the token. */
bool fields_search_on(const struct fields *fields, enum field_token token, uint32_t *at,
                      struct bytes *out_value);

/* The first field with the token; false when there is none. O(fields), O(1) for most absent ones.
 */
static inline bool fields_find(const struct fields *fields, enum field_token token,
                               struct bytes *out_value)
{
    return fields_may_have(fields, token) && fields_search(fields, token, out_value);
}

/*
 * The status of a response's section, where it stands first; 0: it is none of three digits. O(1)
 */
static inline uint16_t fields_status(const struct fields *fields)
{
    struct field_head head;
    if (fields->used < sizeof(head) + 3)
        return 0;
    memcpy(&head, fields->data, sizeof(head));
    if (head.token != FIELD_STATUS || head.value_bytes != 3)
        return 0;
    const uint8_t *digits = fields->data + sizeof(head);
    uint8_t a = (uint8_t)(digits[0] - '0');
    uint8_t b = (uint8_t)(digits[1] - '0');
    uint8_t c = (uint8_t)(digits[2] - '0');
    return a > 9 || b > 9 || c > 9 ? 0 : (uint16_t)(a * 100 + b * 10 + c);
}

/*
 * Append the field whose head is at FROM, of other fields, with all that is known of it. It lies
 * outside of the block.
 */
static inline void fields_append_from(struct fields *fields, const uint8_t *from)
{
    struct field_head head;
    memcpy(&head, from, sizeof(head));
    uint8_t *place = fields_append(fields, &head);
    if (place != NULL)
        copy_short(place, from + sizeof(head), (size_t)head.name_bytes + head.value_bytes);
}
