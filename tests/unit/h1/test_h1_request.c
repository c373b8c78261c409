/* h1_request: requests of HTTP/2 said in HTTP/1.1, and those that are refused by name. */
#include "dataplane/h1/h1_request.h"
#include "tests/support/cmocka.h"

/* "name=value|name=value", in order; values may hold anything but '|' and NUL. */
static struct fields *fields_from(const char *text)
{
    static uint8_t data[8192];
    static struct fields fields;
    fields_init(&fields, data, sizeof(data));
    while (*text != '\0') {
        size_t length = strcspn(text, "|");
        const char *equal = memchr(text, '=', length);
        assert_non_null(equal);
        struct bytes name = bytes_of(text, (size_t)(equal - text));
        struct bytes value = bytes_of(equal + 1, length - name.length - 1);
        fields_add(&fields,
                   (struct field){.token = field_token_of(name), .name = name, .value = value});
        text += length + (text[length] == '|');
    }
    assert_false(fields.overflow);
    return &fields;
}

#define GET  ":method=GET|:scheme=http|:authority=a.test|:path=/p"
#define POST ":method=POST|:scheme=http|:authority=a.test|:path=/p"

static void requests_are_said_in_http1(void **state)
{
    static const struct {
        const char *fields;
        bool end;
        const char *said;
    } cases[] = {
        {GET, true, "GET /p HTTP/1.1\r\nhost: a.test\r\n\r\n"},
        {":method=GET|:scheme=http|:path=/p?q=%20|host=b.test:81", true,
         "GET /p?q=%20 HTTP/1.1\r\nhost: b.test:81\r\n\r\n"},
        {GET "|host=a.test|accept=*/*", true,
         "GET /p HTTP/1.1\r\nhost: a.test\r\naccept: */*\r\n\r\n"},
        {":method=OPTIONS|:scheme=http|:authority=a|:path=*", true,
         "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n"},
        {":method=GET|:scheme=http|:authority=a|:path=/\xc3\xa4\x85\xa0", true,
         "GET /%C3%A4%85%A0 HTTP/1.1\r\nhost: a\r\n\r\n"},
        {GET "|cookie=a=1|x=y|cookie=b=2|cookie=c=3", true,
         "GET /p HTTP/1.1\r\nhost: a.test\r\nx: y\r\ncookie: a=1; b=2; c=3\r\n\r\n"},
        {GET "|te=trailers", true,
         "GET /p HTTP/1.1\r\nhost: a.test\r\nte: trailers\r\nconnection: te\r\n\r\n"},
        {GET "|x=\t", true, NULL},
        {GET "|x=a\tb \xe4", true, "GET /p HTTP/1.1\r\nhost: a.test\r\nx: a\tb \xe4\r\n\r\n"},
        {POST, true, "POST /p HTTP/1.1\r\nhost: a.test\r\ncontent-length: 0\r\n\r\n"},
        {POST "|content-length=0", true,
         "POST /p HTTP/1.1\r\nhost: a.test\r\ncontent-length: 0\r\n\r\n"},
        {POST "|content-length=0012|expect=100-continue", false,
         "POST /p HTTP/1.1\r\nhost: a.test\r\nexpect: 100-continue\r\ncontent-length: 12\r\n\r\n"},
        {POST, false, "POST /p HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n"},
        {GET, false, "GET /p HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n"},
        {":method=DELETE|:scheme=http|:authority=a|:path=/", true,
         "DELETE / HTTP/1.1\r\nhost: a\r\n\r\n"},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        char text[4096];
        struct h1_framing framing;
        struct writer out = writer_over(text, sizeof(text) - 1);
        enum h1_violation violation =
            h1_request_write(fields_from(cases[i].fields), cases[i].end, &out, &framing);
        if (cases[i].said == NULL) {
            assert_int_not_equal(violation, H1_VIOLATION_none);
            continue;
        }
        assert_string_equal(h1_violation_name(violation), "");
        text[writer_length(&out)] = '\0';
        assert_string_equal(text, cases[i].said);
    }
}

