#include "tests/sim/flow_check.h"

#include "dataplane/base/clock.h"
#include "tests/sim/h2_check.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS     4096u
#define MSS_V4      536u /* RFC 9293 3.7.1, when the option is missing */
#define MSS_V6      1220u
#define MSS_LEAST   216u /* our stack sends at least so much, as Linux's tcp_min_snd_mss */
#define MTU         1500u
#define SCALE_MAX   14
#define RANGES_STEP 16u
#define BYTES_MAX   (64u << 20) /* of a stream; more than any run sends */
#define MTU_LEAST   552u        /* our stack believes no less, nor does Linux */
#define MTU_LEAST_6 1280u
#define PAUSE_NS    (700 * CLOCK_MS) /* hosts stand still for up to 500 ms */

struct range {
    uint32_t start; /* offsets from the initial sequence number */
    uint32_t end;
};

/* What one end said. Numbers are offsets from its own initial sequence number. */
struct side {
    bool is_known; /* its SYN was sent */
    bool only_syn; /* and nothing else yet */
    bool has_acked;
    bool has_edge;
    bool has_arrived; /* anything of it at the other end */
    bool fin_sent;
    uint32_t isn;
    uint32_t end;  /* of what was sent */
    bool is_ghost; /* made once more by an old ACK with its cookie */
    bool had_life; /* SYN-ACKs of another number before: state was lost, or a cookie has aged */
    uint32_t old_isn;
    uint32_t old_end;
    uint32_t fin;
    uint16_t mss;
    int wscale;
    bool sack_ok;
    bool has_ts;
    uint32_t ts;         /* last value sent */
    uint32_t ts_arrived; /* latest value that arrived, not ahead of a gap */
    uint32_t ts_echoed;  /* last one sent */
    bool has_echoed;
    uint32_t ack_arrived;    /* the highest, absolute */
    uint32_t mtu_told;       /* that a router can pass on; 0: none told */
    uint32_t mtu_told_count; /* messages about what was in flight, each some time after the other */
    uint64_t mtu_told_at_ns; /* the last of these */
    uint64_t fin_again_at_ns; /* a FIN that it had acknowledged came again; 0: answered */
    uint32_t ack;             /* last one sent, absolute, as the edges are */
    uint32_t edge;
    uint32_t edge_arrived;
    uint8_t *bytes; /* what was sent: offset 1 is bytes[0] */
    bool *is_byte_known;
    uint32_t room;
    uint32_t whole;        /* bytes from the start without a gap */
    struct range *arrived; /* at the other end: sorted, apart */
    uint32_t arrived_count;
    uint32_t arrived_room;
};

struct flow {
    struct flow *next;
    bool v6;
    struct frame_end ends[2];
    struct side sides[2];
    struct h2_check *h2; /* NULL: nothing of this life was sent yet */
};

struct flow_check {
    struct sim *sim;
    struct flow *buckets[BUCKETS];
};

/* ---- flows ---- */

static bool same_end(const struct frame_end *a, const struct frame_end *b)
{
    return a->port == b->port && memcmp(a->address, b->address, sizeof(a->address)) == 0;
}

static uint32_t hash_end(const struct frame_end *end)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < sizeof(end->address); i++)
        hash = (hash ^ end->address[i]) * 16777619u;
    return (hash ^ end->port) * 16777619u;
}

/* The flow, made if it is new; *FROM: which of its ends sent the segment. */
static struct flow *flow_of(struct flow_check *check, const struct frame_segment *segment,
                            uint32_t *from)
{
    uint32_t hash = hash_end(&segment->from) + hash_end(&segment->to);
    struct flow **bucket = &check->buckets[(hash ^ hash >> 16) % BUCKETS];
    for (struct flow *flow = *bucket; flow != NULL; flow = flow->next) {
        for (*from = 0; *from < 2; ++*from)
            if (flow->v6 == segment->v6 && same_end(&flow->ends[*from], &segment->from) &&
                same_end(&flow->ends[1 - *from], &segment->to))
                return flow;
    }
    struct flow *flow = calloc(1, sizeof(*flow));
    sim_require(check->sim, flow != NULL);
    *flow = (struct flow){.next = *bucket, .v6 = segment->v6, .ends = {segment->from, segment->to}};
    *bucket = flow;
    *from = 0;
    return flow;
}

struct flow_check *flow_check_new(struct sim *sim)
{
    struct flow_check *check = calloc(1, sizeof(*check));
    sim_require(sim, check != NULL);
    check->sim = sim;
    return check;
}

