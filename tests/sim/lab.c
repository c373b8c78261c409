#include "tests/sim/lab.h"

#include "dataplane/base/clock.h"
#include "dataplane/base/memory.h"
#include "dataplane/tcp/tcp_internal.h"

#define STEP_MIN_NS   (5 * CLOCK_US)
#define STEP_SPAN_US  60u
#define STEP_MAX_NS   (10 * CLOCK_S)
#define PATIENCE_NS   (3000 * CLOCK_S)
#define KEEPALIVE_NS  (300 * CLOCK_S)
#define TIME_WAIT_MAX 10000u /* ms */
#define MBUFS_SPARE   600u

static void draw_pools(struct lab *lab, struct tcp_config *config)
{
    struct sim *sim = lab->sim;
    config->connections_max = STACK_CHECK_CONNS;
    config->time_wait_max = sim_draw_log(sim, 1, 64);
    config->spans_max = 4096;
    config->blocks_max = 2048;
    config->reassembly_max = 3000;
    if (lab->is_ample)
        return;
    config->connections_max = sim_draw(sim, 2, STACK_CHECK_CONNS);
    config->spans_max = sim_draw_log(sim, 4, 4096);
    config->blocks_max = sim_draw_log(sim, 4, 2048);
    config->reassembly_max = sim_draw_log(sim, 16, 3000);
}

static void draw_config(struct lab *lab, struct tcp_config *config)
{
    struct sim *sim = lab->sim;
    draw_pools(lab, config);
    config->receive_window_bytes = sim_draw_log(sim, 2000, 600000);
    config->send_queue_bytes = sim_draw_log(sim, 4096, 400000);
    config->time_wait_ns = sim_draw_log(sim, 1, TIME_WAIT_MAX) * CLOCK_MS;
    config->congestion = sim_one_in(sim, 3) ? TCP_CONGESTION_NEWRENO : TCP_CONGESTION_CUBIC;
    config->ecn = sim_one_in(sim, 2);
    config->connect_timeout_ns = PATIENCE_NS;
    config->user_timeout_ns = PATIENCE_NS;
    config->keepalive_idle_ns = KEEPALIVE_NS;
    if (lab->is_patient)
        return;
    config->connect_timeout_ns = sim_draw_log(sim, 100, 30000) * CLOCK_MS;
    config->user_timeout_ns = sim_draw_log(sim, 2000, 60000) * CLOCK_MS;
    config->keepalive_idle_ns = sim_draw_log(sim, 500, 60000) * CLOCK_MS;
}

static struct wire *make_wire(struct lab *lab)
{
    struct sim *sim = lab->sim;
    struct wire_config config = {
        .ends = 2,
        .queues = 1,
        .seed = random_u64(&sim->random),
        .mbufs = 3000 + MBUFS_SPARE,
        .features = {.rx_checksum = sim_one_in(sim, 2),
                     .tx_checksum_ip = sim_one_in(sim, 2),
                     .tx_checksum_tcp = sim_one_in(sim, 2),
                     .multi_segment_tx = sim_one_in(sim, 2)},
    };
    return wire_create(&config);
}

void lab_prepare(struct lab *lab, struct sim *sim, uint32_t hosts)
{
    static const char *const v4[] = {"10.0.0.1/24", "10.0.0.2/24"};
    static const char *const v6[] = {"fd00::1/64", "fd00::2/64"};
    *lab = (struct lab){.sim = sim, .host_count = hosts};
    lab->is_patient = !sim_one_in(sim, 3);
    lab->is_ample = !sim_one_in(sim, 4);
    lab->wire = make_wire(lab);
    sim_watch(sim, lab->wire, (1u << hosts) - 1);
    for (uint16_t i = 0; i < hosts; i++) {
        struct lab_host *host = &lab->hosts[i];
        tcp_host_prepare(&host->tcp, lab->wire, i, v4[i], v6[i]);
        random_seed(&host->tcp.base.random, random_u64(&sim->random));
        draw_config(lab, &host->tcp.config);
        host->pauses_ppm = sim_one_in(sim, 2) ? 0 : sim_draw_log(sim, 10, 20000);
    }
}

static void draw_cookies(struct lab *lab, struct tcp *tcp)
{
    struct sim *sim = lab->sim;
    struct tcp_cookie_settings settings = {
        .mode = sim_one_in(sim, 2) ? TCP_COOKIES_ALWAYS : TCP_COOKIES_AUTO,
        .backlog = sim_draw_log(sim, 1, 16),
        .secrets = {{random_u64(&sim->random), random_u64(&sim->random)}},
        .shared = sim_one_in(sim, 4),
        .clock_ahead_ns = sim_draw(sim, 0, 1000) * CLOCK_S,
    };
    if (!sim_one_in(sim, 3))
        return;
    sim->has_cookies = true;
    tcp_set_cookies(tcp, &settings);
}

