#include "control/eal_start.h"

#include "dataplane/base/memory.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGUMENTS_MAX  64
#define ARGUMENT_BYTES 2048
#define MEBIBYTE       ((uint64_t)1024 * 1024)

/* Arguments under construction; the EAL keeps pointers into it. */
struct arguments {
    int count;
    char *values[ARGUMENTS_MAX];
    char text[ARGUMENTS_MAX][ARGUMENT_BYTES];
};

static void add(struct arguments *arguments, const char *value)
{
    if (arguments->count == ARGUMENTS_MAX)
        return;
    char *text = arguments->text[arguments->count];
    snprintf(text, ARGUMENT_BYTES, "%s", value);
    arguments->values[arguments->count++] = text;
}

/* Whether the configuration gives the option itself: "--lcores" or "--lcores=...". */
static bool given(const struct config *config, const char *option)
{
    size_t length = strlen(option);
    for (uint32_t i = 0; i < config->eal_count; i++)
        if (strncmp(config->eal[i], option, length) == 0 &&
            (config->eal[i][length] == '\0' || config->eal[i][length] == '='))
            return true;
    return false;
}

/* Free hugepages of the default size, in bytes. */
static uint64_t free_hugepage_bytes(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    char line[128];
    uint64_t pages = 0;
    uint64_t kibibytes = 0;
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        sscanf(line, "HugePages_Free: %lu", &pages);
        sscanf(line, "Hugepagesize: %lu kB", &kibibytes);
    }
    fclose(file);
    return pages * kibibytes * 1024;
}

/*
 * The main lcore (0) may run anywhere, it sleeps most of the time. Worker i is lcore i + 1 on CPU
 * i + 1, or, with fewer CPUs than that, on CPU i modulo their number.
 */
static void add_lcores(struct arguments *arguments, uint32_t workers)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    char text[ARGUMENT_BYTES];
    int length = cpus > 1 ? snprintf(text, sizeof(text), "0@(0-%ld)", cpus - 1)
                          : snprintf(text, sizeof(text), "0@0");
    for (uint32_t i = 0; i < workers && length < (int)sizeof(text); i++) {
        long cpu = workers < cpus ? (long)i + 1 : (long)i % cpus;
        length += snprintf(text + length, sizeof(text) - (size_t)length, ",%u@%ld", i + 1, cpu);
    }
    add(arguments, "--lcores");
    add(arguments, text);
}

static void add_memory(struct arguments *arguments, const struct config *config,
                       uint64_t memory_bytes)
{
    char text[32];
    bool huge = !given(config, "--no-huge") && free_hugepage_bytes() > memory_bytes;
    if (huge && !given(config, "--in-memory"))
        add(arguments, "--in-memory");
    if (huge || given(config, "-m"))
        return;
    if (!given(config, "--no-huge"))
        add(arguments, "--no-huge");
    if (!given(config, "--no-shconf"))
        add(arguments, "--no-shconf");
    snprintf(text, sizeof(text), "%lu", memory_bytes / MEBIBYTE + 64);
    add(arguments, "-m");
    add(arguments, text);
}

static bool any_pci_port(const struct config *config)
{
    for (uint32_t i = 0; i < config->port_count; i++)
        if (strncmp(config->ports[i].device, "net_", 4) != 0 &&
            strncmp(config->ports[i].device, "eth_", 4) != 0)
            return true;
    return false;
}

static void build(struct arguments *arguments, const struct config *config, uint64_t memory_bytes)
{
    add(arguments, "weir");
    if (!given(config, "--lcores") && !given(config, "-l") && !given(config, "-c"))
        add_lcores(arguments, config->workers);
    add_memory(arguments, config, memory_bytes);
    if (!given(config, "--no-pci") && !any_pci_port(config))
        add(arguments, "--no-pci");
    if (!given(config, "--no-telemetry"))
        add(arguments, "--no-telemetry");
    if (!given(config, "--log-level"))
        add(arguments, "--log-level=lib.eal:warning");
    for (uint32_t i = 0; i < config->eal_count; i++)
        add(arguments, config->eal[i]);
}

int eal_start(const struct config *config, uint64_t memory_bytes, char *message,
              size_t message_size)
{
    static struct arguments arguments;
    build(&arguments, config, memory_bytes);
    if (rte_eal_init(arguments.count, arguments.values) < 0) {
        snprintf(message, message_size, "eal: DPDK did not start: %s", rte_strerror(rte_errno));
        return -1;
    }
    if (rte_lcore_count() < config->workers + 1) {
        snprintf(message, message_size,
                 "eal: %u lcores are not enough for %u workers and the control thread",
                 rte_lcore_count(), config->workers);
        return -1;
    }
    memory_use(MEMORY_HUGEPAGES);
    return 0;
}

unsigned eal_worker_lcore(uint32_t index)
{
    unsigned lcore;
    RTE_LCORE_FOREACH_WORKER(lcore)
    {
        if (index-- == 0)
            return lcore;
    }
    return RTE_MAX_LCORE;
}

int eal_uses_hugepages(void)
{
    return rte_eal_has_hugepages();
}
