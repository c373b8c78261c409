/* weirctl, the real program, against the control socket with a fake daemon behind it. */
#include "control/methods.h"
#include "control/socket.h"
#include "dataplane/base/check.h"
#include "tests/support/cmocka.h"
#include "tests/support/fake_daemon.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENTS_MAX 12
#define TEXT_MAX      (1 << 20)

struct fixture {
    struct daemon *daemon;
    struct socket_server *server;
    char program[512];
    char output_path[96];
    char errors_path[96];
    char input_path[96];
    char output[TEXT_MAX];
    char errors[TEXT_MAX];
    int status;
    pid_t child;
};

static int open_fixture(void **state)
{
    char message[256] = "";
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    const char *root = getenv("WEIR_BUILD_ROOT");
    fixture->daemon = fake_daemon_create();
    fixture->server = socket_open(fixture->daemon, message, sizeof(message));
    assert_non_null(fixture->server);
    snprintf(fixture->program, sizeof(fixture->program), "%s/control/weirctl/weirctl",
             root != NULL ? root : "build");
    if (access(fixture->program, X_OK) != 0)
        fail_msg("%s is missing: build it, and set WEIR_BUILD_ROOT", fixture->program);
    snprintf(fixture->output_path, sizeof(fixture->output_path), "%s/output",
             fixture->daemon->directory);
    snprintf(fixture->errors_path, sizeof(fixture->errors_path), "%s/errors",
             fixture->daemon->directory);
    snprintf(fixture->input_path, sizeof(fixture->input_path), "%s/input.json",
             fixture->daemon->directory);
    *state = fixture;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *fixture = *state;
    socket_close(fixture->server);
    fake_daemon_destroy(fixture->daemon);
    free(fixture);
    return 0;
}

static void read_text(const char *path, char *out)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    out[fread(out, 1, TEXT_MAX - 1, file)] = '\0';
    fclose(file);
}

