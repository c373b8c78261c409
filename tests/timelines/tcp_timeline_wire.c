/* tcp_timeline_wire: segments of the peer, and those that are expected of us. */
#include "dataplane/base/clock.h"
#include "tests/support/tcp_checks.h"
#include "tests/timelines/tcp_timeline.h"

#include <string.h>

#define EARLY_NS CLOCK_MS       /* deadlines are kept in truncated milliseconds */
#define LATE_NS  (2 * CLOCK_MS) /* and the wheel has ticks */

static void do_inject(struct timeline *base, struct timeline_line *line)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    struct tcp_timeline_segment wanted;
    tcp_timeline_segment_read(t, line, true, &wanted);
    struct script_segment segment = script_make(&t->script, wanted.flags);
    if (!wanted.has_seq)
        timeline_fail(&t->base, "seq is missing");
    segment.seq = wanted.seq;
    segment.ack = !wanted.has_ack && wanted.flags & TCP_ACK ? t->script.ack : wanted.ack;
    segment.window = wanted.has_window ? wanted.window : t->peer_window;
    struct tcp_options *options = &segment.options;
    segment.traffic_class = wanted.congestion ? 3 : 0;
    bool syn = (wanted.flags & TCP_SYN) != 0;
    if (syn || wanted.no_timestamp)
        options->present = 0;
    uint32_t echo = options->ts_echo;
    uint32_t value = options->ts_value;
    uint8_t present = options->present | wanted.options.present;
    *options = wanted.options;
    options->present = present;
    options->ts_value = wanted.has_timestamp ? wanted.options.ts_value : value;
    options->ts_echo = wanted.has_echo ? wanted.options.ts_echo : echo;
    if (syn)
        t->script.timestamps = (present & TCP_OPTION_TIMESTAMP) != 0;
    script_fill(&segment, (uint64_t)(segment.seq + syn - t->peer_iss) - 1, wanted.length);
    script_send(&t->script, &segment);
    t->mark = t->script.now;
}

/* A segment of ours, at UNTIL at the latest. */
static bool take(struct tcp_timeline *t, struct script_segment *out, uint64_t until)
{
    while (!script_take(&t->script, out)) {
        if (t->script.now >= until)
            return false;
        script_run_for(&t->script, RTE_MIN(CLOCK_MS, until - t->script.now));
    }
    tcp_check_all(t->script.host.tcp);
    return true;
}

static void check_flags(const struct tcp_timeline *t, const struct tcp_timeline_segment *wanted,
                        const struct script_segment *got, const char *text)
{
    uint8_t relevant = wanted->push ? 0xff : (uint8_t)~TCP_PSH;
    if (wanted->flags != (got->flags & relevant))
        timeline_fail(&t->base, "other flags came: %s", text);
}

static void check_numbers(const struct tcp_timeline *t, const struct tcp_timeline_segment *wanted,
                          const struct script_segment *got, const char *text)
{
    if (wanted->has_seq && wanted->seq != got->seq)
        timeline_fail(&t->base, "another sequence number came: %s", text);
    if (wanted->has_ack && wanted->ack != got->ack)
        timeline_fail(&t->base, "another acknowledgement came: %s", text);
    if (wanted->has_window && wanted->window != got->window)
        timeline_fail(&t->base, "another window came: %s", text);
    if (wanted->length != got->length)
        timeline_fail(&t->base, "another length came: %s", text);
    for (uint32_t i = 0; i < got->length; i++)
        if (got->payload[i] != tcp_stream_byte(TCP_TIMELINE_SEED, got->seq - t->host_iss - 1 + i))
            timeline_fail(&t->base, "payload is not the pattern: %s", text);
}

static void check_options(const struct tcp_timeline *t, const struct tcp_timeline_segment *wanted,
                          const struct script_segment *got, const char *text)
{
    const struct tcp_options *a = &wanted->options;
    const struct tcp_options *b = &got->options;
    bool has_timestamp = (b->present & TCP_OPTION_TIMESTAMP) != 0;
    bool same = !(wanted->has_mss && (!(b->present & TCP_OPTION_MSS) || a->mss != b->mss)) &&
                !(wanted->has_scale && (!(b->present & TCP_OPTION_WINDOW_SCALE) ||
                                        a->window_scale != b->window_scale)) &&
                !(wanted->has_sack_permitted && !(b->present & TCP_OPTION_SACK_PERMITTED)) &&
                !(wanted->has_echo && (!has_timestamp || a->ts_echo != b->ts_echo)) &&
                !(wanted->no_timestamp && has_timestamp) &&
                !(wanted->no_sack && b->present & TCP_OPTION_SACK);
    if (a->present & TCP_OPTION_SACK)
        same &= b->present & TCP_OPTION_SACK && a->sack_count == b->sack_count &&
                memcmp(a->sack, b->sack, a->sack_count * sizeof(a->sack[0])) == 0;
    if (!same)
        timeline_fail(&t->base, "other options came: %s", text);
}

