/*
 * tcp_peer: our TCP on a real port, for tests against the kernel's.
 *
 *     tcp_peer DEVARGS V4/BITS V6/BITS serve                      [-- EAL ARGUMENTS]
 *     tcp_peer DEVARGS V4/BITS V6/BITS connect ADDRESS PORT CONNECTIONS BYTES PARALLEL
 *
 * serve: port 7 echoes; 9 swallows until EOF; 19 reads a number (8 bytes, big-endian), sends as
 * many bytes of the pattern and closes; 66 resets once it has read 1000 bytes. Until SIGTERM.
 * connect: CONNECTIONS connections to an echo server, PARALLEL at a time, each sends BYTES bytes,
 * verifies what comes back and closes. Prints "done OK FAILED CORRUPT".
 *
 * With WEIR_LOSSY="DROP_PPM DUPLICATE_PPM REORDER_PPM DELAY_US SEED" in the environment the line is
 * bad in both directions.
 *
 * The pattern's byte at position P is the low byte of P * 2654435761 >> 24.
 */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/net/net.h"
#include "dataplane/net/port_setup.h"
#include "dataplane/tcp/tcp.h"
#include "tests/support/lossy_port.h"

#include <rte_eal.h>
#include <rte_mbuf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IDLE_TURNS   200
#define FLOWS_MAX    20000
#define PIECE_BYTES  16384u
#define LAST_FINS_NS (4 * CLOCK_S)

enum service {
    SERVICE_ECHO = 7,
    SERVICE_SWALLOW = 9,
    SERVICE_PATTERN = 19,
    SERVICE_RESET = 66,
};

/* One connection, either side. */
struct flow {
    struct tcp_conn *conn;
    enum service service;
    bool ours; /* we opened it */
    bool eof;
    uint64_t to_send; /* of the pattern */
    uint64_t sent;
    uint64_t received;
    uint8_t number[8];
};

static volatile sig_atomic_t ended;
static struct port port;
static struct port_queue *queue;
static struct timer_wheel wheel;
static struct random dice;
static struct net *net;
static struct tcp *tcp;
static struct flow flows[FLOWS_MAX];
static struct flow *unused[FLOWS_MAX];
static uint32_t unused_count;
static uint64_t succeeded, failed, corrupt;

static void end(int signal_number)
{
    ended = 1;
}

static uint8_t pattern(uint64_t position)
{
    return (uint8_t)((uint32_t)position * 2654435761u >> 24);
}

/* ---- one flow ---- */

static void flow_over(struct flow *flow, bool good)
{
    succeeded += good;
    failed += !good;
    flow->conn = NULL;
    unused[unused_count++] = flow;
}

static void send_pattern(struct flow *flow)
{
    static uint8_t piece[PIECE_BYTES];
    while (flow->sent < flow->to_send) {
        uint64_t left = flow->to_send - flow->sent;
        uint32_t length = tcp_send_room(flow->conn);
        if (length > PIECE_BYTES)
            length = PIECE_BYTES;
        if (length > left)
            length = (uint32_t)left;
        if (length == 0)
            return;
        for (uint32_t i = 0; i < length; i++)
            piece[i] = pattern(flow->sent + i);
        if (!tcp_send_copy(flow->conn, bytes_of(piece, length)))
            return;
        flow->sent += length;
    }
}

/* Take in what came; echo is the only service that may have to leave some of it. */
static void take(struct flow *flow, struct bytes got)
{
    for (size_t i = 0; i < got.length; i++, flow->received++) {
        if (flow->ours)
            corrupt += got.data[i] != pattern(flow->received);
        else if (flow->service == SERVICE_PATTERN && flow->received < 8)
            flow->number[flow->received] = got.data[i];
    }
    tcp_read_done(flow->conn, (uint32_t)got.length);
}

static void echo(struct flow *flow)
{
    struct bytes got;
    while ((got = tcp_read(flow->conn)).length > 0) {
        uint32_t room = tcp_send_room(flow->conn);
        got = bytes_first(got, room);
        if (got.length == 0 || !tcp_send_copy(flow->conn, got))
            return;
        take(flow, got);
    }
}

static void read_all(struct flow *flow)
{
    struct bytes got;
    while ((got = tcp_read(flow->conn)).length > 0)
        take(flow, got);
}

static uint64_t number_of(const struct flow *flow)
{
    uint64_t number = 0;
    for (int i = 0; i < 8; i++)
        number = number << 8 | flow->number[i];
    return number;
}

static bool is_finished(const struct flow *flow)
{
    if (flow->ours)
        return flow->received == flow->to_send;
    if (flow->service == SERVICE_PATTERN)
        return flow->received >= 8 && flow->sent == flow->to_send;
    return flow->eof && tcp_read(flow->conn).length == 0;
}

