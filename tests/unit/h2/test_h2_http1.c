/* A client that speaks HTTP/1: what its owner is asked, and that the connection ends by the answer.
 */
#include "dataplane/base/clock.h"
#include "dataplane/base/memory.h"
#include "tests/support/cmocka.h"
#include "tests/support/h2_lab.h"

#define LINE_MAX_BYTES 2048

/* The owner: what it was told, and what it says. */
static struct {
    struct h2_conn *conn;
    struct pipe pipe;
    bool wants_line;
    const char *answer;
    char line[LINE_MAX_BYTES + 1];
    uint32_t asked;
    uint32_t closed;
} one;

static bool on_http1(void *owner, struct bytes line, struct writer *out)
{
    one.asked++;
    if (one.wants_line && line.data == NULL)
        return false;
    assert_true(line.length < sizeof(one.line));
    if (line.length > 0)
        memcpy(one.line, line.data, line.length);
    one.line[line.length] = '\0';
    writer_bytes(out, bytes_text(one.answer));
    return true;
}

static void on_closed(void *owner, struct h2_conn *conn, uint64_t now)
{
    one.conn = NULL;
    one.closed++;
}

static const struct h2_handler owner = {.http1 = on_http1, .closed = on_closed};

static void open_one(bool wants_line, const char *answer)
{
    struct h2_config config = lab_config();
    memset(&one, 0, sizeof(one));
    one.wants_line = wants_line;
    one.answer = answer;
    lab_create(&config);
    pipe_open(&one.pipe, 8192, NULL);
    one.conn = h2_open(lab.h2, H2_SERVER, pipe_transport(&one.pipe.ends[0]), &owner, NULL, lab.now);
    assert_non_null(one.conn);
}

static void say(const char *text, size_t step)
{
    size_t length = strlen(text);
    for (size_t at = 0; at < length && one.conn != NULL; at += step) {
        pipe_feed(&one.pipe.ends[0], bytes_of(text + at, step < length - at ? step : length - at));
        h2_in(one.conn, lab.now);
        h2_flush(lab.h2, lab.now);
    }
}

/* What it was told begins like this, and all is over. */
static void check_told(const char *beginning)
{
    struct bytes told = pipe_take(&one.pipe.ends[0]);
    assert_true(told.length >= strlen(beginning));
    assert_memory_equal(told.data, beginning, strlen(beginning));
    assert_int_equal(one.closed, 1);
    assert_true(one.pipe.ends[0].closed);
    assert_int_equal(h2_objects_used(lab.h2), 0);
    assert_int_equal(lab.wheel.armed_count, 0);
    pipe_release(&one.pipe);
    memory_reset();
}

static void the_owner_answers_at_once_if_it_needs_no_line(void **state)
{
    open_one(false, "HTTP/1.1 426 ");
    say("G", 1);
    assert_int_equal(one.asked, 1);
    check_told("HTTP/1.1 426 ");
}

static void an_owner_that_says_nothing_means_505(void **state)
{
    open_one(false, "");
    say("GET / HTTP/1.1\r\n", 100);
    check_told("HTTP/1.1 505 ");
}

static void the_request_line_is_the_owners_however_it_is_cut(void **state)
{
    static const struct {
        const char *said, *line;
    } cases[] = {
        {"GET /a?b HTTP/1.1\r\nhost: x\r\n\r\n", "GET /a?b HTTP/1.1"},
        {"POST /p HTTP/1.0\r\n", "POST /p HTTP/1.0"}, /* begins as the preface does */
        {"PRI /p HTTP/1.1\r\n", "PRI /p HTTP/1.1"},
        {"\r\n\r\nGET / HTTP/1.1\r\n", "GET / HTTP/1.1"},
        {"GET /\n", "GET /"},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        for (size_t step = 1; step < 20; step++) {
            open_one(true, "HTTP/1.1 308 ");
            say(cases[i].said, step);
            assert_string_equal(one.line, cases[i].line);
            check_told("HTTP/1.1 308 ");
        }
    }
}

static void a_line_above_its_bound_is_not_looked_at(void **state)
{
    char text[LINE_MAX_BYTES + 100];
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    open_one(true, "HTTP/1.1 308 ");
    say(text, 1000);
    assert_string_equal(one.line, "");
    check_told("HTTP/1.1 505 ");
}

static void a_line_that_does_not_end_has_its_time(void **state)
{
    open_one(true, "HTTP/1.1 308 ");
    say("GET / HT", 8);
    assert_int_equal(one.closed, 0);
    lab.now += 60 * CLOCK_S;
    while (timer_wheel_advance(&lab.wheel, lab.now, 100) == 100)
        ;
    check_told("");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_owner_answers_at_once_if_it_needs_no_line),
        cmocka_unit_test(an_owner_that_says_nothing_means_505),
        cmocka_unit_test(the_request_line_is_the_owners_however_it_is_cut),
        cmocka_unit_test(a_line_above_its_bound_is_not_looked_at),
        cmocka_unit_test(a_line_that_does_not_end_has_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
