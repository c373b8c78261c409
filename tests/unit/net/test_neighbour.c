/*
 * Next hops: questions and their repetition, packets that wait, failure and pause, doubts after 30
 * s, eviction, news by mail, bounds.
 */
#include "net_fixture.h"

#include "dataplane/net/net_internal.h"

#define REPLY 2

static void turn(struct fixture *fixture, uint64_t now)
{
    timer_wheel_advance(&fixture->host.wheel, now, 10000);
}

/* 10.0.0.LAST answers our question from MAC 02:00:00:00:01:LAST. */
static void answer(struct fixture *fixture, uint8_t last, uint64_t now)
{
    struct frame frame;
    char sender[16];
    struct frame_ends ends = v4_ends;
    snprintf(sender, sizeof(sender), "10.0.0.%u", last);
    ends.from_mac[5] = last;
    frame_arp(&frame, &ends, REPLY, sender, "10.0.0.1");
    frame_give_and_free(&fixture->host, &frame, now);
}

/* What came out: questions by broadcast and unicast, and data. */
struct seen {
    int broadcast;
    int unicast;
    int data;
};

static struct seen look(struct fixture *fixture)
{
    struct seen seen = {0, 0, 0};
    struct frame frame;
    while (fixture_sent(fixture, &frame)) {
        bool arp = frame.data[12] == 8 && frame.data[13] == 6;
        if (!arp)
            seen.data++;
        else if (frame.data[0] == 0xff)
            seen.broadcast++;
        else
            seen.unicast++;
    }
    return seen;
}

static void assert_seen(struct fixture *fixture, int broadcast, int unicast, int data)
{
    struct seen seen = look(fixture);
    assert_int_equal(seen.broadcast, broadcast);
    assert_int_equal(seen.unicast, unicast);
    assert_int_equal(seen.data, data);
}

static bool reachable(struct fixture *fixture, const char *remote_text)
{
    struct net_path path;
    struct ip_address remote = address(remote_text);
    assert_true(net_route(fixture->host.net, &remote, &path));
    return net_is_reachable(fixture->host.net, &path);
}

static void packets_wait_for_the_answer_in_order(void **state)
{
    struct fixture fixture;
    struct frame frame;
    fixture_open(&fixture);
    for (uint32_t i = 0; i < 5; i++)
        assert_true(send_marked(&fixture, "10.0.0.2", i, 1));
    assert_seen(&fixture, 1, 0, 0);
    answer(&fixture, 2, 2);
    for (uint32_t i = 0; i < 5; i++) {
        assert_true(fixture_sent(&fixture, &frame));
        assert_int_equal(mark_of(&frame), i);
    }
    assert_int_equal(counters_of(&fixture)->pending_queued, 5);
    fixture_close(&fixture);
}

static void the_newest_packets_wait_when_there_are_too_many(void **state)
{
    struct fixture fixture;
    struct frame frame;
    fixture_open(&fixture);
    for (uint32_t i = 0; i < 20; i++)
        assert_true(send_marked(&fixture, "10.0.0.2", i, 1));
    assert_seen(&fixture, 1, 0, 0);
    answer(&fixture, 2, 2);
    for (uint32_t i = 20 - NEIGHBOUR_PENDING_MAX; i < 20; i++) {
        assert_true(fixture_sent(&fixture, &frame));
        assert_int_equal(mark_of(&frame), i);
    }
    assert_false(fixture_sent(&fixture, &frame));
    assert_int_equal(counters_of(&fixture)->pending_replaced, 20 - NEIGHBOUR_PENDING_MAX);
    fixture_close(&fixture);
}

static void all_waiting_packets_together_are_bounded(void **state)
{
    struct fixture fixture;
    struct wire_config config = {.ends = 2, .queues = 1, .mbufs = 4095};
    fixture_open_as(&fixture, &config, 0, 1);
    fixture.host.config.neighbours_max = 250;
    net_host_open(&fixture.host);
    for (uint32_t i = 0; i < 220 * 8; i++) {
        char remote[16];
        snprintf(remote, sizeof(remote), "10.0.0.%u", 10 + i / 8);
        assert_true(send_marked(&fixture, remote, i, 1));
        if (i % 100 == 0)
            net_flush(fixture.host.net);
    }
    net_flush(fixture.host.net);
    assert_int_equal(rte_mempool_in_use_count(fixture.host.port->mempool), NEIGHBOURS_PENDING_MAX);
    assert_int_equal(counters_of(&fixture)->pending_full, 220 * 8 - NEIGHBOURS_PENDING_MAX);
    for (uint64_t second = 1; second < 10; second++)
        turn(&fixture, second * CLOCK_S);
    fixture_close(&fixture);
}

