/*
 * eal_start: DPDK's environment, from the configuration. Main thread, once.
 */
#pragma once

#include "control/config.h"

/*
 * Initialise the EAL: one lcore a worker beside the main lcore (several on one CPU when there are
 * more workers than CPUs), hugepages when enough are free, ordinary memory otherwise, unless
 * config->eal says something else. MEMORY_BYTES is what the pools will need. 0, or -1 with MESSAGE.
 */
int eal_start(const struct config *config, uint64_t memory_bytes, char *message,
              size_t message_size);

/* The lcore of worker INDEX. */
unsigned eal_worker_lcore(uint32_t index);

/* Whether the memory is in hugepages. */
int eal_uses_hugepages(void);
