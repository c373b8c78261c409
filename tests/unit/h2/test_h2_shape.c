/*
 * Shapes: messages that differ in nothing but their path, content-length, or another field. With a
 * memory for them and without, the same traffic gives the same sections, blocks, verdicts and
 * counters.
 */
#include "dataplane/h2/h2_memo.h"
#include "tests/support/hpack_oracle.h"
#include "tests/unit/h2/h2_case.h"

#define SEEDS  60
#define BLOCKS 400
#define SHAPES 6
#define NAMES  65536

/* A direction of a connection, twice: blocks are ours, or nghttp2's. */
struct twice {
    struct random random;
    struct h2_memo memo; /* of all connections, one after the other */
    struct hpack_encoder with_out, without_out;
    nghttp2_hd_deflater *theirs;
    struct hpack_decoder with_in, without_in; /* of our blocks */
    struct hpack_decoder with_their, without_their;
    uint64_t hashes[NAMES]; /* of the shape, or section, that has the name */
    uint64_t given;         /* names that others than the memo gave */
    uint32_t room;          /* for sections */
};

static struct twice twice;

/* Fields before one that is each message's own, and behind it. */
struct dealt {
    uint8_t text[FIXTURE_BYTES];
    struct fields fields;
    uint32_t front; /* bytes */
    enum field_token own;
    uint64_t name;
};

static struct dealt shapes[SHAPES];
static uint8_t sent_text[FIXTURE_BYTES], with_text[FIXTURE_BYTES], without_text[FIXTURE_BYTES];
static uint8_t with_room[FIXTURE_BYTES], without_room[FIXTURE_BYTES];

static void deal(struct dealt *shape)
{
    fields_init(&shape->fields, shape->text, sizeof(shape->text));
    for (uint32_t k = random_below(&twice.random, 5); k > 0; k--)
        fixture_add_random(&twice.random, &shape->fields);
    shape->front = shape->fields.used;
    for (uint32_t k = random_below(&twice.random, 5); k > 0; k--)
        fixture_add_random(&twice.random, &shape->fields);
    static const enum field_token owns[] = {FIELD_PATH, FIELD_CONTENT_LENGTH, FIELD_OTHER,
                                            FIELD_X_REQUEST_ID};
    shape->own = owns[random_below(&twice.random, array_count(owns))];
    shape->name = random_below(&twice.random, 3) == 0 ? 0 : 1ULL << 63 | ++twice.given;
}

static void append_range(struct fields *into, const struct fields *from, uint32_t at, uint32_t end)
{
    struct field field;
    while (at < end && fields_next(from, &at, &field))
        fields_add(into, field);
}

/* A message of the shape, with a value that may have come before. */
static struct fields message_of(const struct dealt *shape)
{
    static uint8_t own_text[80];
    struct fields sent;
    struct field own = {
        .token = shape->own,
        .name = bytes_text("x-own"),
        .never_index = random_below(&twice.random, 8) == 0,
        .value = fixture_text(&twice.random, own_text,
                              random_below(&twice.random, 3) == 0 ? 1 : sizeof(own_text)),
    };
    fields_init(&sent, sent_text, sizeof(sent_text));
    append_range(&sent, &shape->fields, 0, shape->front);
    sent.part_ends[PART_FRONT] = sent.used;
    fields_add(&sent, own);
    sent.part_ends[PART_OWN] = sent.used;
    append_range(&sent, &shape->fields, shape->front, shape->fields.used);
    sent.part_ends[PART_FIELDS] = sent.used;
    if (shape->name != 0)
        fields_name_around(&sent, shape->name);
    return sent;
}

static void open_twice(uint32_t seed)
{
    random_seed(&twice.random, seed);
    twice.room = seed % 4 == 0 ? 200 : sizeof(with_text); /* some do not fit */
    hpack_encoder_init(&twice.with_out, &fixture_tables);
    hpack_encoder_init(&twice.without_out, &fixture_tables);
    twice.with_out.plain = twice.without_out.plain = random_below(&twice.random, 2) == 0;
    hpack_decoder_init(&twice.with_in, &fixture_tables);
    hpack_decoder_init(&twice.without_in, &fixture_tables);
    hpack_decoder_init(&twice.with_their, &fixture_tables);
    hpack_decoder_init(&twice.without_their, &fixture_tables);
    assert_int_equal(nghttp2_hd_deflate_new(&twice.theirs, HPACK_TABLE_BYTES), 0);
    for (int i = 0; i < SHAPES; i++)
        deal(&shapes[i]);
}

