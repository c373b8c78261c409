#include "control/certificates.h"

#include "dataplane/base/check.h"
#include "dataplane/base/random.h"
#include "dataplane/tls/tls_arena.h"
#include "dataplane/tls/tls_target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_LINES 4096 /* of 256 bytes; a handshake makes five */

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

static void read_tickets(struct config_reader *reader, struct tls_ticket_keys *out)
{
    const char *path = reader->config->tls_settings.ticket_key_file;
    if (path[0] == '\0') {
        *out = *own_tickets();
        return;
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
        return;
    }
    memcpy(out->keys, bytes, length);
    out->count = (uint32_t)(length / one);
}

/* The certificate NAME in OUT. False: there is none, which is found at PATH. */
static bool find_certificate(struct config_reader *reader, const char *path, const char *name,
                             struct tls_certificate_source *out)
{
    const struct config *config = reader->config;
    for (uint32_t i = 0; i < config->certificate_count; i++) {
        const struct config_certificate *one = &config->certificates[i];
        if (strcmp(one->name, name) != 0)
            continue;
        *out = (struct tls_certificate_source){one->name, one->chain_file, one->key_file,
                                               one->ocsp_file};
        return true;
    }
    config_found(reader->findings, path,
                 "there is no certificate \"%s\"; expected a name in `certificates`", name);
    return false;
}

/* What a profile points to. */
struct profile_texts {
    char path[CONFIG_PATH_MAX]; /* in the configuration */
    struct tls_certificate_source certificates[CONFIG_LISTENER_CERTIFICATES];
};

/* Adds findings for names there are no certificates of. */
static void fill_profile(struct config_reader *reader, uint32_t listener,
                         struct profile_texts *texts, struct tls_profile_source *out)
{
    const struct config_listener_tls *tls = &reader->config->listeners[listener].tls;
    snprintf(texts->path, sizeof(texts->path), "listeners[%u].tls", listener);
    for (uint32_t i = 0; i < tls->certificate_count; i++) {
        char path[CONFIG_PATH_MAX];
        snprintf(path, sizeof(path), "listeners[%u].tls.certificates[%u]", listener, i);
        (void)find_certificate(reader, path, tls->certificates[i], &texts->certificates[i]);
    }
    *out = (struct tls_profile_source){
        texts->certificates,
        tls->certificate_count,
        tls->policy,
        tls->http1,
        tls->client_certificate,
        tls->client_ca_file,
        certificates_key_lines(reader->config) > 0,
        texts->path,
    };
    if (tls->client_certificate == TLS_CLIENT_CERTIFICATE_NONE || tls->client_ca_file[0] != '\0')
        return;
    char path[CONFIG_PATH_MAX];
    snprintf(path, sizeof(path), "listeners[%u].tls.client_ca_file", listener);
    config_found(reader->findings, path,
                 "is empty; expected a file with who may vouch for clients' certificates");
}

/* The host of an authority, without brackets: RFC 3986 3.2.2. */
static void host_of(const char *authority, char *out, size_t size)
{
    bool bracketed = authority[0] == '[';
    const char *from = authority + bracketed;
    snprintf(out, size, "%.*s", (int)strcspn(from, bracketed ? "]" : ":"), from);
}

/*
 * A host name (RFC 1123 2.1, with '_'), which is what SNI and certificates speak of. OpenSSL takes
 * an empty name for no name to verify, and one that begins with a dot for any below it.
 */
static bool is_host_name(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && name[0] != '.' && strstr(name, "..") == NULL &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
               length;
}

/* "a.example." is "a.example": certificates and SNI do without the dot (RFC 6066 3). */
static void drop_last_dot(char *name)
{
    size_t length = strlen(name);
    if (length > 1 && name[length - 1] == '.')
        name[length - 1] = '\0';
}

