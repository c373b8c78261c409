#include "tests/support/chaos.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"

#include <inttypes.h>
#include <stdio.h>

#define MILLION     1000000
#define FRESH       6
#define OPEN_MAX    400 /* requests under way */
#define PATHS       6   /* of each kind: some are asked by several at a time */
#define RECOVERY_NS (90 * CLOCK_S)

const struct chaos_rates chaos_rates = {
    .connect = 30000,
    .request = 300000,
    .leave = 20000,
    .abort = 2000,
    .resume = 20000,
    .backend = 2000,
    .region = 300,
    .publish = 2000,
    .freeze = 1000,
    .misbehave_permille = 150,
};

static uint32_t draw(struct chaos *chaos, uint32_t bound)
{
    return random_below(&chaos->world->random, bound);
}

static bool happens(struct chaos *chaos, uint32_t ppm)
{
    return ppm > 0 && draw(chaos, MILLION) < ppm;
}

/* ---- backends ---- */

static const enum backend_act acts[] = {
    BACKEND_HANGS,  BACKEND_RESETS,     BACKEND_REFUSES, BACKEND_CLOSES,      BACKEND_SHUTS_DOWN,
    BACKEND_ABORTS, BACKEND_SENDS_LESS, BACKEND_CUTS,    BACKEND_RENEGOTIATES};

static void draw_misbehaviour(struct chaos *chaos, struct backend_plan *plan, uint64_t size)
{
    plan->act = acts[draw(chaos, array_count(acts))];
    plan->act_late = draw(chaos, 2) == 0 || plan->act == BACKEND_SENDS_LESS;
    plan->act_after_bytes = size > 0 ? draw(chaos, (uint32_t)size) : 0;
    if (plan->act == BACKEND_SENDS_LESS && (size == 0 || plan->trailers))
        plan->act = BACKEND_RESETS; /* there is nothing less to send */
    if (plan->act == BACKEND_SENDS_LESS)
        plan->no_length = false; /* else it would be a good answer */
    if (plan->act == BACKEND_SENDS_LESS || plan->act == BACKEND_CLOSES)
        plan->until_close = false; /* likewise */
}

static struct backend_plan choose(void *context, const struct backend_seen *seen)
{
    static const uint16_t statuses[] = {200, 200, 200, 200, 404, 500, 503};
    struct chaos *chaos = context;
    uint64_t size = backend_size_of(seen->path);
    struct backend_plan plan = {
        .status = statuses[draw(chaos, array_count(statuses))],
        .early = draw(chaos, 4) == 0,
        .interim = draw(chaos, 10) == 0,
        .trailers = draw(chaos, 4) == 0,
        .no_length = draw(chaos, 3) == 0,
        .until_close = draw(chaos, 4) == 0,
        .new_keys = draw(chaos, 20) == 0,
        .head_after_ns = draw(chaos, 3) == 0 ? 0 : draw(chaos, 100) * CLOCK_MS,
    };
    if (draw(chaos, 2) == 0) {
        plan.chunk_bytes = 1 + draw(chaos, 20000);
        plan.chunk_every_ns = 1 + draw(chaos, 20) * CLOCK_MS;
    }
    if (draw(chaos, 20) == 0)
        plan.name = "cache-control", plan.value = "no-store";
    if (draw(chaos, 1000) < chaos->rates.misbehave_permille)
        draw_misbehaviour(chaos, &plan, size);
    return plan;
}

static void change_backend(struct chaos *chaos)
{
    struct backend *backend = &chaos->world->backends[draw(chaos, WORLD_BACKENDS_MAX)];
    uint64_t now = chaos->world->now;
    if (backend->state != BACKEND_UP || draw(chaos, 3) == 0)
        backend_up(backend);
    else if (draw(chaos, 3) == 0)
        backend_refuse(backend);
    else if (draw(chaos, 2) == 0)
        backend_crash(backend, now);
    else
        backend_die(backend, now);
}

static void change_region(struct chaos *chaos)
{
    uint16_t region = (uint16_t)draw(chaos, WORLD_REGIONS);
    switch (draw(chaos, 4)) {
    case 0:
        world_region_die(chaos->world, region);
        return;
    case 1:
        world_region_crash(chaos->world, region);
        return;
    default:
        world_region_up(chaos->world, region);
    }
}

