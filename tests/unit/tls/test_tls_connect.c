/* Sessions with backends: what is believed, what is offered, what is resumed, and how it ends. */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/memory.h"
#include "dataplane/tls/tls.h"
#include "dataplane/tls/tls_arena.h"
#include "dataplane/tls/tls_private.h"
#include "dataplane/tls/tls_target.h"
#include "tests/support/cmocka.h"
#include "tests/support/tcp_pair.h"
#include "tests/support/tls_files.h"

#include <string.h>

#define PORT         8443
#define NAME         "backend.example"
#define BODY_BYTES   200000
#define GREETING     "a word before the end"
#define FIVE_SECONDS (5 * CLOCK_S)

/* One end of a connection: what it was told, and what it has read. */
struct end {
    struct tls_session *session; /* NULL: let go of */
    struct transport transport;
    bool opened, eof, failed;
    uint32_t told; /* eof or failed, together */
    uint64_t received;
};

static struct {
    struct tcp_pair tcp;
    struct tls *client;
    struct tls *server;
    struct tls_contexts *contexts;
    struct tls_files files;
    struct tls_profile_source profile;
    struct tls_profile_source asking; /* for certificates */
    bool asks;                        /* that is what the server does */
    struct tls_certificate_source certificate;
    struct tls_target_source target;
    struct tcp_conn *accepted; /* the last one */
    bool plain;                /* the server speaks no TLS */
    struct end here, there;
} lab;

static void let_go(struct end *end)
{
    if (end->session != NULL)
        end->transport.ops->abort(end->transport.stream);
    end->session = NULL;
}

static void end_event(void *app, struct tls_session *session, uint32_t events, uint64_t now)
{
    struct end *end = app;
    struct bytes view;
    end->opened |= (events & TCP_OPENED) != 0;
    end->eof |= (events & TCP_EOF) != 0;
    end->failed |= (events & TCP_FAILED) != 0;
    end->told += (events & (TCP_EOF | TCP_FAILED)) != 0;
    end->transport = transport_tls(session);
    if (end->failed) {
        let_go(end);
        return;
    }
    while ((view = end->transport.ops->read(end->transport.stream)).length > 0) {
        end->received += view.length;
        end->transport.ops->read_done(end->transport.stream, (uint32_t)view.length);
    }
}

static const struct tls_app end_app = {.event = end_event};

static void accept_event(void *app, struct tcp_conn *conn, uint32_t events, uint64_t now)
{
    if (lab.plain) {
        if (events & TCP_OPENED)
            (void)tcp_send_copy(conn, bytes_text("220 speak after the tone\r\n"));
        if (events & (TCP_EOF | TCP_FAILED))
            tcp_abort(conn);
        return;
    }
    lab.accepted = conn;
    lab.there.session = tls_accept(lab.server, tls_contexts_profile(lab.contexts, lab.asks, 0),
                                   conn, &end_app, &lab.there, now);
    assert_non_null(lab.there.session);
    lab.there.transport = transport_tls(lab.there.session);
    tls_session_events(lab.there.session, events & ~(uint32_t)TCP_OPENED, now);
}

static void connect_event(void *app, struct tcp_conn *conn, uint32_t events, uint64_t now)
{
    assert_true(events & TCP_OPENED);
    lab.here.session = tls_connect(lab.client, tls_contexts_target(lab.contexts, 0, 0), conn,
                                   &end_app, &lab.here, now);
    assert_non_null(lab.here.session);
    lab.here.transport = transport_tls(lab.here.session);
    tls_session_events(lab.here.session, events & ~(uint32_t)TCP_OPENED, now);
}

static const struct tcp_app accept_app = {.event = accept_event};
static const struct tcp_app connect_app = {.event = connect_event};

static struct tls *make_engine(struct tcp_host *host)
{
    struct tls_config config = {
        .wheel = &host->base.wheel,
        .sessions_max = 4,
        .kept_max = 4,
        .handshake_timeout_ns = 10 * CLOCK_S,
        .socket_id = -1,
    };
    struct tls *tls = tls_create(&config);
    assert_non_null(tls);
    return tls;
}

