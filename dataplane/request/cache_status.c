/*
 * cache_status: how an answer came about, for its receiver (RFC 9211, rule C24).
 *
 *     weir; fwd=miss                        it asked a backend; others may have joined
 *     weir; fwd=miss; collapsed             it shared the flight of somebody else
 *     weir; fwd=bypass; detail=REASON       it asked a backend for itself alone, and why
 *     weir; fwd=miss; detail=FAILURE        no backend gave an answer
 *     weir; detail=REASON                   no backend was asked
 */
#include "dataplane/base/writer.h"
#include "dataplane/request/exchange.h"

#define BYPASS "weir; fwd=bypass; detail="

/* Most answers have one of these. The reason by itself stands behind BYPASS. */
static const struct {
    const char *text;
    uint8_t length;
} bypasses[KEY_VERDICTS] = {
#define VERDICT(verdict, reason) [verdict] = {BYPASS reason, sizeof(BYPASS reason) - 1}
    VERDICT(KEY_OK, ""),
    VERDICT(KEY_ROUTE_OFF, "route-off"),
    VERDICT(KEY_SHADOW, "shadow"),
    VERDICT(KEY_SHADOW_BODY, "shadow"),
    VERDICT(KEY_METHOD, "method"),
    VERDICT(KEY_HAS_BODY, "body"),
    VERDICT(KEY_HOLD_BODY, "held"),
    VERDICT(KEY_BODY_BOUND, "body-bound"),
    VERDICT(KEY_PREDICATE, "when-json"),
    VERDICT(KEY_EXPECT_OR_UPGRADE, "expect"),
    VERDICT(KEY_CLIENT_OPTED_OUT, "client"),
    VERDICT(KEY_UNKEYED_HEADER, "unkeyed-header"),
    VERDICT(KEY_TOO_LONG, "key-length"),
#undef VERDICT
};

const char *exchange_alone_name(const struct exchange *exchange)
{
    enum apart apart = exchange->subscriber.apart;
    return apart != APART_NOT ? apart_name(apart)
                              : bypasses[exchange->verdict].text + sizeof(BYPASS) - 1;
}

static void write_text(struct writer *out, const char *text)
{
    writer_bytes(out, bytes_text(text));
}

/* A text that is put together in ROOM. */
static struct bytes with_reason(uint8_t room[CACHE_STATUS_BYTES], const char *what,
                                const char *reason)
{
    struct writer out = writer_over(room, CACHE_STATUS_BYTES);
    write_text(&out, what);
    write_text(&out, reason);
    return writer_written(&out);
}

struct bytes cache_status(const struct exchange *exchange, uint8_t room[CACHE_STATUS_BYTES])
{
    const struct subscriber *subscriber = &exchange->subscriber;
    if (exchange->local == LOCAL_FLIGHT)
        return with_reason(
            room, "weir; fwd=miss; detail=", flight_failure_answer(exchange->failure)->name);
    if (exchange->local != LOCAL_NONE)
        return with_reason(room, "weir; detail=", local_answer_name(exchange->local));
    if (subscriber->role == SUBSCRIBER_JOINED)
        return bytes_text("weir; fwd=miss; collapsed");
    if (subscriber->apart != APART_NOT)
        return with_reason(room, BYPASS, apart_name(subscriber->apart));
    if (exchange->verdict == KEY_OK)
        return bytes_text("weir; fwd=miss");
    return bytes_of(bypasses[exchange->verdict].text, bypasses[exchange->verdict].length);
}
