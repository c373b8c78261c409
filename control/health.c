#include "control/health.h"

#include "control/warm_up.h"
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_PROBE_SPREAD_MS 100u
#define RETRY_NS              (50 * CLOCK_MS) /* no worker took the order */
#define EVENT_BYTES           512

/* What the sums of the workers were when we last looked; they begin at 0 with the generation. */
struct seen {
    uint64_t successes;
    uint64_t failures;
    uint64_t connects_failed;
    uint64_t suspected;
    uint64_t first_bytes[HISTOGRAM_BUCKETS];
};

struct health_backend {
    const struct config_backend *config; /* NULL: the slot is free */
    uint32_t generation;
    enum health_state state;
    uint32_t failed_row; /* probes */
    uint32_t ok_row;
    bool usable; /* as last told by health_take_changed() */
    uint64_t probe_at_ns;
    uint64_t since_ns;
    uint64_t connects_row_base; /* failed connects in a row from before it came back ... */
    bool connects_row_over;     /* ... which is the row of the next look */
    struct seen seen;
    uint64_t in_flight;
    struct ejection ejection;
    struct warm_up warm_up;
    bool was_probed;
    struct probe_result last;
};

struct health {
    const struct failover_host *host;
    const struct config *config;
    struct random random;
    bool changed;
    uint64_t due_ns;
    struct health_tries tries[SNAPSHOT_REGIONS_MAX];
    struct health_backend slots[SNAPSHOT_BACKENDS_MAX];
};

enum health_state health_next(enum health_state state, enum health_event event)
{
    static const enum health_state table[HEALTH_STATES][HEALTH_EVENTS] = {
        [HEALTH_NEW] = {HEALTH_UP, HEALTH_UP, HEALTH_DOWN, HEALTH_DOWN, HEALTH_DOWN, HEALTH_NEW},
        [HEALTH_UP] = {HEALTH_UP, HEALTH_UP, HEALTH_DOUBT, HEALTH_DOWN, HEALTH_DOWN, HEALTH_DOUBT},
        [HEALTH_DOUBT] = {HEALTH_UP, HEALTH_UP, HEALTH_DOUBT, HEALTH_DOWN, HEALTH_DOWN,
                          HEALTH_DOUBT},
        [HEALTH_DOWN] = {HEALTH_RISING, HEALTH_UP, HEALTH_DOWN, HEALTH_DOWN, HEALTH_DOWN,
                         HEALTH_DOWN},
        [HEALTH_RISING] = {HEALTH_RISING, HEALTH_UP, HEALTH_DOWN, HEALTH_DOWN, HEALTH_DOWN,
                           HEALTH_RISING},
    };
    check(state < HEALTH_STATES && event < HEALTH_EVENTS);
    return table[state][event];
}

static const char *state_name(enum health_state state)
{
    static const char *const names[HEALTH_STATES] = {
        [HEALTH_NEW] = "new",   [HEALTH_UP] = "up",         [HEALTH_DOUBT] = "doubt",
        [HEALTH_DOWN] = "down", [HEALTH_RISING] = "rising",
    };
    check(state < HEALTH_STATES);
    return names[state];
}

static bool state_is_usable(enum health_state state)
{
    return state != HEALTH_DOWN && state != HEALTH_RISING;
}

static const struct config_health *settings(const struct health *health,
                                            const struct health_backend *backend)
{
    return &health->config->services[backend->config->service].health;
}

struct health *health_create(const struct failover_host *host, uint64_t seed)
{
    struct health *health = calloc(1, sizeof(*health));
    if (health == NULL)
        return NULL;
    health->host = host;
    health->due_ns = CLOCK_NEVER;
    random_seed(&health->random, seed);
    return health;
}

void health_destroy(struct health *health)
{
    free(health);
}

uint64_t health_due_ns(const struct health *health)
{
    return health->due_ns;
}

/* Probe schedule. */

