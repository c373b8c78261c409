/*
 * publisher: gives workers their snapshot and takes back the ones nobody reads any more.
 *
 * Publishing is one pointer swap (release); an old snapshot waits in a short queue with the
 * quiescence token of its swap and is freed once every worker has passed it. Control thread.
 */
#pragma once

#include "control/config.h"
#include "control/cookie_secret.h"
#include "control/failover.h"
#include "dataplane/worker/worker.h"

struct publisher;

struct publisher *publisher_create(struct worker_shared *shared);

/* Build and swap. False: no memory, the old snapshot stays. */
bool publisher_publish(struct publisher *publisher, const struct config *config,
                       const struct failover *failover, const struct cookie_secrets *secrets,
                       bool draining);

/* Free what all workers have passed. Never waits. */
void publisher_reclaim(struct publisher *publisher);

/* The generation published last; 0 before the first. */
uint64_t publisher_generation(const struct publisher *publisher);