static void side_clear(struct side *side)
{
    free(side->bytes);
    free(side->is_byte_known);
    free(side->arrived);
    *side = (struct side){0};
}

void flow_check_free(struct flow_check *check)
{
    if (check == NULL)
        return; /* nothing was watched */
    for (uint32_t i = 0; i < BUCKETS; i++) {
        while (check->buckets[i] != NULL) {
            struct flow *flow = check->buckets[i];
            check->buckets[i] = flow->next;
            side_clear(&flow->sides[0]);
            side_clear(&flow->sides[1]);
            h2_check_free(flow->h2);
            free(flow);
        }
    }
    free(check);
}

/* ---- the rules ---- */

struct case_of {
    struct flow_check *check;
    const struct frame_segment *segment;
    struct flow *flow;
    struct side *self;
    struct side *peer;
    bool tested;
};

static void expect(const struct case_of *c, bool good, const char *rule)
{
    if (good || !c->tested)
        return;
    char text[400];
    frame_print(c->segment, text, sizeof(text));
    sim_fail(c->check->sim, "%s: %s (relative: seq %u, ack %u)", rule, text,
             c->segment->seq - c->self->isn, c->segment->ack - c->peer->isn);
}

static bool before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

static void remember_options(struct side *side, const struct frame_segment *syn)
{
    side->mss = syn->mss != 0 ? syn->mss : syn->v6 ? MSS_V6 : MSS_V4;
    side->wscale = syn->wscale > SCALE_MAX ? SCALE_MAX : syn->wscale;
    side->sack_ok = syn->sack_ok;
    side->has_ts = syn->has_ts;
}

static void remember_syn(const struct case_of *c)
{
    const struct frame_segment *segment = c->segment;
    struct side *self = c->self;
    bool again = self->is_known && self->isn == segment->seq;
    if (again && (segment->flags & FRAME_ACK) == 0)
        return;
    if (!again) {
        h2_check_free(c->flow->h2);
        c->flow->h2 = NULL;
        struct side old = *self;
        side_clear(self);
        if (old.is_known && segment->flags & FRAME_ACK) {
            self->had_life = true;
            self->old_isn = old.isn;
            self->old_end = old.end;
        }
        if ((segment->flags & FRAME_ACK) == 0 && !c->peer->only_syn)
            side_clear(c->peer);
    }
    self->is_known = true;
    self->only_syn = (segment->flags & FRAME_ACK) == 0;
    self->isn = segment->seq;
    self->end = again ? self->end : 1;
    self->ts = segment->ts_value;
    remember_options(self, segment);
}

static void check_packet(const struct case_of *c)
{
    const struct frame_segment *segment = c->segment;
    uint32_t mss = c->peer->mss > MSS_LEAST ? c->peer->mss : MSS_LEAST;
    expect(c, segment->ip_bytes <= MTU, "larger than the MTU");
    expect(c, !segment->may_fragment, "without DF");
    expect(c, (segment->flags & FRAME_SYN) == 0 || segment->length == 0, "a SYN with data");
    if (c->peer->is_known && segment->length > 0)
        expect(c, segment->header_bytes + segment->length <= mss + 20, "larger than the MSS");
}

/* RFC 1191 6.3: told twice what fits, it keeps to it; the first message may come too late. */
static void check_mtu(const struct case_of *c)
{
    const struct side *self = c->self;
    bool had_time = c->check->sim->now > self->mtu_told_at_ns + PAUSE_NS;
    expect(c, self->mtu_told_count < 2 || !had_time || c->segment->ip_bytes <= self->mtu_told,
           "larger than what a router said that it can pass on");
}

static void make_room(const struct case_of *c, uint32_t end)
{
    struct side *self = c->self;
    if (end <= self->room)
        return;
    uint32_t room = end * 2;
    self->bytes = realloc(self->bytes, room);
    self->is_byte_known = realloc(self->is_byte_known, room);
    sim_require(c->check->sim, self->bytes != NULL && self->is_byte_known != NULL);
    memset(self->is_byte_known + self->room, 0, room - self->room);
    self->room = room;
}

/* tcp_ask(): one byte that the peer has acknowledged may be any (RFC 9293 3.8.4). */
static bool only_asks(const struct case_of *c)
{
    return c->segment->length == 1 && c->segment->seq + 1 == c->peer->ack_arrived;
}

/*
 * Data sent again is the same. There may be holes: what waits for ARP and NDP is dropped when it is
 * too much.
 */
