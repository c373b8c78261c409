/* The control socket: real sockets on the loop, a fake daemon behind them. */
#include "control/socket.h"

#include "control/methods.h"
#include "dataplane/base/check.h"
#include "tests/support/cmocka.h"
#include "tests/support/control_peer.h"
#include "tests/support/fake_daemon.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct fixture {
    struct daemon *daemon;
    struct socket_server *server;
    struct control_peer peer;
};

static int open_fixture(void **state)
{
    char message[256] = "";
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->daemon = fake_daemon_create();
    fixture->server = socket_open(fixture->daemon, message, sizeof(message));
    assert_string_equal(message, "");
    assert_non_null(fixture->server);
    control_peer_open(&fixture->peer, fixture->daemon);
    *state = fixture;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *fixture = *state;
    control_peer_close(&fixture->peer);
    socket_close(fixture->server);
    fake_daemon_destroy(fixture->daemon);
    free(fixture);
    return 0;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    assert_non_null(text);
    return text;
}

static json_int_t number_of(const json_t *object, const char *key)
{
    assert_true(json_is_integer(json_object_get(object, key)));
    return json_integer_value(json_object_get(object, key));
}

static json_int_t code_of(const json_t *answer)
{
    return number_of(json_object_get(answer, "error"), "code");
}

static void expect_alive(struct fixture *fixture)
{
    struct control_peer peer;
    control_peer_open(&peer, fixture->daemon);
    json_t *result = control_peer_call(&peer, "status", NULL);
    assert_string_equal(text_of(result, "node"), "fake-1");
    json_decref(result);
    control_peer_close(&peer);
}

static void an_answer_carries_the_id_of_its_request(void **state)
{
    static const char *const ids[] = {"1", "-7", "'a text'", "null", "2.5"};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < array_count(ids); i++) {
        char text[128];
        snprintf(text, sizeof(text), "{'jsonrpc':'2.0','id':%s,'method':'config.get'}", ids[i]);
        json_t *answer = control_peer_ask(&fixture->peer, text);
        char *id = json_dumps(json_object_get(answer, "id"), JSON_ENCODE_ANY);
        for (char *at = id; *at != '\0'; at++)
            if (*at == '"')
                *at = '\'';
        assert_string_equal(id, ids[i]);
        assert_string_equal(text_of(answer, "jsonrpc"), "2.0");
        assert_non_null(json_object_get(answer, "result"));
        free(id);
        json_decref(answer);
    }
}

static void a_line_that_is_wrong_is_answered_with_the_code_of_the_standard(void **state)
{
    static const struct {
        const char *line;
        int code;
    } cases[] = {
        {"{", -32700},
        {"nonsense", -32700},
        {"{'jsonrpc':'2.0','id':1,'id':2,'method':'status'}", -32700},
        {"{'jsonrpc':'2.0','id':1,'method':'status'} {}", -32700},
        {"\xff\xfe", -32700},
        {"5", -32600},
        {"null", -32600},
        {"'text'", -32600},
        {"[]", -32600},
        {"{}", -32600},
        {"{'id':1,'method':'status'}", -32600},
        {"{'jsonrpc':'1.0','id':1,'method':'status'}", -32600},
        {"{'jsonrpc':2,'id':1,'method':'status'}", -32600},
        {"{'jsonrpc':'2.0','id':1}", -32600},
        {"{'jsonrpc':'2.0','id':1,'method':5}", -32600},
        {"{'jsonrpc':'2.0','id':{},'method':'status'}", -32600},
        {"{'jsonrpc':'2.0','id':[1],'method':'status'}", -32600},
        {"{'jsonrpc':'2.0','id':1,'method':'status','params':5}", -32600},
        {"{'jsonrpc':'2.0','id':1,'method':'status','params':null}", -32600},
        {"{'jsonrpc':'2.0','id':1,'method':'Status'}", -32601},
        {"{'jsonrpc':'2.0','id':1,'method':''}", -32601},
        {"{'jsonrpc':'2.0','id':1,'method':'status','params':{'x':1}}", -32602},
        {"{'jsonrpc':'2.0','id':1,'method':'status','params':[1]}", -32602},
        {"{'jsonrpc':'2.0','id':1,'method':'stats','params':{'prefix':1}}", -32602},
        {"{'jsonrpc':'2.0','id':1,'method':'stats','params':['a','b']}", -32602},
        {"{'jsonrpc':'2.0','id':1,'method':'region.drain'}", -32602},
        {"{'jsonrpc':'2.0','id':1,'method':'region.drain','params':{'region':'asia'}}", -32602},
        {"{'jsonrpc':'2.0','id':1,'method':'region.drain','params':{'region':'eu','ttl':5}}",
         -32602},
        {"{'jsonrpc':'2.0','id':1,'method':'region.drain','params':{'region':'eu','ttl':'5'}}",
         -32602},
        {"{'jsonrpc':'2.0','id':1,'method':'region.drain','params':{'region':'eu','ttl':'5ms'}}",
         -32602},
        {"{'jsonrpc':'2.0','id':1,'method':'config.apply','params':{'config':[]}}", -32602},
        {"{'jsonrpc':'2.0','id':1,'method':'config.apply','params':{'config':{}}}", -32001},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < array_count(cases); i++) {
        json_t *answer = control_peer_ask(&fixture->peer, cases[i].line);
        if (code_of(answer) != cases[i].code)
            print_error("%s\n", cases[i].line);
        assert_int_equal(code_of(answer), cases[i].code);
        assert_true(strlen(text_of(json_object_get(answer, "error"), "message")) > 5);
        assert_non_null(json_object_get(answer, "id"));
        json_decref(answer);
    }
    assert_null(fixture->daemon->failover.done);
}

