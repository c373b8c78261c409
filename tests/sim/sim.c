#include "tests/sim/sim.h"

#include "dataplane/base/clock.h"
#include "tests/sim/flow_check.h"
#include "tests/sim/pcap.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 512

/* What the tap of one wire needs. A run has a few wires. */
struct watch {
    struct sim *sim;
    uint32_t tested;
    uint32_t number;
};

static struct watch watches[4];
static uint32_t watch_count;

/* ---- hash ---- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15ull;
    return hash ^ hash >> 29;
}

static void hash_bytes(struct sim *sim, const uint8_t *bytes, size_t length)
{
    uint64_t word = 0;
    for (; length >= sizeof(word); bytes += sizeof(word), length -= sizeof(word)) {
        memcpy(&word, bytes, sizeof(word));
        sim->hash = mix(sim->hash, word);
    }
    word = length;
    memcpy(&word, bytes, length);
    sim->hash = mix(sim->hash, word);
}

void sim_hash(struct sim *sim, uint64_t value)
{
    sim->hash = mix(sim->hash, value);
}

/* ---- telling ---- */

static void tell(const struct sim *sim, const char *line)
{
    if (sim->is_told)
        printf("%5llu.%09llu %s\n", sim->now / CLOCK_S, sim->now % CLOCK_S, line);
}

void sim_note(struct sim *sim, const char *what, ...)
{
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, what);
    vsnprintf(line, sizeof(line), what, arguments);
    va_end(arguments);
    sim_hash(sim, sim->now);
    hash_bytes(sim, (const uint8_t *)line, strlen(line));
    tell(sim, line);
}

void sim_tell(struct sim *sim, const char *what, ...)
{
    char line[LINE_BYTES];
    va_list arguments;
    if (!sim->is_told)
        return;
    va_start(arguments, what);
    vsnprintf(line, sizeof(line), what, arguments);
    va_end(arguments);
    tell(sim, line);
}

void sim_fail(struct sim *sim, const char *what, ...)
{
    va_list arguments;
    fflush(stdout);
    fprintf(stderr, "%s, seed %" PRIu64 ": at %llu.%09llu s: ", sim->scenario, sim->seed,
            sim->now / CLOCK_S, sim->now % CLOCK_S);
    va_start(arguments, what);
    vfprintf(stderr, what, arguments);
    va_end(arguments);
    fprintf(stderr, "\n    again: scripts/sim --scenario %s --seed %" PRIu64 " --trace\n",
            sim->scenario, sim->seed);
    if (sim->pcap != NULL)
        pcap_close(sim->pcap);
    exit(1);
}

/* ---- frames ---- */

static void see(void *context, bool delivered, uint16_t end, const uint8_t *frame, uint16_t length,
                uint64_t now)
{
    struct watch *watch = context;
    struct sim *sim = watch->sim;
    struct frame_segment segment;
    bool tested = (watch->tested >> end & 1) != 0;
    sim->now = now > sim->now ? now : sim->now; /* worlds have their own clock */
    sim_hash(sim, now * 64 + watch->number * 16 + end * 2 + delivered);
    hash_bytes(sim, frame, length);
    sim->frames += !delivered;
    if (!delivered && sim->pcap != NULL)
        pcap_write(sim->pcap, frame, length, now);
    enum frame_kind kind = frame_read(frame, length, &segment);
    if (sim->is_told) {
        char text[400] = "not TCP";
        if (kind == FRAME_TCP)
            frame_print(&segment, text, sizeof(text));
        sim_tell(sim, "%s %u.%u %s", delivered ? "    got " : "sent", watch->number, end,
                 kind == FRAME_WRONG ? "damaged" : text);
    }
    if (kind == FRAME_WRONG && !delivered && tested)
        sim_fail(sim, "end %u sent a packet with a wrong checksum or length", end);
    struct frame_too_big too_big;
    if (kind == FRAME_OTHER && delivered && frame_read_too_big(frame, length, &too_big))
        flow_check_too_big(sim->flows, &too_big);
    if (kind != FRAME_TCP)
        return;
    if (delivered)
        flow_check_arrived(sim->flows, &segment, tested);
    else
        flow_check_sent(sim->flows, &segment, tested);
}

void sim_watch(struct sim *sim, struct wire *wire, uint32_t tested)
{
    if (sim->frames == 0 && sim->flows == NULL)
        watch_count = 0;
    if (sim->flows == NULL)
        sim->flows = flow_check_new(sim);
    sim_require(sim, watch_count < sizeof(watches) / sizeof(watches[0]));
    watches[watch_count] = (struct watch){sim, tested, watch_count};
    wire_set_tap(wire, see, &watches[watch_count++]);
}

/* ---- drawing ---- */

uint32_t sim_draw(struct sim *sim, uint32_t least, uint32_t most)
{
    return least + random_below(&sim->random, most - least + 1);
}

uint32_t sim_draw_log(struct sim *sim, uint32_t least, uint32_t most)
{
    uint32_t bits = 0;
    for (uint64_t value = least; value < most; value *= 2)
        bits++;
    uint64_t top = (uint64_t)least << (bits > 0 ? random_below(&sim->random, bits + 1) : 0);
    return sim_draw(sim, least, top > most ? most : (uint32_t)top);
}

bool sim_one_in(struct sim *sim, uint32_t n)
{
    return random_below(&sim->random, n) == 0;
}
