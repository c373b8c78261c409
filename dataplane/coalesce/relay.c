#include "dataplane/coalesce/relay.h"

#include "dataplane/coalesce/pacer.h"

static void wait_for_tick(struct relay *relay)
{
    if (!list_is_linked(&relay->waiting_link))
        list_push_back(&relay->coalesce->waiting_relays, &relay->waiting_link);
}

/* --- the end --- */

static void give(struct relay *relay)
{
    check(relay->feed.subscriber_count == 0 && relay->oldest == NULL);
    coalesce_body_drop(&relay->feed.held);
    list_remove(&relay->bucket_link);
    list_remove(&relay->waiting_link);
    pool_give(&relay->coalesce->relays, relay);
}

/* The last word to the owner; the branch must not be touched after it. */
static void leave(struct relay *relay)
{
    struct mail_left mail = {.branch = relay->branch_handle, .joined = relay->joined_count};
    if (!coalesce_post(relay->coalesce, relay->owner, MAIL_LEFT, &mail, sizeof(mail))) {
        wait_for_tick(relay);
        return;
    }
    while (relay->oldest != NULL) {
        struct lent *lent = relay->oldest;
        relay->oldest = lent->next;
        pool_give(&relay->coalesce->lents, lent);
    }
    give(relay);
}

/* --- telling the owner --- */

static void post_released(struct relay *relay)
{
    struct mail_branch mail = {.branch = relay->branch_handle};
    relay->released_unposted =
        !coalesce_post(relay->coalesce, relay->owner, MAIL_RELEASED, &mail, sizeof(mail));
    if (relay->released_unposted)
        wait_for_tick(relay);
}

/* Something new has been stored for the owner: see that it looks. */
static void mark_released(struct relay *relay)
{
    if (!atomic_exchange_explicit(&relay->branch->released_marked, true, memory_order_acq_rel))
        post_released(relay);
}

/*
 * Tell the owner of what has come back, in order, but never of the newest: its loan leads to the
 * next one.
 */
static bool collect_returned(struct relay *relay)
{
    uint64_t before = relay->released_count;
    while (relay->oldest != relay->newest && relay->oldest->returned) {
        struct lent *lent = relay->oldest;
        relay->oldest = lent->next;
        relay->released_count++;
        pool_give(&relay->coalesce->lents, lent);
    }
    if (relay->released_count == before)
        return false;
    atomic_store_explicit(&relay->branch->released_count, relay->released_count,
                          memory_order_release);
    return true;
}

static void lent_returned(struct segment_source *source, struct segment *segment)
{
    struct relay *relay = container_of(source, struct relay, source);
    container_of(segment, struct lent, segment)->returned = true;
    relay->held_count--;
    bool told = collect_returned(relay);
    if (relay->state == RELAY_CLOSING && !relay->clearing && relay->held_count == 0)
        leave(relay);
    else if (told)
        mark_released(relay);
}

/* Nobody is here any more. RELAY may be dead after it. */
static void close_relay(struct relay *relay)
{
    relay->state = RELAY_CLOSING;
    list_remove(&relay->bucket_link);
    relay->clearing = true;
    body_clear(&relay->feed.body);
    relay->clearing = false;
    if (relay->held_count == 0) {
        leave(relay);
        return;
    }
    atomic_store_explicit(&relay->branch->deserted, true, memory_order_release);
    mark_released(relay);
}

void relay_trim(struct relay *relay)
{
    struct branch *branch = relay->branch;
    uint64_t slowest = feed_trim(&relay->feed, UINT64_MAX, relay->coalesce->config.segment_bytes);
    if (relay->feed.keeps_prefix ||
        slowest == atomic_load_explicit(&branch->position, memory_order_relaxed))
        return;
    atomic_store_explicit(&branch->position, slowest, memory_order_release);
    mark_released(relay);
}

void relay_tell_paused(struct relay *relay)
{
    struct feed *feed = &relay->feed;
    bool paused = feed_is_paused(feed) && !feed_has_reached(feed, feed->body.written_bytes);
    if (relay->state != RELAY_LIVE ||
        paused == atomic_load_explicit(&relay->branch->paused, memory_order_relaxed))
        return;
    atomic_store_explicit(&relay->branch->paused, paused, memory_order_release);
    if (!paused)
        mark_released(relay);
}

