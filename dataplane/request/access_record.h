/*
 * access_record: what a worker tells about one request that has ended (rule C24). Fixed in size,
 * without a pointer into anything that may go away: names are texts of the program, what a peer
 * sent is cut to its bound and copied. Times are of the process (dataplane/base/clock.h).
 *
 * A worker makes no text of it: the control thread does (control/access_line.h).
 */
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/base/ip_address.h"
#include "dataplane/coalesce/story.h"

#define ACCESS_METHOD_BYTES    16
#define ACCESS_ROUTE_BYTES     64
#define ACCESS_AUTHORITY_BYTES 96
#define ACCESS_PATH_BYTES      256
#define ACCESS_TEXT_BYTES                                                                          \
    (ACCESS_METHOD_BYTES + ACCESS_ROUTE_BYTES + ACCESS_AUTHORITY_BYTES + ACCESS_PATH_BYTES)

/* How it ended, as the client saw it. */
enum access_end {
    ACCESS_FINISHED,     /* with an answer, delivered to its end */
    ACCESS_CLIENT_RESET, /* the client cancelled it: `code` */
    ACCESS_CLIENT_LOST,  /* its connection was lost or closed */
    ACCESS_RESET,        /* by us: `code`, and why */
    ACCESS_ENDS
};

enum access_role {
    ACCESS_NO_FLIGHT, /* answered or ended before it had one */
    ACCESS_LEADER,    /* its flight could be joined */
    ACCESS_JOINED,    /* it shared somebody else's */
    ACCESS_OWN,       /* a flight for itself alone */
    ACCESS_DETACHED,  /* the same, after it had been sent away from a shared one (C6, C15) */
    ACCESS_ROLES
};

enum access_principal {
    ACCESS_NOBODY,      /* refused before it was known who asks */
    ACCESS_CREDENTIALS, /* told apart by credentials */
    ACCESS_ADDRESS,     /* by the client's address, /64 in IPv6 */
    ACCESS_CROWD,       /* one of those for whom there was no place in the table (C29) */
    ACCESS_PRINCIPALS
};

/* The texts of a record, one behind the other in `text`. */
enum access_text { ACCESS_METHOD, ACCESS_ROUTE, ACCESS_AUTHORITY, ACCESS_PATH, ACCESS_TEXTS };

struct access_record {
    uint64_t began_ns;      /* when its header section had come */
    uint64_t total_ns;      /* until it ended */
    uint64_t first_byte_ns; /* until the answer's head went to HTTP/2; 0: there was none */
    uint64_t bytes_in;      /* of bodies */
    uint64_t bytes_out;
    uint64_t joined_at_bytes;    /* of the flight's body, when it joined */
    uint64_t replayed_bytes;     /* of what was there already, as far as it has read */
    uint64_t principal;          /* a keyed hash */
    struct flight_name flight;   /* the last one it was on */
    struct flight_name detached; /* from which it was sent away */
    struct flight_story story;   /* of the last one, while it was on it */
    /* One word each, "" for none. */
    const char *local;   /* the answer that Weir gave itself */
    const char *failure; /* why the flight's answer did not come, or not whole */
    const char *alone;   /* why it did not share, or was sent away */
    struct ip_address client;
    struct ip_address listener;
    uint16_t client_port;
    uint16_t listener_port;
    uint32_t code;   /* enum h2_error or what the client sent */
    uint16_t status; /* 0: no answer began */
    uint8_t end;     /* enum access_end */
    uint8_t role;    /* enum access_role */
    uint8_t principal_kind;
    uint8_t cut; /* bit 1 << enum access_text: the text was longer than its bound */
    uint16_t lengths[ACCESS_TEXTS];
    uint8_t text[ACCESS_TEXT_BYTES];
};

_Static_assert(sizeof(struct access_record) <= 768, "twelve cache lines");

static inline struct bytes access_text(const struct access_record *record, enum access_text which)
{
    uint32_t at = 0;
    for (int i = 0; i < (int)which; i++)
        at += record->lengths[i];
    return bytes_of(record->text + at, record->lengths[which]);
}
