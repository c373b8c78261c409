/*
 * bench_tls: cycles of time stamp counter that TLS costs a server, on a wire in memory: a
 * handshake, full and resumed, from the accepted connection to its end; a short answer; a large
 * one, in pieces as HTTP/2 sends them. What the layer of TLS does is counted by itself (tls), and
 * again with TCP and the packets below it (all); the client is beside it in the same thread and is
 * not counted. The median of many rounds, and the best one.
 *
 *     bench_tls [ROUNDS [PART]]
 */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/counter.h"
#include "dataplane/tls/tls_arena.h"
#include "tests/load/samples.h"
#include "tests/support/tls_pair.h"

#include <openssl/evp.h>
#include <string.h>

#define ROUNDS_MAX   1000
#define WARM_UP      10
#define SMALL_BYTES  64
#define SMALL_COUNT  256
#define LARGE_BYTES  (1 << 20)
#define MEMORY_BYTES (64u << 20)

static struct tls_pair pair;
static uint64_t tls_samples[ROUNDS_MAX], all_samples[ROUNDS_MAX], alone_samples[ROUNDS_MAX];
static uint32_t rounds = 200;
static uint64_t tls_cycles, all_cycles;
static SSL_SESSION *ticket; /* the client's last one */

static void count(uint64_t begin)
{
    uint64_t spent = clock_cycles() - begin;
    tls_cycles += spent;
    all_cycles += spent;
}

/* The linker puts these in the place of what the server calls (--wrap). */
bool __real_tls_turn(struct tls *tls, uint64_t now);
bool __wrap_tls_turn(struct tls *tls, uint64_t now);
void __real_tls_flush(struct tls *tls);
void __wrap_tls_flush(struct tls *tls);
struct tls_session *__real_tls_accept(struct tls *tls, const struct tls_profile *profile,
                                      struct tcp_conn *conn, const struct tls_app *app,
                                      void *context, uint64_t now);
struct tls_session *__wrap_tls_accept(struct tls *tls, const struct tls_profile *profile,
                                      struct tcp_conn *conn, const struct tls_app *app,
                                      void *context, uint64_t now);
void __real_tcp_host_turn(struct tcp_host *host, uint64_t now);
void __wrap_tcp_host_turn(struct tcp_host *host, uint64_t now);

bool __wrap_tls_turn(struct tls *tls, uint64_t now)
{
    uint64_t begin = clock_cycles();
    bool busy = __real_tls_turn(tls, now);
    count(begin);
    return busy;
}

void __wrap_tls_flush(struct tls *tls)
{
    uint64_t begin = clock_cycles();
    __real_tls_flush(tls);
    count(begin);
}

/* Within tcp_host_turn(). */
struct tls_session *__wrap_tls_accept(struct tls *tls, const struct tls_profile *profile,
                                      struct tcp_conn *conn, const struct tls_app *app,
                                      void *context, uint64_t now)
{
    uint64_t begin = clock_cycles();
    struct tls_session *session = __real_tls_accept(tls, profile, conn, app, context, now);
    tls_cycles += clock_cycles() - begin;
    return session;
}

void __wrap_tcp_host_turn(struct tcp_host *host, uint64_t now)
{
    uint64_t begin = clock_cycles();
    __real_tcp_host_turn(host, now);
    if (host == &pair.tcp.b)
        all_cycles += clock_cycles() - begin;
}

/* The stream of a session, and what its operations cost. */
static const struct transport_ops *real;

static uint32_t counted_room(void *stream)
{
    return real->room(stream);
}

static bool counted_send_copy(void *stream, struct bytes bytes)
{
    uint64_t begin = clock_cycles();
    bool taken = real->send_copy(stream, bytes);
    count(begin);
    return taken;
}

static bool counted_send_segment(void *stream, struct segment *segment, uint32_t offset,
                                 uint32_t length)
{
    uint64_t begin = clock_cycles();
    bool taken = real->send_segment(stream, segment, offset, length);
    count(begin);
    return taken;
}

static struct bytes counted_read(void *stream)
{
    uint64_t begin = clock_cycles();
    struct bytes view = real->read(stream);
    count(begin);
    return view;
}

static void counted_read_done(void *stream, uint32_t bytes)
{
    real->read_done(stream, bytes);
}

static void counted_close(void *stream)
{
    uint64_t begin = clock_cycles();
    real->close(stream);
    count(begin);
}

static void counted_abort(void *stream)
{
    real->abort(stream);
}

static const struct transport_ops counted_ops = {
    .room = counted_room,
    .send_copy = counted_send_copy,
    .send_segment = counted_send_segment,
    .read = counted_read,
    .read_done = counted_read_done,
    .close = counted_close,
    .abort = counted_abort,
};

/* Cryptography alone. */
static struct {
    EVP_PKEY_CTX *exchange;
    EVP_PKEY_CTX *signature;
} alone;

static void alone_init(void)
{
    EVP_PKEY *ours = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    EVP_PKEY *theirs = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    alone.exchange = EVP_PKEY_CTX_new_from_pkey(NULL, ours, NULL);
    alone.signature = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    check(EVP_PKEY_derive_init(alone.exchange) == 1 &&
          EVP_PKEY_derive_set_peer(alone.exchange, theirs) == 1 &&
          EVP_PKEY_sign_init(alone.signature) == 1);
    EVP_PKEY_free(ours);
    EVP_PKEY_free(theirs);
    EVP_PKEY_free(key);
}