static const struct {
    const char *fields;
    const char *name;
} refusals[] = {
    {":method=CONNECT|:authority=a:1", "request_tunnel"},
    {":method=CONNECT|:protocol=websocket|:scheme=http|:authority=a|:path=/", "request_tunnel"},
    {":scheme=http|:authority=a|:path=/", "request_method_bad"},
    {":method=GET X|:scheme=http|:authority=a|:path=/", "request_method_bad"},
    {":method=GET|:method=POST|:authority=a|:path=/", "request_method_bad"},
    {":method=|:authority=a|:path=/", "request_method_bad"},
    {":method=GET|:authority=a", "request_target_bad"},
    {":method=GET|:authority=a|:path=", "request_target_bad"},
    {":method=GET|:authority=a|:path=/ HTTP/1.1", "request_target_bad"},
    {":method=GET|:authority=a|:path=/a#b", "request_target_bad"},
    {":method=GET|:authority=a|:path=http://b/", "request_target_bad"},
    {":method=GET|:authority=a|:path=*", "request_target_bad"},
    {":method=OPTIONS|:authority=a|:path=**", "request_target_bad"},
    {":method=GET|:authority=a|:path=b", "request_target_bad"},
    {":method=GET|:authority=a|:path=/\x7f", "request_value_bad"},
    {":method=GET|:authority=a|:path=/\tb", "request_target_bad"},
    {":method=GE\rT|:authority=a|:path=/", "request_value_bad"},
    {":method=GET/|:authority=a|:path=/", "request_method_bad"},
    {":method=G\xc3\x84T|:authority=a|:path=/", "request_method_bad"},
    {":method=GET|:authority=a/b|:path=/", "request_host_bad"},
    {":method=GET|:authority=a?b|:path=/", "request_host_bad"},
    {":method=GET|:authority=a\\b|:path=/", "request_host_bad"},
    {":method=GET|:authority=\xc3\xa4|:path=/", "request_host_bad"},
    {":method=GET|:authority=a\r\nx: y|:path=/", "request_value_bad"},
    {":method=GET|:authority=a|:authority=a|:path=/", "request_host_bad"},
    {":method=GET|:authority=a|:path=/|host=b\r\nx: y", "request_value_bad"},
    {GET "|cookie=a\r\nx: y", "request_value_bad"},
    {GET "|te=trailers, gzip", "request_te_bad"},
    {POST "|content-length=1000000000000000000", "request_length_bad"},
    {POST "|content-length=-1", "request_length_bad"},
    {POST "|content-length=\xb2", "request_length_bad"},
    {":method=GET|:authority=a|:path=/|:path=/b", "request_target_bad"},
    {":method=GET|:authority=a|:path=/\r\nx: y", "request_value_bad"},
    {":method=GET|:path=/", "request_host_bad"},
    {":method=GET|:authority=|:path=/", "request_host_bad"},
    {":method=GET|:authority=u@a|:path=/", "request_host_bad"},
    {":method=GET|:authority=a b|:path=/", "request_host_bad"},
    {":method=GET|:path=/|host=a|host=b", "request_host_bad"},
    {GET "|x y=1", "request_name_bad"},
    {GET "|x:y=1", "request_name_bad"},
    {GET "|X=1", "request_name_bad"},
    {GET "|x\r\ny=1", "request_name_bad"},
    {GET "|:x=1", "request_name_bad"},
    {GET "|:status=200", "request_name_bad"},
    {GET "|x=a\r\nevil: 1", "request_value_bad"},
    {GET "|x=a\n", "request_value_bad"},
    {GET "|x=a\r", "request_value_bad"},
    {GET "|x=\x7f", "request_value_bad"},
    {GET "|x= a", "request_value_bad"},
    {GET "|connection=close", "request_connection_field"},
    {GET "|keep-alive=1", "request_connection_field"},
    {GET "|proxy-connection=x", "request_connection_field"},
    {GET "|transfer-encoding=chunked", "request_connection_field"},
    {GET "|upgrade=h2c", "request_connection_field"},
    {GET "|te=gzip", "request_te_bad"},
    {POST "|content-length=1|content-length=1", "request_length_bad"},
    {POST "|content-length=1, 1", "request_length_bad"},
    {POST "|content-length=+1", "request_length_bad"},
    {POST "|content-length=", "request_length_bad"},
};
static void what_would_be_read_differently_is_refused_by_name(void **state)
{
    for (size_t i = 0; i < array_count(refusals); i++)
        assert_string_equal(h1_violation_name(h1_request_check(fields_from(refusals[i].fields))),
                            refusals[i].name);
}

