/* store_redis: answers that no sound Redis gives, and refusals that are hard to come by. */
#include "control/store_redis_connection.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/support/cmocka.h"
#include "tests/support/fake_redis.h"
#include "tests/support/store_node.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SILENCE "no answer within 200 ms"

/* Instead of the usual answer to `command`. */
struct fault {
    const char *command;
    const char *answer; /* without the last line end; NULL: silence */
    const char *text;   /* what is told contains this */
};

static const struct fault faults[] = {
    {"ROLE", "-LOADING Redis is loading the dataset in memory", "LOADING"},
    {"ROLE", "-NOAUTH Authentication required.", "NOAUTH"},
    {"ROLE", "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:1\r\n$7\r\nconnect\r\n:-1", "not a master"},
    {"ROLE", "+master", "not a master"},
    {"ROLE", "*0", "not a master"},
    {"ROLE", "*1\r\n$-1", "not a master"},
    {"ROLE", "*-1", "not a master"},
    {"ROLE", "*1\r\n:1", "not a master"},
    {"ROLE", "*2000000000", "answer of Redis"},
    {"ROLE", "$2000000000\r\n1", SILENCE},
    {"ROLE", "HTTP/1.1 400 Bad Request", "not an answer of Redis"},
    {"ROLE", "*1\r\n$6\r\nmaster\r\n+and more", "cannot be read"},
    {"ROLE", "*1\r\n$6\r\nmast", SILENCE},
    {"ROLE", NULL, SILENCE},
    {"MULTI", "-NOPERM this user has no permissions to run the 'multi' command", "NOPERM"},
    {"SET", "-OOM command not allowed when used memory > 'maxmemory'.", "OOM"},
    {"SET", "-READONLY You can't write against a read only replica.", "READONLY"},
    {"SET", "-LOADING Redis is loading the dataset in memory", "LOADING"},
    {"SET", "-MISCONF Redis is configured to save RDB snapshots", "MISCONF"},
    {"SET", "-BUSY Redis is busy running a script.", "BUSY"},
    {"SET", "-ERR \033[2J\ttabs", "ERR ?[2J?tabs"},
    {"EXEC", "-EXECABORT Transaction discarded because of previous errors.", "EXECABORT"},
    {"EXEC", "*-1", "cannot be read"},
    {"EXEC", ":5", "cannot be read"},
    {"EXEC", "*1\r\n+OK", "cannot be read"},
    {"EXEC", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n+deep",
     "answer of Redis"},
    {"EXEC",
     "*8\r\n+OK\r\n*2\r\n$2\r\n-5\r\n$1\r\n0\r\n*1\r\n$6\r\nmaster\r\n*0\r\n$-1\r\n:-2\r\n"
     "$-1\r\n:-2",
     "the time of Redis"},
    {"EXEC", "*8\r\n+OK\r\n*0\r\n*1\r\n$6\r\nmaster\r\n*0\r\n$-1\r\n:-2\r\n$-1\r\n:-2",
     "the time of Redis"},
    {"EXEC", "*8\r\n+OK\r\n*0\r\n*1\r\n$5\r\nslave\r\n*0\r\n$-1\r\n:-2\r\n$-1\r\n:-2",
     "not a master any more"},
    {"EXEC",
     "*8\r\n+OK\r\n*0\r\n*1\r\n$6\r\nmaster\r\n*1\r\n$5\r\nepoch\r\n$-1\r\n:-2\r\n$-1\r\n"
     ":-2",
     "the state in Redis cannot be read"},
    {"EXEC",
     "*8\r\n+OK\r\n*0\r\n*1\r\n$6\r\nmaster\r\n-WRONGTYPE of key\r\n$-1\r\n:-2\r\n$-1\r\n"
     ":-2",
     "WRONGTYPE"},
};

struct patient {
    const struct fault *fault;
    struct fake_redis *fake;
    struct store_node node;
};

static struct patient patients[array_count(faults)];
static struct loop *loop;

static void answer_with_fault(void *context, struct fake_redis *fake, const redisReply *command)
{
    const struct fault *fault = context;
    if (!fake_redis_is(command, fault->command))
        fake_redis_usual(fake, command);
    else if (fault->answer != NULL)
        fake_redis_say(fake, "%s", fault->answer);
}

