#include "dataplane/request/access_log.h"

#include "dataplane/base/counter.h"
#include "dataplane/coalesce/principal.h"
#include "dataplane/request/exchange.h"

bool access_log_init(struct access_log *log, uint32_t records, int socket_id)
{
    return ring_spsc_init(&log->records, "access records", records, sizeof(struct access_record),
                          socket_id);
}

void access_log_set(struct access_log *log, const struct snapshot_access *access)
{
    log->on = access->on;
    log->query = access->query;
    log->sample = access->sample;
}

/* C6, C15: it was on a flight that others shared, and may not be on it any more. */
static bool was_sent_away(const struct subscriber *subscriber)
{
    return subscriber->apart == APART_UNSHAREABLE || subscriber->apart == APART_SLOW;
}

static enum access_role role_of(const struct subscriber *subscriber,
                                const struct flight_story *story)
{
    if (was_sent_away(subscriber))
        return ACCESS_DETACHED;
    switch (subscriber->role) {
    case SUBSCRIBER_NONE:
        return ACCESS_NO_FLIGHT;
    case SUBSCRIBER_LED:
        return story->shared ? ACCESS_LEADER : ACCESS_OWN;
    case SUBSCRIBER_JOINED:
    case SUBSCRIBER_PENDING:
        return ACCESS_JOINED;
    }
    return ACCESS_NO_FLIGHT;
}

void access_begin(struct exchange *exchange, const struct fields *fields, uint64_t now)
{
    struct access_notes *notes = &exchange->notes;
    struct bytes authority = BYTES_NONE;
    exchange->access.began_ns = now;
    exchange->access.noted = exchange->engine->access.on;
    if (!exchange->access.noted)
        return;
    *notes = (struct access_notes){.story = {.retried = "", .backend_slot = STORY_NO_BACKEND}};
    if (!fields_find(fields, FIELD_AUTHORITY, &authority))
        fields_find(fields, FIELD_HOST, &authority);
    struct bytes kept = bytes_first(authority, ACCESS_AUTHORITY_BYTES);
    notes->authority_cut = kept.length < authority.length;
    notes->authority_length = (uint8_t)kept.length;
    if (kept.length > 0)
        memcpy(notes->authority, kept.data, kept.length);
}

void access_keep_request(struct exchange *exchange, const struct fields *fields)
{
    struct request_engine *engine = exchange->engine;
    if (exchange->access.noted && exchange->forwarded.data == NULL)
        (void)section_copy(&engine->sections, fields, &exchange->forwarded);
}

void access_note(struct exchange *exchange)
{
    const struct subscriber *subscriber = &exchange->subscriber;
    struct access_notes *notes = &exchange->notes;
    if (subscriber->role == SUBSCRIBER_NONE)
        return;
    uint64_t read_bytes = subscriber->cursor.position;
    uint64_t joined_at = subscriber->joined_at_bytes;
    notes->joined_at_bytes = joined_at;
    notes->replayed_bytes = read_bytes < joined_at ? read_bytes : joined_at;
    (void)coalesce_story(subscriber, &notes->story);
    notes->role = role_of(subscriber, &notes->story);
}

void access_sent_away(struct exchange *exchange)
{
    if (exchange->access.noted && was_sent_away(&exchange->subscriber))
        exchange->notes.detached = exchange->subscriber.flight;
}

/* --- writing --- */

static uint64_t process_ns(const struct request_engine *engine, uint64_t own_ns)
{
    const struct loop_clock *clock = engine->config.clock;
    return clock == NULL ? own_ns : loop_clock_shared(clock->missed_ns, own_ns);
}

static void add_text(struct access_record *record, uint32_t *used, enum access_text which,
                     struct bytes text, uint32_t bound)
{
    struct bytes kept = bytes_first(text, bound);
    if (kept.length > 0)
        memcpy(record->text + *used, kept.data, kept.length);
    record->lengths[which] = (uint16_t)kept.length;
    record->cut |= (uint8_t)((kept.length < text.length) << which);
    *used += (uint32_t)kept.length;
}

static struct bytes without_query(struct bytes path)
{
    const uint8_t *mark = path.length > 0 ? memchr(path.data, '?', path.length) : NULL;
    return mark == NULL ? path : bytes_first(path, (size_t)(mark - path.data));
}

