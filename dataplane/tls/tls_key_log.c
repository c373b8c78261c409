#include "dataplane/tls/tls_key_log.h"

#include "dataplane/tls/tls_private.h"

#include <string.h>

bool tls_key_log_init(struct tls *tls)
{
    uint32_t lines = tls->config.key_lines_max;
    return lines == 0 || ring_spsc_init(&tls->key_lines, "tls key log", lines,
                                        sizeof(struct tls_key_line), tls->config.socket_id);
}

/* OpenSSL's callback (SSL_CTX_set_keylog_callback(3)), in a handshake or a key update. */
static void keep_line(const SSL *ssl, const char *text)
{
    const struct tls_session *session = SSL_get_app_data(ssl);
    if (session == NULL || session->tls->config.key_lines_max == 0)
        return;
    struct tls *tls = session->tls;
    size_t length = strlen(text);
    struct tls_key_line *line =
        length <= TLS_KEY_LINE_TEXT ? ring_spsc_reserve(&tls->key_lines) : NULL;
    if (line == NULL) {
        counter_add(&tls->counters.key_lines_lost, 1);
        return;
    }
    line->length = (uint32_t)length;
    memcpy(line->text, text, length);
    ring_spsc_commit(&tls->key_lines);
    counter_add(&tls->counters.key_lines, 1);
}

void tls_key_log_set(SSL_CTX *context)
{
    SSL_CTX_set_keylog_callback(context, keep_line);
}

const struct tls_key_line *tls_key_line(struct tls *tls)
{
    if (tls == NULL || tls->config.key_lines_max == 0)
        return NULL;
    return ring_spsc_front(&tls->key_lines);
}

void tls_key_line_done(struct tls *tls)
{
    ring_spsc_drop(&tls->key_lines);
}
