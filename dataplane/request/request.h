/*
 * request: the client side of one exchange: validate, route, key, subscribe, answer. One struct
 * request_engine a worker; it is the HTTP/2 handler of every client connection.
 *
 * Life of an exchange: from a stream's first header section until the stream has ended. It holds
 * one subscriber; the answer is pulled from the subscriber's feed as the stream's windows allow, or
 * is a local answer (an error, with a reason in its body and `cache-status`).
 */
#pragma once

#include "dataplane/coalesce/coalesce.h"
#include "dataplane/h2/h2.h"
#include "dataplane/request/access_record.h"

#define COUNTERS_STRUCT request_counters
#define COUNTERS_DEF    "dataplane/request/request_counters.def"
#include "dataplane/base/counter_struct.h"

#define HISTOGRAMS_STRUCT request_histograms
#define HISTOGRAMS_DEF    "dataplane/request/request_histograms.def"
#include "dataplane/base/histogram_struct.h"

struct loop_clock;
struct request_engine;

#define REQUEST_FINGERPRINT_BYTES 32

/* The two ends of a client's connection. */
struct request_peer {
    struct ip_address remote;
    struct ip_address local;
    uint16_t remote_port;
    uint16_t local_port;
    bool certificate_asked; /* what the client says about certificates by itself does not count */
    bool certificate_shown; /* and verified ... */
    uint8_t fingerprint[REQUEST_FINGERPRINT_BYTES]; /* ... SHA-256 of it, in DER: who is asking */
};

struct request_config {
    struct coalesce *coalesce;
    struct h2 *h2;
    struct timer_wheel *wheel;
    struct random *random;
    const struct loop_clock *clock; /* the worker's; NULL in tests: it misses nothing */
    uint32_t connections_max;
    uint32_t exchanges_max;
    uint32_t header_bytes; /* largest request header section */
    uint32_t segment_bytes;
    uint32_t access_records;    /* of ended requests, on their way to the control thread */
    uint64_t client_held_bytes; /* of responses, for one connection; 0: no bound */
    int socket_id;
};

struct request_engine *request_create(const struct request_config *config);
struct request_counters *request_counters(struct request_engine *engine);
const struct request_histograms *request_histograms(const struct request_engine *engine);

/* The snapshot of this step; valid until the next call. */
void request_begin_step(struct request_engine *engine, const struct snapshot *snapshot);

/* An accepted client connection on a transport. Takes the transport over. False: shed, counted. */
bool request_accept(struct request_engine *engine, struct transport transport,
                    const struct request_peer *peer, struct h2_conn **out_conn, uint64_t now);

/*
 * Shut up to MAX client connections down gracefully (GOAWAY), the oldest first; to be called again
 * in the next step, also for those that are still to come. True: there may be more.
 */
bool request_drain(struct request_engine *engine, uint32_t max, uint64_t now);

/* Control thread: the oldest record of a request that has ended, until it is done; NULL: none. */
const struct access_record *request_record(struct request_engine *engine);
void request_record_done(struct request_engine *engine);

/* Client connections and exchanges in progress. */
uint32_t request_connection_count(const struct request_engine *engine);
uint32_t request_exchange_count(const struct request_engine *engine);

/* Objects of every kind in use: 0 when every client connection has gone. */
uint32_t request_objects_used(const struct request_engine *engine);
