/*
 * key: what makes two requests the same, and what a key says about a header. Any thread; pure.
 */
#pragma once

#include "dataplane/base/bytes.h"

/*
 * Whether the value of the header NAME (lower case) is the same in all requests with this KEY: it
 * is part of the key, present or not. For `vary` (rule C6). O(key).
 */
bool key_covers(struct bytes key, struct bytes name);

/* Whether the header says who asks (rule C4). */
struct field;
struct snapshot_coalesce;
bool key_is_credential(const struct snapshot_coalesce *rules, const struct field *field);

/* False: no field of these does. O(1) */
struct fields;
bool key_may_have_credential(const struct snapshot_coalesce *rules, const struct fields *fields);

/* Whether the key tells principals apart (rule C4). */
bool key_has_principal(struct bytes key);

/* Whether no key, and no principal, has anything of the header. */
bool key_ignores(const struct snapshot_coalesce *rules, const struct field *field);

/* Where KEY has the value of :path, of which nothing else in it is made. O(parts before it) */
struct bytes key_path(struct bytes key);

/*
 * KEY with the fields NAMES (lower case, comma separated) of the request, into ROOM of
 * COALESCE_KEY_BYTES: what has been learned of `vary` (rule C8). Empty: does not fit. O(key).
 */
struct bytes key_with_fields(struct bytes key, struct bytes names, const struct fields *fields,
                             uint8_t *room);

/* NAME in lower case, in ROOM; shorter than NAME when it does not fit. */
struct bytes bytes_lower(struct bytes name, uint8_t *room, size_t size);

/* Walk a comma-separated list (RFC 9110 5.6.1): the next element without white space around. */
bool list_value_next(struct bytes *rest, struct bytes *out_element);

/* Equality without regard to case; LOWER is lower case. */
bool bytes_equal_lower(struct bytes bytes, const char *lower);

/* Whether a list of directives (cache-control) has NAME, with or without an argument. */
bool directive_is_set(struct bytes directives, const char *name);
