/* Requests through Weir's whole data path, nothing going wrong. */
#include "dataplane/base/clock.h"
#include "dataplane/h2/h2_worker.h"
#include "tests/support/checks.h"
#include "tests/support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>

static const uint32_t sizes[] = {0, 1, 1460, 65535, 1 << 20};

#define SIZES array_count(sizes)

/* GETs and POSTs of all sizes over connections of every worker; bodies differ both ways. */
static void bodies_pass(uint16_t workers, bool v6, uint64_t seed)
{
    struct client_request *gets[WORLD_WORKERS_MAX][SIZES];
    struct client_request *posts[WORLD_WORKERS_MAX][SIZES];
    struct world *world = world_open(&(struct world_config){.seed = seed, .workers = workers});
    for (uint16_t w = 0; w < workers; w++) {
        struct client_conn *conn = world_connect_to(world, w, v6);
        for (size_t i = 0; i < SIZES; i++) {
            char path[64];
            snprintf(path, sizeof(path), "/own/%u?size=%u", w, sizes[i]);
            gets[w][i] = world_get(world, conn, path);
            struct client_script post = {.method = "POST",
                                         .path = path,
                                         .body_bytes = sizes[SIZES - 1 - i],
                                         .trailers = i % 2 == 0};
            posts[w][i] = world_send(world, conn, &post);
        }
    }
    assert_true(world_run(world));
    for (uint16_t w = 0; w < workers; w++) {
        for (size_t i = 0; i < SIZES; i++) {
            assert_int_equal(gets[w][i]->outcome, CLIENT_FINISHED);
            assert_true(client_is_whole(gets[w][i], 200, sizes[i]));
            assert_int_equal(posts[w][i]->outcome, CLIENT_FINISHED);
            assert_true(client_is_whole(posts[w][i], 200, sizes[i]));
        }
    }
    assert_int_equal(world->log.count, 2 * SIZES * workers);
    for (uint32_t i = 0; i < world->log.count; i++)
        assert_true(world->log.seen[i].whole);
    assert_true(check_and_close(world));
}

static void bodies_pass_one_worker(void **state)
{
    bodies_pass(1, false, 1);
    bodies_pass(1, true, 2);
}

static void bodies_pass_two_workers(void **state)
{
    bodies_pass(2, false, 3);
    bodies_pass(2, true, 4);
}

static void bodies_pass_four_workers(void **state)
{
    bodies_pass(4, false, 5);
    bodies_pass(4, true, 6);
}

/* A world with one worker, one connection, and what one script on it is told. */
static struct client_request *ask(struct world *world, const struct client_script *script)
{
    struct client_request *request = world_send(world, world_connect(world, 0, false), script);
    assert_true(world_run(world));
    assert_int_equal(request->outcome, CLIENT_FINISHED);
    return request;
}

static struct world *open_one(uint64_t seed)
{
    return world_open(&(struct world_config){.seed = seed});
}

static void trailers_pass_both_ways(void **state)
{
    struct world *world = open_one(10);
    world_plan(world, &(struct backend_plan){.trailers = true});
    struct client_script post = {
        .method = "POST", .path = "/own?size=100", .body_bytes = 100, .trailers = true};
    struct client_request *request = ask(world, &post);
    assert_true(client_is_whole(request, 200, 100) && request->trailers);
    assert_true(world->log.seen[0].trailers && world->log.seen[0].body_bytes == 100);
    request = ask(world, &(struct client_script){.path = "/share?size=0"});
    assert_true(client_is_whole(request, 200, 0) && request->trailers);
    post.body_bytes = 0;
    request = ask(world, &post);
    assert_true(client_is_whole(request, 200, 100) && world->log.seen[2].trailers);
    assert_true(check_and_close(world));
}

/* Of which nothing goes on: the answer ends all the same (RFC 9110 6.5.1). */
static void trailers_without_any_field_are_an_end(void **state)
{
    struct world *world = open_one(24);
    world_plan(world, &(struct backend_plan){.trailers = true, .cookie_trailers = true});
    for (int size = 0; size <= 100; size += 100) {
        char path[32];
        snprintf(path, sizeof(path), "/share?size=%d", size);
        struct client_request *request = ask(world, &(struct client_script){.path = path});
        assert_true(client_is_whole(request, 200, (uint64_t)size) && !request->trailers);
    }
    assert_true(check_and_close(world));
}

