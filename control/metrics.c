/*
 * libmicrohttpd runs on our epoll: its own epoll descriptor is watched, and MHD_run() does what is
 * due without waiting. The text of all counters takes milliseconds: those who ask at about the same
 * time share one, so that a crowd of them does not hold up the loop. Timer: `due`, when it wants to
 * look for idle connections.
 */
#include "control/metrics.h"

#include "control/metrics_text.h"
#include "control/store_redis_address.h"
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define CONNECTIONS_MAX 32
#define PAGE_NS         (100 * CLOCK_MS) /* who asks within it gets the same text */
#define IDLE_SECONDS    10
#define REQUEST_BYTES   (16u << 10) /* memory of one connection */

struct metrics {
    struct daemon *daemon;
    struct MHD_Daemon *server; /* NULL: listens nowhere */
    struct loop_watch *watch;
    struct loop_timer *due;
    struct MHD_Response *page; /* the text of /metrics that was made last; NULL: none */
    uint64_t page_at_ns;
    uint64_t pages; /* made so far */
    char listen[64];
};

/* --- pages --- */

/* TEXT is malloc'd and taken over. NULL: no memory. */
static struct MHD_Response *make_page(const char *type, char *text, size_t length)
{
    struct MHD_Response *page =
        MHD_create_response_from_buffer(length, text, MHD_RESPMEM_MUST_FREE);
    if (page == NULL) {
        free(text);
        return NULL;
    }
    (void)MHD_add_response_header(page, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void)MHD_add_response_header(page, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    return page;
}

static enum MHD_Result answer_word(struct MHD_Connection *connection, unsigned status,
                                   const char *word)
{
    char *text = strdup(word);
    struct MHD_Response *page = text != NULL ? make_page("text/plain", text, strlen(text)) : NULL;
    if (page == NULL)
        return MHD_NO;
    enum MHD_Result result = MHD_queue_response(connection, status, page);
    MHD_destroy_response(page);
    return result;
}

static enum MHD_Result answer_ready(struct metrics *metrics, struct MHD_Connection *connection)
{
    bool draining = daemon_is_draining(metrics->daemon);
    return answer_word(connection, draining ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK,
                       draining ? "draining\n" : "ready\n");
}

static void forget_page(struct metrics *metrics)
{
    if (metrics->page != NULL)
        MHD_destroy_response(metrics->page); /* those who are getting it still do */
    metrics->page = NULL;
}

/* However many ask at once, and however slowly they read: it is made once, and held once. */
static struct MHD_Response *metrics_page(struct metrics *metrics)
{
    uint64_t now = loop_now_ns(daemon_loop(metrics->daemon));
    if (metrics->page != NULL && now - metrics->page_at_ns < PAGE_NS)
        return metrics->page;
    forget_page(metrics);
    size_t length;
    char *text = metrics_text(metrics->daemon, ++metrics->pages, &length);
    if (text != NULL)
        metrics->page = make_page("text/plain; version=0.0.4; charset=utf-8", text, length);
    metrics->page_at_ns = now;
    return metrics->page;
}

static enum MHD_Result answer_metrics(struct metrics *metrics, struct MHD_Connection *connection)
{
    struct MHD_Response *page = metrics_page(metrics);
    return page != NULL ? MHD_queue_response(connection, MHD_HTTP_OK, page) : MHD_NO;
}

static bool is_read(const char *method)
{
    return strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
}

/* The first call of a request is for its headers alone; an answer then would cut its body off. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *path, const char *method, const char *version,
                                  const char *body, size_t *body_bytes, void **request)
{
    struct metrics *metrics = context;
    static int seen;
    if (*request == NULL) {
        *request = &seen;
        return MHD_YES;
    }
    if (*body_bytes > 0) {
        *body_bytes = 0;
        return MHD_YES;
    }
    if (!is_read(method))
        return answer_word(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET or HEAD\n");
    if (strcmp(path, "/metrics") == 0)
        return answer_metrics(metrics, connection);
    if (strcmp(path, "/ready") == 0)
        return answer_ready(metrics, connection);
    return answer_word(connection, MHD_HTTP_NOT_FOUND, "/metrics or /ready\n");
}

/* --- on the loop --- */

static void run(struct metrics *metrics)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;
    (void)MHD_run(metrics->server);
    if (MHD_get_timeout(metrics->server, &wait_ms) == MHD_YES)
        loop_timer_at(metrics->due, loop_now_ns(daemon_loop(metrics->daemon)) + wait_ms * CLOCK_MS);
    else
        loop_timer_stop(metrics->due);
}

static void on_ready(void *context, uint32_t events)
{
    run(context);
}

static void on_due(void *context, uint64_t now_ns)
{
    run(context);
}

/* The port is the address's own. */
static struct MHD_Daemon *start_server(struct metrics *metrics, const struct redis_address *address)
{
    unsigned v6 = address->socket.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0;
    errno = 0;
    return MHD_start_daemon(
        MHD_USE_EPOLL | v6, 0, NULL, NULL, on_request, metrics, MHD_OPTION_SOCK_ADDR,
        (const struct sockaddr *)&address->socket, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_BYTES, MHD_OPTION_END);
}

static void stop_server(struct metrics *metrics)
{
    if (metrics->server == NULL)
        return;
    loop_unwatch(metrics->watch);
    loop_timer_stop(metrics->due);
    MHD_stop_daemon(metrics->server);
    metrics->server = NULL;
}

static bool watch_server(struct metrics *metrics)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(metrics->server, MHD_DAEMON_INFO_EPOLL_FD);
    if (info != NULL)
        metrics->watch =
            loop_watch(daemon_loop(metrics->daemon), info->epoll_fd, EPOLLIN, on_ready, metrics);
    return info != NULL && metrics->watch != NULL;
}

struct metrics *metrics_create(struct daemon *daemon)
{
    struct metrics *metrics = calloc(1, sizeof(*metrics));
    if (metrics == NULL)
        return NULL;
    metrics->daemon = daemon;
    metrics->due = loop_timer(daemon_loop(daemon), on_due, metrics);
    return metrics;
}

void metrics_destroy(struct metrics *metrics)
{
    if (metrics == NULL)
        return;
    stop_server(metrics);
    forget_page(metrics);
    loop_timer_destroy(metrics->due);
    free(metrics);
}

static bool listen_at(struct metrics *metrics, const char *listen, char *message, size_t size)
{
    struct redis_address address; /* of anybody, in the same words */
    check(redis_address_parse(listen, &address) && address.socket.ss_family != AF_UNIX);
    struct MHD_Daemon *server = start_server(metrics, &address);
    if (server == NULL) {
        snprintf(message, size, "metrics.listen: %s: %s", listen,
                 errno != 0 ? strerror(errno) : "cannot be listened at");
        return false;
    }
    stop_server(metrics);
    metrics->server = server;
    if (watch_server(metrics))
        return true;
    metrics->watch = NULL;
    MHD_stop_daemon(server);
    metrics->server = NULL;
    snprintf(message, size, "metrics.listen: %s: the event loop takes it not", listen);
    return false;
}

bool metrics_listen(struct metrics *metrics, const char *listen, char *message, size_t message_size)
{
    if (strcmp(listen, metrics->listen) == 0)
        return true;
    if (listen[0] == '\0')
        stop_server(metrics);
    else if (!listen_at(metrics, listen, message, message_size))
        return false;
    snprintf(metrics->listen, sizeof(metrics->listen), "%s", listen);
    return true;
}
