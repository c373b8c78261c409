/*
 * bad_line: forwards Ethernet frames between two interfaces and spoils them on the way, for tests
 * of TCP over what the Internet does to packets.
 *
 *     bad_line IFACE IFACE [NAME=VALUE ...]
 *
 *     delay_us, jitter_us          every frame, one way; jitter keeps the order
 *     drop_ppm, duplicate_ppm      each TCP frame at random
 *     burst_ppm, burst_frames      begin of a burst of losses, and its length
 *     reorder_ppm, reorder_us      the frame is late by so much more
 *     corrupt_ppm                  one bit is flipped, behind the Ethernet header
 *     mark_ppm                     ECN-capable packets get "congestion experienced" (RFC 3168)
 *     mbit, queue_bytes            a bottleneck, and what may wait before it (0: no limit)
 *     from                         0 both directions, 1 or 2: only what the 1st or 2nd sends
 *     seed
 *
 * Frames that are not TCP are only delayed. Until SIGTERM; then prints what it did, a name and a
 * number a line.
 */
#include "dataplane/base/clock.h"
#include "dataplane/base/random.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_BYTES   1600u
#define FRAMES_MAX    16384u
#define FRAMES_A_TURN 64
#define ETHER_BYTES   14u

#define SETTINGS(X)                                                                                \
    X(delay_us)                                                                                    \
    X(jitter_us) X(drop_ppm) X(duplicate_ppm) X(burst_ppm) X(burst_frames) X(reorder_ppm)          \
        X(reorder_us) X(corrupt_ppm) X(mark_ppm) X(mbit) X(queue_bytes) X(from) X(seed)

#define FACTS(X)                                                                                   \
    X(forwarded)                                                                                   \
    X(dropped) X(duplicated) X(reordered) X(corrupted) X(marked) X(overflowed) X(refused)

static struct {
#define FIELD(name) uint64_t name;
    SETTINGS(FIELD)
} settings = {.reorder_us = 1000, .burst_frames = 5, .seed = 1};

static struct {
    FACTS(FIELD)
#undef FIELD
} facts;

struct frame {
    uint64_t due_at_ns;
    uint64_t number; /* of its arrival: equals leave in order */
    uint16_t length;
    uint8_t to;
    uint8_t data[FRAME_BYTES];
};

/* One direction. */
struct direction {
    uint64_t last_due_at_ns; /* jitter keeps the order */
    uint64_t free_at_ns;     /* when the bottleneck has sent what waits */
    uint64_t burst_left;
};

static struct frame frames[FRAMES_MAX];
static struct frame *heap[FRAMES_MAX]; /* the earliest first */
static struct frame *unused[FRAMES_MAX];
static uint32_t held;
static uint32_t unused_count;
static uint64_t arrivals;
static struct direction directions[2];
static int sockets[2];
static struct random dice;
static volatile sig_atomic_t ended;

static void end(int signal_number)
{
    ended = 1;
}

/* ---- frames by the time at which they leave ---- */

static bool leaves_before(const struct frame *a, const struct frame *b)
{
    return a->due_at_ns < b->due_at_ns || (a->due_at_ns == b->due_at_ns && a->number < b->number);
}

