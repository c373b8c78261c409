/* C1, C2, C14, C27: POSTs whose bodies are held share when all their bytes are equal. */
#include "tests/support/coalesce_world.h"

static struct world *world;
static struct world_worker *worker;

static int set_up(void **state)
{
    world = world_create_sized(2, 16, 640);
    worker = &world->workers[0];
    return 0;
}

static int tear_down(void **state)
{
    world_assert_empty(world);
    world_destroy(world);
    return 0;
}

static uint64_t sum_of(const uint8_t *bytes, size_t length)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < length; i++)
        sum = sum * 31 + bytes[i];
    return sum;
}

static struct fake_try *last_try(struct world_worker *at)
{
    struct fake_try *try = fake_last(at->upstream);
    assert_non_null(try);
    return try;
}

static void assert_whole(struct client *client, uint64_t bytes)
{
    client_drink(client);
    assert_true(client->ended);
    assert_int_equal(client->bytes, bytes);
}

static void c1_equal_posts_cost_one_request(void **state)
{
    struct client clients[8];
    for (size_t i = 0; i < array_count(clients); i++)
        client_post(&clients[i], worker, "/ask", "{\"prompt\":\"why\"}");
    assert_int_equal(worker->upstream->started, 1);
    fake_pull(last_try(worker), world->now);
    assert_int_equal(last_try(worker)->request_bytes, 16);
    assert_true(last_try(worker)->request_ended);
    answer_whole(worker, 3000);
    for (size_t i = 0; i < array_count(clients); i++) {
        assert_whole(&clients[i], 3000);
        assert_int_equal(clients[i].answer, clients[0].answer);
        client_leave(&clients[i]);
    }
}

static void c2_other_bytes_of_the_same_length_do_not_share(void **state)
{
    struct client a, b, c;
    client_post(&a, worker, "/ask", "{\"prompt\":\"why\"}");
    client_post(&b, worker, "/ask", "{\"prompt\":\"who\"}");
    client_post(&c, worker, "/ask", "{\"prompt\":\"why\"} ");
    assert_int_equal(worker->upstream->started, 3);
    client_leave(&a);
    client_leave(&b);
    client_leave(&c);
    assert_int_equal(worker->upstream->cancelled, 3); /* C12: at once, it is a POST */
}

/* The body is there once, whoever has asked: what a joiner held has gone. */
static void c2_a_body_is_held_once(void **state)
{
    uint8_t body[5000];
    struct client clients[20];
    memset(body, 'x', sizeof(body));
    for (size_t i = 0; i < array_count(clients); i++)
        client_post_bytes(&clients[i], worker, "/ask", body, sizeof(body));
    assert_int_equal(pool_used(&worker->coalesce->helds), 1);
    assert_int_equal(worker->coalesce->held_segments, 5);
    for (size_t i = 0; i < array_count(clients); i++)
        client_leave(&clients[i]);
}

static void c14_the_second_attempt_sends_the_body_again(void **state)
{
    uint8_t body[20000];
    struct client a, b;
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (uint8_t)(i * 7);
    client_post_bytes(&a, worker, "/ask", body, sizeof(body));
    client_post_bytes(&b, worker, "/ask", body, sizeof(body));
    fake_pull(last_try(worker), world->now);
    fake_fail(last_try(worker), ATTEMPT_UNPROCESSED, world->now);
    assert_int_equal(worker->upstream->started, 2);
    fake_pull(last_try(worker), world->now);
    assert_int_equal(last_try(worker)->request_bytes, sizeof(body));
    assert_true(last_try(worker)->request_sum == sum_of(body, sizeof(body)));
    assert_true(last_try(worker)->request_ended);
    answer_whole(worker, 10);
    assert_whole(&a, 10);
    assert_whole(&b, 10);
    client_leave(&a);
    client_leave(&b);
}

/* A POST may have been acted upon: it is not tried again unless the route says so. */
static void c14_a_lost_post_is_not_tried_again(void **state)
{
    struct client a;
    client_post(&a, worker, "/ask", "{}");
    fake_pull(last_try(worker), world->now);
    fake_fail(last_try(worker), ATTEMPT_CONNECTION_LOST, world->now);
    assert_int_equal(worker->upstream->started, 1);
    client_drink(&a);
    assert_true(a.failed);
    client_leave(&a);
}

