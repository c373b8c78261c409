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

enum load_role {
    LOAD_BOTH, /* client and origin, on one core */
    LOAD_CLIENT,
    LOAD_ORIGIN,
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
    uint64_t body_bytes;
    uint64_t paths; /* 0: every request has a path of its own */
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

void load_options_help(FILE *out);