static void three_questions_go_unanswered_then_packets_are_dropped(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    assert_true(send_marked(&fixture, "10.0.0.2", 1, 0));
    assert_seen(&fixture, 1, 0, 0);
    turn(&fixture, CLOCK_S + CLOCK_MS);
    assert_seen(&fixture, 1, 0, 0);
    turn(&fixture, 2 * CLOCK_S + 2 * CLOCK_MS);
    assert_seen(&fixture, 1, 0, 0);
    assert_true(reachable(&fixture, "10.0.0.2"));
    turn(&fixture, 3 * CLOCK_S + 3 * CLOCK_MS);
    assert_seen(&fixture, 0, 0, 0);
    assert_false(reachable(&fixture, "10.0.0.2"));
    assert_int_equal(counters_of(&fixture)->pending_failed, 1);
    assert_int_equal(counters_of(&fixture)->neighbour_failed, 1);
    assert_true(send_marked(&fixture, "10.0.0.2", 2, 4 * CLOCK_S));
    assert_seen(&fixture, 0, 0, 0);
    assert_int_equal(counters_of(&fixture)->out_unreachable, 1);
    fixture_close(&fixture);
}

static void after_a_pause_a_failed_neighbour_is_asked_again(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    assert_true(send_marked(&fixture, "10.0.0.2", 1, 0));
    for (uint64_t i = 1; i <= 7; i++)
        turn(&fixture, i * (CLOCK_S + CLOCK_MS));
    look(&fixture);
    assert_true(reachable(&fixture, "10.0.0.2"));
    assert_true(send_marked(&fixture, "10.0.0.2", 2, 8 * CLOCK_S));
    assert_seen(&fixture, 1, 0, 0);
    answer(&fixture, 2, 8 * CLOCK_S);
    assert_seen(&fixture, 0, 0, 1);
    fixture_close(&fixture);
}

static void a_late_answer_ends_the_pause(void **state)
{
    struct fixture fixture;
    fixture_open(&fixture);
    assert_true(send_marked(&fixture, "10.0.0.2", 1, 0));
    for (uint64_t i = 1; i <= 3; i++)
        turn(&fixture, i * (CLOCK_S + CLOCK_MS));
    look(&fixture);
    assert_false(reachable(&fixture, "10.0.0.2"));
    answer(&fixture, 2, 4 * CLOCK_S);
    assert_true(reachable(&fixture, "10.0.0.2"));
    assert_true(send_marked(&fixture, "10.0.0.2", 2, 4 * CLOCK_S));
    assert_seen(&fixture, 0, 0, 1);
    fixture_close(&fixture);
}

static void open_resolved(struct fixture *fixture)
{
    fixture_open(fixture);
    assert_true(send_marked(fixture, "10.0.0.2", 1, 0));
    answer(fixture, 2, 0);
    assert_seen(fixture, 1, 0, 1);
}

static void after_30_s_it_is_asked_by_unicast_and_used_meanwhile(void **state)
{
    struct fixture fixture;
    open_resolved(&fixture);
    assert_true(send_marked(&fixture, "10.0.0.2", 2, 29 * CLOCK_S));
    assert_seen(&fixture, 0, 0, 1);
    assert_true(send_marked(&fixture, "10.0.0.2", 3, 30 * CLOCK_S));
    assert_seen(&fixture, 0, 1, 1);
    assert_true(send_marked(&fixture, "10.0.0.2", 4, 30 * CLOCK_S));
    assert_seen(&fixture, 0, 0, 1);
    answer(&fixture, 2, 31 * CLOCK_S);
    turn(&fixture, 35 * CLOCK_S);
    assert_true(send_marked(&fixture, "10.0.0.2", 5, 60 * CLOCK_S));
    assert_seen(&fixture, 0, 0, 1);
    fixture_close(&fixture);
}