static void blank_lines_and_notifications_get_no_answer(void **state)
{
    struct fixture *fixture = *state;
    control_peer_send(&fixture->peer, "");
    control_peer_send(&fixture->peer, "  \t\r");
    control_peer_send(&fixture->peer, "{'jsonrpc':'2.0','method':'status'}");
    control_peer_send(&fixture->peer, "{'jsonrpc':'2.0','method':'no such method'}");
    control_peer_send(&fixture->peer, "[{'jsonrpc':'2.0','method':'status'}]");
    json_t *answer =
        control_peer_ask(&fixture->peer, "{'jsonrpc':'2.0','id':9,'method':'status'}\r");
    assert_int_equal(number_of(answer, "id"), 9);
    json_decref(answer);
}

static void a_batch_is_answered_as_a_whole(void **state)
{
    struct fixture *fixture = *state;
    json_t *answers =
        control_peer_ask(&fixture->peer, "[{'jsonrpc':'2.0','id':1,'method':'status'},"
                                         "{'jsonrpc':'2.0','method':'status'}, 5,"
                                         "{'jsonrpc':'2.0','id':2,'method':'nothing'}]");
    assert_int_equal(json_array_size(answers), 3);
    assert_non_null(json_object_get(json_array_get(answers, 0), "result"));
    assert_int_equal(code_of(json_array_get(answers, 1)), -32600);
    assert_int_equal(code_of(json_array_get(answers, 2)), -32601);
    json_decref(answers);
}

static void a_batch_waits_for_its_slowest_call(void **state)
{
    struct fixture *fixture = *state;
    control_peer_send(&fixture->peer, "[{'jsonrpc':'2.0','id':1,'method':'flight.list'},"
                                      "{'jsonrpc':'2.0','id':2,'method':'status'}]");
    json_t *single = control_peer_ask(&fixture->peer, "{'jsonrpc':'2.0','id':3,'method':'status'}");
    assert_int_equal(number_of(single, "id"), 3);
    fake_flights_end(fixture->daemon, true);
    json_t *answers = control_peer_read(&fixture->peer);
    assert_int_equal(json_array_size(answers), 2);
    json_decref(single);
    json_decref(answers);
}

static void a_batch_that_is_too_long_is_refused(void **state)
{
    struct fixture *fixture = *state;
    json_t *batch = json_array();
    for (int i = 0; i < RPC_BATCH_MAX + 1; i++)
        json_array_append_new(
            batch, json_pack("{s:s, s:i, s:s}", "jsonrpc", "2.0", "id", i, "method", "status"));
    char *text = json_dumps(batch, JSON_COMPACT);
    json_t *answer = control_peer_ask(&fixture->peer, text);
    assert_int_equal(code_of(answer), -32600);
    json_decref(answer);
    json_array_remove(batch, 0);
    free(text);
    text = json_dumps(batch, JSON_COMPACT);
    answer = control_peer_ask(&fixture->peer, text);
    assert_int_equal(json_array_size(answer), RPC_BATCH_MAX);
    json_decref(answer);
    json_decref(batch);
    free(text);
}

static const char whole[] = "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"config.get\"}\n";

static bool once(void *context)
{
    int *turns = context;
    return (*turns)++ > 1;
}

static void a_request_cut_at_any_byte_is_put_together(void **state)
{
    struct fixture *fixture = *state;
    for (size_t cut = 1; cut < strlen(whole); cut++) {
        int turns = 0;
        control_peer_send_bytes(&fixture->peer, whole, cut);
        fake_daemon_run_until(fixture->daemon, once, &turns);
        control_peer_send_bytes(&fixture->peer, whole + cut, strlen(whole) - cut);
        json_t *answer = control_peer_read(&fixture->peer);
        assert_int_equal(number_of(answer, "id"), 5);
        json_decref(answer);
    }
}

