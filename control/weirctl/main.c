/*
 * weirctl: the operator's command: one question to the daemon, its answer for people or programs.
 */
#include "control/weirctl/client.h"
#include "control/weirctl/commands.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum exit_status {
    EXIT_DONE = 0,
    EXIT_REFUSED = 1,
    EXIT_USAGE = 2,
    EXIT_NO_CONNECTION = 3,
};

struct options {
    const char *socket;
    const char *ttl;
    const char *despite;
    bool local;
    bool json;
};

static int usage_fault(const char *what, const char *which)
{
    fprintf(stderr, "weirctl: %s%s%s; see weirctl --help\n", what, which[0] != '\0' ? ": " : "",
            which);
    return EXIT_USAGE;
}

/* Exit status to end with, or -1 to go on. */
static int read_options(int count, char **values, struct options *out)
{
    static const struct option known[] = {
        {"socket", required_argument, NULL, 's'}, {"json", no_argument, NULL, 'j'},
        {"ttl", required_argument, NULL, 't'},    {"despite", required_argument, NULL, 'd'},
        {"local", no_argument, NULL, 'l'},        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(count, values, "s:jt:d:lvh", known, NULL)) != -1) {
        switch (option) {
        case 's':
            out->socket = optarg;
            break;
        case 'j':
            out->json = true;
            break;
        case 't':
            out->ttl = optarg;
            break;
        case 'd':
            out->despite = optarg;
            break;
        case 'l':
            out->local = true;
            break;
        case 'v':
            printf("weirctl %s\n", WEIR_VERSION);
            return EXIT_DONE;
        case 'h':
            commands_print_help(stdout);
            return EXIT_DONE;
        default:
            return EXIT_USAGE; /* getopt has said what is wrong */
        }
    }
    return -1;
}

static json_t *read_document(const char *path)
{
    json_error_t error;
    json_t *document = strcmp(path, "-") == 0
                           ? json_loadf(stdin, JSON_REJECT_DUPLICATES, &error)
                           : json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (document != NULL)
        return document;
    if (error.line < 0)
        fprintf(stderr, "weirctl: %s\n", error.text);
    else
        fprintf(stderr, "weirctl: %s: line %d, column %d: %s\n", path, error.line, error.column,
                error.text);
    return NULL;
}

/* "S1,S4" as a list. */
static json_t *split(const char *text)
{
    json_t *list = json_array();
    for (const char *at = text; *at != '\0';) {
        size_t length = strcspn(at, ",");
        json_array_append_new(list, json_stringn(at, length));
        at += length + (at[length] == ',');
    }
    return list;
}

/* The option that the command does not take, or NULL. */
static const char *excess_option(const struct command *command, const struct options *options)
{
    if (options->ttl != NULL && !command->takes_ttl)
        return "--ttl";
    if (options->local && !command->takes_local)
        return "--local";
    return options->despite != NULL && !command->takes_despite ? "--despite" : NULL;
}

/* The first of what was given that no message can carry, or NULL. */
static const char *not_text(const struct options *options, char **words, int count)
{
    const char *const given[] = {options->ttl, options->despite, count > 0 ? words[0] : NULL,
                                 count > 1 ? words[1] : NULL};
    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
        json_t *text = json_string(given[i]);
        json_decref(text);
        if (given[i] != NULL && text == NULL)
            return given[i];
    }
    return NULL;
}

/* The method's parameters. NULL: *out_status says how to end. */
static json_t *make_parameters(const struct command *command, const struct options *options,
                               char **words, int count, int *out_status)
{
    int most = command->argument == ARGUMENT_NONE ? 0 : command->second != NULL ? 2 : 1;
    int least = command->argument == ARGUMENT_OPTIONAL ? 0 : most;
    *out_status = EXIT_USAGE;
    if (count < least) {
        usage_fault("missing argument", count == 0 ? command->argument_name : command->second_name);
        return NULL;
    }
    const char *too_much = count > most ? words[most] : excess_option(command, options);
    if (too_much != NULL) {
        usage_fault("too much for this command", too_much);
        return NULL;
    }
    const char *odd = not_text(options, words, command->argument == ARGUMENT_FILE ? 0 : count);
    if (odd != NULL) {
        usage_fault("not UTF-8", odd);
        return NULL;
    }
    json_t *parameters = json_object();
    if (options->ttl != NULL)
        json_object_set_new(parameters, "ttl", json_string(options->ttl));
    if (options->despite != NULL)
        json_object_set_new(parameters, "despite", split(options->despite));
    if (options->local)
        json_object_set_new(parameters, "local", json_true());
    if (count == 0)
        return parameters;
    json_t *value =
        command->argument == ARGUMENT_FILE ? read_document(words[0]) : json_string(words[0]);
    if (value != NULL) {
        json_object_set_new(parameters, command->parameter, value);
        if (command->second != NULL)
            json_object_set_new(parameters, command->second, json_string(words[1]));
        return parameters;
    }
    *out_status = EXIT_REFUSED;
    json_decref(parameters);
    return NULL;
}

static void print_json(const json_t *value, FILE *out)
{
    json_dumpf(value, out, JSON_INDENT(2) | JSON_ENCODE_ANY);
    fputc('\n', out);
}

static void show_answer(const struct command *command, const struct options *options,
                        enum client_outcome outcome, const json_t *answer)
{
    if (outcome == CLIENT_ANSWERED && options->json)
        print_json(answer, stdout);
    else if (outcome == CLIENT_ANSWERED)
        command->show(answer);
    else if (options->json)
        print_json(answer, stderr);
    else
        show_refusal(answer);
}

static int ask(const struct command *command, const struct options *options, json_t *parameters)
{
    char message[512] = "";
    json_t *answer = NULL;
    enum client_outcome outcome =
        client_ask(options->socket, command->method, parameters, &answer, message, sizeof(message));
    if (outcome == CLIENT_FAILED) {
        fprintf(stderr, "weirctl: %s\n", message);
        return EXIT_NO_CONNECTION;
    }
    show_answer(command, options, outcome, answer);
    /* A configuration that was found wrong is an answer, but not the one that was hoped for. */
    bool refused = outcome == CLIENT_REFUSED || json_is_false(json_object_get(answer, "valid"));
    json_decref(answer);
    return refused ? EXIT_REFUSED : EXIT_DONE;
}

int main(int count, char **values)
{
    const char *from_environment = getenv("WEIR_SOCKET");
    struct options options = {.socket = from_environment != NULL ? from_environment
                                                                 : "/run/weir/control.sock"};
    int used = 0;
    int status = read_options(count, values, &options);
    if (status >= 0)
        return status;
    const struct command *command = command_find(values + optind, count - optind, &used);
    if (command == NULL && optind == count) {
        commands_print_help(stderr);
        return EXIT_USAGE;
    }
    if (command == NULL)
        return usage_fault("no such command", values[optind]);
    json_t *parameters =
        make_parameters(command, &options, values + optind + used, count - optind - used, &status);
    return parameters != NULL ? ask(command, &options, parameters) : status;
}
