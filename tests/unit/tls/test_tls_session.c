/* Sessions against OpenSSL's own client: bytes, bounds, and what goes wrong. */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/tls/tls_arena.h"
#include "dataplane/tls/tls_private.h"
#include "tests/support/cmocka.h"
#include "tests/support/tls_pair.h"

#define BODY_BYTES 400000

static struct tls_pair pair;

static uint32_t wanted; /* connections */

static bool is_open(const struct tls_pair *p)
{
    return p->end_count == wanted && p->ends[p->end_count - 1].open;
}

static bool client_has_all(const struct tls_pair *p)
{
    return p->client_received == p->ends[p->end_count - 1].to_send;
}

static bool both_have_all(const struct tls_pair *p)
{
    return client_has_all(p) && p->ends[p->end_count - 1].received == p->client_to_send;
}

static bool end_is_over(const struct tls_pair *p)
{
    return p->end_count > 0 && p->ends[p->end_count - 1].over;
}

static bool no_session(const struct tls_pair *p)
{
    return p->end_count > 0 && tls_session_count(p->tls) == 0;
}

static struct tls_end *connect_pair(int least, int most)
{
    uint32_t before = pair.end_count;
    wanted = before + 1;
    tls_pair_connect(&pair, least, most);
    assert_true(tls_pair_run_until(&pair, is_open, 5 * CLOCK_S));
    assert_int_equal(pair.end_count, before + 1);
    return &pair.ends[before];
}

static void open_pair(uint64_t seed)
{
    tls_pair_prepare(&pair, seed);
    tls_pair_open(&pair);
}

static void bytes_go_both_ways_in_both_versions(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < array_count(versions); i++) {
        open_pair(i + 1);
        pair.client_to_send = BODY_BYTES;
        struct tls_end *end = connect_pair(versions[i], versions[i]);
        end->to_send = BODY_BYTES;
        assert_true(tls_pair_run_until(&pair, both_have_all, 20 * CLOCK_S));
        assert_false(end->corrupt || pair.client_corrupt);
        assert_int_equal(tls_counters(pair.tls)->handshakes, 1);
        assert_int_equal(tls_counters(pair.tls)->handshakes_tls12, i == 0);
        /* The order is ours: AES-128 first. OpenSSL's client prefers AES-256. */
        assert_int_equal(SSL_CIPHER_get_bits(SSL_get_current_cipher(pair.client), NULL), 128);
        assert_int_equal(tls_counters(pair.tls)->bytes_in, BODY_BYTES);
        assert_int_equal(tls_counters(pair.tls)->bytes_out, BODY_BYTES);
        tls_pair_close(&pair);
    }
}

static void bytes_arrive_over_a_bad_wire(void **state)
{
    open_pair(3);
    struct wire_faults faults = {.drop_ppm = 20000, .duplicate_ppm = 10000};
    wire_set_faults_everywhere(pair.tcp.wire, &faults);
    pair.client_to_send = BODY_BYTES;
    struct tls_end *end = connect_pair(0, 0);
    end->to_send = BODY_BYTES;
    assert_true(tls_pair_run_until(&pair, both_have_all, 120 * CLOCK_S));
    assert_false(end->corrupt || pair.client_corrupt);
    tls_pair_close(&pair);
}

static void a_client_that_reads_nothing_stops_us_until_it_does(void **state)
{
    open_pair(4);
    struct tls_end *end = connect_pair(0, 0);
    pair.client_reads = false;
    end->to_send = 4 * BODY_BYTES;
    tls_pair_run_for(&pair, 2 * CLOCK_S);
    uint64_t sent = end->sent;
    assert_true(sent > 0 && sent < end->to_send);
    tls_pair_run_for(&pair, 2 * CLOCK_S);
    assert_int_equal(end->sent, sent);
    pair.client_reads = true;
    assert_true(tls_pair_run_until(&pair, client_has_all, 20 * CLOCK_S));
    assert_false(pair.client_corrupt);
    tls_pair_close(&pair);
}

static void records_wait_when_tcp_has_no_memory(void **state)
{
    tls_pair_prepare(&pair, 5);
    pair.tcp.b.config.blocks_max = 12; /* less than two records */
    pair.config.kept_max = 2;          /* a record, and the rest of its piece */
    tls_pair_open(&pair);
    struct tls_end *end = connect_pair(0, 0);
    end->to_send = BODY_BYTES;
    assert_true(tls_pair_run_until(&pair, client_has_all, 60 * CLOCK_S));
    assert_false(pair.client_corrupt);
    assert_true(tls_counters(pair.tls)->writes_waited > 0);
    tls_pair_close(&pair);
}

