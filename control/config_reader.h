/*
 * config_reader: reads a JSON object into its struct by its table of keys. Private to config_*.c.
 */
#pragma once

#include "control/config_keys.h"

#include <jansson.h>

#define CONFIG_PATH_MAX 512

struct config_reader {
    struct config *config;
    struct config_findings *findings;
};

/* Add a finding: "path: text". */
__attribute__((format(printf, 3, 4))) void config_found(struct config_findings *findings,
                                                        const char *path, const char *format, ...);

/* Zeroed memory that lives as long as the configuration; NULL when there is none. */
void *config_take(struct config *config, size_t bytes);

/*
 * Read JSON (an object) at PATH into STORAGE. With INHERIT, storage holds the defaults already and
 * absent keys leave it alone; otherwise absent keys get their fallback.
 */
void config_read_object(struct config_reader *reader, const char *path, const json_t *json,
                        const struct config_object *object, void *storage, bool inherit);

/* config_regions.c: services[].regions, all services at once: fills config->backends. */
void config_read_backends(struct config_reader *reader, const json_t *services);
