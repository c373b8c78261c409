#include "dataplane/net/rss_setup.h"

#include "dataplane/base/random.h"

#include <string.h>

#define KEY_BYTES_MIN 40 /* the shortest that IPv6 with ports takes */

/*
 * A secret key: with a known one, all of an attacker's connections could be aimed at one worker.
 * The same for all ports: a connection that moves from one to another keeps its owner.
 */
static void take_key(uint8_t *out, uint8_t length)
{
    static uint8_t key[PORT_RSS_KEY_BYTES_MAX];
    static bool is_made;
    if (!is_made)
        random_secret(key, sizeof(key));
    is_made = true;
    memcpy(out, key, length);
}

void rss_setup_ask(const struct rte_eth_dev_info *info, uint8_t key[PORT_RSS_KEY_BYTES_MAX],
                   struct rte_eth_conf *conf)
{
    struct rte_eth_rss_conf *rss = &conf->rx_adv_conf.rss_conf;
    conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    rss->rss_hf = info->flow_type_rss_offloads & RSS_SETUP_TYPES;
    if (info->hash_key_size < KEY_BYTES_MIN || info->hash_key_size > PORT_RSS_KEY_BYTES_MAX)
        return; /* the driver's own */
    take_key(key, info->hash_key_size);
    rss->rss_key = key;
    rss->rss_key_len = info->hash_key_size;
}

/* Drivers that do not say take keys of 40 bytes. */
static uint8_t key_bytes(const struct rte_eth_dev_info *info)
{
    return info->hash_key_size != 0 ? info->hash_key_size : KEY_BYTES_MIN;
}

/* Some drivers take key and types only so, not from the configuration. */
static bool is_silent(uint16_t device_id, const struct rte_eth_dev_info *info,
                      struct rte_eth_rss_conf *conf)
{
    uint8_t key[PORT_RSS_KEY_BYTES_MAX];
    take_key(key, key_bytes(info));
    struct rte_eth_rss_conf wanted = {
        .rss_key = key,
        .rss_key_len = key_bytes(info),
        .rss_hf = info->flow_type_rss_offloads & RSS_SETUP_TYPES,
    };
    return rte_eth_dev_rss_hash_conf_get(device_id, conf) != 0 ||
           (conf->rss_hf == 0 && (rte_eth_dev_rss_hash_update(device_id, &wanted) != 0 ||
                                  rte_eth_dev_rss_hash_conf_get(device_id, conf) != 0));
}

static bool read_hash(uint16_t device_id, const struct rte_eth_dev_info *info, struct port_rss *out)
{
    uint8_t key[PORT_RSS_KEY_BYTES_MAX] = {0};
    struct rte_eth_rss_conf conf = {.rss_key = key, .rss_key_len = sizeof(key)};
    if (key_bytes(info) < KEY_BYTES_MIN || key_bytes(info) > sizeof(key))
        return false;
    conf.rss_key_len = key_bytes(info);
    if (is_silent(device_id, info, &conf))
        return false;
    out->v4 = (conf.rss_hf & RTE_ETH_RSS_NONFRAG_IPV4_TCP) != 0;
    out->v6 = (conf.rss_hf & RTE_ETH_RSS_NONFRAG_IPV6_TCP) != 0;
    return (out->v4 || out->v6) && port_rss_set_key(out, key, key_bytes(info));
}

struct table {
    struct rte_eth_rss_reta_entry64 groups[PORT_RSS_ENTRIES_MAX / RTE_ETH_RETA_GROUP_SIZE];
};

static uint16_t *entry_of(struct table *table, uint16_t index)
{
    return &table->groups[index / RTE_ETH_RETA_GROUP_SIZE].reta[index % RTE_ETH_RETA_GROUP_SIZE];
}

/* All entries, the queues in turn. */
static void fill_table(struct table *table, uint16_t entries, uint16_t queues)
{
    memset(table, 0, sizeof(*table));
    for (uint16_t i = 0; i < entries; i++) {
        table->groups[i / RTE_ETH_RETA_GROUP_SIZE].mask |= 1ull << i % RTE_ETH_RETA_GROUP_SIZE;
        *entry_of(table, i) = (uint16_t)(i % queues);
    }
}

/* What the device says. False: nothing, or not every queue has its share. */
static bool read_table(uint16_t device_id, uint16_t queues, struct port_rss *out)
{
    struct table table;
    uint16_t shares[UINT8_MAX + 1] = {0};
    fill_table(&table, out->entries, queues);
    if (rte_eth_dev_rss_reta_query(device_id, table.groups, out->entries) != 0)
        return false;
    for (uint16_t i = 0; i < out->entries; i++) {
        uint16_t queue = *entry_of(&table, i);
        if (queue >= queues)
            return false;
        shares[queue]++;
        out->queues[i] = (uint8_t)queue;
    }
    for (uint16_t queue = 0; queue < queues; queue++)
        if (shares[queue] < out->entries / queues)
            return false;
    return true;
}

/* As it is, when it is fair, or as we make it. */
static bool settle_table(uint16_t device_id, uint16_t entries, uint16_t queues,
                         struct port_rss *out)
{
    struct table table;
    bool power_of_two = entries > 0 && (entries & (entries - 1)) == 0;
    if (!power_of_two || entries > PORT_RSS_ENTRIES_MAX || queues > UINT8_MAX)
        return false;
    out->entries = entries;
    if (read_table(device_id, queues, out))
        return true;
    fill_table(&table, entries, queues);
    return rte_eth_dev_rss_reta_update(device_id, table.groups, entries) == 0 &&
           read_table(device_id, queues, out);
}

bool rss_setup_read(uint16_t device_id, const struct rte_eth_dev_info *info, uint16_t queues,
                    struct port_rss *out)
{
    *out = (struct port_rss){0};
    return queues > 1 && read_hash(device_id, info, out) &&
           settle_table(device_id, info->reta_size, queues, out) && port_rss_spreads(out, queues);
}
