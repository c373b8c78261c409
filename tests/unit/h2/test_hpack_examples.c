/* The examples of RFC 7541 Appendix C, decoded; and encoded, where our encoder decides likewise. */
#include "tests/support/cmocka.h"
#include "tests/support/hpack_fixture.h"

#define MAX_FIELDS 8

struct example_field {
    const char *name, *value;
};

struct example_step {
    struct example_field fields[MAX_FIELDS];
    struct example_field table[MAX_FIELDS];
    uint32_t table_bytes;
};

#define GET_HTTP                                                                                   \
    {":method", "GET"}, {":scheme", "http"},                                                       \
    {                                                                                              \
        ":path", "/"                                                                               \
    }
#define HOST                                                                                       \
    {                                                                                              \
        ":authority", "www.example.com"                                                            \
    }
#define DATE_21                                                                                    \
    {                                                                                              \
        "date", "Mon, 21 Oct 2013 20:13:21 GMT"                                                    \
    }
#define DATE_22                                                                                    \
    {                                                                                              \
        "date", "Mon, 21 Oct 2013 20:13:22 GMT"                                                    \
    }
#define PRIVATE                                                                                    \
    {                                                                                              \
        "cache-control", "private"                                                                 \
    }
#define LOCATION                                                                                   \
    {                                                                                              \
        "location", "https://www.example.com"                                                      \
    }
#define COOKIE                                                                                     \
    {                                                                                              \
        "set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"                   \
    }
#define GZIP                                                                                       \
    {                                                                                              \
        "content-encoding", "gzip"                                                                 \
    }
#define CUSTOM                                                                                     \
    {                                                                                              \
        "custom-key", "custom-value"                                                               \
    }
#define NO_CACHE                                                                                   \
    {                                                                                              \
        "cache-control", "no-cache"                                                                \
    }

static const struct example_step requests[3] = {
    {{GET_HTTP, HOST}, {HOST}, 57},
    {{GET_HTTP, HOST, NO_CACHE}, {NO_CACHE, HOST}, 110},
    {{{":method", "GET"}, {":scheme", "https"}, {":path", "/index.html"}, HOST, CUSTOM},
     {CUSTOM, NO_CACHE, HOST},
     164},
};

static const struct example_step responses[3] = {
    {{{":status", "302"}, PRIVATE, DATE_21, LOCATION},
     {LOCATION, DATE_21, PRIVATE, {":status", "302"}},
     222},
    {{{":status", "307"}, PRIVATE, DATE_21, LOCATION},
     {{":status", "307"}, LOCATION, DATE_21, PRIVATE},
     222},
    {{{":status", "200"}, PRIVATE, DATE_22, LOCATION, GZIP, COOKIE}, {COOKIE, GZIP, DATE_22}, 215},
};

static const struct {
    const char *section;
    const struct example_step *steps;
    uint32_t size_bytes;
    bool encodes_alike;
    const char *blocks[3];
} examples[] = {
    {"C.3",
     requests,
     4096,
     false, /* without the Huffman code */
     {"828684410f7777772e6578616d706c652e636f6d", "828684be58086e6f2d6361636865",
      "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565"}},
    {"C.4",
     requests,
     4096,
     true,
     {"828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf",
      "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"}},
    {"C.5",
     responses,
     256,
     false,
     {"4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54"
      "6e1768747470733a2f2f7777772e6578616d706c652e636f6d",
      "4803333037c1c0bf",
      "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d"
      "4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b20766572"
      "73696f6e3d31"}},
    {"C.6",
     responses,
     256,
     false, /* our encoder does not enter date, location and set-cookie */
     {"488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b"
      "97c8e9ae82ae43d3",
      "4883640effc1c0bf",
      "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdf"
      "cd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007"}},
};

static void check_fields(const char *section, const struct fields *fields,
                         const struct example_field *want)
{
    struct field field = {0};
    uint32_t at = 0;
    for (uint32_t i = 0; i < MAX_FIELDS && want[i].name != NULL; i++) {
        if (!fields_next(fields, &at, &field))
            fail_msg("%s: no field %u", section, i);
        struct field expected = fixture_field(want[i].name, want[i].value);
        if (!fixture_field_equal(&field, &expected))
            fail_msg("%s: field %u is not %s", section, i, want[i].name);
    }
    assert_false(fields_next(fields, &at, &field));
}

