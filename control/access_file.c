/*
 * Two buffers of the same size: the control thread fills one while the writer has the other. One
 * mutex guards which is which and what is to be done; the writer never holds it while it opens or
 * writes, so that the control thread waits for a copy of a line at most.
 *
 * A pipe may take nothing for ever. The writer never waits in open() or write(), but in poll() for
 * the pipe and the end; a disk is waited for.
 */
#include "control/access_file.h"

#include "control/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES (4u << 20)
#define PATH_BYTES   256
#define END_WAIT_MS  1000 /* for a pipe that is full, at the end */

struct buffer {
    char *text;
    size_t length;
};

/* What the writer does with a buffer: write its beginning, open the file, write the rest. */
struct work {
    struct buffer *buffer;
    bool open;
    size_t open_at;
    bool end;
    char path[PATH_BYTES];
};

struct access_file {
    const char *key;
    mode_t mode;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_t thread;
    int ending;            /* eventfd: the end is wanted */
    int fd;                /* the writer's; -1: none */
    size_t chunk;          /* the writer's: what a ready `fd` takes without waiting */
    int error;             /* the writer's: what was told last */
    bool torn;             /* the writer's: the last line has no end */
    char path[PATH_BYTES]; /* the writer's, of `fd` */
    /* Guarded by the mutex. */
    struct buffer buffers[2];
    uint32_t filling;
    bool closed;    /* no path: lines are not wanted */
    bool open;      /* `wanted` is to be opened ... */
    size_t open_at; /* ... when so much of the buffer that is being filled has been written */
    bool end;
    char wanted[PATH_BYTES];
    struct access_file_counts counts;
};

/* --- the writer's thread --- */

/* Told once until it goes well again. */
static void note_failure(struct access_file *file, int error)
{
    pthread_mutex_lock(&file->mutex);
    file->counts.failed++;
    pthread_mutex_unlock(&file->mutex);
    if (error != file->error)
        log_line(LOG_LEVEL_ERROR, "%s: %s: %s: lines are lost", file->key, file->path,
                 strerror(error));
    file->error = error;
}

static void count_lost(struct access_file *file, uint64_t lines, bool torn)
{
    pthread_mutex_lock(&file->mutex);
    file->counts.lost += lines;
    file->counts.torn += torn;
    pthread_mutex_unlock(&file->mutex);
}

static uint64_t count_lines(const char *text, size_t length)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < length; i++)
        lines += text[i] == '\n';
    return lines;
}

