#include "tests/load/weir_load/options.h"

#include "dataplane/base/clock.h"
#include "tests/load/weir_load/keys.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX   1000000000ull
#define WEIGHT_MAX 1000000ull

struct option;

typedef bool option_read(struct load_options *options, const struct option *option,
                         const char *value);

struct option {
    const char *name;
    const char *argument; /* NULL: a flag */
    option_read *read;
    size_t offset;
    uint64_t low;
    uint64_t high;
    const char *right; /* what would be right */
    const char *help;
};

static void *member(struct load_options *options, const struct option *option)
{
    return (char *)options + option->offset;
}

static bool read_flag(struct load_options *options, const struct option *option, const char *value)
{
    *(bool *)member(options, option) = true;
    return true;
}

static bool read_count(struct load_options *options, const struct option *option, const char *value)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0 || number < option->low ||
        number > option->high)
        return false;
    *(uint64_t *)member(options, option) = number;
    return true;
}

/* Seconds, with decimals. */
static bool read_time(struct load_options *options, const struct option *option, const char *value)
{
    char *end;
    double seconds = strtod(value, &end);
    if (value[0] < '0' || value[0] > '9' || *end != '\0' || !(seconds <= (double)option->high))
        return false;
    *(uint64_t *)member(options, option) = (uint64_t)(seconds * 1e9);
    return true;
}

static bool read_text(struct load_options *options, const struct option *option, const char *value)
{
    if (strlen(value) >= LOAD_TEXT_BYTES)
        return false;
    snprintf(member(options, option), LOAD_TEXT_BYTES, "%s", value);
    return true;
}

static bool read_role(struct load_options *options, const struct option *option, const char *value)
{
    static const char *const names[] = {"both", "client", "origin"};
    for (int i = 0; i < 3; i++)
        if (strcmp(value, names[i]) == 0) {
            options->role = (enum load_role)i;
            return true;
        }
    return false;
}

static bool add_prefix(struct ip_prefix *prefixes, uint32_t *count, const char *value)
{
    return *count < LOAD_ADDRESSES_MAX && ip_prefix_parse(value, &prefixes[*count]) && ++*count > 0;
}

static bool read_front(struct load_options *options, const struct option *option, const char *value)
{
    return add_prefix(options->front_addresses, &options->front_address_count, value);
}

static bool read_back(struct load_options *options, const struct option *option, const char *value)
{
    return add_prefix(options->back_addresses, &options->back_address_count, value);
}

static bool read_syn_source(struct load_options *options, const struct option *option,
                            const char *value)
{
    return add_prefix(options->syn_sources, &options->syn_source_count, value);
}

/* Percent with decimals, kept as 10,000ths. */
static bool read_percent(struct load_options *options, const struct option *option,
                         const char *value)
{
    char *end;
    double percent = strtod(value, &end);
    if (value[0] < '0' || value[0] > '9' || *end != '\0' || !(percent <= 100))
        return false;
    *(uint64_t *)member(options, option) = (uint64_t)(percent * 100 + 0.5);
    return true;
}

static bool read_zipf(struct load_options *options, const struct option *option, const char *value)
{
    char *end;
    options->zipf = strtod(value, &end);
    return value[0] >= '0' && value[0] <= '9' && *end == '\0' && options->zipf >= 0.01 &&
           options->zipf <= 5;
}

static bool add_size(struct load_options *options, uint64_t bytes, uint64_t weight)
{
    if (options->size_count == LOAD_SIZES_MAX || bytes > BODY_MAX || weight < 1 ||
        weight > WEIGHT_MAX)
        return false;
    options->sizes[options->size_count++] = (struct load_size){bytes, weight};
    options->weights += weight;
    return true;
}

/* 64, or 64:90,1048576:10 with weights. */
static bool read_sizes(struct load_options *options, const struct option *option, const char *value)
{
    options->size_count = 0;
    options->weights = 0;
    for (;;) {
        char *end;
        uint64_t weight = 1;
        if (*value < '0' || *value > '9')
            return false;
        uint64_t bytes = strtoull(value, &end, 10);
        if (*end == ':') {
            if (end[1] < '0' || end[1] > '9')
                return false;
            weight = strtoull(end + 1, &end, 10);
        }
        if (!add_size(options, bytes, weight) || (*end != ',' && *end != '\0'))
            return false;
        if (*end == '\0')
            return true;
        value = end + 1;
    }
}

