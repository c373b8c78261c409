/* store_redis: a real Redis that comes, goes, refuses, hangs, is wiped and holds nonsense. */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/support/cmocka.h"
#include "tests/support/store_node.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct world {
    struct lab_redis redis;
    struct loop *loop;
    struct store_node nodes[2];
    char password_file[128];
} world;

static int setup(void **state)
{
    memset(&world, 0, sizeof(world));
    lab_redis_make(&world.redis);
    snprintf(world.password_file, sizeof(world.password_file), "%s/password",
             world.redis.directory);
    world.loop = loop_create();
    for (uint32_t n = 0; n < 2; n++)
        store_node_make(&world.nodes[n], world.loop, 2, n, world.redis.address);
    return 0;
}

static int teardown(void **state)
{
    for (uint32_t n = 0; n < 2; n++)
        store_node_close(&world.nodes[n]);
    unlink(world.password_file);
    lab_redis_destroy(&world.redis);
    loop_destroy(world.loop);
    return 0;
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
    store_node_connect(&world.nodes[0]);
    store_node_beat(&world.nodes[0]);
    assert_true(world.nodes[0].empty);
    assert_int_equal(world.nodes[0].votes.count, 1);
    store_node_connect(&world.nodes[1]);
    store_node_ask_init(&world.nodes[0]);
    assert_int_equal(world.nodes[0].answer, REGION_DONE);
    store_node_beat(&world.nodes[1]);
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
    store_node_connect(&world.nodes[0]);
    store_node_connect(&world.nodes[1]);
    store_node_beat(&world.nodes[0]);
    store_node_ask_init(&world.nodes[0]);
    store_node_ask(&world.nodes[0], (struct region_request){.kind = REGION_DRAIN, .region = 1});
    assert_int_equal(world.nodes[0].answer, REGION_DONE);
    assert_string_equal(world.nodes[0].answer_text, "drained by me");
    store_node_beat(&world.nodes[1]);
    assert_int_equal(world.nodes[1].state.regions[1].override, REGION_OVERRIDE_DRAIN);
    store_node_ask(&world.nodes[1], (struct region_request){.kind = REGION_DRAIN, .region = 0});
    assert_false(world.nodes[1].failed);
    assert_int_equal(world.nodes[1].answer, REGION_REFUSED_S1);
}

static void without_redis_calls_fail_at_once_and_say_why(void **state)
{
    struct store_node *node = &world.nodes[0];
    struct region_vote vote = store_node_vote(node);
    store_node_open(node);
    lab_run_until(world.loop, store_node_has_text, node, "the reason");
    assert_int_equal(node->link, STORE_CONNECTING);
    store_beat(node->store, &vote); /* nobody hears it */
    struct region_request request = {.kind = REGION_DRAIN};
    store_change(node->store, &request);
    assert_true(node->answered && node->failed);
    assert_non_null(strstr(node->answer_text, "No such file"));
}

static void after_five_failures_it_is_lost_and_found_again_when_it_comes(void **state)
{
    struct store_node *node = &world.nodes[0];
    store_node_open(node);
    lab_run_until(world.loop, store_node_is_lost, node, "five failures");
    assert_int_equal(node->link_count, 5);
    lab_redis_start(&world.redis, NULL);
    lab_run_until(world.loop, store_node_is_connected, node, "the connection");
    store_node_beat(node);
}

static void killed_and_restarted_it_is_found_again_and_empty(void **state)
{
    struct store_node *node = &world.nodes[0];
    lab_redis_start(&world.redis, NULL);
    store_node_connect(node);
    store_node_beat(node);
    store_node_ask_init(node);
    lab_redis_kill(&world.redis);
    lab_run_until(world.loop, store_node_is_not_connected, node, "the loss");
    lab_redis_start(&world.redis, NULL);
    lab_run_until(world.loop, store_node_is_connected, node, "the connection");
    store_node_beat(node);
    assert_true(node->empty);
}

static void a_change_under_way_when_redis_dies_is_answered(void **state)
{
    struct store_node *node = &world.nodes[0];
    struct region_request request = {.kind = REGION_UNDRAIN};
    lab_redis_start(&world.redis, NULL);
    store_node_connect(node);
    kill(world.redis.pid, SIGSTOP);
    node->answered = false;
    store_change(node->store, &request);
    assert_false(node->answered);
    lab_redis_kill(&world.redis);
    lab_run_until(world.loop, store_node_is_answered, node, "the answer");
    assert_true(node->failed);
}

