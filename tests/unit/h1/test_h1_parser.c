/* h1_parser: answers legal, legal but odd, and illegal, each the same however it is cut. */
#include <stdlib.h>

#include "tests/support/cmocka.h"
#include "tests/support/h1_story.h"

#define OK "HTTP/1.1 200 OK\r\n"

struct answer {
    const char *bytes;
    const char *story;
    size_t left; /* bytes behind the end that were not taken */
};

static const struct answer legal[] = {
    {OK "content-length: 5\r\n\r\nhello", "head[:status=200;content-length=5;] data:hello end"},
    {OK "Content-Length:5\r\n\r\nhello", "head[:status=200;content-length=5;] data:hello end"},
    {OK "content-length: \t 5 \t\r\n\r\nhello",
     "head[:status=200;content-length=5;] data:hello end"},
    {OK "content-length: 0005\r\n\r\nhello",
     "head[:status=200;content-length=0005;] data:hello end"},
    {OK "content-length: 0\r\n\r\n", "head[:status=200;content-length=0;] end"},
    {OK "content-length: 2\r\n\r\nhiHTTP", "head[:status=200;content-length=2;] data:hi end", 4},
    {"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", "head[:status=200;content-length=0;] end"},
    {"HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n", "head[:status=200;content-length=0;] end"},
    {"HTTP/1.1 299 \t\xe4 reason \r\ncontent-length: 0\r\n\r\n",
     "head[:status=299;content-length=0;] end"},
    {"HTTP/1.7 200 OK\r\ncontent-length: 0\r\n\r\n", "head[:status=200;content-length=0;] end"},
    {"HTTP/1.1 999 odd\r\ncontent-length: 0\r\n\r\n", "head[:status=999;content-length=0;] end"},
    {OK "x:\r\nY: a  b\r\ncontent-length: 0\r\n\r\n",
     "head[:status=200;x=;y=a  b;content-length=0;] end"},
    {OK "x: a:b: c\r\ncontent-length: 0\r\n\r\n",
     "head[:status=200;x=a:b: c;content-length=0;] end"},
    {OK "set-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: 0\r\n\r\n",
     "head[:status=200;set-cookie=a=1;set-cookie=b=2;content-length=0;] end"},
    /* No body, whatever the fields say (6.3, rule 1). */
    {"HTTP/1.1 204 No Content\r\n\r\n", "head[:status=204;] end"},
    {"HTTP/1.1 204 No Content\r\nx: y\r\nContent-Length: 7\r\nz: 1\r\n\r\nabc",
     "head[:status=204;x=y;z=1;] end", 3},
    {"HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n",
     "head[:status=205;content-length=0;] end"},
    {"HTTP/1.9 999 Odd\r\ncontent-length: 0\r\n\r\n", "head[:status=999;content-length=0;] end"},
    {"HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n",
     "head[:status=304;content-length=7;] end"},
    {"HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked\r\n\r\n", "head[:status=304;] end"},
    /* Interim ones before it. */
    {"HTTP/1.1 100 Continue\r\n\r\n" OK "content-length: 0\r\n\r\n",
     "interim[:status=100;]head[:status=200;content-length=0;] end"},
    {"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 102 P\r\ncontent-length: 9\r\n\r\n" OK
     "content-length: 1\r\n\r\nx",
     "interim[:status=103;link=</a>;]interim[:status=102;]"
     "head[:status=200;content-length=1;] data:x end"},
    {"HTTP/1.1 199 \r\ntransfer-encoding: chunked\r\n\r\n" OK "content-length: 1\r\n\r\nx",
     "interim[:status=199;]head[:status=200;content-length=1;] data:x end"},
    /* Chunks. */
    {OK "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
     "head[:status=200;] data:hello end"},
    {OK "Transfer-Encoding: Chunked\r\n\r\n005;a=b;c=\"d e\"\r\nhello\r\nA "
        ";x\r\n0123456789\r\n0;z\r\n\r\n",
     "head[:status=200;] data:hello0123456789 end"},
    {OK "transfer-encoding: chunked\r\n\r\n0\r\n\r\n", "head[:status=200;] end"},
    {OK "transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\nc: d\r\n\r\n",
     "head[:status=200;] data:x trailers[a=b;c=d;] end"},
    {OK "transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nHTTP/1.1",
     "head[:status=200;] data:x end", 8},
    /* Until the connection ends. */
    {OK "\r\nall of it", "head[:status=200;] data:all of it eof:end"},
    {OK "\r\n", "head[:status=200;] eof:end"},
    {"HTTP/1.0 200 OK\r\n\r\nold", "head[:status=200;] data:old eof:end"},
    {"HTTP/1.0 200 OK\r\ncontent-length: 1\r\nconnection: keep-alive\r\n\r\nx",
     "head[:status=200;content-length=1;] data:x end last"},
    /* What ends at this hop. */
    {OK "connection: close\r\ncontent-length: 0\r\n\r\n",
     "head[:status=200;content-length=0;] end last"},
    {OK "Connection: Keep-Alive , CLOSE\r\ncontent-length: 0\r\n\r\n",
     "head[:status=200;content-length=0;] end last"},
    {OK "connection: keep-alive\r\nkeep-alive: timeout=5, max=9\r\ncontent-length: 0\r\n\r\n",
     "head[:status=200;content-length=0;] end"},
    {OK "keep-alive: timeout=0\r\ncontent-length: 0\r\n\r\n",
     "head[:status=200;content-length=0;] end last"},
    {OK "x-b: 1\r\nX-A: 1\r\nconnection: x-a, vary\r\nx-a: 2\r\nvary: cookie\r\nx-c: 3\r\n"
        "upgrade: h2c\r\nproxy-connection: x\r\nte: x\r\ncontent-length: 0\r\n\r\n",
     "head[:status=200;x-b=1;vary=cookie;x-c=3;content-length=0;] end"},
};

