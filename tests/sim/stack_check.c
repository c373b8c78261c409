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

/* The window has room for so much more than was announced that the peer has to be told. */
static bool owes_a_window(const struct tcp_conn *conn)
{
    const struct tcp *tcp = conn->tcp;
    uint32_t most = (uint32_t)UINT16_MAX << conn->rcv_wscale;
    uint32_t whole = tcp->config.receive_window_bytes;
    uint32_t step = 2u * conn->rcv_mss < whole / 2 ? 2u * conn->rcv_mss : whole / 2;
    uint32_t room = conn->rx.bytes < whole ? whole - conn->rx.bytes : 0;
    uint32_t promised = seq_gt(conn->rcv_adv, conn->rcv_nxt) ? conn->rcv_adv - conn->rcv_nxt : 0;
    return conn->state == TCP_STATE_ESTABLISHED && (room < most ? room : most) >= promised + step;
}

/*
 * RFC 9293 3.8.6.2.2: when the reader has made room, that is announced at once; it is due as long
 * as ACK_NOW says so. Not while buffers are, or were just now, nearly used up: then room is not
 * announced, and nobody comes back to it.
 */
static void check_window(const struct stack_check *check, const struct tcp_conn *conn,
                         struct stack_past *past)
{
    const struct tcp *tcp = check->tcp;
    bool owes = owes_a_window(conn);
    if (owes && !past->owes)
        past->is_excused = check->held > tcp->config.reassembly_max / 2 ||
                           tcp->held > tcp->config.reassembly_max / 2;
    past->owes = owes;
    expect(check, conn, !owes || past->is_excused || (conn->flags & TCP_CONN_ACK_NOW) != 0,
           "the reader's room is not announced");
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
        if (!is_open || !past->is_open || past->generation != generation)
            *past = (struct stack_past){
                .generation = generation,
                .is_open = is_open,
                .owes = true, /* the windows of SYNs are small */
                .is_excused = true,
            };
        if (!is_open)
            continue;
        check_window(check, conn, past);
        past->snd_una = conn->snd_una;
        past->snd_nxt = conn->snd_nxt;
        past->rcv_nxt = conn->rcv_nxt;
        past->rcv_adv = conn->rcv_adv;
    }
    check->held = check->tcp->held;
}
