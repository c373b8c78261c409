/*
 * Frames that lie in a view whole are what they are in pieces: frames of every kind, right and
 * wrong ones, are read in views of any size and in such in which no frame is whole. What their
 * owner hears, what is sent and counted, and what the connection remembers is the same.
 */
#include "tests/unit/h2/h2_case.h"

#include <stdio.h>

#define SEEDS         600
#define BURSTS        12
#define FRAMES_MAX    6
#define REQUESTS      12
#define PIECE_LARGEST 8 /* bytes; a frame has nine at least */

/* What is left of a seed's story. */
struct outcome {
    struct h2_counters counters;
    struct lab_owner owner;
    struct h2_budgets budgets;
    uint64_t heard; /* hash of the content of each stream, and of its end */
    uint64_t ids_seen;
    uint32_t receive_window, credit, stream_count, accepted_id, last_peer_id, header_bytes;
    uint32_t sent_bytes;
    uint8_t sent[1 << 17];
};

static struct outcome whole, in_pieces;
static struct random story;
static uint64_t heard[LAB_STREAMS];
static uint32_t end_resets, end_closes; /* one in so many streams, when it ends; 0: none */
static uint32_t keeps;                  /* one in so many gives no credit back */
static uint32_t next_id;

static uint64_t mix(uint64_t hash, uint64_t more)
{
    return (hash ^ more) * 1099511628211ull;
}

static void forget(const struct h2_stream *stream)
{
    for (uint32_t i = 0; i < LAB_STREAMS; i++)
        if (lab.owner.streams[i] == stream)
            lab.owner.streams[i] = NULL;
}

static bool is_one_in(uint32_t id, uint32_t so_many)
{
    return so_many > 0 && (id / 2) % so_many == 0;
}

/* The owner takes all at once; some streams it ends with their last byte. */
static void on_data(struct h2_stream *stream, struct bytes bytes, bool end, uint64_t now)
{
    uint32_t id = h2_stream_id(stream);
    uint64_t *hash = &heard[id / 2 % LAB_STREAMS];
    lab_handler.data(stream, bytes, end, now);
    for (size_t i = 0; i < bytes.length; i++)
        *hash = mix(*hash, bytes.data[i] + 1u);
    if (end)
        *hash = mix(*hash, 1000);
    if (!is_one_in(id, keeps))
        h2_stream_consumed(stream, (uint32_t)bytes.length);
    if (end && is_one_in(id, end_resets)) {
        forget(stream);
        h2_stream_reset(stream, H2_CANCEL);
    } else if (end && is_one_in(id, end_closes)) {
        h2_close(lab.owner.conn, H2_INTERNAL_ERROR, now);
    }
}

static const char *any_of(const char *const *texts, uint32_t count)
{
    return texts[random_below(&story, count)];
}

#define ANY_OF(texts) any_of(texts, array_count(texts))

/* A stream on which the peer may send; 0: there is none. */
static uint32_t open_id(void)
{
    uint32_t from = random_below(&story, LAB_STREAMS);
    for (uint32_t i = 0; i < LAB_STREAMS; i++) {
        const struct h2_stream *stream = lab.owner.streams[(from + i) % LAB_STREAMS];
        if (stream != NULL && h2_stream_can_receive(stream))
            return h2_stream_id(stream);
    }
    return 0;
}

/* Most often one that is open, or was when the burst began. */
static uint32_t any_id(void)
{
    uint32_t open = open_id();
    switch (random_below(&story, 60)) {
    case 0:
        return random_below(&story, 40);
    case 1:
        return next_id;
    case 2:
        return 0x80000000u | open;
    default:
        return open != 0 ? open : next_id > 2 ? next_id - 2 : 1;
    }
}

/* The usual ones, and now and then one of the others. */
static const char *text_of(const char *const *usual, uint32_t usual_count, const char *const *other,
                           uint32_t other_count)
{
    return random_below(&story, 14) > 0 ? any_of(usual, usual_count) : any_of(other, other_count);
}

#define TEXT_OF(usual, other) text_of(usual, array_count(usual), other, array_count(other))

static const char *const flags[] = {"4", "4", "4", "5", "94"};
static const char *const other_flags[] = {"4", "4", "5", "0", "1"};

