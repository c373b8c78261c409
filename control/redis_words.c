#include "control/redis_words.h"

#include "control/region_cas_lua.h"
#include "control/region_table.h"
#include "control/region_text.h"
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void redis_words_begin(struct redis_words *words)
{
    words->count = 0;
    words->used = 0;
}

void redis_words_add(struct redis_words *words, const char *format, ...)
{
    size_t room = sizeof(words->arena) - words->used;
    char *at = words->arena + words->used;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(at, room, format, arguments);
    va_end(arguments);
    check(length >= 0 && (size_t)length < room && words->count < REDIS_WORDS_MAX);
    words->at[words->count] = at;
    words->lengths[words->count++] = (size_t)length;
    words->used += (size_t)length + 1;
}

uint32_t redis_node_count(const struct config *config)
{
    uint32_t count = config->failover.node_count;
    if (count == 0)
        return 1;
    return count < REGION_NODES_MAX ? count : REGION_NODES_MAX;
}

const char *redis_node_name(const struct config *config, uint32_t index)
{
    return config->failover.node_count == 0 ? config->node : config->failover.nodes[index];
}

const char *redis_state_key(const struct config *config, char out[REDIS_KEY_MAX])
{
    snprintf(out, REDIS_KEY_MAX, "weir:{%s}:state", config->store.cluster);
    return out;
}

const char *redis_audit_key(const struct config *config, char out[REDIS_KEY_MAX])
{
    snprintf(out, REDIS_KEY_MAX, "weir:{%s}:audit", config->store.cluster);
    return out;
}

const char *redis_hint_channel(const struct config *config, char out[REDIS_KEY_MAX])
{
    snprintf(out, REDIS_KEY_MAX, "weir:{%s}:state:hint", config->store.cluster);
    return out;
}

const char *redis_vote_key(const struct config *config, const char *node, char out[REDIS_KEY_MAX])
{
    snprintf(out, REDIS_KEY_MAX, "weir:{%s}:vote:%s", config->store.cluster, node);
    return out;
}

uint64_t redis_vote_ms(const struct config *config)
{
    return config->failover.vote_gone_ns / CLOCK_MS;
}

static void add_keys(struct redis_words *words, const struct config *config)
{
    char key[REDIS_KEY_MAX];
    redis_words_add(words, "%u", 2 + redis_node_count(config));
    redis_words_add(words, "%s", redis_state_key(config, key));
    redis_words_add(words, "%s", redis_audit_key(config, key));
    for (uint32_t i = 0; i < redis_node_count(config); i++)
        redis_words_add(words, "%s", redis_vote_key(config, redis_node_name(config, i), key));
}

/* What the script is told of the rules, by name. */
#define RULE(member)                                                                               \
    {                                                                                              \
#member, offsetof(struct region_rules, member), sizeof(((struct region_rules *)0)->member) \
    }

static const struct {
    const char *name;
    size_t offset;
    size_t size; /* uint32_t, uint64_t or bool */
} numbers[] = {
    RULE(hard_ms),       RULE(down_ms),
    RULE(degraded_ms),   RULE(up_ms),
    RULE(clear_ms),      RULE(recover_ms),
    RULE(hold_down_ms),  RULE(hold_down_max_ms),
    RULE(ramp_step_ms),  RULE(ramp_steps),
    RULE(min_active),    RULE(down_interval_ms),
    RULE(correlated_ms), RULE(freeze_ms),
    RULE(fresh_ms),      RULE(roster),
    RULE(alone),         RULE(review_unless_hard),
    RULE(dry_run),       RULE(capacity_percent),
    RULE(proposal_ms),   RULE(quiet_ms),
    RULE(penalty),       RULE(penalty_out),
    RULE(penalty_back),  RULE(penalty_half_life_ms),
};

static uint64_t number_of(const struct region_rules *rules, size_t offset, size_t size)
{
    const char *at = (const char *)rules + offset;
    if (size == sizeof(uint64_t))
        return *(const uint64_t *)at;
    return size == sizeof(uint32_t) ? *(const uint32_t *)at : *(const bool *)at;
}

static void add_rules(struct redis_words *words, const struct config *config,
                      const struct region_rules *rules)
{
    for (size_t i = 0; i < array_count(numbers); i++)
        redis_words_add(words, "%s=%" PRIu64, numbers[i].name,
                        number_of(rules, numbers[i].offset, numbers[i].size));
    for (int e = 0; e < REGION_EVIDENCES; e++)
        redis_words_add(words, "percent_%s=%u", region_evidence_name((enum region_evidence)e),
                        rules->percents[e]);
    redis_words_add(words, "none_ms=0");
    redis_words_add(words, "gone_ms=%" PRIu64, redis_vote_ms(config));
    redis_words_add(words, "agreement=%016" PRIx64, rules->agreement);
}

static void add_modes(struct redis_words *words, const struct config *config,
                      const struct region_rules *rules)
{
    for (uint32_t i = 0; i < config->region_count; i++) {
        const char *name = config->regions[i].name;
        redis_words_add(words, "on_failure:%s=%s", name, region_mode_name(rules->on_failure[i]));
        redis_words_add(words, "on_recovery:%s=%s", name, region_mode_name(rules->on_recovery[i]));
    }
}

static void add_names(struct redis_words *words, const struct config *config)
{
    char regions[SNAPSHOT_REGIONS_MAX * (CONFIG_NAME_MAX + 1)] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < config->region_count; i++)
        used += (size_t)snprintf(regions + used, sizeof(regions) - used, "%s ",
                                 config->regions[i].name);
    redis_words_add(words, "regions=%s", regions);
    redis_words_add(words, "node=%s", config->node);
    for (uint32_t i = 0; i < redis_node_count(config); i++)
        if (strcmp(redis_node_name(config, i), config->node) == 0)
            redis_words_add(words, "self=%u", 3 + i); /* the index of its key, from 1 */
}

static void add_field(void *context, const char *field, const char *value)
{
    redis_words_add(context, "field:%s=%s", field, value);
}

static void add_request(struct redis_words *words, const struct config *config,
                        const struct region_request *request)
{
    char despite[REGION_RULES_TEXT_MAX];
    redis_words_add(words, "op=%s", region_request_name(request->kind));
    if (region_request_is_of_region(request->kind))
        redis_words_add(words, "region=%s", config->regions[request->region].name);
    redis_words_add(words, "to=%s", region_automatic_name(request->to));
    redis_words_add(words, "ttl_ms=%" PRIu64, request->ttl_ms);
    redis_words_add(words, "despite=%s", region_rules_text(request->despite, despite));
    redis_words_add(words, "by=%s", request->by);
    redis_words_add(words, "epoch=%" PRIu64, request->epoch);
    redis_words_add(words, "change_id=%s", request->change_id);
    redis_words_add(words, "new_change_id=%s", request->new_change_id);
    redis_words_add(words, "new_incarnation=%s", request->new_incarnation);
    if (request->content != NULL)
        region_text_put(request->content, add_field, words);
}

void redis_words_change(struct redis_words *words, const struct config *config,
                        const struct region_rules *rules, const struct region_request *request)
{
    redis_words_begin(words);
    redis_words_add(words, "EVAL");
    redis_words_add(words, "%s", region_cas_lua);
    add_keys(words, config);
    add_rules(words, config, rules);
    add_modes(words, config, rules);
    add_names(words, config);
    add_request(words, config, request);
}