static void a_redis_that_hangs_is_given_up_and_found_again(void **state)
{
    struct store_node *node = &world.nodes[0];
    struct region_vote vote = store_node_vote(node);
    struct region_request request = {.kind = REGION_UNDRAIN};
    lab_redis_start(&world.redis, NULL);
    store_node_connect(node);
    kill(world.redis.pid, SIGSTOP);
    store_beat(node->store, &vote);
    store_beat(node->store, &vote); /* one is under way: nothing more is sent */
    node->answered = false;
    store_change(node->store, &request);
    lab_run_until(world.loop, store_node_is_answered, node, "the answer");
    assert_true(node->failed);
    assert_non_null(strstr(node->answer_text, "no answer within 200 ms"));
    assert_int_not_equal(node->link, STORE_CONNECTED);
    lab_run_until(world.loop, store_node_is_lost, node, "five failures");
    kill(world.redis.pid, SIGCONT);
    lab_run_until(world.loop, store_node_is_connected, node, "the connection");
    store_node_beat(node);
}

static void a_wrong_password_is_told_and_a_new_one_is_read(void **state)
{
    struct store_node *node = &world.nodes[0];
    strcpy(node->lab.config.store.password_file, world.password_file);
    write_password("wrong\n");
    lab_redis_start(&world.redis, STORE_NODE_SECRET);
    store_node_open(node);
    lab_run_until(world.loop, store_node_has_text, node, "the refusal");
    assert_non_null(strstr(node->link_text, "AUTH"));
    write_password(STORE_NODE_SECRET "\n");
    lab_run_until(world.loop, store_node_is_connected, node, "the connection");
    store_node_beat(node);
}

static void without_a_password_it_is_refused_where_one_is_needed(void **state)
{
    lab_redis_start(&world.redis, STORE_NODE_SECRET);
    store_node_open(&world.nodes[0]);
    lab_run_until(world.loop, store_node_has_text, &world.nodes[0], "the refusal");
    assert_non_null(strstr(world.nodes[0].link_text, "NOAUTH"));
}

static void an_acl_user_with_the_rights_that_are_needed_is_enough(void **state)
{
    struct store_node *node = &world.nodes[0];
    lab_redis_start(&world.redis, NULL);
    command("ACL SETUSER weir on >sesame ~weir:{test}:* &weir:{test}:* -@all +multi +exec +set "
            "+time +hgetall +get +pttl +eval +hset +xadd +xrevrange +publish +role +subscribe");
    strcpy(node->lab.config.store.user, "weir");
    strcpy(node->lab.config.store.password_file, world.password_file);
    write_password("sesame");
    store_node_connect(node);
    store_node_beat(node);
    store_node_ask_init(node);
    assert_false(node->failed);
    assert_int_equal(node->answer, REGION_DONE);
    store_node_audit(node);
    assert_string_equal(node->audit_failure, "");
    assert_int_equal(node->audit_entries, 1);
    command("ACL SETUSER weir -xrevrange");
    store_node_audit(node); /* the record is all that is missing then */
    assert_non_null(strstr(node->audit_failure, "NOPERM"));
    assert_int_equal(node->link, STORE_CONNECTED);
}

static void expect_entry(const struct store_node *node, uint32_t index, const char *text)
{
    assert_true(index < node->audit_entries);
    assert_string_equal(node->audit_text[index], text);
}

static void the_record_tells_what_all_nodes_have_changed(void **state)
{
    lab_redis_start(&world.redis, NULL);
    store_node_connect(&world.nodes[0]);
    store_node_audit(&world.nodes[0]);
    assert_string_equal(world.nodes[0].audit_failure, "");
    assert_int_equal(world.nodes[0].audit_entries, 0);
    store_node_connect(&world.nodes[1]);
    store_node_ask_init(&world.nodes[0]);
    store_node_beat(&world.nodes[0]);
    store_node_beat(&world.nodes[1]); /* learns what n0 has done ... */
    store_node_beat(&world.nodes[1]); /* ... and votes for that */
    store_node_ask(&world.nodes[1], (struct region_request){.kind = REGION_DRAIN, .region = 1});
    assert_int_equal(world.nodes[1].answer, REGION_DONE);
    store_node_audit(&world.nodes[0]);
    assert_int_equal(world.nodes[0].audit_entries, 2);
    expect_entry(&world.nodes[0], 0, "1|init|||||first start|n0|me|0, 0|2|");
    expect_entry(&world.nodes[0], 1, "2|drain|r1|up|up|drain|drained by me|n1|me|1, 1|2|");
}

/* Entries of a later version, which has other fields. */
static void write_record(int count)
{
    redisContext *context = lab_redis_connect(&world.redis);
    for (int i = 1; i <= count; i++)
        redisAppendCommand(context, "XADD weir:{test}:audit * epoch %d later x", i);
    for (int i = 1; i <= count; i++) {
        redisReply *reply;
        assert_int_equal(redisGetReply(context, (void **)&reply), REDIS_OK);
        assert_int_equal(reply->type, REDIS_REPLY_STRING);
        freeReplyObject(reply);
    }
    redisFree(context);
}

