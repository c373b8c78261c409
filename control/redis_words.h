/*
 * redis_words: what is said to Redis: the names of the keys, and commands as lists of words.
 *
 * Keys: weir:{cluster}:state (hash), weir:{cluster}:vote:<node> (expires), weir:{cluster}:audit
 * (stream); the braces keep them in one slot. Plain values; any one thread.
 */
#pragma once

#include "control/region_rules.h"

#define REDIS_KEY_MAX     256
#define REDIS_WORDS_MAX   1280
#define REDIS_WORDS_BYTES (256 * 1024)

/* A command under construction. Sized for the largest configuration. */
struct redis_words {
    int count;
    const char *at[REDIS_WORDS_MAX];
    size_t lengths[REDIS_WORDS_MAX];
    size_t used;
    char arena[REDIS_WORDS_BYTES];
};

void redis_words_begin(struct redis_words *words);
__attribute__((format(printf, 2, 3))) void redis_words_add(struct redis_words *words,
                                                           const char *format, ...);

/* The nodes whose votes are read: the roster, which is this node when none is configured. */
uint32_t redis_node_count(const struct config *config);
const char *redis_node_name(const struct config *config, uint32_t index);

/* Keys. They return OUT. */
const char *redis_state_key(const struct config *config, char out[REDIS_KEY_MAX]);
/* What changes are published on (region_cas.lua). */
const char *redis_audit_key(const struct config *config, char out[REDIS_KEY_MAX]);
const char *redis_hint_channel(const struct config *config, char out[REDIS_KEY_MAX]);
const char *redis_vote_key(const struct config *config, const char *node, char out[REDIS_KEY_MAX]);

/* For how long a vote lives, in ms. */
uint64_t redis_vote_ms(const struct config *config);

/* EVAL of control/region_cas.lua: the keys, the rules and the request. */
void redis_words_change(struct redis_words *words, const struct config *config,
                        const struct region_rules *rules, const struct region_request *request);
