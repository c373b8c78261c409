/*
 * commands: what weirctl can be told, as one table: words, arguments, method, who shows the result.
 */
#pragma once

#include "control/weirctl/show.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum argument_kind {
    ARGUMENT_NONE,
    ARGUMENT_TEXT,     /* the parameter's text */
    ARGUMENT_OPTIONAL, /* the same; may be absent */
    ARGUMENT_FILE,     /* a JSON file, or - for standard input */
};

struct command {
    const char *words; /* "region drain" */
    enum argument_kind argument;
    const char *argument_name; /* as help shows it */
    const char *parameter;     /* of the method */
    bool takes_ttl;
    const char *method;
    show_result *show;
    const char *help;
    const char *second_name; /* a second argument, a text; NULL: none */
    const char *second;      /* its parameter */
    bool takes_despite;      /* --despite RULE */
    bool takes_local;        /* --local */
};

extern const struct command commands[];
extern const uint32_t command_count;

/* The command that WORDS begin with, and how many of them are its words. NULL: none. */
const struct command *command_find(char **words, int count, int *out_used);

void commands_print_help(FILE *out);
