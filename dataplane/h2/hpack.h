/*
 * hpack: header compression for HTTP/2 (RFC 7541), decoder and encoder, one of each a connection.
 *
 * Both keep a dynamic table in a block of memory taken from a pool only when the table first gets
 * an entry, so that a connection without requests costs none. A decoding error is a connection
 * error (COMPRESSION_ERROR): the table may be out of step and the connection must be closed.
 *
 * There may be fewer tables than connections have directions. An encoder goes without one when none
 * is left. What a decoder has to enter is the peer's choice, so it gets the table of an encoder,
 * which begins its next block by emptying the peer's (RFC 7541 4.2, 6.3) and goes without, too.
 */
#pragma once

#include "dataplane/base/list.h"
#include "dataplane/base/pool.h"
#include "dataplane/base/reader.h"
#include "dataplane/base/writer.h"
#include "dataplane/h2/fields.h"

#define HPACK_TABLE_BYTES 4096 /* RFC 9113 6.5.2 SETTINGS_HEADER_TABLE_SIZE: default, our bound */

struct hpack_table;

enum hpack_result {
    HPACK_OK,
    HPACK_BAD_INTEGER,    /* more than 5 octets behind the prefix, or 2^32 and above */
    HPACK_BAD_INDEX,      /* 0 or beyond both tables */
    HPACK_BAD_HUFFMAN,    /* padding not all ones, longer than 7 bits, or EOS inside */
    HPACK_BAD_TABLE_SIZE, /* size update above our limit, not at the start, a third, or missing */
    HPACK_TRUNCATED,      /* the block ends inside a field */
    HPACK_NO_MEMORY,      /* no table left in the pool: shed the connection */
};

/* Memory for tables of one worker; each object serves one direction of one connection. */
struct hpack_tables {
    struct pool pool;
    struct list encoders; /* that have a table, from which it can be taken */
    uint64_t taken_back;  /* times it was */
    uint64_t states;      /* that tables have had, see `state` of decoder and encoder */
};

/* COUNT tables. False: not enough memory. */
bool hpack_tables_init(struct hpack_tables *tables, uint32_t count, int socket_id);

struct hpack_decoder {
    struct hpack_tables *tables;
    struct hpack_table *table; /* NULL until first used */
    uint32_t limit_bytes;      /* what our SETTINGS announced */
    uint32_t size_bytes;       /* what the peer's encoder chose */
    bool must_shrink; /* our limit was lowered: the next block has to begin with an update */
    uint64_t state;   /* another one after each block that could change what the next one means */
};

struct hpack_encoder {
    struct hpack_tables *tables;
    struct list link;          /* tables->encoders, while there is a table */
    struct hpack_table *table; /* NULL until first used, and when it was taken back */
    uint32_t limit_bytes;      /* the peer's SETTINGS, at most HPACK_TABLE_BYTES is used */
    uint32_t lowest_bytes;     /* lowest limit since the last block (RFC 7541 4.2) */
    bool announce;             /* the next block begins with size updates */
    bool plain;                /* no string is Huffman-coded: cycles count more than bytes */
    bool used;                 /* since it was last asked whether it needs its table */
    bool same_again;           /* the last section would become the same block in this state */
    uint64_t state;            /* another one whenever entries, or limits, are others */
};

/* The name of a state that no other table, of these, has or will have. */
static inline uint64_t hpack_state_new(struct hpack_tables *tables)
{
    return ++tables->states;
}

void hpack_decoder_init(struct hpack_decoder *decoder, struct hpack_tables *tables);
void hpack_decoder_close(struct hpack_decoder *decoder);

/*
 * The peer acknowledged our SETTINGS_HEADER_TABLE_SIZE (0..HPACK_TABLE_BYTES). Its next block has
 * to begin with a size update when its table is larger. RFC 7541 4.2
 */
void hpack_decoder_limit(struct hpack_decoder *decoder, uint32_t limit_bytes);

/*
 * Decode one whole header block, appending to OUT.
 *
 * When OUT is too small, decoding goes on (the dynamic table must stay in step), out->overflow is
 * set, and the result is still HPACK_OK: the stream is refused, not the connection.
 * time O(block)   memory: at most one table   spec RFC 7541 3, 5, 6
 */
enum hpack_result hpack_decode(struct hpack_decoder *decoder, struct bytes block,
                               struct fields *out);

struct hpack_string {
    struct bytes coded;
    bool huffman;
};

/*
 * The field of a block that is the likeliest to be another next time, if all others come again: its
 * content-length, or if it has none its :path, or else the first literal; where that is a literal
 * that is entered into no table (RFC 7541 6.2.2, 6.2.3), and so is every other.
 */
struct hpack_own {
    uint32_t at, end;       /* in the block; of other than these two the value, not the name */
    uint32_t position;      /* fields before it */
    enum field_token token; /* FIELD_OTHER: neither of the two */
    bool never_index;
    struct hpack_string value; /* in the block */
};

/* False: there is none, or the block is wrong. O(fields) */
bool hpack_find_own(struct bytes block, struct hpack_own *out);

/*
 * Decode it as the field TOKEN, with NAME when that is FIELD_OTHER, behind what OUT has. False: it
 * is wrong, or does not fit, and OUT may be too.
 */
bool hpack_append_own(const struct hpack_own *own, enum field_token token, struct bytes name,
                      struct fields *out);

/* `plain` may be set afterwards. */
void hpack_encoder_init(struct hpack_encoder *encoder, struct hpack_tables *tables);
void hpack_encoder_close(struct hpack_encoder *encoder);

/*
 * Give its table to whoever needs one more: the next block begins by emptying the peer's. Harmless
 * without table. Not in the middle of hpack_encode(), which nothing interrupts.
 */
void hpack_encoder_yield(struct hpack_encoder *encoder);

/* The peer announced SETTINGS_HEADER_TABLE_SIZE. RFC 7541 4.2 */
void hpack_encoder_limit(struct hpack_encoder *encoder, uint32_t limit_bytes);

/*
 * Encode one whole header block. Never indexed: fields marked never_index and credentials
 * (authorization, proxy-authorization, cookie, set-cookie, api-key, x-api-key). Entered into the
 * table only when they come again soon: :path, content-length, values that change with most
 * messages or clients, and any other value of a name that is in the table. Never entered: fields
 * larger than half the table. Without memory for a table, literals are sent. Returns false when OUT
 * is too small; the encoder's table is then out of step: close it.
 */
bool hpack_encode(struct hpack_encoder *encoder, const struct fields *fields, struct writer *out);
