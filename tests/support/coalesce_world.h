/*
 * coalesce_world: some workers with a struct coalesce each, a table, mail rings that the test
 * steps, one service in two regions, and clients that read what they subscribed to.
 *
 * The answer of the n-th try at a worker is a byte sequence of its own, so that a client can tell
 * whose bytes it reads.
 */
#pragma once

#include "dataplane/base/mail.h"
#include "dataplane/base/memory.h"
#include "dataplane/coalesce/coalesce_private.h"
#include "dataplane/coalesce/flight.h"
#include "tests/support/fake_upstream.h"

#include <stdlib.h>

#define WORLD_WORKERS_MAX 3
#define WORLD_REGIONS     2
#define WORLD_EACH        2 /* backends in a region */
#define WORLD_BACKENDS    (WORLD_REGIONS * WORLD_EACH)
#define WORLD_ROUTES      5
#define WORLD_RING        64
#define WORLD_SEGMENT     1024
#define WORLD_FLIGHT      (8 * WORLD_SEGMENT)
#define CLIENT_HELD_MAX   16
#define WORLD_PRINCIPALS  128

enum world_route {
    ROUTE_GET,  /* coalesces GET */
    ROUTE_OFF,  /* coalesces nothing */
    ROUTE_POST, /* also POST */
    ROUTE_SHADOW,
    ROUTE_PUBLIC, /* across principals, ignores no-store and set-cookie */
};

struct world;

struct world_worker {
    struct world *world;
    struct coalesce *coalesce;
    struct upstream *upstream;
    struct backend_loads loads;
    struct timer_wheel wheel;
    struct random random;
    struct postman postman;
    struct mail mails[WORLD_WORKERS_MAX][WORLD_RING]; /* by sender */
    uint32_t mail_count[WORLD_WORKERS_MAX];
    uint32_t mail_most;
    struct principal *principals[WORLD_PRINCIPALS]; /* references; NULL: not asked for yet */
};

struct world {
    struct world_worker workers[WORLD_WORKERS_MAX];
    uint16_t count;
    uint32_t ring_size; /* mails a ring takes */
    struct coalesce_table *table;
    struct rte_rcu_qsbr *quiescence; /* NULL: everything is quiescent */
    struct snapshot_region regions[WORLD_REGIONS];
    struct snapshot_group groups[WORLD_REGIONS];
    struct snapshot_service service;
    struct snapshot_backend backends[WORLD_BACKENDS];
    struct snapshot_route routes[WORLD_ROUTES];
    struct snapshot snapshot;
    uint64_t now;
    uint64_t clients_alive;
};

struct client {
    struct subscriber subscriber;
    struct world_worker *worker;
    uint8_t key_room[COALESCE_KEY_BYTES];
    uint8_t request_room[2048];
    struct fields request;
    struct flight_request asked;
    uint32_t news;
    uint32_t refused;
    uint64_t request_sent;
    enum subscribe_result result;
    /* What it has read. */
    bool head_read;
    bool ended;
    bool failed;
    bool has_trailers;
    enum flight_failure failure;
    uint64_t answer; /* the number in the head */
    uint64_t bytes;
    struct segment *held[CLIENT_HELD_MAX]; /* as TCP does until they are acknowledged */
    uint32_t held_count;
    bool stay_when_refused; /* do not subscribe again from refused() */
    bool waits_its_turn;    /* it could read on: its worker has not come to it */
};

/* --- creation --- */

static inline bool world_post(struct postman *postman, uint16_t to, const struct mail *mail)
{
    struct world_worker *from = container_of(postman, struct world_worker, postman);
    struct world_worker *worker = &from->world->workers[to];
    uint32_t *count = &worker->mail_count[postman->self];
    assert_true(to < from->world->count && to != postman->self);
    if (*count >= from->world->ring_size)
        return false;
    worker->mails[postman->self][(*count)++] = *mail;
    if (*count > worker->mail_most)
        worker->mail_most = *count;
    return true;
}

