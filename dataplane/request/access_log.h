/*
 * access_log: where a worker leaves the records of requests that have ended, for the control
 * thread.
 *
 * What is asked for is in the snapshot; switched off, nothing is noted and nothing is written. A
 * full ring loses the record, counted: nobody waits for a log. Of requests that went wrong (a
 * status of 500 or more, anything but a good end) each has its record, of others the fraction that
 * is asked for.
 */
#pragma once

#include "dataplane/base/ring_spsc.h"
#include "dataplane/request/access_record.h"

struct exchange;
struct fields;
struct snapshot_access;

/* Owner: the request engine. Its producer is the worker, its consumer the control thread. */
struct access_log {
    struct ring_spsc records;
    bool on;
    bool query;      /* paths with their query */
    uint32_t sample; /* of good ends: so many of 2^32, UINT32_MAX: all */
};

/* How an exchange ends. */
struct access_ending {
    enum access_end end;
    uint32_t code;   /* of a reset */
    const char *why; /* one word; NULL: the flight's failure, or nothing */
};

/* What an exchange keeps for its record. */
struct access_draft {
    uint64_t began_ns;   /* the worker's own time */
    uint64_t head_at_ns; /* when the answer's head went to HTTP/2; 0: not yet */
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint16_t status; /* 0: no answer has begun */
    bool noted;      /* records were asked for when it began: there are notes */
};

/* And while records are asked for. */
struct access_notes {
    enum access_role role;
    uint64_t joined_at_bytes;
    uint64_t replayed_bytes;
    struct flight_story story;
    struct flight_name detached;
    bool authority_cut;
    uint8_t authority_length;
    uint8_t authority[ACCESS_AUTHORITY_BYTES]; /* as the client asked for it */
};

/* Room for RECORDS. False: not enough memory. At start. */
bool access_log_init(struct access_log *log, uint32_t records, int socket_id);

/* As the snapshot asks; once a step. */
void access_log_set(struct access_log *log, const struct snapshot_access *access);

/* The exchange begins with this header section. */
void access_begin(struct exchange *exchange, const struct fields *fields, uint64_t now);

/* It is refused before its section was kept: keep it for the record, if there is memory. */
void access_keep_request(struct exchange *exchange, const struct fields *fields);

/* It was sent away from its flight and is about to get another, if so. */
void access_sent_away(struct exchange *exchange);

/* Of an exchange that is noted and about to leave its flight: keep the flight's story. O(1) */
void access_note(struct exchange *exchange);

/* One that is noted ends. Before anything of it is given back. O(bytes of the record) */
void access_write(struct exchange *exchange, const struct access_ending *ending, uint64_t now);
