/*
 * story: what became of a request on its flight, for the access record (rule C24). A flight writes
 * its own as it goes on; a relay reads it in the branch, where it is final once there is a head or
 * a failure.
 */
#pragma once

#include "dataplane/base/handle.h"

#include <stdbool.h>
#include <stdint.h>

#define STORY_NO_BACKEND UINT32_MAX

struct branch;
struct flight;
struct subscriber;

/* A flight, as flight.list names it: its worker, and its handle there. */
struct flight_name {
    handle flight; /* 0: none */
    uint16_t worker;
};

struct flight_story {
    uint64_t upstream_ns;        /* of the last attempt until its response headers; 0: none came */
    const char *retried;         /* why there was a second attempt, one word; "": there was none */
    uint32_t backend_slot;       /* of the last attempt; STORY_NO_BACKEND: there was none ... */
    uint32_t backend_generation; /* ... see struct snapshot_backend */
    uint8_t attempts;            /* 0..2: attempts that began (C14a) */
    bool shared;                 /* others could join */
};

/* As far as it has come. Pure. */
struct flight_story flight_story(const struct flight *flight);

/*
 * Of the flight that serves the subscriber now. False, and nothing known: none does, or it is
 * another worker's and has not answered yet. Thread owner; O(1).
 */
bool coalesce_story(const struct subscriber *subscriber, struct flight_story *out);
