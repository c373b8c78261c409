#include "control/region_snapshot.h"

#include "control/region_text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME     "regions.state"
#define HEAD          "weir regions 1"
#define TAIL          "end"
#define LINE_BYTES    (REGION_FIELD_MAX + REGION_VALUE_MAX + 2)
#define PATH_BYTES    320
#define CLOCK_STEP_MS 60000u

struct region_snapshot {
    char path[PATH_BYTES];
    char directory[PATH_BYTES];
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows; held for copies only */
    pthread_cond_t wake;
    bool waiting;
    bool ending;
    int error;
    uint64_t saved_ms;
    struct region_state state;
    struct region_local local;
};

static void put_line(void *context, const char *field, const char *value)
{
    fprintf(context, "%s %s\n", field, value);
}

/* Everything, or an errno. */
static int write_to(const char *path, const struct region_state *state,
                    const struct region_local *local, uint64_t saved_ms)
{
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return errno;
    fprintf(file, HEAD "\nsaved %" PRIu64 "\n", saved_ms);
    region_text_put(state, put_line, file);
    region_text_put_local(local, put_line, file);
    fprintf(file, TAIL "\n");
    bool written = fflush(file) == 0 && fsync(fileno(file)) == 0;
    int error = written ? 0 : errno;
    if (fclose(file) != 0 && error == 0)
        error = errno;
    return error;
}

static int write_file(const struct region_snapshot *snapshot, const struct region_state *state,
                      const struct region_local *local, uint64_t saved_ms)
{
    char path[PATH_BYTES + 8];
    snprintf(path, sizeof(path), "%s.new", snapshot->path);
    int error = write_to(path, state, local, saved_ms);
    if (error == 0 && rename(path, snapshot->path) != 0)
        error = errno;
    return error;
}

static void *write_states(void *context)
{
    struct region_snapshot *snapshot = context;
    (void)mkdir(snapshot->directory, 0750);
    pthread_mutex_lock(&snapshot->lock);
    for (;;) {
        while (!snapshot->waiting && !snapshot->ending)
            pthread_cond_wait(&snapshot->wake, &snapshot->lock);
        if (!snapshot->waiting)
            break;
        struct region_state state = snapshot->state;
        struct region_local local = snapshot->local;
        uint64_t saved_ms = snapshot->saved_ms;
        snapshot->waiting = false;
        pthread_mutex_unlock(&snapshot->lock);
        int error = write_file(snapshot, &state, &local, saved_ms);
        pthread_mutex_lock(&snapshot->lock);
        snapshot->error = error;
    }
    pthread_mutex_unlock(&snapshot->lock);
    return NULL;
}

struct region_snapshot *region_snapshot_create(const char *directory)
{
    struct region_snapshot *snapshot = calloc(1, sizeof(*snapshot));
    if (snapshot == NULL)
        return NULL;
    snprintf(snapshot->directory, sizeof(snapshot->directory), "%s", directory);
    snprintf(snapshot->path, sizeof(snapshot->path), "%s/" FILE_NAME, directory);
    pthread_mutex_init(&snapshot->lock, NULL);
    pthread_cond_init(&snapshot->wake, NULL);
    if (pthread_create(&snapshot->thread, NULL, write_states, snapshot) == 0)
        return snapshot;
    free(snapshot);
    return NULL;
}

void region_snapshot_destroy(struct region_snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    pthread_mutex_lock(&snapshot->lock);
    snapshot->ending = true;
    pthread_cond_signal(&snapshot->wake);
    pthread_mutex_unlock(&snapshot->lock);
    pthread_join(snapshot->thread, NULL);
    pthread_cond_destroy(&snapshot->wake);
    pthread_mutex_destroy(&snapshot->lock);
    free(snapshot);
}

void region_snapshot_save(struct region_snapshot *snapshot, const struct region_state *state,
                          const struct region_local *local, uint64_t now_ms)
{
    pthread_mutex_lock(&snapshot->lock);
    snapshot->state = *state;
    snapshot->local = *local;
    snapshot->saved_ms = now_ms;
    snapshot->waiting = true;
    pthread_cond_signal(&snapshot->wake);
    pthread_mutex_unlock(&snapshot->lock);
}

int region_snapshot_error(struct region_snapshot *snapshot)
{
    pthread_mutex_lock(&snapshot->lock);
    int error = snapshot->error;
    pthread_mutex_unlock(&snapshot->lock);
    return error;
}

static bool read_line(FILE *file, char line[LINE_BYTES])
{
    if (fgets(line, LINE_BYTES, file) == NULL)
        return false;
    size_t length = strcspn(line, "\n");
    bool whole = line[length] == '\n';
    line[length] = '\0';
    return whole;
}

/* The head, when it was saved, the fields, the tail: all or nothing. */
static bool read_file(FILE *file, struct region_state *state, struct region_local *local,
                      uint64_t *saved_ms)
{
    char line[LINE_BYTES];
    if (!read_line(file, line) || strcmp(line, HEAD) != 0 || !read_line(file, line) ||
        sscanf(line, "saved %18" SCNu64, saved_ms) != 1)
        return false;
    while (read_line(file, line)) {
        if (strcmp(line, TAIL) == 0)
            return true;
        char *space = strchr(line, ' ');
        if (space == NULL)
            return false;
        *space = '\0';
        if (!region_text_take(state, line, space + 1) ||
            !region_text_take_local(local, line, space + 1))
            return false;
    }
    return false;
}

bool region_snapshot_load(const char *directory, const struct config *config, uint64_t now_ms,
                          uint64_t max_age_ms, struct region_state *state,
                          struct region_local *local)
{
    char path[PATH_BYTES];
    struct region_state found;
    struct region_local orders = {0};
    uint64_t saved_ms = 0;
    snprintf(path, sizeof(path), "%s/" FILE_NAME, directory);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    region_state_init(&found, config);
    bool whole = read_file(file, &found, &orders, &saved_ms);
    fclose(file);
    /* Much of the future: the clock was set back, and the age is not known. */
    if (!whole || saved_ms > now_ms + CLOCK_STEP_MS || now_ms > saved_ms + max_age_ms ||
        region_active_count(&found) == 0)
        return false;
    *state = found;
    *local = orders;
    return true;
}
