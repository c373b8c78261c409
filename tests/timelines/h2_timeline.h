/*
 * h2_timeline: scripts of frames against our HTTP/2 in either role: one connection of h2_lab, and a
 * peer whose frames the script makes and expects. Every script runs twice: frames arrive whole, and
 * byte by byte.
 *
 * h2_timeline_frame.c reads frames, h2_timeline_wire.c sends and expects them, h2_timeline_owner.c
 * is the layer above, h2_timeline_facts.c says what holds, h2_timeline.c is the protocol's table.
 */
#pragma once

#include "tests/support/h2_lab.h"
#include "tests/timelines/timeline.h"

struct h2_timeline {
    struct timeline base;
    struct h2_config config;
    uint32_t window_budget; /* of config */
    enum h2_role role;
    uint32_t seen_bytes; /* of lab.sent: what the script has looked at */
    uint8_t echo[8];     /* payload of our latest PING */
    char state_text[64];
};

/* A frame as a script describes it. */
struct h2_timeline_frame {
    struct h2_frame frame;
    bool has_length;
    bool has_code;
    bool has_last;
    bool has_increment;
    uint32_t code;
    uint32_t last;
    uint32_t increment;
    struct bytes payload; /* valid until the next one is read */
};

extern const struct timeline_protocol h2_timeline_protocol;

/* Statements, by what they are about. */
extern const struct timeline_statement h2_timeline_wire[];
extern const struct timeline_statement h2_timeline_owner[];
extern const struct timeline_statement h2_timeline_facts[];

static inline struct h2_timeline *h2_timeline_of(struct timeline *t)
{
    return (struct h2_timeline *)t;
}

/* ---- h2_timeline_frame.c ---- */

/* A frame up to the end of the line. */
void h2_timeline_frame_read(struct h2_timeline *t, struct timeline_line *line,
                            struct h2_timeline_frame *out);

/* RFC 9113 7: a name, or a number. */
uint32_t h2_timeline_code(const struct timeline *t, struct timeline_line *line);

/* For messages. */
void h2_timeline_describe(const struct h2_frame *frame, struct bytes payload, char *out,
                          size_t room);

/* ---- h2_timeline_facts.c ---- */

/* RFC 9113 5.1, in small letters. */
const char *h2_timeline_stream_state(uint32_t id);
const char *h2_timeline_conn_state(void);
