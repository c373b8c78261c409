#include "dataplane/coalesce/coalesce.h"

#include "dataplane/base/mail.h"
#include "dataplane/base/memory.h"
#include "dataplane/coalesce/key.h"
#include "dataplane/coalesce/pacer.h"
#include "dataplane/coalesce/relay.h"

/* What a stripped head may need beyond the largest section we accept. */
#define SCRATCH_SLACK_BYTES 256

/* --- creation --- */

/* Payload: below an eighth free windows are kept small, below a sixteenth no flight is begun. */
static void set_payload_marks(struct coalesce *coalesce)
{
    coalesce->payload_low = coalesce->config.segments / 8;
    coalesce->payload_shed = coalesce->config.segments / 16;
    coalesce->held_segments_max = coalesce->config.segments / HELD_BODY_SHARE;
}

/* Two for each flight, and the rest for what few have: see flight_section.c. */
static bool create_sections(struct coalesce *coalesce)
{
    const struct coalesce_config *config = &coalesce->config;
    uint32_t extra = config->flights_max / 8 + 2;
    uint32_t count = config->flights_max * 2 + extra;
    uint32_t scratch_bytes = config->header_bytes + SCRATCH_SLACK_BYTES;
    void *scratch = memory_take("coalesce scratch", scratch_bytes, config->socket_id);
    if (scratch == NULL)
        return false;
    fields_init(&coalesce->scratch, scratch, scratch_bytes);
    coalesce->extra_sections_max = extra;
    return section_pools_init(&coalesce->sections, "coalesce sections", count, scratch_bytes,
                              config->socket_id);
}

/* As many relays as flights, and as many loans and lent objects as segments, on either side. */
static bool create_pools(struct coalesce *coalesce)
{
    const struct coalesce_config *config = &coalesce->config;
    uint32_t shared = config->workers > 1 ? config->flights_max : 0;
    uint32_t pieces = config->workers > 1 ? config->segments : 0;
    return pool_init(&coalesce->flights, "coalesce flights", POOL_RESTING, config->flights_max,
                     sizeof(struct flight), config->socket_id) &&
           pool_init(&coalesce->branches, "coalesce branches", POOL_RESTING, shared,
                     sizeof(struct branch), config->socket_id) &&
           pool_init(&coalesce->relays, "coalesce relays", POOL_RESTING, shared,
                     sizeof(struct relay), config->socket_id) &&
           pool_init(&coalesce->loans, "coalesce loans", POOL_LIFO, pieces, sizeof(struct loan),
                     config->socket_id) &&
           pool_init(&coalesce->lents, "coalesce lent", POOL_LIFO, pieces, sizeof(struct lent),
                     config->socket_id) &&
           pool_init(&coalesce->helds, "coalesce request bodies", POOL_LIFO,
                     config->segments / HELD_BODY_SHARE + 1, sizeof(struct held_body),
                     config->socket_id) &&
           segment_pool_init(&coalesce->payload, "coalesce payload", config->segments,
                             config->segment_bytes, config->socket_id);
}

/* C7, C8: what is learned about keys, and those who are sent apart. */
static bool create_learned(struct coalesce *coalesce)
{
    const struct coalesce_config *config = &coalesce->config;
    coalesce->key_room = memory_take("coalesce scratch", COALESCE_KEY_BYTES, config->socket_id);
    return coalesce->key_room != NULL &&
           markers_init(&coalesce->markers, coalesce_part(coalesce, MARKERS_MAX),
                        config->socket_id) &&
           pool_init(&coalesce->pacers, "coalesce pacers", POOL_RESTING, PACERS_MAX,
                     sizeof(struct pacer), config->socket_id);
}

/* C29: each request may be somebody else's, and flights go on without one. */
static bool create_principals(struct coalesce *coalesce)
{
    const struct coalesce_config *config = &coalesce->config;
    return principals_init(&coalesce->principals, config->requests_max + config->flights_max,
                           table_secret(config->table), config->socket_id);
}

