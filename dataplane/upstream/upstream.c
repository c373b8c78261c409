#include "dataplane/upstream/upstream_private.h"

#include "dataplane/base/check.h"
#include "dataplane/base/counter.h"
#include "dataplane/base/memory.h"
#include "dataplane/region/region_load.h"

static void slot_init(struct upstream_slot *slot)
{
    list_init(&slot->connections);
    list_init(&slot->waiting);
    list_init(&slot->touched);
    slot->streams_expected = UPSTREAM_STREAMS_ASSUMED;
}

struct upstream *upstream_create(const struct upstream_config *config)
{
    check(config->connections_max > 0 && config->backend_connections > 0);
    struct upstream *upstream = memory_take("upstream", sizeof(*upstream), config->socket_id);
    if (upstream == NULL)
        return NULL;
    upstream->config = *config;
    upstream->applied = 1; /* a slot's 0 is never */
    list_init(&upstream->idle);
    list_init(&upstream->retiring);
    list_init(&upstream->draining);
    list_init(&upstream->closed);
    list_init(&upstream->touched);
    list_init(&upstream->failing);
    for (uint32_t i = 0; i < SNAPSHOT_BACKENDS_MAX; i++)
        slot_init(&upstream->slots[i]);
    if (!pool_init(&upstream->connections, "upstream connections", POOL_RESTING,
                   config->connections_max, sizeof(struct upstream_conn), config->socket_id))
        return NULL;
    return upstream;
}

struct upstream_counters *upstream_counters(struct upstream *upstream)
{
    return &upstream->counters;
}

uint32_t upstream_connection_count(const struct upstream *upstream)
{
    return pool_used(&upstream->connections);
}

uint32_t upstream_waiting_count(const struct upstream *upstream)
{
    return upstream->waiting_count;
}

void slot_touch(struct upstream *upstream, uint32_t slot)
{
    if (!list_is_linked(&upstream->slots[slot].touched))
        list_push_back(&upstream->touched, &upstream->slots[slot].touched);
}

void slot_fail_waiting(struct upstream *upstream, uint32_t slot, enum attempt_failure why)
{
    struct list *waiting = &upstream->slots[slot].waiting;
    for (struct list *link; (link = list_pop_front(waiting)) != NULL;)
        attempt_fail_later(list_entry(link, struct attempt, link), why);
    upstream->slots[slot].waiting_count = 0;
}

bool slot_has_hope(const struct upstream_slot *slot)
{
    list_for_each (link, next, &slot->connections)
        if (!list_entry(link, struct upstream_conn, link)->suspect)
            return true;
    return false;
}

/* The backend is gone: its connections drain, those who wait move on. */
static void slot_leave(struct upstream *upstream, uint32_t index, uint64_t now)
{
    struct upstream_slot *slot = &upstream->slots[index];
    if (!slot->present)
        return;
    slot->present = false;
    tls_target_drop(slot->target);
    slot->target = NULL;
    backend_set_silent(upstream->config.loads, index, false);
    list_for_each (link, next, &slot->connections)
        upstream_conn_retire(list_entry(link, struct upstream_conn, link),
                             &upstream->counters.connections_removed, now);
    slot_fail_waiting(upstream, index, ATTEMPT_UNREACHABLE);
}

/* Counting begins anew. The control thread compares only counts of equal generation. */
static void load_reset(struct backend_load *load, uint32_t generation)
{
    for (uint32_t i = 0; i < BACKEND_OUTCOMES; i++)
        counter_set(&load->outcomes[i], 0);
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        counter_set(&load->first_bytes.buckets[i], 0);
    counter_set(&load->first_bytes.sum, 0);
    counter_set(&load->connected, 0);
    counter_set(&load->connect_failed_row, 0);
    counter_set(&load->in_flight, 0);
    counter_set(&load->connections, 0);
    counter_set(&load->suspected, 0);
    counter_set(&load->generation, generation);
}

/* Files may have been read again: what is open goes on, connects from here on are by the new ones.
 */
static void slot_aim(struct upstream *upstream, const struct snapshot *snapshot,
                     const struct snapshot_backend *backend)
{
    struct upstream_slot *slot = &upstream->slots[backend->slot];
    const struct tls_target *target =
        backend->tls && upstream->config.tls != NULL
            ? tls_contexts_target(snapshot->tls, backend->tls_target, upstream->config.self)
            : NULL;
    slot->secure = backend->tls;
    if (target == slot->target)
        return;
    tls_target_drop(slot->target);
    slot->target = target != NULL ? tls_target_hold(target) : NULL;
}

/* Make the slot stand for this backend; what belonged to another generation ends. */
static void slot_adopt(struct upstream *upstream, const struct snapshot_backend *backend,
                       uint64_t now)
{
    check(backend->slot < SNAPSHOT_BACKENDS_MAX);
    struct upstream_slot *slot = &upstream->slots[backend->slot];
    bool known = slot->applied > 0 && slot->generation == backend->generation;
    slot->applied = upstream->applied;
    slot->region = backend->region;
    if (slot->present && known)
        return;
    slot_leave(upstream, backend->slot, now);
    if (!known)
        load_reset(&upstream->config.loads->slots[backend->slot], backend->generation);
    slot->present = true;
    slot->generation = backend->generation;
    slot->address = backend->address;
    slot->port = backend->port;
    slot->protocol = backend->protocol;
    slot->speaks_http1 = backend->protocol == UPSTREAM_HTTP1;
    slot->streams_expected = backend->protocol == UPSTREAM_HTTP1 ? 1 : UPSTREAM_STREAMS_ASSUMED;
    slot->grow_after_ns = 0;
}

