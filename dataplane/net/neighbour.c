#include "dataplane/base/memory.h"
#include "dataplane/base/random.h"
#include "dataplane/net/net_internal.h"

#define INDEX_BITS 16 /* of net_path.neighbour; the generation has the rest */

/* What a mail says. Interfaces have the same numbers on all workers. */
struct neighbour_mail {
    struct ip_address address;
    uint8_t mac[ETH_ADDRESS_BYTES];
    uint8_t interface;
    uint8_t news; /* enum neighbour_news */
};

_Static_assert(sizeof(struct neighbour_mail) <= MAIL_BODY_BYTES, "fits into a mail");

#define TO(state) (1u << NEIGHBOUR_##state)

/* From each state the states that may follow. */
static const uint8_t transitions[NEIGHBOUR_STATES] = {
    [NEIGHBOUR_FREE] = TO(UNKNOWN),
    [NEIGHBOUR_UNKNOWN] = TO(FREE) | TO(INCOMPLETE) | TO(REACHABLE) | TO(STALE),
    [NEIGHBOUR_INCOMPLETE] = TO(FREE) | TO(FAILED) | TO(REACHABLE) | TO(STALE),
    [NEIGHBOUR_REACHABLE] = TO(FREE) | TO(STALE) | TO(REACHABLE),
    [NEIGHBOUR_STALE] = TO(FREE) | TO(PROBE) | TO(REACHABLE) | TO(STALE),
    [NEIGHBOUR_PROBE] = TO(FREE) | TO(INCOMPLETE) | TO(REACHABLE) | TO(STALE),
    [NEIGHBOUR_FAILED] = TO(FREE) | TO(UNKNOWN) | TO(REACHABLE) | TO(STALE),
};

static bool is_proven(uint8_t state)
{
    return state == NEIGHBOUR_REACHABLE || state == NEIGHBOUR_STALE || state == NEIGHBOUR_PROBE;
}

/*
 * Put the entry at the recently used end of the list of its state. What we never sent to (learned
 * from questions) is the first to go again.
 */
static void touch(struct neighbour_table *table, struct neighbour *entry)
{
    if (entry->pinned)
        return;
    list_remove(&entry->link);
    if (entry->state == NEIGHBOUR_FREE)
        list_push_back(&table->free, &entry->link);
    else if (!is_proven(entry->state))
        list_push_back(&table->unproven, &entry->link);
    else if (entry->used)
        list_push_back(&table->proven, &entry->link);
    else
        list_push_front(&table->proven, &entry->link);
}

static bool is_unproven(const struct neighbour *entry)
{
    return entry->state != NEIGHBOUR_FREE && !is_proven(entry->state) && !entry->pinned;
}

/* The one place where a state changes; questions start anew, the timer is the caller's. */
static void become(struct net *net, struct neighbour *entry, enum neighbour_state state)
{
    struct neighbour_table *table = &net->neighbours;
    check((transitions[entry->state] >> state & 1) != 0);
    table->unproven_count -= is_unproven(entry);
    entry->state = (uint8_t)state;
    table->unproven_count += is_unproven(entry);
    entry->questions = 0;
    timer_cancel(net->config.wheel, &entry->timer);
    touch(table, entry);
}

/* ---- the table ---- */

static uint32_t *bucket_of(struct neighbour_table *table, uint8_t interface,
                           const struct ip_address *address)
{
    uint8_t key[sizeof(*address) + 1];
    memcpy(key, address, sizeof(*address));
    key[sizeof(*address)] = interface;
    uint64_t hash = siphash(&table->key, bytes_of(key, sizeof(key)));
    return &table->buckets[hash & table->bucket_mask];
}

