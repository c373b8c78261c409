/*
 * sim: one run of a scenario: everything in it is drawn from the seed, time is virtual, and what
 * happens is hashed: the same seed gives the same hash. Scenarios fail by sim_fail() only.
 *
 * A run has two phases. In the first anything may break and the invariants must hold; then the
 * faults stop and everything has to finish within a bounded time.
 */
#pragma once

#include "dataplane/base/random.h"
#include "tests/support/wire.h"

#include <stdbool.h>
#include <stdint.h>

struct flow_check;

struct sim {
    const char *scenario;
    uint64_t seed;
    struct random random; /* for what the scenario draws */
    uint64_t now;
    uint64_t hash; /* of all that happened so far */
    uint64_t frames;
    bool is_told; /* --trace: each thing that happens is printed */
    void *pcap;   /* FILE; NULL: none */
    struct flow_check *flows;
    bool has_cookies; /* a connection may be made from nothing but an ACK */
    /* HTTP/2: seen by h2_check, and the largest windows that may be open; 0: not known. */
    uint32_t h2_connections;
    uint64_t h2_frames;
    int64_t h2_stream_window;
    int64_t h2_connection_window;
};

struct sim_scenario {
    const char *name;
    void (*run)(struct sim *sim);
    uint32_t seeds; /* for an ordinary test run */
};

extern const struct sim_scenario sim_tcp;
extern const struct sim_scenario sim_peer;
extern const struct sim_scenario sim_h2;
extern const struct sim_scenario sim_world;
extern const struct sim_scenario sim_coalesce;
extern const struct sim_scenario sim_nodes;

/* The run failed: scenario, seed, time, WHAT, and how to repeat it are printed. The process ends.
 */
_Noreturn void sim_fail(struct sim *sim, const char *what, ...)
    __attribute__((format(printf, 2, 3)));

#define sim_require(sim, condition)                                                                \
    (__builtin_expect(!(condition), 0)                                                             \
         ? sim_fail(sim, "%s (%s:%d)", #condition, __FILE__, __LINE__)                             \
         : (void)0)

/* Something happened above TCP: part of the hash and of the told story. */
void sim_note(struct sim *sim, const char *what, ...) __attribute__((format(printf, 2, 3)));

/* Only told, for what follows from the rest. */
void sim_tell(struct sim *sim, const char *what, ...) __attribute__((format(printf, 2, 3)));

/* Numbers into the hash. */
void sim_hash(struct sim *sim, uint64_t value);

/*
 * Record, hash and check every frame of WIRE. Bit N of TESTED: end N has to keep all the rules of
 * flow_check.h.
 */
void sim_watch(struct sim *sim, struct wire *wire, uint32_t tested);

/* Drawing. Inclusive bounds. */
uint32_t sim_draw(struct sim *sim, uint32_t least, uint32_t most);
/* Small values as likely as large ones: the exponent is drawn. LEAST at least 1. */
uint32_t sim_draw_log(struct sim *sim, uint32_t least, uint32_t most);
bool sim_one_in(struct sim *sim, uint32_t n);
