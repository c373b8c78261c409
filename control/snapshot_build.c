#include "control/snapshot_build.h"

#include "control/certificates.h"
#include "control/deny_build.h"
#include "dataplane/base/check.h"
#include "dataplane/region/pick.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * One block: the snapshot, its arrays, its texts. Built in two passes over the same code: the first
 * only measures (base NULL), the second fills.
 */
struct builder {
    uint8_t *base; /* NULL while measuring */
    size_t used;
};

static void *take(struct builder *builder, size_t bytes)
{
    size_t at = (builder->used + 15) & ~(size_t)15;
    builder->used = at + bytes;
    return builder->base != NULL ? builder->base + at : NULL;
}

static struct bytes text(struct builder *builder, const char *from)
{
    size_t length = strlen(from);
    uint8_t *room = take(builder, length);
    if (room != NULL)
        memcpy(room, from, length);
    return bytes_of(room, length);
}

static const struct bytes *texts(struct builder *builder, char (*from)[CONFIG_NAME_MAX],
                                 uint32_t count)
{
    struct bytes *room = take(builder, count * sizeof(*room));
    for (uint32_t i = 0; i < count; i++) {
        struct bytes one = text(builder, from[i]);
        if (room != NULL)
            room[i] = one;
    }
    return room;
}

static const struct snapshot_literal *literals(struct builder *builder,
                                               const struct config_literal *from, uint32_t count)
{
    struct snapshot_literal *room = take(builder, count * sizeof(*room));
    for (uint32_t i = 0; i < count; i++) {
        struct snapshot_literal one = {text(builder, from[i].name), text(builder, from[i].value)};
        if (room != NULL)
            room[i] = one;
    }
    return room;
}

static void add_listeners(struct builder *builder, const struct config *config,
                          struct snapshot *out)
{
    struct snapshot_listener *room = take(builder, config->listener_count * sizeof(*room));
    out->listeners = room;
    out->listener_count = config->listener_count;
    uint16_t profiles = 0;
    for (uint32_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *from = &config->listeners[i];
        struct snapshot_listener one = {text(builder, from->name), from->address, from->port};
        one.tls = from->tls.certificate_count > 0;
        if (one.tls)
            one.tls_profile = profiles++;
        one.http1 = from->http1;
        one.http1_location = text(builder, from->http1_location);
        out->asks_certificates |=
            one.tls && from->tls.client_certificate != TLS_CLIENT_CERTIFICATE_NONE;
        if (room != NULL)
            room[i] = one;
    }
}

static struct snapshot_coalesce coalesce_of(struct builder *builder,
                                            const struct config_coalesce *from)
{
    return (struct snapshot_coalesce){
        .mode = from->mode,
        .share_across_principals = from->share_across_principals,
        .ignore_no_store = from->ignore_no_store,
        .ignore_set_cookie = from->ignore_set_cookie,
        .linger_ns = from->linger_ns,
        .flight_bytes = from->flight_bytes,
        .key_headers = texts(builder, from->key_headers, from->key_header_count),
        .key_header_count = from->key_header_count,
        .neutral_headers = texts(builder, from->neutral_headers, from->neutral_header_count),
        .neutral_header_count = from->neutral_header_count,
        .principal_headers = texts(builder, from->principal_headers, from->principal_header_count),
        .principal_header_count = from->principal_header_count,
        .when_json = literals(builder, from->when_json, from->when_json_count),
        .when_json_count = from->when_json_count,
    };
}

/* The whole event, as it is sent. */
static struct bytes event_text(struct builder *builder, const char *data)
{
    char event[CONFIG_NAME_MAX + 256];
    if (data[0] == '\0')
        return BYTES_NONE;
    snprintf(event, sizeof(event), "event: error\ndata: %s\n\n", data);
    return text(builder, event);
}

static void add_routes(struct builder *builder, const struct config *config, struct snapshot *out)
{
    struct snapshot_route *room = take(builder, config->route_count * sizeof(*room));
    out->routes = room;
    out->route_count = config->route_count;
    for (uint32_t i = 0; i < config->route_count; i++) {
        const struct config_route *from = &config->routes[i];
        struct snapshot_route one = {
            .name = text(builder, from->name),
            .authority = text(builder, from->authority),
            .path_prefix = text(builder, from->path_prefix),
            .service = from->service,
            .replay_safe = from->replay_safe,
            .request_timeout_ns = from->request_timeout_ns,
            .first_byte_timeout_ns = from->first_byte_timeout_ns,
            .idle_timeout_ns = from->idle_timeout_ns,
            .body_timeout_ns = from->body_timeout_ns,
            .forwarded = from->forwarded,
            .x_forwarded = from->x_forwarded,
            .when_no_region = from->when_no_region,
            .priority = from->priority,
            .hold_first_byte_ns = from->hold_first_byte_ns,
            .hold_stream_ns = from->hold_stream_ns,
            .event_stream_error = event_text(builder, from->event_stream_error),
            .event_stream_keepalive_ns = from->event_stream_keepalive_ns,
            .extended_connect =
                texts(builder, from->extended_connect, from->extended_connect_count),
            .extended_connect_count = from->extended_connect_count,
            .coalesce = coalesce_of(builder, &from->coalesce),
        };
        if (room != NULL)
            room[i] = one;
    }
}

static void add_regions(struct builder *builder, const struct config *config,
                        const struct failover *failover, struct snapshot *out)
{
    struct snapshot_region *room = take(builder, config->region_count * sizeof(*room));
    out->regions = room;
    out->region_count = config->region_count;
    for (uint32_t i = 0; i < config->region_count; i++) {
        struct snapshot_region one = {
            .name = text(builder, config->regions[i].name),
            .active = failover_region_active(failover, i),
            .suspect = failover_region_suspect(failover, i),
            .share_permille = failover_region_share(failover, i),
            .capacity = failover_region_capacity(failover, i),
        };
        if (room != NULL)
            room[i] = one;
    }
}

