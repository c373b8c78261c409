/*
 * access_line: one access record as a line of JSON (docs/operations.md). Pure; any thread.
 *
 * What a peer sent stays what it is where it is UTF-8 without control characters; any other byte is
 * written as \u00XX.
 */
#pragma once

#include "dataplane/worker/worker.h"

/* Enough for any record: each byte of its texts may take six. */
#define ACCESS_LINE_BYTES 4096

/* What the line says beyond the record; names are "" where there is none. */
struct access_names {
    uint16_t worker;
    int64_t clock_ahead_ns; /* the wall clock's time less that of the record */
    const char *listener;
    const char *region;
    const char *backend;
};

/* The line with its '\n' in OUT of ACCESS_LINE_BYTES. Returns its length. */
size_t access_line(const struct access_record *record, const struct access_names *names, char *out);
