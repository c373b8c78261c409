/*
 * flight_response: what comes from the backend goes into the feed, once, for everybody.
 *
 * Truthfulness (C11): the feed ends well only if the backend ended the stream and a declared length
 * is met; anything else breaks the flight.
 *
 * A head is held back, `head_held`, until the end of the worker's turn in which the first byte of
 * the body comes, or the time that its route gives that (hold_first_byte) is over. What has come of
 * the body by then is held back with it: of an answer that is already known to be wrong, or lost,
 * nobody hears, and the flight may be tried again (C14).
 */
#include "dataplane/coalesce/branch.h"
#include "dataplane/coalesce/flight.h"
#include "dataplane/coalesce/pacer.h"

static struct flight *flight_of(struct attempt *attempt)
{
    return container_of(attempt, struct flight, attempt);
}

/* --- length --- */

/* RFC 9110 8.6: responses whose content-length says nothing about their body. */
static bool has_no_body(const struct flight *flight)
{
    return flight->is_head || flight->status == 204 || flight->status == 304;
}

/* With MORE bytes the body is all of the declared one. */
static bool length_is_met(const struct flight *flight, size_t more)
{
    return !flight->length_declared || has_no_body(flight) ||
           flight->feed.body.written_bytes + more == flight->declared_bytes;
}

static bool length_is_exceeded(const struct flight *flight, size_t more)
{
    return flight->length_declared && !has_no_body(flight) &&
           more > flight->declared_bytes - flight->feed.body.written_bytes;
}

static void wrong_length(struct flight *flight, uint64_t now)
{
    COALESCE_COUNT(flight->coalesce, length_mismatch);
    flight_attempt_wrong(flight, now);
}

/* --- head --- */

/* Fields that end at this hop (RFC 9110 7.6.1). HTTP/2 forbids them; HTTP/1.1 does not. */
#define BIT_OF(token, word) ((token) / 64 == (word) ? 1ull << ((token) % 64) : 0)
#define HOP_BY_HOP(word)                                                                           \
    (BIT_OF(FIELD_CONNECTION, word) | BIT_OF(FIELD_KEEP_ALIVE, word) |                             \
     BIT_OF(FIELD_PROXY_CONNECTION, word) | BIT_OF(FIELD_TRANSFER_ENCODING, word) |                \
     BIT_OF(FIELD_UPGRADE, word) | BIT_OF(FIELD_TE, word))

/* As `present` of fields. */
static const uint64_t hop_by_hop[2] = {HOP_BY_HOP(0), HOP_BY_HOP(1)};

static bool is_hop_by_hop(enum field_token token)
{
    return (hop_by_hop[token / 64] >> (token % 64) & 1) != 0;
}

/* A cookie is no trailer (RFC 9110 6.5.1), and trailers go to everybody (C6, C22). */
static bool ends_here(const struct flight *flight, enum h2_section section, enum field_token token)
{
    if (token == FIELD_CONTENT_LENGTH)
        return flight->tunnel == TUNNEL_OPEN;
    if (token == FIELD_SET_COOKIE)
        return section == H2_SECTION_TRAILERS;
    return is_hop_by_hop(token);
}

/* Whether there is any such field. Most often there is none. */
static bool some_end_here(const struct flight *flight, enum h2_section section,
                          const struct fields *from)
{
    bool some = (flight->tunnel == TUNNEL_OPEN && fields_may_have(from, FIELD_CONTENT_LENGTH)) ||
                (section == H2_SECTION_TRAILERS && fields_may_have(from, FIELD_SET_COOKIE));
    return some || (from->present[0] & hop_by_hop[0]) != 0 ||
           (from->present[1] & hop_by_hop[1]) != 0;
}

/* FROM without what ends here; if need be in memory of the worker's. overflow: it does not fit. */
static const struct fields *strip(struct flight *flight, const struct fields *from,
                                  enum h2_section section)
{
    struct coalesce *coalesce = flight->coalesce;
    struct fields *scratch = &coalesce->scratch;
    struct field field;
    if (!some_end_here(flight, section, from))
        return from;
    fields_init(scratch, scratch->data, scratch->capacity);
    for (uint32_t at = 0; fields_next(from, &at, &field);)
        if (!ends_here(flight, section, field.token))
            fields_add(scratch, field);
    return scratch;
}