static bool create_relay_index(struct coalesce *coalesce)
{
    const struct coalesce_config *config = &coalesce->config;
    uint32_t count = 16;
    while (count < config->flights_max)
        count *= 2;
    coalesce->relay_mask = count - 1;
    coalesce->relay_buckets =
        memory_take("coalesce relay index", count * sizeof(struct list), config->socket_id);
    coalesce->joins_pending =
        memory_take("coalesce joins", config->workers * sizeof(uint32_t), config->socket_id);
    coalesce->refusals_max = config->workers * JOINS_PENDING_MAX;
    coalesce->refusals = memory_take(
        "coalesce refusals", coalesce->refusals_max * sizeof(struct refusal), config->socket_id);
    if (coalesce->relay_buckets == NULL || coalesce->joins_pending == NULL ||
        coalesce->refusals == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++)
        list_init(&coalesce->relay_buckets[i]);
    return true;
}

static void init_nowhere(struct feed *nowhere)
{
    feed_init(nowhere, FEED_OF_NOBODY, false, 0);
    nowhere->state = FEED_FAILED;
    nowhere->failure = FLIGHT_TOO_SLOW;
    nowhere->before_head = false;
}

struct coalesce *coalesce_create(const struct coalesce_config *config)
{
    check(config->self < config->workers && config->flights_max > 0);
    struct coalesce *coalesce = memory_take("coalesce", sizeof(*coalesce), config->socket_id);
    if (coalesce == NULL)
        return NULL;
    coalesce->config = *config;
    list_init(&coalesce->fresh_heads);
    list_init(&coalesce->thirsty_flights);
    list_init(&coalesce->waiting_branches);
    list_init(&coalesce->waiting_relays);
    init_nowhere(&coalesce->nowhere);
    set_payload_marks(coalesce);
    if (!create_pools(coalesce) || !create_sections(coalesce) || !create_relay_index(coalesce) ||
        !create_learned(coalesce) || !create_principals(coalesce) ||
        !entries_init(&coalesce->entries, config->table, config->self, config->workers,
                      config->quiescence, config->socket_id))
        return NULL;
    return coalesce;
}

struct coalesce_counters *coalesce_counters(struct coalesce *coalesce)
{
    return &coalesce->counters;
}

const struct coalesce_histograms *coalesce_histograms(const struct coalesce *coalesce)
{
    return &coalesce->histograms;
}

void coalesce_begin_step(struct coalesce *coalesce, const struct snapshot *snapshot)
{
    coalesce->snapshot = snapshot;
}

/* --- subscribing --- */

static void count_verdict(struct coalesce_counters *counters, enum key_verdict verdict)
{
    switch (verdict) {
    case KEY_OK:
    case KEY_SHADOW:
    case KEY_SHADOW_BODY:
    case KEY_HOLD_BODY:
    case KEY_VERDICTS:
        return;
    case KEY_ROUTE_OFF:
        counter_add(&counters->bypass_route_off, 1);
        return;
    case KEY_METHOD:
        counter_add(&counters->bypass_method, 1);
        return;
    case KEY_HAS_BODY:
        counter_add(&counters->bypass_body, 1);
        return;
    case KEY_BODY_BOUND:
        counter_add(&counters->bypass_body_bound, 1);
        return;
    case KEY_PREDICATE:
        counter_add(&counters->bypass_when_json, 1);
        return;
    case KEY_EXPECT_OR_UPGRADE:
        counter_add(&counters->bypass_expect, 1);
        return;
    case KEY_CLIENT_OPTED_OUT:
        counter_add(&counters->bypass_client, 1);
        return;
    case KEY_UNKEYED_HEADER:
        counter_add(&counters->bypass_unkeyed_header, 1);
        return;
    case KEY_TOO_LONG:
        counter_add(&counters->bypass_key_length, 1);
        return;
    }
}

