/*
 * daemon: the running process, as the control socket sees it. Control thread only.
 *
 * It owns ports, workers, the published snapshot, the failover logic and the socket; it passes
 * facts of the workers on and orders down.
 */
#pragma once

#include "control/access_file.h"
#include "control/config.h"
#include "control/failover.h"
#include "control/loop.h"
#include "dataplane/net/port_setup.h"
#include "dataplane/worker/worker.h"

struct daemon;

struct daemon_options {
    struct config *config; /* taken over */
    const char *config_path;
};

/*
 * Start everything and run until SIGTERM or SIGINT has drained it. Returns the exit status: 0 after
 * a clean end, 1 when something could not be started (said on standard error).
 */
int daemon_run(const struct daemon_options *options);

const struct config *daemon_config(const struct daemon *daemon);
const char *daemon_config_path(const struct daemon *daemon);
struct failover *daemon_failover(struct daemon *daemon);
struct loop *daemon_loop(struct daemon *daemon);
/* No new connections are taken: an operator wants it so, or the process ends. */
bool daemon_is_draining(const struct daemon *daemon);

/* An operator drains this node, or ends that. False: the process ends anyway. */
bool daemon_drain(struct daemon *daemon, bool drained);
uint64_t daemon_started_unix_ms(const struct daemon *daemon);
uint64_t daemon_snapshot_generation(const struct daemon *daemon);

uint32_t daemon_worker_count(const struct daemon *daemon);
const struct worker *daemon_worker(const struct daemon *daemon, uint32_t index);
uint32_t daemon_port_count(const struct daemon *daemon);
const struct port *daemon_port(const struct daemon *daemon, uint32_t index);

/* The steering program's counters of a port, false when the port has none. */
bool daemon_port_steering(const struct daemon *daemon, uint32_t index,
                          void (*show)(void *context, const char *name, uint64_t value),
                          void *context);

/*
 * Publish a configuration that was read, checked and found applicable (config_needs_restart() is
 * empty). Takes it over on success; on failure (MESSAGE) the old one stays.
 */
bool daemon_apply(struct daemon *daemon, struct config *config, char *message, size_t message_size);

/* Open log files anew, behind what was written so far: they have been renamed. Also by SIGHUP. */
void daemon_reopen_logs(struct daemon *daemon);
struct access_file_counts daemon_access_counts(const struct daemon *daemon);
struct access_file_counts daemon_key_log_counts(const struct daemon *daemon);

typedef void daemon_show_flight(void *context, uint16_t worker, const struct fact_flight *flight);
typedef void daemon_end_flights(void *context, bool complete);

/*
 * Ask all workers for their flights. SHOW is called for each, END once, also when a worker did not
 * answer within a second (complete = false). One listing at a time: false when one is under way.
 */
bool daemon_list_flights(struct daemon *daemon, daemon_show_flight *show, daemon_end_flights *end,
                         void *context);

/* End one flight of a worker, as flight.list names it; told as a listing that has it, or nothing. */
bool daemon_kill_flight(struct daemon *daemon, uint32_t worker, uint64_t flight,
                        daemon_show_flight *show, daemon_end_flights *end, void *context);

/* Forget the listing's receiver (a client that went away). */
void daemon_forget_flights(struct daemon *daemon, void *context);
