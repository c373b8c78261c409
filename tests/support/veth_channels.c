/*
 * veth_channels: preloaded into a program under test, lets veth interfaces say how many queues they
 * have in the words the AF_XDP driver of DPDK 22.11 understands.
 *
 * The driver asks ETHTOOL_GCHANNELS and believes combined channels only. NICs report those; veth
 * reports receive and transmit channels separately and so would be limited to one queue, whatever
 * it has. Here an interface without combined channels has as many as the smaller of the two.
 */
#include <dlfcn.h>
#include <net/if.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include <linux/ethtool.h>
#include <linux/sockios.h>

static __u32 smaller(__u32 a, __u32 b)
{
    return a < b ? a : b;
}

static void combine(struct ethtool_channels *channels)
{
    if (channels->max_combined != 0)
        return;
    channels->max_combined = smaller(channels->max_rx, channels->max_tx);
    channels->combined_count = smaller(channels->rx_count, channels->tx_count);
}

int ioctl(int fd, unsigned long request, ...)
{
    int (*real)(int, unsigned long, ...) =
        (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    struct ethtool_channels *channels;
    va_list arguments;
    void *argument;
    int result;

    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    result = real(fd, request, argument);
    if (result != 0 || request != SIOCETHTOOL)
        return result;
    channels = (void *)((struct ifreq *)argument)->ifr_data;
    if (channels->cmd == ETHTOOL_GCHANNELS)
        combine(channels);
    return result;
}
