/*
 * steer_tool INTERFACE: control/steer.h by hand, for tests in which another program drives the
 * AF_XDP port. Prepares the interface, then reads a command a line and answers each, the
 * preparation too, with one line: "ok", "ok TEXT" or "error ERRNO TEXT".
 *
 *     attach | vip ADDRESS PORT | local ADDRESS | deny PREFIX | clear | apply | counters | detach
 *
 * vip, local and deny collect rules, clear forgets them, apply makes them the program's. At the
 * end of the input it closes, and so detaches.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/steer.h"
#include "dataplane/base/check.h"

#define RULES_MAX      64
#define LINE_MAX_BYTES 256

static struct steer_vip vips[RULES_MAX];
static struct ip_address locals[RULES_MAX];
static struct ip_prefix denied[RULES_MAX];
static struct steer_rules rules = {vips, 0, locals, 0, denied, 0};

static void answer(int error, const char *text)
{
    if (error)
        printf("error %s %s\n", strerrorname_np(-error), text);
    else
        printf("ok%s%s\n", *text ? " " : "", text);
    fflush(stdout);
}

static int add_vip(const char *address, const char *port)
{
    struct steer_vip *vip = &vips[rules.vip_count];

    if (rules.vip_count == RULES_MAX || !address || !port ||
        !ip_address_parse(address, &vip->address))
        return -EINVAL;
    vip->port = (uint16_t)strtoul(port, NULL, 10);
    rules.vip_count++;
    return 0;
}

static int add_local(const char *address)
{
    if (rules.local_count == RULES_MAX || !address ||
        !ip_address_parse(address, &locals[rules.local_count]))
        return -EINVAL;
    rules.local_count++;
    return 0;
}

static int add_denied(const char *prefix)
{
    if (rules.denied_count == RULES_MAX || !prefix ||
        !ip_prefix_parse(prefix, &denied[rules.denied_count]))
        return -EINVAL;
    rules.denied_count++;
    return 0;
}

static int counters(struct steer *steer, char *message, size_t size)
{
    uint64_t values[STEER_COUNTERS];
    int error = steer_counters(steer, values, message, size);
    size_t length = 0;

    for (unsigned i = 0; !error && i < STEER_COUNTERS; i++)
        length += (size_t)snprintf(message + length, size - length, "%s%s=%llu", i ? " " : "",
                                   steer_counter_name(i), (unsigned long long)values[i]);
    return error;
}

static void clear(void)
{
    rules.vip_count = rules.local_count = rules.denied_count = 0;
}

static bool attached;

static void run(struct steer *steer, char *line)
{
    char message[512] = "";
    char *command = strtok(line, " \n"), *first = strtok(NULL, " \n"),
         *second = strtok(NULL, " \n");
    int error = 0;

    if (!command)
        return;
    if (strcmp(command, "attach") == 0)
        error = attached ? -EALREADY : steer_attach(steer, message, sizeof(message));
    else if (strcmp(command, "vip") == 0)
        error = add_vip(first, second);
    else if (strcmp(command, "local") == 0)
        error = add_local(first);
    else if (strcmp(command, "deny") == 0)
        error = add_denied(first);
    else if (strcmp(command, "clear") == 0)
        clear();
    else if (strcmp(command, "detach") == 0)
        error = steer_detach(steer, message, sizeof(message));
    else if (!attached)
        error = -ENOTCONN;
    else if (strcmp(command, "apply") == 0)
        error = steer_set(steer, &rules, message, sizeof(message));
    else if (strcmp(command, "counters") == 0)
        error = counters(steer, message, sizeof(message));
    else
        error = -ENOSYS;
    if (!error && strcmp(command, "attach") == 0)
        attached = true;
    if (strcmp(command, "detach") == 0)
        attached = false;
    answer(error, message);
}

int main(int argc, char **argv)
{
    char message[512], line[LINE_MAX_BYTES];
    struct steer *steer;

    if (argc != 2)
        return 2;
    steer = steer_prepare(argv[1], message, sizeof(message));
    answer(steer ? 0 : -EBUSY, message);
    if (!steer)
        return 1;
    while (fgets(line, sizeof(line), stdin))
        run(steer, line);
    steer_close(steer);
    return 0;
}
