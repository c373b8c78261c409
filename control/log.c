#include "control/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 1024

static int log_fd = STDERR_FILENO;
static char log_path[256];
static uint64_t dropped;

static int open_file(void)
{
    int fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0640);
    return fd < 0 ? -errno : fd;
}

int log_open(const char *path)
{
    snprintf(log_path, sizeof(log_path), "%s", path);
    if (path[0] == '\0')
        return 0;
    int fd = open_file();
    if (fd < 0)
        return fd;
    log_fd = fd;
    return 0;
}

/* The number stays: helper threads may be writing to it. */
int log_reopen(void)
{
    if (log_path[0] == '\0')
        return 0;
    int fd = open_file();
    if (fd < 0)
        return fd;
    int error = dup3(fd, log_fd, O_CLOEXEC) < 0 ? -errno : 0;
    (void)close(fd);
    return error;
}

uint64_t log_dropped(void)
{
    return __atomic_load_n(&dropped, __ATOMIC_RELAXED);
}

static int write_head(char *line, enum log_level level)
{
    static const char *const names[] = {
        [LOG_LEVEL_INFO] = "info", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_ERROR] = "error"};
    struct timespec wall;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &wall);
    gmtime_r(&wall.tv_sec, &parts);
    return snprintf(line, LINE_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %s ",
                    parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                    parts.tm_min, parts.tm_sec, wall.tv_nsec / 1000000, names[level]);
}

void log_line(enum log_level level, const char *format, ...)
{
    char line[LINE_BYTES];
    int head = write_head(line, level);
    va_list arguments;
    va_start(arguments, format);
    int text = vsnprintf(line + head, (size_t)(LINE_BYTES - head - 1), format, arguments);
    va_end(arguments);
    int length = head + text < LINE_BYTES - 1 ? head + text : LINE_BYTES - 2;
    line[length++] = '\n';
    if (write(log_fd, line, (size_t)length) != length)
        __atomic_fetch_add(&dropped, 1, __ATOMIC_RELAXED);
}
