/*
 * options: what weir-load is to do, from its command line. Main thread, at start.
 */
#pragma once

#include "dataplane/base/ip_address.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define LOAD_ADDRESSES_MAX 8
#define LOAD_TARGETS_MAX   8
#define LOAD_SOURCES_MAX   256
#define LOAD_TEXT_BYTES    256
#define LOAD_SIZES_MAX     8
#define LOAD_EVENT_BYTES   1024

enum load_role {
    LOAD_BOTH, /* client and origin, on one core */
    LOAD_CLIENT,
    LOAD_ORIGIN,
};

/* How origins fail, of 10,000 requests each. */
struct load_failures {
    uint64_t statuses; /* 503 */
    uint64_t resets;   /* RST_STREAM */
    uint64_t hangups;  /* the connection ends, with all that is on it */
};

/* Of answers: those with WEIGHT of the sum of weights have BYTES. */
struct load_size {
    uint64_t bytes;
    uint64_t weight;
};

struct load_target {
    struct ip_address address;
    uint16_t port;
};

struct load_options {
    enum load_role role;
    char front[LOAD_TEXT_BYTES]; /* devargs of the port towards Weir's clients' side */
    char back[LOAD_TEXT_BYTES];  /* ... and towards its backends' side */
    struct ip_prefix front_addresses[LOAD_ADDRESSES_MAX];
    struct ip_prefix back_addresses[LOAD_ADDRESSES_MAX];
    struct load_target targets[LOAD_TARGETS_MAX];
    struct ip_address sources[LOAD_SOURCES_MAX];
    struct ip_prefix syn_sources[LOAD_ADDRESSES_MAX];
    uint32_t front_address_count;
    uint32_t back_address_count;
    uint32_t target_count;
    uint32_t source_count; /* 0: the front addresses */
    uint32_t syn_source_count;
    uint64_t listen; /* the origin's port */
    uint64_t connections;
    uint64_t streams;
    uint64_t requests;    /* 0: until the duration is over */
    uint64_t duration_ns; /* 0: until the requests are done */
    uint64_t baseline_ns; /* requests before the idle connections are opened */
    uint64_t hold_ns;     /* idle connections are kept for at least so long */
    uint64_t rate;        /* requests a second; 0: as fast as answers come */
    uint64_t open_rate;   /* connections opened a second; 0: as fast as they open */
    uint64_t opening;     /* connections being opened at once, at most */
    uint64_t idle;        /* connections that stay without requests */
    uint64_t wait;        /* connections the origin has taken before requests begin */
    bool new_connection;  /* one request a connection */
    uint64_t request_bytes;
    struct load_size
        sizes[LOAD_SIZES_MAX]; /* of answers' bodies; which one, the path's number tells */
    uint32_t size_count;
    uint64_t weights;   /* their sum */
    uint64_t paths;     /* 0: every request has a path of its own */
    double zipf;        /* exponent; 0: paths in turn */
    uint64_t events;    /* of 1 KiB that an answer has, instead of a body; 0: none */
    uint64_t pace;      /* events a second */
    uint64_t delay_ns;  /* the origin's, before an answer begins, if the path asks for none */
    uint64_t spread_ns; /* at random up to so much longer */
    struct load_failures failures; /* the origin's */
    uint64_t syn_flood;
    uint64_t syn_rate;
    uint64_t patience_ns; /* what is under way at the end is waited for so long */
    char authority[LOAD_TEXT_BYTES];
    char path[LOAD_TEXT_BYTES];
    char json[LOAD_TEXT_BYTES]; /* a file; "-": standard output; "": none */
    uint64_t cpu;
    uint64_t mbufs;
    uint64_t memory_mib; /* 0: estimated */
    bool huge;
    bool poll; /* spin instead of sleeping when nothing is to be done */
    bool quiet;
};

enum load_parsed {
    LOAD_PARSED,
    LOAD_PARSED_HELP, /* --help was asked for */
    LOAD_PARSED_BAD,  /* MESSAGE says what and what would be right */
};

/* Defaults, then COUNT arguments (without the program's name), then the checks among them. */
enum load_parsed load_options_parse(struct load_options *options, int count, char **arguments,
                                    char *message, size_t message_size);

/* Bytes of the answer to the request with NUMBER: the same for the same number. */
uint64_t load_body_bytes(const struct load_options *options, uint64_t number);

void load_options_help(FILE *out);