static uint64_t alone_cycles(bool sign)
{
    static const uint8_t digest[32] = {1};
    uint8_t secret[32], signature[128];
    uint64_t begin = clock_cycles();
    for (int i = 0; i < 2; i++) {
        size_t length = sizeof(secret);
        check(EVP_PKEY_derive(alone.exchange, secret, &length) == 1);
    }
    size_t length = sizeof(signature);
    check(!sign || EVP_PKEY_sign(alone.signature, signature, &length, digest, sizeof(digest)) == 1);
    return clock_cycles() - begin;
}

static void alone_free(void)
{
    EVP_PKEY_CTX_free(alone.exchange);
    EVP_PKEY_CTX_free(alone.signature);
}

static int keep_ticket(SSL *ssl, SSL_SESSION *given)
{
    SSL_SESSION_free(ticket);
    ticket = given;
    return 1;
}

static bool client_has_all(const struct tls_pair *p)
{
    return p->end_count > 0 && p->client_received == p->ends[p->end_count - 1].to_send;
}

static bool is_open(const struct tls_pair *p)
{
    return p->end_count > 0 && p->ends[p->end_count - 1].open;
}

static bool all_over(const struct tls_pair *p)
{
    return tls_session_count(p->tls) == 0;
}

static void open_pair(void)
{
    tls_pair_prepare(&pair, 1);
    pair.config.memory_bytes = MEMORY_BYTES;
    tls_pair_open(&pair);
    SSL_CTX_set_session_cache_mode(pair.client_context,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(pair.client_context, keep_ticket);
    check(SSL_CTX_set_ciphersuites(pair.client_context, "TLS_AES_128_GCM_SHA256") == 1);
}

static void connect_pair(bool resume)
{
    memset(pair.ends, 0, sizeof(pair.ends));
    pair.end_count = 0;
    tls_pair_connect(&pair, TLS1_3_VERSION, TLS1_3_VERSION);
    if (resume)
        check(ticket != NULL && SSL_set_session(pair.client, ticket) == 1);
    check(tls_pair_run_until(&pair, is_open, CLOCK_S));
    real = pair.ends[0].transport.ops;
    pair.ends[0].transport.ops = &counted_ops;
}

static void disconnect_pair(void)
{
    pair.ends[0].close_when_sent = true;
    check(tls_pair_run_until(&pair, all_over, CLOCK_S));
    /* Its session is good, although it is cut. */
    SSL_set_shutdown(pair.client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    tls_pair_abort(&pair);
    tls_pair_run_for(&pair, CLOCK_MS);
}

/* One short record on a new connection, then its end. */
static void handshake(bool resume)
{
    connect_pair(resume);
    pair.ends[0].to_send = SMALL_BYTES;
    check(tls_pair_run_until(&pair, client_has_all, CLOCK_S));
    check(SSL_session_reused(pair.client) == resume);
    disconnect_pair();
}

static void handshake_full(void)
{
    handshake(false);
}

static void handshake_resumed(void)
{
    if (ticket == NULL)
        handshake(false);
    handshake(true);
}

static void send_bytes(uint64_t bytes)
{
    pair.ends[0].to_send += bytes;
    check(tls_pair_run_until(&pair, client_has_all, 10 * CLOCK_S));
}

static void send_small(void)
{
    for (uint32_t i = 0; i < SMALL_COUNT; i++)
        send_bytes(SMALL_BYTES);
}

static void send_large(void)
{
    send_bytes(LARGE_BYTES);
}

static const struct part {
    const char *name;
    const char *what;
    void (*round)(void);
    uint32_t operations;
    bool connected;
} parts[] = {
    {"full handshake, record, close", "a connection", handshake_full, 1, false},
    {"resumed handshake, record, close", "a connection", handshake_resumed, 1, false},
    {"a record of 64 bytes", "a record", send_small, SMALL_COUNT, true},
    {"1 MiB", "16 KiB", send_large, LARGE_BYTES / 16384, true},
};

static void bench(const struct part *part)
{
    char name[64];
    if (part->connected)
        connect_pair(false);
    for (uint32_t round = 0; round < WARM_UP + rounds; round++) {
        tls_cycles = all_cycles = 0;
        part->round();
        if (round >= WARM_UP) {
            tls_samples[round - WARM_UP] = tls_cycles;
            all_samples[round - WARM_UP] = all_cycles;
            alone_samples[round - WARM_UP] =
                part->connected ? 0 : alone_cycles(part->round == handshake_full);
        }
    }
    if (part->connected)
        disconnect_pair();
    snprintf(name, sizeof(name), "%s: tls", part->name);
    samples_print(name, part->what, tls_samples, rounds, part->operations);
    snprintf(name, sizeof(name), "%s: all", part->name);
    samples_print(name, part->what, all_samples, rounds, part->operations);
    if (part->connected)
        return;
    snprintf(name, sizeof(name), "%s: cryptography alone", part->name);
    samples_print(name, part->what, alone_samples, rounds, part->operations);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        rounds = (uint32_t)atoi(argv[1]);
    check(rounds >= 1 && rounds <= ROUNDS_MAX && tls_arena_install());
    open_pair();
    alone_init();
    for (size_t i = 0; i < array_count(parts); i++)
        if (argc < 3 || strstr(parts[i].name, argv[2]) != NULL)
            bench(&parts[i]);
    alone_free();
    SSL_SESSION_free(ticket);
    tls_pair_close(&pair);
    return 0;
}
