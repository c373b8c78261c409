/*
 * fake_daemon: what the control socket and the snapshot builder ask of the daemon, its workers,
 * ports and failover, with values that a test sets. One at a time; test thread only.
 */
#pragma once

#include "control/daemon.h"
#include "control/store.h"

#include <jansson.h>

#define FAKE_WORKERS 2
#define FAKE_REGIONS 8

struct worker {
    struct worker_counters counters;
    struct coalesce_histograms coalesce_histograms;
    struct request_histograms request_histograms;
    struct backend_loads loads;
};

struct failover {
    bool usable[SNAPSHOT_BACKENDS_MAX];
    bool warming[SNAPSHOT_BACKENDS_MAX]; /* it has half of its weight */
    bool active[FAKE_REGIONS];
    bool suspect[FAKE_REGIONS];
    uint16_t share[FAKE_REGIONS];
    uint32_t capacity[FAKE_REGIONS];
    bool panic;
    uint32_t node_flights;
    const struct config *config; /* names of the regions in the views */
    /* The last command, which waits for fake_command_done(); another one is refused so long. */
    enum failover_command command;
    bool local;
    struct failover_local_view shown; /* of the first region */
    uint64_t override_left_ms;
    const struct store_audit *audit; /* the record; NULL: it cannot be had */
    uint32_t region;
    uint64_t ttl_ms;
    uint32_t despite;
    char by[128];
    failover_done *done; /* NULL: none waits */
    void *done_context;
};

struct daemon {
    char directory[64]; /* of its own, below /tmp: config.json, control.sock, running.json */
    char config_path[96];
    struct config *config;
    struct loop *loop;
    struct failover failover;
    struct worker workers[FAKE_WORKERS];
    struct port port;
    bool draining;
    uint64_t generation;
    const char *refuse_apply; /* NULL: applied */
    /* The flight.list under way, which waits for fake_flights_end(). */
    void (*show)(void *context, uint16_t worker, const struct fact_flight *flight);
    void (*end)(void *context, bool complete);
    void *listing_context;
    uint32_t kill_worker; /* as daemon_kill_flight() was told */
    uint64_t kill_flight;
    uint32_t forgotten; /* listings */
    uint32_t reopened;  /* logs */
};

/* Has the linker take this daemon and not the real one; for tests that call nothing else here. */
void fake_daemon_link(void);

/* A configuration with two regions, two services and four backends; nodes "fake-1". */
json_t *fake_config_document(const struct daemon *daemon);

/* Regions are active with a full share, backends usable, counters zero. */
struct daemon *fake_daemon_create(void);
/* Removes its folder, too. */
void fake_daemon_destroy(struct daemon *daemon);

/* Run the loop until DONE says so; a test failure after 20 s. */
void fake_daemon_run_until(struct daemon *daemon, bool (*done)(void *context), void *context);

/* Let the command, the listing come to its end. */
void fake_command_done(struct daemon *daemon, bool ok, const char *text);
void fake_flights_end(struct daemon *daemon, bool complete);
