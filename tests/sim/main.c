/*
 * weir-sim: runs scenarios. Several processes share the seeds; the first failure ends all.
 *
 *     weir-sim [--scenario NAME] [--seed N | --seeds FROM..TO | --forever] [--jobs N]
 *              [--trace] [--pcap FILE] [--quiet]
 *
 * Without seeds: those of an ordinary test. Every eighth seed is run twice and has to be the same.
 */
#include "dataplane/base/clock.h"
#include "tests/sim/flow_check.h"
#include "tests/sim/pcap.h"
#include "tests/sim/sim.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX    64
#define TWICE_EVERY 8
#define BATCH       100 /* seeds of each scenario in turn, with --forever */

static const struct sim_scenario *const scenarios[] = {&sim_tcp,   &sim_peer,     &sim_h2,
                                                       &sim_world, &sim_coalesce, &sim_nodes};
#define SCENARIOS (sizeof(scenarios) / sizeof(scenarios[0]))

struct options {
    const char *scenario;
    const char *pcap;
    bool has_seeds;
    uint64_t from;
    uint64_t to;
    bool forever;
    bool trace;
    uint32_t jobs;
    uint32_t job; /* which one this process is */
    uint64_t done;
};

/* For the signal handler: check() ends with SIGABRT. */
static struct sim sim;

static void died(int number)
{
    char line[256];
    int length = snprintf(line, sizeof(line),
                          "%s, seed %" PRIu64 ": at %llu.%09llu s: stopped by signal "
                          "%d\n    again: scripts/sim --scenario %s --seed %" PRIu64 " --trace\n",
                          sim.scenario, sim.seed, sim.now / CLOCK_S, sim.now % CLOCK_S, number,
                          sim.scenario, sim.seed);
    if (write(STDERR_FILENO, line, (size_t)length) < 0)
        _exit(3);
    signal(number, SIG_DFL);
    raise(number);
}

static uint64_t run_once(const struct options *options, const struct sim_scenario *scenario,
                         uint64_t seed)
{
    sim = (struct sim){
        .scenario = scenario->name,
        .seed = seed,
        .now = CLOCK_S,
        .is_told = options->trace,
        .pcap = options->pcap != NULL ? pcap_open(options->pcap) : NULL,
    };
    random_seed(&sim.random, seed);
    scenario->run(&sim);
    sim_hash(&sim, sim.now);
    sim_hash(&sim, sim.frames);
    flow_check_free(sim.flows);
    if (sim.pcap != NULL)
        pcap_close(sim.pcap);
    return sim.hash;
}

static void run_seed(struct options *options, const struct sim_scenario *scenario, uint64_t seed)
{
    uint64_t hash = run_once(options, scenario, seed);
    options->done++;
    if (options->has_seeds && options->from == options->to)
        printf("%s, seed %" PRIu64 ": good, %" PRIu64 " frames, %" PRIu64
               " of HTTP/2, %llu s, trace %016" PRIx64 "\n",
               scenario->name, seed, sim.frames, sim.h2_frames, sim.now / CLOCK_S, hash);
    if (options->trace || seed % TWICE_EVERY != 0)
        return;
    if (run_once(options, scenario, seed) != hash)
        sim_fail(&sim, "the second run of the same seed was another");
}

static void run_range(struct options *options, const struct sim_scenario *scenario, uint64_t from,
                      uint64_t to)
{
    for (uint64_t seed = from; seed <= to; seed++)
        if (seed % options->jobs == options->job)
            run_seed(options, scenario, seed);
}

static bool is_wanted(const struct options *options, const struct sim_scenario *scenario)
{
    return options->scenario == NULL || strcmp(options->scenario, scenario->name) == 0;
}

static void run_forever(struct options *options)
{
    for (uint64_t from = options->from;; from += BATCH) {
        for (size_t i = 0; i < SCENARIOS; i++)
            if (is_wanted(options, scenarios[i]))
                run_range(options, scenarios[i], from, from + BATCH - 1);
        if (options->job == 0)
            printf("good up to seed %" PRIu64 "\n", from + BATCH - 1);
        fflush(stdout);
    }
}

