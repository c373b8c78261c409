/*
 * methods_flights: flight.list: the workers are asked, their facts come later.
 */
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
    snprintf(id, sizeof(id), "%016lx", flight->handle);
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