/* 10.0.0.80:80 or [fd00::80]:80 */
static bool read_target(struct load_options *options, const struct option *option,
                        const char *value)
{
    char text[LOAD_TEXT_BYTES];
    snprintf(text, sizeof(text), "%s", value[0] == '[' ? value + 1 : value);
    char *colon = strrchr(text, ':');
    if (options->target_count == LOAD_TARGETS_MAX || colon == NULL || colon == text)
        return false;
    struct load_target *target = &options->targets[options->target_count];
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (*end != '\0' || port == 0 || port > UINT16_MAX)
        return false;
    bool bracket = value[0] == '[';
    if (bracket != (colon[-1] == ']'))
        return false;
    colon[bracket ? -1 : 0] = '\0';
    target->port = (uint16_t)port;
    if (!ip_address_parse(text, &target->address) || ip_address_is_v4(&target->address) == bracket)
        return false;
    options->target_count++;
    return true;
}

static uint32_t low_bits(const struct ip_address *address)
{
    const uint8_t *bytes = (const uint8_t *)address;
    return (uint32_t)bytes[12] << 24 | (uint32_t)bytes[13] << 16 | (uint32_t)bytes[14] << 8 |
           bytes[15];
}

static void next_address(struct ip_address *address)
{
    uint32_t value = low_bits(address) + 1;
    uint8_t *bytes = (uint8_t *)address;
    for (int i = 0; i < 4; i++)
        bytes[12 + i] = (uint8_t)(value >> (24 - 8 * i));
}

/* One address, or FIRST-LAST, which differ in their last 32 bits only. */
static bool read_sources(struct load_options *options, const struct option *option,
                         const char *value)
{
    char text[LOAD_TEXT_BYTES];
    struct ip_address first;
    struct ip_address last;
    snprintf(text, sizeof(text), "%s", value);
    char *dash = strchr(text, '-');
    if (dash != NULL)
        *dash = '\0';
    if (!ip_address_parse(text, &first) || !ip_address_parse(dash ? dash + 1 : text, &last) ||
        memcmp(&first, &last, 12) != 0 || low_bits(&last) < low_bits(&first) ||
        low_bits(&last) - low_bits(&first) >= LOAD_SOURCES_MAX - options->source_count)
        return false;
    for (;; next_address(&first)) {
        options->sources[options->source_count++] = first;
        if (ip_address_equal(&first, &last))
            return true;
    }
}

#define COUNT(member, name, least, most, what)                                                     \
    {                                                                                              \
        name, "N", read_count, offsetof(struct load_options, member), least, most,                 \
            "a whole number from " #least " to " #most, what                                       \
    }
#define TIME(member, name, what)                                                                   \
    {                                                                                              \
        name, "SECONDS", read_time, offsetof(struct load_options, member), 0, 86400,               \
            "seconds, at most 86400", what                                                         \
    }
#define PERCENT(member, name, what)                                                                \
    {                                                                                              \
        name, "PERCENT", read_percent, offsetof(struct load_options, member), 0, 0,                \
            "percent from 0 to 100", what                                                          \
    }
#define TEXT(member, name, argument, what)                                                         \
    {                                                                                              \
        name, argument, read_text, offsetof(struct load_options, member), 0, 0,                    \
            "a text of at most 255 bytes", what                                                    \
    }
#define FLAG(member, name, what)                                                                   \
    {                                                                                              \
        name, NULL, read_flag, offsetof(struct load_options, member), 0, 0, NULL, what             \
    }
#define LIST(read, name, argument, right, what)                                                    \
    {                                                                                              \
        name, argument, read, 0, 0, 0, right, what                                                 \
    }

