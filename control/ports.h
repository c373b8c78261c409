/*
 * ports: the ethdevs of the process and the steering programs in front of the AF_XDP ones. Main
 * thread at start and end, control thread in between.
 */
#pragma once

#include "control/config.h"
#include "control/steer.h"
#include "dataplane/net/net.h"
#include "dataplane/net/port_setup.h"

#define PORTS_MAX NET_INTERFACES_MAX

struct ports {
    uint32_t count;
    struct port ports[PORTS_MAX];
    struct steer *steers[PORTS_MAX]; /* NULL: no steering program */
};

/* Open all ports with one queue a worker. 0, or -1 with MESSAGE; what was opened is closed again. */
int ports_open(struct ports *ports, const struct config *config, char *message,
               size_t message_size);

/* Tell the steering programs what is ours: service addresses, our own, the deny list. */
int ports_steer(struct ports *ports, const struct config *config, char *message,
                size_t message_size);

/*
 * The same while traffic flows: deny lists change in pieces, by ports_steer_more(). Until they have,
 * the workers drop what the steering programs still let through.
 */
int ports_steer_begin(struct ports *ports, const struct config *config, char *message,
                      size_t message_size);

/* One piece, a few milliseconds. True: there is more. A failure is logged and ends the change. */
bool ports_steer_more(struct ports *ports);

/* Give the traffic back to the kernel first, then close. The workers have stopped. */
void ports_close(struct ports *ports);

/* The interfaces of all ports, as a worker's net wants them. Returns the count. */
uint8_t ports_interfaces(const struct ports *ports, const struct config *config,
                         struct net_interface out[NET_INTERFACES_MAX]);
