/* Packet buffers lie where AF_XDP's driver believes they lie. */
#include "dataplane/net/port_pool.h"

#include "tests/support/cmocka.h"
#include "tests/support/test_eal.h"

#include <rte_errno.h>
#include <rte_mbuf.h>

static struct port_pool_request request_of(bool packed)
{
    return (struct port_pool_request){.name = "pool",
                                      .mbufs = 4095,
                                      .cache = 32,
                                      .data_bytes = 2048 + RTE_PKTMBUF_HEADROOM,
                                      .socket_id = SOCKET_ID_ANY,
                                      .packed = packed};
}

static struct rte_mempool *create(bool packed)
{
    struct port_pool_request request = request_of(packed);
    struct rte_mempool *pool = port_pool_create(&request);
    if (pool == NULL)
        fail_msg("no pool: %s", rte_strerror(rte_errno));
    return pool;
}

/* The end of the memory that the driver registers: so many buffers side by side. */
static void every_buffer_is_within_what_af_xdp_registers(void **state)
{
    static struct rte_mbuf *mbufs[4095];
    struct rte_mempool *pool = create(true);
    assert_true(port_pool_is_packed(pool));
    const struct rte_mempool_memhdr *memory = STAILQ_FIRST(&pool->mem_list);
    uintptr_t first = (uintptr_t)memory->addr;
    uintptr_t bytes = (uintptr_t)pool->populated_size *
                      rte_mempool_calc_obj_size(pool->elt_size, pool->flags, NULL);
    assert_int_equal(rte_pktmbuf_alloc_bulk(pool, mbufs, 4095), 0);
    for (int i = 0; i < 4095; i++) {
        assert_in_range((uintptr_t)mbufs[i], first, first + bytes);
        assert_in_range((uintptr_t)mbufs[i]->buf_addr + mbufs[i]->buf_len, first, first + bytes);
    }
    rte_pktmbuf_free_bulk(mbufs, 4095);
    rte_mempool_free(pool);
}

static void gaps_between_pages_are_seen(void **state)
{
    struct rte_mempool *pool = create(false);
    assert_false(port_pool_is_packed(pool)); /* ordinary pages: no buffer may cross one */
    rte_mempool_free(pool);
}

static void buffers_are_ready_for_use(void **state)
{
    struct rte_mempool *pool = create(true);
    struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);
    assert_non_null(mbuf);
    assert_int_equal(rte_pktmbuf_tailroom(mbuf), 2048);
    assert_int_equal(rte_pktmbuf_headroom(mbuf), RTE_PKTMBUF_HEADROOM);
    assert_string_equal(rte_mempool_get_ops(pool->ops_index)->name, "ring_mt_rts");
    rte_pktmbuf_free(mbuf);
    assert_int_equal(rte_mempool_avail_count(pool), 4095);
    rte_mempool_free(pool);
}

static void without_memory_there_is_none(void **state)
{
    struct port_pool_request request = request_of(true);
    request.mbufs = 10 * 1000 * 1000;
    assert_null(port_pool_create(&request));
    assert_int_equal(rte_errno, ENOMEM);
    rte_mempool_free(create(true)); /* and its name is free again */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_buffer_is_within_what_af_xdp_registers),
        cmocka_unit_test(gaps_between_pages_are_seen),
        cmocka_unit_test(buffers_are_ready_for_use),
        cmocka_unit_test(without_memory_there_is_none),
    };
    test_eal_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
