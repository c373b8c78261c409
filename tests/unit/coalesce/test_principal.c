/* Rules C16 and C29: what one principal may have of a worker, and what is left for others. */
#include "dataplane/coalesce/key.h"
#include "tests/support/cmocka.h"
#include "tests/support/coalesce_world.h"

#define FLIGHTS  64
#define SEGMENTS 256

static struct world *world;
static struct world_worker *worker;

static int set_up(void **state)
{
    world = world_create_sized(1, FLIGHTS, SEGMENTS);
    worker = &world->workers[0];
    return 0;
}

static int tear_down(void **state)
{
    world_assert_empty(world);
    world_destroy(world);
    return 0;
}

static struct principals *all(void)
{
    return &worker->coalesce->principals;
}

static uint64_t address_name(const char *text)
{
    struct ip_address address;
    assert_true(ip_address_parse(text, &address));
    return principal_address_name(all(), &address);
}

/* --- names --- */

static void c29_an_ipv4_address_is_a_principal(void **state)
{
    assert_true(address_name("192.0.2.1") != address_name("192.0.2.2"));
    assert_true(address_name("192.0.2.1") == address_name("192.0.2.1"));
}

static void c29_a_64_of_ipv6_is_a_principal(void **state)
{
    assert_true(address_name("2001:db8::1") == address_name("2001:db8::ffff:1:2:3"));
    assert_true(address_name("2001:db8::1") != address_name("2001:db8:0:1::1"));
}

static uint64_t credentials(const char *const *pairs)
{
    struct client client;
    client_prepare(&client, worker, ROUTE_GET, "GET", "/", pairs, false);
    return principal_credentials_name(all(), &world->routes[ROUTE_GET].coalesce, &client.request);
}

static void c29_credentials_tell_principals_apart(void **state)
{
    static const char *const none[] = {"accept", "a", NULL};
    static const char *const a[] = {"authorization", "a", NULL};
    static const char *const b[] = {"authorization", "b", NULL};
    static const char *const cookie[] = {"cookie", "a", NULL};
    static const char *const key[] = {"x-api-key", "a", "accept", "b", NULL};
    static const char *const both[] = {"authorization", "a", "cookie", "a", NULL};
    static const char *const *const lists[] = {a, b, cookie, key, both};
    assert_int_equal(credentials(none), 0);
    for (size_t i = 0; i < array_count(lists); i++)
        for (size_t j = 0; j < array_count(lists); j++)
            assert_int_equal(credentials(lists[i]) == credentials(lists[j]), i == j);
}

/* Whatever is a credential is looked for. */
static void c4_a_request_without_credentials_is_known_by_what_is_there(void **state)
{
    struct bytes names[] = {bytes_text("x-user")};
    const struct snapshot_coalesce listed = {.principal_headers = names,
                                             .principal_header_count = 1};
    const struct snapshot_coalesce plain = {0};
    for (int token = FIELD_OTHER + 1; token < FIELD_TOKENS; token++) {
        uint8_t room[64];
        struct fields fields;
        struct field field;
        uint32_t at = 0;
        fields_init(&fields, room, sizeof(room));
        fields_add_token(&fields, (enum field_token)token, bytes_text("1"));
        assert_true(fields_next(&fields, &at, &field));
        assert_int_equal(key_may_have_credential(&plain, &fields),
                         key_is_credential(&plain, &field));
        assert_true(key_may_have_credential(&listed, &fields));
    }
}

/* --- the table --- */

static void c29_a_principal_lives_as_long_as_something_of_it_does(void **state)
{
    struct principal *first = principals_take(all(), 1, 2, 8);
    struct principal *again = principals_take(all(), 1, 2, 8);
    assert_ptr_equal(first, again);
    assert_int_equal(principals_count(all()), 2); /* it and its address */
    struct segment *segment = segment_take_for(&worker->coalesce->payload, &first->payload);
    principal_drop(first);
    principal_drop(again);
    assert_int_equal(principals_count(all()), 2);
    assert_ptr_equal(principals_take(all(), 1, 2, 8), first);
    principal_drop(first);
    segment_drop(segment);
    assert_int_equal(principals_count(all()), 0);
}

static void c29_an_address_brings_only_so_many_credentials(void **state)
{
    struct principal *named[3];
    for (uint64_t i = 0; i < 3; i++)
        named[i] = principals_take(all(), 1, 10 + i, 2);
    assert_null(named[2]->address); /* the third one counts as the address */
    assert_ptr_equal(named[2], named[0]->address);
    assert_int_equal(all()->folded, 1);
    struct principal *elsewhere = principals_take(all(), 2, 12, 2);
    assert_non_null(elsewhere->address); /* another address has its own */
    principal_drop(named[0]);
    named[0] = principals_take(all(), 1, 13, 2); /* one has gone, there is room for one */
    assert_ptr_equal(named[0]->address, named[2]);
    principal_drop(elsewhere);
    for (size_t i = 0; i < 3; i++)
        principal_drop(named[i]);
}