/* C6: those who are sent apart still have the body, one copy of it a worker. */
static void c6_those_sent_apart_ask_with_the_same_body(void **state)
{
    uint8_t body[3000];
    struct client clients[12];
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (uint8_t)(i * 3);
    for (size_t i = 0; i < array_count(clients); i++)
        client_post_bytes(&clients[i], &world->workers[i % 2], "/ask", body, sizeof(body));
    world_settle(world);
    struct fake_try *first = last_try(worker);
    answer_head(worker, first, "200", "cache-control", "no-store", false);
    answer_data(worker, first, 100, true);
    world_settle(world);
    world_pass(world, CLOCK_S);
    uint32_t asked = 0;
    for (uint16_t w = 0; w < 2; w++) {
        struct world_worker *at = &world->workers[w];
        assert_true(pool_used(&at->coalesce->helds) <= 1);
        for (uint32_t i = 0; i < at->upstream->started; i++) {
            struct fake_try *try = &at->upstream->tries[i];
            asked++;
            if (try->attempt == NULL)
                continue;
            fake_pull(try, world->now);
            assert_int_equal(try->request_bytes, sizeof(body));
            assert_true(try->request_sum == sum_of(body, sizeof(body)));
            answer_head(at, try, "200", NULL, NULL, false);
            answer_data(at, try, 50, true);
        }
    }
    assert_int_equal(asked, array_count(clients));
    for (size_t i = 0; i < array_count(clients); i++) {
        client_drink(&clients[i]);
        assert_true(clients[i].ended);
        client_leave(&clients[i]);
    }
}

static void c2_workers_share_one_post(void **state)
{
    struct client clients[6];
    for (size_t i = 0; i < array_count(clients); i++)
        client_post(&clients[i], &world->workers[i % 2], "/ask", "[1]");
    world_settle(world);
    assert_int_equal(world->workers[0].upstream->started, 1);
    assert_int_equal(world->workers[1].upstream->started, 0);
    answer_whole(worker, 5000);
    world_settle(world);
    assert_int_equal(pool_used(&world->workers[1].coalesce->helds), 1); /* until heads are read */
    for (size_t i = 0; i < array_count(clients); i++) {
        assert_whole(&clients[i], 5000);
        client_leave(&clients[i]);
    }
}

/* The answer has begun: the body is not needed any more, the stream may go on for long. */
static void c1_a_body_goes_when_the_answer_begins(void **state)
{
    struct client a;
    client_post(&a, worker, "/ask", "{}");
    answer_head(worker, last_try(worker), "200", NULL, NULL, false);
    coalesce_body_drop(&a.subscriber.held); /* as the exchange does with the head */
    assert_int_equal(pool_used(&worker->coalesce->helds), 0);
    answer_data(worker, last_try(worker), 10, true);
    assert_whole(&a, 10);
    client_leave(&a);
}

static uint64_t fill(struct held_body *held)
{
    static uint8_t bytes[1024];
    uint64_t taken = 0;
    while (coalesce_body_append(held, bytes_of(bytes, sizeof(bytes))))
        taken += sizeof(bytes);
    return taken;
}

/* Many principals, each with the body of one request; a tenth of 640 segments of 1 KiB. */
static void c1_bodies_are_bounded(void **state)
{
    struct held_body *held[4];
    uint64_t taken = 0;
    for (uint32_t i = 0; i < array_count(held); i++) {
        held[i] = coalesce_body_take(worker->coalesce, world_principal(worker, 1 + i));
        taken += fill(held[i]);
    }
    assert_int_equal(taken, 64 * 1024);
    struct held_body *other = coalesce_body_take(worker->coalesce, world_principal(worker, 99));
    assert_false(coalesce_body_append(other, bytes_text("x")));
    coalesce_body_drop(&held[0]);
    assert_true(coalesce_body_append(other, bytes_text("x")));
    coalesce_body_drop(&other);
    for (uint32_t i = 1; i < array_count(held); i++)
        coalesce_body_drop(&held[i]);
    assert_int_equal(worker->coalesce->held_segments, 0);
}

static void c29_a_principal_holds_no_more_than_three_quarters_of_what_bodies_may_have(void **state)
{
    struct held_body *mine = coalesce_body_take(worker->coalesce, world_principal(worker, 1));
    struct held_body *yours = coalesce_body_take(worker->coalesce, world_principal(worker, 2));
    assert_int_equal(fill(mine), 48 * 1024);
    assert_int_equal(fill(yours), 12 * 1024);
    coalesce_body_drop(&mine);
    coalesce_body_drop(&yours);
}

