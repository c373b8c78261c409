/*
 * access_file: lines on their way to a file, of the access log or the key log. The control thread
 * adds them to a buffer and never waits; a thread of its own writes them. What does not fit the
 * buffer because the disk is slower is lost and counted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct access_file;

struct access_file_counts {
    uint64_t lines;
    uint64_t lost;   /* the buffer was full, the file is not open or did not take them */
    uint64_t torn;   /* of them: the beginning was written, and then an end of line */
    uint64_t failed; /* times that the file could not be opened or written */
};

/*
 * NULL: no memory. Without a file. KEY is what the configuration calls it; a new file has MODE, and
 * with a mode for its owner alone so has one that was there before.
 */
struct access_file *access_file_create(const char *key, mode_t mode);

/* What was added is written before. May wait for the disk, and a second for a pipe. */
void access_file_destroy(struct access_file *file);

/*
 * Where lines go from here on: a file, "-": standard output, "": nowhere. A pipe that nobody reads
 * cannot be opened: it takes a reader and access_file_reopen().
 */
void access_file_set(struct access_file *file, const char *path);

/* Open the file anew, behind what was added so far: it has been renamed. */
void access_file_reopen(struct access_file *file);

/* A whole line with its '\n'. False: it is lost, counted. */
bool access_file_add(struct access_file *file, const char *line, size_t length);

struct access_file_counts access_file_counts(struct access_file *file);
