/*
 * methods_flights: flight.list and flight.kill: workers are told, their facts come later.
 */
#include "control/log.h"
#include "control/methods_internal.h"
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"

#include <stdlib.h>

struct listing {
    struct methods *methods;
    struct rpc_call *call;
    json_t *flights;
};

static void free_listing(struct listing *listing)
{
    json_decref(listing->flights);
    free(listing);
}

/* Route and backend by name, as long as the configuration is the one the worker saw. */
static void set_names(json_t *entry, const struct config *config, const struct fact_flight *flight)
{
    if (flight->route < config->route_count)
        set_text(entry, "route", config->routes[flight->route].name);
    for (uint32_t i = 0; i < config->backend_count && flight->attempt > 0; i++)
        if (config->backends[i].slot == flight->backend_slot)
            set_text(entry, "backend", config->backends[i].name);
}

static void show(void *context, uint16_t worker, const struct fact_flight *flight)
{
    struct listing *listing = context;
    char id[32];
    json_t *entry = json_object();
    snprintf(id, sizeof(id), "%u-%016lx", worker, flight->handle);
    set_text(entry, "id", id);
    set_number(entry, "worker", worker);
    set_names(entry, daemon_config(listing->methods->daemon), flight);
    set_text(entry, "state",
             flight->state < FLIGHT_STATES ? flight_state_name((enum flight_state)flight->state)
                                           : "unknown");
    set_bool(entry, "coalesced", flight->coalesced != 0);
    set_number(entry, "subscribers", flight->subscribers);
    set_number(entry, "attempt", flight->attempt);
    set_number(entry, "age_ms", flight->age_ns / CLOCK_MS);
    set_number(entry, "body_bytes", flight->body_bytes);
    set_number(entry, "kept_kib", flight->kept_kib);
    set_number(entry, "idle_ms", flight->idle_ms);
    set_number(entry, "workers", 1u + flight->branches);
    if (flight->status != 0)
        set_number(entry, "status", flight->status);
    json_array_append_new(listing->flights, entry);
}

static void end(void *context, bool complete)
{
    struct listing *listing = context;
    rpc_answer(listing->call,
               json_pack("{s:b, s:O}", "complete", (int)complete, "flights", listing->flights));
    free_listing(listing);
}

static void gone(void *context)
{
    struct listing *listing = context;
    daemon_forget_flights(listing->methods->daemon, listing);
    free_listing(listing);
}

void method_flight_list(struct methods *methods, struct rpc_call *call, const json_t *parameters)
{
    struct listing *listing = calloc(1, sizeof(*listing));
    check(listing != NULL);
    *listing = (struct listing){methods, call, json_array()};
    if (!daemon_list_flights(methods->daemon, show, end, listing)) {
        free_listing(listing);
        rpc_refuse(call, RPC_REFUSED, NULL, "another listing is under way; ask again");
        return;
    }
    rpc_on_gone(call, gone, listing);
}

static void killed(void *context, bool complete)
{
    struct listing *listing = context;
    if (!complete)
        rpc_refuse(listing->call, RPC_REFUSED, NULL, "the worker did not answer within a second");
    else if (json_array_size(listing->flights) == 0)
        rpc_refuse(listing->call, RPC_REFUSED, NULL, "there is no such flight under way");
    else
        rpc_answer(listing->call,
                   json_pack("{s:O, s:s}", "killed", json_array_get(listing->flights, 0), "text",
                             "the flight has ended"));
    free_listing(listing);
}

void method_flight_kill(struct methods *methods, struct rpc_call *call, const json_t *parameters)
{
    unsigned worker;
    uint64_t flight;
    int used = 0;
    const char *id = json_string_value(json_object_get(parameters, "id"));
    if (sscanf(id, "%u-%16lx%n", &worker, &flight, &used) != 2 || id[used] != '\0' ||
        worker >= daemon_worker_count(methods->daemon)) {
        rpc_refuse(call, RPC_INVALID_PARAMETERS, NULL,
                   "id: expected one as flight.list shows it: \"0-00000001000000a7\"");
        return;
    }
    struct listing *listing = calloc(1, sizeof(*listing));
    check(listing != NULL);
    *listing = (struct listing){methods, call, json_array()};
    if (!daemon_kill_flight(methods->daemon, worker, flight, show, killed, listing)) {
        free_listing(listing);
        rpc_refuse(call, RPC_REFUSED, NULL, "a listing of flights is under way; ask again");
        return;
    }
    log_line(LOG_LEVEL_INFO, "flight.kill %s by %s", id, rpc_who(call));
    rpc_on_gone(call, gone, listing);
}
