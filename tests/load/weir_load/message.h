/*
 * message: header sections that weir-load sends and reads, and what client and origin share.
 */
#pragma once

#include "tests/load/weir_load/load.h"

/*
 * The request with NUMBER: path, query "?size=" with the answer's bytes, content-length. Valid
 * until the next call; PATH is its :path.
 */
const struct fields *message_request(const struct load_options *options, uint64_t number,
                                     struct bytes *path);

/* 200, or 503 if it FAILED, with LENGTH bytes to come. Valid until the next call. */
const struct fields *message_answer(uint64_t length, bool failed);

/* 200 and an event stream, its length is not told. Valid until the next call. */
const struct fields *message_events(void);

/* The decimal number at the start of TEXT. */
uint64_t message_number(struct bytes text);

/* What a path asks for by "NAME=", "size=" for the answer's bytes; 0: nothing. */
uint64_t message_parameter(struct bytes path, const char *name);
