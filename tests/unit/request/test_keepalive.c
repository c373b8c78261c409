/* Comments in event streams: when, and where. */
#include "dataplane/base/clock.h"
#include "dataplane/request/exchange.h"
#include "tests/support/cmocka.h"

#define EVERY (15 * CLOCK_S)

static struct timer_wheel wheel;
static struct request_engine engine;
static struct exchange exchange;
static uint32_t woken;
static uint64_t now;

/* In place of HTTP/2's. */
void h2_stream_ready(struct h2_stream *stream)
{
    woken++;
}

static int set_up(void **state)
{
    now = CLOCK_S;
    woken = 0;
    timer_wheel_init(&wheel, now);
    engine = (struct request_engine){.config = {.wheel = &wheel}};
    keepalive_comment_init(&engine.comment);
    return 0;
}

/* An answer with one further field; NULL: none. */
static void begin(uint64_t every_ns, const char *type, enum field_token token, const char *value)
{
    uint8_t room[512];
    struct fields head;
    fields_init(&head, room, sizeof(room));
    fields_add_token(&head, FIELD_STATUS, bytes_text("200"));
    fields_add_token(&head, FIELD_CONTENT_TYPE, bytes_text(type));
    if (value != NULL)
        fields_add_token(&head, token, bytes_text(value));
    exchange = (struct exchange){.engine = &engine, .keepalive = {.every_ns = every_ns}};
    cut_begin(&exchange.cut, &head, false);
    keepalive_begin(&exchange, now);
}

static void wait_for(uint64_t for_ns)
{
    now += for_ns;
    timer_wheel_advance(&wheel, now, 1000);
}

static void say(const char *text)
{
    keepalive_said(&exchange.keepalive, now);
    cut_pass(&exchange.cut, bytes_text(text));
}

/* Whether a comment comes when there is nothing else. */
static bool comments(void)
{
    struct chunk chunk;
    if (!keepalive_take(&exchange, 100, &chunk, now))
        return false;
    assert_int_equal(chunk.length, 3);
    assert_memory_equal(chunk.segment->data + chunk.offset, ":\n\n", 3);
    return true;
}

static void a_comment_comes_after_the_silence_and_again(void **state)
{
    begin(EVERY, "text/event-stream", FIELD_OTHER, NULL);
    say("data: x\n\n");
    wait_for(EVERY - CLOCK_S);
    assert_false(comments());
    wait_for(2 * CLOCK_S);
    assert_int_equal(woken, 1);
    assert_true(comments());
    assert_false(comments());
    wait_for(EVERY + CLOCK_S);
    assert_int_equal(woken, 2);
    assert_true(comments());
    assert_int_equal(engine.counters.event_stream_comments, 2);
    keepalive_end(&exchange);
    assert_int_equal(wheel.armed_count, 0);
}

static void bytes_begin_the_silence_anew(void **state)
{
    begin(EVERY, "text/event-stream", FIELD_OTHER, NULL);
    for (int i = 0; i < 10; i++) {
        wait_for(EVERY - CLOCK_S);
        say("data: x\n\n");
        assert_false(comments());
    }
    assert_int_equal(woken, 0);
    keepalive_end(&exchange);
}

static void never_inside_an_event(void **state)
{
    static const struct {
        const char *said;
        bool comments;
    } cases[] = {{"", true},
                 {"data: x\n\n", true},
                 {"data: x\r\n\r\n", true},
                 {"data: x\r\r", true},
                 {"data: x", false},
                 {"data: x\n", false},
                 {"data: x\r\n", false},
                 {"data: x\n\nid: 2", false},
                 {"data: x\n\nid: 2\n", false}};
    for (size_t i = 0; i < array_count(cases); i++) {
        begin(EVERY, "text/event-stream; charset=utf-8", FIELD_OTHER, NULL);
        say(cases[i].said);
        wait_for(2 * EVERY);
        assert_int_equal(comments(), cases[i].comments);
        keepalive_end(&exchange);
    }
}

static void an_event_that_ends_late_is_followed_by_one(void **state)
{
    begin(EVERY, "text/event-stream", FIELD_OTHER, NULL);
    say("data: x");
    wait_for(2 * EVERY);
    assert_false(comments());
    say("\n\n");
    assert_false(comments());
    wait_for(EVERY + CLOCK_S);
    assert_true(comments());
    keepalive_end(&exchange);
}

static void only_where_it_is_harmless(void **state)
{
    static const struct {
        uint64_t every_ns;
        const char *type;
        enum field_token token;
        const char *value;
    } cases[] = {{0, "text/event-stream", FIELD_OTHER, NULL},
                 {EVERY, "text/plain", FIELD_OTHER, NULL},
                 {EVERY, "application/grpc", FIELD_OTHER, NULL},
                 {EVERY, "text/event-stream", FIELD_CONTENT_LENGTH, "100"},
                 {EVERY, "text/event-stream", FIELD_CONTENT_ENCODING, "gzip"}};
    for (size_t i = 0; i < array_count(cases); i++) {
        begin(cases[i].every_ns, cases[i].type, cases[i].token, cases[i].value);
        wait_for(2 * EVERY);
        assert_false(comments());
        assert_int_equal(wheel.armed_count, 0);
    }
    assert_int_equal(woken, 0);
}

static void it_waits_for_room(void **state)
{
    struct chunk chunk;
    begin(EVERY, "text/event-stream", FIELD_OTHER, NULL);
    wait_for(2 * EVERY);
    for (uint32_t max = 0; max < 3; max++)
        assert_false(keepalive_take(&exchange, max, &chunk, now));
    assert_true(keepalive_take(&exchange, 3, &chunk, now));
    keepalive_end(&exchange);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_comment_comes_after_the_silence_and_again, set_up),
        cmocka_unit_test_setup(bytes_begin_the_silence_anew, set_up),
        cmocka_unit_test_setup(never_inside_an_event, set_up),
        cmocka_unit_test_setup(an_event_that_ends_late_is_followed_by_one, set_up),
        cmocka_unit_test_setup(only_where_it_is_harmless, set_up),
        cmocka_unit_test_setup(it_waits_for_room, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
