/*
 * failover_agree: the agreed state: votes go out, news of the store come in, and the change that is
 * due, an operator's command or a transition, is asked for. One request at a time.
 *
 * A newer state of the store is applied, an older one never: it is replaced by what was applied
 * (reassert). While the store is silent everything stays as it was agreed last.
 */
#include "control/failover_internal.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SAVE_AGAIN_NS   (60 * CLOCK_S) /* keeps the file young while nothing changes */
#define DISK_MAX_AGE_MS (24ull * 3600 * 1000)

uint64_t failover_store_ms(const struct failover *failover)
{
    return failover->store_ms_at_zero + loop_now_ns(failover->loop) / CLOCK_MS;
}

uint64_t failover_unix_ms(const struct failover *failover)
{
    return failover->unix_ms_at_zero + loop_now_ns(failover->loop) / CLOCK_MS;
}

/* Applying. */

void failover_agree_save(struct failover *failover, uint64_t now)
{
    failover->saved_at_ns = now;
    if (failover->disk != NULL)
        region_snapshot_save(failover->disk, &failover->agreed, &failover->local,
                             failover_unix_ms(failover));
}

static void check_disk(struct failover *failover)
{
    int error = failover->disk == NULL ? 0 : region_snapshot_error(failover->disk);
    if (error == failover->disk_error)
        return;
    failover->disk_error = error;
    failover_say(failover, "region state %s in %s: %s", error == 0 ? "is saved again" : "not saved",
                 failover->config->state_dir, strerror(error));
}

/* Log what differs from now on. */
static void say_changes(struct failover *failover, const struct region_state *before)
{
    const struct region_state *now = &failover->agreed;
    for (uint32_t i = 0; i < now->count; i++) {
        const struct region_record *from = &before->regions[i];
        const struct region_record *to = &now->regions[i];
        if (from->automatic != to->automatic)
            failover_say(failover, "region %s: %s -> %s: %s (epoch %" PRIu64 ", by %s)", to->name,
                         region_automatic_name(from->automatic),
                         region_automatic_name(to->automatic), to->reason, now->epoch,
                         now->decided_by);
        if (to->proposed_until_ms > from->proposed_until_ms)
            failover_say(failover,
                         "ALARM: region %s: proposed: %s: %s; `region approve` or `region reject`",
                         to->name, region_automatic_name(to->proposed), to->evidence);
        if (from->override != to->override)
            failover_say(failover, "region %s: override %s -> %s: %s (epoch %" PRIu64 ", by %s)",
                         to->name, region_override_name(from->override),
                         region_override_name(to->override), to->reason, now->epoch,
                         now->decided_by);
    }
    if (before->admit != now->admit && now->admit != 0)
        failover_say(failover,
                     "ALARM: rule S4: what is active cannot carry the load: %" PRIu64
                     " flights of all nodes at most",
                     now->admit);
    else if (before->admit != now->admit)
        failover_say(failover, "rule S4: no limit of admission any more");
    if (before->stopped != now->stopped)
        failover_say(failover, "%s (epoch %" PRIu64 ")", now->reason, now->epoch);
    if (before->frozen_until_ms != now->frozen_until_ms && now->frozen_until_ms != 0)
        failover_say(failover, "ALARM: %s", now->reason);
}

/* Route by it from now on. */
static void apply_state(struct failover *failover, const struct region_state *state, uint64_t now)
{
    struct region_state before = failover->agreed;
    failover->agreed = *state;
    say_changes(failover, &before);
    failover_local_note(failover, &before);
    failover_agree_save(failover, now);
    failover_refresh(failover);
}

static bool is_same(const struct region_state *a, const struct region_state *b)
{
    return a->epoch == b->epoch && strcmp(a->change_id, b->change_id) == 0;
}

/* Take what the store holds, unless it is older than what was applied. */
static void adopt(struct failover *failover, uint64_t now)
{
    const struct region_state *stored = &failover->stored;
    if (is_same(stored, &failover->agreed)) {
        failover->agreed = *stored; /* regions that the configuration has just got */
        failover_refresh(failover);
        if (now >= failover->saved_at_ns + SAVE_AGAIN_NS)
            failover_agree_save(failover, now);
        return;
    }
    if (stored->epoch > failover->agreed.epoch)
        apply_state(failover, stored, now);
}

