/*
 * stack_check: looks into our TCP after every turn: tests/support/tcp_checks.h, and what can only
 * be seen by comparing with the turn before: numbers go forward, nothing new is sent beyond the
 * window, room that the reader made is announced.
 */
#pragma once

#include "tests/sim/sim.h"
#include "tests/support/tcp_host.h"

#define STACK_CHECK_CONNS 64

/* A connection as it was after the turn before. */
struct stack_past {
    uint32_t generation; /* of its slot */
    bool is_open;        /* its numbers mean something */
    uint32_t snd_una;
    uint32_t snd_nxt;
    uint32_t rcv_nxt;
    uint32_t rcv_adv;
    bool owes;       /* the reader made room that is not announced */
    bool is_excused; /* buffers were short when that began */
};

struct stack_check {
    struct sim *sim;
    struct tcp *tcp;
    const char *name;
    uint32_t held; /* received mbufs, at the turn before */
    struct stack_past past[STACK_CHECK_CONNS];
};

/* At most STACK_CHECK_CONNS connections. */
void stack_check_init(struct stack_check *check, struct sim *sim, struct tcp *tcp,
                      const char *name);

/* After tcp_out(). */
void stack_check_turn(struct stack_check *check);