static inline void world_make_snapshot(struct world *world)
{
    static const char *const names[WORLD_ROUTES] = {"get", "off", "post", "shadow", "public"};
    static const enum coalesce_mode modes[WORLD_ROUTES] = {
        COALESCE_GET, COALESCE_OFF, COALESCE_POST_BODY, COALESCE_SHADOW, COALESCE_GET};
    for (uint16_t i = 0; i < WORLD_BACKENDS; i++)
        world->backends[i] = (struct snapshot_backend){.slot = 10u + i,
                                                       .generation = 1,
                                                       .region = (uint16_t)(i / WORLD_EACH),
                                                       .weight = 1,
                                                       .usable = true};
    for (uint16_t i = 0; i < WORLD_REGIONS; i++) {
        world->regions[i] = (struct snapshot_region){.active = true, .share_permille = 1000};
        world->groups[i] = (struct snapshot_group){(uint16_t)(i * WORLD_EACH), WORLD_EACH};
    }
    for (uint16_t i = 0; i < WORLD_ROUTES; i++)
        world->routes[i] = (struct snapshot_route){
            .name = bytes_text(names[i]),
            .request_timeout_ns = 120 * CLOCK_S,
            .first_byte_timeout_ns = 60 * CLOCK_S,
            .idle_timeout_ns = 30 * CLOCK_S,
            .coalesce = {.mode = modes[i],
                         .linger_ns = 500 * CLOCK_MS,
                         .flight_bytes = WORLD_FLIGHT,
                         .share_across_principals = i == ROUTE_PUBLIC,
                         .ignore_no_store = i == ROUTE_PUBLIC,
                         .ignore_set_cookie = i == ROUTE_PUBLIC},
        };
    world->service = (struct snapshot_service){.name = bytes_text("svc"), .groups = world->groups};
    world->snapshot = (struct snapshot){
        .generation = 1,
        .routes = world->routes,
        .route_count = WORLD_ROUTES,
        .services = &world->service,
        .service_count = 1,
        .regions = world->regions,
        .region_count = WORLD_REGIONS,
        .backends = world->backends,
        .backend_count = WORLD_BACKENDS,
    };
}

static inline void world_make_worker(struct world *world, uint16_t index, uint32_t flights,
                                     uint32_t segments)
{
    struct world_worker *worker = &world->workers[index];
    worker->world = world;
    worker->upstream = calloc(1, sizeof(*worker->upstream));
    worker->postman = (struct postman){.self = index, .workers = world->count, .post = world_post};
    random_seed(&worker->random, 1 + index);
    timer_wheel_init(&worker->wheel, world->now);
    struct coalesce_config config = {
        .self = index,
        .workers = world->count,
        .table = world->table,
        .postman = &worker->postman,
        .upstream = worker->upstream,
        .loads = &worker->loads,
        .wheel = &worker->wheel,
        .random = &worker->random,
        .quiescence = world->quiescence,
        .flights_max = flights,
        .header_bytes = 8192,
        .segments = segments,
        .segment_bytes = WORLD_SEGMENT,
        .socket_id = -1,
    };
    worker->coalesce = coalesce_create(&config);
    assert_non_null(worker->coalesce);
    coalesce_begin_step(worker->coalesce, &world->snapshot);
}

static inline struct world *world_create_sized(uint16_t workers, uint32_t flights,
                                               uint32_t segments)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world->count = workers;
    world->ring_size = WORLD_RING;
    world->now = CLOCK_S;
    world->table = coalesce_table_create(64, 1, 2, -1);
    world_make_snapshot(world);
    for (uint16_t i = 0; i < workers; i++)
        world_make_worker(world, i, flights, segments);
    return world;
}

static inline struct world *world_create(uint16_t workers)
{
    return world_create_sized(workers, 16, 64);
}

/* --- time and mail --- */

static inline bool world_mail_one(struct world *world, uint16_t to, uint16_t from)
{
    struct world_worker *worker = &world->workers[to];
    if (worker->mail_count[from] == 0)
        return false;
    struct mail mail = worker->mails[from][0];
    worker->mail_count[from]--;
    memmove(&worker->mails[from][0], &worker->mails[from][1],
            worker->mail_count[from] * sizeof(mail));
    coalesce_mail(worker->coalesce, &mail, world->now);
    return true;
}

static inline void world_tick(struct world *world)
{
    for (uint16_t i = 0; i < world->count; i++) {
        coalesce_begin_step(world->workers[i].coalesce, &world->snapshot);
        timer_wheel_advance(&world->workers[i].wheel, world->now, 1000);
        coalesce_tick(world->workers[i].coalesce, world->now);
    }
}

