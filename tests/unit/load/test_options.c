#include "tests/load/weir_load/options.h"

#include "dataplane/base/check.h"
#include "tests/support/cmocka.h"

#include <string.h>

#define CLIENT                                                                                     \
    "--role=client", "--front", "net_memif0", "--front-address", "10.0.0.1/24", "--target",        \
        "10.0.0.80:80"

static struct load_options options;
static char message[256];

/* NULL ends the arguments. */
static enum load_parsed parse(const char *const *arguments)
{
    int count = 0;
    while (arguments[count] != NULL)
        count++;
    return load_options_parse(&options, count, (char **)(uintptr_t)arguments, message,
                              sizeof(message));
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static void a_client_has_defaults(void **state)
{
    assert_int_equal(PARSE(CLIENT), LOAD_PARSED);
    assert_int_equal(options.role, LOAD_CLIENT);
    assert_int_equal(options.connections, 1);
    assert_int_equal(options.duration_ns, 10000000000ull);
    assert_int_equal(options.source_count, 1);
    assert_true(ip_address_equal(&options.sources[0], &options.front_addresses[0].address));
    assert_int_equal(options.targets[0].port, 80);
}

static void ranges_of_sources_are_counted_out(void **state)
{
    struct ip_address last;
    assert_int_equal(PARSE(CLIENT, "--sources", "10.9.0.250-10.9.1.5", "--sources=fd00::1"),
                     LOAD_PARSED);
    assert_int_equal(options.source_count, 13);
    assert_true(ip_address_parse("10.9.1.5", &last));
    assert_true(ip_address_equal(&options.sources[11], &last));
}

static void targets_have_brackets_in_ipv6_only(void **state)
{
    assert_int_equal(
        PARSE(CLIENT, "--target=[fd00::80]:8080", "--sources=fd00::1", "--sources=10.0.0.1"),
        LOAD_PARSED);
    assert_int_equal(options.targets[1].port, 8080);
    assert_int_equal(PARSE(CLIENT, "--target=fd00::80:8080"), LOAD_PARSED_BAD);
    assert_int_equal(PARSE(CLIENT, "--target=[10.0.0.1]:80"), LOAD_PARSED_BAD);
    assert_int_equal(PARSE(CLIENT, "--target=10.0.0.1"), LOAD_PARSED_BAD);
    assert_int_equal(PARSE(CLIENT, "--target=10.0.0.1:0"), LOAD_PARSED_BAD);
    assert_int_equal(PARSE(CLIENT, "--target=:80"), LOAD_PARSED_BAD);
    assert_int_equal(PARSE(CLIENT, "--target=[]:80"), LOAD_PARSED_BAD);
}

static void times_may_have_decimals(void **state)
{
    assert_int_equal(PARSE(CLIENT, "--duration=1.5"), LOAD_PARSED);
    assert_int_equal(options.duration_ns, 1500000000ull);
    assert_int_equal(PARSE(CLIENT, "--duration=-1"), LOAD_PARSED_BAD);
    assert_int_equal(PARSE(CLIENT, "--duration=nan"), LOAD_PARSED_BAD);
    assert_int_equal(PARSE(CLIENT, "--duration=1e9"), LOAD_PARSED_BAD);
}

/* What is wrong, and what the message has to say about it. */
static void bad_options_get_a_clear_answer(void **state)
{
    static const struct {
        const char *argument;
        const char *value;
        const char *said;
    } cases[] = {
        {"--conections", "1", "no such option"},
        {"connections", "1", "no such option"},
        {"--connections", "x", "a whole number from 0 to 1000000"},
        {"--connections", "-1", "a whole number"},
        {"--connections", "1000001", "a whole number"},
        {"--connections", NULL, "a whole number"},
        {"--poll=yes", NULL, "takes no value"},
        {"--role", "server", "client, origin or both"},
        {"--sources", "10.0.0.9-10.0.0.1", "at most 256"},
        {"--sources", "10.0.0.1-10.0.9.1", "at most 256"},
        {"--target", "[fd00::1]:80", "needs a source of its family"},
        {"--front-address", "300.0.0.1/8", "an address with its network"},
        {"--syn-flood", "5", "--syn-sources"},
        {"--role", "both", "--back"},
        {"--body-bytes", "", "at most 8 sizes"},
        {"--body-bytes", "64:", "at most 8 sizes"},
        {"--body-bytes", "64:0", "at most 8 sizes"},
        {"--body-bytes", "64,", "at most 8 sizes"},
        {"--body-bytes", "1,2,3,4,5,6,7,8,9", "at most 8 sizes"},
        {"--body-bytes", "1000000001", "at most 8 sizes"},
        {"--zipf", "0", "from 0.01 to 5"},
        {"--zipf", "x", "from 0.01 to 5"},
        {"--zipf", "1", "--zipf needs --paths"},
        {"--events", "5", "--events and --pace need each other"},
        {"--pace", "5", "--events and --pace need each other"},
        {"--fail", "101", "percent from 0 to 100"},
        {"--fail", "1", "an origin's"},
        {"--delay", "1", "an origin's"},
        {"--delay-spread", "3601", "at most 3600"},
        {"--syn-rate", "1", "is of --syn-flood"},
        {"--hold", "1", "--idle"},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        assert_int_equal(PARSE(CLIENT, cases[i].argument, cases[i].value), LOAD_PARSED_BAD);
        if (strstr(message, cases[i].said) == NULL)
            fail_msg("%s: %s", cases[i].argument, message);
    }
}

#define ORIGIN "--role=origin", "--back=net_memif0", "--back-address=10.0.0.2/24", "--duration=5"

static void an_origin_fails_as_often_as_it_is_told(void **state)
{
    assert_int_equal(PARSE(ORIGIN, "--fail=0.5", "--reset", "2", "--hangup=97.5"), LOAD_PARSED);
    assert_int_equal(options.failures.statuses, 50);
    assert_int_equal(options.failures.resets, 200);
    assert_int_equal(options.failures.hangups, 9750);
    assert_int_equal(PARSE(ORIGIN, "--fail=50", "--reset=50.01"), LOAD_PARSED_BAD);
    assert_non_null(strstr(message, "more than 100 percent"));
}

static void requests_need_connections(void **state)
{
    assert_int_equal(PARSE(CLIENT, "--connections=0", "--idle=5", "--rate=5"), LOAD_PARSED_BAD);
    assert_non_null(strstr(message, "requests need --connections"));
    assert_int_equal(PARSE(CLIENT, "--connections=0", "--idle=5", "--hold=1"), LOAD_PARSED);
}

static void sizes_come_by_their_weights_and_a_path_has_one(void **state)
{
    uint32_t large = 0;
    assert_int_equal(PARSE(CLIENT, "--body-bytes=64:90,1048576:10"), LOAD_PARSED);
    for (uint64_t number = 0; number < 10000; number++) {
        uint64_t bytes = load_body_bytes(&options, number);
        assert_true(bytes == 64 || bytes == 1048576);
        assert_int_equal(bytes, load_body_bytes(&options, number));
        large += bytes > 64;
    }
    assert_in_range(large, 900, 1100);
    assert_int_equal(PARSE(CLIENT), LOAD_PARSED);
    assert_int_equal(load_body_bytes(&options, 7), 100);
}

static void an_answer_of_events_is_as_long_as_they_are(void **state)
{
    assert_int_equal(PARSE(CLIENT, "--events=5", "--pace=10"), LOAD_PARSED);
    assert_int_equal(load_body_bytes(&options, 7), 5 * 1024);
}

static void an_origin_ends_some_time(void **state)
{
    assert_int_equal(PARSE("--role=origin", "--back=net_memif0", "--back-address=10.0.0.2/24"),
                     LOAD_PARSED_BAD);
    assert_int_equal(
        PARSE("--role=origin", "--back=net_memif0", "--back-address=10.0.0.2/24", "--duration=5"),
        LOAD_PARSED);
}

static void help_is_asked_for(void **state)
{
    assert_int_equal(PARSE("--help"), LOAD_PARSED_HELP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_has_defaults),
        cmocka_unit_test(ranges_of_sources_are_counted_out),
        cmocka_unit_test(targets_have_brackets_in_ipv6_only),
        cmocka_unit_test(times_may_have_decimals),
        cmocka_unit_test(bad_options_get_a_clear_answer),
        cmocka_unit_test(an_origin_fails_as_often_as_it_is_told),
        cmocka_unit_test(requests_need_connections),
        cmocka_unit_test(sizes_come_by_their_weights_and_a_path_has_one),
        cmocka_unit_test(an_answer_of_events_is_as_long_as_they_are),
        cmocka_unit_test(an_origin_ends_some_time),
        cmocka_unit_test(help_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
