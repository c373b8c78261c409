/* store_memory: answers before the call returns, decided by the rules. */
#include "control/store.h"

#include "dataplane/base/clock.h"
#include "tests/support/cmocka.h"
#include "tests/support/failover_lab.h"

#include <string.h>

struct world {
    struct lab_config lab;
    struct region_rules rules;
    struct loop *loop;
    struct store *store;
    uint32_t news_count;
    struct store_news news;
    struct region_state state;
    struct region_votes votes;
    uint32_t change_count;
    bool failed;
    struct store_change change;
    uint32_t audited_count;
};

static void on_news(void *context, const struct store_news *news)
{
    struct world *world = context;
    world->news_count++;
    world->news = *news;
    world->state = *news->state;
    world->votes = *news->votes;
}

static void on_changed(void *context, bool failed, const struct store_change *change)
{
    struct world *world = context;
    world->change_count++;
    world->failed = failed;
    world->change = *change;
    world->state = *change->state;
}

static void on_link(void *context, enum store_link link, const char *text)
{
    fail(); /* memory is always there */
}

static void on_audited(void *context, const struct store_audit *audit)
{
    struct world *world = context;
    world->audited_count++;
    assert_non_null(audit->failure);
    assert_int_equal(audit->count, 0);
}

static int setup(void **state)
{
    static struct world world;
    memset(&world, 0, sizeof(world));
    const struct store_events events = {on_news, on_changed, on_link, NULL, on_audited, &world};
    lab_config_make(&world.lab, 2, 1);
    region_rules_init(&world.rules, &world.lab.config);
    world.loop = loop_create();
    world.store = store_memory_create(world.loop, &world.lab.config, &world.rules, &events);
    *state = &world;
    return world.store == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    store_destroy(world->store);
    loop_destroy(world->loop);
    return 0;
}

static struct region_vote vote_at(uint64_t epoch, const char *id)
{
    static struct region_vote vote;
    memset(&vote, 0, sizeof(vote));
    strcpy(vote.node, "n0");
    strcpy(vote.change_id, id);
    vote.epoch = epoch;
    vote.age_ms = 12345; /* the store knows better */
    for (int r = 0; r < 2; r++)
        for (int e = 0; e < REGION_EVIDENCES; e++)
            vote.regions[r].held_ms[e] = REGION_NOT_HELD;
    return vote;
}

static void begin(struct world *world)
{
    struct region_state configured;
    struct region_request request = {
        .kind = REGION_INIT, .content = &configured, .new_change_id = "first"};
    struct region_vote vote = vote_at(0, "");
    region_state_init(&configured, &world->lab.config);
    store_beat(world->store, &vote);
    store_change(world->store, &request);
    assert_int_equal(world->change.answer, REGION_DONE);
}

static void a_beat_brings_the_own_vote_back_at_once(void **state)
{
    struct world *world = *state;
    struct region_vote vote = vote_at(0, "");
    store_beat(world->store, &vote);
    assert_int_equal(world->news_count, 1);
    assert_true(world->news.empty);
    assert_int_equal(world->votes.count, 1);
    assert_int_equal(world->votes.votes[0].age_ms, 0);
    assert_true(world->news.now_ms > 1600000000000ull); /* unix time */
    assert_string_equal(world->store->kind, "memory");
}

static void changes_are_decided_by_the_rules_and_kept(void **state)
{
    struct world *world = *state;
    struct region_vote vote = vote_at(1, "first");
    begin(world);
    struct region_request drain = {
        .kind = REGION_DRAIN, .region = 0, .by = "me", .new_change_id = "second"};
    store_change(world->store, &drain);
    assert_int_equal(world->change.answer, REGION_DONE);
    assert_string_equal(world->change.text, "drained by me");
    drain.region = 1;
    store_change(world->store, &drain);
    assert_int_equal(world->change.answer, REGION_REFUSED_S1);
    assert_non_null(strstr(world->change.text, "S1"));
    assert_false(world->failed);
    store_beat(world->store, &vote);
    assert_false(world->news.empty);
    assert_int_equal(world->state.epoch, 2);
    assert_int_equal(world->state.regions[0].override, REGION_OVERRIDE_DRAIN);
    assert_int_equal(world->state.regions[1].override, REGION_OVERRIDE_NONE);
}

static void evidence_of_the_own_vote_moves_a_region(void **state)
{
    struct world *world = *state;
    begin(world);
    struct region_vote vote = vote_at(1, "first");
    vote.agreement = world->rules.agreement;
    vote.regions[0].held_ms[REGION_BELOW_SUSPECT] = 0;
    store_beat(world->store, &vote);
    struct region_request move = {.kind = REGION_MOVE,
                                  .region = 0,
                                  .to = REGION_SUSPECT,
                                  .epoch = 1,
                                  .change_id = "first",
                                  .new_change_id = "second"};
    store_change(world->store, &move);
    assert_int_equal(world->change.answer, REGION_DONE);
    assert_int_equal(world->state.regions[0].automatic, REGION_SUSPECT);
}

static void regions_keep_their_state_by_name_over_a_new_configuration(void **state)
{
    struct world *world = *state;
    static struct lab_config next;
    struct region_vote vote = vote_at(2, "second");
    begin(world);
    struct region_request drain = {
        .kind = REGION_DRAIN, .region = 0, .by = "me", .new_change_id = "second"};
    store_change(world->store, &drain);
    lab_config_make(&next, 3, 1);
    strcpy(next.regions[0].name, "new");
    strcpy(next.regions[2].name, "r0");
    store_apply(world->store, &next.config, &world->rules);
    store_beat(world->store, &vote);
    assert_int_equal(world->state.count, 3);
    assert_string_equal(world->state.regions[0].name, "new");
    assert_int_equal(world->state.regions[0].override, REGION_OVERRIDE_NONE);
    assert_int_equal(world->state.regions[2].override, REGION_OVERRIDE_DRAIN);
}

static void it_keeps_no_record_and_says_so(void **state)
{
    struct world *world = *state;
    store_audit(world->store);
    assert_int_equal(world->audited_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(a_beat_brings_the_own_vote_back_at_once),
        CASE(changes_are_decided_by_the_rules_and_kept),
        CASE(evidence_of_the_own_vote_moves_a_region),
        CASE(it_keeps_no_record_and_says_so),
        CASE(regions_keep_their_state_by_name_over_a_new_configuration),
#undef CASE
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
