#include "dataplane/base/http_date.h"

#include "dataplane/base/check.h"
#include "tests/support/cmocka.h"

#include <time.h>

static void dates_are_seconds(void **state)
{
    static const struct {
        const char *text;
        uint64_t seconds;
    } cases[] = {
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777}, /* RFC 9110 5.6.7 */
        {"Tue, 29 Feb 2000 23:59:59 GMT", 951868799},
        {"Wed, 21 Oct 2015 07:28:00 GMT", 1445412480},
        {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800},
        {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        uint64_t seconds = 1;
        assert_true(http_date_parse(bytes_text(cases[i].text), &seconds));
        assert_int_equal(seconds, cases[i].seconds);
    }
}

/* Every day of two hundred years, against the C library. */
static void every_day_is_known(void **state)
{
    for (time_t at = 12345; at < (time_t)200 * 366 * 86400; at += 86400) {
        char text[64];
        struct tm parts;
        uint64_t seconds = 0;
        gmtime_r(&at, &parts);
        strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts);
        assert_true(http_date_parse(bytes_text(text), &seconds));
        assert_int_equal(seconds, at);
    }
}

static void everything_else_is_no_date(void **state)
{
    static const char *const texts[] = {
        "",
        "3600",
        "Sunday, 06-Nov-94 08:49:37 GMT", /* obsolete */
        "Sun Nov  6 08:49:37 1994",       /* obsolete */
        "Mon, 06 Nov 1994 08:49:37 GMT",  /* it was a Sunday */
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Wed, 31 Nov 1994 08:49:37 GMT",
        "Wed, 29 Feb 1995 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1894 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 6 Nov 1994 08:49:37 GMT",
    };
    for (size_t i = 0; i < array_count(texts); i++) {
        uint64_t seconds = 7;
        assert_false(http_date_parse(bytes_text(texts[i]), &seconds));
        assert_int_equal(seconds, 7);
    }
}

static void cut_or_flipped_it_never_reads_beyond(void **state)
{
    static const char text[] = "Sun, 06 Nov 1994 08:49:37 GMT";
    uint64_t seconds;
    for (size_t length = 0; length < sizeof(text) - 1; length++)
        assert_false(http_date_parse(bytes_of(text, length), &seconds));
    for (size_t bit = 0; bit < (sizeof(text) - 1) * 8; bit++) {
        char flipped[sizeof(text)];
        memcpy(flipped, text, sizeof(text));
        flipped[bit / 8] ^= (char)(1 << bit % 8);
        if (http_date_parse(bytes_text(flipped), &seconds))
            assert_true(seconds != 784111777);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_are_seconds),
        cmocka_unit_test(every_day_is_known),
        cmocka_unit_test(everything_else_is_no_date),
        cmocka_unit_test(cut_or_flipped_it_never_reads_beyond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
