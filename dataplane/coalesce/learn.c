/*
 * learn: what an answer, a failure or a slow reader teaches about its key (rules C8, C9, C10), and
 * what that means for the next request with the key. The memory is markers.h.
 */
#include "dataplane/base/http_date.h"
#include "dataplane/coalesce/branch.h"
#include "dataplane/coalesce/flight.h"
#include "dataplane/coalesce/key.h"

#define MARKED_FOR_NS     (120 * CLOCK_S)  /* C8 */
#define NEXT_FLIGHT_NS    (250 * CLOCK_MS) /* C9 */
#define SHUT_FOR_MAX_SECS 5                /* C10 */

static struct marker *marker_of(struct coalesce *coalesce, uint64_t hash)
{
    return markers_take(&coalesce->markers, hash);
}

/* --- C8 --- */

static bool knows(const struct marker *marker, struct bytes name)
{
    struct bytes rest = bytes_of(marker->vary, marker->vary_length);
    struct bytes known;
    while (list_value_next(&rest, &known))
        if (bytes_equal(known, name))
            return true;
    return false;
}

/* False: there is no room for the name. */
static bool add_name(struct marker *marker, struct bytes name)
{
    if (knows(marker, name))
        return true;
    if (name.length + 1 > (size_t)(MARKER_VARY_BYTES - marker->vary_length))
        return false;
    memcpy(marker->vary + marker->vary_length, name.data, name.length);
    marker->vary_length = (uint8_t)(marker->vary_length + name.length + 1);
    marker->vary[marker->vary_length - 1] = ',';
    return true;
}

/* All names of the answer's `vary` that the key does not cover. False: too many. */
static bool learn_vary(struct marker *marker, struct bytes key, const struct fields *head)
{
    struct field field;
    for (uint32_t at = 0; fields_next(head, &at, &field);) {
        struct bytes rest = field.value;
        struct bytes name;
        while (field.token == FIELD_VARY && list_value_next(&rest, &name)) {
            uint8_t lower[MARKER_VARY_BYTES];
            struct bytes low = bytes_lower(name, lower, sizeof(lower));
            if (low.length != name.length)
                return false;
            if (name.length > 0 && !key_covers(key, low) && !add_name(marker, low))
                return false;
        }
    }
    return true;
}

void learn_unshareable(struct flight *flight, enum share_verdict verdict, const struct fields *head,
                       uint64_t now)
{
    struct coalesce *coalesce = flight->coalesce;
    struct marker *marker = marker_of(coalesce, flight->key_hash);
    if (marker->vary_until_ns <= now)
        marker->vary_length = 0;
    if (verdict == SHARE_VARY && learn_vary(marker, flight_key(flight), head)) {
        COALESCE_COUNT(coalesce, markers_vary);
        marker->vary_until_ns = now + MARKED_FOR_NS;
        return;
    }
    COALESCE_COUNT(coalesce, markers_alone);
    marker->alone_until_ns = now + MARKED_FOR_NS;
}

void learn_slow(struct flight *flight, uint64_t now)
{
    if (!flight->keyed)
        return;
    COALESCE_COUNT(flight->coalesce, markers_alone);
    marker_of(flight->coalesce, flight->key_hash)->alone_until_ns = now + MARKED_FOR_NS;
}

void learn_shareable(struct flight *flight, uint64_t now)
{
    struct marker *marker = markers_find(&flight->coalesce->markers, flight->key_hash);
    if (marker == NULL)
        return;
    if (marker->alone_until_ns > now)
        COALESCE_COUNT(flight->coalesce, markers_cleared);
    marker->alone_until_ns = 0;
    if (marker->vary_until_ns > now)
        marker->vary_until_ns = now + MARKED_FOR_NS;
}

/* --- C9, C10 --- */

void learn_failure(struct coalesce *coalesce, uint64_t hash, uint64_t now)
{
    marker_of(coalesce, hash)->start_at_ns = now + NEXT_FLIGHT_NS;
}

/* From the answer's own date to the one it names: no clock but the backend's is needed. */
static uint64_t seconds_until(const struct fields *head, uint64_t then)
{
    struct bytes value = BYTES_NONE;
    uint64_t date;
    if (!fields_find(head, FIELD_DATE, &value) || !http_date_parse(value, &date) || then <= date)
        return 0;
    return then - date < SHUT_FOR_MAX_SECS ? then - date : SHUT_FOR_MAX_SECS;
}

/* Seconds of retry-after, or until its date (RFC 9110 10.2.3); 0: none that we can use. */
static uint64_t retry_after_of(const struct fields *head)
{
    struct bytes value = BYTES_NONE;
    uint64_t seconds = 0;
    uint64_t then;
    if (!fields_find(head, FIELD_RETRY_AFTER, &value))
        return 0;
    if (http_date_parse(value, &then))
        return seconds_until(head, then);
    for (size_t i = 0; i < value.length; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return 0;
        if (seconds < SHUT_FOR_MAX_SECS)
            seconds = seconds * 10 + (uint64_t)(value.data[i] - '0');
    }
    return seconds < SHUT_FOR_MAX_SECS ? seconds : SHUT_FOR_MAX_SECS;
}

void learn_overload(struct coalesce *coalesce, uint64_t hash, const struct fields *head,
                    uint64_t now)
{
    struct bytes status = BYTES_NONE;
    if (!fields_find(head, FIELD_STATUS, &status) ||
        (!bytes_equal_text(status, "429") && !bytes_equal_text(status, "503")))
        return;
    uint64_t seconds = retry_after_of(head);
    if (seconds == 0)
        return;
    COALESCE_COUNT(coalesce, markers_shut);
    marker_of(coalesce, hash)->shut_until_ns = now + seconds * CLOCK_S;
}
