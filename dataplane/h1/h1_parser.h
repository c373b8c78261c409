/*
 * h1_parser: the answers of one connection, as they come, cut anywhere (RFC 9112). Pure: no
 * transport, no counters. One pass; nothing is taken before it was checked.
 *
 * A line of a section is gathered in the free memory of the fields' block, and becomes a field
 * there: so a section is bounded by its block, and one that has not come whole takes no more.
 */
#pragma once

#include "dataplane/h1/h1_violation.h"
#include "dataplane/h2/fields.h"

#define H1_CHUNK_LINE_BYTES 256u
#define H1_FIELDS_MAX       100u
#define H1_INTERIMS_MAX     32u

/* Where in an answer the next byte belongs. */
enum h1_place {
    H1_STATUS_LINE,
    H1_FIELD_LINES,
    H1_BODY,        /* of `left` more bytes */
    H1_BODY_TO_END, /* until the connection ends */
    H1_CHUNK_SIZE,  /* before the first or behind another digit */
    H1_CHUNK_SPACE, /* behind white space, where an extension has to begin */
    H1_CHUNK_EXTENSION,
    H1_CHUNK_SIZE_LF,
    H1_CHUNK_DATA, /* of `left` more bytes */
    H1_CHUNK_DATA_CR,
    H1_CHUNK_DATA_LF,
    H1_LAST_CHUNK, /* behind the last chunk: trailers, or CRLF */
    H1_LAST_CHUNK_LF,
    H1_TRAILER_LINES,
    H1_OVER, /* the answer is complete, or broken */
};

struct h1_parser {
    enum h1_place place;
    enum h1_violation violation;
    struct fields *fields; /* of the section being read; the owner's */
    uint32_t line_bytes;   /* of a line that has not come whole */
    uint16_t status;
    uint16_t interims;
    uint16_t lines;   /* of the section, whether they are told on or not */
    uint16_t options; /* that its connection fields name */
    uint64_t left;
    uint64_t content_length; /* UINT64_MAX: none */
    uint64_t keeps_for_s;    /* keep-alive: timeout=N; 0: unsaid */
    uint8_t digits;          /* of a chunk's size */
    bool to_head;            /* the request was HEAD */
    bool old;                /* HTTP/1.0 */
    bool chunked;
    bool until_close; /* its end is the connection's */
    bool last;        /* the backend will end the connection after it */
};

enum h1_found {
    H1_FOUND_NOTHING,  /* all that could be taken is; more bytes, or credit, are wanted */
    H1_FOUND_NO_BLOCK, /* `fields` has to be set, to an empty block */
    H1_FOUND_INTERIM,  /* `fields` is a 1xx head */
    H1_FOUND_HEAD,     /* `fields` is the final head; place is H1_OVER if that was all */
    H1_FOUND_DATA,     /* `data`; place is H1_OVER if that was all */
    H1_FOUND_TRAILERS, /* `fields`; the end */
    H1_FOUND_END,      /* the end, without trailers */
    H1_FOUND_BAD,      /* `violation` */
};

struct h1_step {
    enum h1_found found;
    uint32_t taken;    /* bytes of the input */
    struct bytes data; /* in the input */
};

/* Before each answer. TO_HEAD: that to a HEAD request, which has no body. */
void h1_parser_init(struct h1_parser *parser, bool to_head);

/*
 * What comes next in INPUT, body bytes at most MAX. What was found in `fields` has to be used, and
 * `fields` set to NULL or to an empty block, before the next call.
 */
struct h1_step h1_parse(struct h1_parser *parser, struct bytes input, uint32_t max);

/* The connection has ended. True: so did the answer, well. */
bool h1_parser_ends(struct h1_parser *parser);

/* Whether the next byte is part of a body: it needs credit. */
static inline bool h1_parser_in_body(const struct h1_parser *parser)
{
    return parser->place == H1_BODY || parser->place == H1_BODY_TO_END ||
           parser->place == H1_CHUNK_DATA;
}

/* --- h1_line.c: one line of a section, without its end. What becomes of it is in the parser. ---
 */

/* More than anybody says in good faith; the section is marked. */
static inline enum h1_violation h1_too_many(struct h1_parser *parser)
{
    parser->fields->overflow = true;
    return H1_VIOLATION_fields_too_many;
}

enum h1_violation h1_status_line(struct h1_parser *parser, struct bytes line);

/* LINE lies in fields_room() and is changed. */
enum h1_violation h1_field_line(struct h1_parser *parser, uint8_t *line, size_t length);

/* Take out the connection field, and what it names (RFC 9110 7.6.1). */
void h1_drop_connection(struct fields *fields);

/* Take out content-length, which says nothing with 1xx and 204 (RFC 9110 8.6). */
void h1_drop_length(struct fields *fields);
