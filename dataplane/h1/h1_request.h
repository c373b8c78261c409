/*
 * h1_request: an HTTP/2 request said in HTTP/1.1 (RFC 9113 8, RFC 9112 3, 6). Pure. Nothing of it
 * is believed because HTTP/2 has checked it: what would be read differently behind us is refused
 * by name.
 */
#pragma once

#include "dataplane/base/writer.h"
#include "dataplane/h1/h1_violation.h"

/* What of a request decides how it is sent and its answer read. */
struct h1_framing {
    bool is_head;            /* the method is HEAD: the answer has no body */
    bool chunked;            /* else as long as content_length */
    uint64_t content_length; /* 0 without a body */
};

/* Whether it can be said at all. END: there is no body. O(bytes). */
enum h1_violation h1_request_check(const struct fields *request);

/* Whether its head is longer than its fields: some of the target is said in percent. O(bytes). */
bool h1_request_grows(const struct fields *request);

/*
 * Write the head; END: there is no body. The caller has checked the request. Violations found only
 * here: request_too_large, request_length_mismatch.
 */
enum h1_violation h1_request_write(const struct fields *request, bool end, struct writer *out,
                                   struct h1_framing *framing);

/* The end of a chunked body with its trailers; NULL: none. False: no room, or not to be said. */
bool h1_trailers_write(const struct fields *trailers, struct writer *out);

/* SIZE bytes of a chunk follow. */
void h1_chunk_size_write(uint64_t size, struct writer *out);
