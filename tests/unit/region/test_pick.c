/* pick: choice of region, exclusion, and the spread over a region's backends. */
#include "dataplane/base/check.h"
#include "dataplane/region/pick.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define REGIONS  3
#define EACH     2 /* backends of the service in a region */
#define BACKENDS (REGIONS * EACH)

/* One service in three regions, two backends each. Slot = 10 + index. */
struct world {
    struct snapshot_region regions[REGIONS];
    struct snapshot_group groups[REGIONS];
    struct snapshot_service service;
    struct snapshot_backend backends[BACKENDS];
    struct snapshot snapshot;
    struct pick_request request;
    struct random random;
};

static struct backend_loads loads;

static void world_init(struct world *world)
{
    memset(&loads, 0, sizeof(loads));
    memset(world, 0, sizeof(*world));
    random_seed(&world->random, 7);
    for (uint16_t i = 0; i < BACKENDS; i++) {
        world->backends[i] = (struct snapshot_backend){.slot = 10u + i,
                                                       .generation = 1,
                                                       .region = (uint16_t)(i / EACH),
                                                       .weight = 1,
                                                       .usable = true};
        loads.slots[10 + i].generation = 1;
    }
    for (uint16_t i = 0; i < REGIONS; i++) {
        world->regions[i] = (struct snapshot_region){.active = true, .share_permille = 1000};
        world->groups[i] = (struct snapshot_group){(uint16_t)(i * EACH), EACH};
    }
    world->service.groups = world->groups;
    world->snapshot = (struct snapshot){.services = &world->service,
                                        .service_count = 1,
                                        .regions = world->regions,
                                        .region_count = REGIONS,
                                        .backends = world->backends,
                                        .backend_count = BACKENDS};
    world->request.avoid_region = -1;
}

static enum pick_failure pick(struct world *world, uint32_t *out)
{
    *out = UINT32_MAX;
    return pick_backend(&world->snapshot, &loads, &world->request, &world->random, out);
}

/* How often each backend is picked in COUNT picks. */
static void picks(struct world *world, uint32_t count, uint32_t counts[BACKENDS])
{
    memset(counts, 0, BACKENDS * sizeof(*counts));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index;
        assert_int_equal(pick(world, &index), PICK_OK);
        counts[index]++;
    }
}

static uint32_t region_count(const uint32_t counts[BACKENDS], uint32_t region)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < EACH; i++)
        sum += counts[region * EACH + i];
    return sum;
}

static void assert_near(uint32_t value, uint32_t expected, uint32_t tolerance)
{
    assert_in_range(value, expected > tolerance ? expected - tolerance : 0, expected + tolerance);
}

static void first_region_takes_everything(void **state)
{
    struct world world;
    uint32_t counts[BACKENDS];
    world_init(&world);
    picks(&world, 1000, counts);
    assert_int_equal(region_count(counts, 0), 1000);
    assert_near(counts[0], 500, 70);
}

static void idle_backends_are_picked_by_weight(void **state)
{
    struct world world;
    uint32_t counts[BACKENDS];
    world_init(&world);
    world.backends[0].weight = 300;
    world.backends[1].weight = 100;
    picks(&world, 4000, counts);
    assert_near(counts[0], 3000, 150);
    assert_near(counts[1], 1000, 150);
}

static void fewer_in_flight_per_weight_wins(void **state)
{
    static const struct {
        uint32_t weight[2];
        uint64_t in_flight[2];
        uint32_t winner;
    } cases[] = {
        {{1, 1}, {5, 4}, 1},   {{1, 1}, {4, 5}, 0},      {{10, 1}, {9, 1}, 0},
        {{10, 1}, {11, 1}, 1}, {{1, 1000}, {1, 999}, 1}, {{1, 1000}, {1, 1001}, 0},
        {{2, 3}, {0, 1}, 0},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct world world;
        uint32_t counts[BACKENDS];
        world_init(&world);
        for (uint32_t j = 0; j < 2; j++) {
            world.backends[j].weight = cases[i].weight[j];
            loads.slots[10 + j].in_flight = cases[i].in_flight[j];
        }
        picks(&world, 50, counts);
        assert_int_equal(counts[cases[i].winner], 50);
    }
}

static void load_of_an_earlier_generation_is_not_counted(void **state)
{
    struct world world;
    uint32_t counts[BACKENDS];
    world_init(&world);
    loads.slots[10].in_flight = 1000;
    loads.slots[10].generation = 0;
    loads.slots[11].in_flight = 1;
    picks(&world, 50, counts);
    assert_int_equal(counts[0], 50);
}

