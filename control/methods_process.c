/*
 * methods_process: the process and its parts: status, workers, ports, logs.
 */
#include "control/certificates.h"
#include "control/log.h"
#include "control/methods_internal.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/memory.h"

#include <string.h>
#include <unistd.h>

static json_t *status_config(struct methods *methods)
{
    static const char *const states[] = {
        [RUNNING_FILE_NONE] = "none",
        [RUNNING_FILE_WRITING] = "writing",
        [RUNNING_FILE_WRITTEN] = "written",
        [RUNNING_FILE_FAILED] = "failed",
    };
    char failure[600];
    json_t *config = json_object();
    json_t *differences = method_config_differences(methods);
    enum running_file_state state =
        running_file_state(methods->running_file, failure, sizeof(failure));
    set_text(config, "path", daemon_config_path(methods->daemon));
    set_bool(config, "differs", json_array_size(differences) > 0);
    json_object_set_new(config, "differences", differences);
    set_text(config, "running_file", states[state]);
    if (failure[0] != '\0')
        set_text(config, "running_file_error", failure);
    return config;
}

json_t *method_failover_entry(const struct failover_view *view)
{
    json_t *failover = json_object();
    set_number(failover, "epoch", view->epoch);
    set_number(failover, "nodes_live", view->nodes_live);
    set_bool(failover, "frozen", view->frozen);
    if (view->frozen)
        set_text(failover, "frozen_reason", view->frozen_reason);
    set_bool(failover, "panic", view->panic);
    set_bool(failover, "blind", view->blind);
    set_bool(failover, "dry_run", view->dry_run);
    set_number(failover, "admit_flights", view->admit);
    set_number(failover, "admit_flights_here", view->node_flights);
    method_set_local(failover, &view->local);
    return failover;
}

static void set_access(json_t *control, struct access_file_counts counts)
{
    set_number(control, "access_lines", counts.lines);
    set_number(control, "access_lost", counts.lost);
    set_number(control, "access_torn", counts.torn);
    set_number(control, "access_failed", counts.failed);
}

static json_t *status_control(struct methods *methods)
{
    const struct loop *loop = daemon_loop(methods->daemon);
    json_t *control = json_object();
    set_number(control, "stalls", loop_stall_count(loop));
    set_number(control, "stall_max_ns", loop_stall_max_ns(loop));
    set_number(control, "log_dropped", log_dropped());
    set_access(control, daemon_access_counts(methods->daemon));
    set_number(control, "key_log_lost", daemon_key_log_counts(methods->daemon).lost);
    return control;
}

void method_status(struct methods *methods, struct rpc_call *call, const json_t *parameters)
{
    struct daemon *daemon = methods->daemon;
    const struct config *config = daemon_config(daemon);
    struct failover_view view;
    json_t *status = json_object();
    failover_view(daemon_failover(daemon), &view);
    set_text(status, "node", config->node);
    set_text(status, "version", WEIR_VERSION);
    set_number(status, "pid", (uint64_t)getpid());
    set_number(status, "started_unix_ms", daemon_started_unix_ms(daemon));
    set_number(status, "uptime_ms",
               (loop_now_ns(daemon_loop(daemon)) - methods->created_ns) / CLOCK_MS);
    set_bool(status, "draining", daemon_is_draining(daemon));
    set_number(status, "workers", daemon_worker_count(daemon));
    set_number(status, "snapshot", daemon_snapshot_generation(daemon));
    set_number(status, "memory_bytes", memory_taken_bytes());
    set_number(status, "certificates_expire_unix_ms", certificates_expire_ms(config->tls));
    json_object_set_new(status, "store",
                        json_pack("{s:s, s:s}", "kind", view.store, "state", view.store_state));
    json_object_set_new(status, "failover", method_failover_entry(&view));
    json_object_set_new(status, "config", status_config(methods));
    json_object_set_new(status, "control", status_control(methods));
    rpc_answer(call, status);
}

static void drain_node(struct methods *methods, struct rpc_call *call, bool drained)
{
    log_line(LOG_LEVEL_INFO, "node.%s by %s", drained ? "drain" : "undrain", rpc_who(call));
    if (!daemon_drain(methods->daemon, drained))
        rpc_refuse(call, RPC_REFUSED, NULL, "the process is about to end");
    else
        rpc_answer(call,
                   json_pack("{s:b, s:s}", "draining", (int)drained, "text",
                             drained ? "no new connections: /ready says so, clients are sent away"
                                     : "connections are taken"));
}

void method_node_drain(struct methods *methods, struct rpc_call *call, const json_t *parameters)
{
    drain_node(methods, call, true);
}

void method_node_undrain(struct methods *methods, struct rpc_call *call, const json_t *parameters)
{
    drain_node(methods, call, false);
}

