/*
 * http1_answer: what a client is told that speaks HTTP/1, as its listener says: no answer to its
 * request, but one that its user can make something of.
 */
#include "dataplane/request/exchange.h"

/* RFC 9110 15.5.22: with what has to be spoken. */
#define UPGRADE_REQUIRED                                                                           \
    "HTTP/1.1 426 Upgrade Required\r\n"                                                            \
    "upgrade: HTTP/2.0\r\n"                                                                        \
    "connection: upgrade, close\r\n"                                                               \
    "content-type: text/plain\r\n"                                                                 \
    "content-length: 32\r\n"                                                                       \
    "\r\n"                                                                                         \
    "This server speaks HTTP/2 only.\n"

/* RFC 9110 15.4.9: the method stays. In between stands where to. */
#define REDIRECT_HEAD "HTTP/1.1 308 Permanent Redirect\r\nlocation: "
#define REDIRECT_END  "\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"

/* RFC 9112 3.2.1: "GET /path HTTP/1.1". What is no path becomes the root. */
static struct bytes path_of(struct bytes line)
{
    struct bytes root = bytes_text("/");
    const uint8_t *from = memchr(line.data, ' ', line.length);
    if (from == NULL)
        return root;
    struct bytes rest = bytes_after(line, (size_t)(from + 1 - line.data));
    const uint8_t *end = memchr(rest.data, ' ', rest.length);
    struct bytes path = end != NULL ? bytes_first(rest, (size_t)(end - rest.data)) : rest;
    if (path.length == 0 || path.data[0] != '/')
        return root;
    for (size_t i = 0; i < path.length; i++)
        if (path.data[i] <= ' ' || path.data[i] >= 0x7f)
            return root;
    return path;
}

static bool redirect(struct bytes location, struct bytes line, struct writer *out)
{
    if (line.data == NULL)
        return false;
    writer_bytes(out, bytes_text(REDIRECT_HEAD));
    writer_bytes(out, location);
    writer_bytes(out, path_of(line));
    writer_bytes(out, bytes_text(REDIRECT_END));
    return true;
}

bool request_http1_answer(const struct snapshot *snapshot, const struct request_peer *peer,
                          struct bytes line, struct writer *out)
{
    const struct snapshot_listener *listener =
        snapshot_listener_at(snapshot, &peer->local, peer->local_port);
    switch (listener != NULL ? listener->http1 : HTTP1_NOT_SUPPORTED) {
    case HTTP1_NOT_SUPPORTED:
        return true; /* nothing to say beyond 505 */
    case HTTP1_UPGRADE_REQUIRED:
        writer_bytes(out, bytes_text(UPGRADE_REQUIRED));
        return true;
    case HTTP1_REDIRECT:
        return redirect(listener->http1_location, line, out);
    }
    return true;
}
