/*
 * Every script under tests/timelines/tcp is a test, named by its path. The folders of the eleven
 * states of RFC 9293 hold a script for every kind of segment that may arrive there; that none is
 * missing is a test, too.
 *
 * test_timelines FOLDER complete       all, and that the matrix is complete
 * test_timelines FOLDER PART-OF-NAME   those scripts only
 */
#include "tests/support/cmocka.h"
#include "tests/timelines/timeline.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCRIPTS_MAX  600
#define SCRIPT_BYTES 16384
#define PATH_BYTES   512
#define SUFFIX       ".tl"

static const char *const states[] = {
    "LISTEN",     "SYN_SENT", "SYN_RECEIVED", "ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2",
    "CLOSE_WAIT", "CLOSING",  "LAST_ACK",     "TIME_WAIT",   "CLOSED",
};

/* What may arrive in a state. */
static const char *const arrivals[] = {
    "syn_in_window",
    "syn_out_of_window",
    "syn_ack",
    "ack_old",
    "ack_duplicate",
    "ack_new",
    "ack_future",
    "rst_exact",
    "rst_in_window",
    "rst_out_of_window",
    "fin",
    "data_in_window",
    "data_before_window",
    "data_after_window",
    "data_overlapping_window",
    "no_ack",
};

static const char *root;
static char names[SCRIPTS_MAX][PATH_BYTES]; /* below root */
static uint32_t name_count;

static void script_load(const char *name, char text[SCRIPT_BYTES])
{
    char path[2 * PATH_BYTES];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[0] = '\n'; /* each line begins behind one */
    size_t length = fread(text + 1, 1, SCRIPT_BYTES - 2, file);
    fclose(file);
    assert_true(length < SCRIPT_BYTES - 2);
    text[length + 1] = '\0';
}

static void run_script(void **state)
{
    static char text[SCRIPT_BYTES];
    const char *name = *state;
    script_load(name, text);
    if (strncmp(text, "\n# RFC ", 7) != 0 && strncmp(text, "\n# Not ", 7) != 0)
        fail_msg("%s: the first line does not say what an RFC demands", name);
    uint32_t families = timeline_families(text);
    if (families & 1)
        timeline_run(name, text + 1, false);
    if (families & 2)
        timeline_run(name, text + 1, true);
}

static bool is_there(const char *folder, const char *arrival)
{
    char path[2 * PATH_BYTES];
    snprintf(path, sizeof(path), "%s/%s/%s%s", root, folder, arrival, SUFFIX);
    return access(path, R_OK) == 0;
}

static void the_matrix_is_complete(void **state)
{
    uint32_t missing = 0;
    for (size_t i = 0; i < array_count(states); i++)
        for (size_t j = 0; j < array_count(arrivals); j++)
            if (!is_there(states[i], arrivals[j])) {
                print_error("%s/%s%s is missing\n", states[i], arrivals[j], SUFFIX);
                missing++;
            }
    assert_int_equal(missing, 0);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void list_folder(const char *folder)
{
    char path[2 * PATH_BYTES];
    snprintf(path, sizeof(path), "%s/%s", root, folder);
    DIR *listing = opendir(path);
    assert_non_null(listing);
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        size_t length = strlen(entry->d_name);
        if (length <= strlen(SUFFIX) ||
            strcmp(entry->d_name + length - strlen(SUFFIX), SUFFIX) != 0)
            continue;
        assert_true(name_count < SCRIPTS_MAX);
        snprintf(names[name_count++], PATH_BYTES, "%s/%s", folder, entry->d_name);
    }
    closedir(listing);
}

static void list_all(void)
{
    DIR *listing = opendir(root);
    assert_non_null(listing);
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;)
        if (entry->d_name[0] != '.')
            list_folder(entry->d_name);
    closedir(listing);
    qsort(names, name_count, sizeof(names[0]), by_name);
}

int main(int argc, char **argv)
{
    static struct CMUnitTest tests[SCRIPTS_MAX + 1];
    size_t count = 0;
    if (argc != 3) {
        fprintf(stderr, "usage: %s FOLDER complete|PART-OF-NAME\n", argv[0]);
        return 2;
    }
    root = argv[1];
    bool complete = strcmp(argv[2], "complete") == 0;
    list_all();
    for (uint32_t i = 0; i < name_count; i++)
        if (complete || strstr(names[i], argv[2]) != NULL)
            tests[count++] = (struct CMUnitTest){
                .name = names[i], .test_func = run_script, .initial_state = names[i]};
    if (complete)
        tests[count++] = (struct CMUnitTest){.name = "the_matrix_is_complete",
                                             .test_func = the_matrix_is_complete};
    return _cmocka_run_group_tests("timelines", tests, count, NULL, NULL);
}