/* TCP's blocks hold what is encrypted until it is acknowledged; they are the worker's. */
static void who_reads_nothing_leaves_blocks_to_others(void **state)
{
    tls_pair_prepare(&pair, 6);
    pair.tcp.b.config.blocks_max = 128;
    pair.tcp.b.config.send_queue_bytes = 128 * 2048; /* one connection might have them all */
    tls_pair_open(&pair);
    struct tls_end *slow = connect_pair(0, 0);
    pair.client_reads = false;
    slow->to_send = UINT32_MAX;
    tls_pair_run_for(&pair, 2 * CLOCK_S);
    uint64_t had = slow->sent;
    struct tcp_conn *left_behind = pair.conn;
    struct tls_end *quick = connect_pair(0, 0);
    quick->to_send = BODY_BYTES;
    assert_true(tls_pair_run_until(&pair, client_has_all, 20 * CLOCK_S));
    assert_false(quick->corrupt || pair.client_corrupt);
    assert_int_equal(slow->sent, had);
    assert_int_equal(tls_counters(pair.tls)->kept_shed, 0);
    tcp_abort(left_behind);
    slow->to_send = slow->sent;
    tls_pair_close(&pair);
}

/* What is gathered fills the room, and is a record only when the turn has ended. */
static void who_was_left_without_room_by_its_own_record_is_told_when_there_is_some(void **state)
{
    tls_pair_prepare(&pair, 7);
    pair.tcp.b.config.blocks_max = 64; /* so that a session's share is the least: 16 */
    tls_pair_open(&pair);
    struct tls_end *end = connect_pair(0, 0);
    end->to_send = BODY_BYTES;
    assert_true(tls_pair_run_until(&pair, client_has_all, 20 * CLOCK_S));
    assert_false(end->corrupt || pair.client_corrupt);
    tls_pair_close(&pair);
}

static void what_is_not_taken_is_kept_for_a_few_only(void **state)
{
    open_pair(6);
    pair.client_to_send = 30000;
    struct tls_end *first = connect_pair(0, 0);
    first->read_max = 100;
    first->views_max = 1;
    tls_pair_run_for(&pair, 50 * CLOCK_MS);
    assert_true(tls_counters(pair.tls)->kept > 0);
    assert_false(first->over);
    /* There is memory for one; who comes second and leaves bytes, too, has to go. */
    struct tcp_conn *kept = pair.conn;
    struct tls_end *second = connect_pair(0, 0);
    second->read_max = 100;
    second->views_max = 1;
    assert_true(tls_pair_run_until(&pair, end_is_over, 5 * CLOCK_S));
    assert_int_equal(tls_counters(pair.tls)->kept_shed, 1);
    assert_false(first->over || first->corrupt);
    tcp_abort(kept);
    tls_pair_close(&pair);
}

static void an_end_is_told_as_it_came(void **state)
{
    open_pair(7);
    struct tls_end *end = connect_pair(0, 0);
    end->to_send = 5000;
    end->close_when_sent = true;
    assert_true(tls_pair_run_until(&pair, client_has_all, 5 * CLOCK_S));
    tls_pair_run_for(&pair, CLOCK_S);
    assert_true(pair.client_closed);
    tls_pair_abort(&pair);

    end = connect_pair(0, 0);
    SSL_shutdown(pair.client);
    assert_true(tls_pair_run_until(&pair, end_is_over, 5 * CLOCK_S));
    assert_true(end->eof);
    assert_int_equal(tls_counters(pair.tls)->closed_clean, 1);
    tls_pair_abort(&pair);

    end = connect_pair(0, 0);
    tcp_close(pair.conn); /* FIN without close_notify */
    pair.conn = NULL;
    assert_true(tls_pair_run_until(&pair, end_is_over, 5 * CLOCK_S));
    assert_int_equal(tls_counters(pair.tls)->truncated, 1);
    tls_pair_close(&pair);
}

static void a_handshake_that_does_not_end_is_ended(void **state)
{
    open_pair(8);
    pair.client_reads = false; /* the answer to its hello stays where it is */
    tls_pair_connect(&pair, 0, 0);
    pair.client_reads = false;
    tls_pair_run_for(&pair, CLOCK_S);
    assert_int_equal(tls_session_count(pair.tls), 1);
    assert_true(tls_pair_run_until(&pair, no_session, 12 * CLOCK_S));
    assert_int_equal(tls_counters(pair.tls)->handshake_timeouts, 1);

    tls_pair_connect(&pair, 0, 0);
    tls_pair_run_for(&pair, 2 * CLOCK_MS);
    tls_pair_abort(&pair);
    assert_true(tls_pair_run_until(&pair, no_session, 5 * CLOCK_S));
    tls_pair_close(&pair);
}