static const struct option known[] = {
    LIST(read_role, "role", "ROLE", "client, origin or both",
         "client, origin or both (the default: both on one core)"),
    TEXT(front, "front", "DEVARGS", "client: the port to Weir, e.g. net_memif0,role=client,..."),
    TEXT(back, "back", "DEVARGS", "origin: the port to Weir's side of the backends"),
    LIST(read_front, "front-address", "PREFIX", "an address with its network, at most 8 of them",
         "our own there, 10.9.0.1/16; may be repeated (IPv4 and IPv6)"),
    LIST(read_back, "back-address", "PREFIX", "an address with its network, at most 8 of them",
         "the origin's addresses; may be repeated"),
    LIST(read_target, "target", "ADDRESS:PORT", "10.0.0.80:80 or [fd00::80]:80, at most 8 of them",
         "where clients connect to, in turn; may be repeated"),
    LIST(read_sources, "sources", "FIRST-LAST",
         "one address, or two that differ in their last 32 bits, at most 256 altogether",
         "addresses clients connect from, in turn; may be repeated"),
    COUNT(listen, "listen", 1, 65535, "the origin's port, 8080"),
    COUNT(connections, "connections", 0, 1000000, "connections with requests, 1"),
    COUNT(streams, "streams", 1, 1000, "requests under way on each of them, 1"),
    COUNT(requests, "requests", 1, 1000000000000, "end after so many requests"),
    TIME(duration_ns, "duration", "end after so long, 10 if --requests is not given"),
    COUNT(rate, "rate", 1, 100000000, "requests a second; else as fast as answers come"),
    COUNT(request_bytes, "request-bytes", 0, 1000000000, "body of a request (POST), 0 (GET)"),
    LIST(read_sizes, "body-bytes", "BYTES[:WEIGHT],...",
         "at most 8 sizes up to 1000000000, each with a weight from 1 to 1000000, 64:90,1048576:10",
         "body of an answer, 100; of some sizes by weight, a path always the same"),
    COUNT(paths, "paths", 1, 1000000000,
          "different paths (1: all equal); else each request its own"),
    LIST(read_zipf, "zipf", "EXPONENT", "an exponent from 0.01 to 5",
         "paths after Zipf's law (0.99, say); else in turn"),
    COUNT(events, "events", 1, 1000000, "an answer streams so many events of 1 KiB (needs --pace)"),
    COUNT(pace, "pace", 1, 1000000, "events a second"),
    TIME(delay_ns, "delay", "origin: before an answer begins"),
    {"delay-spread", "SECONDS", read_time, offsetof(struct load_options, spread_ns), 0, 3600,
     "seconds, at most 3600", "origin: at random up to so much longer"},
    PERCENT(failures.statuses, "fail", "origin: of requests that get status 503"),
    PERCENT(failures.resets, "reset", "origin: of requests that get RST_STREAM"),
    PERCENT(failures.hangups, "hangup", "origin: of requests that end their connection"),
    TEXT(path, "path", "PREFIX", "what paths begin with, /load/"),
    TEXT(authority, "authority", "NAME", ":authority of requests, load.example"),
    COUNT(wait, "wait", 0, 1000, "begin when the origin has taken so many connections, 0"),
    FLAG(new_connection, "new-connection", "each connection carries one request"),
    COUNT(idle, "idle", 1, 4000000, "further connections: preface, SETTINGS, then nothing"),
    TIME(baseline_ns, "baseline", "requests for so long before the idle ones are opened"),
    TIME(hold_ns, "hold", "keep idle connections for so long at least"),
    COUNT(open_rate, "open-rate", 1, 10000000, "connections opened a second, at most"),
    COUNT(opening, "opening", 1, 100000, "connections being opened at once, at most, 512"),
    COUNT(syn_flood, "syn-flood", 1, 1000000000, "SYNs from random sources, never completed"),
    COUNT(syn_rate, "syn-rate", 1, 100000000, "of them a second; else as many as the port takes"),
    LIST(read_syn_source, "syn-sources", "PREFIX", "a network, at most 8 of them",
         "where they pretend to come from; may be repeated"),
    TIME(patience_ns, "patience", "wait so long for what is under way at the end, 10"),
    TEXT(json, "json", "FILE", "results; -: standard output, instead of the table"),
    COUNT(cpu, "cpu", 0, 1023, "to run on, 0"),
    COUNT(mbufs, "mbufs", 1024, 1000000, "packet buffers a port, 8192"),
    COUNT(memory_mib, "memory", 64, 1000000, "MiB; else estimated from the options"),
    FLAG(huge, "huge", "use hugepages"),
    FLAG(poll, "poll", "spin instead of sleeping some microseconds when idle"),
    FLAG(quiet, "quiet", "no progress on standard error"),
};

#define KNOWN (sizeof(known) / sizeof(known[0]))

void load_options_help(FILE *out)
{
    fprintf(out, "weir-load OPTIONS [-- EAL ARGUMENTS]\n\n"
                 "Clients and an origin for Weir on its own network stack, over any DPDK port "
                 "(memif). Verifies\nstatus, length and content of every answer. Exit status 0: "
                 "all was well, 1: something was\nnot (the results say what), 2: bad options, 3: "
                 "no start.\n\n");
    for (size_t i = 0; i < KNOWN; i++) {
        char left[64];
        snprintf(left, sizeof(left), "--%s %s", known[i].name,
                 known[i].argument != NULL ? known[i].argument : "");
        fprintf(out, "  %-28s %s\n", left, known[i].help);
    }
}

static const struct option *find(const char *name, size_t length)
{
    for (size_t i = 0; i < KNOWN; i++)
        if (strlen(known[i].name) == length && memcmp(known[i].name, name, length) == 0)
            return &known[i];
    return NULL;
}

static void defaults(struct load_options *options)
{
    *options = (struct load_options){
        .listen = 8080,
        .connections = 1,
        .streams = 1,
        .sizes = {{100, 1}},
        .size_count = 1,
        .weights = 1,
        .opening = 512,
        .patience_ns = 10 * CLOCK_S,
        .authority = "load.example",
        .path = "/load/",
        .mbufs = 8192,
    };
}

