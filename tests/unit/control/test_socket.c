/* The control socket: lines, answers and clients that misbehave, and the file it stands in. */
#include "control/methods.h"
#include "tests/unit/control/control_fixture.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

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

/* Texts are cut by their buffers, here within a character: an answer stays one. */
static void a_long_text_of_letters_beyond_ascii_is_told(void **state)
{
    struct fixture *fixture = *state;
    char name[600] = "x";
    char line[1000];
    for (int i = 0; i < 250; i++)
        strcat(name, "\xc3\xa9");
    snprintf(line, sizeof(line), "{'jsonrpc':'2.0','id':1,'method':'%s'}", name);
    json_t *answer = control_peer_ask(&fixture->peer, line);
    assert_int_equal(code_of(answer), -32601);
    assert_non_null(strstr(text_of(json_object_get(answer, "error"), "message"), "no method \"x"));
    json_decref(answer);
    snprintf(line, sizeof(line), "{'config':{'%s':1}}", name);
    json_t *result = control_peer_call(&fixture->peer, "config.validate", line);
    size_t unknown = 0;
    for (size_t i = 0; i < json_array_size(json_object_get(result, "findings")); i++) {
        const json_t *finding = json_array_get(json_object_get(result, "findings"), i);
        unknown += strstr(json_string_value(finding), "is not a key") != NULL;
    }
    assert_int_equal(unknown, 1);
    json_decref(result);
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

#define CLIENTS_MAX 32

/* As many as there may be, with the fixture's own. */
static void open_peers(struct fixture *fixture, struct control_peer *peers)
{
    for (size_t i = 0; i < CLIENTS_MAX - 1; i++) {
        control_peer_open(&peers[i], fixture->daemon);
        json_decref(control_peer_call(&peers[i], "status", NULL));
    }
}

static void close_peers(struct control_peer *peers)
{
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        control_peer_close(&peers[i]);
}

static void a_client_too_many_takes_the_place_of_the_most_silent(void **state)
{
    struct fixture *fixture = *state;
    struct control_peer peers[CLIENTS_MAX];
    control_peer_send(&fixture->peer, "{'jsonrpc':'2.0','id':1,'method':'flight.list'}");
    open_peers(fixture, peers);
    json_decref(control_peer_call(&peers[0], "status", NULL));
    control_peer_open(&peers[CLIENTS_MAX - 1], fixture->daemon);
    json_decref(control_peer_call(&peers[CLIENTS_MAX - 1], "status", NULL));
    control_peer_expect_end(&peers[1]);
    fake_flights_end(fixture->daemon, true);
    json_decref(control_peer_read(&fixture->peer));
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (i != 1)
            json_decref(control_peer_call(&peers[i], "status", NULL));
    close_peers(peers);
}

/* Ask until nothing more is read of it. */
static void let_answers_pile_up(struct fixture *fixture, const struct control_peer *peer)
{
    struct flood flood = {.fd = peer->fd,
                          .most = 1000000,
                          .line = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"stats\"}\n"};
    fake_daemon_run_until(fixture->daemon, flooded, &flood);
}

static void a_client_too_many_is_refused_while_all_wait(void **state)
{
    struct fixture *fixture = *state;
    struct control_peer peers[CLIENTS_MAX];
    open_peers(fixture, peers);
    let_answers_pile_up(fixture, &fixture->peer);
    for (size_t i = 0; i < CLIENTS_MAX - 1; i++)
        let_answers_pile_up(fixture, &peers[i]);
    control_peer_open(&peers[CLIENTS_MAX - 1], fixture->daemon);
    json_t *answer = control_peer_read(&peers[CLIENTS_MAX - 1]);
    assert_int_equal(code_of(answer), -32000);
    json_decref(answer);
    control_peer_expect_end(&peers[CLIENTS_MAX - 1]);
    json_decref(control_peer_read(&peers[0]));
    close_peers(peers);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_answer_carries_the_id_of_its_request),
        CASE(a_line_that_is_wrong_is_answered_with_the_code_of_the_standard),
        CASE(a_long_text_of_letters_beyond_ascii_is_told),
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
        CASE(a_client_too_many_takes_the_place_of_the_most_silent),
        CASE(a_client_too_many_is_refused_while_all_wait),
        CASE(the_socket_has_the_configured_mode_and_goes_with_the_daemon),
        CASE(a_second_process_on_the_same_path_is_refused),
        CASE(a_socket_left_by_a_killed_process_is_replaced),
        CASE(a_file_in_the_way_is_not_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
