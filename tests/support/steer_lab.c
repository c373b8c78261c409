#include "tests/support/steer_lab.h"

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_link.h>
#include <linux/if_xdp.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "tests/support/cmocka.h"

#define UMEM_BYTES   (64 * 4096)
#define RING_ENTRIES 64

static struct bpf_object *object;
static int program_fd = -1;
static int socket_fd = -1;
static void *umem;

static int interface_index(void)
{
    return (int)if_nametoindex(STEER_LAB_INTERFACE);
}

static bool load(void)
{
    const char *build = getenv("WEIR_BUILD_ROOT");
    char path[4096];

    snprintf(path, sizeof(path), "%s/dataplane/xdp/steer.bpf.o", build ? build : ".");
    object = bpf_object__open_file(path, NULL);
    if (!object || bpf_object__load(object) != 0)
        return false;
    program_fd = bpf_program__fd(bpf_object__next_program(object, NULL));
    return program_fd >= 0;
}

static bool bring_up(void)
{
    struct ifreq request = {.ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool up;

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", STEER_LAB_INTERFACE);
    up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    if (fd >= 0)
        close(fd);
    return up;
}

bool steer_lab_open(const char **why)
{
    *why = "a network namespace cannot be made (root is needed)";
    if (unshare(CLONE_NEWNET) != 0 || !bring_up())
        return false;
    *why = "the XDP program cannot be loaded (root, or CAP_BPF and CAP_NET_ADMIN, is needed)";
    /* Once permission is there, a program that does not load is a failure, not a skip. */
    if (bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "probe", 8, 4, 1,
                       &(struct bpf_map_create_opts){.sz = sizeof(struct bpf_map_create_opts),
                                                     .map_flags = BPF_F_NO_PREALLOC}) < 0)
        return false;
    if (!load()) {
        fprintf(stderr, "the XDP program was refused: %s\n", strerror(errno));
        exit(1);
    }
    return true;
}

void steer_lab_close(void)
{
    steer_lab_close_socket();
    bpf_object__close(object);
    object = NULL;
}

void steer_lab_reload(void)
{
    bpf_object__close(object);
    assert_true(load());
}

void steer_lab_attach(void)
{
    assert_int_equal(
        bpf_xdp_attach(interface_index(), program_fd, XDP_FLAGS_UPDATE_IF_NOEXIST, NULL), 0);
}

void steer_lab_attach_foreign(void)
{
    /* r0 = XDP_PASS; exit */
    static const struct bpf_insn instructions[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_PASS},
        {.code = BPF_JMP | BPF_EXIT},
    };
    int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "somebody", "GPL", instructions, 2, NULL);

    assert_true(fd >= 0);
    assert_int_equal(bpf_xdp_attach(interface_index(), fd, 0, NULL), 0);
    close(fd);
}

void steer_lab_detach(void)
{
    assert_int_equal(bpf_xdp_detach(interface_index(), 0, NULL), 0);
}

const char *steer_lab_attached(void)
{
    static char name[BPF_OBJ_NAME_LEN];
    struct bpf_prog_info info = {0};
    uint32_t size = sizeof(info), id = 0;
    int fd;

    assert_int_equal(bpf_xdp_query_id(interface_index(), 0, &id), 0);
    if (id == 0)
        return "";
    fd = bpf_prog_get_fd_by_id(id);
    assert_true(fd >= 0);
    assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
    close(fd);
    memcpy(name, info.name, sizeof(name));
    return name;
}

static bool set_ring(int option)
{
    int entries = RING_ENTRIES;

    return setsockopt(socket_fd, SOL_XDP, option, &entries, sizeof(entries)) == 0;
}

static bool bind_socket(void)
{
    struct xdp_umem_reg registration = {
        .addr = (uintptr_t)umem, .len = UMEM_BYTES, .chunk_size = 4096};
    struct sockaddr_xdp address = {
        .sxdp_family = AF_XDP, .sxdp_flags = XDP_COPY, .sxdp_ifindex = (uint32_t)interface_index()};

    if (setsockopt(socket_fd, SOL_XDP, XDP_UMEM_REG, &registration, sizeof(registration)) != 0)
        return false;
    return set_ring(XDP_UMEM_FILL_RING) && set_ring(XDP_UMEM_COMPLETION_RING) &&
           set_ring(XDP_RX_RING) &&
           bind(socket_fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

bool steer_lab_open_socket(void)
{
    int map_fd = bpf_object__find_map_fd_by_name(object, "xsks_map");
    uint32_t queue = 0;

    umem = mmap(NULL, UMEM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(umem != MAP_FAILED);
    socket_fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
    return socket_fd >= 0 && bind_socket() &&
           bpf_map_update_elem(map_fd, &queue, &socket_fd, BPF_ANY) == 0;
}

bool steer_lab_poll_socket(void)
{
    int on = 1;

    return setsockopt(socket_fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &on, sizeof(on)) == 0;
}

void steer_lab_close_socket(void)
{
    if (socket_fd >= 0)
        close(socket_fd);
    socket_fd = -1;
    if (umem)
        munmap(umem, UMEM_BYTES);
    umem = NULL;
}

uint32_t steer_lab_run(const uint8_t *frame, size_t length)
{
    LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = (uint32_t)length,
                .repeat = 1);

    assert_int_equal(bpf_prog_test_run_opts(program_fd, &run), 0);
    return run.retval;
}

size_t steer_lab_entries(const char *map, struct steer_lab_entry *entries, size_t limit)
{
    int fd = bpf_object__find_map_fd_by_name(object, map);
    uint8_t key[sizeof(entries->key)] = {0};
    uint8_t *previous = NULL;
    size_t count = 0;

    assert_true(fd >= 0);
    while (bpf_map_get_next_key(fd, previous, key) == 0) {
        assert_true(count < limit);
        entries[count] = (struct steer_lab_entry){{0}, 0};
        memcpy(entries[count].key, key, sizeof(key));
        assert_int_equal(bpf_map_lookup_elem(fd, key, &entries[count].value), 0);
        count++;
        previous = key;
    }
    return count;
}