static void a_neighbour_that_moved_is_found_again(void **state)
{
    struct fixture fixture;
    open_resolved(&fixture);
    assert_true(send_marked(&fixture, "10.0.0.2", 3, 30 * CLOCK_S));
    assert_seen(&fixture, 0, 1, 1);
    for (uint64_t i = 31; i <= 32; i++) {
        turn(&fixture, i * CLOCK_S + i * CLOCK_MS);
        assert_seen(&fixture, 0, 1, 0);
    }
    turn(&fixture, 33 * CLOCK_S + 33 * CLOCK_MS); /* now everybody is asked, and packets wait */
    assert_seen(&fixture, 1, 0, 0);
    assert_true(send_marked(&fixture, "10.0.0.2", 4, 33 * CLOCK_S + 33 * CLOCK_MS));
    assert_seen(&fixture, 0, 0, 0);
    answer(&fixture, 2, 34 * CLOCK_S);
    assert_seen(&fixture, 0, 0, 1);
    fixture_close(&fixture);
}

static void a_neighbour_that_died_fails(void **state)
{
    struct fixture fixture;
    open_resolved(&fixture);
    assert_true(send_marked(&fixture, "10.0.0.2", 3, 30 * CLOCK_S));
    for (uint64_t i = 31; i <= 36; i++)
        turn(&fixture, i * (CLOCK_S + CLOCK_MS));
    assert_seen(&fixture, 3, 3, 1);
    assert_false(reachable(&fixture, "10.0.0.2"));
    fixture_close(&fixture);
}

static void open_small(struct fixture *fixture)
{
    struct wire_config config = {.ends = 2, .queues = 1, .mbufs = 511};
    fixture_open_as(fixture, &config, 0, 1);
    fixture->host.config.neighbours_max = 8;
    net_host_open(&fixture->host);
}

static void send_to_last(struct fixture *fixture, uint8_t last, uint64_t now)
{
    char remote[16];
    snprintf(remote, sizeof(remote), "10.0.0.%u", last);
    assert_true(send_marked(fixture, remote, last, now));
}

static void a_scan_does_not_push_out_neighbours_in_use(void **state)
{
    struct fixture fixture;
    open_small(&fixture);
    for (uint8_t last = 2; last < 7; last++) {
        send_to_last(&fixture, last, 0);
        answer(&fixture, last, 0);
    }
    assert_seen(&fixture, 5, 0, 5);
    for (uint8_t last = 20; last < 200; last++)
        send_to_last(&fixture, last, 1);
    look(&fixture);
    for (uint8_t last = 2; last < 7; last++)
        send_to_last(&fixture, last, 2);
    assert_seen(&fixture, 0, 0, 5);
    assert_int_equal(counters_of(&fixture)->neighbour_evicted, 177);
    assert_int_equal(counters_of(&fixture)->pending_evicted, 177);
    for (uint64_t i = 1; i <= 3; i++)
        turn(&fixture, i * (CLOCK_S + CLOCK_MS));
    look(&fixture);
    fixture_close(&fixture);
}

static void the_least_recently_used_neighbour_goes_first(void **state)
{
    struct fixture fixture;
    open_small(&fixture);
    for (uint8_t last = 2; last < 10; last++) {
        send_to_last(&fixture, last, last * CLOCK_S);
        answer(&fixture, last, last * CLOCK_S);
    }
    send_to_last(&fixture, 2, 12 * CLOCK_S);
    look(&fixture);
    send_to_last(&fixture, 50, 12 * CLOCK_S); /* takes the place of 3 */
    answer(&fixture, 50, 12 * CLOCK_S);
    look(&fixture);
    send_to_last(&fixture, 2, 13 * CLOCK_S);
    assert_seen(&fixture, 0, 0, 1);
    send_to_last(&fixture, 3, 13 * CLOCK_S);
    assert_seen(&fixture, 1, 0, 0);
    answer(&fixture, 3, 13 * CLOCK_S);
    look(&fixture);
    fixture_close(&fixture);
}