static void a_request_cut_by_hanging_up_does_nothing(void **state)
{
    static const char drain[] =
        "{\"jsonrpc\":\"2.0\",\"method\":\"region.drain\",\"params\":[\"eu\"]}\n";
    struct fixture *fixture = *state;
    for (size_t cut = 1; cut < strlen(drain); cut++) {
        struct control_peer peer;
        control_peer_open(&peer, fixture->daemon);
        control_peer_send_bytes(&peer, drain, cut);
        assert_int_equal(shutdown(peer.fd, SHUT_WR), 0);
        control_peer_expect_end(&peer);
        assert_int_equal(peer.used, 0);
        control_peer_close(&peer);
        assert_null(fixture->daemon->failover.done);
    }
    expect_alive(fixture);
}

static bool drain_arrived(void *context)
{
    struct daemon *daemon = context;
    return daemon->failover.done != NULL;
}

static void a_request_counts_when_its_client_has_hung_up_already(void **state)
{
    static const char drain[] =
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"region.drain\",\"params\":[\"us\"]}\n";
    struct fixture *fixture = *state;
    struct control_peer peer;
    control_peer_open(&peer, fixture->daemon);
    assert_int_equal(send(peer.fd, drain, strlen(drain), 0), (ssize_t)strlen(drain));
    control_peer_close(&peer);
    fake_daemon_run_until(fixture->daemon, drain_arrived, fixture->daemon);
    assert_int_equal(fixture->daemon->failover.region, 1);
    expect_alive(fixture);
    fake_command_done(fixture->daemon, true, "nobody hears this");
    expect_alive(fixture);
}

static void a_client_that_stops_sending_still_gets_its_answer(void **state)
{
    struct fixture *fixture = *state;
    control_peer_send(&fixture->peer, "{'jsonrpc':'2.0','id':1,'method':'flight.list'}");
    assert_int_equal(shutdown(fixture->peer.fd, SHUT_WR), 0);
    expect_alive(fixture);
    fake_flights_end(fixture->daemon, false);
    json_t *answer = control_peer_read(&fixture->peer);
    assert_true(json_is_false(json_object_get(json_object_get(answer, "result"), "complete")));
    json_decref(answer);
    control_peer_expect_end(&fixture->peer);
}

static void a_line_without_end_is_refused_and_its_client_dropped(void **state)
{
    struct fixture *fixture = *state;
    size_t length = (4u << 20) + 65536 * 2;
    char *line = malloc(length);
    memset(line, ' ', length);
    control_peer_send_bytes(&fixture->peer, line, length);
    json_t *answer = control_peer_read(&fixture->peer);
    assert_int_equal(code_of(answer), -32600);
    control_peer_expect_end(&fixture->peer);
    json_decref(answer);
    free(line);
    expect_alive(fixture);
}

static void a_line_of_almost_four_mebibytes_is_read(void **state)
{
    struct fixture *fixture = *state;
    size_t padding = (4u << 20) - 1000;
    char *line = malloc(padding + sizeof(whole));
    memset(line, ' ', padding);
    memcpy(line + padding, whole, strlen(whole));
    control_peer_send_bytes(&fixture->peer, line, padding + strlen(whole));
    json_t *answer = control_peer_read(&fixture->peer);
    assert_int_equal(number_of(answer, "id"), 5);
    json_decref(answer);
    free(line);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct fixture *fixture = *state;
    char lines[300 * 64];
    size_t used = 0;
    for (int i = 0; i < 300; i++)
        used += (size_t)snprintf(lines + used, sizeof(lines) - used,
                                 "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"config.get\"}\n", i);
    control_peer_send_bytes(&fixture->peer, lines, used);
    for (int i = 0; i < 300; i++) {
        json_t *answer = control_peer_read(&fixture->peer);
        assert_int_equal(number_of(answer, "id"), i);
        json_decref(answer);
    }
}

struct flood {
    int fd;
    const char *line;
    size_t at; /* in the line */
    int sent;  /* lines */
    int most;
    int turns_full; /* in a row that the socket took nothing */
};

/* As many lines as go out, until the socket takes no more for long: the daemon does not read. */
static bool flooded(void *context)
{
    struct flood *flood = context;
    size_t length = strlen(flood->line);
    while (flood->sent < flood->most) {
        ssize_t count = send(flood->fd, flood->line + flood->at, length - flood->at, MSG_NOSIGNAL);
        if (count < 0)
            return ++flood->turns_full > 50;
        flood->turns_full = 0;
        flood->at += (size_t)count;
        if (flood->at < length)
            continue;
        flood->at = 0;
        flood->sent++;
    }
    return true;
}

static void a_client_that_does_not_read_is_not_read_until_it_does(void **state)
{
    struct fixture *fixture = *state;
    struct flood flood = {.fd = fixture->peer.fd,
                          .most = 1000000,
                          .line = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"stats\"}\n"};
    fake_daemon_run_until(fixture->daemon, flooded, &flood);
    assert_true(flood.sent < flood.most);
    expect_alive(fixture);
    for (int i = 0; i < flood.sent; i++) {
        json_t *answer = control_peer_read(&fixture->peer);
        assert_non_null(json_object_get(answer, "result"));
        json_decref(answer);
    }
}