static void close_twice(void)
{
    hpack_encoder_close(&twice.with_out);
    hpack_encoder_close(&twice.without_out);
    hpack_decoder_close(&twice.with_in);
    hpack_decoder_close(&twice.without_in);
    hpack_decoder_close(&twice.with_their);
    hpack_decoder_close(&twice.without_their);
    nghttp2_hd_deflate_del(twice.theirs);
}

static uint64_t hash_of(uint64_t hash, const uint8_t *data, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++)
        hash = (hash ^ data[i]) * 1099511628211ull;
    return hash;
}

/* What has one name is equal, but for the field that the name is not of. */
static void check_name(const struct fields *fields)
{
    assert_true(fields->name < NAMES);
    if (fields->name == 0)
        return;
    assert_int_equal(fields->named_bytes, fields->used);
    uint32_t front = fields->own_unnamed ? fields->part_ends[PART_FRONT] : fields->used;
    uint32_t rest = fields->own_unnamed ? fields->part_ends[PART_OWN] : fields->used;
    uint64_t hash = hash_of(fields->own_unnamed + 1, fields->data, front) + front;
    hash = hash_of(hash, fields->data + rest, fields->used - rest) | 1;
    uint64_t *known = &twice.hashes[fields->name];
    assert_true(*known == 0 || *known == hash);
    *known = hash;
}

static bool same_section(const struct fields *a, const struct fields *b)
{
    return a->count == b->count && a->used == b->used && a->overflow == b->overflow &&
           memcmp(a->present, b->present, sizeof(a->present)) == 0 &&
           memcmp(a->data, b->data, a->used) == 0;
}

static void decode_twice(struct hpack_decoder *with_in, struct hpack_decoder *without_in,
                         struct bytes block)
{
    struct fields with, without;
    struct h2_memo_in *kept;
    fields_init(&with, with_text, twice.room);
    fields_init(&without, without_text, twice.room);
    enum hpack_result result = hpack_decode(without_in, block, &without);
    assert_int_equal(h2_memo_decode(&twice.memo, with_in, block, &with, &kept), result);
    assert_int_equal(with.overflow, without.overflow);
    assert_true(with.overflow || same_section(&with, &without));
    assert_true(fixture_tables_equal(with_in->table, without_in->table));
    assert_true(kept == NULL || kept->fields.own_unnamed == with.own_unnamed);
    check_name(&with);
}

static void one_message(const struct fields *sent)
{
    static uint8_t their_room[4 * FIXTURE_BYTES];
    struct writer with_out = writer_over(with_room, sizeof(with_room));
    struct writer without_out = writer_over(without_room, sizeof(without_room));
    assert_true(h2_memo_encode(&twice.memo, &twice.with_out, sent, &with_out));
    assert_true(hpack_encode(&twice.without_out, sent, &without_out));
    struct bytes block = writer_written(&with_out);
    assert_true(bytes_equal(block, writer_written(&without_out)));
    assert_true(fixture_tables_equal(twice.with_out.table, twice.without_out.table));
    decode_twice(&twice.with_in, &twice.without_in, block);
    decode_twice(&twice.with_their, &twice.without_their,
                 oracle_deflate(twice.theirs, sent, their_room, sizeof(their_room)));
}

