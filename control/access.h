/*
 * access: the access log (rule C24): records of the workers, by name and as lines, into a file.
 * Control thread.
 */
#pragma once

#include "control/access_file.h"
#include "control/config.h"
#include "dataplane/worker/worker.h"

struct access;

/* NULL: no memory. */
struct access *access_create(void);
void access_destroy(struct access *access);

/* A configuration that is valid from here on, and as long as the next one is not told. */
void access_apply(struct access *access, const struct config *config);

/* Records that a worker has left, at most MAX. Returns how many there were. */
uint32_t access_take(struct access *access, uint16_t index, struct worker *worker, uint32_t max);

/* The file has been renamed. */
void access_reopen(struct access *access);

struct access_file_counts access_counts(struct access *access);