static void a_value_with_nul_is_refused(void **state)
{
    const struct fields *nul = fields_from(GET "|x=a_b");
    for (uint32_t i = 0; i < nul->used; i++)
        if (memcmp(nul->data + i, "a_b", 3) == 0)
            nul->data[i + 1] = '\0';
    assert_string_equal(h1_violation_name(h1_request_check(nul)), "request_value_bad");
}

static void a_body_that_is_declared_and_not_there_is_refused(void **state)
{
    char text[512];
    struct h1_framing framing;
    struct writer out = writer_over(text, sizeof(text));
    assert_int_equal(h1_request_write(fields_from(POST "|content-length=1"), true, &out, &framing),
                     H1_VIOLATION_request_length_mismatch);
}

static void a_head_that_does_not_fit_is_said_to_be_too_large(void **state)
{
    char text[64];
    struct h1_framing framing;
    const struct fields *fields = fields_from(GET);
    for (size_t room = 0; room < sizeof(text); room++) {
        struct writer out = writer_over(text, room);
        bool fits = room >= strlen("GET /p HTTP/1.1\r\nhost: a.test\r\n\r\n");
        assert_int_equal(h1_request_write(fields, true, &out, &framing),
                         fits ? H1_VIOLATION_none : H1_VIOLATION_request_too_large);
    }
}

static void the_framing_is_told(void **state)
{
    char text[512];
    struct h1_framing framing;
    struct writer out = writer_over(text, sizeof(text));
    h1_request_write(fields_from(POST), false, &out, &framing);
    assert_true(framing.chunked && !framing.is_head);
    h1_request_write(fields_from(POST "|content-length=77"), false, &out, &framing);
    assert_false(framing.chunked);
    assert_int_equal(framing.content_length, 77);
    h1_request_write(fields_from(":method=HEAD|:authority=a|:path=/"), true, &out, &framing);
    assert_true(framing.is_head && !framing.chunked);
}

static void chunk_sizes_and_trailers_are_written(void **state)
{
    static const struct {
        uint64_t size;
        const char *text;
    } sizes[] = {{1, "1\r\n"}, {15, "f\r\n"}, {16, "10\r\n"}, {0xabcde, "abcde\r\n"}};
    char text[512];
    for (size_t i = 0; i < array_count(sizes); i++) {
        struct writer out = writer_over(text, sizeof(text));
        h1_chunk_size_write(sizes[i].size, &out);
        assert_int_equal(writer_length(&out), strlen(sizes[i].text));
        assert_memory_equal(text, sizes[i].text, writer_length(&out));
    }
    struct writer out = writer_over(text, sizeof(text) - 1);
    assert_true(h1_trailers_write(
        fields_from("x=1|content-length=5|host=a|connection=close|authorization=b|grpc-status=0"
                    "|transfer-encoding=chunked|cookie=a|te=trailers|content-type=a|forwarded=for=a"
                    "|x-forwarded-for=a|x-forwarded-client-cert=Hash"),
        &out));
    text[writer_length(&out)] = '\0';
    assert_string_equal(text, "0\r\nx: 1\r\ngrpc-status: 0\r\n\r\n");
    assert_false(h1_trailers_write(fields_from("x=a\nb"), &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_said_in_http1),
        cmocka_unit_test(what_would_be_read_differently_is_refused_by_name),
        cmocka_unit_test(a_value_with_nul_is_refused),
        cmocka_unit_test(a_body_that_is_declared_and_not_there_is_refused),
        cmocka_unit_test(a_head_that_does_not_fit_is_said_to_be_too_large),
        cmocka_unit_test(the_framing_is_told),
        cmocka_unit_test(chunk_sizes_and_trailers_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