static void request_frame(char *text, size_t size)
{
    static const char *const blocks[] = {
        "@get",
        "@get",
        "@post",
        "@post",
        "82 87 84 41 01 61 40 01 61 01 62",
        "82 87 04 02 2f 61 41 01 61 40 08 7072696f72697479 03 753d31",
        "83 87 84 41 01 61 5c 04 31343030"};
    static const char *const others[] = {"82 87 84 41 01 61 5c 01 30", "82", "82 87 84 84", "",
                                         "82 87 84 41 01 61 be"};
    if (random_below(&story, 8) == 0)
        next_id += 2;
    (void)snprintf(text, size, "HEADERS/%s/%x %s;", TEXT_OF(flags, other_flags), next_id,
                   TEXT_OF(blocks, others));
    next_id += 2;
}

/* Of an answer, or trailers. */
static void header_frame(char *text, size_t size)
{
    static const char *const answers[] = {"@200",        "@200",         "88 5c 01 35",
                                          "8c 5c 01 35", "08 03 313033", "88 40 01 61 01 62"};
    static const char *const trailers[] = {"00 01 78 01 79", "40 01 78 01 79"};
    static const char *const others[] = {"88 5c 01 30", "be", "@get", "", "88 0001780179"};
    static const char *const frames[] = {"HEADERS/d/%x 02 %s z2;", "HEADERS/25/%x 00000000 10 %s;",
                                         "HEADERS/2d/%x 01 00000003 10 %s z1;",
                                         "HEADERS/c/%x ff %s;"};
    bool answers_now = lab.owner.conn->role == H2_CLIENT && random_below(&story, 3) > 0;
    const char *block = answers_now ? TEXT_OF(answers, others) : TEXT_OF(trailers, others);
    uint32_t id = any_id();
    if (random_below(&story, 10) == 0)
        (void)snprintf(text, size, any_of(frames, 3), id, block);
    else if (random_below(&story, 20) == 0)
        (void)snprintf(text, size, ANY_OF(frames), id, block);
    else
        (void)snprintf(text, size, "HEADERS/%s/%x %s;", answers_now ? "4" : "5", id, block);
}

static void data_frame(char *text, size_t size)
{
    static const char *const frames[] = {
        "DATA/0/%x 'hello;", "DATA/1/%x 'hello;", "DATA/0/%x 'he;",
        "DATA/1/%x 'llo;",   "DATA/1/%x;",        "DATA/0/%x z700;",
        "DATA/1/%x z700;",   "DATA/0/%x z16384;", "DATA/0/%x z16384;"};
    static const char *const others[] = {"DATA/9/%x 03 'hello z3;", "DATA/8/%x 00 'he;",
                                         "DATA/8/%x 02 z2;",        "DATA/0/%x;",
                                         "DATA/1/%x z16384;",       "DATA/8/%x 05 z2;"};
    (void)snprintf(text, size, TEXT_OF(frames, others), any_id());
}

static void other_frame(char *text, size_t size)
{
    static const char *const frames[] = {"WINDOW_UPDATE/0/%x 00000100;",
                                         "RST_STREAM/0/%x 00000008;", "PRIORITY/0/%x 00000000 10;",
                                         "16/0/%x 0102;"};
    static const char *const wrong[] = {"CONTINUATION/4/%x 88;", "WINDOW_UPDATE/0/%x 00000000;"};
    static const char *const plain[] = {"PING/0/0 z8;", "SETTINGS/0/0;",
                                        "SETTINGS/0/0 000400000010;", "SETTINGS/1/0;",
                                        "WINDOW_UPDATE/0/0 00000100;"};
    if (random_below(&story, 2) == 0)
        (void)snprintf(text, size, "%s", ANY_OF(plain));
    else
        (void)snprintf(text, size, TEXT_OF(frames, wrong), any_id());
}

static void any_frame(char *text, size_t size)
{
    uint32_t kind = random_below(&story, 20);
    bool is_server = lab.owner.conn->role == H2_SERVER;
    if (is_server && (kind < 7 || open_id() == 0))
        request_frame(text, size);
    else if (kind < 10)
        header_frame(text, size);
    else if (kind < 18)
        data_frame(text, size);
    else
        other_frame(text, size);
}

