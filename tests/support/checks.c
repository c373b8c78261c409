#include "tests/support/checks.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/worker/worker_internal.h"

#include <inttypes.h>
#include <stdio.h>

#define LEAVE_NS (150 * CLOCK_S) /* longer than any timer of a connection that has ended */

static bool complain(const struct world *world, const char *what, const char *where, uint64_t count)
{
    fprintf(stderr, "seed %" PRIu64 ": %s: %s: %" PRIu64 "\n", world->config.seed, where, what,
            count);
    return false;
}

/* ---- answers ---- */

static const char *method_of(const struct client_request *request)
{
    return request->script.method != NULL ? request->script.method : "GET";
}

/* The value of a field of the script; empty: not there. */
static const char *field_of(const struct client_request *request, const char *name)
{
    const struct client_script *script = &request->script;
    for (int i = 0; i < CLIENT_FIELDS_MAX && script->names[i] != NULL; i++)
        if (strcmp(script->names[i], name) == 0)
            return script->values[i];
    return "";
}

/* Whose answer it was given: it has to be the answer to the same question by the same principal. */
static const char *foreign(const struct world *world, const struct client_request *request)
{
    if (request->serial == 0)
        return NULL;
    if (request->serial > world->log.count)
        return "an answer that no backend gave";
    const struct backend_seen *seen = &world->log.seen[request->serial - 1];
    if (request->complete && seen->cut)
        return "ended well, though its answer was cut";
    if (strcmp(seen->path, request->path) != 0)
        return "the answer to another path";
    if (strcmp(seen->method, method_of(request)) != 0)
        return "the answer to another method";
    if (strcmp(seen->authorization, field_of(request, "authorization")) != 0)
        return "the answer to another principal";
    return NULL;
}

/* What a good end says that is not true; NULL: nothing. */
static const char *untrue(const struct client_request *request)
{
    bool is_head = strcmp(method_of(request), "HEAD") == 0;
    if (!request->complete)
        return request->outcome == CLIENT_FINISHED ? "ended well without END_STREAM" : NULL;
    if (request->status == 0)
        return "END_STREAM without a head";
    if (request->has_length && !is_head && request->received != request->length)
        return "END_STREAM before its content-length";
    if (request->serial != 0 && !is_head && request->received != backend_size_of(request->path))
        return "END_STREAM before the end of the answer";
    return NULL;
}

static bool check_request(const struct world *world, const struct client_request *request)
{
    if (request->outcome == CLIENT_OPEN)
        return complain(world, "has not ended", request->path, request->received);
    if (request->corrupt)
        return complain(world, "has other bytes than its answer", request->path, request->serial);
    const char *wrong = untrue(request);
    if (wrong == NULL)
        wrong = foreign(world, request);
    return wrong == NULL || complain(world, wrong, request->path, request->received);
}

bool check_requests(const struct world *world)
{
    bool good = true;
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++)
        for (uint32_t j = 0; j < world->clients[i].request_count; j++)
            good &= check_request(world, &world->clients[i].requests[j]);
    return good;
}

bool check_backends(const struct world *world)
{
    bool good = true;
    for (uint32_t i = 0; i < world->log.count; i++)
        if (world->log.seen[i].corrupt)
            good = complain(world, "request body differs", world->log.seen[i].path,
                            world->log.seen[i].serial);
    return good;
}

/* ---- balance ---- */

static bool is_zero(const struct world *world, const char *what, const char *where, uint64_t count)
{
    return count == 0 || complain(world, what, where, count);
}

static bool check_mail(const struct world *world, const struct worker *worker, const char *name)
{
    uint64_t waiting = 0;
    for (uint16_t i = 0; i < worker->workers; i++)
        if (worker->lanes_in[i] != NULL)
            waiting += ring_spsc_count(&worker->lanes_in[i]->mails) +
                       ring_spsc_count(&worker->lanes_in[i]->hand_overs);
    return is_zero(world, "mails wait", name, waiting);
}