static const struct answer cut[] = {
    {"", " eof:answer_cut"},
    {"HTTP/1.1 20", " eof:answer_cut"},
    {OK, " eof:answer_cut"},
    {OK "content-length: 5\r\n\r\nhell",
     "head[:status=200;content-length=5;] data:hell eof:answer_cut"},
    {OK "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
     "head[:status=200;] data:hello eof:answer_cut"},
    {OK "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
     "head[:status=200;] data:hello eof:answer_cut"},
    {OK "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r",
     "head[:status=200;] data:hello eof:answer_cut"},
    {OK "transfer-encoding: chunked\r\n\r\n0\r\na: b\r\n", "head[:status=200;] eof:answer_cut"},
    {"HTTP/1.1 100 Continue\r\n\r\n", "interim[:status=100;] eof:answer_cut"},
};

static const struct answer illegal[] = {
    {"HTTP/1.1 200 OK\ncontent-length: 0\r\n\r\n", " bad:bare_lf"},
    {OK "content-length: 0\n\r\n", " bad:bare_lf"},
    {OK "content-length: 0\r\n\n", " bad:bare_lf"},
    {"\n", " bad:bare_lf"},
    {OK "a: b\rc: d\r\n\r\n", " bad:bare_cr"},
    {OK "a: b\r\r\n\r\n", " bad:bare_cr"},
    {"HTTP/1.1 200 O\rK\r\n\r\n", " bad:bare_cr"},
    {OK "a: b\0c\r\n\r\n", " bad:nul"},
    {"\r\n" OK, " bad:status_line_bad"},
    {"SSH-2.0-OpenSSH_9.2\r\n", " bad:status_line_bad"},
    {"HTTP/1.1200 OK\r\n", " bad:status_line_bad"},
    {"HTTP/1.1  200 OK\r\n", " bad:status_line_bad"},
    {"HTTP/1.1 2000 OK\r\n", " bad:status_line_bad"},
    {"HTTP/1.1 20 OK\r\n", " bad:status_line_bad"},
    {"HTTP/1.1 2x0 OK\r\n", " bad:status_line_bad"},
    {"HTTP/1.1 099 OK\r\n", " bad:status_line_bad"},
    {"HTTP/1.1 200 \x01\r\n", " bad:status_line_bad"},
    {"http/1.1 200 OK\r\n", " bad:status_line_bad"},
    {"HTTP/11 200 OK\r\n", " bad:status_line_bad"},
    {"GET / HTTP/1.1\r\n", " bad:status_line_bad"},
    {"HTTP/2.0 200 OK\r\n", " bad:version_bad"},
    {"HTTP/0.9 200 OK\r\n", " bad:version_bad"},
    {OK " a: b\r\n\r\n", " bad:obs_fold"},
    {OK "a: b\r\n\tc\r\n\r\n", " bad:obs_fold"},
    {" HTTP/1.1 200 OK\r\n", " bad:status_line_bad"},
    {"HTTP/1.1\t200 OK\r\n", " bad:status_line_bad"},
    {"HTTP/1.1 200\tOK\r\n", " bad:status_line_bad"},
    {OK "nothing\r\n\r\n", " bad:field_without_colon"},
    {OK "transfer-encoding\xa0: chunked\r\n\r\n", " bad:name_bad"},
    {OK "transfer-encoding\x0c: chunked\r\n\r\n", " bad:name_bad"},
    {OK "transfer\x7f-encoding: chunked\r\n\r\n", " bad:name_bad"},
    {OK "\"a\": b\r\n\r\n", " bad:name_bad"},
    {OK "content-length : 5\r\n\r\n", " bad:space_before_colon"},
    {OK "transfer-encoding\t: chunked\r\n\r\n", " bad:space_before_colon"},
    {OK ": b\r\n\r\n", " bad:name_bad"},
    {OK "a b: c\r\n\r\n", " bad:name_bad"},
    {OK "a\x0b: c\r\n\r\n", " bad:name_bad"},
    {OK "\xc3\xa4: c\r\n\r\n", " bad:name_bad"},
    {OK "a: \x01\r\n\r\n", " bad:value_bad"},
    {OK "a: \x7f\r\n\r\n", " bad:value_bad"},
    {"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n", " bad:switching_protocols"},
    {OK "content-length: 5\r\ncontent-length: 5\r\n\r\n", " bad:content_length_repeated"},
    {OK "content-length: 5\r\nContent-Length: 6\r\n\r\n", " bad:content_length_repeated"},
    {OK "content-length: 5, 5\r\n\r\n", " bad:content_length_bad"},
    {OK "content-length: +5\r\n\r\n", " bad:content_length_bad"},
    {OK "content-length: -1\r\n\r\n", " bad:content_length_bad"},
    {OK "content-length: 0x5\r\n\r\n", " bad:content_length_bad"},
    {OK "content-length: 5 5\r\n\r\n", " bad:content_length_bad"},
    {OK "content-length: 5,\r\n\r\n", " bad:content_length_bad"},
    {OK "content-length: \xb2\r\n\r\n", " bad:content_length_bad"},
    {OK "content-length: 5;a=b\r\n\r\n", " bad:content_length_bad"},
    {OK "content-length: 1000000000000000000\r\n\r\n", " bad:content_length_bad"},
    {OK "content-length:\r\n\r\n", " bad:content_length_bad"},
    {OK "content-length: 18446744073709551616\r\n\r\n", " bad:content_length_bad"},
    {OK "transfer-encoding: gzip, chunked\r\n\r\n", " bad:transfer_encoding_bad"},
    {OK "transfer-encoding: chunked, identity\r\n\r\n", " bad:transfer_encoding_bad"},
    {OK "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
     " bad:transfer_encoding_bad"},
    {OK "transfer-encoding: \x0b"
        "chunked\r\n\r\n",
     " bad:value_bad"},
    {OK "transfer-encoding: xchunked\r\n\r\n", " bad:transfer_encoding_bad"},
    {OK "transfer-encoding: identity\r\n\r\n", " bad:transfer_encoding_bad"},
    {OK "transfer-encoding: chunked;q=1\r\n\r\n", " bad:transfer_encoding_bad"},
    {OK "transfer-encoding: chunked,\r\n\r\n", " bad:transfer_encoding_bad"},
    {OK "transfer-encoding: \"chunked\"\r\n\r\n", " bad:transfer_encoding_bad"},
    {OK "transfer-encoding: \xa0"
        "chunked\r\n\r\n",
     " bad:transfer_encoding_bad"},
    {OK "transfer-encoding:\r\n\r\n", " bad:transfer_encoding_bad"},
    {OK "transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n",
     " bad:transfer_encoding_and_length"},
    {OK "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
     " bad:transfer_encoding_and_length"},
    {"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", " bad:transfer_encoding_old"},
#define CHUNKED OK "transfer-encoding: chunked\r\n\r\n"
#define HEAD    "head[:status=200;]"
    {CHUNKED "\r\n", HEAD " bad:chunk_size_bad"},
    {CHUNKED "g\r\n", HEAD " bad:chunk_size_bad"},
    {CHUNKED " 5\r\n", HEAD " bad:chunk_size_bad"},
    {CHUNKED "-5\r\n", HEAD " bad:chunk_size_bad"},
    {CHUNKED "0x5\r\n", HEAD " bad:chunk_size_bad"},
    {CHUNKED "5 \r\nhello\r\n", HEAD " bad:chunk_size_bad"},
    {CHUNKED "5 6\r\nhello\r\n", HEAD " bad:chunk_size_bad"},
    {CHUNKED ";a\r\n", HEAD " bad:chunk_size_bad"},
    {CHUNKED "5;\x01\r\nhello\r\n", HEAD " bad:chunk_size_bad"},
    {CHUNKED "5\nhello\r\n", HEAD " bad:bare_lf"},
    {CHUNKED "5;a\nhello\r\n", HEAD " bad:bare_lf"},
    {CHUNKED "5\rhello\r\n", HEAD " bad:bare_cr"},
    {CHUNKED "10000000000000005\r\n", HEAD " bad:chunk_size_overflow"},
    {CHUNKED "fffffffffffffffff\r\n", HEAD " bad:chunk_size_overflow"},
    {CHUNKED "5\r\nhelloX", HEAD " data:hello bad:chunk_end_bad"},
    {CHUNKED "5\r\nhello\n", HEAD " data:hello bad:chunk_end_bad"},
    {CHUNKED "5\r\nhello\rX", HEAD " data:hello bad:chunk_end_bad"},
    {CHUNKED "5\r\nhello\r\n0\r\n\rX", HEAD " data:hello bad:bare_cr"},
    {CHUNKED "0\r\ncontent-length: 5\r\n\r\n", HEAD " bad:trailer_framing"},
    {CHUNKED "0\r\ntransfer-encoding: chunked\r\n\r\n", HEAD " bad:trailer_framing"},
    {CHUNKED "0\r\na: b\r\n c\r\n\r\n", HEAD " bad:obs_fold"},
    {CHUNKED "0\r\na\r\n\r\n", HEAD " bad:field_without_colon"},
};