/* Asking for changes. */

static void random_id(struct failover *failover, char out[REGION_ID_MAX])
{
    snprintf(out, REGION_ID_MAX, "%016" PRIx64, random_u64(&failover->random));
}

static void ask(struct failover *failover, struct region_request *request)
{
    random_id(failover, request->new_change_id);
    random_id(failover, request->new_incarnation);
    failover->changing = true;
    store_change(failover->store, request);
}

static struct region_request request_for(const struct failover *failover,
                                         enum region_request_kind kind, uint32_t region)
{
    struct region_request request = {
        .kind = kind, .region = region, .epoch = failover->agreed.epoch};
    memcpy(request.change_id, failover->agreed.change_id, sizeof(request.change_id));
    snprintf(request.by, sizeof(request.by), "node %s", failover->config->node);
    return request;
}

/* A database without a state: others may hold one, and are given the time to say so. */
static bool ask_init(struct failover *failover, uint64_t now)
{
    uint64_t wait_ns = failover->rules.alone ? 0 : failover->config->failover.vote_fresh_ns;
    if (failover->stored.epoch != 0 || failover->agreed.epoch != 0 ||
        now < failover->connected_at_ns + wait_ns)
        return false;
    struct region_request request = request_for(failover, REGION_INIT, 0);
    request.content = &failover->agreed;
    ask(failover, &request);
    return true;
}

/* What the rules, as known here, would say: what is refused again and again is not asked. */
static enum region_answer answer_to(const struct failover *failover,
                                    const struct region_request *request)
{
    struct region_state scratch = failover->stored;
    return region_rules_decide(&failover->rules, &scratch, &failover->votes,
                               failover_store_ms(failover), request);
}

/* The store holds something older than a node has applied. Whoever has the newest brings it. */
static bool ask_reassert(struct failover *failover)
{
    struct region_request request = request_for(failover, REGION_REASSERT, 0);
    request.content = &failover->agreed;
    if (answer_to(failover, &request) != REGION_DONE)
        return false;
    failover_say(failover,
                 "the store holds epoch %" PRIu64 ", this node applied %" PRIu64 ": reasserting",
                 failover->stored.epoch, failover->agreed.epoch);
    ask(failover, &request);
    return true;
}

/* An override that stays beyond its time is news for an operator, once. */
static void note_expiry(struct failover *failover, uint32_t region, enum region_answer answer)
{
    bool held = answer == REGION_REFUSED_S1;
    bool is_news = held && !failover->expiry_held[region];
    failover->expiry_held[region] = held;
    if (!is_news)
        return;
    failover->expiries_held++;
    failover_say(failover, "ALARM: region %s: its override has expired and stays, for %s",
                 failover->agreed.regions[region].name, region_answer_text(answer));
}

static bool ask_expiry(struct failover *failover)
{
    bool asked = false;
    for (uint32_t i = 0; i < failover->agreed.count; i++) {
        struct region_request request = request_for(failover, REGION_EXPIRE, i);
        enum region_answer answer = answer_to(failover, &request);
        note_expiry(failover, i, answer);
        if (answer == REGION_DONE && !asked)
            ask(failover, &request);
        asked |= answer == REGION_DONE;
    }
    return asked;
}

/* The regions that an operator could bring back: out by order, and healthy. */
static void name_healthy(const struct failover *failover, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < failover->agreed.count && used < size; i++) {
        const struct region_record *record = &failover->agreed.regions[i];
        bool healthy = verdict_available_permille(&failover->verdicts[i]) >=
                       failover->config->failover.recover_at * 10;
        if (!region_is_active(record) && record->override != REGION_OVERRIDE_NONE && healthy)
            used += (size_t)snprintf(out + used, size - used, "%s%s",
                                     used == 0 ? "; out by an operator, but healthy: " : ", ",
                                     record->name);
    }
}

