/* tcp_state: RFC 9293 3.3.2, figure 5, and the CLOSE, ABORT and timeout calls of 3.10. */
#include "dataplane/tcp/tcp_state.h"

#include "dataplane/tcp/tcp_internal.h"

#define CAUSE(name) (1u << TCP_CAUSE_##name)

/* All ways from any state to the end, by force. */
#define ENDED (CAUSE(RESET) | CAUSE(ABORT) | CAUSE(TIMEOUT))

/* [from][to]: the causes that lead there; none: there is no such transition. */
static const uint16_t transitions[TCP_STATES][TCP_STATES] = {
    [TCP_STATE_CLOSED] =
        {
            [TCP_STATE_SYN_SENT] = CAUSE(OPEN), [TCP_STATE_SYN_RECEIVED] = CAUSE(SYN), /* through
                                                                                          LISTEN */
        },
    [TCP_STATE_SYN_SENT] =
        {
            [TCP_STATE_SYN_RECEIVED] = CAUSE(SYN), /* simultaneous open */
            [TCP_STATE_ESTABLISHED] = CAUSE(SYN_ACKED),
            [TCP_STATE_CLOSED] = ENDED | CAUSE(CLOSE) | CAUSE(UNREACHABLE),
        },
    [TCP_STATE_SYN_RECEIVED] =
        {
            [TCP_STATE_ESTABLISHED] = CAUSE(SYN_ACKED),
            [TCP_STATE_CLOSED] = ENDED, /* CLOSE here is an abort: nothing was exchanged */
        },
    [TCP_STATE_ESTABLISHED] =
        {
            [TCP_STATE_FIN_WAIT_1] = CAUSE(CLOSE),
            [TCP_STATE_CLOSE_WAIT] = CAUSE(FIN),
            [TCP_STATE_CLOSED] = ENDED,
        },
    [TCP_STATE_FIN_WAIT_1] =
        {
            [TCP_STATE_FIN_WAIT_2] = CAUSE(FIN_ACKED),
            [TCP_STATE_CLOSING] = CAUSE(FIN),
            [TCP_STATE_CLOSED] = ENDED,
        },
    [TCP_STATE_FIN_WAIT_2] =
        {
            [TCP_STATE_TIME_WAIT] = CAUSE(FIN),
            [TCP_STATE_CLOSED] = ENDED,
        },
    [TCP_STATE_CLOSE_WAIT] =
        {
            [TCP_STATE_LAST_ACK] = CAUSE(CLOSE),
            [TCP_STATE_CLOSED] = ENDED,
        },
    [TCP_STATE_CLOSING] =
        {
            [TCP_STATE_TIME_WAIT] = CAUSE(FIN_ACKED),
            [TCP_STATE_CLOSED] = ENDED,
        },
    [TCP_STATE_LAST_ACK] =
        {
            [TCP_STATE_CLOSED] = ENDED | CAUSE(FIN_ACKED),
        },
};

bool tcp_state_is_legal(enum tcp_state from, enum tcp_state to, enum tcp_cause cause)
{
    return from < TCP_STATES && to < TCP_STATES && cause < TCP_CAUSES &&
           (transitions[from][to] & 1u << cause) != 0;
}

void tcp_state_change(struct tcp_conn *conn, enum tcp_state to, enum tcp_cause cause)
{
    check(tcp_state_is_legal(conn->state, to, cause));
    conn->state = (uint8_t)to;
}

const char *tcp_state_name(enum tcp_state state)
{
    static const char *const names[TCP_STATES] = {
        [TCP_STATE_CLOSED] = "CLOSED",
        [TCP_STATE_SYN_SENT] = "SYN_SENT",
        [TCP_STATE_SYN_RECEIVED] = "SYN_RECEIVED",
        [TCP_STATE_ESTABLISHED] = "ESTABLISHED",
        [TCP_STATE_FIN_WAIT_1] = "FIN_WAIT_1",
        [TCP_STATE_FIN_WAIT_2] = "FIN_WAIT_2",
        [TCP_STATE_CLOSE_WAIT] = "CLOSE_WAIT",
        [TCP_STATE_CLOSING] = "CLOSING",
        [TCP_STATE_LAST_ACK] = "LAST_ACK",
        [TCP_STATE_TIME_WAIT] = "TIME_WAIT",
    };
    return names[state];
}
