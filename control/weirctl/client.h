/*
 * client: one question to the daemon over its control socket, and the answer. Blocks.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

enum client_outcome {
    CLIENT_ANSWERED, /* out_answer: the result */
    CLIENT_REFUSED,  /* out_answer: the error object of the daemon */
    CLIENT_FAILED,   /* message: no connection, or no answer */
};

/* Ask METHOD with PARAMETERS (taken over). *out_answer is the caller's. */
enum client_outcome client_ask(const char *socket_path, const char *method, json_t *parameters,
                               json_t **out_answer, char *message, size_t message_size);
