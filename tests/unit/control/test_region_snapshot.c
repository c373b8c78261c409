/* region_snapshot: the agreed state on disk: whole or not at all, and not too old. */
#include "control/region_snapshot.h"

#include "dataplane/base/check.h"
#include "tests/support/cmocka.h"
#include "tests/support/failover_lab.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOW_MS 1700000000000ull
#define DAY_MS (24ull * 3600 * 1000)

static struct lab_config lab;
static char directory[128];
static char file_path[160];
static struct region_local orders;

static int make_directory(void **state)
{
    lab_config_make(&lab, 3, 1);
    strcpy(directory, "/tmp/weir-snapshot-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(file_path, sizeof(file_path), "%s/regions.state", directory);
    return 0;
}

static int remove_directory(void **state)
{
    unlink(file_path);
    return rmdir(directory);
}

static struct region_state saved_state(uint64_t epoch)
{
    struct region_state state;
    region_state_init(&state, &lab.config);
    state.epoch = epoch;
    strcpy(state.change_id, "0123456789abcdef");
    strcpy(state.reason, "words with spaces = and more");
    state.regions[1].automatic = REGION_DOWN;
    state.regions[1].hold_down_until_ms = NOW_MS + 1;
    return state;
}

/* Written when the thread has ended. */
static void save(const struct region_state *state)
{
    struct region_snapshot *snapshot = region_snapshot_create(directory);
    assert_non_null(snapshot);
    region_snapshot_save(snapshot, state, &orders, NOW_MS);
    region_snapshot_destroy(snapshot);
}

static bool load_at(uint64_t now_ms, struct region_state *out)
{
    region_state_init(out, &lab.config);
    return region_snapshot_load(directory, &lab.config, now_ms, DAY_MS, out, &orders);
}

static void what_was_saved_is_loaded(void **state)
{
    struct region_state before = saved_state(7);
    struct region_state after;
    save(&before);
    assert_true(load_at(NOW_MS + DAY_MS, &after));
    assert_memory_equal(&before, &after, sizeof(before));
}

static void orders_of_this_node_alone_are_loaded_with_it(void **state)
{
    struct region_state before = saved_state(7);
    struct region_state after;
    orders = (struct region_local){
        .count = 2,
        .orders = {
            {"r1", REGION_FORCE_DOWN, REGION_OVERRIDE_FORCE_DOWN, 9, 0, 1, 2, 3, "uid=0 a b"},
            {REGION_LOCAL_ALL, REGION_FREEZE, REGION_OVERRIDE_NONE, 0, 0, 4, 0, 0, "x"}}};
    const struct region_local given = orders;
    save(&before);
    memset(&orders, 0xff, sizeof(orders));
    assert_true(load_at(NOW_MS, &after));
    assert_memory_equal(&orders, &given, sizeof(given));
    orders = (struct region_local){0};
}

static void of_many_the_last_one_is_written(void **state)
{
    struct region_snapshot *snapshot = region_snapshot_create(directory);
    struct region_state after;
    for (uint64_t epoch = 1; epoch <= 1000; epoch++) {
        struct region_state next = saved_state(epoch);
        region_snapshot_save(snapshot, &next, &orders, NOW_MS);
    }
    region_snapshot_destroy(snapshot);
    assert_true(load_at(NOW_MS, &after));
    assert_int_equal(after.epoch, 1000);
}

static void too_old_or_of_the_future_is_not_loaded(void **state)
{
    struct region_state before = saved_state(7);
    struct region_state after;
    save(&before);
    assert_false(load_at(NOW_MS + DAY_MS + 1, &after));
    assert_true(load_at(NOW_MS - 1000, &after)); /* clocks differ a little over a restart */
    assert_false(load_at(NOW_MS - DAY_MS, &after));
    assert_int_equal(after.epoch, 0);
}

static void a_state_without_an_active_region_is_not_loaded(void **state)
{
    struct region_state before = saved_state(7);
    struct region_state after;
    for (int i = 0; i < 3; i++)
        before.regions[i].automatic = REGION_DOWN;
    save(&before);
    assert_false(load_at(NOW_MS, &after));
}

static void regions_are_found_by_name(void **state)
{
    static struct lab_config other;
    struct region_state before = saved_state(7);
    struct region_state after;
    save(&before);
    lab_config_make(&other, 2, 1);
    strcpy(other.regions[0].name, "r1");
    strcpy(other.regions[1].name, "new");
    region_state_init(&after, &other.config);
    assert_true(region_snapshot_load(directory, &other.config, NOW_MS, DAY_MS, &after, &orders));
    assert_int_equal(after.regions[0].automatic, REGION_DOWN);
    assert_int_equal(after.regions[1].automatic, REGION_UP);
}

static void a_file_cut_at_any_byte_is_not_loaded(void **state)
{
    struct region_state before = saved_state(7);
    struct region_state after;
    save(&before);
    FILE *file = fopen(file_path, "r");
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    fclose(file);
    assert_true(size > 100);
    for (long cut = size - 1; cut >= 0; cut--) {
        assert_int_equal(truncate(file_path, cut), 0);
        assert_false(load_at(NOW_MS, &after));
        assert_int_equal(after.epoch, 0);
    }
    unlink(file_path);
    assert_false(load_at(NOW_MS, &after));
}

static void a_directory_that_cannot_be_written_is_told(void **state)
{
    struct region_snapshot *snapshot = region_snapshot_create("/proc/no-such-directory");
    struct region_state before = saved_state(7);
    assert_non_null(snapshot);
    region_snapshot_save(snapshot, &before, &orders, NOW_MS);
    for (int i = 0; i < 5000 && region_snapshot_error(snapshot) == 0; i++)
        usleep(1000);
    assert_int_equal(region_snapshot_error(snapshot), ENOENT);
    region_snapshot_destroy(snapshot);
    region_snapshot_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_saved_is_loaded),
        cmocka_unit_test(orders_of_this_node_alone_are_loaded_with_it),
        cmocka_unit_test(of_many_the_last_one_is_written),
        cmocka_unit_test(too_old_or_of_the_future_is_not_loaded),
        cmocka_unit_test(a_state_without_an_active_region_is_not_loaded),
        cmocka_unit_test(regions_are_found_by_name),
        cmocka_unit_test(a_file_cut_at_any_byte_is_not_loaded),
        cmocka_unit_test(a_directory_that_cannot_be_written_is_told),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
