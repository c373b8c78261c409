/*
 * The manual says what the program's tables say. After a change of a table run
 *
 *     WEIR_UPDATE_MANUAL=1 build/tests/unit/test_manual
 *
 * from the top of the tree: it writes the tables into docs/ anew.
 */
#include "control/config_keys.h"
#include "control/counters_print.h"
#include "control/methods.h"
#include "control/region_table.h"
#include "dataplane/base/check.h"
#include "tests/support/cmocka.h"
#include "tests/support/fake_daemon.h"

#include <stdlib.h>
#include <string.h>

static const char begin_mark[] = "<!-- made from the program's tables by test_manual -->\n";
static const char end_mark[] = "<!-- end -->\n";

static const struct {
    const char *path;
    void (*print)(FILE *out);
} pages[] = {
    {"docs/configuration.md", config_keys_print},
    {"docs/control-socket.md", methods_print},
    {"docs/failover.md", region_table_print},
    {"docs/operations.md", counters_print},
};

static void path_in_tree(const char *path, char *out, size_t size)
{
    const char *root = getenv("WEIR_SOURCE_ROOT");
    snprintf(out, size, "%s/%s", root != NULL ? root : ".", path);
}

static char *read_page(const char *path)
{
    char full[512];
    char *text = NULL;
    size_t length = 0;
    path_in_tree(path, full, sizeof(full));
    FILE *file = fopen(full, "r");
    if (file == NULL)
        fail_msg("%s is missing", full);
    if (getdelim(&text, &length, '\0', file) < 0)
        fail_msg("%s is empty", full);
    fclose(file);
    return text;
}

static char *print_tables(void (*print)(FILE *out))
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    print(out);
    fclose(out);
    return text;
}

static void write_page(const char *path, const char *page, const char *begin, const char *tables,
                       const char *end)
{
    char full[512];
    path_in_tree(path, full, sizeof(full));
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fwrite(page, 1, (size_t)(begin - page), file);
    fputs(tables, file);
    fputs(end, file);
    assert_int_equal(fclose(file), 0);
}

static void the_tables_in_the_manual_are_fresh(void **state)
{
    for (size_t i = 0; i < array_count(pages); i++) {
        char *page = read_page(pages[i].path);
        char *tables = print_tables(pages[i].print);
        char *begin = strstr(page, begin_mark);
        assert_non_null(begin);
        begin += strlen(begin_mark);
        char *end = strstr(begin, end_mark);
        assert_non_null(end);
        if (getenv("WEIR_UPDATE_MANUAL") != NULL)
            write_page(pages[i].path, page, begin, tables, end);
        else if (strlen(tables) != (size_t)(end - begin) ||
                 memcmp(tables, begin, strlen(tables)) != 0)
            fail_msg("%s is not fresh: see the head of this test", pages[i].path);
        free(tables);
        free(page);
    }
}

static void expect_valid(const char *name, json_t *document)
{
    struct config_findings findings = {0};
    struct config *config = config_read_json(document, NULL, &findings);
    if (config == NULL)
        fail_msg("%s: %s", name, findings.lines[0]);
    config_free(config);
}

static void the_examples_are_valid_configurations(void **state)
{
    char *page = read_page("docs/configuration.md");
    int examples = 0;
    for (char *at = page; (at = strstr(at, "```json\n")) != NULL; examples++) {
        at += strlen("```json\n");
        char *end = strstr(at, "```");
        assert_non_null(end);
        json_error_t error;
        json_t *document = json_loadb(at, (size_t)(end - at), JSON_REJECT_DUPLICATES, &error);
        if (document == NULL)
            fail_msg("example %d: line %d: %s", examples + 1, error.line, error.text);
        expect_valid("an example", document);
        json_decref(document);
        at = end;
    }
    assert_true(examples >= 2);
    free(page);
}

static void the_demo_has_a_valid_configuration(void **state)
{
    char *text = read_page("scripts/demo/weir.json");
    json_t *document = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(document);
    expect_valid("scripts/demo/weir.json", document);
    json_decref(document);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tables_in_the_manual_are_fresh),
        cmocka_unit_test(the_examples_are_valid_configurations),
        cmocka_unit_test(the_demo_has_a_valid_configuration),
    };
    fake_daemon_link();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
