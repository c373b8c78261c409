/*
 * config_keys_print: the tables of keys as the manual's tables.
 */
#include "control/config_keys.h"

#include "control/config_values.h"

#include <inttypes.h>
#include <string.h>

#define SECTIONS_MAX 32

/* An object of the document under its heading. */
struct section {
    char path[128];
    const struct config_object *object;
};

static void print_choices(FILE *out, const struct config_key *key)
{
    for (uint32_t i = 0; key->choices[i] != NULL; i++)
        fprintf(out, "%s`\"%s\"`", i > 0 ? ", " : "", key->choices[i]);
}

static void print_unit_range(FILE *out, const struct config_key *key, const char *what,
                             void (*text)(uint64_t value, char *out, size_t size))
{
    char low[32];
    char high[32];
    text(key->low, low, sizeof(low));
    text(key->high, high, sizeof(high));
    fprintf(out, "%s, %s to %s", what, low, high);
}

static void print_type(FILE *out, const struct config_key *key)
{
    switch (key->type) {
    case KEY_TEXT:
        fprintf(out, key->flags & KEY_NAME ? "name" : "text");
        return;
    case KEY_INTEGER:
        fprintf(out, "number, %" PRIu64 " to %" PRIu64, key->low, key->high);
        return;
    case KEY_DURATION:
        print_unit_range(out, key, "duration", value_duration_text);
        return;
    case KEY_SIZE:
        print_unit_range(out, key, "size", value_size_text);
        return;
    case KEY_FRACTION:
        fprintf(out, "number, 0 to 1");
        return;
    case KEY_BOOL:
        fprintf(out, "true or false");
        return;
    case KEY_CHOICE:
        print_choices(out, key);
        return;
    case KEY_MODE:
        fprintf(out, "file mode");
        return;
    case KEY_ADDRESS:
        fprintf(out, "address");
        return;
    case KEY_PREFIXES:
        fprintf(out, "networks, at most %u", key->capacity);
        return;
    case KEY_TEXTS:
    case KEY_ARGUMENTS:
        fprintf(out, "texts, at most %u", key->capacity);
        return;
    case KEY_LITERALS:
        fprintf(out, "object of literals, at most %u", key->capacity);
        return;
    case KEY_PERMILLES:
        fprintf(out, "percentages, at most %u", key->capacity);
        return;
    case KEY_OBJECT:
        fprintf(out, "object");
        return;
    case KEY_LIST:
        fprintf(out, "list, at most %u", key->capacity);
        return;
    case KEY_MAP:
        fprintf(out, "object by region");
        return;
    }
}

static void print_default(FILE *out, const struct config_key *key)
{
    if (key->flags & KEY_REQUIRED)
        fprintf(out, "*required*");
    else if (key->fallback != NULL)
        fprintf(out, "`%s`", key->fallback);
}

static void print_section(FILE *out, const struct section *section)
{
    fprintf(out, "### %s\n\n| Key | Type | Default | |\n|---|---|---|---|\n",
            section->path[0] != '\0' ? section->path : "The document");
    for (uint32_t i = 0; i < section->object->key_count; i++) {
        const struct config_key *key = &section->object->keys[i];
        fprintf(out, "| `%s`%s | ", key->name, key->flags & KEY_RESTART ? " (restart)" : "");
        print_type(out, key);
        fprintf(out, " | ");
        print_default(out, key);
        fprintf(out, " | %s |\n", key->help);
    }
    fprintf(out, "\n");
}

static bool seen(const struct config_object **done, uint32_t count,
                 const struct config_object *object)
{
    for (uint32_t i = 0; i < count; i++)
        if (done[i] == object)
            return true;
    return false;
}

/* What is below an object: ports[], services[].regions.REGION.backends[] */
static void child_path(char *out, size_t size, const char *path, const struct config_key *key)
{
    const char *dot = path[0] != '\0' ? "." : "";
    const char *end = key->type == KEY_LIST ? "[]" : "";
    if (key->type == KEY_MAP)
        end = ".REGION.backends[]";
    snprintf(out, size, "%s%s%s%s", path, dot, key->name, end);
}

/*
 * Depth first with a stack: the objects of a section stand behind it. An object that stands at
 * several places (health, coalesce) is shown at the first one.
 */
void config_keys_print(FILE *out)
{
    struct section stack[SECTIONS_MAX];
    const struct config_object *done[SECTIONS_MAX];
    uint32_t depth = 0;
    uint32_t done_count = 0;
    stack[depth++] = (struct section){"", &config_root};
    while (depth > 0) {
        struct section section = stack[--depth];
        if (seen(done, done_count, section.object))
            continue;
        done[done_count++] = section.object;
        print_section(out, &section);
        for (uint32_t i = section.object->key_count; i-- > 0;) {
            const struct config_key *key = &section.object->keys[i];
            if (key->object == NULL)
                continue;
            child_path(stack[depth].path, sizeof(stack[depth].path), section.path, key);
            stack[depth++].object = key->object;
        }
    }
}