/* Now and then there is not room for all, or nobody looks well. */
static void change_limits(struct chaos *chaos, struct world_draft *draft)
{
    struct snapshot_region *region = &draft->regions[draw(chaos, WORLD_REGIONS)];
    struct snapshot_route *route = &draft->routes[draw(chaos, WORLD_ROUTES)];
    region->capacity = draw(chaos, 2) == 0 ? 0 : 1 + draw(chaos, 20);
    draft->admission.node_flights = draw(chaos, 4) != 0 ? 0 : 1 + draw(chaos, 40);
    draft->panic = draw(chaos, 4) == 0;
    route->priority = (enum priority)draw(chaos, PRIORITIES);
    route->when_no_region = draw(chaos, 3) == 0 ? NO_REGION_FAIL : NO_REGION_PANIC;
}

static void unlimited(struct world_draft *draft)
{
    for (uint16_t i = 0; i < WORLD_REGIONS; i++)
        draft->regions[i].capacity = 0;
    draft->admission.node_flights = 0;
    draft->panic = false;
}

static void change_snapshot(struct chaos *chaos)
{
    struct world_draft *draft = &chaos->world->draft;
    uint32_t i = draw(chaos, WORLD_BACKENDS_MAX);
    draft->removed[i] = draw(chaos, 3) == 0;
    draft->backends[i].usable = draw(chaos, 3) != 0;
    draft->backends[i].drained = draw(chaos, 5) == 0;
    draft->backends[i].generation += draw(chaos, 10) == 0;
    struct snapshot_region *region = &draft->regions[draw(chaos, WORLD_REGIONS)];
    region->active = draw(chaos, 3) != 0;
    region->suspect = draw(chaos, 3) == 0;
    region->share_permille = (uint16_t)(draw(chaos, 2) == 0 ? 1000 : 1 + draw(chaos, 1000));
    draft->draining = draw(chaos, 20) == 0;
    change_limits(chaos, draft);
    world_publish(chaos->world);
}

static void freeze_one(struct chaos *chaos)
{
    static const uint64_t lengths[] = {CLOCK_MS, 10 * CLOCK_MS, 300 * CLOCK_MS, 2 * CLOCK_S};
    uint32_t actor = draw(chaos, world_actor_count(chaos->world));
    world_freeze(chaos->world, actor, lengths[draw(chaos, array_count(lengths))]);
}

/* ---- clients ---- */

static struct client *draw_client(struct chaos *chaos)
{
    return &chaos->world->clients[draw(chaos, WORLD_CLIENTS)];
}

static void connect_one(struct chaos *chaos)
{
    uint32_t client = draw(chaos, WORLD_CLIENTS);
    if (chaos->world->clients[client].conn_count + FRESH < CLIENT_CONNS_MAX)
        world_connect(chaos->world, client, draw(chaos, 2) == 0);
}

static uint32_t draw_size(struct chaos *chaos)
{
    static const uint32_t sizes[] = {0, 1, 1000, 1460, 5000, 16384, 65535, 300000};
    uint32_t size = sizes[draw(chaos, array_count(sizes))];
    return size == 300000 && draw(chaos, 4) != 0 ? 300 : size;
}

static void draw_script(struct chaos *chaos, struct client_script *script, char *path, size_t room)
{
    static const char *const prefixes[] = {"share", "share", "share", "own",
                                           "safe",  "short", "empty", "none"};
    static const char *const methods[] = {"GET", "GET", "GET", "GET", "HEAD", "POST", "PUT"};
    static const char *const principals[] = {"Bearer a", "Bearer b"};
    snprintf(path, room, "/%s/%u?size=%u", prefixes[draw(chaos, array_count(prefixes))],
             draw(chaos, PATHS), draw_size(chaos));
    *script = (struct client_script){.path = path};
    script->method = methods[draw(chaos, array_count(methods))];
    if (script->method[0] == 'P') {
        script->body_bytes = draw_size(chaos);
        script->trailers = draw(chaos, 4) == 0;
    }
    script->holds_credit = draw(chaos, 30) == 0;
    if (draw(chaos, 20) == 0)
        script->leaves_after = 1 + draw(chaos, 20000);
    if (draw(chaos, 3) == 0) {
        script->names[0] = "authorization";
        script->values[0] = principals[draw(chaos, array_count(principals))];
    }
}

static void send_one(struct chaos *chaos)
{
    struct client *client = draw_client(chaos);
    char path[CLIENT_TEXT_BYTES];
    struct client_script script;
    if (client->conn_count == 0 || client->request_count + FRESH >= CLIENT_REQUESTS_MAX ||
        client_open_count(client) >= OPEN_MAX)
        return;
    struct client_conn *conn = &client->conns[draw(chaos, client->conn_count)];
    draw_script(chaos, &script, path, sizeof(path));
    world_send(chaos->world, conn, &script);
    chaos->requests++;
}

static void leave_one(struct chaos *chaos)
{
    struct client *client = draw_client(chaos);
    if (client->request_count > 0)
        client_leave(&client->requests[draw(chaos, client->request_count)], chaos->world->now);
}