/* A request and the key it is looked up by. */
struct asked {
    const struct flight_request *request;
    struct bytes key;   /* the request's, and what has been learned (C8); empty: none */
    uint64_t hash;      /* of `key` */
    uint64_t base_hash; /* of the request's key: how markers know it */
    bool alone;         /* marked: nobody may join */
    uint64_t start_at_ns;
};

/* What a look-up led to. */
enum met {
    MET_JOINED,
    MET_ALONE,  /* a flight of its own that nobody joins */
    MET_NOBODY, /* it may lead for this key */
};

/*
 * The key is served. A flight of our own that turns out not to be joinable any more has just left
 * the table, so the request may lead the next one.
 */
static enum met meet(struct coalesce *coalesce, const struct key_entry *entry,
                     struct subscriber *subscriber, const struct asked *asked, uint64_t now)
{
    const struct flight_request *request = asked->request;
    uint64_t deadline_ns = request->deadline_ns;
    if (request->verdict == KEY_SHADOW) {
        COALESCE_COUNT(coalesce, shadow_joins);
        return MET_ALONE;
    }
    if (entry->owner != coalesce->config.self) {
        struct relay_target target = {(uint16_t)entry->owner, entry->flight, asked->base_hash};
        bool joined = relay_join(coalesce, &target, subscriber, deadline_ns, now);
        return joined ? MET_JOINED : MET_ALONE;
    }
    struct flight *flight = pool_get(&coalesce->flights, entry->flight);
    check(flight != NULL);
    subscriber->apart = flight_admits(flight, deadline_ns, now);
    if (subscriber->apart == APART_NOT) {
        flight_join(flight, subscriber, deadline_ns, now);
        return MET_JOINED;
    }
    flight_count_refusal(coalesce, subscriber->apart);
    return flight->entry == NULL ? MET_NOBODY : MET_ALONE;
}

/* What came of putting a key into the table. */
static enum apart note_put(struct coalesce_counters *counters, enum table_put put)
{
    switch (put) {
    case TABLE_PUT_MET:
        return APART_NOT;
    case TABLE_PUT_DONE:
        counter_add(&counters->keys_published, 1);
        return APART_NOT;
    case TABLE_PUT_FULL:
        counter_add(&counters->table_full, 1);
        return APART_TABLE_FULL;
    case TABLE_PUT_CONTENDED:
        counter_add(&counters->table_contended, 1);
        return APART_CONTENDED;
    }
    check(!"a table's answer");
}

/* C16, C29: whether the principal may lead one more flight that others may join. */
static bool may_publish(const struct coalesce *coalesce, const struct principal *principal)
{
    uint32_t most = coalesce->snapshot->admission.flights_per_principal;
    return principal->keys < coalesce_part(coalesce, most > 0 ? most : PRINCIPAL_KEYS_MAX);
}

static enum apart publish(struct flight *flight, const struct asked *asked, struct key_entry *entry,
                          struct key_entry **out_met)
{
    struct coalesce *coalesce = flight->coalesce;
    enum table_put put = table_put(coalesce->config.table, entry, out_met);
    enum apart apart = note_put(&coalesce->counters, put);
    if (put != TABLE_PUT_DONE) {
        entries_give(&coalesce->entries, entry);
        return apart;
    }
    flight->entry = entry;
    flight->principal->keys++;
    flight->coalesced = true;
    flight->in_shadow = asked->request->verdict == KEY_SHADOW;
    return apart;
}

/*
 * Publish the key for this flight. Whoever finds it from now on joins by mail, which is read after
 * this call. *OUT_MET: another worker was faster. Returns why nobody will find it.
 */
static enum apart publish_key(struct flight *flight, const struct asked *asked,
                              struct key_entry **out_met)
{
    struct coalesce *coalesce = flight->coalesce;
    if (!asked->alone && !may_publish(coalesce, flight->principal)) {
        COALESCE_COUNT(coalesce, bypass_principal);
        return APART_PRINCIPAL;
    }
    struct key_entry *entry = entries_take(&coalesce->entries, asked->hash, asked->key,
                                           pool_handle(&coalesce->flights, flight));
    if (entry == NULL) {
        COALESCE_COUNT(coalesce, table_no_entry);
        return asked->alone ? APART_MARKED : APART_NO_ENTRY;
    }
    if (!asked->alone)
        return publish(flight, asked, entry, out_met);
    flight->sample = entry; /* never published: it is there to see whether the mark may go */
    return APART_MARKED;
}

