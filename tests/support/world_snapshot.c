#include "tests/support/world_snapshot.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/region/pick.h"
#include "tests/support/world_tls.h"

#include <stdlib.h>

/* One block of memory, as the control thread's. */
struct built {
    struct snapshot snapshot;
    struct snapshot_listener listeners[4];
    struct snapshot_route routes[WORLD_ROUTES];
    struct snapshot_service services[WORLD_SERVICES];
    struct snapshot_group groups[WORLD_SERVICES][WORLD_REGIONS];
    struct snapshot_region regions[WORLD_REGIONS];
    struct snapshot_backend backends[WORLD_BACKENDS_MAX];
    uint32_t weight_ends[WORLD_BACKENDS_MAX];
};

static struct snapshot_route route(const char *prefix, enum world_service service)
{
    return (struct snapshot_route){
        .name = bytes_text(prefix + 1),
        .path_prefix = bytes_text(prefix),
        .service = (uint16_t)service,
        .request_timeout_ns = 60 * CLOCK_S,
        .first_byte_timeout_ns = 20 * CLOCK_S,
        .idle_timeout_ns = 20 * CLOCK_S,
        .body_timeout_ns = 20 * CLOCK_S,
        .x_forwarded = FORWARD_APPEND,
        .coalesce = {.linger_ns = 500 * CLOCK_MS, .flight_bytes = 1024 * 1024},
    };
}

static void init_routes(struct world_draft *draft)
{
    struct snapshot_route *routes = draft->routes;
    routes[WORLD_ROUTE_SHARE] = route("/share", WORLD_SERVICE);
    routes[WORLD_ROUTE_SHARE].coalesce.mode = COALESCE_GET;
    routes[WORLD_ROUTE_OWN] = route("/own", WORLD_SERVICE);
    routes[WORLD_ROUTE_SAFE] = route("/safe", WORLD_SERVICE);
    routes[WORLD_ROUTE_SAFE].replay_safe = true;
    routes[WORLD_ROUTE_SHORT] = route("/short", WORLD_SERVICE);
    routes[WORLD_ROUTE_SHORT].coalesce.mode = COALESCE_GET;
    routes[WORLD_ROUTE_SHORT].request_timeout_ns = 3 * CLOCK_S;
    routes[WORLD_ROUTE_SHORT].first_byte_timeout_ns = 1 * CLOCK_S;
    routes[WORLD_ROUTE_SHORT].idle_timeout_ns = 1 * CLOCK_S;
    routes[WORLD_ROUTE_ASK] = route("/ask", WORLD_SERVICE);
    routes[WORLD_ROUTE_ASK].coalesce.mode = COALESCE_POST_BODY;
    routes[WORLD_ROUTE_EMPTY] = route("/empty", WORLD_SERVICE_EMPTY);
}

void world_draft_init(struct world_draft *draft, const char *const addresses[WORLD_BACKENDS_MAX])
{
    static const char *const names[WORLD_BACKENDS_MAX] = {"eu-0", "eu-1", "us-0", "us-1"};
    *draft = (struct world_draft){0};
    init_routes(draft);
    draft->regions[0] = (struct snapshot_region){bytes_text("eu"), true, false, 1000};
    draft->regions[1] = (struct snapshot_region){bytes_text("us"), true, false, 1000};
    for (uint32_t i = 0; i < WORLD_BACKENDS_MAX; i++) {
        draft->backends[i] = (struct snapshot_backend){
            .name = bytes_text(names[i]),
            .slot = i,
            .generation = 1,
            .region = (uint16_t)(i / 2),
            .port = WORLD_PORT,
            .weight = 1,
            .usable = true,
        };
        check(ip_address_parse(addresses[i], &draft->backends[i].address));
    }
}

/* In clear text, then over TLS if there is TLS. Returns how many. */
static uint32_t build_listeners(struct built *built, bool tls)
{
    static const char *const texts[] = {WORLD_VIP_V4, WORLD_VIP_V6};
    uint32_t count = array_count(texts) * (tls ? 2 : 1);
    for (uint32_t i = 0; i < count; i++) {
        struct snapshot_listener *listener = &built->listeners[i];
        listener->tls = i >= array_count(texts);
        listener->tls_profile = WORLD_TLS_WEIR;
        listener->name = bytes_text(listener->tls ? "https" : "http");
        listener->port = listener->tls ? WORLD_TLS_PORT : WORLD_PORT;
        check(ip_address_parse(texts[i % array_count(texts)], &listener->address));
    }
    return count;
}

/* The backends that are there, in groups by region. */
static uint32_t build_backends(struct built *built, const struct world_draft *draft)
{
    uint32_t count = 0;
    for (uint16_t region = 0; region < WORLD_REGIONS; region++) {
        struct snapshot_group *group = &built->groups[WORLD_SERVICE][region];
        group->first = (uint16_t)count;
        for (uint32_t i = 0; i < WORLD_BACKENDS_MAX; i++)
            if (draft->backends[i].region == region && !draft->removed[i])
                built->backends[count++] = draft->backends[i];
        group->count = (uint16_t)(count - group->first);
        group->weight_ends = built->weight_ends + group->first;
        pick_sum_weights(built->backends + group->first, group->count,
                         built->weight_ends + group->first);
    }
    return count;
}

struct snapshot *world_snapshot_build(const struct world_draft *draft, uint64_t generation)
{
    struct built *built = calloc(1, sizeof(*built));
    check(built != NULL);
    memcpy(built->routes, draft->routes, sizeof(built->routes));
    memcpy(built->regions, draft->regions, sizeof(built->regions));
    for (int i = 0; i < WORLD_SERVICES; i++)
        built->services[i].groups = built->groups[i];
    built->services[WORLD_SERVICE].name = bytes_text("web");
    built->services[WORLD_SERVICE_EMPTY].name = bytes_text("empty");
    built->snapshot = (struct snapshot){
        .generation = generation,
        .draining = draft->draining,
        .panic = draft->panic,
        .admission = draft->admission,
        .access = draft->access,
        .denied = draft->denied,
        .node = bytes_text("node-1"),
        .listeners = built->listeners,
        .listener_count = build_listeners(built, draft->tls != NULL),
        .tls = draft->tls,
        .routes = built->routes,
        .route_count = WORLD_ROUTES,
        .services = built->services,
        .service_count = WORLD_SERVICES,
        .regions = built->regions,
        .region_count = WORLD_REGIONS,
        .backends = built->backends,
        .backend_count = build_backends(built, draft),
    };
    return &built->snapshot;
}

void world_snapshot_free(struct snapshot *snapshot)
{
    struct built *built = container_of(snapshot, struct built, snapshot);
    memset(built, 0xdd, sizeof(*built));
    free(built);
}
