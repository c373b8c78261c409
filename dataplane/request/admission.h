/*
 * admission: whether a request is taken at all (rule C29). It is asked once, before anything is
 * kept of the request, and answers at once: who is refused gets 503 with `retry-after`, which names
 * the limit. One in REFUSALS_SHARE exchanges is there for those who are not admitted; when these
 * are all in use, streams are reset with REFUSED_STREAM instead, which promises that nothing was
 * done (RFC 9113 8.7). So who may come in never misses an exchange because of those who may not.
 * One worker.
 *
 * Two limits: requests in progress on this worker, and those of one principal, who moreover never
 * has more than PRINCIPAL_SHARE times what is left: there is always room for somebody else. The
 * snapshot brings them; 0 is all that there are exchanges for.
 *
 * Priorities (region/priority.h): each may fill the worker up to its part of the limit. Who is to
 * be shed first has the smaller part.
 */
#pragma once

#include "dataplane/region/priority.h"

#include <stdbool.h>
#include <stdint.h>

#define REFUSALS_SHARE 16

struct principal;
struct snapshot_admission;

enum admission_verdict {
    ADMISSION_OK,
    ADMISSION_FULL,      /* the worker's limit */
    ADMISSION_PRINCIPAL, /* the principal's */
};

/* Owner: the worker's request engine. */
struct admission {
    uint32_t most; /* that there are exchanges for */
    uint32_t limit;
    uint32_t principal_limit;
    uint32_t in_progress;
    uint32_t refusals_most;
    uint32_t refusals; /* under way: exchanges that were not admitted */
};

void admission_init(struct admission *admission, uint32_t exchanges_max);

/* The limits from now on; those who are in stay in. Once a step. */
void admission_set(struct admission *admission, const struct snapshot_admission *limits);

/* One more request of the principal. ADMISSION_OK: it counts until admission_end(). O(1). */
enum admission_verdict admission_ask(struct admission *admission, struct principal *principal,
                                     enum priority priority);
void admission_end(struct admission *admission, struct principal *principal);

/* A request that is not admitted is about to be told so. False: there is no room for that. O(1). */
bool admission_refusal_begins(struct admission *admission);
void admission_refusal_ends(struct admission *admission);
