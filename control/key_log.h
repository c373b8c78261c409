/*
 * key_log: the secrets of TLS sessions, from the workers into `tls.key_log_file`, which belongs to
 * its owner alone (mode 0600). Who reads it reads everything that went over TLS. Control thread.
 */
#pragma once

#include "control/access_file.h"
#include "dataplane/worker/worker.h"

struct key_log;

/* From here on lines go to PATH. NULL: no memory. */
struct key_log *key_log_create(const char *path);

/* What was taken is written before. NULL is allowed, here and below. */
void key_log_destroy(struct key_log *log);

/* Lines that a worker has left, at most MAX. Returns how many there were. */
uint32_t key_log_take(struct key_log *log, struct worker *worker, uint32_t max);

/* The file has been renamed. */
void key_log_reopen(struct key_log *log);

struct access_file_counts key_log_counts(struct key_log *log);
