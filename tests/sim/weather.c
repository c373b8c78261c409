#include "tests/sim/weather.h"

#include "dataplane/base/clock.h"

#define ENDS       2
#define CHANGES_MS 20000

void weather_begin(struct weather *weather, struct sim *sim, struct wire *wire)
{
    *weather = (struct weather){
        .sim = sim,
        .wire = wire,
        .worst_drop_ppm = sim_draw_log(sim, 1000, 300000),
        .worst_delay_ns = sim_draw_log(sim, 1, 100000) * CLOCK_US,
    };
    /* Some runs have nearly everything, some one thing. */
    uint32_t likely = sim_draw(sim, 1, 6);
    for (uint32_t kind = 0; kind < WEATHER_KINDS; kind++)
        if (sim_draw(sim, 1, 6) <= likely)
            weather->kinds |= 1u << kind;
    weather_turn(weather);
}

/* Whether this kind of fault exists and happens now. */
static bool now(struct weather *weather, enum weather_kind kind, uint32_t one_in)
{
    return (weather->kinds & kind) != 0 && sim_one_in(weather->sim, one_in);
}

static void draw_losses(struct weather *weather, struct wire_faults *faults)
{
    struct sim *sim = weather->sim;
    if (now(weather, WEATHER_LOSS, 2))
        faults->drop_ppm = sim_draw(sim, 0, weather->worst_drop_ppm);
    if (now(weather, WEATHER_BURST, 2)) {
        faults->burst_ppm = sim_draw_log(sim, 100, 20000);
        faults->burst_frames = sim_draw(sim, 2, 40);
    }
    if (now(weather, WEATHER_DUPLICATES, 2))
        faults->duplicate_ppm = sim_draw_log(sim, 1000, 500000);
    if (now(weather, WEATHER_CORRUPTION, 2)) {
        faults->corrupt_ppm = sim_draw_log(sim, 1000, 100000);
        faults->corrupt_run = sim_draw(sim, 1, 15);
    }
    if (now(weather, WEATHER_PARTITION, 5))
        faults->cut = true;
}

static void draw_times(struct weather *weather, struct wire_faults *faults)
{
    struct sim *sim = weather->sim;
    faults->delay_ns = sim_draw(sim, 0, (uint32_t)(weather->worst_delay_ns / CLOCK_US)) * CLOCK_US;
    if (now(weather, WEATHER_REORDERING, 2)) {
        faults->reorder_ppm = sim_draw_log(sim, 1000, 500000);
        faults->reorder_ns = sim_draw_log(sim, 1, 100000) * CLOCK_US;
    }
    if (now(weather, WEATHER_JITTER, 2))
        faults->jitter_ns = sim_draw_log(sim, 1, 50000) * CLOCK_US;
    if (now(weather, WEATHER_BOTTLENECK, 2)) {
        faults->bits_per_s = sim_draw_log(sim, 500000, 1000000000);
        faults->queue_bytes = sim_one_in(sim, 4) ? 0 : sim_draw_log(sim, 3000, 500000);
    }
    if (now(weather, WEATHER_MTU, 2)) {
        faults->mtu =
            (uint16_t)(sim_one_in(sim, 2) ? sim_draw(sim, 1280, 1499) : sim_draw(sim, 552, 1499));
        faults->mtu_silent = sim_one_in(sim, 3);
    }
    if (now(weather, WEATHER_MARKS, 2))
        faults->ce_ppm = sim_draw_log(sim, 1000, 1000000);
}

static void change(struct weather *weather, uint16_t from, uint16_t to)
{
    struct wire_faults faults = {0};
    draw_losses(weather, &faults);
    draw_times(weather, &faults);
    wire_set_faults(weather->wire, from, to, &faults);
    sim_tell(weather->sim,
             "weather %u>%u: drop %u burst %u dup %u corrupt %u cut %d delay %llu us "
             "reorder %u mtu %u%s bits/s %llu ce %u",
             from, to, faults.drop_ppm, faults.burst_ppm, faults.duplicate_ppm, faults.corrupt_ppm,
             faults.cut, (unsigned long long)(faults.delay_ns / CLOCK_US), faults.reorder_ppm,
             faults.mtu, faults.mtu_silent ? " silent" : "", (unsigned long long)faults.bits_per_s,
             faults.ce_ppm);
}

void weather_turn(struct weather *weather)
{
    struct sim *sim = weather->sim;
    if (weather->is_calm || sim->now < weather->change_at_ns)
        return;
    weather->change_at_ns = sim->now + sim_draw_log(sim, 10, CHANGES_MS) * CLOCK_MS;
    for (uint16_t from = 0; from < ENDS; from++)
        if (sim_one_in(sim, 2) || sim->frames == 0)
            change(weather, from, (uint16_t)(1 - from));
}

void weather_calm(struct weather *weather)
{
    static const struct wire_faults none;
    weather->is_calm = true;
    wire_set_faults_everywhere(weather->wire, &none);
    sim_tell(weather->sim, "the weather is calm");
}
