/* The line of an access record: JSON whatever a peer sent. */
#include "control/access_line.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/support/cmocka.h"

#include <jansson.h>
#include <string.h>

static const struct access_names nobody = {.listener = "", .region = "", .backend = ""};

static void put(uint8_t *at, struct bytes text)
{
    if (text.length > 0)
        memcpy(at, text.data, text.length);
}

/* A record of a request that shared, with these texts. */
static struct access_record record_with(struct bytes authority, struct bytes path)
{
    struct access_record record = {
        .began_ns = 5 * CLOCK_S,
        .total_ns = 1234567,
        .first_byte_ns = 1000000,
        .status = 200,
        .role = ACCESS_JOINED,
        .local = "",
        .failure = "",
        .alone = "",
        .story = {.retried = "", .backend_slot = STORY_NO_BACKEND},
        .flight = {0x100000002, 3},
        .lengths = {3, 1, (uint16_t)authority.length, (uint16_t)path.length},
    };
    assert_true(ip_address_parse("192.0.2.7", &record.client));
    assert_true(ip_address_parse("2001:db8::1", &record.listener));
    memcpy(record.text, "GETr", 4);
    put(record.text + 4, authority);
    put(record.text + 4 + authority.length, path);
    return record;
}

/* The line, read again. */
static json_t *read_line(const struct access_record *record, const struct access_names *names)
{
    char line[ACCESS_LINE_BYTES];
    size_t length = access_line(record, names, line);
    assert_true(length < sizeof(line) && line[length - 1] == '\n');
    assert_null(memchr(line, '\n', length - 1));
    json_error_t error;
    json_t *json = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL)
        fail_msg("%s: %.*s", error.text, (int)length, line);
    return json;
}

static const char *text(const json_t *json, const char *name)
{
    const char *value = json_string_value(json_object_get(json, name));
    return value != NULL ? value : "(none)";
}

static void a_line_has_the_record_and_the_names(void **state)
{
    struct access_record record = record_with(bytes_text("a.example"), bytes_text("/x"));
    struct access_names names = {.worker = 2,
                                 .clock_ahead_ns = 1700000000 * (int64_t)CLOCK_S,
                                 .listener = "web",
                                 .region = "eu",
                                 .backend = "eu \"1\""};
    json_t *json = read_line(&record, &names);
    assert_string_equal(text(json, "time"), "2023-11-14T22:13:25.000000Z");
    assert_string_equal(text(json, "client"), "192.0.2.7");
    assert_string_equal(text(json, "listener"), "web");
    assert_string_equal(text(json, "method"), "GET");
    assert_string_equal(text(json, "authority"), "a.example");
    assert_string_equal(text(json, "path"), "/x");
    assert_string_equal(text(json, "region"), "eu");
    assert_string_equal(text(json, "backend"), "eu \"1\"");
    assert_string_equal(text(json, "role"), "joined");
    assert_string_equal(text(json, "flight"), "3-0000000100000002");
    assert_string_equal(text(json, "end"), "finished");
    assert_int_equal(json_integer_value(json_object_get(json, "total_us")), 1234);
    assert_int_equal(json_integer_value(json_object_get(json, "worker")), 2);
    assert_null(json_object_get(json, "code"));
    assert_null(json_object_get(json, "principal"));
    json_decref(json);
}

