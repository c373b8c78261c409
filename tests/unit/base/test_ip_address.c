#include "dataplane/base/ip_address.h"

#include "dataplane/base/check.h"
#include "dataplane/base/random.h"
#include "tests/support/cmocka.h"

#include <arpa/inet.h>

static struct ip_address address_of(const char *text)
{
    struct ip_address address;
    assert_true(ip_address_parse(text, &address));
    return address;
}

static struct ip_prefix prefix_of(const char *text)
{
    struct ip_prefix prefix;
    assert_true(ip_prefix_parse(text, &prefix));
    return prefix;
}

static void v4_is_held_in_mapped_form(void **state)
{
    static const uint8_t mapped[16] = {[10] = 0xff, 0xff, 192, 0, 2, 1};
    struct ip_address parsed = address_of("192.0.2.1");
    struct ip_address made = ip_address_from_v4(htonl(0xc0000201));
    assert_memory_equal(parsed.bytes, mapped, 16);
    assert_true(ip_address_equal(&parsed, &made));
    assert_true(ip_address_is_v4(&parsed));
    assert_int_equal(ip_address_v4(&parsed), htonl(0xc0000201));
    struct ip_address long_form = address_of("::ffff:192.0.2.1");
    assert_true(ip_address_equal(&parsed, &long_form));
}

static void v6_is_not_v4(void **state)
{
    static const char *const texts[] = {
        "2001:db8::1", "::", "::1", "::192.0.2.1", "::fffe:192.0.2.1", "1::ffff:192.0.2.1"};
    for (size_t i = 0; i < array_count(texts); i++) {
        struct ip_address address = address_of(texts[i]);
        assert_false(ip_address_is_v4(&address));
    }
    struct ip_address address = address_of("2001:db8::1");
    struct ip_address copy = ip_address_from_v6(address.bytes);
    assert_true(ip_address_equal(&address, &copy));
}

static void text_goes_there_and_back(void **state)
{
    static const char *const texts[] = {"0.0.0.0",
                                        "192.0.2.1",
                                        "255.255.255.255",
                                        "::",
                                        "::1",
                                        "2001:db8::1",
                                        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"};
    for (size_t i = 0; i < array_count(texts); i++) {
        char text[INET6_ADDRSTRLEN];
        struct ip_address address = address_of(texts[i]);
        assert_string_equal(ip_address_format(&address, text), texts[i]);
    }
}

/* Except that we never write the last 32 bits of an IPv6 address as an IPv4 one. */
static void texts_are_those_of_the_c_library(void **state)
{
    struct random random;
    random_seed(&random, 5952);
    for (int i = 0; i < 100000; i++) {
        struct ip_address address;
        char ours[INET6_ADDRSTRLEN];
        char theirs[INET6_ADDRSTRLEN];
        for (int group = 0; group < 8; group++) {
            uint64_t dice = random_u64(&random);
            uint16_t value = dice % 3 == 0 ? (uint16_t)(dice >> 32 >> dice / 3 % 16) : 0;
            address.bytes[2 * group] = (uint8_t)(value >> 8);
            address.bytes[2 * group + 1] = (uint8_t)value;
        }
        address.bytes[0] |= 0x20;
        inet_ntop(AF_INET6, address.bytes, theirs, sizeof(theirs));
        assert_string_equal(ip_address_format(&address, ours), theirs);
        struct ip_address v4 = ip_address_from_v4((uint32_t)random_u64(&random));
        inet_ntop(AF_INET, v4.bytes + 12, theirs, sizeof(theirs));
        assert_string_equal(ip_address_format(&v4, ours), theirs);
    }
}

static void what_is_no_address_is_refused(void **state)
{
    static const char *const texts[] = {
        "",          " ",        "1",        "1.2.3",      "1.2.3.4.5",
        "256.0.0.1", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4/24", "01.2.3.4",
        ":",         ":::",      "1::2::3",  "12345::",    "fe80::1%eth0",
        "localhost"};
    for (size_t i = 0; i < array_count(texts); i++) {
        struct ip_address address;
        assert_false(ip_address_parse(texts[i], &address));
    }
}

static void prefix_counts_bits_of_the_mapped_form(void **state)
{
    static const struct {
        const char *text;
        const char *address;
        uint8_t bits;
    } cases[] = {
        {"10.0.0.1/24", "10.0.0.1", 120},
        {"10.0.0.1", "10.0.0.1", 128},
        {"0.0.0.0/0", "0.0.0.0", 96},
        {"1.2.3.4/32", "1.2.3.4", 128},
        {"2001:db8::/32", "2001:db8::", 32},
        {"2001:db8::1", "2001:db8::1", 128},
        {"::/0", "::", 0},
        {"::ffff:10.0.0.0/104", "10.0.0.0", 104},
        {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128",
         "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", 128},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct ip_prefix prefix = prefix_of(cases[i].text);
        struct ip_address address = address_of(cases[i].address);
        assert_true(ip_address_equal(&prefix.address, &address));
        assert_int_equal(prefix.bits, cases[i].bits);
    }
}

static void what_is_no_prefix_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "/",
        "/24",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/+1",
        "10.0.0.0/ 1",
        "10.0.0.0/1 ",
        "10.0.0.0/08",
        "10.0.0.0/8/8",
        "10.0.0.0/a",
        "10.0.0.0/0x8",
        "10.0.0/8",
        "::/129",
        "::/1000",
        "::/99999999999999999999",
        "x/8",
        "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2550000000000000/128"};
    for (size_t i = 0; i < array_count(texts); i++) {
        struct ip_prefix prefix;
        assert_false(ip_prefix_parse(texts[i], &prefix));
    }
}

