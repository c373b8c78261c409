/*
 * tls_provider: the algorithms of TLS, for a library context of its own. OpenSSL looks for each of
 * them in all names that a context knows, ten times a handshake, so a context of ours knows only
 * those that TLS may agree on, or certificates may be of; and the key schedule is ours
 * (tls_key_schedule.c). All others are those of OpenSSL's default provider (provider(7)), which
 * stays in a context behind. Main and control thread; afterwards any.
 */
#pragma once

#include <openssl/core_dispatch.h>
#include <openssl/types.h>
#include <stdbool.h>

/* One line of a table of functions, and its end. */
#define TLS_FUNCTION(id, function)                                                                 \
    {                                                                                              \
        id, (void (*)(void))(function)                                                             \
    }
#define TLS_FUNCTIONS_END                                                                          \
    {                                                                                              \
        0, NULL                                                                                    \
    }

/* A context for the life of the process; NULL: not enough memory. */
OSSL_LIB_CTX *tls_library_new(void);

/* For tls_provider.c: a KDF's functions. */
extern const OSSL_DISPATCH tls_key_schedule[];