/* A due change that is not made is news for an operator, once. */
static void note_proposal(struct failover *failover, uint32_t region,
                          const struct region_proposal *proposal)
{
    char healthy[FAILOVER_TEXT_MAX] = "";
    struct region_proposal *before = &failover->proposals[region];
    bool same = before->due == proposal->due && before->answer == proposal->answer;
    *before = *proposal;
    if (same || !proposal->due || proposal->answer == REGION_DONE)
        return;
    if (proposal->answer == REGION_REFUSED_S1)
        name_healthy(failover, healthy, sizeof(healthy));
    failover_say(failover, "ALARM: region %s should be %s (%s), but %s%s",
                 failover->agreed.regions[region].name, region_automatic_name(proposal->to),
                 proposal->reason, region_answer_text(proposal->answer), healthy);
}

static void find_proposals(struct failover *failover)
{
    for (uint32_t i = 0; i < failover->agreed.count; i++) {
        struct region_proposal proposal = region_rules_propose(
            &failover->rules, &failover->agreed, &failover->votes, failover_store_ms(failover), i);
        note_proposal(failover, i, &proposal);
    }
}

/* Whether it is in the store for an operator to see. */
static bool is_kept(const struct failover *failover, uint32_t region, enum region_automatic to)
{
    const struct region_record *record = &failover->agreed.regions[region];
    return region_is_proposed(record, failover_store_ms(failover)) && record->proposed == to;
}

/* The first transition that is due and would be answered so. */
static bool ask_move(struct failover *failover, enum region_answer answer)
{
    enum region_request_kind kind = answer == REGION_WAITS ? REGION_PROPOSE : REGION_MOVE;
    for (uint32_t i = 0; i < failover->agreed.count; i++) {
        const struct region_proposal *proposal = &failover->proposals[i];
        if (!proposal->due || proposal->answer != answer ||
            (kind == REGION_PROPOSE && is_kept(failover, i, proposal->to)))
            continue;
        struct region_request request = request_for(failover, kind, i);
        request.to = proposal->to;
        ask(failover, &request);
        return true;
    }
    return false;
}

/* A freeze comes last: one that is due again and again must not keep other regions from moving. */
static void ask_moves(struct failover *failover)
{
    if (!ask_move(failover, REGION_DONE) && !ask_move(failover, REGION_WAITS) &&
        !failover->rules.dry_run)
        (void)ask_move(failover, REGION_FROZE);
}

static bool ask_command(struct failover *failover)
{
    if (failover->command_count == 0)
        return false;
    failover->changing_command = true;
    ask(failover, &failover->commands[0].request);
    return true;
}

void failover_agree_act(struct failover *failover, uint64_t now)
{
    if (failover->changing || failover->link != STORE_CONNECTED || !failover->news_came)
        return;
    if (ask_init(failover, now) || ask_reassert(failover) || ask_command(failover))
        return;
    if (!is_same(&failover->stored, &failover->agreed) || failover->agreed.epoch == 0)
        return; /* an older state in the store, or none: nothing is built on that */
    find_proposals(failover);
    if (!ask_expiry(failover))
        ask_moves(failover);
}

static void act_soon(struct failover *failover)
{
    loop_timer_at(failover->act_timer, loop_now_ns(failover->loop));
}

/* What the store says. */

static void hear(struct failover *failover, uint64_t store_now_ms, const struct region_state *state)
{
    uint64_t now = loop_now_ns(failover->loop);
    failover->news_at_ns = now;
    failover->store_ms_at_zero = store_now_ms - now / CLOCK_MS;
    failover->stored = *state;
    if (failover->lost) {
        failover->lost = false;
        failover_say(failover, "the store is back: automatic changes go on");
    }
    adopt(failover, now);
    failover_local_offer(failover);
}

static void on_news(void *context, const struct store_news *news)
{
    struct failover *failover = context;
    failover->votes = *news->votes;
    failover->news_came = true;
    hear(failover, news->now_ms, news->state);
    check_disk(failover);
    act_soon(failover);
}

