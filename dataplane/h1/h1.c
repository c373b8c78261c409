#include "dataplane/h1/h1_conn.h"

#include "dataplane/base/memory.h"

/* A field's text in its block has at least as much beside it as ": " and CRLF; names of tokens, and
 * what we add, come on top. */
#define HEAD_BYTES(list_bytes) (2 * (list_bytes) + 4096)

struct h1 *h1_create(const struct h1_config *config)
{
    struct h1 *h1 = memory_take("h1", sizeof(*h1), config->socket_id);
    if (h1 == NULL)
        return NULL;
    h1->config = *config;
    list_init(&h1->active);
    list_init(&h1->held);
    h1->head_capacity = HEAD_BYTES(config->header_list_bytes);
    h1->head = memory_take("h1 head", h1->head_capacity, config->socket_id);
    if (h1->head == NULL ||
        !pool_init(&h1->conns, "h1 connections", POOL_RESTING, config->connections_max,
                   sizeof(struct h1_conn), config->socket_id) ||
        !pool_init(&h1->blocks, "h1 heads", POOL_LIFO, config->blocks_max,
                   sizeof(struct h1_block) + config->header_list_bytes, config->socket_id))
        return NULL;
    return h1;
}

struct h1_counters *h1_counters(struct h1 *h1)
{
    return &h1->counters;
}

uint32_t h1_objects_used(const struct h1 *h1)
{
    return pool_used(&h1->conns) + pool_used(&h1->blocks);
}

void h1_wake(struct h1_conn *conn)
{
    if (!list_is_linked(&conn->active))
        list_push_back(&conn->h1->active, &conn->active);
}

/* Those that are woken meanwhile wait for the next flush. */
void h1_flush(struct h1 *h1, uint64_t now)
{
    struct list active;
    list_init(&active);
    list_append_all(&active, &h1->active);
    for (struct list *link; (link = list_pop_front(&active)) != NULL;) {
        struct h1_conn *conn = list_entry(link, struct h1_conn, active);
        h1_read(conn, now);
        h1_write(conn, now);
        (void)h1_end_if_retired(conn, now);
    }
}
