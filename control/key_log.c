#include "control/key_log.h"

#include "control/log.h"
#include "dataplane/tls/tls_key_log.h"

#include <stdlib.h>
#include <string.h>

#define FILE_MODE 0600

struct key_log {
    struct access_file *file;
};

struct key_log *key_log_create(const char *path)
{
    struct key_log *log = calloc(1, sizeof(*log));
    if (log == NULL)
        return NULL;
    log->file = access_file_create("tls.key_log_file", FILE_MODE);
    if (log->file == NULL) {
        free(log);
        return NULL;
    }
    access_file_set(log->file, path);
    log_line(LOG_LEVEL_WARNING, "tls.key_log_file: who reads %s can decrypt what goes over TLS",
             path);
    return log;
}

void key_log_destroy(struct key_log *log)
{
    if (log == NULL)
        return;
    access_file_destroy(log->file);
    free(log);
}

static void add_line(struct key_log *log, const struct tls_key_line *line)
{
    char text[sizeof(line->text) + 1];
    memcpy(text, line->text, line->length);
    text[line->length] = '\n';
    (void)access_file_add(log->file, text, line->length + 1);
}

uint32_t key_log_take(struct key_log *log, struct worker *worker, uint32_t max)
{
    const struct tls_key_line *line;
    uint32_t taken = 0;
    if (log == NULL)
        return 0;
    for (; taken < max && (line = worker_key_line(worker)) != NULL; taken++) {
        add_line(log, line);
        worker_key_line_done(worker);
    }
    return taken;
}

void key_log_reopen(struct key_log *log)
{
    if (log != NULL)
        access_file_reopen(log->file);
}

struct access_file_counts key_log_counts(struct key_log *log)
{
    return log != NULL ? access_file_counts(log->file) : (struct access_file_counts){0};
}
