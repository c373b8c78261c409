/* The secret of SYN cookies: what a file may say, and what happens when it changes. */
#include "control/cookie_secret.h"

#include "dataplane/base/clock.h"
#include "tests/support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ONE "00112233445566778899aabbccddeeff"
#define TWO "FFEEDDCCBBAA99887766554433221100"
#define SIX "66666666666666666666666666666666"

static char path[] = "/tmp/weir-cookie-XXXXXX";
static char message[512];

static void write_file(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static int make_file(void **state)
{
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    return unlink(path);
}

static void one_or_two_lines_are_read(void **state)
{
    static const char *const good[] = {ONE, ONE "\n", ONE "\r\n", ONE "\n" TWO, ONE "\n" TWO "\n"};
    static const uint8_t first[] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                    0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct cookie_secret secret;
        write_file(good[i]);
        assert_int_equal(cookie_secret_read(path, &secret, message, sizeof(message)), 0);
        assert_memory_equal(&secret.keys[0], first, sizeof(first));
        assert_int_equal(secret.keys[1].k0 != 0, i >= 3);
    }
}

static void anything_else_is_refused_with_what_would_be_right(void **state)
{
    static const char *const bad[] = {
        "",
        "\n",
        "0",
        "00112233445566778899aabbccddeef",
        ONE "0",
        ONE " ",
        " " ONE,
        "0x112233445566778899aabbccddeeff",
        "+0112233445566778899aabbccddeef",
        "00112233445566778899aabbccddeefg",
        "00000000000000000000000000000000",
        ONE "\n" TWO "\n" SIX,
        ONE "\nno",
        ONE "\n# comment",
        "\n" ONE,
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct cookie_secret secret;
        write_file(bad[i]);
        assert_int_equal(cookie_secret_read(path, &secret, message, sizeof(message)), -1);
        assert_non_null(strstr(message, path));
        assert_non_null(strstr(message, "32 hexadecimal digits"));
    }
    struct cookie_secret secret;
    assert_int_equal(cookie_secret_read("/nowhere/at/all", &secret, message, sizeof(message)), -1);
    assert_non_null(strstr(message, "No such file"));
    assert_int_equal(cookie_secret_read("/tmp", &secret, message, sizeof(message)), -1);
}

static bool refresh(struct cookie_secrets *secrets, const char *text)
{
    write_file(text);
    return cookie_secrets_refresh(secrets, path, 5 * CLOCK_S);
}

static struct cookie_secret read_secret(const char *text)
{
    struct cookie_secret secret;
    write_file(text);
    assert_int_equal(cookie_secret_read(path, &secret, message, sizeof(message)), 0);
    return secret;
}

static void assert_keys(const struct cookie_secrets *secrets, const char *first, const char *second)
{
    struct cookie_secret wanted[2] = {read_secret(first), read_secret(second)};
    assert_memory_equal(&secrets->current.keys[0], &wanted[0].keys[0], sizeof(struct siphash_key));
    assert_memory_equal(&secrets->current.keys[1], &wanted[1].keys[0], sizeof(struct siphash_key));
}

static void a_file_that_changes_is_taken_and_the_last_one_remembered(void **state)
{
    struct cookie_secrets secrets;
    cookie_secrets_init(&secrets);
    assert_true(secrets.current.keys[0].k0 != 0 || secrets.current.keys[0].k1 != 0);
    assert_true(cookie_secrets_refresh(&secrets, "", 5 * CLOCK_S)); /* the clock */
    assert_false(cookie_secrets_refresh(&secrets, "", 5 * CLOCK_S));
    assert_false(secrets.shared);

    assert_true(refresh(&secrets, ONE));
    assert_true(secrets.shared);
    assert_false(refresh(&secrets, ONE "\n"));
    assert_true(refresh(&secrets, TWO));
    assert_keys(&secrets, TWO, ONE);
    assert_false(refresh(&secrets, TWO));
    assert_true(refresh(&secrets, TWO "\n" SIX));
    assert_keys(&secrets, TWO, SIX);
    assert_true(refresh(&secrets, SIX "\n" TWO));
    assert_keys(&secrets, SIX, TWO);

    assert_true(cookie_secrets_refresh(&secrets, "", 5 * CLOCK_S)); /* the key is taken away */
    assert_false(secrets.shared);
    assert_memory_equal(&secrets.current.keys[0], &secrets.own.keys[0], sizeof(struct siphash_key));
}

static void a_file_that_is_broken_changes_nothing(void **state)
{
    struct cookie_secrets secrets;
    cookie_secrets_init(&secrets);
    assert_true(refresh(&secrets, ONE));
    struct cookie_secrets before = secrets;
    assert_false(refresh(&secrets, "broken"));
    assert_false(refresh(&secrets, ""));
    assert_memory_equal(&secrets.current, &before.current, sizeof(before.current));
    assert_true(secrets.shared);
    assert_true(refresh(&secrets, TWO));
}

static void the_wall_clock_is_followed(void **state)
{
    struct cookie_secrets secrets;
    cookie_secrets_init(&secrets);
    assert_true(cookie_secrets_refresh(&secrets, "", 100 * CLOCK_S));
    uint64_t ahead = secrets.clock_ahead_ns;
    assert_true(cookie_secrets_refresh(&secrets, "", 90 * CLOCK_S)); /* as if it had been set */
    assert_true(secrets.clock_ahead_ns - ahead >= 9 * CLOCK_S);
    assert_true(cookie_secrets_refresh(&secrets, "", 100 * CLOCK_S));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_or_two_lines_are_read),
        cmocka_unit_test(anything_else_is_refused_with_what_would_be_right),
        cmocka_unit_test(a_file_that_changes_is_taken_and_the_last_one_remembered),
        cmocka_unit_test(a_file_that_is_broken_changes_nothing),
        cmocka_unit_test(the_wall_clock_is_followed),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
