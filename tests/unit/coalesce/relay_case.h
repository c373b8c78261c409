/*
 * relay_case: what the tests of flights that several workers share have in common: three workers,
 * one of which leads, and a backend whose answer the test gives piece by piece. Each test begins
 * with set_up() and ends with tear_down(), which finds everything given back.
 */
#pragma once

#include "dataplane/coalesce/relay.h"
#include "tests/support/coalesce_world.h"

static struct world *world;

static inline int set_up(void **state)
{
    world = world_create(3);
    return 0;
}

static inline int tear_down(void **state)
{
    world_assert_empty(world);
    world_destroy(world);
    return 0;
}

static inline struct world_worker *at(uint16_t index)
{
    return &world->workers[index];
}

static inline struct fake_try *first_try(void)
{
    return &at(0)->upstream->tries[0];
}

static inline void head(const char *name, const char *value)
{
    answer_head(at(0), first_try(), "200", name, value, false);
}

static inline void data(size_t length, bool end)
{
    answer_data(at(0), first_try(), length, end);
    world_settle(world);
}

static inline void assert_whole(struct client *client, uint64_t bytes)
{
    client_drink(client);
    assert_true(client->ended);
    assert_int_equal(client->bytes, bytes);
}

/* Leads at worker 0, joins at worker 1; the join is accepted. */
static inline void share(struct client *owner, struct client *other)
{
    client_get(owner, at(0), "/");
    client_get(other, at(1), "/");
    assert_int_equal(other->subscriber.role, SUBSCRIBER_PENDING);
    assert_null(other->subscriber.feed);
    world_settle(world);
    assert_int_equal(other->subscriber.role, SUBSCRIBER_JOINED);
    assert_non_null(other->subscriber.feed);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