static struct neighbour *find(struct net *net, uint8_t interface, const struct ip_address *address)
{
    struct neighbour_table *table = &net->neighbours;
    uint32_t index = *bucket_of(table, interface, address);
    while (index != NEIGHBOUR_NONE) {
        struct neighbour *entry = &table->entries[index];
        if (entry->interface == interface && ip_address_equal(&entry->address, address))
            return entry;
        index = entry->bucket_next;
    }
    return NULL;
}

static void enter(struct net *net, struct neighbour *entry, uint8_t interface,
                  const struct ip_address *address)
{
    uint32_t *bucket = bucket_of(&net->neighbours, interface, address);
    entry->address = *address;
    entry->interface = interface;
    entry->generation++;
    entry->used = false;
    entry->bucket_next = *bucket;
    *bucket = neighbour_index(net, entry);
    become(net, entry, NEIGHBOUR_UNKNOWN);
}

static void leave_bucket(struct net *net, struct neighbour *entry)
{
    uint32_t *at = bucket_of(&net->neighbours, entry->interface, &entry->address);
    while (*at != neighbour_index(net, entry))
        at = &net->neighbours.entries[*at].bucket_next;
    *at = entry->bucket_next;
}

static void pending_drop(struct net *net, struct neighbour *entry, uint64_t *counter)
{
    for (uint8_t i = 0; i < entry->pending_count; i++)
        net_drop(entry->pending[i], counter);
    net->neighbours.pending_count -= entry->pending_count;
    entry->pending_count = 0;
}

static void forget(struct net *net, struct neighbour *entry)
{
    pending_drop(net, entry, &net->counters.pending_evicted);
    leave_bucket(net, entry);
    become(net, entry, NEIGHBOUR_FREE);
    counter_add(&net->counters.neighbour_evicted, 1);
}

/*
 * Make room. Addresses that never answered may fill a quarter of the table, so that a scan or a
 * flood with invented addresses does not push out the neighbours we talk to.
 */
static void evict(struct net *net)
{
    struct neighbour_table *table = &net->neighbours;
    bool many_unproven = table->unproven_count > (table->count - NEIGHBOURS_PINNED) / 4;
    struct list *from = &table->proven;
    if (many_unproven || list_is_empty(from))
        from = &table->unproven;
    if (!list_is_empty(from))
        forget(net, list_entry(from->next, struct neighbour, link));
}

struct neighbour *neighbour_take(struct net *net, uint8_t interface,
                                 const struct ip_address *address)
{
    struct neighbour *entry = find(net, interface, address);
    if (entry != NULL)
        return entry;
    if (list_is_empty(&net->neighbours.free))
        evict(net);
    struct list *link = list_pop_front(&net->neighbours.free);
    if (link == NULL)
        return NULL;
    entry = list_entry(link, struct neighbour, link);
    enter(net, entry, interface, address);
    return entry;
}

struct neighbour *neighbour_gateway(struct net *net, uint8_t interface, int family)
{
    return &net->neighbours.entries[2 * interface + family];
}

/* ---- asking ---- */

static void ask(struct net *net, struct neighbour *entry, uint64_t now)
{
    const uint8_t *mac = entry->state == NEIGHBOUR_PROBE ? entry->mac : NULL;
    entry->questions++;
    timer_arm(net->config.wheel, &entry->timer, now + NEIGHBOUR_QUESTION_NS);
    if (!rate_take(&net->question_rate, now)) {
        counter_add(&net->counters.neighbour_ask_over_rate, 1);
        return;
    }
    bool asked = ip_address_is_v4(&entry->address)
                     ? arp_ask(net, entry->interface, &entry->address, mac)
                     : ndp_ask(net, entry->interface, &entry->address, mac);
    if (asked)
        counter_add(&net->counters.neighbour_asked, 1);
}

static void fail(struct net *net, struct neighbour *entry, uint64_t now)
{
    counter_add(&net->counters.neighbour_failed, 1);
    pending_drop(net, entry, &net->counters.pending_failed);
    become(net, entry, NEIGHBOUR_FAILED);
    timer_arm(net->config.wheel, &entry->timer, now + NEIGHBOUR_PAUSE_NS);
}

