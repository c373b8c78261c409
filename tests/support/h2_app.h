/*
 * h2_app: what sits above h2 in tests, in both roles. The client makes exchanges, the server
 * answers as the request's path asks; bodies are numbers that both sides know, compared byte for
 * byte. Callbacks are held against the contract of h2.h: who is told what, once, in which order.
 */
#pragma once

#include "dataplane/base/pool.h"
#include "dataplane/h2/h2.h"

/* How an exchange goes; the client puts it into the path. */
struct h2_plan {
    uint32_t seed;
    uint32_t request_bytes;
    uint32_t response_bytes;
    bool request_trailers;
    bool response_trailers;
    bool interim;       /* a 103 before the response */
    bool early;         /* the server answers without waiting for the request's end */
    bool large_headers; /* some 20 KiB in both directions */
    bool server_resets; /* in the middle of the response */
    bool client_resets;
    bool head;
    bool tunnel; /* extended CONNECT: both bodies at once, each side ends for itself */
};

enum h2_outcome {
    H2_OUTCOME_OPEN,
    H2_OUTCOME_FINISHED,
    H2_OUTCOME_RESET,     /* told by h2 */
    H2_OUTCOME_ABANDONED, /* by ourselves */
};

/* One side of an exchange. */
struct h2_exchange {
    struct h2_app *app;
    struct h2_stream *stream;
    struct h2_plan plan;
    bool is_client;
    enum h2_outcome outcome;
    struct h2_reset reset;
    uint32_t sent_bytes;
    uint32_t received_bytes;
    uint32_t unconsumed_bytes;
    uint32_t interim_received;
    bool interim_sent;
    bool headers_sent;
    bool end_sent;
    bool headers_received;
    bool trailers_received;
    bool end_received;
    bool parts_received; /* data() is still to come */
    uint16_t status;
    struct segment *segment; /* last supplied */
};

/* One side of one connection. Embedded in the test. */
struct h2_app {
    struct h2 *h2;
    struct h2_conn *conn; /* NULL once closed() was told */
    struct segment_pool *segments;
    struct random *random;
    struct h2_exchange *exchanges; /* server: taken one after the other */
    uint32_t exchanges_max;
    uint32_t exchange_count;
    uint32_t available_count;
    uint32_t closed_count;
    uint32_t supply_max_seen;
    bool close_in_callback; /* a random callback closes the connection */
};

extern const struct h2_handler h2_app_handler;

/* For peers that are not h2_app: the same paths and bodies. */
#define H2_APP_PATH_BYTES 200
void h2_plan_write(const struct h2_plan *plan, char *path);
void h2_plan_read(struct bytes path, struct h2_plan *plan);
uint8_t h2_plan_byte(const struct h2_plan *plan, bool request, uint32_t position);

/* Client: start the next exchange. False: no room now. */
bool h2_app_request(struct h2_app *app, const struct h2_plan *plan, uint64_t now);

/* What came back unsent (h2_reset.unprocessed) is asked again, as far as there is room. */
void h2_app_ask_again(struct h2_app *app, uint64_t now);

/* Give credit back for a random part of what was received; UINT32_MAX: all. */
void h2_app_consume(struct h2_app *app, uint32_t percent);

/* Exchanges without an outcome. */
uint32_t h2_app_open_count(const struct h2_app *app);

/* Let go of what exchanges hold. */
void h2_app_release(struct h2_app *app);
