#include "tests/support/backend_http1.h"

#include "dataplane/base/check.h"
#include "dataplane/tcp/tcp.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define TEXT_BYTES  16384 /* a section, or a line */
#define PIECE_BYTES 2048  /* of an answer's body */
#define OUT_BYTES   (PIECE_BYTES + 8192)

/* What of a request comes next. */
enum place {
    PLACE_HEAD,     /* lines, to an empty one */
    PLACE_BODY,     /* as long as content-length says */
    PLACE_SIZE,     /* the line before a chunk */
    PLACE_CHUNK,    /* its bytes */
    PLACE_GAP,      /* the line end behind them */
    PLACE_TRAILERS, /* lines, to an empty one */
    PLACE_WHOLE,    /* nothing, before the answer has ended */
};

struct backend_http1 {
    struct backend_conn *conn;
    struct transport transport;
    uint32_t events; /* enum tcp_event, that have come */
    struct backend_exchange *exchange;
    enum place place;
    uint64_t left;         /* bytes of the body or chunk that come */
    char text[TEXT_BYTES]; /* of lines that come; ended by NUL when they are read */
    uint32_t text_bytes;
    bool chunked;     /* the answer is */
    bool closes;      /* the connection ends with it ... */
    bool until_close; /* ... and nothing else says where it ends */
    char out[OUT_BYTES];
    uint32_t out_bytes; /* not taken by TCP yet */
};

struct backend_http1 *backend_http1_open(struct backend_conn *conn, struct transport transport)
{
    struct backend_http1 *http1 = calloc(1, sizeof(*http1));
    check(http1 != NULL);
    http1->conn = conn;
    http1->transport = transport;
    return http1;
}

void backend_http1_event(struct backend_http1 *http1, uint32_t events)
{
    http1->events |= events;
}

void backend_http1_end(struct backend_http1 *http1, bool reset, uint64_t now)
{
    if (http1->exchange != NULL)
        backend_exchange_give(http1->exchange, now);
    if (reset)
        http1->transport.ops->abort(http1->transport.stream);
    else
        http1->transport.ops->close(http1->transport.stream);
    http1->conn->http1 = NULL;
    free(http1);
}

/* ---- requests ---- */

/* More of the line; true: it is there, with those before it if WHOLE, to an empty line. */
static bool read_lines(struct backend_http1 *http1, struct bytes bytes, bool whole)
{
    size_t taken = 0;
    bool done = false;
    while (!done && taken < bytes.length) {
        check(http1->text_bytes + 1 < TEXT_BYTES);
        http1->text[http1->text_bytes++] = (char)bytes.data[taken++];
        uint32_t length = http1->text_bytes;
        bool line = length >= 2 && memcmp(http1->text + length - 2, "\r\n", 2) == 0;
        done = line && (!whole || length == 2 ||
                        (length >= 4 && memcmp(http1->text + length - 4, "\r\n", 2) == 0));
    }
    http1->transport.ops->read_done(http1->transport.stream, (uint32_t)taken);
    http1->text[http1->text_bytes] = 0;
    if (done)
        http1->text_bytes = 0;
    return done;
}

static void add(struct fields *fields, const char *name, const char *value)
{
    struct field field = {.name = bytes_text(name), .value = bytes_text(value)};
    field.token = field_token_of(field.name);
    fields_add(fields, field);
}

/* The next line, without its end; NULL: no more. */
static char *next_line(char **text)
{
    char *line = *text, *end = strstr(line, "\r\n");
    check(end != NULL);
    *end = 0;
    *text = end + 2;
    return end != line ? line : NULL;
}

static void read_request_line(char *line, struct fields *fields)
{
    char *path = strchr(line, ' ');
    char *version = path != NULL ? strchr(path + 1, ' ') : NULL;
    check(version != NULL && strcmp(version, " HTTP/1.1") == 0);
    *path = *version = 0;
    add(fields, ":method", line);
    add(fields, ":path", path + 1);
}

static void read_field(struct backend_http1 *http1, char *line, struct fields *fields)
{
    char *value = strstr(line, ": ");
    check(value != NULL);
    *value = 0;
    value += 2;
    if (strcmp(line, "content-length") == 0) {
        http1->left = strtoull(value, NULL, 10);
        http1->place = http1->left > 0 ? PLACE_BODY : PLACE_WHOLE;
    } else if (strcmp(line, "transfer-encoding") == 0) {
        check(strcmp(value, "chunked") == 0);
        http1->place = PLACE_SIZE;
    }
    add(fields, line, value);
}

