/*
 * h2_place: memory of a transport's that frames are written into, where its next bytes stand:
 * header blocks are encoded there, and frames that lie behind one another are given to the
 * transport at once. One of each worker, for one connection at a time.
 *
 * It is open from h2_place_room() to h2_place_close(), which comes before anything else is done
 * with the transport: h2_out_send() and h2_conn_end() see to it, and h2_out_run() at its end. Not
 * every transport has such memory, nor always: what finds no place is sent by copy.
 */
#pragma once

#include "dataplane/base/check.h"
#include "dataplane/tls/transport.h"

struct h2_conn;

struct h2_place {
    struct h2_conn *conn; /* whose transport's; NULL: none is open */
    uint8_t *start;       /* from here ... */
    uint8_t *at;          /* ... to here it is not given to the transport yet */
    uint8_t *end;
    uint32_t room; /* of the transport, behind that */
};

/* A new one, for COUNT bytes at least; the one that is open is handed over. NULL: there is none. */
uint8_t *h2_place_open(struct h2_conn *conn, size_t count);

/* COUNT bytes (some) in one piece to be written at once, then *_written(). NULL: send a copy. */
static inline uint8_t *h2_place_room(const struct h2_place *place, struct h2_conn *conn,
                                     size_t count)
{
    bool fits = place->conn == conn && (size_t)(place->end - place->at) >= count;
    return fits ? place->at : h2_place_open(conn, count);
}

static inline void h2_place_written(struct h2_place *place, size_t count)
{
    check(count <= (size_t)(place->end - place->at));
    place->at += count;
    place->room -= (uint32_t)count;
}

/* The transport gets what was written. Harmless when the connection has no place. */
void h2_place_close(struct h2_conn *conn);
