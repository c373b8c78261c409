/* What monitoring reads: the text, and the endpoint that serves it. */
#include "control/metrics.h"
#include "control/metrics_text.h"
#include "dataplane/base/check.h"
#include "dataplane/worker/histograms.h"
#include "tests/support/cmocka.h"
#include "tests/support/fake_daemon.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_BYTES (1 << 20)
#define CROWD        12

static char *text_of(struct daemon *daemon)
{
    size_t length;
    char *text = metrics_text(daemon, 1, &length);
    assert_non_null(text);
    assert_int_equal(strlen(text), length);
    return text;
}

static void assert_line(const char *text, const char *line)
{
    char whole[256];
    snprintf(whole, sizeof(whole), "\n%s\n", line);
    if (strstr(text, whole) == NULL)
        fail_msg("there is no line %s", line);
}

/* ---- the text ---- */

/* Every line is about the metric whose HELP and TYPE came last, once each. */
static void samples_follow_their_type(void **state)
{
    struct daemon *daemon = *state;
    char *text = text_of(daemon);
    char name[128] = "";
    char *rest;
    uint32_t types = 0;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            sscanf(line + 7, "%127s", name);
            continue;
        }
        if (strncmp(line, "# TYPE ", 7) == 0) {
            assert_memory_equal(line + 7, name, strlen(name));
            types++;
            continue;
        }
        if (strncmp(line, name, strlen(name)) != 0 || strpbrk(line, " {") == NULL)
            fail_msg("under %s: %s", name, line);
        char *end;
        (void)strtod(strrchr(line, ' ') + 1, &end);
        assert_int_equal(*end, '\0');
    }
    assert_true(types > counter_description_count + histogram_description_count);
    free(text);
}

static void counters_have_a_line_for_each_worker(void **state)
{
    struct daemon *daemon = *state;
    daemon->workers[0].counters.loop.received_packets = 30;
    daemon->workers[1].counters.loop.received_packets = 12;
    daemon->workers[1].counters.loop.open_flights = 7;
    char *text = text_of(daemon);
    assert_line(text, "# TYPE weir_worker_received_packets_total counter");
    assert_line(text, "weir_worker_received_packets_total{worker=\"0\"} 30");
    assert_line(text, "weir_worker_received_packets_total{worker=\"1\"} 12");
    assert_line(text, "# TYPE weir_worker_open_flights gauge");
    assert_line(text, "weir_worker_open_flights{worker=\"1\"} 7");
    free(text);
}

static void histograms_are_cumulative_and_in_seconds(void **state)
{
    struct daemon *daemon = *state;
    struct histogram *duration = &daemon->workers[0].request_histograms.duration;
    histogram_add(duration, 1);
    histogram_add(duration, 1000);
    histogram_add(duration, UINT32_MAX);
    histogram_add(&daemon->workers[1].coalesce_histograms.subscribers, 3);
    char *text = text_of(daemon);
    assert_line(text, "# TYPE weir_request_duration_seconds histogram");
    assert_line(text, "weir_request_duration_seconds_bucket{worker=\"0\",le=\"1e-06\"} 1");
    assert_line(text, "weir_request_duration_seconds_bucket{worker=\"0\",le=\"0.000512\"} 1");
    assert_line(text, "weir_request_duration_seconds_bucket{worker=\"0\",le=\"0.001024\"} 2");
    assert_line(text, "weir_request_duration_seconds_bucket{worker=\"0\",le=\"1073.74182\"} 2");
    assert_line(text, "weir_request_duration_seconds_bucket{worker=\"0\",le=\"+Inf\"} 3");
    assert_line(text, "weir_request_duration_seconds_count{worker=\"0\"} 3");
    assert_line(text, "weir_request_duration_seconds_count{worker=\"1\"} 0");
    assert_line(text, "weir_coalesce_subscribers_bucket{worker=\"1\",le=\"2\"} 0");
    assert_line(text, "weir_coalesce_subscribers_bucket{worker=\"1\",le=\"4\"} 1");
    assert_line(text, "weir_coalesce_subscribers_sum{worker=\"1\"} 3");
    free(text);
}

static void regions_and_backends_have_their_names(void **state)
{
    struct daemon *daemon = *state;
    daemon->failover.suspect[1] = true;
    daemon->failover.usable[daemon->config->backends[0].slot] = false;
    char *text = text_of(daemon);
    assert_line(text, "weir_region_state{region=\"eu\",kind=\"automatic\",state=\"up\"} 1");
    assert_line(text, "weir_region_state{region=\"us\",kind=\"automatic\",state=\"suspect\"} 1");
    assert_line(text, "weir_region_availability{region=\"us\"} 0.5");
    assert_line(text, "weir_backend_usable{service=\"pages\",region=\"eu\",backend=\"eu-1\"} 0");
    assert_line(text, "weir_backend_usable{service=\"pages\",region=\"eu\",backend=\"eu-2\"} 1");
    assert_line(text, "weir_store_connected 1");
    assert_line(text, "weir_certificates_expire_seconds 0");
    assert_line(text, "weir_failover_epoch 3");
    assert_line(text, "weir_access_lost_total 3");
    assert_line(text, "weir_port_free_mbufs{port=\"front\"} 99");
    free(text);
}

/* ---- the endpoint ---- */

static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    close(fd);
    return ntohs(address.sin_port);
}

struct visitor {
    int fd;
    size_t length;
    bool ended;
    char text[ANSWER_BYTES];
};

