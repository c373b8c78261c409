#include "tests/sim/app.h"

#include "dataplane/base/clock.h"

#include <inttypes.h>

#define PIECE_MAX 4096u /* as large as the segments that are sent */
#define SEGMENT   4096u

uint8_t app_byte(uint32_t id, bool from_client, uint64_t position)
{
    return tcp_stream_byte(id * 2 + from_client, position);
}

/* ---- scripts ---- */

void app_draw_script(struct sim *sim, struct app_script *script, uint64_t to_send, uint64_t expects,
                     enum app_end end)
{
    *script = (struct app_script){
        .to_send = to_send,
        .expects = expects,
        .end = end,
        .piece_max = sim_one_in(sim, 3) ? PIECE_MAX : sim_draw_log(sim, 1, PIECE_MAX),
        .segments_in_10 = sim_draw(sim, 0, 10),
        .read_max = sim_one_in(sim, 2) ? UINT32_MAX : sim_draw_log(sim, 1, 20000),
    };
    if (end == APP_ABORTS)
        script->abort_after = sim_draw(sim, 0, (uint32_t)(to_send + expects));
    if (sim_one_in(sim, 3)) {
        script->burst_bytes = sim_draw_log(sim, 1 + (uint32_t)(to_send / 20), 100000);
        script->burst_pause_ns = sim_draw_log(sim, 1, 2000) * CLOCK_MS;
    }
    if (sim_one_in(sim, 3)) {
        script->read_bytes = sim_draw_log(sim, 1 + (uint32_t)(expects / 20), 100000);
        script->read_pause_ns = sim_draw_log(sim, 1, 5000) * CLOCK_MS;
    }
    /* A whole run of a large transfer by single bytes would only take long. */
    if (to_send / script->piece_max > 2000)
        script->piece_max = PIECE_MAX;
    if (expects / script->read_max > 2000)
        script->read_max = UINT32_MAX;
}

void app_init(struct app *app, struct sim *sim, struct tcp_host *host, uint32_t id, bool is_client,
              const struct app_half *peer)
{
    struct app_script script = app->script;
    *app = (struct app){
        .sim = sim,
        .host = host,
        .id = id,
        .is_client = is_client,
        .script = script,
        .peer = peer,
        .burst_left = script.burst_bytes,
        .read_left = script.read_bytes,
    };
}

void app_hurry(struct app *app)
{
    app->script.burst_bytes = 0;
    app->script.read_bytes = 0;
    app->write_at_ns = 0;
    app->read_at_ns = 0;
    app->is_hurried = true;
}

static void note(const struct app *app, const char *what)
{
    sim_note(app->sim, "%s %u: %s, sent %" PRIu64 ", received %" PRIu64,
             app->is_client ? "client" : "server", app->id, what, app->half.sent, app->received);
}

/* ---- ends ---- */

static void let_go(struct app *app)
{
    app->conn = NULL;
    app->half.over = true;
}

static void end_well(struct app *app)
{
    struct tcp_conn *conn = app->conn;
    app->half.closed = true;
    app->half.closed_at_ns = app->sim->now;
    note(app, "closes");
    let_go(app);
    tcp_close(conn);
}

static void end_badly(struct app *app)
{
    struct tcp_conn *conn = app->conn;
    note(app, "aborts");
    let_go(app);
    tcp_abort(conn);
}

static bool is_time_to_end(const struct app *app, bool eof)
{
    const struct app_script *script = &app->script;
    bool sent_all = app->half.sent == script->to_send;
    switch (script->end) {
    case APP_ENDS_WHEN_DONE:
        return sent_all && (app->received >= script->expects || eof);
    case APP_ENDS_AFTER_EOF:
        return sent_all && eof;
    case APP_ENDS_AFTER_SENDING:
        return sent_all;
    case APP_ENDS_AT_ONCE:
        return true;
    case APP_ABORTS:
        return app->half.sent + app->received >= script->abort_after || eof;
    case APP_ENDINGS:
        break;
    }
    return true;
}

/* EOF only behind all that the peer sent before it closed. */
static void check_eof(const struct app *app)
{
    if (!app->peer->closed || app->received != app->peer->sent)
        sim_fail(app->sim, "%s %u: EOF after %" PRIu64 " of %" PRIu64 " bytes, peer %s",
                 app->is_client ? "client" : "server", app->id, app->received, app->peer->sent,
                 app->peer->closed ? "closed" : "did not close");
}

/* ---- bytes ---- */

static void check_bytes(const struct app *app, struct bytes got)
{
    for (size_t i = 0; i < got.length; i++)
        if (got.data[i] != app_byte(app->id, !app->is_client, app->received + i))
            sim_fail(app->sim, "%s %u: received another byte than was sent, at %" PRIu64,
                     app->is_client ? "client" : "server", app->id, app->received + i);
    if (app->received + got.length > app->peer->sent)
        sim_fail(app->sim, "%s %u: received more than was sent",
                 app->is_client ? "client" : "server", app->id);
}

static void read_was_done(struct app *app, uint64_t count)
{
    app->received += count;
    if (app->script.read_bytes == 0)
        return;
    app->read_left -= count < app->read_left ? count : app->read_left;
    if (app->read_left > 0)
        return;
    app->read_left = app->script.read_bytes;
    app->read_at_ns = app->sim->now + app->script.read_pause_ns;
}

static void read_some(struct app *app)
{
    uint32_t left = app->script.read_max;
    while (left > 0 && app->sim->now >= app->read_at_ns) {
        struct bytes got = bytes_first(tcp_read(app->conn), left);
        if (app->script.read_bytes > 0)
            got = bytes_first(got, app->read_left);
        if (got.length == 0)
            return;
        check_bytes(app, got);
        tcp_read_done(app->conn, (uint32_t)got.length);
        left -= (uint32_t)got.length;
        read_was_done(app, got.length);
    }
}

