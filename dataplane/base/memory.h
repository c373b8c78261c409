/*
 * memory: what is taken at start, once, from hugepages (or ordinary pages with --no-huge).
 *
 * There is no give: memory taken here lives as long as the process. Every piece is named and
 * summed, so that the start can print a table. After memory_seal() a further take is a programmer's
 * error. Main thread, before the workers start. Tests use memory_reset() between cases.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Where memory comes from. */
enum memory_kind {
    MEMORY_HEAP,      /* the C library: tests and tools without an EAL. The default */
    MEMORY_HUGEPAGES, /* rte_malloc: needs an initialised EAL */
};

/* Choose where later takes come from. Launch does it once, after rte_eal_init(). */
void memory_use(enum memory_kind kind);

/*
 * Zeroed memory for NAME (a text that lives on), or NULL when there is not enough.
 *
 * bytes      1..; rounded up to whole cache lines, which it starts on
 * socket_id  NUMA node, or -1 for any; the heap has no nodes and ignores it
 */
void *memory_take(const char *name, size_t bytes, int socket_id);

/* The sum in bytes of all that was taken. */
size_t memory_taken_bytes(void);

/* One line a name: name, pieces, bytes. */
void memory_print(FILE *out);

/* From here on memory_take() stops the process. */
void memory_seal(void);

/* Give everything back and open again; the kind stays. Tests only. */
void memory_reset(void);

/*
 * The take after COUNT further successful ones fails, and so do all later ones, until
 * memory_reset(). Tests only: "the n-th allocation fails".
 */
void memory_fail_after(uint32_t count);