static void make_contexts(void)
{
    char message[512];
    const struct tls_profile_source profiles[] = {lab.profile, lab.asking};
    struct tls_contexts_source source = {
        .profiles = profiles,
        .profile_count = 2,
        .targets = &lab.target,
        .target_count = 1,
        .workers = 1,
        .tickets = {.count = 1},
    };
    tls_contexts_drop(lab.contexts);
    lab.contexts = tls_contexts_create(&source, message, sizeof(message));
    if (lab.contexts == NULL)
        fail_msg("%s", message);
}

/* A server with a certificate for NAMES, and a target that believes nobody else. */
static void open_lab(const char *names, long from_s, long to_s)
{
    struct ip_address address;
    memset(&lab, 0, sizeof(lab));
    tls_files_make(&lab.files, names, from_s, to_s);
    lab.certificate = (struct tls_certificate_source){"test", lab.files.chain, lab.files.key};
    lab.profile =
        (struct tls_profile_source){&lab.certificate, 1, TLS_INTERMEDIATE, TLS_HTTP1_ANSWER};
    lab.asking = lab.profile;
    lab.asking.client_certificate = TLS_CLIENT_CERTIFICATE_REQUIRE;
    lab.asking.client_ca_file = lab.files.chain;
    lab.target = (struct tls_target_source){.path = "tls",
                                            .ca_file = lab.files.chain,
                                            .verify = true,
                                            .policy = TLS_INTERMEDIATE,
                                            .offer = TLS_OFFER_BOTH};
    strcpy(lab.target.name, NAME);
    tcp_pair_prepare(&lab.tcp, 1);
    tcp_pair_open(&lab.tcp);
    lab.client = make_engine(&lab.tcp.a);
    lab.server = make_engine(&lab.tcp.b);
    assert_true(ip_address_parse("10.0.0.2", &address));
    assert_true(tcp_listen(lab.tcp.b.tcp, &address, PORT, &accept_app, NULL));
}

static void turn(void)
{
    tcp_pair_turn(&lab.tcp);
    tls_turn(lab.client, lab.tcp.now);
    tls_turn(lab.server, lab.tcp.now);
    tls_flush(lab.client);
    tls_flush(lab.server);
}

static void run_for(uint64_t for_ns)
{
    for (uint64_t end = lab.tcp.now + for_ns; lab.tcp.now < end;)
        turn();
}

/* Connect, and wait until it is known what becomes of it. */
static void shake_hands(void)
{
    struct ip_address address;
    lab.here = lab.there = (struct end){0};
    assert_true(ip_address_parse("10.0.0.2", &address));
    assert_non_null(tcp_connect(lab.tcp.a.tcp, &address, PORT, &connect_app, NULL, lab.tcp.now));
    uint64_t end = lab.tcp.now + FIVE_SECONDS;
    while (!lab.here.opened && !lab.here.failed && lab.tcp.now < end)
        turn();
    run_for(100 * CLOCK_MS);
}

static void hang_up(void)
{
    let_go(&lab.here);
    run_for(CLOCK_S);
    if (lab.there.opened) /* who was not told that it is open never had it */
        let_go(&lab.there);
    run_for(CLOCK_S);
    assert_int_equal(tls_session_count(lab.client), 0);
    assert_int_equal(tls_session_count(lab.server), 0);
}

static void close_lab(void)
{
    hang_up();
    tls_contexts_drop(lab.contexts);
    tls_files_remove(&lab.files);
    tls_arena_forget();
    tcp_pair_close(&lab.tcp);
}

static void expect_open(enum tls_protocol protocol)
{
    assert_true(lab.here.opened && lab.there.opened);
    assert_false(lab.here.failed || lab.there.failed);
    assert_int_equal(tls_session_protocol(lab.here.session), protocol);
}

static void send_all(struct end *from, const struct end *to, uint64_t count)
{
    static const uint8_t piece[1000];
    uint64_t sent = 0;
    uint64_t end = lab.tcp.now + FIVE_SECONDS;
    while (to->received < count && lab.tcp.now < end) {
        while (sent < count && from->transport.ops->room(from->transport.stream) > sizeof(piece)) {
            assert_true(from->transport.ops->send_copy(from->transport.stream,
                                                       bytes_of(piece, sizeof(piece))));
            sent += sizeof(piece);
        }
        turn();
    }
    assert_int_equal(to->received, count);
}

