/*
 * metrics: the HTTP endpoint for monitoring, on an address of the host's own (not of the workers):
 * GET /metrics is Prometheus' text, GET /ready says whether this node should be sent traffic. It
 * runs on the control loop; no request waits for anything. Control thread.
 */
#pragma once

#include "control/daemon.h"

struct metrics;

/* NULL: no memory. Listens nowhere. */
struct metrics *metrics_create(struct daemon *daemon);
void metrics_destroy(struct metrics *metrics);

/*
 * Listen at LISTEN ("127.0.0.1:9180", "" nowhere; config_check.c has seen it) instead of where it
 * did. False: it cannot, MESSAGE says why, and all is as before. Connections that are open end.
 */
bool metrics_listen(struct metrics *metrics, const char *listen, char *message,
                    size_t message_size);
