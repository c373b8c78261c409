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

static const char *const verdict_names[KEY_VERDICTS] = {
    [KEY_OK] = "",
    [KEY_ROUTE_OFF] = "route-off",
    [KEY_SHADOW] = "shadow",
    [KEY_SHADOW_BODY] = "shadow",
    [KEY_METHOD] = "method",
    [KEY_HAS_BODY] = "body",
    [KEY_HOLD_BODY] = "held",
    [KEY_BODY_BOUND] = "body-bound",
    [KEY_PREDICATE] = "when-json",
    [KEY_EXPECT_OR_UPGRADE] = "expect",
    [KEY_CLIENT_OPTED_OUT] = "client",
    [KEY_UNKEYED_HEADER] = "unkeyed-header",
    [KEY_TOO_LONG] = "key-length",
};

const char *exchange_alone_name(const struct exchange *exchange)
{
    enum apart apart = exchange->subscriber.apart;
    return apart != APART_NOT ? apart_name(apart) : verdict_names[exchange->verdict];
}

static void write_text(struct writer *out, const char *text)
{
    writer_bytes(out, bytes_text(text));
}

struct bytes cache_status(const struct exchange *exchange, uint8_t room[CACHE_STATUS_BYTES])
{
    struct writer out = writer_over(room, CACHE_STATUS_BYTES);
    const char *alone = exchange_alone_name(exchange);
    if (exchange->local == LOCAL_FLIGHT) {
        write_text(&out, "weir; fwd=miss; detail=");
        write_text(&out, flight_failure_answer(exchange->failure)->name);
    } else if (exchange->local != LOCAL_NONE) {
        write_text(&out, "weir; detail=");
        write_text(&out, local_answer_name(exchange->local));
    } else if (exchange->subscriber.role == SUBSCRIBER_JOINED) {
        write_text(&out, "weir; fwd=miss; collapsed");
    } else if (alone[0] == '\0') {
        write_text(&out, "weir; fwd=miss");
    } else {
        write_text(&out, "weir; fwd=bypass; detail=");
        write_text(&out, alone);
    }
    return writer_written(&out);
}
