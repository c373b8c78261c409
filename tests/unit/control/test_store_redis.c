/* store_redis: a real Redis that comes, goes, refuses, hangs, is wiped and holds nonsense. */
#include "control/store.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/support/cmocka.h"
#include "tests/support/failover_lab.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET "correct horse battery staple"

/* A node with its store. */
struct node {
    struct lab_config lab;
    struct region_rules rules;
    struct store *store;
    enum store_link link;
    uint32_t link_count;
    char link_text[512];
    uint32_t news_count;
    bool empty;
    struct region_state state;
    struct region_votes votes;
    bool answered;
    bool failed;
    enum region_answer answer;
    char answer_text[512];
};

static struct world {
    struct lab_redis redis;
    struct loop *loop;
    struct node nodes[2];
    char password_file[128];
} world;

static void on_news(void *context, const struct store_news *news)
{
    struct node *node = context;
    node->news_count++;
    node->empty = news->empty;
    node->state = *news->state;
    node->votes = *news->votes;
    assert_true(news->now_ms > 1600000000000ull);
}

static void on_changed(void *context, bool failed, const struct store_change *change)
{
    struct node *node = context;
    node->answered = true;
    node->failed = failed;
    node->answer = change->answer;
    snprintf(node->answer_text, sizeof(node->answer_text), "%s", change->text);
    if (change->state != NULL)
        node->state = *change->state;
}

static void on_link(void *context, enum store_link link, const char *text)
{
    struct node *node = context;
    node->link = link;
    node->link_count++;
    snprintf(node->link_text, sizeof(node->link_text), "%s", text);
    assert_null(strstr(text, SECRET));
}

static int setup(void **state)
{
    memset(&world, 0, sizeof(world));
    lab_redis_make(&world.redis);
    snprintf(world.password_file, sizeof(world.password_file), "%s/password",
             world.redis.directory);
    world.loop = loop_create();
    for (uint32_t n = 0; n < 2; n++) {
        lab_config_make(&world.nodes[n].lab, 2, 1);
        lab_config_cluster(&world.nodes[n].lab, 2, n, world.redis.address);
        region_rules_init(&world.nodes[n].rules, &world.nodes[n].lab.config);
    }
    return 0;
}

static int teardown(void **state)
{
    for (uint32_t n = 0; n < 2; n++)
        store_destroy(world.nodes[n].store);
    unlink(world.password_file);
    lab_redis_destroy(&world.redis);
    loop_destroy(world.loop);
    return 0;
}

static bool try_open(struct node *node, char message[512])
{
    const struct store_events events = {on_news, on_changed, on_link, node};
    message[0] = '\0';
    node->store =
        store_redis_create(world.loop, &node->lab.config, &node->rules, &events, message, 512);
    return node->store != NULL;
}

static void open_node(struct node *node)
{
    char message[512];
    assert_true(try_open(node, message));
}

/* Waiting. */

static bool is_connected(void *context)
{
    return ((struct node *)context)->link == STORE_CONNECTED;
}

static bool is_not_connected(void *context)
{
    return !is_connected(context);
}

static bool is_lost(void *context)
{
    return ((struct node *)context)->link == STORE_LOST;
}

static bool is_answered(void *context)
{
    return ((struct node *)context)->answered;
}

static bool has_news(void *context)
{
    return ((struct node *)context)->news_count > 0;
}

static bool has_text(void *context)
{
    return ((struct node *)context)->link_text[0] != '\0';
}

static void connect_node(struct node *node)
{
    open_node(node);
    lab_run_until(world.loop, is_connected, node, "the connection");
}

static struct region_vote vote_of(const struct node *node)
{
    struct region_vote vote = {.epoch = node->state.epoch, .agreement = node->rules.agreement};
    strcpy(vote.node, node->lab.config.node);
    strcpy(vote.change_id, node->state.change_id);
    for (int r = 0; r < 2; r++)
        for (int e = 0; e < REGION_EVIDENCES; e++)
            vote.regions[r].held_ms[e] = REGION_NOT_HELD;
    return vote;
}

static void beat(struct node *node)
{
    struct region_vote vote = vote_of(node);
    node->news_count = 0;
    store_beat(node->store, &vote);
    lab_run_until(world.loop, has_news, node, "news");
}

static void ask(struct node *node, struct region_request request)
{
    strcpy(request.new_change_id, "bbbbbbbbbbbbbbbb");
    strcpy(request.new_incarnation, "jjjjjjjjjjjjjjjj");
    strcpy(request.by, "me");
    node->answered = false;
    store_change(node->store, &request);
    lab_run_until(world.loop, is_answered, node, "the answer");
}

