/*
 * running_file: keeps the applied configuration in state_dir/running.json. A thread of its own
 * writes, since a disk may take its time: the control thread never waits for it. The file is
 * replaced as a whole; when several versions are waiting only the last one is written.
 */
#pragma once

#include <stddef.h>

struct running_file;

enum running_file_state {
    RUNNING_FILE_NONE, /* nothing was applied since the start */
    RUNNING_FILE_WRITING,
    RUNNING_FILE_WRITTEN,
    RUNNING_FILE_FAILED,
};

/* NULL: no memory. */
struct running_file *running_file_create(const char *directory);

/* Waits for what is being written. NULL is allowed. */
void running_file_destroy(struct running_file *file);

/* Have TEXT (malloc'd, taken over) written. Control thread; does not wait. */
void running_file_write(struct running_file *file, char *text);

/* How the last write stands; the reason of a failure is in MESSAGE. */
enum running_file_state running_file_state(struct running_file *file, char *message, size_t size);
