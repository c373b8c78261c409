#include "dataplane/coalesce/branch.h"

#include "dataplane/base/mail.h"

/* --- mail --- */

bool coalesce_post(struct coalesce *coalesce, uint16_t to, enum mail_kind kind, const void *body,
                   size_t length)
{
    struct mail mail = {.kind = (uint16_t)kind, .from = coalesce->config.self};
    check(length <= sizeof(mail.body));
    memcpy(mail.body, body, length);
    return coalesce->config.postman->post(coalesce->config.postman, to, &mail);
}

/* For the tick. */
static void wait_for_tick(struct branch *branch)
{
    if (!list_is_linked(&branch->waiting_link))
        list_push_back(&branch->flight->coalesce->waiting_branches, &branch->waiting_link);
}

static void post_joined(struct branch *branch)
{
    struct coalesce *coalesce = branch->flight->coalesce;
    struct mail_joined mail = {
        .relay = branch->relay,
        .branch_handle = pool_handle(&coalesce->branches, branch),
        .branch = branch,
    };
    branch->joined_posted =
        coalesce_post(coalesce, branch->worker, MAIL_JOINED, &mail, sizeof(mail));
    if (!branch->joined_posted)
        wait_for_tick(branch);
}

static void post_progress(struct branch *branch)
{
    struct mail_relay mail = {.relay = branch->relay};
    branch->progress_unposted = !coalesce_post(branch->flight->coalesce, branch->worker,
                                               MAIL_PROGRESS, &mail, sizeof(mail));
    if (branch->progress_unposted)
        wait_for_tick(branch);
}

/* What is new has been stored: see that the relay looks. A relay looks when it is told JOINED. */
static void mark_progress(struct branch *branch)
{
    if (!branch->joined_posted || branch->was_deserted)
        return;
    if (!atomic_exchange_explicit(&branch->progress_marked, true, memory_order_acq_rel))
        post_progress(branch);
}

static bool post_refusal(struct coalesce *coalesce, struct refusal refusal)
{
    struct mail_refused mail = {.relay = refusal.relay, .apart = refusal.apart};
    return coalesce_post(coalesce, refusal.to, MAIL_REFUSED, &mail, sizeof(mail));
}

/*
 * The ring of refusals cannot overflow: each is the answer to a join, and every worker has at most
 * JOINS_PENDING_MAX unanswered.
 */
static void refuse(struct coalesce *coalesce, uint16_t to, handle relay, enum apart apart)
{
    struct refusal refusal = {.relay = relay, .to = to, .apart = (uint8_t)apart};
    flight_count_refusal(coalesce, apart);
    COALESCE_COUNT(coalesce, joins_refused);
    if (coalesce->refusal_count == 0 && post_refusal(coalesce, refusal))
        return;
    check(coalesce->refusal_count < coalesce->refusals_max);
    uint32_t place = (coalesce->refusal_head + coalesce->refusal_count) % coalesce->refusals_max;
    coalesce->refusals[place] = refusal;
    coalesce->refusal_count++;
}

static void post_refusals(struct coalesce *coalesce)
{
    while (coalesce->refusal_count > 0 &&
           post_refusal(coalesce, coalesce->refusals[coalesce->refusal_head])) {
        COALESCE_COUNT(coalesce, mail_retried);
        coalesce->refusal_head = (coalesce->refusal_head + 1) % coalesce->refusals_max;
        coalesce->refusal_count--;
    }
}

/* --- lending --- */

/*
 * The segment after the newest that was lent, which the relay's position keeps in the body: the
 * newest one's successor if that one is still linked, else the first that is kept.
 */
static struct segment *next_to_lend(const struct branch *branch)
{
    struct segment *newest = branch->newest != NULL ? branch->newest->segment : NULL;
    if (newest != NULL && newest->next != NULL)
        return newest->next;
    return branch->flight->feed.body.first;
}