void relay_left(struct relay *relay, struct subscriber *subscriber, uint64_t now)
{
    bool trim = feed_remove(&relay->feed, subscriber);
    if (relay->state != RELAY_LIVE || relay->guarded)
        return;
    if (relay->feed.subscriber_count == 0) {
        close_relay(relay);
        return;
    }
    if (trim)
        relay_trim(relay);
    relay_tell_paused(relay);
}

/* --- joining --- */

static struct list *bucket_of(struct coalesce *coalesce, uint16_t owner, handle flight)
{
    uint64_t mixed = (flight ^ (uint64_t)owner << 48) * 0x9e3779b97f4a7c15ull;
    return &coalesce->relay_buckets[mixed >> 32 & coalesce->relay_mask];
}

static struct relay *find(struct coalesce *coalesce, uint16_t owner, handle flight)
{
    list_for_each (link, next, bucket_of(coalesce, owner, flight)) {
        struct relay *relay = list_entry(link, struct relay, bucket_link);
        if (relay->owner == owner && relay->flight == flight)
            return relay;
    }
    return NULL;
}

static struct relay *take(struct coalesce *coalesce, const struct relay_target *target,
                          uint64_t now)
{
    struct relay *relay = pool_take(&coalesce->relays);
    if (relay == NULL)
        return NULL;
    *relay = (struct relay){
        .coalesce = coalesce,
        .state = RELAY_ASKING,
        .owner = target->owner,
        .flight = target->flight,
        .key_hash = target->key_hash,
        .source = {.released = lent_returned},
        .progress_at_ns = now,
    };
    feed_init(&relay->feed, FEED_OF_RELAY, true, coalesce->config.segment_bytes);
    list_init(&relay->bucket_link);
    list_init(&relay->waiting_link);
    return relay;
}

/* A new relay whose owner has been asked, or NULL and why. */
static struct relay *ask(struct coalesce *coalesce, const struct relay_target *target,
                         uint64_t deadline_ns, uint64_t now, enum apart *out_apart)
{
    uint16_t owner = target->owner;
    struct relay *relay =
        coalesce->joins_pending[owner] < JOINS_PENDING_MAX ? take(coalesce, target, now) : NULL;
    *out_apart = relay != NULL ? APART_NOT : APART_BOUND;
    if (relay == NULL)
        return NULL;
    struct mail_join mail = {
        .flight = target->flight,
        .relay = pool_handle(&coalesce->relays, relay),
        .deadline_ns = coalesce_shared_ns(coalesce, deadline_ns),
    };
    if (!coalesce_post(coalesce, owner, MAIL_JOIN, &mail, sizeof(mail))) {
        *out_apart = APART_MAIL;
        give(relay);
        return NULL;
    }
    coalesce->joins_pending[owner]++;
    list_push_back(bucket_of(coalesce, owner, target->flight), &relay->bucket_link);
    COALESCE_COUNT(coalesce, joins_asked);
    return relay;
}

/* C13: whether there is time enough before the flight's cap. */
static bool has_time(const struct relay *relay, uint64_t deadline_ns)
{
    return coalesce_shared_ns(relay->coalesce, deadline_ns) <= relay->branch->cap_at_ns;
}

/* As flight_admits(), as far as it can be known here. */
static enum apart admits(const struct relay *relay, uint64_t deadline_ns, uint64_t now)
{
    if (relay->feed.subscriber_count >= coalesce_part(relay->coalesce, SUBSCRIBERS_MAX))
        return APART_BOUND;
    if (relay->state == RELAY_ASKING)
        return APART_NOT;
    if (!atomic_load_explicit(&relay->branch->joinable, memory_order_acquire) ||
        !relay->feed.keeps_prefix || relay->feed.state > FEED_HEAD)
        return APART_ENDED;
    if (relay->feed.state == FEED_HEAD && now - relay->progress_at_ns > STALLED_AFTER_NS)
        return APART_STALLED;
    return has_time(relay, deadline_ns) ? APART_NOT : APART_CAP;
}

/* One copy of the request's body for all who ask here, while they may be sent elsewhere. */
static void share_body(struct relay *relay, struct subscriber *subscriber)
{
    struct feed *feed = &relay->feed;
    if (feed->held == NULL && feed->state == FEED_WAITING && subscriber->held != NULL)
        feed->held = held_body_hold(subscriber->held);
    held_body_swap(&subscriber->held, feed->held);
}

