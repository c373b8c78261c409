/*
 * backend: a host with a server on it, of HTTP/2 or HTTP/1.1 (backend_http1.h), in clear text or
 * over TLS (backend_tls.h), whose behaviour a test decides for each request. An answer's body is
 * pattern.h's for the path, salted with the answer's serial number, which also stands in x-serial:
 * answers to the same path differ, so that no client can be given half of two.
 *
 * A path may say ?size=N (or &size=N): the body's bytes.
 */
#pragma once

#include "tests/support/h2_host.h"
#include "tests/support/pattern.h"

#define BACKEND_CONNS_MAX     64
#define BACKEND_EXCHANGES_MAX 1024
#define BACKEND_LOG_MAX       8192
#define BACKEND_PATH_BYTES    128

enum backend_act {
    BACKEND_ANSWERS,
    BACKEND_HANGS,      /* says nothing more on this stream */
    BACKEND_RESETS,     /* RST_STREAM(INTERNAL_ERROR) */
    BACKEND_REFUSES,    /* RST_STREAM(REFUSED_STREAM) */
    BACKEND_CLOSES,     /* GOAWAY with an error, and FIN, at once */
    BACKEND_SHUTS_DOWN, /* GOAWAY in good order, and answers */
    BACKEND_ABORTS,     /* TCP reset */
    BACKEND_SENDS_LESS, /* ends well, before the promised content-length */
    BACKEND_CUTS, /* over TLS: a part of a record, and FIN without close_notify; else CLOSES */
    BACKEND_RENEGOTIATES, /* over TLS 1.2, and goes when that is refused; else ABORTS */
};

/* How a request is answered. All zero: 200 at once, with the path's size of body. */
struct backend_plan {
    uint16_t status; /* 0: 200 */
    bool early;      /* answers without waiting for the request's end */
    bool interim;    /* a 103 first */
    bool trailers;
    bool cookie_trailers;   /* they are a cookie, which is no trailer, and nothing else */
    bool no_length;         /* without content-length */
    bool until_close;       /* HTTP/1.1 over TLS: neither length nor chunks, close_notify ends it */
    bool new_keys;          /* over TLS 1.3: before the head */
    uint64_t head_after_ns; /* from the request's end */
    uint32_t chunk_bytes;   /* 0: the whole body at once ... */
    uint64_t chunk_every_ns; /* ... or so many bytes as often as this */
    enum backend_act act;
    bool act_late;            /* in mid-body, after ... */
    uint64_t act_after_bytes; /* ... so many bytes; else instead of the head */
    const char *name;         /* a further field; NULL: none */
    const char *value;
};

/* One request as it arrived. */
struct backend_seen {
    struct backend *backend;
    uint64_t serial; /* over all backends of the log; 1, 2, ... */
    uint64_t at_ns;
    char method[16];
    char path[BACKEND_PATH_BYTES];
    char via[32];           /* empty: none */
    char forwarded_for[48]; /* likewise */
    char authorization[32]; /* likewise */
    char referer[32];       /* likewise: tests put a tag of the client's request there */
    uint64_t body_bytes;    /* received */
    bool whole;             /* to END_STREAM */
    bool trailers;
    bool corrupt; /* other bytes than the client's */
    /* The answer. */
    bool head_sent;
    uint64_t head_at_ns;
    bool answered;       /* it was ended as it should be, by END_STREAM */
    uint64_t sent_bytes; /* of its body */
    uint64_t over_at_ns; /* nothing of the exchange is left here; 0: it goes on */
    bool cut;            /* by an end of its connection without close_notify */
    uint64_t hurt_at_ns; /* a fault of this backend, on purpose, kept it from a good end; 0: none */
};

/* What all backends of a world saw. */
struct backend_log {
    struct backend_seen *seen; /* BACKEND_LOG_MAX */
    uint32_t count;
};

typedef struct backend_plan backend_chooser(void *context, const struct backend_seen *seen);

struct backend_conn {
    struct backend *backend;
    struct h2_conn *h2;          /* NULL: free, or it speaks HTTP/1.1: */
    struct backend_http1 *http1; /* then this */
    struct tls_session *session; /* under it; NULL: clear text */
    enum backend_act act;        /* to be done after the flush */
};

struct backend_exchange {
    struct backend_conn *conn; /* NULL: free */
    struct h2_stream *stream;  /* NULL: of HTTP/1.1 */
    struct backend_seen *seen;
    struct backend_plan plan;
    struct timer timer;
    struct pattern_source source;
    uint64_t allowed; /* body bytes that may be sent by now */
    bool head_due;
    bool interim_sent;
    bool head_sent;
    bool ended; /* END_STREAM sent, or nothing more to say */
    bool is_head;
};

enum backend_state {
    BACKEND_UP,
    BACKEND_REFUSING, /* the host answers SYNs with RST; connections that exist go on */
    BACKEND_DEAD,     /* nothing passes, connections are forgotten */
};

struct backend {
    struct h2_host host;
    char name[16];
    char v4[32];
    char v6[48];
    uint16_t end;
    uint16_t port;
    bool speaks_http1;                 /* on connections from now on */
    const struct tls_profile *profile; /* over TLS, as its host speaks; NULL: in clear text */
    bool tls12;                        /* none later */
    uint32_t life;                     /* another one after each crash */
    enum backend_state state;
    struct wire_faults faults; /* between end 0 and here, both ways, while not dead */
    struct backend_log *log;
    struct backend_plan plan; /* when there is no chooser */
    backend_chooser *choose;
    void *choose_context;
    uint32_t accepted; /* connections, ever */
    uint32_t requests; /* ever */
    struct backend_conn conns[BACKEND_CONNS_MAX];
    struct backend_exchange *exchanges; /* BACKEND_EXCHANGES_MAX */
};

void backend_log_open(struct backend_log *log);
void backend_log_close(struct backend_log *log);

/* Requests with this path (NULL: all) that backends have seen. */
uint32_t backend_log_count(const struct backend_log *log, const char *path);

/* V4 and V6 are prefixes: "10.1.0.2/24". */
void backend_prepare(struct backend *backend, struct wire *wire, uint16_t end, const char *name,
                     const char *v4, const char *v6);
void backend_open(struct backend *backend, uint16_t port, struct backend_log *log);
void backend_destroy(struct backend *backend);

void backend_turn(struct backend *backend, uint64_t now);

/* What goes wrong between end 0 and here. */
void backend_set_faults(struct backend *backend, const struct wire_faults *faults);

/* From dead, all connections of before have been reset. */
void backend_up(struct backend *backend);
void backend_refuse(struct backend *backend);

/* The process ends: connections are reset, new ones refused. */
void backend_crash(struct backend *backend, uint64_t now);

/* The machine or its network ends: nothing comes any more, not even a reset. */
void backend_die(struct backend *backend, uint64_t now);

/* The body bytes that a path asks for. */
uint64_t backend_size_of(const char *path);

/* Connections now. */
uint32_t backend_conn_count(const struct backend *backend);