static void many_picks_keep_load_even(void **state)
{
    struct world world;
    world_init(&world);
    world.groups[0] = (struct snapshot_group){0, BACKENDS};
    world.groups[1].count = world.groups[2].count = 0;
    for (uint32_t i = 0; i < BACKENDS; i++)
        world.backends[i].weight = i + 1;
    for (uint32_t i = 0; i < 2100; i++) {
        uint32_t index;
        assert_int_equal(pick(&world, &index), PICK_OK);
        loads.slots[world.backends[index].slot].in_flight++;
    }
    for (uint32_t i = 0; i < BACKENDS; i++)
        assert_near((uint32_t)loads.slots[10 + i].in_flight, 100 * (i + 1), 5 * (i + 1) + 5);
}

static void a_region_gets_its_share_and_no_more(void **state)
{
    static const struct {
        uint16_t share[REGIONS];
        uint32_t expected[REGIONS]; /* of 10,000 */
    } cases[] = {
        {{50, 1000, 1000}, {500, 9500, 0}},
        {{0, 1000, 1000}, {0, 10000, 0}},
        {{500, 500, 1000}, {5000, 2500, 2500}},
        {{700, 1000, 0}, {7000, 3000, 0}},
        {{0, 0, 0}, {10000, 0, 0}},
        {{0, 0, 1}, {9990, 0, 10}},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct world world;
        uint32_t counts[BACKENDS];
        world_init(&world);
        for (uint32_t j = 0; j < REGIONS; j++)
            world.regions[j].share_permille = cases[i].share[j];
        picks(&world, 10000, counts);
        for (uint32_t j = 0; j < REGIONS; j++)
            assert_near(region_count(counts, j), cases[i].expected[j],
                        cases[i].expected[j] % 10000 == 0 ? 0 : 200);
    }
}

static void the_region_to_leave_serves_only_alone(void **state)
{
    struct world world;
    uint32_t counts[BACKENDS];
    world_init(&world);
    world.request.avoid_region = 0;
    picks(&world, 100, counts);
    assert_int_equal(region_count(counts, 1), 100);
    world.regions[1].share_permille = world.regions[2].share_permille = 0;
    picks(&world, 100, counts); /* even without a share another region is better */
    assert_int_equal(region_count(counts, 1), 100);
    world.regions[1].active = world.regions[2].active = false;
    picks(&world, 100, counts);
    assert_int_equal(region_count(counts, 0), 100);
}

static void retries_leave_suspect_regions(void **state)
{
    struct world world;
    uint32_t counts[BACKENDS];
    world_init(&world);
    world.regions[0].suspect = true;
    picks(&world, 100, counts); /* a first try stays */
    assert_int_equal(region_count(counts, 0), 100);
    world.request.tried_count = 1;
    world.request.tried_slots[0] = 10;
    picks(&world, 100, counts);
    assert_int_equal(region_count(counts, 1), 100);
    world.regions[1].suspect = world.regions[2].suspect = true;
    picks(&world, 100, counts);
    assert_int_equal(counts[1], 100);
    world.request.avoid_region = 0; /* suspect is better than the one just lost */
    picks(&world, 100, counts);
    assert_int_equal(region_count(counts, 1), 100);
}

static void a_region_without_usable_backend_is_detoured(void **state)
{
    struct world world;
    uint32_t counts[BACKENDS];
    world_init(&world);
    world.backends[0].usable = false;
    world.backends[1].drained = true;
    picks(&world, 100, counts);
    assert_int_equal(region_count(counts, 1), 100);
    world.backends[1].drained = false;
    picks(&world, 100, counts);
    assert_int_equal(counts[1], 100);
}

static void failures_say_what_is_missing(void **state)
{
    struct world world;
    uint32_t index;
    world_init(&world);
    for (uint32_t i = 0; i < BACKENDS; i++)
        world.backends[i].usable = false;
    assert_int_equal(pick(&world, &index), PICK_NONE_USABLE);
    for (uint32_t i = 0; i < REGIONS; i++)
        world.regions[i].active = false;
    assert_int_equal(pick(&world, &index), PICK_NO_SERVICE_BACKEND);
    world_init(&world);
    memset(world.groups, 0, sizeof(world.groups));
    assert_int_equal(pick(&world, &index), PICK_NO_SERVICE_BACKEND);
    world_init(&world);
    world.snapshot.region_count = 0;
    assert_int_equal(pick(&world, &index), PICK_NO_SERVICE_BACKEND);
}

