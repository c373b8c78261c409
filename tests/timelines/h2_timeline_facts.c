/* h2_timeline_facts: what has to be. */
#include "tests/timelines/h2_timeline.h"

#include <string.h>

static bool is_idle(const struct h2_conn *conn, uint32_t id)
{
    if ((id & 1) == 0)
        return true;
    return conn->role == H2_SERVER ? id > conn->last_peer_id : id >= conn->next_id;
}

const char *h2_timeline_stream_state(uint32_t id)
{
    static const char *const names[H2_STATES] = {
        [H2_STATE_IDLE] = "idle",
        [H2_STATE_OPEN] = "open",
        [H2_STATE_HALF_CLOSED_LOCAL] = "half_closed_local",
        [H2_STATE_HALF_CLOSED_REMOTE] = "half_closed_remote",
        [H2_STATE_CLOSED] = "closed",
    };
    if (lab.owner.conn == NULL)
        return "closed";
    const struct h2_stream *stream = lab_stream(id);
    if (stream != NULL)
        return names[stream->state];
    return is_idle(lab.owner.conn, id) ? "idle" : "closed";
}

const char *h2_timeline_conn_state(void)
{
    static const char *const names[H2_CONN_STATES] = {
        [H2_CONN_PREFACE] = "preface",   [H2_CONN_SETTINGS] = "settings",
        [H2_CONN_OPEN] = "open",         [H2_CONN_ANNOUNCED] = "announced",
        [H2_CONN_DRAINING] = "draining", [H2_CONN_CLOSED] = "closed",
    };
    return names[lab.owner.conn == NULL ? H2_CONN_CLOSED : lab.owner.conn->state];
}

/* stream ID STATE */
static void do_stream(struct timeline *t, struct timeline_line *line)
{
    const char *state = h2_timeline_stream_state(timeline_number(t, line));
    if (strcmp(timeline_need(t, line), state) != 0)
        timeline_fail(t, "the stream is %s", state);
}

/* connection STATE */
static void do_connection(struct timeline *t, struct timeline_line *line)
{
    const char *state = h2_timeline_conn_state();
    if (strcmp(timeline_need(t, line), state) != 0)
        timeline_fail(t, "the connection is %s", state);
}

/* window ID send|receive N: the stream's, or that of the connection for 0. */
static void do_window(struct timeline *t, struct timeline_line *line)
{
    uint32_t id = timeline_number(t, line);
    const struct h2_conn *conn = lab.owner.conn;
    const struct h2_stream *stream = lab_stream(id);
    bool sends = timeline_accept(line, "send");
    if (!sends && !timeline_accept(line, "receive"))
        timeline_fail(t, "window ID send|receive N");
    if (conn == NULL || (id != 0 && stream == NULL))
        timeline_fail(t, "there is no stream %u", id);
    int32_t send = id == 0 ? conn->send_window : stream->send_window;
    uint32_t receive = id == 0 ? conn->receive_window : stream->receive_window;
    int32_t value = sends ? send : (int32_t)receive;
    if (value != (int32_t)timeline_number(t, line))
        timeline_fail(t, "the window is %d", value);
}

const struct timeline_statement h2_timeline_facts[] = {
    {"stream", do_stream, false},
    {"connection", do_connection, false},
    {"window", do_window, false},
    {NULL, NULL, false},
};