static bool lend(struct branch *branch, struct segment *segment)
{
    struct coalesce *coalesce = branch->flight->coalesce;
    struct loan *loan = pool_take(&coalesce->loans);
    if (loan == NULL) {
        COALESCE_COUNT(coalesce, branches_starved);
        return false;
    }
    *loan = (struct loan){.data = segment->data, .segment = segment_hold(segment)};
    if (branch->newest != NULL)
        branch->newest->next = loan;
    else
        branch->first_loan = loan;
    if (branch->oldest == NULL)
        branch->oldest = loan;
    branch->newest = loan;
    branch->lent_count++;
    return true;
}

/* Show the relay all bytes that are there for others. True: there was something new. */
static bool lend_body(struct branch *branch)
{
    const struct flight *flight = branch->flight;
    uint64_t shown = flight->head_held ? 0 : flight->feed.body.written_bytes;
    uint64_t segment_bytes = flight->coalesce->config.segment_bytes;
    uint64_t before = atomic_load_explicit(&branch->lent_bytes, memory_order_relaxed);
    branch->starved = false;
    while (branch->lent_count * segment_bytes < shown && !branch->starved)
        branch->starved = !lend(branch, next_to_lend(branch));
    uint64_t lent = branch->lent_count * segment_bytes;
    lent = lent < shown ? lent : shown;
    atomic_store_explicit(&branch->lent_bytes, lent, memory_order_release);
    if (branch->starved)
        wait_for_tick(branch);
    return lent > before;
}

static void give_back_oldest(struct branch *branch)
{
    struct loan *loan = branch->oldest;
    branch->oldest = loan->next;
    segment_drop(loan->segment);
    pool_give(&branch->flight->coalesce->loans, loan);
}

/* --- publishing --- */

static enum branch_state state_to_show(const struct branch *branch)
{
    const struct feed *feed = &branch->flight->feed;
    switch (feed->state) {
    case FEED_WAITING:
        return feed->has_interim && !branch->interim_missed ? BRANCH_INTERIM : BRANCH_WAITING;
    case FEED_HEAD:
        return BRANCH_HEAD;
    case FEED_ENDED:
        return branch->starved ? BRANCH_HEAD : BRANCH_ENDED;
    case FEED_FAILED:
        return BRANCH_FAILED;
    }
    check(!"a feed state");
}

/* What the relay may read from its head on is not written again. */
static void show_beginning(struct branch *branch)
{
    const struct feed *feed = &branch->flight->feed;
    branch->head = feed->head;
    branch->story = flight_story(branch->flight);
    if (feed->streams_since_ns != 0)
        branch->streams_since_ns =
            coalesce_shared_ns(branch->flight->coalesce, feed->streams_since_ns);
}

static bool publish_state(struct branch *branch)
{
    const struct feed *feed = &branch->flight->feed;
    enum branch_state shown = atomic_load_explicit(&branch->state, memory_order_relaxed);
    enum branch_state state = state_to_show(branch);
    if (state == shown)
        return false;
    if (state == BRANCH_INTERIM)
        branch->interim = feed->interim;
    if (shown < BRANCH_HEAD)
        show_beginning(branch);
    branch->trailers = feed->trailers;
    branch->has_trailers = feed->has_trailers;
    branch->failure = feed->failure;
    branch->before_head = feed->before_head;
    atomic_store_explicit(&branch->state, state, memory_order_release);
    return true;
}

static void publish(struct branch *branch)
{
    const struct flight *flight = branch->flight;
    if (branch->was_deserted ||
        atomic_load_explicit(&branch->state, memory_order_relaxed) == BRANCH_UNSHAREABLE)
        return;
    bool joinable = flight->entry != NULL;
    bool news = joinable != atomic_load_explicit(&branch->joinable, memory_order_relaxed);
    atomic_store_explicit(&branch->joinable, joinable, memory_order_release);
    news |= lend_body(branch);
    news |= publish_state(branch);
    if (news)
        mark_progress(branch);
}

