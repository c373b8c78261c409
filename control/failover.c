/*
 * failover: life, health and the verdicts.
 */
#include "control/failover_internal.h"
#include "control/vote_due.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEAT_JITTER_PERMILLE 200u
#define VOTE_SPACING_NS      (100 * CLOCK_MS) /* of votes that are due before their beat */

static void remember(struct failover *failover, const char *text)
{
    struct failover_line *line = &failover->lines[failover->line_count++ % FAILOVER_LINES];
    line->unix_ms = loop_unix_ms(failover->loop);
    snprintf(line->text, sizeof(line->text), "%s", text);
}

void failover_say(struct failover *failover, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    remember(failover, text);
    failover->host.event(failover->host.context, text);
}

void failover_publish(struct failover *failover)
{
    loop_timer_at(failover->publish_timer, loop_now_ns(failover->loop));
}

void failover_refresh(struct failover *failover)
{
    if (failover_tell(failover, false))
        failover_publish(failover);
}

static void publish(void *context, uint64_t now)
{
    struct failover *failover = context;
    failover->host.changed(failover->host.context);
}

/* Health and verdicts. */

/* Vote before the next beat is due when there is something to say. */
static void plan_vote(struct failover *failover)
{
    uint64_t soonest_ns = failover->voted_at_ns + VOTE_SPACING_NS;
    uint64_t due_ns = CLOCK_NEVER;
    for (uint32_t i = 0; i < failover->config->region_count; i++) {
        uint64_t region_ns =
            vote_due_ns(&failover->rules, &failover->verdicts[i],
                        failover->agreed.regions[i].automatic, failover->voted_at_ns);
        due_ns = region_ns < due_ns ? region_ns : due_ns;
    }
    if (due_ns == CLOCK_NEVER)
        loop_timer_stop(failover->vote_timer);
    else
        loop_timer_at(failover->vote_timer, due_ns > soonest_ns ? due_ns : soonest_ns);
}

static void look(struct failover *failover, uint64_t now)
{
    struct verdict_members members[SNAPSHOT_REGIONS_MAX];
    health_members(failover->health, members);
    for (uint32_t i = 0; i < failover->config->region_count; i++) {
        struct health_tries tries = health_take_tries(failover->health, i);
        verdict_tried(&failover->verdicts[i], now, tries.successes, tries.failures);
        verdict_asked(&failover->verdicts[i], now, failover->agreed.regions[i].automatic,
                      tries.requests, tries.errors);
        verdict_answered(&failover->verdicts[i], now, failover->agreed.regions[i].automatic,
                         tries.first_bytes);
        verdict_update(&failover->verdicts[i], now, &members[i], &failover->config->failover);
    }
    failover_refresh(failover);
    plan_vote(failover);
    loop_timer_at(failover->probe_timer, health_due_ns(failover->health));
}

static void probe(void *context, uint64_t now)
{
    struct failover *failover = context;
    health_tick(failover->health, now);
    look(failover, now);
}

void failover_probed(struct failover *failover, const struct probe_result *result)
{
    uint64_t now = loop_now_ns(failover->loop);
    health_probed(failover->health, result, now);
    look(failover, now);
}

void failover_observe(struct failover *failover, const struct backend_loads *sums)
{
    uint64_t now = loop_now_ns(failover->loop);
    health_observe(failover->health, sums, now);
    look(failover, now);
}

/* Beats. */

static void beat(void *context, uint64_t now)
{
    struct failover *failover = context;
    uint64_t interval_ns = failover->config->failover.vote_interval_ns;
    uint64_t thousandth = interval_ns / 1000;
    uint32_t jitter = random_below(&failover->random, 2 * BEAT_JITTER_PERMILLE + 1);
    loop_timer_at(failover->beat_timer, now + thousandth * (1000 - BEAT_JITTER_PERMILLE + jitter));
    failover->voted_at_ns = now;
    look(failover, now);
    if (failover_tell(failover, true))
        failover_publish(failover);
    failover_agree_beat(failover, now);
}

static void act(void *context, uint64_t now)
{
    failover_agree_act(context, now);
}

/*
 * Nobody looked for a while: what verdicts rest on may be of before, and so may the votes we know.
 * The next beat tells an opinion that begins now.
 */
