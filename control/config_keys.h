/*
 * config_keys: every key of the configuration as one table an object. Reading, checking, defaults,
 * what needs a restart, and docs/configuration.md are derived from these tables.
 */
#pragma once

#include "control/config.h"

#include <stdio.h>

enum key_type {
    KEY_TEXT,      /* char[size] */
    KEY_INTEGER,   /* uint16_t or uint32_t, by size */
    KEY_DURATION,  /* uint64_t nanoseconds: "200ms", "2s", "5m" */
    KEY_SIZE,      /* uint32_t or uint64_t bytes, by size: 65536, "64KiB", "1MiB" */
    KEY_FRACTION,  /* uint32_t of 2^32, UINT32_MAX: 1; from 0 to 1 */
    KEY_BOOL,      /* bool */
    KEY_CHOICE,    /* enum (4 bytes): index into choices */
    KEY_MODE,      /* uint32_t, octal text: "0600" */
    KEY_ADDRESS,   /* struct ip_address */
    KEY_PREFIXES,  /* struct ip_prefix *, or inline array with `capacity`; count beside */
    KEY_TEXTS,     /* char (*)[CONFIG_NAME_MAX]; count beside */
    KEY_LITERALS,  /* struct config_literal *, from an object's members; count beside */
    KEY_ARGUMENTS, /* char **; count beside */
    KEY_PERMILLES, /* uint32_t[capacity] from percentages; count beside */
    KEY_OBJECT,    /* an inline struct */
    KEY_LIST,      /* array of structs: pointer, or inline array with `capacity`; count beside */
    KEY_MAP,       /* an object whose members are read by config_regions.c */
};

enum key_flag {
    KEY_REQUIRED = 1 << 0,
    KEY_RESTART = 1 << 1, /* sizes memory or binds hardware: not changed by config.apply */
    KEY_NAME = 1 << 2,    /* identifies the list's element: unique, [A-Za-z0-9_.-] */
    KEY_LATER = 1 << 4,   /* read by config_regions.c, which knows what it inherits */
    KEY_PRESENCE = 1 << 3, /* a bool at `present_offset` says whether it was given */
};

struct config_object;

struct config_key {
    const char *name;
    enum key_type type;
    uint32_t flags;
    size_t offset;         /* in the object's struct */
    size_t size;           /* bytes of the member */
    size_t count_offset;   /* uint32_t, for types with a count */
    size_t present_offset; /* bool, with KEY_PRESENCE */
    uint32_t capacity;     /* elements at most; inline when `inlined` */
    bool inlined;
    uint64_t low;          /* inclusive; in the type's own unit */
    uint64_t high;
    const char *fallback;  /* the default as JSON; NULL: zero, empty */
    const char *const *choices; /* NULL-terminated */
    const struct config_object *object; /* KEY_OBJECT, KEY_LIST */
    const char *help;
};

struct config_object {
    const char *name;
    size_t size; /* of the struct */
    const struct config_key *keys;
    uint32_t key_count;
};

/* The document itself. */
extern const struct config_object config_root;

/* A backend, which config_regions.c reads inside services[].regions. */
extern const struct config_object config_backend_object;
extern const struct config_object config_backend_tls_object;

/* The manual's tables, as docs/configuration.md holds them. */
void config_keys_print(FILE *out);