static void c1_no_more_than_a_mebibyte(void **state)
{
    static uint8_t bytes[65536];
    world_destroy(world);
    world = world_create_sized(1, 16, 20000);
    worker = &world->workers[0];
    struct held_body *held = coalesce_body_take(worker->coalesce, NULL);
    for (int i = 0; i < 16; i++)
        assert_true(coalesce_body_append(held, bytes_of(bytes, sizeof(bytes))));
    assert_false(coalesce_body_append(held, bytes_of(bytes, 1)));
    coalesce_body_drop(&held);
}

/* What was held goes on as a stream, and its sender is not credited twice. */
static void c1_past_a_bound_the_beginning_is_taken_over(void **state)
{
    struct client a;
    client_prepare(&a, worker, ROUTE_POST, "POST", "/ask", NULL, true);
    a.subscriber.held = coalesce_body_take(worker->coalesce, NULL);
    assert_true(coalesce_body_append(a.subscriber.held, bytes_text("0123456789")));
    a.asked.verdict = KEY_BODY_BOUND;
    client_subscribe(&a);
    coalesce_body_drop(&a.subscriber.held);
    fake_pull(last_try(worker), world->now);
    assert_int_equal(last_try(worker)->request_bytes, 10);
    assert_int_equal(a.request_sent, 0);
    assert_true(coalesce_request_body(&a.subscriber, bytes_text("abc"), true, NULL, world->now));
    fake_pull(last_try(worker), world->now);
    assert_int_equal(a.request_sent, 3);
    assert_true(last_try(worker)->request_ended);
    assert_true(last_try(worker)->request_sum == sum_of((const uint8_t *)"0123456789abc", 13));
    assert_int_equal(counters_of(worker)->bypass_body_bound, 1);
    answer_whole(worker, 1);
    assert_whole(&a, 1);
    client_leave(&a);
}

static void c27_a_body_without_the_members_asks_alone(void **state)
{
    static const struct snapshot_literal wanted = {{(const uint8_t *)"temperature", 11},
                                                   {(const uint8_t *)"0", 1}};
    struct client clients[4];
    world->routes[ROUTE_POST].coalesce.when_json = &wanted;
    world->routes[ROUTE_POST].coalesce.when_json_count = 1;
    client_post(&clients[0], worker, "/ask", "{\"temperature\":0}");
    client_post(&clients[1], worker, "/ask", "{\"temperature\":0}");
    assert_int_equal(worker->upstream->started, 1);
    client_post(&clients[2], worker, "/ask", "{\"temperature\":1}");
    client_post(&clients[3], worker, "/ask", "{\"temperature\":1}");
    assert_int_equal(clients[3].asked.verdict, KEY_PREDICATE);
    assert_int_equal(worker->upstream->started, 3);
    assert_int_equal(counters_of(worker)->bypass_when_json, 2);
    for (size_t i = 0; i < array_count(clients); i++)
        client_leave(&clients[i]);
}

/* C17: a POST stream is joined early, and an event stream goes to all who joined. */
static void c17_a_stream_of_events_is_shared_by_posts(void **state)
{
    struct client clients[5];
    for (size_t i = 0; i < array_count(clients); i++) {
        client_post(&clients[i], worker, "/ask", "{\"stream\":true}");
        if (i == 1)
            answer_head(worker, last_try(worker), "200", "content-type", "text/event-stream",
                        false);
        if (i > 1)
            answer_data(worker, last_try(worker), 100, false);
    }
    assert_int_equal(worker->upstream->started, 1);
    answer_data(worker, last_try(worker), 100, true);
    for (size_t i = 0; i < array_count(clients); i++) {
        assert_whole(&clients[i], 400);
        client_leave(&clients[i]);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(c1_equal_posts_cost_one_request),
        CASE(c2_other_bytes_of_the_same_length_do_not_share),
        CASE(c2_a_body_is_held_once),
        CASE(c14_the_second_attempt_sends_the_body_again),
        CASE(c14_a_lost_post_is_not_tried_again),
        CASE(c6_those_sent_apart_ask_with_the_same_body),
        CASE(c2_workers_share_one_post),
        CASE(c1_a_body_goes_when_the_answer_begins),
        CASE(c1_bodies_are_bounded),
        CASE(c29_a_principal_holds_no_more_than_three_quarters_of_what_bodies_may_have),
        CASE(c1_no_more_than_a_mebibyte),
        CASE(c1_past_a_bound_the_beginning_is_taken_over),
        CASE(c27_a_body_without_the_members_asks_alone),
        CASE(c17_a_stream_of_events_is_shared_by_posts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