static void ask_init(struct node *node)
{
    struct region_state configured;
    region_state_init(&configured, &node->lab.config);
    ask(node, (struct region_request){.kind = REGION_INIT, .content = &configured});
}

static void command(const char *text)
{
    redisContext *context = lab_redis_connect(&world.redis);
    redisReply *reply = redisCommand(context, text);
    assert_non_null(reply);
    assert_int_not_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);
    redisFree(context);
}

static void write_password(const char *text)
{
    FILE *file = fopen(world.password_file, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* Cases. */

static void nodes_see_each_others_votes_and_the_same_state(void **state)
{
    lab_redis_start(&world.redis, NULL);
    connect_node(&world.nodes[0]);
    connect_node(&world.nodes[1]);
    beat(&world.nodes[0]);
    assert_true(world.nodes[0].empty);
    assert_int_equal(world.nodes[0].votes.count, 1);
    ask_init(&world.nodes[0]);
    assert_int_equal(world.nodes[0].answer, REGION_DONE);
    beat(&world.nodes[1]);
    assert_false(world.nodes[1].empty);
    assert_int_equal(world.nodes[1].votes.count, 2);
    assert_string_equal(world.nodes[1].votes.votes[0].node, "n0");
    assert_string_equal(world.nodes[1].votes.votes[1].node, "n1");
    assert_true(world.nodes[1].votes.votes[0].age_ms < 6000);
    assert_int_equal(world.nodes[1].state.epoch, 1);
    assert_string_equal(world.nodes[1].state.change_id, "bbbbbbbbbbbbbbbb");
    assert_string_equal(world.nodes[1].state.incarnation, "jjjjjjjjjjjjjjjj");
}

static void an_operators_change_is_seen_by_the_other_node(void **state)
{
    lab_redis_start(&world.redis, NULL);
    connect_node(&world.nodes[0]);
    connect_node(&world.nodes[1]);
    beat(&world.nodes[0]);
    ask_init(&world.nodes[0]);
    ask(&world.nodes[0], (struct region_request){.kind = REGION_DRAIN, .region = 1});
    assert_int_equal(world.nodes[0].answer, REGION_DONE);
    assert_string_equal(world.nodes[0].answer_text, "drained by me");
    beat(&world.nodes[1]);
    assert_int_equal(world.nodes[1].state.regions[1].override, REGION_OVERRIDE_DRAIN);
    ask(&world.nodes[1], (struct region_request){.kind = REGION_DRAIN, .region = 0});
    assert_false(world.nodes[1].failed);
    assert_int_equal(world.nodes[1].answer, REGION_REFUSED_S1);
}

static void without_redis_calls_fail_at_once_and_say_why(void **state)
{
    struct node *node = &world.nodes[0];
    struct region_vote vote = vote_of(node);
    open_node(node);
    lab_run_until(world.loop, has_text, node, "the reason");
    assert_int_equal(node->link, STORE_CONNECTING);
    store_beat(node->store, &vote); /* nobody hears it */
    struct region_request request = {.kind = REGION_DRAIN};
    store_change(node->store, &request);
    assert_true(node->answered && node->failed);
    assert_non_null(strstr(node->answer_text, "No such file"));
}

static void after_five_failures_it_is_lost_and_found_again_when_it_comes(void **state)
{
    struct node *node = &world.nodes[0];
    open_node(node);
    lab_run_until(world.loop, is_lost, node, "five failures");
    assert_int_equal(node->link_count, 5);
    lab_redis_start(&world.redis, NULL);
    lab_run_until(world.loop, is_connected, node, "the connection");
    beat(node);
}

static void killed_and_restarted_it_is_found_again_and_empty(void **state)
{
    struct node *node = &world.nodes[0];
    lab_redis_start(&world.redis, NULL);
    connect_node(node);
    beat(node);
    ask_init(node);
    lab_redis_kill(&world.redis);
    lab_run_until(world.loop, is_not_connected, node, "the loss");
    lab_redis_start(&world.redis, NULL);
    lab_run_until(world.loop, is_connected, node, "the connection");
    beat(node);
    assert_true(node->empty);
}

static void a_change_under_way_when_redis_dies_is_answered(void **state)
{
    struct node *node = &world.nodes[0];
    struct region_request request = {.kind = REGION_UNDRAIN};
    lab_redis_start(&world.redis, NULL);
    connect_node(node);
    kill(world.redis.pid, SIGSTOP);
    node->answered = false;
    store_change(node->store, &request);
    assert_false(node->answered);
    lab_redis_kill(&world.redis);
    lab_run_until(world.loop, is_answered, node, "the answer");
    assert_true(node->failed);
}

static void a_redis_that_hangs_is_given_up_and_found_again(void **state)
{
    struct node *node = &world.nodes[0];
    struct region_vote vote = vote_of(node);
    struct region_request request = {.kind = REGION_UNDRAIN};
    lab_redis_start(&world.redis, NULL);
    connect_node(node);
    kill(world.redis.pid, SIGSTOP);
    store_beat(node->store, &vote);
    store_beat(node->store, &vote); /* one is under way: nothing more is sent */
    node->answered = false;
    store_change(node->store, &request);
    lab_run_until(world.loop, is_answered, node, "the answer");
    assert_true(node->failed);
    assert_non_null(strstr(node->answer_text, "no answer within 200 ms"));
    assert_int_not_equal(node->link, STORE_CONNECTED);
    lab_run_until(world.loop, is_lost, node, "five failures");
    kill(world.redis.pid, SIGCONT);
    lab_run_until(world.loop, is_connected, node, "the connection");
    beat(node);
}

static void a_wrong_password_is_told_and_a_new_one_is_read(void **state)
{
    struct node *node = &world.nodes[0];
    strcpy(node->lab.config.store.password_file, world.password_file);
    write_password("wrong\n");
    lab_redis_start(&world.redis, SECRET);
    open_node(node);
    lab_run_until(world.loop, has_text, node, "the refusal");
    assert_non_null(strstr(node->link_text, "AUTH"));
    write_password(SECRET "\n");
    lab_run_until(world.loop, is_connected, node, "the connection");
    beat(node);
}

static void without_a_password_it_is_refused_where_one_is_needed(void **state)
{
    lab_redis_start(&world.redis, SECRET);
    open_node(&world.nodes[0]);
    lab_run_until(world.loop, has_text, &world.nodes[0], "the refusal");
    assert_non_null(strstr(world.nodes[0].link_text, "NOAUTH"));
}

static void an_acl_user_with_the_rights_that_are_needed_is_enough(void **state)
{
    struct node *node = &world.nodes[0];
    lab_redis_start(&world.redis, NULL);
    command("ACL SETUSER weir on >sesame ~weir:{test}:* &weir:{test}:* -@all +multi +exec +set "
            "+time +hgetall +get +pttl +eval +hset +xadd +publish +role");
    strcpy(node->lab.config.store.user, "weir");
    strcpy(node->lab.config.store.password_file, world.password_file);
    write_password("sesame");
    connect_node(node);
    beat(node);
    ask_init(node);
    assert_false(node->failed);
    assert_int_equal(node->answer, REGION_DONE);
}

static void an_acl_user_without_rights_is_told_so(void **state)
{
    struct node *node = &world.nodes[0];
    lab_redis_start(&world.redis, NULL);
    command("ACL SETUSER weir on >sesame ~other:* +@all");
    strcpy(node->lab.config.store.user, "weir");
    strcpy(node->lab.config.store.password_file, world.password_file);
    write_password("sesame");
    connect_node(node);
    struct region_vote vote = vote_of(node);
    store_beat(node->store, &vote);
    lab_run_until(world.loop, is_not_connected, node, "the refusal");
    assert_non_null(strstr(node->link_text, "NOPERM"));
}

static void a_replica_is_not_accepted_and_a_promoted_one_is(void **state)
{
    struct node *node = &world.nodes[0];
    lab_redis_start(&world.redis, NULL);
    command("REPLICAOF 127.0.0.1 1");
    open_node(node);
    lab_run_until(world.loop, has_text, node, "the refusal");
    assert_string_equal(node->link_text, "it is not a master");
    command("REPLICAOF NO ONE");
    lab_run_until(world.loop, is_connected, node, "the connection");
}

static void a_master_that_becomes_a_replica_is_left(void **state)
{
    struct node *node = &world.nodes[0];
    struct region_vote vote = vote_of(node);
    lab_redis_start(&world.redis, NULL);
    connect_node(node);
    command("REPLICAOF 127.0.0.1 1");
    store_beat(node->store, &vote);
    lab_run_until(world.loop, is_not_connected, node, "the loss");
    assert_int_equal(node->news_count, 0);
}

static void nonsense_in_the_state_is_not_taken(void **state)
{
    struct node *node = &world.nodes[0];
    struct region_vote vote = vote_of(node);
    lab_redis_start(&world.redis, NULL);
    connect_node(node);
    beat(node);
    ask_init(node);
    command("HSET weir:{test}:state region:r0:auto sideways");
    node->news_count = 0;
    store_beat(node->store, &vote);
    lab_run_until(world.loop, is_not_connected, node, "the refusal");
    assert_int_equal(node->news_count, 0);
    assert_non_null(strstr(node->link_text, "region:r0:auto"));
    command("HSET weir:{test}:state region:r0:auto up");
    lab_run_until(world.loop, is_connected, node, "the connection");
    beat(node);
}

static void a_state_of_another_type_is_not_taken(void **state)
{
    struct node *node = &world.nodes[0];
    struct region_vote vote = vote_of(node);
    lab_redis_start(&world.redis, NULL);
    command("SET weir:{test}:state text");
    connect_node(node);
    store_beat(node->store, &vote);
    lab_run_until(world.loop, is_not_connected, node, "the refusal");
    assert_int_equal(node->news_count, 0);
}

static void votes_that_are_none_do_not_count(void **state)
{
    struct node *node = &world.nodes[0];
    lab_redis_start(&world.redis, NULL);
    connect_node(node);
    command("SET weir:{test}:vote:n1 nonsense PX 60000");
    beat(node);
    assert_int_equal(node->votes.count, 1);
    command("SET weir:{test}:vote:n1 whatever"); /* without an end */
    beat(node);
    assert_int_equal(node->votes.count, 1);
}

static void settings_that_cannot_be_used_are_refused(void **state)
{
    static const struct {
        const char *address;
        bool good;
    } cases[] = {
        {"127.0.0.1:6379", true},  {"[::1]:6379", true},          {"localhost:6379", true},
        {"unix:/run/redis", true}, {"unix:relative", false},      {"", false},
        {"127.0.0.1", false},      {"127.0.0.1:0", false},        {"127.0.0.1:65536", false},
        {"127.0.0.1:x", false},    {"redis.example:6379", false}, {"[::1:6379", false},
        {":6379", false},
    };
    struct node *node = &world.nodes[0];
    char message[512];
    for (size_t i = 0; i < array_count(cases); i++) {
        strcpy(node->lab.config.store.address, cases[i].address);
        assert_int_equal(try_open(node, message), cases[i].good);
        assert_int_equal(strstr(message, "store.address") == NULL, cases[i].good);
        store_destroy(node->store);
        node->store = NULL;
    }
    strcpy(node->lab.config.store.address, world.redis.address);
    strcpy(node->lab.config.store.password_file, "/no/such/file");
    assert_false(try_open(node, message));
    assert_non_null(strstr(message, "store.password_file"));
}

static void nobody_at_a_tcp_port_is_told_as_refused(void **state)
{
    struct node *node = &world.nodes[0];
    strcpy(node->lab.config.store.address, "127.0.0.1:1");
    open_node(node);
    lab_run_until(world.loop, has_text, node, "the refusal");
    assert_non_null(strstr(node->link_text, "refused"));
}

static void another_address_is_gone_to_when_applied(void **state)
{
    struct node *node = &world.nodes[0];
    lab_redis_start(&world.redis, NULL);
    strcpy(node->lab.config.store.address, "127.0.0.1:1");
    open_node(node);
    lab_run_until(world.loop, is_lost, node, "five failures");
    strcpy(node->lab.config.store.address, world.redis.address);
    store_apply(node->store, &node->lab.config, &node->rules);
    lab_run_until(world.loop, is_connected, node, "the connection");
    strcpy(node->lab.config.store.address, "nonsense");
    store_apply(node->store, &node->lab.config, &node->rules); /* the old one stays */
    assert_int_equal(node->link, STORE_CONNECTED);
    beat(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(nodes_see_each_others_votes_and_the_same_state),
        CASE(an_operators_change_is_seen_by_the_other_node),
        CASE(without_redis_calls_fail_at_once_and_say_why),
        CASE(after_five_failures_it_is_lost_and_found_again_when_it_comes),
        CASE(killed_and_restarted_it_is_found_again_and_empty),
        CASE(a_change_under_way_when_redis_dies_is_answered),
        CASE(a_redis_that_hangs_is_given_up_and_found_again),
        CASE(a_wrong_password_is_told_and_a_new_one_is_read),
        CASE(without_a_password_it_is_refused_where_one_is_needed),
        CASE(an_acl_user_with_the_rights_that_are_needed_is_enough),
        CASE(an_acl_user_without_rights_is_told_so),
        CASE(a_replica_is_not_accepted_and_a_promoted_one_is),
        CASE(a_master_that_becomes_a_replica_is_left),
        CASE(nonsense_in_the_state_is_not_taken),
        CASE(a_state_of_another_type_is_not_taken),
        CASE(votes_that_are_none_do_not_count),
        CASE(settings_that_cannot_be_used_are_refused),
        CASE(nobody_at_a_tcp_port_is_told_as_refused),
        CASE(another_address_is_gone_to_when_applied),
#undef CASE
    };
    if (!lab_redis_is_installed()) {
        print_message("redis-server is missing: install it to run this test\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
