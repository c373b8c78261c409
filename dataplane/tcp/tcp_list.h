/*
 * tcp_list: the lists that a worker's connections stand in, linked by connection number: 8 bytes a
 * link where pointers would take 16, in every connection. One worker.
 *
 * Circular and doubly linked. Connections have the numbers 1 to `count`, the lists' heads follow;
 * a link without successor (0) is in no list. Every operation is O(1).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TCP_CONN_BYTES 512u /* from one connection's links to the next one's */
#define TCP_NOBODY     0u

enum tcp_list {
    TCP_LIST_OUT,       /* something may be sendable */
    TCP_LIST_AGAIN,     /* of these, what a full port or an empty pool left for the next turn */
    TCP_LIST_READY,     /* events wait */
    TCP_LIST_HALF_OPEN, /* a peer's SYN, not established */
    TCP_LIST_STARVING,  /* sends failed for want of spans or blocks */
    TCP_LIST_AHEAD,     /* hold segments out of order, the longest first */
    TCP_LISTS
};

/* A connection is in at most one of the lists that share a link. */
enum tcp_link_kind {
    TCP_LINK_OUT,   /* OUT, AGAIN */
    TCP_LINK_READY, /* READY */
    TCP_LINK_EXTRA, /* HALF_OPEN before, STARVING after establishment */
    TCP_LINK_AHEAD, /* AHEAD */
    TCP_LINKS
};

struct tcp_link {
    uint32_t previous;
    uint32_t next;
};

struct tcp_lists {
    uint8_t *links; /* of connection 1 */
    uint32_t count; /* of connections */
    struct tcp_link heads[TCP_LISTS];
};

static inline enum tcp_link_kind tcp_list_kind(enum tcp_list list)
{
    static const uint8_t kinds[TCP_LISTS] = {TCP_LINK_OUT,   TCP_LINK_OUT,   TCP_LINK_READY,
                                             TCP_LINK_EXTRA, TCP_LINK_EXTRA, TCP_LINK_AHEAD};
    return kinds[list];
}

static inline uint32_t tcp_list_head(const struct tcp_lists *lists, enum tcp_list list)
{
    return lists->count + 1 + list;
}

static inline struct tcp_link *tcp_link_at(struct tcp_lists *lists, enum tcp_link_kind kind,
                                           uint32_t at)
{
    if (at > lists->count)
        return &lists->heads[at - lists->count - 1];
    return (struct tcp_link *)(void *)(lists->links + (size_t)(at - 1) * TCP_CONN_BYTES) + kind;
}

static inline void tcp_lists_init(struct tcp_lists *lists, void *links, uint32_t count)
{
    lists->links = links;
    lists->count = count;
    for (enum tcp_list list = 0; list < TCP_LISTS; list++)
        lists->heads[list] =
            (struct tcp_link){tcp_list_head(lists, list), tcp_list_head(lists, list)};
}

static inline bool tcp_list_is_empty(const struct tcp_lists *lists, enum tcp_list list)
{
    return lists->heads[list].next == tcp_list_head(lists, list);
}

static inline uint32_t tcp_list_first(const struct tcp_lists *lists, enum tcp_list list)
{
    uint32_t first = lists->heads[list].next;
    return first > lists->count ? TCP_NOBODY : first;
}

/* The one behind AT in LIST; TCP_NOBODY: it is the last. */
static inline uint32_t tcp_list_after(struct tcp_lists *lists, enum tcp_list list, uint32_t at)
{
    uint32_t next = tcp_link_at(lists, tcp_list_kind(list), at)->next;
    return next > lists->count ? TCP_NOBODY : next;
}

static inline void tcp_list_push_back(struct tcp_lists *lists, enum tcp_list list, uint32_t at)
{
    enum tcp_link_kind kind = tcp_list_kind(list);
    uint32_t last = lists->heads[list].previous;
    *tcp_link_at(lists, kind, at) =
        (struct tcp_link){.previous = last, .next = tcp_list_head(lists, list)};
    tcp_link_at(lists, kind, last)->next = at;
    lists->heads[list].previous = at;
}

/* Out of the list it is in, if any. */
static inline void tcp_list_remove(struct tcp_lists *lists, enum tcp_link_kind kind, uint32_t at)
{
    struct tcp_link *link = tcp_link_at(lists, kind, at);
    if (link->next == 0)
        return;
    tcp_link_at(lists, kind, link->previous)->next = link->next;
    tcp_link_at(lists, kind, link->next)->previous = link->previous;
    *link = (struct tcp_link){0, 0};
}

/* TCP_NOBODY: the list is empty. */
static inline uint32_t tcp_list_pop_front(struct tcp_lists *lists, enum tcp_list list)
{
    uint32_t first = tcp_list_first(lists, list);
    if (first != TCP_NOBODY)
        tcp_list_remove(lists, tcp_list_kind(list), first);
    return first;
}

/* Everything of FROM goes to the end of TO, which shares its link. */
static inline void tcp_list_move_all(struct tcp_lists *lists, enum tcp_list from, enum tcp_list to)
{
    uint32_t at;
    while ((at = tcp_list_pop_front(lists, from)) != TCP_NOBODY)
        tcp_list_push_back(lists, to, at);
}
