#include "control/unmap.h"

#include <rte_lcore.h>
#include <rte_rcu_qsbr.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Release in unmap_waits_for(), acquire in munmap(): what it points to was initialised before. */
static _Atomic(struct rte_rcu_qsbr *) waited_for;

void unmap_waits_for(struct rte_rcu_qsbr *quiescence)
{
    atomic_store_explicit(&waited_for, quiescence, memory_order_release);
}

/* In place of the C library's, for this program and all that it has loaded. */
__attribute__((visibility("default"), used)) int munmap(void *address, size_t length)
{
    struct rte_rcu_qsbr *quiescence = atomic_load_explicit(&waited_for, memory_order_acquire);
    if (quiescence != NULL && rte_lcore_id() == LCORE_ID_ANY)
        rte_rcu_qsbr_synchronize(quiescence, RTE_QSBR_THRID_INVALID);
    return (int)syscall(SYS_munmap, address, length);
}