static void timer_fired(struct timer *timer, void *context, uint64_t now)
{
    struct net *net = context;
    struct neighbour *entry = container_of(timer, struct neighbour, timer);
    if (entry->state == NEIGHBOUR_FAILED) {
        become(net, entry, NEIGHBOUR_UNKNOWN);
        return;
    }
    if (entry->questions < NEIGHBOUR_QUESTIONS) {
        ask(net, entry, now);
        return;
    }
    if (entry->state == NEIGHBOUR_INCOMPLETE) {
        fail(net, entry, now);
        return;
    }
    become(net, entry, NEIGHBOUR_INCOMPLETE); /* it may have moved: ask everybody */
    ask(net, entry, now);
}

/* ---- sending ---- */

static void pending_add(struct net *net, struct neighbour *entry, struct rte_mbuf *packet)
{
    struct neighbour_table *table = &net->neighbours;
    if (entry->pending_count == NEIGHBOUR_PENDING_MAX) {
        /* The newest is worth most (RFC 4861 7.2.2). */
        net_drop(entry->pending[0], &net->counters.pending_replaced);
        memmove(entry->pending, entry->pending + 1,
                (NEIGHBOUR_PENDING_MAX - 1) * sizeof(entry->pending[0]));
        entry->pending[NEIGHBOUR_PENDING_MAX - 1] = packet;
        return;
    }
    if (table->pending_count >= NEIGHBOURS_PENDING_MAX) {
        net_drop(packet, &net->counters.pending_full);
        return;
    }
    entry->pending[entry->pending_count++] = packet;
    table->pending_count++;
    counter_add(&net->counters.pending_queued, 1);
}

static void send_to(struct net *net, const struct neighbour *entry, struct rte_mbuf *packet)
{
    uint16_t ethertype = ip_address_is_v4(&entry->address) ? ETH_TYPE_IPV4 : ETH_TYPE_IPV6;
    eth_out(net, entry->interface, entry->mac, ethertype, packet);
}

static void pending_send(struct net *net, struct neighbour *entry)
{
    for (uint8_t i = 0; i < entry->pending_count; i++)
        send_to(net, entry, entry->pending[i]);
    net->neighbours.pending_count -= entry->pending_count;
    entry->pending_count = 0;
}

/* Start a question when the state wants one before or while a packet is sent. */
static void prepare(struct net *net, struct neighbour *entry, uint64_t now)
{
    if (entry->state == NEIGHBOUR_UNKNOWN) {
        become(net, entry, NEIGHBOUR_INCOMPLETE);
        ask(net, entry, now);
    }
    if (entry->state == NEIGHBOUR_REACHABLE &&
        now - entry->confirmed_at_ns >= NEIGHBOUR_CONFIRMED_NS)
        become(net, entry, NEIGHBOUR_STALE);
    if (entry->state == NEIGHBOUR_STALE) {
        become(net, entry, NEIGHBOUR_PROBE);
        ask(net, entry, now);
    }
}

/* The entry is about to be used. */
static void use(struct net *net, struct neighbour *entry, uint64_t now)
{
    if (!entry->used || now - entry->used_at_ns >= NEIGHBOUR_TOUCH_NS) {
        entry->used = true;
        entry->used_at_ns = now;
        touch(&net->neighbours, entry);
    }
    prepare(net, entry, now);
}

void neighbour_send(struct net *net, struct neighbour *entry, struct rte_mbuf *packet, uint64_t now)
{
    use(net, entry, now);
    if (is_proven(entry->state))
        send_to(net, entry, packet);
    else if (entry->state == NEIGHBOUR_INCOMPLETE)
        pending_add(net, entry, packet);
    else
        net_drop(packet, &net->counters.out_unreachable);
}

/* ---- learning ---- */

