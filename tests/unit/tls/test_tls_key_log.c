/* The key log: what OpenSSL's own client would write of the same sessions, bounded. */
#include "dataplane/tls/tls_key_log.h"

#include "dataplane/base/clock.h"
#include "dataplane/tls/tls_arena.h"
#include "dataplane/tls/tls_private.h"
#include "tests/support/cmocka.h"
#include "tests/support/tls_pair.h"

#include <stdio.h>
#include <string.h>

#define LINES_MAX 16

static struct tls_pair pair;
static char expected[LINES_MAX][TLS_KEY_LINE_TEXT + 1]; /* the client's */
static uint32_t expected_count;

static void keep_expected(const SSL *ssl, const char *line)
{
    assert_true(expected_count < LINES_MAX);
    snprintf(expected[expected_count++], sizeof(expected[0]), "%s", line);
}

static bool client_has_all(const struct tls_pair *p)
{
    return p->end_count > 0 && p->client_received == 100;
}

static void connect_pair(uint32_t lines, int version)
{
    tls_pair_prepare(&pair, 1);
    pair.config.key_lines_max = lines;
    tls_pair_open(&pair);
    expected_count = 0;
    SSL_CTX_set_keylog_callback(pair.client_context, keep_expected);
    pair.ends[0].to_send = 100;
    tls_pair_connect(&pair, version, version);
    assert_true(tls_pair_run_until(&pair, client_has_all, 5 * CLOCK_S));
}

static bool is_expected(const struct tls_key_line *line)
{
    for (uint32_t i = 0; i < expected_count; i++)
        if (strlen(expected[i]) == line->length &&
            memcmp(expected[i], line->text, line->length) == 0)
            return true;
    return false;
}

/* The hexadecimal digits after the label. */
static void assert_client_random(const struct tls_key_line *line)
{
    uint8_t random[SSL3_RANDOM_SIZE];
    char digits[2 * SSL3_RANDOM_SIZE + 1];
    assert_int_equal(SSL_get_client_random(pair.client, random, sizeof(random)), sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(digits + 2 * i, 3, "%02x", random[i]);
    const char *at = memchr(line->text, ' ', line->length);
    assert_non_null(at);
    assert_memory_equal(at + 1, digits, strlen(digits));
}

static void lines_are_those_of_the_client(void **state)
{
    static const struct {
        int version;
        uint32_t lines;
    } cases[] = {{TLS1_2_VERSION, 1}, {TLS1_3_VERSION, 5}};
    for (size_t i = 0; i < array_count(cases); i++) {
        connect_pair(LINES_MAX, cases[i].version);
        const struct tls_key_line *line;
        uint32_t count = 0;
        for (; (line = tls_key_line(pair.tls)) != NULL; count++) {
            assert_true(is_expected(line));
            assert_client_random(line);
            tls_key_line_done(pair.tls);
        }
        assert_int_equal(count, expected_count);
        assert_int_equal(count, cases[i].lines);
        assert_int_equal(tls_counters(pair.tls)->key_lines, count);
        assert_int_equal(tls_counters(pair.tls)->key_lines_lost, 0);
        tls_pair_close(&pair);
    }
}

static void lines_without_room_are_lost_and_counted(void **state)
{
    connect_pair(2, TLS1_3_VERSION);
    assert_int_equal(tls_counters(pair.tls)->key_lines, 2);
    assert_int_equal(tls_counters(pair.tls)->key_lines_lost, 3);
    tls_pair_close(&pair);
}

static void nothing_is_kept_unless_it_is_asked_for(void **state)
{
    connect_pair(0, TLS1_3_VERSION);
    assert_null(tls_key_line(pair.tls));
    assert_null(tls_key_line(NULL));
    assert_int_equal(tls_counters(pair.tls)->key_lines, 0);
    assert_int_equal(tls_counters(pair.tls)->key_lines_lost, 0);
    tls_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_those_of_the_client),
        cmocka_unit_test(lines_without_room_are_lost_and_counted),
        cmocka_unit_test(nothing_is_kept_unless_it_is_asked_for),
    };
    if (!tls_arena_install())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