/* What the bits of CASE say about backends (tried, unusable), regions and the one to leave. */
static void world_of_case(struct world *world, uint32_t bits, uint32_t variant)
{
    static const uint16_t shares[] = {1000, 0, 300};
    world_init(world);
    random_seed(&world->random, bits);
    for (uint32_t i = 0; i < BACKENDS; i++) {
        world->backends[i].usable = (bits >> i & 1) != 0;
        bool excluded = (bits >> (BACKENDS + i) & 1) != 0;
        if (excluded && i % 2 == 0)
            world->backends[i].drained = true;
        else if (excluded)
            world->request.tried_slots[world->request.tried_count++] = world->backends[i].slot;
    }
    for (uint32_t i = 0; i < REGIONS; i++) {
        world->regions[i].active = (bits >> (2 * BACKENDS + i) & 1) != 0;
        world->regions[i].suspect = (variant >> i & 1) != 0;
        world->regions[i].share_permille = shares[(variant + i) % 3];
    }
    world->request.avoid_region = (int16_t)(variant % 4) - 1;
}

static bool is_tried(const struct world *world, uint32_t slot)
{
    for (uint32_t i = 0; i < world->request.tried_count; i++)
        if (world->request.tried_slots[i] == slot)
            return true;
    return false;
}

static bool may_serve(const struct world *world, uint32_t index)
{
    const struct snapshot_backend *backend = &world->backends[index];
    return world->regions[backend->region].active && backend->usable && !backend->drained &&
           !is_tried(world, backend->slot);
}

/* Every combination of usable, excluded and active, for each way of shares, suspects, avoiding. */
static void every_small_case_picks_a_backend_that_may_serve(void **state)
{
    for (uint32_t variant = 0; variant < 12; variant++) {
        for (uint32_t bits = 0; bits < 1u << (2 * BACKENDS + REGIONS); bits++) {
            struct world world;
            world_of_case(&world, bits, variant);
            bool possible = false;
            for (uint32_t i = 0; i < BACKENDS; i++)
                possible |= may_serve(&world, i);
            uint32_t index;
            enum pick_failure failure = pick(&world, &index);
            if ((failure == PICK_OK) != possible)
                fail_msg("case %x variant %u: failure %d", bits, variant, (int)failure);
            if (failure == PICK_OK && (index >= BACKENDS || !may_serve(&world, index)))
                fail_msg("case %x variant %u: picked %u", bits, variant, index);
        }
    }
}

/* With the snapshot's sums nobody else is picked than without, for the same dice. */
static void sums_change_nothing(void **state)
{
    for (uint32_t variant = 0; variant < 12; variant++) {
        for (uint32_t bits = 0; bits < 1u << (2 * BACKENDS + REGIONS); bits += 7) {
            struct world world;
            uint32_t ends[BACKENDS];
            uint32_t without, with;
            world_of_case(&world, bits, variant);
            for (uint32_t i = 0; i < BACKENDS; i++)
                world.backends[i].weight = 1 + (bits >> i) % 5;
            world.snapshot.panic = bits % 3 == 0;
            backend_set_silent(&loads, 10, bits % 5 == 0);
            struct random dice = world.random;
            enum pick_failure failure = pick(&world, &without);
            for (uint32_t i = 0; i < REGIONS; i++) {
                world.groups[i].weight_ends = ends + i * EACH;
                pick_sum_weights(world.backends + i * EACH, EACH, ends + i * EACH);
            }
            world.random = dice;
            assert_int_equal(pick(&world, &with), failure);
            assert_int_equal(with, without);
        }
    }
}

static void a_large_group_is_picked_by_weight_from_its_sums(void **state)
{
    struct world world;
    uint32_t ends[BACKENDS];
    uint32_t counts[BACKENDS];
    world_init(&world);
    for (uint32_t i = 0; i < BACKENDS; i++)
        world.backends[i].weight = i + 1; /* 21 together */
    world.backends[2].usable = false;
    pick_sum_weights(world.backends, BACKENDS, ends);
    assert_int_equal(ends[BACKENDS - 1], 18);
    world.groups[0] = (struct snapshot_group){0, BACKENDS, ends};
    picks(&world, 18000, counts);
    assert_int_equal(counts[2], 0);
    for (uint32_t i = 0; i < BACKENDS; i++)
        if (i != 2)
            assert_near(counts[i], 1000 * (i + 1), 200);
}

