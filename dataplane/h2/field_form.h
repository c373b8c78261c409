/*
 * field_form: what can be said of a field without its message: the characters of its name and value
 * (RFC 9113 8.2.1, RFC 9110 5.5), and the grammar of pseudo-header fields and host (RFC 9113 8.3.1,
 * RFC 3986 3). Pure; any thread.
 */
#pragma once

#include "dataplane/h2/fields.h"

/* Never FORM_UNKNOWN. TOKEN is that of NAME. O(bytes), most of them eight at a time. */
enum field_form field_form_of(enum field_token token, struct bytes name, struct bytes value);
