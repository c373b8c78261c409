/*
 * config_regions: services[].regions: which backends serve a service in which region. The result is
 * one list of backends, by service, then region, as the snapshot wants it.
 */
#include "control/config_reader.h"

#include <stdlib.h>
#include <string.h>

static uint32_t count_backends(const json_t *services)
{
    uint32_t count = 0;
    size_t index;
    json_t *service;
    json_array_foreach(services, index, service)
    {
        const char *name;
        json_t *region;
        json_object_foreach(json_object_get(service, "regions"), name, region)
        {
            count += (uint32_t)json_array_size(json_object_get(region, "backends"));
        }
    }
    return count;
}

static void check_region_names(struct config_reader *reader, const char *path, json_t *regions)
{
    const struct config *config = reader->config;
    const char *name;
    json_t *region;
    json_object_foreach(regions, name, region)
    {
        uint32_t i = 0;
        while (i < config->region_count && strcmp(config->regions[i].name, name) != 0)
            i++;
        if (i == config->region_count)
            config_found(reader->findings, path, "\"%s\" is not the name of a region", name);
    }
}

/* As it can stand in Host, too, of probes: RFC 3986 3.2.2. */
static void name_backend(struct config_backend *backend)
{
    char address[INET6_ADDRSTRLEN];
    if (backend->name[0] != '\0')
        return;
    bool v4 = ip_address_is_v4(&backend->address);
    ip_address_format(&backend->address, address);
    snprintf(backend->name, sizeof(backend->name), v4 ? "%s:%u" : "[%s]:%u", address,
             backend->port);
}

/* What stands under a region's name: {"backends": [...], "tls": {...}} and nothing else. */
static json_t *backends_of(struct config_reader *reader, const char *path, json_t *region)
{
    const char *name;
    json_t *value;
    json_object_foreach(region, name, value)
    {
        if (strcmp(name, "backends") != 0 && strcmp(name, "tls") != 0)
            config_found(reader->findings, path,
                         "has the key \"%s\"; expected only backends and tls", name);
    }
    json_t *list = json_object_get(region, "backends");
    if (!json_is_array(list))
        config_found(reader->findings, path, "expected {\"backends\": [...]}");
    return json_is_array(list) ? list : NULL;
}

/* OBJECT's `tls` at PATH is what differs from COMMON. */
static void read_tls(struct config_reader *reader, const char *path, const json_t *object,
                     const struct config_backend_tls *common, struct config_backend_tls *out)
{
    const json_t *json = json_object_get(object, "tls");
    char full[CONFIG_PATH_MAX];
    snprintf(full, sizeof(full), "%s.tls", path);
    *out = *common;
    if (json == NULL)
        return;
    out->on = true;
    config_read_object(reader, full, json, &config_backend_tls_object, out, common->on);
}

/* The backends of one service in one region; all together are at most ROOM. */
static void read_group(struct config_reader *reader, const char *path, json_t *object,
                       uint16_t service, uint16_t region, uint32_t room)
{
    static const struct config_backend_tls clear_text;
    struct config *config = reader->config;
    json_t *list = backends_of(reader, path, object);
    struct config_backend_tls common;
    size_t index;
    json_t *element;
    read_tls(reader, path, object, &clear_text, &common);
    json_array_foreach(list, index, element)
    {
        char full[CONFIG_PATH_MAX];
        if (config->backend_count == room)
            return; /* a region stands twice in the list of regions: that is found elsewhere */
        struct config_backend *backend = &config->backends[config->backend_count];
        snprintf(full, sizeof(full), "%s.backends[%zu]", path, index);
        config_read_object(reader, full, element, &config_backend_object, backend, false);
        read_tls(reader, full, element, &common, &backend->tls);
        backend->service = service;
        backend->region = region;
        name_backend(backend);
        config->backend_count++;
    }
}

static void read_service(struct config_reader *reader, size_t service, json_t *regions,
                         uint32_t room)
{
    const struct config *config = reader->config;
    char path[CONFIG_PATH_MAX];
    snprintf(path, sizeof(path), "services[%zu].regions", service);
    if (regions == NULL)
        return; /* found to be missing already */
    if (!json_is_object(regions)) {
        config_found(reader->findings, path, "expected an object of region names");
        return;
    }
    check_region_names(reader, path, regions);
    uint32_t before = config->backend_count;
    for (uint32_t r = 0; r < config->region_count; r++) {
        json_t *region = json_object_get(regions, config->regions[r].name);
        char full[CONFIG_PATH_MAX];
        snprintf(full, sizeof(full), "services[%zu].regions.%s", service, config->regions[r].name);
        if (region != NULL)
            read_group(reader, full, region, (uint16_t)service, (uint16_t)r, room);
    }
    if (config->backend_count == before)
        config_found(reader->findings, path, "has no backend; expected at least one");
}

void config_read_backends(struct config_reader *reader, const json_t *services)
{
    struct config *config = reader->config;
    size_t index;
    json_t *service;
    uint32_t count = count_backends(services);
    if (count > SNAPSHOT_BACKENDS_MAX) {
        config_found(reader->findings, "services", "have %u backends; expected at most %u", count,
                     SNAPSHOT_BACKENDS_MAX);
        return;
    }
    config->backends = config_take(config, count * sizeof(*config->backends) + 1);
    json_array_foreach(services, index, service)
    {
        if (index < config->service_count)
            read_service(reader, index, json_object_get(service, "regions"), count);
    }
}
