#include "control/steer_host.h"

#include <dirent.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <net/if.h>

#include "control/steer.h"
#include "dataplane/base/check.h"

/* Where meson installs the object; its place in the build tree, seen from an executable of it. */
static const char installed_object[] = STEER_INSTALLED_OBJECT;
static const char *const built_objects[] = {"../dataplane/xdp/steer.bpf.o",
                                            "../../dataplane/xdp/steer.bpf.o",
                                            "../../../dataplane/xdp/steer.bpf.o"};

static const struct {
    const char *name;
    const char *text;
} counters[STEER_COUNTERS] = {
#define COUNTER(name, unit, text) {#name, text},
#include "dataplane/xdp/steer_counters.def"
#undef COUNTER
};

int steer_fail(int error, char *message, size_t size, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, size, format, arguments);
    va_end(arguments);
    return -error;
}

const char *steer_counter_name(enum steer_counter counter)
{
    check(counter < STEER_COUNTERS);
    return counters[counter].name;
}

const char *steer_counter_text(enum steer_counter counter)
{
    check(counter < STEER_COUNTERS);
    return counters[counter].text;
}

/* False if the interface has no IP address in this entry. */
static bool address_of(const struct ifaddrs *interface, struct ip_address *address)
{
    if (!interface->ifa_addr)
        return false;
    if (interface->ifa_addr->sa_family == AF_INET) {
        const struct sockaddr_in *ipv4 = (const void *)interface->ifa_addr;

        *address = ip_address_from_v4(ipv4->sin_addr.s_addr);
        return true;
    }
    if (interface->ifa_addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *ipv6 = (const void *)interface->ifa_addr;

        *address = ip_address_from_v6(&ipv6->sin6_addr);
        return true;
    }
    return false;
}

static int refuse_interface(const struct ifaddrs *interface, const struct steer_entries *addresses,
                            char *message, size_t size)
{
    struct ip_address address;
    char text[INET6_ADDRSTRLEN] = "";

    if ((interface->ifa_flags & IFF_LOOPBACK) || !address_of(interface, &address) ||
        !steer_entries_have(addresses, &address, sizeof(address)))
        return 0;
    ip_address_format(&address, text);
    snprintf(message, size,
             "address %s is assigned to interface %s of this host; Weir needs addresses of its "
             "own: choose another, or remove it with 'ip address del %s dev %s'",
             text, interface->ifa_name, text, interface->ifa_name);
    return -EADDRINUSE;
}

int steer_host_refuse(const struct steer_entries *addresses, char *message, size_t size)
{
    struct ifaddrs *list;
    int error = 0;

    if (getifaddrs(&list) != 0) {
        error = -errno;
        snprintf(message, size, "cannot list the host's addresses: %s", strerror(-error));
        return error;
    }
    for (struct ifaddrs *interface = list; interface && !error; interface = interface->ifa_next)
        error = refuse_interface(interface, addresses, message, size);
    freeifaddrs(list);
    return error;
}

/* The directory this executable is in, without a slash at its end; false if unknown. */
static bool executable_directory(char *path, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", path, size - 1);
    char *slash;

    if (length <= 0)
        return false;
    path[length] = 0;
    slash = strrchr(path, '/');
    if (!slash)
        return false;
    *slash = 0;
    return true;
}

int steer_object_path(char *path, size_t size)
{
    char directory[PATH_MAX];

    if (executable_directory(directory, sizeof(directory))) {
        for (size_t i = 0; i < array_count(built_objects); i++) {
            int length = snprintf(path, size, "%s/%s", directory, built_objects[i]);

            if ((size_t)length < size && access(path, R_OK) == 0)
                return 0;
        }
    }
    if ((size_t)snprintf(path, size, "%s", installed_object) < size && access(path, R_OK) == 0)
        return 0;
    return -ENOENT;
}

/* Counts FD if it is an AF_XDP socket. */
static void count_socket(int fd, unsigned *sockets, unsigned *polled)
{
    int domain = 0, preferred = 0;
    socklen_t size = sizeof(int);

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 || domain != AF_XDP)
        return;
    (*sockets)++;
    size = sizeof(int);
    /* The driver sets the budget last and takes the preference back if any step was refused. */
    if (getsockopt(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &preferred, &size) == 0 && preferred)
        (*polled)++;
}

int steer_busy_poll(unsigned *sockets, unsigned *polled)
{
    DIR *directory = opendir("/proc/self/fd");
    struct dirent *entry;

    *sockets = *polled = 0;
    if (!directory)
        return -errno;
    while ((entry = readdir(directory)) != NULL)
        if (entry->d_name[0] != '.')
            count_socket(atoi(entry->d_name), sockets, polled);
    closedir(directory);
    return 0;
}