static void end_command(struct failover *failover, bool ok, const char *text)
{
    struct failover_waiting command = failover->commands[0];
    failover->command_count--;
    memmove(&failover->commands[0], &failover->commands[1],
            failover->command_count * sizeof(failover->commands[0]));
    command.done(command.context, ok, text);
}

static void end_commands(struct failover *failover, const char *text)
{
    while (failover->command_count > 0)
        end_command(failover, false, text);
}

static void on_changed(void *context, bool failed, const struct store_change *change)
{
    struct failover *failover = context;
    bool of_command = failover->changing_command;
    failover->changing = false;
    failover->changing_command = false;
    if (change->state != NULL)
        hear(failover, change->now_ms, change->state);
    bool done = !failed && change->answer == REGION_DONE;
    if (of_command && failover->command_count > 0)
        end_command(failover, done, change->text);
    if (!failed && (done || change->answer == REGION_FROZE || failover->command_count > 0))
        act_soon(failover);
}

static void on_link(void *context, enum store_link link, const char *text)
{
    struct failover *failover = context;
    enum store_link before = failover->link;
    failover->link = link;
    snprintf(failover->link_text, sizeof(failover->link_text), "%s", text);
    if (link == STORE_CONNECTED)
        failover->connected_at_ns = loop_now_ns(failover->loop);
    if (link == before)
        return;
    if (link == STORE_CONNECTED)
        failover_say(failover, "store: connected");
    else
        failover_say(failover, "store: %s: %s", link == STORE_LOST ? "lost" : "not connected",
                     text);
}

static void on_due(void *context)
{
    struct failover *failover = context;
    loop_timer_at(failover->beat_timer, loop_now_ns(failover->loop));
}

static void on_audited(void *context, const struct store_audit *audit)
{
    failover_audit_end(context, audit);
}

/* Beats. */

/* No region answers: the fault is likely to be here, and this node abstains. */
static bool is_blind(const struct failover *failover)
{
    for (uint32_t i = 0; i < failover->config->region_count; i++)
        if (failover->verdicts[i].members.usable_weight > 0)
            return false;
    return true;
}

static void notice_blindness(struct failover *failover, bool blind)
{
    if (blind == failover->blind)
        return;
    failover->blind = blind;
    failover_say(failover, blind ? "ALARM: blind: no region answers here; this node's vote abstains"
                                 : "this node sees regions again: its vote counts");
}

static void notice_silence(struct failover *failover, uint64_t now)
{
    uint64_t limit_ns = failover->config->failover.store_lost_ns;
    if (failover->lost || now < failover->news_at_ns + limit_ns)
        return;
    failover->lost = true;
    failover_say(failover,
                 "ALARM: the store is silent for %" PRIu64 " ms (%s): frozen on epoch "
                 "%" PRIu64,
                 (uint64_t)((now - failover->news_at_ns) / CLOCK_MS), failover->link_text,
                 failover->agreed.epoch);
}

void failover_agree_resume(struct failover *failover, uint64_t now)
{
    failover->votes.count = 0;
    failover->news_came = false;
    failover->news_at_ns = now;
    failover->connected_at_ns = now;
    loop_timer_at(failover->beat_timer, now);
}

void failover_agree_beat(struct failover *failover, uint64_t now)
{
    notice_blindness(failover, is_blind(failover));
    struct region_vote vote = {
        .epoch = failover->agreed.epoch,
        .blind = failover->blind,
        .agreement = failover->rules.agreement,
    };
    snprintf(vote.node, sizeof(vote.node), "%s", failover->config->node);
    memcpy(vote.change_id, failover->agreed.change_id, sizeof(vote.change_id));
    for (uint32_t i = 0; i < failover->config->region_count; i++)
        vote.regions[i] = verdict_opinion(&failover->verdicts[i], now);
    notice_silence(failover, now);
    failover_local_beat(failover);
    store_beat(failover->store, &vote);
}

/* Commands. */

