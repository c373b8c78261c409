#include "control/steer_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

int steer_entries_make(struct steer_entries *entries, size_t limit)
{
    *entries = (struct steer_entries){0};
    entries->at = calloc(limit ? limit : 1, sizeof(*entries->at));
    return entries->at ? 0 : -ENOMEM;
}

void steer_entries_free(struct steer_entries *entries)
{
    free(entries->at);
    *entries = (struct steer_entries){0};
}

void steer_entries_add(struct steer_entries *entries, const void *key, size_t key_size,
                       uint32_t value)
{
    struct steer_entry *entry = &entries->at[entries->count++];

    memset(entry, 0, sizeof(*entry));
    memcpy(entry->key, key, key_size);
    entry->value = value;
}

static int compare_keys(const void *a, const void *b)
{
    const struct steer_entry *left = a, *right = b;

    return memcmp(left->key, right->key, sizeof(left->key));
}

void steer_entries_sort(struct steer_entries *entries)
{
    size_t kept = 0;

    if (entries->count == 0)
        return;
    qsort(entries->at, entries->count, sizeof(*entries->at), compare_keys);
    for (size_t i = 1; i < entries->count; i++) {
        if (compare_keys(&entries->at[kept], &entries->at[i]) == 0)
            entries->at[kept].value |= entries->at[i].value;
        else
            entries->at[++kept] = entries->at[i];
    }
    entries->count = kept + 1;
}

bool steer_entries_have(const struct steer_entries *entries, const void *key, size_t key_size)
{
    struct steer_entry entry = {0};

    if (entries->count == 0)
        return false;
    memcpy(entry.key, key, key_size);
    return bsearch(&entry, entries->at, entries->count, sizeof(entry), compare_keys) != NULL;
}

/* Doubles the room when it is full. */
static int make_room(struct steer_entries *entries, size_t *room)
{
    struct steer_entry *grown;

    if (entries->count < *room)
        return 0;
    grown = realloc(entries->at, 2 * *room * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    entries->at = grown;
    *room *= 2;
    return 0;
}

/* Walks the map. Nobody else changes it, so that no entry is missed or seen twice. */
static int read_map(const struct steer_table *table, struct steer_entries *entries)
{
    uint8_t key[STEER_KEY_MAX] = {0};
    uint8_t *previous = NULL;
    size_t room = 64;
    int error = steer_entries_make(entries, room);

    while (!error && bpf_map_get_next_key(table->fd, previous, key) == 0) {
        uint32_t value = 0;

        previous = key;
        error = bpf_map_lookup_elem(table->fd, key, &value);
        if (!error)
            error = make_room(entries, &room);
        if (!error)
            steer_entries_add(entries, key, table->key_size, value);
    }
    if (error)
        steer_entries_free(entries);
    else
        steer_entries_sort(entries);
    return error;
}

int steer_table_reload(struct steer_table *table)
{
    struct steer_entries entries;
    int error = read_map(table, &entries);

    if (error)
        return error;
    steer_entries_free(&table->held);
    table->held = entries;
    return 0;
}

int steer_table_open(struct steer_table *table, int fd, uint32_t key_size)
{
    int error;

    *table = (struct steer_table){.fd = fd, .key_size = key_size};
    error = steer_table_reload(table);
    if (error)
        steer_table_close(table);
    return error;
}

void steer_table_close(struct steer_table *table)
{
    if (table->fd >= 0)
        close(table->fd);
    table->fd = -1;
    steer_entries_free(&table->held);
}

/* The place, from AT on, of the first of ENTRIES whose key is not smaller than ENTRY's. */
static size_t skip_smaller(const struct steer_entries *entries, size_t at,
                           const struct steer_entry *entry)
{
    while (at < entries->count && compare_keys(&entries->at[at], entry) < 0)
        at++;
    return at;
}

static bool has_at(const struct steer_entries *entries, size_t at, const struct steer_entry *entry)
{
    return at < entries->count && compare_keys(&entries->at[at], entry) == 0;
}

int steer_table_add(struct steer_table *table, const struct steer_entries *wanted)
{
    const struct steer_entries *held = &table->held;
    size_t at = 0;

    for (size_t i = 0; i < wanted->count; i++) {
        const struct steer_entry *entry = &wanted->at[i];
        int error;

        at = skip_smaller(held, at, entry);
        if (has_at(held, at, entry) && held->at[at].value == entry->value)
            continue;
        error = bpf_map_update_elem(table->fd, entry->key, &entry->value, BPF_ANY);
        if (error)
            return error;
    }
    return 0;
}

int steer_table_remove(struct steer_table *table, struct steer_entries *wanted)
{
    size_t at = 0;

    for (size_t i = 0; i < table->held.count; i++) {
        const struct steer_entry *entry = &table->held.at[i];
        int error;

        at = skip_smaller(wanted, at, entry);
        if (has_at(wanted, at, entry))
            continue;
        error = bpf_map_delete_elem(table->fd, entry->key);
        if (error && error != -ENOENT)
            return error;
    }
    steer_entries_free(&table->held);
    table->held = *wanted;
    *wanted = (struct steer_entries){0};
    return 0;
}