static void of_a_long_record_the_end_is_told(void **state)
{
    struct store_node *node = &world.nodes[0];
    lab_redis_start(&world.redis, NULL);
    store_node_connect(node);
    write_record(400);
    store_node_audit(node);
    assert_int_equal(node->audit_entries, STORE_AUDIT_MAX);
    expect_entry(node, 0, "145|||||||||||");
    expect_entry(node, STORE_AUDIT_MAX - 1, "400|||||||||||");
}

static void a_record_that_is_none_is_told_and_harms_nobody(void **state)
{
    struct store_node *node = &world.nodes[0];
    lab_redis_start(&world.redis, NULL);
    store_node_connect(node);
    command("SET weir:{test}:audit x");
    store_node_audit(node);
    assert_non_null(strstr(node->audit_failure, "WRONGTYPE"));
    store_node_beat(node);
    assert_int_equal(node->link, STORE_CONNECTED);
    lab_redis_kill(&world.redis);
    store_node_audit(node); /* under way, or at once: an answer in any case */
    assert_string_not_equal(node->audit_failure, "");
}

static void an_acl_user_without_rights_is_told_so(void **state)
{
    struct store_node *node = &world.nodes[0];
    lab_redis_start(&world.redis, NULL);
    command("ACL SETUSER weir on >sesame ~other:* +@all");
    strcpy(node->lab.config.store.user, "weir");
    strcpy(node->lab.config.store.password_file, world.password_file);
    write_password("sesame");
    store_node_open(node);
    lab_run_until(world.loop, store_node_has_text, node, "the refusal");
    assert_non_null(strstr(node->link_text, "NOPERM"));
}

static void a_replica_is_not_accepted_and_a_promoted_one_is(void **state)
{
    struct store_node *node = &world.nodes[0];
    lab_redis_start(&world.redis, NULL);
    command("REPLICAOF 127.0.0.1 1");
    store_node_open(node);
    lab_run_until(world.loop, store_node_has_text, node, "the refusal");
    assert_string_equal(node->link_text, "it is not a master");
    command("REPLICAOF NO ONE");
    lab_run_until(world.loop, store_node_is_connected, node, "the connection");
}

static void a_master_that_becomes_a_replica_is_left(void **state)
{
    struct store_node *node = &world.nodes[0];
    struct region_vote vote = store_node_vote(node);
    lab_redis_start(&world.redis, NULL);
    store_node_connect(node);
    command("REPLICAOF 127.0.0.1 1");
    node->news_count = 0;
    store_beat(node->store, &vote);
    lab_run_until(world.loop, store_node_is_not_connected, node, "the loss");
    assert_int_equal(node->news_count, 0);
}

static void a_replica_that_may_be_written_to_is_left_as_well(void **state)
{
    struct store_node *node = &world.nodes[0];
    struct region_vote vote = store_node_vote(node);
    lab_redis_start(&world.redis, NULL);
    store_node_connect(node);
    command("CONFIG SET replica-read-only no");
    command("REPLICAOF 127.0.0.1 1");
    node->news_count = 0;
    store_beat(node->store, &vote);
    lab_run_until(world.loop, store_node_is_not_connected, node, "the loss");
    assert_int_equal(node->news_count, 0);
    assert_string_equal(node->link_text, "it is not a master any more");
}

static void nonsense_in_the_state_is_not_taken(void **state)
{
    struct store_node *node = &world.nodes[0];
    struct region_vote vote = store_node_vote(node);
    lab_redis_start(&world.redis, NULL);
    store_node_connect(node);
    store_node_beat(node);
    store_node_ask_init(node);
    command("HSET weir:{test}:state region:r0:auto sideways");
    node->news_count = 0;
    store_beat(node->store, &vote);
    lab_run_until(world.loop, store_node_is_not_connected, node, "the refusal");
    assert_int_equal(node->news_count, 0);
    assert_non_null(strstr(node->link_text, "region:r0:auto"));
    command("HSET weir:{test}:state region:r0:auto up");
    lab_run_until(world.loop, store_node_is_connected, node, "the connection");
    store_node_beat(node);
}

static void a_state_of_another_type_is_not_taken(void **state)
{
    struct store_node *node = &world.nodes[0];
    lab_redis_start(&world.redis, NULL);
    command("SET weir:{test}:state text");
    store_node_open(node);
    lab_run_until(world.loop, store_node_has_text, node, "the refusal");
    assert_int_equal(node->news_count, 0);
    assert_non_null(strstr(node->link_text, "WRONGTYPE"));
}

