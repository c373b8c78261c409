/* tcp_timeline_app: the layer above, and its calls. */
#include "tests/support/cmocka.h"
#include "tests/support/tcp_checks.h"
#include "tests/timelines/tcp_timeline.h"

#include <string.h>

#define PIECE_BYTES 4096u

struct tcp_timeline_app *tcp_timeline_app_of(struct tcp_timeline *t)
{
    if (t->app_count == 0)
        timeline_fail(&t->base, "there is no connection yet");
    return &t->apps[t->app_count - 1];
}

static struct tcp_timeline_app *app_that_lives(struct tcp_timeline *t)
{
    struct tcp_timeline_app *app = tcp_timeline_app_of(t);
    if (app->conn == NULL)
        timeline_fail(&t->base, "the connection was let go already");
    return app;
}

/* False: a byte is not the pattern's. */
static bool read_some(struct tcp_timeline_app *app, uint64_t most)
{
    bool good = true;
    while (most > 0) {
        struct bytes got = bytes_first(tcp_read(app->conn), most);
        if (got.length == 0)
            break;
        for (size_t i = 0; i < got.length; i++)
            good &= got.data[i] == tcp_stream_byte(TCP_TIMELINE_SEED, app->received + i);
        app->received += got.length;
        most -= got.length;
        tcp_read_done(app->conn, (uint32_t)got.length);
    }
    return good;
}

static void send_some(struct tcp_timeline_app *app)
{
    uint8_t piece[PIECE_BYTES];
    while (app->to_send > 0) {
        uint32_t room = tcp_send_room(app->conn);
        uint64_t length = RTE_MIN(RTE_MIN(app->to_send, (uint64_t)room), sizeof(piece));
        for (uint64_t i = 0; i < length; i++)
            piece[i] = tcp_stream_byte(TCP_TIMELINE_SEED, app->queued + i);
        if (length == 0 || !tcp_send_copy(app->conn, bytes_of(piece, length)))
            return;
        app->queued += length;
        app->to_send -= length;
    }
}

static void app_event(void *context, struct tcp_conn *conn, uint32_t events, uint64_t now)
{
    struct tcp_timeline_app *app = context;
    app->events |= events;
    if (events & TCP_FAILED) {
        struct tcp_info info;
        tcp_info(conn, now, &info);
        app->failure = info.failure;
        return;
    }
    if (app->reads && !read_some(app, UINT64_MAX))
        fail_msg("received bytes are not the pattern");
    send_some(app);
}

static const struct tcp_app app_calls = {.event = app_event};

static struct tcp_timeline_app *app_new(struct tcp_timeline *t)
{
    if (t->app_count == TCP_TIMELINE_APPS)
        timeline_fail(&t->base, "too many connections");
    struct tcp_timeline_app *app = &t->apps[t->app_count++];
    *app = (struct tcp_timeline_app){.reads = true};
    return app;
}

static void accept_event(void *context, struct tcp_conn *conn, uint32_t events, uint64_t now)
{
    struct tcp_timeline_app *app = app_new(context);
    app->conn = conn;
    tcp_set_app(conn, &app_calls, app);
    app_event(app, conn, events, now);
}

const struct tcp_app tcp_timeline_accept = {.event = accept_event};

static void do_connect(struct timeline *base, struct timeline_line *line)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    struct tcp_timeline_app *app = app_new(t);
    app->conn = tcp_connect(t->script.host.tcp, &t->script.tuple.local, SCRIPT_PEER_PORT,
                            &app_calls, app, t->script.now);
    if (app->conn == NULL)
        timeline_fail(&t->base, "no connection can be opened");
    t->mark = t->script.now;
}

static void do_listen(struct timeline *base, struct timeline_line *line)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    tcp_timeline_listen(t, true);
}

static void do_unlisten(struct timeline *base, struct timeline_line *line)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    tcp_timeline_listen(t, false);
}

static void do_send(struct timeline *base, struct timeline_line *line)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    struct tcp_timeline_app *app = app_that_lives(t);
    app->to_send += timeline_number(&t->base, line);
    send_some(app);
    t->mark = t->script.now;
}

static void do_read(struct timeline *base, struct timeline_line *line)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    struct tcp_timeline_app *app = app_that_lives(t);
    uint64_t before = app->received;
    uint32_t count = timeline_number(&t->base, line);
    if (!read_some(app, count) || app->received != before + count)
        timeline_fail(&t->base, "only %u bytes, or wrong ones, could be read",
                      (uint32_t)(app->received - before));
    t->mark = t->script.now;
}

static void do_reading(struct timeline *base, struct timeline_line *line)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    struct tcp_timeline_app *app = app_that_lives(t);
    const char *word = timeline_need(&t->base, line);
    app->reads = strcmp(word, "on") == 0;
    if (app->reads)
        (void)read_some(app, UINT64_MAX);
}

static void do_close(struct timeline *base, struct timeline_line *line)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    struct tcp_timeline_app *app = app_that_lives(t);
    tcp_close(app->conn);
    app->conn = NULL;
    t->mark = t->script.now;
}

static void do_abort(struct timeline *base, struct timeline_line *line)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    struct tcp_timeline_app *app = app_that_lives(t);
    tcp_abort(app->conn);
    app->conn = NULL;
    t->mark = t->script.now;
}

const struct timeline_statement tcp_timeline_calls[] = {
    {"connect", do_connect, false}, {"listen", do_listen, false}, {"unlisten", do_unlisten, false},
    {"send", do_send, false},       {"read", do_read, false},     {"reading", do_reading, false},
    {"close", do_close, false},     {"abort", do_abort, false},   {NULL, NULL, false},
};