void branches_publish(struct flight *flight)
{
    list_for_each (link, next, &flight->branches)
        publish(list_entry(link, struct branch, link));
}

void branches_refuse(struct flight *flight)
{
    list_for_each (link, next, &flight->branches) {
        struct branch *branch = list_entry(link, struct branch, link);
        atomic_store_explicit(&branch->state, BRANCH_UNSHAREABLE, memory_order_release);
        mark_progress(branch);
    }
}

void branches_cut(struct flight *flight, uint64_t position, bool ahead)
{
    list_for_each (link, next, &flight->branches) {
        struct branch *branch = list_entry(link, struct branch, link);
        if (atomic_load_explicit(&branch->position, memory_order_acquire) >= position)
            continue;
        atomic_store_explicit(&branch->cut, branch_cut(position, ahead), memory_order_release);
        mark_progress(branch);
    }
}

bool branches_have_reached(const struct flight *flight, uint64_t position)
{
    list_for_each (link, next, &flight->branches) {
        const struct branch *branch = list_entry(link, struct branch, link);
        if (!branch->was_deserted &&
            atomic_load_explicit(&branch->position, memory_order_acquire) >= position)
            return true;
    }
    return false;
}

bool branches_are_paused(const struct flight *flight)
{
    list_for_each (link, next, &flight->branches) {
        const struct branch *branch = list_entry(link, struct branch, link);
        if (!branch->was_deserted && !atomic_load_explicit(&branch->paused, memory_order_acquire))
            return false;
    }
    return true;
}

uint64_t branches_position(const struct flight *flight)
{
    uint64_t slowest = UINT64_MAX;
    list_for_each (link, next, &flight->branches) {
        const struct branch *branch = list_entry(link, struct branch, link);
        uint64_t position = atomic_load_explicit(&branch->position, memory_order_acquire);
        if (!branch->was_deserted && position < slowest)
            slowest = position;
    }
    return slowest;
}

uint64_t branches_deadline(const struct flight *flight)
{
    uint64_t latest = 0;
    list_for_each (link, next, &flight->branches) {
        const struct branch *branch = list_entry(link, struct branch, link);
        uint64_t deadline = atomic_load_explicit(&branch->deadline_ns, memory_order_acquire);
        if (deadline > latest)
            latest = deadline;
    }
    return coalesce_own_ns(flight->coalesce, latest);
}

/* --- joining --- */

static struct branch *branch_open(struct flight *flight, uint16_t worker, handle relay,
                                  uint64_t deadline_ns)
{
    struct branch *branch = pool_take(&flight->coalesce->branches);
    if (branch == NULL)
        return NULL;
    *branch = (struct branch){
        .flight = flight,
        .relay = relay,
        .worker = worker,
        .cap_at_ns =
            coalesce_shared_ns(flight->coalesce, flight->started_at_ns + FLIGHT_TIME_MAX_NS),
        .deadline_ns = coalesce_shared_ns(flight->coalesce, deadline_ns),
        .interim_missed = flight->feed.has_interim,
        .replay_bytes = flight->feed.replay_bytes,
    };
    list_init(&branch->waiting_link);
    list_push_back(&flight->branches, &branch->link);
    flight->branch_count++;
    return branch;
}

static enum apart admit(struct coalesce *coalesce, const struct mail *mail,
                        const struct mail_join *join, uint64_t now)
{
    struct flight *flight = pool_get(&coalesce->flights, join->flight);
    if (flight == NULL)
        return APART_ENDED;
    uint64_t deadline_ns = coalesce_own_ns(coalesce, join->deadline_ns);
    enum apart apart = flight_admits(flight, deadline_ns, now);
    if (apart != APART_NOT)
        return apart;
    struct branch *branch = branch_open(flight, mail->from, join->relay, deadline_ns);
    if (branch == NULL)
        return APART_BOUND;
    flight_welcome(flight, deadline_ns);
    publish(branch);
    post_joined(branch);
    flight_grant(flight, now);
    return APART_NOT;
}

