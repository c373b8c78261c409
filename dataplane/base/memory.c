#include "dataplane/base/memory.h"

#include "dataplane/base/check.h"
#include "dataplane/base/sanitizer.h"

#include <rte_malloc.h>
#include <rte_memory.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES          64
#define LARGEST_PIECE_BYTES (1ull << 39) /* more than any node has; no sum of sizes overflows */

/* The cache line before each piece. */
struct piece {
    struct piece *next; /* the one taken after this one */
    const char *name;
    size_t bytes; /* behind the line, whole cache lines */
    void *taken;  /* what the source handed out; the piece is aligned inside it */
    enum memory_kind kind;
};

_Static_assert(sizeof(struct piece) <= LINE_BYTES, "the head of a piece is one cache line");

static struct {
    struct piece *first;
    struct piece *last;
    size_t taken_bytes;
    enum memory_kind kind;
    bool sealed;
    uint32_t takes_left; /* UINT32_MAX: no limit */
} memory = {.takes_left = UINT32_MAX};

void memory_use(enum memory_kind kind)
{
    memory.kind = kind;
}

static void *line_aligned(void *taken)
{
    uintptr_t address = (uintptr_t)taken;
    return (uint8_t *)taken + (-address & (LINE_BYTES - 1));
}

/* calloc leaves fresh pages untouched, so that a test's large pools cost nothing until used. */
static struct piece *piece_from_heap(size_t bytes)
{
    void *taken = calloc(1, bytes + 2 * LINE_BYTES);
    if (taken == NULL)
        return NULL;
    struct piece *piece = line_aligned(taken);
    piece->taken = taken;
    return piece;
}

static struct piece *piece_from_hugepages(const char *name, size_t bytes, int socket_id)
{
    struct piece *piece = rte_zmalloc_socket(name, bytes + LINE_BYTES, LINE_BYTES, socket_id);
    if (piece != NULL)
        piece->taken = piece;
    return piece;
}

static struct piece *piece_take(const char *name, size_t bytes, int socket_id)
{
    switch (memory.kind) {
    case MEMORY_HEAP:
        return piece_from_heap(bytes);
    case MEMORY_HUGEPAGES:
        return piece_from_hugepages(name, bytes, socket_id);
    }
    return NULL;
}

static void piece_give(struct piece *piece)
{
    void *taken = piece->taken;
    enum memory_kind kind = piece->kind;
    sanitizer_unpoison((uint8_t *)piece + LINE_BYTES, piece->bytes);
    switch (kind) {
    case MEMORY_HEAP:
        free(taken);
        return;
    case MEMORY_HUGEPAGES:
        rte_free(taken);
        return;
    }
}

static bool take_is_allowed(size_t bytes)
{
    if (bytes > LARGEST_PIECE_BYTES || memory.takes_left == 0)
        return false;
    if (memory.takes_left != UINT32_MAX)
        memory.takes_left--;
    return true;
}

static void piece_record(struct piece *piece)
{
    if (memory.last == NULL)
        memory.first = piece;
    else
        memory.last->next = piece;
    memory.last = piece;
    memory.taken_bytes += piece->bytes;
}

void *memory_take(const char *name, size_t bytes, int socket_id)
{
    check(!memory.sealed);
    check(bytes > 0);
    if (!take_is_allowed(bytes))
        return NULL;
    size_t whole_lines = (bytes + LINE_BYTES - 1) & ~(size_t)(LINE_BYTES - 1);
    struct piece *piece = piece_take(name, whole_lines, socket_id < 0 ? SOCKET_ID_ANY : socket_id);
    if (piece == NULL)
        return NULL;
    piece->next = NULL;
    piece->name = name;
    piece->bytes = whole_lines;
    piece->kind = memory.kind;
    piece_record(piece);
    return (uint8_t *)piece + LINE_BYTES;
}

size_t memory_taken_bytes(void)
{
    return memory.taken_bytes;
}

static bool is_first_of_its_name(const struct piece *piece)
{
    const struct piece *other = memory.first;
    while (other != piece && strcmp(other->name, piece->name) != 0)
        other = other->next;
    return other == piece;
}

/* The pieces from FIRST on that have its name. */
static void print_name(FILE *out, const struct piece *first)
{
    size_t pieces = 0;
    size_t bytes = 0;
    for (const struct piece *p = first; p != NULL; p = p->next) {
        if (strcmp(p->name, first->name) != 0)
            continue;
        pieces++;
        bytes += p->bytes;
    }
    fprintf(out, "%-32s %6zu %14zu\n", first->name, pieces, bytes);
}

/* Quadratic in the pieces, of which there are some hundred, once at start. */
void memory_print(FILE *out)
{
    fprintf(out, "%-32s %6s %14s\n", "memory", "pieces", "bytes");
    for (const struct piece *p = memory.first; p != NULL; p = p->next) {
        if (is_first_of_its_name(p))
            print_name(out, p);
    }
    fprintf(out, "%-32s %6s %14zu\n", "sum", "", memory.taken_bytes);
}

void memory_seal(void)
{
    memory.sealed = true;
}

void memory_reset(void)
{
    struct piece *piece = memory.first;
    while (piece != NULL) {
        struct piece *next = piece->next;
        piece_give(piece);
        piece = next;
    }
    memory.first = NULL;
    memory.last = NULL;
    memory.taken_bytes = 0;
    memory.sealed = false;
    memory.takes_left = UINT32_MAX;
}

void memory_fail_after(uint32_t count)
{
    memory.takes_left = count;
}
