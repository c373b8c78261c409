/*
 * announce: neighbours and switches learn where our addresses are: gratuitous ARP (RFC 5227 2.3),
 * unsolicited neighbour advertisements (RFC 4861 7.2.6) and reports of their multicast groups
 * (RFC 3810 6.1). Three times, a second apart: nobody acknowledges them, and the first may find the
 * other end of the link not up yet. A neighbour that missed it would send to where the addresses
 * were before until it finds out by itself.
 *
 * Timers: one a net, armed by net_announce(), for ever: the groups are repeated from time to time.
 */
#include "dataplane/net/net_internal.h"

#define TIMES            3               /* RFC 4861 10: MAX_NEIGHBOR_ADVERTISEMENT */
#define INTERVAL_NS      CLOCK_S         /* RFC 4861 10: RetransTimer */
#define GROUPS_REPEAT_NS (100 * CLOCK_S) /* snooping forgets after 260 s (RFC 3810 9.4) */

static void announce_address(struct net *net, uint8_t interface, const struct local_address *local)
{
    if ((local->interfaces >> interface & 1) == 0)
        return;
    struct transmit *transmit = &net->transmits[net->config.interfaces[interface].port];
    if (transmit->count == NET_TRANSMIT_MAX)
        net_flush(net);
    if (ip_address_is_v4(&local->address))
        arp_announce(net, interface, &local->address);
    else
        ndp_announce(net, interface, &local->address);
}

static void announce_all(struct net *net)
{
    for (uint32_t i = 0; i < LOCAL_SLOTS; i++)
        for (uint8_t j = 0; net->local.slots[i].used && j < net->config.interface_count; j++)
            announce_address(net, j, &net->local.slots[i]);
    net_flush(net);
}

/* Whatever is due now, and the timer for the next time. */
static void announce_next(struct net *net, uint64_t now)
{
    bool is_news = net->announcements_left > 0;
    if (is_news) {
        net->announcements_left--;
        announce_all(net);
    }
    mld_report(net, is_news);
    uint64_t wait_ns = net->announcements_left > 0 ? INTERVAL_NS : GROUPS_REPEAT_NS;
    timer_arm(net->config.wheel, &net->announce_timer, now + wait_ns);
}

static void fire(struct timer *timer, void *context, uint64_t now)
{
    announce_next(context, now);
}

void announce_init(struct net *net)
{
    timer_init(&net->announce_timer, fire, net);
}

void net_announce(struct net *net, uint64_t now)
{
    net->announcements_left = TIMES;
    announce_next(net, now);
}
