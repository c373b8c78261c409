/* What a worker tells about requests that have ended (C24). */
#include "dataplane/base/clock.h"
#include "tests/support/checks.h"
#include "tests/support/cmocka.h"

#include <stdio.h>

#define RECORDS_MAX 64
#define ALL         UINT32_MAX

static const struct snapshot_access everything = {.on = true, .sample = ALL};

static struct world *open_world(uint64_t seed, uint16_t workers, struct snapshot_access access)
{
    struct world *world = world_open(&(struct world_config){.seed = seed, .workers = workers});
    world->draft.access = access;
    world_publish(world);
    world_run_for(world, CLOCK_MS);
    return world;
}

static struct access_record take(struct worker *worker)
{
    const struct access_record *oldest = worker_record(worker);
    assert_non_null(oldest);
    struct access_record record = *oldest;
    worker_record_done(worker);
    return record;
}

static uint32_t take_all(struct world *world, struct access_record *out)
{
    uint32_t count = 0;
    for (uint16_t w = 0; w < world->config.workers; w++)
        while (worker_record(world->shared.members[w]) != NULL && count < RECORDS_MAX)
            out[count++] = take(world->shared.members[w]);
    return count;
}

/* The only record there is. */
static struct access_record take_one(struct world *world)
{
    struct access_record records[RECORDS_MAX];
    assert_int_equal(take_all(world, records), 1);
    return records[0];
}

static uint32_t count_role(const struct access_record *records, uint32_t count,
                           enum access_role role)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++)
        found += records[i].role == role;
    return found;
}

static void assert_text(const struct access_record *record, enum access_text which,
                        const char *expected)
{
    struct bytes text = access_text(record, which);
    assert_int_equal(text.length, strlen(expected));
    assert_memory_equal(text.data, expected, text.length);
}

static struct access_record record_of(uint64_t seed, const struct backend_plan *plan,
                                      const struct client_script *script)
{
    struct world *world = open_world(seed, 1, everything);
    world_plan(world, plan);
    (void)world_send(world, world_connect(world, 0, false), script);
    assert_true(world_run(world));
    world_run_for(world, CLOCK_S);
    struct access_record record = take_one(world);
    assert_true(check_and_close(world));
    return record;
}

static void a_record_says_what_was_asked_and_answered(void **state)
{
    struct access_record record = record_of(
        1,
        &(struct backend_plan){
            .head_after_ns = CLOCK_S, .chunk_bytes = 1000, .chunk_every_ns = 100 * CLOCK_MS},
        &(struct client_script){.method = "POST", .path = "/own?size=3000", .body_bytes = 700});
    assert_text(&record, ACCESS_METHOD, "POST");
    assert_text(&record, ACCESS_ROUTE, "own");
    assert_text(&record, ACCESS_AUTHORITY, "test.example");
    assert_text(&record, ACCESS_PATH, "/own");
    assert_int_equal(record.status, 200);
    assert_int_equal(record.end, ACCESS_FINISHED);
    assert_int_equal(record.bytes_in, 700);
    assert_int_equal(record.bytes_out, 3000);
    assert_int_equal(record.role, ACCESS_OWN);
    assert_string_equal(record.alone, "route-off");
    assert_int_equal(record.story.attempts, 1);
    assert_true(record.story.backend_slot < WORLD_BACKENDS_MAX);
    assert_string_equal(record.story.retried, "");
    assert_int_equal(record.principal_kind, ACCESS_ADDRESS);
    assert_int_equal(record.listener_port, WORLD_PORT);
    assert_int_not_equal(record.client_port, 0);
    assert_int_equal(record.cut, 0);
    assert_true(record.first_byte_ns >= CLOCK_S && record.first_byte_ns <= record.total_ns);
    assert_true(record.story.upstream_ns >= CLOCK_S);
    assert_true(record.total_ns >= record.first_byte_ns + 200 * CLOCK_MS);
}

static void a_path_has_its_query_when_that_is_asked_for(void **state)
{
    struct snapshot_access access = everything;
    access.query = true;
    struct world *world = open_world(2, 1, access);
    (void)world_get(world, world_connect(world, 0, false), "/own?size=3&key=secret");
    assert_true(world_run(world));
    struct access_record record = take_one(world);
    assert_text(&record, ACCESS_PATH, "/own?size=3&key=secret");
    assert_true(check_and_close(world));
}