static void add_backends(struct builder *builder, const struct config *config,
                         const struct failover *failover, struct snapshot *out)
{
    struct snapshot_backend *room = take(builder, config->backend_count * sizeof(*room));
    out->backends = room;
    out->backend_count = config->backend_count;
    uint16_t targets = 0;
    for (uint32_t i = 0; i < config->backend_count; i++) {
        const struct config_backend *from = &config->backends[i];
        struct snapshot_backend one = {
            .name = text(builder, from->name),
            .slot = from->slot,
            .generation = from->generation,
            .region = from->region,
            .service = from->service,
            .address = from->address,
            .port = from->port,
            .weight = failover_backend_weight(failover, from->slot),
            .protocol = from->protocol,
            .usable = failover_backend_usable(failover, from->slot),
            .tls = from->tls.on,
            .tls_target = targets,
        };
        targets += from->tls.on;
        if (room != NULL)
            room[i] = one;
    }
}

/* Backends are sorted by service, then region: a group is a run. */
static struct snapshot_group group_of(const struct config *config, uint32_t service,
                                      uint32_t region)
{
    struct snapshot_group group = {0, 0, NULL};
    for (uint32_t i = 0; i < config->backend_count; i++) {
        if (config->backends[i].service != service || config->backends[i].region != region)
            continue;
        if (group.count == 0)
            group.first = (uint16_t)i;
        group.count++;
    }
    return group;
}

static const struct snapshot_group *groups_of(struct builder *builder, const struct config *config,
                                              const struct snapshot *out, uint32_t service)
{
    struct snapshot_group *room = take(builder, config->region_count * sizeof(*room));
    for (uint32_t r = 0; r < config->region_count; r++) {
        struct snapshot_group group = group_of(config, service, r);
        uint32_t *ends = take(builder, group.count * sizeof(*ends));
        group.weight_ends = ends;
        if (room == NULL)
            continue;
        pick_sum_weights(out->backends + group.first, group.count, ends);
        room[r] = group;
    }
    return room;
}

/* The backends are there already. */
static void add_services(struct builder *builder, const struct config *config, struct snapshot *out)
{
    struct snapshot_service *room = take(builder, config->service_count * sizeof(*room));
    out->services = room;
    out->service_count = config->service_count;
    for (uint32_t s = 0; s < config->service_count; s++) {
        struct snapshot_service one = {
            .name = text(builder, config->services[s].name),
            .authority = text(builder, config->services[s].authority),
            .groups = groups_of(builder, config, out, s),
        };
        if (room != NULL)
            room[s] = one;
    }
}

static struct snapshot_cookies cookies_of(const struct config_tcp *tcp,
                                          const struct cookie_secrets *secrets)
{
    return (struct snapshot_cookies){
        .always = tcp->syn_cookies == CONFIG_COOKIES_ALWAYS,
        .shared = secrets->shared,
        .backlog = tcp->backlog,
        .secrets = {secrets->current.keys[0], secrets->current.keys[1]},
        .clock_ahead_ns = secrets->clock_ahead_ns,
    };
}

static struct snapshot_admission admission_of(const struct config_admission *admission)
{
    return (struct snapshot_admission){
        .requests = admission->requests,
        .requests_per_principal = admission->requests_per_principal,
        .flights_per_principal = admission->flights_per_principal,
        .principals_per_address = admission->principals_per_address,
    };
}

static struct snapshot_access access_of(const struct config_access *access)
{
    return (struct snapshot_access){
        .on = access->path[0] != '\0',
        .query = access->query,
        .sample = access->sample,
    };
}

static void build(struct builder *builder, const struct config *config,
                  const struct failover *failover, const struct cookie_secrets *secrets,
                  uint64_t generation, bool draining)
{
    struct snapshot *room = take(builder, sizeof(*room));
    struct snapshot snapshot = {.generation = generation, .draining = draining};
    snapshot.node = text(builder, config->node);
    snapshot.denied = config->denied;
    snapshot.tls = config->tls;
    snapshot.cookies = cookies_of(&config->tcp, secrets);
    snapshot.admission = admission_of(&config->admission);
    snapshot.admission.node_flights = failover_node_flights(failover);
    snapshot.panic = failover_is_panic(failover);
    snapshot.access = access_of(&config->log.access);
    add_listeners(builder, config, &snapshot);
    add_routes(builder, config, &snapshot);
    add_regions(builder, config, failover, &snapshot);
    add_backends(builder, config, failover, &snapshot);
    add_services(builder, config, &snapshot);
    if (room != NULL)
        *room = snapshot;
}

const struct snapshot *snapshot_build(const struct config *config, const struct failover *failover,
                                      const struct cookie_secrets *secrets, uint64_t generation,
                                      bool draining)
{
    struct builder builder = {0};
    build(&builder, config, failover, secrets, generation, draining);
    size_t needed = builder.used;
    builder = (struct builder){.base = calloc(1, needed)};
    if (builder.base == NULL)
        return NULL;
    build(&builder, config, failover, secrets, generation, draining);
    check(builder.used == needed);
    (void)deny_hold(config->denied);
    (void)certificates_hold(config->tls);
    return (const struct snapshot *)(const void *)builder.base;
}

void snapshot_free(const struct snapshot *snapshot)
{
    if (snapshot != NULL) {
        deny_drop(snapshot->denied);
        certificates_drop(snapshot->tls);
    }
    free((void *)snapshot);
}
