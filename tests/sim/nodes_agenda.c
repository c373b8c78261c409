#include "tests/sim/nodes_agenda.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"

#include <stdbool.h>
#include <stdlib.h>

static bool is_before(const struct nodes_event *a, const struct nodes_event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->serial < b->serial;
}

static void swap(struct nodes_event *a, struct nodes_event *b)
{
    struct nodes_event kept = *a;
    *a = *b;
    *b = kept;
}

static void grow(struct nodes_agenda *agenda)
{
    if (agenda->count < agenda->room)
        return;
    agenda->room = agenda->room == 0 ? 256 : 2 * agenda->room;
    agenda->events = realloc(agenda->events, agenda->room * sizeof(agenda->events[0]));
    check(agenda->events != NULL);
}

void nodes_agenda_put(struct nodes_agenda *agenda, uint64_t at_ns, nodes_happen *happen,
                      void *context, void *item)
{
    grow(agenda);
    struct nodes_event *events = agenda->events;
    uint32_t i = agenda->count++;
    events[i] = (struct nodes_event){at_ns, agenda->serial++, happen, context, item};
    for (; i > 0 && is_before(&events[i], &events[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&events[i], &events[(i - 1) / 2]);
}

uint64_t nodes_agenda_next_ns(const struct nodes_agenda *agenda)
{
    return agenda->count == 0 ? CLOCK_NEVER : agenda->events[0].at_ns;
}

static struct nodes_event take_first(struct nodes_agenda *agenda)
{
    struct nodes_event *events = agenda->events;
    struct nodes_event first = events[0];
    events[0] = events[--agenda->count];
    for (uint32_t i = 0;;) {
        uint32_t least = i;
        for (uint32_t child = 2 * i + 1; child <= 2 * i + 2 && child < agenda->count; child++)
            if (is_before(&events[child], &events[least]))
                least = child;
        if (least == i)
            return first;
        swap(&events[i], &events[least]);
        i = least;
    }
}

void nodes_agenda_run(struct nodes_agenda *agenda)
{
    check(agenda->count > 0);
    struct nodes_event event = take_first(agenda);
    event.happen(event.context, event.item);
    free(event.item);
}

void nodes_agenda_free(struct nodes_agenda *agenda)
{
    for (uint32_t i = 0; i < agenda->count; i++)
        free(agenda->events[i].item);
    free(agenda->events);
    *agenda = (struct nodes_agenda){0};
}