static void run_child(const struct fixture *fixture, char **arguments)
{
    int output = open(fixture->output_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int errors = open(fixture->errors_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (output < 0 || errors < 0 || dup2(output, 1) < 0 || dup2(errors, 2) < 0)
        _exit(99);
    execv(fixture->program, arguments);
    _exit(99);
}

/* Also ends what waits for a later word: the drain and the listing. */
static bool has_ended(void *context)
{
    struct fixture *fixture = context;
    if (fixture->daemon->failover.done != NULL)
        fake_command_done(fixture->daemon, true, "region drained");
    if (fixture->daemon->end != NULL)
        fake_flights_end(fixture->daemon, true);
    return waitpid(fixture->child, &fixture->status, WNOHANG) == fixture->child;
}

/* Run weirctl with WORDS, separated by spaces. Returns its exit status. */
static int run(struct fixture *fixture, const char *words)
{
    char copy[512];
    char *arguments[ARGUMENTS_MAX + 4] = {fixture->program, (char *)"--socket",
                                          fixture->daemon->config->control.socket};
    int count = 3;
    snprintf(copy, sizeof(copy), "%s", words);
    for (char *word = strtok(copy, " "); word != NULL && count < ARGUMENTS_MAX;
         word = strtok(NULL, " "))
        arguments[count++] = word;
    fixture->child = fork();
    assert_true(fixture->child >= 0);
    if (fixture->child == 0)
        run_child(fixture, arguments);
    fake_daemon_run_until(fixture->daemon, has_ended, fixture);
    read_text(fixture->output_path, fixture->output);
    read_text(fixture->errors_path, fixture->errors);
    assert_true(WIFEXITED(fixture->status));
    return WEXITSTATUS(fixture->status);
}

static void expect_output(const struct fixture *fixture, const char *text)
{
    if (strstr(fixture->output, text) == NULL)
        fail_msg("no \"%s\" in:\n%s%s", text, fixture->output, fixture->errors);
}

/* What people have to find in the tables. */
static const struct {
    const char *words;
    const char *found[6];
} shown[] = {
    {"status", {"fake-1", "store          memory, connected", "epoch 3", "as it is in the file"}},
    {"port list", {"front", "net_ring", "steering: redirected 42", "RECEIVED", "  11  "}},
    {"worker list", {"WORKER", "BUSY", "0", "1"}},
    {"region list",
     {"REGION", "2/3 1 blind 2 stale", "review, back auto", "100.0 %", "50 %", "because"}},
    {"region explain us", {"us is up", "1 must agree", "suspect", "nothing succeeds", "fake-1"}},
    {"region drain us", {"region drained"}},
    {"region drain us --ttl 10m", {"region drained"}},
    {"region undrain eu", {"region drained"}},
    {"region force-up us --ttl 0s", {"region drained"}},
    {"automation off --ttl 1h", {"region drained"}},
    {"backend list", {"eu-2", "[fd00::1]:8080", "10.1.2.9:9000", "250", "models"}},
    {"flight list", {"(none)"}},
    {"stats worker.", {"worker.received_packets", "42", "[30, 12]", "packets", "more are zero"}},
    {"node drain", {"no new connections"}},
    {"node undrain", {"connections are taken"}},
    {"config get", {"\"node\": \"fake-1\""}},
    {"help", {"region.drain", "region (text)", "ttl (duration, optional)"}},
    {"--help", {"usage: weirctl", "region drain NAME", "stats [PREFIX]", "Exit status"}},
    {"--version", {"weirctl 0."}},
};

static void commands_show_what_people_look_for(void **state)
{
    struct fixture *fixture = *state;
    fixture->daemon->workers[0].counters.loop.received_packets = 30;
    fixture->daemon->workers[1].counters.loop.received_packets = 12;
    for (size_t i = 0; i < array_count(shown); i++) {
        if (run(fixture, shown[i].words) != 0)
            fail_msg("%s: %s", shown[i].words, fixture->errors);
        assert_string_equal(fixture->errors, "");
        for (size_t f = 0; f < array_count(shown[i].found) && shown[i].found[f] != NULL; f++)
            expect_output(fixture, shown[i].found[f]);
    }
}

/* A page without the backslashes of troff. */
static void read_page(const char *name, char *out)
{
    char path[512];
    const char *root = getenv("WEIR_SOURCE_ROOT");
    size_t kept = 0;
    snprintf(path, sizeof(path), "%s/%s", root != NULL ? root : ".", name);
    read_text(path, out);
    for (size_t i = 0; out[i] != '\0'; i++)
        if (out[i] != '\\')
            out[kept++] = out[i];
    out[kept] = '\0';
}

/* The words of a line of the help that is about a command; the argument's name and help follow. */
static bool take_command(char *line)
{
    size_t length = strspn(line + 2, "abcdefghijklmnopqrstuvwxyz -");
    if (strncmp(line, "  ", 2) != 0 || length == 0 || line[2] == ' ' || line[2] == '-')
        return false;
    line[2 + length] = '\0';
    *(strstr(line + 2, "  ") != NULL ? strstr(line + 2, "  ") : line + 2 + length) = '\0';
    return true;
}

static void the_manual_has_every_command(void **state)
{
    static const char *const pages[] = {"docs/man/weirctl.8", "docs/control-socket.md"};
    struct fixture *fixture = *state;
    static char page[TEXT_MAX];
    for (size_t i = 0; i < array_count(pages); i++) {
        int commands = 0;
        read_page(pages[i], page);
        assert_int_equal(run(fixture, "--help"), 0);
        for (char *line = strtok(fixture->output, "\n"); line != NULL; line = strtok(NULL, "\n")) {
            if (!take_command(line))
                continue;
            commands++;
            if (strstr(page, line + 2) == NULL)
                fail_msg("%s does not name \"%s\"", pages[i], line + 2);
        }
        assert_in_range(commands, 25, 100);
    }
}

static void programs_get_the_result_of_the_method(void **state)
{
    static const struct {
        const char *words;
        const char *key;
    } cases[] = {
        {"--json status", "store"},           {"--json region list", "regions"},
        {"--json backend list", "backends"},  {"--json port list", "ports"},
        {"--json worker list", "workers"},    {"--json flight list", "flights"},
        {"stats --json", "counters"},         {"config get --json", "config"},
        {"--json help", "methods"},           {"--json region drain eu", "done"},
        {"--json region explain eu", "next"}, {"audit tail --json", "entries"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < array_count(cases); i++) {
        assert_int_equal(run(fixture, cases[i].words), 0);
        json_t *result = json_loads(fixture->output, 0, NULL);
        assert_non_null(result);
        assert_non_null(json_object_get(result, cases[i].key));
        json_decref(result);
    }
}

static void orders_say_what_was_asked_for(void **state)
{
    static const struct {
        const char *words;
        enum failover_command command;
        uint64_t ttl_ms;
        uint32_t despite;
        bool local;
    } cases[] = {
        {"region force-up us", FAILOVER_FORCE_UP, 4 * 3600000, 0},
        {"region force-up us --ttl 0s", FAILOVER_FORCE_UP, 0, 0},
        {"region force-down us --ttl 1m", FAILOVER_FORCE_DOWN, 60000, 0},
        {"region force-down us --despite S1", FAILOVER_FORCE_DOWN, 4 * 3600000, REGION_RULE_S1},
        {"region drain us --despite S1,S4", FAILOVER_DRAIN, 0, REGION_RULE_S1 | REGION_RULE_S4},
        {"region unforce us", FAILOVER_UNFORCE, 0, 0},
        {"region approve us", FAILOVER_APPROVE, 0, 0},
        {"region approve us --despite S5", FAILOVER_APPROVE, 0, REGION_RULE_S5},
        {"region reject us", FAILOVER_REJECT, 0, 0},
        {"automation off", FAILOVER_FREEZE, 0, 0},
        {"automation off --ttl 1h", FAILOVER_FREEZE, 3600000, 0},
        {"automation on", FAILOVER_THAW, 0, 0},
        {"region drain us --local --ttl 1m", FAILOVER_DRAIN, 60000, 0, true},
        {"region undrain us --local", FAILOVER_UNDRAIN, 0, 0, true},
        {"region force-up us --local --ttl 0s", FAILOVER_FORCE_UP, 0, 0, true},
        {"region force-down us --local --ttl 0s", FAILOVER_FORCE_DOWN, 0, 0, true},
        {"region unforce us --local", FAILOVER_UNFORCE, 0, 0, true},
        {"region approve us --local", FAILOVER_APPROVE, 0, 0, true},
        {"region reject us --local", FAILOVER_REJECT, 0, 0, true},
        {"automation off --local", FAILOVER_FREEZE, 0, 0, true},
        {"automation on --local", FAILOVER_THAW, 0, 0, true},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < array_count(cases); i++) {
        assert_int_equal(run(fixture, cases[i].words), 0);
        assert_int_equal(fixture->daemon->failover.command, cases[i].command);
        assert_int_equal(fixture->daemon->failover.ttl_ms, cases[i].ttl_ms);
        assert_int_equal(fixture->daemon->failover.despite, cases[i].despite);
        assert_int_equal(fixture->daemon->failover.local, cases[i].local);
    }
}

static void orders_of_this_node_alone_are_shown(void **state)
{
    struct fixture *fixture = *state;
    fixture->daemon->failover.override_left_ms = 60000;
    fixture->daemon->failover.shown =
        (struct failover_local_view){.order = "drain", .left_ms = 90000, .by = "uid=0"};
    assert_int_equal(run(fixture, "region list"), 0);
    expect_output(fixture, "eu: HERE ONLY drain by uid=0, for 1m 30s more, until the store");
    expect_output(fixture, "none, 1m 0s");
    fixture->daemon->failover.shown.offered = true;
    assert_int_equal(run(fixture, "region explain eu"), 0);
    expect_output(fixture, "eu: OFFERED drain by uid=0");
    expect_output(fixture, "approve --local");
}

static void an_offer_of_automation_says_how_it_is_taken(void **state)
{
    struct fixture *fixture = *state;
    fixture->daemon->failover.shown =
        (struct failover_local_view){.order = "freeze", .offered = true, .by = "uid=0"};
    assert_int_equal(run(fixture, "region list"), 0);
    expect_output(fixture, "automation: OFFERED freeze by uid=0");
    expect_output(fixture, "`automation off` for all nodes, `automation on --local` for none");
}

static void what_warms_up_shows_its_weight(void **state)
{
    struct fixture *fixture = *state;
    const struct config_backend *backend = &fixture->daemon->config->backends[0];
    char text[64];
    fixture->daemon->failover.warming[backend->slot] = true;
    snprintf(text, sizeof(text), "  %u of %u  ", backend->weight / 2, backend->weight);
    assert_int_equal(run(fixture, "backend list"), 0);
    expect_output(fixture, text);
}

static void the_record_is_of_all_nodes_or_says_that_it_is_not(void **state)
{
    static const struct store_audit record = {
        .count = 2,
        .entries = {{1700000000000, 7, "move", "eu", "up", "suspect", "none", "nothing succeeds",
                     "lb-2", "node lb-2", "6, 6", "2", ""},
                    {1700000001000, 8, "drain", "us", "up", "up", "drain",
                     "drained despite S1 by uid=0 root", "lb-3", "uid=0 root", "", "2", "S1"}}};
    struct fixture *fixture = *state;
    fixture->daemon->failover.audit = &record;
    assert_int_equal(run(fixture, "audit tail"), 0);
    expect_output(fixture,
                  "2023-11-14 22:13:20  epoch 7: region eu up -> suspect: nothing succeeds "
                  "(at lb-2; votes at 6, 6; 2 needed)");
    expect_output(fixture,
                  "epoch 8: region us drain: drained despite S1 by uid=0 root (at lb-3)\n");
    expect_output(fixture, "(all nodes, from the store;");
    assert_int_equal(run(fixture, "audit tail --local"), 0);
    expect_output(fixture, "region eu: up -> down: because");
    expect_output(fixture, "(this node's lines since its start: as asked)");
    fixture->daemon->failover.audit = NULL;
    assert_int_equal(run(fixture, "audit tail"), 0);
    expect_output(fixture, "region eu: up -> down: because");
    expect_output(fixture, "since its start: not connected yet)");
}

static void orders_that_mean_nothing_are_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(run(fixture, "region drain us --despite S2"), 1);
    assert_int_equal(run(fixture, "region drain us --ttl 0s"), 1);
    assert_int_equal(run(fixture, "region force-up us --despite S1"), 2);
    assert_int_equal(run(fixture, "automation on --ttl 1h"), 2);
    assert_int_equal(run(fixture, "node drain --local"), 2);
    assert_int_equal(run(fixture, "automation"), 2);
}

static void the_drain_is_of_the_region_that_was_named(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(run(fixture, "region drain us --ttl 10m"), 0);
    assert_int_equal(fixture->daemon->failover.region, 1);
    assert_int_equal(fixture->daemon->failover.ttl_ms, 600000);
    assert_int_equal(fixture->daemon->failover.command, FAILOVER_DRAIN);
    assert_int_equal(run(fixture, "region undrain eu"), 0);
    assert_int_equal(fixture->daemon->failover.region, 0);
    assert_int_equal(fixture->daemon->failover.command, FAILOVER_UNDRAIN);
}

static void wrong_usage_ends_with_2_and_says_why(void **state)
{
    static const char *const cases[] = {
        "",
        "regions",
        "region",
        "region drain",
        "region drain eu us",
        "region list eu",
        "status --ttl 5m",
        "config apply",
        "--no-such-option status",
        "stats a b",
        "region drain eu --ttl \xff",
        "stats \xc3",
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < array_count(cases); i++) {
        if (run(fixture, cases[i]) != 2)
            fail_msg("\"%s\" ended with %d", cases[i], WEXITSTATUS(fixture->status));
        assert_string_equal(fixture->output, "");
        assert_string_not_equal(fixture->errors, "");
    }
}

static void a_refusal_ends_with_1(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(run(fixture, "region drain asia"), 1);
    assert_non_null(strstr(fixture->errors, "no region \"asia\""));
    assert_int_equal(run(fixture, "--json region drain asia"), 1);
    json_t *error = json_loads(fixture->errors, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(error, "code")), RPC_INVALID_PARAMETERS);
    json_decref(error);
}

static void no_daemon_ends_with_3(void **state)
{
    struct fixture *fixture = *state;
    char words[256];
    snprintf(words, sizeof(words), "--socket %s/nothing status", fixture->daemon->directory);
    assert_int_equal(run(fixture, words), 3);
    assert_non_null(strstr(fixture->errors, "is weir running"));
}

static void write_input(struct fixture *fixture, const char *key, json_t *value)
{
    json_t *config = fake_config_document(fixture->daemon);
    json_object_set_new(config, key, value);
    assert_int_equal(json_dump_file(config, fixture->input_path, JSON_INDENT(1)), 0);
    json_decref(config);
}

static void a_configuration_is_validated_and_applied_from_a_file(void **state)
{
    struct fixture *fixture = *state;
    char words[256];
    write_input(fixture, "deny", json_pack("[s]", "192.0.2.0/24"));
    snprintf(words, sizeof(words), "config validate %s", fixture->input_path);
    assert_int_equal(run(fixture, words), 0);
    expect_output(fixture, "configuration ok, at most");
    assert_int_equal(fixture->daemon->config->deny_count, 0);
    snprintf(words, sizeof(words), "config apply %s", fixture->input_path);
    assert_int_equal(run(fixture, words), 0);
    expect_output(fixture, "applied as snapshot 2");
    assert_int_equal(fixture->daemon->config->deny_count, 1);
    assert_int_equal(run(fixture, "status"), 0);
    expect_output(fixture, "changed since: deny");
}

static void a_wrong_configuration_is_told_finding_by_finding(void **state)
{
    struct fixture *fixture = *state;
    char words[256];
    write_input(fixture, "deny", json_pack("[s,i]", "192.0.2.0/99", 5));
    snprintf(words, sizeof(words), "config validate %s", fixture->input_path);
    assert_int_equal(run(fixture, words), 1);
    expect_output(fixture, "  deny[0]: is not a network");
    expect_output(fixture, "  deny[1]: is not a network");
    snprintf(words, sizeof(words), "config apply %s", fixture->input_path);
    assert_int_equal(run(fixture, words), 1);
    assert_non_null(strstr(fixture->errors, "nothing was changed"));
    assert_non_null(strstr(fixture->errors, "  deny[1]: is not a network"));
    write_input(fixture, "node", json_string("another"));
    assert_int_equal(run(fixture, words), 1);
    assert_non_null(strstr(fixture->errors, "  node: changes only with a restart"));
}

static void a_file_that_is_not_json_is_told_with_its_line(void **state)
{
    struct fixture *fixture = *state;
    char words[256];
    FILE *file = fopen(fixture->input_path, "w");
    fputs("{\n  \"node\": }\n", file);
    fclose(file);
    snprintf(words, sizeof(words), "config apply %s", fixture->input_path);
    assert_int_equal(run(fixture, words), 1);
    assert_non_null(strstr(fixture->errors, "line 2, column"));
    assert_int_equal(run(fixture, "config apply /nonexistent/file"), 1);
    assert_non_null(strstr(fixture->errors, "unable to open"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(commands_show_what_people_look_for),
        CASE(the_manual_has_every_command),
        CASE(programs_get_the_result_of_the_method),
        CASE(the_drain_is_of_the_region_that_was_named),
        CASE(orders_say_what_was_asked_for),
        CASE(orders_of_this_node_alone_are_shown),
        CASE(an_offer_of_automation_says_how_it_is_taken),
        CASE(what_warms_up_shows_its_weight),
        CASE(the_record_is_of_all_nodes_or_says_that_it_is_not),
        CASE(orders_that_mean_nothing_are_refused),
        CASE(wrong_usage_ends_with_2_and_says_why),
        CASE(a_refusal_ends_with_1),
        CASE(no_daemon_ends_with_3),
        CASE(a_configuration_is_validated_and_applied_from_a_file),
        CASE(a_wrong_configuration_is_told_finding_by_finding),
        CASE(a_file_that_is_not_json_is_told_with_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
