/* What the handlers share. Private to control/methods*.c. */
#pragma once

#include "control/busy.h"
#include "control/methods.h"
#include "control/running_file.h"

struct methods {
    struct daemon *daemon;
    struct busy *busy;
    struct running_file *running_file;
    json_t *start; /* the document at daemon_config_path() when we started; NULL: unreadable */
    uint64_t created_ns;
};

typedef void method_run(struct methods *methods, struct rpc_call *call, const json_t *parameters);

/* methods_process.c */
method_run method_status, method_worker_list, method_port_list, method_log_reopen;
/* methods_stats.c */
method_run method_stats;
method_run method_node_drain, method_node_undrain;
/* methods_config.c */
method_run method_node_remove;
method_run method_config_validate, method_config_apply, method_config_get, method_coalesce_route;
method_run method_certificate_reload;
/* methods_regions.c */
method_run method_region_list, method_region_drain, method_region_undrain, method_backend_list;
method_run method_region_force_up, method_region_force_down, method_region_unforce;
method_run method_region_reject, method_audit_tail;
method_run method_region_approve, method_region_freeze, method_region_thaw, method_region_explain;
/* methods_flights.c */
method_run method_flight_list, method_flight_kill;

/* Numbers are whole: json_integer() takes signed ones, ours stay below 2^63. */
static inline void set_number(json_t *object, const char *key, uint64_t value)
{
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

static inline void set_text(json_t *object, const char *key, const char *value)
{
    json_object_set_new(object, key, rpc_text(value));
}

static inline void set_bool(json_t *object, const char *key, bool value)
{
    json_object_set_new(object, key, json_boolean(value));
}

/* What is so of all regions. methods_process.c */
json_t *method_failover_entry(const struct failover_view *view);

/* An order of this node alone as `local`, if there is one. methods_regions.c */
void method_set_local(json_t *entry, const struct failover_local_view *view);

/* What config.apply changed since the start: paths, at most 32 of them. methods_config.c */
json_t *method_config_differences(const struct methods *methods);