static enum met look_up(struct coalesce *coalesce, struct subscriber *subscriber,
                        const struct asked *asked, uint64_t now)
{
    const struct key_entry *entry = table_find(coalesce->config.table, asked->hash, asked->key);
    return entry == NULL ? MET_NOBODY : meet(coalesce, entry, subscriber, asked, now);
}

static enum subscribe_result lead(struct coalesce *coalesce, struct subscriber *subscriber,
                                  const struct asked *asked, uint64_t now)
{
    struct key_entry *met = NULL;
    struct flight *flight = flight_take(coalesce, asked->request, subscriber, now);
    if (flight == NULL)
        return SUBSCRIBE_SHED;
    if (asked->key.length > 0) {
        flight->keyed = asked->request->verdict != KEY_SHADOW;
        flight->key_hash = asked->base_hash;
        subscriber->apart = publish_key(flight, asked, &met);
    }
    if (met != NULL && meet(coalesce, met, subscriber, asked, now) == MET_JOINED) {
        flight_discard(flight);
        return SUBSCRIBE_OK;
    }
    flight->start_at_ns = asked->start_at_ns;
    flight_lead(flight, subscriber, asked->request->deadline_ns, now);
    return SUBSCRIBE_OK;
}

static enum subscribe_result join_or_lead(struct coalesce *coalesce, struct subscriber *subscriber,
                                          struct asked *asked, uint64_t now)
{
    switch (look_up(coalesce, subscriber, asked, now)) {
    case MET_JOINED:
        return SUBSCRIBE_OK;
    case MET_ALONE:
        asked->key = BYTES_NONE;
        return lead(coalesce, subscriber, asked, now);
    case MET_NOBODY:
        return lead(coalesce, subscriber, asked, now);
    }
    check(!"what was met");
}

/* Nobody serves the key now, and something was learned about it (C8, C9, C10). */
static enum subscribe_result lead_marked(struct coalesce *coalesce, struct subscriber *subscriber,
                                         struct asked *asked, const struct marker *marker,
                                         uint64_t now)
{
    if (marker->shut_until_ns > now) {
        COALESCE_COUNT(coalesce, shut);
        subscriber->retry_after_ns = marker->shut_until_ns - now;
        return SUBSCRIBE_SHUT;
    }
    if (marker->start_at_ns > now) {
        COALESCE_COUNT(coalesce, starts_delayed);
        asked->start_at_ns = marker->start_at_ns;
    }
    if (marker->alone_until_ns > now) {
        COALESCE_COUNT(coalesce, bypass_marked);
        asked->alone = true;
        asked->start_at_ns = 0;
        return lead(coalesce, subscriber, asked, now);
    }
    if (marker->vary_until_ns <= now)
        return lead(coalesce, subscriber, asked, now);
    asked->key = key_with_fields(asked->key, bytes_of(marker->vary, marker->vary_length),
                                 asked->request->fields, coalesce->key_room);
    if (asked->key.length == 0)
        return lead(coalesce, subscriber, asked, now);
    asked->hash = coalesce_key_hash(coalesce, asked->key);
    return join_or_lead(coalesce, subscriber, asked, now);
}

uint64_t coalesce_key_hash(const struct coalesce *coalesce, struct bytes key)
{
    uint64_t hash = table_hash(coalesce->config.table, key);
    return hash != 0 ? hash : 1;
}

