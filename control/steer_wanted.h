/* steer_wanted: steering rules in the form of the maps' entries. For steer.c; no system calls. */
#pragma once

#include "control/steer.h"
#include "control/steer_table.h"

/* Sorted, each key once. */
struct steer_wanted {
    struct steer_entries listeners;
    struct steer_entries addresses;
    struct steer_entries denied;
};

/* 0, and then steer_wanted_free() is due; or -EINVAL, -E2BIG, -ENOMEM with MESSAGE. */
int steer_wanted_make(struct steer_wanted *wanted, const struct steer_rules *rules, char *message,
                      size_t size);
void steer_wanted_free(struct steer_wanted *wanted);