/* A copy of FROM without what ends here, into OUT. False: no memory for it. */
static bool keep_section(struct flight *flight, const struct fields *from, enum h2_section section,
                         struct fields *out)
{
    const struct fields *stripped = strip(flight, from, section);
    return !stripped->overflow && section_copy(&flight->coalesce->sections, stripped, out);
}

static bool keep_interim(struct flight *flight, const struct fields *from)
{
    const struct fields *stripped = strip(flight, from, H2_SECTION_INTERIM);
    return !stripped->overflow && flight_keep_extra(flight, stripped, &flight->feed.interim);
}

static bool digits_value(struct bytes digits, uint64_t *out)
{
    uint64_t value = 0;
    if (digits.length == 0 || digits.length > 18)
        return false;
    for (size_t i = 0; i < digits.length; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(digits.data[i] - '0');
    }
    *out = value;
    return true;
}

/* Status and declared length. False: they make no sense. */
static bool read_head(struct flight *flight, const struct fields *head)
{
    uint16_t status = fields_status(head);
    struct bytes value = BYTES_NONE;
    if (status < 200)
        return false;
    flight->status = status;
    if (flight->tunnel != TUNNEL_NOT)
        flight->tunnel = status < 300 ? TUNNEL_OPEN : TUNNEL_NOT;
    if (flight->tunnel == TUNNEL_OPEN) /* RFC 9110 9.3.6: no content-length */
        return true;
    if (!fields_may_have(head, FIELD_CONTENT_LENGTH))
        return true;
    for (uint32_t at = 0; fields_search_on(head, FIELD_CONTENT_LENGTH, &at, &value);) {
        uint64_t length;
        if (!digits_value(value, &length) ||
            (flight->length_declared && length != flight->declared_bytes))
            return false;
        flight->length_declared = true;
        flight->declared_bytes = length;
    }
    return true;
}

/* C6: those who did not ask for this very answer go elsewhere, before they see any of it. */
static void detach_others(struct flight *flight, uint64_t now)
{
    struct coalesce *coalesce = flight->coalesce;
    struct list *subscribers = &flight->feed.subscribers;
    struct subscriber *first = list_entry(subscribers->next, struct subscriber, link);
    bool led = !list_is_empty(subscribers) && first->role == SUBSCRIBER_LED;
    flight_leave_table(flight, &coalesce->counters.removed_unshareable, now);
    flight->joined_count = 0;
    branches_refuse(flight);
    uint32_t count =
        pacer_refuse(coalesce, &flight->feed, led ? first : NULL, APART_UNSHAREABLE, now);
    counter_add(&coalesce->counters.detached_unshareable, count);
}

/* C6, C8, C10: what the head says about sharing, now and next time. */
static void judge_head(struct flight *flight, const struct fields *head, uint64_t now)
{
    if (!flight->keyed)
        return;
    learn_overload(flight->coalesce, flight->key_hash, head, now);
    enum share_verdict verdict = flight_may_share(flight, head);
    if (verdict == SHARE_OK)
        learn_shareable(flight, now);
    else if (flight_key(flight).length > 0)
        learn_unshareable(flight, verdict, head, now);
    flight_forget_sample(flight);
    if (verdict != SHARE_OK && flight->coalesced)
        detach_others(flight, now);
}

static void end_answer(struct flight *flight, uint64_t now);

void flight_release_head(struct flight *flight, uint64_t now)
{
    if (!flight->head_held)
        return;
    flight->head_held = false;
    list_remove(&flight->fresh_link);
    flight_clear_time(flight, TIME_HOLD);
    flight_become(flight, FLIGHT_ANSWERING, CAUSE_HEAD_ARRIVED);
    flight_budget_release(flight);
    flight->feed.state = FEED_HEAD;
    flight_forget_sample(flight);
    flight_request_unneeded(flight);
    flight_forget_request(flight);
    if (flight->tunnel == TUNNEL_OPEN) {
        COALESCE_COUNT(flight->coalesce, tunnels);
        flight_clear_times(flight);
        return;
    }
    flight_expect_more(flight, now);
}