enum subscribe_result coalesce_subscribe(struct coalesce *coalesce, struct subscriber *subscriber,
                                         const struct flight_request *request, uint64_t now)
{
    check(subscriber->role == SUBSCRIBER_NONE && coalesce->snapshot != NULL);
    count_verdict(&coalesce->counters, request->verdict);
    struct asked asked = {.request = request, .key = request->key};
    if (request->key.length == 0)
        return lead(coalesce, subscriber, &asked, now);
    subscriber->apart = APART_NOT;
    asked.hash = asked.base_hash =
        request->key_hash != 0 ? request->key_hash : coalesce_key_hash(coalesce, request->key);
    enum met met = look_up(coalesce, subscriber, &asked, now);
    if (met == MET_JOINED)
        return SUBSCRIBE_OK;
    const struct marker *marker =
        met == MET_NOBODY ? markers_find(&coalesce->markers, asked.base_hash) : NULL;
    if (marker != NULL && request->verdict == KEY_OK)
        return lead_marked(coalesce, subscriber, &asked, marker, now);
    if (met == MET_ALONE)
        asked.key = BYTES_NONE;
    return lead(coalesce, subscriber, &asked, now);
}

void coalesce_shadow(struct coalesce *coalesce, struct subscriber *subscriber, struct bytes key)
{
    const struct flight_request request = {.verdict = KEY_SHADOW};
    struct asked asked = {.request = &request, .key = key};
    struct key_entry *met = NULL;
    asked.hash = asked.base_hash = coalesce_key_hash(coalesce, key);
    if (table_find(coalesce->config.table, asked.hash, key) != NULL) {
        COALESCE_COUNT(coalesce, shadow_joins);
        return;
    }
    if (subscriber->role != SUBSCRIBER_LED)
        return;
    struct flight *flight = flight_of_feed(subscriber->home);
    if (!flight_is_running(flight) || flight->entry != NULL)
        return;
    (void)publish_key(flight, &asked, &met);
    if (met != NULL)
        COALESCE_COUNT(coalesce, shadow_joins);
}

bool coalesce_request_body(struct subscriber *subscriber, struct bytes bytes, bool end,
                           const struct fields *trailers, uint64_t now)
{
    if (subscriber->role != SUBSCRIBER_LED)
        return true;
    return flight_request_body(flight_of_feed(subscriber->home), subscriber, bytes, end, trailers,
                               now);
}

/* set-cookie is for the one whose request brought it (C6). */
static bool section_for(const struct subscriber *subscriber, const struct fields *section,
                        struct fields *into)
{
    struct field field;
    if (subscriber->role == SUBSCRIBER_LED || !fields_may_have(section, FIELD_SET_COOKIE))
        return fields_copy(into, section);
    for (uint32_t at = 0; fields_next(section, &at, &field);)
        if (field.token != FIELD_SET_COOKIE)
            fields_add(into, field);
    return !into->overflow;
}

/* Those who share an answer get the very same: it is found as a whole, not around its own field. */
bool coalesce_head(const struct subscriber *subscriber, struct fields *into)
{
    bool fits = section_for(subscriber, &subscriber->feed->head, into);
    if (subscriber->role == SUBSCRIBER_JOINED && into->own_unnamed)
        fields_name(into, 0);
    return fits;
}

bool coalesce_interim(const struct subscriber *subscriber, struct fields *into)
{
    return section_for(subscriber, &subscriber->feed->interim, into);
}

uint64_t coalesce_address_name(const struct coalesce *coalesce, const struct ip_address *address)
{
    return principal_address_name(&coalesce->principals, address);
}

struct principal *coalesce_principal(struct coalesce *coalesce, const struct snapshot_route *route,
                                     const struct fields *fields, uint64_t address_name)
{
    struct principals *principals = &coalesce->principals;
    uint32_t most = coalesce->snapshot->admission.principals_per_address;
    uint64_t credentials = principal_credentials_name(principals, &route->coalesce, fields);
    return principals_take(principals, address_name, credentials,
                           most > 0 ? most : PRINCIPAL_NAMES_MAX);
}