static void flow_step(struct flow *flow)
{
    if (!flow->ours && flow->service == SERVICE_ECHO)
        echo(flow);
    else
        read_all(flow);
    if (!flow->ours && flow->service == SERVICE_PATTERN && flow->received >= 8)
        flow->to_send = number_of(flow);
    send_pattern(flow);
    if (flow->service == SERVICE_RESET && flow->received >= 1000) {
        tcp_abort(flow->conn);
        flow_over(flow, true);
    } else if (is_finished(flow)) {
        tcp_close(flow->conn);
        flow_over(flow, true);
    }
}

static void flow_event(void *context, struct tcp_conn *conn, uint32_t events, uint64_t now)
{
    struct flow *flow = context;
    if (events & TCP_FAILED) {
        tcp_abort(conn);
        flow_over(flow, false);
        return;
    }
    if (events & TCP_EOF) {
        flow->eof = true;
        if (flow->ours && flow->received < flow->to_send) {
            tcp_abort(conn);
            flow_over(flow, false);
            return;
        }
    }
    flow_step(flow);
}

static const struct tcp_app flow_app = {.event = flow_event};

static struct flow *flow_take(enum service service)
{
    if (unused_count == 0)
        return NULL;
    struct flow *flow = unused[--unused_count];
    *flow = (struct flow){.service = service};
    return flow;
}

static void accept_event(void *context, struct tcp_conn *conn, uint32_t events, uint64_t now)
{
    struct flow *flow = flow_take(*(enum service *)context);
    if (flow == NULL) {
        tcp_abort(conn);
        return;
    }
    flow->conn = conn;
    tcp_set_app(conn, &flow_app, flow);
    flow_event(flow, conn, events, now);
}

static const struct tcp_app accept_app = {.event = accept_event};

/* ---- the stack ---- */

static void make_stack(const char *v4, const char *v6)
{
    struct net_config config = {
        .workers = 1,
        .queue_count = 1,
        .queues = {queue},
        .interface_count = 1,
        .interfaces = {{.mtu = port.mtu, .address_count = 2}},
        .neighbours_max = 64,
        .wheel = &wheel,
        .random = &dice,
        .socket_id = -1,
    };
    memcpy(config.interfaces[0].mac, port.mac, sizeof(port.mac));
    check(ip_prefix_parse(v4, &config.interfaces[0].addresses[0]));
    check(ip_prefix_parse(v6, &config.interfaces[0].addresses[1]));
    uint64_t seed;
    random_secret(&seed, sizeof(seed));
    random_seed(&dice, seed);
    timer_wheel_init(&wheel, clock_now_ns());
    net = net_create(&config);
    check(net != NULL);
    struct tcp_config stack = {
        .net = net,
        .wheel = &wheel,
        .random = &dice,
        .workers = 1,
        .connections_max = FLOWS_MAX,
        .time_wait_max = 20000,
        .spans_max = 30000,
        .blocks_max = 20000,
        .reassembly_max = 4096,
        .receive_window_bytes = 512 * 1024,
        .send_queue_bytes = 512 * 1024,
        .listeners_max = 16,
        .connect_timeout_ns = 10 * CLOCK_S,
        .user_timeout_ns = 30 * CLOCK_S,
        .keepalive_idle_ns = 60 * CLOCK_S,
        .time_wait_ns = 2 * CLOCK_S,
        .socket_id = -1,
    };
    random_secret(&stack.secret, sizeof(stack.secret));
    tcp = tcp_create(&stack);
    check(tcp != NULL);
}

static bool turn(void)
{
    struct rte_mbuf *packets[NET_BURST];
    struct net_arrivals arrivals;
    uint64_t now = clock_now_ns();
    uint16_t count = queue->receive(queue, packets, NET_BURST);
    net_in(net, 0, packets, count, now, &arrivals);
    tcp_in(tcp, arrivals.own, arrivals.own_count, now);
    uint32_t fired = timer_wheel_advance(&wheel, now, 256);
    uint32_t events = tcp_dispatch(tcp, 256, now);
    tcp_out(tcp, now);
    net_flush(net);
    return count + fired + events > 0;
}

/* One turn; sleeps a little when nothing happens for long. */
static void turn_or_rest(void)
{
    static unsigned idle;
    idle = turn() ? 0 : idle + 1;
    if (idle > IDLE_TURNS)
        usleep(100);
}

/* The last FINs and their ACKs, which may still be on the line. */
static void finish(void)
{
    for (uint64_t until = clock_now_ns() + LAST_FINS_NS; clock_now_ns() < until;) {
        turn_or_rest();
        if (tcp_connection_count(tcp) == 0)
            break;
    }
}

