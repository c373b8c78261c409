/*
 * told_openssl: what OpenSSL takes from elsewhere, told by a test: its randomness comes from a
 * seed, and its time is the test's. So the same seed gives the same keys, signatures and tickets.
 */
#pragma once

#include <stdint.h>

/* Until told_openssl_end(): the time is *NOW_NS behind a fixed day of 2030. */
void told_openssl_begin(uint64_t seed, const uint64_t *now_ns);
void told_openssl_end(void);
