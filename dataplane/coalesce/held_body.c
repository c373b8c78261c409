#include "dataplane/coalesce/held_body.h"

#include "dataplane/base/check.h"
#include "dataplane/coalesce/coalesce_private.h"

struct held_body *coalesce_body_take(struct coalesce *coalesce, struct principal *principal)
{
    struct held_body *held = pool_take(&coalesce->helds);
    if (held == NULL)
        return NULL;
    if (principal == NULL)
        principal = &coalesce->principals.newcomers;
    held->references = 1;
    held->segments = 0;
    held->coalesce = coalesce;
    held->principal = principal_hold(principal);
    body_init(&held->body);
    held->body.account = &principal->payload;
    sha256_init(&held->hash);
    return held;
}

/* Segments that a body of so many bytes takes. */
static uint64_t segments_for(const struct coalesce *coalesce, uint64_t bytes)
{
    uint32_t size = coalesce->config.segment_bytes;
    return (bytes + size - 1) / size;
}

/* C29: whether there are so MANY more for its principal, afterwards as well. */
static bool has_share(const struct held_body *held, uint32_t many)
{
    const struct coalesce *coalesce = held->coalesce;
    const struct principal *principal = held->principal;
    uint32_t held_free = coalesce->held_segments_max - coalesce->held_segments - many;
    uint32_t payload_left = payload_free(coalesce) - many;
    return many == 0 || (principal_is_fair(principal->held_segments + many - 1, held_free + 1) &&
                         principal->payload.used + many <= (uint64_t)SEGMENT_SHARE * payload_left);
}

static void account(struct held_body *held, uint32_t segments)
{
    held->segments += segments;
    held->principal->held_segments += segments;
    held->coalesce->held_segments += segments;
}

static void settle(struct held_body *held)
{
    held->principal->held_segments -= held->segments;
    held->coalesce->held_segments -= held->segments;
    held->segments = 0;
}

bool coalesce_body_append(struct held_body *held, struct bytes bytes)
{
    struct coalesce *coalesce = held->coalesce;
    uint64_t length = held->body.written_bytes + bytes.length;
    if (length > HELD_BODY_BYTES)
        return false;
    uint32_t more = (uint32_t)(segments_for(coalesce, length) - held->segments);
    if (coalesce->held_segments + more > coalesce->held_segments_max ||
        payload_free(coalesce) < more + coalesce->payload_shed || !has_share(held, more))
        return false;
    size_t taken = body_append(&held->body, &coalesce->payload, bytes);
    check(taken == bytes.length);
    account(held, more);
    sha256_update(&held->hash, bytes);
    return true;
}

void coalesce_body_end(struct held_body *held)
{
    body_end(&held->body);
    sha256_final(&held->hash, held->digest);
}

uint64_t coalesce_body_length(const struct held_body *held)
{
    return held->body.written_bytes;
}

void coalesce_body_give(struct held_body **held)
{
    struct held_body *gone = *held;
    *held = NULL;
    if (--gone->references > 0)
        return;
    settle(gone);
    body_clear(&gone->body);
    principal_drop(gone->principal);
    pool_give(&gone->coalesce->helds, gone);
}

void held_body_move(struct held_body *held, struct body *into)
{
    check(held->references == 1 && !held->body.ended);
    *into = held->body;
    body_init(&held->body);
    settle(held);
}

void held_body_swap(struct held_body **mine, struct held_body *theirs)
{
    if (*mine == NULL || theirs == NULL || *mine == theirs)
        return;
    coalesce_body_drop(mine);
    *mine = held_body_hold(theirs);
}
