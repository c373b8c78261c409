/*
 * region_bulk: the rules in C and in Lua are the same. Random states, votes and requests are
 * decided by region_rules_decide() and by the text of control/region_cas.lua, in a real Redis but
 * hundreds of cases at a time (tests/support/region_bulk.lua), and must end alike to the letter.
 *
 * WEIR_STATES=1000000 build/tests/unit/test_region_bulk walks more; WEIR_SEED=N others.
 */
#include "control/redis_words.h"
#include "control/region_text.h"
#include "dataplane/base/check.h"
#include "tests/support/cmocka.h"
#include "tests/support/failover_lab.h"
#include "tests/support/region_random.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATES        20000
#define BATCH         200
#define NOW_MS        1700000000000ull
#define WORDS_A_CASE  2048
#define BYTES_A_CASE  (128 * 1024)
#define SCRIPT_BYTES  (128 * 1024)
#define STATE_BYTES   65536
#define WORDS_OF_EVAL 3

struct world {
    struct lab_redis redis;
    redisContext *link;
    char *script;
    struct lab_config lab;
    struct region_rules rules;
    struct region_random random;
    struct region_case cases[BATCH];
    struct redis_words words;
    int count;
    const char *at[BATCH * WORDS_A_CASE];
    size_t lengths[BATCH * WORDS_A_CASE];
    size_t used;
    char *arena;
    uint64_t seen[REGION_ANSWERS];
};

static struct world world;

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

/* The script as the body of a function, then what calls it. */
static void make_script(void)
{
    struct region_request request = {.kind = REGION_INIT};
    char path[512];
    lab_config_make(&world.lab, 1, 1);
    region_rules_init(&world.rules, &world.lab.config);
    redis_words_change(&world.words, &world.lab.config, &world.rules, &request);
    world.script = malloc(SCRIPT_BYTES);
    int used = snprintf(world.script, SCRIPT_BYTES,
                        "local function decide(redis, KEYS, ARGV)\n%s\nend\n", world.words.at[1]);
    snprintf(path, sizeof(path), "%s/tests/support/region_bulk.lua", getenv("WEIR_SOURCE_ROOT"));
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t room = SCRIPT_BYTES - (size_t)used - 1;
    size_t length = fread(world.script + used, 1, room, file);
    assert_true(length > 0 && length < room);
    world.script[(size_t)used + length] = '\0';
    fclose(file);
}

static int setup(void **state)
{
    lab_redis_make(&world.redis);
    lab_redis_start(&world.redis, NULL);
    world.link = lab_redis_connect(&world.redis);
    world.arena = malloc((size_t)BATCH * BYTES_A_CASE);
    random_seed(&world.random.random, from_environment("WEIR_SEED", 20221122));
    world.random.config = &world.lab.config;
    world.random.rules = &world.rules;
    make_script();
    return 0;
}

static int teardown(void **state)
{
    redisFree(world.link);
    lab_redis_destroy(&world.redis);
    free(world.arena);
    free(world.script);
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

/* What is sent. */

static void add(const char *text, size_t length)
{
    check(world.count < BATCH * WORDS_A_CASE);
    check(world.used + length + 1 <= (size_t)BATCH * BYTES_A_CASE);
    char *to = world.arena + world.used;
    memcpy(to, text, length);
    to[length] = '\0';
    world.at[world.count] = to;
    world.lengths[world.count++] = length;
    world.used += length + 1;
}

static void add_text(const char *text)
{
    add(text, strlen(text));
}

static void add_number(uint64_t number)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, number);
    add_text(text);
}

static void count_field(void *context, const char *field, const char *value)
{
    uint32_t *count = context;
    *count += 2;
}

static void add_field(void *context, const char *field, const char *value)
{
    add_text(field);
    add_text(value);
}

static void add_state(const struct region_state *state)
{
    uint32_t count = 0;
    if (state->epoch != 0)
        region_text_put(state, count_field, &count);
    add_number(count);
    if (state->epoch != 0)
        region_text_put(state, add_field, NULL);
}

static void add_votes(const struct region_case *one)
{
    char key[REDIS_KEY_MAX];
    char text[REGION_VOTE_MAX];
    add_number(3 * (uint64_t)one->votes.count);
    for (uint32_t i = 0; i < one->votes.count; i++) {
        const struct region_vote *vote = &one->votes.votes[i];
        add_text(redis_vote_key(&world.lab.config, vote->node, key));
        add_text(region_text_put_vote(vote, &one->state, text));
        add_number(redis_vote_ms(&world.lab.config) - vote->age_ms);
    }
}

/* EVAL, the script, the number of keys, the keys, the arguments: two lists. */
static void add_change(const struct region_case *one)
{
    const struct redis_words *words = &world.words;
    redis_words_change(&world.words, &world.lab.config, &world.rules, &one->request);
    int keys = (int)strtol(words->at[2], NULL, 10);
    add_number((uint64_t)keys);
    for (int i = WORDS_OF_EVAL; i < WORDS_OF_EVAL + keys; i++)
        add(words->at[i], words->lengths[i]);
    add_number((uint64_t)(words->count - WORDS_OF_EVAL - keys));
    for (int i = WORDS_OF_EVAL + keys; i < words->count; i++)
        add(words->at[i], words->lengths[i]);
}

static void add_case(struct region_case *one)
{
    region_random_case(&world.random, NOW_MS, one);
    add_number(NOW_MS / 1000);
    add_number(NOW_MS % 1000 * 1000);
    add_state(&one->state);
    add_votes(one);
    add_change(one);
}

/* What comes back. */

static void append_text(void *context, const char *field, const char *value)
{
    char **out = context;
    *out += sprintf(*out, "%s=%s\n", field, value);
}

static const char *all_text(const struct region_state *state, char out[STATE_BYTES])
{
    char *end = out;
    region_text_put(state, append_text, &end);
    return out;
}

static void read_state(const redisReply *flat, struct region_state *out)
{
    region_state_init(out, &world.lab.config);
    for (size_t i = 0; i < flat->elements; i += 2)
        assert_true(region_text_take(out, flat->element[i]->str, flat->element[i + 1]->str));
}

/* {{answer, reason, time, state}, audit entries, hints} */
static void compare(struct region_case *one, const redisReply *result)
{
    static char by_lua[STATE_BYTES];
    static char by_c[STATE_BYTES];
    struct region_state after;
    const redisReply *given = result->element[0];
    enum region_answer answer =
        region_rules_decide(&world.rules, &one->state, &one->votes, NOW_MS, &one->request);
    bool changed = answer == REGION_DONE || answer == REGION_FROZE;
    world.seen[answer]++;
    if (strcmp(given->element[0]->str, region_answer_name(answer)) != 0)
        fail_msg("C says %s, Lua says %s to request %d of region %u", region_answer_name(answer),
                 given->element[0]->str, one->request.kind, one->request.region);
    read_state(given->element[3], &after);
    assert_string_equal(all_text(&after, by_lua), all_text(&one->state, by_c));
    if (result->element[1]->integer != changed)
        fail_msg("request %d of region %u was %s, with %lld audit entries", one->request.kind,
                 one->request.region, region_answer_name(answer), result->element[1]->integer);
    assert_int_equal(result->element[2]->integer, changed);
}

static void walk_batch(void)
{
    world.count = 0;
    world.used = 0;
    add_text("EVAL");
    add_text(world.script);
    add_text("0");
    for (uint32_t i = 0; i < BATCH; i++)
        add_case(&world.cases[i]);
    redisReply *reply = redisCommandArgv(world.link, world.count, world.at, world.lengths);
    assert_non_null(reply);
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
