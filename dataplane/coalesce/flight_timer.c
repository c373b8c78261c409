/*
 * flight_timer: the times a flight has (rules C12, C13, C15). The catalogue is in flight.h.
 */
#include "dataplane/coalesce/branch.h"
#include "dataplane/coalesce/flight.h"

/* What happens when a time is over; a guard is held. */
typedef void time_over(struct flight *flight, uint64_t now);

/* Relays may have been joined by somebody with more time than the owner heard of. */
static void deadline_passed(struct flight *flight, uint64_t now)
{
    uint64_t cap = flight->started_at_ns + FLIGHT_TIME_MAX_NS;
    uint64_t latest = branches_deadline(flight);
    latest = latest < cap ? latest : cap;
    if (latest > now) {
        flight->deadline_ns = latest;
        flight_set_time(flight, TIME_DEADLINE, latest);
        return;
    }
    flight_break(flight, FLIGHT_TIMEOUT, now);
}

/* All that the client has sent is with the backend: it is not the backend that is late. */
static bool waits_for_client(const struct flight *flight)
{
    const struct body *body = flight_request_source(flight);
    return flight->tunnel == TUNNEL_NOT && flight->attempt.began && !body->ended &&
           flight->request_cursor.position == body->written_bytes;
}

/* It is we who keep the window shut. */
static bool waits_for_us(const struct flight *flight)
{
    const struct body *body = &flight->feed.body;
    bool shut = body->promised_until <= body->written_bytes;
    return flight->pressed || flight->paused || (shut && list_is_linked(&flight->thirsty_link));
}

static void silence_in_body(struct flight *flight, uint64_t now)
{
    attempt_report_late(&flight->attempt);
    flight_break(flight, FLIGHT_TIMEOUT, now);
}

static void patience_over(struct flight *flight, uint64_t now)
{
    bool trying = flight->state == FLIGHT_TRYING;
    uint64_t patience = trying ? flight->first_byte_timeout_ns : flight->idle_timeout_ns;
    bool excused = trying ? waits_for_client(flight) : waits_for_us(flight);
    if (excused)
        flight->progress_at_ns = now;
    if (now - flight->progress_at_ns < patience) {
        flight_set_time(flight, TIME_PATIENCE, flight->progress_at_ns + patience);
        return;
    }
    if (trying)
        flight_attempt_late(flight, now);
    else if (flight_drains(flight))
        attempt_cancel(&flight->attempt, now);
    else
        silence_in_body(flight, now);
}

/* The first body byte does not come soon: the head goes on without it. */
static void held_enough(struct flight *flight, uint64_t now)
{
    flight_show_head(flight, now);
}

/* C12 */
static void lingered_enough(struct flight *flight, uint64_t now)
{
    if (flight_interest(flight) == 0 && flight_is_running(flight))
        flight_break(flight, FLIGHT_CANCELLED, now);
}

/*
 * When the time is used up, those who only take turns with the others still get a moment: each
 * piece larger than what is left of the bound presses the flight until the last of them has read.
 */
static void arm_pressure(struct flight *flight, uint64_t now)
{
    uint64_t used_ns = flight->pressed_for_ns;
    bool used_up = used_ns + SLOW_AGAIN_NS > SLOW_FOR_NS;
    uint64_t left_ns = used_up ? SLOW_AGAIN_NS : SLOW_FOR_NS - used_ns;
    if (flight_interest(flight) > 1)
        flight_set_time(flight, TIME_PRESSURE, now + left_ns);
}

/*
 * C15: those in the first kept segment hold back whoever is further ahead, if their own clients
 * hold them up: who has not had its turn on a busy worker is not slow. When nobody is ahead, all
 * are equally slow, and that is as fast as the flight can be.
 */
