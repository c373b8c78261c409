/*
 * world_tls: what a world needs to speak TLS: one certificate for Weir and its backends, settings
 * for both sides of both, and OpenSSL as told_openssl.h says.
 */
#pragma once

#include "dataplane/tls/tls_context.h"

#include <stdint.h>

/* Profiles. */
enum world_tls_profile { WORLD_TLS_WEIR, WORLD_TLS_BACKEND, WORLD_TLS_PROFILES };

/* Targets: Weir for clients, a backend for Weir. */
enum world_tls_target {
    WORLD_TLS_TO_WEIR,
    WORLD_TLS_TO_HTTP2,
    WORLD_TLS_TO_HTTP1,
    WORLD_TLS_TARGETS
};

/* The settings, for so many workers and, behind them, all hosts together. Dropped by the caller. */
struct tls_contexts *world_tls_contexts(uint32_t workers);
