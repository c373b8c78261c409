#include "dataplane/request/exchange.h"
#include "tests/support/cmocka.h"

#include <stdio.h>

static struct snapshot_listener listener = {.port = 80};
static const struct snapshot snapshot = {.listeners = &listener, .listener_count = 1};
static const struct request_peer peer = {.local_port = 80};

static struct writer out;

static bool answer(const char *line)
{
    static uint8_t room[1024];
    out = writer_over(room, sizeof(room) - 1);
    bool said =
        request_http1_answer(&snapshot, &peer, line != NULL ? bytes_text(line) : BYTES_NONE, &out);
    room[writer_length(&out)] = '\0';
    return said;
}

static const char *text(void)
{
    return (const char *)writer_written(&out).data;
}

static void a_refusal_is_said_at_once(void **state)
{
    listener.http1 = HTTP1_NOT_SUPPORTED;
    assert_true(answer(NULL));
    assert_int_equal(writer_length(&out), 0); /* 505 is said by HTTP/2 itself */
    listener.http1 = HTTP1_UPGRADE_REQUIRED;
    assert_true(answer(NULL));
    assert_memory_equal(text(), "HTTP/1.1 426 ", 13);
    assert_non_null(strstr(text(), "\r\nupgrade: HTTP/2.0\r\n"));
    assert_non_null(strstr(text(), "\r\nconnection: upgrade, close\r\n"));
}

static void a_listener_that_has_gone_says_505(void **state)
{
    const struct request_peer elsewhere = {.local_port = 81};
    struct writer none = writer_over(NULL, 0);
    listener.http1 = HTTP1_REDIRECT;
    assert_true(request_http1_answer(&snapshot, &elsewhere, BYTES_NONE, &none));
    assert_int_equal(writer_length(&none), 0);
    assert_false(none.failed);
}

static void a_redirect_keeps_the_path(void **state)
{
    static const struct {
        const char *line, *path;
    } cases[] = {
        {"GET / HTTP/1.1", "/"},
        {"GET /a/b?c=d HTTP/1.1", "/a/b?c=d"},
        {"POST /%0d%0a HTTP/1.0", "/%0d%0a"},
        {"GET /a", "/a"},
        {"GET //elsewhere.example HTTP/1.1", "//elsewhere.example"}, /* behind our host */
        {"GET http://elsewhere.example/ HTTP/1.1", "/"},
        {"OPTIONS * HTTP/1.1", "/"},
        {"CONNECT elsewhere.example:443 HTTP/1.1", "/"},
        {"GET /a\tb HTTP/1.1", "/"},
        {"GET /a\rb HTTP/1.1", "/"},
        {"GET /\xc3\xa4 HTTP/1.1", "/"},
        {"GET", "/"},
        {"GET ", "/"},
        {"", "/"},
    };
    listener.http1 = HTTP1_REDIRECT;
    listener.http1_location = bytes_text("https://shop.example");
    assert_false(answer(NULL));
    for (size_t i = 0; i < array_count(cases); i++) {
        char head[256];
        snprintf(head, sizeof(head),
                 "HTTP/1.1 308 Permanent Redirect\r\nlocation: https://shop.example%s\r\n",
                 cases[i].path);
        assert_true(answer(cases[i].line));
        assert_memory_equal(text(), head, strlen(head));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refusal_is_said_at_once),
        cmocka_unit_test(a_listener_that_has_gone_says_505),
        cmocka_unit_test(a_redirect_keeps_the_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
