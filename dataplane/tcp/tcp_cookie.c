/*
 * tcp_cookie: SYN cookies: RFC 4987 3.6: a SYN is answered without keeping anything; what its
 * connection needs travels in our sequence number and timestamp and comes back with the ACK.
 *
 * The answer leaves in the SYN's own mbuf, back the way it came: no connection, no timer, no
 * neighbour, no route. About one SipHash and one header.
 *
 *   ISS:        1 bit    parity of the time slot (64 s) in which it was made
 *               3 bits   index of the largest MSS of a table that the peer takes
 *               28 bits  SipHash of addresses, ports, the peer's ISS, the MSS index and the option
 *                        bits, keyed by secret and slot
 *
 *   timestamp:  26 bits  our clock, at most 63 ms behind
 *               6 bits   the peer's window scale (15: none), SACK permitted, ECN
 *
 * Without timestamps there is neither window scale nor SACK nor ECN. A cookie is good for 60 s at
 * least and 128 s at most; the slots are of the wall clock plus 4 s, so that what a node whose
 * clock is ahead has made is good at once. A guess of 28 bits succeeds once in 268 million packets,
 * and gains a connection that says nothing, as anybody can have one.
 *
 * The clock part is rounded down to where the low bits fit, so it never runs ahead of what the
 * connection sends later (RFC 7323 5.3); tcp_cookie_timestamps() sees to it on nodes with another
 * clock. An RTT measured with it is up to 63 ms too long.
 */
#include "dataplane/tcp/tcp_internal.h"

#define SLOT_NS       (64 * CLOCK_S)
#define SKEW_NS       (4 * CLOCK_S) /* between the clocks of nodes with the same secret */
#define LIFE_MS       (2 * SLOT_NS / CLOCK_MS)
#define HASH_BITS     28
#define HASH_MASK     ((1u << HASH_BITS) - 1)
#define MSS_VALUES    8
#define OPTION_BITS   6
#define OPTION_MASK   ((1u << OPTION_BITS) - 1)
#define SCALE_MASK    0xfu
#define SCALE_NONE    0xfu
#define OPTION_SACK   (1u << 4)
#define OPTION_ECN    (1u << 5) /* asked for by the peer, and agreed to (RFC 3168 6.1.1) */
#define ECN_SETUP     (TCP_ECE | TCP_CWR)
#define NO_TIMESTAMPS (1u << OPTION_BITS) /* hashed in place of the bits */

/*
 * Round down to one of these. Ethernet, PPPoE, tunnels and mobile networks, what IPv6 guarantees,
 * what RFC 9293 3.7.1 assumes, and what we take at least.
 */
static const uint16_t mss_v4[MSS_VALUES] = {TCP_MSS_MIN, 536, 1220, 1340, 1380, 1412, 1452, 1460};
static const uint16_t mss_v6[MSS_VALUES] = {TCP_MSS_MIN, 1220, 1280, 1340, 1380, 1412, 1432, 1440};

static const uint16_t *mss_table(const struct flow_tuple *tuple)
{
    return ip_address_is_v4(&tuple->remote) ? mss_v4 : mss_v6;
}

void tcp_set_cookies(struct tcp *tcp, const struct tcp_cookie_settings *settings)
{
    tcp->cookies.settings = *settings;
    memset(tcp->cookies.keys, 0, sizeof(tcp->cookies.keys));
}

static bool has_secret(const struct tcp *tcp, uint32_t index)
{
    const struct siphash_key *secret = &tcp->cookies.settings.secrets[index];
    return secret->k0 != 0 || secret->k1 != 0;
}

bool tcp_cookie_wanted(const struct tcp *tcp)
{
    const struct tcp_cookie_settings *settings = &tcp->cookies.settings;
    if (settings->backlog == 0 || !has_secret(tcp, 0))
        return false;
    switch (settings->mode) {
    case TCP_COOKIES_ALWAYS:
        return true;
    case TCP_COOKIES_AUTO:
        return tcp->half_open_count >= settings->backlog || !tcp_listen_has_room(tcp);
    }
    return false;
}

/* ---- the hash ---- */

/* A key for each slot: what was learned about one says nothing about others. */
static const struct siphash_key *slot_key(struct tcp *tcp, uint32_t secret, uint64_t slot)
{
    struct tcp_cookie_keys *keys = &tcp->cookies.keys[secret];
    uint32_t at = (uint32_t)(slot % TCP_COOKIE_SLOTS);
    if (keys->slots[at] == slot + 1)
        return &keys->keys[at];
    uint64_t words[2] = {slot, 0};
    for (uint32_t half = 0; half < 2; half++) {
        words[1] = half;
        uint64_t key = siphash(&tcp->cookies.settings.secrets[secret],
                               bytes_of((const uint8_t *)words, sizeof(words)));
        *(half == 0 ? &keys->keys[at].k0 : &keys->keys[at].k1) = key;
    }
    keys->slots[at] = slot + 1;
    return &keys->keys[at];
}

