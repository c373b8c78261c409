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
    size_t counter; /* offset in struct request_counters */
};

#define COUNTER_AT(name) offsetof(struct request_counters, name)

static const struct local_answer_rule rules[LOCAL_ANSWERS] = {
    [LOCAL_BAD_REQUEST] = {400, "bad request target or max-forwards",
                           COUNTER_AT(local_bad_request)},
    [LOCAL_NO_ROUTE] = {404, "no route", COUNTER_AT(local_no_route)},
    [LOCAL_METHOD] = {501, "method not forwarded", COUNTER_AT(local_method)},
    [LOCAL_OPTIONS] = {200, "this hop", COUNTER_AT(local_options)},
    [LOCAL_HEADER_SIZE] = {431, "header section too large", COUNTER_AT(local_header_size)},
    [LOCAL_NO_MEMORY] = {503, "overloaded", COUNTER_AT(local_no_memory)},
    [LOCAL_TIMEOUT] = {504, "request timeout", COUNTER_AT(local_timeout)},
    [LOCAL_BODY_TIMEOUT] = {408, "request body timeout", COUNTER_AT(local_body_timeout)},
    [LOCAL_RESPONSE_SIZE] = {502, "response header section too large",
                             COUNTER_AT(local_response_size)},
    [LOCAL_SHUT] = {503, "backend asked for a pause", COUNTER_AT(local_shut)},
    [LOCAL_FLIGHT] = {0, "", COUNTER_AT(local_flight)}, /* as the failure says */
};

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
                   rules[i].reason != NULL ? rules[i].reason : "");
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
