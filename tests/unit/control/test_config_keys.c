/* The configuration, every key by its table: types, bounds, presence, defaults. */
#include "control/config_keys.h"
#include "dataplane/base/check.h"
#include "tests/unit/control/config_document.h"

/* Every object of the document, where the base has one, and where it ends up in the struct. */
struct place {
    const char *path;
    const struct config_object *object;
    void *(*storage)(struct config *config);
};

#define STORAGE(name, expression)                                                                  \
    static void *name(struct config *config)                                                       \
    {                                                                                              \
        return expression;                                                                         \
    }
STORAGE(root_of, config)
STORAGE(port_of, &config->ports[0])
STORAGE(interface_of, &config->ports[0].interfaces[0])
STORAGE(listener_of, &config->listeners[0])
STORAGE(region_of, &config->regions[0])
STORAGE(service_of, &config->services[0])
STORAGE(service_health_of, &config->services[0].health)
STORAGE(backend_of, &config->backends[0])
STORAGE(route_of, &config->routes[0])
STORAGE(route_coalesce_of, &config->routes[0].coalesce)
STORAGE(health_of, &config->health)
STORAGE(coalesce_of, &config->coalesce)
STORAGE(failover_of, &config->failover)
STORAGE(store_of, &config->store)
STORAGE(control_of, &config->control)
STORAGE(limits_of, &config->limits)

static struct place places[] = {
    {"", NULL, root_of},
    {"ports[0]", NULL, port_of},
    {"ports[0].interfaces[0]", NULL, interface_of},
    {"listeners[0]", NULL, listener_of},
    {"regions[0]", NULL, region_of},
    {"services[0]", NULL, service_of},
    {"services[0].health", NULL, service_health_of},
    {"services[0].regions.eu.backends[0]", NULL, backend_of},
    {"routes[0]", NULL, route_of},
    {"routes[0].coalesce", NULL, route_coalesce_of},
    {"health", NULL, health_of},
    {"coalesce", NULL, coalesce_of},
    {"failover", NULL, failover_of},
    {"store", NULL, store_of},
    {"control", NULL, control_of},
    {"limits", NULL, limits_of},
};

/* The object that a path of names leads to by the tables. */
static const struct config_object *object_at(const char *path)
{
    const struct config_object *object = &config_root;
    if (strstr(path, "backends[") != NULL)
        return &config_backend_object;
    while (*path != '\0') {
        size_t length = strcspn(path, ".[");
        const struct config_key *key = NULL;
        for (uint32_t i = 0; i < object->key_count; i++)
            if (strlen(object->keys[i].name) == length &&
                strncmp(object->keys[i].name, path, length) == 0)
                key = &object->keys[i];
        assert_non_null(key);
        object = key->object;
        path += length + strcspn(path + length, ".");
        path += *path == '.';
    }
    return object;
}

static int find_objects(void **state)
{
    for (size_t i = 0; i < array_count(places); i++)
        places[i].object = object_at(places[i].path);
    return 0;
}

static void path_of(char *out, size_t size, const struct place *place, const struct config_key *key)
{
    snprintf(out, size, "%s%s%s", place->path, place->path[0] != '\0' ? "." : "", key->name);
}

static void each_key(void (*look)(const struct place *place, const struct config_key *key))
{
    for (size_t p = 0; p < array_count(places); p++)
        for (uint32_t k = 0; k < places[p].object->key_count; k++)
            look(&places[p], &places[p].object->keys[k]);
}

static void expect_finding(const struct place *place, const struct config_key *key, json_t *value)
{
    char path[256];
    struct config_findings findings = {0};
    char *text = value != NULL ? json_dumps(value, JSON_ENCODE_ANY) : strdup("nothing");
    path_of(path, sizeof(path), place, key);
    struct config *config = read_with(place->path, key->name, value, &findings);
    if (config != NULL)
        fail_msg("%s: %s was accepted", path, text);
    bool found = false;
    for (uint32_t i = 0; i < findings.count; i++)
        found = found || strncmp(findings.lines[i], path, strlen(path)) == 0;
    if (!found)
        fail_msg("%s: %s gave no finding at its path, but %s", path, text, findings.lines[0]);
    config_findings_free(&findings);
    free(text);
}

/* What the values of a type look like: the kinds of JSON that are right at first sight. */
static bool takes(const struct config_key *key, const char *json)
{
    char first = json[0];
    switch (key->type) {
    case KEY_TEXT:
        return first == '\'';
    case KEY_INTEGER:
        return first == '5';
    case KEY_SIZE:
        return strcmp(json, "5") == 0; /* refused or not by its range */
    case KEY_FRACTION:
        return strcmp(json, "5") == 0; /* refused by its range */
    case KEY_BOOL:
        return first == 't';
    case KEY_PREFIXES:
    case KEY_TEXTS:
    case KEY_ARGUMENTS:
        return strcmp(json, "[]") == 0;
    case KEY_OBJECT:
    case KEY_LITERALS:
        return strcmp(json, "{}") == 0;
    case KEY_DURATION:
    case KEY_CHOICE:
    case KEY_MODE:
    case KEY_ADDRESS:
    case KEY_PERMILLES:
    case KEY_MAP:
        return false;
    case KEY_LIST:
        return !(key->flags & KEY_REQUIRED) && strcmp(json, "[]") == 0;
    }
    return false;
}

