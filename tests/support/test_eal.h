/*
 * test_eal: DPDK's environment for tests: ordinary pages, no devices, no files left behind.
 */
#pragma once

/* Initialise DPDK once a process; later calls do nothing. Failure stops the process. */
void test_eal_init(void);