struct segment *coalesce_text(struct coalesce *coalesce, struct principal *principal,
                              struct bytes text)
{
    struct segment_account *account = principal != NULL ? &principal->payload : NULL;
    if (text.length > coalesce->config.segment_bytes)
        return NULL;
    struct segment *segment = segment_take_for(&coalesce->payload, account);
    if (segment == NULL)
        return NULL;
    memcpy(segment->data, text.data, text.length);
    segment->length = (uint32_t)text.length;
    return segment;
}

/* A feed's readers are paused, or not any more, or one of those who are has read all there is. */
static void paused_changed(struct feed *feed, uint64_t now)
{
    switch (feed->host) {
    case FEED_OF_FLIGHT:
        flight_readers_changed(flight_of_feed(feed), now);
        return;
    case FEED_OF_RELAY:
        relay_tell_paused(relay_of_feed(feed));
        return;
    case FEED_OF_PACER:
    case FEED_OF_NOBODY:
        return;
    }
}

void coalesce_advanced(struct subscriber *subscriber, uint64_t now)
{
    struct feed *feed = subscriber->feed;
    if (feed == NULL || feed->host >= FEED_OF_PACER)
        return;
    bool last = feed_advanced(feed, subscriber);
    if (last && feed->host == FEED_OF_FLIGHT)
        flight_trim(flight_of_feed(feed), now);
    else if (last)
        relay_trim(relay_of_feed(feed));
    if (feed_is_paused(feed) && subscriber->told_position == feed->body.written_bytes)
        paused_changed(feed, now);
}

void coalesce_pause(struct subscriber *subscriber, bool paused, uint64_t now)
{
    struct feed *home = subscriber->home;
    if (subscriber->paused == paused)
        return;
    subscriber->paused = paused;
    if (home == NULL)
        return;
    home->paused_count += paused ? 1 : UINT32_MAX;
    paused_changed(home, now);
}

void coalesce_leave(struct subscriber *subscriber, uint64_t now)
{
    struct feed *home = subscriber->home;
    if (subscriber->role == SUBSCRIBER_NONE)
        return;
    switch (home->host) {
    case FEED_OF_FLIGHT:
        flight_left(flight_of_feed(home), subscriber, now);
        return;
    case FEED_OF_RELAY:
        relay_left(relay_of_feed(home), subscriber, now);
        return;
    case FEED_OF_PACER:
        pacer_left(container_of(home, struct pacer, feed), subscriber);
        return;
    case FEED_OF_NOBODY:
        feed_remove(home, subscriber);
        return;
    }
}

/* --- mail and time --- */

void coalesce_mail(struct coalesce *coalesce, const struct mail *mail, uint64_t now)
{
    switch ((enum mail_kind)mail->kind) {
    case MAIL_JOIN:
        branch_mail_join(coalesce, mail, now);
        return;
    case MAIL_JOINED:
        relay_mail_joined(coalesce, mail, now);
        return;
    case MAIL_REFUSED:
        relay_mail_refused(coalesce, mail, now);
        return;
    case MAIL_PROGRESS:
        relay_mail_progress(coalesce, mail, now);
        return;
    case MAIL_RELEASED:
        branch_mail_released(coalesce, mail, now);
        return;
    case MAIL_LEFT:
        branch_mail_left(coalesce, mail, now);
        return;
    case MAIL_NONE:
    case MAIL_NEIGHBOUR:
    case MAIL_KINDS:
        break;
    }
    check(!"a mail for coalesce");
}

/* Payload memory came back: windows that were kept shut for lack of it. */
static void quench(struct coalesce *coalesce, uint64_t now)
{
    struct list thirsty;
    if (list_is_empty(&coalesce->thirsty_flights))
        return;
    list_init(&thirsty);
    list_append_all(&thirsty, &coalesce->thirsty_flights);
    for (int i = 0; i < TICK_WORK_MAX && !list_is_empty(&thirsty); i++) {
        if (payload_free(coalesce) == 0)
            break;
        struct flight *flight = list_entry(thirsty.next, struct flight, thirsty_link);
        list_remove(&flight->thirsty_link);
        list_push_back(&coalesce->thirsty_flights, &flight->thirsty_link);
        flight_grant(flight, now);
    }
    list_prepend_all(&coalesce->thirsty_flights, &thirsty);
}