static void pressed_enough(struct flight *flight, uint64_t now)
{
    struct coalesce *coalesce = flight->coalesce;
    uint64_t below = flight->feed.body.kept_from + coalesce->config.segment_bytes;
    uint32_t cut = 0;
    bool ahead = feed_has_reached(&flight->feed, below) || branches_have_reached(flight, below);
    flight->pressed_for_ns = SLOW_FOR_NS;
    flight->pressed_at_ns = now;
    if (ahead)
        cut = feed_cut(&flight->feed, &coalesce->nowhere, below, now);
    counter_add(&coalesce->counters.detached_slow, cut);
    if (cut > 0)
        learn_slow(flight, now);
    branches_cut(flight, below, ahead);
    flight_trim(flight, now);
    if (flight->pressed && flight_is_running(flight))
        flight_set_time(flight, TIME_PRESSURE, now + SLOW_AGAIN_NS);
}

void flight_press(struct flight *flight, bool pressed, uint64_t now)
{
    if (pressed == flight->pressed)
        return;
    flight->pressed = pressed;
    if (pressed) {
        COALESCE_COUNT(flight->coalesce, windows_held);
        flight->pressed_at_ns = now;
        arm_pressure(flight, now);
        return;
    }
    flight->pressed_for_ns += now - flight->pressed_at_ns;
    flight_clear_time(flight, TIME_PRESSURE);
}

void flight_expect_first_byte(struct flight *flight, uint64_t now)
{
    flight->progress_at_ns = now;
    flight_set_time(flight, TIME_PATIENCE, now + flight->first_byte_timeout_ns);
}

void flight_expect_more(struct flight *flight, uint64_t now)
{
    uint64_t due_at_ns = now + flight->idle_timeout_ns;
    bool looks_before =
        flight_has_time(flight, TIME_PATIENCE) && flight->due_at_ns[TIME_PATIENCE] <= due_at_ns;
    if (!looks_before)
        flight_set_time(flight, TIME_PATIENCE, due_at_ns);
}

/* C9 */
static void may_start(struct flight *flight, uint64_t now)
{
    flight_try(flight, now);
}

static time_over *const over[FLIGHT_TIMES] = {
    [TIME_DEADLINE] = deadline_passed, [TIME_PATIENCE] = patience_over,  [TIME_HOLD] = held_enough,
    [TIME_LINGER] = lingered_enough,   [TIME_PRESSURE] = pressed_enough, [TIME_START] = may_start,
};

/* The time that ends first; FLIGHT_TIMES: none. */
static enum flight_time first_time(const struct flight *flight)
{
    const uint64_t *due_at_ns = flight->due_at_ns;
    unsigned first = FLIGHT_TIMES;
    for (unsigned i = 0; i < FLIGHT_TIMES; i++)
        if (due_at_ns[i] != 0 && (first == FLIGHT_TIMES || due_at_ns[i] < due_at_ns[first]))
            first = i;
    return (enum flight_time)first;
}

/*
 * Each time that is over when it begins has its turn once: what is set anew meanwhile waits for the
 * next tick, however little it is.
 */
static void fired(struct timer *timer, void *context, uint64_t now)
{
    struct flight *flight = context;
    flight_hold(flight);
    for (int turns = 0; turns < FLIGHT_TIMES; turns++) {
        enum flight_time which = first_time(flight);
        if (which == FLIGHT_TIMES || flight->due_at_ns[which] > now)
            break;
        flight_clear_time(flight, which);
        over[which](flight, now);
    }
    enum flight_time next = first_time(flight);
    if (next != FLIGHT_TIMES)
        timer_arm(flight->coalesce->config.wheel, timer, flight->due_at_ns[next]);
    flight_settle(flight, now);
}

void flight_timer_init(struct flight *flight)
{
    timer_init(&flight->timer, fired, flight);
}

void flight_set_time(struct flight *flight, enum flight_time which, uint64_t due_at_ns)
{
    struct timer *timer = &flight->timer;
    flight->due_at_ns[which] = due_at_ns;
    if (!timer_is_armed(timer))
        due_at_ns = flight->due_at_ns[first_time(flight)];
    else if (due_at_ns >= timer->due_at_ns)
        return;
    timer_arm(flight->coalesce->config.wheel, timer, due_at_ns);
}

void flight_clear_times(struct flight *flight)
{
    memset(flight->due_at_ns, 0, sizeof(flight->due_at_ns));
    timer_cancel(flight->coalesce->config.wheel, &flight->timer);
}