static void hearsay_about_strangers_goes_first_of_all(void **state)
{
    struct fixture fixture;
    struct frame frame;
    struct frame_ends ends = {
        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {2, 0, 0, 0, 1, 0}, 0, "0.0.0.0", "0.0.0.0"};
    open_small(&fixture);
    for (uint8_t last = 2; last < 8; last++) {
        send_to_last(&fixture, last, 0);
        answer(&fixture, last, 0);
    }
    for (uint32_t last = 20; last < 120; last++) {
        char sender[16];
        snprintf(sender, sizeof(sender), "10.0.0.%u", last);
        frame_arp(&frame, &ends, 1, sender, "10.0.0.1");
        frame_give_and_free(&fixture.host, &frame, 1);
    }
    look(&fixture);
    for (uint8_t last = 2; last < 8; last++)
        send_to_last(&fixture, last, 2);
    assert_seen(&fixture, 0, 0, 6);
    fixture_close(&fixture);
}

static void a_path_survives_the_eviction_of_its_next_hop(void **state)
{
    struct fixture fixture;
    struct net_path path;
    struct ip_address local = address("10.0.0.1"), remote = address("10.0.0.2");
    open_small(&fixture);
    assert_true(net_route(fixture.host.net, &remote, &path));
    for (uint8_t last = 20; last < 60; last++) {
        send_to_last(&fixture, last, 0);
        answer(&fixture, last, 0);
    }
    look(&fixture);
    assert_true(net_is_reachable(fixture.host.net, &path));
    struct rte_mbuf *packet = net_packet_take(fixture.host.net, &path);
    rte_pktmbuf_append(packet, 20);
    struct net_send how = {&path, &local, &remote, IPPROTO_TCP, 0};
    net_send(fixture.host.net, &how, packet, 1);
    assert_seen(&fixture, 1, 0, 0); /* asked anew, not sent to somebody else */
    answer(&fixture, 2, 2);
    assert_seen(&fixture, 0, 0, 1);
    fixture_close(&fixture);
}

static void questions_have_a_rate(void **state)
{
    struct fixture fixture;
    struct wire_config config = {.ends = 2, .queues = 1, .mbufs = 2047};
    fixture_open_as(&fixture, &config, 0, 1);
    fixture.host.config.neighbours_max = 2000;
    fixture.host.config.interfaces[0].addresses[0].bits = 96 + 16;
    net_host_open(&fixture.host);
    int asked = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        char remote[20];
        snprintf(remote, sizeof(remote), "10.0.%u.%u", 1 + i / 200, 1 + i % 200);
        assert_true(send_marked(&fixture, remote, i, 0));
        asked += look(&fixture).broadcast;
    }
    assert_int_equal(asked, NET_QUESTION_BURST);
    assert_int_equal(counters_of(&fixture)->neighbour_ask_over_rate, 1000 - NET_QUESTION_BURST);
    for (uint64_t i = 1; i <= 4; i++) {
        turn(&fixture, i * (CLOCK_S + CLOCK_MS));
        look(&fixture);
    }
    fixture_close(&fixture);
}

static void gateways_are_never_evicted(void **state)
{
    struct fixture fixture;
    open_small(&fixture);
    assert_true(send_marked(&fixture, "198.51.100.1", 1, 0));
    answer(&fixture, 254, 0);
    assert_seen(&fixture, 1, 0, 1);
    for (uint8_t last = 20; last < 100; last++) {
        send_to_last(&fixture, last, 0);
        answer(&fixture, last, 0);
    }
    look(&fixture);
    assert_true(send_marked(&fixture, "203.0.113.9", 2, 1));
    assert_true(send_marked(&fixture, "10.0.0.254", 3, 1)); /* the gateway itself: same entry */
    assert_seen(&fixture, 0, 0, 2);
    fixture_close(&fixture);
}

/* ---- mail ---- */

static struct mail mails[64];
static uint16_t mail_to[64];
static uint32_t mail_count;
static bool mail_full;

static bool post(struct postman *postman, uint16_t to, const struct mail *mail)
{
    if (mail_full || mail_count == 64)
        return false;
    mail_to[mail_count] = to;
    mails[mail_count++] = *mail;
    return true;
}

static struct postman postman = {.self = 0, .workers = 3, .post = post};

