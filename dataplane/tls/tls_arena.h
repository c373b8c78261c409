/*
 * tls_arena: OpenSSL's memory for one worker, bounded and taken at start.
 *
 * OpenSSL asks for memory by itself, at any time. What it asks for on a worker's thread comes from
 * the arena that the thread has entered; a full arena means that the handshake, or the connection,
 * fails and nobody else does. Other threads get theirs from the C library.
 *
 * The arena is cut into pages of 64 KiB; a page holds blocks of one size class and goes back to
 * the free pages when all its blocks are free. What another thread frees waits in a list until its
 * owner looks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls_arena;

/*
 * Make OpenSSL ask here. Before anything of OpenSSL is used, once for the process; false: somebody
 * was faster. Main thread.
 */
bool tls_arena_install(void);

/* BYTES of memory, rounded down to pages. NULL: not enough memory. Main thread, at start. */
struct tls_arena *tls_arena_create(uint64_t bytes, int socket_id);

/* What OpenSSL asks for on this thread comes from ARENA from here on; NULL: the C library. */
void tls_arena_enter(struct tls_arena *arena);

/* Bytes in whole blocks that are in use, and the most there were. Any thread, relaxed. */
uint64_t tls_arena_used_bytes(const struct tls_arena *arena);
uint64_t tls_arena_most_bytes(const struct tls_arena *arena);

/*
 * Less than a quarter of its pages is free, and the others are more than half full: what is left is
 * for those who have begun, whose buffers for records come and go. A sixteenth of the pages is for
 * them in any case. The owner's thread.
 */
bool tls_arena_is_short(const struct tls_arena *arena);

/* How often memory was refused. Any thread, relaxed. */
uint64_t tls_arena_refused(const struct tls_arena *arena);

/* Forget all arenas, whose memory was given back by memory_reset(). Tests only. */
void tls_arena_forget(void);

/* What OpenSSL calls. O(1); a block is at most 64 KiB. For tests, too. */
void *tls_arena_take(size_t bytes);
void *tls_arena_resize(void *block, size_t bytes);
void tls_arena_give(void *block);