static bool check_loads(const struct world *world, const struct worker *worker, const char *name)
{
    bool good = true;
    for (uint32_t i = 0; i < WORLD_BACKENDS_MAX; i++) {
        const struct backend_load *load = &worker_backend_loads(worker)->slots[i];
        good &= is_zero(world, "attempts said to be in flight", name, load->in_flight);
        good &= is_zero(world, "connections said to be there", name, load->connections);
    }
    const struct backend_loads *loads = worker_backend_loads(worker);
    for (uint32_t i = 0; i < SNAPSHOT_REGIONS_MAX; i++)
        good &= is_zero(world, "attempts said to be in a region", name,
                        loads->regions[i] + loads->others[i]);
    return is_zero(world, "silent backends", name, loads->silent_count) && good;
}

/* What operators see agrees: nothing is open. */
static bool check_gauges(const struct world *world, const struct worker *worker, const char *name)
{
    const struct loop_counters *loop = &worker_counters(worker)->loop;
    bool good = is_zero(world, "open_clients", name, loop->open_clients);
    good &= is_zero(world, "open_exchanges", name, loop->open_exchanges);
    good &= is_zero(world, "open_flights", name, loop->open_flights);
    good &= is_zero(world, "open_upstreams", name, loop->open_upstreams);
    return is_zero(world, "held_by_flights", name, loop->held_by_flights) && good;
}

static bool check_worker(const struct world *world, uint16_t index)
{
    const struct worker *worker = world->shared.members[index];
    char name[16];
    snprintf(name, sizeof(name), "worker %u", index);
    bool good = is_zero(world, "objects of request", name, request_objects_used(worker->requests));
    good &= is_zero(world, "objects of coalesce", name, coalesce_objects_used(worker->coalesce));
    good &=
        is_zero(world, "upstream connections", name, upstream_connection_count(worker->upstream));
    good &= is_zero(world, "attempts that wait", name, upstream_waiting_count(worker->upstream));
    good &= is_zero(world, "objects of h2", name, h2_objects_used(worker->h2));
    if (worker->tls != NULL)
        good &= is_zero(world, "sessions of TLS", name, tls_session_count(worker->tls));
    good &= is_zero(world, "objects of tcp", name, tcp_objects_used(worker->tcp));
    good &= is_zero(world, "TIME_WAITs", name, tcp_time_wait_count(worker->tcp));
    good &= is_zero(world, "timers armed", name,
                    worker->wheel.armed_count - world->timers_at_rest[index]);
    good &= check_gauges(world, worker, name);
    good &= check_mail(world, worker, name);
    return check_loads(world, worker, name) && good;
}

static void everybody_leaves(struct world *world)
{
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++)
        for (uint32_t j = 0; j < world->clients[i].conn_count; j++)
            client_conn_close(&world->clients[i].conns[j], world->now);
    for (uint32_t i = 0; i < WORLD_BACKENDS_MAX; i++)
        world->draft.removed[i] = true;
    world_publish(world);
    world_run_for(world, LEAVE_NS);
}

bool check_balance(struct world *world)
{
    bool good = true;
    everybody_leaves(world);
    for (uint16_t i = 0; i < world->config.workers; i++)
        good &= check_worker(world, i);
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++)
        good &=
            is_zero(world, "objects of a host", "client", h2_host_used(&world->clients[i].host));
    for (uint32_t i = 0; i < WORLD_BACKENDS_MAX; i++)
        good &= is_zero(world, "objects of a host", world->backends[i].name,
                        h2_host_used(&world->backends[i].host));
    good &= is_zero(world, "mbufs in use", "front", wire_mbufs_used(world->front));
    return is_zero(world, "mbufs in use", "back", wire_mbufs_used(world->back)) && good;
}

bool check_and_close(struct world *world)
{
    bool good = check_requests(world);
    good &= check_backends(world);
    good &= check_balance(world);
    world_close(world);
    return good;
}