static void a_client_too_many_is_hung_up_on(void **state)
{
    struct fixture *fixture = *state;
    struct control_peer peers[33];
    for (size_t i = 0; i < 31; i++) {
        control_peer_open(&peers[i], fixture->daemon);
        json_decref(control_peer_call(&peers[i], "status", NULL));
    }
    json_decref(control_peer_call(&fixture->peer, "status", NULL));
    control_peer_open(&peers[31], fixture->daemon);
    control_peer_expect_end(&peers[31]);
    control_peer_close(&peers[31]);
    control_peer_close(&peers[0]);
    int turns = 0;
    fake_daemon_run_until(fixture->daemon, once, &turns);
    control_peer_open(&peers[0], fixture->daemon);
    json_decref(control_peer_call(&peers[0], "status", NULL));
    for (size_t i = 0; i < 31; i++)
        control_peer_close(&peers[i]);
}

static bool listing_arrived(void *context)
{
    struct daemon *daemon = context;
    return daemon->end != NULL;
}

static bool listing_forgotten(void *context)
{
    struct daemon *daemon = context;
    return daemon->forgotten > 0;
}

static void a_listing_is_forgotten_with_its_client(void **state)
{
    struct fixture *fixture = *state;
    struct control_peer peer;
    control_peer_open(&peer, fixture->daemon);
    control_peer_send(&peer, "{'jsonrpc':'2.0','id':1,'method':'flight.list'}");
    fake_daemon_run_until(fixture->daemon, listing_arrived, fixture->daemon);
    json_t *error = control_peer_refused(&fixture->peer, "flight.list", NULL);
    assert_int_equal(number_of(error, "code"), -32000);
    json_decref(error);
    control_peer_close(&peer);
    fake_daemon_run_until(fixture->daemon, listing_forgotten, fixture->daemon);
    expect_alive(fixture);
}

static void flights_are_listed_by_the_names_of_route_and_backend(void **state)
{
    struct fixture *fixture = *state;
    struct daemon *daemon = fixture->daemon;
    struct fact_flight flight = {.handle = 0xabc,
                                 .age_ns = 2500000000,
                                 .body_bytes = 77,
                                 .subscribers = 3,
                                 .backend_slot = 2,
                                 .route = 1,
                                 .attempt = 1,
                                 .state = FLIGHT_ANSWERING,
                                 .coalesced = 1};
    control_peer_send(&fixture->peer, "{'jsonrpc':'2.0','id':1,'method':'flight.list'}");
    fake_daemon_run_until(daemon, listing_arrived, daemon);
    daemon->show(daemon->listing_context, 1, &flight);
    flight.attempt = 0;
    flight.route = 999; /* of a configuration that has gone */
    daemon->show(daemon->listing_context, 0, &flight);
    fake_flights_end(daemon, true);
    json_t *answer = control_peer_read(&fixture->peer);
    const json_t *flights = json_object_get(json_object_get(answer, "result"), "flights");
    const json_t *first = json_array_get(flights, 0);
    assert_int_equal(json_array_size(flights), 2);
    assert_string_equal(text_of(first, "id"), "1-0000000000000abc");
    assert_string_equal(text_of(first, "route"), daemon->config->routes[1].name);
    assert_string_equal(text_of(first, "backend"), "us-1");
    assert_int_equal(number_of(first, "worker"), 1);
    assert_int_equal(number_of(first, "age_ms"), 2500);
    assert_int_equal(number_of(first, "subscribers"), 3);
    assert_null(json_object_get(json_array_get(flights, 1), "backend"));
    json_decref(answer);
}

static void a_flight_is_ended_by_the_id_it_is_listed_with(void **state)
{
    struct fixture *fixture = *state;
    struct daemon *daemon = fixture->daemon;
    struct fact_flight flight = {.handle = 0xabc};
    control_peer_send(&fixture->peer,
                      "{'jsonrpc':'2.0','id':1,'method':'flight.kill',"
                      "'params':{'id':'0-0000000000000abc'}}");
    fake_daemon_run_until(daemon, listing_arrived, daemon);
    assert_int_equal(daemon->kill_worker, 0);
    assert_int_equal(daemon->kill_flight, 0xabc);
    daemon->show(daemon->listing_context, 0, &flight);
    fake_flights_end(daemon, true);
    json_t *answer = control_peer_read(&fixture->peer);
    const json_t *killed = json_object_get(json_object_get(answer, "result"), "killed");
    assert_string_equal(text_of(killed, "id"), "0-0000000000000abc");
    json_decref(answer);
    json_decref(control_peer_refused(&fixture->peer, "flight.kill", "{'id':'99-1'}"));
    json_decref(control_peer_refused(&fixture->peer, "flight.kill", "{'id':'0-1x'}"));
}

