/* The wire itself: what tests of everything above stand on. */
#include "net_fixture.h"

#define FRAMES 2000

static struct wire *open_wire(uint16_t ends, uint64_t seed)
{
    struct wire_config config = {.ends = ends, .queues = 1, .mbufs = 63, .seed = seed};
    return wire_create(&config);
}

/* A frame from MAC 2:..:FROM to MAC 2:..:TO that carries NUMBER. */
static struct frame numbered(uint8_t from, uint8_t to, uint32_t number)
{
    struct frame frame;
    struct frame_ends ends = {{2, 0, 0, 0, 0, to}, {2, 0, 0, 0, 0, from}, 0, NULL, NULL};
    frame_ethernet(&frame, &ends, 0x88b5);
    frame_append(&frame, &number, sizeof(number));
    return frame;
}

static uint32_t number_of(const struct frame *frame)
{
    uint32_t number;
    memcpy(&number, frame->data + 14, sizeof(number));
    return number;
}

static bool take(struct wire *wire, uint16_t end, struct frame *out)
{
    out->length = wire_take(wire, end, 0, out->data, sizeof(out->data));
    return out->length > 0;
}

static void inject_all(struct wire *wire, uint64_t step_ns)
{
    for (uint32_t i = 0; i < FRAMES; i++) {
        struct frame frame = numbered(1, 2, i);
        wire_advance(wire, i * step_ns);
        wire_inject(wire, 0, frame.data, frame.length);
    }
}

static void the_switch_learns_where_stations_are(void **state)
{
    struct wire *wire = open_wire(3, 1);
    struct frame frame = numbered(1, 2, 7);
    wire_inject(wire, 0, frame.data, frame.length); /* unknown: to everybody */
    assert_true(take(wire, 1, &frame));
    assert_true(take(wire, 2, &frame));
    frame = numbered(2, 1, 8);
    wire_inject(wire, 1, frame.data, frame.length);
    assert_true(take(wire, 0, &frame));
    assert_false(take(wire, 2, &frame));
    frame = numbered(1, 0xff, 9);
    memset(frame.data, 0xff, 6);
    wire_inject(wire, 0, frame.data, frame.length);
    assert_true(take(wire, 1, &frame));
    assert_true(take(wire, 2, &frame));
    assert_int_equal(wire_in_flight(wire), 0);
    wire_destroy(wire);
}

static void faults_come_about_as_often_as_wanted(void **state)
{
    struct wire *wire = open_wire(2, 5);
    struct wire_faults faults = {.drop_ppm = 100000,
                                 .duplicate_ppm = 50000,
                                 .corrupt_ppm = 20000,
                                 .reorder_ppm = 30000,
                                 .reorder_ns = 50,
                                 .delay_ns = 1000};
    wire_set_faults(wire, 0, 1, &faults);
    inject_all(wire, 10);
    wire_advance(wire, CLOCK_S);
    const struct wire_statistics *s = wire_statistics(wire);
    assert_in_range(s->lost, 150, 250);
    assert_in_range(s->duplicated, 60, 130);
    assert_in_range(s->corrupted, 20, 60);
    struct frame frame;
    uint32_t got = 0, late = 0, highest = 0;
    while (take(wire, 1, &frame)) {
        got++;
        if (number_of(&frame) >= FRAMES)
            continue; /* corrupted */
        late += number_of(&frame) < highest;
        highest = number_of(&frame) > highest ? number_of(&frame) : highest;
    }
    assert_int_equal(got, FRAMES - s->lost + s->duplicated);
    assert_true(late > 10);
    wire_destroy(wire);
}

static uint64_t trace(uint64_t seed)
{
    struct wire *wire = open_wire(2, seed);
    struct wire_faults faults = {.drop_ppm = 50000,
                                 .duplicate_ppm = 50000,
                                 .corrupt_ppm = 50000,
                                 .reorder_ppm = 50000,
                                 .reorder_ns = 300,
                                 .delay_ns = 1000,
                                 .jitter_ns = 500,
                                 .burst_ppm = 1000,
                                 .burst_frames = 10};
    wire_set_faults_everywhere(wire, &faults);
    inject_all(wire, 100);
    wire_advance(wire, CLOCK_S);
    uint64_t hash = 1469598103934665603u;
    struct frame frame;
    while (take(wire, 1, &frame))
        for (uint16_t i = 0; i < frame.length; i++)
            hash = (hash ^ frame.data[i]) * 1099511628211u;
    wire_destroy(wire);
    return hash;
}

static void the_same_seed_gives_the_same_trace(void **state)
{
    assert_int_equal(trace(3), trace(3));
    assert_int_not_equal(trace(3), trace(4));
}

static void delay_is_kept_to_the_nanosecond(void **state)
{
    struct wire *wire = open_wire(2, 1);
    struct wire_faults faults = {.delay_ns = 5000};
    wire_set_faults(wire, 0, 1, &faults);
    struct frame frame = numbered(1, 2, 1);
    wire_advance(wire, 100);
    wire_inject(wire, 0, frame.data, frame.length);
    assert_int_equal(wire_next_ns(wire), 5100);
    wire_advance(wire, 5099);
    assert_false(take(wire, 1, &frame));
    wire_advance(wire, 5100);
    assert_int_equal(wire_next_ns(wire), CLOCK_NEVER);
    assert_true(take(wire, 1, &frame));
    wire_destroy(wire);
}

