/* The loader of the XDP program, on the loopback interface of a private network namespace. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/steer.h"
#include "control/steer_wanted.h"
#include "dataplane/base/check.h"
#include "dataplane/base/random.h"
#include "tests/support/cmocka.h"
#include "tests/support/steer_lab.h"

#define SKIPPED    77
#define CANDIDATES 24

static char message[512];

static struct steer *prepare(void)
{
    return steer_prepare(STEER_LAB_INTERFACE, message, sizeof(message));
}

/* Prepared, and attached to the program of the lab, whose maps are empty. */
static struct steer *start(void)
{
    struct steer *steer = prepare();

    assert_non_null(steer);
    steer_lab_reload();
    steer_lab_attach();
    assert_int_equal(steer_attach(steer, message, sizeof(message)), 0);
    return steer;
}

static struct ip_address numbered_address(unsigned number)
{
    struct ip_address address = {.bytes = {0x20, 0x01, 0x0d, 0xb8}};

    address.bytes[14] = (uint8_t)(number >> 8);
    address.bytes[15] = (uint8_t)number;
    return address;
}

static struct ip_prefix prefix(const char *text)
{
    struct ip_prefix parsed;

    assert_true(ip_prefix_parse(text, &parsed));
    return parsed;
}

static size_t count_entries(const char *map)
{
    static struct steer_lab_entry entries[2 * STEER_LISTENERS_MAX];

    return steer_lab_entries(map, entries, array_count(entries));
}

/* ---- Taking an interface ---- */

static void an_unknown_interface_is_named(void **state)
{
    assert_null(steer_prepare("nosuch0", message, sizeof(message)));
    assert_string_equal(message, "there is no interface 'nosuch0'");
}

static void a_free_interface_is_taken_silently(void **state)
{
    struct steer *steer = prepare();

    assert_non_null(steer);
    assert_string_equal(message, "");
    steer_close(steer);
}

static void a_second_weir_is_refused_and_told_who_has_the_interface(void **state)
{
    struct steer *steer = start();
    char holder[32];

    assert_null(prepare());
    snprintf(holder, sizeof(holder), "(process %d)", (int)getpid());
    assert_non_null(strstr(message, holder));
    assert_string_equal(steer_lab_attached(), STEER_PROGRAM_NAME);
    steer_close(steer);

    steer = prepare();
    assert_non_null(steer);
    steer_close(steer);
}

static void a_refusal_stays_a_refusal_however_often_it_is_tried(void **state)
{
    struct steer *steer = prepare();

    for (int i = 0; i < 200; i++)
        assert_null(prepare());
    steer_close(steer);
}

static void a_program_left_by_a_killed_process_is_detached(void **state)
{
    struct steer *steer;

    steer_lab_attach();
    steer = prepare();
    assert_non_null(steer);
    assert_non_null(strstr(message, "detached the XDP program '" STEER_PROGRAM_NAME "'"));
    assert_string_equal(steer_lab_attached(), "");
    steer_close(steer);
}

static void a_foreign_program_is_refused_and_left_alone(void **state)
{
    steer_lab_attach_foreign();
    assert_null(prepare());
    assert_non_null(strstr(message, "'somebody'"));
    assert_string_equal(steer_lab_attached(), "somebody");
    steer_lab_detach();

    /* The refusal did not keep the interface. */
    steer_close(prepare());
    assert_string_equal(message, "");
}

/* ---- Finding the program ---- */

static void attaching_wants_a_program(void **state)
{
    struct steer *steer = prepare();

    assert_int_equal(steer_attach(steer, message, sizeof(message)), -ENOENT);
    steer_close(steer);
}

static void attaching_wants_our_program(void **state)
{
    struct steer *steer = prepare();

    steer_lab_attach_foreign();
    assert_int_equal(steer_attach(steer, message, sizeof(message)), -EPROTO);
    steer_close(steer);
    assert_string_equal(steer_lab_attached(), "somebody");
    steer_lab_detach();
}

static void closing_detaches(void **state)
{
    steer_close(start());
    assert_string_equal(steer_lab_attached(), "");
}

static void detaching_twice_is_harmless(void **state)
{
    struct steer *steer = start();

    assert_int_equal(steer_detach(steer, message, sizeof(message)), 0);
    assert_string_equal(steer_lab_attached(), "");
    assert_int_equal(steer_detach(steer, message, sizeof(message)), 0);
    steer_close(steer);
}

static void detaching_leaves_another_program_in_place(void **state)
{
    struct steer *steer = start();

    steer_lab_attach_foreign();
    assert_int_equal(steer_detach(steer, message, sizeof(message)), -EBUSY);
    assert_string_equal(steer_lab_attached(), "somebody");
    steer_close(steer);
    steer_lab_detach();
}