void flight_show_head(struct flight *flight, uint64_t now)
{
    flight_hold(flight);
    flight_release_head(flight, now);
    flight_readers_changed(flight, now);
    flight_announce(flight, now);
    flight_settle(flight, now);
}

/* What has come of the body: as if nothing had. */
static void forget_body(struct flight *flight)
{
    flight_window_end(flight);
    body_clear(&flight->feed.body);
    flight->credit_owed = 0;
}

void flight_forget_head(struct flight *flight)
{
    if (!flight->head_held)
        return;
    COALESCE_COUNT(flight->coalesce, heads_replaced);
    flight->head_held = false;
    flight->length_declared = false;
    flight->declared_bytes = 0;
    flight->status = 0;
    flight->tunnel = flight_tunnel_asked(flight);
    list_remove(&flight->fresh_link);
    flight_clear_time(flight, TIME_HOLD);
    section_give(&flight->coalesce->sections, &flight->feed.head);
    forget_body(flight);
}

/* There is nothing more to wait for but the end of the turn. */
static void show_soon(struct flight *flight)
{
    flight_clear_time(flight, TIME_HOLD);
    if (!list_is_linked(&flight->fresh_link))
        list_push_back(&flight->coalesce->fresh_heads, &flight->fresh_link);
}

/* A body follows. Until its first byte a backend that fails can be replaced unseen (coalescing.md,
 * hold_first_byte); the client of a tunnel waits for the head before it says anything. */
static void hold_head(struct flight *flight, uint64_t now)
{
    bool stream = !has_no_body(flight) && flight->attempt.content != CONTENT_OTHER;
    uint64_t hold_ns = stream ? flight->hold_stream_ns : flight->hold_first_byte_ns;
    flight->feed.streams_since_ns = stream ? now : 0;
    if (flight->tunnel == TUNNEL_OPEN)
        flight_show_head(flight, now);
    else if (hold_ns > 0)
        flight_set_time(flight, TIME_HOLD, now + hold_ns);
    else
        show_soon(flight);
}

static void response_head(struct flight *flight, const struct fields *head, bool end, uint64_t now)
{
    struct coalesce *coalesce = flight->coalesce;
    if (!read_head(flight, head)) {
        flight_break(flight, FLIGHT_BAD_RESPONSE, now);
        return;
    }
    if (!keep_section(flight, head, H2_SECTION_HEADERS, &flight->feed.head)) {
        flight_break(flight, FLIGHT_NO_MEMORY, now);
        return;
    }
    flight->head_held = true;
    if (end && !length_is_met(flight, 0)) {
        wrong_length(flight, now);
        return;
    }
    flight->answered_at_ns = now;
    histogram_add(&coalesce->histograms.upstream, (now - flight->tried_at_ns) / CLOCK_US);
    judge_head(flight, head, now);
    if (flight->status >= 500) /* C10 */
        flight_leave_table(flight, &coalesce->counters.removed_server_error, now);
    if (end)
        end_answer(flight, now);
    else
        hold_head(flight, now);
}

/* --- end --- */

/* Its length is as declared. */
static void end_answer(struct flight *flight, uint64_t now)
{
    struct coalesce *coalesce = flight->coalesce;
    flight_release_head(flight, now);
    flight_become(flight, FLIGHT_COMPLETE, CAUSE_ANSWER_ENDED);
    COALESCE_COUNT(coalesce, completed);
    counter_add(&coalesce->counters.saved,
                flight->feed.subscriber_count > 1 ? flight->feed.subscriber_count - 1 : 0);
    body_end(&flight->feed.body);
    flight->feed.state = FEED_ENDED;
    flight_clear_times(flight);
    flight_window_end(flight);
    flight_leave_table(flight, &coalesce->counters.removed_ended, now);
    flight_announce(flight, now);
}

static void response_trailers(struct flight *flight, const struct fields *trailers, uint64_t now)
{
    if (!length_is_met(flight, 0)) {
        wrong_length(flight, now);
        return;
    }
    flight_forget_request(flight); /* the answer is complete: there is no other attempt */
    if (!keep_section(flight, trailers, H2_SECTION_TRAILERS, &flight->feed.trailers)) {
        flight_break(flight, FLIGHT_NO_MEMORY, now);
        return;
    }
    flight->feed.has_trailers = true;
    end_answer(flight, now);
}