/* Whatever byte of the client's is wrong: a named end, never an open session, nothing left. */
static void every_changed_byte_of_a_handshake_ends_it(void **state)
{
    for (int64_t at = 0; at < 300; at += 7) {
        open_pair(9);
        pair.flip_at = at;
        tls_pair_connect(&pair, TLS1_3_VERSION, TLS1_3_VERSION);
        tls_pair_run_for(&pair, 15 * CLOCK_S);
        const struct tls_counters *c = tls_counters(pair.tls);
        uint64_t ended = c->refused_version + c->refused_cipher + c->refused_alpn +
                         c->refused_message + c->refused_by_peer + c->refused_other +
                         c->handshake_lost + c->handshake_timeouts;
        if (c->handshakes + ended != 1)
            fail_msg("byte %ld: %lu handshakes, %lu refusals", at, c->handshakes, ended);
        tls_pair_close(&pair);
    }
}

static void a_changed_record_ends_an_open_session(void **state)
{
    open_pair(10);
    struct tls_end *end = connect_pair(0, 0);
    pair.flip_at = (int64_t)pair.client_bytes + 2000;
    pair.client_to_send = 20000;
    assert_true(tls_pair_run_until(&pair, end_is_over, 5 * CLOCK_S));
    assert_int_equal(tls_counters(pair.tls)->records_broken, 1);
    assert_false(end->corrupt);
    tls_pair_close(&pair);
}

static void key_updates_are_bounded(void **state)
{
    open_pair(12);
    (void)connect_pair(TLS1_3_VERSION, TLS1_3_VERSION);
    for (uint32_t i = 0; i < 200; i++) {
        assert_int_equal(SSL_key_update(pair.client, SSL_KEY_UPDATE_REQUESTED), 1);
        (void)SSL_do_handshake(pair.client);
    }
    assert_true(tls_pair_run_until(&pair, end_is_over, 5 * CLOCK_S));
    assert_int_equal(tls_counters(pair.tls)->key_update_floods, 1);
    tls_pair_close(&pair);
}

#define LONG_EXTENSION 65000 /* a type that nobody has */

static int add_long_extension(SSL *ssl, unsigned int type, unsigned int context,
                              const unsigned char **out, size_t *out_length, X509 *certificate,
                              size_t chain_index, int *alert, void *unused)
{
    static const unsigned char bytes[60000];
    *out = bytes;
    *out_length = sizeof(bytes);
    return pair.ends[0].open; /* not in the first hello */
}

/* A client hello in an open session, of more records than are allowed: each has an alert. */
static void renegotiation_is_refused_and_bounded(void **state)
{
    open_pair(15);
    assert_int_equal(SSL_CTX_add_custom_ext(pair.client_context, LONG_EXTENSION,
                                            SSL_EXT_CLIENT_HELLO, add_long_extension, NULL, NULL,
                                            NULL, NULL),
                     1);
    struct tls_end *end = connect_pair(TLS1_2_VERSION, TLS1_2_VERSION);
    end->to_send = 100;
    assert_true(tls_pair_run_until(&pair, client_has_all, 5 * CLOCK_S));
    assert_int_equal(SSL_set_max_send_fragment(pair.client, 512), 1);
    assert_int_equal(SSL_renegotiate(pair.client), 1);
    assert_int_equal(SSL_do_handshake(pair.client), -1);
    assert_true(BIO_ctrl_pending(pair.to_server) > 512 * TLS_MESSAGES_MAX);
    pair.client_reads = false; /* it would give up after the first alert */
    assert_true(tls_pair_run_until(&pair, end_is_over, 5 * CLOCK_S));
    assert_int_equal(tls_counters(pair.tls)->handshakes, 1);
    assert_int_equal(tls_counters(pair.tls)->key_update_floods, 1);
    tls_pair_close(&pair);
}

static void small_records_are_refused(void **state)
{
    open_pair(13);
    assert_int_equal(
        SSL_CTX_set_tlsext_max_fragment_length(pair.client_context, TLSEXT_max_fragment_length_512),
        1);
    tls_pair_connect(&pair, 0, 0);
    assert_true(tls_pair_run_until(&pair, no_session, 5 * CLOCK_S));
    assert_int_equal(tls_counters(pair.tls)->refused_fragment, 1);
    tls_pair_close(&pair);
}

static void tell_again(void *app, struct tls_session *session, uint32_t events, uint64_t now)
{
    session->messages++;
    tls_session_tell(session, TCP_READABLE);
}

