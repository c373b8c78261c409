/*
 * flight_case: what the tests of flights share: one worker, its clients, and a backend whose
 * answers the test gives piece by piece. Each test begins with set_up() and ends with tear_down(),
 * which finds everything given back.
 */
#pragma once

#include "tests/support/coalesce_world.h"

static struct world *world;
static struct world_worker *worker;

static inline int set_up(void **state)
{
    world = world_create(1);
    worker = &world->workers[0];
    return 0;
}

static inline int tear_down(void **state)
{
    world_assert_empty(world);
    world_destroy(world);
    return 0;
}

static inline void use_sizes(uint32_t flights, uint32_t segments)
{
    world_destroy(world);
    world = world_create_sized(1, flights, segments);
    worker = &world->workers[0];
}

static inline struct fake_try *last_try(void)
{
    struct fake_try *try = fake_last(worker->upstream);
    assert_non_null(try);
    return try;
}

static inline void head(const char *status, const char *name, const char *value)
{
    answer_head(worker, last_try(), status, name, value, false);
}

static inline void data(size_t length, bool end)
{
    answer_data(worker, last_try(), length, end);
}

static inline void lose(enum attempt_failure why)
{
    fake_fail(last_try(), why, world->now);
}

/* A failure of an attempt whose request is with the backend. */
static inline void fail_begun(enum attempt_failure why)
{
    fake_pull(last_try(), world->now);
    lose(why);
}

static inline uint32_t region_of_last_try(void)
{
    return (last_try()->attempt->slot - 10) / WORLD_EACH;
}

static inline void assert_failed(struct client *client, enum flight_failure failure)
{
    client_drink(client);
    assert_true(client->failed);
    assert_false(client->ended);
    assert_int_equal(client->failure, failure);
}

static inline void assert_whole(struct client *client, uint64_t bytes)
{
    client_drink(client);
    assert_true(client->ended);
    assert_int_equal(client->bytes, bytes);
}

static inline void ask_with_body(struct client *client, const char *method)
{
    client_prepare(client, worker, ROUTE_OFF, method, "/", NULL, true);
    client_subscribe(client);
}

static inline void push(struct client *client, const uint8_t *data, size_t length, bool end)
{
    assert_true(
        coalesce_request_body(&client->subscriber, bytes_of(data, length), end, NULL, world->now));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
