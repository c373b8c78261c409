#include "tests/sim/world_weather.h"

#include "dataplane/base/clock.h"
#include "dataplane/worker/worker_internal.h"
#include "tests/support/tcp_checks.h"

void world_weather_draw(struct sim *sim, struct wire_faults *faults)
{
    if (sim_one_in(sim, 3))
        return;
    *faults = (struct wire_faults){
        .drop_ppm = sim_one_in(sim, 3) ? 0 : sim_draw_log(sim, 100, 30000),
        .burst_ppm = sim_one_in(sim, 2) ? 0 : sim_draw_log(sim, 10, 1000),
        .burst_frames = sim_draw(sim, 2, 20),
        .duplicate_ppm = sim_one_in(sim, 2) ? 0 : sim_draw_log(sim, 100, 50000),
        .corrupt_ppm = sim_one_in(sim, 2) ? 0 : sim_draw_log(sim, 100, 5000),
        .corrupt_run = sim_draw(sim, 1, 15),
        .reorder_ppm = sim_one_in(sim, 2) ? 0 : sim_draw_log(sim, 100, 50000),
        .reorder_ns = sim_draw_log(sim, 10, 10000) * CLOCK_US,
        .delay_ns = sim_draw_log(sim, 10, 10000) * CLOCK_US,
        .jitter_ns = sim_draw_log(sim, 10, 10000) * CLOCK_US,
        .ce_ppm = sim_one_in(sim, 2) ? 0 : sim_draw_log(sim, 1000, 200000),
        .mtu = sim_one_in(sim, 4) ? (uint16_t)sim_draw(sim, 1280, 1499) : 0,
    };
}

uint32_t world_http1_draw(struct sim *sim)
{
    const uint32_t all = (1u << WORLD_BACKENDS_MAX) - 1;
    if (sim_one_in(sim, 2))
        return 0;
    return sim_one_in(sim, 2) ? all : sim_draw(sim, 1, all);
}

void world_tls_draw(struct sim *sim, struct world_config *config)
{
    const uint32_t clients = (1u << WORLD_CLIENTS) - 1;
    const uint32_t backends = (1u << WORLD_BACKENDS_MAX) - 1;
    if (!sim_one_in(sim, 3))
        return;
    config->tls_clients = sim_draw(sim, 0, clients);
    config->tls_backends = sim_one_in(sim, 2) ? backends : sim_draw(sim, 0, backends);
    config->tls12 = sim_draw(sim, 0, clients + (backends << WORLD_CLIENTS));
}

void world_check_stacks(struct world *world)
{
    for (uint16_t i = 0; i < world->config.workers; i++)
        tcp_check_all(world->shared.members[i]->tcp);
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++)
        tcp_check_all(world->clients[i].host.base.tcp);
    for (uint32_t i = 0; i < WORLD_BACKENDS_MAX; i++)
        tcp_check_all(world->backends[i].host.base.tcp);
}

static void tell_tls(struct sim *sim, const struct world *world)
{
    static const char *const names[] = {"accepted",  "connected",      "handshake_lost",
                                        "truncated", "records_broken", "alerts_received"};
    for (size_t i = 0; i < array_count(names); i++)
        sim_tell(sim, "tls.%s: %llu", names[i],
                 (unsigned long long)world_counter(world, "tls", names[i]));
}

void world_hash_requests(struct sim *sim, const struct world *world)
{
    tell_tls(sim, world);
    sim_hash(sim, world->turns);
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++) {
        for (uint32_t j = 0; j < world->clients[i].request_count; j++) {
            const struct client_request *request = &world->clients[i].requests[j];
            sim_hash(sim, request->ended_at_ns);
            sim_hash(sim, (uint64_t)request->outcome << 32 | request->status);
            sim_hash(sim, request->serial << 32 | request->received);
            sim_tell(sim, "request %u.%u %s: outcome %d, status %u, %llu bytes", i, j,
                     request->path, request->outcome, request->status,
                     (unsigned long long)request->received);
        }
    }
}
