/* region_text: state and votes as text and back; what is wrong with the text is found. */
#include "control/region_text.h"

#include "dataplane/base/check.h"
#include "dataplane/base/random.h"
#include "tests/support/cmocka.h"
#include "tests/support/failover_lab.h"

#include <stdio.h>
#include <string.h>

static struct lab_config lab;

static int make_config(void **state)
{
    lab_config_make(&lab, 3, 1);
    return 0;
}

static struct region_state filled(void)
{
    struct region_state state;
    region_state_init(&state, &lab.config);
    state.epoch = 12345678901;
    strcpy(state.change_id, "0123456789abcdef");
    strcpy(state.incarnation, "fedcba9876543210");
    strcpy(state.decided_by, "n0");
    strcpy(state.reason, "drained by uid=0 = me");
    state.last_down_ms = 1700000000001;
    state.frozen_until_ms = 1700000000002;
    state.frozen_times = 3;
    state.regions[1] = (struct region_record){.automatic = REGION_SUSPECT,
                                              .before = REGION_DEGRADED,
                                              .override = REGION_OVERRIDE_FORCE_DOWN,
                                              .expires_ms = 1700000000003,
                                              .since_ms = 1700000000004,
                                              .downs = 5,
                                              .hold_down_until_ms = 1700000000006,
                                              .ramp_step = 4,
                                              .step_since_ms = 1700000000007,
                                              .reason = "availability below 25 %"};
    strcpy(state.regions[1].name, "r1");
    return state;
}

static void take_back(void *context, const char *field, const char *value)
{
    assert_true(region_text_take(context, field, value));
}

static void a_state_survives_the_way_through_text(void **state)
{
    struct region_state before = filled();
    struct region_state after;
    region_state_init(&after, &lab.config);
    region_text_put(&before, take_back, &after);
    assert_memory_equal(&before, &after, sizeof(before));
}

static void what_a_field_cannot_hold_is_found(void **state)
{
    static const struct {
        const char *field;
        const char *value;
        bool good;
    } cases[] = {
        {"epoch", "1", true},
        {"epoch", "", false},
        {"epoch", "-1", false},
        {"epoch", "1x", false},
        {"epoch", " 1", false},
        {"epoch", "9223372036854775807", true},
        {"epoch", "9223372036854775808", false},
        {"epoch", "99999999999999999999", false},
        {"frozen_times", "4294967295", false},
        {"change_id", "0123456789abcdef", true},
        {"change_id", "0123456789abcdefg", false},
        {"region:r0:auto", "down", true},
        {"region:r0:auto", "Down", false},
        {"region:r0:override", "drain", true},
        {"region:r0:override", "", false},
        {"region:r0:step", "abc", false},
        {"region:r9:step", "abc", true},  /* of no region here */
        {"region:r0:later", "abc", true}, /* of a later version */
        {"region:", "abc", true},
        {"region:r0", "abc", true},
        {"later", "abc", true},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct region_state out;
        region_state_init(&out, &lab.config);
        assert_int_equal(region_text_take(&out, cases[i].field, cases[i].value), cases[i].good);
    }
}

static void longer_names_are_not_taken_for_shorter_ones(void **state)
{
    struct region_state out;
    region_state_init(&out, &lab.config);
    strcpy(out.regions[0].name, "eu");
    strcpy(out.regions[1].name, "eu:west");
    assert_true(region_text_take(&out, "region:eu:west:auto", "down"));
    assert_int_equal(out.regions[0].automatic, REGION_UP);
    assert_int_equal(out.regions[1].automatic, REGION_DOWN);
}

static void check_printable(void *context, const char *field, const char *value)
{
    for (const char *at = value; *at != '\0'; at++)
        assert_true((unsigned char)*at >= ' ');
}

static void control_characters_do_not_break_the_line(void **state)
{
    struct region_state before = filled();
    strcpy(before.reason, "a\nepoch 99\x01");
    region_text_put(&before, check_printable, NULL);
}

static struct region_vote vote_of(void)
{
    struct region_vote vote = {.epoch = 77, .blind = true, .agreement = 0xfeedfacecafebeef};
    strcpy(vote.change_id, "00ff00ff00ff00ff");
    for (uint32_t i = 0; i < lab.config.region_count; i++) {
        vote.regions[i].available_permille = 333 + i;
        vote.regions[i].usable = i;
        vote.regions[i].in_flight = 1000000 + i;
        for (int e = 0; e < REGION_EVIDENCES; e++)
            vote.regions[i].held_ms[e] = e % 2 == 0 ? REGION_NOT_HELD : 1000 * e;
    }
    return vote;
}

static void a_vote_survives_the_way_through_text(void **state)
{
    struct region_state names = filled();
    struct region_vote before = vote_of();
    struct region_vote after;
    char text[REGION_VOTE_MAX];
    assert_true(region_text_take_vote(&after, &names, region_text_put_vote(&before, &names, text)));
    assert_memory_equal(&before, &after, sizeof(before));
    memset(before.change_id, 0, sizeof(before.change_id)); /* nothing applied yet */
    assert_true(region_text_take_vote(&after, &names, region_text_put_vote(&before, &names, text)));
    assert_memory_equal(&before, &after, sizeof(before));
}