static void c29_nobody_is_evicted_for_a_newcomer(void **state)
{
    struct principal *kept[FLIGHTS];
    for (uint32_t i = 0; i < FLIGHTS; i++)
        kept[i] = principals_take(all(), 1 + i, 0, 8);
    struct principal *late = principals_take(all(), 1000, 0, 8);
    struct principal *later = principals_take(all(), 1001, 7000, 8);
    assert_ptr_equal(late, later); /* those who find no room are one */
    assert_int_equal(all()->crowded, 2);
    for (uint32_t i = 0; i < FLIGHTS; i++)
        assert_ptr_equal(principals_take(all(), 1 + i, 0, 8), kept[i]);
    principal_drop(late);
    principal_drop(later);
    for (uint32_t i = 0; i < FLIGHTS; i++) {
        principal_drop(kept[i]);
        principal_drop(kept[i]);
    }
}

/* --- flights and keys --- */

static void c16_a_principal_leads_so_many_flights_that_others_may_join(void **state)
{
    struct client clients[4], other, joined;
    static const char *const paths[] = {"/0", "/1", "/2", "/3"};
    world->snapshot.admission.flights_per_principal = 3;
    for (size_t i = 0; i < array_count(clients); i++)
        client_get_as(&clients[i], worker, 1, ROUTE_GET, paths[i]);
    assert_int_equal(clients[2].subscriber.apart, APART_NOT);
    assert_int_equal(clients[3].subscriber.apart, APART_PRINCIPAL);
    assert_int_equal(clients[3].subscriber.role, SUBSCRIBER_LED); /* served, but not shared */
    assert_int_equal(counters_of(worker)->bypass_principal, 1);
    client_get_as(&joined, worker, 1, ROUTE_GET, "/2"); /* joining costs no key */
    assert_int_equal(joined.subscriber.role, SUBSCRIBER_JOINED);
    client_get_as(&other, worker, 2, ROUTE_GET, "/4");
    assert_int_equal(other.subscriber.apart, APART_NOT);
    assert_int_equal(worker->upstream->started, 5);
    client_leave(&other);
    client_leave(&joined);
    for (size_t i = 0; i < array_count(clients); i++)
        client_leave(&clients[i]);
    world_pass(world, CLOCK_S);
}

static void c16_a_flight_that_ends_gives_its_key_back(void **state)
{
    struct client client;
    world->snapshot.admission.flights_per_principal = 1;
    for (int i = 0; i < 3; i++) {
        client_get_as(&client, worker, 1, ROUTE_GET, "/");
        assert_int_equal(client.subscriber.apart, APART_NOT);
        answer_whole(worker, 10);
        client_drink(&client);
        client_leave(&client);
    }
}

/* One takes all it gets; another one comes then. */
static void c29_a_burst_leaves_flights_for_others(void **state)
{
    struct client burst[FLIGHTS], other;
    uint32_t led = 0;
    while (client_get_as(&burst[led], worker, 1, ROUTE_OFF, "/"), burst[led].result == SUBSCRIBE_OK)
        led++;
    assert_int_equal(led, FLIGHTS * 3 / 4);
    assert_int_equal(burst[led].subscriber.limit, LIMIT_PRINCIPAL_FLIGHTS);
    assert_int_equal(counters_of(worker)->shed_principal_flights, 1);
    client_get_as(&other, worker, 2, ROUTE_OFF, "/");
    assert_int_equal(other.result, SUBSCRIBE_OK);
    client_leave(&other);
    while (led > 0)
        client_leave(&burst[--led]);
}

/* --- payload --- */

/* Answers to PRINCIPAL come until its windows stay shut; nobody reads. Returns how many segments.
 */
static uint32_t flood(struct client *clients, uint32_t count, uint32_t principal)
{
    for (uint32_t i = 0; i < count; i++) {
        client_get_as(&clients[i], worker, principal, ROUTE_OFF, "/");
        if (clients[i].result != SUBSCRIBE_OK)
            break;
        struct fake_try *try = fake_last(worker->upstream);
        answer_head(worker, try, "200", NULL, NULL, false);
        answer_data(worker, try, 4 * WORLD_SEGMENT, false);
    }
    return world_principal(worker, principal)->payload.used;
}

static void leave_all(struct client *clients, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (clients[i].result == SUBSCRIBE_OK)
            client_leave(&clients[i]);
}

static void c29_a_burst_leaves_payload_for_others(void **state)
{
    struct client burst[48] = {0}, other;
    for (size_t i = 0; i < array_count(burst); i++)
        burst[i].result = SUBSCRIBE_SHED;
    uint32_t used = flood(burst, array_count(burst), 1);
    assert_in_range(used, SEGMENTS / 2, SEGMENTS * 7 / 8);
    assert_true(counters_of(worker)->windows_held_memory > 0);
    client_get_as(&other, worker, 2, ROUTE_OFF, "/");
    assert_int_equal(other.result, SUBSCRIBE_OK);
    struct fake_try *try = fake_last(worker->upstream);
    answer_head(worker, try, "200", NULL, NULL, false);
    answer_data(worker, try, 8 * WORLD_SEGMENT, false);
    assert_int_equal(try->consumed, try->sent); /* its window is open */
    answer_data(worker, try, 1, true);
    client_drink(&other);
    assert_true(other.ended);
    client_leave(&other);
    leave_all(burst, array_count(burst));
}

