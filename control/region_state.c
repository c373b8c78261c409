#include "control/region_state.h"

#include "dataplane/base/check.h"

#include <stdio.h>
#include <string.h>

void region_state_init(struct region_state *state, const struct config *config)
{
    memset(state, 0, sizeof(*state));
    state->count = config->region_count;
    for (uint32_t i = 0; i < config->region_count; i++)
        snprintf(state->regions[i].name, sizeof(state->regions[i].name), "%s",
                 config->regions[i].name);
}

void region_state_reorder(struct region_state *state, const struct config *config)
{
    struct region_state old = *state;
    state->count = config->region_count;
    memset(state->regions, 0, sizeof(state->regions));
    for (uint32_t i = 0; i < config->region_count; i++) {
        struct region_record *record = &state->regions[i];
        int found = region_state_find(&old, config->regions[i].name);
        if (found >= 0)
            *record = old.regions[found];
        else
            snprintf(record->name, sizeof(record->name), "%s", config->regions[i].name);
    }
}

int region_state_find(const struct region_state *state, const char *name)
{
    for (uint32_t i = 0; i < state->count; i++)
        if (strcmp(state->regions[i].name, name) == 0)
            return (int)i;
    return -1;
}

bool region_is_active(const struct region_record *record)
{
    if (record->override != REGION_OVERRIDE_NONE)
        return record->override == REGION_OVERRIDE_FORCE_UP;
    return record->automatic != REGION_DOWN;
}

bool region_is_stopped(const struct region_state *state, uint64_t now_ms)
{
    return state->stopped != 0 &&
           (state->stopped_until_ms == 0 || now_ms < state->stopped_until_ms);
}

bool region_is_steady(enum region_automatic automatic)
{
    return automatic == REGION_UP || automatic == REGION_DEGRADED;
}

bool region_is_proposed(const struct region_record *record, uint64_t now_ms)
{
    return now_ms < record->proposed_until_ms;
}

uint32_t region_active_count(const struct region_state *state)
{
    uint32_t active = 0;
    for (uint32_t i = 0; i < state->count; i++)
        active += region_is_active(&state->regions[i]);
    return active;
}

const char *region_automatic_name(enum region_automatic automatic)
{
    static const char *const names[REGION_AUTOMATICS] = {
        [REGION_UP] = "up",     [REGION_DEGRADED] = "degraded",     [REGION_SUSPECT] = "suspect",
        [REGION_DOWN] = "down", [REGION_RECOVERING] = "recovering",
    };
    check(automatic < REGION_AUTOMATICS);
    return names[automatic];
}

const char *region_override_name(enum region_override override)
{
    static const char *const names[REGION_OVERRIDES] = {
        [REGION_OVERRIDE_NONE] = "none",
        [REGION_OVERRIDE_DRAIN] = "drain",
        [REGION_OVERRIDE_FORCE_UP] = "force_up",
        [REGION_OVERRIDE_FORCE_DOWN] = "force_down",
    };
    check(override < REGION_OVERRIDES);
    return names[override];
}

const char *region_effective_name(const struct region_record *record)
{
    if (record->override != REGION_OVERRIDE_NONE)
        return region_override_name(record->override);
    return region_automatic_name(record->automatic);
}

const char *region_mode_name(enum config_mode mode)
{
    static const char *const names[CONFIG_MODES] = {
        [CONFIG_MODE_AUTO] = "auto",
        [CONFIG_MODE_REVIEW] = "review",
        [CONFIG_MODE_MANUAL] = "manual",
    };
    check(mode < CONFIG_MODES);
    return names[mode];
}