static void check_table(const char *section, const struct hpack_table *table,
                        const struct example_step *step)
{
    uint8_t text[HPACK_TABLE_BYTES];
    uint32_t count = 0;
    while (count < MAX_FIELDS && step->table[count].name != NULL)
        count++;
    assert_non_null(table);
    assert_int_equal(table->count, count);
    assert_int_equal(table->used_bytes, step->table_bytes);
    for (uint32_t i = 0; i < count; i++) {
        struct field entry = fixture_entry(table, i, text);
        struct field want = fixture_field(step->table[i].name, step->table[i].value);
        if (!fixture_field_equal(&entry, &want))
            fail_msg("%s: entry %u is not %s", section, i, want.name.data);
    }
}

static void the_examples_decode(void **state)
{
    for (size_t i = 0; i < array_count(examples); i++) {
        struct hpack_decoder decoder;
        hpack_decoder_init(&decoder, &fixture_tables);
        decoder.size_bytes = examples[i].size_bytes;
        for (size_t k = 0; k < 3; k++) {
            uint8_t block[256], text[512];
            struct fields fields;
            fields_init(&fields, text, sizeof(text));
            assert_int_equal(hpack_decode(&decoder,
                                          fixture_hex(examples[i].blocks[k], block, sizeof(block)),
                                          &fields),
                             HPACK_OK);
            check_fields(examples[i].section, &fields, examples[i].steps[k].fields);
            check_table(examples[i].section, decoder.table, &examples[i].steps[k]);
        }
        hpack_decoder_close(&decoder);
    }
}

static void the_examples_encode(void **state)
{
    uint32_t encoded = 0;
    for (size_t i = 0; i < array_count(examples); i++) {
        struct hpack_encoder encoder;
        if (!examples[i].encodes_alike)
            continue;
        hpack_encoder_init(&encoder, &fixture_tables);
        for (size_t k = 0; k < 3; k++, encoded++) {
            const struct example_step *step = &examples[i].steps[k];
            uint8_t block[256], want[256], text[512];
            struct fields fields;
            struct writer out = writer_over(block, sizeof(block));
            fields_init(&fields, text, sizeof(text));
            for (size_t f = 0; f < MAX_FIELDS && step->fields[f].name != NULL; f++)
                fields_add(&fields, fixture_field(step->fields[f].name, step->fields[f].value));
            assert_true(hpack_encode(&encoder, &fields, &out));
            assert_true(bytes_equal(writer_written(&out),
                                    fixture_hex(examples[i].blocks[k], want, sizeof(want))));
            check_table(examples[i].section, encoder.table, step);
        }
        hpack_encoder_close(&encoder);
    }
    assert_int_equal(encoded, 3);
}

/* RFC 7541 C.2 */
static void the_representations_decode(void **state)
{
    static const struct {
        const char *block, *name, *value;
        bool never_index;
        uint32_t table_bytes;
    } cases[] = {
        {"400a637573746f6d2d6b65790d637573746f6d2d686561646572", "custom-key", "custom-header",
         false, 55},
        {"040c2f73616d706c652f70617468", ":path", "/sample/path", false, 0},
        {"100870617373776f726406736563726574", "password", "secret", true, 0},
        {"82", ":method", "GET", false, 0},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        uint8_t block[64], text[128];
        uint32_t at = 0;
        struct fields fields;
        struct field field = {0}, want = fixture_field(cases[i].name, cases[i].value);
        struct hpack_decoder decoder;
        want.never_index = cases[i].never_index;
        hpack_decoder_init(&decoder, &fixture_tables);
        fields_init(&fields, text, sizeof(text));
        assert_int_equal(
            hpack_decode(&decoder, fixture_hex(cases[i].block, block, sizeof(block)), &fields),
            HPACK_OK);
        assert_int_equal(fields.count, 1);
        assert_true(fields_next(&fields, &at, &field));
        assert_true(fixture_field_equal(&field, &want));
        assert_int_equal(decoder.table == NULL ? 0 : decoder.table->used_bytes,
                         cases[i].table_bytes);
        hpack_decoder_close(&decoder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_decode),
        cmocka_unit_test(the_examples_encode),
        cmocka_unit_test(the_representations_decode),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