/* A turn has a bound: who was not told in one comes first in the next. */
static void news_of_many_reach_everybody(void **state)
{
    static const struct tls_app app = {.event = tell_again};
    static struct tls_session sessions[1500];
    open_pair(14);
    for (size_t i = 0; i < array_count(sessions); i++) {
        sessions[i] = (struct tls_session){.tls = pair.tls, .state = TLS_OPEN, .app = &app};
        list_init(&sessions[i].link);
        tls_session_tell(&sessions[i], TCP_READABLE);
    }
    (void)tls_turn(pair.tls, 0);
    (void)tls_turn(pair.tls, 0);
    for (size_t i = 0; i < array_count(sessions); i++) {
        assert_true(sessions[i].messages > 0);
        list_remove(&sessions[i].link);
    }
    tls_pair_close(&pair);
}

static void idle_sessions(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct tls_end *end = connect_pair(TLS1_3_VERSION, TLS1_3_VERSION);
        pair.client_to_send = 200;
        end->to_send = 5000;
        assert_true(tls_pair_run_until(&pair, both_have_all, 5 * CLOCK_S));
    }
    tls_pair_run_for(&pair, CLOCK_S);
}

/* What is looked up once is there after the first ones. 24 KiB are for TCP and HTTP/2, too. */
static void an_idle_session_takes_little_memory(void **state)
{
    enum { FIRST = 4, COUNT = 8, BYTES_MAX = 20 << 10 };
    tls_pair_prepare(&pair, 15);
    pair.config.memory_bytes = 16 << 20;
    tls_pair_open(&pair);
    idle_sessions(FIRST);
    uint64_t before = tls_arena_used_bytes(pair.tls->arena);
    idle_sessions(COUNT);
    uint64_t each = (tls_arena_used_bytes(pair.tls->arena) - before) / COUNT;
    print_message("    an idle session: %u bytes of OpenSSL's, %u of ours\n", (unsigned)each,
                  (unsigned)sizeof(struct tls_session));
    assert_in_range(each + sizeof(struct tls_session), 2000, BYTES_MAX);
    tls_pair_close(&pair);
}

/* The last one: OpenSSL keeps for ever what it has looked up meanwhile, and that is in the arena.
 */
static void without_memory_newcomers_are_refused_and_others_go_on(void **state)
{
    tls_pair_prepare(&pair, 11);
    pair.config.memory_bytes = 1088 << 10;
    tls_pair_open(&pair);
    struct tls_end *first = connect_pair(0, 0);
    struct tcp_conn *conn = pair.conn;
    SSL *client = pair.client;
    BIO *bios[] = {pair.from_server, pair.to_server};
    SSL_up_ref(client);
    uint32_t opened = 0;
    for (; opened < 14 && tls_counters(pair.tls)->no_memory == 0; opened++) {
        tls_pair_connect(&pair, 0, 0); /* the one before is left as it is ... */
        pair.client_reads = false;     /* ... with half a handshake */
        tls_pair_run_for(&pair, 200 * CLOCK_MS);
    }
    assert_true(tls_counters(pair.tls)->no_memory > 0);
    tls_pair_abort(&pair);
    pair.conn = conn;
    SSL_free(pair.client);
    pair.client = client;
    pair.from_server = bios[0];
    pair.to_server = bios[1];
    pair.client_received = 0;
    pair.client_reads = true;
    first->to_send = 50000;
    pair.client_corrupt = false;
    while (pair.client_received < first->to_send && !first->over)
        tls_pair_turn(&pair);
    assert_false(first->over || pair.client_corrupt);
    tls_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_both_ways_in_both_versions),
        cmocka_unit_test(bytes_arrive_over_a_bad_wire),
        cmocka_unit_test(a_client_that_reads_nothing_stops_us_until_it_does),
        cmocka_unit_test(records_wait_when_tcp_has_no_memory),
        cmocka_unit_test(who_reads_nothing_leaves_blocks_to_others),
        cmocka_unit_test(who_was_left_without_room_by_its_own_record_is_told_when_there_is_some),
        cmocka_unit_test(what_is_not_taken_is_kept_for_a_few_only),
        cmocka_unit_test(an_end_is_told_as_it_came),
        cmocka_unit_test(a_handshake_that_does_not_end_is_ended),
        cmocka_unit_test(every_changed_byte_of_a_handshake_ends_it),
        cmocka_unit_test(a_changed_record_ends_an_open_session),
        cmocka_unit_test(key_updates_are_bounded),
        cmocka_unit_test(renegotiation_is_refused_and_bounded),
        cmocka_unit_test(small_records_are_refused),
        cmocka_unit_test(news_of_many_reach_everybody),
        cmocka_unit_test(an_idle_session_takes_little_memory),
        cmocka_unit_test(without_memory_newcomers_are_refused_and_others_go_on),
    };
    if (!tls_arena_install())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
