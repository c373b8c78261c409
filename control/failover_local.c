/*
 * failover_local: operators' orders that act on this node alone while the store is away, and what
 * becomes of them when it is back.
 */
#include "control/failover_internal.h"

#include "dataplane/base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void failover_local_route(struct failover *failover)
{
    region_local_route(&failover->local, &failover->rules, &failover->agreed,
                       failover_unix_ms(failover), &failover->routed);
}

/* What is in force, or offered, is other than before. */
static void take_change(struct failover *failover)
{
    failover_agree_save(failover, loop_now_ns(failover->loop));
    failover_refresh(failover);
}

/* Offers. */

/* "region drain eu", as weirctl is told. */
static const char *order_words(const struct region_local_order *order, char out[FAILOVER_TEXT_MAX])
{
    const char *word = region_request_name(order->kind);
    const char *under = strchr(word, '_');
    if (order->kind == REGION_FREEZE)
        snprintf(out, FAILOVER_TEXT_MAX, "automation off");
    else if (under == NULL)
        snprintf(out, FAILOVER_TEXT_MAX, "region %s %s", word, order->name);
    else
        snprintf(out, FAILOVER_TEXT_MAX, "region %.*s-%s %s", (int)(under - word), word, under + 1,
                 order->name);
    return out;
}

static void say_offers(struct failover *failover)
{
    char words[FAILOVER_TEXT_MAX];
    for (uint32_t i = 0; i < failover->local.count; i++) {
        const struct region_local_order *order = &failover->local.orders[i];
        if (order->offered_ms != 0)
            failover_say(failover,
                         "ALARM: the store is back: `%s` by %s, of this node alone, acts no more; "
                         "it is offered for all nodes",
                         order_words(order, words), order->by);
    }
}

static bool any_in_force(const struct region_local *local)
{
    for (uint32_t i = 0; i < local->count; i++)
        if (local->orders[i].offered_ms == 0)
            return true;
    return false;
}

void failover_local_offer(struct failover *failover)
{
    if (!any_in_force(&failover->local))
        return;
    region_local_offer(&failover->local, &failover->agreed, failover_unix_ms(failover));
    say_offers(failover);
    take_change(failover);
}

/* Those in force stay: the store is not back for this node before it says so itself. */
static void forget_offer(struct failover *failover, const char *name)
{
    const struct region_local_order *order = region_local_find(&failover->local, name);
    if (order != NULL && order->offered_ms != 0)
        (void)region_local_forget(&failover->local, name);
}

void failover_local_note(struct failover *failover, const struct region_state *before)
{
    const struct region_state *now = &failover->agreed;
    for (uint32_t i = 0; i < now->count; i++)
        if (before->regions[i].override != now->regions[i].override ||
            before->regions[i].expires_ms != now->regions[i].expires_ms)
            forget_offer(failover, now->regions[i].name);
    if (before->stopped != now->stopped || before->stopped_until_ms != now->stopped_until_ms)
        forget_offer(failover, REGION_LOCAL_ALL);
}

void failover_local_beat(struct failover *failover)
{
    struct region_local_order gone;
    char words[FAILOVER_TEXT_MAX];
    while (region_local_expire(&failover->local, &failover->rules, &failover->agreed,
                               failover_unix_ms(failover), &gone)) {
        failover_say(failover, "`%s` of this node alone %s", order_words(&gone, words),
                     gone.offered_ms != 0 ? "is offered no more" : "has ended");
        take_change(failover);
    }
}

/* Commands. */

static void answer(failover_done *done, void *context, enum region_answer answer)
{
    done(context, answer == REGION_DONE, region_answer_text(answer));
}

static void give(struct failover *failover, const struct region_request *request,
                 failover_done *done, void *context)
{
    char words[FAILOVER_TEXT_MAX];
    char text[2 * FAILOVER_TEXT_MAX];
    const char *name = region_request_is_of_region(request->kind)
                           ? failover->config->regions[request->region].name
                           : REGION_LOCAL_ALL;
    const struct region_local_order said = {.kind = request->kind};
    enum region_answer given = region_local_give(
        &failover->local, &failover->rules, &failover->agreed, failover_unix_ms(failover), request);
    if (given != REGION_DONE) {
        answer(done, context, given);
        return;
    }
    struct region_local_order named = said;
    snprintf(named.name, sizeof(named.name), "%s", name);
    snprintf(text, sizeof(text), "`%s` on this node only, until the store is back",
             order_words(&named, words));
    failover_say(failover, "%s: by %s", text, request->by);
    take_change(failover);
    done(context, true, text);
}

/* The order that was offered, for all nodes now; it is offered until that is done. */
static void approve(struct failover *failover, const struct region_local_order *offer,
                    const struct failover_order *approval, failover_done *done, void *context)
{
    static const enum failover_command commands[REGION_REQUESTS] = {
        [REGION_DRAIN] = FAILOVER_DRAIN,       [REGION_UNDRAIN] = FAILOVER_UNDRAIN,
        [REGION_FORCE_UP] = FAILOVER_FORCE_UP, [REGION_FORCE_DOWN] = FAILOVER_FORCE_DOWN,
        [REGION_UNFORCE] = FAILOVER_UNFORCE,
    };
    uint64_t now_ms = failover_unix_ms(failover);
    if (offer->expires_ms != 0 && offer->expires_ms <= now_ms) {
        done(context, false, "its time is over: it is offered no more");
        return;
    }
    struct failover_order order = {
        .command = commands[offer->kind],
        .region = approval->region,
        .ttl_ms = offer->expires_ms == 0 ? 0 : offer->expires_ms - now_ms,
        .despite = offer->despite | approval->despite,
        .by = approval->by,
    };
    failover_command(failover, &order, done, context);
}

static void answer_offer(struct failover *failover, const struct failover_order *order,
                         failover_done *done, void *context)
{
    const char *name = failover->config->regions[order->region].name;
    const struct region_local_order *offer = region_local_find(&failover->local, name);
    if (offer == NULL || offer->offered_ms == 0) {
        done(context, false, "no order of this node alone is offered for this region");
        return;
    }
    if (order->command == FAILOVER_APPROVE) {
        approve(failover, offer, order, done, context);
        return;
    }
    forget_offer(failover, name);
    failover_say(failover, "region %s: what was offered is rejected by %s", name, order->by);
    take_change(failover);
    done(context, true, "offered no more");
}

/* `automation on` ends `automation off` of this node alone, also while that is offered. */
static bool forget_freeze(struct failover *failover, const char *by)
{
    if (!region_local_forget(&failover->local, REGION_LOCAL_ALL))
        return false;
    failover_say(failover, "`automation off` of this node alone is forgotten: by %s", by);
    take_change(failover);
    return true;
}

void failover_local_command(struct failover *failover, const struct failover_order *order,
                            const struct region_request *request, failover_done *done,
                            void *context)
{
    if (order->command == FAILOVER_APPROVE || order->command == FAILOVER_REJECT)
        answer_offer(failover, order, done, context);
    else if (order->command == FAILOVER_THAW && forget_freeze(failover, order->by))
        done(context, true, "`automation off` of this node alone is forgotten");
    else if (failover->link == STORE_CONNECTED)
        done(context, false,
             "the store is connected: order it for all nodes; orders of one node alone are for "
             "when it is away");
    else
        give(failover, request, done, context);
}
