#include "dataplane/tls/tls_context.h"

#include "dataplane/base/check.h"
#include "dataplane/tls/tls_private.h"

#include <stdio.h>

#define WORKERS_MAX 128

struct tls_contexts {
    uint32_t holders; /* control thread */
    uint32_t profile_count;
    uint32_t workers;
    struct tls_profile **profiles; /* by worker, then profile */
};

/*
 * One a worker, for the life of the process: what OpenSSL looks up, it looks up here, without
 * meeting other workers. Control thread makes them.
 */
static OSSL_LIB_CTX *libraries[WORKERS_MAX];

static OSSL_LIB_CTX *library_of(uint32_t worker)
{
    check(worker < WORKERS_MAX);
    if (libraries[worker] == NULL)
        libraries[worker] = OSSL_LIB_CTX_new();
    return libraries[worker];
}

static bool fill(struct tls_contexts *contexts, const struct tls_profile_source *sources,
                 const struct tls_ticket_keys *tickets, char *message, size_t message_size)
{
    for (uint32_t w = 0; w < contexts->workers; w++) {
        OSSL_LIB_CTX *library = library_of(w);
        for (uint32_t i = 0; i < contexts->profile_count && library != NULL; i++) {
            struct tls_profile *profile =
                tls_profile_create(&sources[i], library, tickets, message, message_size);
            if (profile == NULL)
                return false;
            contexts->profiles[w * contexts->profile_count + i] = profile;
        }
        if (library == NULL)
            return false;
    }
    return true;
}

struct tls_contexts *tls_contexts_create(const struct tls_profile_source *profiles, uint32_t count,
                                         uint32_t workers, const struct tls_ticket_keys *tickets,
                                         char *message, size_t message_size)
{
    snprintf(message, message_size, "no memory for TLS");
    struct tls_contexts *contexts = OPENSSL_zalloc(sizeof(*contexts));
    if (contexts == NULL)
        return NULL;
    *contexts = (struct tls_contexts){.holders = 1, .profile_count = count, .workers = workers};
    contexts->profiles = OPENSSL_zalloc(sizeof(*contexts->profiles) * count * workers + 1);
    if (contexts->profiles != NULL && fill(contexts, profiles, tickets, message, message_size))
        return contexts;
    tls_contexts_drop(contexts);
    return NULL;
}

struct tls_contexts *tls_contexts_hold(struct tls_contexts *contexts)
{
    if (contexts != NULL)
        contexts->holders++;
    return contexts;
}

void tls_contexts_drop(struct tls_contexts *contexts)
{
    if (contexts == NULL || --contexts->holders > 0)
        return;
    for (uint32_t i = 0;
         contexts->profiles != NULL && i < contexts->workers * contexts->profile_count; i++)
        tls_profile_drop(contexts->profiles[i]);
    OPENSSL_free(contexts->profiles);
    OPENSSL_free(contexts);
}

const struct tls_profile *tls_contexts_profile(const struct tls_contexts *contexts, uint32_t index,
                                               uint32_t worker)
{
    check(index < contexts->profile_count && worker < contexts->workers);
    return contexts->profiles[worker * contexts->profile_count + index];
}

int64_t tls_contexts_expire_at(const struct tls_contexts *contexts)
{
    int64_t first = 0;
    for (uint32_t i = 0; i < contexts->profile_count; i++) {
        const struct tls_profile *profile = contexts->profiles[i];
        for (uint32_t j = 0; j < profile->context_count; j++) {
            int64_t expires = tls_certificate_expires(&profile->contexts[j]);
            if (expires != 0 && (first == 0 || expires < first))
                first = expires;
        }
    }
    return first;
}
