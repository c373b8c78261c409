#include "dataplane/tcp/tcp_send_queue.h"

#include "dataplane/base/memory.h"
#include "dataplane/base/random.h"
#include "tests/support/cmocka.h"

#define MODEL_BYTES (1u << 17)

static struct tcp_span_pools pools;
static struct segment_pool segments;
static struct tcp_send_queue queue;

static void open_pools(uint32_t spans, uint32_t blocks)
{
    assert_true(tcp_span_pools_init(&pools, spans, blocks, -1));
    assert_true(segment_pool_init(&segments, "test", 64, 3000, -1));
}

static void close_pools(void)
{
    tcp_send_queue_clear(&queue, &pools);
    assert_int_equal(pool_used(&pools.spans), 0);
    assert_int_equal(pool_used(&pools.blocks), 0);
    assert_int_equal(pool_used(&segments.segments), 0);
    memory_reset();
}

static uint8_t byte_at(uint32_t position)
{
    return (uint8_t)(position * 7 + position / 253);
}

static bool append_copy(uint32_t position, uint32_t length)
{
    static uint8_t piece[MODEL_BYTES];
    for (uint32_t i = 0; i < length; i++)
        piece[i] = byte_at(position + i);
    return tcp_send_queue_copy(&queue, &pools, bytes_of(piece, length));
}

static bool append_segment(uint32_t position, uint32_t length)
{
    struct segment *segment = segment_take(&segments);
    if (segment == NULL)
        return false;
    for (uint32_t i = 0; i < length; i++)
        segment->data[10 + i] = byte_at(position + i);
    segment->length = 10 + length;
    uint32_t half = length / 2; /* two pieces of one segment become one span */
    bool good = tcp_send_queue_segment(&queue, &pools, segment, 10, half) &&
                tcp_send_queue_segment(&queue, &pools, segment, 10 + half, length - half);
    segment_drop(segment);
    return good;
}

/* Written where it stands in the queue, as far as that is in one piece. */
static bool append_placed(uint32_t position, uint32_t length)
{
    uint32_t room;
    if (length > TCP_BLOCK_BYTES)
        return append_copy(position, length);
    uint8_t *place = tcp_send_queue_place(&queue, &pools, length, &room);
    if (place == NULL)
        return append_copy(position, length);
    assert_true(room >= length);
    for (uint32_t i = 0; i < length; i++)
        place[i] = byte_at(position + i);
    tcp_send_queue_placed(&queue, &pools, length);
    return true;
}

static bool append_somehow(struct random *random, uint32_t position, uint32_t length)
{
    switch (random_below(random, 3)) {
    case 0:
        return append_copy(position, length);
    case 1:
        return append_segment(position, length);
    default:
        return append_placed(position, length);
    }
}

static void assert_reads(enum tcp_cursor cursor, uint32_t start, uint32_t from, uint32_t length)
{
    uint8_t got[5000];
    tcp_send_queue_read(&queue, &pools, cursor, start + from, got, length);
    for (uint32_t i = 0; i < length; i++)
        assert_int_equal(got[i], byte_at(from + i));
}

/* Appends, reads at both cursors and acknowledgements in random order, wrapping around. */
static void it_behaves_like_a_flat_array(void **state)
{
    struct random random;
    random_seed(&random, 5);
    open_pools(400, 200);
    for (int round = 0; round < 20; round++) {
        uint32_t start = 0xffff0000u + random_below(&random, 0x10000);
        uint32_t acked = 0;
        uint32_t end = 0;
        tcp_send_queue_init(&queue, start);
        while (end < MODEL_BYTES) {
            uint32_t most_now = random_below(&random, 3) == 0 ? 20 : 2990;
            uint32_t length = 1 + random_below(&random, most_now);
            bool grown = append_somehow(&random, end, length);
            if (grown)
                end += length;
            assert_int_equal(tcp_send_queue_end(&queue), start + end);
            assert_int_equal(queue.bytes, end - acked);
            uint32_t from = acked + random_below(&random, end - acked + 1);
            uint32_t most = end - from < 5000 ? end - from : 5000;
            assert_reads(random_below(&random, 2), start, from, random_below(&random, most + 1));
            if (!grown || random_below(&random, 3) == 0) {
                acked += random_below(&random, end - acked + 1);
                tcp_send_queue_acknowledge(&queue, &pools, start + acked);
            }
        }
        tcp_send_queue_acknowledge(&queue, &pools, start + end);
        assert_int_equal(pool_used(&pools.spans), 0);
        assert_int_equal(pool_used(&segments.segments), 0);
    }
    close_pools();
}