/* Until no mail is under way and none waits to be posted. */
static inline void world_settle(struct world *world)
{
    bool busy = true;
    while (busy) {
        busy = false;
        world_tick(world);
        for (uint16_t to = 0; to < world->count; to++)
            for (uint16_t from = 0; from < world->count; from++)
                while (world_mail_one(world, to, from))
                    busy = true;
    }
}

/* What is under way arrives, then time passes. */
static inline void world_pass(struct world *world, uint64_t for_ns)
{
    world_settle(world);
    world->now += for_ns;
    world_tick(world);
    world_settle(world);
}

/* Principal NUMBER of the worker, known until the world is looked at for the last time. */
static inline struct principal *world_principal(struct world_worker *worker, uint32_t number)
{
    struct principals *principals = &worker->coalesce->principals;
    assert_in_range(number, 1, WORLD_PRINCIPALS - 1);
    if (worker->principals[number] == NULL)
        worker->principals[number] = principals_take(principals, number, 0, 0);
    return worker->principals[number];
}

static inline void world_forget_principals(struct world_worker *worker)
{
    for (uint32_t i = 0; i < WORLD_PRINCIPALS; i++) {
        if (worker->principals[i] != NULL)
            principal_drop(worker->principals[i]);
        worker->principals[i] = NULL;
    }
}

/* Nothing is left anywhere: pools are full again, no timer is armed, the table is empty. */
static inline void world_assert_empty(struct world *world)
{
    world_settle(world);
    assert_int_equal(world->clients_alive, 0);
    for (uint16_t i = 0; i < world->count; i++) {
        struct coalesce *coalesce = world->workers[i].coalesce;
        const struct coalesce_counters *counters = &coalesce->counters;
        world_forget_principals(&world->workers[i]);
        assert_int_equal(pool_used(&coalesce->flights), 0);
        assert_int_equal(pool_used(&coalesce->branches), 0);
        assert_int_equal(pool_used(&coalesce->relays), 0);
        assert_int_equal(pool_used(&coalesce->loans), 0);
        assert_int_equal(pool_used(&coalesce->lents), 0);
        assert_int_equal(pool_used(&coalesce->helds), 0);
        assert_int_equal(pool_used(&coalesce->pacers), 0);
        assert_int_equal(coalesce->held_segments, 0);
        assert_int_equal(pool_used(&coalesce->payload.segments), 0);
        assert_int_equal(pool_used(&coalesce->sections.small), 0);
        assert_int_equal(pool_used(&coalesce->sections.large), 0);
        assert_int_equal(coalesce->entries.free_count, coalesce->entries.count);
        assert_int_equal(counters->keys_published, counters->keys_removed);
        assert_int_equal(coalesce->principals.own_retries, 0);
        assert_int_equal(coalesce->principals.borrowed_retries, 0);
        assert_int_equal(principals_count(&coalesce->principals), 0);
        assert_int_equal(coalesce->nowhere.subscriber_count, 0);
        assert_int_equal(coalesce->refusal_count, 0);
        assert_int_equal(world->workers[i].wheel.armed_count, 0);
        assert_int_equal(fake_active(world->workers[i].upstream), 0);
        for (uint16_t j = 0; j < world->count; j++)
            assert_int_equal(coalesce->joins_pending[j], 0);
    }
}

static inline void world_destroy(struct world *world)
{
    for (uint16_t i = 0; i < world->count; i++)
        free(world->workers[i].upstream);
    free(world);
    memory_reset();
}

/* --- answers --- */

/* Byte POSITION of answer NUMBER. */
static inline uint8_t answer_byte(uint64_t number, uint64_t position)
{
    uint64_t mixed = (number * 0x9e3779b97f4a7c15ull) ^ (position * 0xc2b2ae3d27d4eb4full);
    return (uint8_t)(mixed >> 56);
}

/* Every answer of the world has a number of its own. */
static inline uint64_t answer_number(const struct world_worker *worker, const struct fake_try *try)
{
    return (uint64_t)(worker - worker->world->workers) * 1000000 + try->id;
}

/* A head with the answer's number and up to three more fields, and the end of the turn. */
static inline void answer_head(struct world_worker *worker, struct fake_try *try,
                               const char *status, const char *name, const char *value, bool end)
{
    char number[32];
    snprintf(number, sizeof(number), "%llu", (unsigned long long)answer_number(worker, try));
    const char *fields[] = {":status", status, "x-answer", number, name, value, NULL};
    fake_pull(try, worker->world->now);
    fake_section(try, H2_SECTION_HEADERS, fields, end, worker->world->now);
    coalesce_tick(worker->coalesce, worker->world->now);
}