static bool all_are_lost(void *context)
{
    for (size_t i = 0; i < array_count(faults); i++)
        if (patients[i].node.link != STORE_LOST)
            return false;
    return true;
}

static int setup(void **state)
{
    loop = loop_create();
    return 0;
}

static int teardown(void **state)
{
    loop_destroy(loop);
    return 0;
}

/* On a machine that is slow just now an answer may take longer than the default. */
static void wait_long(struct store_node *node)
{
    node->lab.config.store.command_timeout_ns = 20 * CLOCK_S;
}

/* All at the same time: each takes five attempts. */
static void what_cannot_be_used_is_told_and_not_asked_for_again_at_once(void **state)
{
    for (size_t i = 0; i < array_count(faults); i++) {
        struct patient *patient = &patients[i];
        patient->fake = fake_redis_create(loop, answer_with_fault, (void *)&faults[i]);
        store_node_make(&patient->node, loop, 2, 0, fake_redis_address(patient->fake));
        if (strcmp(faults[i].text, SILENCE) != 0)
            wait_long(&patient->node);
        store_node_open(&patient->node);
    }
    lab_run_until(loop, all_are_lost, NULL, "five failures each");
    for (size_t i = 0; i < array_count(faults); i++) {
        struct patient *patient = &patients[i];
        if (strstr(patient->node.link_text, faults[i].text) == NULL)
            fail_msg("%s answered by %.40s: \"%s\"", faults[i].command, faults[i].answer,
                     patient->node.link_text);
        assert_int_equal(patient->node.news_count, 0);
        store_node_close(&patient->node);
        fake_redis_destroy(patient->fake);
    }
}

static void answer_usually(void *context, struct fake_redis *fake, const redisReply *command)
{
    fake_redis_usual(fake, command);
}

static bool is_connected_twice(void *context)
{
    struct store_node *node = context;
    return node->link == STORE_CONNECTED && node->link_count > 1;
}

static void an_answer_that_nobody_asked_for_ends_the_connection(void **state)
{
    static struct store_node node;
    struct fake_redis *fake = fake_redis_create(loop, answer_usually, NULL);
    store_node_make(&node, loop, 2, 0, fake_redis_address(fake));
    wait_long(&node);
    store_node_connect(&node);
    fake_redis_shout(fake, "+by the way\r\n");
    lab_run_until(loop, store_node_is_not_connected, &node, "the refusal");
    assert_non_null(strstr(node.link_text, "nobody asked for"));
    store_node_close(&node);
    fake_redis_destroy(fake);
}

static void a_connection_that_is_cut_is_made_again(void **state)
{
    static struct store_node node;
    struct fake_redis *fake = fake_redis_create(loop, answer_usually, NULL);
    store_node_make(&node, loop, 2, 0, fake_redis_address(fake));
    wait_long(&node);
    store_node_connect(&node);
    fake_redis_cut(fake);
    lab_run_until(loop, is_connected_twice, &node, "the second connection");
    store_node_close(&node);
    fake_redis_destroy(fake);
}

/* Too much to send, all at once. */

struct flood {
    struct redis_connection *connection;
    uint32_t answers;
    char down[REDIS_TEXT_MAX];
};

static void send_role(struct flood *flood, redis_connection_reply *reply)
{
    redis_connection_send(flood->connection, reply, flood, 1, (const char *[]){"ROLE"}, NULL);
}

/* More than can be under way, while the next answer is there already. */
static void send_too_many(void *context, const redisReply *reply)
{
    struct flood *flood = context;
    for (uint32_t i = 0; flood->answers == 0 && i < REDIS_COMMANDS_MAX; i++)
        send_role(flood, NULL);
    flood->answers++;
}

static void flood_up(void *context)
{
    struct flood *flood = context;
    for (int i = 0; i < 2; i++)
        send_role(flood, send_too_many);
}

static void flood_down(void *context, const char *text)
{
    struct flood *flood = context;
    snprintf(flood->down, sizeof(flood->down), "%s", text);
}

static bool flood_is_down(void *context)
{
    return ((const struct flood *)context)->down[0] != '\0';
}

