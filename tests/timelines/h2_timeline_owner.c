/* h2_timeline_owner: the layer above, its calls and what it was told. */
#include "tests/timelines/h2_timeline.h"

#include <string.h>

static struct h2_stream *stream_of(struct timeline *t, struct timeline_line *line)
{
    uint32_t id = timeline_number(t, line);
    struct h2_stream *stream = lab_stream(id);
    if (stream == NULL)
        timeline_fail(t, "there is no stream %u", id);
    return stream;
}

static struct h2_conn *conn_of(struct timeline *t)
{
    if (lab.owner.conn == NULL)
        timeline_fail(t, "the connection is over");
    return lab.owner.conn;
}

/* answer [N]: headers on all streams, and a body of N bytes. */
static void do_answer(struct timeline *t, struct timeline_line *line)
{
    lab.owner.body_bytes = line->at < line->count ? timeline_number(t, line) : 0;
    lab_answer();
}

/* request [open]: a GET, or one whose end does not come. */
static void do_request(struct timeline *t, struct timeline_line *line)
{
    lab.owner.requests = timeline_accept(line, "open") ? LAB_OPEN : LAB_WHOLE;
    if (h2_request_room(conn_of(t)) == 0)
        timeline_fail(t, "there is no room for a request");
    lab_request(1);
}

/* reset STREAM CODE */
static void do_reset(struct timeline *t, struct timeline_line *line)
{
    struct h2_stream *stream = stream_of(t, line);
    lab_reset(stream, (enum h2_error)h2_timeline_code(t, line));
}

/* consume STREAM N: of what data() brought. */
static void do_consume(struct timeline *t, struct timeline_line *line)
{
    struct h2_stream *stream = stream_of(t, line);
    h2_stream_consumed(stream, timeline_number(t, line));
    lab_flush();
}

static void do_shutdown(struct timeline *t, struct timeline_line *line)
{
    h2_shutdown(conn_of(t), lab.now);
    lab_flush();
}

/* ping D: to be answered within D. */
static void do_ping(struct timeline *t, struct timeline_line *line)
{
    h2_ping(conn_of(t), timeline_duration(t, line), lab.now);
    lab_flush();
}

/* told WHAT N: so many since the beginning. */
static void do_told(struct timeline *t, struct timeline_line *line)
{
    const struct lab_owner *owner = &lab.owner;
    const struct {
        const char *name;
        uint64_t value;
    } values[] = {
        {"headers", owner->headers},
        {"overflows", owner->overflows},
        {"trailers", owner->trailers},
        {"data", owner->data_bytes},
        {"resets", owner->resets},
        {"unprocessed", owner->unprocessed},
        {"finished", owner->finished},
        {"available", owner->available},
        {"last_code", owner->last_reset.code},
    };
    const char *name = timeline_need(t, line);
    uint32_t wanted = h2_timeline_code(t, line);
    for (size_t i = 0; i < array_count(values); i++) {
        if (strcmp(values[i].name, name) != 0)
            continue;
        if (values[i].value != wanted)
            timeline_fail(t, "%s: %u", name, (uint32_t)values[i].value);
        return;
    }
    timeline_fail(t, "nobody is told '%s'", name);
}

const struct timeline_statement h2_timeline_owner[] = {
    {"answer", do_answer, false},     {"request", do_request, false},
    {"reset", do_reset, false},       {"consume", do_consume, false},
    {"shutdown", do_shutdown, false}, {"ping", do_ping, false},
    {"told", do_told, false},         {NULL, NULL, false},
};