static void long_texts_are_cut_and_say_so(void **state)
{
    char authority[200] = "";
    char path[CLIENT_TEXT_BYTES + 300];
    memset(authority, 'a', sizeof(authority) - 1);
    memset(path, 'p', sizeof(path) - 1);
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    struct access_record record = record_of(
        3, &(struct backend_plan){0},
        &(struct client_script){
            .method = "OPTIONSOPTIONSOPTIONS", .authority = authority, .path = "/nowhere"});
    assert_int_equal(record.cut, 1 << ACCESS_METHOD | 1 << ACCESS_AUTHORITY);
    assert_int_equal(access_text(&record, ACCESS_METHOD).length, ACCESS_METHOD_BYTES);
    assert_int_equal(access_text(&record, ACCESS_AUTHORITY).length, ACCESS_AUTHORITY_BYTES);
    assert_text(&record, ACCESS_PATH, "/nowhere");
}

static void answers_of_our_own_have_their_name(void **state)
{
    struct access_record record =
        record_of(4, &(struct backend_plan){0}, &(struct client_script){.path = "/nowhere?a=b"});
    assert_int_equal(record.status, 404);
    assert_string_equal(record.local, "no-route");
    assert_int_equal(record.role, ACCESS_NO_FLIGHT);
    assert_int_equal(record.principal_kind, ACCESS_NOBODY);
    assert_text(&record, ACCESS_PATH, "/nowhere");
    assert_text(&record, ACCESS_ROUTE, "");
    record = record_of(5, &(struct backend_plan){0}, &(struct client_script){.path = "/empty"});
    assert_int_equal(record.status, 503);
    assert_string_equal(record.local, "flight");
    assert_string_equal(record.failure, "no-backend");
    assert_int_equal(record.story.attempts, 0);
    assert_int_equal(record.story.backend_slot, STORY_NO_BACKEND);
}

