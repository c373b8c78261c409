#include "control/steer.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/if_link.h>
#include <net/if.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "control/steer_host.h"
#include "control/steer_table.h"
#include "control/steer_wanted.h"
#include "dataplane/base/check.h"

/* Refused starts leave a connection each in the holder's backlog, which nobody accepts. */
#define LOCK_BACKLOG 64
/* More maps than any version of our program has. */
#define PROGRAM_MAPS_MAX 16

struct steer {
    char interface_name[IF_NAMESIZE];
    unsigned interface_index;
    int lock_fd;           /* the bound socket; holds the interface for this process */
    int program_fd;        /* the attached program, -1 if none */
    uint32_t attach_flags; /* XDP_FLAGS_*_MODE the driver attached it with */
    int counters_fd;
    struct steer_table listeners;
    struct steer_table addresses;
    struct steer_table denied;
};

/* One program attached to an interface; hardware, driver and generic mode are separate places. */
struct attached {
    uint32_t program_id;
    uint32_t mode_flag;
    const char *detach_keyword; /* of ip link set dev ... */
};

/* ---- One live Weir per interface ---- */

/* Abstract names live in the network namespace, as interface indices do, and die with the process.
 */
static socklen_t lock_name(struct sockaddr_un *name, unsigned interface_index)
{
    int length;

    *name = (struct sockaddr_un){.sun_family = AF_UNIX};
    length =
        snprintf(name->sun_path + 1, sizeof(name->sun_path) - 1, "weir-steer/%u", interface_index);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

/* The process that holds the lock, 0 if that cannot be told. */
static pid_t lock_holder(const struct sockaddr_un *name, socklen_t length)
{
    struct ucred holder = {0};
    socklen_t size = sizeof(holder);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return 0;
    if (connect(fd, (const struct sockaddr *)name, length) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &holder, &size) != 0)
        holder.pid = 0;
    close(fd);
    return holder.pid;
}

static int take_lock(struct steer *steer, char *message, size_t size)
{
    struct sockaddr_un name;
    socklen_t length = lock_name(&name, steer->interface_index);
    int error;

    steer->lock_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (steer->lock_fd < 0)
        return steer_fail(errno, message, size, "cannot make the lock socket: %s", strerror(errno));
    if (bind(steer->lock_fd, (struct sockaddr *)&name, length) == 0 &&
        listen(steer->lock_fd, LOCK_BACKLOG) == 0)
        return 0;
    error = errno;
    if (error != EADDRINUSE)
        return steer_fail(error, message, size, "cannot lock interface %s: %s",
                          steer->interface_name, strerror(error));
    return steer_fail(
        EBUSY, message, size,
        "interface %s is in use by another Weir (process %d); stop it first, or give this "
        "one another interface",
        steer->interface_name, (int)lock_holder(&name, length));
}

/* ---- Attached programs ---- */

/* Lists what is attached; returns how many, at most 3, or a negative errno. */
static int list_attached(const struct steer *steer, struct attached found[3])
{
    LIBBPF_OPTS(bpf_xdp_query_opts, query);
    int error = bpf_xdp_query((int)steer->interface_index, 0, &query);
    int count = 0;

    if (error)
        return error;
    if (query.drv_prog_id)
        found[count++] = (struct attached){query.drv_prog_id, XDP_FLAGS_DRV_MODE, "xdpdrv"};
    if (query.skb_prog_id)
        found[count++] = (struct attached){query.skb_prog_id, XDP_FLAGS_SKB_MODE, "xdpgeneric"};
    if (query.hw_prog_id)
        found[count++] = (struct attached){query.hw_prog_id, XDP_FLAGS_HW_MODE, "xdpoffload"};
    return count;
}

/* A descriptor of program ID and its INFO, or a negative errno with MESSAGE. */
static int open_program(const struct steer *steer, uint32_t id, struct bpf_prog_info *info,
                        char *message, size_t size)
{
    uint32_t info_size = sizeof(*info);
    int fd = bpf_prog_get_fd_by_id(id);
    int error;

    if (fd < 0)
        return steer_fail(
            -fd, message, size,
            "cannot look at XDP program %u on interface %s: %s (CAP_SYS_ADMIN is needed)", id,
            steer->interface_name, strerror(-fd));
    error = bpf_obj_get_info_by_fd(fd, info, &info_size);
    if (!error)
        return fd;
    close(fd);
    return steer_fail(-error, message, size, "cannot read about XDP program %u on interface %s: %s",
                      id, steer->interface_name, strerror(-error));
}