static void open_with_mail(struct fixture *fixture)
{
    struct wire_config config = {.ends = 2, .queues = 3, .mbufs = 255};
    fixture_open_as(fixture, &config, 0, 3);
    fixture->host.config.postman = &postman;
    net_host_open(&fixture->host);
    mail_count = 0;
    mail_full = false;
}

/* Answers come to any queue: who did not ask tells those who did. */
static void an_answer_is_told_to_the_other_workers(void **state)
{
    struct fixture fixture;
    open_with_mail(&fixture);
    answer(&fixture, 2, 1);
    assert_int_equal(mail_count, 2);
    assert_int_equal(mail_to[0], 1);
    assert_int_equal(mail_to[1], 2);
    assert_int_equal(mails[0].kind, MAIL_NEIGHBOUR);
    assert_int_equal(mails[0].from, 0);
    /* The same worker may as well be one that asked: its packets go out. */
    assert_true(send_marked(&fixture, "10.0.0.2", 7, 2));
    assert_seen(&fixture, 1, 0, 0);
    net_neighbour_mail(fixture.host.net, &mails[0], 3);
    assert_seen(&fixture, 0, 0, 1);
    assert_int_equal(counters_of(&fixture)->neighbour_mail_taken, 1);
    assert_int_equal(mail_count, 2); /* what came by mail is not mailed on */
    fixture_close(&fixture);
}

static void mail_makes_no_entries(void **state)
{
    struct fixture fixture;
    open_with_mail(&fixture);
    answer(&fixture, 2, 1);
    net_neighbour_mail(fixture.host.net, &mails[0], 2);
    assert_true(send_marked(&fixture, "10.0.0.2", 7, 3));
    assert_seen(&fixture, 1, 0, 0);
    net_neighbour_mail(fixture.host.net, &mails[0], 4);
    assert_seen(&fixture, 0, 0, 1);
    fixture_close(&fixture);
}

static void news_are_mailed_only_when_they_are_new_and_within_a_rate(void **state)
{
    struct fixture fixture;
    struct frame frame;
    struct frame_ends ends = {
        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {2, 0, 0, 0, 1, 0}, 0, "0.0.0.0", "0.0.0.0"};
    open_with_mail(&fixture);
    frame_arp(&frame, &ends, 1, "10.0.0.2", "10.0.0.1");
    for (int i = 0; i < 5; i++)
        frame_give_and_free(&fixture.host, &frame, 1);
    assert_int_equal(mail_count, 2);
    mail_full = true;
    for (int i = 0; i < 200; i++)
        answer(&fixture, 2, 1);
    assert_int_equal(counters_of(&fixture)->neighbour_mail_full, 2 * (NET_MAIL_BURST - 1));
    assert_int_equal(counters_of(&fixture)->neighbour_mail_over_rate, 200 - NET_MAIL_BURST + 1);
    look(&fixture);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_wait_for_the_answer_in_order),
        cmocka_unit_test(the_newest_packets_wait_when_there_are_too_many),
        cmocka_unit_test(all_waiting_packets_together_are_bounded),
        cmocka_unit_test(three_questions_go_unanswered_then_packets_are_dropped),
        cmocka_unit_test(after_a_pause_a_failed_neighbour_is_asked_again),
        cmocka_unit_test(a_late_answer_ends_the_pause),
        cmocka_unit_test(after_30_s_it_is_asked_by_unicast_and_used_meanwhile),
        cmocka_unit_test(a_neighbour_that_moved_is_found_again),
        cmocka_unit_test(a_neighbour_that_died_fails),
        cmocka_unit_test(a_scan_does_not_push_out_neighbours_in_use),
        cmocka_unit_test(the_least_recently_used_neighbour_goes_first),
        cmocka_unit_test(hearsay_about_strangers_goes_first_of_all),
        cmocka_unit_test(a_path_survives_the_eviction_of_its_next_hop),
        cmocka_unit_test(questions_have_a_rate),
        cmocka_unit_test(gateways_are_never_evicted),
        cmocka_unit_test(an_answer_is_told_to_the_other_workers),
        cmocka_unit_test(mail_makes_no_entries),
        cmocka_unit_test(news_are_mailed_only_when_they_are_new_and_within_a_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
