/*
 * h2_http1: a client that begins with something other than the preface, and with text: it speaks
 * HTTP/1, and deserves an answer that it can read. The owner makes it (struct h2_handler).
 */
#pragma once

#include "dataplane/h2/h2_in.h"

/* BYTE differs from the preface; what came before it is in->have bytes of that. */
void h2_http1_begin(struct h2_conn *conn, uint8_t byte);

/* H2_IN_HTTP1: the rest of the request line. False: more bytes are needed. */
bool h2_http1_line(struct h2_conn *conn, struct reader *r);
