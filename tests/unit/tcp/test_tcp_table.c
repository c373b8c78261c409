#include "dataplane/tcp/tcp_table.h"

#include "dataplane/base/memory.h"
#include "dataplane/base/random.h"
#include "tests/support/cmocka.h"

#define OBJECTS 200u

static struct flow_tuple conns[OBJECTS];
static struct flow_tuple waiting[OBJECTS];
static struct tcp_table table;

static void open_table(uint32_t entries)
{
    static const struct siphash_key key = {1, 2};
    assert_true(tcp_table_init(&table, entries, &key, -1));
    tcp_table_objects(&table, 0, conns, sizeof(conns[0]));
    tcp_table_objects(&table, 1, waiting, sizeof(waiting[0]));
    for (uint32_t i = 0; i < OBJECTS; i++) {
        conns[i] = (struct flow_tuple){.local_port = (uint16_t)i, .remote_port = 1};
        waiting[i] = (struct flow_tuple){.local_port = (uint16_t)i, .remote_port = 2};
    }
}

/* Objects 0..OBJECTS-1 are connections, the others TIME_WAIT entries. */
static const struct flow_tuple *tuple_of(uint32_t i)
{
    return i < OBJECTS ? &conns[i] : &waiting[i - OBJECTS];
}

static tcp_reference reference_of(uint32_t i)
{
    return i < OBJECTS ? tcp_reference_conn(i) : tcp_reference_time_wait(i - OBJECTS);
}

/* HASH_BITS few make them collide and cluster, around the end of the array, too. */
static void behave_like_a_set(uint32_t hash_bits)
{
    struct random random;
    bool present[2 * OBJECTS] = {false};
    random_seed(&random, hash_bits);
    open_table(2 * OBJECTS);
    for (int i = 0; i < 40000; i++) {
        uint32_t which = random_below(&random, 2 * OBJECTS);
        uint32_t hash = tcp_table_hash(&table, tuple_of(which)) | ~((1u << hash_bits) - 1);
        tcp_reference found = tcp_table_find(&table, hash, tuple_of(which));
        assert_int_equal(found, present[which] ? reference_of(which) : TCP_REFERENCE_NONE);
        tcp_table_prefetch_object(&table, hash);
        if (present[which])
            tcp_table_remove(&table, hash, reference_of(which));
        else
            assert_true(tcp_table_add(&table, hash, reference_of(which)));
        present[which] = !present[which];
    }
    memory_reset();
}

static void it_finds_what_was_added_and_nothing_else(void **state)
{
    behave_like_a_set(31);
    behave_like_a_set(8);
    behave_like_a_set(4);
}

static void it_takes_what_it_was_made_for(void **state)
{
    open_table(OBJECTS);
    for (uint32_t i = 0; i < OBJECTS; i++)
        assert_true(tcp_table_add(&table, tcp_table_hash(&table, &conns[i]), reference_of(i)));
    while (table.count <= table.mask / 2)
        assert_true(tcp_table_add(&table, table.count, reference_of(0)));
    assert_false(tcp_table_add(&table, 0, reference_of(0)));
    memory_reset();
}

static void references_say_what_they_are(void **state)
{
    assert_false(tcp_reference_is_time_wait(tcp_reference_conn(0x7ffffff0)));
    assert_true(tcp_reference_is_time_wait(tcp_reference_time_wait(0)));
    assert_int_equal(tcp_reference_index(tcp_reference_conn(17)), 17);
    assert_int_equal(tcp_reference_index(tcp_reference_time_wait(17)), 17);
    assert_int_not_equal(tcp_reference_conn(0), TCP_REFERENCE_NONE);
}

static void another_key_means_other_places(void **state)
{
    open_table(OBJECTS);
    uint32_t before = tcp_table_hash(&table, &conns[1]);
    for (uint32_t i = 0; i < TCP_TABLE_SECRETS; i++) {
        table.secrets[i]++;
        assert_int_not_equal(tcp_table_hash(&table, &conns[1]), before);
        table.secrets[i]--;
    }
    assert_int_equal(tcp_table_hash(&table, &conns[1]), before);
    memory_reset();
}

/* A bit of the tuple is said to be seen when it moves about half of the bits that name the slot. */
static void every_bit_of_the_tuple_is_seen(void **state)
{
    open_table(OBJECTS);
    for (uint32_t bit = 0; bit < 8 * sizeof(struct flow_tuple); bit++) {
        uint32_t moved = 0;
        for (uint32_t i = 0; i < OBJECTS; i++) {
            struct flow_tuple other = conns[i];
            ((uint8_t *)&other)[bit / 8] ^= (uint8_t)(1u << bit % 8);
            uint32_t difference =
                tcp_table_hash(&table, &conns[i]) ^ tcp_table_hash(&table, &other);
            moved += (uint32_t)__builtin_popcount(difference & 0xffff);
        }
        assert_in_range(moved, 7 * OBJECTS, 9 * OBJECTS);
    }
    memory_reset();
}

/* Clients that count their ports and addresses up, as they do. */
static void neighbouring_tuples_spread(void **state)
{
    uint32_t counts[256] = {0};
    open_table(OBJECTS);
    for (uint32_t i = 0; i < 256 * 64; i++) {
        struct flow_tuple tuple = {.local_port = 443, .remote_port = (uint16_t)(1024 + i / 64)};
        tuple.local.bytes[15] = 1;
        tuple.remote.bytes[15] = (uint8_t)(i % 64);
        counts[tcp_table_hash(&table, &tuple) % 256]++;
    }
    for (uint32_t i = 0; i < 256; i++)
        assert_in_range(counts[i], 64 - 6 * 8, 64 + 6 * 8); /* six standard deviations */
    memory_reset();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_finds_what_was_added_and_nothing_else),
        cmocka_unit_test(it_takes_what_it_was_made_for),
        cmocka_unit_test(references_say_what_they_are),
        cmocka_unit_test(another_key_means_other_places),
        cmocka_unit_test(every_bit_of_the_tuple_is_seen),
        cmocka_unit_test(neighbouring_tuples_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