static void due_by(struct health *health, uint64_t at_ns)
{
    if (at_ns < health->due_ns)
        health->due_ns = at_ns;
}

static void probe_by(struct health *health, struct health_backend *backend, uint64_t at_ns)
{
    backend->probe_at_ns = at_ns;
    due_by(health, at_ns);
}

/* The interval of the backend's state, with jitter either way. */
static uint64_t interval_ns(struct health *health, const struct health_backend *backend)
{
    const struct config_health *set = settings(health, backend);
    uint64_t interval = set->interval_doubt_ns;
    if (backend->state == HEALTH_UP)
        interval = set->interval_up_ns;
    else if (backend->state == HEALTH_DOWN)
        interval = set->interval_down_ns;
    uint64_t thousandth = interval / 1000;
    uint32_t jitter = set->jitter_percent * 10;
    return interval - thousandth * jitter +
           thousandth * random_below(&health->random, 2 * jitter + 1);
}

/* Usability, and the states. */

static bool is_usable_now(const struct health_backend *backend, uint64_t now)
{
    return state_is_usable(backend->state) && !ejection_is_out(&backend->ejection, now);
}

static void refresh(struct health *health, struct health_backend *backend, uint64_t now)
{
    const struct config_health *set = settings(health, backend);
    bool usable = is_usable_now(backend, now);
    health->changed |= warm_up_step(&backend->warm_up, now, set);
    if (usable != backend->usable) {
        backend->usable = usable;
        health->changed = true;
        if (usable)
            warm_up_begin(&backend->warm_up, now, set);
        else
            warm_up_stop(&backend->warm_up);
    }
    due_by(health, warm_up_due_ns(&backend->warm_up, set));
}

__attribute__((format(printf, 3, 4))) static void
tell(const struct health *health, const struct health_backend *backend, const char *format, ...)
{
    const struct config_backend *config = backend->config;
    char text[EVENT_BYTES];
    int used = snprintf(text, sizeof(text), "backend %s (%s, %s): ", config->name,
                        health->config->services[config->service].name,
                        health->config->regions[config->region].name);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + used, sizeof(text) - (size_t)used, format, arguments);
    va_end(arguments);
    health->host->event(health->host->context, text);
}

/* The one function that changes a backend's state. */
static void transition(struct health *health, struct health_backend *backend,
                       enum health_event event, const char *cause, uint64_t now)
{
    enum health_state from = backend->state;
    enum health_state to = health_next(from, event);
    if (to == from)
        return;
    backend->state = to;
    backend->since_ns = now;
    if (state_is_usable(from) != state_is_usable(to) || from == HEALTH_NEW)
        tell(health, backend, "%s -> %s: %s", state_name(from), state_name(to), cause);
    uint64_t probe_at_ns = event == HEALTH_SILENT ? now : now + interval_ns(health, backend);
    if (probe_at_ns < backend->probe_at_ns)
        probe_by(health, backend, probe_at_ns);
    refresh(health, backend, now);
}

/* Configuration. */

static void begin(struct health *health, struct health_backend *backend,
                  const struct config_backend *config, uint64_t now)
{
    *backend = (struct health_backend){
        .config = config,
        .generation = config->generation,
        .state = HEALTH_NEW,
        .usable = true,
        .since_ns = now,
    };
    uint32_t spread_ms = random_below(&health->random, FIRST_PROBE_SPREAD_MS);
    probe_by(health, backend, now + spread_ms * CLOCK_MS);
}

void health_apply(struct health *health, const struct config *config, uint64_t now)
{
    bool stays[SNAPSHOT_BACKENDS_MAX] = {false};
    health->config = config;
    memset(health->tries, 0, sizeof(health->tries));
    for (uint32_t i = 0; i < config->backend_count; i++) {
        const struct config_backend *wanted = &config->backends[i];
        struct health_backend *backend = &health->slots[wanted->slot];
        stays[wanted->slot] = true;
        if (backend->config == NULL || backend->generation != wanted->generation)
            begin(health, backend, wanted, now);
        backend->config = wanted;
    }
    for (uint32_t slot = 0; slot < SNAPSHOT_BACKENDS_MAX; slot++)
        if (!stays[slot])
            health->slots[slot].config = NULL;
    health->changed = true;
}

