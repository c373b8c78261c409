/*
 * failover_internal: what failover.c (life, health), failover_agree.c (the agreed state),
 * failover_local.c (orders of this node alone), failover_audit.c (the cluster's record),
 * failover_tell.c (what workers are told) and failover_view.c (what operators see) share. Control
 * thread.
 *
 * Timers: `probe` at the next due probe or end of an ejection; `beat` every vote interval with
 * jitter, and at once when the store is found; `vote` when a vote says something new before that;
 * `act` at the next turn, to ask for the next change;
 * `publish` at the next turn, so that many changes make one snapshot.
 */
#pragma once

#include "control/failover.h"
#include "control/health.h"
#include "control/region_shares.h"
#include "control/region_snapshot.h"
#include "control/store.h"
#include "control/verdict.h"

#define FAILOVER_COMMANDS_MAX 16
#define FAILOVER_TEXT_MAX     256

/* Something that was said. */
struct failover_line {
    uint64_t unix_ms;
    char text[FAILOVER_TEXT_MAX];
};

/* An operator's command that waits for the store, or is with it. */
struct failover_waiting {
    struct region_request request;
    failover_done *done;
    void *context;
};

/* One who waits for the cluster's record. */
struct failover_reader {
    failover_audited *done;
    void *context;
};

/* What workers were told last of a region. */
struct failover_told {
    bool active;
    bool suspect;
    uint16_t share_permille;
    uint32_t capacity;
};

struct failover {
    struct loop *loop;
    const struct config *config;
    struct failover_host host;
    struct region_rules rules;
    struct random random;
    uint64_t unix_ms_at_zero; /* of this host */
    struct loop_timer *probe_timer;
    struct loop_timer *beat_timer;
    struct loop_timer *vote_timer;
    struct loop_timer *act_timer;
    struct loop_timer *publish_timer;

    struct health *health;
    struct verdict verdicts[SNAPSHOT_REGIONS_MAX];
    struct region_demand demands[SNAPSHOT_REGIONS_MAX];
    struct region_shares shares;
    uint16_t shares_permille[SNAPSHOT_REGIONS_MAX];
    struct failover_told told[SNAPSHOT_REGIONS_MAX];
    bool panic;
    uint32_t node_flights;
    bool blind; /* as last voted */
    uint64_t line_count;
    struct failover_line lines[FAILOVER_LINES]; /* a ring */

    struct store *store;
    uint64_t voted_at_ns;
    enum store_link link;
    char link_text[FAILOVER_TEXT_MAX];
    uint64_t connected_at_ns;
    uint64_t news_at_ns; /* when the store last answered; the start, at first */
    bool news_came;      /* since the configuration was applied */
    bool lost;           /* for so long that nothing is changed: said already */
    uint64_t store_ms_at_zero;
    struct region_state stored;
    struct region_votes votes;
    struct region_state agreed;
    struct region_local local;  /* orders of this node alone */
    struct region_state routed; /* what this node routes by: agreed, and local over it */
    struct region_proposal proposals[SNAPSHOT_REGIONS_MAX];
    bool expiry_held[SNAPSHOT_REGIONS_MAX]; /* an override has expired, and S1 forbids its end */
    uint64_t expiries_held;
    bool changing;         /* a request is with the store */
    bool changing_command; /* ... and it is commands[0] */
    uint32_t command_count;
    struct failover_waiting commands[FAILOVER_COMMANDS_MAX];
    uint32_t reader_count; /* all are given the answer to one question */
    struct failover_reader readers[FAILOVER_COMMANDS_MAX];

    struct region_snapshot *disk; /* NULL: none */
    uint64_t saved_at_ns;
    int disk_error;
};

/* failover.c */

__attribute__((format(printf, 2, 3))) void failover_say(struct failover *failover,
                                                        const char *format, ...);
/* Compare with what workers were told; order a snapshot when it differs. */
void failover_refresh(struct failover *failover);
/* A snapshot at the next turn. */
void failover_publish(struct failover *failover);

/* failover_tell.c */

/* Take what is found as told; AGAIN: a beat, on which shares move. Whether anything differs. */
bool failover_tell(struct failover *failover, bool again);

/* failover_agree.c */

/* Load the last agreed state, open the store. 0, or -1 with MESSAGE. */
int failover_agree_open(struct failover *failover, char *message, size_t message_size);
void failover_agree_close(struct failover *failover);
void failover_agree_apply(struct failover *failover, const struct config *config);
/* Votes and news of before are not counted on; the store's silence begins now. */
void failover_agree_resume(struct failover *failover, uint64_t now);
/* Publish the vote; notice a store that is silent for too long. */
void failover_agree_beat(struct failover *failover, uint64_t now);
/* Ask the store for the change that is due, if any. */
void failover_agree_act(struct failover *failover, uint64_t now);
/* Keep what is agreed and local on disk. */
void failover_agree_save(struct failover *failover, uint64_t now);
/* The store's time. */
uint64_t failover_store_ms(const struct failover *failover);
/* This host's time. */
uint64_t failover_unix_ms(const struct failover *failover);

/* failover_audit.c */

/* Answer all who wait for the record. */
void failover_audit_end(struct failover *failover, const struct store_audit *audit);

/* failover_local.c */

/* An order of this node alone, while the store is away; approve and reject are of offers. */
void failover_local_command(struct failover *failover, const struct failover_order *order,
                            const struct region_request *request, failover_done *done,
                            void *context);
/* The store has answered: orders are in force no more, and are offered. */
void failover_local_offer(struct failover *failover);
/* All nodes have got an order for a region, or for automation: what was offered is done with. */
void failover_local_note(struct failover *failover, const struct region_state *before);
/* Orders and offers end by time. */
void failover_local_beat(struct failover *failover);
/* Make `routed` anew. */
void failover_local_route(struct failover *failover);
