/* Runs: segments that are taken together come to what they come to one by one. */
#include "dataplane/base/clock.h"
#include "tests/support/cmocka.h"
#include "tests/support/tcp_script.h"

#define STORIES    60
#define TURNS      40
#define BURST_MOST 24
#define SENT_MAX   320

static struct tcp_script script;

/* All that can be told of a connection from outside, and its numbers. */
struct told {
    struct tcp_counters counters;
    struct script_segment sent[SENT_MAX];
    uint32_t sent_count;
    uint64_t received[TURNS];
    uint32_t rcv_nxt[TURNS];
    uint32_t rcv_adv[TURNS];
    uint32_t snd_una[TURNS];
    uint32_t snd_wnd[TURNS];
    uint32_t ts_recent[TURNS];
    uint32_t rcv_mss[TURNS];
    uint32_t flags[TURNS];
    uint32_t turns;
};

static struct told at_once, one_by_one;

static bool one_in(struct random *random, uint32_t of)
{
    return random_below(random, of) == 0;
}

/* The numbers of what is sent may be wrong, or it is old, or ahead of a gap. */
static void spoil(struct random *random, struct script_segment *segment)
{
    static const uint8_t flags[] = {TCP_ACK | TCP_ECE, TCP_ACK | TCP_SYN, TCP_PSH,
                                    TCP_ACK | TCP_CWR, TCP_ACK | TCP_RST, TCP_ACK | TCP_FIN};
    switch (random_below(random, 7)) {
    case 0:
        segment->seq -= random_below(random, segment->seq - script.peer_first + 1) % 3000;
        break;
    case 1:
        segment->seq += random_below(random, 3000);
        break;
    case 2:
        segment->ack += random_below(random, 5);
        break;
    case 3:
        segment->window = (uint16_t)(60000 + random_below(random, 5));
        break;
    case 4:
        segment->flags = flags[random_below(random, 6)];
        break;
    case 5:
        segment->options.ts_value -= random_below(random, 3);
        break;
    case 6:
        segment->traffic_class = 3; /* CE */
        break;
    }
}

/* A segment that goes on where the one before ended, and perhaps is not what it should be. */
static void send_one(struct random *random)
{
    if (one_in(random, 6))
        script.ack = script_conn(&script)->snd_nxt; /* all that the host has sent */
    struct script_segment segment = script_make(&script, TCP_ACK);
    uint32_t length =
        one_in(random, 4) ? random_below(random, 600) : 1400 + random_below(random, 48);
    if (one_in(random, 6))
        length = 0;
    script_fill(&segment, segment.seq - script.peer_first, length);
    script.ts_value += one_in(random, 4);
    if (one_in(random, 12)) {
        spoil(random, &segment);
        script_fill(&segment, segment.seq - script.peer_first, length);
    } else {
        script.seq += length;
    }
    if (one_in(random, 20))
        script.tuple.local_port++; /* nobody's */
    script_send(&script, &segment);
    script.tuple.local_port = SCRIPT_PEER_PORT;
}

/* What was not in an option is whatever was there before. */
static struct tcp_options clean(const struct tcp_options *options)
{
    struct tcp_options out = {.present = options->present};
    if (options->present & TCP_OPTION_TIMESTAMP) {
        out.ts_value = options->ts_value;
        out.ts_echo = options->ts_echo;
    }
    out.sack_count = options->sack_count;
    for (uint32_t i = 0; i < out.sack_count; i++)
        out.sack[i] = options->sack[i];
    return out;
}

static void take_sent(struct told *told)
{
    for (uint32_t i = 0; i < script.got_count && told->sent_count < SENT_MAX; i++) {
        struct script_segment *sent = &told->sent[told->sent_count++];
        *sent = script.got[i];
        sent->options = clean(&script.got[i].options);
    }
    script.got_count = 0;
}

static void note(struct told *told)
{
    const struct tcp_conn *conn = script_conn(&script);
    uint32_t turn = told->turns++;
    told->received[turn] = script.streams[0].received;
    told->rcv_nxt[turn] = conn->rcv_nxt;
    told->rcv_adv[turn] = conn->rcv_adv;
    told->snd_una[turn] = conn->snd_una;
    told->snd_wnd[turn] = conn->snd_wnd;
    told->ts_recent[turn] = conn->ts_recent;
    told->rcv_mss[turn] = conn->rcv_mss;
    told->flags[turn] = conn->flags;
}

/* What is missing is sent first. */
static void play_turn(struct random *random, struct told *told)
{
    script.seq = script_conn(&script)->rcv_nxt;
    script.streams[0].to_send += one_in(random, 3) ? 100 : 0;
    script.streams[0].read_max = one_in(random, 3) ? 2000 : UINT32_MAX;
    for (uint32_t left = 1 + random_below(random, BURST_MOST); left > 0; left--)
        send_one(random);
    script_step(&script);
    take_sent(told);
}

/* BURST_MAX: 0, or 1 for one at a time. */
static void play(uint32_t seed, uint16_t burst_max, struct told *told)
{
    struct random random;
    struct tcp_options options = {
        .present = seed % 2 ? TCP_OPTION_SACK_PERMITTED | TCP_OPTION_TIMESTAMP : TCP_OPTION_MSS,
        .mss = 1460,
    };
    memset(told, 0, sizeof(*told));
    random_seed(&random, seed);
    script_prepare(&script);
    script.host.burst_max = burst_max;
    script.host.config.reassembly_max = seed % 3 == 0 ? 20 : 2048;
    script_open(&script);
    script_accept(&script, &options);
    while (told->turns < TURNS && script_conn(&script) != NULL) {
        play_turn(&random, told);
        if (script_conn(&script) != NULL)
            note(told);
    }
    told->counters = *tcp_counters(script.host.tcp);
    assert_false(script.streams[0].corrupt);
    if (script_conn(&script) != NULL)
        tcp_abort(script_conn(&script));
    script_close(&script);
}

static void a_run_is_what_its_segments_are(void **state)
{
    uint64_t fast = 0;
    for (uint32_t seed = 1; seed <= STORIES; seed++) {
        play(seed, 0, &at_once);
        play(seed, 1, &one_by_one);
        assert_memory_equal(&at_once, &one_by_one, sizeof(at_once));
        fast += at_once.counters.segments_in_fast;
    }
    assert_true(fast > (uint64_t)STORIES * TURNS); /* there were runs */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_is_what_its_segments_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
