/* Extended CONNECT (RFC 8441) and streams as tunnels (RFC 9113 8.5), at the level of frames. */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/support/cmocka.h"
#include "tests/support/h2_lab.h"

#define COUNT(name) (h2_counters(lab.h2)->name)

/* :method CONNECT, :scheme http, :authority a, :path / */
#define TARGET   "02 07 'CONNECT 86 01 01 'a 84"
#define PROTOCOL "00 09 ':protocol 09 'websocket"

static void open_server(bool announced)
{
    struct h2_config config = lab_config();
    lab_create(&config);
    h2_announce_connect(lab.h2, announced);
    lab_open(H2_SERVER);
    lab_handshake();
}

static void open_client(const char *settings)
{
    struct h2_config config = lab_config();
    lab_create(&config);
    lab_open(H2_CLIENT);
    lab_script(settings);
}

static bool is_announced(void)
{
    static const uint8_t setting[] = {0, 8, 0, 0, 0, 1};
    struct h2_config config = lab_config();
    lab_create(&config);
    h2_announce_connect(lab.h2, true);
    lab_open(H2_SERVER);
    lab_script("PREFACE; SETTINGS/0/0");
    bool found = false;
    for (uint32_t at = H2_FRAME_HEADER_BYTES; at + 6 <= lab.sent_bytes && at < 46; at += 6)
        found |= memcmp(lab.sent + at, setting, sizeof(setting)) == 0;
    lab_close();
    return found;
}

static void it_is_announced_when_somebody_takes_it(void **state)
{
    assert_true(is_announced());
}

/* Whether the lab's connection has sent exactly that, since it was last asked. */
static bool has_sent_connect(void)
{
    static const uint8_t frame[] = {0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1};
    bool has = lab.sent_bytes == sizeof(frame) && memcmp(lab.sent, frame, sizeof(frame)) == 0;
    assert_true(has || lab.sent_bytes == 0);
    lab_forget_sent();
    return has;
}

/* RFC 8441 3: a later SETTINGS, once; what was announced stays. */
static void an_open_connection_hears_of_it_later(void **state)
{
    open_server(false);
    lab_flush();
    assert_false(has_sent_connect());
    h2_announce_connect(lab.h2, true);
    lab_flush();
    assert_true(has_sent_connect());
    h2_announce_connect(lab.h2, false);
    h2_announce_connect(lab.h2, true);
    lab_flush();
    assert_false(has_sent_connect());
    lab_script("SETTINGS/1/0; HEADERS/4/1 " TARGET " " PROTOCOL);
    assert_int_equal(lab.owner.headers, 1);
    lab_wait(CLOCK_S * 20);
    assert_int_equal(COUNT(settings_slow), 0);
    lab_close();
}

static void it_has_to_be_acknowledged_too(void **state)
{
    open_server(false);
    h2_announce_connect(lab.h2, true);
    lab_flush();
    lab_wait(CLOCK_S * 20);
    assert_int_equal(COUNT(settings_slow), 1);
    lab_close();
}

/* It stands in the first SETTINGS then. */
static void a_connection_without_preface_hears_of_it_once(void **state)
{
    struct h2_config config = lab_config();
    lab_create(&config);
    lab_open(H2_SERVER);
    h2_announce_connect(lab.h2, true);
    lab_flush();
    lab_script("PREFACE; SETTINGS/0/0");
    assert_int_equal(lab_seen(H2_FRAME_SETTINGS, 0).count, 2); /* ours, and an acknowledgement */
    lab_close();
}

static void requests_have_to_be_whole(void **state)
{
    static const struct {
        bool announced;
        const char *script;
        size_t counter; /* offset of the violation; 0: it is all right */
    } cases[] = {
        {true, "HEADERS/4/1 " TARGET " " PROTOCOL, 0},
        {true, "HEADERS/5/1 " TARGET " " PROTOCOL, 0},
        {true, "HEADERS/4/1 " PROTOCOL " " TARGET, 0},
        {true, "HEADERS/4/1 02 07 'CONNECT 01 01 'a", 0},
        {false, "HEADERS/4/1 " TARGET " " PROTOCOL, offsetof(struct h2_counters, pseudo_unknown)},
        {false, "HEADERS/4/1 02 07 'CONNECT 01 01 'a", 0},
        {true, "HEADERS/4/1 " TARGET, offsetof(struct h2_counters, connect_bad)},
        {true, "HEADERS/4/1 @get " PROTOCOL, offsetof(struct h2_counters, protocol_bad)},
        {true, "HEADERS/4/1 " TARGET " 00 09 ':protocol 00",
         offsetof(struct h2_counters, protocol_bad)},
        {true, "HEADERS/4/1 " TARGET " 00 09 ':protocol 03 'a/b",
         offsetof(struct h2_counters, protocol_bad)},
        {true, "HEADERS/4/1 " TARGET " " PROTOCOL " " PROTOCOL,
         offsetof(struct h2_counters, pseudo_repeated)},
        {true, "HEADERS/4/1 02 07 'CONNECT 86 01 01 'a " PROTOCOL,
         offsetof(struct h2_counters, pseudo_missing)},
        {true, "HEADERS/4/1 02 07 'CONNECT 84 01 01 'a " PROTOCOL,
         offsetof(struct h2_counters, pseudo_missing)},
        {true, "HEADERS/4/1 02 07 'CONNECT 86 84 " PROTOCOL,
         offsetof(struct h2_counters, authority_bad)},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        open_server(cases[i].announced);
        lab_script(cases[i].script);
        assert_int_equal(lab.owner.headers, cases[i].counter == 0 ? 1 : 0);
        assert_int_equal(lab_seen(H2_FRAME_RST_STREAM, 1).count, cases[i].counter == 0 ? 0 : 1);
        if (cases[i].counter > 0)
            assert_int_equal(
                *(const uint64_t *)((const char *)h2_counters(lab.h2) + cases[i].counter), 1);
        lab_close();
    }
}

