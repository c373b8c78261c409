/*
 * cookie_secret: what SYN cookies are made with (dataplane/tcp/tcp_cookie.c): a secret of this
 * process's own, or the one in a file that all nodes behind the same addresses share. Control
 * thread.
 *
 * The file has one or two lines of 32 hexadecimal digits. The first line makes cookies, both are
 * taken. To change it without losing a connection: add the new one as second line everywhere, then
 * swap the lines everywhere, then remove the old one. With one line the secret before it is still
 * taken, until the next change.
 */
#pragma once

#include "dataplane/base/siphash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cookie_secret {
    struct siphash_key keys[2]; /* the second one all zero: one line */
};

/* 0, or -1 with MESSAGE: the path, what is wrong, what would be right. */
int cookie_secret_read(const char *path, struct cookie_secret *out, char *message, size_t size);

struct cookie_secrets {
    struct cookie_secret own;     /* made at start, for when there is no file */
    struct cookie_secret current; /* what the workers have to know */
    bool shared;                  /* from a file */
    bool failed;                  /* the file could not be read last time; the log has said so */
    uint64_t clock_ahead_ns;      /* the wall clock's time less the monotonic clock's */
};

void cookie_secrets_init(struct cookie_secrets *secrets);

/*
 * Look at the file (PATH "": there is none) and at the clocks; NOW is the monotonic one. A file that
 * cannot be read changes nothing and is logged once. True: tell the workers.
 */
bool cookie_secrets_refresh(struct cookie_secrets *secrets, const char *path, uint64_t now_ns);