static void abort_one(struct chaos *chaos)
{
    struct client *client = draw_client(chaos);
    if (client->conn_count == 0)
        return;
    struct client_conn *conn = &client->conns[draw(chaos, client->conn_count)];
    if (draw(chaos, 2) == 0)
        client_conn_abort(conn, chaos->world->now);
    else
        client_conn_close(conn, chaos->world->now);
}

static void resume_all(struct chaos *chaos)
{
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++)
        for (uint32_t j = 0; j < chaos->world->clients[i].request_count; j++)
            client_resume(&chaos->world->clients[i].requests[j]);
}

/* ---- the whole ---- */

void chaos_begin(struct chaos *chaos, struct world *world, const struct chaos_rates *rates)
{
    *chaos = (struct chaos){.world = world, .rates = *rates};
    world_choose(world, choose, chaos);
    for (int i = 0; i < 4; i++)
        connect_one(chaos);
}

static void one_turn(struct chaos *chaos)
{
    const struct chaos_rates *rates = &chaos->rates;
    const struct {
        uint32_t ppm;
        void (*what)(struct chaos *chaos);
    } events[] = {
        {rates->connect, connect_one},  {rates->request, send_one},
        {rates->leave, leave_one},      {rates->abort, abort_one},
        {rates->resume, resume_all},    {rates->backend, change_backend},
        {rates->region, change_region}, {rates->publish, change_snapshot},
        {rates->freeze, freeze_one},
    };
    for (size_t i = 0; i < array_count(events); i++)
        if (happens(chaos, events[i].ppm))
            events[i].what(chaos);
    world_turn(chaos->world);
}

void chaos_turns(struct chaos *chaos, uint32_t turns)
{
    for (uint32_t i = 0; i < turns; i++)
        one_turn(chaos);
}

static void make_all_good(struct chaos *chaos)
{
    struct world *world = chaos->world;
    const struct wire_faults none = {0};
    world_set_faults(world, &none, &none);
    world_choose(world, NULL, NULL);
    world_plan(world, &(struct backend_plan){0});
    for (uint16_t i = 0; i < WORLD_REGIONS; i++) {
        world_region_up(world, i);
        world->draft.regions[i].active = true;
        world->draft.regions[i].suspect = false;
        world->draft.regions[i].share_permille = 1000;
    }
    for (uint32_t i = 0; i < WORLD_BACKENDS_MAX; i++) {
        world->draft.removed[i] = false;
        world->draft.backends[i].usable = true;
        world->draft.backends[i].drained = false;
    }
    unlimited(&world->draft);
    world->draft.draining = false;
    world_publish(world);
    resume_all(chaos);
}

static void everybody_leaves(struct chaos *chaos)
{
    struct world *world = chaos->world;
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++)
        for (uint32_t j = 0; j < world->clients[i].conn_count; j++)
            client_conn_close(&world->clients[i].conns[j], world->now);
    world_run_for(world, RECOVERY_NS);
}

static bool check_fresh(const struct world *world, const struct client_request *request)
{
    if (client_is_whole(request, 200, 10000))
        return true;
    fprintf(stderr,
            "seed %" PRIu64 ": afterwards %s: outcome %d, connection %s (%d), status %u, reset %u, "
            "%" PRIu64 " bytes: %s\n",
            world->config.seed, request->path, request->outcome,
            request->conn->opened ? "opened" : "not opened", request->conn->failure,
            request->status, request->reset.code, request->received, request->text);
    return false;
}

static bool ask_fresh(struct chaos *chaos)
{
    struct client_request *requests[FRESH];
    struct world *world = chaos->world;
    for (uint32_t i = 0; i < FRESH; i++) {
        struct client_conn *conn = world_connect(world, i % WORLD_CLIENTS, i % 2 == 0);
        requests[i] = world_get(world, conn, i < 3 ? "/share/fresh?size=10000" : "/own?size=10000");
    }
    if (!world_run(world))
        return false;
    bool good = true;
    for (uint32_t i = 0; i < FRESH; i++)
        good &= check_fresh(world, requests[i]);
    return good;
}

bool chaos_end(struct chaos *chaos)
{
    make_all_good(chaos);
    if (!world_run(chaos->world)) {
        fprintf(stderr, "seed %" PRIu64 ": requests do not end\n", chaos->world->config.seed);
        return false;
    }
    everybody_leaves(chaos);
    bool good = ask_fresh(chaos);
    if (!good)
        fprintf(stderr, "seed %" PRIu64 ": it does not recover\n", chaos->world->config.seed);
    return good;
}