void branch_mail_join(struct coalesce *coalesce, const struct mail *mail, uint64_t now)
{
    struct mail_join join;
    memcpy(&join, mail->body, sizeof(join));
    enum apart apart = admit(coalesce, mail, &join, now);
    if (apart == APART_NOT)
        COALESCE_COUNT(coalesce, joins_accepted);
    else
        refuse(coalesce, mail->from, join.relay, apart);
}

/* --- what comes back --- */

static struct branch *branch_named(struct coalesce *coalesce, const struct mail *mail)
{
    struct mail_branch named;
    memcpy(&named, mail->body, sizeof(named));
    struct branch *branch = pool_get(&coalesce->branches, named.branch);
    check(branch != NULL && branch->worker == mail->from);
    return branch;
}

/* Nobody listens at the relay any more; only lent memory is still out. */
static void note_deserted(struct branch *branch)
{
    if (branch->was_deserted || !atomic_load_explicit(&branch->deserted, memory_order_acquire))
        return;
    branch->was_deserted = true;
    branch->flight->deserted_count++;
}

static void take_back(struct branch *branch)
{
    uint64_t released = atomic_load_explicit(&branch->released_count, memory_order_acquire);
    check(released <= branch->lent_count);
    while (branch->given_back_count < released) {
        give_back_oldest(branch);
        branch->given_back_count++;
    }
}

void branch_mail_released(struct coalesce *coalesce, const struct mail *mail, uint64_t now)
{
    struct branch *branch = branch_named(coalesce, mail);
    struct flight *flight = branch->flight;
    flight_hold(flight);
    atomic_exchange_explicit(&branch->released_marked, false, memory_order_acq_rel);
    take_back(branch);
    note_deserted(branch);
    flight_trim(flight, now);
    flight_settle(flight, now);
}

static void branch_close(struct branch *branch)
{
    struct flight *flight = branch->flight;
    while (branch->oldest != NULL)
        give_back_oldest(branch);
    flight->branch_count--;
    if (branch->was_deserted)
        flight->deserted_count--;
    list_remove(&branch->link);
    list_remove(&branch->waiting_link);
    pool_give(&flight->coalesce->branches, branch);
}

void branch_mail_left(struct coalesce *coalesce, const struct mail *mail, uint64_t now)
{
    struct mail_left left;
    memcpy(&left, mail->body, sizeof(left));
    struct branch *branch = branch_named(coalesce, mail);
    struct flight *flight = branch->flight;
    flight_hold(flight);
    flight->joined_count += left.joined;
    branch_close(branch);
    flight_trim(flight, now);
    flight_settle(flight, now);
}

/* --- tick --- */

static void catch_up(struct branch *branch)
{
    struct coalesce *coalesce = branch->flight->coalesce;
    if (!branch->joined_posted) {
        COALESCE_COUNT(coalesce, mail_retried);
        post_joined(branch);
    }
    if (branch->progress_unposted) {
        COALESCE_COUNT(coalesce, mail_retried);
        post_progress(branch);
    }
    if (branch->starved && coalesce->loans.free_count > 0)
        publish(branch);
    else if (branch->starved)
        wait_for_tick(branch);
}

void branches_tick(struct coalesce *coalesce)
{
    struct list waiting;
    struct list *link;
    post_refusals(coalesce);
    if (list_is_empty(&coalesce->waiting_branches))
        return;
    list_init(&waiting);
    list_append_all(&waiting, &coalesce->waiting_branches);
    for (int i = 0; i < TICK_WORK_MAX && (link = list_pop_front(&waiting)) != NULL; i++)
        catch_up(list_entry(link, struct branch, waiting_link));
    list_prepend_all(&coalesce->waiting_branches, &waiting);
}