static bool is_ours(const struct bpf_prog_info *info)
{
    return strncmp(info->name, STEER_PROGRAM_PREFIX, strlen(STEER_PROGRAM_PREFIX)) == 0;
}

/* Detaches the program FD if it is still the attached one. */
static int detach_program(const struct steer *steer, int fd, uint32_t mode_flag)
{
    LIBBPF_OPTS(bpf_xdp_attach_opts, expected, .old_prog_fd = fd);

    return bpf_xdp_detach((int)steer->interface_index, mode_flag, &expected);
}

/* Detaches FOUND if it is ours, which then nobody uses since we hold the lock. */
static int clear_attached(const struct steer *steer, const struct attached *found, char *message,
                          size_t size)
{
    struct bpf_prog_info info = {0};
    int fd = open_program(steer, found->program_id, &info, message, size);
    int error = 0;

    if (fd < 0)
        return fd;
    if (!is_ours(&info))
        error = steer_fail(
            EBUSY, message, size,
            "interface %s already has the XDP program '%s' (id %u), which is not Weir's; "
            "remove it with 'ip link set dev %s %s off' if nobody needs it",
            steer->interface_name, info.name, found->program_id, steer->interface_name,
            found->detach_keyword);
    else if ((error = detach_program(steer, fd, found->mode_flag)) != 0)
        steer_fail(-error, message, size,
                   "cannot detach the XDP program '%s' (id %u) left on interface %s: %s", info.name,
                   found->program_id, steer->interface_name, strerror(-error));
    else
        snprintf(message, size,
                 "detached the XDP program '%s' (id %u) that a killed process left on interface %s",
                 info.name, found->program_id, steer->interface_name);
    close(fd);
    return error;
}

static int clear_interface(const struct steer *steer, char *message, size_t size)
{
    struct attached found[3];
    int count = list_attached(steer, found);

    if (count < 0)
        return steer_fail(-count, message, size, "cannot ask for XDP programs on interface %s: %s",
                          steer->interface_name, strerror(-count));
    for (int i = 0; i < count; i++) {
        int error = clear_attached(steer, &found[i], message, size);

        if (error)
            return error;
    }
    return 0;
}

struct steer *steer_prepare(const char *interface_name, char *message, size_t size)
{
    struct steer *steer = calloc(1, sizeof(*steer));

    snprintf(message, size, "%s", "");
    if (!steer) {
        steer_fail(ENOMEM, message, size, "out of memory");
        return NULL;
    }
    snprintf(steer->interface_name, sizeof(steer->interface_name), "%s", interface_name);
    steer->lock_fd = steer->program_fd = steer->counters_fd = -1;
    steer->listeners.fd = steer->addresses.fd = steer->denied.fd = -1;
    steer->interface_index = if_nametoindex(interface_name);
    if (steer->interface_index == 0)
        steer_fail(ENODEV, message, size, "there is no interface '%s'", interface_name);
    else if (take_lock(steer, message, size) == 0 && clear_interface(steer, message, size) == 0)
        return steer;
    steer_close(steer);
    return NULL;
}

/* ---- The maps ---- */