static void credentials_are_a_hash(void **state)
{
    const struct client_script a = {
        .path = "/own", .names = {"authorization"}, .values = {"Bearer a"}};
    const struct client_script b = {
        .path = "/own", .names = {"authorization"}, .values = {"Bearer b"}};
    struct access_record records[RECORDS_MAX];
    struct world *world = open_world(6, 1, everything);
    struct client_conn *conn = world_connect(world, 0, false);
    (void)world_send(world, conn, &a);
    (void)world_send(world, conn, &b);
    (void)world_send(world, conn, &a);
    assert_true(world_run(world));
    assert_int_equal(take_all(world, records), 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(records[i].principal_kind, ACCESS_CREDENTIALS);
    assert_int_equal(records[0].principal == records[1].principal ||
                         records[1].principal == records[2].principal ||
                         records[0].principal == records[2].principal,
                     true);
    assert_false(records[0].principal == records[1].principal &&
                 records[1].principal == records[2].principal);
    assert_true(check_and_close(world));
}

static bool has_some(struct world *world, void *context)
{
    const struct client_request *request = context;
    return request->received > 20000;
}

/* A leader, and one that joins in mid-body: both name the same flight. */
static void sharers_are_known(uint16_t workers, uint64_t seed)
{
    struct access_record records[RECORDS_MAX];
    struct world *world = open_world(seed, workers, everything);
    world_plan(world, &(struct backend_plan){.chunk_bytes = 1000, .chunk_every_ns = CLOCK_MS});
    struct client_request *leader =
        world_get(world, world_connect_to(world, 0, false), "/share?size=60000");
    struct client_conn *second = world_connect_to(world, (uint16_t)(workers - 1), false);
    assert_true(world_run_until(world, has_some, leader, 60 * CLOCK_S));
    (void)world_get(world, second, "/share?size=60000");
    assert_true(world_run(world));
    uint32_t count = take_all(world, records);
    assert_int_equal(count, 2);
    assert_int_equal(count_role(records, count, ACCESS_LEADER), 1);
    assert_int_equal(count_role(records, count, ACCESS_JOINED), 1);
    assert_int_equal(records[0].flight.flight, records[1].flight.flight);
    assert_int_equal(records[0].flight.worker, records[1].flight.worker);
    assert_int_equal(records[0].story.backend_slot, records[1].story.backend_slot);
    assert_int_equal(records[0].story.upstream_ns, records[1].story.upstream_ns);
    const struct access_record *joined = &records[records[1].role == ACCESS_JOINED];
    assert_true(joined->joined_at_bytes > 20000 && joined->joined_at_bytes < 60000);
    assert_int_equal(joined->replayed_bytes, joined->joined_at_bytes);
    assert_int_equal(joined->story.attempts, 1);
    assert_int_equal(world_counter(world, "coalesce", "joined_below_64k"), 1);
    assert_int_equal(world_counter(world, "request", "saved_bytes"), 60000);
    assert_true(check_and_close(world));
}

static void sharers_of_one_worker(void **state)
{
    sharers_are_known(1, 10);
}

static void sharers_of_two_workers(void **state)
{
    sharers_are_known(2, 11);
}

static void who_is_sent_away_says_why_and_from_where(void **state)
{
    struct access_record records[RECORDS_MAX];
    struct world *world = open_world(12, 2, everything);
    struct client_conn *conns[] = {world_connect_to(world, 0, false),
                                   world_connect_to(world, 1, false)};
    world_plan(world, &(struct backend_plan){
                          .head_after_ns = CLOCK_S, .name = "cache-control", .value = "no-store"});
    for (int i = 0; i < 4; i++)
        (void)world_get(world, conns[i % 2], "/share?size=1000");
    assert_true(world_run(world));
    uint32_t count = take_all(world, records);
    assert_int_equal(count, 4);
    assert_int_equal(count_role(records, count, ACCESS_DETACHED), 3);
    assert_int_equal(count_role(records, count, ACCESS_LEADER), 1);
    for (uint32_t i = 0; i < count; i++) {
        bool detached = records[i].role == ACCESS_DETACHED;
        assert_string_equal(records[i].alone, detached ? "unshareable" : "");
        assert_int_equal(records[i].detached.flight != HANDLE_NONE, detached);
        assert_int_not_equal(records[i].flight.flight, HANDLE_NONE);
    }
    assert_true(check_and_close(world));
}

static struct backend_plan first_resets(void *context, const struct backend_seen *seen)
{
    return (struct backend_plan){.act = seen->serial == 1 ? BACKEND_RESETS : BACKEND_ANSWERS,
                                 .head_after_ns = CLOCK_S};
}

static void a_second_attempt_has_its_reason(void **state)
{
    for (uint16_t workers = 1; workers <= 2; workers++) {
        struct access_record records[RECORDS_MAX];
        struct world *world = open_world(20u + workers, workers, everything);
        struct client_conn *conns[] = {world_connect_to(world, 0, false),
                                       world_connect_to(world, (uint16_t)(workers - 1), false)};
        world_choose(world, first_resets, NULL);
        (void)world_get(world, conns[0], "/share?size=1000");
        (void)world_get(world, conns[1], "/share?size=1000");
        assert_true(world_run(world));
        assert_int_equal(take_all(world, records), 2);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(records[i].story.attempts, 2);
            assert_string_equal(records[i].story.retried, "reset");
            assert_int_equal(records[i].status, 200);
        }
        world_run_for(world, CLOCK_S);
        assert_int_equal(world_counter(world, "coalesce", "retries_shared"), 1);
        assert_true(check_and_close(world));
    }
}

static void a_broken_answer_is_a_reset_with_its_reason(void **state)
{
    struct access_record record = record_of(30,
                                            &(struct backend_plan){.chunk_bytes = 1000,
                                                                   .chunk_every_ns = CLOCK_MS,
                                                                   .act = BACKEND_RESETS,
                                                                   .act_late = true,
                                                                   .act_after_bytes = 2000},
                                            &(struct client_script){.path = "/own?size=10000"});
    assert_int_equal(record.end, ACCESS_RESET);
    assert_int_equal(record.code, H2_INTERNAL_ERROR);
    assert_string_equal(record.failure, "reset");
    assert_int_equal(record.status, 200);
    assert_true(record.bytes_out > 0 && record.bytes_out < 10000);
}

