/*
 * privileges: what the process may still do once it runs. Started as root it opens devices, loads
 * programs and reserves memory; afterwards it handles what strangers send. So it keeps the
 * capabilities (capabilities(7)) of the table in privileges.c and gives up all others, for good and
 * in every thread: a thread's are its own, and all share one memory.
 *
 * Main thread, once, when everything has been opened. Threads made later have what is left.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bit n: capability n is kept. */
uint64_t privileges_kept(void);

/* False: some thread keeps what it had, MESSAGE says why. Waits for the threads, a second at most.
 */
bool privileges_drop(char *message, size_t message_size);