static void bytes_go_both_ways(void **state)
{
    static const enum tls_policy policies[] = {TLS_MODERN, TLS_INTERMEDIATE};
    for (size_t i = 0; i < array_count(policies); i++) {
        open_lab("DNS:" NAME, 0, 3600);
        lab.target.policy = policies[i];
        make_contexts();
        shake_hands();
        expect_open(TLS_PROTOCOL_H2);
        send_all(&lab.here, &lab.there, BODY_BYTES);
        send_all(&lab.there, &lab.here, BODY_BYTES);
        assert_int_equal(tls_counters(lab.client)->connected, 1);
        assert_int_equal(tls_counters(lab.client)->backend_handshakes, 1);
        assert_int_equal(tls_counters(lab.client)->handshakes, 0);
        close_lab();
    }
}

static void only_what_was_offered_is_spoken(void **state)
{
    static const struct {
        enum tls_offer offer;
        enum tls_http1 server;
        bool opens;
        enum tls_protocol agreed;
    } cases[] = {
        {TLS_OFFER_H2, TLS_HTTP1_REJECT, true, TLS_PROTOCOL_H2},
        {TLS_OFFER_BOTH, TLS_HTTP1_REJECT, true, TLS_PROTOCOL_H2},
        {TLS_OFFER_HTTP1, TLS_HTTP1_ANSWER, true, TLS_PROTOCOL_HTTP1},
        {TLS_OFFER_HTTP1, TLS_HTTP1_REJECT, false, TLS_PROTOCOL_NONE},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        open_lab("DNS:" NAME, 0, 3600);
        lab.target.offer = cases[i].offer;
        lab.profile.http1 = cases[i].server;
        make_contexts();
        shake_hands();
        if (cases[i].opens)
            expect_open(cases[i].agreed);
        assert_int_equal(lab.here.failed, !cases[i].opens);
        assert_int_equal(tls_counters(lab.client)->backend_refused_by_peer, !cases[i].opens);
        close_lab();
    }
}

static void a_session_is_resumed_until_the_files_are_read_again(void **state)
{
    open_lab("DNS:" NAME, 0, 3600);
    make_contexts();
    for (uint32_t i = 0; i < 3; i++) {
        shake_hands();
        expect_open(TLS_PROTOCOL_H2);
        assert_int_equal(tls_counters(lab.client)->backend_resumed, i);
        hang_up();
    }
    make_contexts();
    shake_hands();
    expect_open(TLS_PROTOCOL_H2);
    assert_int_equal(tls_counters(lab.client)->backend_resumed, 2);
    close_lab();
}

/*
 * OpenSSL's server that may ask for certificates and has not said whose sessions are its own: it
 * gives tickets, and breaks off with everybody who comes with one.
 */
static void break_on_tickets(void)
{
    SSL_CTX *server = tls_contexts_profile(lab.contexts, 0, 0)->contexts[0].context;
    SSL_CTX_set_verify(server, SSL_VERIFY_PEER, NULL);
    assert_int_equal(SSL_CTX_set_session_id_context(server, (const unsigned char *)"", 0), 1);
}

static void who_breaks_off_with_a_ticket_is_asked_without(void **state)
{
    open_lab("DNS:" NAME, 0, 3600);
    make_contexts();
    break_on_tickets();
    for (uint32_t i = 0; i < 4; i++) {
        shake_hands();
        assert_int_equal(lab.here.opened, i % 2 == 0);
        assert_int_equal(lab.here.failed, i % 2 != 0);
        hang_up();
    }
    assert_int_equal(tls_counters(lab.client)->backend_refused_by_peer, 2);
    assert_int_equal(tls_counters(lab.client)->backend_resumed, 0);
    close_lab();
}

static uint64_t *distrust(const char *why)
{
    struct tls_counters *counters = tls_counters(lab.client);
    if (strcmp(why, "name") == 0)
        return &counters->backend_wrong_name;
    return strcmp(why, "time") == 0 ? &counters->backend_expired : &counters->backend_untrusted;
}

