#include "control/cookie_secret.h"

#include "control/log.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/random.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DIGITS           32
#define FILE_MAX         256       /* bytes that are looked at */
#define CLOCK_TOLERANCE  (CLOCK_S) /* nodes may differ by 4 s */
#define WHAT_IS_EXPECTED "expected one or two lines of 32 hexadecimal digits (openssl rand -hex 16)"

static bool key_of(const char *digits, struct siphash_key *out)
{
    uint8_t bytes[DIGITS / 2];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        unsigned value;
        char pair[3] = {digits[2 * i], digits[2 * i + 1], '\0'};
        if (strspn(pair, "0123456789abcdefABCDEF") != 2 || sscanf(pair, "%2x", &value) != 1)
            return false;
        bytes[i] = (uint8_t)value;
    }
    memcpy(out, bytes, sizeof(*out));
    return out->k0 != 0 || out->k1 != 0;
}

/* One or two lines and nothing else. */
static bool secret_of(const char *text, struct cookie_secret *out)
{
    *out = (struct cookie_secret){0};
    for (size_t line = 0; line < 2; line++) {
        if (strcspn(text, "\r\n") != DIGITS || !key_of(text, &out->keys[line]))
            return false;
        text += DIGITS;
        text += strspn(text, "\r\n");
        if (*text == '\0')
            return true;
    }
    return false;
}

int cookie_secret_read(const char *path, struct cookie_secret *out, char *message, size_t size)
{
    char text[FILE_MAX + 1];
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        snprintf(message, size, "%s: %s; %s", path, strerror(errno), WHAT_IS_EXPECTED);
        return -1;
    }
    size_t length = fread(text, 1, FILE_MAX, file);
    int error = ferror(file) ? errno : 0;
    fclose(file);
    text[length] = '\0';
    if (error == 0 && length < FILE_MAX && strlen(text) == length && secret_of(text, out))
        return 0;
    snprintf(message, size, "%s: %s; %s", path,
             error != 0 ? strerror(error) : "is not a secret for cookies", WHAT_IS_EXPECTED);
    return -1;
}

void cookie_secrets_init(struct cookie_secrets *secrets)
{
    *secrets = (struct cookie_secrets){0};
    random_secret(&secrets->own.keys[0], sizeof(secrets->own.keys[0]));
    secrets->current = secrets->own;
}

static bool same_key(const struct siphash_key *a, const struct siphash_key *b)
{
    return a->k0 == b->k0 && a->k1 == b->k1;
}

/* True: it is another one. */
static bool take(struct cookie_secrets *secrets, const struct cookie_secret *wanted, bool shared)
{
    const struct cookie_secret *current = &secrets->current;
    bool one_line = wanted->keys[1].k0 == 0 && wanted->keys[1].k1 == 0;
    bool same = shared == secrets->shared && same_key(&wanted->keys[0], &current->keys[0]) &&
                (one_line || same_key(&wanted->keys[1], &current->keys[1]));
    if (same)
        return false;
    struct siphash_key before = current->keys[0];
    secrets->current = *wanted;
    if (one_line)
        secrets->current.keys[1] = before;
    secrets->shared = shared;
    return true;
}

static bool refresh_secret(struct cookie_secrets *secrets, const char *path)
{
    struct cookie_secret wanted;
    char message[512];
    if (path[0] == '\0')
        return take(secrets, &secrets->own, false);
    if (cookie_secret_read(path, &wanted, message, sizeof(message)) != 0) {
        if (!secrets->failed)
            log_line(LOG_LEVEL_WARNING, "tcp.cookie_secret_file: %s; the last one is kept",
                     message);
        secrets->failed = true;
        return false;
    }
    secrets->failed = false;
    return take(secrets, &wanted, true);
}

static bool refresh_clock(struct cookie_secrets *secrets, uint64_t now_ns)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    uint64_t ahead_ns = (uint64_t)wall.tv_sec * CLOCK_S + (uint64_t)wall.tv_nsec - now_ns;
    uint64_t change_ns = ahead_ns - secrets->clock_ahead_ns;
    if (change_ns <= CLOCK_TOLERANCE || change_ns >= 0 - (uint64_t)CLOCK_TOLERANCE)
        return false;
    secrets->clock_ahead_ns = ahead_ns;
    return true;
}

bool cookie_secrets_refresh(struct cookie_secrets *secrets, const char *path, uint64_t now_ns)
{
    bool changed = refresh_secret(secrets, path);
    return refresh_clock(secrets, now_ns) || changed;
}
