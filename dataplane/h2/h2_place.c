#include "dataplane/h2/h2_place.h"

#include "dataplane/h2/h2_conn.h"

static void hand_over(struct h2_place *place)
{
    const struct transport *transport = &place->conn->transport;
    uint32_t count = (uint32_t)(place->at - place->start);
    place->conn = NULL;
    if (count > 0)
        transport->ops->placed(transport->stream, count);
}

uint8_t *h2_place_open(struct h2_conn *conn, size_t count)
{
    struct h2_place *place = &conn->h2->place;
    const struct transport *transport = &conn->transport;
    uint32_t bytes;
    if (place->conn != NULL)
        hand_over(place);
    if (transport->ops->place == NULL || count > UINT32_MAX)
        return NULL;
    uint32_t room = transport->ops->room(transport->stream);
    uint8_t *start = transport->ops->place(transport->stream, (uint32_t)count, &bytes);
    if (start != NULL)
        *place = (struct h2_place){conn, start, start, start + bytes, room};
    return start;
}

void h2_place_close(struct h2_conn *conn)
{
    struct h2_place *place = &conn->h2->place;
    if (place->conn == conn)
        hand_over(place);
}
