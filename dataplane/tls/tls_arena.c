/*
 * Synchronisation: everything belongs to the thread that entered the arena, but for `foreign`:
 *
 *   foreign  release by whoever frees (compare-and-swap), acquire by the owner (exchange with
 *            NULL): what was written into the block before it was freed is seen by the next taker.
 *            The owner takes all at once, so there is no ABA.
 *   used, most, refused: written by the owner, read relaxed by anybody.
 */
#include "dataplane/tls/tls_arena.h"

#include "dataplane/base/check.h"
#include "dataplane/base/counter.h"
#include "dataplane/base/list.h"
#include "dataplane/base/memory.h"

#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES 65536u
#define ARENAS_MAX 128

/* Sizes of blocks: at most a third is lost. OpenSSL's buffers for records are just above 16 KiB. */
static const uint32_t class_bytes[] = {
    16,   32,   48,   64,   96,   128,  192,   256,   384,   512,   768,   1024,
    1536, 2048, 3072, 4096, 6144, 8192, 12288, 17408, 21760, 32768, 65536,
};
#define CLASSES array_count(class_bytes)

struct block {
    struct block *next;
};

struct page {
    struct list link; /* among the pages of its class that have room, or the free ones */
    struct block *free;
    uint32_t used; /* blocks */
    uint32_t cut;  /* blocks that were taken at least once; the rest is not cut yet */
    uint32_t class;
};

struct tls_arena {
    uint8_t *memory;
    struct page *pages;
    uint32_t page_count;
    struct list with_room[CLASSES];
    struct list free_pages;
    uint32_t free_page_count;
    _Atomic(struct block *) foreign;
    uint64_t used;
    uint64_t most;
    uint64_t refused;
};

/* All there are, for blocks that are freed elsewhere. Written at start only. */
static struct tls_arena *arenas[ARENAS_MAX];
static uint32_t arena_count;

static __thread struct tls_arena *entered;

struct tls_arena *tls_arena_create(uint64_t bytes, int socket_id)
{
    uint32_t pages = (uint32_t)(bytes / PAGE_BYTES);
    if (arena_count == ARENAS_MAX || pages == 0)
        return NULL;
    struct tls_arena *arena = memory_take("tls arenas", sizeof(*arena), socket_id);
    uint8_t *memory = memory_take("tls memory", (size_t)pages * PAGE_BYTES, socket_id);
    struct page *table = memory_take("tls pages", pages * sizeof(*table), socket_id);
    if (arena == NULL || memory == NULL || table == NULL)
        return NULL;
    *arena = (struct tls_arena){
        .memory = memory, .pages = table, .page_count = pages, .free_page_count = pages};
    list_init(&arena->free_pages);
    for (size_t i = 0; i < CLASSES; i++)
        list_init(&arena->with_room[i]);
    for (uint32_t i = 0; i < pages; i++)
        list_push_back(&arena->free_pages, &table[i].link);
    arenas[arena_count++] = arena;
    return arena;
}

void tls_arena_enter(struct tls_arena *arena)
{
    entered = arena;
}

void tls_arena_forget(void)
{
    arena_count = 0;
    entered = NULL;
}

static bool holds(const struct tls_arena *arena, const void *block)
{
    uintptr_t at = (uintptr_t)block - (uintptr_t)arena->memory;
    return at < (uint64_t)arena->page_count * PAGE_BYTES;
}

/* The arena a block is from, or NULL: it is the C library's. */
static struct tls_arena *owner_of(const void *block)
{
    if (entered != NULL && holds(entered, block))
        return entered;
    for (uint32_t i = 0; i < arena_count; i++)
        if (holds(arenas[i], block))
            return arenas[i];
    return NULL;
}

static struct page *page_of(struct tls_arena *arena, const void *block)
{
    return &arena->pages[((uintptr_t)block - (uintptr_t)arena->memory) / PAGE_BYTES];
}

static uint32_t blocks_of(const struct page *page)
{
    return PAGE_BYTES / class_bytes[page->class];
}

static void give_own(struct tls_arena *arena, void *freed)
{
    struct page *page = page_of(arena, freed);
    struct block *block = freed;
    check(page->used > 0);
    if (page->used == blocks_of(page))
        list_push_front(&arena->with_room[page->class], &page->link);
    block->next = page->free;
    page->free = block;
    counter_set(&arena->used, arena->used - class_bytes[page->class]);
    if (--page->used > 0)
        return;
    list_remove(&page->link);
    list_push_front(&arena->free_pages, &page->link);
    arena->free_page_count++;
}

