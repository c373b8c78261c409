/* store_redis: Sentinels that know the master, do not, or are wrong; and the hints it publishes. */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/support/cmocka.h"
#include "tests/support/fake_redis.h"
#include "tests/support/store_node.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SENTINELS 3

/* What a fake answers: a Sentinel its master, a Redis its role. */
struct server {
    struct fake_redis *fake;
    struct server *master; /* a Sentinel: whom it names; NULL: nil */
    const char *answer;    /* a Sentinel: this instead */
    bool silent;
    bool replica;
    uint32_t asked; /* a Sentinel: for the master */
    uint32_t votes; /* a Redis: SET */
    char password[64];
};

static struct world {
    struct loop *loop;
    struct server sentinels[SENTINELS];
    struct server redis[2];
    char addresses[SENTINELS][CONFIG_NAME_MAX];
    struct store_node node;
} world;

static void answer(void *context, struct fake_redis *fake, const redisReply *command)
{
    struct server *server = context;
    if (server->silent)
        return;
    if (fake_redis_is(command, "AUTH"))
        snprintf(server->password, sizeof(server->password), "%s",
                 command->element[command->elements - 1]->str);
    server->votes += fake_redis_is(command, "SET");
    if (fake_redis_is(command, "ROLE") && server->replica) {
        fake_redis_say(fake, "*1\r\n$5\r\nslave");
        return;
    }
    if (!fake_redis_is(command, "SENTINEL")) {
        fake_redis_usual(fake, command);
        return;
    }
    server->asked++;
    assert_string_equal(command->element[1]->str, "get-master-addr-by-name");
    assert_string_equal(command->element[2]->str, "weir");
    if (server->answer != NULL)
        fake_redis_say(fake, "%s", server->answer);
    else if (server->master == NULL)
        fake_redis_say(fake, "*-1");
    else
        fake_redis_say(fake, "*2\r\n$9\r\n127.0.0.1\r\n$%zu\r\n%s",
                       strlen(fake_redis_port(server->master->fake)),
                       fake_redis_port(server->master->fake));
}

static void start(struct server *server)
{
    server->fake = fake_redis_create(world.loop, answer, server);
}

static int setup(void **state)
{
    memset(&world, 0, sizeof(world));
    world.loop = loop_create();
    start(&world.redis[0]);
    start(&world.redis[1]);
    store_node_make(&world.node, world.loop, 2, 0, "127.0.0.1:1");
    struct config_store *store = &world.node.lab.config.store;
    for (int i = 0; i < SENTINELS; i++) {
        start(&world.sentinels[i]);
        world.sentinels[i].master = &world.redis[0];
        snprintf(world.addresses[i], CONFIG_NAME_MAX, "%s",
                 fake_redis_address(world.sentinels[i].fake));
    }
    store->sentinels = world.addresses;
    store->sentinel_count = SENTINELS;
    strcpy(store->master, "weir");
    return 0;
}

static int teardown(void **state)
{
    store_node_close(&world.node);
    for (int i = 0; i < SENTINELS; i++)
        fake_redis_destroy(world.sentinels[i].fake);
    fake_redis_destroy(world.redis[0].fake);
    fake_redis_destroy(world.redis[1].fake);
    loop_destroy(world.loop);
    return 0;
}

static void tell_all(struct server *master)
{
    for (int i = 0; i < SENTINELS; i++)
        world.sentinels[i].master = master;
}

static void the_first_one_that_answers_is_believed(void **state)
{
    store_node_connect(&world.node);
    assert_int_equal(world.sentinels[0].asked, 1);
    assert_int_equal(world.sentinels[1].asked, 0);
    assert_true(world.redis[0].votes > 0);
    assert_int_equal(world.node.link_count, 1);
}

static void those_that_do_not_know_are_passed_over(void **state)
{
    world.sentinels[0].master = NULL;
    world.sentinels[1].answer = "-IDONTKNOW";
    store_node_connect(&world.node);
    assert_int_equal(world.sentinels[0].asked, 1);
    assert_int_equal(world.sentinels[1].asked, 1);
    assert_int_equal(world.sentinels[2].asked, 1);
    assert_int_equal(world.node.link_count, 1); /* no failure was told */
}

