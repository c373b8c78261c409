#include "control/region_text.h"

#include "dataplane/base/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELD_MAX_MS 1000000000

enum field_kind {
    FIELD_U64,
    FIELD_U32,
    FIELD_TEXT,
    FIELD_AUTOMATIC,
    FIELD_OVERRIDE,
    FIELD_REQUEST,
};

struct field {
    const char *name;
    enum field_kind kind;
    size_t offset;
    size_t size;
};

#define STATE(member)                                                                              \
    offsetof(struct region_state, member), sizeof(((struct region_state *)0)->member)
#define RECORD(member)                                                                             \
    offsetof(struct region_record, member), sizeof(((struct region_record *)0)->member)

#define ORDER(member)                                                                              \
    offsetof(struct region_local_order, member), sizeof(((struct region_local_order *)0)->member)

static const struct field state_fields[] = {
    {"epoch", FIELD_U64, STATE(epoch)},
    {"change_id", FIELD_TEXT, STATE(change_id)},
    {"incarnation", FIELD_TEXT, STATE(incarnation)},
    {"decided_by", FIELD_TEXT, STATE(decided_by)},
    {"reason", FIELD_TEXT, STATE(reason)},
    {"stopped", FIELD_U32, STATE(stopped)},
    {"stopped_until", FIELD_U64, STATE(stopped_until_ms)},
    {"admit", FIELD_U64, STATE(admit)},
    {"last_down", FIELD_U64, STATE(last_down_ms)},
    {"frozen_until", FIELD_U64, STATE(frozen_until_ms)},
    {"frozen_times", FIELD_U32, STATE(frozen_times)},
};

/* Each is region:<name>:<field>. */
static const struct field record_fields[] = {
    {"auto", FIELD_AUTOMATIC, RECORD(automatic)},
    {"before", FIELD_AUTOMATIC, RECORD(before)},
    {"override", FIELD_OVERRIDE, RECORD(override)},
    {"expires", FIELD_U64, RECORD(expires_ms)},
    {"since", FIELD_U64, RECORD(since_ms)},
    {"downs", FIELD_U32, RECORD(downs)},
    {"hold_down_until", FIELD_U64, RECORD(hold_down_until_ms)},
    {"step", FIELD_U32, RECORD(ramp_step)},
    {"step_since", FIELD_U64, RECORD(step_since_ms)},
    {"penalty", FIELD_U32, RECORD(penalty)},
    {"penalty_at", FIELD_U64, RECORD(penalty_at_ms)},
    {"kept_out", FIELD_U32, RECORD(kept_out)},
    {"reason", FIELD_TEXT, RECORD(reason)},
    {"proposed", FIELD_AUTOMATIC, RECORD(proposed)},
    {"proposed_until", FIELD_U64, RECORD(proposed_until_ms)},
    {"rejected_until", FIELD_U64, RECORD(rejected_until_ms)},
    {"evidence", FIELD_TEXT, RECORD(evidence)},
};

/* Each is local:<name>:<field>. */
static const struct field order_fields[] = {
    {"order", FIELD_REQUEST, ORDER(kind)},     {"override", FIELD_OVERRIDE, ORDER(override)},
    {"despite", FIELD_U32, ORDER(despite)},    {"ramps", FIELD_U32, ORDER(ramps)},
    {"since", FIELD_U64, ORDER(since_ms)},     {"expires", FIELD_U64, ORDER(expires_ms)},
    {"offered", FIELD_U64, ORDER(offered_ms)}, {"by", FIELD_TEXT, ORDER(by)},
};

/* Texts stand on one line everywhere. */
static void put_text(char out[REGION_VALUE_MAX], const char *text)
{
    size_t i = 0;
    for (; text[i] != '\0' && i < REGION_VALUE_MAX - 1; i++)
        out[i] = (unsigned char)text[i] < ' ' ? '?' : text[i];
    out[i] = '\0';
}

static void put_value(char out[REGION_VALUE_MAX], const struct field *field, const char *base)
{
    const void *at = base + field->offset;
    switch (field->kind) {
    case FIELD_U64:
        snprintf(out, REGION_VALUE_MAX, "%" PRIu64, *(const uint64_t *)at);
        return;
    case FIELD_U32:
        snprintf(out, REGION_VALUE_MAX, "%" PRIu32, *(const uint32_t *)at);
        return;
    case FIELD_TEXT:
        put_text(out, at);
        return;
    case FIELD_AUTOMATIC:
        put_text(out, region_automatic_name(*(const enum region_automatic *)at));
        return;
    case FIELD_OVERRIDE:
        put_text(out, region_override_name(*(const enum region_override *)at));
        return;
    case FIELD_REQUEST:
        put_text(out, region_request_name(*(const enum region_request_kind *)at));
        return;
    }
}

