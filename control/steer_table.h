/*
 * steer_table: one BPF map of the XDP program, with a copy of what it holds, so that a change costs
 * system calls only for what differs. For steer.c; control thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STEER_KEY_MAX 20

/* A map entry; a shorter key is padded with zeros. */
struct steer_entry {
    uint8_t key[STEER_KEY_MAX];
    uint32_t value;
};

/* A list the caller fills, then sorts. */
struct steer_entries {
    struct steer_entry *at;
    size_t count;
};

struct steer_table {
    int fd; /* -1: not open; owned */
    uint32_t key_size;
    struct steer_entries held; /* sorted; owned */
};

/* Room for LIMIT entries; at == NULL and -ENOMEM if there is none. Freed by steer_entries_free. */
int steer_entries_make(struct steer_entries *entries, size_t limit);
void steer_entries_free(struct steer_entries *entries);
/* The caller made enough room. */
void steer_entries_add(struct steer_entries *entries, const void *key, size_t key_size,
                       uint32_t value);
/* Sorts by key; entries of one key become one, their values or'ed. */
void steer_entries_sort(struct steer_entries *entries);
/* Of sorted entries. */
bool steer_entries_have(const struct steer_entries *entries, const void *key, size_t key_size);

/* Takes the map FD over and reads what it holds. 0 or a negative errno, and then FD is closed. */
int steer_table_open(struct steer_table *table, int fd, uint32_t key_size);
void steer_table_close(struct steer_table *table);

/* Put in what WANTED (sorted) has and the table has not, or has with another value. */
int steer_table_add(struct steer_table *table, const struct steer_entries *wanted);
/* Take out what WANTED (sorted) has not, then own WANTED's list, which is left empty. */
int steer_table_remove(struct steer_table *table, struct steer_entries *wanted);
/* Read what the map holds again, after one of the two above has failed. 0 or a negative errno. */
int steer_table_reload(struct steer_table *table);
