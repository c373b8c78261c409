/*
 * config_slots: a backend is known to workers by a slot and the slot's generation. Who stays over
 * a change of configuration keeps both; who is new gets a free slot, with a
 * generation that the slot never had.
 */
#include "control/config_check.h"

#include <stdlib.h>
#include <string.h>

/* Generations grow over the life of the process, whatever is configured in between. */
static uint32_t next_generation = 1;

/* What was agreed on a connection is what the configuration wants now. */
static bool same_tls(const struct config_backend_tls *a, const struct config_backend_tls *b)
{
    return a->on == b->on && a->verify == b->verify && a->policy == b->policy &&
           strcmp(a->ca_file, b->ca_file) == 0 && strcmp(a->server_name, b->server_name) == 0 &&
           strcmp(a->certificate, b->certificate) == 0;
}

/* Who says no name has proved that of its service's authority. */
static bool same_proof(const struct config *a_config, const struct config_backend *a,
                       const struct config *b_config, const struct config_backend *b)
{
    return !a->tls.on || a->tls.server_name[0] != '\0' ||
           strcmp(a_config->services[a->service].authority,
                  b_config->services[b->service].authority) == 0;
}

static bool same_backend(const struct config *a_config, const struct config_backend *a,
                         const struct config *b_config, const struct config_backend *b)
{
    return a->port == b->port && a->protocol == b->protocol && same_tls(&a->tls, &b->tls) &&
           same_proof(a_config, a, b_config, b) && ip_address_equal(&a->address, &b->address) &&
           strcmp(a_config->services[a->service].name, b_config->services[b->service].name) == 0 &&
           strcmp(a_config->regions[a->region].name, b_config->regions[b->region].name) == 0;
}

static void keep_slots(struct config *config, const struct config *previous, bool *used)
{
    for (uint32_t i = 0; i < config->backend_count; i++)
        for (uint32_t j = 0; j < previous->backend_count; j++)
            if (same_backend(config, &config->backends[i], previous, &previous->backends[j])) {
                config->backends[i].slot = previous->backends[j].slot;
                config->backends[i].generation = previous->backends[j].generation;
                used[config->backends[i].slot] = true;
            }
}

void config_assign_slots(struct config *config, const struct config *previous)
{
    bool used[SNAPSHOT_BACKENDS_MAX] = {false};
    uint32_t slot = 0;
    if (previous != NULL)
        keep_slots(config, previous, used);
    for (uint32_t i = 0; i < config->backend_count; i++) {
        struct config_backend *backend = &config->backends[i];
        if (backend->generation != 0)
            continue;
        while (used[slot])
            slot++;
        used[slot] = true;
        backend->slot = slot;
        backend->generation = next_generation++;
    }
}