/* Every field of the record named NAME at BASE. */
static void put_record(const struct field *fields, size_t count, const char *prefix,
                       const char *name, const void *base,
                       void (*put)(void *context, const char *field, const char *value),
                       void *context)
{
    char field[REGION_FIELD_MAX];
    char value[REGION_VALUE_MAX];
    for (size_t f = 0; f < count; f++) {
        snprintf(field, sizeof(field), "%s:%s:%s", prefix, name, fields[f].name);
        put_value(value, &fields[f], base);
        put(context, field, value);
    }
}

void region_text_put(const struct region_state *state,
                     void (*put)(void *context, const char *field, const char *value),
                     void *context)
{
    char value[REGION_VALUE_MAX];
    for (size_t f = 0; f < array_count(state_fields); f++) {
        put_value(value, &state_fields[f], (const char *)state);
        put(context, state_fields[f].name, value);
    }
    for (uint32_t i = 0; i < state->count; i++)
        put_record(record_fields, array_count(record_fields), "region", state->regions[i].name,
                   &state->regions[i], put, context);
}

void region_text_put_local(const struct region_local *local,
                           void (*put)(void *context, const char *field, const char *value),
                           void *context)
{
    for (uint32_t i = 0; i < local->count; i++)
        put_record(order_fields, array_count(order_fields), "local", local->orders[i].name,
                   &local->orders[i], put, context);
}

static bool read_number(const char *text, uint64_t max, uint64_t *out)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && *out <= max;
}

static bool take_automatic(enum region_automatic *out, const char *value)
{
    for (unsigned i = 0; i < REGION_AUTOMATICS; i++) {
        if (strcmp(value, region_automatic_name((enum region_automatic)i)) != 0)
            continue;
        *out = (enum region_automatic)i;
        return true;
    }
    return false;
}

static bool take_override(enum region_override *out, const char *value)
{
    for (unsigned i = 0; i < REGION_OVERRIDES; i++) {
        if (strcmp(value, region_override_name((enum region_override)i)) != 0)
            continue;
        *out = (enum region_override)i;
        return true;
    }
    return false;
}

static bool take_request(enum region_request_kind *out, const char *value)
{
    for (unsigned i = 0; i < REGION_REQUESTS; i++) {
        enum region_request_kind kind = (enum region_request_kind)i;
        if (!region_local_takes(kind) || strcmp(value, region_request_name(kind)) != 0)
            continue;
        *out = kind;
        return true;
    }
    return false;
}

static bool take_value(const struct field *field, char *base, const char *value)
{
    void *at = base + field->offset;
    uint64_t number;
    switch (field->kind) {
    case FIELD_U64: /* half the range: sums of two times and durations cannot overflow */
        return read_number(value, INT64_MAX, at);
    case FIELD_U32:
        if (!read_number(value, UINT32_MAX / 2, &number))
            return false;
        *(uint32_t *)at = (uint32_t)number;
        return true;
    case FIELD_TEXT:
        if (strlen(value) >= field->size)
            return false;
        strcpy(at, value);
        return true;
    case FIELD_AUTOMATIC:
        return take_automatic(at, value);
    case FIELD_OVERRIDE:
        return take_override(at, value);
    case FIELD_REQUEST:
        return take_request(at, value);
    }
    return false;
}

static bool take_from(const struct field *fields, size_t count, const char *name, char *base,
                      const char *value)
{
    for (size_t f = 0; f < count; f++)
        if (strcmp(fields[f].name, name) == 0)
            return take_value(&fields[f], base, value);
    return true;
}

/* The name in `<prefix>:<name>:<field>` and what follows it, or NULL. */
static const char *split_field(const char *field, const char *prefix, char name[CONFIG_NAME_MAX])
{
    size_t skipped = strlen(prefix);
    const char *end = strrchr(field, ':');
    if (strncmp(field, prefix, skipped) != 0 || end < field + skipped ||
        (size_t)(end - field) - skipped >= CONFIG_NAME_MAX)
        return NULL;
    size_t length = (size_t)(end - field) - skipped;
    memcpy(name, field + skipped, length);
    name[length] = '\0';
    return end + 1;
}

