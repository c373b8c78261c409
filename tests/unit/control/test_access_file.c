/* Lines on their way to a file: nobody waits, and what is renamed is left alone. */
#include "control/access_file.h"

#include "tests/support/cmocka.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/weir_access_XXXXXX";

static const char *path_of(const char *name)
{
    static char path[2][128];
    static int next;
    next = !next;
    snprintf(path[next], sizeof(path[next]), "%s/%s", directory, name);
    return path[next];
}

static int make_directory(void **state)
{
    return mkdtemp(directory) == NULL ? -1 : 0;
}

static int remove_directory(void **state)
{
    static const char *const names[] = {"a", "b", "a.1", "pipe"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        (void)unlink(path_of(names[i]));
    return rmdir(directory);
}

static void assert_content(const char *name, const char *expected)
{
    char text[256] = "";
    FILE *file = fopen(path_of(name), "r");
    assert_non_null(file);
    (void)!fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    assert_string_equal(text, expected);
    assert_int_equal(unlink(path_of(name)), 0);
}

static void add(struct access_file *file, const char *line)
{
    assert_true(access_file_add(file, line, strlen(line)));
}

static void lines_arrive_in_order(void **state)
{
    struct access_file *file = access_file_create("log.access.path", 0640);
    access_file_set(file, path_of("a"));
    add(file, "one\n");
    add(file, "two\n");
    access_file_destroy(file);
    assert_content("a", "one\ntwo\n");
}

/* Whatever the writer has done by then: a line belongs to the file of its time. */
static void a_new_path_is_for_new_lines(void **state)
{
    struct access_file *file = access_file_create("log.access.path", 0640);
    access_file_set(file, path_of("a"));
    add(file, "to a\n");
    while (access(path_of("a"), F_OK) != 0)
        (void)usleep(1000);
    access_file_set(file, path_of("b"));
    add(file, "to b\n");
    access_file_destroy(file);
    assert_content("a", "to a\n");
    assert_content("b", "to b\n");
}

static void a_renamed_file_keeps_what_it_got(void **state)
{
    struct access_file *file = access_file_create("log.access.path", 0640);
    access_file_set(file, path_of("a"));
    add(file, "before\n");
    while (access(path_of("a"), F_OK) != 0)
        (void)usleep(1000);
    assert_int_equal(rename(path_of("a"), path_of("a.1")), 0);
    add(file, "between\n");
    access_file_reopen(file);
    add(file, "after\n");
    access_file_destroy(file);
    assert_content("a.1", "before\nbetween\n");
    assert_content("a", "after\n");
}

static void without_a_path_lines_are_lost_and_counted(void **state)
{
    struct access_file *file = access_file_create("log.access.path", 0640);
    assert_false(access_file_add(file, "x\n", 2));
    access_file_set(file, path_of("nowhere/at/all"));
    add(file, "y\n");
    while (access_file_counts(file).lost < 2)
        (void)usleep(1000);
    assert_true(access_file_counts(file).failed >= 1);
    access_file_destroy(file);
}

static void a_pipe_without_a_reader_is_told_and_left(void **state)
{
    assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
    struct access_file *file = access_file_create("log.access.path", 0640);
    access_file_set(file, path_of("pipe"));
    add(file, "x\n");
    while (access_file_counts(file).lost < 1)
        (void)usleep(1000);
    assert_int_equal(access_file_counts(file).failed, 1);
    access_file_destroy(file);
    assert_int_equal(unlink(path_of("pipe")), 0);
}

/* The pipe has a reader that never reads: neither the caller nor the end waits for ever. */
static void a_file_that_takes_nothing_costs_lines_and_no_time(void **state)
{
    static char line[4096];
    memset(line, 'x', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\n';
    assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
    int reader = open(path_of("pipe"), O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    struct access_file *file = access_file_create("log.access.path", 0640);
    access_file_set(file, path_of("pipe"));
    uint64_t added = 0;
    while (access_file_add(file, line, sizeof(line)))
        added++;
    struct access_file_counts counts = access_file_counts(file);
    assert_int_equal(counts.lines, added);
    assert_int_equal(counts.lost, 1);
    access_file_destroy(file);
    assert_int_equal(close(reader), 0);
}

static void wait_for_lost(struct access_file *file, uint64_t lines)
{
    while (access_file_counts(file).lost < lines)
        (void)usleep(1000);
}

/* The disk is full in mid-line, and then has room again. */
static void what_was_begun_of_a_line_stays_a_line_of_its_own(void **state)
{
    struct rlimit before, low;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    struct access_file *file = access_file_create("log.access.path", 0640);
    access_file_set(file, path_of("a"));
    low = (struct rlimit){.rlim_cur = 6, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    add(file, "one\ntwo\nthree\n");
    wait_for_lost(file, 2);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(access_file_counts(file).lost, 2);
    assert_int_equal(access_file_counts(file).torn, 1);
    add(file, "four\n");
    access_file_destroy(file);
    assert_content("a", "one\ntw\nfour\n");
}

/* The rest of a torn line has no place in a file that begins anew. */
static void a_new_file_begins_with_a_whole_line(void **state)
{
    struct rlimit before, low;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    struct access_file *file = access_file_create("log.access.path", 0640);
    access_file_set(file, path_of("a"));
    low = (struct rlimit){.rlim_cur = 2, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    add(file, "one\n");
    wait_for_lost(file, 1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(rename(path_of("a"), path_of("a.1")), 0);
    access_file_reopen(file);
    add(file, "two\n");
    access_file_destroy(file);
    assert_content("a.1", "on");
    assert_content("a", "two\n");
}

static void what_is_for_its_owner_alone_is_made_so(void **state)
{
    struct stat about;
    assert_int_equal(close(open(path_of("a"), O_WRONLY | O_CREAT, 0644)), 0);
    struct access_file *file = access_file_create("tls.key_log_file", 0600);
    access_file_set(file, path_of("a"));
    add(file, "secret\n");
    access_file_destroy(file);
    assert_int_equal(stat(path_of("a"), &about), 0);
    assert_int_equal(about.st_mode & 07777, 0600);
    assert_content("a", "secret\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_arrive_in_order),
        cmocka_unit_test(a_new_path_is_for_new_lines),
        cmocka_unit_test(a_renamed_file_keeps_what_it_got),
        cmocka_unit_test(without_a_path_lines_are_lost_and_counted),
        cmocka_unit_test(what_was_begun_of_a_line_stays_a_line_of_its_own),
        cmocka_unit_test(a_new_file_begins_with_a_whole_line),
        cmocka_unit_test(a_pipe_without_a_reader_is_told_and_left),
        cmocka_unit_test(a_file_that_takes_nothing_costs_lines_and_no_time),
        cmocka_unit_test(what_is_for_its_owner_alone_is_made_so),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
