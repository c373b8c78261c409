#include "tests/sim/stack_check.h"

#include "dataplane/tcp/tcp_internal.h"
#include "tests/support/tcp_checks.h"

void stack_check_init(struct stack_check *check, struct sim *sim, struct tcp *tcp, const char *name)
{
    *check = (struct stack_check){.sim = sim, .tcp = tcp, .name = name};
    sim_require(sim, tcp->conns.count <= STACK_CHECK_CONNS);
}

static void expect(const struct stack_check *check, const struct tcp_conn *conn, bool good,
                   const char *rule)
{
    if (good)
        return;
    sim_fail(
        check->sim,
        "%s, port %u to %u, %s: %s (una %u nxt %u wnd %u cwnd %u, rcv nxt %u adv %u, flags %x)",
        check->name, conn->tuple.local_port, conn->tuple.remote_port, tcp_state_name(conn->state),
        rule, conn->snd_una, conn->snd_nxt, conn->snd_wnd, conn->cwnd, conn->rcv_nxt, conn->rcv_adv,
        conn->flags);
}

static void check_past(const struct stack_check *check, const struct tcp_conn *conn,
                       const struct stack_past *past)
{
    expect(check, conn, seq_geq(conn->snd_una, past->snd_una), "SND.UNA goes back");
    expect(check, conn, seq_geq(conn->snd_nxt, past->snd_nxt), "SND.NXT goes back");
    expect(check, conn, seq_geq(conn->rcv_nxt, past->rcv_nxt), "RCV.NXT goes back");
    expect(check, conn, seq_geq(conn->rcv_adv, past->rcv_adv), "the announced edge goes back");
    bool fin = (conn->flags & TCP_CONN_SEND_SHUT) != 0; /* needs no window */
    uint32_t edge = conn->snd_una + conn->snd_wnd + fin;
    expect(check, conn, seq_leq(conn->snd_nxt, seq_max(edge, past->snd_nxt + fin)),
           "sent beyond the window");
}

void stack_check_turn(struct stack_check *check)
{
    tcp_check_all(check->tcp);
    for (uint32_t i = 0; i < check->tcp->conns.count; i++) {
        const struct tcp_conn *conn = pool_at(&check->tcp->conns, i);
        struct stack_past *past = &check->past[i];
        uint32_t generation = check->tcp->conns.generations[i];
        bool is_open = conn != NULL && conn->state >= TCP_STATE_ESTABLISHED;
        if (is_open && past->is_open && past->generation == generation)
            check_past(check, conn, past);
        *past = (struct stack_past){.generation = generation, .is_open = is_open};
        if (!is_open)
            continue;
        past->snd_una = conn->snd_una;
        past->snd_nxt = conn->snd_nxt;
        past->rcv_nxt = conn->rcv_nxt;
        past->rcv_adv = conn->rcv_adv;
    }
}
