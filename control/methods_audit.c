/*
 * methods_audit: what has happened: the cluster's record of changes, or what this node has seen.
 */
#include "control/methods_internal.h"
#include "control/store.h"
#include "dataplane/base/check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 512

/* Somebody who waits for the record. */
struct reader {
    struct methods *methods;
    struct rpc_call *call;
};

static void add_line(void *context, uint64_t unix_ms, const char *text)
{
    json_t *entry = json_object();
    set_number(entry, "unix_ms", unix_ms);
    set_text(entry, "text", text);
    json_array_append_new(context, entry);
}

static void answer_here(struct methods *methods, struct rpc_call *call, const char *why)
{
    json_t *entries = json_array();
    failover_lines(daemon_failover(methods->daemon), add_line, entries);
    rpc_answer(call, json_pack("{s:s, s:o, s:o}", "source", "node", "why", rpc_text(why), "entries",
                               entries));
}

/* Whether votes had to ask for it: an operator's order needs none, nor does its end. */
static bool needs_votes(const struct store_audit_entry *entry)
{
    static const enum region_request_kind kinds[] = {REGION_MOVE, REGION_PROPOSE, REGION_APPROVE,
                                                     REGION_REASSERT};
    for (size_t i = 0; i < array_count(kinds); i++)
        if (strcmp(entry->what, region_request_name(kinds[i])) == 0)
            return true;
    return false;
}

/* "epoch 8: region eu up -> down: why (at node; votes at 7, 7; 2 needed)" */
static void describe(const struct store_audit_entry *entry, char out[TEXT_MAX])
{
    char what[128] = "";
    char votes[128] = "";
    bool moved = strcmp(entry->from, entry->to) != 0 && entry->from[0] != '\0';
    if (moved)
        snprintf(what, sizeof(what), " region %.48s %.16s -> %.16s:", entry->region, entry->from,
                 entry->to);
    else if (entry->region[0] != '\0')
        snprintf(what, sizeof(what), " region %.48s %.16s:", entry->region, entry->what);
    if (needs_votes(entry))
        snprintf(votes, sizeof(votes), "; votes at %.64s; %.8s needed",
                 entry->votes[0] == '\0' ? "none" : entry->votes, entry->needed);
    snprintf(out, TEXT_MAX, "epoch %" PRIu64 ":%s %.128s (at %.48s%s)", entry->epoch, what,
             entry->why, entry->node, votes);
}

static json_t *change_entry(const struct store_audit_entry *change)
{
    char text[TEXT_MAX];
    json_t *entry = json_object();
    describe(change, text);
    set_number(entry, "unix_ms", change->unix_ms);
    set_text(entry, "text", text);
    set_number(entry, "epoch", change->epoch);
    set_text(entry, "what", change->what);
    set_text(entry, "region", change->region);
    set_text(entry, "from", change->from);
    set_text(entry, "to", change->to);
    set_text(entry, "override", change->override);
    set_text(entry, "why", change->why);
    set_text(entry, "node", change->node);
    set_text(entry, "by", change->by);
    set_text(entry, "votes", change->votes);
    set_text(entry, "needed", change->needed);
    set_text(entry, "despite", change->despite);
    return entry;
}

static void answer(void *context, const struct store_audit *audit)
{
    struct reader reader = *(struct reader *)context;
    free(context);
    if (audit->failure != NULL) {
        answer_here(reader.methods, reader.call, audit->failure);
        return;
    }
    json_t *entries = json_array();
    for (uint32_t i = 0; i < audit->count; i++)
        json_array_append_new(entries, change_entry(&audit->entries[i]));
    rpc_answer(reader.call, json_pack("{s:s, s:o}", "source", "store", "entries", entries));
}

void method_audit_tail(struct methods *methods, struct rpc_call *call, const json_t *parameters)
{
    if (json_is_true(json_object_get(parameters, "local"))) {
        answer_here(methods, call, "as asked");
        return;
    }
    struct reader *reader = malloc(sizeof(*reader));
    if (reader == NULL) {
        answer_here(methods, call, "no memory");
        return;
    }
    *reader = (struct reader){methods, call};
    failover_audit(daemon_failover(methods->daemon), answer, reader);
}
