#include "control/certificates.h"

#include "dataplane/base/random.h"
#include "dataplane/tls/tls_arena.h"
#include "dataplane/tls/tls_context.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define KEY_FILE_EXPECTED                                                                          \
    "expected one to three keys of 80 bytes (openssl rand 80), the one that makes tickets first"

bool certificates_init(void)
{
    return tls_arena_install();
}

/* Made once: an applied configuration must not make tickets worthless. */
static const struct tls_ticket_keys *own_tickets(void)
{
    static struct tls_ticket_keys own;
    if (own.count == 0)
        random_secret(&own.keys[0], sizeof(own.keys[0]));
    own.count = 1;
    return &own;
}

static bool read_tickets(struct config_reader *reader, struct tls_ticket_keys *out)
{
    const char *path = reader->config->tls_settings.ticket_key_file;
    if (path[0] == '\0') {
        *out = *own_tickets();
        return true;
    }
    uint8_t bytes[sizeof(out->keys) + 1];
    FILE *file = fopen(path, "re");
    size_t length = file != NULL ? fread(bytes, 1, sizeof(bytes), file) : 0;
    const char *wrong = file == NULL ? strerror(errno) : "is not a file of keys";
    if (file != NULL)
        fclose(file);
    size_t one = sizeof(out->keys[0]);
    if (length == 0 || length > sizeof(out->keys) || length % one != 0) {
        config_found(reader->findings, "tls.ticket_key_file", "%s: %s; %s", path, wrong,
                     KEY_FILE_EXPECTED);
        return false;
    }
    memcpy(out->keys, bytes, length);
    out->count = (uint32_t)(length / one);
    return true;
}

static const struct config_certificate *certificate_named(const struct config *config,
                                                          const char *name)
{
    for (uint32_t i = 0; i < config->certificate_count; i++)
        if (strcmp(config->certificates[i].name, name) == 0)
            return &config->certificates[i];
    return NULL;
}

/* SOURCE's certificates in ROOM. Adds findings for names there are none of. */
static bool fill_profile(struct config_reader *reader, uint32_t listener,
                         struct tls_certificate_source *room, struct tls_profile_source *out)
{
    const struct config_listener_tls *tls = &reader->config->listeners[listener].tls;
    bool good = true;
    for (uint32_t i = 0; i < tls->certificate_count; i++) {
        const struct config_certificate *found =
            certificate_named(reader->config, tls->certificates[i]);
        char path[CONFIG_PATH_MAX];
        snprintf(path, sizeof(path), "listeners[%u].tls.certificates[%u]", listener, i);
        if (found == NULL)
            config_found(reader->findings, path,
                         "there is no certificate \"%s\"; expected a name in `certificates`",
                         tls->certificates[i]);
        else
            room[i] =
                (struct tls_certificate_source){found->name, found->chain_file, found->key_file};
        good &= found != NULL;
    }
    *out = (struct tls_profile_source){room, tls->certificate_count, tls->policy, tls->http1};
    return good;
}

void certificates_read(struct config_reader *reader)
{
    struct config *config = reader->config;
    struct tls_certificate_source names[SNAPSHOT_LISTENERS_MAX][CONFIG_LISTENER_CERTIFICATES];
    struct tls_profile_source profiles[SNAPSHOT_LISTENERS_MAX];
    struct tls_ticket_keys tickets = {0};
    char message[512] = "";
    uint32_t count = 0;
    bool good = true;
    for (uint32_t i = 0; i < config->listener_count; i++)
        if (config->listeners[i].tls.certificate_count > 0) {
            good &= fill_profile(reader, i, names[count], &profiles[count]);
            count++;
        }
    if (count == 0 || !good || !read_tickets(reader, &tickets))
        return;
    config->tls =
        tls_contexts_create(profiles, count, config->workers, &tickets, message, sizeof(message));
    if (config->tls == NULL)
        config_found(reader->findings, "certificates", "%s", message);
}

uint64_t certificates_expire_ms(const struct tls_contexts *contexts)
{
    int64_t at = contexts != NULL ? tls_contexts_expire_at(contexts) : 0;
    return at > 0 ? (uint64_t)at * 1000 : 0;
}

struct tls_contexts *certificates_hold(struct tls_contexts *contexts)
{
    return tls_contexts_hold(contexts);
}

void certificates_drop(struct tls_contexts *contexts)
{
    tls_contexts_drop(contexts);
}