static void a_routes_mode_is_changed_while_running(void **state)
{
    struct fixture *fixture = *state;
    const char *name = fixture->daemon->config->routes[0].name;
    char parameters[256];
    snprintf(parameters, sizeof(parameters), "{'route':'%s','mode':'shadow'}", name);
    json_decref(control_peer_call(&fixture->peer, "coalesce.route", parameters));
    assert_int_equal(fixture->daemon->config->routes[0].coalesce.mode, COALESCE_SHADOW);
    snprintf(parameters, sizeof(parameters), "{'route':'%s','mode':'all'}",
             fixture->daemon->config->routes[0].name);
    json_decref(control_peer_refused(&fixture->peer, "coalesce.route", parameters));
    json_decref(control_peer_refused(&fixture->peer, "coalesce.route",
                                     "{'route':'nobody','mode':'off'}"));
}

static void a_drain_says_who_ordered_it_and_waits_for_the_store(void **state)
{
    struct fixture *fixture = *state;
    struct failover *failover = &fixture->daemon->failover;
    char who[64];
    control_peer_send(&fixture->peer, "{'jsonrpc':'2.0','id':1,'method':'region.drain',"
                                      "'params':{'region':'us','ttl':'10m'}}");
    fake_daemon_run_until(fixture->daemon, drain_arrived, fixture->daemon);
    assert_int_equal(failover->command, FAILOVER_DRAIN);
    assert_int_equal(failover->region, 1);
    assert_int_equal(failover->ttl_ms, 600000);
    snprintf(who, sizeof(who), "uid=%u pid=%d", getuid(), getpid());
    assert_memory_equal(failover->by, who, strlen(who));
    fake_command_done(fixture->daemon, true, "us is drained");
    json_t *answer = control_peer_read(&fixture->peer);
    assert_string_equal(text_of(json_object_get(answer, "result"), "text"), "us is drained");
    json_decref(answer);
}

static void a_refusal_of_the_store_is_told(void **state)
{
    struct fixture *fixture = *state;
    control_peer_send(&fixture->peer, "{'jsonrpc':'2.0','id':1,'method':'region.undrain',"
                                      "'params':{'region':'eu'}}");
    fake_daemon_run_until(fixture->daemon, drain_arrived, fixture->daemon);
    assert_int_equal(fixture->daemon->failover.command, FAILOVER_UNDRAIN);
    assert_int_equal(fixture->daemon->failover.ttl_ms, 0);
    fake_command_done(fixture->daemon, false, "not drained");
    json_t *answer = control_peer_read(&fixture->peer);
    assert_int_equal(code_of(answer), -32000);
    assert_string_equal(text_of(json_object_get(answer, "error"), "message"), "not drained");
    json_decref(answer);
}

static void regions_and_backends_are_listed_as_programs_expect_them(void **state)
{
    struct fixture *fixture = *state;
    fixture->daemon->failover.active[0] = false;
    fixture->daemon->failover.usable[1] = false;
    json_t *result = control_peer_call(&fixture->peer, "region.list", NULL);
    const json_t *eu = json_array_get(json_object_get(result, "regions"), 0);
    assert_int_equal(json_array_size(json_object_get(result, "regions")), 2);
    assert_string_equal(text_of(eu, "name"), "eu");
    assert_string_equal(text_of(eu, "automatic"), "up");
    assert_true(json_is_false(json_object_get(eu, "active")));
    json_decref(result);
    result = control_peer_call(&fixture->peer, "backend.list", NULL);
    const json_t *second = json_array_get(json_object_get(result, "backends"), 1);
    const json_t *fourth = json_array_get(json_object_get(result, "backends"), 3);
    assert_int_equal(json_array_size(json_object_get(result, "backends")), 4);
    assert_string_equal(text_of(second, "name"), "eu-2");
    assert_true(json_is_false(json_object_get(second, "usable")));
    assert_string_equal(text_of(fourth, "name"), "10.1.2.9:9000");
    assert_string_equal(text_of(fourth, "service"), "models");
    assert_string_equal(text_of(fourth, "region"), "us");
    assert_int_equal(number_of(fourth, "weight"), 7);
    json_decref(result);
}

static void the_load_of_a_backend_is_that_of_its_present_life(void **state)
{
    struct fixture *fixture = *state;
    struct daemon *daemon = fixture->daemon;
    const struct config_backend *backend = &daemon->config->backends[0];
    struct backend_load *loads[] = {&daemon->workers[0].loads.slots[backend->slot],
                                    &daemon->workers[1].loads.slots[backend->slot]};
    *loads[0] = (struct backend_load){.generation = backend->generation,
                                      .in_flight = 3,
                                      .outcomes = {[BACKEND_SUCCESS] = 10, [BACKEND_LATE] = 1}};
    *loads[1] = (struct backend_load){
        .generation = backend->generation, .in_flight = 4, .outcomes = {[BACKEND_BAD_STATUS] = 2}};
    json_t *result = control_peer_call(&fixture->peer, "backend.list", NULL);
    const json_t *first = json_array_get(json_object_get(result, "backends"), 0);
    assert_int_equal(number_of(first, "in_flight"), 7);
    assert_int_equal(number_of(first, "succeeded"), 10);
    assert_int_equal(number_of(first, "failed"), 3);
    json_decref(result);
    loads[1]->generation--;
    result = control_peer_call(&fixture->peer, "backend.list", NULL);
    first = json_array_get(json_object_get(result, "backends"), 0);
    assert_int_equal(number_of(first, "in_flight"), 3);
    json_decref(result);
}

