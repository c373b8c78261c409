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
    steer_entries_free(&table->change.wanted);
    steer_entries_free(&table->change.after);
    table->change = (struct steer_change){0};
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

/* ---- In pieces ---- */

static void start_change(struct steer_table *table, struct steer_entries *wanted)
{
    table->change = (struct steer_change){.wanted = *wanted};
    *wanted = (struct steer_entries){0};
}

void steer_table_begin(struct steer_table *table, struct steer_entries *wanted)
{
    struct steer_change *change = &table->change;

    if (!change->wanted.at) {
        start_change(table, wanted);
        return;
    }
    steer_entries_free(&change->after);
    change->after = *wanted;
    *wanted = (struct steer_entries){0};
}

/* Puts in what is missing, from where the change stands. BUDGET is used up by system calls. */
static int add_some(struct steer_table *table, size_t *budget)
{
    struct steer_change *change = &table->change;
    const struct steer_entries *held = &table->held;

    for (; change->wanted_at < change->wanted.count; change->wanted_at++) {
        const struct steer_entry *entry = &change->wanted.at[change->wanted_at];
        int error;

        change->held_at = skip_smaller(held, change->held_at, entry);
        if (has_at(held, change->held_at, entry) && held->at[change->held_at].value == entry->value)
            continue;
        if (*budget == 0)
            return 1;
        (*budget)--;
        error = bpf_map_update_elem(table->fd, entry->key, &entry->value, BPF_ANY);
        if (error)
            return error;
    }
    change->removing = true;
    change->wanted_at = change->held_at = 0;
    return 0;
}

/* Takes out what is not wanted. */
static int remove_some(struct steer_table *table, size_t *budget)
{
    struct steer_change *change = &table->change;

    for (; change->held_at < table->held.count; change->held_at++) {
        const struct steer_entry *entry = &table->held.at[change->held_at];
        int error;

        change->wanted_at = skip_smaller(&change->wanted, change->wanted_at, entry);
        if (has_at(&change->wanted, change->wanted_at, entry))
            continue;
        if (*budget == 0)
            return 1;
        (*budget)--;
        error = bpf_map_delete_elem(table->fd, entry->key);
        if (error && error != -ENOENT)
            return error;
    }
    return 0;
}

/* The map holds what was wanted. Something else may be wanted by now. */
static void end_change(struct steer_table *table)
{
    struct steer_change *change = &table->change;
    struct steer_entries after = change->after;

    steer_entries_free(&table->held);
    table->held = change->wanted;
    *change = (struct steer_change){0};
    if (after.at)
        start_change(table, &after);
}

static int give_up_change(struct steer_table *table, int error)
{
    steer_entries_free(&table->change.wanted);
    steer_entries_free(&table->change.after);
    table->change = (struct steer_change){0};
    steer_table_reload(table);
    return error;
}

int steer_table_continue(struct steer_table *table, size_t budget)
{
    while (table->change.wanted.at) {
        int result = table->change.removing ? 0 : add_some(table, &budget);

        if (result == 0)
            result = remove_some(table, &budget);
        if (result < 0)
            return give_up_change(table, result);
        if (result > 0)
            return 1;
        end_change(table);
    }
    return 0;
}