/* Probes. */

static enum probe_kind probe_kind(enum config_probe probe, enum upstream_protocol protocol)
{
    switch (probe) {
    case CONFIG_PROBE_TCP:
        return PROBE_TCP;
    case CONFIG_PROBE_HTTP2:
        return PROBE_HTTP2;
    case CONFIG_PROBE_HTTP1:
        return PROBE_HTTP1;
    case CONFIG_PROBE_HTTP:
        break;
    }
    return protocol == UPSTREAM_HTTP1 ? PROBE_HTTP1 : PROBE_HTTP2;
}

static bool order_probe(struct health *health, const struct health_backend *backend)
{
    const struct config_health *set = settings(health, backend);
    struct probe_order order = {
        .slot = backend->config->slot,
        .generation = backend->generation,
        .timeout_ns = set->timeout_ns,
        .kind = (uint8_t)probe_kind(set->probe, backend->config->protocol),
    };
    snprintf(order.path, sizeof(order.path), "%s", set->path);
    return health->host->probe(health->host->context, &order);
}

static void tick_backend(struct health *health, struct health_backend *backend, uint64_t now)
{
    refresh(health, backend, now);
    if (backend->probe_at_ns <= now)
        backend->probe_at_ns =
            now + (order_probe(health, backend) ? interval_ns(health, backend) : RETRY_NS);
    due_by(health, backend->probe_at_ns);
    if (ejection_is_out(&backend->ejection, now))
        due_by(health, backend->ejection.until_ns);
}

void health_tick(struct health *health, uint64_t now)
{
    health->due_ns = CLOCK_NEVER;
    for (uint32_t i = 0; i < health->config->backend_count; i++)
        tick_backend(health, &health->slots[health->config->backends[i].slot], now);
}

static void last_probe_text(const struct health_backend *backend, char *out, size_t size)
{
    static const char *const texts[] = {
        [PROBE_OK] = "ok",
        [PROBE_CONNECT_FAILED] = "connect failed",
        [PROBE_TLS_FAILED] = "TLS handshake failed",
        [PROBE_TIMEOUT] = "timeout",
        [PROBE_RESET] = "reset",
        [PROBE_BAD_STATUS] = "status",
        [PROBE_NO_ROOM] = "no room",
    };
    if (!backend->was_probed)
        snprintf(out, size, "none yet");
    else if (backend->last.outcome == PROBE_BAD_STATUS)
        snprintf(out, size, "status %u", backend->last.status);
    else
        snprintf(out, size, "%s", texts[backend->last.outcome]);
}

/* Which event a probe's result is, counting rows. */
static enum health_event probe_event(struct health_backend *backend, bool ok,
                                     const struct config_health *set)
{
    backend->ok_row = ok ? backend->ok_row + 1 : 0;
    backend->failed_row = ok ? 0 : backend->failed_row + 1;
    if (ok)
        return backend->ok_row >= set->rise ? HEALTH_OK_ENOUGH : HEALTH_OK;
    return backend->failed_row >= set->fall ? HEALTH_FAILED_ENOUGH : HEALTH_FAILED;
}