static void status_tells_store_and_configuration(void **state)
{
    struct fixture *fixture = *state;
    json_t *result = control_peer_call(&fixture->peer, "status", NULL);
    const json_t *store = json_object_get(result, "store");
    const json_t *config = json_object_get(result, "config");
    assert_string_equal(text_of(store, "kind"), "memory");
    assert_string_equal(text_of(store, "state"), "connected");
    assert_true(json_is_false(json_object_get(config, "differs")));
    assert_string_equal(text_of(config, "running_file"), "none");
    assert_int_equal(number_of(result, "workers"), 2);
    json_decref(result);
}

static void counters_are_summed_and_chosen_by_prefix(void **state)
{
    struct fixture *fixture = *state;
    fixture->daemon->workers[0].counters.loop.received_packets = 30;
    fixture->daemon->workers[1].counters.loop.received_packets = 12;
    json_t *result = control_peer_call(&fixture->peer, "stats", "{'prefix': 'worker.'}");
    const json_t *counters = json_object_get(result, "counters");
    const json_t *one = json_object_get(counters, "worker.received_packets");
    assert_int_equal(number_of(one, "sum"), 42);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(one, "workers"), 1)), 12);
    assert_string_equal(text_of(one, "unit"), "packets");
    size_t few = json_object_size(counters);
    json_decref(result);
    result = control_peer_call(&fixture->peer, "stats", NULL);
    assert_true(json_object_size(json_object_get(result, "counters")) > few);
    assert_int_equal(json_object_size(json_object_get(result, "counters")),
                     counter_description_count);
    json_decref(result);
}

static void ports_are_listed_with_features_and_counts(void **state)
{
    struct fixture *fixture = *state;
    json_t *result = control_peer_call(&fixture->peer, "port.list", NULL);
    const json_t *port = json_array_get(json_object_get(result, "ports"), 0);
    assert_string_equal(text_of(port, "name"), "front");
    assert_int_equal(number_of(json_object_get(port, "statistics"), "received_packets"), 11);
    assert_int_equal(number_of(json_object_get(port, "steering"), "redirected"), 42);
    assert_true(json_is_true(json_object_get(json_object_get(port, "features"), "rx_checksum")));
    json_decref(result);
}

struct busy_wait {
    struct fixture *fixture;
    double busy;
};

/* The workers' counters go on; the share is known when two samples were taken. */
static bool share_known(void *context)
{
    struct busy_wait *wait = context;
    for (int i = 0; i < FAKE_WORKERS; i++) {
        struct loop_counters *loop = &wait->fixture->daemon->workers[i].counters.loop;
        loop->busy_cycles += 100;
        loop->idle_cycles += 300;
        loop->turns += 1;
    }
    return wait->fixture->daemon->workers[0].counters.loop.turns > 2500;
}

static void workers_are_listed_with_their_busy_share(void **state)
{
    struct fixture *fixture = *state;
    struct busy_wait wait = {.fixture = fixture};
    json_t *result = control_peer_call(&fixture->peer, "worker.list", NULL);
    assert_int_equal(json_array_size(json_object_get(result, "workers")), 2);
    assert_true(json_is_null(
        json_object_get(json_array_get(json_object_get(result, "workers"), 0), "busy")));
    json_decref(result);
    fake_daemon_run_until(fixture->daemon, share_known, &wait);
    result = control_peer_call(&fixture->peer, "worker.list", NULL);
    const json_t *worker = json_array_get(json_object_get(result, "workers"), 1);
    double busy = json_real_value(json_object_get(worker, "busy"));
    assert_true(busy > 0.2 && busy < 0.3);
    assert_true(number_of(worker, "turns_per_second") > 0);
    json_decref(result);
}

static void help_names_every_method(void **state)
{
    struct fixture *fixture = *state;
    json_t *result = control_peer_call(&fixture->peer, "help", NULL);
    const json_t *methods = json_object_get(result, "methods");
    assert_int_equal(json_array_size(methods), method_count);
    for (uint32_t i = 0; i < method_count; i++)
        assert_string_equal(text_of(json_array_get(methods, i), "name"), method_table[i].name);
    json_decref(result);
}

