#include "dataplane/h2/h2_priority.h"

#include "dataplane/h2/h2_conn.h"

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct bytes trim(struct bytes text)
{
    while (text.length > 0 && is_blank(text.data[0]))
        text = bytes_after(text, 1);
    while (text.length > 0 && is_blank(text.data[text.length - 1]))
        text.length--;
    return text;
}

/* Up to the first STOP, which is taken as well; a dictionary of ours has no strings. */
static struct bytes cut(struct bytes *rest, uint8_t stop)
{
    size_t at = 0;
    while (at < rest->length && rest->data[at] != stop)
        at++;
    struct bytes part = bytes_first(*rest, at);
    *rest = bytes_after(*rest, at < rest->length ? at + 1 : at);
    return part;
}

static void read_member(struct bytes member, struct h2_priority *out)
{
    struct bytes text = trim(cut(&member, ';')); /* parameters mean nothing */
    bool is_urgency = text.length == 3 && bytes_start_with(text, bytes_text("u="));
    if (is_urgency && text.data[2] >= '0' && text.data[2] <= '7')
        out->urgency = (uint8_t)(text.data[2] - '0');
    else if (bytes_equal_text(text, "i") || bytes_equal_text(text, "i=?1"))
        out->turns = true;
    else if (bytes_equal_text(text, "i=?0"))
        out->turns = false;
}

struct h2_priority h2_priority_read(struct bytes value)
{
    struct h2_priority priority = {.urgency = H2_URGENCY_DEFAULT};
    while (value.length > 0)
        read_member(cut(&value, ','), &priority);
    return priority;
}

void h2_ready_init(struct h2_ready *ready)
{
    *ready = (struct h2_ready){0};
    for (uint32_t i = 0; i < H2_URGENCIES; i++)
        list_init(&ready->lists[i]);
}

static struct list *list_of(struct h2_stream *stream)
{
    struct h2_ready *ready = &stream->conn->ready;
    ready->set |= (uint8_t)(1u << stream->priority.urgency);
    return &ready->lists[stream->priority.urgency];
}

void h2_ready_add(struct h2_stream *stream)
{
    list_push_back(list_of(stream), &stream->turn);
}

void h2_ready_again(struct h2_stream *stream)
{
    if (stream->parked != H2_PARKED_NOT || !h2_stream_can_send(stream))
        return;
    list_remove(&stream->turn);
    if (stream->priority.turns || stream->conn->ready.is_fair)
        list_push_back(list_of(stream), &stream->turn);
    else
        list_push_front(list_of(stream), &stream->turn);
    h2_conn_wake(stream->conn);
}

/* The bits of lists that have become empty go now: streams leave without asking. */
static void tidy(struct h2_ready *ready)
{
    for (uint32_t set = ready->set; set != 0; set &= set - 1) {
        uint32_t urgency = (uint32_t)__builtin_ctz(set);
        if (list_is_empty(&ready->lists[urgency]))
            ready->set &= (uint8_t) ~(1u << urgency);
    }
}

bool h2_ready_is_empty(struct h2_conn *conn)
{
    tidy(&conn->ready);
    return conn->ready.set == 0;
}

static bool has_several(uint8_t set)
{
    return (set & (set - 1)) != 0;
}

/* LIST is not empty: somebody waits behind the first. */
static bool has_second(const struct list *list)
{
    return list->next != list->previous;
}

/* Urgencies with a stream that is not the next one by the rules. */
static uint32_t waiting(const struct h2_ready *ready, uint32_t first)
{
    uint32_t others = ready->set & ~(1u << first);
    return has_second(&ready->lists[first]) ? others | 1u << first : others;
}

/* The next of URGENCIES behind the one before, and who waits there. */
static struct list *take_fair(struct h2_ready *ready, uint32_t urgencies, uint32_t first)
{
    uint32_t later = urgencies & ~((2u << ready->fair_at) - 1);
    ready->fair_at = (uint8_t)__builtin_ctz(later != 0 ? later : urgencies);
    struct list *link = ready->lists[ready->fair_at].next;
    if (ready->fair_at == first)
        link = link->next;
    list_remove(link);
    return link;
}

struct h2_stream *h2_ready_take(struct h2_conn *conn)
{
    struct h2_ready *ready = &conn->ready;
    if (has_several(ready->set))
        tidy(ready);
    if (ready->set == 0)
        return NULL;
    uint32_t first = (uint32_t)__builtin_ctz(ready->set);
    if (list_is_empty(&ready->lists[first])) { /* the only one */
        ready->set = 0;
        return NULL;
    }
    uint32_t urgencies = waiting(ready, first);
    ready->is_fair = urgencies != 0 && ++ready->turns >= H2_LIMIT_FAIR_TURNS;
    if (ready->is_fair)
        ready->turns = 0;
    struct list *link =
        ready->is_fair ? take_fair(ready, urgencies, first) : list_pop_front(&ready->lists[first]);
    return list_entry(link, struct h2_stream, turn);
}

static void set_priority(struct h2_stream *stream, struct h2_priority priority)
{
    bool waits = list_is_linked(&stream->turn) && stream->parked == H2_PARKED_NOT;
    stream->priority = priority;
    if (!waits)
        return;
    list_remove(&stream->turn);
    h2_ready_add(stream);
}

void h2_priority_open(struct h2_stream *stream, bool has_value, struct bytes value)
{
    struct h2_conn *conn = stream->conn;
    if (has_value)
        set_priority(stream, h2_priority_read(value));
    for (uint32_t i = 0; conn->has_early && i < H2_LIMIT_EARLY_PRIORITIES; i++) {
        struct h2_priority_early *early = &conn->early[i];
        if (early->stream_id != stream->id)
            continue;
        set_priority(stream, early->priority);
        early->stream_id = 0;
    }
}

/* A stream that is not there yet: remembered, in place of the oldest when there are many. */
static void remember(struct h2_conn *conn, uint32_t stream_id, struct h2_priority priority)
{
    uint32_t place = conn->early_at;
    conn->has_early = true;
    for (uint32_t i = 0; i < H2_LIMIT_EARLY_PRIORITIES; i++)
        if (conn->early[i].stream_id == stream_id)
            place = i;
    conn->early[place] = (struct h2_priority_early){stream_id, priority};
    if (place == conn->early_at)
        conn->early_at = (uint8_t)((place + 1) % H2_LIMIT_EARLY_PRIORITIES);
}

void h2_priority_update(struct h2_conn *conn, uint32_t stream_id, struct bytes value)
{
    struct h2_stream *stream = h2_stream_find(conn, stream_id);
    if (stream != NULL)
        set_priority(stream, h2_priority_read(value));
    else if (stream_id > conn->last_peer_id)
        remember(conn, stream_id, h2_priority_read(value));
}