/* Gives the map FD, described by INFO, its place in STEER, or closes it. */
static int adopt_map(struct steer *steer, int fd, const struct bpf_map_info *info)
{
    static const struct {
        const char *name;
        uint32_t type;
        uint32_t key_size;
        size_t table;
    } tables[] = {
        {STEER_MAP_LISTENERS, BPF_MAP_TYPE_HASH, sizeof(struct steer_listener),
         offsetof(struct steer, listeners)},
        {STEER_MAP_ADDRESSES, BPF_MAP_TYPE_HASH, sizeof(struct steer_address),
         offsetof(struct steer, addresses)},
        {STEER_MAP_DENIED, BPF_MAP_TYPE_LPM_TRIE, sizeof(struct steer_prefix),
         offsetof(struct steer, denied)},
    };

    for (size_t i = 0; i < array_count(tables); i++) {
        struct steer_table *table = (void *)((char *)steer + tables[i].table);

        if (strcmp(info->name, tables[i].name) == 0 && info->type == tables[i].type &&
            info->key_size == tables[i].key_size && info->value_size == sizeof(uint32_t) &&
            table->fd < 0)
            return steer_table_open(table, fd, info->key_size);
    }
    if (strcmp(info->name, STEER_MAP_COUNTERS) == 0 && info->type == BPF_MAP_TYPE_PERCPU_ARRAY &&
        info->max_entries == STEER_COUNTERS && steer->counters_fd < 0)
        steer->counters_fd = fd;
    else
        close(fd);
    return 0;
}

static int open_map(struct steer *steer, uint32_t id)
{
    struct bpf_map_info info = {0};
    uint32_t info_size = sizeof(info);
    int fd = bpf_map_get_fd_by_id(id);
    int error;

    if (fd < 0)
        return fd;
    error = bpf_obj_get_info_by_fd(fd, &info, &info_size);
    if (!error)
        return adopt_map(steer, fd, &info);
    close(fd);
    return error;
}

static int open_maps(struct steer *steer, char *message, size_t size)
{
    uint32_t ids[PROGRAM_MAPS_MAX] = {0};
    struct bpf_prog_info info = {.nr_map_ids = PROGRAM_MAPS_MAX, .map_ids = (uintptr_t)ids};
    uint32_t info_size = sizeof(info);
    int error = bpf_obj_get_info_by_fd(steer->program_fd, &info, &info_size);

    for (uint32_t i = 0; !error && i < info.nr_map_ids && i < PROGRAM_MAPS_MAX; i++)
        error = open_map(steer, ids[i]);
    if (error)
        return steer_fail(-error, message, size,
                          "cannot open the maps of the XDP program on interface %s: %s",
                          steer->interface_name, strerror(-error));
    if (steer->listeners.fd < 0 || steer->addresses.fd < 0 || steer->denied.fd < 0 ||
        steer->counters_fd < 0)
        return steer_fail(
            EPROTO, message, size,
            "the XDP program on interface %s lacks maps of the expected layout; the object "
            "file is of another build",
            steer->interface_name);
    return 0;
}

/* Forgets the program and its maps; does not detach. */
static void drop_program(struct steer *steer)
{
    steer_table_close(&steer->listeners);
    steer_table_close(&steer->addresses);
    steer_table_close(&steer->denied);
    if (steer->counters_fd >= 0)
        close(steer->counters_fd);
    if (steer->program_fd >= 0)
        close(steer->program_fd);
    steer->counters_fd = steer->program_fd = -1;
}

int steer_attach(struct steer *steer, char *message, size_t size)
{
    struct bpf_prog_info info = {0};
    struct attached found[3];
    int count = list_attached(steer, found);
    int error;

    snprintf(message, size, "%s", "");
    check(steer->program_fd < 0);
    if (count < 0)
        return steer_fail(-count, message, size, "cannot ask for XDP programs on interface %s: %s",
                          steer->interface_name, strerror(-count));
    if (count == 0)
        return steer_fail(ENOENT, message, size,
                          "the driver attached no XDP program to interface %s; was xdp_prog given?",
                          steer->interface_name);
    steer->program_fd = open_program(steer, found[0].program_id, &info, message, size);
    if (steer->program_fd < 0)
        return steer->program_fd;
    steer->attach_flags = found[0].mode_flag;
    if (count > 1 || strcmp(info.name, STEER_PROGRAM_NAME) != 0)
        error = steer_fail(
            EPROTO, message, size, "interface %s has the XDP program '%s' (id %u) instead of '%s'",
            steer->interface_name, info.name, found[0].program_id, STEER_PROGRAM_NAME);
    else
        error = open_maps(steer, message, size);
    if (error)
        drop_program(steer);
    return error;
}

