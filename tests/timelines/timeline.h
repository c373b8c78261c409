/*
 * timeline: a protocol of ours by scripts: what a peer sends and what has to come of it, over a
 * clock moved by hand. What a script may say stands in tests/timelines/README.md.
 *
 * timeline_text.c reads words and numbers, timeline_run.c runs lines by the statements of a
 * protocol, test_timelines.c makes a test of every script of a tree. A protocol is one struct
 * timeline_protocol: tcp_timeline.h, h2_timeline.h. A script that is wrong, or not fulfilled, fails
 * the test with its file and line.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMELINE_WORDS      40
#define TIMELINE_LINE_BYTES 512

struct timeline;

/* The words of one line. */
struct timeline_line {
    char *words[TIMELINE_WORDS];
    uint32_t count;
    uint32_t at; /* the next one to be read */
};

struct timeline_statement {
    const char *name; /* NULL: behind the last one */
    void (*run)(struct timeline *t, struct timeline_line *line);
    bool in_head; /* before anything happens */
};

/* `reach NAME`: the lines that lead there; %s stands for what follows NAME. */
struct timeline_way {
    const char *name; /* NULL: behind the last one */
    const char *state;
    const char *text;
};

struct timeline_counter {
    const char *name; /* NULL: behind the last one */
    size_t offset;    /* of a uint64_t, from counters() */
};

/* `set NAME VALUE`; one of the two pointers. */
struct timeline_setting {
    const char *name;
    uint32_t *number;
    uint64_t *duration;
};

/* Folders that have to hold a script for each of the same arrivals; lists end with NULL. */
struct timeline_matrix {
    const char *const *folders; /* NULL: behind the last one */
    const char *const *arrivals;
};

struct timeline_protocol {
    const char *name;                /* of the folder with its scripts, too */
    const char *const *variants;     /* a script runs once for each it names, at most 32 */
    struct timeline *(*begin)(void); /* all as before a script; no stack runs yet */
    void (*open)(struct timeline *t);
    void (*end)(struct timeline *t); /* nothing may be left */
    uint64_t (*now)(const struct timeline *t);
    const char *(*state)(struct timeline *t); /* for `reach` */
    const void *(*counters)(struct timeline *t);
    uint32_t (*chosen)(const char *text);               /* which variants TEXT wants, a bit each */
    const struct timeline_statement *const *statements; /* tables, ended by NULL */
    const struct timeline_way *ways;
    const struct timeline_counter *counter_names;
    const struct timeline_matrix *matrices;
};

/* A script that runs; the first member of what a protocol keeps. */
struct timeline {
    const struct timeline_protocol *protocol;
    const char *file;
    int line;
    uint32_t variant;
    bool is_open; /* the stack runs: no more `set` */
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

/* The number WORD begins with, modulo 2^32: it may be negative. */
uint32_t timeline_number_of(const struct timeline *t, const char *word, char **end);
uint32_t timeline_number(const struct timeline *t, struct timeline_line *line);
/* 20us, 5ms, 3s, 2m. */
uint64_t timeline_duration(const struct timeline *t, struct timeline_line *line);

/* Add to OUT, which has ROOM bytes together. */
void timeline_append(char *out, size_t room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- timeline_run.c ---- */

/* Run a script in one variant. */
void timeline_run(const struct timeline_protocol *protocol, const char *file, const char *text,
                  uint32_t variant);

/* From now on the stack runs, if it did not before. */
void timeline_open(struct timeline *t);

/* `set NAME VALUE`, one of COUNT rows. */
const struct timeline_setting *timeline_set(struct timeline *t, struct timeline_line *line,
                                            const struct timeline_setting *rows, size_t count);
