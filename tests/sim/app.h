/*
 * app: an application at one end of a connection of our TCP, which does what its script says:
 * sends a pattern in pieces and bursts, reads fast, slowly or not for a while, and ends in one of
 * several ways. It finds out whether it was given the bytes its peer sent.
 */
#pragma once

#include "tests/sim/sim.h"
#include "tests/support/tcp_host.h"

/* How an application ends its connection. */
enum app_end {
    APP_ENDS_WHEN_DONE, /* everything sent, and all that it expects was read */
    APP_ENDS_AFTER_EOF, /* everything sent, and the peer has closed */
    APP_ENDS_AFTER_SENDING,
    APP_ENDS_AT_ONCE, /* when it has opened */
    APP_ABORTS,       /* when it has sent or read so many bytes */
    APP_ENDINGS
};

struct app_script {
    uint64_t to_send;
    uint64_t expects; /* bytes */
    enum app_end end;
    uint64_t abort_after;    /* bytes sent and read */
    uint32_t piece_max;      /* a send */
    uint32_t segments_in_10; /* how many of ten sends refer to segments instead of being copied */
    uint64_t burst_bytes;    /* then a pause; 0: none */
    uint64_t burst_pause_ns;
    uint32_t read_max;   /* bytes a turn */
    uint64_t read_bytes; /* then a pause; 0: none */
    uint64_t read_pause_ns;
};

/* What one end has done, for the other end's checks. */
struct app_half {
    uint64_t sent;
    bool closed; /* with FIN behind all that was sent */
    bool over;   /* it holds no connection any more */
    bool failed; /* it was told so */
    uint64_t closed_at_ns;
    uint64_t failed_at_ns;
};

struct app {
    struct sim *sim;
    struct tcp_host *host;
    struct tcp_conn *conn;
    uint32_t id;
    bool is_client;
    struct app_script script;
    struct app_half half;
    const struct app_half *peer;
    uint64_t received;
    uint64_t write_at_ns; /* not before; the same for reading */
    uint64_t read_at_ns;
    uint64_t burst_left;
    uint64_t read_left;
    bool opened;
    bool is_hurried; /* no pauses any more */
    bool eof;
    enum tcp_failure failure;
};

/* TO_SEND and EXPECTS are given; the rest is drawn. */
void app_draw_script(struct sim *sim, struct app_script *script, uint64_t to_send, uint64_t expects,
                     enum app_end end);

void app_init(struct app *app, struct sim *sim, struct tcp_host *host, uint32_t id, bool is_client,
              const struct app_half *peer);

/* Connect; false: no connection was to be had. */
bool app_connect(struct app *app, const struct ip_address *remote, uint16_t port);

/* Take over a connection that was accepted, with its first events. */
void app_accept(struct app *app, struct tcp_conn *conn, uint32_t events);

/* No pauses from now on. */
void app_hurry(struct app *app);

/* What is due by time. */
void app_turn(struct app *app);
uint64_t app_next_ns(const struct app *app);

/* The byte at POSITION of what the client (or not) of connection ID sends. */
uint8_t app_byte(uint32_t id, bool from_client, uint64_t position);
