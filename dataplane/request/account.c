#include "dataplane/request/account.h"

#include "dataplane/base/counter.h"
#include "dataplane/request/exchange.h"

void account_init(struct account *account)
{
    *account = (struct account){0};
    list_init(&account->exchanges);
}

void account_open(struct client *client, struct exchange *exchange)
{
    exchange->client = client;
    exchange->subscriber.paused = client->account.paused;
    list_push_back(&client->account.exchanges, &exchange->account.link);
}

void account_return(struct exchange *exchange, uint64_t now)
{
    struct account *account = &exchange->client->account;
    list_push_back(&account->exchanges, &exchange->account.link);
    coalesce_pause(&exchange->subscriber, account->paused, now);
}

/* Whole segments: that is the memory. Most answers have one. */
static uint64_t held_for(const struct exchange *exchange)
{
    const struct feed *feed = exchange->subscriber.feed;
    uint64_t segment_bytes = exchange->engine->config.segment_bytes;
    /* Less: it was cut off (C15), and its feed has nothing any more. */
    if (feed == NULL || feed->body.written_bytes <= exchange->subscriber.cursor.position)
        return 0;
    if (feed->body.written_bytes <= segment_bytes)
        return segment_bytes;
    uint64_t first = exchange->subscriber.cursor.position / segment_bytes;
    uint64_t end = (feed->body.written_bytes + segment_bytes - 1) / segment_bytes;
    return (end - first) * segment_bytes;
}

static void pause(struct client *client, bool paused, uint64_t now)
{
    client->account.paused = paused;
    if (paused)
        counter_add(&client->engine->counters.clients_paused, 1);
    list_for_each (link, next, &client->account.exchanges) {
        struct exchange *exchange = list_entry(link, struct exchange, account.link);
        coalesce_pause(&exchange->subscriber, paused, now);
    }
}

static void judge(struct client *client, uint64_t now)
{
    const struct account *account = &client->account;
    uint64_t most = client->engine->config.client_held_bytes;
    if (!account->paused && most > 0 && account->held_bytes > most)
        pause(client, true, now);
    else if (account->paused && account->held_bytes <= most / 2)
        pause(client, false, now);
}

static void set_held(struct exchange *exchange, uint64_t held_bytes, uint64_t now)
{
    struct client *client = exchange->client;
    struct request_engine *engine = exchange->engine;
    uint64_t change = held_bytes - exchange->account.held_bytes; /* modulo 2^64 */
    if (change == 0)
        return;
    exchange->account.held_bytes = held_bytes;
    client->account.held_bytes += change;
    counter_set(&engine->counters.held_for_clients, engine->counters.held_for_clients + change);
    if (client->account.held_bytes > engine->counters.held_for_client_max)
        counter_set(&engine->counters.held_for_client_max, client->account.held_bytes);
    judge(client, now);
}

void account_update(struct exchange *exchange, uint64_t now)
{
    set_held(exchange, held_for(exchange), now);
}

void account_close(struct exchange *exchange, uint64_t now)
{
    set_held(exchange, 0, now);
    list_remove(&exchange->account.link);
}