static void who_sends_too_much_fails_whatever_is_answered_meanwhile(void **state)
{
    struct flood flood = {0};
    const struct redis_connection_events events = {flood_up, flood_down, &flood};
    struct fake_redis *fake = fake_redis_create(loop, answer_usually, NULL);
    struct redis_target target = {.connect_timeout_ns = 20 * CLOCK_S,
                                  .command_timeout_ns = 20 * CLOCK_S};
    assert_true(redis_address_parse(fake_redis_address(fake), &target.address));
    flood.connection = redis_connection_create(loop, &events);
    redis_connection_open(flood.connection, &target);
    lab_run_until(loop, flood_is_down, &flood, "the end");
    assert_in_range(flood.answers, 1, 2);
    redis_connection_destroy(flood.connection);
    fake_redis_destroy(fake);
}

/* Secrets. */

static void answer_without_auth(void *context, struct fake_redis *fake, const redisReply *command)
{
    if (fake_redis_is(command, "AUTH"))
        fake_redis_say(fake, "-ERR unknown command `AUTH`, with args beginning with: `%s`, ",
                       command->element[command->elements - 1]->str);
    else
        fake_redis_usual(fake, command);
}

static void a_password_that_a_server_repeats_is_not_told(void **state)
{
    static struct store_node node;
    char file[] = "/tmp/weir-password-XXXXXX";
    int fd = mkstemp(file);
    assert_int_equal(write(fd, STORE_NODE_SECRET "\n", strlen(STORE_NODE_SECRET) + 1),
                     strlen(STORE_NODE_SECRET) + 1);
    close(fd);
    struct fake_redis *fake = fake_redis_create(loop, answer_without_auth, NULL);
    store_node_make(&node, loop, 2, 0, fake_redis_address(fake));
    wait_long(&node);
    strcpy(node.lab.config.store.password_file, file);
    store_node_open(&node); /* its events look for the secret */
    lab_run_until(loop, store_node_has_text, &node, "the refusal");
    assert_non_null(strstr(node.link_text, "AUTH: ERR"));
    store_node_close(&node);
    fake_redis_destroy(fake);
    unlink(file);
}

/* A Redis that says a bit just before each time-out. */

struct dribble {
    struct loop_timer *timer;
    struct fake_redis *fake;
    int queued;
};

static void say_a_bit(void *context, uint64_t now)
{
    struct dribble *dribble = context;
    if (dribble->queued == 0)
        return;
    dribble->queued--;
    fake_redis_say(dribble->fake, "+QUEUED");
    loop_timer_at(dribble->timer, now + 150 * CLOCK_MS);
}

static void answer_slowly(void *context, struct fake_redis *fake, const redisReply *command)
{
    struct dribble *dribble = context;
    if (fake_redis_is(command, "ROLE") && dribble->queued == 0) {
        fake_redis_usual(fake, command);
        return;
    }
    if (dribble->queued++ == 0)
        loop_timer_at(dribble->timer, loop_now_ns(loop) + 150 * CLOCK_MS);
}

static void a_beat_has_its_time_whatever_trickles_in(void **state)
{
    static struct store_node node;
    struct dribble dribble = {0};
    struct fake_redis *fake = fake_redis_create(loop, answer_slowly, &dribble);
    dribble.fake = fake;
    dribble.timer = loop_timer(loop, say_a_bit, &dribble);
    store_node_make(&node, loop, 2, 0, fake_redis_address(fake));
    store_node_open(&node);
    lab_run_until(loop, store_node_has_text, &node, "the refusal");
    assert_non_null(strstr(node.link_text, "no answer within 200 ms"));
    assert_true(dribble.queued > 3); /* it had not said all that was asked for */
    store_node_close(&node);
    loop_timer_destroy(dribble.timer);
    fake_redis_destroy(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(what_cannot_be_used_is_told_and_not_asked_for_again_at_once),
        CASE(an_answer_that_nobody_asked_for_ends_the_connection),
        CASE(a_connection_that_is_cut_is_made_again),
        CASE(who_sends_too_much_fails_whatever_is_answered_meanwhile),
        CASE(a_password_that_a_server_repeats_is_not_told),
        CASE(a_beat_has_its_time_whatever_trickles_in),
#undef CASE
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