static void look_at_types(const struct place *place, const struct config_key *key)
{
    static const char *const values[] = {"null", "true", "-1",  "5",      "2.5", "'no such value'",
                                         "[]",   "{}",   "[5]", "[null]", "[[]]"};
    for (size_t i = 0; i < array_count(values); i++)
        if (!takes(key, values[i]))
            expect_finding(place, key, parse(values[i]));
}

static void every_key_refuses_values_of_other_types_at_its_path(void **state)
{
    each_key(look_at_types);
}

/* A value of the key's type from its number. */
static json_t *value_of(const struct config_key *key, uint64_t number)
{
    char text[32];
    if (key->type == KEY_DURATION) {
        snprintf(text, sizeof(text), "%luns", number);
        return json_string(text);
    }
    if (key->type == KEY_MODE) {
        snprintf(text, sizeof(text), "%lo", number);
        return json_string(text);
    }
    if (key->type == KEY_PERMILLES)
        return json_pack("[I]", (json_int_t)number);
    return json_integer((json_int_t)number);
}

static bool has_range(const struct config_key *key)
{
    return key->type == KEY_DURATION || key->type == KEY_MODE || key->type == KEY_INTEGER ||
           key->type == KEY_SIZE;
}

static void look_inside_range(const struct place *place, const struct config_key *key,
                              uint64_t number)
{
    char path[256];
    struct config_findings findings = {0};
    path_of(path, sizeof(path), place, key);
    struct config *config = read_with(place->path, key->name, value_of(key, number), &findings);
    const char *line = find_line(&findings, path);
    /* Other keys may not like it, its own range does. */
    if (line != NULL && strstr(line, " to ") != NULL)
        fail_msg("%lu is in the range of the table: %s", number, line);
    config_findings_free(&findings);
    config_free(config);
}

static void look_at_range(const struct place *place, const struct config_key *key)
{
    if (!has_range(key))
        return;
    if (key->low > 0)
        expect_finding(place, key, value_of(key, key->low - 1));
    expect_finding(place, key, value_of(key, key->high + 1));
    look_inside_range(place, key, key->low);
    look_inside_range(place, key, key->high);
}

static void every_number_is_bounded_as_the_table_says(void **state)
{
    each_key(look_at_range);
}

static void look_at_presence(const struct place *place, const struct config_key *key)
{
    struct config_findings findings = {0};
    if (key->flags & KEY_REQUIRED) {
        expect_finding(place, key, NULL);
        return;
    }
    struct config *config = read_with(place->path, key->name, NULL, &findings);
    if (config == NULL)
        fail_msg("%s.%s is not required, but %s", place->path, key->name, findings.lines[0]);
    config_free(config);
}

static void required_keys_and_only_those_may_not_be_absent(void **state)
{
    each_key(look_at_presence);
}

/* An absent key is as good as one that has its default. */
static void look_at_default(const struct place *place, const struct config_key *key)
{
    struct config_findings findings = {0};
    if (key->fallback == NULL || key->type == KEY_LIST)
        return;
    struct config *absent = read_with(place->path, key->name, NULL, &findings);
    struct config *given = read_with(place->path, key->name, parse(key->fallback), &findings);
    if (absent == NULL || given == NULL)
        fail_msg("%s.%s: %s", place->path, key->name, findings.lines[0]);
    const uint8_t *one = place->storage(absent);
    const uint8_t *other = place->storage(given);
    if (memcmp(one + key->offset, other + key->offset, key->size) != 0)
        fail_msg("%s.%s: absent it is not its default %s", place->path, key->name, key->fallback);
    config_free(absent);
    config_free(given);
}

static void an_absent_key_has_its_default(void **state)
{
    each_key(look_at_default);
}

static void look_at_table(const struct place *place, const struct config_key *key)
{
    bool sized = (key->type != KEY_BOOL || key->size == sizeof(bool)) &&
                 (key->type != KEY_DURATION || key->size == 8) &&
                 (key->type != KEY_CHOICE || (key->size == 4 && key->choices != NULL)) &&
                 (key->type != KEY_MODE || key->size == 4) &&
                 (key->type != KEY_ADDRESS || key->size == sizeof(struct ip_address)) &&
                 (key->type != KEY_INTEGER || (key->size <= 4 && key->high > key->low)) &&
                 (key->type != KEY_SIZE || key->size >= 4);
    if (!sized || key->help == NULL || key->offset + key->size > place->object->size)
        fail_msg("%s.%s: the table is wrong", place->path, key->name);
    if (key->type == KEY_INTEGER && key->size == 2)
        assert_true(key->high <= UINT16_MAX);
    if ((key->type == KEY_LIST || key->type == KEY_TEXTS || key->type == KEY_PREFIXES) &&
        !key->inlined)
        assert_int_equal(key->size, sizeof(void *));
}

static void the_tables_fit_their_structs(void **state)
{
    each_key(look_at_table);
}

static void an_unknown_key_is_found_in_every_object(void **state)
{
    for (size_t i = 0; i < array_count(places); i++) {
        const struct config_key unknown = {.name = "no_such_key"};
        expect_finding(&places[i], &unknown, json_true());
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tables_fit_their_structs),
        cmocka_unit_test(every_key_refuses_values_of_other_types_at_its_path),
        cmocka_unit_test(every_number_is_bounded_as_the_table_says),
        cmocka_unit_test(required_keys_and_only_those_may_not_be_absent),
        cmocka_unit_test(an_absent_key_has_its_default),
        cmocka_unit_test(an_unknown_key_is_found_in_every_object),
    };
    return cmocka_run_group_tests(tests, find_objects, NULL);
}
