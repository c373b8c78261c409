/*
 * Each thread has to ask for itself (capset(2)): a signal makes all of them do so, as libpsx does.
 * What the handler reads is written before the signal is sent, and it calls nothing but the kernel.
 */
#include "control/privileges.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WAIT_NS   (1 * CLOCK_S)
#define PAUSE_NS  (1 * CLOCK_MS)
#define SETS      _LINUX_CAPABILITY_U32S_3
#define LINE_SIZE 256

static const uint8_t kept[] = {
    CAP_NET_ADMIN,        /* XDP programs come off their interfaces at the end */
    CAP_BPF,              /* the maps of these programs, on kernels before 6.0 */
    CAP_NET_BIND_SERVICE, /* metrics.listen may be given another port */
    CAP_DAC_OVERRIDE,     /* logs, state, certificates and passwords of other users */
};

static _Atomic int failure; /* an errno of some thread's */

uint64_t privileges_kept(void)
{
    uint64_t set = 0;
    for (size_t i = 0; i < array_count(kept); i++)
        set |= UINT64_C(1) << kept[i];
    return set;
}

/* The calling thread's. Returns an errno. Async-signal-safe. */
static int drop_own(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[SETS];
    uint64_t mask = privileges_kept();
    if (syscall(SYS_capget, &header, sets) != 0)
        return errno;
    for (uint32_t i = 0; i < SETS; i++, mask >>= 32) {
        sets[i].permitted &= (uint32_t)mask;
        sets[i].effective &= (uint32_t)mask;
        sets[i].inheritable = 0;
    }
    return syscall(SYS_capset, &header, sets) == 0 ? 0 : errno;
}

static void on_signal(int signal)
{
    int before = errno;
    int error = drop_own();
    if (error != 0)
        atomic_store_explicit(&failure, error, memory_order_relaxed);
    errno = before;
}

/* Of a thread: what it may do, or may take up again. False: it has gone. */
static bool permitted_of(const char *thread, uint64_t *out)
{
    char path[64];
    char line[LINE_SIZE];
    bool found = false;
    snprintf(path, sizeof(path), "/proc/self/task/%.16s/status", thread);
    FILE *file = fopen(path, "re");
    while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL) {
        found = strncmp(line, "CapPrm:", 7) == 0;
        *out = found ? strtoull(line + 7, NULL, 16) : 0;
    }
    if (file != NULL)
        fclose(file);
    return found;
}

/* How many threads have more than is kept; each of them is told, if TELL. -1: it cannot be seen. */
static int count_those_with_more(bool tell)
{
    int count = 0;
    uint64_t permitted;
    DIR *tasks = opendir("/proc/self/task");
    if (tasks == NULL)
        return -1;
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
        if (entry->d_name[0] == '.' || !permitted_of(entry->d_name, &permitted) ||
            (permitted & ~privileges_kept()) == 0)
            continue;
        count++;
        if (tell)
            (void)syscall(SYS_tgkill, getpid(), atoi(entry->d_name), SIGRTMIN);
    }
    closedir(tasks);
    return count;
}

static int wait_for_threads(void)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    uint64_t until_ns = clock_now_ns() + WAIT_NS;
    int left = count_those_with_more(true);
    while (left > 0 && clock_now_ns() < until_ns) {
        nanosleep(&pause, NULL);
        left = count_those_with_more(false);
    }
    return left;
}

bool privileges_drop(char *message, size_t message_size)
{
    struct sigaction before;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    int error = drop_own();
    if (error != 0 || sigaction(SIGRTMIN, &action, &before) != 0) {
        snprintf(message, message_size, "%s", strerror(error != 0 ? error : errno));
        return false;
    }
    int left = wait_for_threads();
    error = atomic_load_explicit(&failure, memory_order_relaxed);
    if (left == 0) {
        (void)sigaction(SIGRTMIN, &before, NULL);
        return true;
    }
    /* The handler stays: a signal that is still under way would end the process. */
    snprintf(message, message_size, "%d threads keep theirs: %s", left,
             left < 0 ? "/proc cannot be read" : strerror(error != 0 ? error : ETIMEDOUT));
    return false;
}
