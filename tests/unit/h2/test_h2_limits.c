/*
 * What a peer may do how often (h2_limits.def).
 */
#include "dataplane/base/clock.h"
#include "tests/unit/h2/h2_case.h"

#include <stdio.h>

struct flood {
    const char *name;
    const char *before;
    const char *frames; /* %x: a fresh stream identifier */
    uint32_t burst;
    uint32_t per_second;
    size_t counter;
};

#define FLOOD(name) offsetof(struct h2_counters, name) / sizeof(uint64_t)

static const struct flood floods[] = {
    {"rapid reset", "", "HEADERS/5/%1$x @get; RST_STREAM/0/%1$x 00000008", 1000, 33,
     FLOOD(reset_flood)},
    {"making us reset by malformed requests", "", "HEADERS/5/%x 82", 1000, 33, FLOOD(reset_flood)},
    {"making us reset by WINDOW_UPDATE", "", "HEADERS/5/%1$x @get; WINDOW_UPDATE/0/%1$x 00000000",
     1000, 33, FLOOD(reset_flood)},
    {"PING", "", "PING/0/0 z8", 1000, 100, FLOOD(ping_flood)},
    {"PING ACK", "", "PING/1/0 z8", 1000, 100, FLOOD(ping_flood)},
    {"SETTINGS", "", "SETTINGS/0/0", 98, 10, FLOOD(settings_flood)}, /* 2 were the handshake's */
    {"SETTINGS ACK", "", "SETTINGS/1/0", 98, 10, FLOOD(settings_flood)},
    {"empty DATA", "HEADERS/4/1 @get", "DATA/0/1", 500, 50, FLOOD(empty_data_flood)},
    {"nothing but padding", "HEADERS/4/1 @get", "DATA/8/1 00", 500, 50, FLOOD(empty_data_flood)},
    {"PRIORITY", "", "PRIORITY/0/1 0000000310", 2000, 200, FLOOD(priority_flood)},
    {"WINDOW_UPDATE", "", "WINDOW_UPDATE/0/0 00000001", 4000, 400, FLOOD(window_update_flood)},
    {"unknown frames", "", "ee/0/0 00", 1000, 100, FLOOD(unknown_flood)},
    {"DATA on a closed stream", "HEADERS/4/1 @get; !reset", "DATA/0/1 00", 40000, 10000,
     FLOOD(discarded_flood)},
    {"requests behind our GOAWAY", "HEADERS/4/1 @get; !shutdown", "HEADERS/5/%x @get", 40000, 10000,
     FLOOD(discarded_flood)},
};

static void send_times(const struct flood *flood, uint32_t times, uint32_t *id)
{
    char text[200];
    for (uint32_t i = 0; i < times; i++) {
        snprintf(text, sizeof(text), flood->frames, *id);
        *id += 2;
        lab_script(text);
        lab_forget_sent();
    }
}

static void what_peers_may_do_is_bounded(void **state)
{
    for (size_t i = 0; i < array_count(floods); i++) {
        const struct flood *flood = &floods[i];
        uint32_t id = 3;
        struct h2_config config = lab_config();
        config.idle_timeout_ns = 0;
        open_with(H2_SERVER, &config);
        lab_script(flood->before);
        send_times(flood, flood->burst, &id);
        if (lab.owner.conn == NULL)
            print_error("%s: over too early\n", flood->name);
        assert_non_null(lab.owner.conn);
        lab_wait(CLOCK_S);
        send_times(flood, flood->per_second, &id);
        assert_non_null(lab.owner.conn);
        assert_int_equal(lab_counter(flood->counter), 0);
        char text[200];
        snprintf(text, sizeof(text), flood->frames, id);
        lab_script(text);
        if (lab.owner.conn != NULL)
            print_error("%s: not bounded\n", flood->name);
        assert_goaway(H2_ENHANCE_YOUR_CALM);
        assert_int_equal(lab_counter(flood->counter), 1);
        lab_close();
    }
}

static void window_updates_that_our_data_explains_are_free(void **state)
{
    open_server();
    lab.owner.body_bytes = 10000000;
    lab_script("HEADERS/5/1 @get; WINDOW_UPDATE/0/1 00ffffff; !answer");
    for (uint32_t i = 0; i < 8000; i++) {
        lab_script("WINDOW_UPDATE/0/0 00000100");
        lab_forget_sent();
    }
    assert_non_null(lab.owner.conn);
    lab_close();
}

static void more_resets_than_are_remembered_are_forgiven(void **state)
{
    open_server();
    char text[100];
    lab_script("HEADERS/4/1 @get");
    for (uint32_t id = 3; id < 3 + 2 * 40; id += 2) {
        lab_reset_first();
        snprintf(text, sizeof(text), "HEADERS/4/%x @get", id);
        lab_script(text);
    }
    lab_script("DATA/0/1 z100; DATA/1/5 z100");
    assert_non_null(lab.owner.conn);
    assert_int_equal(COUNT(frames_discarded), 2);
    lab_close();
}

static void interim_responses_are_bounded(void **state)
{
    open_client();
    lab_request(1);
    for (uint32_t i = 0; i < 32; i++)
        lab_script("HEADERS/4/1 08 03 '103");
    assert_int_equal(lab.owner.resets, 0);
    lab_script("HEADERS/4/1 08 03 '103");
    assert_int_equal(lab.owner.resets, 1);
    assert_int_equal(COUNT(interim_flood), 1);
    lab_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_peers_may_do_is_bounded),
        cmocka_unit_test(window_updates_that_our_data_explains_are_free),
        cmocka_unit_test(more_resets_than_are_remembered_are_forgiven),
        cmocka_unit_test(interim_responses_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