static void hold(struct frame *frame)
{
    uint32_t at = held++;
    for (; at > 0 && leaves_before(frame, heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = frame;
}

static struct frame *take_first(void)
{
    struct frame *first = heap[0];
    struct frame *last = heap[--held];
    uint32_t at = 0;
    for (uint32_t child = 1; child < held; child = 2 * at + 1) {
        if (child + 1 < held && leaves_before(heap[child + 1], heap[child]))
            child++;
        if (!leaves_before(heap[child], last))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return first;
}

/* ---- what happens to a frame ---- */

static bool happens(uint64_t ppm)
{
    return ppm > 0 && random_below(&dice, 1000000) < ppm;
}

static bool is_tcp(const struct frame *frame)
{
    uint16_t type;
    memcpy(&type, frame->data + 12, sizeof(type));
    if (type == htons(ETHERTYPE_IP))
        return frame->data[ETHER_BYTES + 9] == IPPROTO_TCP;
    return type == htons(ETHERTYPE_IPV6) && frame->data[ETHER_BYTES + 6] == IPPROTO_TCP;
}

static uint16_t header_sum(const uint8_t *header, uint32_t length)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < length; i += 2)
        sum += (uint32_t)header[i] << 8 | header[i + 1];
    while (sum > UINT16_MAX)
        sum = (sum & UINT16_MAX) + (sum >> 16);
    return (uint16_t)~sum;
}

/* RFC 3168 5: ECT(0) or ECT(1) becomes CE. */
static void mark(struct frame *frame)
{
    uint8_t *ip = frame->data + ETHER_BYTES;
    bool v6 = ip[0] >> 4 == 6;
    uint8_t ecn = v6 ? ip[1] >> 4 & 3 : ip[1] & 3;
    if (ecn == 0 || ecn == 3)
        return;
    facts.marked++;
    if (v6) {
        ip[1] |= 0x30;
        return;
    }
    ip[1] |= 3;
    ip[10] = ip[11] = 0;
    uint16_t sum = htons(header_sum(ip, (ip[0] & 15u) * 4u));
    memcpy(ip + 10, &sum, sizeof(sum));
}

static bool is_lost(struct direction *direction)
{
    if (direction->burst_left == 0 && happens(settings.burst_ppm))
        direction->burst_left = settings.burst_frames;
    if (direction->burst_left > 0) {
        direction->burst_left--;
        return true;
    }
    return happens(settings.drop_ppm);
}

/* The time that a frame needs at the bottleneck is added to *AT. False: too much waits already. */
static bool pass_bottleneck(struct direction *direction, uint32_t length, uint64_t *at_ns)
{
    if (settings.mbit == 0)
        return true;
    uint64_t begin = direction->free_at_ns > *at_ns ? direction->free_at_ns : *at_ns;
    uint64_t waiting_bytes = (begin - *at_ns) * settings.mbit / 8000;
    if (settings.queue_bytes > 0 && waiting_bytes + length > settings.queue_bytes)
        return false;
    direction->free_at_ns = begin + length * 8000 / settings.mbit;
    *at_ns = direction->free_at_ns;
    return true;
}

/* When the frame is to leave. False: it is lost before the bottleneck. */
static bool schedule(struct direction *direction, struct frame *frame, bool spoil, uint64_t now)
{
    uint64_t due = now;
    if (!pass_bottleneck(direction, frame->length, &due)) {
        facts.overflowed++;
        return false;
    }
    due += settings.delay_us * CLOCK_US;
    if (settings.jitter_us > 0)
        due += random_below(&dice, (uint32_t)(settings.jitter_us * CLOCK_US));
    if (due < direction->last_due_at_ns)
        due = direction->last_due_at_ns;
    if (spoil && happens(settings.reorder_ppm)) {
        facts.reordered++;
        due += settings.reorder_us * CLOCK_US;
    } else {
        direction->last_due_at_ns = due;
    }
    frame->due_at_ns = due;
    frame->number = arrivals++;
    return true;
}

static void duplicate(const struct frame *frame)
{
    if (unused_count == 0)
        return;
    struct frame *copy = unused[--unused_count];
    *copy = *frame;
    copy->number = arrivals++;
    hold(copy);
    facts.duplicated++;
}

/* A frame came from interface FROM. False: it is lost. */
static bool frame_in(struct frame *frame, uint32_t from, uint64_t now)
{
    struct direction *direction = &directions[from];
    bool spoil = is_tcp(frame) && (settings.from == 0 || settings.from == from + 1);
    if (spoil && is_lost(direction)) {
        facts.dropped++;
        return false;
    }
    if (spoil && happens(settings.mark_ppm))
        mark(frame);
    if (spoil && happens(settings.corrupt_ppm)) {
        uint32_t bit = random_below(&dice, (frame->length - ETHER_BYTES) * 8u);
        frame->data[ETHER_BYTES + bit / 8] ^= (uint8_t)(1u << bit % 8);
        facts.corrupted++;
    }
    frame->to = (uint8_t)(1 - from);
    if (!schedule(direction, frame, spoil, now))
        return false;
    if (spoil && happens(settings.duplicate_ppm))
        duplicate(frame);
    hold(frame);
    return true;
}

/* ---- sockets ---- */

static void receive(uint32_t from, uint64_t now)
{
    for (int i = 0; i < FRAMES_A_TURN && unused_count > 0; i++) {
        struct frame *frame = unused[--unused_count];
        ssize_t length = recv(sockets[from], frame->data, FRAME_BYTES, MSG_DONTWAIT | MSG_TRUNC);
        bool good = length >= (ssize_t)ETHER_BYTES + 20 && length <= (ssize_t)FRAME_BYTES;
        frame->length = good ? (uint16_t)length : 0;
        if (!good || !frame_in(frame, from, now))
            unused[unused_count++] = frame;
        if (length < 0)
            return;
        if (!good)
            facts.refused++;
    }
}

static void send_due(uint64_t now)
{
    while (held > 0 && heap[0]->due_at_ns <= now) {
        struct frame *frame = take_first();
        if (send(sockets[frame->to], frame->data, frame->length, 0) < 0)
            facts.refused++;
        else
            facts.forwarded++;
        unused[unused_count++] = frame;
    }
}

static int open_interface(const char *name)
{
    int on = 1, buffer = 64 << 20;
    struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                  .sll_protocol = htons(ETH_P_ALL),
                                  .sll_ifindex = (int)if_nametoindex(name)};
    int fd = socket(AF_PACKET, SOCK_RAW, 0); /* nothing comes before bind() */
    if (fd < 0 || address.sll_ifindex == 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) < 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        fprintf(stderr, "bad_line: %s: %s\n", name, strerror(errno));
        exit(1);
    }
    return fd;
}

