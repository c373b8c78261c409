/*
 * config_restart: which differences cannot be applied to a running process, by the tables' flag.
 */
#include "control/certificates.h"
#include "control/config_reader.h"

#include <string.h>

static void compare_object(const char *path, const struct config_object *object, const json_t *a,
                           const json_t *b, struct config_findings *out);

/* A key that is absent has its default. */
static bool same_value(const struct config_key *key, const json_t *left, const json_t *right)
{
    if (left == right)
        return true;
    json_t *fallback =
        key->fallback != NULL ? json_loads(key->fallback, JSON_DECODE_ANY, NULL) : json_null();
    bool same = json_equal(left != NULL ? left : fallback, right != NULL ? right : fallback);
    json_decref(fallback);
    return same;
}

static void compare_key(const char *path, const struct config_key *key, const json_t *a,
                        const json_t *b, struct config_findings *out)
{
    char full[CONFIG_PATH_MAX];
    snprintf(full, sizeof(full), "%s%s%s", path, path[0] != '\0' ? "." : "", key->name);
    const json_t *left = json_object_get(a, key->name);
    const json_t *right = json_object_get(b, key->name);
    if (key->type == KEY_OBJECT && !(key->flags & KEY_RESTART)) {
        compare_object(full, key->object, left, right, out);
        return;
    }
    if ((key->flags & KEY_RESTART) && !same_value(key, left, right))
        config_found(out, full, "changes only with a restart");
}

static void compare_object(const char *path, const struct config_object *object, const json_t *a,
                           const json_t *b, struct config_findings *out)
{
    for (uint32_t i = 0; i < object->key_count; i++)
        compare_key(path, &object->keys[i], a, b, out);
}

void config_needs_restart(const struct config *running, const struct config *wanted,
                          struct config_findings *out_paths)
{
    compare_object("", &config_root, running->source, wanted->source, out_paths);
    if (!certificates_need_memory(running) && certificates_need_memory(wanted))
        config_found(out_paths, "certificates",
                     "the first one, or the first backend with TLS, needs a restart: TLS has no memory");
}