static void a_span_is_released_when_all_of_it_is_acknowledged(void **state)
{
    open_pools(10, 10);
    tcp_send_queue_init(&queue, 100);
    assert_true(append_segment(0, 1000));
    assert_int_equal(pool_used(&pools.spans), 1);
    tcp_send_queue_acknowledge(&queue, &pools, 1099);
    assert_int_equal(pool_used(&segments.segments), 1);
    assert_reads(TCP_CURSOR_AGAIN, 100, 999, 1);
    tcp_send_queue_acknowledge(&queue, &pools, 1100);
    assert_int_equal(pool_used(&segments.segments), 0);
    close_pools();
}

static void small_copies_share_a_block(void **state)
{
    const uint32_t most = TCP_SMALL_BYTES + TCP_BLOCK_BYTES;
    open_pools(10, 10);
    tcp_send_queue_init(&queue, 0);
    for (uint32_t i = 0; i < most; i++) {
        assert_true(append_copy(i, 1));
        assert_int_equal(pool_used(&pools.blocks), i >= TCP_SMALL_BYTES);
    }
    assert_true(append_copy(most, 1));
    assert_int_equal(pool_used(&pools.blocks), 1);
    assert_int_equal(pool_used(&pools.spans), 3);
    assert_true(append_copy(most + 1, TCP_SMALL_BYTES));
    assert_int_equal(pool_used(&pools.blocks), 2);
    assert_reads(TCP_CURSOR_NEW, 0, 0, most + 1 + TCP_SMALL_BYTES);
    assert_true(append_copy(0, 0));
    assert_int_equal(queue.bytes, most + 1 + TCP_SMALL_BYTES);
    close_pools();
}

/* The header of a DATA frame before each piece of a body. */
static void few_bytes_between_segments_take_no_block(void **state)
{
    open_pools(10, 1);
    tcp_send_queue_init(&queue, 0);
    for (uint32_t i = 0; i < 5; i++) {
        assert_true(append_copy(i * 1009, 9));
        assert_true(append_segment(i * 1009 + 9, 1000));
    }
    assert_int_equal(pool_used(&pools.blocks), 0);
    assert_reads(TCP_CURSOR_NEW, 0, 3, 4 * 1009);
    assert_false(append_copy(0, 1)); /* the spans are used up */
    tcp_send_queue_acknowledge(&queue, &pools, 1009 + 4);
    assert_reads(TCP_CURSOR_AGAIN, 0, 1009 + 4, 100);
    close_pools();
}

/* Whatever is short, nothing is queued by halves. */
static void empty_pools_refuse_the_whole(void **state)
{
    for (uint32_t spans = 1; spans < 8; spans++) {
        for (uint32_t blocks = 1; blocks < 8; blocks++) {
            open_pools(spans, blocks);
            tcp_send_queue_init(&queue, 0);
            uint32_t least = spans < blocks ? spans : blocks;
            for (uint32_t wanted = 8; wanted > 0; wanted--) {
                bool fits = wanted <= least;
                assert_int_equal(append_copy(0, wanted * TCP_BLOCK_BYTES), fits);
                assert_int_equal(queue.bytes, fits ? wanted * TCP_BLOCK_BYTES : 0);
                if (fits)
                    break;
                assert_int_equal(pool_used(&pools.spans) + pool_used(&pools.blocks), 0);
            }
            close_pools();
        }
    }
    open_pools(1, 1);
    tcp_send_queue_init(&queue, 0);
    assert_true(append_copy(0, 10));
    assert_false(append_segment(10, 100));
    assert_int_equal(pool_used(&segments.segments), 0);
    assert_int_equal(queue.bytes, 10);
    close_pools();
}

static void places_lie_behind_one_another_in_a_block(void **state)
{
    uint32_t room;
    open_pools(2, 1);
    tcp_send_queue_init(&queue, 0);
    uint8_t *first = tcp_send_queue_place(&queue, &pools, 100, &room);
    assert_int_equal(room, TCP_BLOCK_BYTES);
    memset(first, 'a', 100);
    tcp_send_queue_placed(&queue, &pools, 100);
    assert_ptr_equal(tcp_send_queue_place(&queue, &pools, 1, &room), first + 100);
    assert_int_equal(room, TCP_BLOCK_BYTES - 100);
    assert_null(tcp_send_queue_place(&queue, &pools, TCP_BLOCK_BYTES, &room));
    tcp_send_queue_placed(&queue, &pools, TCP_BLOCK_BYTES - 100);
    assert_null(tcp_send_queue_place(&queue, &pools, 1, &room)); /* no block is left */
    assert_int_equal(queue.bytes, TCP_BLOCK_BYTES);
    close_pools();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_behaves_like_a_flat_array),
        cmocka_unit_test(a_span_is_released_when_all_of_it_is_acknowledged),
        cmocka_unit_test(small_copies_share_a_block),
        cmocka_unit_test(few_bytes_between_segments_take_no_block),
        cmocka_unit_test(places_lie_behind_one_another_in_a_block),
        cmocka_unit_test(empty_pools_refuse_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
