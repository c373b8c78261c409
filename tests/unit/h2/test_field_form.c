/* What a field is by itself, and that what is known of it is what a message is judged by. */
#include "dataplane/h2/field_form.h"
#include "dataplane/h2/h2_message.h"
#include "tests/support/cmocka.h"
#include "tests/support/hpack_fixture.h"

static const struct form_case {
    const char *name;
    const char *value;
    enum field_form form;
} cases[] = {
    {"accept", "", FORM_GOOD},
    {"accept", "text/html, */*", FORM_GOOD},
    {"accept", "a\tb", FORM_GOOD},
    {"accept", "\xc3\xa9", FORM_GOOD},
    {"accept", " a", FORM_VALUE_BAD},
    {"accept", "a ", FORM_VALUE_BAD},
    {"accept", "\ta", FORM_VALUE_BAD},
    {"accept", "a\t", FORM_VALUE_BAD},
    {"accept", "a\nb", FORM_VALUE_BAD},
    {"accept", "a\rb", FORM_VALUE_BAD},
    {"accept", "a\x7f", FORM_VALUE_BAD},
    {"accept", "twelve bytes\x01 and more", FORM_VALUE_BAD},
    {"x-name", "1", FORM_GOOD},
    {"x-Name", "1", FORM_NAME_BAD},
    {"x name", "1", FORM_NAME_BAD},
    {"x:name", "1", FORM_NAME_BAD},
    {"x-name\xc3", "1", FORM_NAME_BAD},
    {"", "1", FORM_NAME_BAD},
    {":unknown", "1", FORM_NAME_BAD},
    {":method", "GET", FORM_GOOD},
    {":method", "", FORM_GRAMMAR_BAD},
    {":method", "GE T", FORM_GRAMMAR_BAD},
    {":scheme", "https", FORM_GOOD},
    {":scheme", "1https", FORM_GRAMMAR_BAD},
    {":scheme", "", FORM_GRAMMAR_BAD},
    {":path", "/", FORM_GOOD},
    {":path", "*", FORM_GOOD},
    {":path", "**", FORM_GRAMMAR_BAD},
    {":path", "a", FORM_GRAMMAR_BAD},
    {":path", "", FORM_GRAMMAR_BAD},
    {":path", "/a b", FORM_GRAMMAR_BAD},
    {":path", "/a#b", FORM_GRAMMAR_BAD},
    {":authority", "example.com:80", FORM_GOOD},
    {":authority", "[fd00::1]:80", FORM_GOOD},
    {":authority", "user@example.com", FORM_GRAMMAR_BAD},
    {":authority", "", FORM_GRAMMAR_BAD},
    {"host", "a/b", FORM_GRAMMAR_BAD},
    {"host", "a", FORM_GOOD},
};

static void forms_are_as_listed(void **state)
{
    for (size_t i = 0; i < array_count(cases); i++) {
        struct field field = fixture_field(cases[i].name, cases[i].value);
        enum field_form form = field_form_of(field.token, field.name, field.value);
        if (form != cases[i].form)
            fail_msg("%s: \"%s\" has form %d, not %d", cases[i].name, cases[i].value, form,
                     cases[i].form);
    }
}

/* Of a path with the byte C in it, or at its end. */
static enum field_form form_of_path_with(uint8_t c, bool at_end)
{
    if ((c == ' ' || c == '\t') && !at_end)
        return FORM_GRAMMAR_BAD;
    if (c <= ' ' || c == 0x7f)
        return FORM_VALUE_BAD;
    return c == '#' ? FORM_GRAMMAR_BAD : FORM_GOOD;
}

static void every_byte_of_a_path_counts(void **state)
{
    uint8_t path[20] = "/";
    for (size_t length = 2; length <= sizeof(path); length++) {
        for (size_t at = 1; at < length; at++) {
            for (uint32_t c = 0; c <= UINT8_MAX; c++) {
                memset(path + 1, 'a', sizeof(path) - 1);
                path[at] = (uint8_t)c;
                enum field_form form =
                    field_form_of(FIELD_PATH, BYTES_NONE, bytes_of(path, length));
                if (form != form_of_path_with((uint8_t)c, at + 1 == length))
                    fail_msg("byte %#x at %zu of %zu: form %d", c, at, length, form);
            }
        }
    }
}

/* A literal that is entered, without Huffman code. RFC 7541 6.2.1 */
static void write_entered(struct writer *out, const char *name, const char *value)
{
    writer_u8(out, 0x40);
    writer_u8(out, (uint8_t)strlen(name));
    writer_bytes(out, bytes_text(name));
    writer_u8(out, (uint8_t)strlen(value));
    writer_bytes(out, bytes_text(value));
}

static enum h2_violation judge(struct hpack_decoder *decoder, struct bytes block)
{
    static uint8_t text[4096];
    struct fields fields;
    struct h2_message message;
    fields_init(&fields, text, sizeof(text));
    assert_int_equal(hpack_decode(decoder, block, &fields), HPACK_OK);
    return h2_message_request(&fields, false, &message);
}

/* :method GET, :scheme http, :path / and the field in question; later by its index, 62. */
static void a_field_is_judged_alike_whenever_it_comes(void **state)
{
    static const uint8_t before[] = {0x82, 0x86, 0x84};
    for (size_t i = 0; i < array_count(cases); i++) {
        uint8_t room[128];
        struct hpack_decoder decoder;
        hpack_decoder_init(&decoder, &fixture_tables);
        struct writer out = writer_over(room, sizeof(room));
        writer_bytes(&out, bytes_of(before, sizeof(before)));
        write_entered(&out, cases[i].name, cases[i].value);
        enum h2_violation first = judge(&decoder, writer_written(&out));
        out = writer_over(room, sizeof(room));
        writer_bytes(&out, bytes_of(before, sizeof(before)));
        writer_u8(&out, 0x80 | 62);
        enum h2_violation again = judge(&decoder, writer_written(&out));
        assert_int_equal(first, again);
        if (cases[i].form == FORM_VALUE_BAD)
            assert_int_equal(first, H2_VIOLATION_value_bad);
        if (cases[i].form == FORM_GRAMMAR_BAD || cases[i].form == FORM_NAME_BAD)
            assert_int_not_equal(first, H2_VIOLATION_none);
        hpack_decoder_close(&decoder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_are_as_listed),
        cmocka_unit_test(every_byte_of_a_path_counts),
        cmocka_unit_test(a_field_is_judged_alike_whenever_it_comes),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