/* We end our side: the client's goes on, and is not cut short. */
static void a_server_may_end_its_side_first(void **state)
{
    open_server(true);
    lab_script("HEADERS/4/1 " TARGET " " PROTOCOL);
    h2_stream_tunnel(lab.owner.streams[0]);
    lab_answer();
    assert_int_equal(lab.owner.finished, 0);
    assert_int_equal(lab_seen(H2_FRAME_RST_STREAM, 1).count, 0);
    lab_script("DATA/0/1 'abc");
    assert_int_equal(lab.owner.data_bytes, 3);
    lab_script("DATA/1/1 'def");
    assert_int_equal(lab.owner.data_bytes, 6);
    assert_int_equal(lab.owner.finished, 1);
    assert_int_equal(COUNT(streams_cut_short), 0);
    lab_close();
}

static void a_client_may_end_its_side_first(void **state)
{
    open_server(true);
    lab_script("HEADERS/4/1 " TARGET " " PROTOCOL);
    h2_stream_tunnel(lab.owner.streams[0]);
    lab_script("DATA/1/1 'abc");
    assert_int_equal(lab.owner.finished, 0);
    lab.owner.body_bytes = 20000;
    lab_answer();
    assert_int_equal(lab_data_sent(1), 20000);
    assert_int_equal(lab.owner.finished, 1);
    lab_close();
}

/* RFC 9113 8.5: a stream error. */
static void nothing_but_data_is_in_a_client_s_tunnel(void **state)
{
    static const char *const answers[] = {"!flush", "!answer"};
    for (size_t i = 0; i < array_count(answers); i++) {
        open_server(true);
        lab.owner.connects = true;
        lab.owner.body_bytes = 1 << 20;
        lab_script("HEADERS/4/1 " TARGET " " PROTOCOL "; DATA/0/1 'abc");
        lab_script(answers[i]);
        lab_script("HEADERS/5/1 00 01 61 01 62");
        assert_int_equal(lab_seen(H2_FRAME_RST_STREAM, 1).numbers[0], H2_PROTOCOL_ERROR);
        assert_int_equal(COUNT(headers_in_tunnel), 1);
        assert_int_equal(lab.owner.trailers, 0);
        assert_int_equal(lab.owner.resets, 1);
        lab_close();
    }
}

static void nothing_but_data_is_in_a_backend_s_tunnel(void **state)
{
    open_client("!flush; SETTINGS/0/0 000800000001; SETTINGS/1/0");
    lab.owner.connects = true;
    lab.owner.requests = LAB_OPEN;
    lab_request(2);
    lab_script("HEADERS/4/1 88; DATA/0/1 'abc; HEADERS/5/1 00 01 61 01 62");
    assert_int_equal(COUNT(headers_in_tunnel), 1);
    assert_int_equal(lab.owner.trailers, 0);
    assert_int_equal(lab.owner.resets, 1);
    lab_script("HEADERS/4/3 8d; DATA/0/3 'no; HEADERS/5/3 00 01 61 01 62"); /* 404: no tunnel */
    assert_int_equal(COUNT(headers_in_tunnel), 1);
    assert_int_equal(lab.owner.trailers, 1);
    lab_close();
}

static void what_a_backend_announces_is_known(void **state)
{
    open_client("SETTINGS/0/0");
    assert_false(h2_peer_connects(lab.owner.conn));
    lab_script("SETTINGS/0/0 000800000001");
    assert_true(h2_peer_connects(lab.owner.conn));
    lab_close();
    open_client("SETTINGS/0/0 000800000000");
    assert_false(h2_peer_connects(lab.owner.conn));
    lab_close();
}

/* RFC 8441 3 */
static void it_cannot_be_taken_back(void **state)
{
    open_client("SETTINGS/0/0 000800000001");
    lab_script("SETTINGS/0/0 000800000000");
    assert_int_equal(COUNT(settings_flag_bad), 1);
    assert_int_equal(lab.owner.closed, 1);
    lab_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_announced_when_somebody_takes_it),
        cmocka_unit_test(an_open_connection_hears_of_it_later),
        cmocka_unit_test(it_has_to_be_acknowledged_too),
        cmocka_unit_test(a_connection_without_preface_hears_of_it_once),
        cmocka_unit_test(requests_have_to_be_whole),
        cmocka_unit_test(a_server_may_end_its_side_first),
        cmocka_unit_test(a_client_may_end_its_side_first),
        cmocka_unit_test(nothing_but_data_is_in_a_client_s_tunnel),
        cmocka_unit_test(nothing_but_data_is_in_a_backend_s_tunnel),
        cmocka_unit_test(what_a_backend_announces_is_known),
        cmocka_unit_test(it_cannot_be_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