static void post(struct net *net, uint8_t interface, const struct ip_address *address,
                 const uint8_t *mac, enum neighbour_news news, uint64_t now)
{
    struct postman *postman = net->config.postman;
    if (postman == NULL || net->config.workers <= 1)
        return;
    if (!rate_take(&net->mail_rate, now)) {
        counter_add(&net->counters.neighbour_mail_over_rate, 1);
        return;
    }
    struct neighbour_mail body = {.address = *address, .interface = interface, .news = news};
    if (mac != NULL)
        memcpy(body.mac, mac, ETH_ADDRESS_BYTES);
    struct mail mail = {.kind = MAIL_NEIGHBOUR, .from = net->config.self};
    memcpy(mail.body, &body, sizeof(body));
    for (uint16_t to = 0; to < net->config.workers; to++) {
        if (to == net->config.self)
            continue;
        bool posted = postman->post(postman, to, &mail);
        counter_add(
            posted ? &net->counters.neighbour_mail_sent : &net->counters.neighbour_mail_full, 1);
    }
}

static bool is_mac_equal(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, ETH_ADDRESS_BYTES) == 0;
}

static void confirm(struct net *net, struct neighbour *entry, const uint8_t *mac, uint64_t now)
{
    if (mac != NULL)
        memcpy(entry->mac, mac, ETH_ADDRESS_BYTES);
    entry->confirmed_at_ns = now;
    become(net, entry, NEIGHBOUR_REACHABLE);
    counter_add(&net->counters.neighbour_confirmed, 1);
    pending_send(net, entry);
}

/* Hearsay: used, but asked about at the first use. False: nothing new. */
static bool hear(struct net *net, struct neighbour *entry, const uint8_t *mac)
{
    if (is_proven(entry->state) && is_mac_equal(entry->mac, mac))
        return false;
    memcpy(entry->mac, mac, ETH_ADDRESS_BYTES);
    become(net, entry, NEIGHBOUR_STALE);
    counter_add(&net->counters.neighbour_seen, 1);
    pending_send(net, entry);
    return true;
}

/* True: other workers should hear of it. */
static bool apply(struct net *net, struct neighbour *entry, const uint8_t *mac,
                  enum neighbour_news news, uint64_t now)
{
    switch (news) {
    case NEIGHBOUR_ANSWERED:
        if (entry != NULL)
            confirm(net, entry, mac, now);
        return true;
    case NEIGHBOUR_ANSWERED_WEAKLY:
        if (entry != NULL && (!is_proven(entry->state) || is_mac_equal(entry->mac, mac)))
            confirm(net, entry, mac, now);
        return true;
    case NEIGHBOUR_CONFIRMED:
        if (entry != NULL && is_proven(entry->state))
            confirm(net, entry, NULL, now);
        return true;
    case NEIGHBOUR_ASKED_US:
        return entry != NULL && hear(net, entry, mac);
    case NEIGHBOUR_ANNOUNCED:
        return entry == NULL || hear(net, entry, mac);
    }
    return false;
}

void neighbour_learn(struct net *net, uint8_t interface, const struct ip_address *address,
                     const uint8_t *mac, enum neighbour_news news, uint64_t now)
{
    if (!route_is_on_link(net, interface, address)) {
        counter_add(&net->counters.neighbour_off_link, 1);
        return;
    }
    struct neighbour *entry = find(net, interface, address);
    if (entry == NULL && news == NEIGHBOUR_ASKED_US)
        entry = neighbour_take(net, interface, address);
    if (apply(net, entry, mac, news, now))
        post(net, interface, address, mac, news, now);
}

/* Mail never makes entries: a worker that needs a neighbour asks for itself. */
void net_neighbour_mail(struct net *net, const struct mail *mail, uint64_t now)
{
    struct neighbour_mail body;
    memcpy(&body, mail->body, sizeof(body));
    check(mail->kind == MAIL_NEIGHBOUR && body.interface < net->config.interface_count);
    counter_add(&net->counters.neighbour_mail_taken, 1);
    struct neighbour *entry = find(net, body.interface, &body.address);
    if (entry != NULL)
        apply(net, entry, body.mac, body.news, now);
}

