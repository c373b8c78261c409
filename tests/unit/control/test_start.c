/* The real program, and starts that cannot succeed: it says why and ends, whatever was there
 * already. */
#include "dataplane/base/check.h"
#include "tests/support/cmocka.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT_MAX 65536

static const char document[] =
    "{\"node\": \"start\", \"state_dir\": \"%s\", \"log_file\": \"%s\", \"idle\": \"adaptive\","
    " \"eal\": [\"--no-huge\", \"--log-level=error\", \"-m\", \"%u\"],"
    " \"ports\": [{\"name\": \"front\", \"device\": \"net_null0\", \"mbufs\": 4096,"
    "            \"interfaces\": [{\"addresses\": [\"10.9.0.10/16\"]}]}],"
    " \"listeners\": [{\"name\": \"web\", \"address\": \"10.9.0.80\", \"port\": 80}],"
    " \"regions\": [{\"name\": \"here\"}], \"routes\": [{\"name\": \"all\", \"service\": "
    "\"pages\"}],"
    " \"services\": [{\"name\": \"pages\", \"regions\": {\"here\": {\"backends\": ["
    "              {\"address\": \"10.9.0.2\", \"port\": 8080}]}}}],"
    " \"limits\": {\"payload_bytes\": \"8MiB\", \"client_connections\": 256, \"exchanges\": 256,"
    "            \"flights\": 256, \"streams\": 512, \"coalesce_keys\": 1024, \"time_wait\": 64},"
    " \"control\": {\"socket\": \"%s\"}%s}";

struct fixture {
    char directory[64];
    char config_path[96];
    char errors_path[96];
    char errors[TEXT_MAX];
};

static int open_fixture(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    snprintf(fixture->directory, sizeof(fixture->directory), "/tmp/weir-start-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    snprintf(fixture->config_path, sizeof(fixture->config_path), "%s/weir.json",
             fixture->directory);
    snprintf(fixture->errors_path, sizeof(fixture->errors_path), "%s/errors", fixture->directory);
    *state = fixture;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *fixture = *state;
    (void)unlink(fixture->config_path);
    (void)unlink(fixture->errors_path);
    (void)rmdir(fixture->directory);
    free(fixture);
    return 0;
}

/* MORE: further keys, each behind a comma. */
static void write_config(const struct fixture *fixture, const char *log_file, unsigned mib,
                         const char *socket, const char *more)
{
    FILE *file = fopen(fixture->config_path, "w");
    assert_non_null(file);
    fprintf(file, document, fixture->directory, log_file, mib, socket, more);
    assert_int_equal(fclose(file), 0);
}

static void run_child(const struct fixture *fixture)
{
    char program[512];
    const char *root = getenv("WEIR_BUILD_ROOT");
    int errors = open(fixture->errors_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    snprintf(program, sizeof(program), "%s/control/weir", root != NULL ? root : "build");
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* pools are not freed one by one */
    if (errors >= 0 && dup2(errors, 1) >= 0 && dup2(errors, 2) >= 0)
        execl(program, program, "--config", fixture->config_path, NULL);
    _exit(99);
}

/* Run the program to its end, which is to be with status 1 and a word about TEXT. */
static void expect_refusal(struct fixture *fixture, const char *text)
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        run_child(fixture);
    assert_int_equal(waitpid(child, &status, 0), child);
    FILE *file = fopen(fixture->errors_path, "r");
    assert_non_null(file);
    fixture->errors[fread(fixture->errors, 1, TEXT_MAX - 1, file)] = '\0';
    fclose(file);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 1 || strstr(fixture->errors, text) == NULL)
        fail_msg("status %x, no \"%s\" in: %s", (unsigned)status, text, fixture->errors);
}

static void too_little_memory_for_a_worker_is_told(void **state)
{
    struct fixture *fixture = *state;
    write_config(fixture, "", 40, "/tmp/weir-start.sock", "");
    expect_refusal(fixture, "limits: not enough memory for the workers' pools");
}

static void a_control_socket_that_cannot_be_is_told(void **state)
{
    struct fixture *fixture = *state;
    write_config(fixture, "", 256, "/proc/no/control.sock", "");
    expect_refusal(fixture, "control.socket: /proc/no/control.sock: ");
}

static void a_log_that_cannot_be_opened_is_told_by_its_key(void **state)
{
    struct fixture *fixture = *state;
    write_config(fixture, "/proc/no/weir.log", 256, "/tmp/weir-start.sock", "");
    expect_refusal(fixture, "weir: log_file: /proc/no/weir.log: ");
}

/* /run is empty after a boot: the socket makes /run/weir. What ends the start comes after both. */
static void the_key_log_may_be_in_the_folder_of_the_socket(void **state)
{
    struct fixture *fixture = *state;
    struct stat about;
    char folder[80];
    char socket[100];
    char key_log[100];
    char more[256];
    snprintf(folder, sizeof(folder), "%s/run", fixture->directory);
    snprintf(socket, sizeof(socket), "%s/control.sock", folder);
    snprintf(key_log, sizeof(key_log), "%s/keys.log", folder);
    snprintf(more, sizeof(more),
             ", \"tls\": {\"key_log_file\": \"%s\"}, \"metrics\": {\"listen\": \"203.0.113.1:9\"}",
             key_log);
    write_config(fixture, "", 256, socket, more);
    expect_refusal(fixture, "metrics.listen");
    assert_int_equal(stat(key_log, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    (void)unlink(key_log);
    (void)rmdir(folder);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(too_little_memory_for_a_worker_is_told),
        CASE(a_control_socket_that_cannot_be_is_told),
        CASE(a_log_that_cannot_be_opened_is_told_by_its_key),
        CASE(the_key_log_may_be_in_the_folder_of_the_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
