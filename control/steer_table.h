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

/* A change that goes on in pieces. */
struct steer_change {
    struct steer_entries wanted; /* sorted; owned; at == NULL: there is no change under way */
    struct steer_entries after;  /* what is wanted when this is done; at == NULL: nothing else */
    bool removing;               /* everything wanted is in */
    size_t wanted_at;            /* how far the walk over both lists has come */
    size_t held_at;
};

struct steer_table {
    int fd; /* -1: not open; owned */
    uint32_t key_size;
    struct steer_entries held; /* sorted; owned; as it was before the change under way */
    struct steer_change change;
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
/*
 * The same in pieces: begin to make the table hold WANTED (sorted), whose list is taken over and left
 * empty. While a change is under way the new one waits for its end, and replaces one that waits.
 */
void steer_table_begin(struct steer_table *table, struct steer_entries *wanted);
/*
 * Go on, with at most BUDGET system calls. 1: there is more to do; 0: the table holds what is wanted;
 * negative errno: the change is given up, what the map holds was read again.
 */
int steer_table_continue(struct steer_table *table, size_t budget);

/* Read what the map holds again, after one of the two above has failed. 0 or a negative errno. */
int steer_table_reload(struct steer_table *table);