/* The first SYN of ours says what our numbers count from. */
static void learn_iss(struct tcp_timeline *t, const struct script_segment *got)
{
    if (!t->has_host_iss && got->flags & TCP_SYN) {
        t->host_iss = got->seq;
        t->has_host_iss = true;
    }
}

static void do_expect(struct timeline *base, struct timeline_line *line)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    struct tcp_timeline_segment wanted;
    struct script_segment got;
    char text[256];
    struct timeline_line again = *line;
    tcp_timeline_segment_read(t, line, false, &wanted);
    uint64_t latest = wanted.after_ns > 0 ? wanted.after_ns + LATE_NS : wanted.within_ns;
    if (!take(t, &got, t->mark + latest))
        timeline_fail(&t->base, "no segment came");
    learn_iss(t, &got);
    tcp_timeline_segment_read(t, &again, false, &wanted); /* numbers are known only now */
    tcp_timeline_describe(t, &got, text, sizeof(text));
    check_flags(t, &wanted, &got, text);
    check_numbers(t, &wanted, &got, text);
    check_options(t, &wanted, &got, text);
    if (t->script.now - t->mark + EARLY_NS < wanted.after_ns)
        timeline_fail(&t->base, "it came after %.3f ms already: %s",
                      (double)(t->script.now - t->mark) / (double)CLOCK_MS, text);
    if (got.flags & TCP_SYN && got.flags & TCP_ACK)
        t->script.timestamps = (got.options.present & TCP_OPTION_TIMESTAMP) != 0;
    t->mark = t->script.now;
}

/* flight SEQ LENGTH: new segments, one behind the other. */
static void do_flight(struct timeline *base, struct timeline_line *line)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    uint32_t at = t->host_iss + timeline_number(&t->base, line);
    uint32_t end = at + timeline_number(&t->base, line);
    while (at != end) {
        struct script_segment got;
        char text[256];
        if (!take(t, &got, t->script.now))
            timeline_fail(&t->base, "the flight ends at %u", at - t->host_iss);
        tcp_timeline_describe(t, &got, text, sizeof(text));
        if (got.seq != at || got.length == 0 || seq_gt(at + got.length, end))
            timeline_fail(&t->base, "not the flight's next segment came: %s", text);
        at += got.length;
    }
    t->mark = t->script.now;
}

static void do_nothing(struct timeline *base, struct timeline_line *line)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    struct script_segment got;
    char text[256];
    uint64_t for_ns = timeline_accept(line, "for") ? timeline_duration(&t->base, line) : 0;
    if (take(t, &got, t->script.now + for_ns)) {
        tcp_timeline_describe(t, &got, text, sizeof(text));
        timeline_fail(&t->base, "nothing should come: %s", text);
    }
    t->mark = t->script.now;
}

static void do_ignore(struct timeline *base, struct timeline_line *line)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    struct script_segment got;
    while (script_take(&t->script, &got))
        ;
    t->mark = t->script.now;
}

static void do_wait(struct timeline *base, struct timeline_line *line)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    script_run_for(&t->script, timeline_duration(&t->base, line));
    t->mark = t->script.now;
}

static void do_peer(struct timeline *base, struct timeline_line *line)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    const char *what = timeline_need(&t->base, line);
    uint32_t value = timeline_number(&t->base, line);
    if (strcmp(what, "window") == 0) {
        t->peer_window = (uint16_t)value;
    } else if (strcmp(what, "clock") == 0) {
        t->script.ts_value = value;
    } else if (strcmp(what, "port") == 0) {
        t->script.tuple.local_port = (uint16_t)value;
        t->script.tuple.remote_port = SCRIPT_PORT;
        t->has_host_iss = false;
        t->host_iss = 0;
        t->script.ack = 0;
        t->script.timestamps = false;
    } else {
        timeline_fail(&t->base, "peer: port, window or clock");
    }
}

/* Another connection on the same tuple begins: our numbers are counted from its SYN. */
static void do_again(struct timeline *base, struct timeline_line *line)
{
    struct tcp_timeline *t = tcp_timeline_of(base);
    t->has_host_iss = false;
    t->host_iss = 0;
    t->script.timestamps = false;
}

const struct timeline_statement tcp_timeline_wire[] = {
    {"<", do_inject, false},        {">", do_expect, false},      {"flight", do_flight, false},
    {"nothing", do_nothing, false}, {"ignore", do_ignore, false}, {"wait", do_wait, false},
    {"peer", do_peer, false},       {"again", do_again, false},   {NULL, NULL, false},
};