static void prefix_contains_exactly_its_addresses(void **state)
{
    static const struct {
        const char *prefix, *address;
        bool contained;
    } cases[] = {
        {"10.0.0.1/24", "10.0.0.255", true},
        {"10.0.0.1/24", "10.0.1.0", false},
        {"10.0.0.1/23", "10.0.1.0", true},
        {"10.0.0.1/31", "10.0.0.0", true},
        {"10.0.0.1/31", "10.0.0.2", false},
        {"10.0.0.1", "10.0.0.1", true},
        {"10.0.0.1", "10.0.0.0", false},
        {"0.0.0.0/0", "255.1.2.3", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"0.0.0.0/1", "128.0.0.0", false},
        {"2001:db8::/32", "2001:db8:1::", true},
        {"2001:db8::/32", "2001:db9::", false},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"::/0", "192.0.2.1", true},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct ip_prefix prefix = prefix_of(cases[i].prefix);
        struct ip_address address = address_of(cases[i].address);
        assert_int_equal(ip_prefix_contains(&prefix, &address), cases[i].contained);
    }
}

/* An address that differs in bit N only is inside while the prefix is no longer than N. */
static void every_length_looks_at_exactly_its_bits(void **state)
{
    struct ip_prefix prefix = prefix_of("2001:db8:aaaa:5555:123:4567:89ab:cdef");
    for (unsigned bits = 0; bits <= 128; bits++) {
        prefix.bits = (uint8_t)bits;
        for (unsigned n = 0; n < 128; n++) {
            struct ip_address address = prefix.address;
            address.bytes[n / 8] ^= (uint8_t)(0x80 >> n % 8);
            assert_int_equal(ip_prefix_contains(&prefix, &address), bits <= n);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(v4_is_held_in_mapped_form),
        cmocka_unit_test(v6_is_not_v4),
        cmocka_unit_test(text_goes_there_and_back),
        cmocka_unit_test(texts_are_those_of_the_c_library),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(prefix_counts_bits_of_the_mapped_form),
        cmocka_unit_test(what_is_no_prefix_is_refused),
        cmocka_unit_test(prefix_contains_exactly_its_addresses),
        cmocka_unit_test(every_length_looks_at_exactly_its_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
