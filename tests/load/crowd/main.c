#include "dataplane/base/clock.h"
#include "tests/load/crowd/crowd.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS_MAX 1000
#define QUESTIONS_MAX   64

static struct crowd crowd = {.options = {
#define FALLBACK(name, fallback, help) .name = (fallback),
                                 CROWD_NUMBERS(FALLBACK)
#undef FALLBACK
                             }};

static void usage(void)
{
    fprintf(stderr, "usage: crowd ADDRESS PORT PATH [NAME=VALUE ...]\n");
#define HELP(name, fallback, help) fprintf(stderr, "  %-16s %s (%d)\n", #name, help, fallback);
    CROWD_NUMBERS(HELP)
#undef HELP
    exit(2);
}

static void set(const char *text)
{
    const char *value = strchr(text, '=');
    size_t length = value == NULL ? 0 : (size_t)(value - text);
#define SET(name, fallback, help)                                                                  \
    if (strlen(#name) == length && memcmp(text, #name, length) == 0) {                             \
        crowd.options.name = strtoull(value + 1, NULL, 10);                                        \
        return;                                                                                    \
    }
    CROWD_NUMBERS(SET)
#undef SET
    usage();
}

static void *take(uint64_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);
    if (memory == NULL)
        abort();
    return memory;
}

/* Spread over the members evenly, so that every connection has some. */
static bool is_among(uint64_t number, uint64_t percent)
{
    return (number + 1) * percent / 100 != number * percent / 100;
}

static void gather(void)
{
    const struct crowd_options *options = &crowd.options;
    uint64_t questions = options->questions > 0 ? options->questions : 1;
    crowd.members = take(options->members, sizeof(*crowd.members));
    crowd.connections = take(options->connections, sizeof(*crowd.connections));
    crowd.answers = take(questions, sizeof(*crowd.answers));
    for (uint64_t i = 0; i < questions; i++)
        crowd.answers[i].bytes = take(1, crowd.answers[i].room = 4096);
    for (uint64_t i = 0; i < options->members; i++) {
        uint64_t turn = i / options->connections; /* of its connection: all kinds are on each */
        crowd.members[i] = (struct crowd_member){
            .crowd = &crowd,
            .question = i % questions,
            .answer = &crowd.answers[i % questions],
            .leaves = is_among(turn, options->leave_percent),
            .slow = is_among(turn, options->slow_percent),
        };
        crowd.staying += !crowd.members[i].leaves;
    }
}

static void turn(uint64_t until_ns)
{
    static struct pollfd ready[CONNECTIONS_MAX];
    for (uint64_t i = 0; i < crowd.options.connections; i++) {
        const struct crowd_connection *connection = &crowd.connections[i];
        short events = POLLIN;
        if (connection->fd >= 0 && nghttp2_session_want_write(connection->session))
            events |= POLLOUT;
        ready[i] = (struct pollfd){.fd = connection->fd, .events = events};
    }
    uint64_t now = clock_now_ns();
    if (now < until_ns)
        (void)poll(ready, crowd.options.connections, (int)((until_ns - now) / 1000000 + 1));
    for (uint64_t i = 0; i < crowd.options.connections; i++)
        if (ready[i].revents != 0)
            connection_turn(&crowd.connections[i], (ready[i].revents & ~POLLOUT) != 0);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        usage();
    crowd.options.address = argv[1];
    crowd.options.port = argv[2];
    crowd.options.path = argv[3];
    for (int i = 4; i < argc; i++)
        set(argv[i]);
    if (crowd.options.connections < 1 || crowd.options.connections > CONNECTIONS_MAX ||
        crowd.options.questions > QUESTIONS_MAX)
        usage();
    gather();
    for (uint64_t i = 0; i < crowd.options.connections; i++)
        if (!connection_open(&crowd.connections[i], &crowd))
            return 1;
    for (uint64_t i = 0; i < crowd.options.members; i++)
        connection_ask(&crowd.connections[i % crowd.options.connections], &crowd.members[i]);
    for (uint64_t i = 0; i < crowd.options.connections; i++)
        connection_turn(&crowd.connections[i], false);
    uint64_t until_ns = clock_now_ns() + crowd.options.timeout_s * 1000000000;
    while (crowd.ended < crowd.options.members && clock_now_ns() < until_ns)
        turn(until_ns);
    for (uint64_t i = 0; i < crowd.options.connections; i++)
        connection_turn(&crowd.connections[i], false); /* the resets of those who left last */
    report_print(&crowd);
    for (uint64_t i = 0; i < crowd.options.connections; i++)
        connection_close(&crowd.connections[i]);
    return 0;
}
