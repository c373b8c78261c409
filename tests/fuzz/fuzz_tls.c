/*
 * fuzz_tls: anything at all into a session of ours, as the server and as the client. An input is a
 * byte of choices and a program: a length, and so many bytes that TCP delivers next; a length of 0
 * is a turn with the peer, OpenSSL's own, whose bytes come unchanged. So what is injected stands
 * at the beginning, amid a handshake, or among an open session's records.
 *
 * Whatever comes: no byte is read that the peer did not send as such, the session tells its end
 * once, and when it is let go nothing is left.
 */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/memory.h"
#include "dataplane/base/reader.h"
#include "dataplane/tls/tls.h"
#include "dataplane/tls/tls_target.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/tls_files.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

#define NAME        "fuzz.example"
#define PLAIN       "what the peer says" /* again and again */
#define QUEUE_BYTES 65536
#define STEPS_MAX   200

enum choice {
    CONNECTS = 1 << 0, /* ours is the client */
    TLS12 = 1 << 1,
    NO_MEMORY = 1 << 2, /* TCP takes nothing every other time */
    TAKES_LITTLE = 1 << 3,
};

/* What TCP is here: a queue of bytes to read, and a pipe to the peer. */
struct tcp_conn {
    const struct tcp_app *app;
    void *context;
    uint8_t queue[QUEUE_BYTES];
    uint32_t from, to;
    uint8_t choices;
    uint32_t asked; /* how often for room */
    BIO *to_peer;
    bool gone;
};

static struct tcp_conn conn;
static struct timer_wheel wheel;
static struct tls *tls;
static struct tls_contexts *contexts;
static SSL_CTX *peer_server, *peer_client;
static struct {
    struct tls_session *session;
    bool opened, ended;
    uint64_t read;
} ours;

struct bytes tcp_read(struct tcp_conn *tcp)
{
    return bytes_of(tcp->queue + tcp->from, tcp->to - tcp->from);
}

void tcp_read_done(struct tcp_conn *tcp, uint32_t count)
{
    check(count <= tcp->to - tcp->from);
    tcp->from += count;
}

uint32_t tcp_send_room(struct tcp_conn *tcp)
{
    if ((tcp->choices & NO_MEMORY) != 0 && tcp->asked++ % 2 == 0)
        return (tcp->choices & TAKES_LITTLE) != 0 ? 100 : 0;
    return QUEUE_BYTES;
}

uint32_t tcp_copy_room(struct tcp_conn *tcp)
{
    return tcp_send_room(tcp);
}

bool tcp_send_copy(struct tcp_conn *tcp, struct bytes bytes)
{
    check(!tcp->gone);
    return BIO_write(tcp->to_peer, bytes.data, (int)bytes.length) == (int)bytes.length;
}

void tcp_close(struct tcp_conn *tcp)
{
    check(!tcp->gone);
    tcp->gone = true;
}

void tcp_abort(struct tcp_conn *tcp)
{
    tcp_close(tcp);
}

void tcp_set_app(struct tcp_conn *tcp, const struct tcp_app *app, void *context)
{
    tcp->app = app;
    tcp->context = context;
}

void tcp_info(const struct tcp_conn *tcp, uint64_t now, struct tcp_info *out)
{
    *out = (struct tcp_info){0};
}

static void read_all(struct transport transport)
{
    struct bytes view;
    while ((view = transport.ops->read(transport.stream)).length > 0) {
        for (size_t i = 0; i < view.length; i++)
            check(view.data[i] == (uint8_t)PLAIN[ours.read++ % strlen(PLAIN)]);
        transport.ops->read_done(transport.stream, (uint32_t)view.length);
    }
}

static void event(void *app, struct tls_session *session, uint32_t events, uint64_t now)
{
    struct transport transport = transport_tls(session);
    check(!ours.ended);
    ours.opened |= (events & TCP_OPENED) != 0;
    ours.ended = (events & (TCP_EOF | TCP_FAILED)) != 0;
    if ((events & TCP_FAILED) == 0)
        read_all(transport);
    if (!ours.ended)
        return;
    transport.ops->abort(transport.stream);
    ours.session = NULL;
}

static const struct tls_app app = {.event = event};

static void deliver(const uint8_t *data, size_t length)
{
    if (conn.gone)
        return;
    memmove(conn.queue, conn.queue + conn.from, conn.to - conn.from);
    conn.to -= conn.from;
    conn.from = 0;
    length = length < QUEUE_BYTES - conn.to ? length : QUEUE_BYTES - conn.to;
    memcpy(conn.queue + conn.to, data, length);
    conn.to += (uint32_t)length;
    conn.app->event(conn.context, &conn, TCP_READABLE | TCP_WRITABLE, CLOCK_S);
}

