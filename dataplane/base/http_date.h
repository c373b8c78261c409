/*
 * http_date: a point in time as HTTP writes it (RFC 9110 5.6.7), in the one form that senders may
 * use: IMF-fixdate. The obsolete forms are no dates here. Any thread; pure; O(1).
 */
#pragma once

#include "dataplane/base/bytes.h"

#include <stdbool.h>

/* "Sun, 06 Nov 1994 08:49:37 GMT": seconds since 1970. False: it is no date; OUT is unchanged. */
bool http_date_parse(struct bytes text, uint64_t *out_seconds);