/* ---- Rules ---- */

static void roles_of_an_address_add_up(void **state)
{
    struct steer *steer = start();
    const struct ip_address address = numbered_address(1);
    const struct steer_vip vips[] = {{address, 443}, {address, 80}, {address, 443}};
    const struct steer_rules rules = {vips, 3, &address, 1, NULL, 0};
    struct steer_lab_entry entries[4];

    assert_int_equal(steer_set(steer, &rules, message, sizeof(message)), 0);
    assert_int_equal(steer_lab_entries(STEER_MAP_ADDRESSES, entries, 4), 1);
    assert_int_equal(entries[0].value, STEER_ROLE_LISTENER | STEER_ROLE_LOCAL);
    assert_int_equal(count_entries(STEER_MAP_LISTENERS), 2);

    assert_int_equal(steer_set(steer, &(struct steer_rules){vips, 3, NULL, 0, NULL, 0}, message,
                               sizeof(message)),
                     0);
    assert_int_equal(steer_lab_entries(STEER_MAP_ADDRESSES, entries, 4), 1);
    assert_int_equal(entries[0].value, STEER_ROLE_LISTENER);
    steer_close(steer);
}

static void bits_behind_a_prefix_do_not_count(void **state)
{
    struct steer *steer = start();
    const struct ip_prefix denied[] = {prefix("10.1.2.3/8"), prefix("10.9.9.9/8"),
                                       prefix("2001:db8::1/32"), prefix("10.0.0.0/9")};
    const struct steer_rules rules = {NULL, 0, NULL, 0, denied, 4};

    for (int again = 0; again < 2; again++) {
        assert_int_equal(steer_set(steer, &rules, message, sizeof(message)), 0);
        assert_int_equal(count_entries(STEER_MAP_DENIED), 3);
    }
    steer_close(steer);
}

/* Members of a candidate list, chosen by the bits of CHOICE. */
struct choice {
    struct steer_vip vips[CANDIDATES];
    struct ip_address locals[CANDIDATES];
    struct ip_prefix denied[CANDIDATES];
    struct steer_rules rules;
};

static void choose(struct choice *choice, struct random *random)
{
    struct steer_rules *rules = &choice->rules;

    *choice = (struct choice){.rules = {choice->vips, 0, choice->locals, 0, choice->denied, 0}};
    for (unsigned i = 0; i < CANDIDATES; i++) {
        uint64_t bits = random_u64(random);

        if (bits & 1)
            choice->vips[rules->vip_count++] =
                (struct steer_vip){numbered_address(i / 2), (uint16_t)(i % 2 ? 443 : 80)};
        if (bits & 2)
            choice->locals[rules->local_count++] = numbered_address(i);
        if (bits & 4)
            choice->denied[rules->denied_count++] =
                (struct ip_prefix){numbered_address(i), (uint8_t)(100 + i)};
    }
}

static void assert_map_holds(const char *map, const struct steer_entries *wanted)
{
    struct steer_lab_entry entries[4 * CANDIDATES];
    size_t count = steer_lab_entries(map, entries, array_count(entries));

    assert_int_equal(count, wanted->count);
    for (size_t i = 0; i < count; i++) {
        bool found = false;

        for (size_t j = 0; j < wanted->count; j++)
            found |= memcmp(entries[i].key, wanted->at[j].key, STEER_KEY_MAX) == 0 &&
                     entries[i].value == wanted->at[j].value;
        assert_true(found);
    }
}

static void any_rules_after_any_others_are_what_the_maps_hold(void **state)
{
    struct steer *steer = start();
    struct random random;

    random_seed(&random, 1);
    for (int round = 0; round < 200; round++) {
        struct steer_wanted wanted;
        struct choice choice;

        choose(&choice, &random);
        assert_int_equal(steer_set(steer, &choice.rules, message, sizeof(message)), 0);
        assert_int_equal(steer_wanted_make(&wanted, &choice.rules, message, sizeof(message)), 0);
        assert_map_holds(STEER_MAP_LISTENERS, &wanted.listeners);
        assert_map_holds(STEER_MAP_ADDRESSES, &wanted.addresses);
        assert_map_holds(STEER_MAP_DENIED, &wanted.denied);
        steer_wanted_free(&wanted);
    }
    steer_close(steer);
}