void failover_resumed(struct failover *failover, uint64_t absent_for_ns)
{
    uint64_t now = loop_now_ns(failover->loop);
    for (uint32_t i = 0; i < failover->config->region_count; i++)
        verdict_forget(&failover->verdicts[i], now);
    failover_agree_resume(failover, now);
    failover_say(failover, "not run for %" PRIu64 " ms: the verdicts on regions begin anew",
                 (uint64_t)(absent_for_ns / CLOCK_MS));
}

/* Life. */

static bool create_parts(struct failover *failover, uint64_t now)
{
    uint64_t seed = failover->host.seed;
    if (seed == 0)
        random_secret(&seed, sizeof(seed));
    random_seed(&failover->random, seed);
    failover->probe_timer = loop_timer(failover->loop, probe, failover);
    failover->beat_timer = loop_timer(failover->loop, beat, failover);
    failover->vote_timer = loop_timer(failover->loop, beat, failover);
    failover->act_timer = loop_timer(failover->loop, act, failover);
    failover->publish_timer = loop_timer(failover->loop, publish, failover);
    failover->health = health_create(&failover->host, seed);
    for (uint32_t i = 0; i < SNAPSHOT_REGIONS_MAX; i++)
        verdict_init(&failover->verdicts[i], now);
    return failover->probe_timer != NULL && failover->beat_timer != NULL &&
           failover->vote_timer != NULL && failover->act_timer != NULL &&
           failover->publish_timer != NULL && failover->health != NULL;
}

struct failover *failover_create(struct loop *loop, const struct config *config,
                                 const struct failover_host *host, char *message,
                                 size_t message_size)
{
    uint64_t now = loop_now_ns(loop);
    struct failover *failover = calloc(1, sizeof(*failover));
    snprintf(message, message_size, "no memory");
    if (failover == NULL)
        return NULL;
    failover->loop = loop;
    failover->config = config;
    failover->host = *host;
    failover->unix_ms_at_zero = loop_unix_ms(loop) - now / CLOCK_MS;
    region_rules_init(&failover->rules, config);
    region_state_init(&failover->agreed, config);
    if (!create_parts(failover, now) || failover_agree_open(failover, message, message_size) != 0) {
        failover_destroy(failover);
        return NULL;
    }
    health_apply(failover->health, config, now);
    (void)failover_tell(failover, true); /* the caller publishes what is so at the start */
    loop_timer_at(failover->probe_timer, health_due_ns(failover->health));
    loop_timer_at(failover->beat_timer, now);
    message[0] = '\0';
    return failover;
}

void failover_destroy(struct failover *failover)
{
    if (failover == NULL)
        return;
    failover_agree_close(failover);
    health_destroy(failover->health);
    loop_timer_destroy(failover->probe_timer);
    loop_timer_destroy(failover->beat_timer);
    loop_timer_destroy(failover->vote_timer);
    loop_timer_destroy(failover->act_timer);
    loop_timer_destroy(failover->publish_timer);
    free(failover);
}

/* Verdicts stay with the names of their regions, which `agreed` still has in the old order. */
static void keep_verdicts(struct failover *failover, const struct config *config, uint64_t now)
{
    struct verdict old[SNAPSHOT_REGIONS_MAX];
    memcpy(old, failover->verdicts, sizeof(old));
    for (uint32_t i = 0; i < config->region_count; i++) {
        int before = region_state_find(&failover->agreed, config->regions[i].name);
        if (before >= 0)
            failover->verdicts[i] = old[before];
        else
            verdict_init(&failover->verdicts[i], now);
    }
}

void failover_apply(struct failover *failover, const struct config *config)
{
    uint64_t now = loop_now_ns(failover->loop);
    keep_verdicts(failover, config, now);
    failover->config = config;
    failover->shares = (struct region_shares){0};
    memset(failover->expiry_held, 0, sizeof(failover->expiry_held));
    region_rules_init(&failover->rules, config);
    failover_agree_apply(failover, config);
    health_apply(failover->health, config, now);
    look(failover, now);
    (void)failover_tell(failover, true); /* the caller publishes */
}

uint32_t failover_backend_weight(const struct failover *failover, uint32_t slot)
{
    check(slot < SNAPSHOT_BACKENDS_MAX);
    return health_weight(failover->health, slot);
}

bool failover_backend_usable(const struct failover *failover, uint32_t slot)
{
    check(slot < SNAPSHOT_BACKENDS_MAX);
    return health_is_usable(failover->health, slot);
}
