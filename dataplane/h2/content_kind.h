/*
 * content_kind: what kind of body an answer announces, as far as anybody treats it apart. Pure.
 */
#pragma once

#include "dataplane/h2/fields.h"

enum content_kind {
    CONTENT_OTHER,
    CONTENT_GRPC,   /* application/grpc: length-prefixed messages */
    CONTENT_EVENTS, /* text/event-stream */
};

/* By the content-type of HEAD. O(fields) */
static inline enum content_kind content_kind_of(const struct fields *head)
{
    struct bytes type = BYTES_NONE;
    if (!fields_find(head, FIELD_CONTENT_TYPE, &type))
        return CONTENT_OTHER;
    if (bytes_start_with(type, bytes_text("application/grpc")))
        return CONTENT_GRPC;
    return bytes_start_with(type, bytes_text("text/event-stream")) ? CONTENT_EVENTS : CONTENT_OTHER;
}
