/*
 * h2_message: what makes a message malformed (RFC 9113 8). Pure; any thread. O(bytes).
 */
#pragma once

#include "dataplane/h2/h2_violation.h"

struct h2_message {
    uint64_t content_length; /* UINT64_MAX: not told */
    uint64_t list_bytes;     /* RFC 9113 6.5.2: names, values and 32 for each field */
    uint16_t status;         /* responses */
};

/* A content-length (RFC 9110 8.6). False: it is none. */
bool h2_message_length(struct bytes value, uint64_t *out);

/* No rule but that of its form is for the field, whatever it says. */
bool h2_message_is_ordinary(const struct field *field);

/* CONNECT_PROTOCOL: we have announced SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 3). */
enum h2_violation h2_message_request(const struct fields *fields, bool connect_protocol,
                                     struct h2_message *out);
enum h2_violation h2_message_response(const struct fields *fields, struct h2_message *out);
enum h2_violation h2_message_trailers(const struct fields *fields, struct h2_message *out);
