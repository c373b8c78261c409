/*
 * flight_section: the header sections that a flight keeps.
 *
 * Two small ones are there for each for certain: request and head, and when the head has gone to
 * subscribers and the request is not sent again, head and trailers. So an answer that has begun
 * does not fail for lack of them (large ones are shared by all). What a flight may keep besides, an
 * interim response and the request's trailers, is taken from the rest.
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

void flight_drop_extra(struct flight *flight, struct fields *section)
{
    if (section->data == NULL)
        return;
    section_give(&flight->coalesce->sections, section);
    flight->coalesce->extra_sections--;
}

void flight_forget_request(struct flight *flight)
{
    section_give(&flight->coalesce->sections, &flight->request);
}