/* What the hash vouches for. */
struct vouched {
    const struct flow_tuple *tuple;
    uint32_t peer_iss;
    uint16_t mss_index;
    uint16_t options; /* the timestamp's low bits, or NO_TIMESTAMPS */
};

static uint32_t cookie_of(struct tcp *tcp, uint32_t secret, uint64_t slot,
                          const struct vouched *vouched)
{
    uint64_t words[TCP_TUPLE_WORDS + 1];
    uint32_t count = tcp_tuple_words(vouched->tuple, words);
    words[count++] = (uint64_t)vouched->peer_iss << 32 | tcp_tuple_ports(vouched->tuple);
    uint32_t options = (uint32_t)vouched->options << 16 | vouched->mss_index;
    uint64_t hash = siphash_words(slot_key(tcp, secret, slot), words, count, options);
    return (uint32_t)(slot & 1) << 31 | (uint32_t)vouched->mss_index << HASH_BITS |
           ((uint32_t)hash & HASH_MASK);
}

/* Above those that are looked back at, whatever the clock says. */
static uint64_t slot_at(const struct tcp *tcp, uint64_t now)
{
    return (now + tcp->cookies.settings.clock_ahead_ns) / SLOT_NS + TCP_COOKIE_SLOTS;
}

/* ---- there ---- */

static uint16_t mss_index(const struct tcp_segment *syn)
{
    const uint16_t *table = mss_table(&syn->tuple);
    uint16_t mss = ip_address_is_v4(&syn->tuple.remote) ? TCP_MSS_DEFAULT_V4 : TCP_MSS_DEFAULT_V6;
    if (syn->options.present & TCP_OPTION_MSS)
        mss = syn->options.mss;
    uint16_t index = MSS_VALUES - 1;
    while (index > 0 && table[index] > mss)
        index--;
    return index;
}

static uint32_t option_bits(const struct tcp *tcp, const struct tcp_segment *syn)
{
    const struct tcp_options *peer = &syn->options;
    if ((peer->present & TCP_OPTION_TIMESTAMP) == 0)
        return NO_TIMESTAMPS;
    uint32_t bits = SCALE_NONE;
    if (peer->present & TCP_OPTION_WINDOW_SCALE)
        bits =
            peer->window_scale < TCP_WINDOW_SCALE_MAX ? peer->window_scale : TCP_WINDOW_SCALE_MAX;
    if (peer->present & TCP_OPTION_SACK_PERMITTED)
        bits |= OPTION_SACK;
    if (tcp->config.ecn && (syn->flags & ECN_SETUP) == ECN_SETUP)
        bits |= OPTION_ECN;
    return bits;
}

/* The latest time, not after NOW's, whose low bits are these. */
static uint32_t timestamp_with(uint32_t now_value, uint32_t bits)
{
    uint32_t value = (now_value & ~OPTION_MASK) | bits;
    return seq_gt(value, now_value) ? value - (1u << OPTION_BITS) : value;
}

static void answer_options(const struct tcp *tcp, const struct tcp_segment *syn, uint32_t bits,
                           uint64_t now, struct tcp_options *out)
{
    uint32_t headers = ip_address_is_v4(&syn->tuple.remote) ? 40 : 60;
    out->present = TCP_OPTION_MSS;
    out->mss = (uint16_t)(net_arrival_mtu(tcp->config.net, syn->packet) - headers);
    if (bits == NO_TIMESTAMPS)
        return;
    uint32_t clock = tcp_ms(now) + tcp_timestamp_offset(tcp, &syn->tuple);
    out->present |= TCP_OPTION_TIMESTAMP;
    out->ts_value = timestamp_with(clock, bits);
    out->ts_echo = syn->options.ts_value;
    if ((bits & SCALE_MASK) != SCALE_NONE)
        out->present |= TCP_OPTION_WINDOW_SCALE;
    if (bits & OPTION_SACK)
        out->present |= TCP_OPTION_SACK_PERMITTED;
    out->window_scale = tcp->window_scale;
}

