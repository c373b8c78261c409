/*
 * rpc: JSON-RPC 2.0 over lines of text, without a socket: lines come in, messages go out by SEND.
 *
 * A session is one client. A call is one request of it under way: its method answers or refuses it
 * exactly once, at once or later; when the client goes away in between, the answer goes nowhere.
 * Calls of a batch answer together. Control thread.
 */
#pragma once

#include "dataplane/base/list.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define RPC_BATCH_MAX 64
#define RPC_WHO_MAX   96

/* JSON-RPC 2.0, section 5.1; from -32000 on our own. */
enum rpc_error {
    RPC_PARSE_ERROR = -32700,
    RPC_INVALID_REQUEST = -32600,
    RPC_UNKNOWN_METHOD = -32601,
    RPC_INVALID_PARAMETERS = -32602,
    RPC_INTERNAL = -32603,
    RPC_REFUSED = -32000,       /* understood, but not now or not so: the message says why */
    RPC_FINDINGS = -32001,      /* the configuration is wrong: data.findings */
    RPC_NEEDS_RESTART = -32002, /* data.needs_restart: paths that cannot change while running */
};

struct methods;
struct rpc_call;

/* Embedded in whatever reads the lines. */
struct rpc_session {
    /* Take a whole message of LENGTH bytes, '\n' at the end; TEXT (malloc'd) is taken over. */
    void (*send)(struct rpc_session *session, char *text, size_t length);
    /* A call has ended: there may be room for more. */
    void (*ended)(struct rpc_session *session);
    struct methods *methods;
    char who[RPC_WHO_MAX]; /* for the audit: "uid=0 pid=4711 root" */
    struct list calls;
    uint32_t call_count;
};

void rpc_session_init(struct rpc_session *session, struct methods *methods);

/* The client has gone: its calls run on without anybody to tell. */
void rpc_session_end(struct rpc_session *session);

/* One line, without its '\n'. Blank lines mean nothing. */
void rpc_line(struct rpc_session *session, const char *line, size_t length);

/* Tell the client what is wrong with the line itself. */
void rpc_complain(struct rpc_session *session, enum rpc_error error, const char *message);

/* End a call. RESULT and DATA (may be NULL) are taken over. The call is gone afterwards. */
void rpc_answer(struct rpc_call *call, json_t *result);
__attribute__((format(printf, 4, 5))) void rpc_refuse(struct rpc_call *call, enum rpc_error error,
                                                      json_t *data, const char *format, ...);

/* A text of a message. Where a buffer has cut TEXT within a character, its letters beyond ASCII are
 * '?'. */
json_t *rpc_text(const char *text);

/* Who asks; "" when the client has gone. */
const char *rpc_who(const struct rpc_call *call);

/* Have GONE called when the client goes away first: it frees CONTEXT, the call must not be used. */
void rpc_on_gone(struct rpc_call *call, void (*gone)(void *context), void *context);
