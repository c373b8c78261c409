/*
 * told_node: one node that decides alone, on a loop whose time is told: backends answer probes as
 * the test says, minutes pass in milliseconds, and nothing is waited for.
 */
#pragma once

#include "control/failover.h"

#include "dataplane/base/clock.h"
#include "tests/support/cmocka.h"
#include "tests/support/failover_lab.h"

#include <stdio.h>
#include <string.h>

#define TOLD_STEP_NS    (10 * CLOCK_MS)
#define TOLD_PROBES_MAX 256
#define TOLD_BACKENDS   4 /* of a region */

struct told_node {
    struct lab_config lab;
    struct loop *loop;
    struct failover *failover;
    uint64_t now;
    uint32_t probe_count;
    struct probe_order probes[TOLD_PROBES_MAX];
    bool dead[LAB_BACKENDS_MAX];
    struct backend_loads loads;
    uint32_t published;
    char events[8192]; /* all that was said, a line each */
    uint32_t done;
    bool done_ok;
    char done_text[256];
};

static inline bool told_probe(void *context, const struct probe_order *order)
{
    struct told_node *node = context;
    if (node->probe_count == TOLD_PROBES_MAX)
        return false;
    node->probes[node->probe_count++] = *order;
    return true;
}

static inline void told_changed(void *context)
{
    ((struct told_node *)context)->published++;
}

static inline void told_event(void *context, const char *text)
{
    struct told_node *node = context;
    size_t used = strlen(node->events);
    snprintf(node->events + used, sizeof(node->events) - used, "%s\n", text);
}

static inline void told_answer(struct told_node *node)
{
    for (uint32_t i = 0; i < node->probe_count; i++) {
        const struct probe_order *order = &node->probes[i];
        struct probe_result result = {.slot = order->slot,
                                      .generation = order->generation,
                                      .outcome =
                                          node->dead[order->slot] ? PROBE_CONNECT_FAILED : PROBE_OK,
                                      .took_ns = CLOCK_MS};
        failover_probed(node->failover, &result);
    }
    node->probe_count = 0;
}

static inline void told_run(struct told_node *node, uint64_t for_ns)
{
    for (uint64_t end = node->now + for_ns; node->now < end;) {
        node->now += TOLD_STEP_NS;
        loop_advance(node->loop, node->now);
        told_answer(node);
        if (node->now % (100 * CLOCK_MS) == 0)
            failover_observe(node->failover, &node->loads);
    }
}

/* REGIONS of four backends; the configuration is the test's to change until told_start(). */
static inline struct told_node *told_node_make(uint32_t regions)
{
    static struct told_node node;
    memset(&node, 0, sizeof(node));
    node.now = 1000 * CLOCK_S;
    node.loop = loop_create_told(node.now, 1700000000000ull);
    lab_config_make(&node.lab, regions, TOLD_BACKENDS);
    for (uint32_t slot = 0; slot < regions * TOLD_BACKENDS; slot++)
        node.loads.slots[slot].generation = 1;
    return &node;
}

static inline void told_start(struct told_node *node)
{
    const struct failover_host host = {told_probe, told_changed, told_event, node, 7};
    char message[512];
    node->failover =
        failover_create(node->loop, &node->lab.config, &host, message, sizeof(message));
    if (node->failover == NULL)
        fail_msg("%s", message);
    told_run(node, 2 * CLOCK_S);
}

static inline void told_end(struct told_node *node)
{
    failover_destroy(node->failover);
    loop_destroy(node->loop);
}

static inline void told_kill(struct told_node *node, uint32_t region, uint32_t backends)
{
    for (uint32_t b = 0; b < TOLD_BACKENDS; b++)
        node->dead[region * TOLD_BACKENDS + b] = b < backends;
}

/* So many attempts in flight in a region. */
static inline void told_load(struct told_node *node, uint32_t region, uint64_t flights)
{
    node->loads.slots[region * TOLD_BACKENDS].in_flight = flights;
}

static inline void told_capacity(struct told_node *node, uint32_t region, uint32_t of_each_backend)
{
    for (uint32_t b = 0; b < TOLD_BACKENDS; b++)
        node->lab.backends[region * TOLD_BACKENDS + b].capacity = of_each_backend;
}

static inline struct failover_region_view told_region(const struct told_node *node, uint32_t region)
{
    struct failover_region_view view;
    failover_region_view(node->failover, region, &view);
    return view;
}

static inline struct failover_view told_view(const struct told_node *node)
{
    struct failover_view view;
    failover_view(node->failover, &view);
    return view;
}

static inline bool told_said(const struct told_node *node, const char *text)
{
    return strstr(node->events, text) != NULL;
}

static inline void told_done(void *context, bool ok, const char *text)
{
    struct told_node *node = context;
    node->done++;
    node->done_ok = ok;
    snprintf(node->done_text, sizeof(node->done_text), "%s", text);
}

/* Whether it was obeyed. */
static inline bool told_order(struct told_node *node, const struct failover_order *order)
{
    uint32_t before = node->done;
    struct failover_order named = *order;
    named.by = "uid=0 tester";
    failover_command(node->failover, &named, told_done, node);
    told_run(node, 100 * CLOCK_MS);
    assert_int_equal(node->done, before + 1);
    return node->done_ok;
}
