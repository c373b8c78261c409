#include "dataplane/base/segment.h"

#include "dataplane/base/check.h"
#include "dataplane/base/memory.h"
#include "dataplane/base/sanitizer.h"

static void account_back(struct segment_account *account, uint32_t count)
{
    if (account == NULL || count == 0)
        return;
    account->used -= count;
    if (account->used == 0 && account->emptied != NULL)
        account->emptied(account);
}

static void segment_give(struct segment_source *source, struct segment *segment)
{
    struct segment_pool *pool = container_of(source, struct segment_pool, source);
    struct segment_account *account = segment->account;
    sanitizer_poison(segment->data, segment->capacity);
    pool_give(&pool->segments, segment);
    account_back(account, 1);
}

bool segment_pool_init(struct segment_pool *pool, const char *name, uint32_t count,
                       uint32_t segment_bytes, int socket_id)
{
    check(count > 0 && segment_bytes > 0);
    *pool = (struct segment_pool){
        .source = {.released = segment_give},
        .segment_bytes = segment_bytes,
    };
    size_t bytes = (size_t)count * segment_bytes;
    pool->data = memory_take(name, bytes, socket_id);
    if (pool->data == NULL)
        return false;
    sanitizer_poison(pool->data, bytes);
    return pool_init(&pool->segments, name, POOL_LIFO, count, sizeof(struct segment), socket_id);
}

static struct segment *take(struct segment_pool *pool, struct segment_account *account)
{
    struct segment *segment = pool_take(&pool->segments);
    *segment = (struct segment){
        .data = pool->data + (size_t)pool_index(&pool->segments, segment) * pool->segment_bytes,
        .capacity = pool->segment_bytes,
        .references = 1,
        .source = &pool->source,
        .account = account,
    };
    sanitizer_unpoison(segment->data, segment->capacity);
    return segment;
}

struct segment *segment_take(struct segment_pool *pool)
{
    return segments_spare(pool) > 0 ? take(pool, NULL) : NULL;
}

struct segment *segment_take_for(struct segment_pool *pool, struct segment_account *account)
{
    if (account == NULL)
        return segment_take(pool);
    if (account->used >= (uint64_t)SEGMENT_SHARE * segments_spare(pool))
        return NULL;
    account->used++;
    return take(pool, account);
}

void segment_promise(struct segment_pool *pool, struct segment_account *account, uint32_t count)
{
    check(count <= segments_spare(pool));
    pool->promised += count;
    if (account != NULL)
        account->used += count;
}

void segment_unpromise(struct segment_pool *pool, struct segment_account *account, uint32_t count)
{
    check(count <= pool->promised);
    pool->promised -= count;
    account_back(account, count);
}

struct segment *segment_take_promised(struct segment_pool *pool, struct segment_account *account)
{
    check(pool->promised > 0);
    pool->promised--;
    return take(pool, account);
}
