#include "control/store_redis_audit.h"

#include "dataplane/base/check.h"

#include <stdlib.h>
#include <string.h>

#define TEXT(name)                                                                                 \
    {                                                                                              \
#name, offsetof(struct store_audit_entry, name)                                            \
    }

/* Fields of an entry, as control/region_cas.lua writes them; `epoch` is a number. */
static const struct {
    const char *name;
    size_t offset;
} texts[] = {
    TEXT(what), TEXT(region), TEXT(from),  TEXT(to),     TEXT(override), TEXT(why),
    TEXT(node), TEXT(by),     TEXT(votes), TEXT(needed), TEXT(despite),
};
#undef TEXT

static bool is_text(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING && strlen(reply->str) == (size_t)reply->len;
}

static const char **text_at(struct store_audit_entry *entry, size_t index)
{
    return (const char **)((char *)entry + texts[index].offset);
}

static void take_field(struct store_audit_entry *entry, const char *name, const char *value)
{
    if (strcmp(name, "epoch") == 0)
        entry->epoch = strtoull(value, NULL, 10);
    for (size_t i = 0; i < array_count(texts); i++)
        if (strcmp(texts[i].name, name) == 0)
            *text_at(entry, i) = value;
}

/* {"<ms>-<n>", {field, value, ...}} */
static bool read_entry(const redisReply *reply, struct store_audit_entry *entry)
{
    *entry = (struct store_audit_entry){0};
    for (size_t i = 0; i < array_count(texts); i++)
        *text_at(entry, i) = "";
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || !is_text(reply->element[0]) ||
        reply->element[1]->type != REDIS_REPLY_ARRAY || reply->element[1]->elements % 2 != 0)
        return false;
    const redisReply *fields = reply->element[1];
    entry->unix_ms = strtoull(reply->element[0]->str, NULL, 10);
    for (size_t i = 0; i < fields->elements; i += 2) {
        if (!is_text(fields->element[i]) || !is_text(fields->element[i + 1]))
            return false;
        take_field(entry, fields->element[i]->str, fields->element[i + 1]->str);
    }
    return true;
}

bool redis_audit_read(const redisReply *reply, struct store_audit *out)
{
    out->count = 0;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements > STORE_AUDIT_MAX)
        return false;
    for (size_t i = reply->elements; i-- > 0;)
        if (!read_entry(reply->element[i], &out->entries[out->count++]))
            return false;
    return true;
}