/* Which name a backend has to prove. */
static void name_target(const struct config *config, const struct config_backend *backend,
                        struct tls_target_source *out)
{
    const char *authority = config->services[backend->service].authority;
    struct ip_address unused;
    if (backend->tls.server_name[0] != '\0')
        snprintf(out->name, sizeof(out->name), "%s", backend->tls.server_name);
    else if (authority[0] != '\0')
        host_of(authority, out->name, sizeof(out->name));
    else
        ip_address_format(&backend->address, out->name);
    drop_last_dot(out->name);
    out->is_address = ip_address_parse(out->name, &unused);
}

/* What a target points to. */
struct target_texts {
    char path[CONFIG_PATH_MAX]; /* in the configuration */
    struct tls_certificate_source certificate;
};

static void fill_target(struct config_reader *reader, const struct config_backend *backend,
                        struct target_texts *texts, struct tls_target_source *out)
{
    const struct config *config = reader->config;
    const struct config_backend_tls *tls = &backend->tls;
    snprintf(texts->path, sizeof(texts->path), "services[%u].regions.%s.backends: %s: tls",
             backend->service, config->regions[backend->region].name, backend->name);
    *out = (struct tls_target_source){
        .path = texts->path,
        .ca_file = tls->ca_file,
        .verify = tls->verify,
        .key_log = certificates_key_lines(config) > 0,
        .policy = tls->policy,
        .offer = backend->protocol == UPSTREAM_HTTP1 ? TLS_OFFER_HTTP1 : TLS_OFFER_BOTH,
    };
    name_target(config, backend, out);
    if (!out->is_address && !is_host_name(out->name))
        config_found(reader->findings, texts->path,
                     "server_name is \"%s\"; expected a host name or an address, here or as the "
                     "service's authority",
                     out->name);
    if (tls->certificate[0] != '\0' &&
        find_certificate(reader, texts->path, tls->certificate, &texts->certificate))
        out->certificate = &texts->certificate;
}

/* What OpenSSL is asked for, until it has read it. */
struct sources {
    struct tls_profile_source profiles[SNAPSHOT_LISTENERS_MAX];
    struct profile_texts listeners[SNAPSHOT_LISTENERS_MAX];
    struct tls_target_source targets[SNAPSHOT_BACKENDS_MAX];
    struct target_texts texts[SNAPSHOT_BACKENDS_MAX];
    struct tls_contexts_source all;
};

static void fill(struct config_reader *reader, struct sources *sources)
{
    const struct config *config = reader->config;
    struct tls_contexts_source *all = &sources->all;
    *all = (struct tls_contexts_source){
        .profiles = sources->profiles, .targets = sources->targets, .workers = config->workers};
    for (uint32_t i = 0; i < config->listener_count; i++)
        if (config->listeners[i].tls.certificate_count > 0) {
            uint32_t at = all->profile_count++;
            fill_profile(reader, i, &sources->listeners[at], &sources->profiles[at]);
        }
    for (uint32_t i = 0; i < config->backend_count; i++)
        if (config->backends[i].tls.on) {
            uint32_t at = all->target_count++;
            fill_target(reader, &config->backends[i], &sources->texts[at], &sources->targets[at]);
        }
    if (all->profile_count > 0)
        read_tickets(reader, &all->tickets);
}

bool certificates_need_memory(const struct config *config)
{
    for (uint32_t i = 0; i < config->backend_count; i++)
        if (config->backends[i].tls.on)
            return true;
    return config->certificate_count > 0;
}

uint32_t certificates_key_lines(const struct config *config)
{
    return config->tls_settings.key_log_file[0] != '\0' ? KEY_LINES : 0;
}

void certificates_read(struct config_reader *reader)
{
    struct config *config = reader->config;
    uint32_t before = reader->findings->count;
    char message[512] = "";
    struct sources *sources = calloc(1, sizeof(*sources));
    check(sources != NULL);
    fill(reader, sources);
    bool any = sources->all.profile_count + sources->all.target_count > 0;
    if (any && reader->findings->count == before) {
        config->tls = tls_contexts_create(&sources->all, message, sizeof(message));
        if (config->tls == NULL)
            config_found(reader->findings, "certificates", "%s", message);
    }
    explicit_bzero(&sources->all.tickets, sizeof(sources->all.tickets));
    free(sources);
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
