/*
 * tls_target: what handshakes with one backend need: whom to trust, the name it must prove, what
 * to offer, and the session to resume. Built by the control thread (tls_context.h), a copy for each
 * worker; immutable but for the kept session, which is its worker's own.
 */
#pragma once

#include "dataplane/tls/tls_context.h"

struct tls_target;

#define TLS_TARGET_NAME 256

/* What is offered by ALPN (RFC 7301); a backend that says nothing speaks HTTP/1.1. */
enum tls_offer {
    TLS_OFFER_H2,
    TLS_OFFER_HTTP1,
    TLS_OFFER_BOTH, /* h2 is preferred */
};

struct tls_target_source {
    const char *path;           /* in the configuration, for messages */
    const char *ca_file;        /* PEM: whoever is in it is trusted, root or not */
    bool verify;                /* false: anybody is taken */
    char name[TLS_TARGET_NAME]; /* to be in its certificate, and asked for (RFC 6066 3); or ... */
    bool is_address;            /* ... an address: RFC 9525 6.5, not asked for */
    const struct tls_certificate_source *certificate; /* ours, if asked; NULL: none */
    enum tls_policy policy;
    enum tls_offer offer;
    bool key_log; /* lines of sessions are kept: tls_key_log.h; the same for all */
};

/* For whoever keeps one longer than the contexts. Its worker, or the control thread. */
const struct tls_target *tls_target_hold(const struct tls_target *target);
void tls_target_drop(const struct tls_target *target); /* NULL is allowed */
