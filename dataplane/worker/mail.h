/* The rings between workers. Private to dataplane/worker; see mail.c. */
#pragma once

#include "dataplane/worker/worker_internal.h"

/* Set up the worker's postman. At creation. */
void mail_init(struct worker *worker);

/* Deliver what other workers sent, a bounded number from each. True: there was something. */
bool mail_take(struct worker *worker, uint64_t now);

/* Give the arrivals that belong to other workers to them. Takes over the mbufs. */
void mail_hand_over(struct worker *worker, const struct net_arrivals *arrivals);
