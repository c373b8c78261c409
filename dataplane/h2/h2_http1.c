#include "dataplane/h2/h2_http1.h"

#include "dataplane/base/counter.h"

#define PREFIX_BYTES 14   /* "PRI * HTTP/2.0": what differs before may be HTTP/1 */
#define LINE_BYTES   2048 /* of a request line; longer ones are not looked at */
#define ANSWER_BYTES 4096

static const char refusal[] = "HTTP/1.1 505 HTTP Version Not Supported\r\n"
                              "content-type: text/plain\r\n"
                              "content-length: 32\r\n"
                              "connection: close\r\n"
                              "\r\n"
                              "This server speaks HTTP/2 only.\n";

static void end(struct h2_conn *conn, struct bytes answer)
{
    counter_add(&conn->h2->counters.http1_refused, 1);
    (void)h2_out_send(conn, answer);
    h2_conn_end(conn, (struct h2_end){.code = H2_HTTP_1_1_REQUIRED});
}

static void refuse(struct h2_conn *conn)
{
    end(conn, bytes_of(refusal, sizeof(refusal) - 1));
}

/* False: the owner has to see the request line first. */
static bool answer(struct h2_conn *conn, struct bytes line)
{
    uint8_t text[ANSWER_BYTES];
    struct writer out = writer_over(text, sizeof(text));
    if (conn->handler->http1 == NULL) {
        refuse(conn);
        return true;
    }
    if (!conn->handler->http1(conn->owner, line, &out))
        return false;
    if (out.failed || writer_length(&out) == 0)
        refuse(conn);
    else
        end(conn, writer_written(&out));
    return true;
}

static bool is_text(uint8_t byte)
{
    return (byte >= ' ' && byte < 0x7f) || byte == '\r' || byte == '\n'; /* RFC 9112 2.2 */
}

void h2_http1_begin(struct h2_conn *conn, uint8_t byte)
{
    struct h2_in *in = &conn->in;
    if (in->have >= PREFIX_BYTES || !is_text(byte)) {
        h2_violate(conn, 0, H2_VIOLATION_preface_bad);
        return;
    }
    if (answer(conn, BYTES_NONE))
        return;
    bool is_empty = byte == '\r' || byte == '\n'; /* in front of the line */
    if (!h2_header_block_add(conn, bytes_of(H2_PREFACE, in->have)) ||
        !h2_header_block_add(conn, bytes_of(&byte, is_empty ? 0 : 1))) {
        refuse(conn);
        return;
    }
    in->have = 0;
    in->phase = H2_IN_HTTP1;
}

static void line_complete(struct h2_conn *conn)
{
    const struct h2_header_block *block = conn->in.block;
    uint32_t length = block->length;
    if (length > 0 && block->data[length - 1] == '\r')
        length--;
    if (!answer(conn, bytes_of(block->data, length)))
        refuse(conn);
}

bool h2_http1_line(struct h2_conn *conn, struct reader *r)
{
    while (reader_left(r) > 0) {
        uint8_t byte = reader_u8(r);
        uint32_t length = conn->in.block->length;
        if (byte == '\n' && length > 0) {
            line_complete(conn);
            return true;
        }
        if (length == LINE_BYTES) {
            refuse(conn);
            return true;
        }
        if (length > 0 || (byte != '\r' && byte != '\n'))
            (void)h2_header_block_add(conn, bytes_of(&byte, 1));
    }
    return false;
}
