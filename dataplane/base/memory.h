/*
 * memory: what is taken at start, once, from hugepages (or ordinary pages with --no-huge).
 *
 * There is no give: memory taken here lives as long as the process. Every piece is named and
 * summed, so that the start can print a table. After memory_seal() a further take is a programmer's
 * error. Main thread, before the workers start. Tests use memory_reset() between cases.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>

/*
 * Zeroed memory for NAME (a text that lives on), or NULL when there is not enough.
 *
 * bytes      1..; rounded up to whole cache lines, which it starts on
 * socket_id  NUMA node, or -1 for any
 */
void *memory_take(const char *name, size_t bytes, int socket_id);

/* The sum in bytes of all that was taken. */
size_t memory_taken_bytes(void);

/* One line a name: name, pieces, bytes. */
void memory_print(FILE *out);

/* From here on memory_take() stops the process. */
void memory_seal(void);

/* Give everything back and open again. Tests only. */
void memory_reset(void);
