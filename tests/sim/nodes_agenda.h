/*
 * nodes_agenda: what will happen in the simulation of nodes, by virtual time; what is for the same
 * time happens in the order in which it was put down.
 */
#pragma once

#include <stdint.h>

/* ITEM is the event's own: it is freed afterwards. */
typedef void nodes_happen(void *context, void *item);

struct nodes_event {
    uint64_t at_ns;
    uint64_t serial;
    nodes_happen *happen;
    void *context;
    void *item; /* of malloc(), or NULL */
};

/* A heap; grows as it must. */
struct nodes_agenda {
    struct nodes_event *events;
    uint32_t count;
    uint32_t room;
    uint64_t serial;
};

void nodes_agenda_put(struct nodes_agenda *agenda, uint64_t at_ns, nodes_happen *happen,
                      void *context, void *item);

/* When the next event is; CLOCK_NEVER: there is none. */
uint64_t nodes_agenda_next_ns(const struct nodes_agenda *agenda);

/* Let it happen. There is one. */
void nodes_agenda_run(struct nodes_agenda *agenda);

void nodes_agenda_free(struct nodes_agenda *agenda);
