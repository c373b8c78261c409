/*
 * metrics_text: everything that is counted, in the text format of Prometheus
 * (https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4). Control thread.
 */
#pragma once

#include "control/daemon.h"

/* malloc'd, *OUT_LENGTH bytes; NULL: no memory. O(counters * workers + backends). */
char *metrics_text(struct daemon *daemon, size_t *out_length);
