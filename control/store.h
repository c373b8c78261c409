/*
 * store: where the agreed region state and the votes are kept. In this process's memory
 * (store_memory.c) or in Redis, shared by the nodes of a cluster (store_redis.c).
 *
 * Everything is asynchronous: nothing here waits, answers come by callback from the loop, or, from
 * memory, before the call returns. At most one change is under way. When Redis does not answer,
 * calls fail at once or after the command time-out, and the store tries to reconnect by itself.
 * Control thread.
 */
#pragma once

#include "control/loop.h"
#include "control/region_rules.h"

enum store_link {
    STORE_CONNECTING, /* first attempts */
    STORE_CONNECTED,  /* and it answers */
    STORE_LOST,       /* after five failures in a row: tried every 2 s */
};

/* What a beat has found. Lives for the call only. */
struct store_news {
    uint64_t now_ms; /* by the store's clock */
    bool empty;      /* no state is kept: a new database, or a wiped one */
    const struct region_state *state;
    const struct region_votes *votes; /* the own one included */
};

struct store_change {
    enum region_answer answer;
    const char *text; /* why, for people */
    uint64_t now_ms;
    const struct region_state *state; /* as it is after the change, or NULL: unknown */
};

/* One change of the agreed state, as the cluster's record tells it. No text is NULL. */
struct store_audit_entry {
    uint64_t unix_ms; /* by the store's clock */
    uint64_t epoch;
    const char *what; /* region_request_name() */
    const char *region;
    const char *from; /* automatic state before */
    const char *to;   /* ... after */
    const char *override;
    const char *why;
    const char *node;   /* that asked for it */
    const char *by;     /* the operator, or the node itself */
    const char *votes;  /* epochs in the votes that counted */
    const char *needed; /* how many had to agree */
    const char *despite;
};

#define STORE_AUDIT_MAX 256

/* The newest entries, the oldest of them first. Lives for the call only. */
struct store_audit {
    const char *failure; /* why there are none; NULL: that is all */
    uint32_t count;
    struct store_audit_entry entries[STORE_AUDIT_MAX];
};

struct store_events {
    void (*news)(void *context, const struct store_news *news);
    /* The answer to store_change(). `failed`: the store did not decide; it may yet have changed. */
    void (*changed)(void *context, bool failed, const struct store_change *change);
    /* The link's state has changed, or the reason why there is none. */
    void (*link)(void *context, enum store_link link, const char *text);
    /* A beat at once would bring news: the store was found, or something was changed. */
    void (*due)(void *context);
    /* The answer to store_audit(). */
    void (*audited)(void *context, const struct store_audit *audit);
    void *context;
};

struct store;

struct store_operations {
    void (*beat)(struct store *store, const struct region_vote *vote);
    void (*change)(struct store *store, const struct region_request *request);
    void (*apply)(struct store *store, const struct config *config,
                  const struct region_rules *rules);
    void (*audit)(struct store *store);
    void (*destroy)(struct store *store);
};

/* The beginning of either kind. */
struct store {
    const struct store_operations *operations;
    const char *kind; /* memory, redis */
};

/* CONFIG and RULES are used until the next store_apply(). NULL: no memory. */
struct store *store_memory_create(struct loop *loop, const struct config *config,
                                  const struct region_rules *rules,
                                  const struct store_events *events);
/* NULL: MESSAGE says why. */
struct store *store_redis_create(struct loop *loop, const struct config *config,
                                 const struct region_rules *rules,
                                 const struct store_events *events, char *message,
                                 size_t message_size);

/* Publish the vote and ask for what is there. No answer comes when the store cannot be reached. */
static inline void store_beat(struct store *store, const struct region_vote *vote)
{
    store->operations->beat(store, vote);
}

/* Ask for a change; `changed` answers in any case. None is under way. */
static inline void store_change(struct store *store, const struct region_request *request)
{
    store->operations->change(store, request);
}

/* Ask for the newest entries of the cluster's record; `audited` answers in any case. */
static inline void store_audit(struct store *store)
{
    store->operations->audit(store);
}

/* The configuration was replaced; the kind of store stays. */
static inline void store_apply(struct store *store, const struct config *config,
                               const struct region_rules *rules)
{
    store->operations->apply(store, config, rules);
}

/* No callback follows. NULL is allowed. */
static inline void store_destroy(struct store *store)
{
    if (store != NULL)
        store->operations->destroy(store);
}