/* What came with them, or instead of the rest of them, has been seen. */
static void show_heads(struct coalesce *coalesce, uint64_t now)
{
    struct list *link;
    while ((link = list_pop_front(&coalesce->fresh_heads)) != NULL)
        flight_show_head(list_entry(link, struct flight, fresh_link), now);
}

void coalesce_tick(struct coalesce *coalesce, uint64_t now)
{
    show_heads(coalesce, now);
    branches_tick(coalesce);
    relays_tick(coalesce, now);
    quench(coalesce, now);
    counter_add(&coalesce->counters.keys_reused, entries_tick(&coalesce->entries, TICK_WORK_MAX));
    counter_set(&coalesce->counters.principals_folded, coalesce->principals.folded);
    counter_set(&coalesce->counters.principals_crowded, coalesce->principals.crowded);
}

/* --- for operators --- */

static struct fact_flight fact_of(struct coalesce *coalesce, const struct flight *flight,
                                  uint64_t now)
{
    return (struct fact_flight){
        .handle = pool_handle(&coalesce->flights, flight),
        .age_ns = now - flight->started_at_ns,
        .body_bytes = flight->feed.body.written_bytes,
        .subscribers = flight_interest(flight),
        .backend_slot = flight->attempt.slot,
        .route = flight->route,
        .attempt = flight->attempts,
        .state = (uint8_t)flight->state,
        .coalesced = flight->entry != NULL && !flight->in_shadow,
        .branches = (uint8_t)(flight->branch_count - flight->deserted_count),
        .status = flight->status,
        .kept_kib =
            (uint32_t)((flight->feed.body.written_bytes - flight->feed.body.kept_from + 1023) /
                       1024),
        .idle_ms = (uint32_t)((now - flight->progress_at_ns) / CLOCK_MS),
    };
}

bool coalesce_kill(struct coalesce *coalesce, handle named, struct fact_flight *out, uint64_t now)
{
    struct flight *flight = pool_get(&coalesce->flights, named);
    if (flight == NULL || !flight_is_running(flight))
        return false;
    *out = fact_of(coalesce, flight, now);
    COALESCE_COUNT(coalesce, killed);
    flight_break(flight, FLIGHT_CANCELLED, now);
    return true;
}

void coalesce_list(struct coalesce *coalesce, uint32_t max, uint64_t now,
                   void (*show)(void *context, const struct fact_flight *flight), void *context)
{
    uint32_t shown = 0;
    for (uint32_t i = 0; i < coalesce->flights.count && shown < max; i++) {
        const struct flight *flight = pool_at(&coalesce->flights, i);
        if (flight == NULL)
            continue;
        struct fact_flight fact = fact_of(coalesce, flight, now);
        show(context, &fact);
        shown++;
    }
}

uint32_t coalesce_free_segments(const struct coalesce *coalesce)
{
    return payload_free(coalesce);
}

uint32_t coalesce_flight_count(const struct coalesce *coalesce)
{
    return pool_used(&coalesce->flights);
}

uint32_t coalesce_objects_used(const struct coalesce *coalesce)
{
    const struct entries *entries = &coalesce->entries;
    return pool_used(&coalesce->flights) + pool_used(&coalesce->branches) +
           pool_used(&coalesce->loans) + pool_used(&coalesce->relays) +
           pool_used(&coalesce->lents) + pool_used(&coalesce->helds) +
           pool_used(&coalesce->pacers) + section_pools_used(&coalesce->sections) +
           pool_used(&coalesce->payload.segments) + coalesce->payload.promised +
           (entries->count - entries->free_count) + pool_used(&entries->large_keys) +
           principals_count(&coalesce->principals) + coalesce->refusal_count;
}