static void check_bytes(const struct case_of *c, uint32_t offset)
{
    struct side *self = c->self;
    uint32_t length = c->segment->length;
    uint32_t end = offset + length;
    if (length == 0 || offset < 1 || end > BYTES_MAX || only_asks(c))
        return;
    expect(c, !self->fin_sent || end <= self->fin, "data behind the FIN");
    make_room(c, end);
    for (uint32_t i = 0; i < length; i++) {
        uint8_t *byte = &self->bytes[offset - 1 + i];
        bool *is_known = &self->is_byte_known[offset - 1 + i];
        expect(c, !*is_known || *byte == c->segment->data[i], "other bytes than the first time");
        *byte = c->segment->data[i];
        *is_known = true;
    }
    self->end = end > self->end ? end : self->end;
}

/* Those who may live twice say nothing that could be followed. */
static bool is_followed(const struct flow *flow)
{
    for (uint32_t i = 0; i < 2; i++)
        if (flow->sides[i].is_ghost || flow->sides[i].had_life)
            return false;
    return true;
}

/* What stands above TCP, as far as it is known without a gap. */
static void follow_sent(const struct case_of *c)
{
    struct side *self = c->self;
    struct flow *flow = c->flow;
    uint32_t whole = self->whole;
    while (whole < self->room && self->is_byte_known[whole])
        whole++;
    if (whole == self->whole || !is_followed(flow))
        return;
    self->whole = whole;
    if (flow->h2 == NULL)
        flow->h2 = h2_check_new(c->check->sim);
    h2_check_sent(flow->h2, self == &flow->sides[1], self->bytes, whole, c->tested);
}

static void follow_arrived(const struct case_of *c)
{
    const struct side *self = c->self;
    struct flow *flow = c->flow;
    if (flow->h2 == NULL || !is_followed(flow) || self->arrived_count == 0 ||
        self->arrived[0].start != 0)
        return;
    uint32_t count = self->arrived[0].end - 1; /* without the SYN */
    h2_check_arrived(flow->h2, self == &flow->sides[1], self->bytes,
                     count < self->whole ? count : self->whole);
}

static void check_fin(const struct case_of *c, uint32_t offset)
{
    struct side *self = c->self;
    if ((c->segment->flags & FRAME_FIN) == 0)
        return;
    uint32_t fin = offset + c->segment->length;
    if (self->fin_sent) {
        expect(c, fin == self->fin, "the FIN has moved");
        return;
    }
    expect(c, fin >= self->end, "a FIN before the end");
    self->fin_sent = true;
    self->fin = fin;
    self->end = fin + 1;
}

/* RFC 9293 3.8.6: what may be sent is what the largest window that arrived allows. */
static void check_window(const struct case_of *c)
{
    const struct frame_segment *segment = c->segment;
    if (segment->length == 0 || !c->peer->has_edge || !c->peer->has_arrived)
        return;
    expect(c, !before(c->peer->edge_arrived, segment->seq + segment->length),
           "data beyond the window");
}

static bool has_arrived(const struct side *side, uint32_t start, uint32_t end)
{
    for (uint32_t i = 0; i < side->arrived_count; i++)
        if (side->arrived[i].start <= start && end <= side->arrived[i].end)
            return true;
    return false;
}

static int scale(const struct case_of *c, const struct side *side)
{
    bool both = c->self->wscale >= 0 && c->peer->wscale >= 0;
    return both && (c->segment->flags & FRAME_SYN) == 0 ? side->wscale : 0;
}

static void check_ack(const struct case_of *c)
{
    const struct frame_segment *segment = c->segment;
    struct side *self = c->self;
    const struct side *peer = c->peer;
    if (!peer->is_known)
        return;
    uint32_t offset = segment->ack - peer->isn;
    uint32_t front =
        peer->arrived_count > 0 && peer->arrived[0].start == 0 ? peer->arrived[0].end : 0;
    expect(c, offset >= 1 && offset <= front, "acknowledges what did not arrive");
    expect(c, !self->has_acked || !before(segment->ack, self->ack), "an ACK goes back");
    bool fin = peer->fin_sent && offset == peer->fin + 1; /* needs no window */
    expect(c, !self->has_edge || !before(self->edge, segment->ack - fin),
           "acknowledges more than its window let in");
    self->ack = segment->ack;
    self->has_acked = true;

    uint32_t unit = 1u << scale(c, self);
    uint32_t edge = segment->ack + ((uint32_t)segment->window << scale(c, self));
    bool may_be_less = (segment->flags & FRAME_SYN) != 0; /* again: its window is not scaled */
    expect(c, may_be_less || !self->has_edge || !before(edge + unit - 1, self->edge),
           "the window's edge goes back");
    if (!self->has_edge || before(self->edge, edge))
        self->edge = edge;
    self->has_edge = true;
}

