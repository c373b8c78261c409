#include "control/config_reader.h"

#include "control/certificates.h"
#include "control/config_values.h"
#include "control/deny_build.h"
#include "dataplane/base/check.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define FINDINGS_MAX 200

struct config_block {
    struct config_block *next;
    max_align_t data[];
};

/* Where in the document we are, and where the value goes. */
struct place {
    struct config_reader *reader;
    const char *path;
    const struct config_key *key;
    uint8_t *object; /* the struct that the key is a member of */
};

void config_found(struct config_findings *findings, const char *path, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    if (findings->count == FINDINGS_MAX)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    char **lines = realloc(findings->lines, (findings->count + 1) * sizeof(*lines));
    check(lines != NULL);
    findings->lines = lines;
    check(asprintf(&lines[findings->count], "%s: %s", path, text) >= 0);
    findings->count++;
}

void *config_take(struct config *config, size_t bytes)
{
    struct config_block *block = calloc(1, sizeof(*block) + bytes);
    check(block != NULL);
    block->next = config->blocks;
    config->blocks = block;
    return block->data;
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    while (config->blocks != NULL) {
        struct config_block *block = config->blocks;
        config->blocks = block->next;
        free(block);
    }
    deny_drop(config->denied);
    certificates_drop(config->tls);
    json_decref(config->source);
    free(config);
}

static const char *json_kind(const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a text";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        break;
    }
    return "null";
}

static void found_kind(const struct place *place, const json_t *json, const char *wanted)
{
    config_found(place->reader->findings, place->path, "is %s; expected %s", json_kind(json),
                 wanted);
}

static void *member(const struct place *place)
{
    return place->object + place->key->offset;
}

static void set_count(const struct place *place, uint32_t count)
{
    memcpy(place->object + place->key->count_offset, &count, sizeof(count));
}

static void store_number(const struct place *place, uint64_t value)
{
    switch (place->key->size) {
    case sizeof(uint16_t):
        *(uint16_t *)member(place) = (uint16_t)value;
        return;
    case sizeof(uint32_t):
        *(uint32_t *)member(place) = (uint32_t)value;
        return;
    default:
        *(uint64_t *)member(place) = value;
    }
}

