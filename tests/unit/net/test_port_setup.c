/* Ports on devices that exist everywhere (net_null, net_ring); others need tests/net/ports.py. */
#include "dataplane/net/port_setup.h"

#include "tests/support/cmocka.h"
#include "tests/support/test_eal.h"

#include <rte_mbuf.h>
#include <string.h>

static struct port port;
static char message[512];

static struct port_request request_of(const char *device)
{
    return (struct port_request){.name = "front",
                                 .device = device,
                                 .queues = 1,
                                 .mtu = 1500,
                                 .mbufs = 4096,
                                 .mbuf_bytes = 2048};
}

static void refused_for(const struct port_request *request, const char *reason)
{
    message[0] = '\0';
    assert_false(port_open(&port, request, message, sizeof(message)));
    if (strstr(message, reason) == NULL || strstr(message, "front") == NULL)
        fail_msg("\"%s\" does not say \"%s\"", message, reason);
}

static void a_device_comes_up_at_run_time_and_goes_again(void **state)
{
    struct port_request request = request_of("net_null0,no-rx=1");
    for (int round = 0; round < 3; round++) {
        request.queues = (uint16_t)(round + 1);
        if (!port_open(&port, &request, message, sizeof(message)))
            fail_msg("%s", message);
        assert_string_equal(port.driver, "net_null");
        assert_int_equal(port.queue_count, request.queues);
        assert_int_equal(port.queues[0].spreads, 0);
        assert_ptr_equal(port.queues[0].features, &port.features);
        for (uint16_t i = 1; i < request.queues; i++)
            assert_ptr_not_equal(port.queues[i].mempool, port.queues[i - 1].mempool);
        assert_string_equal(port.queues[0].mempool->ops_index >= 0
                                ? rte_mempool_get_ops(port.queues[0].mempool->ops_index)->name
                                : "",
                            "ring_mt_rts");
        port_close(&port);
    }
}

/* net_null has what cards have, though it receives nothing. */
static void the_rss_of_several_queues_is_known(void **state)
{
    struct port_request request = request_of("net_null1,no-rx=1");
    if (!port_open(&port, &request, message, sizeof(message)))
        fail_msg("%s", message);
    assert_false(port.rss_known); /* one queue: nothing to know */
    assert_null(port.queues[0].rss);
    port_close(&port);
    request.queues = 3;
    if (!port_open(&port, &request, message, sizeof(message)))
        fail_msg("%s", message);
    assert_true(port.rss_known && port.rss.v4 && port.rss.v6);
    assert_int_equal(port.rss.entries, port.features.reta_entries);
    for (uint16_t i = 0; i < 3; i++)
        assert_ptr_equal(port.queues[i].rss, &port.rss);
    for (uint16_t i = 0; i < port.rss.entries; i++)
        assert_int_equal(port.rss.queues[i], i % 3); /* each queue has its share */
    static const uint32_t none[16];
    assert_memory_not_equal(port.rss.nibbles[0], none, sizeof(none));
    port_close(&port);
}

static void packets_go_around_a_ring(void **state)
{
    struct port_request request = request_of("net_ring0");
    struct rte_mbuf *packets[4];
    struct port_statistics statistics;
    if (!port_open(&port, &request, message, sizeof(message)))
        fail_msg("%s", message);
    static const uint8_t none[6];
    assert_memory_not_equal(port.mac, none, 6); /* it has no address of its own */
    struct port_queue *queue = &port.queues[0];
    packets[0] = rte_pktmbuf_alloc(queue->mempool);
    rte_pktmbuf_append(packets[0], 60);
    port_statistics(&port, &statistics);
    assert_int_equal(statistics.free_mbufs, 4095);
    assert_int_equal(queue->transmit(queue, packets, 1), 1);
    packets[0] = NULL;
    assert_int_equal(queue->receive(queue, packets, 4), 1);
    assert_int_equal(packets[0]->pkt_len, 60);
    rte_pktmbuf_free(packets[0]);
    port_statistics(&port, &statistics);
    assert_int_equal(statistics.free_mbufs, 4096);
    assert_int_equal(statistics.sent_packets, 1);
    assert_int_equal(statistics.received_packets, 1);
    port_close(&port);
}

static void refusals_say_what_is_wrong(void **state)
{
    struct port_request request = request_of("net_nothing0");
    refused_for(&request, "no driver takes this device");
    request = request_of("");
    refused_for(&request, "begin with a name");
    request = request_of("net_null0,no-rx=1");
    request.mbuf_bytes = 1521;
    refused_for(&request, "1522 at least");
    request = request_of("net_null0,no-rx=1");
    request.queues = 0;
    refused_for(&request, "0 queues wanted");
    request = request_of("net_null0,no-rx=1");
    request.queues = 65;
    refused_for(&request, "65 queues wanted");
    request = request_of("net_ring0");
    request.queues = 17;
    refused_for(&request, "the device has 16");
    request = request_of("net_null0,no-rx=1");
    request.mbufs = 10 * 1000 * 1000;
    refused_for(&request, "no memory for 10000000 packet buffers");
}

static void after_a_refusal_the_device_can_be_opened(void **state)
{
    struct port_request request = request_of("net_null0,no-rx=1");
    request.mbuf_bytes = 100;
    refused_for(&request, "too small");
    request.mbuf_bytes = 2048;
    assert_true(port_open(&port, &request, message, sizeof(message)));
    port_close(&port);
}

static void a_short_message_is_not_overrun(void **state)
{
    struct port_request request = request_of("net_nothing0");
    char room[24];
    memset(room, 'x', sizeof(room));
    assert_false(port_open(&port, &request, room, 10));
    assert_int_equal(strlen(room), 9);
    assert_int_equal(room[10], 'x');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_comes_up_at_run_time_and_goes_again),
        cmocka_unit_test(the_rss_of_several_queues_is_known),
        cmocka_unit_test(packets_go_around_a_ring),
        cmocka_unit_test(refusals_say_what_is_wrong),
        cmocka_unit_test(after_a_refusal_the_device_can_be_opened),
        cmocka_unit_test(a_short_message_is_not_overrun),
    };
    test_eal_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
