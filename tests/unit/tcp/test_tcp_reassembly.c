#include "dataplane/tcp/tcp_reassembly.h"

#include "dataplane/base/random.h"
#include "tests/support/cmocka.h"
#include "tests/support/test_eal.h"

#define STREAM_BYTES 4096u

static struct rte_mempool *pool;
static struct tcp_rx rx;
static uint32_t held;

static int set_up(void **state)
{
    test_eal_init();
    pool = rte_pktmbuf_pool_create("reassembly", 511, 0, 0, 1024 + RTE_PKTMBUF_HEADROOM,
                                   SOCKET_ID_ANY);
    return pool == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    rte_mempool_free(pool);
    return 0;
}

static uint8_t byte_at(uint32_t position)
{
    return (uint8_t)(position * 31 + position / 251);
}

/* The bytes [from, to) of the stream, which begins at sequence number START. */
static struct rte_mbuf *packet(uint32_t from, uint32_t to)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
    assert_non_null(m);
    uint8_t *room = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(to - from));
    for (uint32_t i = from; i < to; i++)
        *room++ = byte_at(i);
    return m;
}

static void check_ahead(uint32_t start, uint32_t next)
{
    uint32_t count = 0;
    uint32_t end = next;
    struct rte_mbuf *last = NULL;
    for (struct rte_mbuf *m = rx.ahead_first; m != NULL; m = m->next) {
        assert_true(m->data_len > 0 && m->pkt_len == m->data_len);
        assert_true(count == 0 ? seq_gt(tcp_mbuf_seq(m), end) : seq_geq(tcp_mbuf_seq(m), end));
        const uint8_t *data = rte_pktmbuf_mtod(m, const uint8_t *);
        for (uint32_t i = 0; i < m->data_len; i++)
            assert_int_equal(data[i], byte_at(tcp_mbuf_seq(m) - start + i));
        end = tcp_mbuf_end(m);
        last = m;
        count++;
    }
    assert_int_equal(count, rx.ahead_count);
    assert_ptr_equal(last, rx.ahead_last);
}

/* The caller's part of the seventh step: cut what is old, append or keep. */
static uint32_t arrive(uint32_t start, uint32_t next, uint32_t from, uint32_t to)
{
    if (seq_leq(start + to, next))
        return next;
    if (seq_lt(start + from, next))
        from = next - start;
    struct rte_mbuf *m = packet(from, to);
    if (start + from == next) {
        tcp_rx_append(&rx, m, next, &held);
        next = tcp_rx_advance(&rx, next + (to - from), &held);
    } else {
        (void)tcp_rx_insert_ahead(&rx, m, start + from, &held);
    }
    check_ahead(start, next);
    return next;
}

/* Read everything; must be the stream's bytes up to NEXT. */
static void read_back(uint32_t start, uint32_t next)
{
    uint32_t position = 0;
    assert_int_equal(rx.bytes, next - start);
    for (struct bytes got; (got = tcp_rx_peek(&rx)).length > 0;) {
        for (size_t i = 0; i < got.length; i++)
            assert_int_equal(got.data[i], byte_at(position++));
        tcp_rx_consume(&rx, (uint32_t)got.length, &held);
    }
    assert_int_equal(position, next - start);
}

static void give_all_back(void)
{
    (void)tcp_rx_drop_ahead(&rx, &held);
    tcp_rx_drop_queue(&rx, &held);
    assert_int_equal(held, 0);
    assert_int_equal(rx.bytes, 0);
    assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

/* All sequences of three pieces of a stream of six bytes, 21 ^ 3 of them. */
static void every_overlap_of_three_pieces_is_right(void **state)
{
    uint32_t pieces[21][2];
    uint32_t count = 0;
    for (uint32_t from = 0; from < 6; from++) {
        for (uint32_t to = from + 1; to <= 6; to++) {
            pieces[count][0] = from;
            pieces[count++][1] = to;
        }
    }
    assert_int_equal(count, 21);
    for (uint32_t n = 0; n < 21 * 21 * 21; n++) {
        uint32_t chosen[3] = {n % 21, n / 21 % 21, n / 441};
        uint32_t start = 0xfffffffdu;
        uint32_t next = start;
        uint32_t seen = 0;
        for (int i = 0; i < 3; i++) {
            next = arrive(start, next, pieces[chosen[i]][0], pieces[chosen[i]][1]);
            for (uint32_t b = pieces[chosen[i]][0]; b < pieces[chosen[i]][1]; b++)
                seen |= 1u << b;
        }
        uint32_t contiguous = 0;
        while (seen >> contiguous & 1)
            contiguous++;
        assert_int_equal(next - start, contiguous);
        read_back(start, next);
        give_all_back();
    }
}

static void random_pieces_of_a_stream_arrive(void **state)
{
    struct random random;
    random_seed(&random, 3);
    for (int round = 0; round < 300; round++) {
        uint32_t start = (uint32_t)random_u64(&random);
        uint32_t next = start;
        while (next - start < STREAM_BYTES) {
            uint32_t from = next - start + random_below(&random, 600);
            from = from > 300 ? from - 300 : 0;
            if (from >= STREAM_BYTES)
                from = STREAM_BYTES - 1;
            uint32_t to = from + 1 + random_below(&random, 700);
            if (to > STREAM_BYTES)
                to = STREAM_BYTES;
            next = arrive(start, next, from, to);
        }
        assert_int_equal(rx.ahead_count, 0);
        read_back(start, next);
        give_all_back();
    }
}

static void many_small_pieces_share_mbufs(void **state)
{
    uint32_t next = 5;
    for (uint32_t i = 0; i < STREAM_BYTES; i++)
        next = arrive(5, next, i, i + 1);
    assert_true(held <= STREAM_BYTES / 1024 + 1);
    read_back(5, next);
    give_all_back();
}

static void reading_in_parts_keeps_the_rest(void **state)
{
    uint32_t next = arrive(0, 0, 0, 1000);
    next = arrive(0, next, 1000, 2000);
    tcp_rx_consume(&rx, 0, &held);
    tcp_rx_consume(&rx, 1, &held);
    assert_int_equal(tcp_rx_peek(&rx).data[0], byte_at(1));
    tcp_rx_consume(&rx, 999, &held);
    assert_int_equal(tcp_rx_peek(&rx).data[0], byte_at(1000));
    assert_int_equal(held, 1);
    assert_int_equal(rx.bytes, 1000);
    give_all_back();
}

static void what_is_dropped_is_counted(void **state)
{
    (void)arrive(0, 0, 100, 200);
    (void)arrive(0, 0, 300, 400);
    (void)arrive(0, 0, 0, 50);
    assert_int_equal(held, 3);
    assert_int_equal(tcp_rx_drop_ahead(&rx, &held), 2);
    assert_int_equal(held, 1);
    assert_int_equal(rx.bytes, 50);
    give_all_back();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_overlap_of_three_pieces_is_right),
        cmocka_unit_test(random_pieces_of_a_stream_arrive),
        cmocka_unit_test(many_small_pieces_share_mbufs),
        cmocka_unit_test(reading_in_parts_keeps_the_rest),
        cmocka_unit_test(what_is_dropped_is_counted),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
