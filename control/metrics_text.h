/*
 * metrics_text: everything that is counted, in the text format of Prometheus
 * (https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4). Control thread.
 */
#pragma once

#include "control/daemon.h"

/*
 * malloc'd, *OUT_LENGTH bytes; NULL: no memory. It is the PAGES-th one, which it says. O(counters *
 * workers + backends).
 */
char *metrics_text(struct daemon *daemon, uint64_t pages, size_t *out_length);
