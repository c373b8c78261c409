/* ICMP errors: RFC 5927, RFC 5461, RFC 1191, RFC 8201. */
#include "dataplane/base/clock.h"
#include "dataplane/base/writer.h"
#include "tests/support/cmocka.h"
#include "tests/support/tcp_script.h"

#include <rte_ip.h>

static struct tcp_script script;
static struct script_segment got;

static const struct tcp_options options = {
    .present = TCP_OPTION_MSS | TCP_OPTION_TIMESTAMP | TCP_OPTION_SACK_PERMITTED,
    .mss = 1460,
};

struct error {
    uint8_t type;
    uint8_t code;
    uint32_t rest;
    uint32_t seq; /* of the inner segment */
};

/* As an mbuf that net hands over: Ethernet, IP, the message; LENGTH cuts it off. */
static void deliver(const struct error *error, uint16_t cut)
{
    uint8_t bytes[256] = {0};
    struct writer w = writer_over(bytes, sizeof(bytes));
    uint16_t header = script.v6 ? 40 : 20;
    (void)writer_take(&w, 14u + header); /* outer headers: only the version is looked at */
    bytes[14] = script.v6 ? 0x60 : 0x45;
    writer_u8(&w, error->type);
    writer_u8(&w, error->code);
    writer_u16(&w, 0);
    writer_u32(&w, error->rest);
    uint8_t *inner = writer_take(&w, header);
    inner[0] = script.v6 ? 0x60 : 0x45;
    inner[script.v6 ? 6 : 9] = IPPROTO_TCP;
    const uint8_t *ours = script.tuple.remote.bytes;
    const uint8_t *theirs = script.tuple.local.bytes;
    memcpy(inner + (script.v6 ? 8 : 12), script.v6 ? ours : ours + 12, script.v6 ? 16 : 4);
    memcpy(inner + (script.v6 ? 24 : 16), script.v6 ? theirs : theirs + 12, script.v6 ? 16 : 4);
    writer_u16(&w, script.tuple.remote_port);
    writer_u16(&w, script.tuple.local_port);
    writer_u32(&w, error->seq);
    uint16_t length = (uint16_t)writer_length(&w);
    struct rte_mbuf *packet = rte_pktmbuf_alloc(script.host.base.port->mempool);
    assert_non_null(packet);
    length = cut < length ? cut : length;
    memcpy(rte_pktmbuf_append(packet, length), bytes, length);
    packet->l2_len = 14;
    packet->l3_len = header;
    packet->packet_type = RTE_PTYPE_L4_ICMP;
    tcp_in(script.host.tcp, &packet, 1, script.now);
}

static void open_with_data(bool v6, uint32_t bytes)
{
    script_prepare(&script);
    script.v6 = v6;
    script_open(&script);
    script_connect(&script, &options);
    script.client.to_send = bytes;
    tcp_stream_pump(&script.client);
    script_step(&script);
}

static void finish(void)
{
    if (script.client.conn != NULL)
        tcp_abort(script.client.conn);
    script_close(&script);
}

static void too_big_makes_smaller_segments_of_what_is_in_flight(void **state)
{
    for (int v6 = 0; v6 <= 1; v6++) {
        open_with_data(v6, 5000);
        struct tcp_conn *conn = script.client.conn;
        uint32_t first = conn->snd_una;
        uint16_t before = conn->mss;
        while (script_take(&script, &got))
            assert_true(got.length <= before);
        struct error error = {(uint8_t)(v6 ? 2 : 3), (uint8_t)(v6 ? 0 : 4), 1300, first};
        deliver(&error, UINT16_MAX);
        assert_int_equal(conn->mss, 1300 - (v6 ? 60 : 40) - 12);
        uint8_t seen[5000] = {0};
        while (script_take(&script, &got)) {
            assert_true(got.length <= conn->mss);
            for (uint32_t i = 0; i < got.length; i++) {
                assert_int_equal(got.payload[i], tcp_stream_byte(7, got.seq - first + i));
                seen[got.seq - first + i] = 1;
            }
        }
        uint32_t again = 0;
        for (uint32_t i = 0; i < 5000; i++)
            again += seen[i];
        assert_true(again >= 3 * (uint32_t)before); /* all the large ones */
        assert_int_equal(tcp_counters(script.host.tcp)->path_mtu_lowered, 1);

        struct script_segment ack = script_make(&script, TCP_ACK);
        ack.ack = first + 5000;
        script_send(&script, &ack);
        script_step(&script);
        assert_int_equal(conn->lost_bytes, 0);
        assert_int_equal(conn->sent_first, 0);
        finish();
    }
}

