#include "tests/support/tls_pair.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/memory.h"
#include "dataplane/tls/tls_arena.h"
#include "tests/support/tls_files.h"

#include <openssl/err.h>
#include <string.h>

#define SMALL_BYTES 9
#define PIECE_BYTES 4096 /* a whole segment: a record of its own */

static uint8_t byte_at(uint64_t position)
{
    return (uint8_t)(position * 31 + position / 256 * 7 + position / 65536);
}

static void fill(uint8_t *into, uint64_t position, size_t length)
{
    for (size_t i = 0; i < length; i++)
        into[i] = byte_at(position + i);
}

static bool matches(const uint8_t *bytes, uint64_t position, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i] != byte_at(position + i))
            return false;
    return true;
}

static struct tls_contexts *make_contexts(bool key_log)
{
    struct tls_files files;
    char message[512];
    tls_files_make(&files, NULL, 0, 3600);
    struct tls_certificate_source certificate = {"test", files.chain, files.key};
    struct tls_profile_source profile = {
        .certificates = &certificate,
        .certificate_count = 1,
        .policy = TLS_INTERMEDIATE,
        .http1 = TLS_HTTP1_REJECT,
        .key_log = key_log,
    };
    struct tls_contexts_source source = {
        .profiles = &profile, .profile_count = 1, .workers = 1, .tickets = {.count = 1}};
    memset(&source.tickets.keys[0], 0x5a, sizeof(source.tickets.keys[0]));
    struct tls_contexts *contexts = tls_contexts_create(&source, message, sizeof(message));
    check(contexts != NULL);
    tls_files_remove(&files);
    return contexts;
}

/* The server. */

static void let_go(struct tls_end *end, bool abort)
{
    if (abort)
        end->transport.ops->abort(end->transport.stream);
    else
        end->transport.ops->close(end->transport.stream);
    end->over = true;
    segment_drop(end->segment);
}

static void read_views(struct tls_end *end)
{
    for (uint32_t i = 0; i < end->views_max; i++) {
        struct bytes view = end->transport.ops->read(end->transport.stream);
        if (view.length == 0)
            return;
        size_t part = view.length < end->read_max ? view.length : end->read_max;
        end->corrupt |= !matches(view.data, end->received, part);
        end->received += part;
        end->transport.ops->read_done(end->transport.stream, (uint32_t)part);
    }
}

static void send_pieces(struct tls_end *end)
{
    while (end->sent < end->to_send) {
        /* Small and large ones take turns, as headers of frames and what is in them. */
        uint32_t piece = end->pieces % 2 == 0 ? SMALL_BYTES : PIECE_BYTES;
        if (piece > end->to_send - end->sent)
            piece = (uint32_t)(end->to_send - end->sent);
        uint32_t room = end->transport.ops->room(end->transport.stream);
        end->waits = room < piece;
        if (end->waits)
            return;
        fill(end->segment->data, end->sent, piece);
        end->segment->length = piece;
        bool taken =
            piece <= SMALL_BYTES
                ? end->transport.ops->send_copy(end->transport.stream,
                                                bytes_of(end->segment->data, piece))
                : end->transport.ops->send_segment(end->transport.stream, end->segment, 0, piece);
        if (!taken)
            return;
        end->sent += piece;
        end->pieces++;
    }
}

static void pump(struct tls_end *end)
{
    if (!end->open || end->over)
        return;
    read_views(end);
    if (!end->waits)
        send_pieces(end);
    if (end->sent == end->to_send && (end->eof || end->close_when_sent))
        let_go(end, false);
}

static void end_event(void *app, struct tls_session *session, uint32_t events, uint64_t now)
{
    struct tls_end *end = app;
    end->open |= (events & TCP_OPENED) != 0;
    end->eof |= (events & TCP_EOF) != 0;
    end->waits &= (events & TCP_WRITABLE) == 0;
    if (events & TCP_FAILED)
        let_go(end, true);
}