static void extend_deadline(struct relay *relay, uint64_t deadline_ns)
{
    _Atomic uint64_t *known = &relay->branch->deadline_ns;
    uint64_t shared_ns = coalesce_shared_ns(relay->coalesce, deadline_ns);
    if (shared_ns > atomic_load_explicit(known, memory_order_relaxed))
        atomic_store_explicit(known, shared_ns, memory_order_release);
}

bool relay_join(struct coalesce *coalesce, const struct relay_target *target,
                struct subscriber *subscriber, uint64_t deadline_ns, uint64_t now)
{
    struct relay *relay = find(coalesce, target->owner, target->flight);
    if (relay == NULL)
        relay = ask(coalesce, target, deadline_ns, now, &subscriber->apart);
    if (relay != NULL)
        subscriber->apart = admits(relay, deadline_ns, now);
    if (subscriber->apart != APART_NOT) {
        flight_count_refusal(coalesce, subscriber->apart);
        return false;
    }
    share_body(relay, subscriber);
    subscriber->flight = (struct flight_name){target->flight, target->owner};
    if (relay->state == RELAY_ASKING) {
        feed_add(&relay->feed, subscriber, SUBSCRIBER_PENDING, deadline_ns, now);
        return true;
    }
    extend_deadline(relay, deadline_ns);
    feed_add(&relay->feed, subscriber, SUBSCRIBER_JOINED, deadline_ns, now);
    relay_tell_paused(relay);
    relay->joined_count++;
    joins_count(coalesce, subscriber, relay->feed.state != FEED_WAITING);
    COALESCE_COUNT(coalesce, joined_remote);
    return true;
}

/* --- following the flight --- */

static bool adopt_next(struct relay *relay)
{
    struct coalesce *coalesce = relay->coalesce;
    struct lent *lent = pool_take(&coalesce->lents);
    if (lent == NULL) {
        COALESCE_COUNT(coalesce, relays_starved);
        return false;
    }
    relay->reached = relay->reached != NULL ? relay->reached->next : relay->branch->first_loan;
    *lent = (struct lent){
        .segment = {.data = (uint8_t *)(uintptr_t)relay->reached->data,
                    .capacity = coalesce->config.segment_bytes,
                    .references = 1,
                    .source = &relay->source},
    };
    if (relay->newest != NULL)
        relay->newest->next = lent;
    else
        relay->oldest = lent;
    relay->newest = lent;
    relay->held_count++;
    body_adopt(&relay->feed.body, &lent->segment);
    return true;
}

/* Let the newest segment grow as far as LENT_BYTES reaches. */
static void grow(struct relay *relay, uint64_t lent_bytes)
{
    struct body *body = &relay->feed.body;
    struct segment *last = body->last;
    uint64_t room = last->capacity - last->length;
    uint64_t more = lent_bytes - body->written_bytes;
    body_grow(body, last->length + (uint32_t)(more < room ? more : room));
}

/* Take over all bytes up to LENT_BYTES. True: there was something new. */
static bool adopt(struct relay *relay, uint64_t lent_bytes)
{
    struct body *body = &relay->feed.body;
    uint64_t before = body->written_bytes;
    relay->starved = false;
    while (body->written_bytes < lent_bytes) {
        bool full = body->last == NULL || body->last->length == body->last->capacity;
        if (full && !adopt_next(relay)) {
            relay->starved = true;
            wait_for_tick(relay);
            break;
        }
        grow(relay, lent_bytes);
    }
    if (collect_returned(relay))
        mark_released(relay);
    return body->written_bytes > before;
}

/* A section where its owner has it. Its name is one of that worker's: here another may have it. */
static struct fields lent_section(const struct fields *owners)
{
    struct fields section = *owners;
    section.name = 0;
    return section;
}

static bool show_head(struct relay *relay, uint64_t now)
{
    struct feed *feed = &relay->feed;
    if (feed->state != FEED_WAITING)
        return false;
    feed->head = lent_section(&relay->branch->head);
    if (relay->branch->streams_since_ns != 0)
        feed->streams_since_ns = coalesce_own_ns(relay->coalesce, relay->branch->streams_since_ns);
    feed->replay_bytes = relay->branch->replay_bytes;
    learn_overload(relay->coalesce, relay->key_hash, &feed->head, now);
    feed->state = FEED_HEAD;
    coalesce_body_drop(&feed->held);
    return true;
}