static void take_foreign(struct tls_arena *arena)
{
    if (atomic_load_explicit(&arena->foreign, memory_order_relaxed) == NULL)
        return;
    struct block *block = atomic_exchange_explicit(&arena->foreign, NULL, memory_order_acquire);
    while (block != NULL) {
        struct block *next = block->next;
        give_own(arena, block);
        block = next;
    }
}

static void give_foreign(struct tls_arena *arena, void *freed)
{
    struct block *block = freed;
    block->next = atomic_load_explicit(&arena->foreign, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&arena->foreign, &block->next, block,
                                                  memory_order_release, memory_order_relaxed))
        ;
}

/* A page of the class with a free block, or NULL. */
static struct page *page_for(struct tls_arena *arena, uint32_t class)
{
    struct list *room = &arena->with_room[class];
    if (!list_is_empty(room))
        return list_entry(room->next, struct page, link);
    struct list *link = list_pop_front(&arena->free_pages);
    if (link == NULL)
        return NULL;
    struct page *page = list_entry(link, struct page, link);
    arena->free_page_count--;
    page->free = NULL;
    page->cut = 0;
    page->class = class;
    list_push_front(room, link);
    return page;
}

static void *block_from(struct tls_arena *arena, struct page *page)
{
    struct block *block = page->free;
    if (block != NULL) {
        page->free = block->next;
    } else {
        size_t number = (size_t)(page - arena->pages);
        uint8_t *start = arena->memory + number * PAGE_BYTES;
        block = (struct block *)(void *)(start + (size_t)page->cut++ * class_bytes[page->class]);
    }
    if (++page->used == blocks_of(page))
        list_remove(&page->link);
    counter_set(&arena->used, arena->used + class_bytes[page->class]);
    if (arena->used > arena->most)
        counter_set(&arena->most, arena->used);
    return block;
}

static void *take_own(struct tls_arena *arena, size_t bytes)
{
    uint32_t class = 0;
    while (class < CLASSES && class_bytes[class] < bytes)
        class ++;
    take_foreign(arena);
    struct page *page = class < CLASSES ? page_for(arena, class) : NULL;
    if (page != NULL)
        return block_from(arena, page);
    counter_add(&arena->refused, 1);
    return NULL;
}

void *tls_arena_take(size_t bytes)
{
    return entered != NULL ? take_own(entered, bytes) : malloc(bytes);
}

void tls_arena_give(void *block)
{
    if (block == NULL)
        return;
    struct tls_arena *owner = owner_of(block);
    if (owner == NULL)
        free(block);
    else if (owner == entered)
        give_own(owner, block);
    else
        give_foreign(owner, block);
}

void *tls_arena_resize(void *block, size_t bytes)
{
    if (block == NULL)
        return tls_arena_take(bytes);
    struct tls_arena *owner = owner_of(block);
    if (owner == NULL)
        return realloc(block, bytes);
    size_t had = class_bytes[page_of(owner, block)->class];
    if (bytes <= had)
        return block;
    void *larger = tls_arena_take(bytes);
    if (larger == NULL)
        return NULL;
    memcpy(larger, block, had);
    tls_arena_give(block);
    return larger;
}

static void *openssl_take(size_t bytes, const char *file, int line)
{
    return tls_arena_take(bytes);
}

static void *openssl_resize(void *block, size_t bytes, const char *file, int line)
{
    return tls_arena_resize(block, bytes);
}

static void openssl_give(void *block, const char *file, int line)
{
    tls_arena_give(block);
}

bool tls_arena_install(void)
{
    /*
     * Nothing is cleaned up at exit: the arenas may be gone by then. Ciphers are found in providers
     * only: a list of all there are would be in the list of names of each context (tls_provider.h).
     */
    return CRYPTO_set_mem_functions(openssl_take, openssl_resize, openssl_give) == 1 &&
           OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT | OPENSSL_INIT_NO_ADD_ALL_CIPHERS, NULL) == 1;
}

uint64_t tls_arena_used_bytes(const struct tls_arena *arena)
{
    return counter_read(&arena->used);
}

uint64_t tls_arena_most_bytes(const struct tls_arena *arena)
{
    return counter_read(&arena->most);
}

/* After a peak many pages have few blocks left in use: newcomers find room in these. */
bool tls_arena_is_short(const struct tls_arena *arena)
{
    uint32_t free_pages = arena->free_page_count;
    uint64_t cut_bytes = (uint64_t)(arena->page_count - free_pages) * PAGE_BYTES;
    bool filled = arena->used > cut_bytes / 2;
    return free_pages < arena->page_count / 16 || (free_pages < arena->page_count / 4 && filled);
}

uint64_t tls_arena_refused(const struct tls_arena *arena)
{
    return counter_read(&arena->refused);
}