static void who_is_silent_comes_last(void **state)
{
    static const struct {
        uint32_t silent;  /* a bit for each backend */
        uint32_t allowed; /* may be picked */
        int16_t avoid;
    } cases[] = {
        {0x00, 0x03, -1}, {0x01, 0x02, -1}, {0x03, 0x0c, -1},
        {0x07, 0x08, -1}, {0x0f, 0x30, -1}, {0x3f, 0x03, -1}, /* all: then it says nothing */
        {0x3c, 0x03, 0}, /* better where it was lost than where nobody is heard */
        {0x0c, 0x30, 0},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct world world;
        uint32_t counts[BACKENDS];
        world_init(&world);
        world.request.avoid_region = cases[i].avoid;
        for (uint32_t b = 0; b < BACKENDS; b++)
            backend_set_silent(&loads, 10 + b, cases[i].silent >> b & 1);
        picks(&world, 200, counts);
        for (uint32_t b = 0; b < BACKENDS; b++)
            assert_int_equal(counts[b] > 0, cases[i].allowed >> b & 1);
    }
}

/* Regions have capacity, and so many attempts of this worker's and of others in flight. */
struct room {
    uint32_t capacity[REGIONS];
    uint32_t own[REGIONS];
    uint32_t others[REGIONS];
};

static void make_room(struct world *world, const struct room *room)
{
    for (uint32_t i = 0; i < REGIONS; i++) {
        world->regions[i].capacity = room->capacity[i];
        loads.regions[i] = room->own[i];
        loads.others[i] = room->others[i];
    }
}

static void a_full_region_pushes_on_to_the_next(void **state)
{
    static const struct {
        struct room room;
        enum priority priority;
        int region; /* -1: refused */
    } cases[] = {
        {{{10, 10, 10}, {9, 0, 0}, {0, 0, 0}}, PRIORITY_NORMAL, 0},
        {{{10, 10, 10}, {10, 0, 0}, {0, 0, 0}}, PRIORITY_NORMAL, 1},
        {{{10, 10, 10}, {4, 0, 0}, {6, 0, 0}}, PRIORITY_NORMAL, 1},
        {{{10, 10, 10}, {10, 5, 0}, {0, 5, 0}}, PRIORITY_NORMAL, 2},
        {{{10, 0, 0}, {1000, 0, 0}, {0, 0, 0}}, PRIORITY_NORMAL, 1},
        {{{0, 10, 10}, {1000, 0, 0}, {0, 0, 0}}, PRIORITY_NORMAL, 0}, /* not known: no limit */
        {{{10, 10, 0}, {10, 10, 1000}, {0, 0, 0}}, PRIORITY_SHEDDABLE, 2},
        {{{10, 10, 10}, {10, 10, 10}, {0, 0, 0}}, PRIORITY_CRITICAL, -1},
        {{{10, 10, 10}, {10, 10, 9}, {0, 0, 0}}, PRIORITY_CRITICAL, 2},
        {{{10, 10, 10}, {10, 10, 7}, {0, 0, 0}}, PRIORITY_NORMAL, -1}, /* 27 of 30 */
        {{{10, 10, 10}, {10, 10, 6}, {0, 0, 0}}, PRIORITY_NORMAL, 2},
        {{{10, 10, 10}, {10, 10, 1}, {0, 0, 0}}, PRIORITY_SHEDDABLE, -1}, /* 21 of 30 */
        {{{10, 10, 10}, {10, 0, 0}, {0, 10, 0}}, PRIORITY_SHEDDABLE, 2},
        {{{10, 10, 10}, {4, 8, 8}, {0, 0, 0}}, PRIORITY_SHEDDABLE, 0},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct world world;
        uint32_t index;
        world_init(&world);
        make_room(&world, &cases[i].room);
        world.request.priority = cases[i].priority;
        enum pick_failure expected = cases[i].region < 0 ? PICK_FULL : PICK_OK;
        assert_int_equal(pick(&world, &index), expected);
        if (expected == PICK_OK)
            assert_int_equal(world.backends[index].region, cases[i].region);
    }
}

static void a_node_takes_no_more_than_its_part(void **state)
{
    static const struct {
        uint32_t limit, used; /* in the last region, which is not active */
        enum priority priority;
        enum pick_failure expected;
    } cases[] = {
        {0, 5000, PRIORITY_SHEDDABLE, PICK_OK},   {100, 99, PRIORITY_CRITICAL, PICK_OK},
        {100, 100, PRIORITY_CRITICAL, PICK_FULL}, {100, 89, PRIORITY_NORMAL, PICK_OK},
        {100, 90, PRIORITY_NORMAL, PICK_FULL},    {100, 70, PRIORITY_SHEDDABLE, PICK_FULL},
        {1, 0, PRIORITY_SHEDDABLE, PICK_OK},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct world world;
        uint32_t index;
        world_init(&world);
        world.snapshot.admission.node_flights = cases[i].limit;
        world.regions[2].active = false;
        loads.others[2] = cases[i].used;
        world.request.priority = cases[i].priority;
        assert_int_equal(pick(&world, &index), cases[i].expected);
    }
}

