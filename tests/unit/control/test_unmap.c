/* What a driver takes away stays while a worker may be looking at it. */
#include "control/unmap.h"
#include "tests/support/cmocka.h"

#include <pthread.h>
#include <rte_rcu_qsbr.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define BYTES 4096
#define LOOKS 1000000

struct shared {
    uint8_t *memory;
    _Atomic bool began;
    _Atomic bool ended;
};

static void *take_away(void *context)
{
    struct shared *shared = context;
    shared->began = true;
    assert_int_equal(munmap(shared->memory, BYTES), 0);
    shared->ended = true;
    return NULL;
}

static struct rte_rcu_qsbr *quiescence_of_one_worker(void)
{
    struct rte_rcu_qsbr *quiescence = aligned_alloc(64, rte_rcu_qsbr_get_memsize(1));
    assert_non_null(quiescence);
    assert_int_equal(rte_rcu_qsbr_init(quiescence, 1), 0);
    assert_int_equal(rte_rcu_qsbr_thread_register(quiescence, 0), 0);
    rte_rcu_qsbr_thread_online(quiescence, 0);
    return quiescence;
}

static void map(struct shared *shared)
{
    shared->memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared->memory, MAP_FAILED);
}

/* Were it gone, looking at it would end the test by a signal. */
static void memory_stays_until_the_worker_is_quiescent(void **state)
{
    struct shared shared = {0};
    struct rte_rcu_qsbr *quiescence = quiescence_of_one_worker();
    unmap_waits_for(quiescence);
    map(&shared);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, take_away, &shared), 0);
    while (!shared.began)
        usleep(100);
    for (uint32_t i = 0; i < LOOKS; i++)
        assert_int_equal(((volatile uint8_t *)shared.memory)[i % BYTES], 0);
    assert_false(shared.ended);
    rte_rcu_qsbr_quiescent(quiescence, 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(shared.ended);
    unmap_waits_for(NULL);
    free(quiescence);
}

static void nobody_waits_for_workers_that_sleep_or_have_ended(void **state)
{
    struct shared shared = {0};
    struct rte_rcu_qsbr *quiescence = quiescence_of_one_worker();
    unmap_waits_for(quiescence);
    rte_rcu_qsbr_thread_offline(quiescence, 0);
    map(&shared);
    (void)take_away(&shared);
    rte_rcu_qsbr_thread_unregister(quiescence, 0);
    map(&shared);
    (void)take_away(&shared);
    unmap_waits_for(NULL);
    map(&shared);
    (void)take_away(&shared);
    free(quiescence);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_stays_until_the_worker_is_quiescent),
        cmocka_unit_test(nobody_waits_for_workers_that_sleep_or_have_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
