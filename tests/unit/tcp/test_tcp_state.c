#include "dataplane/tcp/tcp_internal.h"
#include "tests/support/cmocka.h"
#include "tests/support/expect_stop.h"

#define S(name) TCP_STATE_##name
#define C(name) TCP_CAUSE_##name

/* RFC 9293 figure 5 and the calls of 3.10, written down a second time. */
static const struct {
    enum tcp_state from;
    enum tcp_state to;
    enum tcp_cause cause;
} legal[] = {
    {S(CLOSED), S(SYN_SENT), C(OPEN)},
    {S(CLOSED), S(SYN_RECEIVED), C(SYN)},
    {S(SYN_SENT), S(SYN_RECEIVED), C(SYN)},
    {S(SYN_SENT), S(ESTABLISHED), C(SYN_ACKED)},
    {S(SYN_SENT), S(CLOSED), C(CLOSE)},
    {S(SYN_SENT), S(CLOSED), C(UNREACHABLE)},
    {S(SYN_RECEIVED), S(ESTABLISHED), C(SYN_ACKED)},
    {S(ESTABLISHED), S(FIN_WAIT_1), C(CLOSE)},
    {S(ESTABLISHED), S(CLOSE_WAIT), C(FIN)},
    {S(FIN_WAIT_1), S(FIN_WAIT_2), C(FIN_ACKED)},
    {S(FIN_WAIT_1), S(CLOSING), C(FIN)},
    {S(FIN_WAIT_2), S(TIME_WAIT), C(FIN)},
    {S(CLOSE_WAIT), S(LAST_ACK), C(CLOSE)},
    {S(CLOSING), S(TIME_WAIT), C(FIN_ACKED)},
    {S(LAST_ACK), S(CLOSED), C(FIN_ACKED)},
};

static bool is_listed(enum tcp_state from, enum tcp_state to, enum tcp_cause cause)
{
    bool by_force = cause == C(RESET) || cause == C(ABORT) || cause == C(TIMEOUT);
    if (by_force)
        return to == S(CLOSED) && from != S(CLOSED) && from != S(TIME_WAIT);
    for (size_t i = 0; i < array_count(legal); i++) {
        if (legal[i].from == from && legal[i].to == to && legal[i].cause == cause)
            return true;
    }
    return false;
}

static void exactly_the_listed_transitions_are_legal(void **state)
{
    for (enum tcp_state from = 0; from < TCP_STATES; from++)
        for (enum tcp_state to = 0; to < TCP_STATES; to++)
            for (enum tcp_cause cause = 0; cause < TCP_CAUSES; cause++)
                assert_int_equal(tcp_state_is_legal(from, to, cause), is_listed(from, to, cause));
}

static void nonsense_is_not_legal(void **state)
{
    assert_false(tcp_state_is_legal(TCP_STATES, S(CLOSED), C(RESET)));
    assert_false(tcp_state_is_legal(S(ESTABLISHED), TCP_STATES, C(RESET)));
    assert_false(tcp_state_is_legal(S(ESTABLISHED), S(CLOSED), TCP_CAUSES));
}

static struct tcp_conn conn;

static void change_illegally(void *context)
{
    conn.state = S(CLOSED);
    tcp_state_change(&conn, S(ESTABLISHED), C(SYN_ACKED));
}

static void an_illegal_change_stops_the_process(void **state)
{
    conn.state = S(CLOSED);
    tcp_state_change(&conn, S(SYN_SENT), C(OPEN));
    assert_int_equal(conn.state, S(SYN_SENT));
    assert_true(stops_the_process(change_illegally, NULL));
}

static void every_state_has_its_name(void **state)
{
    for (enum tcp_state i = 0; i < TCP_STATES; i++)
        assert_non_null(tcp_state_name(i));
    assert_string_equal(tcp_state_name(S(FIN_WAIT_2)), "FIN_WAIT_2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_the_listed_transitions_are_legal),
        cmocka_unit_test(nonsense_is_not_legal),
        cmocka_unit_test(an_illegal_change_stops_the_process),
        cmocka_unit_test(every_state_has_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