static void turn(void)
{
    for (uint32_t i = 0; i < 4; i++)
        tls_turn(tls, CLOCK_S);
    if (ours.opened && ours.session != NULL) {
        struct transport transport = transport_tls(ours.session);
        if (transport.ops->room(transport.stream) > 100)
            (void)transport.ops->send_copy(transport.stream, bytes_text("an answer"));
    }
    tls_flush(tls);
}

static void peer_turn(SSL *peer, BIO *from_peer)
{
    uint8_t bytes[4096];
    int length;
    ERR_clear_error();
    if (SSL_do_handshake(peer) == 1) {
        (void)SSL_write(peer, PLAIN, sizeof(PLAIN) - 1);
        while (SSL_read(peer, bytes, sizeof(bytes)) > 0)
            ;
    }
    while ((length = BIO_read(from_peer, bytes, sizeof(bytes))) > 0)
        deliver(bytes, (size_t)length);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct tls_files files;
    char message[256];
    tls_files_make(&files, "DNS:" NAME, 0, 1000000);
    struct tls_certificate_source certificate = {"fuzz", files.chain, files.key, NULL};
    struct tls_profile_source profile = {
        &certificate, 1, TLS_INTERMEDIATE, TLS_HTTP1_ANSWER, TLS_CLIENT_CERTIFICATE_NONE, NULL};
    struct tls_target_source target = {.ca_file = files.chain,
                                       .verify = true,
                                       .name = NAME,
                                       .policy = TLS_INTERMEDIATE,
                                       .offer = TLS_OFFER_BOTH};
    struct tls_contexts_source source = {&profile, 1, &target, 1, 1, {.count = 1}};
    contexts = tls_contexts_create(&source, message, sizeof(message));
    check(contexts != NULL);
    peer_client = SSL_CTX_new(TLS_client_method());
    peer_server = SSL_CTX_new(TLS_server_method());
    check(SSL_CTX_use_certificate_chain_file(peer_server, files.chain) == 1 &&
          SSL_CTX_use_PrivateKey_file(peer_server, files.key, SSL_FILETYPE_PEM) == 1);
    tls_files_remove(&files);
    timer_wheel_init(&wheel, CLOCK_S);
    struct tls_config config = {.wheel = &wheel,
                                .sessions_max = 1,
                                .kept_max = 2,
                                .handshake_timeout_ns = CLOCK_S,
                                .socket_id = -1};
    tls = tls_create(&config);
    check(tls != NULL);
    return 0;
}

/* Our session over a new connection, and the peer with its two pipes. */
static SSL *begin(uint8_t choices, BIO **from_peer)
{
    SSL *peer = SSL_new((choices & CONNECTS) != 0 ? peer_server : peer_client);
    *from_peer = BIO_new(BIO_s_mem());
    memset(&ours, 0, sizeof(ours));
    conn = (struct tcp_conn){.choices = choices, .to_peer = BIO_new(BIO_s_mem())};
    SSL_set_bio(peer, conn.to_peer, *from_peer);
    if ((choices & TLS12) != 0)
        SSL_set_max_proto_version(peer, TLS1_2_VERSION);
    if ((choices & CONNECTS) != 0)
        SSL_set_accept_state(peer);
    else
        SSL_set_connect_state(peer);
    ours.session =
        (choices & CONNECTS) != 0
            ? tls_connect(tls, tls_contexts_target(contexts, 0, 0), &conn, &app, NULL, CLOCK_S)
            : tls_accept(tls, tls_contexts_profile(contexts, 0, 0), &conn, &app, NULL, CLOCK_S);
    check(ours.session != NULL);
    return peer;
}

/* TCP ends: whatever the session was at, it comes to an end. */
static void end(void)
{
    if (!conn.gone)
        conn.app->event(conn.context, &conn, TCP_EOF | TCP_READABLE, CLOCK_S);
    turn();
    if (!conn.gone)
        conn.app->event(conn.context, &conn, TCP_FAILED, CLOCK_S);
    turn();
    check(conn.gone && tls_session_count(tls) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader reader = reader_over(bytes_of(data, size));
    BIO *from_peer;
    SSL *peer = begin(reader_u8(&reader), &from_peer);
    turn();
    for (uint32_t i = 0; i < STEPS_MAX && reader_left(&reader) > 0; i++) {
        size_t length = reader_u8(&reader);
        struct bytes piece =
            reader_bytes(&reader, length < reader_left(&reader) ? length : reader_left(&reader));
        if (length == 0)
            peer_turn(peer, from_peer);
        else
            deliver(piece.data, piece.length);
        turn();
    }
    end();
    SSL_free(peer);
    return 0;
}