/* Blocks of somebody who means no good: cut, or with a bit that is another one. */
static void hostile_blocks(const struct fields *sent)
{
    static uint8_t good[FIXTURE_BYTES], bad[FIXTURE_BYTES];
    struct hpack_encoder encoder;
    struct hpack_decoder with, without;
    struct writer out = writer_over(good, sizeof(good));
    hpack_encoder_init(&encoder, &fixture_tables);
    encoder.limit_bytes = 0; /* nothing is entered */
    hpack_decoder_init(&with, &fixture_tables);
    hpack_decoder_init(&without, &fixture_tables);
    assert_true(hpack_encode(&encoder, sent, &out));
    struct bytes block = writer_written(&out);
    for (int i = 0; i < 40; i++) {
        uint32_t at = random_below(&twice.random, (uint32_t)block.length);
        memcpy(bad, block.data, block.length);
        decode_twice(&with, &without, block);
        if (i % 4 == 0)
            decode_twice(&with, &without, bytes_first(block, at));
        bad[at] ^= (uint8_t)(1 << random_below(&twice.random, 8));
        decode_twice(&with, &without, bytes_of(bad, block.length));
    }
    hpack_decoder_close(&with);
    hpack_decoder_close(&without);
}

static void play(uint32_t places)
{
    memset(&twice, 0, sizeof(twice));
    assert_true(h2_memo_init(&twice.memo, places, -1));
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        open_twice(seed);
        for (int i = 0; i < BLOCKS; i++) {
            struct fields sent = message_of(&shapes[random_below(&twice.random, SHAPES)]);
            one_message(&sent);
            if (i % 50 == 0)
                hostile_blocks(&sent);
        }
        close_twice();
    }
}

static void messages_that_differ_in_one_field_are_what_they_would_be(void **state)
{
    play(64);
    assert_true(twice.memo.found_alike > SEEDS * BLOCKS / 4);
    assert_true(twice.memo.found_section > SEEDS * BLOCKS / 16);
    assert_true(twice.memo.found_out > SEEDS * BLOCKS / 4);
}

static void shapes_that_share_a_place_are_not_each_others(void **state)
{
    play(2);
    assert_true(twice.memo.found_alike > 0);
}

/* What stands before and behind it is the same. */
static void which_field_is_missing_where_is_part_of_a_shape(void **state)
{
    static const char *const blocks[] = {"\x82\x04\x02/a\x86", "\x82\x86\x04\x02/a",
                                         "\x82\x86\x0f\x0d\x01\x31"};
    struct h2_memo memo = {0};
    struct hpack_decoder decoder;
    struct h2_memo_in *kept;
    struct fields fields;
    uint64_t names[3];
    assert_true(h2_memo_init(&memo, 64, -1));
    hpack_decoder_init(&decoder, &fixture_tables);
    for (int i = 0; i < 18; i++) {
        uint8_t block[8];
        memcpy(block, blocks[i / 6], 6);
        block[i < 6 ? 4 : 5] = (uint8_t)('0' + i);
        fields_init(&fields, with_text, sizeof(with_text));
        assert_int_equal(h2_memo_decode(&memo, &decoder, bytes_of(block, 6), &fields, &kept), 0);
        names[i / 6] = fields.name;
    }
    assert_true(memo.found_alike >= 3);
    assert_true(names[0] != 0 && names[1] != 0 && names[2] != 0);
    assert_true(names[0] != names[1] && names[1] != names[2] && names[2] != names[0]);
}

/* Of another connection, as another block, with a table that changes each time. */
static void sections_are_known_by_what_they_say(void **state)
{
    static const char *const blocks[] = {"82 86 41 01 61 04 02 2f", "82 86 be 44 02 2f"};
    struct h2_memo memo = {0};
    uint64_t name = 0;
    assert_true(h2_memo_init(&memo, 64, -1));
    for (int connection = 0; connection < 2; connection++) {
        struct hpack_decoder decoder;
        hpack_decoder_init(&decoder, &fixture_tables);
        for (int i = 0; i < 6; i++) {
            uint8_t block[16];
            struct h2_memo_in *kept;
            struct fields fields;
            struct bytes begin = fixture_hex(blocks[i > 0], block, sizeof(block) - 1);
            if (i > 1) /* what was entered last is the path */
                block[2] = (uint8_t)(0xbe + i - 1);
            block[begin.length] = (uint8_t)('a' + i);
            fields_init(&fields, with_text, sizeof(with_text));
            struct bytes whole = bytes_of(block, begin.length + 1);
            assert_int_equal(h2_memo_decode(&memo, &decoder, whole, &fields, &kept), 0);
            bool known = connection > 0 || i > 0;
            assert_int_equal(kept != NULL && fields.name != 0 && fields.own_unnamed, known);
            assert_true(name == 0 || fields.name == name);
            name = fields.name;
        }
        hpack_decoder_close(&decoder);
    }
    assert_int_equal(memo.found_section, 10);
}

