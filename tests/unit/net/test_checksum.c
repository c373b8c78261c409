/* Internet checksums: RFC 1071's example, every length and alignment, chained packets. */
#include "dataplane/net/checksum.h"
#include "dataplane/net/checksum_steps.h"

#include "tests/support/cmocka.h"
#include "tests/support/frames.h"
#include "tests/support/test_eal.h"

#include <arpa/inet.h>
#include <rte_mbuf.h>

static void the_example_of_rfc_1071(void **state)
{
    static const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    assert_int_equal(checksum_bytes(data, sizeof(data)), htons(0xddf2));
}

static void an_ipv4_header_sums_to_ffff(void **state)
{
    static const uint8_t header[] = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                                     0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};
    assert_int_equal(checksum_bytes(header, sizeof(header)), 0xffff);
}

static void fill(uint8_t *data, size_t length, uint8_t seed)
{
    for (size_t i = 0; i < length; i++)
        data[i] = (uint8_t)(i * 37 + seed + (i >> 3));
}

static void every_length_and_alignment_gives_the_plain_sum(void **state)
{
    static uint8_t data[300];
    fill(data, sizeof(data), 11);
    for (size_t at = 0; at < 40; at++)
        for (size_t length = 0; at + length <= sizeof(data); length++)
            assert_int_equal(checksum_bytes(data + at, length),
                             htons(frame_sum(data + at, (uint32_t)length, 0)));
}

static void large_words_do_not_overflow(void **state)
{
    static uint8_t data[3 * 1024 * 1024 + 5];
    memset(data, 0xff, sizeof(data));
    assert_int_equal(checksum_bytes(data, sizeof(data) - 1), 0xffff);
    assert_int_equal(checksum_bytes(data, sizeof(data)), htons(0xff00));
    memset(data, 0, sizeof(data));
    assert_int_equal(checksum_bytes(data, sizeof(data)), 0);
}

/* Words around 2^15 are those that an addition of signed words could get wrong. */
static void words_of_every_size_count_for_what_they_are(void **state)
{
    static const uint16_t words[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
    static uint8_t data[CHECKSUM_STEP_BYTES * 5];
    for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++) {
        for (size_t at = 0; at < sizeof(data); at += sizeof(words[w]))
            memcpy(data + at, &words[w], sizeof(words[w]));
        assert_int_equal(checksum_steps(data, 5), (uint64_t)words[w] * sizeof(data) / 2);
        assert_int_equal(checksum_steps_plain(data, 5), (uint64_t)words[w] * sizeof(data) / 2);
    }
    assert_int_equal(checksum_steps(data, 0), 0);
}

static void the_pseudo_header_of_ipv4_is_that_of_rfc_9293(void **state)
{
    struct ip_address a, b;
    assert_true(ip_address_parse("192.0.2.1", &a) && ip_address_parse("198.51.100.7", &b));
    const uint8_t pseudo[] = {192, 0, 2, 1, 198, 51, 100, 7, 0, 6, 0x12, 0x34};
    assert_int_equal(checksum_pseudo(&a, &b, 6, 0x1234),
                     htons(frame_sum(pseudo, sizeof(pseudo), 0)));
}

static void the_pseudo_header_of_ipv6_is_that_of_rfc_8200(void **state)
{
    struct ip_address a, b;
    assert_true(ip_address_parse("2001:db8::1", &a) && ip_address_parse("fd00:1:2::ffff", &b));
    uint8_t pseudo[40] = {[34] = 0x12, [35] = 0x34, [39] = 58};
    memcpy(pseudo, a.bytes, 16);
    memcpy(pseudo + 16, b.bytes, 16);
    assert_int_equal(checksum_pseudo(&a, &b, 58, 0x1234),
                     htons(frame_sum(pseudo, sizeof(pseudo), 0)));
}

/* DATA in pieces of FIRST, SECOND and the rest. */
static struct rte_mbuf *chain(struct rte_mempool *pool, const uint8_t *data, uint16_t length,
                              uint16_t first, uint16_t second)
{
    uint16_t sizes[] = {first, second, (uint16_t)(length - first - second)};
    struct rte_mbuf *head = NULL;
    for (int i = 0; i < 3; i++) {
        struct rte_mbuf *piece = rte_pktmbuf_alloc(pool);
        assert_non_null(piece);
        memcpy(rte_pktmbuf_append(piece, sizes[i]), data, sizes[i]);
        data += sizes[i];
        if (head == NULL)
            head = piece;
        else
            assert_int_equal(rte_pktmbuf_chain(head, piece), 0);
    }
    return head;
}

static void chained_packets_sum_like_whole_ones(void **state)
{
    static uint8_t data[101];
    fill(data, sizeof(data), 3);
    struct rte_mempool *pool = rte_pktmbuf_pool_create("chain", 63, 0, 0, 512, SOCKET_ID_ANY);
    assert_non_null(pool);
    for (uint16_t first = 0; first < 8; first++)
        for (uint16_t second = 0; second < 8; second++)
            for (uint16_t offset = 0; offset < 20; offset++) {
                struct rte_mbuf *packet = chain(pool, data, sizeof(data), first, second);
                uint32_t length = sizeof(data) - offset - 5u;
                assert_int_equal(checksum_packet(packet, offset, length),
                                 htons(frame_sum(data + offset, length, 0)));
                rte_pktmbuf_free(packet);
            }
    assert_int_equal(rte_mempool_in_use_count(pool), 0);
    rte_mempool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_rfc_1071),
        cmocka_unit_test(an_ipv4_header_sums_to_ffff),
        cmocka_unit_test(every_length_and_alignment_gives_the_plain_sum),
        cmocka_unit_test(large_words_do_not_overflow),
        cmocka_unit_test(words_of_every_size_count_for_what_they_are),
        cmocka_unit_test(the_pseudo_header_of_ipv4_is_that_of_rfc_9293),
        cmocka_unit_test(the_pseudo_header_of_ipv6_is_that_of_rfc_8200),
        cmocka_unit_test(chained_packets_sum_like_whole_ones),
    };
    test_eal_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
