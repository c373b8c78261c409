/*
 * h2_memo: header blocks that come again. One of each worker, for all of its connections.
 *
 * A block whose decoding changes no compression table means the same when the same bytes come again
 * and the table has not changed since; sections that were encoded out of the table alone become the
 * same block. Both are kept with the name of the table's state (hpack.h), which no other
 * connection's table ever has, and found by their bytes: what is found is equal, not only likely
 * to be.
 *
 * Of messages that differ in one field alone, :path or content-length or any that has no meaning of
 * its own for HTTP/2, the rest is remembered, as a shape (fields.h): the block without that field,
 * where it is a literal and changes no table. What stands before and behind it is compared as
 * above, and it is decoded. The name is that of the shape.
 *
 * A request that had to be decoded is looked for by what it says, but for its :path: others may
 * have said it with another table, or in another block. Its shape's name is for it, too, and what
 * the judge found out.
 *
 * The memory is two arrays of places of one size. What comes again lies at the place that its hash
 * says, or at the one beside it. It is kept when it was wanted twice running there, so that blocks
 * that never come again neither cost a copy nor drive out those that do; and of two at whose places
 * somebody else is wanted, the one that was not found in between goes.
 */
#pragma once

#include "dataplane/h2/h2_message.h"
#include "dataplane/h2/hpack.h"

#define H2_MEMO_SECTION_BYTES 1536 /* larger ones are not kept */
#define H2_MEMO_BLOCK_BYTES   384

/* A field with a longer name, of which we know nothing, is not taken out of a shape. */
#define H2_MEMO_OWN_NAME_BYTES 32

/* As what a section was judged, well. */
enum h2_judged {
    H2_JUDGED_NOT,
    H2_JUDGED_REQUEST,
    H2_JUDGED_RESPONSE,
    H2_JUDGED_TRAILERS,
};

struct h2_memo_in {
    uint64_t state;          /* of the decoder; 0: nothing is here */
    uint32_t latest;         /* the hash of the block that was wanted here last and was not here */
    uint32_t latest_section; /* and of the section */
    uint32_t block_bytes;    /* at block */
    uint32_t front_bytes;    /* of them before the own field of a shape */
    enum field_token sought; /* how a block's own field is sought, see hpack_own */
    enum field_token own;    /* which it is ... */
    uint8_t own_name_bytes;  /* ... and its name, when that is FIELD_OTHER */
    uint8_t own_name[H2_MEMO_OWN_NAME_BYTES];
    bool is_shape;
    bool found;           /* since something else was wanted here */
    struct fields fields; /* lies in `section` */
    enum h2_judged judged;
    struct h2_message message; /* what the judge found out; of a shape, without its own value */
    uint8_t block[H2_MEMO_BLOCK_BYTES];
    uint8_t section[H2_MEMO_SECTION_BYTES];
};

struct h2_memo_out {
    uint64_t state;  /* of the encoder; 0: nothing is here */
    uint32_t latest; /* as in h2_memo_in */
    bool found;
    uint32_t block_bytes;   /* at block */
    uint32_t front_bytes;   /* of them before the own field of a shape */
    uint32_t section_bytes; /* at section */
    uint64_t name;          /* of what stands before them; 0: nothing does */
    uint8_t block[H2_MEMO_BLOCK_BYTES];
    uint8_t section[H2_MEMO_SECTION_BYTES];
};

/* A name, and where a section that has it was put. */
struct h2_memo_name {
    uint64_t name;
    uint32_t place; /* of ins */
};

struct h2_memo {
    struct h2_memo_in *ins;
    struct h2_memo_out *outs;
    struct h2_memo_name *given; /* by the section's hash */
    uint32_t places;            /* of each, a power of two; 0: nothing is kept */
    uint64_t names;             /* given to sections so far */
    uint64_t found_in;          /* blocks that were not decoded again */
    uint64_t found_alike;       /* blocks of which only one field was */
    uint64_t found_section;     /* blocks that were, and say what others had said */
    uint64_t found_out;         /* parts of sections that were not encoded again */
};

/* At least PLACES for each direction. False: not enough memory. At start. */
bool h2_memo_init(struct h2_memo *memo, uint32_t places, int socket_id);

/*
 * Decode a block, or find it. OUT is initialised; it is set to the section, in its memory or in the
 * memo's, which lasts until the next call. *KEPT is the memo's place of it, NULL when it has none.
 */
enum hpack_result h2_memo_decode(struct h2_memo *memo, struct hpack_decoder *decoder,
                                 struct bytes block, struct fields *out, struct h2_memo_in **kept);

/*
 * hpack_encode(): each of the section's parts (fields.h) may be found; where it begins with
 * something that has a name, both at once, by the name. Around what is its own (own_unnamed) what
 * has a name is found in one place. False: OUT is too small.
 */
bool h2_memo_encode(struct h2_memo *memo, struct hpack_encoder *encoder,
                    const struct fields *fields, struct writer *out);
