#include "dataplane/net/port_pool.h"

#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

static bool set_up(struct rte_mempool *pool, const struct port_pool_request *request)
{
    struct rte_pktmbuf_pool_private private = {
        .mbuf_data_room_size = (uint16_t)request->data_bytes,
    };
    int result = rte_mempool_set_ops_byname(pool, "ring_mt_rts", NULL);
    if (result == 0) {
        rte_pktmbuf_pool_init(pool, &private);
        result = rte_mempool_populate_default(pool);
    }
    if (result < 0) {
        rte_errno = -result;
        return false;
    }
    rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
    return true;
}

/* As rte_pktmbuf_pool_create_by_ops(), which takes no flags. */
struct rte_mempool *port_pool_create(const struct port_pool_request *request)
{
    uint32_t bytes = (uint32_t)sizeof(struct rte_mbuf) + request->data_bytes;
    unsigned flags = request->packed ? RTE_MEMPOOL_F_NO_IOVA_CONTIG : 0;
    struct rte_mempool *pool = rte_mempool_create_empty(
        request->name, request->mbufs, bytes, request->cache,
        sizeof(struct rte_pktmbuf_pool_private), request->socket_id, flags);
    if (pool == NULL)
        return NULL;
    if (!set_up(pool, request)) {
        rte_mempool_free(pool);
        return NULL;
    }
    return pool;
}

struct span {
    uintptr_t first;
    uintptr_t last;
};

static void extend(struct rte_mempool *pool, void *context, void *object, unsigned index)
{
    struct span *span = context;
    uintptr_t at = (uintptr_t)object;
    if (index == 0 || at < span->first)
        span->first = at;
    if (index == 0 || at > span->last)
        span->last = at;
}

bool port_pool_is_packed(struct rte_mempool *pool)
{
    struct span span = {0};
    uint32_t bytes = rte_mempool_calc_obj_size(pool->elt_size, pool->flags, NULL);
    uint32_t count = rte_mempool_obj_iter(pool, extend, &span);
    return pool->nb_mem_chunks == 1 && count > 0 &&
           span.last - span.first == (uintptr_t)(count - 1) * bytes;
}