static void read_head(struct backend_http1 *http1, uint64_t now)
{
    uint8_t room[TEXT_BYTES];
    struct fields fields;
    char *text = http1->text;
    fields_init(&fields, room, sizeof(room));
    http1->place = PLACE_WHOLE;
    read_request_line(next_line(&text), &fields);
    for (char *line; (line = next_line(&text)) != NULL;)
        read_field(http1, line, &fields);
    bool end = http1->place == PLACE_WHOLE;
    http1->exchange = backend_exchange_begin(http1->conn, NULL, &fields, end, now);
}

static void read_size(struct backend_http1 *http1)
{
    check(isxdigit((unsigned char)http1->text[0]));
    http1->left = strtoull(http1->text, NULL, 16);
    http1->place = http1->left > 0 ? PLACE_CHUNK : PLACE_TRAILERS;
}

/* Its answer may have ended before. */
static void request_is_whole(struct backend_http1 *http1)
{
    http1->place = http1->exchange != NULL ? PLACE_WHOLE : PLACE_HEAD;
}

static void read_trailers(struct backend_http1 *http1, uint64_t now)
{
    request_is_whole(http1);
    if (http1->exchange == NULL)
        return;
    if (http1->text[0] != '\r')
        backend_exchange_trailers(http1->exchange, now);
    else
        backend_exchange_data(http1->exchange, BYTES_NONE, true, now);
}

static void read_body(struct backend_http1 *http1, struct bytes bytes, uint64_t now)
{
    struct bytes part = bytes_first(bytes, http1->left);
    bool is_chunk = http1->place == PLACE_CHUNK;
    http1->left -= part.length;
    if (http1->left == 0 && is_chunk)
        http1->place = PLACE_GAP;
    else if (http1->left == 0)
        request_is_whole(http1);
    if (http1->exchange != NULL)
        backend_exchange_data(http1->exchange, part, http1->place == PLACE_WHOLE, now);
    http1->transport.ops->read_done(http1->transport.stream, (uint32_t)part.length);
}

/* One step; PLACE_WHOLE with an answer under way takes none. */
static void read_some(struct backend_http1 *http1, struct bytes bytes, uint64_t now)
{
    switch (http1->place) {
    case PLACE_HEAD:
        if (read_lines(http1, bytes, true))
            read_head(http1, now);
        return;
    case PLACE_BODY:
    case PLACE_CHUNK:
        read_body(http1, bytes, now);
        return;
    case PLACE_SIZE:
        if (read_lines(http1, bytes, false))
            read_size(http1);
        return;
    case PLACE_GAP:
        if (read_lines(http1, bytes, false))
            http1->place = PLACE_SIZE;
        return;
    case PLACE_TRAILERS:
        if (read_lines(http1, bytes, true))
            read_trailers(http1, now);
        return;
    case PLACE_WHOLE:
        check(!"a request before the answer to the one before it has ended");
    }
}

static void read_all(struct backend_http1 *http1, uint64_t now)
{
    struct bytes bytes;
    while ((bytes = http1->transport.ops->read(http1->transport.stream)).length > 0)
        read_some(http1, bytes, now);
}

/* ---- answers ---- */

__attribute__((format(printf, 2, 3))) static void say(struct backend_http1 *http1,
                                                      const char *format, ...)
{
    va_list arguments;
    uint32_t room = OUT_BYTES - http1->out_bytes;
    va_start(arguments, format);
    int length = vsnprintf(http1->out + http1->out_bytes, room, format, arguments);
    va_end(arguments);
    check(length >= 0 && (uint32_t)length < room);
    http1->out_bytes += (uint32_t)length;
}

static void say_fields(struct backend_http1 *http1, const struct fields *fields)
{
    struct field field;
    for (uint32_t at = 0; fields_next(fields, &at, &field);)
        if (field.token != FIELD_STATUS)
            say(http1, "%.*s: %.*s\r\n", (int)field.name.length, (const char *)field.name.data,
                (int)field.value.length, (const char *)field.value.data);
}

static void say_head(struct backend_http1 *http1, const struct fields *fields)
{
    struct bytes status = BYTES_NONE;
    check(fields_find(fields, FIELD_STATUS, &status));
    say(http1, "HTTP/1.1 %.*s\r\n", (int)status.length, (const char *)status.data);
    say_fields(http1, fields);
}

