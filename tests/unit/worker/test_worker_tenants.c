/*
 * Two tenants on one worker (rule C29): one takes all it can get, the other one asks for a little
 * and has to get it, as if it were alone. The first has credentials, the second an address.
 */
#include "dataplane/base/clock.h"
#include "tests/support/checks.h"
#include "tests/support/cmocka.h"

#include <stdio.h>
#include <string.h>

#define BURST       256
#define BURST_CONNS 8
#define FEW         10

struct tenants {
    struct world *world;
    struct client_request *burst[BURST];
    struct client_request *few[FEW];
};

/* Path FORMAT has the number of the request in it; everybody asks at once. */
static void send_burst(struct tenants *tenants, const char *format,
                       const struct client_script *like)
{
    struct client_conn *conns[BURST_CONNS];
    for (uint32_t i = 0; i < BURST_CONNS; i++)
        conns[i] = world_connect_to(tenants->world, 0, i % 2 == 0);
    for (uint32_t i = 0; i < BURST; i++) {
        char path[64];
        struct client_script script = *like;
        snprintf(path, sizeof(path), format, i);
        script.path = path;
        script.names[0] = "authorization";
        script.values[0] = "greedy";
        tenants->burst[i] = world_send(tenants->world, conns[i % BURST_CONNS], &script);
    }
}

static bool burst_is_in(struct world *world, void *context)
{
    return world_counter(world, "request", "exchanges") +
               world_counter(world, "request", "exchanges_shed") >=
           BURST;
}

/* When the burst has arrived the other one comes. */
static void send_few(struct tenants *tenants, const char *format)
{
    struct client_conn *conn =
        client_connect(&tenants->world->clients[1], WORLD_VIP_V4, WORLD_PORT, tenants->world->now);
    assert_true(world_run_until(tenants->world, burst_is_in, NULL, 60 * CLOCK_S));
    for (uint32_t i = 0; i < FEW; i++) {
        char path[64];
        snprintf(path, sizeof(path), format, i);
        tenants->few[i] = world_get(tenants->world, conn, path);
    }
}

static bool few_are_over(struct world *world, void *context)
{
    const struct tenants *tenants = context;
    for (uint32_t i = 0; i < FEW; i++)
        if (tenants->few[i]->outcome == CLIENT_OPEN)
            return false;
    return true;
}

static void assert_few_are_whole(struct tenants *tenants, uint64_t bytes)
{
    assert_true(world_run_until(tenants->world, few_are_over, tenants, 100 * CLOCK_S));
    for (uint32_t i = 0; i < FEW; i++)
        assert_true(client_is_whole(tenants->few[i], 200, bytes));
}

/* Of the burst: answered by Weir with 503 and this detail. */
static uint32_t refused_count(const struct tenants *tenants, const char *detail)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < BURST; i++) {
        const struct client_request *request = tenants->burst[i];
        if (!client_is_local(request, 503) || strcmp(request->cache_status, detail) != 0)
            continue;
        assert_true(request->has_retry_after);
        count++;
    }
    return count;
}

/* Reset by Weir as not processed: there was no room for an answer. */
static uint32_t reset_count(const struct tenants *tenants)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < BURST; i++)
        count += tenants->burst[i]->outcome == CLIENT_RESET && tenants->burst[i]->reset.unprocessed;
    return count;
}

/* So many in all, and those that were told why were told this. */
static void assert_refused(const struct tenants *tenants, const char *detail, uint32_t count)
{
    uint32_t told = refused_count(tenants, detail);
    assert_true(told > 0);
    assert_int_equal(told + reset_count(tenants), count);
}

static void let_go(struct tenants *tenants)
{
    for (uint32_t i = 0; i < BURST; i++)
        if (tenants->burst[i]->outcome == CLIENT_OPEN)
            client_leave(tenants->burst[i], tenants->world->now);
    assert_true(world_run(tenants->world));
    assert_true(check_and_close(tenants->world));
}

static struct tenants open_with(const struct worker_limits *limits)
{
    struct tenants tenants = {0};
    tenants.world = world_open(&(struct world_config){.seed = 29, .limits = *limits});
    return tenants;
}

/* Two seconds for every answer: what the burst has got it keeps while the others ask. */
static void slow_answers(struct tenants *tenants)
{
    world_plan(tenants->world, &(struct backend_plan){.head_after_ns = 2 * CLOCK_S});
}

static void c29_requests_in_progress(void **state)
{
    struct worker_limits limits = world_limits;
    limits.exchanges = 128;
    struct tenants tenants = open_with(&limits);
    slow_answers(&tenants);
    send_burst(&tenants, "/own/%u", &(struct client_script){0});
    send_few(&tenants, "/own/few/%u?size=3000");
    assert_few_are_whole(&tenants, 3000);
    assert_refused(&tenants, "weir; detail=principal-requests", BURST - 81); /* 3 in 4 of 108 */
    let_go(&tenants);
}

static void c29_a_configured_limit_of_requests(void **state)
{
    struct tenants tenants = open_with(&world_limits);
    tenants.world->draft.admission.requests_per_principal = 20;
    world_publish(tenants.world);
    slow_answers(&tenants);
    send_burst(&tenants, "/own/%u", &(struct client_script){0});
    send_few(&tenants, "/own/few/%u?size=3000");
    assert_few_are_whole(&tenants, 3000);
    assert_refused(&tenants, "weir; detail=principal-requests", BURST - 20);
    let_go(&tenants);
}

