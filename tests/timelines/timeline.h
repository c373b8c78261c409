/*
 * timeline: TCP by scripts: a host with our stack, and a peer whose segments the script makes and
 * expects, over a clock moved by hand. What a script may say stands in tests/timelines/README.md.
 *
 * timeline_text.c reads words, numbers and segments; timeline_run.c acts; test_timelines.c makes a
 * test of every script of a tree. A script that is wrong, or not fulfilled, fails the test with its
 * file and line.
 */
#pragma once

#include "tests/support/tcp_script.h"

#define TIMELINE_APPS  8
#define TIMELINE_SEED  7u
#define TIMELINE_WORDS 40

/* The layer above a connection. */
struct timeline_app {
    struct tcp_conn *conn; /* NULL: let go, or not there yet */
    uint32_t events;       /* since the script looked */
    enum tcp_failure failure;
    uint64_t received;
    uint64_t queued;
    uint64_t to_send; /* waits for room */
    bool reads;       /* at once, all there is */
};

struct timeline {
    struct tcp_script script;
    const char *file;
    int line;
    bool is_open; /* the stack runs: no more `set` */
    bool is_listening;
    bool has_host_iss;
    uint32_t host_iss; /* sequence number of our SYN; 0 while unknown */
    uint32_t peer_iss;
    uint16_t peer_window;
    bool has_cookies;
    uint32_t cookie_backlog; /* 0: cookies always */
    uint32_t ecn;            /* 1: asked for */
    uint64_t mark;           /* when the last segment was seen, or something was done */
    struct timeline_app apps[TIMELINE_APPS];
    uint32_t app_count;
};

/* The words of one line. */
struct timeline_line {
    char *words[TIMELINE_WORDS];
    uint32_t count;
    uint32_t at; /* the next one to be read */
};

/* A segment as a script describes it; numbers are absolute. */
struct timeline_segment {
    uint8_t flags;
    bool push; /* PSH was named: it has to be there */
    bool has_seq;
    bool has_ack;
    bool has_window;
    bool has_length;
    bool has_mss;
    bool has_scale;
    bool has_sack_permitted;
    bool has_timestamp;
    bool no_timestamp;
    bool has_echo;
    bool no_sack;
    bool congestion; /* a router marked it (RFC 3168 CE) */
    uint32_t seq;
    uint32_t ack;
    uint32_t length;
    uint16_t window;
    uint64_t after_ns;  /* not before this, counted from the mark */
    uint64_t within_ns; /* at the latest; 0: at once, or `after` */
    struct tcp_options options;
};

/* Stop the test with file and line. */
_Noreturn void timeline_fail(const struct timeline *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- timeline_text.c ---- */

/* Cut TEXT (changed) into words. */
void timeline_words(const struct timeline *t, char *text, struct timeline_line *line);

/* The next word; NULL at the end. timeline_need() fails there. */
const char *timeline_next(struct timeline_line *line);
const char *timeline_need(const struct timeline *t, struct timeline_line *line);
/* Take the next word if it is WORD. */
bool timeline_accept(struct timeline_line *line, const char *word);

uint32_t timeline_number(const struct timeline *t, struct timeline_line *line);
/* 20us, 5ms, 3s, 2m. */
uint64_t timeline_duration(const struct timeline *t, struct timeline_line *line);

/* Flags and fields up to the end of the line; FROM_PEER: which side's numbers `seq` means. */
void timeline_segment_read(const struct timeline *t, struct timeline_line *line, bool from_peer,
                           struct timeline_segment *out);

/* For messages. */
void timeline_describe(const struct timeline *t, const struct script_segment *segment, char *out,
                       size_t room);

/* ---- timeline_run.c ---- */

/* Run a script over IPv4 or IPv6. */
void timeline_run(const char *file, const char *text, bool v6);

/* Which families the script names: bit 0 IPv4, bit 1 IPv6. */
uint32_t timeline_families(const char *text);