/* Each is refused by its name, and taken by who does not verify. */
static void who_cannot_prove_its_name_is_refused(void **state)
{
    static const struct {
        const char *names;
        long from_s, to_s;
        bool stranger; /* by nobody that is trusted */
        const char *why;
    } cases[] = {
        {"DNS:other.example", 0, 3600, false, "name"},
        {"DNS:*.backend.example", 0, 3600, false, "name"},
        {"IP:10.0.0.2", 0, 3600, false, "name"},
        {"DNS:b*.example", 0, 3600, false, "name"},
        {"DNS:*", 0, 3600, false, "name"},
        {"DNS:*.*", 0, 3600, false, "name"},
        {"DNS:backend.example.org", 0, 3600, false, "name"},
        {"email:a@backend.example", 0, 3600, false, "name"},
        {"URI:https://backend.example/", 0, 3600, false, "name"},
        {NULL, 0, 3600, false, "name"}, /* the subject is of this name */
        {"DNS:" NAME, -7200, -3600, false, "time"},
        {"DNS:" NAME, 3600, 7200, false, "time"},
        {"DNS:" NAME, 0, 3600, true, "trust"},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct tls_files other;
        open_lab(cases[i].names, cases[i].from_s, cases[i].to_s);
        tls_files_make(&other, "DNS:" NAME, 0, 3600);
        if (cases[i].stranger)
            lab.target.ca_file = other.chain;
        make_contexts();
        shake_hands();
        assert_true(lab.here.failed && !lab.here.opened && lab.here.told == 1);
        assert_int_equal(*distrust(cases[i].why), 1);
        assert_int_equal(tls_counters(lab.client)->backend_handshakes, 0);
        hang_up();
        lab.target.verify = false;
        make_contexts();
        shake_hands();
        expect_open(TLS_PROTOCOL_H2);
        tls_files_remove(&other);
        close_lab();
    }
}

static void an_address_is_a_name_too(void **state)
{
    for (uint32_t wrong = 0; wrong < 2; wrong++) {
        open_lab("IP:10.0.0.2", 0, 3600);
        strcpy(lab.target.name, wrong ? "10.0.0.3" : "10.0.0.2");
        lab.target.is_address = true;
        make_contexts();
        shake_hands();
        assert_int_equal(lab.here.opened, !wrong);
        assert_int_equal(tls_counters(lab.client)->backend_wrong_name, wrong);
        close_lab();
    }
}

static void a_backend_without_tls_is_refused(void **state)
{
    open_lab("DNS:" NAME, 0, 3600);
    make_contexts();
    lab.plain = true;
    shake_hands();
    assert_true(lab.here.failed && !lab.here.opened);
    assert_int_equal(tls_counters(lab.client)->backend_refused_message, 1);
    close_lab();
}

static void an_end_is_clean_or_cut(void **state)
{
    for (uint32_t cut = 0; cut < 2; cut++) {
        open_lab("DNS:" NAME, 0, 3600);
        make_contexts();
        shake_hands();
        expect_open(TLS_PROTOCOL_H2);
        struct transport there = lab.there.transport;
        assert_true(there.ops->send_copy(there.stream, bytes_text(GREETING)));
        if (cut) {
            tls_flush(lab.server);
            tcp_close(lab.accepted); /* FIN, and no close_notify */
            tls_session_free(lab.there.session);
        } else {
            there.ops->close(there.stream);
        }
        lab.there.session = NULL;
        run_for(CLOCK_S);
        assert_int_equal(lab.here.received, strlen(GREETING));
        assert_int_equal(lab.here.eof, !cut);
        assert_int_equal(lab.here.failed, cut);
        assert_int_equal(lab.here.told, 1);
        assert_int_equal(tls_counters(lab.client)->truncated, cut);
        assert_int_equal(tls_counters(lab.client)->closed_clean, !cut);
        let_go(&lab.here);
        run_for(CLOCK_S);
        assert_int_equal(tls_session_count(lab.client), 0);
        tls_contexts_drop(lab.contexts);
        tls_files_remove(&lab.files);
        tls_arena_forget();
        tcp_pair_close(&lab.tcp);
    }
}

static void a_connection_lost_in_mid_handshake_is_told(void **state)
{
    open_lab("DNS:" NAME, 0, 3600);
    make_contexts();
    struct ip_address address;
    assert_true(ip_address_parse("10.0.0.2", &address));
    assert_non_null(tcp_connect(lab.tcp.a.tcp, &address, PORT, &connect_app, NULL, lab.tcp.now));
    while (lab.there.session == NULL)
        turn();
    let_go(&lab.there);
    run_for(CLOCK_S);
    assert_true(lab.here.failed && lab.here.told == 1);
    assert_int_equal(tls_counters(lab.client)->backend_lost, 1);
    close_lab();
}

