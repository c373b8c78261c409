/*
 * tls_context: what handshakes need: of listeners, certificates, their names, the policy, the keys
 * of tickets; of backends, see tls_target.h. Built by the control thread, immutable afterwards,
 * read by workers.
 *
 * A worker never shares an object of OpenSSL with another one: each has its own library context
 * and its own copy of every certificate, so no lock and no reference count goes between cores.
 * Ownership: whoever built it holds it; sessions hold OpenSSL's contexts by themselves, so the
 * whole may be dropped while connections made with it go on.
 */
#pragma once

#include "dataplane/base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls_contexts;
struct tls_profile;
struct tls_target;
struct tls_target_source; /* dataplane/tls/tls_target.h */

#define TLS_TICKET_KEYS_MAX 3
#define TLS_TICKET_NAME     16

/* One key of session tickets (RFC 5077 4). */
struct tls_ticket_key {
    uint8_t name[TLS_TICKET_NAME];
    uint8_t cipher[32]; /* AES-256-CBC */
    uint8_t mac[32];    /* HMAC-SHA-256 */
};

/* The first one makes tickets, all are taken. None: no tickets, no resumption. */
struct tls_ticket_keys {
    struct tls_ticket_key keys[TLS_TICKET_KEYS_MAX];
    uint32_t count;
};

enum tls_policy {
    TLS_MODERN,       /* TLS 1.3 */
    TLS_INTERMEDIATE, /* and 1.2 with ECDHE and AEAD: RFC 9113 9.2, RFC 9325 */
};

/* A client that offers http/1.1 and not h2. */
enum tls_http1 {
    TLS_HTTP1_REJECT, /* alert no_application_protocol (RFC 7301 3.2) */
    TLS_HTTP1_ANSWER, /* taken, and told in HTTP/1.1 that HTTP/2 is wanted */
};

/* Whether clients show a certificate of theirs. */
enum tls_client_certificate {
    TLS_CLIENT_CERTIFICATE_NONE,
    TLS_CLIENT_CERTIFICATE_REQUEST, /* who shows one shows a good one */
    TLS_CLIENT_CERTIFICATE_REQUIRE,
};

struct tls_certificate_source {
    const char *name;       /* for messages */
    const char *chain_file; /* PEM: the certificate, then the intermediate ones */
    const char *key_file;   /* PEM, not encrypted */
    const char *ocsp_file;  /* DER: its OCSP response, to be stapled (RFC 6066 8); NULL, "": none */
};

struct tls_profile_source {
    const struct tls_certificate_source *certificates; /* the first one is for unknown names */
    uint32_t certificate_count;
    enum tls_policy policy;
    enum tls_http1 http1;
    enum tls_client_certificate client_certificate;
    const char *client_ca_file; /* PEM: whose certificates clients may show */
    bool key_log;               /* lines of sessions are kept: tls_key_log.h */
    const char *path;           /* in the configuration, for messages */
};

struct tls_contexts_source {
    const struct tls_profile_source *profiles; /* of listeners */
    uint32_t profile_count;
    const struct tls_target_source *targets; /* of backends */
    uint32_t target_count;
    uint32_t workers;
    struct tls_ticket_keys tickets;
};

/*
 * NULL: MESSAGE says which file is wrong and how. Reads files: some milliseconds. Control thread,
 * or main thread at start.
 */
struct tls_contexts *tls_contexts_create(const struct tls_contexts_source *source, char *message,
                                         size_t message_size);

/* Control thread. NULL is allowed. */
struct tls_contexts *tls_contexts_hold(struct tls_contexts *contexts);
void tls_contexts_drop(struct tls_contexts *contexts);

/* What worker WORKER uses for profile INDEX. Valid as long as the contexts are held. */
const struct tls_profile *tls_contexts_profile(const struct tls_contexts *contexts, uint32_t index,
                                               uint32_t worker);

/* What worker WORKER uses for target INDEX; likewise. */
const struct tls_target *tls_contexts_target(const struct tls_contexts *contexts, uint32_t index,
                                             uint32_t worker);

/* When the certificate that ends first, shown to clients or to backends, does so, unix seconds; 0:
 * there is none. */
int64_t tls_contexts_expire_at(const struct tls_contexts *contexts);