/* NUL counts: a text with one is told by its own length. */
static struct bytes bytes_of_answer(const char *text)
{
    static const char with_nul[] = OK "a: b\0c\r\n\r\n";
    bool has_nul = strcmp(text, with_nul) == 0;
    return has_nul ? bytes_of(with_nul, sizeof(with_nul) - 1) : bytes_text(text);
}

/* The bytes end where their memory ends, so that a sanitizer sees a read beyond. */
static size_t tell(struct h1_story *story, struct bytes input, size_t piece, uint32_t max,
                   bool to_head)
{
    uint8_t *copy = malloc(input.length + 1);
    assert_non_null(copy);
    uint8_t *start = copy + 1; /* odd, too */
    memcpy(start, input.data, input.length);
    size_t taken = h1_story_tell(story, bytes_of(start, input.length), piece, max, to_head);
    free(copy);
    return taken;
}

static void expect_all(const struct answer *answers, size_t count, bool whole)
{
    static struct h1_story story;
    for (size_t i = 0; i < count; i++) {
        struct bytes input = bytes_of_answer(answers[i].bytes);
        for (size_t piece = 1; piece <= input.length + 1; piece++) {
            size_t taken = tell(&story, input, piece, piece % 3 == 0 ? 2 : UINT32_MAX, false);
            assert_string_equal(story.text, answers[i].story);
            if (whole)
                assert_int_equal(taken, input.length - answers[i].left);
        }
    }
}

