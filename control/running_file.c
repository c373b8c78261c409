/*
 * One mutex guards what the two threads share; the writer holds it only to take the text and to
 * report, never while it writes. The thread lives as long as there is something to write.
 */
#include "control/running_file.h"

#include "control/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct running_file {
    char path[512];
    char fresh_path[520];
    pthread_mutex_t mutex;
    pthread_t thread;
    bool has_thread; /* to be joined; control thread only */
    /* Guarded by the mutex. */
    char *waiting; /* text to write next */
    bool writing;
    bool written;
    int error; /* errno of the last write */
};

static int write_all(int fd, const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        ssize_t count = write(fd, text, left);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return errno;
        text += count;
        left -= (size_t)count;
    }
    return fsync(fd) == 0 ? 0 : errno;
}

/* Write beside it, then rename: a crash leaves the old file or the new one. Returns an errno. */
static int replace(const struct running_file *file, const char *text)
{
    int fd = open(file->fresh_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0)
        return errno;
    int error = write_all(fd, text);
    if (close(fd) != 0 && error == 0)
        error = errno;
    if (error == 0 && rename(file->fresh_path, file->path) != 0)
        error = errno;
    return error;
}

static char *take_waiting(struct running_file *file)
{
    pthread_mutex_lock(&file->mutex);
    char *text = file->waiting;
    file->waiting = NULL;
    file->writing = text != NULL;
    pthread_mutex_unlock(&file->mutex);
    return text;
}

static void report(struct running_file *file, int error)
{
    pthread_mutex_lock(&file->mutex);
    file->error = error;
    file->written = true;
    pthread_mutex_unlock(&file->mutex);
    if (error != 0)
        log_line(LOG_LEVEL_ERROR, "%s: %s: the applied configuration is not kept", file->path,
                 strerror(error));
}

static void *writer(void *context)
{
    struct running_file *file = context;
    char *text;
    while ((text = take_waiting(file)) != NULL) {
        report(file, replace(file, text));
        free(text);
    }
    return NULL;
}

struct running_file *running_file_create(const char *directory)
{
    struct running_file *file = calloc(1, sizeof(*file));
    if (file == NULL)
        return NULL;
    snprintf(file->path, sizeof(file->path), "%s/running.json", directory);
    snprintf(file->fresh_path, sizeof(file->fresh_path), "%s.new", file->path);
    pthread_mutex_init(&file->mutex, NULL);
    (void)mkdir(directory, 0750); /* writing tells what is wrong */
    return file;
}

static void join(struct running_file *file)
{
    if (file->has_thread)
        pthread_join(file->thread, NULL);
    file->has_thread = false;
}

void running_file_destroy(struct running_file *file)
{
    if (file == NULL)
        return;
    join(file);
    pthread_mutex_destroy(&file->mutex);
    free(file);
}

void running_file_write(struct running_file *file, char *text)
{
    pthread_mutex_lock(&file->mutex);
    free(file->waiting);
    file->waiting = text;
    bool running = file->writing;
    file->writing = true;
    pthread_mutex_unlock(&file->mutex);
    if (running)
        return; /* the thread looks once more before it ends */
    join(file); /* it has nothing left to do, or never was */
    int error = pthread_create(&file->thread, NULL, writer, file);
    file->has_thread = error == 0;
    if (error == 0)
        return;
    free(take_waiting(file));
    file->writing = false;
    report(file, error);
}

enum running_file_state running_file_state(struct running_file *file, char *message, size_t size)
{
    enum running_file_state state = RUNNING_FILE_NONE;
    message[0] = '\0';
    pthread_mutex_lock(&file->mutex);
    if (file->writing)
        state = RUNNING_FILE_WRITING;
    else if (file->written)
        state = file->error == 0 ? RUNNING_FILE_WRITTEN : RUNNING_FILE_FAILED;
    if (state == RUNNING_FILE_FAILED)
        snprintf(message, size, "%s: %s", file->path, strerror(file->error));
    pthread_mutex_unlock(&file->mutex);
    return state;
}