static void serve(const char *v4, const char *v6)
{
    static enum service services[] = {SERVICE_ECHO, SERVICE_SWALLOW, SERVICE_PATTERN,
                                      SERVICE_RESET};
    struct ip_prefix local[2];
    check(ip_prefix_parse(v4, &local[0]) && ip_prefix_parse(v6, &local[1]));
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < array_count(services); j++)
            check(tcp_listen(tcp, &local[i].address, (uint16_t)services[j], &accept_app,
                             &services[j]));
    printf("ready\n");
    fflush(stdout);
    while (!ended)
        turn_or_rest();
    finish();
}

static bool open_one(const struct ip_address *remote, uint16_t remote_port, uint64_t bytes)
{
    struct flow *flow = flow_take(SERVICE_ECHO);
    check(flow != NULL);
    flow->ours = true;
    flow->to_send = bytes;
    flow->conn = tcp_connect(tcp, remote, remote_port, &flow_app, flow, clock_now_ns());
    if (flow->conn == NULL)
        unused[unused_count++] = flow;
    return flow->conn != NULL;
}

static void connect_all(char **arguments)
{
    struct ip_address remote;
    check(ip_address_parse(arguments[0], &remote));
    uint16_t remote_port = (uint16_t)atoi(arguments[1]);
    uint64_t wanted = strtoull(arguments[2], NULL, 10);
    uint64_t bytes = strtoull(arguments[3], NULL, 10);
    uint64_t parallel = strtoull(arguments[4], NULL, 10);
    uint64_t opened = 0;
    while (!ended && succeeded + failed < wanted) {
        while (opened < wanted && opened - succeeded - failed < parallel &&
               open_one(&remote, remote_port, bytes))
            opened++;
        turn_or_rest();
    }
    finish();
    printf("done %llu %llu %llu\n", (unsigned long long)succeeded, (unsigned long long)failed,
           (unsigned long long)corrupt);
}

static void print_counters(void)
{
    const struct net_counters *of_net = net_counters(net);
    const struct tcp_counters *of_tcp = tcp_counters(tcp);
    printf("connections %u time_wait %u\n", tcp_connection_count(tcp), tcp_time_wait_count(tcp));
#define COUNTER(name, unit, help)                                                                  \
    if (of_net->name != 0)                                                                         \
        printf("net.%s %llu\n", #name, (unsigned long long)of_net->name);
#include "dataplane/net/net_counters.def"
#undef COUNTER
#define COUNTER(name, unit, help)                                                                  \
    if (of_tcp->name != 0)                                                                         \
        printf("tcp.%s %llu\n", #name, (unsigned long long)of_tcp->name);
#include "dataplane/tcp/tcp_counters.def"
#undef COUNTER
}

static struct port_queue *choose_queue(void)
{
    struct lossy_config config;
    unsigned long long delay_us, seed;
    const char *wish = getenv("WEIR_LOSSY");
    if (wish == NULL)
        return &port.queues[0];
    check(sscanf(wish, "%u %u %u %llu %llu", &config.drop_ppm, &config.duplicate_ppm,
                 &config.reorder_ppm, &delay_us, &seed) == 5);
    config.delay_ns = delay_us * CLOCK_US;
    config.seed = seed;
    return lossy_port(&port.queues[0], &config);
}

static int run(char **arguments, int count)
{
    char message[512];
    struct port_request request = {
        .name = "test",
        .device = arguments[1],
        .queues = 1,
        .mtu = 1500,
        .mbufs = 16383,
        .mbuf_bytes = 2048,
    };
    if (!port_open(&port, &request, message, sizeof(message))) {
        fprintf(stderr, "%s\n", message);
        return 1;
    }
    queue = choose_queue();
    for (uint32_t i = 0; i < FLOWS_MAX; i++)
        unused[unused_count++] = &flows[i];
    make_stack(arguments[2], arguments[3]);
    if (strcmp(arguments[4], "serve") == 0)
        serve(arguments[2], arguments[3]);
    else if (count == 10)
        connect_all(arguments + 5);
    print_counters();
    port_close(&port);
    return 0;
}

int main(int argc, char **argv)
{
    int own = 1;
    while (own < argc && strcmp(argv[own], "--") != 0)
        own++;
    char *eal[64] = {argv[0]};
    int eal_count = 1;
    for (int i = own + 1; i < argc && eal_count < 60; i++)
        eal[eal_count++] = argv[i];
    signal(SIGTERM, end);
    signal(SIGINT, end);
    if (own < 5 || rte_eal_init(eal_count, eal) < 0) {
        fprintf(stderr, "tcp_peer: see the beginning of tests/support/tcp_peer.c\n");
        return 2;
    }
    int status = run(argv, own);
    rte_eal_cleanup();
    return status;
}
