/*
 * keys: which of N keys the next request asks for: each in turn, or after Zipf's law, where the key
 * of rank k comes with a probability in proportion to 1 / k^s. Drawn in O(1) by an alias table
 * (Walker, Vose). One thread.
 */
#pragma once

#include "dataplane/base/random.h"

#include <stdbool.h>
#include <stdint.h>

#define KEYS_ZIPF_MAX 10000000u

struct key_slot {
    float share;    /* of this slot that is its own key's */
    uint32_t alias; /* whose the rest is */
};

struct keys {
    uint64_t count;         /* 0: every request has a key of its own */
    uint64_t next;          /* in turn */
    struct key_slot *slots; /* NULL: in turn */
};

/* COUNT keys; EXPONENT 0: in turn, else at most KEYS_ZIPF_MAX of them. False: no memory. */
bool keys_init(struct keys *keys, uint64_t count, double exponent);
void keys_close(struct keys *keys);

uint64_t keys_next(struct keys *keys, struct random *random);
