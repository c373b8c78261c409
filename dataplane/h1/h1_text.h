/* h1_text: lists, numbers and names as RFC 9110 5.6 and 8.6 write them. Pure. */
#pragma once

#include "dataplane/h2/fields.h"

static inline bool h1_is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

static inline uint8_t h1_lower_byte(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

static inline void h1_lower(uint8_t *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        text[i] = h1_lower_byte(text[i]);
}

/* Whether both are equal but for the case of letters. */
bool h1_same_text(struct bytes a, struct bytes b);

/* The next element of a list, white space around it taken off; may be empty. False: no more. */
bool h1_list_next(struct bytes *list, struct bytes *element);

/* 1 to 18 digits, which is more than anybody has. */
bool h1_number(struct bytes text, uint64_t *out);

/* Fields of one connection (RFC 9110 7.6.1), and te. */
bool h1_is_hop_by_hop(enum field_token token);