/* --- on a connection --- */

static const char *const fronts[] = {"82 86 01 01 61",    "83 87 01 01 61",
                                     "01 01 61 82 87",    "82 86",
                                     "82 86 84 01 01 61", "83 86 04 02 2f 61 01 01 61"};
static const char *const whole_front = "82 86 84 01 01 61";
static const char *const heads[] = {"88", "8d", "08 03 313033", "08 03 323034", "8e", ""};
static const char *const paths[] = {
    "04 02 2f 61",
    "04 04 2f 61 62 63",
    "05 03 2f 3f 78",
    "14 02 2f 62",
    "04 01 2a",
    "04 00",
    "04 03 2f 20 61",
    "04 01 61",
    "04 81 63",
    "04 82 60 ff",
    "84",
    "85",
    "00 05 3a706174 68 02 2f 63",
};
static const char *const lengths[] = {
    "0f0d 01 30",
    "0f0d 01 35",
    "0f0d 03 313233",
    "1f0d 02 3031",
    "0f0d 00",
    "0f0d 01 78",
    "0f0d 13 31323334353637383930 313233343536373839",
    "0f0d 81 ff",
    "0f0d 02 2030",
    "",
};
static const char *const others[] = {
    "00 01 79 01 30",   "00 01 79 02 3132", "00 01 79 81 63",   "00 01 79 03 612062",
    "10 01 79 01 31",   "00 01 79 00",      "00 01 79 01 0a",   "00 01 79 02 2061",
    "00 01 79 82 60ff", "00 01 59 01 31",   "00 02 7465 01 31", "00 02 3a79 01 31",
    "0f2b 01 62",       "0f17 01 62",       "0f2b 01 0d",
};
/* A field with a rule: all of them are good by themselves, and the last is not :authority's. */
static const char *const hosts[] = {
    "00 04 686f 7374 01 61",
    "00 04 686f 7374 01 41",
    "00 04 686f 7374 04 613a 3830",
    "00 04 686f 7374 01 62",
};
static const char *const rests[] = {"",
                                    "0f0d 01 35",
                                    "0f2b 01 61",
                                    "0f17 01 61",
                                    "84",
                                    "0f0d 01 78",
                                    "00 02 7465 08 7472 6169 6c65 7273",
                                    "00 02 7465 01 78",
                                    "00 0a 636f 6e6e 6563 7469 6f6e 01 78",
                                    "00 01 78 01 79 87"};

/* What a connection made of a seed's requests. */
struct outcome {
    uint64_t counters[512];
    struct lab_owner owner;
    uint32_t sent_bytes;
    uint8_t sent[1 << 16];
};

static const char *any_of(struct random *random, const char *const *texts, uint32_t count)
{
    return texts[random_below(random, count)];
}

/* One after the other, of one shape; most of them are good, or any are. */
static void messages(uint32_t seed, enum h2_role role)
{
    struct random random;
    random_seed(&random, seed);
    static const struct {
        const char *const *texts;
        uint32_t count;
    } owns[] = {{lengths, array_count(lengths)},
                {others, array_count(others)},
                {hosts, array_count(hosts)},
                {paths, array_count(paths)}};
    uint32_t which = random_below(&random, role == H2_CLIENT ? 3 : 4);
    const char *const *own = owns[which].texts;
    uint32_t own_count = owns[which].count;
    const char *front = role == H2_CLIENT ? any_of(&random, heads, array_count(heads))
                                          : any_of(&random, fronts, array_count(fronts));
    bool has_path = role == H2_CLIENT || own == paths || random_below(&random, 4) == 0;
    if (!has_path)
        front = whole_front;
    const char *rest = any_of(&random, rests, array_count(rests));
    uint32_t likely = random_below(&random, 4) > 0 ? 4 : own_count;
    if (role == H2_CLIENT)
        lab_request(30);
    for (uint32_t id = 1; id < 60 && lab.owner.conn != NULL; id += 2) {
        char script[200];
        (void)snprintf(script, sizeof(script), "HEADERS/%d/%x %s %s %s",
                       random_below(&random, 3) == 0 ? 4 : 5, id, front,
                       any_of(&random, own, likely), rest);
        lab_script(script);
        if (role == H2_SERVER && random_below(&random, 10) == 0)
            lab_answer();
    }
}

