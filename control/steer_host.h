/* steer_host: what steer.c has to know of the host it runs on. Control thread only. */
#pragma once

#include <stddef.h>

#include "control/steer_table.h"

/*
 * -EADDRINUSE, with MESSAGE, if one of ADDRESSES (sorted, keys are struct ip_address) is
 * assigned to an interface of the host other than loopback: redirecting it would cut the host off
 * from its own traffic, an operator's login included. Another negative errno: cannot be told. 0:
 * none is.
 */
int steer_host_refuse(const struct steer_entries *addresses, char *message, size_t size);

/* Writes MESSAGE, of SIZE bytes, and returns -ERROR. */
__attribute__((format(printf, 4, 5))) int steer_fail(int error, char *message, size_t size,
                                                     const char *format, ...);
