/*
 * json_match: whether a JSON document (RFC 8259) is an object whose top-level members have given
 * literal values (rule C27). Streaming, without memory of its own, a bounded number of steps a
 * byte. One worker; pure.
 *
 * It says no whenever it is not sure, because "no" only means a request of one's own: a document
 * that is no object, a member that is missing, there twice, or written with escapes, a number of
 * more than JSON_TOKEN_BYTES characters. Numbers are compared by value (0, 0.0 and 0e9 are equal),
 * texts byte by byte. What is inside of nested values is skipped, not checked.
 */
#pragma once

#include "dataplane/region/snapshot.h"

#define JSON_TOKEN_BYTES 64 /* of a name or a value that can match */

enum json_place {
    JSON_START,         /* before the object */
    JSON_FIRST_NAME,    /* after its '{': a name or the end */
    JSON_NEXT_NAME,     /* after a ',' */
    JSON_NAME,          /* in a name */
    JSON_COLON,         /* after a name */
    JSON_VALUE,         /* before a value */
    JSON_SCALAR,        /* in a number, true, false or null */
    JSON_TEXT,          /* in a text that is a value */
    JSON_NESTED,        /* in an object or list that is a value */
    JSON_NESTED_TEXT,   /* in a text in there */
    JSON_NESTED_ESCAPE, /* after a '\' in there */
    JSON_AFTER,         /* after a value: ',' or the end */
    JSON_END,           /* after the object: white space only */
    JSON_NO,            /* it does not match; for good */
};

struct json_match {
    const struct snapshot_literal *wanted;
    uint32_t count;
    enum json_place place;
    int32_t member;   /* whose value comes: index in wanted, or -1 */
    uint32_t found;   /* bit: member */
    uint32_t depth;   /* of nesting in a value */
    bool escape_next; /* the next byte of a text is escaped */
    bool unlike;      /* the token cannot be compared: too long, or escaped */
    uint32_t length;
    uint8_t token[JSON_TOKEN_BYTES];
};

/* WANTED, COUNT (at most 32) of them, has to stay until the last call. */
void json_match_init(struct json_match *match, const struct snapshot_literal *wanted,
                     uint32_t count);
void json_match_feed(struct json_match *match, struct bytes bytes);

/* All has been fed: whether it matches. */
bool json_match_holds(const struct json_match *match);

/* Whether two JSON numbers have the same value. False also when either is none. */
bool json_numbers_equal(struct bytes a, struct bytes b);