static void the_largest_vote_fits(void **state)
{
    static struct region_state names;
    static struct region_vote vote;
    static struct region_vote after;
    char text[REGION_VOTE_MAX];
    names.count = SNAPSHOT_REGIONS_MAX;
    vote.epoch = 999999999999999999;
    memset(vote.change_id, 'f', REGION_ID_MAX - 1);
    vote.agreement = UINT64_MAX;
    for (uint32_t i = 0; i < names.count; i++) {
        memset(names.regions[i].name, 'x', CONFIG_NAME_MAX - 1);
        names.regions[i].name[0] = (char)('A' + i);
        vote.regions[i].available_permille = 1000;
        vote.regions[i].usable = SNAPSHOT_BACKENDS_MAX;
        vote.regions[i].in_flight = 999999999999999999;
        for (int e = 0; e < REGION_EVIDENCES; e++)
            vote.regions[i].held_ms[e] = 1000000000;
    }
    assert_true(region_text_take_vote(&after, &names, region_text_put_vote(&vote, &names, text)));
    assert_memory_equal(&vote, &after, sizeof(vote));
}

static void a_region_the_vote_does_not_name_holds_nothing(void **state)
{
    struct region_state names = filled();
    struct region_vote vote;
    assert_true(region_text_take_vote(&vote, &names,
                                      "v3 5 - 0 00000000000000ff r9=1:1:1:-1:1:1:1:1:1:1:1:1:1:1"));
    for (uint32_t i = 0; i < names.count; i++)
        for (int e = 0; e < REGION_EVIDENCES; e++)
            assert_int_equal(vote.regions[i].held_ms[e], REGION_NOT_HELD);
}

static void what_is_not_a_vote_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "v4 5 - 0 ff",
        "v3 5 - 0",
        "v3 x - 0 ff",
        "v3 5 - 0 ff r0",
        "v3 5 - 0 ff r0=",
        "v3 5 - 0 ff r0=1:2:3",
        "v3 5 - 0 ff r0=1:2:3:-2:0:0:0:0:0:0:0:0:0:0",
        "v3 5 - 0 ff r0=1:2:3:4:-2:0:0:0:0:0:0:0:0:0",
        "v3 5 - 0 ff r0=1:2:3:4:1000000001:0:0:0:0:0:0:0:0:0",
        "v3 5 - 0 ff r0=1:2:3:4:0:0:0:0:0:0:0:0:0:0:0",
        "v3 5 - 0 ff r0=1:2:3:4:0:0:0:0:0:0:0:0:0",
        "v3 5 - 0 ff r0=1:2:3:4:0:0:0:0:0:0:0:0:0:x",
    };
    struct region_state names = filled();
    struct region_vote vote;
    for (size_t i = 0; i < array_count(bad); i++)
        if (region_text_take_vote(&vote, &names, bad[i]))
            fail_msg("taken: %s", bad[i]);
}

/* Cut at every byte, and every byte replaced: no harm, whatever the answer is. */
static void no_damage_to_a_vote_does_harm(void **state)
{
    struct region_state names = filled();
    struct region_vote vote = vote_of();
    struct region_vote after;
    char text[REGION_VOTE_MAX];
    char damaged[REGION_VOTE_MAX];
    struct random random;
    random_seed(&random, 1);
    region_text_put_vote(&vote, &names, text);
    size_t length = strlen(text);
    for (size_t cut = 0; cut < length; cut++) {
        memcpy(damaged, text, cut);
        damaged[cut] = '\0';
        (void)region_text_take_vote(&after, &names, damaged);
        for (int i = 0; i < 20; i++) {
            strcpy(damaged, text);
            damaged[cut] = (char)(1 + random_below(&random, 255));
            (void)region_text_take_vote(&after, &names, damaged);
        }
    }
    static char long_text[3 * REGION_VOTE_MAX];
    memset(long_text, 'a', sizeof(long_text) - 1);
    assert_false(region_text_take_vote(&after, &names, long_text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_survives_the_way_through_text),
        cmocka_unit_test(what_a_field_cannot_hold_is_found),
        cmocka_unit_test(longer_names_are_not_taken_for_shorter_ones),
        cmocka_unit_test(control_characters_do_not_break_the_line),
        cmocka_unit_test(a_vote_survives_the_way_through_text),
        cmocka_unit_test(the_largest_vote_fits),
        cmocka_unit_test(a_region_the_vote_does_not_name_holds_nothing),
        cmocka_unit_test(what_is_not_a_vote_is_refused),
        cmocka_unit_test(no_damage_to_a_vote_does_harm),
    };
    return cmocka_run_group_tests(tests, make_config, NULL);
}
