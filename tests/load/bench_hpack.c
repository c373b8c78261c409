/*
 * bench_hpack: cycles of time stamp counter to parse and to emit a request's header block: the
 * first on a connection, which carries its fields as literals, and the following, which find them
 * in the table. Parsing is HPACK and what HTTP/2 checks of a message; the median of many rounds.
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

static void parse(struct hpack_decoder *decoder, struct bytes block, uint64_t *cycles)
{
    static uint8_t room[16384];
    struct fields fields;
    struct h2_message message;
    uint64_t begin = clock_cycles();
    fields_init(&fields, room, sizeof(room));
    enum hpack_result result = hpack_decode(decoder, block, &fields);
    enum h2_violation violation = h2_message_request(&fields, false, &message);
    *cycles = clock_cycles() - begin;
    check(result == HPACK_OK && violation == H2_VIOLATION_none && !fields.overflow);
}

/* EMITS: what is measured. NTH: which block of a connection. */
static void bench(const char *who, const struct fields *fields, bool emits, uint32_t nth)
{
    uint8_t room[8192];
    struct bytes block = BYTES_NONE;
    for (uint32_t round = 0; round < rounds; round++) {
        struct hpack_encoder encoder;
        struct hpack_decoder decoder;
        uint64_t emitting, parsing;
        hpack_encoder_init(&encoder, &tables);
        hpack_decoder_init(&decoder, &tables);
        for (uint32_t i = 0; i <= nth; i++) {
            block = emit(&encoder, fields, room, sizeof(room), &emitting);
            parse(&decoder, block, &parsing);
        }
        samples[round] = emits ? emitting : parsing;
        hpack_encoder_close(&encoder);
        hpack_decoder_close(&decoder);
    }
    const char *what = emits ? (nth == 0 ? "emit, first" : "emit, indexed")
                             : (nth == 0 ? "parse, first" : "parse, indexed");
    report(who, what, block.length);
}

static void bench_all(const char *who, const struct line *lines, size_t count)
{
    uint8_t room[4096];
    struct fields fields;
    fill(&fields, room, sizeof(room), lines, count);
    bench(who, &fields, false, 0);
    bench(who, &fields, false, 3);
    bench(who, &fields, true, 0);
    bench(who, &fields, true, 3);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        rounds = (uint32_t)strtoul(argv[1], NULL, 10);
    if (rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: bench_hpack [ROUNDS], 1 to %u\n", ROUNDS_MAX);
        return 2;
    }
    check(hpack_tables_init(&tables, 2, -1));
    bench_all("browser", browser, array_count(browser));
    bench_all("inference", inference, array_count(inference));
    bench_all("service", service, array_count(service));
    return 0;
}
