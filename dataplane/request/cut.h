/*
 * cut: where an answer of messages may be cut, so that an end by our own words is honest (rule
 * C11): between two gRPC messages, or behind a whole event of an event stream. It follows the bytes
 * that were given to the client. One worker; pure; O(messages), O(1) for events.
 */
#pragma once

#include "dataplane/h2/fields.h"

enum cut_kind {
    CUT_NEVER,  /* no such answer */
    CUT_GRPC,   /* length-prefixed messages */
    CUT_EVENTS, /* text/event-stream */
};

struct cut {
    enum cut_kind kind;
    uint32_t message_left; /* gRPC: bytes of the message begun */
    uint8_t prefix_used;   /* gRPC: bytes of the prefix seen, 0..4 */
    uint32_t prefix;       /* gRPC: the length as far as seen */
    uint8_t line_ends;     /* events: in a row */
    bool after_cr;
    bool begun; /* events: something was given */
};

/*
 * By the content-type of the answer's HEAD. What is coded (content-encoding) or counted
 * (content-length) is never cut, nor is the answer to a HEAD.
 */
void cut_begin(struct cut *cut, const struct fields *head, bool is_head);

/* These bytes follow. */
void cut_pass(struct cut *cut, struct bytes bytes);

/* Whether the answer may be ended here by our own words. */
bool cut_is_clean(const struct cut *cut);
