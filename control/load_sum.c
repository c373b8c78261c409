#include "control/load_sum.h"

struct load_sum load_sum(const struct daemon *daemon, const struct config_backend *backend)
{
    struct load_sum sum = {0};
    for (uint32_t i = 0; i < daemon_worker_count(daemon); i++) {
        const struct backend_load *load =
            &worker_backend_loads(daemon_worker(daemon, i))->slots[backend->slot];
        if (counter_read(&load->generation) != backend->generation)
            continue;
        sum.in_flight += counter_read(&load->in_flight);
        sum.connections += counter_read(&load->connections);
        sum.succeeded += counter_read(&load->outcomes[BACKEND_SUCCESS]);
        for (int o = BACKEND_SUCCESS + 1; o < BACKEND_OUTCOMES; o++)
            sum.failed += counter_read(&load->outcomes[o]);
    }
    return sum;
}