/* Whatever is begun before the last one has ended, the last one holds in the end. */
static void in_pieces_the_maps_come_to_hold_the_last_rules(void **state)
{
    struct steer *steer = start();
    struct random random;

    random_seed(&random, 2);
    for (int round = 0; round < 200; round++) {
        struct steer_wanted wanted;
        struct choice choice;
        unsigned begun = 1 + random_below(&random, 4);

        for (unsigned i = 0; i < begun; i++) {
            choose(&choice, &random);
            assert_int_equal(steer_begin(steer, &choice.rules, message, sizeof(message)), 0);
            for (unsigned piece = random_below(&random, 6); piece > 0; piece--)
                assert_true(
                    steer_continue(steer, random_below(&random, 5), message, sizeof(message)) >= 0);
        }
        while (steer_continue(steer, 1 + random_below(&random, 5), message, sizeof(message)) == 1)
            ;
        assert_string_equal(message, "");
        assert_int_equal(steer_wanted_make(&wanted, &choice.rules, message, sizeof(message)), 0);
        assert_map_holds(STEER_MAP_LISTENERS, &wanted.listeners);
        assert_map_holds(STEER_MAP_ADDRESSES, &wanted.addresses);
        assert_map_holds(STEER_MAP_DENIED, &wanted.denied);
        steer_wanted_free(&wanted);
    }
    steer_close(steer);
}

/* Each piece changes as many entries as it may and no more. */
static void a_piece_keeps_to_its_budget(void **state)
{
    static struct ip_prefix denied[100];
    struct steer *steer = start();

    for (unsigned i = 0; i < 100; i++)
        denied[i] = (struct ip_prefix){numbered_address(i), 128};
    const struct steer_rules rules = {NULL, 0, NULL, 0, denied, 100};
    assert_int_equal(steer_begin(steer, &rules, message, sizeof(message)), 0);
    assert_int_equal(count_entries(STEER_MAP_DENIED), 0);
    for (unsigned i = 1; i <= 9; i++) {
        assert_int_equal(steer_continue(steer, 10, message, sizeof(message)), 1);
        assert_int_equal(count_entries(STEER_MAP_DENIED), 10 * i);
    }
    assert_int_equal(steer_continue(steer, 10, message, sizeof(message)), 0);
    assert_int_equal(count_entries(STEER_MAP_DENIED), 100);
    assert_int_equal(steer_begin(steer, &(struct steer_rules){0}, message, sizeof(message)), 0);
    assert_int_equal(steer_continue(steer, 60, message, sizeof(message)), 1);
    assert_int_equal(count_entries(STEER_MAP_DENIED), 40);
    assert_int_equal(steer_set(steer, &rules, message, sizeof(message)), 0); /* all at once */
    assert_int_equal(count_entries(STEER_MAP_DENIED), 100);
    steer_close(steer);
}

static void a_full_set_can_be_replaced_by_another_full_set(void **state)
{
    static struct steer_vip vips[STEER_LISTENERS_MAX];
    const struct steer_rules rules = {vips, STEER_LISTENERS_MAX, NULL, 0, NULL, 0};
    struct steer *steer = start();

    for (unsigned set = 0; set < 2; set++) {
        for (unsigned i = 0; i < STEER_LISTENERS_MAX; i++)
            vips[i] = (struct steer_vip){numbered_address(set * STEER_LISTENERS_MAX + i), 443};
        assert_int_equal(steer_set(steer, &rules, message, sizeof(message)), 0);
        assert_int_equal(count_entries(STEER_MAP_LISTENERS), STEER_LISTENERS_MAX);
        assert_int_equal(count_entries(STEER_MAP_ADDRESSES), STEER_ADDRESSES_MAX);
    }
    steer_close(steer);
}

static void rules_survive_a_loader_that_attaches_again(void **state)
{
    const struct steer_vip vips[] = {{numbered_address(1), 443}, {numbered_address(2), 443}};
    struct steer *steer = start();

    assert_int_equal(steer_set(steer, &(struct steer_rules){vips, 2, NULL, 0, NULL, 0}, message,
                               sizeof(message)),
                     0);
    assert_int_equal(steer_detach(steer, message, sizeof(message)), 0);
    steer_lab_attach();
    assert_int_equal(steer_attach(steer, message, sizeof(message)), 0);
    assert_int_equal(count_entries(STEER_MAP_LISTENERS), 2);
    assert_int_equal(steer_set(steer, &(struct steer_rules){vips, 1, NULL, 0, NULL, 0}, message,
                               sizeof(message)),
                     0);
    assert_int_equal(count_entries(STEER_MAP_LISTENERS), 1);
    steer_close(steer);
}