void lab_open(struct lab *lab)
{
    static const char *const names[] = {"host A", "host B"};
    struct sim *sim = lab->sim;
    wire_advance(lab->wire, sim->now);
    for (uint32_t i = 0; i < lab->host_count; i++) {
        struct lab_host *host = &lab->hosts[i];
        const struct tcp_config *config = &host->tcp.config;
        tcp_host_open(&host->tcp);
        draw_cookies(lab, host->tcp.tcp);
        stack_check_init(&host->check, sim, host->tcp.tcp, names[i]);
        sim_tell(sim,
                 "%s: window %u, queue %u, connections %u, spans %u, blocks %u, reassembly %u, "
                 "user timeout %llu ms",
                 names[i], config->receive_window_bytes, config->send_queue_bytes,
                 config->connections_max, config->spans_max, config->blocks_max,
                 config->reassembly_max, (unsigned long long)(config->user_timeout_ns / CLOCK_MS));
    }
    weather_begin(&lab->weather, sim, lab->wire);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Frames moved since the turn before, or something waits to be sent. */
static bool is_busy(struct lab *lab)
{
    const struct wire_statistics *statistics = wire_statistics(lab->wire);
    uint64_t moved = statistics->sent + statistics->delivered;
    bool busy = moved != lab->moved;
    lab->moved = moved;
    for (uint32_t i = 0; i < lab->host_count; i++)
        busy |= !tcp_list_is_empty(&lab->hosts[i].tcp.tcp->lists, TCP_LIST_OUT);
    return busy;
}

static uint64_t next_ns(struct lab *lab, uint64_t next)
{
    struct sim *sim = lab->sim;
    uint64_t least = sim->now + STEP_MIN_NS + sim_draw(sim, 0, STEP_SPAN_US) * CLOCK_US;
    if (is_busy(lab))
        return least;
    next = earlier(next, wire_next_ns(lab->wire));
    if (!lab->weather.is_calm)
        next = earlier(next, lab->weather.change_at_ns);
    for (uint32_t i = 0; i < lab->host_count; i++) {
        next = earlier(next, timer_wheel_next_ns(&lab->hosts[i].tcp.base.wheel));
        if (lab->hosts[i].standing_until_ns > sim->now)
            next = earlier(next, lab->hosts[i].standing_until_ns);
    }
    next = earlier(next, sim->now + STEP_MAX_NS);
    return next > least ? next : least;
}

static bool stands_still(struct lab *lab, struct lab_host *host)
{
    struct sim *sim = lab->sim;
    if (sim->now < host->standing_until_ns)
        return true;
    if (lab->weather.is_calm || sim_draw(sim, 1, 1000000) > host->pauses_ppm)
        return false;
    host->standing_until_ns = sim->now + sim_draw_log(sim, 1, 500) * CLOCK_MS;
    return true;
}

void lab_turn(struct lab *lab, uint64_t next)
{
    struct sim *sim = lab->sim;
    sim->now = next_ns(lab, next);
    wire_advance(lab->wire, sim->now);
    weather_turn(&lab->weather);
    for (uint32_t i = 0; i < lab->host_count; i++) {
        struct lab_host *host = &lab->hosts[i];
        if (stands_still(lab, host))
            continue;
        tcp_host_turn(&host->tcp, sim->now);
        stack_check_turn(&host->check);
    }
}

void lab_calm(struct lab *lab)
{
    weather_calm(&lab->weather);
    for (uint32_t i = 0; i < lab->host_count; i++)
        lab->hosts[i].standing_until_ns = 0;
}

bool lab_accepts_badly(const struct lab_host *host, bool accepted)
{
    const struct tcp_counters *counters = tcp_counters(host->tcp.tcp);
    if (counters->half_open_expired + counters->half_open_full + counters->cookies_rejected > 0)
        return true;
    return counters->cookies_sent > 0 && !accepted;
}

bool lab_is_empty(const struct lab *lab)
{
    for (uint32_t i = 0; i < lab->host_count; i++)
        if (tcp_connection_count(lab->hosts[i].tcp.tcp) > 0)
            return false;
    return true;
}

void lab_close(struct lab *lab)
{
    struct sim *sim = lab->sim;
    for (uint32_t i = 0; i < lab->host_count; i++) {
        struct lab_host *host = &lab->hosts[i];
        if (tcp_host_used(&host->tcp) != 0)
            sim_fail(sim, "%s: %u objects are still in use", host->check.name,
                     tcp_host_used(&host->tcp));
        if (tcp_time_wait_count(host->tcp.tcp) != 0)
            sim_fail(sim, "%s: TIME_WAITs do not end", host->check.name);
        if (host->tcp.base.wheel.armed_count != 0)
            sim_fail(sim, "%s: %u timers are still armed", host->check.name,
                     host->tcp.base.wheel.armed_count);
        sim_hash(sim, tcp_counters(host->tcp.tcp)->segments_out);
    }
    if (wire_mbufs_used(lab->wire) != 0)
        sim_fail(sim, "%u mbufs are still in use", wire_mbufs_used(lab->wire));
    wire_destroy(lab->wire);
    memory_reset();
}
