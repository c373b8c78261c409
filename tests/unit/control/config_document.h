/* config_document: a small configuration as text, and what differs from it. For tests. */
#pragma once

#include "control/config.h"

#include "tests/support/cmocka.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char base[] =
    "{'node': 'edge-1',"
    " 'ports': [{'name': 'front', 'device': 'net_ring0',"
    "   'interfaces': [{'addresses': ['10.0.0.80/24', 'fd00::80/64']}]}],"
    " 'listeners': [{'name': 'web', 'address': '10.0.0.80', 'port': 80}],"
    " 'regions': [{'name': 'eu'}, {'name': 'us'}],"
    " 'services': [{'name': 'pages', 'regions': {"
    "   'eu': {'backends': [{'name': 'eu-1', 'address': '10.1.1.1', 'port': 8080}]},"
    "   'us': {'backends': [{'address': 'fd00::1', 'port': 8080}]}}}],"
    " 'routes': [{'name': 'rest', 'service': 'pages'}]}";

static inline json_t *parse(const char *text)
{
    char *copy = strdup(text);
    for (char *at = copy; *at != '\0'; at++)
        if (*at == '\'')
            *at = '"';
    json_t *json = json_loads(copy, JSON_DECODE_ANY, NULL);
    if (json == NULL)
        fail_msg("the test's own JSON is wrong: %s", text);
    free(copy);
    return json;
}

/* The value that "routes[0].coalesce" leads to; objects that are absent are made. */
static inline json_t *at(json_t *json, const char *path)
{
    while (*path != '\0') {
        char name[64];
        size_t length = strcspn(path, ".[");
        snprintf(name, sizeof(name), "%.*s", (int)length, path);
        path += length;
        if (length > 0 && json_object_get(json, name) == NULL)
            json_object_set_new(json, name, json_object());
        if (length > 0)
            json = json_object_get(json, name);
        if (*path == '[')
            json = json_array_get(json, strtoul(path + 1, (char **)&path, 10)), path++;
        if (*path == '.')
            path++;
        assert_non_null(json);
    }
    return json;
}

/* Read the base with one key set (VALUE taken over; NULL removes it). */
static inline struct config *read_with(const char *object_path, const char *key, json_t *value,
                                       struct config_findings *findings)
{
    json_t *document = parse(base);
    json_t *object = at(document, object_path);
    if (value != NULL)
        json_object_set_new(object, key, value);
    else
        json_object_del(object, key);
    struct config *config = config_read_json(document, NULL, findings);
    json_decref(document);
    return config;
}

static inline const char *find_line(const struct config_findings *findings, const char *path)
{
    size_t length = strlen(path);
    for (uint32_t i = 0; i < findings->count; i++)
        if (strncmp(findings->lines[i], path, length) == 0 && findings->lines[i][length] == ':')
            return findings->lines[i];
    return NULL;
}
