/* cache_status: each way an answer can come about is told (C24). */
#include "dataplane/request/exchange.h"
#include "tests/support/cmocka.h"

static void c24_an_answer_says_how_it_came_about(void **state)
{
    static const struct {
        struct exchange exchange;
        const char *value;
    } cases[] = {
        {{.verdict = KEY_OK}, "weir; fwd=miss"},
        {{.verdict = KEY_OK, .subscriber.role = SUBSCRIBER_JOINED}, "weir; fwd=miss; collapsed"},
        {{.verdict = KEY_ROUTE_OFF}, "weir; fwd=bypass; detail=route-off"},
        {{.verdict = KEY_SHADOW}, "weir; fwd=bypass; detail=shadow"},
        {{.verdict = KEY_CLIENT_OPTED_OUT}, "weir; fwd=bypass; detail=client"},
        {{.verdict = KEY_UNKEYED_HEADER}, "weir; fwd=bypass; detail=unkeyed-header"},
        {{.verdict = KEY_OK, .subscriber.apart = APART_STALLED},
         "weir; fwd=bypass; detail=stalled"},
        {{.verdict = KEY_OK, .subscriber.apart = APART_UNSHAREABLE},
         "weir; fwd=bypass; detail=unshareable"},
        {{.local = LOCAL_FLIGHT, .failure = FLIGHT_NO_BACKEND},
         "weir; fwd=miss; detail=no-backend"},
        {{.local = LOCAL_TIMEOUT, .subscriber.role = SUBSCRIBER_JOINED}, "weir; detail=request-timeout"},
    };
    for (size_t i = 0; i < array_count(cases); i++) {
        uint8_t room[CACHE_STATUS_BYTES];
        struct bytes value = cache_status(&cases[i].exchange, room);
        if (!bytes_equal_text(value, cases[i].value))
            fail_msg("%.*s, not %s", (int)value.length, (const char *)value.data, cases[i].value);
    }
}

static void c24_every_reason_fits_and_is_a_token(void **state)
{
    for (enum apart apart = APART_NOT + 1; apart < APARTS; apart++) {
        uint8_t room[CACHE_STATUS_BYTES];
        struct exchange exchange = {.subscriber.apart = apart};
        struct bytes value = cache_status(&exchange, room);
        struct bytes name = bytes_text(apart_name(apart));
        assert_true(name.length > 0);
        assert_memory_equal(value.data + value.length - name.length, name.data, name.length);
        for (size_t i = 0; i < name.length; i++)
            assert_true((name.data[i] >= 'a' && name.data[i] <= 'z') || name.data[i] == '-');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(c24_an_answer_says_how_it_came_about),
        cmocka_unit_test(c24_every_reason_fits_and_is_a_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
