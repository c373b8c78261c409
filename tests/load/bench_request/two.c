/*
 * bench_two: what a request costs a worker, in cycles of time stamp counter as in bench_request,
 * when another worker is at work on another core: one that shares its data plane (snapshot, table
 * of flights, mails, counters), and one that shares nothing but the machine. Beside them one alone.
 * Each worker has wires, clients and backends of its own. The three take turns, so that what the
 * machine does besides is in all of them; a round that all makings have is the best of them.
 *
 *     bench_two [TURNS [BEGINNING OF A LOAD'S NAME [AND OF A MODE'S]]]
 */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/load/bench_request/lockstep.h"
#include "tests/load/samples.h"

#define MAKINGS      8 /* memory lies elsewhere each time */
#define TURNS_MAX    6
#define WARM_UP      2 /* rounds of a turn that do not count */
#define ROUNDS       8 /* and that do */
#define SAMPLES_MAX  (TURNS_MAX * ROUNDS)
#define APART_ROUNDS (1u << 20) /* between the sides' numbers, where each path is another */

static const struct load loads[] = {
    {"not coalesced", "/own?size=64", 32, false, false},
    {"different paths", "/share/%u?size=64", 32, true, false},
    {"the same path", "/share/%u?size=64", 32, false, false},
};

enum mode { ALONE, APART, TOGETHER, MODES };

static const struct {
    const char *name;
    uint32_t sides;
    bool one_plane;
} modes[MODES] = {
    [ALONE] = {"one alone", 1, false},
    [APART] = {"two planes", 2, false},
    [TOGETHER] = {"one plane", 2, true},
};

/* Of each round the best of all makings, cycles a worker. */
struct figures {
    uint64_t samples[SAMPLES_MAX];
};

/* A turn of one mode: the same rounds on each side. */
struct turn {
    const struct load *load;
    uint32_t number;
    uint64_t spent[LOCKSTEP_SIDES][ROUNDS];
};

static uint32_t turns = TURNS_MAX;
static const char *only_mode = "";

static bool begins(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

static void take_turn(struct lockstep_side *side, void *context)
{
    struct turn *turn = context;
    uint32_t first = turn->number * (WARM_UP + ROUNDS) +
                     (turn->load->each_its_own ? side->index * APART_ROUNDS : 0);
    for (uint32_t i = 0; i < WARM_UP + ROUNDS; i++) {
        struct load_round round;
        load_take_spent();
        load_begin(side->world, turn->load, side->conns, first + i, &round);
        lockstep_finish(side, CLOCK_S);
        load_check(turn->load, &round);
        if (i >= WARM_UP)
            turn->spent[side->index][i - WARM_UP] = load_take_spent();
    }
}

static void keep(const struct turn *turn, uint32_t sides, struct figures *figures)
{
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint64_t *best = &figures->samples[turn->number * ROUNDS + i];
        uint64_t sum = 0;
        for (uint32_t side = 0; side < sides; side++)
            sum += turn->spent[side][i];
        *best = sum / sides < *best ? sum / sides : *best;
    }
}

static bool is_wanted(int mode)
{
    return begins(modes[mode].name, only_mode);
}

static struct lockstep *open_mode(int mode)
{
    return lockstep_open(modes[mode].sides, modes[mode].one_plane);
}

static void take_turns(const struct load *load, struct figures figures[MODES])
{
    struct lockstep *lockstep[MODES];
    for (int mode = 0; mode < MODES; mode++)
        lockstep[mode] = is_wanted(mode) ? open_mode(mode) : NULL;
    for (uint32_t i = 0; i < turns; i++) {
        struct turn turn = {.load = load, .number = i};
        for (int mode = 0; mode < MODES; mode++) {
            if (lockstep[mode] == NULL)
                continue;
            lockstep_run(lockstep[mode], take_turn, &turn);
            keep(&turn, modes[mode].sides, &figures[mode]);
        }
    }
    for (int mode = 0; mode < MODES; mode++)
        if (lockstep[mode] != NULL)
            lockstep_close(lockstep[mode]);
}

static void bench(const struct load *load)
{
    static struct figures figures[MODES];
    memset(figures, 0xff, sizeof(figures));
    for (int i = 0; i < MAKINGS; i++)
        take_turns(load, figures);
    printf("-- %s\n", load->name);
    for (int mode = 0; mode < MODES; mode++)
        if (is_wanted(mode))
            samples_print(modes[mode].name, "a request", figures[mode].samples, turns * ROUNDS,
                          load->count);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        turns = (uint32_t)atoi(argv[1]);
    check(turns >= 1 && turns <= TURNS_MAX);
    const char *only_load = argc > 2 ? argv[2] : "";
    only_mode = argc > 3 ? argv[3] : "";
    for (size_t i = 0; i < array_count(loads); i++)
        if (begins(loads[i].name, only_load))
            bench(&loads[i]);
    return 0;
}
