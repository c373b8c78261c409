/* cut: C11, where an answer may be ended by our own words. */
#include "dataplane/request/cut.h"

#include "dataplane/base/check.h"
#include "tests/support/cmocka.h"

/* Of an answer with one further field; NULL: none. */
static struct cut cut_with(const char *type, enum field_token token, const char *value,
                           bool is_head)
{
    uint8_t room[256];
    struct fields head;
    struct cut cut;
    fields_init(&head, room, sizeof(room));
    if (type != NULL)
        fields_add_token(&head, FIELD_CONTENT_TYPE, bytes_text(type));
    if (value != NULL)
        fields_add_token(&head, token, bytes_text(value));
    cut_begin(&cut, &head, is_head);
    return cut;
}

static struct cut cut_of(const char *type)
{
    return cut_with(type, FIELD_OTHER, NULL, false);
}

/* In pieces of every size the same. */
static bool clean_after(const char *type, const void *data, size_t length)
{
    struct cut whole = cut_of(type);
    cut_pass(&whole, bytes_of(data, length));
    for (size_t piece = 1; piece <= length; piece++) {
        struct cut cut = cut_of(type);
        for (size_t at = 0; at < length; at += piece)
            cut_pass(&cut, bytes_first(bytes_after(bytes_of(data, length), at), piece));
        assert_true(cut_is_clean(&cut) == cut_is_clean(&whole));
    }
    return cut_is_clean(&whole);
}

static void c11_other_answers_are_never_cut(void **state)
{
    struct cut none = cut_of(NULL);
    struct cut html = cut_of("text/html");
    assert_false(cut_is_clean(&none) || cut_is_clean(&html));
}

static void c11_grpc_is_cut_between_messages(void **state)
{
    static const uint8_t messages[] = {0, 0, 0, 0, 3, 'a', 'b', 'c', 1,  0,
                                       0, 0, 0, 0, 0, 0,   0,   1,   'd'};
    for (size_t length = 0; length <= sizeof(messages); length++) {
        bool clean = length == 0 || length == 8 || length == 13 || length == 19;
        assert_true(clean_after("application/grpc+proto", messages, length) == clean);
    }
}

static void c11_events_are_cut_behind_a_blank_line(void **state)
{
    static const struct {
        const char *text;
        bool clean;
    } cases[] = {
        {"", true},
        {"data: x", false},
        {"data: x\n", false},
        {"data: x\n\n", true},
        {"data: x\r\n\r\n", true},
        {"data: x\r\r", true},
        {"data: x\r\n", false},
        {"data: x\n\n\n\n", true},
        {"data: x\n\ndata: y", false},
        {"data: x\n\ndata: y\n", false},
        {"data: x\n\ndata: y\r\n\n", true},
        {": comment\n", false},
    };
    for (size_t i = 0; i < array_count(cases); i++)
        assert_true(clean_after("text/event-stream; charset=utf-8", cases[i].text,
                                strlen(cases[i].text)) == cases[i].clean);
}

/* Our words would be no event in what is coded, and too many bytes in what is counted. */
static void c11_what_is_coded_or_counted_or_has_no_body_is_never_cut(void **state)
{
    static const char *const types[] = {"text/event-stream", "application/grpc"};
    for (size_t i = 0; i < array_count(types); i++) {
        struct cut plain = cut_with(types[i], FIELD_OTHER, NULL, false);
        struct cut coded = cut_with(types[i], FIELD_CONTENT_ENCODING, "gzip", false);
        struct cut counted = cut_with(types[i], FIELD_CONTENT_LENGTH, "7", false);
        struct cut of_head = cut_with(types[i], FIELD_OTHER, NULL, true);
        assert_true(cut_is_clean(&plain));
        assert_false(cut_is_clean(&coded));
        assert_false(cut_is_clean(&counted));
        assert_false(cut_is_clean(&of_head));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(c11_other_answers_are_never_cut),
        cmocka_unit_test(c11_grpc_is_cut_between_messages),
        cmocka_unit_test(c11_events_are_cut_behind_a_blank_line),
        cmocka_unit_test(c11_what_is_coded_or_counted_or_has_no_body_is_never_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
