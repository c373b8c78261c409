/*
 * tls_key_log: the secrets of sessions, as lines that programs which decrypt captured packets read
 * (the format of SSLKEYLOGFILE). Nothing is kept unless it is asked for.
 *
 * OpenSSL makes the lines; the worker puts them into a bounded ring and the control thread takes
 * them out. Lines that find it full are lost, counted: no handshake waits for them.
 */
#pragma once

#include <stdint.h>

struct tls;

/* Longer than any: a label, 32 bytes of client random and 48 of a secret in hexadecimal digits. */
#define TLS_KEY_LINE_TEXT 252

struct tls_key_line {
    uint32_t length;
    char text[TLS_KEY_LINE_TEXT]; /* no '\n', no '\0' */
};

/* The oldest line, until it is done; NULL: none. TLS may be NULL. Control thread. O(1) */
const struct tls_key_line *tls_key_line(struct tls *tls);
void tls_key_line_done(struct tls *tls);
