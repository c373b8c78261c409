/*
 * store_memory: the store of a node that is alone. Answers come before the calls return. The time
 * is unix time as of the start, moved on by the loop's clock: it never jumps.
 */
#include "control/store.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"

#include <stdlib.h>

struct store_memory {
    struct store store;
    struct loop *loop;
    const struct config *config;
    const struct region_rules *rules;
    struct store_events events;
    uint64_t unix_ms_at_zero;
    struct region_state state;
    struct region_votes votes; /* the own one */
};

static struct store_memory *of(struct store *store)
{
    return container_of(store, struct store_memory, store);
}

static uint64_t now_ms(const struct store_memory *memory)
{
    return memory->unix_ms_at_zero + loop_now_ns(memory->loop) / CLOCK_MS;
}

static void beat(struct store *store, const struct region_vote *vote)
{
    struct store_memory *memory = of(store);
    memory->votes.count = 1;
    memory->votes.votes[0] = *vote;
    memory->votes.votes[0].age_ms = 0;
    struct store_news news = {.now_ms = now_ms(memory),
                              .empty = memory->state.epoch == 0,
                              .state = &memory->state,
                              .votes = &memory->votes};
    memory->events.news(memory->events.context, &news);
}

static void change(struct store *store, const struct region_request *request)
{
    struct store_memory *memory = of(store);
    uint64_t now = now_ms(memory);
    enum region_answer answer =
        region_rules_decide(memory->rules, &memory->state, &memory->votes, now, request);
    struct store_change done = {.answer = answer,
                                .text = answer == REGION_DONE ? memory->state.reason
                                                              : region_answer_text(answer),
                                .now_ms = now,
                                .state = &memory->state};
    memory->events.changed(memory->events.context, false, &done);
}

static void apply(struct store *store, const struct config *config,
                  const struct region_rules *rules)
{
    struct store_memory *memory = of(store);
    memory->config = config;
    memory->rules = rules;
    memory->votes.count = 0; /* of other regions, perhaps; the next beat brings one */
    region_state_reorder(&memory->state, config);
}

/* Nobody else changes anything here: the node's own lines are the record. */
static void audit(struct store *store)
{
    static const struct store_audit none = {.failure = "the store is this process's memory"};
    struct store_memory *memory = of(store);
    memory->events.audited(memory->events.context, &none);
}

static void destroy(struct store *store)
{
    free(of(store));
}

struct store *store_memory_create(struct loop *loop, const struct config *config,
                                  const struct region_rules *rules,
                                  const struct store_events *events)
{
    static const struct store_operations operations = {beat, change, apply, audit, destroy};
    struct store_memory *memory = calloc(1, sizeof(*memory));
    if (memory == NULL)
        return NULL;
    *memory = (struct store_memory){
        .store = {&operations, "memory"},
        .loop = loop,
        .config = config,
        .rules = rules,
        .events = *events,
        .unix_ms_at_zero = loop_unix_ms(loop) - loop_now_ns(loop) / CLOCK_MS,
    };
    region_state_init(&memory->state, config);
    return &memory->store;
}