static void a_bottleneck_has_a_rate_and_a_queue(void **state)
{
    struct wire *wire = open_wire(2, 1);
    struct wire_faults faults = {.bits_per_s = 8000000, .queue_bytes = 180}; /* 1 us a byte */
    wire_set_faults(wire, 0, 1, &faults);
    for (uint32_t i = 0; i < 20; i++) {
        struct frame frame = numbered(1, 2, i); /* 18 bytes */
        wire_inject(wire, 0, frame.data, frame.length);
    }
    assert_int_equal(wire_statistics(wire)->overflowed, 10);
    struct frame frame;
    wire_advance(wire, 18000);
    assert_true(take(wire, 1, &frame));
    assert_false(take(wire, 1, &frame));
    wire_advance(wire, 180000);
    uint32_t rest = 0;
    while (take(wire, 1, &frame))
        assert_int_equal(number_of(&frame), ++rest);
    assert_int_equal(rest, 9);
    wire_destroy(wire);
}

static void a_cut_is_one_way(void **state)
{
    struct wire *wire = open_wire(2, 1);
    struct wire_faults faults = {.cut = true};
    struct frame frame = numbered(1, 2, 1);
    wire_set_faults(wire, 0, 1, &faults);
    wire_inject(wire, 0, frame.data, frame.length);
    assert_false(take(wire, 1, &frame));
    frame = numbered(2, 1, 1);
    wire_inject(wire, 1, frame.data, frame.length);
    assert_true(take(wire, 0, &frame));
    wire_destroy(wire);
}

static bool only_even(void *context, uint16_t from, uint16_t to, uint8_t *frame, uint16_t length,
                      uint64_t now)
{
    ++*(uint32_t *)context;
    return frame[14] % 2 == 0;
}

static void a_filter_sees_every_frame(void **state)
{
    struct wire *wire = open_wire(2, 1);
    uint32_t seen = 0;
    wire_set_filter(wire, only_even, &seen);
    inject_all(wire, 1);
    assert_int_equal(seen, FRAMES);
    assert_int_equal(wire_statistics(wire)->lost, FRAMES / 2);
    wire_destroy(wire);
}

static void an_empty_pool_and_long_frames_are_counted(void **state)
{
    struct wire *wire = open_wire(2, 1);
    struct rte_mbuf *packets[100];
    inject_all(wire, 1);
    struct port_queue *port = wire_queue(wire, 1, 0);
    uint32_t got = port->receive(port, packets, 100);
    assert_int_equal(got, 63);
    assert_int_equal(wire_statistics(wire)->no_mbuf, FRAMES - 63);
    assert_int_equal(wire_mbufs_used(wire), 63);
    rte_pktmbuf_free_bulk(packets, got);
    static uint8_t big[1523];
    wire_inject(wire, 0, big, sizeof(big));
    assert_int_equal(wire_statistics(wire)->too_long, 1);
    wire_destroy(wire);
}

static uint16_t to_third(void *context, uint16_t end, const uint8_t *frame, uint16_t length)
{
    return 2;
}

static void frames_can_be_steered_to_queues(void **state)
{
    struct wire_config config = {.ends = 2, .queues = 4, .mbufs = 63};
    struct wire *wire = wire_create(&config);
    struct frame frame;
    uint32_t by_queue[4] = {0};
    for (uint16_t port = 1024; port < 1224; port++) {
        frame_tcp(&frame, &v4_ends, port, 443, 0);
        wire_inject(wire, 0, frame.data, frame.length);
    }
    for (uint16_t queue = 0; queue < 4; queue++)
        while (wire_take(wire, 1, queue, frame.data, sizeof(frame.data)) > 0)
            by_queue[queue]++;
    for (uint16_t queue = 0; queue < 4; queue++)
        assert_in_range(by_queue[queue], 20, 80);
    wire_set_steer(wire, to_third, NULL);
    frame_tcp(&frame, &v4_ends, 1, 443, 0);
    wire_inject(wire, 0, frame.data, frame.length);
    assert_int_equal(wire_take(wire, 1, 2, frame.data, sizeof(frame.data)), frame.length);
    wire_destroy(wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_switch_learns_where_stations_are),
        cmocka_unit_test(faults_come_about_as_often_as_wanted),
        cmocka_unit_test(the_same_seed_gives_the_same_trace),
        cmocka_unit_test(delay_is_kept_to_the_nanosecond),
        cmocka_unit_test(a_bottleneck_has_a_rate_and_a_queue),
        cmocka_unit_test(a_cut_is_one_way),
        cmocka_unit_test(a_filter_sees_every_frame),
        cmocka_unit_test(an_empty_pool_and_long_frames_are_counted),
        cmocka_unit_test(frames_can_be_steered_to_queues),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