static json_t *worker_entry(struct methods *methods, uint32_t index)
{
    const struct worker_counters *counters = worker_counters(daemon_worker(methods->daemon, index));
    const struct loop_counters *loop = &counters->loop;
    struct busy_share share = busy_share(methods->busy, index);
    json_t *entry = json_object();
    set_number(entry, "index", index);
    json_object_set_new(entry, "busy", share.known ? json_real(share.busy) : json_null());
    set_number(entry, "turns_per_second", share.turns);
    set_number(entry, "turn_average_ns", share.turn_average_ns);
    set_number(entry, "turn_max_cycles", counter_read(&loop->turn_max_cycles));
    set_number(entry, "received_packets", counter_read(&loop->received_packets));
    set_number(entry, "handed_over_packets", counter_read(&loop->handed_over_packets));
    set_number(entry, "sleeps", counter_read(&loop->sleeps));
    set_number(entry, "open_clients", counter_read(&loop->open_clients));
    set_number(entry, "open_exchanges", counter_read(&loop->open_exchanges));
    set_number(entry, "open_flights", counter_read(&loop->open_flights));
    set_number(entry, "open_upstreams", counter_read(&loop->open_upstreams));
    set_number(entry, "held_by_flights", counter_read(&loop->held_by_flights));
    set_number(entry, "facts_lost", counter_read(&loop->facts_lost));
    return entry;
}

void method_worker_list(struct methods *methods, struct rpc_call *call, const json_t *parameters)
{
    json_t *workers = json_array();
    for (uint32_t i = 0; i < daemon_worker_count(methods->daemon); i++)
        json_array_append_new(workers, worker_entry(methods, i));
    rpc_answer(call, json_pack("{s:o}", "workers", workers));
}

static json_t *port_features_entry(const struct port_features *features)
{
    json_t *entry = json_object();
    set_bool(entry, "rx_checksum", features->rx_checksum);
    set_bool(entry, "tx_checksum_ip", features->tx_checksum_ip);
    set_bool(entry, "tx_checksum_tcp", features->tx_checksum_tcp);
    set_bool(entry, "multi_segment_tx", features->multi_segment_tx);
    set_bool(entry, "rss", features->rss);
    set_number(entry, "reta_entries", features->reta_entries);
    set_number(entry, "queues_max", features->queues_max);
    set_number(entry, "mtu_max", features->mtu_max);
    return entry;
}

/* How many workers have seen its RSS do what is predicted. */
static uint64_t proven_queues(const struct port *port)
{
    uint64_t proven = 0;
    for (uint16_t i = 0; i < port->queue_count; i++)
        proven += counter_read(&port->queues[i].spreads);
    return proven;
}

static json_t *port_statistics_entry(const struct port *port)
{
    struct port_statistics statistics;
    json_t *entry = json_object();
    port_statistics(port, &statistics);
    set_number(entry, "received_packets", statistics.received_packets);
    set_number(entry, "received_bytes", statistics.received_bytes);
    set_number(entry, "sent_packets", statistics.sent_packets);
    set_number(entry, "sent_bytes", statistics.sent_bytes);
    set_number(entry, "missed_packets", statistics.missed_packets);
    set_number(entry, "error_packets", statistics.error_packets);
    set_number(entry, "no_mbuf_packets", statistics.no_mbuf_packets);
    set_number(entry, "free_mbufs", statistics.free_mbufs);
    return entry;
}

static void show_steering(void *context, const char *name, uint64_t value)
{
    set_number(context, name, value);
}

static json_t *port_entry(struct methods *methods, uint32_t index)
{
    const struct port *port = daemon_port(methods->daemon, index);
    char mac[18];
    json_t *entry = json_object();
    json_t *steering = json_object();
    snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", port->mac[0], port->mac[1],
             port->mac[2], port->mac[3], port->mac[4], port->mac[5]);
    set_text(entry, "name", port->name);
    set_text(entry, "device", port->device);
    set_text(entry, "driver", port->driver);
    set_text(entry, "mac", mac);
    set_bool(entry, "link_up_at_start", port->link_up);
    set_number(entry, "queues", port->queue_count);
    set_number(entry, "mtu", port->mtu);
    set_number(entry, "rx_descriptors", port->rx_descriptors);
    set_number(entry, "tx_descriptors", port->tx_descriptors);
    json_object_set_new(entry, "numa_node", json_integer(port->socket_id));
    json_object_set_new(entry, "features", port_features_entry(&port->features));
    set_bool(entry, "rss_known", port->rss_known);
    set_number(entry, "rss_proven_queues", proven_queues(port));
    json_object_set_new(entry, "statistics", port_statistics_entry(port));
    if (daemon_port_steering(methods->daemon, index, show_steering, steering))
        json_object_set(entry, "steering", steering);
    json_decref(steering);
    return entry;
}

void method_port_list(struct methods *methods, struct rpc_call *call, const json_t *parameters)
{
    json_t *ports = json_array();
    for (uint32_t i = 0; i < daemon_port_count(methods->daemon); i++)
        json_array_append_new(ports, port_entry(methods, i));
    rpc_answer(call, json_pack("{s:o}", "ports", ports));
}

void method_log_reopen(struct methods *methods, struct rpc_call *call, const json_t *parameters)
{
    daemon_reopen_logs(methods->daemon);
    rpc_answer(call, json_pack("{s:s}", "text", "log files are opened anew"));
}