/* Wait until a pipe takes a chunk, or has an error to tell. False: the end came before. */
static bool wait_until_ready(struct access_file *file)
{
    struct pollfd fds[] = {{.fd = file->fd, .events = POLLOUT},
                           {.fd = file->ending, .events = POLLIN}};
    while (poll(fds, 2, -1) < 0 && errno == EINTR)
        ;
    return fds[0].revents != 0 || poll(fds, 1, END_WAIT_MS) > 0;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Returns an errno, and how many bytes of TEXT were written. */
static int write_all(struct access_file *file, const char *text, size_t length, size_t *out_written)
{
    *out_written = 0;
    while (*out_written < length) {
        if (!wait_until_ready(file))
            return ETIMEDOUT;
        ssize_t count =
            write(file->fd, text + *out_written, smaller(length - *out_written, file->chunk));
        if (count < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (count < 0)
            return errno;
        *out_written += (size_t)count;
    }
    return 0;
}

/* What was written of a line when the rest could not be stays one line of its own. An errno. */
static int end_torn_line(struct access_file *file)
{
    struct stat about;
    size_t written;
    bool is_empty = fstat(file->fd, &about) == 0 && S_ISREG(about.st_mode) && about.st_size == 0;
    int error = file->torn && !is_empty ? write_all(file, "\n", 1, &written) : 0;
    file->torn &= error != 0;
    return error;
}

static void write_lines(struct access_file *file, const char *text, size_t length)
{
    if (length == 0)
        return;
    size_t written = 0;
    int error = 0;
    if (file->fd >= 0 && file->torn)
        error = end_torn_line(file);
    if (file->fd >= 0 && error == 0)
        error = write_all(file, text, length, &written);
    bool torn = written > 0 && written < length && text[written - 1] != '\n';
    file->torn |= torn;
    if (written < length)
        count_lost(file, count_lines(text + written, length - written), torn);
    if (error != 0)
        note_failure(file, error);
    else if (file->fd >= 0)
        file->error = 0;
}

static void close_file(struct access_file *file)
{
    if (file->fd >= 0)
        (void)close(file->fd);
    file->fd = -1;
}

/* A pipe without a reader cannot be opened (ENXIO). */
static int open_path(const char *path, mode_t mode)
{
    if (strcmp(path, "-") == 0)
        return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, mode);
    if (fd < 0 || (mode & (S_IRWXG | S_IRWXO)) != 0 || fchmod(fd, mode) == 0)
        return fd;
    int error = errno;
    (void)close(fd);
    errno = error;
    return -1;
}

/* Standard output is shared, so that it may not become non-blocking: PIPE_BUF is pipe(7)'s. */
static size_t chunk_of(int fd)
{
    struct stat about;
    return fstat(fd, &about) == 0 && S_ISREG(about.st_mode) ? BUFFER_BYTES : PIPE_BUF;
}

static void open_file(struct access_file *file, const char *path)
{
    close_file(file);
    file->torn &= strcmp(file->path, path) == 0;
    memcpy(file->path, path, PATH_BYTES);
    if (path[0] == '\0')
        return;
    file->fd = open_path(path, file->mode);
    if (file->fd < 0)
        note_failure(file, errno);
    else
        file->chunk = chunk_of(file->fd);
}

/* Wait for something to do. The other buffer is filled from here on. */
static struct work take_work(struct access_file *file)
{
    pthread_mutex_lock(&file->mutex);
    while (!file->open && !file->end && file->buffers[file->filling].length == 0)
        pthread_cond_wait(&file->wake, &file->mutex);
    struct work work = {
        .buffer = &file->buffers[file->filling],
        .open = file->open,
        .open_at = file->open_at,
        .end = file->end,
    };
    memcpy(work.path, file->wanted, PATH_BYTES);
    file->filling = !file->filling;
    file->buffers[file->filling].length = 0;
    file->open = false;
    pthread_mutex_unlock(&file->mutex);
    return work;
}

static void *writer(void *context)
{
    struct access_file *file = context;
    struct work work;
    do {
        work = take_work(file);
        struct buffer *buffer = work.buffer;
        size_t before = work.open ? work.open_at : buffer->length;
        write_lines(file, buffer->text, before);
        if (work.open)
            open_file(file, work.path);
        write_lines(file, buffer->text + before, buffer->length - before);
    } while (!work.end);
    close_file(file);
    return NULL;
}

/* --- the control thread --- */

static void free_file(struct access_file *file)
{
    pthread_mutex_destroy(&file->mutex);
    pthread_cond_destroy(&file->wake);
    if (file->ending >= 0)
        (void)close(file->ending);
    free(file->buffers[0].text);
    free(file->buffers[1].text);
    free(file);
}

struct access_file *access_file_create(const char *key, mode_t mode)
{
    struct access_file *file = calloc(1, sizeof(*file));
    if (file == NULL)
        return NULL;
    file->key = key;
    file->mode = mode;
    file->fd = -1;
    file->ending = eventfd(0, EFD_CLOEXEC);
    file->closed = true;
    pthread_mutex_init(&file->mutex, NULL);
    pthread_cond_init(&file->wake, NULL);
    for (int i = 0; i < 2; i++)
        file->buffers[i].text = malloc(BUFFER_BYTES);
    if (file->ending >= 0 && file->buffers[0].text != NULL && file->buffers[1].text != NULL &&
        pthread_create(&file->thread, NULL, writer, file) == 0)
        return file;
    free_file(file);
    return NULL;
}

void access_file_destroy(struct access_file *file)
{
    if (file == NULL)
        return;
    pthread_mutex_lock(&file->mutex);
    file->end = true;
    pthread_cond_signal(&file->wake);
    pthread_mutex_unlock(&file->mutex);
    (void)eventfd_write(file->ending, 1);
    pthread_join(file->thread, NULL);
    free_file(file);
}

/* With the mutex held. What is asked again meanwhile is done once. */
static void ask_to_open(struct access_file *file)
{
    if (!file->open)
        file->open_at = file->buffers[file->filling].length;
    file->open = true;
    pthread_cond_signal(&file->wake);
}

void access_file_set(struct access_file *file, const char *path)
{
    pthread_mutex_lock(&file->mutex);
    if (strcmp(file->wanted, path) != 0) {
        snprintf(file->wanted, sizeof(file->wanted), "%s", path);
        file->closed = path[0] == '\0';
        ask_to_open(file);
    }
    pthread_mutex_unlock(&file->mutex);
}

void access_file_reopen(struct access_file *file)
{
    pthread_mutex_lock(&file->mutex);
    ask_to_open(file);
    pthread_mutex_unlock(&file->mutex);
}

bool access_file_add(struct access_file *file, const char *line, size_t length)
{
    pthread_mutex_lock(&file->mutex);
    struct buffer *buffer = &file->buffers[file->filling];
    bool fits = !file->closed && length <= BUFFER_BYTES - buffer->length;
    if (fits) {
        memcpy(buffer->text + buffer->length, line, length);
        buffer->length += length;
        file->counts.lines++;
        if (buffer->length == length)
            pthread_cond_signal(&file->wake);
    } else {
        file->counts.lost++;
    }
    pthread_mutex_unlock(&file->mutex);
    return fits;
}

struct access_file_counts access_file_counts(struct access_file *file)
{
    pthread_mutex_lock(&file->mutex);
    struct access_file_counts counts = file->counts;
    pthread_mutex_unlock(&file->mutex);
    return counts;
}
