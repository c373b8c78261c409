#include "tests/sim/nodes_disk.h"

#include "control/region_text.h"

#include <stdlib.h>
#include <string.h>

/* One file. */
struct copy {
    bool exists;
    uint64_t saved_ms;
    struct region_state state;
    struct region_local local;
};

struct region_snapshot {
    struct copy now;
    struct copy before; /* as it was before the last write */
    struct copy backup;
};

static struct region_snapshot disks[NODES_MAX];

static struct region_snapshot *disk_of(const char *directory)
{
    return &disks[strtoul(directory + 1, NULL, 10)];
}

void nodes_disk_begin(void)
{
    memset(disks, 0, sizeof(disks));
}

void nodes_disk_suffer(uint32_t node, enum nodes_disk_fate fate)
{
    struct region_snapshot *disk = &disks[node];
    if (fate == NODES_DISK_LATE)
        disk->now = disk->before;
    if (fate == NODES_DISK_OLD)
        disk->now = disk->backup;
    if (fate == NODES_DISK_GONE)
        disk->now.exists = false;
}

void nodes_disk_back_up(uint32_t node)
{
    disks[node].backup = disks[node].now;
}

struct region_snapshot *region_snapshot_create(const char *directory)
{
    return disk_of(directory);
}

void region_snapshot_destroy(struct region_snapshot *snapshot)
{
}

void region_snapshot_save(struct region_snapshot *snapshot, const struct region_state *state,
                          const struct region_local *local, uint64_t now_ms)
{
    snapshot->before = snapshot->now;
    snapshot->now = (struct copy){true, now_ms, *state, *local};
}

int region_snapshot_error(struct region_snapshot *snapshot)
{
    return 0;
}

bool region_snapshot_load(const char *directory, const struct config *config, uint64_t now_ms,
                          uint64_t max_age_ms, struct region_state *state,
                          struct region_local *local)
{
    const struct copy *copy = &disk_of(directory)->now;
    if (!copy->exists || now_ms > copy->saved_ms + max_age_ms ||
        region_active_count(&copy->state) == 0)
        return false;
    *state = copy->state;
    *local = copy->local;
    region_state_reorder(state, config);
    return true;
}