/* They are as large as a header section may be, or the request is refused: nothing is cut off. */
static void trailers_that_are_too_large_are_refused(void **state)
{
    static const char *const paths[] = {"/own?size=10", "/ask?size=10"};
    static char long_value[20000];
    struct world *world = open_one(25);
    memset(long_value, 'v', sizeof(long_value) - 1);
    for (size_t i = 0; i < array_count(paths); i++) {
        struct client_script post = {.method = "POST",
                                     .path = paths[i],
                                     .body_bytes = 100,
                                     .trailers = true,
                                     .trailer = long_value};
        assert_true(client_is_local(ask(world, &post), 431));
    }
    for (uint32_t i = 0; i < world->log.count; i++)
        assert_false(world->log.seen[i].whole);
    assert_int_equal(world_counter(world, "request", "local_header_size"), array_count(paths));
    assert_true(check_and_close(world));
}

static void a_head_has_no_body_and_keeps_its_length(void **state)
{
    struct world *world = open_one(11);
    struct client_script head = {.method = "HEAD", .path = "/share?size=5000"};
    struct client_request *request = ask(world, &head);
    assert_true(client_is_whole(request, 200, 0));
    assert_int_equal(request->length, 5000);
    head.path = "/none";
    request = ask(world, &head);
    assert_true(client_is_local(request, 404) && request->received == 0);
    assert_true(check_and_close(world));
}

static void an_answer_may_come_before_the_request_ends(void **state)
{
    struct world *world = open_one(12);
    world_plan(world, &(struct backend_plan){.early = true});
    struct client_script post = {
        .method = "POST", .path = "/own?size=300000", .body_bytes = 300000};
    struct client_request *request = ask(world, &post);
    assert_true(client_is_whole(request, 200, 300000));
    assert_true(check_and_close(world));
}

/* Windows open by a few bytes at a time: ours has text to say as well. */
static void a_window_of_three_bytes_is_enough_for_every_answer(void **state)
{
    struct world *world = open_one(28);
    world->clients[0].host.h2->config.stream_window_bytes = 3;
    struct client_request *request = ask(world, &(struct client_script){.path = "/own?size=50"});
    assert_true(client_is_whole(request, 200, 50));
    request = ask(world, &(struct client_script){.path = "/nowhere"});
    assert_true(client_is_local(request, 404));
    assert_true(request->complete && request->received > 3);
    assert_true(check_and_close(world));
}

static bool some_came(struct world *world, void *context)
{
    const struct client_request *request = context;
    return request->status != 0;
}

/* C11: the answer breaks behind its head: between messages that is an end in gRPC's words. */
static void c11_a_grpc_answer_that_breaks_ends_as_unavailable(void **state)
{
    struct world *world = open_one(17);
    world_plan(world, &(struct backend_plan){.name = "content-type",
                                             .value = "application/grpc",
                                             .no_length = true,
                                             .chunk_bytes = 1000,
                                             .chunk_every_ns = 10 * CLOCK_S});
    struct client_request *request =
        world_get(world, world_connect(world, 0, false), "/own?size=5000");
    assert_true(world_run_until(world, some_came, request, 10 * CLOCK_S));
    world_region_crash(world, 0);
    world_region_crash(world, 1);
    assert_true(world_run(world));
    assert_int_equal(request->outcome, CLIENT_FINISHED);
    assert_true(request->complete && request->trailers && request->received == 0);
    assert_int_equal(world_counter(world, "request", "cut_grpc"), 1);
    assert_true(check_backends(world) & check_balance(world));
    world_close(world);
}

static void interim_answers_do_not_disturb(void **state)
{
    struct world *world = open_one(13);
    world_plan(world, &(struct backend_plan){.interim = true});
    struct client_request *request = ask(world, &(struct client_script){.path = "/own?size=10"});
    assert_true(client_is_whole(request, 200, 10));
    assert_int_equal(request->interims, 1);
    assert_true(check_and_close(world));
}

static void what_is_open_is_shown(void **state)
{
    struct world *world = open_one(16);
    const struct loop_counters *loop = &worker_counters(world->shared.members[0])->loop;
    world_plan(world, &(struct backend_plan){.head_after_ns = CLOCK_S});
    world_send(world, world_connect(world, 0, false), &(struct client_script){.path = "/own"});
    world_run_for(world, CLOCK_S / 2);
    assert_int_equal(loop->open_clients, 1);
    assert_int_equal(loop->open_exchanges, 1);
    assert_int_equal(loop->open_flights, 1);
    assert_int_equal(loop->open_upstreams, 1);
    assert_true(loop->held_by_flights > 0);
    assert_true(world_run(world));
    assert_true(check_and_close(world)); /* which sees them at 0 */
}

