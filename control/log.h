/*
 * log: one line an event, "time level text", to standard error or a file, without ever blocking
 * the control thread: what does not fit the pipe or disk at once is dropped and counted.
 * Control thread.
 */
#pragma once

#include <stdint.h>

enum log_level {
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_ERROR,
};

/* PATH "" is standard error. 0, or -errno when the file cannot be opened. */
int log_open(const char *path);

/* Open the file anew: it has been renamed. 0, or -errno: the old one stays. */
int log_reopen(void);

__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *format, ...);

/* Lines that were dropped because the log did not take them. */
uint64_t log_dropped(void);