static bool visit_ended(void *context)
{
    struct visitor *visitor = context;
    ssize_t got;
    while ((got = recv(visitor->fd, visitor->text + visitor->length,
                       ANSWER_BYTES - 1 - visitor->length, MSG_DONTWAIT)) > 0)
        visitor->length += (size_t)got;
    visitor->text[visitor->length] = '\0';
    visitor->ended = got == 0;
    return visitor->ended;
}

/* Its request is on its way; nobody has looked at it. */
static void begin(struct visitor *visitor, uint16_t port, const char *method, const char *path)
{
    char request[256];
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    visitor->length = 0;
    visitor->ended = false;
    visitor->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(visitor->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    int length = snprintf(request, sizeof(request),
                          "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method, path);
    assert_int_equal(send(visitor->fd, request, (size_t)length, 0), length);
}

/* The whole answer, until the end of the connection. */
static const char *end(struct daemon *daemon, struct visitor *visitor)
{
    fake_daemon_run_until(daemon, visit_ended, visitor);
    close(visitor->fd);
    return visitor->text;
}

static const char *ask(struct daemon *daemon, uint16_t port, const char *method, const char *path)
{
    static struct visitor visitor;
    begin(&visitor, port, method, path);
    return end(daemon, &visitor);
}

static void assert_status(const char *answer, const char *status)
{
    char line[32];
    snprintf(line, sizeof(line), "HTTP/1.1 %s ", status);
    if (strncmp(answer, line, strlen(line)) != 0)
        fail_msg("not %s: %.40s", status, answer);
}

static struct metrics *listen_somewhere(struct daemon *daemon, uint16_t *out_port)
{
    char listen[32];
    char message[256];
    struct metrics *metrics = metrics_create(daemon);
    *out_port = free_port();
    snprintf(listen, sizeof(listen), "127.0.0.1:%u", *out_port);
    if (!metrics_listen(metrics, listen, message, sizeof(message)))
        fail_msg("%s", message);
    return metrics;
}

static void pages_are_served(void **state)
{
    struct daemon *daemon = *state;
    uint16_t port;
    struct metrics *metrics = listen_somewhere(daemon, &port);
    const char *answer = ask(daemon, port, "GET", "/metrics");
    assert_status(answer, "200");
    assert_non_null(strstr(answer, "text/plain; version=0.0.4"));
    assert_non_null(strstr(answer, "\nweir_worker_turns_total{worker=\"1\"} "));
    assert_status(ask(daemon, port, "HEAD", "/metrics"), "200");
    assert_status(ask(daemon, port, "GET", "/"), "404");
    assert_status(ask(daemon, port, "GET", "/metrics/x"), "404");
    assert_status(ask(daemon, port, "DELETE", "/ready"), "405");
    metrics_destroy(metrics);
}

/* Who asks in one turn of the loop gets one text: a crowd costs what one costs. */
static void a_crowd_is_served_one_page(void **state)
{
    static struct visitor visitors[CROWD];
    struct daemon *daemon = *state;
    uint16_t port;
    struct metrics *metrics = listen_somewhere(daemon, &port);
    uint64_t made = 0;
    for (int i = 0; i < CROWD; i++)
        begin(&visitors[i], port, "GET", "/metrics");
    for (int i = 0; i < CROWD; i++) {
        const char *line = strstr(end(daemon, &visitors[i]), "\nweir_metrics_pages_total ");
        assert_non_null(line);
        uint64_t pages = strtoull(strchr(line, ' '), NULL, 10);
        made = pages > made ? pages : made;
    }
    assert_in_range(made, 1, CROWD / 2);
    metrics_destroy(metrics);
}

static void a_node_that_drains_is_not_ready(void **state)
{
    struct daemon *daemon = *state;
    uint16_t port;
    struct metrics *metrics = listen_somewhere(daemon, &port);
    assert_status(ask(daemon, port, "GET", "/ready"), "200");
    daemon->draining = true;
    assert_status(ask(daemon, port, "GET", "/ready"), "503");
    metrics_destroy(metrics);
}

static void an_address_that_is_taken_changes_nothing(void **state)
{
    struct daemon *daemon = *state;
    uint16_t port;
    uint16_t taken;
    char listen[32];
    char message[256] = "";
    struct metrics *metrics = listen_somewhere(daemon, &port);
    struct metrics *other = listen_somewhere(daemon, &taken);
    snprintf(listen, sizeof(listen), "127.0.0.1:%u", taken);
    assert_false(metrics_listen(metrics, listen, message, sizeof(message)));
    assert_non_null(strstr(message, "metrics.listen"));
    assert_status(ask(daemon, port, "GET", "/ready"), "200");
    assert_true(metrics_listen(other, "", message, sizeof(message)));
    assert_true(metrics_listen(metrics, listen, message, sizeof(message)));
    assert_status(ask(daemon, taken, "GET", "/ready"), "200");
    metrics_destroy(metrics);
    metrics_destroy(other);
}

static int create(void **state)
{
    *state = fake_daemon_create();
    return 0;
}

static int destroy(void **state)
{
    fake_daemon_destroy(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(samples_follow_their_type, create, destroy),
        cmocka_unit_test_setup_teardown(counters_have_a_line_for_each_worker, create, destroy),
        cmocka_unit_test_setup_teardown(histograms_are_cumulative_and_in_seconds, create, destroy),
        cmocka_unit_test_setup_teardown(regions_and_backends_have_their_names, create, destroy),
        cmocka_unit_test_setup_teardown(pages_are_served, create, destroy),
        cmocka_unit_test_setup_teardown(a_crowd_is_served_one_page, create, destroy),
        cmocka_unit_test_setup_teardown(a_node_that_drains_is_not_ready, create, destroy),
        cmocka_unit_test_setup_teardown(an_address_that_is_taken_changes_nothing, create, destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
