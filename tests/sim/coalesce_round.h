/*
 * coalesce_round: a crowd asks the same at the same time, and then something goes wrong, as a story
 * says. Several rounds of one story are told in one world.
 *
 * Every request carries a tag of its own in `referer`, which is forwarded and in no key. So what a
 * backend sees names the request that leads the flight: attempts with one tag are of one flight.
 */
#pragma once

#include "tests/sim/sim.h"
#include "tests/support/world.h"

#define ROUND_ASKERS_MAX 16
#define ROUND_CONNS      6
#define ROUND_PATH_BYTES 64
#define ROUND_TAG_BYTES  16

struct asker;
struct round;

struct story {
    const char *name;
    uint32_t steps;        /* it is told once for each; seeds enumerate them */
    uint32_t flight_bytes; /* of the routes; 0: a MiB */
    bool bounded;          /* there is too little of something: who asks may be refused */
    bool is_steady;        /* answers go on as drawn: whoever lags behind is held back by Weir */
    /* Sizes of a world for this story; NULL: as drawn. */
    void (*configure)(struct sim *sim, struct world_config *config);
    /* The round's drawing is done: what is different in this story. */
    void (*begin)(struct round *round);
    /* The same of one who asks. NULL: nothing is. */
    void (*asker)(struct round *round, struct asker *asker);
    /* How a backend answers a request it has just seen. */
    struct backend_plan (*answer)(struct round *round, const struct backend_seen *seen);
    /* Each turn: what happens. NULL: nothing. */
    void (*turn)(struct round *round);
    /* Whether what is the same may be asked apart. NULL: it never may. */
    bool (*apart)(const struct round *round);
};

/* One who asks. */
struct asker {
    struct client_request *request; /* NULL: has not asked yet */
    char path[ROUND_PATH_BYTES];
    char tag[ROUND_TAG_BYTES];
    const char *principal; /* NULL: none */
    bool is_late;          /* asks after the others */
    uint64_t asks_at_ns;
    bool is_slow;           /* reads only what its window holds ... */
    uint64_t resumes_at_ns; /* ... until then; CLOCK_NEVER */
    uint64_t leaves_at_ns;  /* 0: stays, or has left */
};

struct round {
    struct sim *sim;
    struct world *world;
    const struct story *story;
    uint32_t number;
    uint32_t step;
    bool calm; /* the wires are good: nothing is excused by them */
    struct client_conn *conns[ROUND_CONNS];
    struct asker askers[ROUND_ASKERS_MAX];
    uint32_t count;
    uint32_t late;
    uint32_t groups; /* different questions */
    uint32_t principals;
    bool posts;
    uint32_t size;              /* of the answer */
    struct backend_plan answer; /* when nothing is wrong */
    uint32_t first_seen;        /* in the log */
    uint64_t began_at_ns;
    uint64_t wakes_at_ns; /* the story wants a turn; CLOCK_NEVER */
    uint64_t plays_until_ns;
    /* the stories' own */
    int64_t offset;         /* in the answer; -1: before its head */
    enum backend_act act;   /* how it breaks */
    uint64_t patience_ns;   /* from the offset to the end */
    uint64_t reached_at_ns; /* 0: not yet */
    uint64_t happened_at_ns;
    uint16_t region;
    bool dies; /* it falls silent; else it is reset */
    bool unshareable;
    bool is_event_stream; /* the answers are */
    uint32_t failures;    /* so many attempts of a flight fail */
};

/* Draw and run round NUMBER. Everybody has an end and was told no lie; else the run fails. */
void round_run(struct round *round, struct sim *sim, struct world *world, const struct story *story,
               uint32_t number, uint32_t step);

/* What backends have seen of this round. */
uint32_t round_seen_count(const struct round *round);
const struct backend_seen *round_seen(const struct round *round, uint32_t index);

/* The answer that ASKER was given the head of; NULL: none. */
const struct backend_seen *round_answer_of(const struct round *round, uint32_t asker);

/* The region whose backend has seen it. */
uint16_t round_region_of(const struct round *round, const struct backend_seen *seen);

/* Whether ASKER reads nothing for longer than flights wait for anybody (C15). */
bool round_is_too_slow(const struct round *round, uint32_t asker);

/* The asker whose request SEEN is; always one of the round. */
uint32_t round_leader_of(const struct round *round, const struct backend_seen *seen);