/* Shares are of what reaches a region: what it does not take meets the next one's dice. */
static void shares_and_clips_work_together(void **state)
{
    static const struct {
        uint16_t share[REGIONS];
        struct room room;
        uint32_t expected[REGIONS]; /* of 4000, roughly */
    } cases[] = {
        {{700, 1000, 1000}, {{0}, {0}, {0}}, {2800, 1200, 0}},
        {{500, 500, 1000}, {{0}, {0}, {0}}, {2000, 1000, 1000}},
        {{700, 1000, 1000}, {{0, 10, 0}, {0, 10, 0}, {0}}, {2800, 0, 1200}},
        {{50, 1000, 1000}, {{0, 10, 10}, {0, 10, 10}, {0}}, {4000, 0, 0}}, /* in full, rather */
        {{700, 0, 0}, {{0}, {0}, {0}}, {4000, 0, 0}},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct world world;
        uint32_t counts[BACKENDS];
        world_init(&world);
        make_room(&world, &cases[i].room);
        for (uint32_t r = 0; r < REGIONS; r++)
            world.regions[r].share_permille = cases[i].share[r];
        picks(&world, 4000, counts);
        for (uint32_t r = 0; r < REGIONS; r++)
            assert_near(region_count(counts, r), cases[i].expected[r], 150);
    }
}

static void in_panic_health_is_not_believed_but_drain_is(void **state)
{
    static const struct {
        bool panic, trusts_probes;
        uint32_t usable, drained, allowed; /* a bit for each backend */
    } cases[] = {
        {true, false, 0x00, 0x00, 0x03},  {true, false, 0x02, 0x00, 0x03},
        {true, false, 0x00, 0x01, 0x02},  {true, false, 0x00, 0x03, 0x0c},
        {true, true, 0x02, 0x00, 0x02},   {true, true, 0x20, 0x00, 0x20},
        {true, true, 0x00, 0x00, 0x00},   {false, false, 0x02, 0x00, 0x02},
        {false, false, 0x00, 0x00, 0x00},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct world world;
        uint32_t picked = 0;
        world_init(&world);
        world.snapshot.panic = cases[i].panic;
        world.request.trusts_probes = cases[i].trusts_probes;
        for (uint32_t b = 0; b < BACKENDS; b++) {
            world.backends[b].usable = cases[i].usable >> b & 1;
            world.backends[b].drained = cases[i].drained >> b & 1;
        }
        for (uint32_t n = 0; n < 200; n++) {
            uint32_t index;
            if (pick(&world, &index) == PICK_OK)
                picked |= 1u << index;
        }
        assert_int_equal(picked, cases[i].allowed);
    }
}

static void in_panic_regions_that_are_out_stay_out(void **state)
{
    struct world world;
    uint32_t counts[BACKENDS];
    world_init(&world);
    world.snapshot.panic = true;
    world.regions[0].active = false;
    for (uint32_t b = 0; b < BACKENDS; b++)
        world.backends[b].usable = false;
    picks(&world, 100, counts);
    assert_int_equal(region_count(counts, 1), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_region_takes_everything),
        cmocka_unit_test(idle_backends_are_picked_by_weight),
        cmocka_unit_test(fewer_in_flight_per_weight_wins),
        cmocka_unit_test(load_of_an_earlier_generation_is_not_counted),
        cmocka_unit_test(many_picks_keep_load_even),
        cmocka_unit_test(a_region_gets_its_share_and_no_more),
        cmocka_unit_test(the_region_to_leave_serves_only_alone),
        cmocka_unit_test(retries_leave_suspect_regions),
        cmocka_unit_test(a_region_without_usable_backend_is_detoured),
        cmocka_unit_test(failures_say_what_is_missing),
        cmocka_unit_test(every_small_case_picks_a_backend_that_may_serve),
        cmocka_unit_test(sums_change_nothing),
        cmocka_unit_test(a_large_group_is_picked_by_weight_from_its_sums),
        cmocka_unit_test(who_is_silent_comes_last),
        cmocka_unit_test(a_full_region_pushes_on_to_the_next),
        cmocka_unit_test(a_node_takes_no_more_than_its_part),
        cmocka_unit_test(shares_and_clips_work_together),
        cmocka_unit_test(in_panic_health_is_not_believed_but_drain_is),
        cmocka_unit_test(in_panic_regions_that_are_out_stay_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