static struct tls_client_identity identity(void)
{
    struct tls_client_identity found = {0};
    assert_true(tls_session_identity(lab.there.session, &found));
    return found;
}

static void a_client_is_who_its_certificate_says(void **state)
{
    static const struct {
        enum tls_client_certificate asked;
        int shown; /* none, a good one, a stranger's */
        bool opens;
    } cases[] = {
        {TLS_CLIENT_CERTIFICATE_NONE, 1, true},     {TLS_CLIENT_CERTIFICATE_REQUEST, 0, true},
        {TLS_CLIENT_CERTIFICATE_REQUEST, 1, true},  {TLS_CLIENT_CERTIFICATE_REQUEST, 2, false},
        {TLS_CLIENT_CERTIFICATE_REQUIRE, 0, false}, {TLS_CLIENT_CERTIFICATE_REQUIRE, 1, true},
        {TLS_CLIENT_CERTIFICATE_REQUIRE, 2, false},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        struct tls_files stranger;
        open_lab("DNS:" NAME, 0, 3600);
        tls_files_make(&stranger, "DNS:" NAME, 0, 3600);
        struct tls_certificate_source other = {"other", stranger.chain, stranger.key, NULL};
        lab.asks = true;
        lab.asking.client_certificate = cases[i].asked;
        if (cases[i].shown > 0)
            lab.target.certificate = cases[i].shown == 1 ? &lab.certificate : &other;
        make_contexts();
        shake_hands();
        assert_int_equal(lab.there.opened, cases[i].opens);
        assert_int_equal(tls_counters(lab.server)->refused_certificate, !cases[i].opens);
        if (cases[i].opens) {
            struct tls_client_identity found = identity();
            assert_int_equal(found.asked, cases[i].asked != TLS_CLIENT_CERTIFICATE_NONE);
            assert_int_equal(found.shown, found.asked && cases[i].shown == 1);
        }
        tls_files_remove(&stranger);
        close_lab();
    }
}

static void who_resumes_is_who_it_was(void **state)
{
    static const enum tls_policy policies[] = {TLS_MODERN, TLS_INTERMEDIATE};
    for (size_t i = 0; i < array_count(policies); i++) {
        open_lab("DNS:" NAME, 0, 3600);
        lab.asks = true;
        lab.target.certificate = &lab.certificate;
        lab.target.policy = lab.asking.policy = policies[i];
        make_contexts();
        shake_hands();
        struct tls_client_identity first = identity();
        assert_true(first.shown);
        hang_up();
        shake_hands();
        assert_int_equal(tls_counters(lab.server)->resumed, 1);
        struct tls_client_identity second = identity();
        assert_memory_equal(&first, &second, sizeof(first));
        close_lab();
    }
}

/* A ticket from where nobody was asked opens nothing where a certificate is required. */
static void a_ticket_is_no_certificate(void **state)
{
    open_lab("DNS:" NAME, 0, 3600);
    make_contexts();
    shake_hands();
    expect_open(TLS_PROTOCOL_H2);
    hang_up();
    lab.asks = true;
    shake_hands();
    assert_false(lab.there.opened);
    assert_int_equal(tls_counters(lab.server)->resumed, 0);
    assert_int_equal(tls_counters(lab.server)->refused_certificate, 1);
    close_lab();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_both_ways),
        cmocka_unit_test(only_what_was_offered_is_spoken),
        cmocka_unit_test(a_session_is_resumed_until_the_files_are_read_again),
        cmocka_unit_test(who_breaks_off_with_a_ticket_is_asked_without),
        cmocka_unit_test(who_cannot_prove_its_name_is_refused),
        cmocka_unit_test(an_address_is_a_name_too),
        cmocka_unit_test(a_backend_without_tls_is_refused),
        cmocka_unit_test(an_end_is_clean_or_cut),
        cmocka_unit_test(a_connection_lost_in_mid_handshake_is_told),
        cmocka_unit_test(a_client_is_who_its_certificate_says),
        cmocka_unit_test(who_resumes_is_who_it_was),
        cmocka_unit_test(a_ticket_is_no_certificate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