static void fill(const struct app *app, uint8_t *out, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++)
        out[i] = app_byte(app->id, app->is_client, app->half.sent + i);
}

static bool send_segment(struct app *app, uint32_t length)
{
    struct segment *segment = segment_take(&app->host->segments);
    if (segment == NULL)
        return false;
    uint32_t offset = sim_draw(app->sim, 0, SEGMENT - length);
    fill(app, segment->data + offset, length);
    segment->length = offset + length;
    bool queued = tcp_send_segment(app->conn, segment, offset, length);
    segment_drop(segment);
    return queued;
}

static bool send_piece(struct app *app, uint32_t length)
{
    uint8_t piece[PIECE_MAX];
    if (sim_draw(app->sim, 1, 10) <= app->script.segments_in_10)
        return send_segment(app, length);
    fill(app, piece, length);
    return tcp_send_copy(app->conn, bytes_of(piece, length));
}

static uint32_t next_piece(struct app *app)
{
    uint64_t length = sim_draw(app->sim, 1, app->script.piece_max);
    uint64_t left = app->script.to_send - app->half.sent;
    uint32_t room = tcp_send_room(app->conn);
    length = length < left ? length : left;
    length = length < room ? length : room;
    if (app->script.burst_bytes > 0 && app->burst_left < length)
        length = app->burst_left;
    return (uint32_t)length;
}

static void send_was_done(struct app *app, uint32_t length)
{
    app->half.sent += length;
    if (app->script.burst_bytes == 0)
        return;
    app->burst_left -= length;
    if (app->burst_left > 0)
        return;
    app->burst_left = app->script.burst_bytes;
    app->write_at_ns = app->sim->now + app->script.burst_pause_ns;
}

static void send_some(struct app *app)
{
    while (app->half.sent < app->script.to_send && app->sim->now >= app->write_at_ns) {
        uint32_t length = next_piece(app);
        if (length == 0 || !send_piece(app, length))
            return;
        send_was_done(app, length);
    }
}

static void pump(struct app *app)
{
    if (app->conn == NULL || !app->opened)
        return;
    if (app->script.end != APP_ENDS_AT_ONCE) {
        read_some(app);
        send_some(app);
    }
    bool eof = app->eof && tcp_read(app->conn).length == 0;
    if (eof)
        check_eof(app);
    if (!is_time_to_end(app, eof))
        return;
    if (app->script.end == APP_ABORTS)
        end_badly(app);
    else
        end_well(app);
}

/* ---- events ---- */

static void failed(struct app *app, uint64_t now)
{
    static const char *const names[TCP_FAILURES] = {"", "refused", "reset", "timed out",
                                                    "unreachable"};
    struct tcp_conn *conn = app->conn;
    struct tcp_info info;
    tcp_info(conn, now, &info);
    sim_require(app->sim, info.failure != TCP_FAILURE_NONE && info.failure < TCP_FAILURES);
    app->failure = info.failure;
    app->half.failed = true;
    app->half.failed_at_ns = now;
    note(app, names[info.failure]);
    let_go(app);
    tcp_abort(conn);
}

static void event(void *context, struct tcp_conn *conn, uint32_t events, uint64_t now)
{
    struct app *app = context;
    sim_require(app->sim, app->conn == conn);
    sim_require(app->sim, now == app->sim->now);
    if (events & TCP_OPENED) {
        sim_require(app->sim, !app->opened);
        app->opened = true;
        note(app, "opened");
    }
    sim_require(app->sim, app->opened || events & TCP_FAILED);
    if (events & TCP_EOF) {
        sim_require(app->sim, !app->eof);
        app->eof = true;
        note(app, "EOF");
    }
    if (events & TCP_FAILED) {
        failed(app, now);
        return;
    }
    pump(app);
}

static const struct tcp_app app_of_tcp = {.event = event};

bool app_connect(struct app *app, const struct ip_address *remote, uint16_t port)
{
    app->conn = tcp_connect(app->host->tcp, remote, port, &app_of_tcp, app, app->sim->now);
    note(app, app->conn != NULL ? "connects" : "cannot connect");
    app->half.over = app->conn == NULL;
    app->half.failed = app->conn == NULL;
    return app->conn != NULL;
}

void app_accept(struct app *app, struct tcp_conn *conn, uint32_t events)
{
    app->conn = conn;
    tcp_set_app(conn, &app_of_tcp, app);
    event(app, conn, events, app->sim->now);
}

/* Slow readers have no event to wait for. */
static bool has_more_to_read(const struct app *app)
{
    return app->script.read_max != UINT32_MAX || app->script.read_bytes > 0;
}

void app_turn(struct app *app)
{
    if (app->conn == NULL || !app->opened)
        return;
    uint64_t now = app->sim->now;
    bool write_is_due = app->write_at_ns != 0 && app->write_at_ns <= now;
    bool read_is_due = has_more_to_read(app) && app->read_at_ns <= now;
    if (write_is_due)
        app->write_at_ns = 0;
    if (write_is_due || read_is_due || app->is_hurried)
        pump(app);
}

uint64_t app_next_ns(const struct app *app)
{
    uint64_t next = CLOCK_NEVER;
    if (app->conn == NULL || !app->opened)
        return next;
    if (app->write_at_ns > app->sim->now)
        next = app->write_at_ns;
    if (app->read_at_ns > app->sim->now && app->read_at_ns < next)
        next = app->read_at_ns;
    if (has_more_to_read(app) && app->read_at_ns <= app->sim->now && tcp_read(app->conn).length > 0)
        next = app->sim->now;
    return next;
}