static void a_5xx_is_an_answer(void **state)
{
    struct world *world = open_one(14);
    world_plan(world, &(struct backend_plan){.status = 500});
    struct client_request *request = ask(world, &(struct client_script){.path = "/share?size=10"});
    assert_true(client_is_whole(request, 500, 10));
    assert_int_equal(world->log.count, 1);
    assert_true(check_and_close(world));
}

static void errors_of_the_request_are_answered_here(void **state)
{
    static char long_value[20000];
    memset(long_value, 'v', sizeof(long_value) - 1);
    const struct {
        struct client_script script;
        uint16_t status;
    } cases[] = {
        {{.path = "/nowhere"}, 404},
        {{.path = "/ownx"}, 404},
        {{.method = "TRACE", .path = "/own"}, 501},
        {{.path = "/own", .names = {"x-long"}, .values = {long_value}}, 431},
        {{.method = "POST", .path = "/nowhere", .body_bytes = 300000}, 404},
        {{.path = "/empty"}, 503},
    };
    struct world *world = open_one(15);
    for (size_t i = 0; i < array_count(cases); i++) {
        struct client_request *request =
            world_send(world, world_connect(world, 0, i % 2 == 0), &cases[i].script);
        assert_true(world_run(world));
        assert_true(client_is_local(request, cases[i].status));
        assert_int_equal(strtoul(request->text, NULL, 10), cases[i].status);
        assert_int_equal(request->has_retry_after, cases[i].status == 503);
    }
    assert_int_equal(world->log.count, 0);
    assert_true(check_and_close(world));
}

static void without_a_listening_backend_it_is_a_502(void **state)
{
    struct world *world = open_one(16);
    for (uint32_t i = 0; i < WORLD_BACKENDS_MAX; i++)
        backend_refuse(&world->backends[i]);
    struct client_request *request = ask(world, &(struct client_script){.path = "/share"});
    assert_true(client_is_local(request, 502));
    assert_true(check_and_close(world));
}

static void a_backend_without_a_first_byte_is_a_504(void **state)
{
    struct world *world = open_one(17);
    world_plan(world, &(struct backend_plan){.act = BACKEND_HANGS});
    uint64_t before = world->now;
    struct client_request *request = ask(world, &(struct client_script){.path = "/short"});
    assert_true(client_is_local(request, 504));
    assert_in_range(world->now - before, CLOCK_S, 4 * CLOCK_S);
    assert_in_range(world->log.count, 1, 2);
    assert_true(check_and_close(world));
}

static void backends_are_told_who_asks_through_whom(void **state)
{
    struct world *world = open_one(18);
    struct client_request *request = ask(world, &(struct client_script){.path = "/own?size=1"});
    assert_true(client_is_whole(request, 200, 1));
    assert_string_equal(world->log.seen[0].via, "2 node-1");
    assert_string_equal(world->log.seen[0].forwarded_for, "10.0.0.2");
    assert_true(check_and_close(world));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_pass_one_worker),
        cmocka_unit_test(bodies_pass_two_workers),
        cmocka_unit_test(bodies_pass_four_workers),
        cmocka_unit_test(trailers_pass_both_ways),
        cmocka_unit_test(trailers_without_any_field_are_an_end),
        cmocka_unit_test(trailers_that_are_too_large_are_refused),
        cmocka_unit_test(a_head_has_no_body_and_keeps_its_length),
        cmocka_unit_test(an_answer_may_come_before_the_request_ends),
        cmocka_unit_test(a_window_of_three_bytes_is_enough_for_every_answer),
        cmocka_unit_test(c11_a_grpc_answer_that_breaks_ends_as_unavailable),
        cmocka_unit_test(interim_answers_do_not_disturb),
        cmocka_unit_test(what_is_open_is_shown),
        cmocka_unit_test(a_5xx_is_an_answer),
        cmocka_unit_test(errors_of_the_request_are_answered_here),
        cmocka_unit_test(without_a_listening_backend_it_is_a_502),
        cmocka_unit_test(a_backend_without_a_first_byte_is_a_504),
        cmocka_unit_test(backends_are_told_who_asks_through_whom),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