static void c29_the_workers_limit_is_everybodys(void **state)
{
    struct tenants tenants = open_with(&world_limits);
    tenants.world->draft.admission.requests = 100;
    world_publish(tenants.world);
    slow_answers(&tenants);
    send_burst(&tenants, "/own/%u", &(struct client_script){0});
    send_few(&tenants, "/own/few/%u");
    assert_few_are_whole(&tenants, 0);
    assert_refused(&tenants, "weir; detail=principal-requests", BURST - 68); /* 3 in 4 of 90 */
    let_go(&tenants);
}

static void c29_flights(void **state)
{
    struct worker_limits limits = world_limits;
    limits.flights = 64;
    struct tenants tenants = open_with(&limits);
    slow_answers(&tenants);
    send_burst(&tenants, "/own/%u", &(struct client_script){0});
    send_few(&tenants, "/own/few/%u?size=3000");
    assert_few_are_whole(&tenants, 3000);
    assert_int_equal(refused_count(&tenants, "weir; detail=principal-flights"), BURST - 48);
    let_go(&tenants);
}

/* The burst reads nothing of large answers. */
static void c29_payload(void **state)
{
    struct worker_limits limits = world_limits;
    limits.segments = 256;
    struct tenants tenants = open_with(&limits);
    send_burst(&tenants, "/own/%u?size=400000", &(struct client_script){.holds_credit = true});
    world_run_for(tenants.world, 2 * CLOCK_S);
    send_few(&tenants, "/own/few/%u?size=30000");
    assert_few_are_whole(&tenants, 30000);
    assert_true(world_counter(tenants.world, "coalesce", "windows_held_memory") > 0);
    let_go(&tenants);
}

/* The burst has as many keys as it may: the others share all the same. */
static void c29_keys(void **state)
{
    struct tenants tenants = open_with(&world_limits);
    tenants.world->draft.admission.flights_per_principal = 30;
    world_publish(tenants.world);
    slow_answers(&tenants);
    send_burst(&tenants, "/share/%u", &(struct client_script){0});
    send_few(&tenants, "/share/few?size=3000");
    assert_few_are_whole(&tenants, 3000);
    assert_int_equal(backend_log_count(&tenants.world->log, "/share/few?size=3000"), 1);
    assert_int_equal(world_counter(tenants.world, "coalesce", "bypass_principal"), BURST - 30);
    assert_int_equal(world_counter(tenants.world, "coalesce", "joined_local"), FEW - 1);
    let_go(&tenants);
}

/* First attempts are reset, second ones of the burst go on for long. */
static struct backend_plan resets_first(void *context, const struct backend_seen *seen)
{
    const struct tenants *tenants = context;
    if (backend_log_count(&tenants->world->log, seen->path) == 1)
        return (struct backend_plan){.act = BACKEND_RESETS};
    bool few = strstr(seen->path, "few") != NULL;
    return (struct backend_plan){.head_after_ns = few ? 0 : 20 * CLOCK_S};
}

static void c29_second_attempts(void **state)
{
    struct tenants tenants = open_with(&world_limits);
    world_choose(tenants.world, resets_first, &tenants);
    send_burst(&tenants, "/own/%u", &(struct client_script){0});
    send_few(&tenants, "/own/few/%u?size=3000");
    assert_true(world_run_until(tenants.world, few_are_over, &tenants, 10 * CLOCK_S));
    uint32_t whole = 0;
    for (uint32_t i = 0; i < FEW; i++)
        whole += client_is_whole(tenants.few[i], 200, 3000);
    assert_true(whole >= 3); /* at least: those that were over gave their attempt to the next */
    assert_true(world_counter(tenants.world, "coalesce", "retries_denied_budget") > BURST / 2);
    let_go(&tenants);
}

/* Invented credentials do not help: they count as the address they come from. */
static void c29_many_names_of_one_address(void **state)
{
    static char names[BURST][16];
    struct tenants tenants = open_with(&world_limits);
    struct client_conn *conn[BURST_CONNS];
    tenants.world->draft.admission.principals_per_address = 8;
    tenants.world->draft.admission.requests_per_principal = 10;
    world_publish(tenants.world);
    slow_answers(&tenants);
    for (uint32_t i = 0; i < BURST_CONNS; i++)
        conn[i] = client_connect(&tenants.world->clients[0], WORLD_VIP_V4, WORLD_PORT,
                                 tenants.world->now);
    for (uint32_t i = 0; i < BURST; i++) {
        snprintf(names[i], sizeof(names[i]), "invented-%u", i);
        tenants.burst[i] =
            world_send(tenants.world, conn[i % BURST_CONNS],
                       &(struct client_script){
                           .path = "/own", .names = {"authorization"}, .values = {names[i]}});
    }
    send_few(&tenants, "/own/few/%u?size=3000");
    assert_few_are_whole(&tenants, 3000);
    assert_refused(&tenants, "weir; detail=principal-requests", BURST - 8 - 10);
    assert_int_equal(world_counter(tenants.world, "coalesce", "principals_folded"), BURST - 8);
    let_go(&tenants);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(c29_requests_in_progress),
        cmocka_unit_test(c29_a_configured_limit_of_requests),
        cmocka_unit_test(c29_the_workers_limit_is_everybodys),
        cmocka_unit_test(c29_flights),
        cmocka_unit_test(c29_payload),
        cmocka_unit_test(c29_keys),
        cmocka_unit_test(c29_second_attempts),
        cmocka_unit_test(c29_many_names_of_one_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
