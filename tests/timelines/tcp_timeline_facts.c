/* tcp_timeline_facts: what has to be. */
#include "dataplane/base/clock.h"
#include "tests/support/tcp_checks.h"
#include "tests/timelines/tcp_timeline.h"

#include <stdio.h>
#include <string.h>

/* A connection that is gone leaves its tuple to the listener: CLOSED is true then, too. */
static void do_state(struct timeline *base, struct timeline_line *line)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    const char *wanted = timeline_need(&t->base, line);
    script_step(&t->script);
    const char *state = tcp_timeline_state(t);
    if (strcmp(wanted, "CLOSED") == 0 && strcmp(state, "LISTEN") == 0)
        return;
    if (strcmp(wanted, state) != 0)
        timeline_fail(&t->base, "the state is %s", state);
}

static void events_text(const struct tcp_timeline_app *app, char *out, size_t room)
{
    static const char *const failures[TCP_FAILURES] = {"", "refused", "reset", "timeout",
                                                       "unreachable"};
    bool failed = (app->events & TCP_FAILED) != 0;
    (void)snprintf(out, room, "%s%s%s%s%s%s", app->events & TCP_OPENED ? "opened " : "",
                   app->events & TCP_READABLE ? "readable " : "",
                   app->events & TCP_WRITABLE ? "writable " : "",
                   app->events & TCP_EOF ? "eof " : "", failed ? "failed " : "",
                   failed ? failures[app->failure] : "");
}

/* event opened eof, event failed reset, event none: all that were told since the last time. */
static void do_event(struct timeline *base, struct timeline_line *line)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    char told[128] = "";
    script_step(&t->script);
    if (t->app_count > 0) {
        events_text(tcp_timeline_app_of(t), told, sizeof(told));
        tcp_timeline_app_of(t)->events = 0;
    }
    char *rest = NULL;
    bool same = true;
    bool none = timeline_accept(line, "none");
    char copy[128];
    memcpy(copy, told, sizeof(copy));
    for (char *word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        same &= !none && timeline_accept(line, word);
    if (!same || line->at != line->count)
        timeline_fail(&t->base, "the events are: %s", told[0] == '\0' ? "none" : told);
}

static void do_received(struct timeline *base, struct timeline_line *line)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    uint32_t wanted = timeline_number(&t->base, line);
    script_step(&t->script);
    if (tcp_timeline_app_of(t)->received != wanted)
        timeline_fail(&t->base, "%u bytes were received",
                      (uint32_t)tcp_timeline_app_of(t)->received);
}

static uint32_t conn_value(const struct tcp_timeline *t, const char *name)
{
    bool is_time_wait;
    const struct tcp_conn *conn = tcp_timeline_find(t, &is_time_wait);
    if (conn == NULL)
        timeline_fail(&t->base, "there is no connection");
    const struct {
        const char *name;
        uint32_t value;
    } values[] = {
        {"cwnd", conn->cwnd},
        {"ssthresh", conn->ssthresh},
        {"mss", conn->mss},
        {"snd_wnd", conn->snd_wnd},
        {"snd_una", conn->snd_una - t->host_iss},
        {"snd_nxt", conn->snd_nxt - t->host_iss},
        {"rcv_nxt", conn->rcv_nxt - t->peer_iss},
        {"rcv_edge", conn->rcv_adv - t->peer_iss},
        {"rto_ms", (uint32_t)(tcp_rto_ns(conn) / CLOCK_MS)},
        {"backoff", conn->backoff},
        {"recovery", conn->recovery},
        {"lost", conn->lost_bytes},
        {"sacked", conn->sacked_bytes},
    };
    for (size_t i = 0; i < array_count(values); i++)
        if (strcmp(values[i].name, name) == 0)
            return values[i].value;
    timeline_fail(&t->base, "a connection has no '%s'", name);
}

/* conn NAME N, conn NAME >= N, conn NAME <= N */
static void do_conn(struct timeline *base, struct timeline_line *line)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    const char *name = timeline_need(&t->base, line);
    bool least = timeline_accept(line, ">=");
    bool most = !least && timeline_accept(line, "<=");
    uint32_t wanted = timeline_number(&t->base, line);
    script_step(&t->script);
    uint32_t value = conn_value(t, name);
    bool good = least ? value >= wanted : most ? value <= wanted : value == wanted;
    if (!good)
        timeline_fail(&t->base, "%s is %u", name, value);
}

const struct timeline_statement tcp_timeline_facts[] = {
    {"state", do_state, false}, {"event", do_event, false}, {"received", do_received, false},
    {"conn", do_conn, false},   {NULL, NULL, false},
};