static void c29_a_principal_without_payload_left_is_refused_by_name(void **state)
{
    struct client big, next;
    client_get_as(&big, worker, 1, ROUTE_OFF, "/");
    struct fake_try *try = fake_last(worker->upstream);
    answer_head(worker, try, "200", NULL, NULL, false);
    for (int i = 0; i < 49; i++)
        answer_data(worker, try, 4 * WORLD_SEGMENT, false);
    client_get_as(&next, worker, 1, ROUTE_OFF, "/");
    assert_int_equal(next.result, SUBSCRIBE_SHED);
    assert_int_equal(next.subscriber.limit, LIMIT_PRINCIPAL_PAYLOAD);
    assert_int_equal(counters_of(worker)->shed_principal_payload, 1);
    client_leave(&big);
    client_get_as(&next, worker, 1, ROUTE_OFF, "/");
    assert_int_equal(next.result, SUBSCRIBE_OK);
    client_leave(&next);
}

/* A peer that sends beyond all windows: its principal's flight breaks, not somebody else's. */
static void c29_the_last_segments_are_for_others(void **state)
{
    struct client big, small;
    client_get_as(&small, worker, 2, ROUTE_OFF, "/");
    client_get_as(&big, worker, 1, ROUTE_OFF, "/");
    struct fake_try *theirs = &worker->upstream->tries[1];
    answer_head(worker, theirs, "200", NULL, NULL, false);
    while (theirs->attempt != NULL)
        answer_data(worker, theirs, WORLD_SEGMENT, false);
    client_drink(&big);
    assert_int_equal(big.failure, FLIGHT_NO_MEMORY);
    struct fake_try *ours = &worker->upstream->tries[0];
    answer_head(worker, ours, "200", NULL, NULL, false);
    answer_data(worker, ours, 8 * WORLD_SEGMENT, true);
    client_drink(&small);
    assert_true(small.ended);
    client_leave(&big);
    client_leave(&small);
}

/* What connections hold still counts, however long its flight is over. */
static void c16_what_is_not_acknowledged_still_counts(void **state)
{
    struct client client;
    client_get_as(&client, worker, 1, ROUTE_OFF, "/");
    answer_whole(worker, 4 * WORLD_SEGMENT);
    client_read(&client, UINT32_MAX);
    assert_true(client.ended);
    coalesce_leave(&client.subscriber, world->now);
    world->clients_alive--;
    assert_int_equal(worker->coalesce->flights.free_count, FLIGHTS);
    assert_int_equal(world_principal(worker, 1)->payload.used, 4);
    client_release_all(&client);
    assert_int_equal(world_principal(worker, 1)->payload.used, 0);
}

/* --- second attempts --- */

static void reset_all(uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        fake_pull(&worker->upstream->tries[i], world->now);
        fake_fail(&worker->upstream->tries[i], ATTEMPT_RESET, world->now);
    }
}

static void c29_a_burst_leaves_second_attempts_for_others(void **state)
{
    struct client burst[30], other[5], small;
    for (size_t i = 0; i < array_count(burst); i++)
        client_get_as(&burst[i], worker, 1, ROUTE_OFF, "/");
    for (size_t i = 0; i < array_count(other); i++)
        client_get_as(&other[i], worker, 2, ROUTE_OFF, "/");
    client_get_as(&small, worker, 3, ROUTE_OFF, "/");
    reset_all(0, 30);
    assert_int_equal(counters_of(worker)->retries_reset, 30 / 5);
    assert_int_equal(counters_of(worker)->retries_denied_budget, 30 - 30 / 5);
    reset_all(30, 36);
    assert_int_equal(counters_of(worker)->retries_reset, 30 / 5 + 3 + 1);
    leave_all(burst, array_count(burst));
    leave_all(other, array_count(other));
    client_leave(&small);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(c29_an_ipv4_address_is_a_principal),
        CASE(c29_a_64_of_ipv6_is_a_principal),
        CASE(c29_credentials_tell_principals_apart),
        CASE(c4_a_request_without_credentials_is_known_by_what_is_there),
        CASE(c29_a_principal_lives_as_long_as_something_of_it_does),
        CASE(c29_an_address_brings_only_so_many_credentials),
        CASE(c29_nobody_is_evicted_for_a_newcomer),
        CASE(c16_a_principal_leads_so_many_flights_that_others_may_join),
        CASE(c16_a_flight_that_ends_gives_its_key_back),
        CASE(c29_a_burst_leaves_flights_for_others),
        CASE(c29_a_burst_leaves_payload_for_others),
        CASE(c29_a_principal_without_payload_left_is_refused_by_name),
        CASE(c29_the_last_segments_are_for_others),
        CASE(c16_what_is_not_acknowledged_still_counts),
        CASE(c29_a_burst_leaves_second_attempts_for_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