static void say_final_head(struct backend_http1 *http1, const struct fields *fields)
{
    struct bytes length;
    say_head(http1, fields);
    http1->until_close = http1->exchange->plan.until_close && !http1->exchange->is_head;
    http1->closes |= http1->until_close;
    http1->chunked = !fields_find(fields, FIELD_CONTENT_LENGTH, &length) &&
                     !http1->exchange->is_head && !http1->until_close;
    if (http1->conn->act == BACKEND_SHUTS_DOWN) {
        http1->conn->act = BACKEND_ANSWERS;
        http1->closes = true;
    }
    say(http1, "%s%s\r\n", http1->chunked ? "transfer-encoding: chunked\r\n" : "",
        http1->closes ? "connection: close\r\n" : "");
}

static void say_data(struct backend_http1 *http1, struct chunk chunk)
{
    if (chunk.length == 0)
        return;
    if (http1->chunked)
        say(http1, "%x\r\n", chunk.length);
    memcpy(http1->out + http1->out_bytes, chunk.segment->data + chunk.offset, chunk.length);
    http1->out_bytes += chunk.length;
    if (http1->chunked)
        say(http1, "\r\n");
}

/* The answer's end. A declared length that was not met ends the connection. */
static void say_end(struct backend_http1 *http1, const struct fields *trailers, uint64_t now)
{
    const struct backend_exchange *exchange = http1->exchange;
    bool is_short = !exchange->is_head && exchange->source.position < exchange->source.total;
    if (http1->chunked) {
        say(http1, "0\r\n");
        if (trailers != NULL)
            say_fields(http1, trailers);
        say(http1, "\r\n");
    }
    http1->closes |= is_short;
    backend_exchange_give(http1->exchange, now);
    http1->exchange = NULL;
    http1->place = http1->place == PLACE_WHOLE ? PLACE_HEAD : http1->place;
}

/* The reader has all that was declared: what the plan says to do later can do nothing to it. */
static bool is_complete(const struct backend_http1 *http1)
{
    const struct backend_exchange *exchange = http1->exchange;
    return !http1->chunked && !http1->until_close && exchange->head_sent &&
           (exchange->is_head || exchange->source.position == exchange->source.total);
}

/* False: there is nothing to say. */
static bool say_more(struct backend_http1 *http1, uint64_t now)
{
    struct h2_supply supply = backend_exchange_supply(http1->exchange, PIECE_BYTES, now);
    switch (supply.kind) {
    case H2_SUPPLY_NONE:
        return false;
    case H2_SUPPLY_INTERIM:
        say_head(http1, supply.fields);
        say(http1, "\r\n");
        return true;
    case H2_SUPPLY_HEADERS:
        say_final_head(http1, supply.fields);
        break;
    case H2_SUPPLY_DATA:
        say_data(http1, supply.chunk);
        break;
    case H2_SUPPLY_TRAILERS:
        say_end(http1, supply.fields, now);
        return true;
    case H2_SUPPLY_RESET: /* the exchange has been given back */
        http1->exchange = NULL;
        http1->conn->act = BACKEND_ABORTS;
        return false;
    }
    if (is_complete(http1))
        http1->exchange->seen->answered = true;
    if (supply.end || is_complete(http1))
        say_end(http1, NULL, now);
    return true;
}

static bool send_out(struct backend_http1 *http1)
{
    struct bytes bytes = bytes_of(http1->out, http1->out_bytes);
    const struct transport *to = &http1->transport;
    if (to->ops->room(to->stream) < bytes.length || !to->ops->send_copy(to->stream, bytes))
        return false;
    http1->out_bytes = 0;
    return true;
}

/* False: it is over, all has been said. */
static bool write_all(struct backend_http1 *http1, uint64_t now)
{
    for (;;) {
        if (http1->out_bytes > 0 && !send_out(http1))
            return true;
        if (http1->exchange == NULL)
            return !http1->closes;
        if (!say_more(http1, now))
            return true;
    }
}

void backend_http1_turn(struct backend_http1 *http1, uint64_t now)
{
    if (http1->events & TCP_FAILED) {
        backend_http1_end(http1, true, now);
        return;
    }
    read_all(http1, now);
    if (http1->events & TCP_EOF || !write_all(http1, now))
        backend_http1_end(http1, false, now);
}
