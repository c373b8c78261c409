#include "control/weirctl/commands.h"

#include <string.h>

#define WORDS_MAX 64

const struct command commands[] = {
    {"status", .method = "status", .show = show_status, .help = "the process and its store"},
    {"port list", .method = "port.list", .show = show_ports,
     .help = "what ports offer and counted"},
    {"worker list", .method = "worker.list", .show = show_workers,
     .help = "how busy the workers are"},
    {"region list", .method = "region.list", .show = show_regions,
     .help = "the state of the regions"},
    {"region explain", ARGUMENT_TEXT, "NAME", "region", false, "region.explain", show_explanation,
     "why a region is as it is, what would change it, and when"},
    {"region drain", ARGUMENT_TEXT, "NAME", "region", true, "region.drain", show_done,
     "no new flights to a region; --ttl DURATION ends it by itself", .takes_despite = true,
     .takes_local = true},
    {"region undrain", ARGUMENT_TEXT, "NAME", "region", false, "region.undrain", show_done,
     "end a drain", .takes_local = true},
    {"region force-up", ARGUMENT_TEXT, "NAME", "region", true, "region.force_up", show_done,
     "full share for a region, whatever is found; --ttl 0s: for ever", .takes_local = true},
    {"region force-down", ARGUMENT_TEXT, "NAME", "region", true, "region.force_down", show_done,
     "no new flights to a region, whatever is found", .takes_despite = true, .takes_local = true},
    {"region unforce", ARGUMENT_TEXT, "NAME", "region", false, "region.unforce", show_done,
     "end a force", .takes_despite = true, .takes_local = true},
    {"region approve", ARGUMENT_TEXT, "NAME", "region", false, "region.approve", show_done,
     "do what is proposed for a region, also while rule S3 has frozen automation",
     .takes_despite = true, .takes_local = true},
    {"region reject", ARGUMENT_TEXT, "NAME", "region", false, "region.reject", show_done,
     "withdraw what is proposed for a region", .takes_local = true},
    {"automation off", .takes_ttl = true, .takes_local = true, .method = "region.freeze",
     .show = show_done, .help = "no region changes by itself; requests, probes and detours go on"},
    {"automation on", .takes_local = true, .method = "region.thaw", .show = show_done,
     .help = "regions change by themselves again, also after rule S3"},
    {"audit tail", .takes_local = true, .method = "audit.tail", .show = show_audit,
     .help = "changes and orders of all nodes; --local: what this node has seen, alarms too"},
    {"node remove", ARGUMENT_TEXT, "NODE", "node", false, "node.remove", show_applied,
     "take a node out of the roster; at every node"},
    {"node drain", .method = "node.drain", .show = show_done,
     .help = "no new connections to this node, GOAWAY to the others; it goes on running"},
    {"node undrain", .method = "node.undrain", .show = show_done, .help = "end that"},
    {"backend list", .method = "backend.list", .show = show_backends,
     .help = "health and load of backends"},
    {"flight list", .method = "flight.list", .show = show_flights, .help = "flights under way"},
    {"flight kill", ARGUMENT_TEXT, "ID", "id", false, "flight.kill", show_done,
     "end a flight: who waits gets 503 or a reset"},
    {"coalesce route", ARGUMENT_TEXT, "ROUTE", "route", false, "coalesce.route", show_applied,
     "change what a route coalesces: off, shadow, get, post-body", "MODE", "mode"},
    {"stats", ARGUMENT_OPTIONAL, "PREFIX", "prefix", false, "stats", show_stats,
     "counters, all or those of a layer: stats tcp."},
    {"log reopen", .method = "log.reopen", .show = show_done,
     .help = "open log files anew after they were renamed"},
    {"config validate", ARGUMENT_FILE, "FILE", "config", false, "config.validate", show_validation,
     "what is wrong with a configuration, what needs a restart"},
    {"config apply", ARGUMENT_FILE, "FILE", "config", false, "config.apply", show_applied,
     "replace the configuration at once"},
    {"config get", .method = "config.get", .show = show_config,
     .help = "the configuration that is applied"},
    {"certificate reload", .method = "certificate.reload", .show = show_applied,
     .help = "read certificates, their keys and ticket keys again"},
    {"help", .method = "help", .show = show_methods, .help = "the methods of the daemon"},
};

const uint32_t command_count = sizeof(commands) / sizeof(commands[0]);

const struct command *command_find(char **words, int count, int *out_used)
{
    for (uint32_t i = 0; i < command_count; i++) {
        char given[WORDS_MAX];
        int used = strchr(commands[i].words, ' ') != NULL ? 2 : 1;
        if (used > count)
            continue;
        snprintf(given, sizeof(given), used == 2 ? "%s %s" : "%s", words[0],
                 used == 2 ? words[1] : "");
        if (strcmp(given, commands[i].words) != 0)
            continue;
        *out_used = used;
        return &commands[i];
    }
    return NULL;
}

void commands_print_help(FILE *out)
{
    fputs("usage: weirctl [--socket PATH] [--json] COMMAND\n\n", out);
    for (uint32_t i = 0; i < command_count; i++) {
        const struct command *command = &commands[i];
        char usage[WORDS_MAX];
        bool optional = command->argument == ARGUMENT_OPTIONAL;
        snprintf(usage, sizeof(usage), "%s%s%s%s%s%s%s", command->words,
                 command->argument != ARGUMENT_NONE ? " " : "", optional ? "[" : "",
                 command->argument != ARGUMENT_NONE ? command->argument_name : "",
                 optional ? "]" : "", command->second != NULL ? " " : "",
                 command->second != NULL ? command->second_name : "");
        fprintf(out, "  %-22s %s\n", usage, command->help);
    }
    fputs("\n"
          "  --socket PATH  the daemon's control.socket; default: $WEIR_SOCKET, else\n"
          "                 /run/weir/control.sock\n"
          "  --ttl 10m      an end for region drain, force-up and force-down, and automation off\n"
          "  --despite S1   also when no other region is active; S4: without a limit of\n"
          "                 admission; approvals know S1 to S5: S1,S2; stands in the audit\n"
          "  --local        an order for this node alone, while the store is away: region drain,\n"
          "                 undrain, force-up, force-down, unforce, automation off, on. When it\n"
          "                 is back the order acts no more: region approve --local gives it to\n"
          "                 all nodes, region reject --local to none; audit tail: this node's\n"
          "  --json         the result as the daemon sent it, for programs\n"
          "\n"
          "Exit status: 0 done, 1 refused by the daemon, 2 wrong usage, 3 no connection.\n",
          out);
}
