/* load_sum: attempts and connections of a backend, of all workers together. Control thread. */
#pragma once

#include "control/daemon.h"

struct load_sum {
    uint64_t in_flight;
    uint64_t connections;
    uint64_t succeeded; /* since the backend's life began */
    uint64_t failed;    /* likewise */
};

struct load_sum load_sum(const struct daemon *daemon, const struct config_backend *backend);