/* ---- paths ---- */

/* The next hop of a path, looked up again when its entry was given to another address. */
static struct neighbour *next_hop(struct net *net, const struct net_path *path,
                                  const struct ip_address *remote)
{
    uint32_t index = path->neighbour & ((1u << INDEX_BITS) - 1);
    check(index < net->neighbours.count && path->interface < net->config.interface_count);
    struct neighbour *entry = &net->neighbours.entries[index];
    if (entry->pinned || (entry->generation == path->neighbour >> INDEX_BITS &&
                          ip_address_equal(&entry->address, remote)))
        return entry;
    return neighbour_take(net, path->interface, remote);
}

bool net_is_reachable(const struct net *net, const struct net_path *path)
{
    uint32_t index = path->neighbour & ((1u << INDEX_BITS) - 1);
    check(index < net->neighbours.count);
    const struct neighbour *entry = &net->neighbours.entries[index];
    return entry->state != NEIGHBOUR_FAILED || entry->generation != path->neighbour >> INDEX_BITS;
}

const struct neighbour *neighbour_ready(struct net *net, const struct net_path *path,
                                        const struct ip_address *remote, uint64_t now)
{
    struct neighbour *entry = next_hop(net, path, remote);
    if (entry == NULL)
        return NULL;
    use(net, entry, now);
    return is_proven(entry->state) ? entry : NULL;
}

void net_send(struct net *net, const struct net_send *how, struct rte_mbuf *packet, uint64_t now)
{
    struct neighbour *entry = next_hop(net, how->path, how->remote);
    if (entry == NULL) {
        net_drop(packet, &net->counters.out_no_route);
        return;
    }
    if (!ip_out(net, how, NET_HOP_LIMIT, packet))
        return;
    neighbour_send(net, entry, packet, now);
}

/* ---- at start ---- */

static bool table_take(struct net *net, uint32_t count)
{
    struct neighbour_table *table = &net->neighbours;
    uint32_t buckets = 64;
    while (buckets < count)
        buckets *= 2;
    int socket_id = net->config.socket_id;
    table->entries = memory_take("neighbours", count * sizeof(*table->entries), socket_id);
    table->buckets = memory_take("neighbour index", buckets * sizeof(uint32_t), socket_id);
    table->bucket_mask = buckets - 1;
    table->count = count;
    return table->entries != NULL && table->buckets != NULL;
}

static void pin_gateways(struct net *net)
{
    for (uint8_t i = 0; i < net->config.interface_count; i++) {
        const struct net_interface *interface = &net->config.interfaces[i];
        if (interface->has_gateway_v4)
            enter(net, neighbour_gateway(net, i, 0), i, &interface->gateway_v4);
        if (interface->has_gateway_v6)
            enter(net, neighbour_gateway(net, i, 1), i, &interface->gateway_v6);
    }
}

bool neighbours_init(struct net *net)
{
    struct neighbour_table *table = &net->neighbours;
    if (!table_take(net, NEIGHBOURS_PINNED + net->config.neighbours_max))
        return false;
    table->key.k0 = random_u64(net->config.random);
    table->key.k1 = random_u64(net->config.random);
    list_init(&table->free);
    list_init(&table->proven);
    list_init(&table->unproven);
    memset(table->buckets, 0xff, (table->bucket_mask + 1) * sizeof(uint32_t));
    for (uint32_t i = 0; i < table->count; i++) {
        struct neighbour *entry = &table->entries[i];
        list_init(&entry->link);
        timer_init(&entry->timer, timer_fired, net);
        entry->pinned = i < NEIGHBOURS_PINNED;
        touch(table, entry);
    }
    pin_gateways(net);
    return true;
}
