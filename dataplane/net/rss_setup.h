/*
 * rss_setup: receive side scaling of an ethdev: asked for at start with a key of our own, and read
 * back, so that it can be predicted (rss.h). Main thread, at start.
 */
#pragma once

#include "dataplane/net/rss.h"

#include <rte_ethdev.h>

#define RSS_SETUP_TYPES (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP)

/* What goes into the device's configuration; the key has to outlive rte_eth_dev_configure(). */
void rss_setup_ask(const struct rte_eth_dev_info *info, uint8_t key[PORT_RSS_KEY_BYTES_MAX],
                   struct rte_eth_conf *conf);

/*
 * After the start: read key, types and table. INFO is of after the start, too: drivers size the table
 * by the queues. False: something is not told, or would bring everything to few queues; nothing is
 * known then.
 */
bool rss_setup_read(uint16_t device_id, const struct rte_eth_dev_info *info, uint16_t queues,
                    struct port_rss *out);