static void check_sacks(const struct case_of *c)
{
    const struct frame_segment *segment = c->segment;
    if (segment->sack_count > 0)
        expect(c, c->self->sack_ok && c->peer->sack_ok, "SACK without being asked");
    for (uint32_t i = 0; i < segment->sack_count && c->peer->is_known; i++) {
        uint32_t start = segment->sacks[i].start - c->peer->isn;
        uint32_t end = segment->sacks[i].end - c->peer->isn;
        expect(c, start < end && has_arrived(c->peer, start, end), "a SACK of what did not arrive");
        bool may_be_old = i == 0; /* RFC 2883: a D-SACK */
        expect(c, may_be_old || !before(segment->sacks[i].start, segment->ack + 1),
               "an old SACK block");
    }
}

static void check_timestamps(const struct case_of *c)
{
    const struct frame_segment *segment = c->segment;
    struct side *self = c->self;
    bool agreed = self->has_ts && c->peer->has_ts && c->peer->is_known;
    if (segment->flags & FRAME_SYN)
        return;
    expect(c, !agreed || segment->has_ts, "a timestamp is missing");
    expect(c, agreed || !segment->has_ts, "a timestamp without being asked");
    if (!agreed || !segment->has_ts)
        return;
    expect(c, !before(segment->ts_value, self->ts), "a timestamp goes back");
    expect(c, !before(c->peer->ts_arrived, segment->ts_echo),
           "echoes a timestamp not seen yet, or of a segment ahead of a gap");
    expect(c, !self->has_echoed || !before(segment->ts_echo, self->ts_echoed),
           "echoes an older timestamp than before");
    self->ts = segment->ts_value;
    self->ts_echoed = segment->ts_echo;
    self->has_echoed = true;
}

/* It speaks to an earlier life of its peer, and cannot know that there is a new one. */
static bool means_old_life(const struct case_of *c)
{
    const struct side *peer = c->peer;
    return peer->had_life && c->segment->flags & FRAME_ACK &&
           c->segment->ack - peer->old_isn <= peer->old_end &&
           c->segment->ack - peer->isn > peer->end;
}

/* All begins again after it had ended. */
static bool is_reborn(const struct case_of *c)
{
    const struct frame_segment *segment = c->segment;
    bool goes_back = c->self->has_acked && before(segment->ack, c->self->ack);
    return goes_back && segment->seq - c->self->isn <= 1;
}

static void add_arrived(struct flow_check *check, struct side *side, uint32_t start, uint32_t end)
{
    uint32_t kept = 0;
    uint32_t at = 0;
    for (uint32_t i = 0; i < side->arrived_count; i++) {
        struct range range = side->arrived[i];
        if (range.start <= end && start <= range.end) {
            start = range.start < start ? range.start : start;
            end = range.end > end ? range.end : end;
        } else {
            at += range.end < start;
            side->arrived[kept++] = range;
        }
    }
    if (kept == side->arrived_room) {
        side->arrived_room += RANGES_STEP;
        side->arrived = realloc(side->arrived, side->arrived_room * sizeof(*side->arrived));
        sim_require(check->sim, side->arrived != NULL);
    }
    memmove(side->arrived + at + 1, side->arrived + at, (kept - at) * sizeof(*side->arrived));
    side->arrived[at] = (struct range){start, end};
    side->arrived_count = kept + 1;
}

/*
 * Two SYNs, the second without ECN, are answered by two cookies; which of them holds is the peer's
 * choice, and it chose the earlier one.
 */
static void revive(const struct case_of *c)
{
    const struct frame_segment *segment = c->segment;
    struct side *self = c->self;
    if (!self->had_life || segment->flags & FRAME_SYN || segment->seq - self->isn <= self->end ||
        segment->seq - self->old_isn > self->old_end)
        return;
    self->had_life = false;
    self->isn = self->old_isn;
    self->end = self->old_end;
    self->ts_arrived = segment->ts_value; /* that of the earlier one is not known any more */
    self->has_echoed = false;
    self->arrived_count = 0;
    add_arrived(c->check, self, 0, 1);
}