static void wait_for_work(uint64_t now)
{
    struct timespec patience = {1, 0};
    if (held > 0) {
        uint64_t left = heap[0]->due_at_ns > now ? heap[0]->due_at_ns - now : 0;
        patience = (struct timespec){(time_t)(left / CLOCK_S), (long)(left % CLOCK_S)};
    }
    struct pollfd ready[2] = {{sockets[0], POLLIN, 0}, {sockets[1], POLLIN, 0}};
    (void)ppoll(ready, 2, &patience, NULL);
}

static void set(const char *text)
{
    const char *value = strchr(text, '=');
    size_t length = value == NULL ? 0 : (size_t)(value - text);
#define SET(name)                                                                                  \
    if (strlen(#name) == length && memcmp(text, #name, length) == 0) {                             \
        settings.name = strtoull(value + 1, NULL, 10);                                             \
        return;                                                                                    \
    }
    SETTINGS(SET)
#undef SET
    fprintf(stderr, "bad_line: %s: unknown, see the beginning of bad_line.c\n", text);
    exit(2);
}

static void print_facts(void)
{
#define PRINT(name) printf("%s %llu\n", #name, (unsigned long long)facts.name);
    FACTS(PRINT)
#undef PRINT
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "bad_line: see the beginning of bad_line.c\n");
        return 2;
    }
    for (int i = 3; i < argc; i++)
        set(argv[i]);
    random_seed(&dice, settings.seed);
    for (uint32_t i = 0; i < FRAMES_MAX; i++)
        unused[unused_count++] = &frames[i];
    signal(SIGTERM, end);
    signal(SIGINT, end);
    for (int i = 0; i < 2; i++)
        sockets[i] = open_interface(argv[1 + i]);
    printf("ready\n");
    fflush(stdout);
    while (!ended) {
        uint64_t now = clock_now_ns();
        receive(0, now);
        receive(1, now);
        send_due(clock_now_ns());
        wait_for_work(clock_now_ns());
    }
    print_facts();
    return 0;
}