static void what_is_no_utf_8_is_escaped_byte_by_byte(void **state)
{
    static const struct {
        const char *sent;
        const char *told;
    } cases[] = {
        {"/plain", "/plain"},
        {"/\x01\x1f\x7f", "/\x01\x1f\x7f"},
        {"/\"quoted\\\"", "/\"quoted\\\""},
        {"/gr\xc3\xbc\xc3\x9f\x65", "/gr\xc3\xbc\xc3\x9f\x65"},
        {"/\xe2\x82\xac\xf0\x9f\x98\x80", "/\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"/\xff", "/\xc3\xbf"},
        {"/\xc3", "/\xc3\x83"},                                     /* cut in the middle */
        {"/\xe2\x82", "/\xc3\xa2\xc2\x82"},                         /* likewise */
        {"/\xc0\xaf", "/\xc3\x80\xc2\xaf"},                         /* longer than needed */
        {"/\xed\xa0\x80", "/\xc3\xad\xc2\xa0\xc2\x80"},             /* half a surrogate pair */
        {"/\xf4\x90\x80\x80", "/\xc3\xb4\xc2\x90\xc2\x80\xc2\x80"}, /* beyond Unicode */
        {"/\x80z", "/\xc2\x80z"},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct access_record record = record_with(BYTES_NONE, bytes_text(cases[i].sent));
        json_t *json = read_line(&record, &nobody);
        assert_string_equal(text(json, "path"), cases[i].told);
        json_decref(json);
    }
}

static void every_byte_leaves_a_line_of_json(void **state)
{
    uint8_t all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (uint8_t)(i == 0 ? 1 : i);
    struct access_record record = record_with(bytes_of(all, 96), bytes_of(all, 256));
    json_t *json = read_line(&record, &nobody);
    assert_string_equal(text(json, "listener"), "[2001:db8::1]:0");
    json_decref(json);
}

/* Each byte of each text takes six, and everything that may stand in a line does. */
static void the_longest_record_fits(void **state)
{
    struct access_record record = {
        .began_ns = UINT64_MAX / 4,
        .total_ns = INT64_MAX,
        .first_byte_ns = INT64_MAX,
        .bytes_in = INT64_MAX,
        .bytes_out = INT64_MAX,
        .joined_at_bytes = INT64_MAX,
        .replayed_bytes = INT64_MAX,
        .principal = INT64_MAX,
        .flight = {UINT64_MAX, UINT16_MAX},
        .detached = {UINT64_MAX, UINT16_MAX},
        .story = {UINT64_MAX, "connection-lost", 0, 0, UINT8_MAX, true},
        .local = "principal-requests",
        .failure = "connection-lost",
        .alone = "table-contended",
        .client_port = UINT16_MAX,
        .listener_port = UINT16_MAX,
        .code = UINT32_MAX,
        .status = UINT16_MAX,
        .end = ACCESS_CLIENT_RESET,
        .role = ACCESS_JOINED,
        .principal_kind = ACCESS_CREDENTIALS,
        .cut = 0xf,
        .lengths = {ACCESS_METHOD_BYTES, ACCESS_ROUTE_BYTES, ACCESS_AUTHORITY_BYTES,
                    ACCESS_PATH_BYTES},
    };
    char name[64];
    memset(record.client.bytes, 0xff, sizeof(record.client.bytes));
    memset(record.listener.bytes, 0xff, sizeof(record.listener.bytes));
    memset(record.text, 1, sizeof(record.text));
    memset(name, '"', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    struct access_names names = {
        .worker = UINT16_MAX, .listener = "", .region = "eu", .backend = name};
    json_t *json = read_line(&record, &names);
    assert_int_equal(json_array_size(json_object_get(json, "cut")), ACCESS_TEXTS);
    assert_int_equal(strlen(text(json, "path")), ACCESS_PATH_BYTES);
    json_decref(json);
}

static void what_went_wrong_has_its_words(void **state)
{
    struct access_record record = record_with(BYTES_NONE, BYTES_NONE);
    record.end = ACCESS_RESET;
    record.code = 2;
    record.failure = "connection-lost";
    record.role = ACCESS_DETACHED;
    record.alone = "unshareable";
    record.detached = (struct flight_name){7, 1};
    record.story.retried = "late";
    record.story.attempts = 2;
    record.principal = 0xabc;
    record.principal_kind = ACCESS_CREDENTIALS;
    record.cut = 1 << ACCESS_PATH;
    json_t *json = read_line(&record, &nobody);
    assert_string_equal(text(json, "end"), "reset");
    assert_int_equal(json_integer_value(json_object_get(json, "code")), 2);
    assert_string_equal(text(json, "failure"), "connection-lost");
    assert_string_equal(text(json, "role"), "detached");
    assert_string_equal(text(json, "alone"), "unshareable");
    assert_string_equal(text(json, "detached_from"), "1-0000000000000007");
    assert_string_equal(text(json, "retried"), "late");
    assert_string_equal(text(json, "principal"), "0000000000000abc");
    assert_string_equal(json_string_value(json_array_get(json_object_get(json, "cut"), 0)), "path");
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_the_record_and_the_names),
        cmocka_unit_test(what_is_no_utf_8_is_escaped_byte_by_byte),
        cmocka_unit_test(every_byte_leaves_a_line_of_json),
        cmocka_unit_test(the_longest_record_fits),
        cmocka_unit_test(what_went_wrong_has_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