static void those_that_are_away_or_silent_are_passed_over(void **state)
{
    strcpy(world.addresses[0], "127.0.0.1:1");
    world.sentinels[1].silent = true;
    store_node_connect(&world.node);
    assert_int_equal(world.sentinels[2].asked, 1);
    assert_int_equal(world.node.link_count, 1);
}

static void answers_that_are_none_are_passed_over(void **state)
{
    static const struct {
        const char *answer;
        const char *text;
    } cases[] = {
        {"*2\r\n$9\r\nlocalhost\r\n$4\r\n6379", "names \"localhost\", which is no IP address"},
        {"*2\r\n$9\r\n127.0.0.1\r\n$5\r\n99999", "which is no IP address"},
        {"*2\r\n$9\r\n127.0.0.1\r\n:6379", "its answer cannot be read"},
        {"*2\r\n$-1\r\n$4\r\n6379", "its answer cannot be read"},
        {"*1\r\n$9\r\n127.0.0.1", "its answer cannot be read"},
        {"+OK", "its answer cannot be read"},
        {"*-1", "knows no master \"weir\""},
        {"-NOAUTH Authentication required.", "NOAUTH"},
    };
    struct store_node *node = &world.node;
    node->lab.config.store.sentinel_count = 1;
    for (size_t i = 0; i < array_count(cases); i++) {
        world.sentinels[0].answer = cases[i].answer;
        node->link_text[0] = '\0';
        store_node_open(node);
        lab_run_until(world.loop, store_node_has_text, node, "the reason");
        assert_non_null(strstr(node->link_text, world.addresses[0]));
        if (strstr(node->link_text, cases[i].text) == NULL)
            fail_msg("\"%s\", expected \"%s\"", node->link_text, cases[i].text);
        store_node_close(node);
    }
}

static bool has_votes(void *context)
{
    return ((struct server *)context)->votes > 0;
}

static void a_replica_that_is_named_is_not_written_to(void **state)
{
    world.sentinels[0].master = &world.redis[1];
    world.redis[1].replica = true;
    store_node_open(&world.node);
    lab_run_until(world.loop, store_node_has_text, &world.node, "the refusal");
    assert_string_equal(world.node.link_text, "it is not a master");
    lab_run_until(world.loop, store_node_is_connected, &world.node, "what the next one names");
    assert_int_equal(world.redis[1].votes, 0);
    assert_true(world.redis[0].votes > 0);
}

static void after_a_failover_the_new_master_is_found(void **state)
{
    store_node_connect(&world.node);
    tell_all(&world.redis[1]);
    world.redis[0].replica = true;
    fake_redis_cut(world.redis[0].fake); /* as Sentinel does it */
    uint32_t before = world.redis[0].votes;
    lab_run_until(world.loop, has_votes, &world.redis[1], "votes at the new master");
    lab_run_until(world.loop, store_node_is_connected, &world.node, "the connection");
    assert_int_equal(world.redis[0].votes, before);
}

static void all_away_is_told_and_they_are_found_when_they_come(void **state)
{
    for (int i = 0; i < SENTINELS; i++)
        world.sentinels[i].silent = true;
    store_node_open(&world.node);
    lab_run_until(world.loop, store_node_is_lost, &world.node, "five failures");
    assert_non_null(strstr(world.node.link_text, "sentinel 127.0.0.1:"));
    for (int i = 0; i < SENTINELS; i++)
        world.sentinels[i].silent = false;
    lab_run_until(world.loop, store_node_is_connected, &world.node, "the connection");
}

static void sentinels_have_a_password_of_their_own(void **state)
{
    struct config_store *store = &world.node.lab.config.store;
    char file[] = "/tmp/weir-password-XXXXXX";
    int fd = mkstemp(file);
    assert_int_equal(write(fd, STORE_NODE_SECRET, strlen(STORE_NODE_SECRET)),
                     strlen(STORE_NODE_SECRET));
    close(fd);
    strcpy(store->sentinel_user, "asker");
    strcpy(store->sentinel_password_file, file);
    store_node_connect(&world.node);
    assert_string_equal(world.sentinels[0].password, STORE_NODE_SECRET);
    assert_string_equal(world.redis[0].password, "");
    unlink(file);
}

