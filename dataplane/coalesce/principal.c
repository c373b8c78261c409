#include "dataplane/coalesce/principal.h"

#include "dataplane/base/check.h"
#include "dataplane/base/ip_address.h"
#include "dataplane/base/memory.h"
#include "dataplane/coalesce/key.h"
#include "dataplane/h2/fields.h"

#define RETRIES_MIN         3 /* C14b */
#define RETRIES_PER_FLIGHTS 5 /* C14b: 20 % */

static void emptied(struct segment_account *account);

static void init(struct principal *principal, struct principals *all, uint64_t name)
{
    *principal = (struct principal){
        .name = name, .all = all, .references = 1, .payload = {.emptied = emptied}};
}

bool principals_init(struct principals *principals, uint32_t count, struct siphash_key secret,
                     int socket_id)
{
    uint32_t buckets = 16;
    while (buckets < count)
        buckets *= 2;
    *principals = (struct principals){
        .buckets = memory_take("principals", buckets * sizeof(struct principal *), socket_id),
        .bucket_mask = buckets - 1,
        .secret = secret,
    };
    init(&principals->newcomers, principals, 0); /* its reference is never given back */
    return principals->buckets != NULL && pool_init(&principals->pool, "principals", POOL_LIFO,
                                                    count, sizeof(struct principal), socket_id);
}

/* --- names --- */

/* 0 is nobody's. */
static uint64_t name_of(const struct principals *principals, struct bytes bytes)
{
    uint64_t name = siphash(&principals->secret, bytes);
    return name != 0 ? name : 1;
}

uint64_t principal_address_name(const struct principals *principals,
                                const struct ip_address *address)
{
    size_t length = ip_address_is_v4(address) ? sizeof(address->bytes) : 8;
    return name_of(principals, bytes_of(address->bytes, length));
}

uint64_t principal_credentials_name(const struct principals *principals,
                                    const struct snapshot_coalesce *rules,
                                    const struct fields *fields)
{
    uint64_t name = 0;
    struct field field;
    if (!key_may_have_credential(rules, fields))
        return 0;
    for (uint32_t at = 0; fields_next(fields, &at, &field);) {
        if (!key_is_credential(rules, &field))
            continue;
        uint64_t parts[3] = {name, name_of(principals, field.name),
                             name_of(principals, field.value)};
        name = name_of(principals, bytes_of((const uint8_t *)parts, sizeof(parts)));
    }
    return name;
}

/* --- the table --- */

static struct principal **bucket_of(struct principals *principals, uint64_t name)
{
    return &principals->buckets[name & principals->bucket_mask];
}

static struct principal *find(struct principals *principals, uint64_t name)
{
    struct principal *principal = *bucket_of(principals, name);
    while (principal != NULL && principal->name != name)
        principal = principal->next;
    return principal;
}

static void give_one(struct principal *principal)
{
    struct principal **link = bucket_of(principal->all, principal->name);
    check(principal->flights == 0 && principal->requests == 0 && principal->retries == 0);
    while (*link != principal)
        link = &(*link)->next;
    *link = principal->next;
    pool_give(&principal->all->pool, principal);
}

/* It, and its address when it was the last one from there. */
static void give(struct principal *principal)
{
    struct principal *address = principal->address;
    give_one(principal);
    if (address == NULL)
        return;
    address->names--;
    if (--address->references == 0 && address->payload.used == 0)
        give_one(address);
}

static void emptied(struct segment_account *account)
{
    struct principal *principal = container_of(account, struct principal, payload);
    if (principal->references == 0)
        give(principal);
}

struct principal *principal_hold(struct principal *principal)
{
    principal->references++;
    return principal;
}

void principal_drop(struct principal *principal)
{
    check(principal->references > 0);
    if (--principal->references == 0 && principal->payload.used == 0)
        give(principal);
}

/* A new one, or the one of newcomers. */
static struct principal *make(struct principals *principals, uint64_t name)
{
    struct principal *principal = pool_take(&principals->pool);
    if (principal == NULL) {
        principals->crowded++;
        return principal_hold(&principals->newcomers);
    }
    struct principal **bucket = bucket_of(principals, name);
    init(principal, principals, name);
    principal->next = *bucket;
    *bucket = principal;
    return principal;
}

static struct principal *find_or_make(struct principals *principals, uint64_t name)
{
    struct principal *principal = find(principals, name);
    return principal != NULL ? principal_hold(principal) : make(principals, name);
}

/* It has credentials and comes from ADDRESS, to which the caller's reference goes over. */
static struct principal *make_named(struct principals *principals, struct principal *address,
                                    uint64_t name, uint32_t names_max)
{
    if (address->names >= names_max || address == &principals->newcomers) {
        principals->folded++;
        return address;
    }
    struct principal *principal = make(principals, name);
    if (principal == &principals->newcomers) {
        principal_drop(address);
        return principal;
    }
    principal->address = address;
    address->names++;
    return principal;
}

struct principal *principals_take(struct principals *principals, uint64_t address,
                                  uint64_t credentials, uint32_t names_max)
{
    if (credentials == 0)
        return find_or_make(principals, address);
    struct principal *known = find(principals, credentials);
    if (known != NULL)
        return principal_hold(known);
    return make_named(principals, find_or_make(principals, address), credentials, names_max);
}

uint32_t principals_count(const struct principals *principals)
{
    return pool_used(&principals->pool);
}

/* --- second attempts --- */

static uint32_t own_share(const struct principal *principal)
{
    return principal->flights / RETRIES_PER_FLIGHTS;
}

void principal_flight_begins(struct principal *principal)
{
    principal->all->own_retries -= own_share(principal);
    principal->all->flights++;
    principal->flights++;
    principal->all->own_retries += own_share(principal);
}

void principal_flight_ends(struct principal *principal)
{
    principal->all->own_retries -= own_share(principal);
    principal->all->flights--;
    principal->flights--;
    principal->all->own_retries += own_share(principal);
}

/* What is nobody's own, and RETRIES_MIN at least. The last few are for those who have none yet. */
static bool may_borrow(const struct principal *principal)
{
    uint32_t total = principal->all->flights / RETRIES_PER_FLIGHTS;
    uint32_t own = principal->all->own_retries;
    uint32_t spare = total > own + RETRIES_MIN ? total - own : RETRIES_MIN;
    if (principal->retries == 0)
        spare += RETRIES_MIN;
    return principal->retries < RETRIES_MIN && principal->all->borrowed_retries < spare;
}

bool principal_retry_begins(struct principal *principal)
{
    if (principal->retries - principal->borrowed >= own_share(principal)) {
        if (!may_borrow(principal))
            return false;
        principal->borrowed++;
        principal->all->borrowed_retries++;
    }
    principal->retries++;
    return true;
}

void principal_retry_ends(struct principal *principal)
{
    principal->retries--;
    if (principal->borrowed == 0)
        return;
    principal->borrowed--;
    principal->all->borrowed_retries--;
}