void upstream_apply(struct upstream *upstream, const struct snapshot *snapshot, uint64_t now)
{
    upstream->applied++;
    for (uint32_t i = 0; i < snapshot->backend_count; i++) {
        slot_adopt(upstream, &snapshot->backends[i], now);
        slot_aim(upstream, snapshot, &snapshot->backends[i]);
    }
    for (uint32_t i = 0; i < SNAPSHOT_BACKENDS_MAX; i++)
        if (upstream->slots[i].applied != upstream->applied)
            slot_leave(upstream, i, now);
    region_loads_recount(upstream->config.loads, snapshot);
}

struct upstream_conn *slot_find_room(const struct upstream_slot *slot)
{
    struct upstream_conn *best = NULL;
    list_for_each (link, next, &slot->connections) {
        struct upstream_conn *conn = list_entry(link, struct upstream_conn, link);
        if (conn->state != UPSTREAM_OPEN || conn->suspect || conn->speaks->room(conn) == 0)
            continue;
        if (best == NULL || conn->attempt_count < best->attempt_count)
            best = conn;
    }
    return best;
}

/* Give waiting attempts to connections that have room. */
static void slot_dispatch(struct upstream *upstream, struct upstream_slot *slot, uint64_t now)
{
    while (slot->waiting_count > 0) {
        struct upstream_conn *conn = slot_find_room(slot);
        if (conn == NULL)
            return;
        struct list *link = list_pop_front(&slot->waiting);
        slot->waiting_count--;
        attempt_attach(list_entry(link, struct attempt, link), conn, now);
    }
}

/* How many attempts the connections being opened are expected to take. */
static uint64_t slot_room_coming(const struct upstream_slot *slot)
{
    uint64_t room = 0;
    list_for_each (link, next, &slot->connections) {
        const struct upstream_conn *conn = list_entry(link, struct upstream_conn, link);
        if (conn->state != UPSTREAM_OPEN && !conn->suspect)
            room += slot->streams_expected;
    }
    return room;
}

static uint32_t connections_max(const struct upstream *upstream, const struct upstream_slot *slot)
{
    return slot->speaks_http1 ? upstream->config.http1_connections
                              : upstream->config.backend_connections;
}

/* Open connections as far as they are needed and allowed. False: one could not be begun. */
static bool slot_grow(struct upstream *upstream, uint32_t index, uint64_t now)
{
    struct upstream_slot *slot = &upstream->slots[index];
    if (now < slot->grow_after_ns && slot_has_hope(slot))
        return true;
    uint64_t room = slot_room_coming(slot);
    while (slot->waiting_count > room && slot->connection_count < connections_max(upstream, slot)) {
        if (!upstream_conn_start(upstream, index, now))
            return false;
        room += slot->streams_expected;
    }
    return true;
}

/*
 * An open connection without attempts took none: this worker's streams are used up, or the backend
 * allows none. Waiting would not end, since nothing of this slot's own is going to free one.
 */
static bool slot_is_starved(const struct upstream_slot *slot)
{
    list_for_each (link, next, &slot->connections) {
        const struct upstream_conn *conn = list_entry(link, struct upstream_conn, link);
        if (conn->state == UPSTREAM_OPEN && !conn->suspect && conn->attempt_count == 0)
            return true;
    }
    return false;
}

static void slot_serve(struct upstream *upstream, uint32_t index, uint64_t now)
{
    struct upstream_slot *slot = &upstream->slots[index];
    slot_dispatch(upstream, slot, now);
    if (slot->waiting_count == 0)
        return;
    if (slot_is_starved(slot)) {
        slot_fail_waiting(upstream, index, ATTEMPT_NO_ROOM);
        return;
    }
    bool grown = slot_grow(upstream, index, now);
    if (!slot_has_hope(slot))
        slot_fail_waiting(upstream, index, grown ? ATTEMPT_CONNECT_TIMEOUT : ATTEMPT_NO_ROOM);
}

/* Serve the slots that were touched before this call; those touched by it wait for the next. */
static void slots_serve(struct upstream *upstream, uint64_t now)
{
    struct list touched;
    list_init(&touched);
    list_append_all(&touched, &upstream->touched);
    for (struct list *link; (link = list_pop_front(&touched)) != NULL;) {
        struct upstream_slot *slot = list_entry(link, struct upstream_slot, touched);
        slot_serve(upstream, (uint32_t)(slot - upstream->slots), now);
    }
}

static void retire_idle(struct upstream *upstream, uint64_t now)
{
    while (!list_is_empty(&upstream->idle))
        upstream_conn_retire(list_entry(upstream->idle.next, struct upstream_conn, idle),
                             &upstream->counters.connections_drained, now);
}

void upstream_drain(struct upstream *upstream, uint64_t now)
{
    upstream->drains = true;
    retire_idle(upstream, now);
}

static bool has_work(const struct upstream *upstream)
{
    bool idles_in_drain = upstream->drains && !list_is_empty(&upstream->idle);
    return idles_in_drain || !list_is_empty(&upstream->touched) ||
           !list_is_empty(&upstream->failing) || !list_is_empty(&upstream->retiring) ||
           !list_is_empty(&upstream->closed);
}

bool upstream_tick(struct upstream *upstream, uint64_t now)
{
    if (!has_work(upstream))
        return false;
    slots_serve(upstream, now);
    if (upstream->drains)
        retire_idle(upstream, now);
    upstream_conns_shut_down(upstream, now);
    attempts_tell(upstream, now);
    upstream_conns_give_back(upstream);
    return true;
}
