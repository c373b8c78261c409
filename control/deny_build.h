/*
 * deny_build: the deny list as workers read it. Built once for a configuration and shared by its
 * snapshots, which come with every change of health. Control thread.
 */
#pragma once

#include "dataplane/net/deny.h"

/* NULL: COUNT is 0, or no memory (*FAILED). Held once. Cost: a sort, 15 ms for 65,536 networks. */
const struct deny_table *deny_build(const struct ip_prefix *networks, uint32_t count, bool *failed);

/* One more holder, one holder less; NULL is allowed. The last one frees it. */
const struct deny_table *deny_hold(const struct deny_table *table);
void deny_drop(const struct deny_table *table);