static void votes_that_are_none_do_not_count(void **state)
{
    struct store_node *node = &world.nodes[0];
    lab_redis_start(&world.redis, NULL);
    store_node_connect(node);
    command("SET weir:{test}:vote:n1 nonsense PX 60000");
    store_node_beat(node);
    assert_int_equal(node->votes.count, 1);
    store_node_connect(&world.nodes[1]);
    store_node_close(&world.nodes[1]);
    store_node_beat(node);
    assert_int_equal(node->votes.count, 2);
    command("PEXPIRE weir:{test}:vote:n1 7000"); /* as when the clock was set back */
    store_node_beat(node);
    assert_int_equal(node->votes.count, 1);
    command("SET weir:{test}:vote:n1 whatever"); /* without an end */
    store_node_beat(node);
    assert_int_equal(node->votes.count, 1);
}

static bool was_due_again(void *context)
{
    return ((struct store_node *)context)->due_count > 0;
}

/* Its answer tells of votes by the order of a roster that is no more. */
static void a_beat_under_way_when_the_roster_changes_is_not_read(void **state)
{
    struct store_node *node = &world.nodes[0];
    struct region_vote vote = store_node_vote(node);
    node->lab.config.store.command_timeout_ns = 20 * CLOCK_S;
    lab_redis_start(&world.redis, NULL);
    store_node_connect(node);
    store_node_beat(node);
    node->silent = true;
    node->news_count = 0;
    node->due_count = 0;
    uint32_t link_count = node->link_count;
    command("CLIENT PAUSE 500 ALL");
    store_beat(node->store, &vote);
    lab_config_cluster(&node->lab, 3, 2, world.redis.address); /* n2 now, of three */
    node->lab.config.store.command_timeout_ns = 20 * CLOCK_S;
    store_apply(node->store, &node->lab.config, &node->rules);
    lab_run_until(world.loop, was_due_again, node, "a wish for another beat");
    assert_int_equal(node->news_count, 0);
    assert_int_equal(node->link_count, link_count);
    store_node_beat(node);
    assert_int_equal(node->votes.count, 2); /* n0, from before, and n2 */
    assert_string_equal(node->votes.votes[1].node, "n2");
    assert_int_equal(node->link_count, link_count);
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
    struct store_node *node = &world.nodes[0];
    char message[512];
    for (size_t i = 0; i < array_count(cases); i++) {
        strcpy(node->lab.config.store.address, cases[i].address);
        assert_int_equal(store_node_try(node, message), cases[i].good);
        assert_int_equal(strstr(message, "store.address") == NULL, cases[i].good);
        assert_int_equal(strstr(message, "names are not looked up") == NULL, cases[i].good);
        store_node_close(node);
    }
    strcpy(node->lab.config.store.address, world.redis.address);
    strcpy(node->lab.config.store.password_file, "/no/such/file");
    assert_false(store_node_try(node, message));
    assert_non_null(strstr(message, "store.password_file"));
}

static void nobody_at_a_tcp_port_is_told_as_refused(void **state)
{
    struct store_node *node = &world.nodes[0];
    strcpy(node->lab.config.store.address, "127.0.0.1:1");
    store_node_open(node);
    lab_run_until(world.loop, store_node_has_text, node, "the refusal");
    assert_non_null(strstr(node->link_text, "refused"));
}

static void another_address_is_gone_to_when_applied(void **state)
{
    struct store_node *node = &world.nodes[0];
    lab_redis_start(&world.redis, NULL);
    strcpy(node->lab.config.store.address, "127.0.0.1:1");
    store_node_open(node);
    lab_run_until(world.loop, store_node_is_lost, node, "five failures");
    strcpy(node->lab.config.store.address, world.redis.address);
    store_apply(node->store, &node->lab.config, &node->rules);
    lab_run_until(world.loop, store_node_is_connected, node, "the connection");
    strcpy(node->lab.config.store.address, "nonsense");
    store_apply(node->store, &node->lab.config, &node->rules); /* the old one stays */
    assert_int_equal(node->link, STORE_CONNECTED);
    store_node_beat(node);
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
        CASE(the_record_tells_what_all_nodes_have_changed),
        CASE(of_a_long_record_the_end_is_told),
        CASE(a_record_that_is_none_is_told_and_harms_nobody),
        CASE(an_acl_user_without_rights_is_told_so),
        CASE(a_replica_is_not_accepted_and_a_promoted_one_is),
        CASE(a_master_that_becomes_a_replica_is_left),
        CASE(a_replica_that_may_be_written_to_is_left_as_well),
        CASE(nonsense_in_the_state_is_not_taken),
        CASE(a_state_of_another_type_is_not_taken),
        CASE(votes_that_are_none_do_not_count),
        CASE(a_beat_under_way_when_the_roster_changes_is_not_read),
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
