/*
 * exchange_times: when something is over for an exchange: its route's time for the whole request,
 * its client's for more of a body, a body's that is held, a tunnel's silence.
 *
 * All exchanges of a client are under one timer of the client's, which is armed for the earliest of
 * their times or sooner. One that begins is seldom the earliest, and one that ends tells nobody: so
 * a request that goes well touches no timer. When it fires all exchanges of the client are looked
 * at, which are as many as it may have streams; each makes it fire once or twice at most.
 */
#include "dataplane/base/counter.h"
#include "dataplane/request/exchange.h"

/* --- what is over --- */

static void break_off(struct exchange *exchange, enum h2_error code, const char *why, uint64_t now)
{
    struct h2_stream *stream = exchange->stream;
    counter_add(&exchange->engine->counters.broken, 1);
    exchange_end(exchange, &(struct access_ending){ACCESS_RESET, code, why}, now);
    h2_stream_reset(stream, code);
}

void exchange_give_up(struct exchange *exchange, enum local_answer answer, uint64_t now)
{
    if (exchange->head_sent)
        break_off(exchange, H2_INTERNAL_ERROR, local_answer_name(answer), now);
    else
        exchange_answer_locally(exchange, answer, now);
}

static void tunnel_silent(struct exchange *exchange, uint64_t now)
{
    counter_add(&exchange->engine->counters.tunnels_idle, 1);
    break_off(exchange, H2_CANCEL, "tunnel-idle", now);
}

static void body_late(struct exchange *exchange, uint64_t now)
{
    counter_add(&exchange->engine->counters.body_timeouts, 1);
    exchange_give_up(exchange, LOCAL_BODY_TIMEOUT, now);
}

/* --- when --- */

/* When its body has to have gone on. Bytes of it that we keep are not the client's delay. */
static uint64_t body_due_at(const struct exchange *exchange, uint64_t now)
{
    if (exchange->body_ended || exchange->body_timeout_ns == 0)
        return CLOCK_NEVER;
    uint64_t since_ns = exchange->body_kept_bytes > 0 ? now : exchange->body_at_ns;
    return since_ns + exchange->body_timeout_ns;
}

static uint64_t hold_due_at(const struct exchange *exchange)
{
    return exchange->holding ? exchange->hold_until_ns : CLOCK_NEVER;
}

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

static uint64_t due_at(const struct exchange *exchange, uint64_t now)
{
    if (exchange->tunnel)
        return exchange->body_at_ns + exchange->tunnel_idle_ns;
    uint64_t client_at_ns = earlier(body_due_at(exchange, now), hold_due_at(exchange));
    return earlier(client_at_ns, exchange->deadline_ns);
}

/* Its time is over, or has moved on meanwhile. */
static void look(struct exchange *exchange, uint64_t now)
{
    if (due_at(exchange, now) > now)
        exchange_watch(exchange, now);
    else if (exchange->tunnel)
        tunnel_silent(exchange, now);
    else if (now >= exchange->deadline_ns)
        exchange_give_up(exchange, LOCAL_TIMEOUT, now);
    else if (now >= hold_due_at(exchange))
        exchange_hold_over(exchange, now);
    else
        body_late(exchange, now);
}

/* --- the timer --- */

static void wake_at(struct client *client, uint64_t at_ns)
{
    if (at_ns >= client->wakes_at_ns)
        return;
    client->wakes_at_ns = at_ns;
    timer_arm(client->engine->config.wheel, &client->timer, at_ns);
}

void exchange_watch(struct exchange *exchange, uint64_t now)
{
    exchange->due_at_ns = due_at(exchange, now);
    wake_at(exchange->client, exchange->due_at_ns);
}

/* Those whose time is over go into OVER. Returns when the first of the others is due. */
static uint64_t sort_out(struct client *client, struct list *over, uint64_t now)
{
    uint64_t next_ns = CLOCK_NEVER;
    list_for_each (link, next, &client->account.exchanges) {
        const struct exchange *exchange = list_entry(link, struct exchange, account.link);
        if (exchange->due_at_ns > now) {
            next_ns = earlier(next_ns, exchange->due_at_ns);
            continue;
        }
        list_remove(link);
        list_push_back(over, link);
    }
    return next_ns;
}

/* Each is put back before its turn. The client may be gone with the last of them. */
static void fired(struct timer *timer, void *context, uint64_t now)
{
    struct client *client = context;
    struct list over;
    list_init(&over);
    client->wakes_at_ns = CLOCK_NEVER;
    wake_at(client, sort_out(client, &over, now));
    for (struct list *link; (link = list_pop_front(&over)) != NULL;) {
        struct exchange *exchange = list_entry(link, struct exchange, account.link);
        account_return(exchange, now);
        look(exchange, now);
    }
}

void client_timer_init(struct client *client)
{
    client->wakes_at_ns = CLOCK_NEVER;
    timer_init(&client->timer, fired, client);
}

void client_timer_end(struct client *client)
{
    timer_cancel(client->engine->config.wheel, &client->timer);
}

void exchange_tunnel_opened(struct exchange *exchange, uint64_t now)
{
    exchange->tunnel = true;
    exchange->body_at_ns = now;
    h2_stream_tunnel(exchange->stream);
    exchange_watch(exchange, now);
}