bool region_text_take(struct region_state *state, const char *field, const char *value)
{
    char name[CONFIG_NAME_MAX];
    const char *rest = split_field(field, "region:", name);
    if (rest == NULL)
        return take_from(state_fields, array_count(state_fields), field, (char *)state, value);
    int index = region_state_find(state, name);
    return index < 0 || take_from(record_fields, array_count(record_fields), rest,
                                  (char *)&state->regions[index], value);
}

bool region_text_take_local(struct region_local *local, const char *field, const char *value)
{
    char name[CONFIG_NAME_MAX];
    const char *rest = split_field(field, "local:", name);
    if (rest == NULL)
        return true;
    struct region_local_order *order = region_local_named(local, name);
    return order != NULL &&
           take_from(order_fields, array_count(order_fields), rest, (char *)order, value);
}

const char *region_text_put_vote(const struct region_vote *vote, const struct region_state *state,
                                 char out[REGION_VOTE_MAX])
{
    int used =
        snprintf(out, REGION_VOTE_MAX, "v3 %" PRIu64 " %s %d %016" PRIx64, vote->epoch,
                 vote->change_id[0] == '\0' ? "-" : vote->change_id, vote->blind, vote->agreement);
    for (uint32_t i = 0; i < state->count; i++) {
        const struct region_opinion *opinion = &vote->regions[i];
        used +=
            snprintf(out + used, (size_t)(REGION_VOTE_MAX - used), " %s=%u:%u:%" PRIu64 ":%" PRId64,
                     state->regions[i].name, opinion->available_permille, opinion->usable,
                     opinion->in_flight, opinion->capacity);
        for (int e = 0; e < REGION_EVIDENCES; e++)
            used +=
                snprintf(out + used, (size_t)(REGION_VOTE_MAX - used), ":%d", opinion->held_ms[e]);
        check(used < REGION_VOTE_MAX);
    }
    return out;
}

static bool take_held(const char **text, int32_t *out)
{
    char *end;
    if (**text != ':')
        return false;
    long value = strtol(*text + 1, &end, 10);
    if (end == *text + 1 || value < REGION_NOT_HELD || value > HELD_MAX_MS)
        return false;
    *out = (int32_t)value;
    *text = end;
    return true;
}

/* <permille>:<usable>:<in flight>:<capacity>:<held>:<held>... */
static bool take_opinion(struct region_opinion *opinion, const char *text)
{
    int used = 0;
    if (sscanf(text, "%4" SCNu32 ":%9" SCNu32 ":%18" SCNu64 ":%10" SCNd64 "%n",
               &opinion->available_permille, &opinion->usable, &opinion->in_flight,
               &opinion->capacity, &used) != 4 ||
        opinion->capacity < REGION_CAPACITY_UNKNOWN)
        return false;
    text += used;
    for (int e = 0; e < REGION_EVIDENCES; e++)
        if (!take_held(&text, &opinion->held_ms[e]))
            return false;
    return *text == '\0';
}

static bool take_word(struct region_vote *vote, const struct region_state *state, char *word)
{
    char *equal = strchr(word, '=');
    if (equal == NULL)
        return false;
    *equal = '\0';
    int index = region_state_find(state, word);
    return index < 0 || take_opinion(&vote->regions[index], equal + 1);
}

bool region_text_take_vote(struct region_vote *vote, const struct region_state *state,
                           const char *text)
{
    char copy[REGION_VOTE_MAX];
    unsigned blind;
    int used = 0;
    *vote = (struct region_vote){0};
    for (uint32_t i = 0; i < state->count; i++) {
        vote->regions[i].capacity = REGION_CAPACITY_UNKNOWN;
        for (int e = 0; e < REGION_EVIDENCES; e++)
            vote->regions[i].held_ms[e] = REGION_NOT_HELD;
    }
    if (strlen(text) >= sizeof(copy) ||
        sscanf(text, "v3 %18" SCNu64 " %16s %1u %16" SCNx64 "%n", &vote->epoch, vote->change_id,
               &blind, &vote->agreement, &used) != 4)
        return false;
    vote->blind = blind != 0;
    if (strcmp(vote->change_id, "-") == 0)
        vote->change_id[0] = '\0';
    strcpy(copy, text + used);
    char *rest = NULL;
    for (char *word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        if (!take_word(vote, state, word))
            return false;
    return true;
}
