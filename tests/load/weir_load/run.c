/*
 * run: CONNECT, BASELINE (if asked for), OPENING (if there are idle connections), RUN, FINISH,
 * CLOSE.
 */
#include "tests/load/weir_load/load.h"

#include <stdio.h>
#include <time.h>

#define EMPTY_TURNS      256
#define SLEEP_NS         (20 * CLOCK_US)
#define OPENING_STUCK_NS (30 * CLOCK_S) /* not one more idle connection for so long: go on */
#define CLOSING_NS       (60 * CLOCK_S)
#define PROGRESS_NS      (5 * CLOCK_S)

/* What the phases' conditions need to remember. */
struct course {
    uint64_t turned; /* connections opened when that last changed */
    uint64_t turned_at_ns;
    uint64_t told_at_ns; /* progress */
    bool closed;         /* each connection was told to close */
};

static uint64_t cpu_now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * CLOCK_S + (uint64_t)time.tv_nsec;
}

static void move(struct load *load, enum load_phase phase, uint64_t now)
{
    struct phase_stats *ending = &load->client.phases[load->phase];
    uint64_t due = due_by(load->options.rate, ending->began_at_ns, now);
    if (load->options.rate > 0 && load->phase == LOAD_RUN && due > load->client.begun &&
        load->options.requests == 0)
        ending->overdue = due - load->client.begun;
    uint64_t cpu_ns = cpu_now_ns();
    ending->ended_at_ns = now;
    ending->cpu_ns = cpu_ns - load->cpu_seen_ns;
    load->cpu_seen_ns = cpu_ns;
    load->phase = phase;
    load->client.phases[phase].began_at_ns = now;
    load->client.begun = 0;
    load->client.stopping = phase >= LOAD_FINISH;
}

static bool is_connected(const struct load *load, uint64_t lasted_ns)
{
    const struct client *client = &load->client;
    if (lasted_ns >= load->options.patience_ns)
        return true;
    if (load->options.role == LOAD_BOTH && load->origin.connections < load->options.wait)
        return false;
    return load->options.new_connection ||
           (client->active >= client->active_wanted && client->opening == 0);
}

static enum load_phase after_baseline(const struct load *load)
{
    return load->client.idle_wanted > 0 ? LOAD_OPENING : LOAD_RUN;
}

static bool idle_is_open(const struct load *load)
{
    const struct client *client = &load->client;
    return client->idle >= client->idle_wanted && client->opening == 0;
}

static bool opening_is_stuck(const struct load *load, struct course *course, uint64_t now)
{
    if (course->turned != load->client.connections_opened || course->turned_at_ns == 0) {
        course->turned = load->client.connections_opened;
        course->turned_at_ns = now;
    }
    return now - course->turned_at_ns > OPENING_STUCK_NS;
}

static bool run_is_over(const struct load *load, uint64_t lasted_ns)
{
    const struct load_options *options = &load->options;
    if (options->duration_ns > 0 && lasted_ns >= options->duration_ns)
        return true;
    if (options->requests == 0 || lasted_ns < options->hold_ns ||
        !flood_is_done(&load->flood, options->syn_flood))
        return false;
    return options->connections == 0 ||
           (load->client.begun >= options->requests && load->client.under_way == 0);
}

static bool finish_is_over(struct load *load, uint64_t lasted_ns, uint64_t now)
{
    if (load->client.under_way == 0)
        return true;
    if (lasted_ns < load->options.patience_ns)
        return false;
    client_give_up(&load->client, now);
    return true;
}

static bool close_is_over(struct load *load, struct course *course, uint64_t lasted_ns,
                          uint64_t now)
{
    course->closed = course->closed || client_close_some(&load->client, now);
    if (lasted_ns > CLOSING_NS)
        return true;
    /* What HTTP/2 has left are the origin's connections. */
    return course->closed &&
           tcp_connection_count(load->host.tcp) <= h2_connection_count(load->host.h2);
}

static void advance(struct load *load, struct course *course, uint64_t now)
{
    const struct load_options *options = &load->options;
    uint64_t lasted_ns = now - load->client.phases[load->phase].began_at_ns;
    if (load->stop && load->phase < LOAD_FINISH)
        move(load, LOAD_FINISH, now);
    switch (load->phase) {
    case LOAD_CONNECT:
        if (is_connected(load, lasted_ns))
            move(load, options->baseline_ns > 0 ? LOAD_BASELINE : after_baseline(load), now);
        return;
    case LOAD_BASELINE:
        if (lasted_ns >= options->baseline_ns)
            move(load, after_baseline(load), now);
        return;
    case LOAD_OPENING:
        if (!idle_is_open(load) && !opening_is_stuck(load, course, now))
            return;
        load->opening_took_ns = lasted_ns;
        move(load, LOAD_RUN, now);
        return;
    case LOAD_RUN:
        if (run_is_over(load, lasted_ns))
            move(load, LOAD_FINISH, now);
        return;
    case LOAD_FINISH:
        if (finish_is_over(load, lasted_ns, now))
            move(load, LOAD_CLOSE, now);
        return;
    case LOAD_CLOSE:
        if (!close_is_over(load, course, lasted_ns, now))
            return;
        load->closing_took_ns = lasted_ns;
        move(load, LOAD_END, now);
        return;
    case LOAD_END:
    case LOAD_PHASES:
        return;
    }
}

static void tell(const struct load *load, struct course *course, uint64_t now)
{
    static const char *const names[LOAD_PHASES] = {"connect", "baseline", "opening", "run",
                                                   "finish",  "close",    "end"};
    if (load->options.quiet || now - course->told_at_ns < PROGRESS_NS)
        return;
    course->told_at_ns = now;
    fprintf(stderr, "%s: %u active, %u idle, %u being opened, %u requests under way\n",
            names[load->phase], load->client.active, load->client.idle, load->client.opening,
            load->client.under_way);
}

static bool turn(struct load *load, struct course *course, uint64_t now)
{
    bool busy = host_receive(&load->host, now);
    busy |= client_tick(&load->client, now);
    busy |= flood_tick(&load->flood, now);
    advance(load, course, now);
    host_send(&load->host, now);
    return busy;
}

void load_run(struct load *load, volatile const int *stop)
{
    struct course course = {0};
    uint32_t empty_turns = 0;
    uint64_t before = clock_cycles();
    load->started_at_ns = clock_now_ns();
    load->phase = LOAD_CONNECT;
    load->cpu_seen_ns = cpu_now_ns();
    load->client.phases[load->phase].began_at_ns = load->started_at_ns;
    while (load->phase != LOAD_END) {
        uint64_t now = clock_now_ns();
        struct phase_stats *phase = &load->client.phases[load->phase];
        load->stop = load->stop || *stop != 0;
        bool busy = turn(load, &course, now);
        empty_turns = busy ? 0 : empty_turns + 1;
        uint64_t after = clock_cycles();
        phase->all_cycles += after - before;
        phase->busy_cycles += busy ? after - before : 0;
        before = after;
        if (empty_turns % EMPTY_TURNS == EMPTY_TURNS - 1)
            tell(load, &course, now);
        if (empty_turns > EMPTY_TURNS && !load->options.poll)
            nanosleep(&(struct timespec){0, SLEEP_NS}, NULL);
    }
}
