/*
 * h2_violation: what ends a stream or a connection, as one enum with its scope and error code
 * (h2_violations.def). A value, never a check(): peers cause it.
 */
#pragma once

#include "dataplane/h2/h2.h"

enum h2_scope {
    H2_SCOPE_NONE,
    H2_SCOPE_STREAM,
    H2_SCOPE_CONNECTION,
};

enum h2_violation {
    H2_VIOLATION_none,
#define VIOLATION(name, scope, code, help) H2_VIOLATION_##name,
#include "dataplane/h2/h2_violations.def"
#undef VIOLATION
    H2_VIOLATIONS
};

struct h2_violation_rule {
    enum h2_scope scope;
    enum h2_error code;
    uint32_t counter_offset; /* in struct h2_counters */
};

extern const struct h2_violation_rule h2_violation_rules[H2_VIOLATIONS];

/*
 * Count it and end what it concerns: the stream with this id (told to its owner if it has one), or
 * the connection. After a violation of connection scope the connection is closed; ask its state.
 */
void h2_violate(struct h2_conn *conn, uint32_t stream_id, enum h2_violation violation);

/* A shortage of our own that ends a stream, which need not have an identifier yet. */
void h2_violate_stream(struct h2_stream *stream, enum h2_violation violation);
