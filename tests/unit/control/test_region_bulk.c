/*
 * region_bulk: the rules in C and in Lua are the same. Random states, votes and requests are
 * decided by region_rules_decide() and by the text of control/region_cas.lua, in a real Redis but
 * hundreds of cases at a time (tests/support/region_bulk.h), and must end alike to the letter.
 *
 * WEIR_STATES=1000000 build/tests/unit/test_region_bulk walks more; WEIR_SEED=N others.
 */
#include "dataplane/base/check.h"
#include "tests/support/cmocka.h"
#include "tests/support/failover_lab.h"
#include "tests/support/region_bulk.h"
#include "tests/support/region_random.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATES 10000
#define BATCH  200
#define NOW_MS 1700000000000ull

struct world {
    struct lab_redis redis;
    redisContext *link;
    struct region_bulk *bulk;
    struct lab_config lab;
    struct region_rules rules;
    struct region_random random;
    struct region_case cases[BATCH];
    uint64_t seen[REGION_ANSWERS];
};

static struct world world;

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static int setup(void **state)
{
    lab_redis_make(&world.redis);
    lab_redis_start(&world.redis, NULL);
    world.link = lab_redis_connect(&world.redis);
    world.bulk = region_bulk_open(world.link, BATCH);
    random_seed(&world.random.random, from_environment("WEIR_SEED", 20221122));
    world.random.config = &world.lab.config;
    world.random.rules = &world.rules;
    return 0;
}

static int teardown(void **state)
{
    region_bulk_close(world.bulk);
    redisFree(world.link);
    lab_redis_destroy(&world.redis);
    return 0;
}

static enum config_mode some_mode(void)
{
    uint32_t mode = random_below(&world.random.random, 2 * CONFIG_MODES);
    return mode < CONFIG_MODES ? (enum config_mode)mode : CONFIG_MODE_AUTO;
}

static void choose_shape(uint32_t regions, uint32_t nodes, bool alone)
{
    lab_config_make(&world.lab, regions, 1);
    lab_config_cluster(&world.lab, nodes, 0, world.redis.address);
    world.lab.config.failover.single_node = alone;
    for (uint32_t r = 0; r < regions; r++) { /* mostly auto */
        world.lab.regions[r].on_failure = some_mode();
        world.lab.regions[r].on_recovery = some_mode();
    }
    world.lab.config.failover.review_unless_hard = random_below(&world.random.random, 2) == 0;
    world.lab.config.failover.dry_run = random_below(&world.random.random, 8) == 0;
    region_rules_init(&world.rules, &world.lab.config);
}

static void add_case(struct region_case *one)
{
    region_random_case(&world.random, NOW_MS, one);
    const struct region_bulk_case given = {&world.lab.config, &world.rules, NOW_MS,
                                           &one->state,       &one->votes,  &one->request};
    region_bulk_add(world.bulk, &given);
}

/* {{answer, reason, time, state}, audit entries, hints} */
static void compare(struct region_case *one, const redisReply *result)
{
    static char by_lua[REGION_BULK_TEXT];
    static char by_c[REGION_BULK_TEXT];
    const redisReply *given = result->element[0];
    enum region_answer answer =
        region_rules_decide(&world.rules, &one->state, &one->votes, NOW_MS, &one->request);
    bool changed = answer == REGION_DONE || answer == REGION_FROZE;
    world.seen[answer]++;
    if (strcmp(given->element[0]->str, region_answer_name(answer)) != 0)
        fail_msg("C says %s, Lua says %s to request %d of region %u", region_answer_name(answer),
                 given->element[0]->str, one->request.kind, one->request.region);
    assert_true(region_bulk_state(result, &world.lab.config, by_lua));
    assert_string_equal(by_lua, region_bulk_text(&one->state, by_c));
    if (result->element[1]->integer != changed)
        fail_msg("request %d of region %u was %s, with %lld audit entries", one->request.kind,
                 one->request.region, region_answer_name(answer), result->element[1]->integer);
    assert_int_equal(result->element[2]->integer, changed);
}

static void walk_batch(void)
{
    for (uint32_t i = 0; i < BATCH; i++)
        add_case(&world.cases[i]);
    redisReply *reply = region_bulk_decide(world.bulk);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s", reply->str);
    assert_int_equal(reply->elements, BATCH);
    for (uint32_t i = 0; i < BATCH; i++)
        compare(&world.cases[i], reply->element[i]);
    freeReplyObject(reply);
}

static void the_rules_in_lua_and_in_c_decide_alike(void **state)
{
    uint64_t states = from_environment("WEIR_STATES", STATES);
    size_t shape = 0;
    for (uint64_t walked = 0; walked < states; walked += BATCH) {
        choose_shape(region_shapes[shape].regions, region_shapes[shape].nodes,
                     region_shapes[shape].alone);
        shape = (shape + 1) % array_count(region_shapes);
        walk_batch();
    }
    for (unsigned a = 0; a < REGION_ANSWERS; a++)
        if (a != REGION_UNKNOWN &&
            world.seen[a] == 0) /* random states meet every answer but this */
            fail_msg("no state met %s", region_answer_name((enum region_answer)a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rules_in_lua_and_in_c_decide_alike),
    };
    if (!lab_redis_is_installed()) {
        print_message("redis-server is missing: install it to run this test\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