static void impossible_rules_change_nothing(void **state)
{
    static struct ip_address many[STEER_ADDRESSES_MAX];
    const struct steer_vip good = {numbered_address(1), 443}, no_port = {numbered_address(2), 0};
    const struct ip_prefix too_long = {numbered_address(3), 129};
    const struct {
        struct steer_rules rules;
        int error;
    } cases[] = {
        {{&no_port, 1, NULL, 0, NULL, 0}, -EINVAL},
        {{NULL, 0, NULL, 0, &too_long, 1}, -EINVAL},
        {{&good, STEER_LISTENERS_MAX + 1, NULL, 0, NULL, 0}, -E2BIG},
        {{NULL, 0, many, STEER_ADDRESSES_MAX + 1, NULL, 0}, -E2BIG},
        {{NULL, 0, NULL, 0, &too_long, STEER_DENIED_MAX + 1}, -E2BIG},
        {{&good, 1, many, STEER_ADDRESSES_MAX, NULL, 0}, -E2BIG},
    };
    struct steer *steer = start();

    for (unsigned i = 0; i < STEER_ADDRESSES_MAX; i++)
        many[i] = numbered_address(100 + i);
    assert_int_equal(steer_set(steer, &(struct steer_rules){&good, 1, NULL, 0, NULL, 0}, message,
                               sizeof(message)),
                     0);
    for (size_t i = 0; i < array_count(cases); i++) {
        assert_int_equal(steer_set(steer, &cases[i].rules, message, sizeof(message)),
                         cases[i].error);
        assert_true(message[0] != 0);
        assert_int_equal(count_entries(STEER_MAP_LISTENERS), 1);
        assert_int_equal(count_entries(STEER_MAP_ADDRESSES), 1);
        assert_int_equal(count_entries(STEER_MAP_DENIED), 0);
    }
    steer_close(steer);
}

/* ---- The rest ---- */

static void counters_have_names(void **state)
{
    assert_string_equal(steer_counter_name(STEER_COUNT_passed), "passed");
    for (unsigned i = 0; i < STEER_COUNTERS; i++)
        assert_true(steer_counter_text(i)[0] != 0);
}

static void sockets_that_the_kernel_polls_are_told_from_those_it_does_not(void **state)
{
    unsigned sockets, polled;

    assert_int_equal(steer_busy_poll(&sockets, &polled), 0);
    assert_int_equal(sockets, 0);
    steer_lab_reload();
    if (!steer_lab_open_socket())
        skip();
    assert_int_equal(steer_busy_poll(&sockets, &polled), 0);
    assert_int_equal(sockets, 1);
    assert_int_equal(polled, 0);
    assert_true(steer_lab_poll_socket());
    assert_int_equal(steer_busy_poll(&sockets, &polled), 0);
    assert_int_equal(sockets, 1);
    assert_int_equal(polled, 1);
    steer_lab_close_socket();
}

static void the_object_of_the_build_tree_is_found(void **state)
{
    char path[4096];

    assert_int_equal(steer_object_path(path, sizeof(path)), 0);
    assert_int_equal(access(path, R_OK), 0);
    assert_int_equal(steer_object_path(path, 4), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_interface_is_named),
        cmocka_unit_test(a_free_interface_is_taken_silently),
        cmocka_unit_test(a_second_weir_is_refused_and_told_who_has_the_interface),
        cmocka_unit_test(a_refusal_stays_a_refusal_however_often_it_is_tried),
        cmocka_unit_test(a_program_left_by_a_killed_process_is_detached),
        cmocka_unit_test(a_foreign_program_is_refused_and_left_alone),
        cmocka_unit_test(attaching_wants_a_program),
        cmocka_unit_test(attaching_wants_our_program),
        cmocka_unit_test(closing_detaches),
        cmocka_unit_test(detaching_twice_is_harmless),
        cmocka_unit_test(detaching_leaves_another_program_in_place),
        cmocka_unit_test(roles_of_an_address_add_up),
        cmocka_unit_test(bits_behind_a_prefix_do_not_count),
        cmocka_unit_test(any_rules_after_any_others_are_what_the_maps_hold),
        cmocka_unit_test(in_pieces_the_maps_come_to_hold_the_last_rules),
        cmocka_unit_test(a_piece_keeps_to_its_budget),
        cmocka_unit_test(a_full_set_can_be_replaced_by_another_full_set),
        cmocka_unit_test(rules_survive_a_loader_that_attaches_again),
        cmocka_unit_test(impossible_rules_change_nothing),
        cmocka_unit_test(counters_have_names),
        cmocka_unit_test(sockets_that_the_kernel_polls_are_told_from_those_it_does_not),
        cmocka_unit_test(the_object_of_the_build_tree_is_found),
    };
    const char *why;

    if (!steer_lab_open(&why)) {
        print_message("skipped: %s\n", why);
        return SKIPPED;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
