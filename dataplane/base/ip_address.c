#include "dataplane/base/ip_address.h"

#include <arpa/inet.h>

bool ip_address_parse(const char *text, struct ip_address *out)
{
    struct in_addr v4;
    if (inet_pton(AF_INET, text, &v4) == 1) {
        *out = ip_address_from_v4(v4.s_addr);
        return true;
    }
    struct in6_addr v6;
    if (inet_pton(AF_INET6, text, &v6) != 1)
        return false;
    *out = ip_address_from_v6(&v6);
    return true;
}

#define V6_GROUPS 8

/* VALUE without leading zeros. UNIT is what its first digit counts when it is largest. */
static char *put_number(char *out, unsigned value, unsigned base, unsigned unit)
{
    while (unit > 1 && value < unit)
        unit /= base;
    for (; unit > 0; unit /= base)
        *out++ = "0123456789abcdef"[value / unit % base];
    return out;
}

static void format_v4(const uint8_t bytes[4], char *out)
{
    for (int i = 0; i < 4; i++) {
        out = put_number(out, bytes[i], 10, 100);
        *out++ = i < 3 ? '.' : '\0';
    }
}

/* The first of the longest runs of zero groups, two at least (RFC 5952 4.2). */
static void find_gap(const unsigned groups[V6_GROUPS], int *start, int *length)
{
    *length = 1;
    *start = V6_GROUPS;
    for (int from = 0, to = 0; from < V6_GROUPS; from = to + 1) {
        for (to = from; to < V6_GROUPS && groups[to] == 0; to++)
            ;
        if (to - from > *length) {
            *start = from;
            *length = to - from;
        }
    }
}

/* RFC 5952 4 */
static void format_v6(const uint8_t bytes[16], char *out)
{
    unsigned groups[V6_GROUPS];
    int gap;
    int gap_length;
    for (int i = 0; i < V6_GROUPS; i++)
        groups[i] = (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1];
    find_gap(groups, &gap, &gap_length);
    for (int i = 0; i < V6_GROUPS; i++) {
        if (i == gap) {
            *out++ = ':';
            i += gap_length - 1;
            if (i == V6_GROUPS - 1)
                *out++ = ':';
            continue;
        }
        if (i > 0)
            *out++ = ':';
        out = put_number(out, groups[i], 16, 0x1000);
    }
    *out = '\0';
}

/* By hand: a worker does it for each connection it accepts. */
const char *ip_address_format(const struct ip_address *address, char out[INET6_ADDRSTRLEN])
{
    if (ip_address_is_v4(address))
        format_v4(address->bytes + 12, out);
    else
        format_v6(address->bytes, out);
    return out;
}

bool ip_prefix_contains(const struct ip_prefix *prefix, const struct ip_address *address)
{
    size_t whole = prefix->bits / 8;
    if (memcmp(prefix->address.bytes, address->bytes, whole) != 0)
        return false;
    unsigned rest = prefix->bits % 8;
    if (rest == 0)
        return true;
    uint8_t difference = prefix->address.bytes[whole] ^ address->bytes[whole];
    return difference >> (8 - rest) == 0;
}

/* One to three digits up to MAX and nothing else; no sign, no space, no leading zero. */
static bool parse_bits(const char *text, unsigned max, unsigned *out)
{
    unsigned value = 0;
    size_t digits = strlen(text);
    if (digits < 1 || digits > 3 || (digits > 1 && text[0] == '0'))
        return false;
    for (size_t i = 0; i < digits; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    *out = value;
    return value <= max;
}

bool ip_prefix_parse(const char *text, struct ip_prefix *out)
{
    char alone[INET6_ADDRSTRLEN];
    size_t length = strcspn(text, "/");
    if (length >= sizeof(alone))
        return false;
    memcpy(alone, text, length);
    alone[length] = '\0';
    struct ip_prefix prefix = {.bits = 128};
    if (!ip_address_parse(alone, &prefix.address))
        return false;
    bool dotted = strchr(alone, ':') == NULL; /* "::ffff:192.0.2.0/120" counts all its bits */
    unsigned before = dotted ? IP_ADDRESS_V4_BITS : 0;
    unsigned bits = 128 - before;
    if (text[length] == '/' && !parse_bits(text + length + 1, 128 - before, &bits))
        return false;
    prefix.bits = (uint8_t)(bits + before);
    *out = prefix;
    return true;
}