static void settings_that_cannot_be_used_are_refused_by_their_path(void **state)
{
    struct config_store *store = &world.node.lab.config.store;
    char message[512];
    strcpy(store->sentinel_password_file, "/no/such/file");
    assert_false(store_node_try(&world.node, message));
    assert_non_null(strstr(message, "store.sentinel_password_file: /no/such/file"));
    strcpy(world.addresses[1], "sentinel.example:26379");
    assert_false(store_node_try(&world.node, message));
    assert_non_null(strstr(message, "store.sentinels[1]: is \"sentinel.example:26379\""));
}

static void other_sentinels_are_gone_to_when_applied(void **state)
{
    struct store_node *node = &world.node;
    node->lab.config.store.sentinel_count = 1;
    store_node_connect(node);
    uint32_t link_count = node->link_count;
    store_apply(node->store, &node->lab.config, &node->rules); /* the same: nothing happens */
    store_node_beat(node);
    assert_int_equal(node->link_count, link_count);
    node->lab.config.store.sentinel_count = 2;
    tell_all(&world.redis[1]);
    store_apply(node->store, &node->lab.config, &node->rules);
    lab_run_until(world.loop, has_votes, &world.redis[1], "votes where the others say");
}

/* Hints. */

static uint32_t wanted;

static bool is_asked_for_a_beat(void *context)
{
    return world.node.due_count >= wanted;
}

static void expect_due(uint32_t count, const char *what)
{
    wanted = count;
    lab_run_until(world.loop, is_asked_for_a_beat, NULL, what);
}

/* Connected, and the look after the subscription is over. */
static void subscribe(void)
{
    store_node_connect(&world.node);
    expect_due(2, "the look after the subscription");
    store_node_beat(&world.node);
}

#define MESSAGE "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n7\r\n"

static void what_is_published_asks_for_a_beat_at_once(void **state)
{
    subscribe();
    fake_redis_publish(world.redis[0].fake, MESSAGE);
    expect_due(3, "the look after a hint");
}

static void a_hint_during_a_beat_is_followed_by_another_one(void **state)
{
    struct region_vote vote = store_node_vote(&world.node);
    subscribe();
    world.node.silent = true;
    store_beat(world.node.store, &vote); /* not answered before the loop runs */
    fake_redis_publish(world.redis[0].fake, MESSAGE);
    expect_due(3, "the look after the beat");
}

static void many_hints_are_one(void **state)
{
    subscribe();
    for (int i = 0; i < 1000; i++)
        fake_redis_publish(world.redis[0].fake, MESSAGE);
    expect_due(3, "the look after the hints");
    lab_run_for(world.loop, 50 * CLOCK_MS);
    assert_true(world.node.due_count < 20);
}

static void nonsense_in_a_subscription_harms_nobody(void **state)
{
    static const char *const cases[] = {
        "*0\r\n",       "+OK\r\n",      "$-1\r\n",
        ":1\r\n",       "-ERR no\r\n",  "*-1\r\n",
        "*1\r\n*0\r\n", "nonsense\r\n", "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n",
    };
    subscribe();
    for (size_t i = 0; i < array_count(cases); i++)
        fake_redis_publish(world.redis[0].fake, cases[i]);
    lab_run_for(world.loop, 50 * CLOCK_MS);
    assert_int_equal(world.node.link, STORE_CONNECTED);
    store_node_beat(&world.node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(the_first_one_that_answers_is_believed),
        CASE(those_that_do_not_know_are_passed_over),
        CASE(those_that_are_away_or_silent_are_passed_over),
        CASE(answers_that_are_none_are_passed_over),
        CASE(a_replica_that_is_named_is_not_written_to),
        CASE(after_a_failover_the_new_master_is_found),
        CASE(all_away_is_told_and_they_are_found_when_they_come),
        CASE(sentinels_have_a_password_of_their_own),
        CASE(settings_that_cannot_be_used_are_refused_by_their_path),
        CASE(other_sentinels_are_gone_to_when_applied),
        CASE(what_is_published_asks_for_a_beat_at_once),
        CASE(a_hint_during_a_beat_is_followed_by_another_one),
        CASE(many_hints_are_one),
        CASE(nonsense_in_a_subscription_harms_nobody),
#undef CASE
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