static int change_small_maps(struct steer *steer, struct steer_wanted *wanted)
{
    int error = steer_table_add(&steer->addresses, &wanted->addresses);

    if (!error)
        error = steer_table_add(&steer->listeners, &wanted->listeners);
    if (!error)
        error = steer_table_remove(&steer->listeners, &wanted->listeners);
    if (!error)
        error = steer_table_remove(&steer->addresses, &wanted->addresses);
    if (error) {
        steer_table_reload(&steer->listeners);
        steer_table_reload(&steer->addresses);
    }
    return error;
}

/* New before old; with AT_ONCE the deny list is complete before anything opens. */
static int change_maps(struct steer *steer, struct steer_wanted *wanted, bool at_once)
{
    int error = 0;

    steer_table_begin(&steer->denied, &wanted->denied);
    if (at_once)
        error = steer_table_continue(&steer->denied, SIZE_MAX);
    return error ? error : change_small_maps(steer, wanted);
}

static int map_failure(const struct steer *steer, int error, char *message, size_t size)
{
    return steer_fail(-error, message, size, "cannot change the steering maps of interface %s: %s",
                      steer->interface_name, strerror(-error));
}

static int set(struct steer *steer, const struct steer_rules *rules, bool at_once, char *message,
               size_t size)
{
    struct steer_wanted wanted;
    int error;

    snprintf(message, size, "%s", "");
    check(steer->program_fd >= 0);
    error = steer_wanted_make(&wanted, rules, message, size);
    if (error)
        return error;
    error = steer_host_refuse(&wanted.addresses, message, size);
    if (!error) {
        error = change_maps(steer, &wanted, at_once);
        if (error)
            map_failure(steer, error, message, size);
    }
    steer_wanted_free(&wanted);
    return error;
}

int steer_set(struct steer *steer, const struct steer_rules *rules, char *message, size_t size)
{
    return set(steer, rules, true, message, size);
}

int steer_begin(struct steer *steer, const struct steer_rules *rules, char *message, size_t size)
{
    return set(steer, rules, false, message, size);
}

int steer_continue(struct steer *steer, size_t budget, char *message, size_t size)
{
    int result = steer_table_continue(&steer->denied, budget);

    snprintf(message, size, "%s", "");
    return result < 0 ? map_failure(steer, result, message, size) : result;
}

/* ---- Counters, end ---- */

int steer_counters(struct steer *steer, uint64_t values[STEER_COUNTERS], char *message, size_t size)
{
    int cpus = libbpf_num_possible_cpus();
    uint64_t *of_cpu = cpus > 0 ? calloc((size_t)cpus, sizeof(*of_cpu)) : NULL;

    snprintf(message, size, "%s", "");
    check(steer->program_fd >= 0);
    if (!of_cpu)
        return steer_fail(ENOMEM, message, size, "no memory for the counters of %d CPUs", cpus);
    for (uint32_t counter = 0; counter < STEER_COUNTERS; counter++) {
        int error = bpf_map_lookup_elem(steer->counters_fd, &counter, of_cpu);

        if (error) {
            free(of_cpu);
            return steer_fail(-error, message, size, "cannot read the counters of interface %s: %s",
                              steer->interface_name, strerror(-error));
        }
        values[counter] = 0;
        for (int cpu = 0; cpu < cpus; cpu++)
            values[counter] += of_cpu[cpu];
    }
    free(of_cpu);
    return 0;
}

int steer_detach(struct steer *steer, char *message, size_t size)
{
    int error;

    snprintf(message, size, "%s", "");
    if (steer->program_fd < 0)
        return 0;
    error = detach_program(steer, steer->program_fd, steer->attach_flags);
    drop_program(steer);
    /* The kernel says EEXIST when another program has taken the place. */
    if (error == -EEXIST)
        return steer_fail(EBUSY, message, size,
                          "interface %s has another XDP program now; it was left attached",
                          steer->interface_name);
    if (error)
        return steer_fail(-error, message, size,
                          "cannot detach the XDP program from interface %s: %s",
                          steer->interface_name, strerror(-error));
    return 0;
}

void steer_close(struct steer *steer)
{
    char message[256];

    if (!steer)
        return;
    steer_detach(steer, message, sizeof(message));
    if (steer->lock_fd >= 0)
        close(steer->lock_fd);
    free(steer);
}