static void legal_answers_are_read_however_they_are_cut(void **state)
{
    expect_all(legal, array_count(legal), true);
}

static void cut_answers_do_not_end_well(void **state)
{
    expect_all(cut, array_count(cut), true);
}

static void illegal_answers_are_refused_by_name_however_they_are_cut(void **state)
{
    expect_all(illegal, array_count(illegal), false);
}

/* What is refused by name never ends well if a bit of it is flipped back or any other one is. */
static void no_flipped_bit_reads_beyond_or_tells_more_than_there_is(void **state)
{
    static struct h1_story story;
    uint8_t bytes[1024];
    for (size_t i = 0; i < array_count(legal); i++) {
        struct bytes input = bytes_text(legal[i].bytes);
        assert_true(input.length <= sizeof(bytes));
        for (size_t bit = 0; bit < 8 * input.length; bit++) {
            memcpy(bytes, input.data, input.length);
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            char whole[sizeof(story.text)];
            (void)tell(&story, bytes_of(bytes, input.length), input.length, UINT32_MAX, false);
            memcpy(whole, story.text, sizeof(whole));
            (void)tell(&story, bytes_of(bytes, input.length), 1, UINT32_MAX, false);
            assert_string_equal(story.text, whole);
        }
    }
}

static void an_answer_to_head_has_no_body(void **state)
{
    static struct h1_story story;
    static const struct answer answers[] = {
        {OK "content-length: 5\r\n\r\n", "head[:status=200;content-length=5;] end"},
        {CHUNKED, "head[:status=200;] end"},
        {OK "\r\n", "head[:status=200;] end"},
        {"HTTP/1.1 100 C\r\n\r\n" OK "content-length: 5\r\n\r\n",
         "interim[:status=100;]head[:status=200;content-length=5;] end"},
    };
    for (size_t i = 0; i < array_count(answers); i++) {
        (void)tell(&story, bytes_text(answers[i].bytes), 7, UINT32_MAX, true);
        assert_string_equal(story.text, answers[i].story);
    }
}

