/*
 * RFC 9218: what the `priority` field and PRIORITY_UPDATE say, and who is served first.
 */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/unit/h2/h2_case.h"

#include <stdio.h>

/* A request whose `priority` field is VALUE; NULL: none. */
static void ask(uint32_t id, const char *value)
{
    char text[200];
    if (value == NULL)
        snprintf(text, sizeof(text), "HEADERS/5/%x @get", id);
    else
        snprintf(text, sizeof(text), "HEADERS/5/%x @get 00 08 'priority %02zx", id, strlen(value));
    for (const char *at = value; at != NULL && *at != 0; at++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%02x", (unsigned char)*at);
    lab_script(text);
}

static void update(uint32_t id, const char *value)
{
    char text[200];
    snprintf(text, sizeof(text), "PRIORITY_UPDATE/0/0 %08x", id);
    for (const char *at = value; *at != 0; at++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%02x", (unsigned char)*at);
    lab_script(text);
}

/* The streams of the DATA frames sent, in order, as digits of id / 2. */
static const char *order(void)
{
    static char text[200];
    size_t length = 0;
    struct h2_frame frame;
    struct bytes payload;
    struct reader r = reader_over(bytes_of(lab.sent, lab.sent_bytes));
    while (h2_script_read(&r, &frame, &payload))
        if (frame.type == H2_FRAME_DATA && length < sizeof(text) - 1)
            text[length++] = (char)('0' + frame.stream_id / 2);
    text[length] = 0;
    return text;
}

/* Everybody is answered with three DATA frames, as far as the room goes. */
static void answer_all(void)
{
    lab.owner.body_bytes = 3 * H2_FRAME_PAYLOAD_BYTES;
    lab_script("WINDOW_UPDATE/0/0 00ffffff");
    lab_forget_sent();
    lab_answer();
}

static const struct {
    const char *value;
    uint8_t urgency;
    bool turns;
} values[] = {
    {"", 3, false},
    {"u=0", 0, false},
    {"u=7, i", 7, true},
    {"i", 3, true},
    {"i=?1,u=2", 2, true},
    {" u=5 \t,\ti=?0 ", 5, false},
    {"u=1;x=y, i;q", 1, true},
    {"u=8", 3, false},
    {"u=-1", 3, false},
    {"u=12", 3, false},
    {"u=1.0", 3, false},
    {"u", 3, false},
    {"i=1", 3, false},
    {"i=?2", 3, false},
    {"U=1", 3, false},
    {"u=1, u=2", 2, false},
    {"x=\"a\", u=4, y=(a b)", 4, false},
    {",,,", 3, false},
    {"u=", 3, false},
};

static void values_are_read_leniently(void **state)
{
    for (size_t i = 0; i < array_count(values); i++) {
        struct h2_priority priority = h2_priority_read(bytes_text(values[i].value));
        assert_int_equal(priority.urgency, values[i].urgency);
        assert_int_equal(priority.turns, values[i].turns);
    }
}

static void it_is_announced_that_old_priorities_are_not_used(void **state)
{
    struct h2_config config = lab_config();
    lab_create(&config);
    lab_open(H2_SERVER);
    lab_script("PREFACE; SETTINGS/0/0");
    static const uint8_t setting[] = {0, 9, 0, 0, 0, 1};
    bool found = false;
    for (uint32_t at = H2_FRAME_HEADER_BYTES; at + 6 <= lab.sent_bytes && at < 40; at += 6)
        found |= memcmp(lab.sent + at, setting, sizeof(setting)) == 0;
    assert_true(found);
    lab_close();
}

static void our_own_uploads_go_in_the_order_that_their_field_says(void **state)
{
    static const char *const uploads[] = {"u=5, i", "u=1", "u=1", "u=3, i"};
    struct h2_config config = lab_config();
    lab_create(&config);
    lab_open(H2_CLIENT);
    lab_handshake();
    lab.owner.requests = LAB_OPEN;
    lab.owner.uploads = uploads;
    lab_script("WINDOW_UPDATE/0/0 00ffffff");
    lab_request(array_count(uploads)); /* the headers; without a body yet */
    lab.owner.body_bytes = 2 * H2_FRAME_PAYLOAD_BYTES;
    lab_forget_sent();
    for (uint32_t i = 0; i < array_count(uploads); i++)
        h2_stream_ready(lab.owner.streams[i]);
    lab_flush();
    assert_string_equal(order(), "11223300");
    lab_close();
}

static void lower_urgency_numbers_go_first(void **state)
{
    open_server();
    ask(1, "u=5, i");
    ask(3, "u=1, i");
    ask(5, "u=3, i");
    answer_all();
    assert_string_equal(order(), "111222000");
    lab_close();
}

static void those_that_share_take_turns(void **state)
{
    open_server();
    ask(1, "i");
    ask(3, "i");
    ask(5, "i");
    answer_all();
    assert_string_equal(order(), "012012012");
    lab_close();
}

static void those_that_do_not_share_come_whole(void **state)
{
    open_server();
    ask(1, "u=3");
    ask(3, "u=3");
    ask(5, "u=3, i");
    answer_all();
    assert_string_equal(order(), "000111222");
    lab_close();
}

static void without_a_signal_streams_take_turns(void **state)
{
    open_server();
    ask(1, NULL);
    ask(3, NULL);
    answer_all();
    assert_string_equal(order(), "010101");
    lab_close();
}

static void an_update_moves_a_stream(void **state)
{
    open_server();
    ask(1, "u=3, i");
    ask(3, "u=3, i");
    ask(5, "u=3, i");
    update(5, "u=0");
    update(1, "u=7");
    answer_all();
    assert_string_equal(order(), "222111000");
    lab_close();
}

/* Some of it is out already when the client changes its mind. */
static void an_update_in_mid_answer_counts(void **state)
{
    open_server();
    ask(1, "u=3, i");
    ask(3, "u=3, i");
    lab.owner.body_bytes = 6 * H2_FRAME_PAYLOAD_BYTES;
    lab_answer(); /* as far as the windows of 65,535 go */
    lab_forget_sent();
    update(3, "u=1");
    lab_script(
        "WINDOW_UPDATE/0/1 00100000; WINDOW_UPDATE/0/3 00100000; WINDOW_UPDATE/0/0 00100000");
    const char *sent = order();
    assert_true(strspn(sent, "1") >= 4);
    assert_int_equal(sent[strlen(sent) - 1], '0');
    lab_close();
}

static void an_update_may_come_before_its_stream(void **state)
{
    open_server();
    update(5, "u=0");
    ask(1, "u=2, i");
    ask(3, "u=2, i");
    ask(5, "u=7"); /* the frame has the last word */
    answer_all();
    assert_string_equal(order(), "222010101");
    lab_close();
}

static void early_updates_are_bounded(void **state)
{
    open_server();
    for (uint32_t id = 1; id < 101; id += 2)
        update(id, "u=0");
    ask(1, "u=2");
    ask(99, NULL);
    assert_int_equal(h2_stream_find(lab.owner.conn, 1)->priority.urgency, 2);
    assert_int_equal(h2_stream_find(lab.owner.conn, 99)->priority.urgency, 0);
    lab_close();
}

/* Endless answers to COUNT streams, for some rounds of what the pipe takes. */
static void answer_for_long(uint32_t count)
{
    lab.owner.body_bytes = 400 * H2_FRAME_PAYLOAD_BYTES;
    lab_script("WINDOW_UPDATE/0/0 00ffffff");
    for (uint32_t i = 0; i < count; i++) {
        char text[64];
        snprintf(text, sizeof(text), "WINDOW_UPDATE/0/%x 00ffffff", 2 * i + 1);
        lab_script(text);
    }
    lab.owner.answer = true;
    for (uint32_t i = 0; i < count; i++)
        h2_stream_ready(lab.owner.streams[i]);
    for (uint32_t i = 0; i < 12; i++) {
        h2_writable(lab.owner.conn);
        lab_forget_sent();
        lab_flush();
    }
    lab.owner.answer = false;
}

/* One turn in sixteen is for those who wait. */
static void nobody_starves(void **state)
{
    static const struct {
        const char *what;
        const char *values[4];
        uint32_t first; /* who has nearly all */
    } rows[] = {
        {"the least urgent", {"u=7, i", "u=0"}, 1},
        {"between the most and the least urgent", {"u=7, i", "u=0", "u=3, i"}, 1},
        {"at every urgency", {"u=1", "u=6", "u=4, i", "u=2"}, 0},
        {"behind one that comes whole", {"u=3", "u=3", "u=3, i"}, 0},
        {"without a signal, behind one that comes whole", {"u=3", NULL}, 0},
    };
    for (uint32_t i = 0; i < array_count(rows); i++) {
        uint32_t count = 0;
        open_server();
        while (count < 4 && (rows[i].values[count] != NULL || count < 2)) {
            ask(2 * count + 1, rows[i].values[count]);
            count++;
        }
        answer_for_long(count);
        uint32_t most = lab.owner.sent_bytes[rows[i].first];
        for (uint32_t j = 0; j < count; j++) {
            if (lab.owner.sent_bytes[j] == 0)
                fail_msg("%s: stream %u has nothing", rows[i].what, 2 * j + 1);
            if (j != rows[i].first)
                assert_true(lab.owner.sent_bytes[j] < most / 10);
        }
        lab_close();
    }
}

static void a_stream_without_window_does_not_hold_up_others(void **state)
{
    open_server();
    lab_script("SETTINGS/0/0 000400000000");
    ask(1, "u=0");
    ask(3, "u=5");
    lab_script("WINDOW_UPDATE/0/3 00ffffff");
    lab.owner.body_bytes = 1000;
    lab_answer();
    assert_int_equal(lab_data_sent(3), 1000);
    assert_int_equal(lab_data_sent(1), 0);
    lab_close();
}

static void updates_are_bounded(void **state)
{
    open_server();
    for (uint32_t i = 0; i < 2000 && lab.owner.conn != NULL; i++)
        update(1, "u=1");
    assert_non_null(lab.owner.conn);
    update(1, "u=1");
    assert_null(lab.owner.conn);
    assert_int_equal(COUNT(priority_flood), 1);
    lab_close();
}

/* Longer than anybody needs: not looked at, and harmless. */
static void a_long_value_is_ignored(void **state)
{
    open_server();
    ask(1, "u=2");
    lab_script("PRIORITY_UPDATE/0/0 00000001 'u=0, 20 z100; PING/0/0 z8");
    assert_int_equal(h2_stream_find(lab.owner.conn, 1)->priority.urgency, 2);
    assert_int_equal(lab_seen(H2_FRAME_PING, 0).count, 1);
    assert_int_equal(COUNT(priority_updates_ignored), 1);
    lab_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read_leniently),
        cmocka_unit_test(it_is_announced_that_old_priorities_are_not_used),
        cmocka_unit_test(our_own_uploads_go_in_the_order_that_their_field_says),
        cmocka_unit_test(lower_urgency_numbers_go_first),
        cmocka_unit_test(those_that_share_take_turns),
        cmocka_unit_test(those_that_do_not_share_come_whole),
        cmocka_unit_test(without_a_signal_streams_take_turns),
        cmocka_unit_test(an_update_moves_a_stream),
        cmocka_unit_test(an_update_in_mid_answer_counts),
        cmocka_unit_test(an_update_may_come_before_its_stream),
        cmocka_unit_test(early_updates_are_bounded),
        cmocka_unit_test(nobody_starves),
        cmocka_unit_test(a_stream_without_window_does_not_hold_up_others),
        cmocka_unit_test(updates_are_bounded),
        cmocka_unit_test(a_long_value_is_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