static uint64_t outcome_of(uint32_t seed, enum h2_role role, uint32_t places,
                           struct outcome *outcome)
{
    struct h2_config config = lab_config();
    config.memo_places = places;
    open_with(role, &config);
    messages(seed, role);
    memset(outcome, 0, sizeof(*outcome));
    uint64_t alike = COUNT(header_blocks_in_alike);
    struct h2_counters counters = *h2_counters(lab.h2);
    counters.header_blocks_in_alike = counters.header_blocks_in_known = 0;
    counters.header_sections_in_known = counters.header_parts_out_known = 0;
    assert_true(sizeof(counters) <= sizeof(outcome->counters));
    memcpy(outcome->counters, &counters, sizeof(counters));
    outcome->owner = lab.owner;
    memset(outcome->owner.streams, 0, sizeof(outcome->owner.streams));
    outcome->owner.conn = NULL;
    outcome->sent_bytes = lab.sent_bytes;
    assert_true(lab.sent_bytes <= sizeof(outcome->sent));
    memcpy(outcome->sent, lab.sent, lab.sent_bytes);
    lab_close();
    return alike;
}

static void compare_outcomes(enum h2_role role)
{
    static struct outcome with, without;
    uint64_t alike = 0;
    for (uint32_t seed = 1; seed <= 400; seed++) {
        alike += outcome_of(seed, role, 64, &with);
        assert_int_equal(outcome_of(seed, role, 0, &without), 0);
        assert_memory_equal(&with, &without, sizeof(with));
    }
    assert_true(alike > 1000);
}

static void verdicts_and_counters_of_requests_are_those_of_a_full_look(void **state)
{
    compare_outcomes(H2_SERVER);
}

static void verdicts_and_counters_of_answers_are_those_of_a_full_look(void **state)
{
    compare_outcomes(H2_CLIENT);
}

/* Its shape is known, and is that of messages that are not too large. */
static void what_its_own_field_makes_too_large_has_no_name(void **state)
{
    struct h2_config config = lab_config();
    config.memo_places = 64;
    config.header_list_bytes = 200;
    open_with(H2_SERVER, &config);
    lab_script("HEADERS/5/1 82 86 01 01 61 04 02 2f 61; HEADERS/5/3 82 86 01 01 61 04 02 2f 62");
    lab_script("HEADERS/5/5 82 86 01 01 61 04 02 2f 63");
    assert_int_equal(COUNT(header_blocks_in_alike), 1);
    assert_int_equal(lab.owner.overflows, 0);
    lab_script("HEADERS/5/7 82 86 01 01 61 04 28 2f61616161616161616161616161616161616161 "
               "6161616161616161616161616161616161616161");
    assert_int_equal(COUNT(header_blocks_in_alike), 2);
    assert_int_equal(lab.owner.overflows, 1);
    assert_int_equal(lab.owner.overflows_named, 0);
    lab_close();
}

int main(void)
{
    const struct CMUnitTest bare[] = {
        cmocka_unit_test(messages_that_differ_in_one_field_are_what_they_would_be),
        cmocka_unit_test(shapes_that_share_a_place_are_not_each_others),
        cmocka_unit_test(which_field_is_missing_where_is_part_of_a_shape),
        cmocka_unit_test(sections_are_known_by_what_they_say),
    };
    const struct CMUnitTest connected[] = {
        cmocka_unit_test(verdicts_and_counters_of_requests_are_those_of_a_full_look),
        cmocka_unit_test(verdicts_and_counters_of_answers_are_those_of_a_full_look),
        cmocka_unit_test(what_its_own_field_makes_too_large_has_no_name),
    };
    int failed = cmocka_run_group_tests(bare, fixture_setup, fixture_teardown);
    return failed + cmocka_run_group_tests(connected, NULL, NULL);
}