static inline void answer_data(struct world_worker *worker, struct fake_try *try, size_t length,
                               bool end)
{
    uint8_t data[65536];
    uint64_t number = answer_number(worker, try);
    assert_true(length <= sizeof(data));
    for (size_t i = 0; i < length; i++)
        data[i] = answer_byte(number, try->sent + i);
    fake_data(try, data, length, end, worker->world->now);
}

static inline void answer_whole(struct world_worker *worker, size_t length)
{
    struct fake_try *try = fake_last(worker->upstream);
    assert_non_null(try);
    answer_head(worker, try, "200", NULL, NULL, length == 0);
    if (length > 0)
        answer_data(worker, try, length, true);
}

/* --- clients --- */

static inline struct client *client_of(struct subscriber *subscriber)
{
    return container_of(subscriber, struct client, subscriber);
}

static inline void client_news(struct subscriber *subscriber, uint64_t now)
{
    client_of(subscriber)->news++;
}

static inline void client_request_sent(struct subscriber *subscriber, uint32_t count, uint64_t now)
{
    client_of(subscriber)->request_sent += count;
}

static inline void client_refused(struct subscriber *subscriber, uint64_t now)
{
    struct client *client = client_of(subscriber);
    client->refused++;
    assert_int_equal(subscriber->role, SUBSCRIBER_NONE);
    assert_false(client->head_read);
    if (client->stay_when_refused)
        return;
    client->asked.key = BYTES_NONE;
    client->result = coalesce_subscribe(client->worker->coalesce, subscriber, &client->asked, now);
}

static bool client_held_up(const struct subscriber *subscriber)
{
    return !container_of(subscriber, struct client, subscriber)->waits_its_turn;
}

static const struct subscriber_ops client_ops = {.news = client_news,
                                                 .request_sent = client_request_sent,
                                                 .refused = client_refused,
                                                 .held_up = client_held_up};

/* A client at a worker that asks with METHOD for PATH; EXTRA: pairs of name and value, or NULL. */
static inline void client_prepare(struct client *client, struct world_worker *worker,
                                  enum world_route route, const char *method, const char *path,
                                  const char *const *extra, bool has_body)
{
    struct world *world = worker->world;
    struct bytes key;
    struct bytes detail;
    *client = (struct client){.worker = worker, .subscriber = {.ops = &client_ops}};
    fields_init(&client->request, client->request_room, sizeof(client->request_room));
    fields_add_token(&client->request, FIELD_METHOD, bytes_text(method));
    fields_add_token(&client->request, FIELD_SCHEME, bytes_text("https"));
    fields_add_token(&client->request, FIELD_AUTHORITY, bytes_text("example.com"));
    fields_add_token(&client->request, FIELD_PATH, bytes_text(path));
    for (; extra != NULL && *extra != NULL; extra += 2)
        fields_add(&client->request, (struct field){.token = field_token_of(bytes_text(extra[0])),
                                                    .name = bytes_text(extra[0]),
                                                    .value = bytes_text(extra[1])});
    enum key_verdict verdict =
        coalesce_key(&world->routes[route], (uint16_t)route, &client->request, has_body,
                     client->key_room, &key, &detail);
    client->asked = (struct flight_request){
        .fields = &client->request,
        .snapshot = &world->snapshot,
        .route = (uint16_t)route,
        .has_body = has_body,
        .is_get = strcmp(method, "GET") == 0,
        .is_head = strcmp(method, "HEAD") == 0,
        .idempotent = strcmp(method, "POST") != 0,
        .key = key,
        .verdict = verdict,
        .deadline_ns = world->now + world->routes[route].request_timeout_ns,
    };
}

static inline void client_subscribe(struct client *client)
{
    client->result = coalesce_subscribe(client->worker->coalesce, &client->subscriber,
                                        &client->asked, client->worker->world->now);
    client->worker->world->clients_alive += client->result == SUBSCRIBE_OK;
}

