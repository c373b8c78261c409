/*
 * flight_state: the states of a flight, which may follow which, and how a flight fails.
 */
#include "dataplane/coalesce/branch.h"
#include "dataplane/coalesce/flight.h"

#define BIT(state) (1u << (state))

/* From each state the states that may follow. */
static const uint8_t legal_next[FLIGHT_STATES] = {
    [FLIGHT_NEW] = BIT(FLIGHT_TRYING) | BIT(FLIGHT_BROKEN) | BIT(FLIGHT_OVER),
    [FLIGHT_TRYING] = BIT(FLIGHT_TRYING) | BIT(FLIGHT_ANSWERING) | BIT(FLIGHT_BROKEN),
    [FLIGHT_ANSWERING] = BIT(FLIGHT_COMPLETE) | BIT(FLIGHT_BROKEN),
    [FLIGHT_COMPLETE] = BIT(FLIGHT_OVER),
    [FLIGHT_BROKEN] = BIT(FLIGHT_OVER),
    [FLIGHT_OVER] = 0,
};

static const char *const state_names[FLIGHT_STATES] = {
    [FLIGHT_NEW] = "new",           [FLIGHT_TRYING] = "trying", [FLIGHT_ANSWERING] = "answering",
    [FLIGHT_COMPLETE] = "complete", [FLIGHT_BROKEN] = "broken", [FLIGHT_OVER] = "over",
};

static const struct {
    struct flight_failure_answer answer;
    size_t counter;
} failures[FLIGHT_FAILURES] = {
    [FLIGHT_OK] = {{200, "ok", "ok"}, COUNTER_AT(completed)},
    [FLIGHT_NO_BACKEND] = {{503, "no backend available", "no-backend"},
                           COUNTER_AT(failed_no_backend)},
    [FLIGHT_CONNECT_FAILED] = {{502, "backend connect failed", "connect", true},
                               COUNTER_AT(failed_connect)},
    [FLIGHT_CONNECTION_LOST] = {{502, "backend connection lost", "connection-lost", true},
                                COUNTER_AT(failed_connection_lost)},
    [FLIGHT_BACKEND_RESET] = {{502, "reset by backend", "reset", true}, COUNTER_AT(failed_reset)},
    [FLIGHT_BAD_RESPONSE] = {{502, "bad response from backend", "bad-response", true},
                             COUNTER_AT(failed_bad_response)},
    [FLIGHT_TIMEOUT] = {{504, "backend timeout", "timeout", true}, COUNTER_AT(failed_timeout)},
    [FLIGHT_NO_MEMORY] = {{503, "overloaded", "memory"}, COUNTER_AT(failed_no_memory)},
    [FLIGHT_TOO_SLOW] = {{503, "reader too slow", "slow"}, COUNTER_AT(failed_too_slow)},
    [FLIGHT_NO_TUNNEL] = {{502, "backend takes no extended CONNECT", "no-tunnel", true},
                          COUNTER_AT(failed_no_tunnel)},
    [FLIGHT_UNTRANSLATABLE] = {{400, "request cannot be sent over HTTP/1.1", "untranslatable"},
                               COUNTER_AT(failed_untranslatable)},
    [FLIGHT_NO_CAPACITY] = {{503, "no capacity left", "capacity"}, COUNTER_AT(failed_no_capacity)},
    [FLIGHT_CANCELLED] = {{503, "cancelled", "cancelled"}, COUNTER_AT(cancelled)},
};

const struct flight_failure_answer *flight_failure_answer(enum flight_failure failure)
{
    check(failure < FLIGHT_FAILURES);
    return &failures[failure].answer;
}

const char *flight_state_name(enum flight_state state)
{
    check(state < FLIGHT_STATES);
    return state_names[state];
}

void flight_become(struct flight *flight, enum flight_state state, enum flight_cause cause)
{
    check((legal_next[flight->state] & BIT(state)) != 0);
    flight->state = state;
    flight->cause = cause;
}

void flight_break(struct flight *flight, enum flight_failure failure, uint64_t now)
{
    check(failure != FLIGHT_OK);
    struct feed *feed = &flight->feed;
    flight_hold(flight);
    flight_become(flight, FLIGHT_BROKEN, CAUSE_FAILURE);
    count_at(flight->coalesce, failures[failure].counter);
    attempt_cancel(&flight->attempt, now);
    flight_budget_release(flight);
    flight_clear_times(flight);
    list_remove(&flight->fresh_link);
    flight_window_end(flight);
    flight_request_clear(flight);
    if (flight->keyed && feed->state == FEED_WAITING && failure != FLIGHT_CANCELLED)
        learn_failure(flight->coalesce, flight->key_hash, now);
    feed->failure = failure;
    feed->before_head = feed->state == FEED_WAITING;
    feed->state = FEED_FAILED;
    flight_leave_table(flight, &flight->coalesce->counters.removed_ended, now);
    flight_announce(flight, now);
    flight_settle(flight, now);
}
