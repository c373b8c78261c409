/*
 * steer: the XDP program in front of an AF_XDP port, and what it takes out of the kernel's hands.
 *
 * The AF_XDP driver loads and attaches the program (devarg xdp_prog, see steer_object_path); we
 * clear the way for it, find its maps through the attached program and fill them. While the maps
 * are empty every packet passes to the kernel. What is redirected: dataplane/xdp/steer.bpf.c.
 *
 * Order of calls, and what the caller does in between:
 *
 *     steer_prepare    the interface is free, or was freed from a program a killed process left
 *       ... rte_eth_rx_queue_setup: the driver attaches the program and enters its sockets ...
 *     steer_attach     find the maps
 *       ... rte_eth_dev_start ...
 *     steer_busy_poll  did the kernel grant busy polling?
 *     steer_set        at start: everything at once
 *     steer_begin      while traffic flows, any number of times; then steer_continue until it is done
 *     steer_detach     before the sockets close: the kernel gets everything again
 *       ... rte_eth_dev_stop, rte_eth_dev_close ...
 *     steer_close      lets another process have the interface
 *
 * Thread: the control thread only. Nothing here logs. All calls are system calls of microseconds,
 * one per entry that changes: the largest deny list takes 0.1 to 0.2 s in all, which steer_begin
 * and steer_continue spread over many turns of the loop. What is denied meanwhile is dropped by the
 * data plane (dataplane/net/deny.h).
 *
 * Privileges: steer_prepare and steer_attach need CAP_SYS_ADMIN (programs and maps by id) and
 * CAP_NET_ADMIN; steer_set and steer_counters need none (Linux 6.0; CAP_BPF before); steer_detach
 * needs CAP_NET_ADMIN.
 *
 * Errors: a function that returns int gives 0 or a negative errno and then MESSAGE, of SIZE bytes,
 * says in one line what is wrong and what to do. On success MESSAGE is empty unless said otherwise.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/ip_address.h"
#include "dataplane/xdp/steer_maps.h"

struct steer;

/* An address and TCP port that clients connect to. */
struct steer_vip {
    struct ip_address address;
    uint16_t port; /* host order, not 0 */
};

/*
 * What belongs to Weir. None of the addresses may be assigned to an interface of the host other
 * than loopback. Order and duplicates do not matter. At most STEER_LISTENERS_MAX vips,
 * STEER_ADDRESSES_MAX different addresses in vips and locals, STEER_DENIED_MAX prefixes.
 */
struct steer_rules {
    const struct steer_vip *vips;
    size_t vip_count;
    const struct ip_address *locals; /* backend-side: every TCP port is ours */
    size_t local_count;
    const struct ip_prefix *denied; /* sources that get nothing */
    size_t denied_count;
};

/*
 * Take the interface for this process, and detach a program that a killed Weir left attached.
 * Another live Weir on it (which holds an abstract socket named after the interface's index, in
 * the interface's network namespace, until steer_close or its death) and a foreign program are
 * refused. NULL: MESSAGE says why. Otherwise MESSAGE is empty, or tells what was detached.
 */
struct steer *steer_prepare(const char *interface_name, char *message, size_t size);

/*
 * Find the maps of the program the driver has attached. -ENOENT: none is attached; -EPROTO: it is
 * not this version's program; what is in the maps is kept and will be compared with by steer_set.
 */
int steer_attach(struct steer *steer, char *message, size_t size);

/*
 * Make the maps hold exactly RULES, new entries first, then removals; what did not change is not
 * touched. Adding goes deny list, addresses, listeners; removing goes the other way. -EINVAL,
 * -E2BIG, -EADDRINUSE (the host has the address): nothing was changed. Another error: the maps
 * hold the old rules and a part of the new ones; calling again goes on from there.
 */
int steer_set(struct steer *steer, const struct steer_rules *rules, char *message, size_t size);

/*
 * As steer_set, but the deny list is only begun to be changed, once listeners and addresses are.
 * When it is begun again before its end, the list given last is the one that holds in the end.
 */
int steer_begin(struct steer *steer, const struct steer_rules *rules, char *message, size_t size);

/*
 * Go on with the deny list, with at most BUDGET changed entries (some 2 us each). 1: there is more to
 * do; 0: done; another error than those of rules: given up, steer_begin starts from what is there.
 */
int steer_continue(struct steer *steer, size_t budget, char *message, size_t size);

/* Packets counted since the program was loaded, indexed by enum steer_counter, over all CPUs. */
int steer_counters(struct steer *steer, uint64_t values[STEER_COUNTERS], char *message,
                   size_t size);

/*
 * Detach our program, and only ours. Calling it again, or before steer_attach, does nothing.
 * -EBUSY: another program is attached in its place, which stays.
 */
int steer_detach(struct steer *steer, char *message, size_t size);

/* Give the interface up. Detaches first if that was not done. NULL is allowed. */
void steer_close(struct steer *steer);

/* The counter's name and text, as in metrics and manual. */
const char *steer_counter_name(enum steer_counter counter);
const char *steer_counter_text(enum steer_counter counter);

/*
 * The program's object file for the driver: of the build tree this executable stands in, else the
 * installed one. -ENOENT: neither is readable.
 */
int steer_object_path(char *path, size_t size);

/*
 * How many AF_XDP sockets this process has, and how many of them the kernel polls on receive.
 * Unless all are, an empty receive of the driver may sleep for a second: refuse to start or warn.
 */
int steer_busy_poll(unsigned *sockets, unsigned *polled);