static bool show_interim(struct relay *relay)
{
    struct feed *feed = &relay->feed;
    if (feed->state != FEED_WAITING || feed->has_interim)
        return false;
    feed->interim = lent_section(&relay->branch->interim);
    feed_show_interim(feed);
    return true;
}

static bool show_end(struct relay *relay, uint64_t now)
{
    struct feed *feed = &relay->feed;
    show_head(relay, now);
    if (relay->starved || feed->state == FEED_ENDED)
        return false;
    feed->trailers = lent_section(&relay->branch->trailers);
    feed->has_trailers = relay->branch->has_trailers;
    body_end(&feed->body);
    feed->state = FEED_ENDED;
    counter_add(&relay->coalesce->counters.saved, feed->subscriber_count);
    return true;
}

static bool show_failure(struct relay *relay, uint64_t now)
{
    struct feed *feed = &relay->feed;
    if (feed->state == FEED_FAILED)
        return false;
    feed->failure = relay->branch->failure;
    feed->before_head = relay->branch->before_head;
    if (feed->before_head && feed->failure != FLIGHT_CANCELLED)
        learn_failure(relay->coalesce, relay->key_hash, now);
    feed->state = FEED_FAILED;
    return true;
}

static bool show_state(struct relay *relay, enum branch_state state, uint64_t now)
{
    switch (state) {
    case BRANCH_WAITING:
    case BRANCH_UNSHAREABLE:
        return false;
    case BRANCH_INTERIM:
        return show_interim(relay);
    case BRANCH_HEAD:
        return show_head(relay, now);
    case BRANCH_ENDED:
        return show_end(relay, now);
    case BRANCH_FAILED:
        return show_failure(relay, now);
    }
    check(!"a branch state");
}

/* C15: the owner says who holds the flight back. Who has not had its turn yet is looked at again.
 */
static void obey_cut(struct relay *relay, uint64_t now)
{
    struct coalesce *coalesce = relay->coalesce;
    uint64_t order = atomic_load_explicit(&relay->branch->cut, memory_order_acquire);
    if (order == relay->cut_done)
        return;
    uint64_t position = order >> 1;
    if ((order & 1) == 0 && !feed_has_reached(&relay->feed, position))
        return; /* all are equally slow, so far */
    counter_add(&coalesce->counters.detached_slow,
                feed_cut(&relay->feed, &coalesce->nowhere, position, now));
    relay_trim(relay);
    if (feed_slowest(&relay->feed) >= position)
        relay->cut_done = order;
}

static void refuse_all(struct relay *relay, enum apart why, uint64_t now)
{
    relay->joined_count = 0;
    uint32_t count = pacer_refuse(relay->coalesce, &relay->feed, NULL, why, now);
    counter_add(&relay->coalesce->counters.refused_by_owner, count);
}

/* Make up for those who left during the turn. RELAY may be dead after it. */
static void end_turn(struct relay *relay)
{
    if (relay->feed.subscriber_count == 0) {
        close_relay(relay);
        return;
    }
    if (relay->feed.behind_count == 0)
        relay_trim(relay);
    relay_tell_paused(relay);
}

/*
 * Look at what the owner published. The state first: when it says ENDED or FAILED, what is read
 * after it is final.
 */
static void look(struct relay *relay, uint64_t now)
{
    struct branch *branch = relay->branch;
    relay->guarded = true;
    enum branch_state state = atomic_load_explicit(&branch->state, memory_order_acquire);
    uint64_t lent_bytes = atomic_load_explicit(&branch->lent_bytes, memory_order_acquire);
    if (state == BRANCH_UNSHAREABLE) {
        refuse_all(relay, APART_UNSHAREABLE, now);
    } else {
        bool news = adopt(relay, lent_bytes);
        news |= show_state(relay, state, now);
        if (news) {
            relay->progress_at_ns = now;
            feed_news(&relay->feed, now);
        }
        if (relay->feed.keeps_prefix &&
            !atomic_load_explicit(&branch->joinable, memory_order_acquire)) {
            relay->feed.keeps_prefix = false;
            relay_trim(relay);
        }
        obey_cut(relay, now);
    }
    relay->guarded = false;
    end_turn(relay);
}

/* --- mail --- */