void health_probed(struct health *health, const struct probe_result *result, uint64_t now)
{
    char cause[128] = "probe: ";
    if (result->slot >= SNAPSHOT_BACKENDS_MAX || result->outcome > PROBE_NO_ROOM)
        return;
    struct health_backend *backend = &health->slots[result->slot];
    if (backend->config == NULL || backend->generation != result->generation)
        return; /* of a backend that was taken out of the configuration */
    backend->last = *result;
    backend->was_probed = true;
    if (result->outcome == PROBE_NO_ROOM)
        return; /* says nothing about the backend */
    bool ok = result->outcome == PROBE_OK;
    struct health_tries *tries = &health->tries[backend->config->region];
    *(ok ? &tries->successes : &tries->failures) += 1;
    last_probe_text(backend, cause + strlen(cause), sizeof(cause) - strlen(cause));
    enum health_event event = probe_event(backend, ok, settings(health, backend));
    if (ok && !state_is_usable(backend->state)) { /* what failed before it came back is over */
        backend->connects_row_over = true;
        ejection_forget(&backend->ejection, now);
    }
    transition(health, backend, event, cause, now);
}

/* Traffic. */

static struct seen read_sums(const struct backend_load *load)
{
    struct seen seen = {.successes = load->outcomes[BACKEND_SUCCESS],
                        .connects_failed = load->outcomes[BACKEND_CONNECT_FAILED],
                        .suspected = load->suspected};
    for (int i = 0; i < BACKEND_OUTCOMES; i++)
        if (i != BACKEND_SUCCESS)
            seen.failures += load->outcomes[i];
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        seen.first_bytes[i] = load->first_bytes.buckets[i];
    return seen;
}

/* The sums fall when a worker has not yet seen the slot's new life: nothing new then. */
static uint64_t grown(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0;
}

/* Failed connects in a row, without those from before the backend came back. */
static uint64_t connects_row(struct health_backend *backend, uint64_t row)
{
    if (backend->connects_row_over)
        backend->connects_row_base = row;
    else if (backend->connects_row_base > row)
        backend->connects_row_base = 0; /* a success ended that row */
    backend->connects_row_over = false;
    return row - backend->connects_row_base;
}

/* Whether one more backend of the region may be ejected. */
static bool may_eject(const struct health *health, const struct health_backend *candidate,
                      uint64_t now)
{
    uint32_t members = 0;
    uint32_t out = 0;
    uint32_t others_usable = 0;
    for (uint32_t i = 0; i < health->config->backend_count; i++) {
        const struct config_backend *config = &health->config->backends[i];
        const struct health_backend *backend = &health->slots[config->slot];
        if (config->region != candidate->config->region)
            continue;
        members++;
        out += ejection_is_out(&backend->ejection, now);
        others_usable += backend != candidate && config->service == candidate->config->service &&
                         is_usable_now(backend, now);
    }
    uint32_t percent = settings(health, candidate)->eject_region_percent;
    uint32_t allowed = members * percent / 100;
    if (allowed == 0 && percent > 0)
        allowed = 1;
    return out < allowed && others_usable > 0;
}

static void eject(struct health *health, struct health_backend *backend, uint64_t now)
{
    ejection_begin(&backend->ejection, now, settings(health, backend), &health->random);
    due_by(health, backend->ejection.until_ns);
    refresh(health, backend, now);
    tell(health, backend, "ejected for %" PRIu64 " ms, time %u: traffic failed",
         (uint64_t)((backend->ejection.until_ns - now) / CLOCK_MS), backend->ejection.times);
}

static void observe_backend(struct health *health, struct health_backend *backend,
                            const struct backend_load *load, uint64_t now)
{
    const struct config_health *set = settings(health, backend);
    struct seen before = backend->seen;
    struct seen seen = read_sums(load);
    uint64_t row = connects_row(backend, load->connect_failed_row);
    backend->seen = seen;
    backend->in_flight = load->in_flight;
    uint64_t successes = grown(seen.successes, before.successes);
    uint64_t failures = grown(seen.failures, before.failures);
    struct health_tries *tries = &health->tries[backend->config->region];
    tries->successes += successes;
    tries->failures += failures;
    tries->requests += successes + failures;
    tries->errors += failures;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        tries->first_bytes[i] += grown(seen.first_bytes[i], before.first_bytes[i]);
    ejection_note(&backend->ejection, now, successes, failures);
    if (grown(seen.suspected, before.suspected) > 0)
        transition(health, backend, HEALTH_SILENT, "the path fell silent", now);
    if (grown(seen.connects_failed, before.connects_failed) > 0 && row >= set->connect_failures)
        transition(health, backend, HEALTH_CONNECTS_FAILED, "connects of traffic fail", now);
    if (is_usable_now(backend, now) && ejection_is_due(&backend->ejection, set) &&
        may_eject(health, backend, now))
        eject(health, backend, now);
}