static void write_texts(struct access_record *record, const struct exchange *exchange)
{
    const struct access_notes *notes = &exchange->notes;
    struct bytes method = BYTES_NONE;
    struct bytes path = BYTES_NONE;
    uint32_t used = 0;
    fields_find(&exchange->forwarded, FIELD_METHOD, &method);
    fields_find(&exchange->forwarded, FIELD_PATH, &path);
    if (!exchange->engine->access.query)
        path = without_query(path);
    record->cut = (uint8_t)(notes->authority_cut << ACCESS_AUTHORITY);
    add_text(record, &used, ACCESS_METHOD, method, ACCESS_METHOD_BYTES);
    add_text(record, &used, ACCESS_ROUTE,
             bytes_of(exchange->route_name, exchange->route_name_length), ACCESS_ROUTE_BYTES);
    add_text(record, &used, ACCESS_AUTHORITY, bytes_of(notes->authority, notes->authority_length),
             ACCESS_AUTHORITY_BYTES);
    add_text(record, &used, ACCESS_PATH, path, ACCESS_PATH_BYTES);
}

static void write_client(struct access_record *record, const struct client *client)
{
    record->client = client->peer.remote;
    record->client_port = client->peer.remote_port;
    record->listener = client->peer.local;
    record->listener_port = client->peer.local_port;
}

static void write_principal(struct access_record *record, const struct principal *principal)
{
    record->principal = principal != NULL ? principal->name : 0;
    if (principal == NULL)
        record->principal_kind = ACCESS_NOBODY;
    else if (principal == &principal->all->newcomers)
        record->principal_kind = ACCESS_CROWD;
    else
        record->principal_kind = principal->address != NULL ? ACCESS_CREDENTIALS : ACCESS_ADDRESS;
}

static void write_flight(struct access_record *record, const struct exchange *exchange)
{
    const struct access_notes *notes = &exchange->notes;
    record->flight = exchange->subscriber.flight;
    record->detached = notes->detached;
    record->story = notes->story;
    record->role = notes->role;
    record->joined_at_bytes = notes->joined_at_bytes;
    record->replayed_bytes = notes->replayed_bytes;
    record->alone = exchange_alone_name(exchange);
}

static const char *failure_name(const struct exchange *exchange, const char *why)
{
    if (why != NULL)
        return why;
    return exchange->failure != FLIGHT_OK ? flight_failure_answer(exchange->failure)->name : "";
}

static void write_end(struct access_record *record, const struct exchange *exchange,
                      const struct access_ending *ending, uint64_t now)
{
    const struct access_draft *draft = &exchange->access;
    record->began_ns = process_ns(exchange->engine, draft->began_ns);
    record->total_ns = now - draft->began_ns;
    record->first_byte_ns = draft->head_at_ns > 0 ? draft->head_at_ns - draft->began_ns : 0;
    record->bytes_in = draft->bytes_in;
    record->bytes_out = draft->bytes_out;
    record->status = draft->status;
    record->end = (uint8_t)ending->end;
    record->code = ending->code;
    record->local = local_answer_name(exchange->local);
    record->failure = failure_name(exchange, ending->why);
}

/* Whether this one is to be told: all that went wrong, and the sample of the others. */
static bool is_wanted(const struct exchange *exchange, const struct access_ending *ending)
{
    const struct request_engine *engine = exchange->engine;
    if (ending->end != ACCESS_FINISHED || exchange->access.status >= 500 ||
        exchange->failure != FLIGHT_OK || engine->access.sample == UINT32_MAX)
        return true;
    return random_u64(engine->config.random) >> 32 < engine->access.sample;
}

void access_write(struct exchange *exchange, const struct access_ending *ending, uint64_t now)
{
    struct request_engine *engine = exchange->engine;
    if (!engine->access.on || !is_wanted(exchange, ending))
        return;
    struct access_record *record = ring_spsc_reserve(&engine->access.records);
    if (record == NULL) {
        counter_add(&engine->counters.access_lost, 1);
        return;
    }
    write_client(record, exchange->client);
    write_principal(record, exchange->subscriber.principal);
    write_flight(record, exchange);
    write_end(record, exchange, ending, now);
    write_texts(record, exchange);
    ring_spsc_commit(&engine->access.records);
    counter_add(&engine->counters.access_records, 1);
}