/* The fake's configuration with one key changed; PATH is one or two names. */
static char *changed_config(struct fixture *fixture, const char *object, const char *key,
                            json_t *value)
{
    json_t *config = fake_config_document(fixture->daemon);
    json_t *where = config;
    if (object != NULL) {
        where = json_object_get(config, object);
        if (where == NULL) {
            where = json_object();
            json_object_set_new(config, object, where);
        }
    }
    json_object_set_new(where, key, value);
    json_t *parameters = json_pack("{s:o}", "config", config);
    char *text = json_dumps(parameters, JSON_COMPACT);
    json_decref(parameters);
    return text;
}

static bool file_written(void *context)
{
    struct fixture *fixture = context;
    char path[128];
    snprintf(path, sizeof(path), "%s/running.json", fixture->daemon->directory);
    return access(path, R_OK) == 0;
}

static void an_applied_configuration_is_kept_and_its_differences_are_shown(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    struct config_findings findings = {0};
    char *wanted = changed_config(fixture, "failover", "hold_down", json_string("7s"));
    json_t *result = control_peer_call(&fixture->peer, "config.apply", wanted);
    assert_int_equal(number_of(result, "snapshot"), 2);
    assert_true(fixture->daemon->config->failover.hold_down_ns == 7000000000);
    json_decref(result);
    result = control_peer_call(&fixture->peer, "status", NULL);
    const json_t *config = json_object_get(result, "config");
    assert_true(json_is_true(json_object_get(config, "differs")));
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(config, "differences"), 0)),
        "failover.hold_down");
    json_decref(result);
    result = control_peer_call(&fixture->peer, "config.get", NULL);
    assert_string_equal(
        text_of(json_object_get(json_object_get(result, "config"), "failover"), "hold_down"), "7s");
    json_decref(result);
    fake_daemon_run_until(fixture->daemon, file_written, fixture);
    snprintf(path, sizeof(path), "%s/running.json", fixture->daemon->directory);
    struct config *kept = config_read_file(path, NULL, &findings);
    assert_non_null(kept);
    assert_true(kept->failover.hold_down_ns == 7000000000);
    config_free(kept);
    free(wanted);
}

/* Asks `status` until the file's state is neither none nor writing. */
static void wait_for_file(struct fixture *fixture, const char *wanted)
{
    char state[32] = "writing";
    for (int i = 0; i < 1000 && strcmp(state, "writing") == 0; i++) {
        json_t *result = control_peer_call(&fixture->peer, "status", NULL);
        snprintf(state, sizeof(state), "%s",
                 text_of(json_object_get(result, "config"), "running_file"));
        json_decref(result);
    }
    assert_string_equal(state, wanted);
}

static void a_configuration_that_cannot_be_kept_is_applied_and_shown_as_not_kept(void **state)
{
    struct fixture *fixture = *state;
    char in_the_way[128];
    snprintf(in_the_way, sizeof(in_the_way), "%s/running.json.new", fixture->daemon->directory);
    assert_int_equal(mkdir(in_the_way, 0700), 0);
    char *wanted = changed_config(fixture, "failover", "hold_down", json_string("7s"));
    json_decref(control_peer_call(&fixture->peer, "config.apply", wanted));
    wait_for_file(fixture, "failed");
    assert_int_equal(rmdir(in_the_way), 0);
    json_decref(control_peer_call(&fixture->peer, "config.apply", wanted));
    wait_for_file(fixture, "written");
    free(wanted);
}

static void what_needs_a_restart_is_refused_by_its_paths(void **state)
{
    struct fixture *fixture = *state;
    const struct config *before = fixture->daemon->config;
    char *wanted = changed_config(fixture, NULL, "workers", json_integer(4));
    json_t *error = control_peer_refused(&fixture->peer, "config.apply", wanted);
    const json_t *paths = json_object_get(json_object_get(error, "data"), "needs_restart");
    assert_int_equal(number_of(error, "code"), -32002);
    assert_int_equal(json_array_size(paths), 1);
    assert_memory_equal(json_string_value(json_array_get(paths, 0)), "workers", 7);
    assert_ptr_equal(fixture->daemon->config, before);
    json_decref(error);
    json_t *result = control_peer_call(&fixture->peer, "config.validate", wanted);
    assert_true(json_is_true(json_object_get(result, "valid")));
    assert_int_equal(json_array_size(json_object_get(result, "needs_restart")), 1);
    json_decref(result);
    free(wanted);
}

static void a_wrong_configuration_is_refused_with_all_findings(void **state)
{
    struct fixture *fixture = *state;
    const struct config *before = fixture->daemon->config;
    char *wanted = changed_config(fixture, "failover", "hold_downs", json_string("7s"));
    json_t *error = control_peer_refused(&fixture->peer, "config.apply", wanted);
    assert_int_equal(number_of(error, "code"), -32001);
    assert_int_equal(json_array_size(json_object_get(json_object_get(error, "data"), "findings")),
                     1);
    assert_ptr_equal(fixture->daemon->config, before);
    json_decref(error);
    json_t *result = control_peer_call(&fixture->peer, "config.validate", wanted);
    assert_true(json_is_false(json_object_get(result, "valid")));
    assert_int_equal(json_array_size(json_object_get(result, "findings")), 1);
    json_decref(result);
    free(wanted);
}

