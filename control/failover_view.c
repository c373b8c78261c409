/*
 * failover_view: what operators see.
 */
#include "control/failover_internal.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"

#include <inttypes.h>
#include <stdio.h>

static uint64_t left_ms(const struct failover *failover, uint64_t until_ms)
{
    uint64_t now_ms = failover_store_ms(failover);
    return until_ms > now_ms ? until_ms - now_ms : 0;
}

/* Why it is as it is, or why it is not as it should be. */
static void explain(const struct failover *failover, uint32_t region, char *out, size_t size)
{
    const struct region_proposal *proposal = &failover->proposals[region];
    if (proposal->due && proposal->answer != REGION_DONE)
        snprintf(out, size, "should be %s (%s), but %s", region_automatic_name(proposal->to),
                 proposal->reason, region_answer_text(proposal->answer));
    else if (failover->expiry_held[region])
        snprintf(out, size, "its override has expired and stays, for %s",
                 region_answer_text(REGION_REFUSED_S1));
    else
        snprintf(out, size, "%s", failover->agreed.regions[region].reason);
}

static void view_proposal(const struct failover *failover, const struct region_record *record,
                          struct failover_region_view *out)
{
    out->proposed = region_automatic_name(record->proposed);
    out->proposal_left_ms = left_ms(failover, record->proposed_until_ms);
    snprintf(out->proposal_evidence, sizeof(out->proposal_evidence), "%s", record->evidence);
}

static uint32_t count_stale(const struct failover *failover)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < failover->votes.count; i++)
        count += failover->votes.votes[i].age_ms > failover->rules.fresh_ms;
    return count;
}

static void view_local(const struct failover *failover, const char *name,
                       struct failover_local_view *out)
{
    const struct region_local_order *order = region_local_find(&failover->local, name);
    uint64_t now_ms = failover_unix_ms(failover);
    if (order == NULL)
        return;
    out->order = region_request_name(order->kind);
    out->offered = order->offered_ms != 0;
    out->left_ms = order->expires_ms > now_ms ? order->expires_ms - now_ms : 0;
    snprintf(out->by, sizeof(out->by), "%s", order->by);
}

void failover_region_view(const struct failover *failover, uint32_t region,
                          struct failover_region_view *out)
{
    check(region < failover->config->region_count);
    const struct region_record *record = &failover->agreed.regions[region];
    const struct region_record *routed = &failover->routed.regions[region];
    const struct verdict *verdict = &failover->verdicts[region];
    struct region_count count =
        region_rules_count(&failover->rules, &failover->agreed, &failover->votes, region);
    *out = (struct failover_region_view){
        .name = failover->config->regions[region].name,
        .automatic = region_automatic_name(record->automatic),
        .override = region_override_name(record->override),
        .effective = region_effective_name(routed),
        .active = failover->told[region].active,
        .share_permille = failover->told[region].share_permille,
        .since_ms = record->since_ms,
        .epoch = failover->agreed.epoch,
        .availability = verdict_available_permille(verdict) / 1000.0,
        .usable_backends = verdict->members.usable,
        .backends = verdict->members.backends,
        .votes_fresh = count.fresh,
        .votes_agreeing = count.agreeing,
        .votes_blind = count.fresh - count.seeing,
        .votes_stale = count_stale(failover),
        .on_failure = region_mode_name(failover->rules.on_failure[region]),
        .on_recovery = region_mode_name(failover->rules.on_recovery[region]),
        .capacity = failover->told[region].capacity,
    };
    if (region_is_proposed(record, failover_store_ms(failover)))
        view_proposal(failover, record, out);
    if (record->automatic == REGION_DOWN)
        out->hold_down_left_ms = left_ms(failover, record->hold_down_until_ms);
    if (record->override != REGION_OVERRIDE_NONE)
        out->override_left_ms = left_ms(failover, record->expires_ms);
    view_local(failover, record->name, &out->local);
    explain(failover, region, out->reason, sizeof(out->reason));
}

void failover_explain(const struct failover *failover, uint32_t region,
                      struct region_explanation *out)
{
    check(region < failover->config->region_count);
    region_explain(&failover->rules, &failover->agreed, &failover->votes,
                   failover_store_ms(failover), region, out);
}

void failover_lines(const struct failover *failover,
                    void (*line)(void *context, uint64_t unix_ms, const char *text), void *context)
{
    uint64_t first =
        failover->line_count > FAILOVER_LINES ? failover->line_count - FAILOVER_LINES : 0;
    for (uint64_t i = first; i < failover->line_count; i++) {
        const struct failover_line *at = &failover->lines[i % FAILOVER_LINES];
        line(context, at->unix_ms, at->text);
    }
}

const struct region_votes *failover_votes(const struct failover *failover)
{
    return &failover->votes;
}

void failover_backend_view(const struct failover *failover, uint32_t slot,
                           struct failover_backend_view *out)
{
    check(slot < SNAPSHOT_BACKENDS_MAX);
    health_view(failover->health, slot, loop_now_ns(failover->loop), failover->unix_ms_at_zero,
                out);
}

static void explain_frozen(const struct failover *failover, struct failover_view *out)
{
    const struct region_state *agreed = &failover->agreed;
    uint64_t frozen_ms = left_ms(failover, agreed->frozen_until_ms);
    uint64_t stopped_ms = left_ms(failover, agreed->stopped_until_ms);
    bool stopped = region_is_stopped(agreed, failover_store_ms(failover));
    if (failover->lost)
        snprintf(out->frozen_reason, sizeof(out->frozen_reason), "the store is silent: %s",
                 failover->link_text[0] == '\0' ? "no answer" : failover->link_text);
    else if (stopped && stopped_ms > 0)
        snprintf(out->frozen_reason, sizeof(out->frozen_reason),
                 "automation is switched off, for %" PRIu64 " ms more", stopped_ms);
    else if (stopped)
        snprintf(out->frozen_reason, sizeof(out->frozen_reason), "automation is switched off");
    else if (frozen_ms > 0)
        snprintf(out->frozen_reason, sizeof(out->frozen_reason), "rule S3, for %" PRIu64 " ms more",
                 frozen_ms);
    out->frozen = failover->lost || stopped || frozen_ms > 0;
}

void failover_view(const struct failover *failover, struct failover_view *out)
{
    static const char *const links[] = {
        [STORE_CONNECTING] = "connecting",
        [STORE_CONNECTED] = "connected",
        [STORE_LOST] = "lost",
    };
    struct region_count count =
        region_rules_count(&failover->rules, &failover->agreed, &failover->votes, 0);
    *out = (struct failover_view){
        .store = failover->store->kind,
        .store_state = links[failover->link],
        .epoch = failover->agreed.epoch,
        .nodes_live = count.fresh,
        .panic = failover->panic,
        .blind = failover->blind,
        .dry_run = failover->rules.dry_run,
        .admit = failover->agreed.admit,
        .node_flights = failover->node_flights,
        .expiries_held = failover->expiries_held,
    };
    explain_frozen(failover, out);
    view_local(failover, REGION_LOCAL_ALL, &out->local);
}
