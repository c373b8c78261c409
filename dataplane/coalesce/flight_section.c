/*
 * flight_section: the header sections that a flight keeps.
 *
 * Two small ones are there for each for certain: request and head, and when the head has gone to
 * subscribers and the request is not sent again, head and trailers. So an answer that has begun
 * does not fail for lack of them (large ones are shared by all). What a flight may keep besides, an
 * interim response and the request's trailers, is taken from the rest.
 *
 * The request of a leader whose section stays where it is gets a place here when the leader leaves
 * before the head has come; there is one, for nobody else has had it.
 */
#include "dataplane/coalesce/flight.h"

bool flight_keep_extra(struct flight *flight, const struct fields *from, struct fields *out)
{
    struct coalesce *coalesce = flight->coalesce;
    if (coalesce->extra_sections == coalesce->extra_sections_max ||
        !section_copy(&coalesce->sections, from, out))
        return false;
    coalesce->extra_sections++;
    return true;
}

void flight_give_extra(struct flight *flight, struct fields *section)
{
    section_give(&flight->coalesce->sections, section);
    flight->coalesce->extra_sections--;
}

/* Of a large section there may be no place: what is with a backend goes on, and is not repeated. */
void flight_keep_request(struct flight *flight, uint64_t now)
{
    const struct fields *leaders = flight->request;
    bool goes_on = flight_interest(flight) > 0 || flight->entry != NULL;
    if (leaders == &flight->kept_request)
        return;
    flight->request = NULL;
    if (!goes_on || !flight_is_running(flight))
        return;
    if (section_copy(&flight->coalesce->sections, leaders, &flight->kept_request)) {
        flight->request = &flight->kept_request;
        return;
    }
    flight->replayable = false;
    if (flight->piece == PIECE_HEADERS)
        flight_break(flight, FLIGHT_NO_MEMORY, now);
}