static void burst(void)
{
    static uint8_t memory[FRAMES_MAX * 17000];
    struct writer out = writer_over(memory, sizeof(memory));
    for (uint32_t n = 1 + random_below(&story, FRAMES_MAX); n > 0; n--) {
        char text[160];
        any_frame(text, sizeof(text));
        (void)h2_script_write(text, &out);
    }
    lab_feed(writer_written(&out), SIZE_MAX);
}

static void owner_acts(void)
{
    uint32_t what = random_below(&story, 24);
    if (what < 4)
        lab_answer();
    else if (what == 4)
        lab_reset_first();
    else if (what == 5)
        h2_shutdown(lab.owner.conn, lab.now);
    else if (what == 6)
        lab.owner.resets_at_once = !lab.owner.resets_at_once;
    else if (what == 7 && random_below(&story, 4) == 0)
        lab.owner.closes_at_once = true;
}

static void open_story(enum h2_role role)
{
    static const uint32_t windows[] = {65535, 100000, 1 << 20};
    static struct h2_handler handler;
    struct h2_config config = lab_config();
    config.stream_window_bytes = windows[random_below(&story, array_count(windows))];
    config.first_window_bytes = random_below(&story, 2) == 0 ? 900 : 0;
    config.server_concurrent_streams = random_below(&story, 3) == 0 ? 3 : 100;
    handler = lab_handler;
    handler.data = on_data;
    memset(heard, 0, sizeof(heard));
    end_resets = random_below(&story, 6);
    end_closes = random_below(&story, 4) == 0 ? 7 : 0;
    keeps = random_below(&story, 4);
    open_with(role, &config);
    lab.owner.conn->handler = &handler;
    next_id = 1;
    if (role == H2_SERVER)
        return;
    lab_request(REQUESTS);
    next_id += 2 * REQUESTS;
}

static void remember_connection(struct outcome *outcome)
{
    const struct h2_conn *conn = lab.owner.conn;
    if (conn == NULL)
        return;
    outcome->budgets = conn->budgets;
    outcome->ids_seen = conn->ids_seen;
    outcome->receive_window = conn->receive_window;
    outcome->credit = conn->credit;
    outcome->stream_count = conn->stream_count;
    outcome->accepted_id = conn->accepted_id;
    outcome->last_peer_id = conn->last_peer_id;
    outcome->header_bytes = conn->header_bytes;
}

static void remember(struct outcome *outcome)
{
    memset(outcome, 0, sizeof(*outcome));
    remember_connection(outcome);
    outcome->counters = *h2_counters(lab.h2);
    outcome->counters.header_blocks_gathered = 0;
    outcome->owner = lab.owner;
    outcome->owner.conn = NULL;
    memset(outcome->owner.streams, 0, sizeof(outcome->owner.streams));
    for (uint32_t i = 0; i < LAB_STREAMS; i++)
        outcome->heard = mix(outcome->heard, heard[i]);
    assert_true(lab.sent_bytes <= sizeof(outcome->sent));
    outcome->sent_bytes = lab.sent_bytes;
    memcpy(outcome->sent, lab.sent, lab.sent_bytes);
}

/* PIECE: the most bytes of a view. */
static void play(enum h2_role role, uint32_t seed, uint32_t piece, struct outcome *outcome)
{
    random_seed(&story, seed);
    open_story(role);
    lab.pipe.ends[1].piece_max = piece;
    for (uint32_t i = 0; i < BURSTS && lab.owner.conn != NULL; i++) {
        burst();
        if (lab.owner.conn != NULL)
            owner_acts();
    }
    remember(outcome);
    lab_close();
}

static void compare(enum h2_role role)
{
    uint64_t frames = 0, lived = 0;
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        play(role, seed, UINT32_MAX, &whole);
        play(role, seed, 1 + seed % PIECE_LARGEST, &in_pieces);
        assert_memory_equal(&whole, &in_pieces, sizeof(whole));
        frames += whole.counters.frames_in;
        lived += whole.owner.closed == 0;
    }
    assert_true(frames > 5 * SEEDS && lived > SEEDS / 20);
}

static void what_clients_send_is_the_same_whole_and_in_pieces(void **state)
{
    compare(H2_SERVER);
}

static void what_servers_send_is_the_same_whole_and_in_pieces(void **state)
{
    compare(H2_CLIENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_clients_send_is_the_same_whole_and_in_pieces),
        cmocka_unit_test(what_servers_send_is_the_same_whole_and_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
