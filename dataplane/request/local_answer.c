/*
 * local_answer: answers that Weir gives itself, as one table. Each has a status, a reason that the
 * client can read, and a counter. The texts lie in segments made at start, so that an error costs
 * no memory.
 */
#include "dataplane/request/exchange.h"

#include "dataplane/base/check.h"
#include "dataplane/base/counter.h"
#include "dataplane/base/memory.h"

#include <stdio.h>

#define TEXT_BYTES 128
#define TEXTS      (LOCAL_ANSWERS + FLIGHT_FAILURES)

struct local_answer_rule {
    uint16_t status;
    const char *reason;
    const char *name; /* one word, in cache-status and the access record */
    size_t counter;   /* offset in struct request_counters */
};

#define COUNTER_AT(name) offsetof(struct request_counters, name)

#define LIMIT_AT(limit) [LOCAL_LIMIT + LIMIT_##limit]

static const struct local_answer_rule rules[LOCAL_ANSWERS] = {
    [LOCAL_NONE] = {0, "", "", 0},
    [LOCAL_BAD_REQUEST] = {400, "bad request target or max-forwards", "bad-request",
                           COUNTER_AT(local_bad_request)},
    [LOCAL_NO_ROUTE] = {404, "no route", "no-route", COUNTER_AT(local_no_route)},
    [LOCAL_METHOD] = {501, "method not forwarded", "method", COUNTER_AT(local_method)},
    [LOCAL_OPTIONS] = {200, "this hop", "options", COUNTER_AT(local_options)},
    [LOCAL_HEADER_SIZE] = {431, "header section too large", "header-size",
                           COUNTER_AT(local_header_size)},
    [LOCAL_NO_MEMORY] = {503, "overloaded", "memory", COUNTER_AT(local_no_memory)},
    [LOCAL_REQUESTS] = {503, "too many requests in progress", "requests",
                        COUNTER_AT(local_requests)},
    [LOCAL_PRINCIPAL_REQUESTS] = {503, "too many requests of yours in progress",
                                  "principal-requests", COUNTER_AT(local_principal_requests)},
    [LOCAL_PANIC] = {503, "few requests succeed now", "panic", COUNTER_AT(local_panic)},
    LIMIT_AT(FLIGHTS) = {503, "overloaded", "flights", COUNTER_AT(local_no_memory)},
    LIMIT_AT(HEADERS) = {503, "overloaded", "headers", COUNTER_AT(local_no_memory)},
    LIMIT_AT(PAYLOAD) = {503, "overloaded", "payload", COUNTER_AT(local_no_memory)},
    LIMIT_AT(PRINCIPAL_FLIGHTS) = {503, "too many requests of yours in progress",
                                   "principal-flights", COUNTER_AT(local_principal_share)},
    LIMIT_AT(PRINCIPAL_PAYLOAD) = {503, "too much memory of yours in use", "principal-payload",
                                   COUNTER_AT(local_principal_share)},
    [LOCAL_TIMEOUT] = {504, "request timeout", "request-timeout", COUNTER_AT(local_timeout)},
    [LOCAL_BODY_TIMEOUT] = {408, "request body timeout", "body-timeout",
                            COUNTER_AT(local_body_timeout)},
    [LOCAL_RESPONSE_SIZE] = {502, "response header section too large", "response-size",
                             COUNTER_AT(local_response_size)},
    [LOCAL_SHUT] = {503, "backend asked for a pause", "retry-after", COUNTER_AT(local_shut)},
    /* as the failure says */
    [LOCAL_FLIGHT] = {0, "", "flight", COUNTER_AT(local_flight)},
};

const char *local_answer_name(enum local_answer local)
{
    return rules[local].name;
}

static void no_release(struct segment_source *source, struct segment *segment)
{
    /* The engine keeps one reference for ever, so the count never gets here. */
    check(!"a local answer's text is never released");
}

static struct segment_source answer_source = {.released = no_release};

static void write_text(struct segment *segment, uint8_t *room, uint16_t status, const char *reason)
{
    int length = snprintf((char *)room, TEXT_BYTES, "%u %s\n", status, reason);
    *segment = (struct segment){
        .data = room,
        .length = (uint32_t)length < TEXT_BYTES ? (uint32_t)length : TEXT_BYTES - 1,
        .capacity = TEXT_BYTES,
        .references = 1,
        .source = &answer_source,
    };
}

bool local_answers_init(struct request_engine *engine, int socket_id)
{
    engine->answer_texts =
        memory_take("request answers", TEXTS * sizeof(struct segment), socket_id);
    uint8_t *room = memory_take("request answers", (size_t)TEXTS * TEXT_BYTES, socket_id);
    if (engine->answer_texts == NULL || room == NULL)
        return false;
    for (int i = 0; i < LOCAL_ANSWERS; i++)
        write_text(&engine->answer_texts[i], room + i * TEXT_BYTES, rules[i].status,
                   rules[i].reason);
    for (int i = 0; i < FLIGHT_FAILURES; i++) {
        const struct flight_failure_answer *answer = flight_failure_answer((enum flight_failure)i);
        write_text(&engine->answer_texts[LOCAL_ANSWERS + i],
                   room + (LOCAL_ANSWERS + i) * TEXT_BYTES, answer->status, answer->reason);
    }
    return true;
}

uint16_t local_answer_status(const struct exchange *exchange)
{
    if (exchange->local == LOCAL_FLIGHT)
        return flight_failure_answer(exchange->failure)->status;
    return rules[exchange->local].status;
}

struct chunk local_answer_text(const struct exchange *exchange)
{
    uint32_t index = exchange->local == LOCAL_FLIGHT ? LOCAL_ANSWERS + exchange->failure
                                                     : (uint32_t)exchange->local;
    struct segment *text = &exchange->engine->answer_texts[index];
    return (struct chunk){text, 0, text->length};
}

bool local_answer_retry_after(const struct exchange *exchange)
{
    return local_answer_status(exchange) == 503 || exchange->local == LOCAL_FLIGHT;
}

void local_answer_count(struct exchange *exchange)
{
    uint8_t *counters = (uint8_t *)&exchange->engine->counters;
    counter_add((uint64_t *)(void *)(counters + rules[exchange->local].counter), 1);
}
