/*
 * fuzz_h2_frame: the frames of a hostile peer, as they stand on the wire, to one connection behind
 * its handshake.
 *
 * The first octet: bit 0 the role, bit 1 whether requests are answered halfway, bit 2 whether
 * requests and answers are tunnels, the rest the length of the pieces. All that follows is what the
 * peer sends. It is read twice, whole and in pieces: what is counted, told and sent has to be the
 * same.
 */
#include "dataplane/base/check.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/h2_lab.h"

#define INPUT_MAX 32768 /* what it asks for has to fit into the lab, with the bodies */

struct outcome {
    struct h2_counters counters;
    struct lab_owner told;
    uint32_t sent_bytes;
    uint8_t sent[sizeof(lab.sent)];
};

static struct outcome whole, pieces;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return 0;
}

static void open_connection(uint8_t how)
{
    struct h2_config config = lab_config();
    config.streams_max = 20;
    config.server_concurrent_streams = 10;
    lab_create(&config);
    h2_announce_connect(lab.h2, true);
    lab_open((how & 1) != 0 ? H2_CLIENT : H2_SERVER);
    lab.owner.connects = (how & 4) != 0;
    lab.owner.body_bytes = 16000;
    lab_handshake();
    if ((how & 1) != 0)
        lab_request(3);
}

/* What pieces may change: how often bytes had to be gathered. */
static void keep(struct outcome *out)
{
    out->counters = *h2_counters(lab.h2);
    out->counters.header_blocks_gathered = 0;
    out->told = lab.owner;
    out->sent_bytes = lab.sent_bytes;
    memcpy(out->sent, lab.sent, lab.sent_bytes);
}

static void run(struct bytes bytes, uint8_t how, size_t step, struct outcome *out)
{
    open_connection(how);
    lab_feed(bytes_first(bytes, bytes.length / 2), step);
    if ((how & 2) != 0)
        lab_answer();
    lab_feed(bytes_after(bytes, bytes.length / 2), step);
    keep(out);
    lab_close();
}

static void compare(const struct outcome *one, const struct outcome *other)
{
    const struct lab_owner *a = &one->told, *b = &other->told;
    check(memcmp(&one->counters, &other->counters, sizeof(one->counters)) == 0);
    check(a->headers == b->headers && a->overflows == b->overflows && a->trailers == b->trailers);
    check(a->resets == b->resets && a->unprocessed == b->unprocessed);
    check(a->finished == b->finished && a->available == b->available && a->closed == b->closed);
    check(a->data_bytes == b->data_bytes);
    check(one->sent_bytes == other->sent_bytes);
    check(memcmp(one->sent, other->sent, one->sent_bytes) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader in = reader_over(bytes_of(data, size));
    uint8_t how = reader_u8(&in);
    if (in.failed || size > INPUT_MAX)
        return 0;
    struct bytes bytes = reader_bytes(&in, reader_left(&in));
    run(bytes, how, SIZE_MAX, &whole);
    run(bytes, how, 1 + (how >> 3), &pieces);
    compare(&whole, &pieces);
    return 0;
}