static const struct tls_app end_app = {.event = end_event};

static void accept_event(void *app, struct tcp_conn *conn, uint32_t events, uint64_t now)
{
    struct tls_pair *pair = app;
    check(pair->end_count < TLS_PAIR_SESSIONS);
    struct tls_end *end = &pair->ends[pair->end_count++];
    tls_enter(pair->tls);
    struct tls_session *session =
        tls_accept(pair->tls, tls_contexts_profile(pair->contexts, 0, 0), conn, &end_app, end, now);
    tls_arena_enter(NULL);
    end->over = session == NULL;
    if (session == NULL)
        return;
    end->transport = transport_tls(session);
    end->segment = segment_take(&pair->tcp.b.segments);
    end->read_max = UINT32_MAX;
    end->views_max = UINT32_MAX;
    tls_session_events(session, events & ~(uint32_t)TCP_OPENED, now);
}

static const struct tcp_app accept_app = {.event = accept_event};

static void server_turn(struct tls_pair *pair)
{
    tls_enter(pair->tls);
    tls_turn(pair->tls, pair->tcp.now);
    for (uint32_t i = 0; i < pair->end_count; i++)
        pump(&pair->ends[i]);
    tls_flush(pair->tls);
    tls_arena_enter(NULL);
}

/* The client. */

static void client_event(void *app, struct tcp_conn *conn, uint32_t events, uint64_t now)
{
    struct tls_pair *pair = app;
    bool current = conn == pair->conn; /* and not one that a test has left behind */
    pair->connected |= current && (events & TCP_OPENED) != 0;
    if ((events & TCP_FAILED) == 0)
        return;
    tcp_abort(conn);
    if (current)
        pair->conn = NULL;
}

static const struct tcp_app client_app = {.event = client_event};

static void move_in(struct tls_pair *pair)
{
    struct bytes view;
    while (pair->client_reads && (view = tcp_read(pair->conn)).length > 0) {
        check(BIO_write(pair->from_server, view.data, (int)view.length) == (int)view.length);
        tcp_read_done(pair->conn, (uint32_t)view.length);
    }
}

static void move_out(struct tls_pair *pair)
{
    uint8_t bytes[4096];
    uint32_t room;
    while ((room = tcp_send_room(pair->conn)) > sizeof(bytes)) {
        int length = BIO_read(pair->to_server, bytes, sizeof(bytes));
        if (length <= 0)
            return;
        int64_t flip = pair->flip_at - (int64_t)pair->client_bytes;
        if (flip >= 0 && flip < length)
            bytes[flip] ^= 0x40;
        pair->client_bytes += (uint64_t)length;
        check(tcp_send_copy(pair->conn, bytes_of(bytes, (size_t)length)));
    }
}

static void client_read(struct tls_pair *pair)
{
    uint8_t bytes[4096];
    size_t length;
    ERR_clear_error();
    while (SSL_read_ex(pair->client, bytes, sizeof(bytes), &length) == 1) {
        pair->client_corrupt |= !matches(bytes, pair->client_received, length);
        pair->client_received += length;
    }
    pair->client_closed |= SSL_get_error(pair->client, 0) == SSL_ERROR_ZERO_RETURN;
}

static void client_write(struct tls_pair *pair)
{
    uint8_t bytes[3000];
    while (pair->client_sent < pair->client_to_send && BIO_pending(pair->to_server) < 65536) {
        size_t piece = sizeof(bytes);
        if (piece > pair->client_to_send - pair->client_sent)
            piece = pair->client_to_send - pair->client_sent;
        fill(bytes, pair->client_sent, piece);
        size_t done = 0;
        if (SSL_write_ex(pair->client, bytes, piece, &done) != 1)
            return;
        pair->client_sent += done;
    }
}

static void client_turn(struct tls_pair *pair)
{
    if (pair->conn == NULL || !pair->connected)
        return;
    move_in(pair);
    ERR_clear_error();
    if (SSL_is_init_finished(pair->client) || SSL_do_handshake(pair->client) == 1) {
        client_read(pair);
        client_write(pair);
    }
    move_out(pair);
}