static bool has_family(const struct load_options *options, bool v4)
{
    for (uint32_t i = 0; i < options->source_count; i++)
        if (ip_address_is_v4(&options->sources[i]) == v4)
            return true;
    return false;
}

static const char *client_fault(struct load_options *options)
{
    if (options->front[0] == '\0')
        return "a client needs --front";
    if (options->front_address_count == 0)
        return "a client needs --front-address";
    if (options->target_count == 0)
        return "a client needs --target";
    if (options->source_count == 0)
        for (uint32_t i = 0; i < options->front_address_count; i++)
            options->sources[options->source_count++] = options->front_addresses[i].address;
    for (uint32_t i = 0; i < options->target_count; i++)
        if (!has_family(options, ip_address_is_v4(&options->targets[i].address)))
            return "each --target needs a source of its family: --sources or --front-address";
    if (options->syn_flood > 0 && options->syn_source_count == 0)
        return "--syn-flood needs --syn-sources";
    if (options->zipf > 0 && (options->paths < 2 || options->paths > KEYS_ZIPF_MAX))
        return "--zipf needs --paths, from 2 to 10000000";
    if ((options->events > 0) != (options->pace > 0))
        return "--events and --pace need each other";
    if (options->syn_rate > 0 && options->syn_flood == 0)
        return "--syn-rate is of --syn-flood";
    if ((options->baseline_ns > 0 || options->hold_ns > 0) && options->idle == 0)
        return "--baseline and --hold are about --idle connections";
    if (options->connections == 0 && (options->requests > 0 || options->rate > 0))
        return "requests need --connections";
    if (options->connections + options->idle + options->syn_flood == 0)
        return "nothing to do: --connections, --idle or --syn-flood";
    return NULL;
}

static const char *fault(struct load_options *options)
{
    const struct load_failures *failures = &options->failures;
    const char *what = options->role != LOAD_ORIGIN ? client_fault(options) : NULL;
    if (what != NULL)
        return what;
    if (failures->statuses + failures->resets + failures->hangups > 10000)
        return "--fail, --reset and --hangup are more than 100 percent";
    if (options->role == LOAD_CLIENT &&
        (options->delay_ns + options->spread_ns + failures->statuses + failures->resets +
             failures->hangups >
         0))
        return "--delay, --fail, --reset and --hangup are an origin's";
    if (options->role != LOAD_CLIENT && options->back[0] == '\0')
        return "an origin needs --back";
    if (options->role != LOAD_CLIENT && options->back_address_count == 0)
        return "an origin needs --back-address";
    if (options->role == LOAD_ORIGIN && options->duration_ns == 0)
        return "an origin needs --duration: it ends then, or with SIGTERM";
    if (options->requests == 0 && options->duration_ns == 0)
        options->duration_ns = 10 * CLOCK_S;
    return NULL;
}

uint64_t load_body_bytes(const struct load_options *options, uint64_t number)
{
    if (options->events > 0)
        return options->events * LOAD_EVENT_BYTES;
    /* Consecutive numbers fall anywhere (Fibonacci hashing). */
    uint64_t dice = (number * 0x9e3779b97f4a7c15ull >> 32) * options->weights >> 32;
    uint32_t i = 0;
    while (i + 1 < options->size_count && dice >= options->sizes[i].weight)
        dice -= options->sizes[i++].weight;
    return options->sizes[i].bytes;
}

enum load_parsed load_options_parse(struct load_options *options, int count, char **arguments,
                                    char *message, size_t message_size)
{
    defaults(options);
    for (int i = 0; i < count; i++) {
        const char *text = arguments[i];
        if (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0)
            return LOAD_PARSED_HELP;
        size_t length = strncmp(text, "--", 2) == 0 ? strcspn(text + 2, "=") : 0;
        const struct option *option = length > 0 ? find(text + 2, length) : NULL;
        if (option == NULL) {
            snprintf(message, message_size, "%s: no such option; see --help", text);
            return LOAD_PARSED_BAD;
        }
        const char *value = text[2 + length] == '=' ? text + 3 + length : NULL;
        if (option->argument != NULL && value == NULL && i + 1 < count)
            value = arguments[++i];
        if ((option->argument == NULL) != (value == NULL) ||
            !option->read(options, option, value)) {
            snprintf(message, message_size, "--%s %s: %s", option->name, value ? value : "",
                     option->argument == NULL ? "takes no value" : option->right);
            return LOAD_PARSED_BAD;
        }
    }
    const char *what = fault(options);
    if (what == NULL)
        return LOAD_PARSED;
    snprintf(message, message_size, "%s; see --help", what);
    return LOAD_PARSED_BAD;
}
