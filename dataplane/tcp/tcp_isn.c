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

size_t tcp_tuple_pack(const struct flow_tuple *tuple, uint8_t out[TCP_TUPLE_BYTES])
{
    size_t from = ip_address_is_v4(&tuple->remote) ? IP_ADDRESS_V4_BITS / 8 : 0;
    size_t bytes = sizeof(tuple->local) - from;
    memcpy(out, tuple->local.bytes + from, bytes);
    memcpy(out + bytes, tuple->remote.bytes + from, bytes);
    memcpy(out + 2 * bytes, &tuple->local_port, sizeof(tuple->local_port));
    memcpy(out + 2 * bytes + 2, &tuple->remote_port, sizeof(tuple->remote_port));
    return 2 * bytes + 4;
}

static uint64_t tuple_hash(const struct tcp *tcp, const struct flow_tuple *tuple)
{
    uint8_t packed[TCP_TUPLE_BYTES];
    return siphash(&tcp->isn_key, bytes_of(packed, tcp_tuple_pack(tuple, packed)));
}

uint32_t tcp_isn(const struct tcp *tcp, const struct flow_tuple *tuple, uint64_t now)
{
    return (uint32_t)(now / (4 * CLOCK_US)) + (uint32_t)tuple_hash(tcp, tuple);
}

uint32_t tcp_timestamp_offset(const struct tcp *tcp, const struct flow_tuple *tuple)
{
    return (uint32_t)(tuple_hash(tcp, tuple) >> 32);
}