/* A POST whose body is complete: BODY of LENGTH, held and hashed. */
static inline void client_post_bytes(struct client *client, struct world_worker *worker,
                                     const char *path, const void *body, size_t length)
{
    struct bytes detail;
    client_prepare(client, worker, ROUTE_POST, "POST", path, NULL, true);
    assert_int_equal(client->asked.verdict, KEY_HOLD_BODY);
    struct held_body *held = coalesce_body_take(worker->coalesce, NULL);
    assert_non_null(held);
    assert_true(coalesce_body_append(held, bytes_of(body, length)));
    coalesce_body_end(held);
    client->subscriber.held = held;
    client->asked.verdict =
        coalesce_key_of_body(&worker->world->routes[ROUTE_POST], ROUTE_POST, &client->request, held,
                             client->key_room, &client->asked.key, &detail);
    client->asked.has_body = false;
    client_subscribe(client);
}

static inline void client_post(struct client *client, struct world_worker *worker, const char *path,
                               const char *body)
{
    client_post_bytes(client, worker, path, body, strlen(body));
}

static inline void client_ask(struct client *client, struct world_worker *worker,
                              enum world_route route, const char *method, const char *path)
{
    client_prepare(client, worker, route, method, path, NULL, false);
    client_subscribe(client);
}

static inline void client_get(struct client *client, struct world_worker *worker, const char *path)
{
    client_ask(client, worker, ROUTE_GET, "GET", path);
}

/* The same of one of the worker's principals. */
static inline void client_get_as(struct client *client, struct world_worker *worker,
                                 uint32_t principal, enum world_route route, const char *path)
{
    client_prepare(client, worker, route, "GET", path, NULL, false);
    client->subscriber.principal = world_principal(worker, principal);
    client_subscribe(client);
}

static inline void client_release(struct client *client, uint32_t index)
{
    segment_drop(client->held[index]);
    client->held[index] = client->held[--client->held_count];
}

static inline void client_release_all(struct client *client)
{
    while (client->held_count > 0)
        client_release(client, 0);
}

static inline void client_leave(struct client *client)
{
    coalesce_leave(&client->subscriber, client->worker->world->now);
    coalesce_body_drop(&client->subscriber.held);
    client->worker->world->clients_alive--;
    client_release_all(client);
}

static inline void client_read_head(struct client *client, const struct feed *feed)
{
    struct field field;
    for (uint32_t at = 0; fields_next(&feed->head, &at, &field);)
        if (bytes_equal_text(field.name, "x-answer")) {
            char text[32] = {0};
            memcpy(text, field.value.data, field.value.length);
            client->answer = strtoull(text, NULL, 10);
        }
    client->head_read = true;
}

static inline void client_check(struct client *client, struct chunk chunk)
{
    for (uint32_t i = 0; i < chunk.length; i++)
        assert_int_equal(chunk.segment->data[chunk.offset + i],
                         answer_byte(client->answer, client->bytes + i));
}

/*
 * Read at most MAX body bytes, as an exchange does: never after a failure was seen, references held
 * while there is room for them.
 */
static inline void client_read(struct client *client, uint64_t max)
{
    const struct feed *feed = client->subscriber.feed;
    struct body_cursor *cursor = &client->subscriber.cursor;
    if (feed == NULL || client->ended || client->failed || feed->state == FEED_WAITING)
        return;
    if (feed->state == FEED_FAILED) {
        client->failed = true;
        client->failure = feed->failure;
        return;
    }
    if (!client->head_read)
        client_read_head(client, feed);
    while (max > 0 && client->held_count < CLIENT_HELD_MAX) {
        struct chunk chunk = body_peek(&feed->body, cursor, max < 700 ? (uint32_t)max : 700);
        if (chunk.length == 0)
            break;
        client->held[client->held_count++] = segment_hold(chunk.segment);
        body_cursor_advance(cursor, chunk.length);
        client_check(client, chunk);
        client->bytes += chunk.length;
        max -= chunk.length;
        coalesce_advanced(&client->subscriber, client->worker->world->now);
    }
    client->ended = feed->state == FEED_ENDED && body_is_read(&feed->body, cursor);
    client->has_trailers = client->ended && feed->has_trailers;
}

/* Read all there is and hold nothing. */
static inline void client_drink(struct client *client)
{
    uint64_t before;
    do {
        before = client->bytes;
        client_read(client, UINT32_MAX);
        client_release_all(client);
    } while (client->bytes > before);
}

static inline const struct coalesce_counters *counters_of(const struct world_worker *worker)
{
    return &worker->coalesce->counters;
}