static void append(char *text, const char *more, uint32_t times)
{
    for (uint32_t i = 0; i < times; i++)
        strcat(text, more);
}

static void everything_is_bounded(void **state)
{
    static struct h1_story story;
    static char text[64 * 1024];
    static const struct {
        const char *start, *more;
        uint32_t times;
        const char *end, *violation;
    } cases[] = {
        {OK, "a: b\r\n", 99, "\r\n", " eof:end"}, /* and :status */
        {OK, "a: b\r\n", 100, "\r\n", " bad:fields_too_many"},
        {OK, "abcdefgh: 0123456789012345678901234567890123456789\r\n", 90, "\r\n",
         " bad:head_too_large"},
        {OK "a: ", "0123456789", 500, "\r\n\r\n", " bad:head_too_large"},
        {"HTTP/1.1 200 ", "0123456789", 500, "\r\n\r\n", " bad:head_too_large"},
        {"", "HTTP/1.1 102 P\r\n\r\n", 32, OK "content-length: 0\r\n\r\n", " end"},
        {"", "HTTP/1.1 102 P\r\n\r\n", 33, "", " bad:interim_flood"},
        {CHUNKED "5;", "x", 252, "\r\nhello\r\n0\r\n\r\n", " data:hello end"},
        {CHUNKED "5;", "x", 254, "\r\nhello\r\n0\r\n\r\n", " bad:chunk_line_too_long"},
        {CHUNKED, "0", 257, "5\r\nhello\r\n0\r\n\r\n", " bad:chunk_line_too_long"},
        {CHUNKED "0\r\n", "a: b\r\n", 101, "\r\n", " bad:fields_too_many"},
        /* Fields that end here take no room: they count. */
        {OK, "upgrade: b\r\n", 99, "\r\n", " eof:end"},
        {OK, "upgrade: b\r\n", 100, "\r\n", " bad:fields_too_many"},
        {"HTTP/1.1 103 E\r\n", "keep-alive: b\r\n", 100, "\r\n", " bad:fields_too_many"},
        {CHUNKED "0\r\n", "te: b\r\n", 100, "\r\n", " end"},
        {CHUNKED "0\r\n", "te: b\r\n", 101, "\r\n", " bad:fields_too_many"},
        {OK "connection: ", "a,", 100, "\r\n\r\n", " eof:end"},
        {OK "connection: ", "a,", 100, "a\r\n\r\n", " bad:fields_too_many"},
        {OK "connection: ", ",", 101, "\r\n\r\n", " bad:fields_too_many"},
        {OK, "connection: a, b\r\n", 51, "\r\n", " bad:fields_too_many"},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        text[0] = '\0';
        append(text, cases[i].start, 1);
        append(text, cases[i].more, cases[i].times);
        append(text, cases[i].end, 1);
        for (size_t piece = 1; piece < 4000; piece = piece * 3 + 1) {
            (void)tell(&story, bytes_text(text), piece, UINT32_MAX, false);
            size_t length = strlen(cases[i].violation);
            assert_true(story.length >= length);
            assert_string_equal(story.text + story.length - length, cases[i].violation);
        }
    }
}