/* It sees the flight as it was when its owner took it. */
static void note_joined(struct relay *relay, struct subscriber *subscriber, uint64_t now)
{
    struct branch *branch = relay->branch;
    bool answered = atomic_load_explicit(&branch->state, memory_order_acquire) >= BRANCH_HEAD;
    subscriber->joined_at_bytes = atomic_load_explicit(&branch->lent_bytes, memory_order_acquire);
    subscriber->joined_at_ns = now;
    relay->joined_count++;
    joins_count(relay->coalesce, subscriber, answered);
    COALESCE_COUNT(relay->coalesce, joined_remote);
}

/* C13: those who could not get their full time here go elsewhere, the others have joined. */
static void admit_pending(struct relay *relay, uint64_t now)
{
    struct feed *feed = &relay->feed;
    struct list pending;
    struct list *link;
    list_init(&pending);
    list_append_all(&pending, &feed->subscribers);
    while ((link = list_pop_front(&pending)) != NULL) {
        struct subscriber *subscriber = list_entry(link, struct subscriber, link);
        if (!has_time(relay, subscriber->deadline_ns)) {
            feed_remove(feed, subscriber);
            subscriber->apart = APART_CAP;
            flight_count_refusal(relay->coalesce, subscriber->apart);
            subscriber->ops->refused(subscriber, now);
            continue;
        }
        list_push_back(&feed->subscribers, link);
        subscriber->role = SUBSCRIBER_JOINED;
        subscriber->feed = feed;
        extend_deadline(relay, subscriber->deadline_ns);
        note_joined(relay, subscriber, now);
    }
}

void relay_mail_joined(struct coalesce *coalesce, const struct mail *mail, uint64_t now)
{
    struct mail_joined joined;
    memcpy(&joined, mail->body, sizeof(joined));
    struct relay *relay = pool_get(&coalesce->relays, joined.relay);
    check(relay != NULL && relay->state == RELAY_ASKING && relay->owner == mail->from);
    coalesce->joins_pending[relay->owner]--;
    relay->branch = joined.branch;
    relay->branch_handle = joined.branch_handle;
    relay->state = RELAY_LIVE;
    relay->progress_at_ns = now;
    relay->guarded = true;
    admit_pending(relay, now);
    look(relay, now);
}

void relay_mail_refused(struct coalesce *coalesce, const struct mail *mail, uint64_t now)
{
    struct mail_refused refused;
    memcpy(&refused, mail->body, sizeof(refused));
    struct relay *relay = pool_get(&coalesce->relays, refused.relay);
    check(relay != NULL && relay->state == RELAY_ASKING && relay->owner == mail->from);
    coalesce->joins_pending[relay->owner]--;
    list_remove(&relay->bucket_link);
    refuse_all(relay, (enum apart)refused.apart, now);
    give(relay);
}

/* The relay may have left meanwhile. */
void relay_mail_progress(struct coalesce *coalesce, const struct mail *mail, uint64_t now)
{
    struct mail_relay progress;
    memcpy(&progress, mail->body, sizeof(progress));
    struct relay *relay = pool_get(&coalesce->relays, progress.relay);
    if (relay == NULL || relay->state != RELAY_LIVE)
        return;
    atomic_exchange_explicit(&relay->branch->progress_marked, false, memory_order_acq_rel);
    look(relay, now);
}

/* --- tick --- */

static void catch_up(struct relay *relay, uint64_t now)
{
    if (relay->released_unposted) {
        COALESCE_COUNT(relay->coalesce, mail_retried);
        post_released(relay);
    }
    if (relay->state == RELAY_LIVE && relay->starved) {
        if (relay->coalesce->lents.free_count > 0)
            look(relay, now);
        else
            wait_for_tick(relay);
        return;
    }
    if (relay->state == RELAY_CLOSING && relay->held_count == 0) {
        COALESCE_COUNT(relay->coalesce, mail_retried);
        leave(relay);
    }
}

void relays_tick(struct coalesce *coalesce, uint64_t now)
{
    struct list waiting;
    struct list *link;
    if (list_is_empty(&coalesce->waiting_relays))
        return;
    list_init(&waiting);
    list_append_all(&waiting, &coalesce->waiting_relays);
    for (int i = 0; i < TICK_WORK_MAX && (link = list_pop_front(&waiting)) != NULL; i++)
        catch_up(list_entry(link, struct relay, waiting_link), now);
    list_prepend_all(&coalesce->waiting_relays, &waiting);
}
