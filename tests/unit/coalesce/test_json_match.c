/* json_match: C27, whether a body has the members that a route requires. */
#include "dataplane/coalesce/json_match.h"

#include "dataplane/base/check.h"
#include "tests/support/cmocka.h"

#include <stdlib.h>

static struct snapshot_literal literal(const char *name, const char *value)
{
    return (struct snapshot_literal){bytes_text(name), bytes_text(value)};
}

static bool holds_in_pieces(const struct snapshot_literal *wanted, uint32_t count,
                            const char *document, size_t piece)
{
    struct json_match match;
    struct bytes bytes = bytes_text(document);
    json_match_init(&match, wanted, count);
    for (size_t at = 0; at < bytes.length; at += piece)
        json_match_feed(&match, bytes_first(bytes_after(bytes, at), piece));
    return json_match_holds(&match);
}

/* The same, however the document is cut. */
static bool holds(const struct snapshot_literal *wanted, uint32_t count, const char *document)
{
    bool whole = holds_in_pieces(wanted, count, document, 1000);
    for (size_t piece = 1; piece < 8; piece++)
        assert_true(holds_in_pieces(wanted, count, document, piece) == whole);
    return whole;
}

static void c27_matches(void **state)
{
    static const char *const good[] = {
        "{\"temperature\":0}",
        " \r\n\t{ \"temperature\" : 0 } \n",
        "{\"temperature\":0.0}",
        "{\"temperature\":-0}",
        "{\"temperature\":0e5}",
        "{\"temperature\":0.000E-7,\"x\":1}",
        "{\"a\":[1,{\"temperature\":1}],\"temperature\":0}",
        "{\"a\":\"\\\"temperature\\\":1,\\\\\",\"temperature\":0}",
        "{\"a\":{\"b\":\"}]\\\"\"},\"temperature\":0,\"c\":[]}",
        "{\"a\":{},\"temperature\":0}",
        "{\"Temperature\":1,\"temperature\":0}",
        "{\"prompt\":\"a text that is far longer than any token which may be compared with one\","
        "\"temperature\":0}",
    };
    struct snapshot_literal wanted = literal("temperature", "0");
    for (size_t i = 0; i < array_count(good); i++)
        assert_true(holds(&wanted, 1, good[i]));
}

static void c27_says_no_when_not_sure(void **state)
{
    static const char *const bad[] = {
        "",
        "   ",
        "0",
        "[]",
        "[{\"temperature\":0}]",
        "{}",
        "{\"temperature\":0",
        "{\"temperature\"",
        "{\"temperature\":}",
        "{\"temperature\":1}",
        "{\"temperature\":0.1}",
        "{\"temperature\":\"0\"}",
        "{\"temperature\":null}",
        "{\"temperature\":[0]}",
        "{\"temperature\":{}}",
        "{\"temperature\":0,\"temperature\":0}",
        "{\"temperature\":1,\"temperature\":0}",
        "{\"temperature\":0,\"temperature\":1}",
        "{\"temper\\u0061ture\":1,\"temperature\":0}",
        "{\"temperature\":0}x",
        "{\"temperature\":0}{\"temperature\":0}",
        "{\"temperature\":0,}x",
        "{,\"temperature\":0}",
        "{temperature:0}",
        "{'temperature':0}",
        "{\"temperature\":00}",
        "{\"temperature\":+0}",
        "{\"temperature\":.0}",
        "{\"temperature\":0.}",
        "{\"temperature\":0e}",
        "{\"temperature\":0 0}",
        "{\"temperature\":false}",
        "{\"x\":{\"temperature\":0}}",
        "\xef\xbb\xbf{\"temperature\":0}",
        "{\"a\n\":1,\"temperature\":0}",
        "{\"temperature\":0.000000000000000000000000000000000000000000000000000000000000000000000}",
    };
    struct snapshot_literal wanted = literal("temperature", "0");
    for (size_t i = 0; i < array_count(bad); i++)
        assert_false(holds(&wanted, 1, bad[i]));
}

static void c27_every_kind_of_literal(void **state)
{
    struct snapshot_literal wanted[] = {literal("n", "12.5"), literal("t", "\"greedy\""),
                                        literal("b", "false"), literal("z", "null")};
    assert_true(holds(wanted, 4, "{\"z\":null,\"b\":false,\"t\":\"greedy\",\"n\":1.25e1}"));
    assert_false(holds(wanted, 4, "{\"z\":null,\"b\":false,\"t\":\"greedy\"}"));
    assert_false(holds(wanted, 4, "{\"z\":null,\"b\":false,\"t\":\"greed\",\"n\":12.5}"));
    assert_false(holds(wanted, 4, "{\"z\":null,\"b\":false,\"t\":\"greed\\u0079\",\"n\":12.5}"));
    assert_false(holds(wanted, 4, "{\"z\":0,\"b\":false,\"t\":\"greedy\",\"n\":12.5}"));
}

static void numbers_are_compared_by_value(void **state)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } cases[] = {
        {"1", "1.0", true},      {"100", "1e2", true},         {"0.01", "1E-2", true},
        {"-5", "-5.00", true},   {"5", "-5", false},           {"10", "1", false},
        {"1e10", "1e11", false}, {"120", "12e1", true},        {"0.1", "1", false},
        {"1x", "1x", false},     {"1e99999", "1e99999", true}, {"1e999999", "1e999999", false},
    };
    for (size_t i = 0; i < array_count(cases); i++)
        assert_true(json_numbers_equal(bytes_text(cases[i].a), bytes_text(cases[i].b)) ==
                    cases[i].equal);
}

/* Anything may come: nothing is read or written out of bounds, and the pieces do not matter. */
static void c27_any_bytes(void **state)
{
    static const char alphabet[] = "{}[]:,\"\\0te.-n \x01";
    struct snapshot_literal wanted = literal("t", "0");
    srand(1);
    for (int round = 0; round < 20000; round++) {
        char document[40];
        size_t length = (size_t)rand() % (sizeof(document) - 1);
        for (size_t i = 0; i < length; i++)
            document[i] = alphabet[(size_t)rand() % (sizeof(alphabet) - 1)];
        document[length] = '\0';
        holds(&wanted, 1, document);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(c27_matches),
        cmocka_unit_test(c27_says_no_when_not_sure),
        cmocka_unit_test(c27_every_kind_of_literal),
        cmocka_unit_test(numbers_are_compared_by_value),
        cmocka_unit_test(c27_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