static void body_bytes_wait_for_credit(void **state)
{
    struct h1_parser parser;
    struct fields fields;
    uint8_t block[512];
    struct bytes input = bytes_text(CHUNKED "5\r\nhello\r\n0\r\n\r\n");
    fields_init(&fields, block, sizeof(block));
    h1_parser_init(&parser, false);
    parser.fields = &fields;
    struct h1_step step = h1_parse(&parser, input, 0);
    assert_int_equal(step.found, H1_FOUND_HEAD);
    input = bytes_after(input, step.taken);
    step = h1_parse(&parser, input, 0);
    assert_int_equal(step.found, H1_FOUND_NOTHING);
    assert_true(h1_parser_in_body(&parser));
    input = bytes_after(input, step.taken);
    assert_int_equal(input.data[0], 'h');
    step = h1_parse(&parser, input, 3);
    assert_int_equal(step.found, H1_FOUND_DATA);
    assert_int_equal(step.data.length, 3);
    assert_int_equal(step.taken, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(legal_answers_are_read_however_they_are_cut),
        cmocka_unit_test(cut_answers_do_not_end_well),
        cmocka_unit_test(illegal_answers_are_refused_by_name_however_they_are_cut),
        cmocka_unit_test(no_flipped_bit_reads_beyond_or_tells_more_than_there_is),
        cmocka_unit_test(an_answer_to_head_has_no_body),
        cmocka_unit_test(everything_is_bounded),
        cmocka_unit_test(body_bytes_wait_for_credit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
