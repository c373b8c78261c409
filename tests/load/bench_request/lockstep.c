#include "tests/load/bench_request/lockstep.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"

#include <pthread.h>
#include <rte_pause.h>
#include <sched.h>
#include <stdlib.h>

#define AT_MOST_NS (60 * CLOCK_S)
#define MBUFS      1024 /* of each queue: several of these are open at a time */

/* ---- time that agrees ---- */

static bool is_done(const struct lockstep_side *side)
{
    for (uint32_t i = 0; i < LOAD_CONNECTIONS; i++)
        if (side->conns[i] != NULL && !side->conns[i]->opened)
            return false;
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++)
        if (client_open_count(&side->world->clients[i]) > 0)
            return false;
    return true;
}

static void say(struct lockstep_side *side, uint64_t next_ns)
{
    struct lockstep_word *word = &side->words[++side->turn % 2];
    word->next_ns = next_ns;
    word->done = is_done(side);
    atomic_store_explicit(&word->turn, side->turn, memory_order_release);
}

static const struct lockstep_word *hear(const struct lockstep_side *from, uint64_t turn)
{
    const struct lockstep_word *word = &from->words[turn % 2];
    while (atomic_load_explicit(&word->turn, memory_order_acquire) != turn)
        rte_pause();
    return word;
}

/* No side goes beyond what may happen in the other. */
static uint64_t agree(void *context, uint64_t next_ns)
{
    struct lockstep_side *side = context;
    uint64_t agreed_ns = next_ns;
    say(side, next_ns);
    side->all_done = true;
    for (uint32_t i = 0; i < side->lockstep->count; i++) {
        const struct lockstep_word *word = hear(&side->lockstep->sides[i], side->turn);
        agreed_ns = word->next_ns < agreed_ns ? word->next_ns : agreed_ns;
        side->all_done &= word->done;
    }
    return agreed_ns;
}

static bool all_done(struct world *world, void *context)
{
    const struct lockstep_side *side = context;
    return side->all_done;
}

void lockstep_finish(struct lockstep_side *side, uint64_t length_ns)
{
    side->all_done = false;
    check(world_run_until(side->world, all_done, side, AT_MOST_NS));
    world_run_for(side->world, length_ns);
}

/* ---- threads ---- */

struct runner {
    struct lockstep_side *side;
    lockstep_work *work;
    void *context;
};

static void *run(void *context)
{
    struct runner *runner = context;
    runner->work(runner->side, runner->context);
    return NULL;
}

/* On a core of its own from the start: the others spin, and might not let it go there. */
static pthread_t begin(struct runner *runner)
{
    pthread_t thread;
    pthread_attr_t attributes;
    cpu_set_t cpu;
    CPU_ZERO(&cpu);
    CPU_SET((int)runner->side->index, &cpu);
    pthread_attr_init(&attributes);
    check(pthread_attr_setaffinity_np(&attributes, sizeof(cpu), &cpu) == 0);
    check(pthread_create(&thread, &attributes, run, runner) == 0);
    pthread_attr_destroy(&attributes);
    return thread;
}

void lockstep_run(struct lockstep *lockstep, lockstep_work *work, void *context)
{
    pthread_t threads[LOCKSTEP_SIDES];
    struct runner runners[LOCKSTEP_SIDES];
    for (uint32_t i = 0; i < lockstep->count; i++) {
        runners[i] = (struct runner){&lockstep->sides[i], work, context};
        threads[i] = begin(&runners[i]);
    }
    for (uint32_t i = 0; i < lockstep->count; i++)
        pthread_join(threads[i], NULL);
}

/* ---- life ---- */

static void prepare(struct lockstep *lockstep, uint32_t index, bool one_plane)
{
    struct lockstep_side *side = &lockstep->sides[index];
    struct world_config config = {.mbufs = MBUFS};
    config.plane_workers = one_plane ? (uint16_t)lockstep->count : 1;
    config.beside = one_plane && index > 0 ? lockstep->sides[index - 1].world : NULL;
    side->lockstep = lockstep;
    side->index = index;
    side->world = load_prepare_world(&config);
    world_agree(side->world, agree, side);
}

static void start(struct lockstep_side *side, void *context)
{
    world_start(side->world);
    for (uint32_t i = 0; i < LOAD_CONNECTIONS; i++)
        side->conns[i] = world_connect_here(side->world, i % WORLD_CLIENTS, i % 2 != 0);
    lockstep_finish(side, CLOCK_S);
}

struct lockstep *lockstep_open(uint32_t count, bool one_plane)
{
    struct lockstep *lockstep = aligned_alloc(64, sizeof(*lockstep));
    check(lockstep != NULL && count <= LOCKSTEP_SIDES);
    *lockstep = (struct lockstep){.count = count};
    for (uint32_t i = 0; i < count; i++)
        prepare(lockstep, i, one_plane);
    lockstep_run(lockstep, start, NULL);
    return lockstep;
}

void lockstep_close(struct lockstep *lockstep)
{
    for (uint32_t i = lockstep->count; i-- > 0;)
        world_close(lockstep->sides[i].world);
    free(lockstep);
}
