/*
 * crowd: thousands of clients of one answer, every byte of it compared. One thread, kernel sockets,
 * HTTP/2 by libnghttp2: the other end has nothing in common with what is tested.
 *
 *     crowd ADDRESS PORT PATH [NAME=VALUE ...]       the names: CROWD_NUMBERS below
 *
 * All connections are opened first, then every member asks at once. What members with the same
 * question get is held against what the one who is furthest has: the first byte that differs is
 * corruption. Lines on standard output while it goes: "asked" (every request has been sent),
 * "begun" (every member has response headers), "flowing" (every member who stays has got body
 * bytes). The last line is the report, JSON:
 *
 *     {"members", "answered": {status: n}, "complete", "lengths": {bytes of a complete body: n},
 *      "resets": {code: n}, "lost" (connection gone), "left", "unfinished", "corrupt",
 *      "spread_ms": between the first and the last complete one, "questions": [body texts]}
 */
#pragma once

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CROWD_NUMBERS(X)                                                                           \
    X(members, 1000, "requests, all at once")                                                      \
    X(connections, 50, "which carry them in turn")                                                 \
    X(questions, 0, "POST this many different bodies; 0: GET")                                     \
    X(question_bytes, 500, "of each of them")                                                      \
    X(leave_percent, 0, "of members that reset their stream")                                      \
    X(leave_bytes, 0, "... when they have so many bytes; 0: as soon as they have asked")           \
    X(slow_percent, 0, "of members that never return credit of their stream")                      \
    X(window, 65535, "of a stream, first")                                                         \
    X(timeout_s, 60, "until those without an end are given up")

struct crowd_options {
    const char *address;
    const char *port;
    const char *path;
#define CROWD_FIELD(name, fallback, help) uint64_t name;
    CROWD_NUMBERS(CROWD_FIELD)
#undef CROWD_FIELD
};

enum crowd_end {
    CROWD_UNDER_WAY,
    CROWD_COMPLETE, /* END_STREAM */
    CROWD_RESET,    /* RST_STREAM from the other side */
    CROWD_LEFT,     /* RST_STREAM from us */
    CROWD_LOST,     /* the connection went */
};

/* The longest answer to one question so far: all others are compared with it. */
struct crowd_answer {
    uint8_t *bytes;
    size_t length;
    size_t room;
};

/* One request. */
struct crowd_member {
    struct crowd *crowd;
    struct crowd_answer *answer;
    uint64_t received;
    uint64_t sent; /* of the question */
    uint64_t question;
    uint32_t reset_code;
    uint16_t status;
    enum crowd_end end;
    bool leaves;
    bool slow;
    bool corrupt;
};

struct crowd_connection {
    struct crowd *crowd;
    nghttp2_session *session;
    int fd;
};

struct crowd {
    struct crowd_options options;
    struct crowd_member *members;
    struct crowd_connection *connections;
    struct crowd_answer *answers;
    uint64_t asked;
    uint64_t begun;
    uint64_t staying;
    uint64_t flowing; /* of those who stay: have got body bytes */
    uint64_t ended;
    uint64_t first_complete_ns;
    uint64_t last_complete_ns;
};

/* Byte AT of question number QUESTION: "question N question N ...", cut off. */
uint8_t crowd_question_byte(uint64_t question, uint64_t at);

/* What happened to a member; each says its line when the last one has got there. */
void member_asked(struct crowd_member *member);
void member_begun(struct crowd_member *member, uint16_t status);
void member_ended(struct crowd_member *member, enum crowd_end end);

/* Bytes of its answer. True: the member has had enough and leaves. */
bool member_received(struct crowd_member *member, const uint8_t *bytes, size_t length);

/* False: no connection, told on standard error. */
bool connection_open(struct crowd_connection *connection, struct crowd *crowd);
void connection_ask(struct crowd_connection *connection, struct crowd_member *member);

/* Reads and writes what can be. The connection that broke has fd -1, its members are lost. */
void connection_turn(struct crowd_connection *connection, bool readable);
void connection_close(struct crowd_connection *connection);

void report_print(const struct crowd *crowd);