static void run_job(struct options *options)
{
    signal(SIGABRT, died);
    signal(SIGSEGV, died);
    signal(SIGBUS, died);
    signal(SIGFPE, died);
    if (options->forever)
        run_forever(options);
    for (size_t i = 0; i < SCENARIOS; i++) {
        if (!is_wanted(options, scenarios[i]))
            continue;
        uint64_t from = options->has_seeds ? options->from : 1;
        uint64_t to = options->has_seeds ? options->to : scenarios[i]->seeds;
        run_range(options, scenarios[i], from, to);
        if (options->job == 0 && from != to)
            printf("%s: seeds %" PRIu64 " to %" PRIu64 " are good\n", scenarios[i]->name, from, to);
        fflush(stdout);
    }
}

/* ---- several processes ---- */

static void stop_all(const pid_t *children, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (children[i] > 0)
            kill(children[i], SIGTERM);
}

static int run_jobs(struct options *options)
{
    pid_t children[JOBS_MAX];
    for (options->job = 0; options->job < options->jobs; options->job++) {
        children[options->job] = fork();
        if (children[options->job] == 0) {
            run_job(options);
            fflush(stdout);
            _exit(0);
        }
        if (children[options->job] < 0) {
            stop_all(children, options->job);
            return 1;
        }
    }
    int result = 0;
    for (uint32_t left = options->jobs; left > 0; left--) {
        int status;
        pid_t child = wait(&status);
        for (uint32_t i = 0; i < options->jobs; i++)
            children[i] = children[i] == child ? 0 : children[i];
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            continue;
        if (result == 0)
            stop_all(children, options->jobs);
        result = 1;
    }
    return result;
}

/* ---- the command line ---- */

_Noreturn static void usage(void)
{
    fprintf(
        stderr,
        "usage: sim [--scenario tcp|peer|h2|world|coalesce|nodes] [--seed N | --seeds FROM..TO | "
        "--forever] [--jobs N] [--trace] [--pcap FILE]\n");
    exit(2);
}

static void read_seeds(struct options *options, const char *text)
{
    char *end;
    options->has_seeds = true;
    options->from = strtoull(text, &end, 10);
    options->to = options->from;
    if (end != text && strncmp(end, "..", 2) == 0)
        options->to = strtoull(end + 2, &end, 10);
    if (end == text || *end != '\0' || options->to < options->from)
        usage();
}

static void read_options(struct options *options, int argc, char **argv)
{
    static const struct option known[] = {
        {"scenario", required_argument, NULL, 's'}, {"seed", required_argument, NULL, 'n'},
        {"seeds", required_argument, NULL, 'n'},    {"forever", no_argument, NULL, 'f'},
        {"jobs", required_argument, NULL, 'j'},     {"trace", no_argument, NULL, 't'},
        {"pcap", required_argument, NULL, 'p'},     {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == 's')
            options->scenario = optarg;
        else if (option == 'n')
            read_seeds(options, optarg);
        else if (option == 'f')
            options->forever = true;
        else if (option == 'j')
            options->jobs = (uint32_t)strtoul(optarg, NULL, 10);
        else if (option == 't')
            options->trace = true;
        else if (option == 'p')
            options->pcap = optarg;
        else
            usage();
    }
    bool found = options->scenario == NULL;
    for (size_t i = 0; i < SCENARIOS; i++)
        found |= is_wanted(options, scenarios[i]);
    if (!found || optind != argc || options->jobs > JOBS_MAX)
        usage();
}

int main(int argc, char **argv)
{
    struct options options = {.from = 1};
    read_options(&options, argc, argv);
    if (options.jobs == 0)
        options.jobs = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
    if ((options.has_seeds && options.from == options.to) || options.trace || options.pcap != NULL)
        options.jobs = 1;
    if (options.forever && !options.has_seeds)
        options.from = (uint64_t)time(NULL) * 1000; /* other seeds each time */
    if (options.jobs > 1)
        return run_jobs(&options);
    run_job(&options);
    return 0;
}