static void absurd_sizes_are_bounded(void **state)
{
    open_with_data(false, 5000);
    struct tcp_conn *conn = script.client.conn;
    struct error error = {3, 4, 0, conn->snd_una};
    deliver(&error, UINT16_MAX);
    assert_int_equal(conn->path.mtu, 552);
    error.rest = 9000; /* larger than now: nothing */
    deliver(&error, UINT16_MAX);
    assert_int_equal(conn->path.mtu, 552);
    finish();
    open_with_data(true, 5000);
    conn = script.client.conn;
    error = (struct error){2, 0, 68, conn->snd_una};
    deliver(&error, UINT16_MAX);
    assert_int_equal(conn->path.mtu, 1280);
    finish();
}

static void only_what_is_in_flight_counts(void **state)
{
    open_with_data(false, 5000);
    struct tcp_conn *conn = script.client.conn;
    struct error error = {3, 4, 1300, conn->snd_una - 1};
    deliver(&error, UINT16_MAX);
    error.seq = conn->snd_nxt;
    deliver(&error, UINT16_MAX);
    assert_int_equal(conn->path.mtu, 1500);
    assert_int_equal(tcp_counters(script.host.tcp)->icmp_ignored, 2);
    script.tuple.local_port++;
    error.seq = conn->snd_una;
    deliver(&error, UINT16_MAX);
    assert_int_equal(tcp_counters(script.host.tcp)->icmp_ignored, 3);
    script.tuple.local_port--;
    finish();
}

static void unreachable_is_soft_once_connected(void **state)
{
    open_with_data(false, 5000);
    for (uint8_t code = 0; code < 16; code++) {
        struct error error = {3, code, 1500, script.client.conn->snd_una};
        deliver(&error, UINT16_MAX);
    }
    script_step(&script);
    assert_false(script.client.failed);
    finish();
}

static enum tcp_failure connecting_fails(bool v6, uint8_t type, uint8_t code)
{
    script_prepare(&script);
    script.v6 = v6;
    script_open(&script);
    const char *address = v6 ? "fd00::2" : "10.0.0.2";
    assert_true(ip_address_parse(address, &script.tuple.local));
    assert_true(ip_address_parse(v6 ? "fd00::1" : "10.0.0.1", &script.tuple.remote));
    script.tuple.local_port = SCRIPT_PEER_PORT;
    assert_true(tcp_stream_connect(&script.client, address, SCRIPT_PEER_PORT, script.now));
    while (!script_take(&script, &got))
        ;
    struct error error = {type, code, 0, got.seq};
    deliver(&error, UINT16_MAX);
    script_step(&script);
    enum tcp_failure failure = script.client.failure;
    finish();
    return failure;
}

static void unreachable_is_hard_while_connecting(void **state)
{
    assert_int_equal(connecting_fails(false, 3, 0), TCP_FAILURE_UNREACHABLE);
    assert_int_equal(connecting_fails(false, 3, 1), TCP_FAILURE_UNREACHABLE);
    assert_int_equal(connecting_fails(false, 3, 3), TCP_FAILURE_REFUSED);
    assert_int_equal(connecting_fails(false, 11, 0), TCP_FAILURE_NONE);
    assert_int_equal(connecting_fails(true, 1, 0), TCP_FAILURE_UNREACHABLE);
    assert_int_equal(connecting_fails(true, 1, 4), TCP_FAILURE_REFUSED);
    assert_int_equal(connecting_fails(true, 3, 0), TCP_FAILURE_NONE);
}

static void cut_off_messages_are_ignored(void **state)
{
    for (int v6 = 0; v6 <= 1; v6++) {
        open_with_data(v6, 5000);
        struct tcp_conn *conn = script.client.conn;
        struct error error = {(uint8_t)(v6 ? 2 : 3), (uint8_t)(v6 ? 0 : 4), 1300, conn->snd_una};
        uint16_t whole = (uint16_t)(14 + 2 * (v6 ? 40 : 20) + 8 + 8);
        for (uint16_t cut = (uint16_t)(14 + (v6 ? 40 : 20)); cut < whole; cut++)
            deliver(&error, cut);
        assert_int_equal(conn->path.mtu, 1500);
        deliver(&error, whole);
        assert_int_equal(conn->path.mtu, 1300);
        finish();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(too_big_makes_smaller_segments_of_what_is_in_flight),
        cmocka_unit_test(absurd_sizes_are_bounded),
        cmocka_unit_test(only_what_is_in_flight_counts),
        cmocka_unit_test(unreachable_is_soft_once_connected),
        cmocka_unit_test(unreachable_is_hard_while_connecting),
        cmocka_unit_test(cut_off_messages_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
