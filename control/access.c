#include "control/access.h"

#include "control/access_line.h"
#include "dataplane/base/clock.h"

#include <stdlib.h>
#include <time.h>

struct access {
    struct access_file *file;
    const struct config *config;
    uint16_t
        backends[SNAPSHOT_BACKENDS_MAX]; /* by slot: 1 + index into config->backends; 0: none */
};

struct access *access_create(void)
{
    struct access *access = calloc(1, sizeof(*access));
    if (access == NULL)
        return NULL;
    access->file = access_file_create("log.access.path", 0640);
    if (access->file != NULL)
        return access;
    free(access);
    return NULL;
}

void access_destroy(struct access *access)
{
    if (access == NULL)
        return;
    access_file_destroy(access->file);
    free(access);
}

void access_apply(struct access *access, const struct config *config)
{
    access->config = config;
    memset(access->backends, 0, sizeof(access->backends));
    for (uint32_t i = 0; i < config->backend_count; i++)
        access->backends[config->backends[i].slot] = (uint16_t)(i + 1);
    access_file_set(access->file, config->log.access.path);
}

/* Now, on the wall clock less on the workers' clock. */
static int64_t clock_ahead_ns(void)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    return (int64_t)((uint64_t)wall.tv_sec * CLOCK_S + (uint64_t)wall.tv_nsec - clock_now_ns());
}

/* The backend that the record means, if the configuration still has it. */
static const struct config_backend *backend_of(const struct access *access,
                                               const struct flight_story *story)
{
    if (story->backend_slot >= SNAPSHOT_BACKENDS_MAX || access->backends[story->backend_slot] == 0)
        return NULL;
    const struct config_backend *backend =
        &access->config->backends[access->backends[story->backend_slot] - 1];
    return backend->generation == story->backend_generation ? backend : NULL;
}

static const char *listener_name(const struct config *config, const struct access_record *record)
{
    for (uint32_t i = 0; i < config->listener_count; i++)
        if (config->listeners[i].port == record->listener_port &&
            ip_address_equal(&config->listeners[i].address, &record->listener))
            return config->listeners[i].name;
    return "";
}

static void write_line(struct access *access, const struct access_record *record,
                       struct access_names *names)
{
    char line[ACCESS_LINE_BYTES];
    const struct config_backend *backend = backend_of(access, &record->story);
    names->listener = listener_name(access->config, record);
    names->region = backend != NULL ? access->config->regions[backend->region].name : "";
    names->backend = backend != NULL ? backend->name : "";
    (void)access_file_add(access->file, line, access_line(record, names, line));
}

uint32_t access_take(struct access *access, uint16_t index, struct worker *worker, uint32_t max)
{
    struct access_names names = {.worker = index, .clock_ahead_ns = clock_ahead_ns()};
    const struct access_record *record;
    uint32_t taken = 0;
    for (; taken < max && (record = worker_record(worker)) != NULL; taken++) {
        write_line(access, record, &names);
        worker_record_done(worker);
    }
    return taken;
}

void access_reopen(struct access *access)
{
    access_file_reopen(access->file);
}

struct access_file_counts access_counts(struct access *access)
{
    return access_file_counts(access->file);
}