void tcp_cookie_answer(struct tcp *tcp, struct tcp_segment *syn, uint64_t now)
{
    if (tcp->conns.free_count == 0) { /* rather asks again than hears RST after its ACK */
        tcp_count(tcp, connection_pool_empty);
        return;
    }
    uint32_t bits = option_bits(tcp, syn);
    uint32_t window = tcp->config.receive_window_bytes;
    struct vouched vouched = {&syn->tuple, syn->seq, mss_index(syn), (uint16_t)bits};
    struct tcp_bare bare = {
        .tuple = &syn->tuple,
        .seq = cookie_of(tcp, 0, slot_at(tcp, now), &vouched),
        .ack = syn->seq + 1,
        .window = (uint16_t)(window < UINT16_MAX ? window : UINT16_MAX),
        .flags = TCP_SYN | TCP_ACK | (bits & OPTION_ECN ? TCP_ECE : 0),
    };
    answer_options(tcp, syn, bits, now, &bare.options);
    tcp_count(tcp, cookies_sent);
    tcp->cookies.sent_at_ns = now;
    tcp_out_back(tcp, &bare, syn);
}

/* ---- and back ---- */

/* False: an ACK to nobody cannot be a cookie's, the hash is saved. */
static bool may_be_cookie(const struct tcp *tcp, uint64_t now)
{
    const struct tcp_cookies *cookies = &tcp->cookies;
    if (cookies->settings.backlog == 0)
        return false;
    if (cookies->settings.shared || cookies->settings.mode == TCP_COOKIES_ALWAYS)
        return true;
    return cookies->sent_at_ns != 0 && now - cookies->sent_at_ns < 2 * SLOT_NS;
}

/* Which slot of today a cookie with this parity is from. */
static uint64_t slot_of(const struct tcp *tcp, uint32_t cookie, uint64_t now)
{
    uint64_t slot = slot_at(tcp, now + SKEW_NS);
    return (slot & 1) == cookie >> 31 ? slot : slot - 1;
}

static bool is_made_with(struct tcp *tcp, uint32_t secret, uint64_t slot, uint32_t cookie,
                         const struct vouched *vouched)
{
    return has_secret(tcp, secret) && cookie_of(tcp, secret, slot, vouched) == cookie;
}

static bool is_good(struct tcp *tcp, uint32_t cookie, const struct vouched *vouched, uint64_t now)
{
    uint64_t slot = slot_of(tcp, cookie, now);
    if (is_made_with(tcp, 0, slot, cookie, vouched) || is_made_with(tcp, 1, slot, cookie, vouched))
        return true;
    if (is_made_with(tcp, 0, slot - 2, cookie, vouched))
        tcp_count(tcp, cookies_expired);
    else
        tcp_count(tcp, cookies_rejected);
    return false;
}

/* What the SYN said, as far as the cookie remembers it. */
static void remember(const struct tcp_segment *seg, const struct vouched *vouched,
                     struct tcp_segment *syn)
{
    *syn = (struct tcp_segment){
        .tuple = seg->tuple,
        .hash = seg->hash,
        .seq = vouched->peer_iss,
        .flags = TCP_SYN,
        .options = {.present = TCP_OPTION_MSS, .mss = mss_table(&seg->tuple)[vouched->mss_index]},
    };
    if (vouched->options == NO_TIMESTAMPS)
        return;
    struct tcp_options *options = &syn->options;
    options->present |= TCP_OPTION_TIMESTAMP;
    options->ts_value = seg->options.ts_value;
    if ((vouched->options & SCALE_MASK) != SCALE_NONE)
        options->present |= TCP_OPTION_WINDOW_SCALE;
    options->window_scale = vouched->options & SCALE_MASK;
    if (vouched->options & OPTION_SACK)
        options->present |= TCP_OPTION_SACK_PERMITTED;
    if (vouched->options & OPTION_ECN)
        syn->flags |= ECN_SETUP;
}

bool tcp_cookie_check(struct tcp *tcp, const struct tcp_segment *seg, struct tcp_segment *syn,
                      uint32_t *iss, uint64_t now)
{
    if (!may_be_cookie(tcp, now))
        return false;
    uint32_t cookie = seg->ack - 1;
    bool timestamps = (seg->options.present & TCP_OPTION_TIMESTAMP) != 0;
    struct vouched vouched = {
        .tuple = &seg->tuple,
        .peer_iss = seg->seq - 1,
        .mss_index = (uint16_t)(cookie >> HASH_BITS & (MSS_VALUES - 1)),
        .options = (uint16_t)(timestamps ? seg->options.ts_echo & OPTION_MASK : NO_TIMESTAMPS),
    };
    if (!is_good(tcp, cookie, &vouched, now))
        return false;
    *iss = cookie;
    remember(seg, &vouched, syn);
    return true;
}

void tcp_cookie_timestamps(struct tcp_conn *conn, const struct tcp_segment *seg, uint64_t now)
{
    if ((conn->flags & TCP_CONN_TIMESTAMPS) == 0)
        return;
    uint32_t age_ms = tcp_ms(now) + conn->ts_offset - seg->options.ts_echo;
    if (age_ms <= LIFE_MS)
        return; /* made here */
    conn->ts_offset = seg->options.ts_echo + (1u << OPTION_BITS) - tcp_ms(now);
}
