#include "tests/support/world_tls.h"

#include "dataplane/base/bytes.h"
#include "dataplane/base/check.h"
#include "dataplane/tls/tls_target.h"
#include "tests/support/tls_files.h"

#include <stdio.h>
#include <string.h>

#define NAME   "test.example"
#define DAYS_S (30 * 86400)

static void fill_targets(struct tls_target_source *targets, const char *ca_file)
{
    static const enum tls_offer offers[WORLD_TLS_TARGETS] = {
        [WORLD_TLS_TO_WEIR] = TLS_OFFER_H2,
        [WORLD_TLS_TO_HTTP2] = TLS_OFFER_BOTH,
        [WORLD_TLS_TO_HTTP1] = TLS_OFFER_HTTP1,
    };
    for (size_t i = 0; i < WORLD_TLS_TARGETS; i++)
        targets[i] = (struct tls_target_source){
            .path = "world",
            .ca_file = ca_file,
            .verify = true,
            .name = NAME,
            .policy = TLS_INTERMEDIATE,
            .offer = offers[i],
        };
}

struct tls_contexts *world_tls_contexts(uint32_t workers)
{
    struct tls_files files;
    char message[512];
    tls_files_make(&files, "DNS:" NAME, -DAYS_S, DAYS_S);
    const struct tls_certificate_source certificate = {"world", files.chain, files.key, NULL};
    struct tls_target_source targets[WORLD_TLS_TARGETS];
    struct tls_profile_source profiles[WORLD_TLS_PROFILES];
    fill_targets(targets, files.chain);
    for (size_t i = 0; i < WORLD_TLS_PROFILES; i++)
        profiles[i] = (struct tls_profile_source){
            .certificates = &certificate,
            .certificate_count = 1,
            .policy = TLS_INTERMEDIATE,
            .http1 = TLS_HTTP1_ANSWER,
        };
    struct tls_contexts_source source = {
        .profiles = profiles,
        .profile_count = WORLD_TLS_PROFILES,
        .targets = targets,
        .target_count = WORLD_TLS_TARGETS,
        .workers = workers + 1,
        .tickets = {.count = 1},
    };
    memset(&source.tickets.keys[0], 0x5a, sizeof(source.tickets.keys[0]));
    struct tls_contexts *contexts = tls_contexts_create(&source, message, sizeof(message));
    tls_files_remove(&files);
    if (contexts == NULL)
        fprintf(stderr, "%s\n", message);
    check(contexts != NULL);
    return contexts;
}