void flow_check_sent(struct flow_check *check, const struct frame_segment *segment, bool tested)
{
    uint32_t from;
    struct flow *flow = flow_of(check, segment, &from);
    struct case_of c = {check, segment, flow, &flow->sides[from], &flow->sides[1 - from], tested};
    if (check->sim->has_cookies && is_reborn(&c))
        c.self->is_ghost = true;
    if (check->sim->has_cookies)
        revive(&c);
    c.tested = tested && !c.self->is_ghost && !means_old_life(&c);
    c.self->fin_again_at_ns = 0;
    check_packet(&c);
    check_mtu(&c);
    if (segment->flags & FRAME_RST)
        return;
    if (segment->flags & FRAME_SYN) {
        remember_syn(&c);
        check_bytes(&c, 1);
        if (segment->flags & FRAME_ACK)
            check_ack(&c);
        return;
    }
    expect(&c, (segment->flags & FRAME_ACK) != 0, "neither SYN nor ACK");
    if (!c.self->is_known)
        return; /* an end whose story is over */
    c.self->only_syn = false;
    uint32_t offset = segment->seq - c.self->isn;
    check_window(&c);
    check_bytes(&c, offset);
    follow_sent(&c);
    check_fin(&c, offset);
    check_ack(&c);
    check_sacks(&c);
    check_timestamps(&c);
}

/* ---- arrivals ---- */

/* RFC 9293 3.10.7.4: what is not acceptable is answered, in TIME_WAIT, too; or nobody is there. */
static void fin_arrived(const struct case_of *c, uint32_t end)
{
    struct side *peer = c->peer;
    uint64_t now = c->check->sim->now;
    bool is_again = peer->has_acked && !before(peer->ack, c->self->isn + end);
    if ((c->segment->flags & FRAME_FIN) == 0 || !is_again)
        return;
    expect(c, peer->fin_again_at_ns == 0 || now < peer->fin_again_at_ns + PAUSE_NS,
           "a FIN that came again was not answered");
    if (peer->fin_again_at_ns == 0)
        peer->fin_again_at_ns = now;
}

static bool is_ahead_of_a_gap(const struct side *side, uint32_t start)
{
    return side->arrived_count > 0 && start > side->arrived[0].end;
}

void flow_check_arrived(struct flow_check *check, const struct frame_segment *segment, bool tested)
{
    uint32_t from;
    struct flow *flow = flow_of(check, segment, &from);
    struct case_of c = {check, segment, flow, &flow->sides[from], &flow->sides[1 - from], tested};
    struct side *self = c.self;
    uint32_t start = segment->seq - self->isn;
    uint32_t span =
        segment->length + ((segment->flags & FRAME_SYN) != 0) + ((segment->flags & FRAME_FIN) != 0);
    if (!self->is_known || segment->flags & FRAME_RST || start > self->end ||
        start + span > self->end)
        return; /* an earlier life's */
    fin_arrived(&c, start + span);
    bool is_ahead = is_ahead_of_a_gap(self, start);
    if (span > 0)
        add_arrived(check, self, start, start + span);
    if (segment->length > 0)
        follow_arrived(&c);
    if (segment->flags & FRAME_SYN)
        remember_options(self, segment); /* who stands between may have taken some out */
    if (segment->has_ts && !is_ahead &&
        (!self->has_arrived || before(self->ts_arrived, segment->ts_value)))
        self->ts_arrived = segment->ts_value;
    if (segment->flags & FRAME_ACK) {
        if (!self->has_arrived || before(self->ack_arrived, segment->ack))
            self->ack_arrived = segment->ack;
        uint32_t edge = segment->ack + ((uint32_t)segment->window << scale(&c, self));
        if (!self->has_arrived || before(self->edge_arrived, edge))
            self->edge_arrived = edge;
        self->has_arrived = true;
    }
}

void flow_check_too_big(struct flow_check *check, const struct frame_too_big *message)
{
    uint32_t from;
    struct flow *flow = flow_of(check, &message->segment, &from);
    struct side *self = &flow->sides[from];
    const struct side *peer = &flow->sides[1 - from];
    uint32_t least = message->segment.v6 ? MTU_LEAST_6 : MTU_LEAST;
    uint32_t mtu = message->mtu > least ? message->mtu : least;
    uint32_t offset = message->segment.seq - self->isn;
    bool in_flight = self->is_known && peer->has_arrived && offset < self->end &&
                     !before(message->segment.seq, peer->ack_arrived);
    bool is_soon = self->mtu_told_count > 0 && check->sim->now < self->mtu_told_at_ns + PAUSE_NS;
    if (!in_flight || is_soon || (self->mtu_told_count > 0 && mtu > self->mtu_told))
        return;
    self->mtu_told = mtu;
    self->mtu_told_at_ns = check->sim->now;
    self->mtu_told_count++;
}
