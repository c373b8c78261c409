#include "control/steer_wanted.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "control/steer_host.h"

static struct steer_address map_address(const struct ip_address *address)
{
    struct steer_address key;

    memcpy(key.bytes, address->bytes, sizeof(key.bytes));
    return key;
}

/* Without the bits behind its length, which the map ignores but a comparison would not. */
static struct steer_prefix map_prefix(const struct ip_prefix *prefix)
{
    struct steer_prefix key = {.length_bits = prefix->bits,
                               .address = map_address(&prefix->address)};

    for (uint32_t bit = prefix->bits; bit < 128; bit++)
        key.address.bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
    return key;
}

static int validate_rules(const struct steer_rules *rules, char *message, size_t size)
{
    if (rules->vip_count > STEER_LISTENERS_MAX)
        return steer_fail(E2BIG, message, size, "%zu listeners, at most %d are possible",
                          rules->vip_count, STEER_LISTENERS_MAX);
    if (rules->local_count > STEER_ADDRESSES_MAX)
        return steer_fail(E2BIG, message, size, "%zu local addresses, at most %d are possible",
                          rules->local_count, STEER_ADDRESSES_MAX);
    if (rules->denied_count > STEER_DENIED_MAX)
        return steer_fail(E2BIG, message, size, "%zu denied prefixes, at most %d are possible",
                          rules->denied_count, STEER_DENIED_MAX);
    for (size_t i = 0; i < rules->vip_count; i++)
        if (rules->vips[i].port == 0)
            return steer_fail(EINVAL, message, size, "listener %zu has no port", i);
    for (size_t i = 0; i < rules->denied_count; i++)
        if (rules->denied[i].bits > 128)
            return steer_fail(EINVAL, message, size, "denied prefix %zu is longer than an address",
                              i);
    return 0;
}

static void add_vip(struct steer_wanted *wanted, const struct steer_vip *vip)
{
    struct steer_listener key = {.address = map_address(&vip->address), .port = htons(vip->port)};

    steer_entries_add(&wanted->listeners, &key, sizeof(key), 1);
    steer_entries_add(&wanted->addresses, &key.address, sizeof(key.address), STEER_ROLE_LISTENER);
}

static void add_local(struct steer_wanted *wanted, const struct ip_address *address)
{
    struct steer_address key = map_address(address);

    steer_entries_add(&wanted->addresses, &key, sizeof(key), STEER_ROLE_LOCAL);
}

static void add_denied(struct steer_wanted *wanted, const struct ip_prefix *prefix)
{
    struct steer_prefix key = map_prefix(prefix);

    steer_entries_add(&wanted->denied, &key, sizeof(key), 1);
}

static int reserve(struct steer_wanted *wanted, const struct steer_rules *rules)
{
    int error = steer_entries_make(&wanted->listeners, rules->vip_count);

    if (!error)
        error = steer_entries_make(&wanted->addresses, rules->vip_count + rules->local_count);
    if (!error)
        error = steer_entries_make(&wanted->denied, rules->denied_count);
    return error;
}

static void fill(struct steer_wanted *wanted, const struct steer_rules *rules)
{
    for (size_t i = 0; i < rules->vip_count; i++)
        add_vip(wanted, &rules->vips[i]);
    for (size_t i = 0; i < rules->local_count; i++)
        add_local(wanted, &rules->locals[i]);
    for (size_t i = 0; i < rules->denied_count; i++)
        add_denied(wanted, &rules->denied[i]);
    steer_entries_sort(&wanted->listeners);
    steer_entries_sort(&wanted->addresses);
    steer_entries_sort(&wanted->denied);
}

void steer_wanted_free(struct steer_wanted *wanted)
{
    steer_entries_free(&wanted->listeners);
    steer_entries_free(&wanted->addresses);
    steer_entries_free(&wanted->denied);
}

int steer_wanted_make(struct steer_wanted *wanted, const struct steer_rules *rules, char *message,
                      size_t size)
{
    int error = validate_rules(rules, message, size);

    if (error)
        return error;
    *wanted = (struct steer_wanted){0};
    if (reserve(wanted, rules) != 0) {
        error = steer_fail(ENOMEM, message, size, "out of memory for the steering rules");
    } else {
        fill(wanted, rules);
        if (wanted->addresses.count > STEER_ADDRESSES_MAX)
            error =
                steer_fail(E2BIG, message, size, "%zu different addresses, at most %d are possible",
                           wanted->addresses.count, STEER_ADDRESSES_MAX);
    }
    if (error)
        steer_wanted_free(wanted);
    return error;
}