static void clients_that_leave_are_told_apart(void **state)
{
    static const struct backend_plan slow = {.chunk_bytes = 1000, .chunk_every_ns = CLOCK_MS};
    struct access_record record = record_of(
        31, &slow, &(struct client_script){.path = "/own?size=100000", .leaves_after = 5000});
    assert_int_equal(record.end, ACCESS_CLIENT_RESET);
    assert_int_equal(record.code, H2_CANCEL);
    struct world *world = open_world(32, 1, everything);
    world_plan(world, &slow);
    struct client_conn *conn = world_connect(world, 0, false);
    struct client_request *request = world_get(world, conn, "/own?size=100000");
    assert_true(world_run_until(world, has_some, request, 60 * CLOCK_S));
    client_conn_abort(conn, world->now);
    world_run_for(world, CLOCK_S);
    record = take_one(world);
    assert_int_equal(record.end, ACCESS_CLIENT_LOST);
    assert_true(check_and_close(world));
}

/* LIMIT requests end, and nobody takes their records. */
static void a_full_ring_loses_records_and_nothing_else(void **state)
{
    struct world *world = open_world(40, 1, everything);
    struct client_conn *conn = world_connect(world, 0, false);
    uint32_t ring = world->config.limits.access_records;
    for (uint32_t i = 0; i < ring + 20; i++)
        (void)world_get(world, conn, "/nowhere");
    assert_true(world_run(world));
    assert_int_equal(world_counter(world, "request", "access_records"), ring);
    assert_int_equal(world_counter(world, "request", "access_lost"), 20);
    assert_int_equal(take(world->shared.members[0]).status, 404);
    (void)world_get(world, conn, "/nowhere");
    assert_true(world_run(world));
    assert_int_equal(world_counter(world, "request", "access_lost"), 20);
    assert_true(check_and_close(world));
}

static void switched_off_nothing_is_written(void **state)
{
    struct world *world = open_world(41, 1, (struct snapshot_access){.sample = ALL});
    (void)world_get(world, world_connect(world, 0, false), "/own");
    assert_true(world_run(world));
    assert_null(worker_record(world->shared.members[0]));
    assert_int_equal(world_counter(world, "request", "access_records"), 0);
    assert_true(check_and_close(world));
}

static void what_goes_wrong_is_in_every_sample(void **state)
{
    struct access_record records[RECORDS_MAX];
    struct world *world = open_world(42, 1, (struct snapshot_access){.on = true, .sample = 0});
    struct client_conn *conn = world_connect(world, 0, false);
    for (int i = 0; i < 10; i++)
        (void)world_get(world, conn, "/own");
    (void)world_get(world, conn, "/empty");
    assert_true(world_run(world));
    assert_int_equal(take_all(world, records), 1);
    assert_int_equal(records[0].status, 503);
    assert_true(check_and_close(world));
}

static void a_sample_is_a_part(void **state)
{
    struct world *world =
        open_world(43, 1, (struct snapshot_access){.on = true, .sample = ALL / 4});
    struct client_conn *conn = world_connect(world, 0, false);
    for (int i = 0; i < 200; i++)
        (void)world_get(world, conn, "/nowhere");
    assert_true(world_run(world));
    uint64_t records = world_counter(world, "request", "access_records");
    assert_in_range(records, 25, 80);
    assert_true(check_and_close(world));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_says_what_was_asked_and_answered),
        cmocka_unit_test(a_path_has_its_query_when_that_is_asked_for),
        cmocka_unit_test(long_texts_are_cut_and_say_so),
        cmocka_unit_test(answers_of_our_own_have_their_name),
        cmocka_unit_test(credentials_are_a_hash),
        cmocka_unit_test(sharers_of_one_worker),
        cmocka_unit_test(sharers_of_two_workers),
        cmocka_unit_test(who_is_sent_away_says_why_and_from_where),
        cmocka_unit_test(a_second_attempt_has_its_reason),
        cmocka_unit_test(a_broken_answer_is_a_reset_with_its_reason),
        cmocka_unit_test(clients_that_leave_are_told_apart),
        cmocka_unit_test(a_full_ring_loses_records_and_nothing_else),
        cmocka_unit_test(switched_off_nothing_is_written),
        cmocka_unit_test(what_goes_wrong_is_in_every_sample),
        cmocka_unit_test(a_sample_is_a_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
