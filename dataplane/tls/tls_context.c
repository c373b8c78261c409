#include "dataplane/tls/tls_context.h"

#include "dataplane/base/check.h"
#include "dataplane/tls/tls_private.h"
#include "dataplane/tls/tls_provider.h"

#include <stdio.h>

#define WORKERS_MAX 128

struct tls_contexts {
    uint32_t holders; /* control thread */
    uint32_t profile_count;
    uint32_t target_count;
    uint32_t workers;
    struct tls_profile **profiles; /* by worker, then profile */
    struct tls_target **targets;   /* by worker, then target */
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
        libraries[worker] = tls_library_new();
    return libraries[worker];
}

static bool fill_profiles(struct tls_contexts *contexts, const struct tls_contexts_source *source,
                          uint32_t worker, char *message, size_t message_size)
{
    struct tls_profile **row = &contexts->profiles[worker * contexts->profile_count];
    for (uint32_t i = 0; i < contexts->profile_count; i++) {
        row[i] = tls_profile_create(&source->profiles[i], library_of(worker), &source->tickets,
                                    message, message_size);
        if (row[i] == NULL)
            return false;
    }
    return true;
}

static const struct tls_target *find_alike(struct tls_target *const *row,
                                           const struct tls_target_source *sources, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++)
        if (tls_target_same_settings(&sources[i], &sources[index]))
            return row[i];
    return NULL;
}

static bool fill_targets(struct tls_contexts *contexts, const struct tls_contexts_source *source,
                         uint32_t worker, char *message, size_t message_size)
{
    struct tls_target **row = &contexts->targets[worker * contexts->target_count];
    for (uint32_t i = 0; i < contexts->target_count; i++) {
        row[i] = tls_target_create(&source->targets[i], find_alike(row, source->targets, i),
                                   library_of(worker), message, message_size);
        if (row[i] == NULL)
            return false;
    }
    return true;
}

static bool fill(struct tls_contexts *contexts, const struct tls_contexts_source *source,
                 char *message, size_t message_size)
{
    uint32_t workers = contexts->workers;
    contexts->profiles = OPENSSL_zalloc(sizeof(void *) * contexts->profile_count * workers + 1);
    contexts->targets = OPENSSL_zalloc(sizeof(void *) * contexts->target_count * workers + 1);
    if (contexts->profiles == NULL || contexts->targets == NULL)
        return false;
    for (uint32_t w = 0; w < workers; w++)
        if (library_of(w) == NULL || !fill_profiles(contexts, source, w, message, message_size) ||
            !fill_targets(contexts, source, w, message, message_size))
            return false;
    return true;
}

struct tls_contexts *tls_contexts_create(const struct tls_contexts_source *source, char *message,
                                         size_t message_size)
{
    snprintf(message, message_size, "no memory for TLS");
    struct tls_contexts *contexts = OPENSSL_zalloc(sizeof(*contexts));
    if (contexts == NULL)
        return NULL;
    *contexts = (struct tls_contexts){
        .holders = 1,
        .profile_count = source->profile_count,
        .target_count = source->target_count,
        .workers = source->workers,
    };
    if (fill(contexts, source, message, message_size))
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
    for (uint32_t i = 0;
         contexts->targets != NULL && i < contexts->workers * contexts->target_count; i++)
        tls_target_drop(contexts->targets[i]);
    OPENSSL_free(contexts->profiles);
    OPENSSL_free(contexts->targets);
    OPENSSL_free(contexts);
}

const struct tls_profile *tls_contexts_profile(const struct tls_contexts *contexts, uint32_t index,
                                               uint32_t worker)
{
    check(index < contexts->profile_count && worker < contexts->workers);
    return contexts->profiles[worker * contexts->profile_count + index];
}

const struct tls_target *tls_contexts_target(const struct tls_contexts *contexts, uint32_t index,
                                             uint32_t worker)
{
    check(index < contexts->target_count && worker < contexts->workers);
    return contexts->targets[worker * contexts->target_count + index];
}

static int64_t earlier(int64_t first, const SSL_CTX *context)
{
    int64_t expires = tls_certificate_expires(context);
    return expires != 0 && (first == 0 || expires < first) ? expires : first;
}

int64_t tls_contexts_expire_at(const struct tls_contexts *contexts)
{
    int64_t first = 0;
    for (uint32_t i = 0; i < contexts->profile_count; i++) {
        const struct tls_profile *profile = contexts->profiles[i];
        for (uint32_t j = 0; j < profile->context_count; j++)
            first = earlier(first, profile->contexts[j].context);
    }
    for (uint32_t i = 0; i < contexts->target_count; i++)
        first = earlier(first, contexts->targets[i]->context);
    return first;
}