void failover_command(struct failover *failover, const struct failover_order *order,
                      failover_done *done, void *context)
{
    static const enum region_request_kind kinds[FAILOVER_COMMANDS] = {
        [FAILOVER_DRAIN] = REGION_DRAIN,       [FAILOVER_UNDRAIN] = REGION_UNDRAIN,
        [FAILOVER_FORCE_UP] = REGION_FORCE_UP, [FAILOVER_FORCE_DOWN] = REGION_FORCE_DOWN,
        [FAILOVER_UNFORCE] = REGION_UNFORCE,   [FAILOVER_APPROVE] = REGION_APPROVE,
        [FAILOVER_REJECT] = REGION_REJECT,     [FAILOVER_FREEZE] = REGION_FREEZE,
        [FAILOVER_THAW] = REGION_THAW,
    };
    enum region_request_kind kind = kinds[order->command];
    char text[FAILOVER_TEXT_MAX + 64];
    if (region_request_is_of_region(kind) && order->region >= failover->config->region_count) {
        done(context, false, "there is no such region");
        return;
    }
    struct region_request request = request_for(failover, kind, order->region);
    request.ttl_ms = order->ttl_ms;
    request.despite = order->despite;
    snprintf(request.by, sizeof(request.by), "%s", order->by);
    if (order->local) {
        failover_local_command(failover, order, &request, done, context);
        return;
    }
    if (failover->link != STORE_CONNECTED) {
        snprintf(text, sizeof(text), "the store cannot be reached: %s", failover->link_text);
        done(context, false, text);
        return;
    }
    if (failover->command_count == FAILOVER_COMMANDS_MAX) {
        done(context, false, "too many commands wait for the store");
        return;
    }
    struct failover_waiting *waiting = &failover->commands[failover->command_count++];
    *waiting = (struct failover_waiting){request, done, context};
    act_soon(failover);
}

/* Life. */

static void load_disk(struct failover *failover)
{
    const struct config *config = failover->config;
    if (config->state_dir[0] == '\0')
        return;
    if (region_snapshot_load(config->state_dir, config, failover_unix_ms(failover), DISK_MAX_AGE_MS,
                             &failover->agreed, &failover->local))
        failover_say(failover, "regions: epoch %" PRIu64 " as saved before",
                     failover->agreed.epoch);
    failover->disk = region_snapshot_create(config->state_dir);
}

int failover_agree_open(struct failover *failover, char *message, size_t message_size)
{
    const struct store_events events = {on_news, on_changed, on_link, on_due, on_audited, failover};
    uint64_t now = loop_now_ns(failover->loop);
    failover->news_at_ns = now;
    failover->connected_at_ns = now;
    failover->store_ms_at_zero = failover->unix_ms_at_zero;
    snprintf(failover->link_text, sizeof(failover->link_text), "not connected yet");
    load_disk(failover);
    region_state_init(&failover->stored, failover->config);
    if (failover->config->store.kind == CONFIG_STORE_MEMORY) {
        failover->store =
            store_memory_create(failover->loop, failover->config, &failover->rules, &events);
        failover->link = STORE_CONNECTED;
    } else {
        failover->store = store_redis_create(failover->loop, failover->config, &failover->rules,
                                             &events, message, message_size);
    }
    return failover->store == NULL ? -1 : 0;
}

void failover_agree_close(struct failover *failover)
{
    static const struct store_audit ends = {.failure = "the process ends"};
    end_commands(failover, "the process ends");
    failover_audit_end(failover, &ends);
    store_destroy(failover->store);
    region_snapshot_destroy(failover->disk);
}

void failover_agree_apply(struct failover *failover, const struct config *config)
{
    failover->changing_command = false; /* an answer that still comes is nobody's */
    end_commands(failover, "the configuration was replaced; try again");
    region_state_reorder(&failover->agreed, config);
    region_state_reorder(&failover->stored, config);
    failover->votes.count = 0;
    failover->news_came = false;
    memset(failover->proposals, 0, sizeof(failover->proposals));
    store_apply(failover->store, config, &failover->rules);
    loop_timer_at(failover->beat_timer, loop_now_ns(failover->loop));
}
