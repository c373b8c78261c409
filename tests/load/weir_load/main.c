/*
 * weir-load: clients and an origin for Weir, on its own data plane. See --help and load.h.
 */
#include "tests/load/weir_load/load.h"

#include <rte_eal.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EAL_ARGUMENTS_MAX 64

enum exit_status {
    EXIT_WELL = 0,
    EXIT_NOT_WELL = 1,
    EXIT_OPTIONS = 2,
    EXIT_START = 3,
};

static volatile int stop;
static struct load load;

static void on_signal(int number)
{
    stop = 1;
}

static int eal(const struct load_options *options, int count, char **more)
{
    static char memory[32];
    static char lcores[32];
    snprintf(memory, sizeof(memory), "%lu",
             options->memory_mib > 0 ? options->memory_mib : host_memory_mib(options));
    snprintf(lcores, sizeof(lcores), "0@%lu", options->cpu);
    const char *arguments[EAL_ARGUMENTS_MAX] = {"weir-load", "--no-pci", "--no-telemetry",
                                                "--lcores",  lcores,     "--log-level=error"};
    int used = 6;
    if (options->huge) {
        arguments[used++] = "--in-memory";
    } else {
        arguments[used++] = "--no-huge";
        arguments[used++] = "--no-shconf";
        arguments[used++] = "-m";
        arguments[used++] = memory;
    }
    for (int i = 0; i < count && used < EAL_ARGUMENTS_MAX - 1; i++)
        arguments[used++] = more[i];
    return rte_eal_init(used, (char **)(uintptr_t)arguments); /* it only reads them */
}

static bool write_json(const char *path)
{
    FILE *out = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
    if (out == NULL) {
        perror(path);
        return false;
    }
    report_json(&load, out);
    return out == stdout ? fflush(out) == 0 : fclose(out) == 0;
}

static int report(void)
{
    const char *json = load.options.json;
    if (json[0] != '\0' && !write_json(json))
        return EXIT_NOT_WELL;
    if (strcmp(json, "-") != 0)
        report_print(&load, stdout);
    return report_is_well(&load) ? EXIT_WELL : EXIT_NOT_WELL;
}

static int start(int eal_count, char **eal_arguments)
{
    char message[512] = "not enough memory: --memory";
    if (eal(&load.options, eal_count, eal_arguments) < 0) {
        fprintf(stderr, "weir-load: DPDK does not start\n");
        return EXIT_START;
    }
    load.flood.load = &load;
    if (host_open(&load.host, &load.options, message, sizeof(message)) && bodies_init() &&
        client_init(&load.client, &load) && origin_init(&load.origin, &load))
        return EXIT_WELL;
    fprintf(stderr, "weir-load: %s\n", message);
    return EXIT_START;
}

int main(int count, char **arguments)
{
    int own = 1;
    char message[512];
    while (own < count && strcmp(arguments[own], "--") != 0)
        own++;
    switch (load_options_parse(&load.options, own - 1, arguments + 1, message, sizeof(message))) {
    case LOAD_PARSED:
        break;
    case LOAD_PARSED_HELP:
        load_options_help(stdout);
        return EXIT_WELL;
    case LOAD_PARSED_BAD:
        fprintf(stderr, "weir-load: %s\n", message);
        return EXIT_OPTIONS;
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    int status = start(own < count ? count - own - 1 : 0, arguments + own + 1);
    if (status != EXIT_WELL)
        return status;
    load_run(&load, &stop);
    status = report();
    fflush(NULL);
    host_close(&load.host);
    return status;
}