void health_observe(struct health *health, const struct backend_loads *sums, uint64_t now)
{
    for (uint32_t i = 0; i < health->config->backend_count; i++) {
        uint32_t slot = health->config->backends[i].slot;
        struct health_backend *backend = &health->slots[slot];
        if (sums->slots[slot].generation == backend->generation)
            observe_backend(health, backend, &sums->slots[slot], now);
    }
}

/* What others see. */

bool health_is_usable(const struct health *health, uint32_t slot)
{
    const struct health_backend *backend = &health->slots[slot];
    return backend->config != NULL && backend->usable;
}

bool health_take_changed(struct health *health)
{
    bool changed = health->changed;
    health->changed = false;
    return changed;
}

uint32_t health_weight(const struct health *health, uint32_t slot)
{
    const struct health_backend *backend = &health->slots[slot];
    return backend->config == NULL ? 0 : warm_up_weight(&backend->warm_up, backend->config->weight);
}

/* One backend of unknown capacity makes the region's unknown. */
static void add_capacity(struct verdict_members *members, uint32_t capacity, bool usable)
{
    if (capacity == 0)
        members->capacity = REGION_CAPACITY_UNKNOWN;
    else if (members->capacity != REGION_CAPACITY_UNKNOWN && usable)
        members->capacity += capacity;
}

void health_members(const struct health *health, struct verdict_members out[SNAPSHOT_REGIONS_MAX])
{
    memset(out, 0, SNAPSHOT_REGIONS_MAX * sizeof(*out));
    for (uint32_t i = 0; i < health->config->backend_count; i++) {
        const struct config_backend *config = &health->config->backends[i];
        const struct health_backend *backend = &health->slots[config->slot];
        struct verdict_members *members = &out[config->region];
        members->backends++;
        members->usable += backend->usable;
        members->in_flight += backend->in_flight;
        add_capacity(members, config->capacity, backend->usable);
        if (backend->state == HEALTH_NEW)
            continue;
        uint32_t weight = health_weight(health, config->slot);
        members->weight += weight;
        members->usable_weight += backend->usable ? weight : 0;
    }
}

struct health_tries health_take_tries(struct health *health, uint32_t region)
{
    struct health_tries tries = health->tries[region];
    health->tries[region] = (struct health_tries){0};
    return tries;
}

void health_view(const struct health *health, uint32_t slot, uint64_t now, uint64_t unix_ms_at_zero,
                 struct failover_backend_view *out)
{
    /* Operators know three states: new is in doubt, rising is still down. */
    static const char *const shown[HEALTH_STATES] = {
        [HEALTH_NEW] = "doubt", [HEALTH_UP] = "up",       [HEALTH_DOUBT] = "doubt",
        [HEALTH_DOWN] = "down", [HEALTH_RISING] = "down",
    };
    const struct health_backend *backend = &health->slots[slot];
    *out = (struct failover_backend_view){
        .state = shown[backend->state],
        .ejected = ejection_is_out(&backend->ejection, now),
        .last_probe_took_ns = backend->last.took_ns,
        .since_ms = unix_ms_at_zero + backend->since_ns / CLOCK_MS,
        .weight = health_weight(health, slot),
    };
    if (out->ejected)
        out->ejected_left_ms = (backend->ejection.until_ns - now) / CLOCK_MS;
    last_probe_text(backend, out->last_probe, sizeof(out->last_probe));
}
