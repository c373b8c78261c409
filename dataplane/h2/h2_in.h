/*
 * h2_in: what the files of the parser share. See h2_in.c.
 */
#pragma once

#include "dataplane/base/reader.h"
#include "dataplane/h2/h2_conn.h"

#define H2_PRIORITY_BYTES 5

/* h2_in_gather() over several views. */
const uint8_t *h2_in_gather_pieces(struct h2_in *in, struct reader *r, size_t want);

/* WANT bytes together, from the view or gathered over several; NULL: not all there yet. */
static inline const uint8_t *h2_in_gather(struct h2_in *in, struct reader *r, size_t want)
{
    if (in->have == 0 && reader_left(r) >= want)
        return reader_bytes(r, want).data;
    return h2_in_gather_pieces(in, r, want);
}

/* The next frame header. */
void h2_in_next_frame(struct h2_in *in);

/* What is left of the frame does not matter. */
void h2_in_skip_rest(struct h2_in *in);

/* By the frame under way; see h2_violate(). */
void h2_in_violate(struct h2_conn *conn, enum h2_violation violation);

/*
 * Frames at the front of VIEW, where one begins, that lie in it whole and are as usual. How many
 * bytes they were; the connection may be closed afterwards.
 */
size_t h2_in_whole(struct h2_conn *conn, struct bytes view, uint64_t now);

/* in->frame has been read: check it and set the phase. */
void h2_in_begin_frame(struct h2_conn *conn, uint64_t now);

/* DATA or HEADERS without what came before: in->left bytes, then in->padding. */
void h2_in_begin_payload(struct h2_conn *conn, uint64_t now);

/* SETTINGS has been read to its end. */
void h2_in_settings_complete(struct h2_conn *conn, uint64_t now);

/* H2_IN_UNIT. False: more bytes are needed. */
bool h2_in_unit(struct h2_conn *conn, struct reader *r, uint64_t now);