static bool has_control_character(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

static void read_text(const struct place *place, const json_t *json)
{
    if (!json_is_string(json)) {
        found_kind(place, json, "a text");
        return;
    }
    const char *text = json_string_value(json);
    size_t length = json_string_length(json);
    if (length >= place->key->size || strlen(text) != length) {
        config_found(place->reader->findings, place->path,
                     "is %zu bytes long; expected at most %zu without NUL", length,
                     place->key->size - 1);
        return;
    }
    if (length == 0 && (place->key->flags & KEY_REQUIRED)) {
        config_found(place->reader->findings, place->path, "is empty; %s", place->key->help);
        return;
    }
    if (has_control_character(text)) {
        config_found(place->reader->findings, place->path,
                     "has a control character; expected text without");
        return;
    }
    if ((place->key->flags & KEY_NAME) &&
        (length == 0 || strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789_.-") != length)) {
        config_found(place->reader->findings, place->path,
                     "is \"%s\"; expected a name of letters, digits, '_', '.' and '-'", text);
        return;
    }
    memcpy(member(place), text, length + 1);
}

static void read_integer(const struct place *place, const json_t *json)
{
    const struct config_key *key = place->key;
    if (!json_is_integer(json)) {
        found_kind(place, json, "a whole number");
        return;
    }
    json_int_t value = json_integer_value(json);
    if (value < 0 || (uint64_t)value < key->low || (uint64_t)value > key->high) {
        config_found(place->reader->findings, place->path,
                     "is %lld; expected a number from %lu to %lu", (long long)value, key->low,
                     key->high);
        return;
    }
    store_number(place, (uint64_t)value);
}

static void read_duration(const struct place *place, const json_t *json)
{
    const struct config_key *key = place->key;
    uint64_t ns = 0;
    char low[32];
    char high[32];
    value_duration_text(key->low, low, sizeof(low));
    value_duration_text(key->high, high, sizeof(high));
    if (!json_is_string(json) || !value_duration(json_string_value(json), &ns))
        config_found(place->reader->findings, place->path,
                     "is not a duration; expected a text like \"200ms\", \"2s\" or \"5m\"");
    else if (ns < key->low || ns > key->high)
        config_found(place->reader->findings, place->path, "is %s; expected %s to %s",
                     json_string_value(json), low, high);
    else
        store_number(place, ns);
}

static void read_size(const struct place *place, const json_t *json)
{
    const struct config_key *key = place->key;
    uint64_t bytes = 0;
    char low[32];
    char high[32];
    value_size_text(key->low, low, sizeof(low));
    value_size_text(key->high, high, sizeof(high));
    bool good = json_is_string(json) && value_size(json_string_value(json), &bytes);
    if (json_is_integer(json) && json_integer_value(json) >= 0) {
        bytes = (uint64_t)json_integer_value(json);
        good = true;
    }
    if (!good)
        config_found(place->reader->findings, place->path,
                     "is not a size; expected bytes as a number, or a text like \"64KiB\"");
    else if (bytes < key->low || bytes > key->high)
        config_found(place->reader->findings, place->path, "is %lu bytes; expected %s to %s", bytes,
                     low, high);
    else
        store_number(place, bytes);
}

static void read_fraction(const struct place *place, const json_t *json)
{
    double value = json_number_value(json);
    if (!json_is_number(json))
        found_kind(place, json, "a number from 0 to 1");
    else if (!(value >= 0 && value <= 1))
        config_found(place->reader->findings, place->path, "is %g; expected a number from 0 to 1",
                     value);
    else
        store_number(place, value < 1 ? (uint64_t)(value * UINT32_MAX) : UINT32_MAX);
}

static void read_choice(const struct place *place, const json_t *json)
{
    char all[256] = "";
    const char *const *choices = place->key->choices;
    for (uint32_t i = 0; choices[i] != NULL; i++) {
        if (json_is_string(json) && strcmp(json_string_value(json), choices[i]) == 0) {
            store_number(place, i);
            return;
        }
        size_t used = strlen(all);
        snprintf(all + used, sizeof(all) - used, "%s\"%s\"", i > 0 ? ", " : "", choices[i]);
    }
    if (json_is_string(json))
        config_found(place->reader->findings, place->path, "is \"%s\"; expected one of %s",
                     json_string_value(json), all);
    else
        config_found(place->reader->findings, place->path, "is %s; expected one of %s",
                     json_kind(json), all);
}

static void read_mode(const struct place *place, const json_t *json)
{
    uint32_t mode;
    if (json_is_string(json) && value_mode(json_string_value(json), &mode) &&
        mode <= place->key->high)
        store_number(place, mode);
    else
        config_found(place->reader->findings, place->path,
                     "is not a file mode; expected an octal text like \"0600\"");
}

static void read_address(const struct place *place, const json_t *json)
{
    if (json_is_string(json) && ip_address_parse(json_string_value(json), member(place))) {
        if (place->key->flags & KEY_PRESENCE)
            *(bool *)(place->object + place->key->present_offset) = true;
        return;
    }
    config_found(place->reader->findings, place->path,
                 "is not an address; expected a text like \"192.0.2.1\" or \"2001:db8::1\"");
}

/* An element of a list. The index is part of the path. */
static void element_path(const struct place *place, size_t index, char *out)
{
    snprintf(out, CONFIG_PATH_MAX, "%s[%zu]", place->path, index);
}

/* The list's storage with room for COUNT elements of SIZE, or NULL when it is too long. */
static void *list_room(const struct place *place, size_t count, size_t size)
{
    if (count > place->key->capacity) {
        config_found(place->reader->findings, place->path, "has %zu elements; expected at most %u",
                     count, place->key->capacity);
        return NULL;
    }
    set_count(place, (uint32_t)count);
    if (place->key->inlined)
        return member(place);
    void *room = config_take(place->reader->config, count * size + 1);
    memcpy(member(place), &room, sizeof(room));
    return room;
}

static void *begin_list(const struct place *place, const json_t *json, size_t size)
{
    if (json_is_array(json))
        return list_room(place, json_array_size(json), size);
    found_kind(place, json, "a list");
    return NULL;
}

static void read_prefixes(const struct place *place, const json_t *json)
{
    struct ip_prefix *room = begin_list(place, json, sizeof(*room));
    size_t index;
    json_t *element;
    if (room == NULL)
        return;
    json_array_foreach(json, index, element)
    {
        char path[CONFIG_PATH_MAX];
        element_path(place, index, path);
        if (!json_is_string(element) || !ip_prefix_parse(json_string_value(element), &room[index]))
            config_found(place->reader->findings, path,
                         "is not a network; expected a text like \"192.0.2.1/24\"");
    }
}

static void read_texts(const struct place *place, const json_t *json)
{
    char(*room)[CONFIG_NAME_MAX] = begin_list(place, json, CONFIG_NAME_MAX);
    size_t index;
    json_t *element;
    if (room == NULL)
        return;
    json_array_foreach(json, index, element)
    {
        char path[CONFIG_PATH_MAX];
        element_path(place, index, path);
        if (!json_is_string(element) || json_string_length(element) == 0 ||
            json_string_length(element) >= CONFIG_NAME_MAX)
            config_found(place->reader->findings, path, "expected a text of 1 to %d bytes",
                         CONFIG_NAME_MAX - 1);
        else
            snprintf(room[index], CONFIG_NAME_MAX, "%s", json_string_value(element));
    }
}

/* The shortest text that is read as the same number, so that 0.7 stays 0.7. */
static void real_text(double value, char *out, size_t size)
{
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(out, size, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            return;
    }
}

/* A text that clients write in one way only. */
static bool is_plain_text(const json_t *json)
{
    const char *text = json_string_value(json);
    return json_string_length(json) < CONFIG_NAME_MAX && strlen(text) == json_string_length(json) &&
           strpbrk(text, "\"\\") == NULL && !has_control_character(text);
}

/* False: no literal that request bodies are compared with. */
static bool literal_text(const json_t *json, char *out, size_t size)
{
    switch (json_typeof(json)) {
    case JSON_STRING:
        snprintf(out, size, "\"%s\"", json_string_value(json));
        return is_plain_text(json);
    case JSON_INTEGER:
        snprintf(out, size, "%lld", (long long)json_integer_value(json));
        return true;
    case JSON_REAL:
        real_text(json_real_value(json), out, size);
        return true;
    case JSON_TRUE:
    case JSON_FALSE:
        snprintf(out, size, "%s", json_is_true(json) ? "true" : "false");
        return true;
    case JSON_NULL:
        snprintf(out, size, "null");
        return true;
    case JSON_OBJECT:
    case JSON_ARRAY:
        break;
    }
    return false;
}

static void read_literal(const struct place *place, const char *name, const json_t *value,
                         struct config_literal *literal)
{
    char path[CONFIG_PATH_MAX];
    snprintf(path, sizeof(path), "%s.%.*s", place->path, CONFIG_NAME_MAX, name);
    if (name[0] == '\0' || strlen(name) >= CONFIG_NAME_MAX)
        config_found(place->reader->findings, path, "expected a name of 1 to %d bytes",
                     CONFIG_NAME_MAX - 1);
    else if (!literal_text(value, literal->value, sizeof(literal->value)))
        config_found(place->reader->findings, path,
                     "is %s; expected a number, true, false, null, or a text of at most %d bytes "
                     "without quotes, backslashes and control characters",
                     json_kind(value), CONFIG_NAME_MAX - 1);
    else
        memcpy(literal->name, name, strlen(name));
}

static void read_literals(const struct place *place, const json_t *json)
{
    if (!json_is_object(json)) {
        found_kind(place, json, "an object: names of members and their values");
        return;
    }
    struct config_literal *room = list_room(place, json_object_size(json), sizeof(*room));
    const char *name;
    json_t *value;
    if (room == NULL)
        return;
    json_object_foreach((json_t *)json, name, value)
    {
        read_literal(place, name, value, room++);
    }
}

static void read_arguments(const struct place *place, const json_t *json)
{
    char **room = begin_list(place, json, sizeof(*room));
    size_t index;
    json_t *element;
    if (room == NULL)
        return;
    json_array_foreach(json, index, element)
    {
        char path[CONFIG_PATH_MAX];
        element_path(place, index, path);
        const char *text = json_is_string(element) ? json_string_value(element) : "";
        if (text[0] == '\0')
            config_found(place->reader->findings, path, "expected a text that is not empty");
        room[index] = config_take(place->reader->config, strlen(text) + 1);
        strcpy(room[index], text);
    }
}

static void read_permilles(const struct place *place, const json_t *json)
{
    uint32_t *room = begin_list(place, json, sizeof(*room));
    size_t index;
    json_t *element;
    json_int_t last = 0;
    if (room == NULL)
        return;
    json_array_foreach(json, index, element)
    {
        char path[CONFIG_PATH_MAX];
        json_int_t percent = json_integer_value(element);
        element_path(place, index, path);
        if (!json_is_integer(element) || percent <= last || percent > 100)
            config_found(place->reader->findings, path,
                         "expected percentages that grow, from 1 to 100");
        last = percent;
        room[index] = (uint32_t)percent * 10;
    }
    if (last != 100)
        config_found(place->reader->findings, place->path, "expected 100 as the last percentage");
}

static void read_list(const struct place *place, const json_t *json)
{
    const struct config_object *object = place->key->object;
    uint8_t *room = begin_list(place, json, object->size);
    size_t index;
    json_t *element;
    if (room == NULL)
        return;
    if (json_array_size(json) == 0 && (place->key->flags & KEY_REQUIRED))
        config_found(place->reader->findings, place->path, "is empty; expected at least one");
    json_array_foreach(json, index, element)
    {
        char path[CONFIG_PATH_MAX];
        element_path(place, index, path);
        config_read_object(place->reader, path, element, object, room + index * object->size,
                           false);
    }
}

/* `health` of a service and `coalesce` of a route start from the top-level ones. */
static bool inherit_from_root(const struct place *place)
{
    const struct config *config = place->reader->config;
    if (place->object == (const uint8_t *)config)
        return false;
    if (strcmp(place->key->name, "health") == 0) {
        memcpy(member(place), &config->health, sizeof(config->health));
        return true;
    }
    if (strcmp(place->key->name, "coalesce") == 0) {
        memcpy(member(place), &config->coalesce, sizeof(config->coalesce));
        return true;
    }
    return false;
}

static void read_nested(const struct place *place, const json_t *json)
{
    bool inherit = inherit_from_root(place);
    json_t *empty = json == NULL ? json_object() : NULL;
    config_read_object(place->reader, place->path, json != NULL ? json : empty, place->key->object,
                       member(place), inherit);
    json_decref(empty);
}

static void read_value(const struct place *place, const json_t *json)
{
    switch (place->key->type) {
    case KEY_TEXT:
        read_text(place, json);
        return;
    case KEY_INTEGER:
        read_integer(place, json);
        return;
    case KEY_DURATION:
        read_duration(place, json);
        return;
    case KEY_SIZE:
        read_size(place, json);
        return;
    case KEY_FRACTION:
        read_fraction(place, json);
        return;
    case KEY_BOOL:
        if (json_is_boolean(json))
            *(bool *)member(place) = json_is_true(json);
        else
            found_kind(place, json, "true or false");
        return;
    case KEY_CHOICE:
        read_choice(place, json);
        return;
    case KEY_MODE:
        read_mode(place, json);
        return;
    case KEY_ADDRESS:
        read_address(place, json);
        return;
    case KEY_PREFIXES:
        read_prefixes(place, json);
        return;
    case KEY_TEXTS:
        read_texts(place, json);
        return;
    case KEY_LITERALS:
        read_literals(place, json);
        return;
    case KEY_ARGUMENTS:
        read_arguments(place, json);
        return;
    case KEY_PERMILLES:
        read_permilles(place, json);
        return;
    case KEY_OBJECT:
        read_nested(place, json);
        return;
    case KEY_LIST:
        read_list(place, json);
        return;
    case KEY_MAP:
        return; /* config_regions.c, when all regions and services are known */
    }
}

static void read_fallback(const struct place *place)
{
    json_t *value = json_loads(place->key->fallback, JSON_DECODE_ANY, NULL);
    check(value != NULL);
    read_value(place, value);
    json_decref(value);
}

static void read_key(const struct place *place, const json_t *object, bool inherit)
{
    const json_t *json = json_object_get(object, place->key->name);
    if (place->key->flags & KEY_LATER)
        return;
    if (json != NULL)
        read_value(place, json);
    else if (place->key->type == KEY_OBJECT)
        read_nested(place, NULL);
    else if (place->key->flags & KEY_REQUIRED)
        config_found(place->reader->findings, place->path, "is missing; %s", place->key->help);
    else if (place->key->fallback != NULL && !inherit)
        read_fallback(place);
}

static const struct config_key *find_key(const struct config_object *object, const char *name)
{
    for (uint32_t i = 0; i < object->key_count; i++)
        if (strcmp(object->keys[i].name, name) == 0)
            return &object->keys[i];
    return NULL;
}

static void join(char *out, const char *path, const char *name)
{
    snprintf(out, CONFIG_PATH_MAX, "%s%s%s", path, path[0] != '\0' ? "." : "", name);
}

/* "name, device, mtu" */
static void key_names(const struct config_object *object, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < object->key_count && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i > 0 ? ", " : "",
                                 object->keys[i].name);
}

/* A document may have hundreds of thousands: what finds no room is not looked at. */
static void find_unknown(struct config_reader *reader, const char *path, const json_t *json,
                         const struct config_object *object)
{
    const char *name;
    json_t *value;
    char known[512] = "";
    json_object_foreach((json_t *)json, name, value)
    {
        char full[CONFIG_PATH_MAX];
        if (reader->findings->count == FINDINGS_MAX)
            return;
        if (find_key(object, name) != NULL)
            continue;
        if (known[0] == '\0')
            key_names(object, known, sizeof(known));
        join(full, path, name);
        config_found(reader->findings, full, "is not a key; expected one of %s", known);
    }
}

void config_read_object(struct config_reader *reader, const char *path, const json_t *json,
                        const struct config_object *object, void *storage, bool inherit)
{
    if (!json_is_object(json)) {
        config_found(reader->findings, path[0] != '\0' ? path : "(document)",
                     "is %s; expected an object", json_kind(json));
        return;
    }
    find_unknown(reader, path, json, object);
    for (uint32_t i = 0; i < object->key_count; i++) {
        char full[CONFIG_PATH_MAX];
        join(full, path, object->keys[i].name);
        struct place place = {reader, full, &object->keys[i], storage};
        read_key(&place, json, inherit);
    }
}
