/*
 * tcp_isn: initial sequence numbers: RFC 6528: a clock of 4 microseconds plus a keyed hash of the
 * 4-tuple. The same hash's other half offsets our timestamps (RFC 7323 7.1): they say nothing about
 * our uptime, and stay monotonic for a tuple.
 */
#include "dataplane/tcp/tcp_internal.h"

void tcp_isn_init(struct tcp *tcp, const struct siphash_key *secret)
{
    tcp->isn_key.k0 = siphash(secret, bytes_text("initial sequence 0"));
    tcp->isn_key.k1 = siphash(secret, bytes_text("initial sequence 1"));
}

uint32_t tcp_tuple_words(const struct flow_tuple *tuple, uint64_t out[TCP_TUPLE_WORDS])
{
    if (ip_address_is_v4(&tuple->remote)) {
        out[0] = (uint64_t)ip_address_v4(&tuple->remote) << 32 | ip_address_v4(&tuple->local);
        return 1;
    }
    memcpy(out, tuple->local.bytes, sizeof(tuple->local));
    memcpy(out + 2, tuple->remote.bytes, sizeof(tuple->remote));
    return 4;
}

static uint64_t tuple_hash(const struct tcp *tcp, const struct flow_tuple *tuple)
{
    uint64_t words[TCP_TUPLE_WORDS];
    uint32_t count = tcp_tuple_words(tuple, words);
    return siphash_words(&tcp->isn_key, words, count, tcp_tuple_ports(tuple));
}

uint32_t tcp_isn(const struct tcp *tcp, const struct flow_tuple *tuple, uint64_t now)
{
    return (uint32_t)(now / (4 * CLOCK_US)) + (uint32_t)tuple_hash(tcp, tuple);
}

uint32_t tcp_timestamp_offset(const struct tcp *tcp, const struct flow_tuple *tuple)
{
    return (uint32_t)(tuple_hash(tcp, tuple) >> 32);
}
