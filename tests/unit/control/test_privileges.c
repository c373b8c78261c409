/* privileges: what is given up is given up in every thread, and what is kept is kept. */
#include "control/privileges.h"

#include "dataplane/base/check.h"
#include "tests/support/cmocka.h"

#include <dirent.h>
#include <linux/capability.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define THREADS 3

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static bool over;
static sem_t resting;
static _Atomic bool rests;

static void *wait_until_over(void *context)
{
    pthread_mutex_lock(&mutex);
    while (!over)
        pthread_cond_wait(&wake, &mutex);
    pthread_mutex_unlock(&mutex);
    return NULL;
}

/* It does without, for a while: what it is permitted it could take up again. */
static void *rest_until_over(void *context)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &header, sets) == 0) {
        sets[0].effective = sets[1].effective = 0;
        atomic_store(&rests, syscall(SYS_capset, &header, sets) == 0);
    }
    sem_post(&resting);
    return wait_until_over(context);
}

static uint64_t set_of(const char *thread, const char *name)
{
    char path[64];
    char line[256];
    uint64_t set = UINT64_MAX;
    snprintf(path, sizeof(path), "/proc/self/task/%.16s/status", thread);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            set = strtoull(line + strlen(name), NULL, 16);
    fclose(file);
    return set;
}

static uint32_t assert_all_have(uint64_t expected)
{
    uint32_t threads = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        assert_int_equal(set_of(entry->d_name, "CapEff:") & ~expected, 0);
        assert_int_equal(set_of(entry->d_name, "CapPrm:"), expected);
        assert_int_equal(set_of(entry->d_name, "CapInh:"), 0);
        threads++;
    }
    closedir(tasks);
    return threads;
}

static void every_thread_gives_up_what_is_not_kept(void **state)
{
    char message[256] = "";
    char self[16];
    pthread_t threads[THREADS];
    snprintf(self, sizeof(self), "%d", getpid());
    uint64_t before = set_of(self, "CapEff:");
    if ((before & ~privileges_kept()) == 0) {
        print_message("skipped: this process has no capabilities to give up (root is needed)\n");
        skip();
    }
    assert_int_equal(sem_init(&resting, 0, 0), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, i == 0 ? rest_until_over : wait_until_over, NULL), 0);
    while (sem_wait(&resting) != 0)
        continue;
    assert_true(atomic_load(&rests));
    assert_true(privileges_drop(message, sizeof(message)));
    assert_true(assert_all_have(before & privileges_kept()) >= 1 + THREADS);
    assert_int_equal(set_of(self, "CapEff:"), before & privileges_kept());
    assert_true(privileges_drop(message, sizeof(message))); /* nothing is left to do */
    pthread_mutex_lock(&mutex);
    over = true;
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void what_a_start_as_root_can_do_is_not_kept(void **state)
{
    static const uint8_t given_up[] = {CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_SYS_MODULE, CAP_SYS_RAWIO,
                                       CAP_NET_RAW,   CAP_SETUID,     CAP_SETPCAP,    CAP_MKNOD};
    for (size_t i = 0; i < array_count(given_up); i++)
        assert_int_equal(privileges_kept() >> given_up[i] & 1, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_start_as_root_can_do_is_not_kept),
        cmocka_unit_test(every_thread_gives_up_what_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
