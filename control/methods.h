/*
 * methods: what can be asked of the daemon, as one table: names, parameters, manual, handlers.
 * `help`, the check of parameters and docs/control-socket.md are derived from it. Control thread.
 */
#pragma once

#include "control/daemon.h"
#include "control/rpc.h"

#include <stdio.h>

#define METHOD_PARAMETERS_MAX 4

enum parameter_type {
    PARAMETER_TEXT,
    PARAMETER_DURATION, /* "10m", as in the configuration */
    PARAMETER_OBJECT,
    PARAMETER_NAMES, /* a list of texts */
    PARAMETER_FLAG,  /* true or false */
};

struct method_parameter {
    const char *name; /* NULL: no more */
    enum parameter_type type;
    bool required;
    const char *help;
};

struct method {
    const char *name;
    struct method_parameter parameters[METHOD_PARAMETERS_MAX];
    const char *help;
    /* PARAMETERS (borrowed) is an object that was checked against the table. */
    void (*run)(struct methods *methods, struct rpc_call *call, const json_t *parameters);
};

extern const struct method method_table[];
extern const uint32_t method_count;

/* NULL: MESSAGE says why. Starts a timer on the daemon's loop. */
struct methods *methods_create(struct daemon *daemon, char *message, size_t message_size);
void methods_destroy(struct methods *methods);

/* Run a method; PARAMETERS (borrowed) is NULL, an object, or a list in the table's order. */
void methods_call(struct methods *methods, struct rpc_call *call, const char *name,
                  const json_t *parameters);

/* The table as docs/control-socket.md holds it. */
void methods_print(FILE *out);