/* C21, C22: the first 103 goes to those who are here; nothing else does. */
static void response_interim(struct flight *flight, const struct fields *interim, uint64_t now)
{
    struct feed *feed = &flight->feed;
    struct bytes status = BYTES_NONE;
    if (feed->has_interim || feed->state != FEED_WAITING || flight->head_held ||
        !fields_find(interim, FIELD_STATUS, &status) || !bytes_equal_text(status, "103") ||
        !keep_interim(flight, interim)) {
        COALESCE_COUNT(flight->coalesce, interim_dropped);
        return;
    }
    COALESCE_COUNT(flight->coalesce, interim_forwarded);
    feed_show_interim(feed);
    flight_announce(flight, now);
}

void flight_response_headers(struct attempt *attempt, const struct fields *fields,
                             enum h2_section section, bool end, uint64_t now)
{
    struct flight *flight = flight_of(attempt);
    flight_hold(flight);
    flight->progress_at_ns = now;
    switch (section) {
    case H2_SECTION_INTERIM:
        response_interim(flight, fields, now);
        break;
    case H2_SECTION_HEADERS:
        response_head(flight, fields, end, now);
        break;
    case H2_SECTION_TRAILERS:
        response_trailers(flight, fields, now);
        break;
    }
    flight_settle(flight, now);
}

/* --- body --- */

/* C16: the beginning is no longer kept for those who come late. */
static void limit_prefix(struct flight *flight, uint64_t now)
{
    struct coalesce_counters *counters = &flight->coalesce->counters;
    if (flight->entry == NULL || flight->in_shadow)
        return;
    if (flight->feed.body.written_bytes > flight->flight_bytes)
        flight_leave_table(flight, &counters->removed_prefix, now);
    else if (flight->paused)
        flight_leave_table(flight, &counters->removed_paused, now);
}

void flight_readers_changed(struct flight *flight, uint64_t now)
{
    flight_grant(flight, now);
    limit_prefix(flight, now);
}

/* There is more to read. Nothing is to be sent after END, so there is no window to be opened. */
static void go_on(struct flight *flight, bool end, uint64_t now)
{
    if (end) {
        end_answer(flight, now);
    } else if (flight->head_held) {
        show_soon(flight);
    } else {
        flight_readers_changed(flight, now);
        flight_announce(flight, now);
    }
}

/* False: no memory for it. */
static bool keep_bytes(struct flight *flight, struct bytes bytes)
{
    struct coalesce *coalesce = flight->coalesce;
    if (body_append(&flight->feed.body, &coalesce->payload, bytes) < bytes.length)
        return false;
    counter_add(&coalesce->counters.body_bytes, bytes.length);
    flight->credit_owed += bytes.length;
    return true;
}

static void take_in(struct flight *flight, struct bytes bytes, bool end, uint64_t now)
{
    if (!keep_bytes(flight, bytes)) {
        flight_break(flight, FLIGHT_NO_MEMORY, now);
        return;
    }
    limit_prefix(flight, now);
    go_on(flight, end, now);
}

void flight_response_data(struct attempt *attempt, struct bytes bytes, bool end, uint64_t now)
{
    struct flight *flight = flight_of(attempt);
    flight_hold(flight);
    flight->progress_at_ns = now;
    if (length_is_exceeded(flight, bytes.length) || (end && !length_is_met(flight, bytes.length)))
        wrong_length(flight, now);
    else
        take_in(flight, bytes, end, now);
    flight_settle(flight, now);
}

/* Windows, readers and the head wait for flight_response_data(). */
void flight_response_part(struct attempt *attempt, struct bytes bytes, uint64_t now)
{
    struct flight *flight = flight_of(attempt);
    if (length_is_exceeded(flight, bytes.length)) {
        flight_response_data(attempt, bytes, false, now);
        return;
    }
    if (keep_bytes(flight, bytes))
        return;
    flight_hold(flight);
    flight_break(flight, FLIGHT_NO_MEMORY, now);
    flight_settle(flight, now);
}
