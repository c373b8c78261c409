/*
 * list: a doubly linked list whose links live in the objects. One thread. An object is in at most
 * one list per link; an unlinked link points to itself.
 */
#pragma once

#include "dataplane/base/check.h"

#include <stdbool.h>

struct list {
    struct list *next;
    struct list *previous;
};

static inline void list_init(struct list *list)
{
    list->next = list;
    list->previous = list;
}

static inline bool list_is_empty(const struct list *list)
{
    return list->next == list;
}

/* Whether a link (initialised with list_init) is in some list. */
static inline bool list_is_linked(const struct list *link)
{
    return link->next != link;
}

static inline void list_insert_before(struct list *at, struct list *link)
{
    link->next = at;
    link->previous = at->previous;
    at->previous->next = link;
    at->previous = link;
}

static inline void list_push_back(struct list *list, struct list *link)
{
    list_insert_before(list, link);
}

static inline void list_push_front(struct list *list, struct list *link)
{
    list_insert_before(list->next, link);
}

/* Take a link out of its list; harmless when it is in none. */
static inline void list_remove(struct list *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    list_init(link);
}

/* The first link, taken out, or NULL. */
static inline struct list *list_pop_front(struct list *list)
{
    if (list_is_empty(list))
        return NULL;
    struct list *first = list->next;
    list_remove(first);
    return first;
}

/* Move everything in FROM behind what is in LIST; FROM is empty afterwards. O(1). */
static inline void list_append_all(struct list *list, struct list *from)
{
    if (list_is_empty(from))
        return;
    from->next->previous = list->previous;
    list->previous->next = from->next;
    from->previous->next = list;
    list->previous = from->previous;
    list_init(from);
}

/*
 * Move everything in FROM before what is in LIST; FROM is empty afterwards. A walk that is bounded
 * puts those back so who had no turn: they come first in the next one. O(1).
 */
static inline void list_prepend_all(struct list *list, struct list *from)
{
    list_append_all(from, list);
    list_append_all(list, from);
}

#define list_entry(link, type, member) container_of(link, type, member)

/* Walk; the current object may be removed during its turn, no other one. */
#define list_for_each(link, next_link, head)                                                       \
    for (struct list *link = (head)->next, *next_link = link->next; link != (head);                \
         link = next_link, next_link = link->next)
