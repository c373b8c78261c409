/*
 * replay: run a fuzz target over its corpus as an ordinary test, without libFuzzer.
 *
 * replay FOLDER: every file in it is one input; each is also given cut short at every 1/8.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/support/cmocka.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES (1 << 20)
#define CUTS        8

static const char *folder;

/* The target gets a block of exactly the input's size, so that the sanitizer sees its end. */
static void run(const uint8_t *data, size_t length)
{
    uint8_t *exact = malloc(length + 1);
    assert_non_null(exact);
    memcpy(exact + 1, data, length);
    assert_int_equal(LLVMFuzzerTestOneInput(exact + 1, length), 0);
    free(exact);
}

static void run_file(const char *name)
{
    static uint8_t input[INPUT_BYTES];
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t length = fread(input, 1, sizeof(input), file);
    fclose(file);
    for (size_t cut = 1; cut <= CUTS; cut++)
        run(input, length * cut / CUTS);
}

static void the_corpus_shows_no_fault(void **state)
{
    uint32_t files = 0;
    DIR *listing = opendir(folder);
    assert_non_null(listing);
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        run_file(entry->d_name);
        files++;
    }
    closedir(listing);
    run((const uint8_t *)"", 0);
    assert_true(files > 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_corpus_shows_no_fault)};
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    folder = argv[1];
    (void)LLVMFuzzerInitialize(&argc, &argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
