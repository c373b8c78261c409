/* Applying a configuration through the control socket, and keeping what was applied. */
#include "tests/unit/control/control_fixture.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *changed_config(struct fixture *fixture, const char *object, const char *key,
                            json_t *value)
{
    json_t *config = fake_config_document(fixture->daemon);
    json_t *where = config;
    if (object != NULL) {
        where = json_object_get(config, object);
        if (where == NULL) {
            where = json_object();
            json_object_set_new(config, object, where);
        }
    }
    json_object_set_new(where, key, value);
    json_t *parameters = json_pack("{s:o}", "config", config);
    char *text = json_dumps(parameters, JSON_COMPACT);
    json_decref(parameters);
    return text;
}

static bool file_written(void *context)
{
    struct fixture *fixture = context;
    char path[128];
    snprintf(path, sizeof(path), "%s/running.json", fixture->daemon->directory);
    return access(path, R_OK) == 0;
}

static void a_node_is_removed_from_the_roster(void **state)
{
    struct fixture *fixture = *state;
    char *wanted = changed_config(fixture, "failover", "nodes",
                                  json_pack("[s, s, s]", "fake-1", "gone", "fake-3"));
    json_decref(control_peer_call(&fixture->peer, "config.apply", wanted));
    free(wanted);
    json_t *result = control_peer_call(&fixture->peer, "node.remove", "{'node':'gone'}");
    assert_int_equal(number_of(result, "snapshot"), 3);
    json_decref(result);
    const struct config_failover *failover = &fixture->daemon->config->failover;
    assert_int_equal(failover->node_count, 2);
    assert_string_equal(failover->nodes[0], "fake-1");
    assert_string_equal(failover->nodes[1], "fake-3");
    json_decref(control_peer_refused(&fixture->peer, "node.remove", "{'node':'gone'}"));
    json_decref(control_peer_refused(&fixture->peer, "node.remove", "{}"));
    assert_int_equal(fixture->daemon->config->failover.node_count, 2);
}

static void an_applied_configuration_is_kept_and_its_differences_are_shown(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    struct config_findings findings = {0};
    char *wanted = changed_config(fixture, "failover", "hold_down", json_string("7s"));
    json_t *result = control_peer_call(&fixture->peer, "config.apply", wanted);
    assert_int_equal(number_of(result, "snapshot"), 2);
    assert_true(fixture->daemon->config->failover.hold_down_ns == 7000000000);
    json_decref(result);
    result = control_peer_call(&fixture->peer, "status", NULL);
    const json_t *config = json_object_get(result, "config");
    assert_true(json_is_true(json_object_get(config, "differs")));
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(config, "differences"), 0)),
        "failover.hold_down");
    json_decref(result);
    result = control_peer_call(&fixture->peer, "config.get", NULL);
    assert_string_equal(
        text_of(json_object_get(json_object_get(result, "config"), "failover"), "hold_down"), "7s");
    json_decref(result);
    fake_daemon_run_until(fixture->daemon, file_written, fixture);
    snprintf(path, sizeof(path), "%s/running.json", fixture->daemon->directory);
    struct config *kept = config_read_file(path, NULL, &findings);
    assert_non_null(kept);
    assert_true(kept->failover.hold_down_ns == 7000000000);
    config_free(kept);
    free(wanted);
}

/* Asks `status` until the file's state is neither none nor writing. */
static void wait_for_file(struct fixture *fixture, const char *wanted)
{
    char state[32] = "writing";
    for (int i = 0; i < 1000 && strcmp(state, "writing") == 0; i++) {
        json_t *result = control_peer_call(&fixture->peer, "status", NULL);
        snprintf(state, sizeof(state), "%s",
                 text_of(json_object_get(result, "config"), "running_file"));
        json_decref(result);
    }
    assert_string_equal(state, wanted);
}

static void a_configuration_that_cannot_be_kept_is_applied_and_shown_as_not_kept(void **state)
{
    struct fixture *fixture = *state;
    char in_the_way[128];
    snprintf(in_the_way, sizeof(in_the_way), "%s/running.json.new", fixture->daemon->directory);
    assert_int_equal(mkdir(in_the_way, 0700), 0);
    char *wanted = changed_config(fixture, "failover", "hold_down", json_string("7s"));
    json_decref(control_peer_call(&fixture->peer, "config.apply", wanted));
    wait_for_file(fixture, "failed");
    assert_int_equal(rmdir(in_the_way), 0);
    json_decref(control_peer_call(&fixture->peer, "config.apply", wanted));
    wait_for_file(fixture, "written");
    free(wanted);
}

static void what_needs_a_restart_is_refused_by_its_paths(void **state)
{
    struct fixture *fixture = *state;
    const struct config *before = fixture->daemon->config;
    char *wanted = changed_config(fixture, NULL, "workers", json_integer(4));
    json_t *error = control_peer_refused(&fixture->peer, "config.apply", wanted);
    const json_t *paths = json_object_get(json_object_get(error, "data"), "needs_restart");
    assert_int_equal(number_of(error, "code"), -32002);
    assert_int_equal(json_array_size(paths), 1);
    assert_memory_equal(json_string_value(json_array_get(paths, 0)), "workers", 7);
    assert_ptr_equal(fixture->daemon->config, before);
    json_decref(error);
    json_t *result = control_peer_call(&fixture->peer, "config.validate", wanted);
    assert_true(json_is_true(json_object_get(result, "valid")));
    assert_int_equal(json_array_size(json_object_get(result, "needs_restart")), 1);
    json_decref(result);
    free(wanted);
}

static void a_wrong_configuration_is_refused_with_all_findings(void **state)
{
    struct fixture *fixture = *state;
    const struct config *before = fixture->daemon->config;
    char *wanted = changed_config(fixture, "failover", "hold_downs", json_string("7s"));
    json_t *error = control_peer_refused(&fixture->peer, "config.apply", wanted);
    assert_int_equal(number_of(error, "code"), -32001);
    assert_int_equal(json_array_size(json_object_get(json_object_get(error, "data"), "findings")),
                     1);
    assert_ptr_equal(fixture->daemon->config, before);
    json_decref(error);
    json_t *result = control_peer_call(&fixture->peer, "config.validate", wanted);
    assert_true(json_is_false(json_object_get(result, "valid")));
    assert_int_equal(json_array_size(json_object_get(result, "findings")), 1);
    json_decref(result);
    free(wanted);
}

static void a_configuration_that_the_ports_refuse_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    const struct config *before = fixture->daemon->config;
    char *wanted = changed_config(fixture, "failover", "hold_down", json_string("7s"));
    fixture->daemon->refuse_apply = "the host has this address";
    json_t *error = control_peer_refused(&fixture->peer, "config.apply", wanted);
    assert_int_equal(number_of(error, "code"), -32000);
    assert_ptr_equal(fixture->daemon->config, before);
    json_decref(error);
    free(wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_applied_configuration_is_kept_and_its_differences_are_shown),
        CASE(a_node_is_removed_from_the_roster),
        CASE(a_configuration_that_cannot_be_kept_is_applied_and_shown_as_not_kept),
        CASE(what_needs_a_restart_is_refused_by_its_paths),
        CASE(a_wrong_configuration_is_refused_with_all_findings),
        CASE(a_configuration_that_the_ports_refuse_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
