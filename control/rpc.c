#include "control/rpc.h"

#include "control/methods.h"
#include "dataplane/base/check.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_BYTES 1024

/* Answers of a batch, sent when the last one is there. */
struct batch {
    json_t *answers;
    uint32_t open; /* calls, and one while the batch is being read */
};

struct rpc_call {
    struct list link;
    struct rpc_session *session; /* NULL: the client has gone */
    json_t *id;                  /* NULL: a notification */
    struct batch *batch;         /* NULL: by itself */
    void (*gone)(void *context);
    void *gone_context;
};

void rpc_session_init(struct rpc_session *session, struct methods *methods)
{
    session->methods = methods;
    session->call_count = 0;
    list_init(&session->calls);
}

static void send_message(struct rpc_session *session, const json_t *message)
{
    char *text = json_dumps(message, JSON_COMPACT);
    check(text != NULL);
    size_t length = strlen(text);
    text[length] = '\n'; /* in the place of the NUL: a message has a length */
    session->send(session, text, length + 1);
}

static void batch_close(struct rpc_session *session, struct batch *batch)
{
    if (--batch->open > 0)
        return;
    if (session != NULL && json_array_size(batch->answers) > 0)
        send_message(session, batch->answers);
    json_decref(batch->answers);
    free(batch);
}

json_t *rpc_text(const char *text)
{
    json_t *whole = json_string(text);
    if (whole != NULL)
        return whole;
    char *plain = strdup(text);
    check(plain != NULL);
    for (char *at = plain; *at != '\0'; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    whole = json_string(plain);
    free(plain);
    return whole;
}

static json_t *error_object(enum rpc_error error, const char *message, json_t *data)
{
    json_t *object = json_pack("{s:i, s:o}", "code", (int)error, "message", rpc_text(message));
    if (data != NULL)
        json_object_set_new(object, "data", data);
    return object;
}

/* Takes over ID and BODY. */
static json_t *envelope(json_t *id, const char *kind, json_t *body)
{
    json_t *message = json_object();
    json_object_set_new(message, "jsonrpc", json_string("2.0"));
    json_object_set_new(message, kind, body);
    json_object_set_new(message, "id", id);
    return message;
}

void rpc_complain(struct rpc_session *session, enum rpc_error error, const char *message)
{
    json_t *answer = envelope(json_null(), "error", error_object(error, message, NULL));
    send_message(session, answer);
    json_decref(answer);
}

/* Send or collect the answer, free the call. */
static void finish(struct rpc_call *call, const char *kind, json_t *body)
{
    struct rpc_session *session = call->session;
    json_t *answer = NULL;
    if (call->id != NULL)
        answer = envelope(json_incref(call->id), kind, json_incref(body));
    json_decref(body);
    if (call->batch != NULL && answer != NULL)
        json_array_append(call->batch->answers, answer);
    else if (session != NULL && answer != NULL)
        send_message(session, answer);
    json_decref(answer);
    if (call->batch != NULL)
        batch_close(session, call->batch);
    list_remove(&call->link);
    json_decref(call->id);
    free(call);
    if (session == NULL)
        return;
    session->call_count--;
    session->ended(session);
}

void rpc_answer(struct rpc_call *call, json_t *result)
{
    finish(call, "result", result != NULL ? result : json_null());
}

void rpc_refuse(struct rpc_call *call, enum rpc_error error, json_t *data, const char *format, ...)
{
    char message[MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    finish(call, "error", error_object(error, message, data));
}

const char *rpc_who(const struct rpc_call *call)
{
    return call->session != NULL ? call->session->who : "";
}

void rpc_on_gone(struct rpc_call *call, void (*gone)(void *context), void *context)
{
    call->gone = gone;
    call->gone_context = context;
}

static void leave(struct rpc_call *call)
{
    list_remove(&call->link);
    call->session = NULL;
    if (call->gone == NULL)
        return; /* its method ends it */
    call->gone(call->gone_context);
    if (call->batch != NULL)
        batch_close(NULL, call->batch);
    json_decref(call->id);
    free(call);
}

void rpc_session_end(struct rpc_session *session)
{
    struct list *link;
    while ((link = list_pop_front(&session->calls)) != NULL)
        leave(list_entry(link, struct rpc_call, link));
    session->call_count = 0;
}

static struct rpc_call *begin(struct rpc_session *session, struct batch *batch, json_t *id)
{
    struct rpc_call *call = calloc(1, sizeof(*call));
    check(call != NULL);
    call->session = session;
    call->batch = batch;
    call->id = id != NULL ? json_incref(id) : NULL;
    if (batch != NULL)
        batch->open++;
    list_push_back(&session->calls, &call->link);
    session->call_count++;
    return call;
}

static bool is_id(const json_t *id)
{
    return json_is_string(id) || json_is_number(id) || json_is_null(id);
}

/* What is wrong with a request, or NULL. */
static const char *request_fault(const json_t *request)
{
    const json_t *version = json_object_get(request, "jsonrpc");
    const json_t *id = json_object_get(request, "id");
    const json_t *parameters = json_object_get(request, "params");
    if (!json_is_object(request))
        return "not a request; expected an object";
    if (!json_is_string(version) || strcmp(json_string_value(version), "2.0") != 0)
        return "expected \"jsonrpc\": \"2.0\"";
    if (!json_is_string(json_object_get(request, "method")))
        return "expected \"method\": a text";
    if (id != NULL && !is_id(id))
        return "expected \"id\": a text or a number";
    if (parameters != NULL && !json_is_object(parameters) && !json_is_array(parameters))
        return "expected \"params\": an object or a list";
    return NULL;
}

static void take_request(struct rpc_session *session, struct batch *batch, const json_t *request)
{
    const char *fault = request_fault(request);
    json_t *id = json_object_get(request, "id");
    if (fault != NULL) {
        json_t *null = json_null();
        rpc_refuse(begin(session, batch, is_id(id) ? id : null), RPC_INVALID_REQUEST, NULL, "%s",
                   fault);
        return;
    }
    methods_call(session->methods, begin(session, batch, id),
                 json_string_value(json_object_get(request, "method")),
                 json_object_get(request, "params"));
}

static void take_batch(struct rpc_session *session, const json_t *list)
{
    size_t count = json_array_size(list);
    if (count == 0 || count > RPC_BATCH_MAX) {
        rpc_complain(session, RPC_INVALID_REQUEST,
                     count == 0 ? "an empty batch" : "a batch of more than 64 requests");
        return;
    }
    struct batch *batch = calloc(1, sizeof(*batch));
    check(batch != NULL);
    *batch = (struct batch){.answers = json_array(), .open = 1};
    for (size_t i = 0; i < count; i++)
        take_request(session, batch, json_array_get(list, i));
    batch_close(session, batch);
}

static bool is_blank(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
            return false;
    return true;
}

void rpc_line(struct rpc_session *session, const char *line, size_t length)
{
    json_error_t error;
    if (is_blank(line, length))
        return;
    json_t *document = json_loadb(line, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (document == NULL) {
        char message[MESSAGE_BYTES];
        snprintf(message, sizeof(message), "not JSON: column %d: %s", error.column, error.text);
        rpc_complain(session, RPC_PARSE_ERROR, message);
        return;
    }
    if (json_is_array(document))
        take_batch(session, document);
    else
        take_request(session, NULL, document);
    json_decref(document);
}
