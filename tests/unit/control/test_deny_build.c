/* The deny list as workers read it, held against looking at every network. */
#include "control/deny_build.h"

#include "dataplane/base/random.h"
#include "tests/support/cmocka.h"

#include <arpa/inet.h>

#define NETWORKS_MAX 400

static struct ip_prefix networks[NETWORKS_MAX];

static bool is_in_some(const struct ip_address *address, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (ip_prefix_contains(&networks[i], address))
            return true;
    return false;
}

static const struct deny_table *build(uint32_t count)
{
    bool failed;
    const struct deny_table *table = deny_build(networks, count, &failed);
    assert_false(failed);
    return table;
}

static void assert_has(const struct deny_table *table, const struct ip_address *address,
                       uint32_t count)
{
    char text[INET6_ADDRSTRLEN];
    if (deny_has(table, address) != is_in_some(address, count))
        fail_msg("%s: %d", ip_address_format(address, text), deny_has(table, address));
}

/* One address up or down, over all 128 bits. */
static void step(struct ip_address *address, bool up)
{
    for (int i = 15; i >= 0; i--) {
        address->bytes[i] = (uint8_t)(address->bytes[i] + (up ? 1 : -1));
        if (address->bytes[i] != (up ? 0 : 0xff))
            return;
    }
}

/* First and last address of a network, and their neighbours outside. */
static void assert_borders(const struct deny_table *table, const struct ip_prefix *network,
                           uint32_t count)
{
    struct ip_address first = network->address, last = network->address;
    for (uint32_t bit = network->bits; bit < 128; bit++) {
        first.bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
        last.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
    }
    assert_true(deny_has(table, &first) && deny_has(table, &last));
    step(&first, false);
    step(&last, true);
    assert_has(table, &first, count);
    assert_has(table, &last, count);
}

static struct ip_prefix random_network(struct random *random)
{
    struct ip_prefix network;
    uint32_t v4 = random_u64(random) % 4 == 0 ? 0x0a000000u : 0;
    v4 |= (uint32_t)random_u64(random) & (v4 != 0 ? 0xffffu : UINT32_MAX);
    if (random_below(random, 2) == 0) {
        network.address = ip_address_from_v4(htonl(v4));
        network.bits = (uint8_t)(96 + 4 + random_below(random, 29));
    } else {
        network.address = (struct ip_address){{0x20, 0x01}};
        for (int i = 4; i < 16; i++)
            network.address.bytes[i] = (uint8_t)(random_u64(random) & (i % 3 == 0 ? 0x0f : 0xff));
        network.bits = (uint8_t)(18 + random_below(random, 111));
    }
    return network;
}

static void it_says_what_every_network_says(void **state)
{
    struct random random;
    random_seed(&random, 1);
    for (int round = 0; round < 60; round++) {
        uint32_t count = 1 + random_below(&random, NETWORKS_MAX);
        for (uint32_t i = 0; i < count; i++)
            networks[i] = random_network(&random);
        const struct deny_table *table = build(count);
        for (uint32_t i = 0; i < count; i++)
            assert_borders(table, &networks[i], count);
        for (int i = 0; i < 2000; i++) {
            struct ip_prefix near = random_network(&random);
            assert_has(table, &near.address, count);
        }
        deny_drop(table);
    }
}

static void check_texts(const char *const *texts, const char *const *in, const char *const *out)
{
    uint32_t count = 0;
    struct ip_address address;
    for (; texts[count] != NULL; count++)
        assert_true(ip_prefix_parse(texts[count], &networks[count]));
    const struct deny_table *table = build(count);
    for (; *in != NULL; in++) {
        assert_true(ip_address_parse(*in, &address));
        assert_true(deny_has(table, &address));
    }
    for (; *out != NULL; out++) {
        assert_true(ip_address_parse(*out, &address));
        assert_false(deny_has(table, &address));
    }
    deny_drop(table);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NOTHING   ((const char *const[]){NULL})

static void the_ends_of_the_address_space_are_no_exception(void **state)
{
    check_texts(LIST("0.0.0.0/0"), LIST("0.0.0.0", "10.0.0.1", "255.255.255.255"),
                LIST("::", "2001:db8::1", "ffff::"));
    check_texts(LIST("::/0"), LIST("0.0.0.0", "255.255.255.255", "::", "ffff::1"), NOTHING);
    check_texts(LIST("0.0.0.0/32", "255.255.255.255/32", "::/128", "ffff::/16"),
                LIST("0.0.0.0", "255.255.255.255", "::", "ffff:ffff::1"),
                LIST("0.0.0.1", "255.255.255.254", "::1", "fffe::"));
    check_texts(LIST("::ffff:0:0/90"), LIST("1.2.3.4", "255.0.0.0"), LIST("2001:db8::1"));
    check_texts(LIST("10.0.0.0/24", "10.0.1.0/24", "10.0.0.0/8", "10.0.0.0/24"),
                LIST("10.0.0.0", "10.0.1.7", "10.255.255.255"), LIST("9.255.255.255", "11.0.0.0"));
    check_texts(LIST("10.0.0.0/15", "10.2.0.0/16"), LIST("10.1.255.255", "10.2.0.0", "10.0.0.0"),
                LIST("10.3.0.0", "9.255.255.255"));
    check_texts(LIST("2001:db8::/32"), LIST("2001:db8::", "2001:db8:ffff:ffff::1"),
                LIST("10.0.0.1", "2001:db9::", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff"));
}

static void nothing_is_denied_by_nothing(void **state)
{
    bool failed = true;
    struct ip_address address = {{1}};
    assert_null(deny_build(NULL, 0, &failed));
    assert_false(failed);
    assert_false(deny_has(NULL, &address));
    deny_drop(deny_hold(NULL));
}

static void it_lives_as_long_as_somebody_holds_it(void **state)
{
    struct ip_address address = {{0x20, 0x01}};
    networks[0] = (struct ip_prefix){address, 16};
    const struct deny_table *table = build(1);
    assert_ptr_equal(deny_hold(table), table);
    deny_drop(table);
    assert_true(deny_has(table, &address));
    deny_drop(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_says_what_every_network_says),
        cmocka_unit_test(the_ends_of_the_address_space_are_no_exception),
        cmocka_unit_test(nothing_is_denied_by_nothing),
        cmocka_unit_test(it_lives_as_long_as_somebody_holds_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
