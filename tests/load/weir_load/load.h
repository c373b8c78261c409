/*
 * load: weir-load's parts and how they hang together. One thread; no locks.
 *
 *     host    ports, net, TCP and HTTP/2 of our own data plane, and their turn
 *     bodies  what messages carry; both sides know it from the path
 *     client  connections with requests, idle ones, and what came of them
 *     origin  answers
 *     flood   SYNs that nobody will complete
 *     run     the phases of a run and the main loop
 *     report  results
 *
 * A turn: receive, timers, TCP events, client_tick(), flood_tick(), HTTP/2, TCP and net out.
 */
#pragma once

#include "dataplane/base/clock.h"
#include "dataplane/base/list.h"
#include "dataplane/base/pool.h"
#include "dataplane/base/random.h"
#include "dataplane/base/timer_wheel.h"
#include "dataplane/h2/h2.h"
#include "dataplane/net/net.h"
#include "dataplane/net/port_setup.h"
#include "dataplane/tcp/tcp.h"
#include "tests/load/weir_load/histogram.h"
#include "tests/load/weir_load/keys.h"
#include "tests/load/weir_load/options.h"

struct load;

/* ---- host ---- */

struct host {
    struct port ports[2];
    uint8_t port_count;
    struct timer_wheel wheel;
    struct random random;
    struct net *net;
    struct tcp *tcp;
    struct h2 *h2;
};

/* MiB of pools and packet buffers that the options ask for, some too many. */
uint64_t host_memory_mib(const struct load_options *options);
bool host_open(struct host *host, const struct load_options *options, char *message,
               size_t message_size);
/* Receive, timers, events. True: there was something. */
bool host_receive(struct host *host, uint64_t now);
void host_send(struct host *host, uint64_t now);
void host_close(struct host *host);

/* ---- bodies ---- */

/* At start. False: no memory. */
bool bodies_init(void);
/* From a path, as it stands in :path. */
uint32_t body_seed(struct bytes path);
/* The bytes from POSITION on of the body with SEED; some 64 KiB at most. */
struct chunk body_chunk(uint32_t seed, uint64_t position, uint64_t left, uint32_t max);
bool body_matches(uint32_t seed, uint64_t position, struct bytes bytes);

/* ---- client ---- */

enum load_error {
    LOAD_ERROR_STATUS,  /* not 200 */
    LOAD_ERROR_LENGTH,  /* more or less than was asked for */
    LOAD_ERROR_BODY,    /* other bytes */
    LOAD_ERROR_RESET,   /* RST_STREAM */
    LOAD_ERROR_REFUSED, /* certainly not processed */
    LOAD_ERROR_LOST,    /* with the connection */
    LOAD_ERROR_LATE,    /* no answer when patience ended */
    LOAD_ERRORS
};

enum load_phase {
    LOAD_CONNECT,  /* connections for requests are being opened */
    LOAD_BASELINE, /* requests only */
    LOAD_OPENING,  /* idle connections are being opened */
    LOAD_RUN,
    LOAD_FINISH, /* nothing new; what is under way may end */
    LOAD_CLOSE,  /* connections are closed */
    LOAD_END,
    LOAD_PHASES
};

/* What happened in one phase. */
struct phase_stats {
    uint64_t began_at_ns;
    uint64_t ended_at_ns;
    uint64_t requests; /* that ended well */
    uint64_t errors[LOAD_ERRORS];
    uint64_t bytes;           /* of answers' bodies */
    uint64_t overdue;         /* with --rate: due when the phase ended, and never begun */
    uint64_t opened;          /* connections, HTTP/2 included */
    uint64_t first_end_at_ns; /* of a request that ended well; 0: none */
    uint64_t last_end_at_ns;
    uint64_t busy_cycles;
    uint64_t all_cycles;
    uint64_t cpu_ns;          /* that the scheduler gave us */
    struct histogram latency; /* ns; with --rate from when the request was due */
};

struct client {
    struct load *load;
    struct pool conns;
    struct pool requests;
    struct list willing; /* connections that take one more request */
    struct phase_stats phases[LOAD_PHASES];
    uint32_t opening;   /* being opened */
    uint32_t active;    /* open, for requests */
    uint32_t idle;      /* open, idle */
    uint32_t under_way; /* requests */
    uint64_t active_wanted;
    uint64_t idle_wanted;
    uint64_t begun;   /* requests, ever */
    struct keys keys; /* paths' numbers */
    uint64_t next_target;
    uint64_t next_source[2];   /* by whether it is IPv4 */
    uint64_t open_again_at_ns; /* after a failure */
    uint64_t connect_failures[TCP_FAILURES];
    uint64_t connections_opened;
    uint64_t connections_lost; /* against our will */
    uint64_t idle_lost;
    uint32_t close_at; /* slot where closing goes on */
    bool stopping;     /* nothing new */
    bool closing;      /* connections end because we want it */
};

bool client_init(struct client *client, struct load *load);
/* Open what is missing, start what is due. True: something was done. */
bool client_tick(struct client *client, uint64_t now);
/* Count what is still under way as late. */
void client_give_up(struct client *client, uint64_t now);
/* Close some; true: none is left. */
bool client_close_some(struct client *client, uint64_t now);

/* ---- origin ---- */

struct origin {
    struct load *load;
    struct pool exchanges;
    uint64_t connections;
    uint64_t requests;
    uint64_t answers; /* sent to their end */
    uint64_t resets;
    uint64_t failures; /* on purpose: --fail, --reset, --hangup */
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t corrupt; /* requests whose body was not what their path and length say */
};

bool origin_init(struct origin *origin, struct load *load);

/* ---- flood ---- */

struct flood {
    struct load *load;
    uint64_t sent;
    uint64_t began_at_ns; /* 0: not yet */
    uint64_t ended_at_ns;
};

/* Send what is due, as far as the port takes it. True: something was sent. */
bool flood_tick(struct flood *flood, uint64_t now);
static inline bool flood_is_done(const struct flood *flood, uint64_t wanted)
{
    return flood->sent >= wanted;
}

/* ---- run ---- */

struct load {
    struct load_options options;
    struct host host;
    struct client client;
    struct origin origin;
    struct flood flood;
    enum load_phase phase;
    uint64_t started_at_ns;
    uint64_t opening_took_ns; /* all idle connections */
    uint64_t closing_took_ns;
    uint64_t cpu_seen_ns; /* our CPU time when the phase began */
    bool stop;            /* asked to, by a signal */
};

/* A rate: how many are due by NOW. 0: no limit. */
static inline uint64_t due_by(uint64_t rate, uint64_t since_ns, uint64_t now)
{
    return rate == 0 ? UINT64_MAX : (uint64_t)((double)(now - since_ns) * 1e-9 * (double)rate) + 1;
}

void load_run(struct load *load, volatile const int *stop);

/* ---- report ---- */

/* Whether all was well. */
bool report_is_well(const struct load *load);
void report_print(const struct load *load, FILE *out);
void report_json(const struct load *load, FILE *out);
