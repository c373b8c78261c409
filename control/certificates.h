/*
 * certificates: from the configuration's files to what workers shake hands with
 * (dataplane/tls/tls_context.h). Control thread.
 */
#pragma once

#include "control/config_reader.h"

/* Before anything else that could use OpenSSL. False: its memory cannot be bounded. */
bool certificates_init(void);

/* Whether workers need memory for TLS: there are certificates, or backends with TLS. */
bool certificates_need_memory(const struct config *config);

/* Read and check what listeners and backends with TLS need: config->tls. Adds findings. Some ms. */
void certificates_read(struct config_reader *reader);

/* When the first of them expires, unix ms; 0: there are none, or one has no such time. */
/* Lines of the key log that a worker may have on their way; 0: there is no key log. */
uint32_t certificates_key_lines(const struct config *config);

uint64_t certificates_expire_ms(const struct tls_contexts *contexts);

/* A hold on what the workers read; NULL is allowed. */
struct tls_contexts *certificates_hold(struct tls_contexts *contexts);
void certificates_drop(struct tls_contexts *contexts);
