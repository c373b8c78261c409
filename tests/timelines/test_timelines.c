/*
 * Every script of a folder is a test, named by its path. Folders that form a matrix (the states of
 * RFC 9293, of RFC 9113 5.1) hold a script for everything that may arrive there; that none is
 * missing is a test, too.
 *
 * test_timelines tcp|h2 FOLDER complete       all, and that the matrix is complete
 * test_timelines tcp|h2 FOLDER PART-OF-NAME   those scripts only
 */
#include "tests/support/cmocka.h"
#include "tests/timelines/h2_timeline.h"
#include "tests/timelines/tcp_timeline.h"

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

static const struct timeline_protocol *const protocols[] = {&tcp_timeline_protocol,
                                                            &h2_timeline_protocol};
static const struct timeline_protocol *protocol;
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
    uint32_t chosen = protocol->chosen(text);
    for (uint32_t i = 0; protocol->variants[i] != NULL; i++)
        if (chosen >> i & 1)
            timeline_run(protocol, name, text + 1, i);
}

static bool is_there(const char *folder, const char *arrival)
{
    char path[2 * PATH_BYTES];
    snprintf(path, sizeof(path), "%s/%s/%s%s", root, folder, arrival, SUFFIX);
    return access(path, R_OK) == 0;
}

static uint32_t missing_of(const struct timeline_matrix *matrix)
{
    uint32_t missing = 0;
    for (const char *const *folder = matrix->folders; *folder != NULL; folder++)
        for (const char *const *arrival = matrix->arrivals; *arrival != NULL; arrival++)
            if (!is_there(*folder, *arrival)) {
                print_error("%s/%s%s is missing\n", *folder, *arrival, SUFFIX);
                missing++;
            }
    return missing;
}

static void the_matrix_is_complete(void **state)
{
    uint32_t missing = 0;
    for (size_t i = 0; protocol->matrices[i].folders != NULL; i++)
        missing += missing_of(&protocol->matrices[i]);
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

static const struct timeline_protocol *protocol_of(const char *name)
{
    for (size_t i = 0; i < array_count(protocols); i++)
        if (strcmp(protocols[i]->name, name) == 0)
            return protocols[i];
    return NULL;
}

int main(int argc, char **argv)
{
    static struct CMUnitTest tests[SCRIPTS_MAX + 1];
    size_t count = 0;
    protocol = argc == 4 ? protocol_of(argv[1]) : NULL;
    if (protocol == NULL) {
        fprintf(stderr, "usage: %s tcp|h2 FOLDER complete|PART-OF-NAME\n", argv[0]);
        return 2;
    }
    root = argv[2];
    const char *part = argv[3];
    bool complete = strcmp(part, "complete") == 0;
    list_all();
    for (uint32_t i = 0; i < name_count; i++)
        if (complete || strstr(names[i], part) != NULL)
            tests[count++] = (struct CMUnitTest){
                .name = names[i], .test_func = run_script, .initial_state = names[i]};
    if (complete)
        tests[count++] = (struct CMUnitTest){.name = "the_matrix_is_complete",
                                             .test_func = the_matrix_is_complete};
    return _cmocka_run_group_tests("timelines", tests, count, NULL, NULL);
}
