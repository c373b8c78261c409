/*
 * bench_hpack: cycles of time stamp counter to parse and to emit a request's header block: the
 * first on a connection, which carries its fields as literals, and the following, which find them
 * in the table. Parsing is HPACK and what HTTP/2 checks of a message. Emitted is what was parsed,
 * as a proxy does: in the Huffman code, as clients get it, and without, as backends do. The median
 * of many rounds, and the best.
 *
 *     bench_hpack [ROUNDS]
 */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/h2/h2_message.h"
#include "dataplane/h2/hpack.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUNDS_MAX 1000000

static uint64_t samples[ROUNDS_MAX];
static uint32_t rounds = 100000;
static struct hpack_tables tables;

struct line {
    const char *name;
    const char *value;
};

static const struct line browser[] = {
    {":method", "GET"},
    {":scheme", "https"},
    {":authority", "shop.example.com"},
    {":path", "/catalogue/items?page=2&sort=price"},
    {"user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},
    {"accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
    {"accept-language", "en-US,en;q=0.5"},
    {"accept-encoding", "gzip, deflate, br"},
    {"cookie", "session=8f14e45fceea167a5a36dedd4bea2543; theme=dark"},
    {"priority", "u=1"},
};

static const struct line inference[] = {
    {":method", "POST"},
    {":scheme", "https"},
    {":authority", "api.example.com"},
    {":path", "/v1/chat/completions"},
    {"authorization", "Bearer sk-0123456789abcdef0123456789abcdef0123456789abcdef"},
    {"content-type", "application/json"},
    {"content-length", "1342"},
    {"accept", "text/event-stream"},
    {"user-agent", "client-python/1.35.7"},
    {"x-request-id", "5b7a4f0e-7a3b-4c1e-9d51-2f0c2b1c7e11"},
};

/* All of it ends up in the table. */
static const struct line service[] = {
    {":method", "GET"},
    {":scheme", "http"},
    {":authority", "models.internal:8080"},
    {":path", "/v1/models"},
    {"user-agent", "gateway/2.4"},
    {"accept", "*/*"},
    {"accept-encoding", "gzip, deflate"},
    {"x-tenant", "blue"},
};

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void report(const char *who, const char *what, size_t bytes)
{
    qsort(samples, rounds, sizeof(samples[0]), compare);
    printf("%-10s %-26s %4zu bytes %7llu cycles (best %llu)\n", who, what, bytes,
           (unsigned long long)samples[rounds / 2], (unsigned long long)samples[0]);
}

static void fill(struct fields *fields, void *room, uint32_t size, const struct line *lines,
                 size_t count)
{
    fields_init(fields, room, size);
    for (size_t i = 0; i < count; i++)
        fields_add(fields, (struct field){.token = field_token_of(bytes_text(lines[i].name)),
                                          .name = bytes_text(lines[i].name),
                                          .value = bytes_text(lines[i].value)});
    check(!fields->overflow);
}

static struct bytes emit(struct hpack_encoder *encoder, const struct fields *fields, uint8_t *room,
                         size_t size, uint64_t *cycles)
{
    struct writer out = writer_over(room, size);
    uint64_t begin = clock_cycles();
    bool fits = hpack_encode(encoder, fields, &out);
    *cycles = clock_cycles() - begin;
    check(fits);
    return writer_written(&out);
}

static uint8_t parsed[16384];

static void parse(struct hpack_decoder *decoder, struct bytes block, struct fields *fields,
                  uint64_t *cycles)
{
    struct h2_message message;
    uint64_t begin = clock_cycles();
    fields_init(fields, parsed, sizeof(parsed));
    enum hpack_result result = hpack_decode(decoder, block, fields);
    enum h2_violation violation = h2_message_request(fields, false, &message);
    *cycles = clock_cycles() - begin;
    check(result == HPACK_OK && violation == H2_VIOLATION_none && !fields->overflow);
}

enum what {
    PARSE,
    EMIT_CODED,
    EMIT_PLAIN,
    WHATS,
};

static const char *const names[WHATS] = {"parse", "emit", "emit plain"};

/* From a client to a backend. */
struct relay {
    struct hpack_encoder client;
    struct hpack_decoder decoder;
    struct hpack_encoder encoder;
    size_t bytes;
};

static void relay_open(struct relay *relay, bool plain)
{
    hpack_encoder_init(&relay->client, &tables);
    hpack_decoder_init(&relay->decoder, &tables);
    hpack_encoder_init(&relay->encoder, &tables);
    relay->encoder.plain = plain;
}

static void relay_close(struct relay *relay)
{
    hpack_encoder_close(&relay->client);
    hpack_decoder_close(&relay->decoder);
    hpack_encoder_close(&relay->encoder);
}

/* One block; the cycles of WHAT. */
static uint64_t relay_block(struct relay *relay, const struct fields *fields, enum what what)
{
    uint8_t room[16384];
    struct fields got;
    uint64_t ignored, parsing, emitting;
    struct bytes block = emit(&relay->client, fields, room, sizeof(room), &ignored);
    size_t parsed_bytes = block.length;
    parse(&relay->decoder, block, &got, &parsing);
    block = emit(&relay->encoder, &got, room, sizeof(room), &emitting);
    relay->bytes = what == PARSE ? parsed_bytes : block.length;
    return what == PARSE ? parsing : emitting;
}

/* NTH: which block of a connection. */
static void bench(const char *who, const struct fields *fields, enum what what, uint32_t nth)
{
    struct relay relay;
    char title[32];
    for (uint32_t round = 0; round < rounds; round++) {
        relay_open(&relay, what == EMIT_PLAIN);
        for (uint32_t i = 0; i <= nth; i++)
            samples[round] = relay_block(&relay, fields, what);
        relay_close(&relay);
    }
    snprintf(title, sizeof(title), "%s, %s", names[what], nth == 0 ? "first" : "indexed");
    report(who, title, relay.bytes);
}

static void bench_all(const char *who, const struct line *lines, size_t count)
{
    uint8_t room[4096];
    struct fields fields;
    fill(&fields, room, sizeof(room), lines, count);
    for (int what = 0; what < WHATS; what++) {
        bench(who, &fields, (enum what)what, 0);
        bench(who, &fields, (enum what)what, 3);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        rounds = (uint32_t)strtoul(argv[1], NULL, 10);
    if (rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: bench_hpack [ROUNDS], 1 to %u\n", ROUNDS_MAX);
        return 2;
    }
    check(hpack_tables_init(&tables, 3, -1));
    bench_all("browser", browser, array_count(browser));
    bench_all("inference", inference, array_count(inference));
    bench_all("service", service, array_count(service));
    return 0;
}
