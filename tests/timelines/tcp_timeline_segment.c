/* tcp_timeline_segment: a segment as a script writes it. */
#include "tests/timelines/tcp_timeline.h"

#include <string.h>

static const struct flag_name {
    const char *name;
    uint8_t flag;
} flag_names[] = {
    {"FIN", TCP_FIN}, {"SYN", TCP_SYN}, {"RST", TCP_RST}, {"PSH", TCP_PSH},
    {"ACK", TCP_ACK}, {"ECE", 0x40},    {"CWR", 0x80},
};

static bool flag_read(struct timeline_line *line, struct tcp_timeline_segment *out)
{
    for (size_t i = 0; i < array_count(flag_names); i++) {
        if (!timeline_accept(line, flag_names[i].name))
            continue;
        out->flags |= flag_names[i].flag;
        out->push |= flag_names[i].flag == TCP_PSH;
        return true;
    }
    return timeline_accept(line, "NONE");
}

/* 1001-2001, numbers of the stream of who sent the data. */
static void sack_read(const struct tcp_timeline *t, struct timeline_line *line, bool from_peer,
                      struct tcp_options *options)
{
    uint32_t base = from_peer ? t->host_iss : t->peer_iss;
    while (line->at < line->count && strchr(line->words[line->at], '-') != NULL &&
           options->sack_count < TCP_SACK_BLOCKS_MAX) {
        char *end;
        const char *word = timeline_next(line);
        struct tcp_range *block = &options->sack[options->sack_count++];
        block->start = base + timeline_number_of(&t->base, word, &end);
        if (*end != '-')
            timeline_fail(&t->base, "'%s' is not a SACK block", word);
        block->end = base + timeline_number_of(&t->base, end + 1, &end);
    }
    options->present |= TCP_OPTION_SACK;
}

static bool option_read(const struct tcp_timeline *t, struct timeline_line *line, const char *word,
                        bool from_peer, struct tcp_timeline_segment *out)
{
    struct tcp_options *options = &out->options;
    if (strcmp(word, "plain") == 0) {
        options->present = 0;
    } else if (strcmp(word, "mss") == 0) {
        out->has_mss = true;
        options->present |= TCP_OPTION_MSS;
        options->mss = (uint16_t)timeline_number(&t->base, line);
    } else if (strcmp(word, "wscale") == 0) {
        out->has_scale = true;
        options->present |= TCP_OPTION_WINDOW_SCALE;
        options->window_scale = (uint8_t)timeline_number(&t->base, line);
    } else if (strcmp(word, "sackok") == 0) {
        out->has_sack_permitted = true;
        options->present |= TCP_OPTION_SACK_PERMITTED;
    } else if (strcmp(word, "full") == 0) {
        options->present |= TCP_OPTION_MSS | TCP_OPTION_SACK_PERMITTED | TCP_OPTION_TIMESTAMP |
                            TCP_OPTION_WINDOW_SCALE;
        options->mss = 1460;
        options->ts_value = t->script.ts_value;
        out->has_timestamp = true;
    } else if (strcmp(word, "ts") == 0) {
        out->has_timestamp = true;
        options->present |= TCP_OPTION_TIMESTAMP;
        options->ts_value = timeline_number(&t->base, line);
    } else if (strcmp(word, "echo") == 0) {
        out->has_echo = true;
        options->ts_echo = timeline_number(&t->base, line);
    } else if (strcmp(word, "nots") == 0) {
        out->no_timestamp = true;
    } else if (strcmp(word, "sack") == 0) {
        sack_read(t, line, from_peer, options);
    } else if (strcmp(word, "nosack") == 0) {
        out->no_sack = true;
    } else {
        return false;
    }
    return true;
}

static bool field_read(const struct tcp_timeline *t, struct timeline_line *line, const char *word,
                       bool from_peer, struct tcp_timeline_segment *out)
{
    uint32_t own = from_peer ? t->peer_iss : t->host_iss;
    uint32_t other = from_peer ? t->host_iss : t->peer_iss;
    if (strcmp(word, "seq") == 0) {
        out->has_seq = true;
        out->seq = own + timeline_number(&t->base, line);
    } else if (strcmp(word, "ack") == 0) {
        out->has_ack = true;
        out->ack = other + timeline_number(&t->base, line);
    } else if (strcmp(word, "len") == 0) {
        out->has_length = true;
        out->length = timeline_number(&t->base, line);
    } else if (strcmp(word, "win") == 0) {
        out->has_window = true;
        out->window = (uint16_t)timeline_number(&t->base, line);
    } else if (strcmp(word, "ce") == 0 && from_peer) {
        out->congestion = true;
    } else if (strcmp(word, "after") == 0) {
        out->after_ns = timeline_duration(&t->base, line);
    } else if (strcmp(word, "within") == 0) {
        out->within_ns = timeline_duration(&t->base, line);
    } else {
        return false;
    }
    return true;
}

void tcp_timeline_segment_read(const struct tcp_timeline *t, struct timeline_line *line,
                               bool from_peer, struct tcp_timeline_segment *out)
{
    memset(out, 0, sizeof(*out));
    if (!flag_read(line, out))
        timeline_fail(&t->base, "flags of the segment are missing (NONE: none)");
    while (flag_read(line, out))
        ;
    const char *word;
    while ((word = timeline_next(line)) != NULL)
        if (!field_read(t, line, word, from_peer, out) &&
            !option_read(t, line, word, from_peer, out))
            timeline_fail(&t->base, "'%s' is not a field of a segment", word);
}

void tcp_timeline_describe(const struct tcp_timeline *t, const struct script_segment *segment,
                           char *out, size_t room)
{
    const struct tcp_options *options = &segment->options;
    out[0] = '\0';
    for (size_t i = 0; i < array_count(flag_names); i++)
        if (segment->flags & flag_names[i].flag)
            timeline_append(out, room, "%s ", flag_names[i].name);
    timeline_append(out, room, "seq %u len %u ack %u win %u", segment->seq - t->host_iss,
                    segment->length, segment->ack - t->peer_iss, segment->window);
    if (options->present & TCP_OPTION_MSS)
        timeline_append(out, room, " mss %u", options->mss);
    if (options->present & TCP_OPTION_WINDOW_SCALE)
        timeline_append(out, room, " wscale %u", options->window_scale);
    if (options->present & TCP_OPTION_SACK_PERMITTED)
        timeline_append(out, room, " sackok");
    if (options->present & TCP_OPTION_TIMESTAMP)
        timeline_append(out, room, " ts %u echo %u", options->ts_value, options->ts_echo);
    if (options->present & TCP_OPTION_SACK)
        timeline_append(out, room, " sack");
    for (uint32_t i = 0; options->present & TCP_OPTION_SACK && i < options->sack_count; i++)
        timeline_append(out, room, " %u-%u", options->sack[i].start - t->peer_iss,
                        options->sack[i].end - t->peer_iss);
}
