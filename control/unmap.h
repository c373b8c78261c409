/*
 * unmap: shared memory that goes away while workers may be looking at it.
 *
 * When the peer of a memif port leaves, DPDK 22.11's driver marks the port as down and unmaps the
 * rings and buffers of both sides at once, on EAL's interrupt thread. A worker that was within a
 * burst just then would read what is no longer there (SIGSEGV in librte_net_memif). The driver asks
 * nobody before, but it calls munmap(): so this process has its own one, found before the C
 * library's, which waits until every worker has passed a quiescent state. Bursts begun later see
 * that the port is down, and those begun before are over.
 *
 * It waits in threads that are not EAL's lcores only: in the interrupt thread, and harmlessly in
 * others. A worker never unmaps anything, and the main thread unmaps ports when the workers have
 * ended. The C library's own calls (threads' stacks, freed memory) do not come here.
 */
#pragma once

struct rte_rcu_qsbr;

/* From now on wait for those registered at QUIESCENCE; NULL: for nobody. Any thread. */
void unmap_waits_for(struct rte_rcu_qsbr *quiescence);
