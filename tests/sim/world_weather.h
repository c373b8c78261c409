/* world_weather: what the scenarios that run in a world have in common. */
#pragma once

#include "tests/sim/sim.h"
#include "tests/support/world.h"

/* What goes wrong on a wire; nothing in a third of the runs. */
void world_weather_draw(struct sim *sim, struct wire_faults *faults);

/* Which backends speak HTTP/1.1: none in half of the seeds, else all or some. */
uint32_t world_http1_draw(struct sim *sim);

/* Who speaks TLS, in a third of the seeds. */
void world_tls_draw(struct sim *sim, struct world_config *config);

/* Look into the TCP of everybody: tests/support/tcp_checks.h. */
void world_check_stacks(struct world *world);

/* What became of each request, into the hash. */
void world_hash_requests(struct sim *sim, const struct world *world);
