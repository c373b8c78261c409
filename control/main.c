/*
 * weir: reads its arguments, checks the configuration, becomes the daemon.
 */
#include "control/certificates.h"
#include "control/config_report.h"
#include "control/daemon.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: weir --config FILE [--check] [--running]\n"
    "\n"
    "  --config FILE  the configuration (docs/configuration.md)\n"
    "  --check        check the configuration, say everything that is wrong, and exit\n"
    "  --running      start with what was applied last (state_dir/running.json)\n"
    "  --version      print the version\n"
    "  --help         print this\n";

struct arguments {
    const char *config;
    bool check;
    bool running;
};

/* Exit status to end with, or -1 to go on. */
static int read_arguments(int count, char **values, struct arguments *out)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"check", no_argument, NULL, 'n'},
        {"running", no_argument, NULL, 'r'},      {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(count, values, "c:nrvh", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            out->config = optarg;
            break;
        case 'n':
            out->check = true;
            break;
        case 'r':
            out->running = true;
            break;
        case 'v':
            printf("weir %s\n", WEIR_VERSION);
            return 0;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    if (out->config != NULL && optind == count)
        return -1;
    fputs(usage, stderr);
    return 2;
}

int main(int count, char **values)
{
    struct arguments arguments = {0};
    int status = read_arguments(count, values, &arguments);
    if (status >= 0)
        return status;
    if (!certificates_init()) {
        fputs("weir: the memory of the TLS library cannot be bounded\n", stderr);
        return 1;
    }
    if (arguments.check)
        return config_report(arguments.config);
    struct config *config = config_load(arguments.config, arguments.running);
    if (config == NULL)
        return 1;
    struct daemon_options options = {.config = config, .config_path = arguments.config};
    return daemon_run(&options);
}