static void a_configuration_that_the_ports_refuse_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    const struct config *before = fixture->daemon->config;
    char *wanted = changed_config(fixture, "failover", "hold_down", json_string("7s"));
    fixture->daemon->refuse_apply = "the host has this address";
    json_t *error = control_peer_refused(&fixture->peer, "config.apply", wanted);
    assert_int_equal(number_of(error, "code"), -32000);
    assert_ptr_equal(fixture->daemon->config, before);
    json_decref(error);
    free(wanted);
}

static void the_socket_has_the_configured_mode_and_goes_with_the_daemon(void **state)
{
    struct fixture *fixture = *state;
    const char *path = fixture->daemon->config->control.socket;
    struct stat stat_of;
    assert_int_equal(stat(path, &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 0777, 0600);
    socket_close(fixture->server);
    assert_int_equal(access(path, F_OK), -1);
    char message[256] = "";
    fixture->server = socket_open(fixture->daemon, message, sizeof(message));
    assert_non_null(fixture->server);
}

static void a_second_process_on_the_same_path_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char message[256] = "";
    assert_null(socket_open(fixture->daemon, message, sizeof(message)));
    assert_non_null(strstr(message, "another process"));
    expect_alive(fixture);
}

static void a_socket_left_by_a_killed_process_is_replaced(void **state)
{
    struct fixture *fixture = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char message[256] = "";
    socket_close(fixture->server);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s",
             fixture->daemon->config->control.socket);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
    fixture->server = socket_open(fixture->daemon, message, sizeof(message));
    assert_string_equal(message, "");
    assert_non_null(fixture->server);
    expect_alive(fixture);
}

static void a_file_in_the_way_is_not_removed(void **state)
{
    struct fixture *fixture = *state;
    char message[256] = "";
    const char *path = fixture->daemon->config->control.socket;
    socket_close(fixture->server);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    assert_null(socket_open(fixture->daemon, message, sizeof(message)));
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);
    fixture->server = socket_open(fixture->daemon, message, sizeof(message));
    assert_non_null(fixture->server);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_answer_carries_the_id_of_its_request),
        CASE(a_line_that_is_wrong_is_answered_with_the_code_of_the_standard),
        CASE(blank_lines_and_notifications_get_no_answer),
        CASE(a_batch_is_answered_as_a_whole),
        CASE(a_batch_waits_for_its_slowest_call),
        CASE(a_batch_that_is_too_long_is_refused),
        CASE(a_request_cut_at_any_byte_is_put_together),
        CASE(a_request_cut_by_hanging_up_does_nothing),
        CASE(a_request_counts_when_its_client_has_hung_up_already),
        CASE(a_client_that_stops_sending_still_gets_its_answer),
        CASE(a_line_without_end_is_refused_and_its_client_dropped),
        CASE(a_line_of_almost_four_mebibytes_is_read),
        CASE(pipelined_requests_are_answered_in_order),
        CASE(a_client_that_does_not_read_is_not_read_until_it_does),
        CASE(a_client_too_many_is_hung_up_on),
        CASE(a_listing_is_forgotten_with_its_client),
        CASE(a_flight_is_ended_by_the_id_it_is_listed_with),
        CASE(a_routes_mode_is_changed_while_running),
        CASE(flights_are_listed_by_the_names_of_route_and_backend),
        CASE(a_drain_says_who_ordered_it_and_waits_for_the_store),
        CASE(a_refusal_of_the_store_is_told),
        CASE(regions_and_backends_are_listed_as_programs_expect_them),
        CASE(the_load_of_a_backend_is_that_of_its_present_life),
        CASE(status_tells_store_and_configuration),
        CASE(counters_are_summed_and_chosen_by_prefix),
        CASE(ports_are_listed_with_features_and_counts),
        CASE(workers_are_listed_with_their_busy_share),
        CASE(help_names_every_method),
        CASE(an_applied_configuration_is_kept_and_its_differences_are_shown),
        CASE(a_configuration_that_cannot_be_kept_is_applied_and_shown_as_not_kept),
        CASE(what_needs_a_restart_is_refused_by_its_paths),
        CASE(a_wrong_configuration_is_refused_with_all_findings),
        CASE(a_configuration_that_the_ports_refuse_changes_nothing),
        CASE(the_socket_has_the_configured_mode_and_goes_with_the_daemon),
        CASE(a_second_process_on_the_same_path_is_refused),
        CASE(a_socket_left_by_a_killed_process_is_replaced),
        CASE(a_file_in_the_way_is_not_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