/* Both. */

void tls_pair_prepare(struct tls_pair *pair, uint64_t seed)
{
    memset(pair, 0, sizeof(*pair));
    pair->flip_at = -1;
    tcp_pair_prepare(&pair->tcp, seed);
    pair->config = (struct tls_config){
        .wheel = &pair->tcp.b.base.wheel,
        .sessions_max = TLS_PAIR_SESSIONS,
        .kept_max = 1,
        .handshake_timeout_ns = 10 * CLOCK_S,
        .socket_id = -1,
    };
}

void tls_pair_open(struct tls_pair *pair)
{
    tcp_pair_open(&pair->tcp);
    pair->contexts = make_contexts(pair->config.key_lines_max > 0);
    pair->tls = tls_create(&pair->config);
    check(pair->tls != NULL);
    struct ip_address address;
    check(ip_address_parse("10.0.0.2", &address));
    check(tcp_listen(pair->tcp.b.tcp, &address, TLS_PAIR_PORT, &accept_app, pair));
    pair->client_context = SSL_CTX_new(TLS_client_method());
    check(SSL_CTX_set_alpn_protos(pair->client_context, (const unsigned char *)"\x02h2", 3) == 0);
}

void tls_pair_connect(struct tls_pair *pair, int least, int most)
{
    struct ip_address address;
    SSL_free(pair->client);
    pair->client = SSL_new(pair->client_context);
    SSL_set_min_proto_version(pair->client, least);
    SSL_set_max_proto_version(pair->client, most);
    pair->from_server = BIO_new(BIO_s_mem());
    pair->to_server = BIO_new(BIO_s_mem());
    SSL_set_bio(pair->client, pair->from_server, pair->to_server);
    SSL_set_connect_state(pair->client);
    pair->client_reads = true;
    pair->connected = pair->client_closed = false;
    pair->client_sent = pair->client_received = pair->client_bytes = 0;
    check(ip_address_parse("10.0.0.2", &address));
    pair->conn =
        tcp_connect(pair->tcp.a.tcp, &address, TLS_PAIR_PORT, &client_app, pair, pair->tcp.now);
    check(pair->conn != NULL);
}

void tls_pair_turn(struct tls_pair *pair)
{
    tcp_pair_turn(&pair->tcp);
    server_turn(pair);
    client_turn(pair);
}

void tls_pair_run_for(struct tls_pair *pair, uint64_t for_ns)
{
    uint64_t end = pair->tcp.now + for_ns;
    while (pair->tcp.now < end)
        tls_pair_turn(pair);
}

bool tls_pair_run_until(struct tls_pair *pair, bool (*condition)(const struct tls_pair *pair),
                        uint64_t for_ns)
{
    uint64_t end = pair->tcp.now + for_ns;
    while (!condition(pair) && pair->tcp.now < end)
        tls_pair_turn(pair);
    return condition(pair);
}

void tls_pair_abort(struct tls_pair *pair)
{
    if (pair->conn != NULL)
        tcp_abort(pair->conn);
    pair->conn = NULL;
}

void tls_pair_close(struct tls_pair *pair)
{
    tls_pair_abort(pair);
    tls_pair_run_for(pair, 30 * CLOCK_S);
    for (uint32_t i = 0; i < pair->end_count; i++) {
        struct tls_end *end = &pair->ends[i];
        if (end->open && !end->over)
            let_go(end, true);
        else if (!end->over)
            segment_drop(end->segment); /* its session ended before it was open */
    }
    tls_pair_run_for(pair, 30 * CLOCK_S);
    check(tls_session_count(pair->tls) == 0);
    SSL_free(pair->client);
    SSL_CTX_free(pair->client_context);
    tls_contexts_drop(pair->contexts);
    tls_arena_forget();
    tcp_pair_close(&pair->tcp);
}
