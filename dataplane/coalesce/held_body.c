#include "dataplane/coalesce/held_body.h"

#include "dataplane/base/check.h"
#include "dataplane/coalesce/coalesce_private.h"

struct held_body *coalesce_body_take(struct coalesce *coalesce)
{
    struct held_body *held = pool_take(&coalesce->helds);
    if (held == NULL)
        return NULL;
    held->references = 1;
    held->segments = 0;
    held->coalesce = coalesce;
    body_init(&held->body);
    sha256_init(&held->hash);
    return held;
}

/* Segments that a body of so many bytes takes. */
static uint64_t segments_for(const struct coalesce *coalesce, uint64_t bytes)
{
    uint32_t size = coalesce->config.segment_bytes;
    return (bytes + size - 1) / size;
}

bool coalesce_body_append(struct held_body *held, struct bytes bytes)
{
    struct coalesce *coalesce = held->coalesce;
    uint64_t length = held->body.written_bytes + bytes.length;
    uint32_t more = (uint32_t)(segments_for(coalesce, length) - held->segments);
    if (length > HELD_BODY_BYTES || coalesce->held_segments + more > coalesce->held_segments_max ||
        payload_free(coalesce) < more + coalesce->payload_shed)
        return false;
    size_t taken = body_append(&held->body, &coalesce->payload, bytes);
    check(taken == bytes.length);
    held->segments += more;
    coalesce->held_segments += more;
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

void coalesce_body_drop(struct held_body **held)
{
    struct held_body *gone = *held;
    *held = NULL;
    if (gone == NULL || --gone->references > 0)
        return;
    gone->coalesce->held_segments -= gone->segments;
    body_clear(&gone->body);
    pool_give(&gone->coalesce->helds, gone);
}

void held_body_move(struct held_body *held, struct body *into)
{
    check(held->references == 1 && !held->body.ended);
    *into = held->body;
    body_init(&held->body);
    held->coalesce->held_segments -= held->segments;
    held->segments = 0;
}

void held_body_swap(struct held_body **mine, struct held_body *theirs)
{
    if (*mine == NULL || theirs == NULL || *mine == theirs)
        return;
    coalesce_body_drop(mine);
    *mine = held_body_hold(theirs);
}
