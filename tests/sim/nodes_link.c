#include "tests/sim/nodes_link.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/sim/nodes_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BREAKER_FAILURES 5 /* as in store_redis_link.c */
#define RETRY_SOON_MS    200
#define RETRY_LATER_MS   1600
#define RETRY_JITTER_MS  800
#define MILLION          1000000u

/* A message in either direction, and the time-out of one. */
struct message {
    uint32_t life;
    uint64_t number;
    uint32_t server;
    struct nodes_asker by;
    struct region_vote vote;
    struct region_rules rules;
    struct region_request request;
    struct region_state content; /* what `request` refers to; then the answer's state */
    enum region_answer answer;
    uint64_t now_ms;
    uint32_t vote_count;
    struct region_vote votes[]; /* of the answer to a beat */
};

static struct nodes_link *opens;

static struct nodes_node *node_of(const struct nodes_link *link)
{
    return &link->world->nodes[link->node];
}

static struct sim *sim_of(const struct nodes_link *link)
{
    return link->world->sim;
}

static void put(struct nodes_link *link, uint64_t at_ns, nodes_happen *happen, void *item)
{
    nodes_agenda_put(&link->world->agenda, at_ns, happen, link, item);
}

static void trouble(struct nodes_link *link)
{
    node_of(link)->memory.troubled_at_ns = sim_of(link)->now;
}

/* ---- the connection ---- */

static void connect_again(void *context, void *item);

static void tell_link(struct nodes_link *link, enum store_link state, const char *text)
{
    link->events.link(link->events.context, state, text);
}

static void fail_change(struct nodes_link *link, const char *text)
{
    const struct store_change change = {.answer = REGION_UNKNOWN, .text = text};
    if (!link->is_changing)
        return;
    link->is_changing = false;
    link->events.changed(link->events.context, true, &change);
}

static struct message *new_message(const struct nodes_link *link, uint32_t vote_count)
{
    size_t bytes = sizeof(struct message) + vote_count * sizeof(struct region_vote);
    struct message *message = calloc(1, bytes);
    check(message != NULL);
    message->life = link->life;
    message->server = link->server;
    message->vote_count = vote_count;
    return message;
}

static void retry_later(struct nodes_link *link)
{
    uint64_t after_ms = RETRY_SOON_MS;
    if (link->failures >= BREAKER_FAILURES)
        after_ms = RETRY_LATER_MS + random_below(&sim_of(link)->random, RETRY_JITTER_MS + 1);
    put(link, sim_of(link)->now + after_ms * CLOCK_MS, connect_again, new_message(link, 0));
}

static void lose(struct nodes_link *link, const char *text)
{
    link->life++;
    link->phase = NODES_LINK_IDLE;
    link->failures++;
    link->is_beating = false;
    trouble(link);
    sim_note(sim_of(link), "n%u: connection lost (%u): %s", link->node, link->failures, text);
    retry_later(link);
    tell_link(link, link->failures >= BREAKER_FAILURES ? STORE_LOST : STORE_CONNECTING, text);
    fail_change(link, text);
}

/* ---- messages ---- */

static uint64_t delay_ns(const struct nodes_link *link)
{
    uint32_t most_us = link->way.delay_max_us;
    return (uint64_t)sim_draw(sim_of(link), 100, most_us < 500 ? 500 : most_us) * CLOCK_US;
}

/* Whether one message comes through; a connection that has lost one is done for. */
static bool comes_through(struct nodes_link *link)
{
    if (link->way.is_cut || random_below(&sim_of(link)->random, MILLION) < link->way.loss_ppm)
        link->is_deaf = true;
    if (link->is_deaf)
        trouble(link);
    return !link->is_deaf;
}

/* A node that stands still takes things later. */
static bool is_put_off(struct nodes_link *link, nodes_happen *happen, struct message *message)
{
    struct nodes_node *node = node_of(link);
    if (message->life != link->life || nodes_node_is_awake(node))
        return false;
    size_t bytes = sizeof(*message) + message->vote_count * sizeof(struct region_vote);
    struct message *later = malloc(bytes);
    check(later != NULL);
    memcpy(later, message, bytes);
    put(link, nodes_node_later_ns(node), happen, later);
    return true;
}

/* Hand over: a turn of the node, then what has come. False: it is not for this connection. */
static bool hand_over(struct nodes_link *link, nodes_happen *happen, struct message *message)
{
    if (is_put_off(link, happen, message) || message->life != link->life)
        return false;
    nodes_node_turn(node_of(link));
    return message->life == link->life;
}

static void time_out(void *context, void *item)
{
    struct nodes_link *link = context;
    struct message *message = item;
    if (message->number > link->answered && hand_over(link, time_out, message) &&
        message->number > link->answered)
        lose(link, "no answer in time");
}

static struct message *new_request(struct nodes_link *link)
{
    struct message *message = new_message(link, 0);
    message->number = ++link->sent;
    message->by = (struct nodes_asker){link->node, node_of(link)->variant, link->config};
    return message;
}

static void submit(struct nodes_link *link, nodes_happen *arrive, struct message *message)
{
    struct message *deadline = new_message(link, 0);
    deadline->number = message->number;
    uint64_t now = sim_of(link)->now;
    put(link, now + link->config->store.command_timeout_ns, time_out, deadline);
    uint64_t at_ns = now + delay_ns(link);
    if (at_ns < link->there_at_ns)
        at_ns = link->there_at_ns;
    link->there_at_ns = at_ns;
    if (comes_through(link))
        put(link, at_ns, arrive, message);
    else
        free(message);
}

static void answer(struct nodes_link *link, nodes_happen *arrive, struct message *message)
{
    uint64_t at_ns = sim_of(link)->now + delay_ns(link);
    if (at_ns < link->back_at_ns)
        at_ns = link->back_at_ns;
    if (message->life != link->life || !comes_through(link)) {
        free(message);
        return;
    }
    link->back_at_ns = at_ns;
    put(link, at_ns, arrive, message);
}

/* A server that stands still. */
static bool is_stalled(struct nodes_link *link, nodes_happen *happen, const struct message *message)
{
    if (sim_of(link)->now >= link->world->server_stalls_until_ns)
        return false;
    struct message *later = malloc(sizeof(*later));
    check(later != NULL);
    memcpy(later, message, sizeof(*later));
    put(link, link->world->server_stalls_until_ns, happen, later);
    return true;
}

/* ---- connecting ---- */

static void connected(void *context, void *item)
{
    struct nodes_link *link = context;
    struct message *message = item;
    if (!hand_over(link, connected, message))
        return;
    link->answered = message->number;
    link->phase = NODES_LINK_READY;
    link->failures = 0;
    link->is_beating = false;
    sim_note(sim_of(link), "n%u: connected to server %u", link->node, link->server);
    tell_link(link, STORE_CONNECTED, "");
    link->events.due(link->events.context);
}

static void accept_connection(void *context, void *item)
{
    struct nodes_link *link = context;
    struct message *message = item;
    if (is_stalled(link, accept_connection, message))
        return;
    struct message *reply = new_message(link, 0);
    reply->life = message->life;
    reply->number = message->number;
    answer(link, connected, reply);
}

static void connect_now(struct nodes_link *link)
{
    link->life++;
    link->phase = NODES_LINK_CONNECTING;
    link->is_deaf = false;
    link->sent = 0;
    link->answered = 0;
    link->there_at_ns = 0;
    link->back_at_ns = 0;
    submit(link, accept_connection, new_request(link));
}

static void connect_again(void *context, void *item)
{
    struct nodes_link *link = context;
    if (hand_over(link, connect_again, item) && link->phase == NODES_LINK_IDLE)
        connect_now(link);
}

/* ---- beats ---- */

static void news(void *context, void *item)
{
    struct nodes_link *link = context;
    struct message *message = item;
    if (!hand_over(link, news, message))
        return;
    link->answered = message->number;
    link->is_beating = false;
    link->votes.count = message->vote_count;
    memcpy(link->votes.votes, message->votes, message->vote_count * sizeof(message->votes[0]));
    const struct store_news found = {.now_ms = message->now_ms,
                                     .empty = message->content.epoch == 0,
                                     .state = &message->content,
                                     .votes = &link->votes};
    if (message->by.config != link->config)
        return; /* the configuration was replaced in between */
    node_of(link)->memory.is_heard = true;
    link->events.news(link->events.context, &found);
}

static void serve_beat(void *context, void *item)
{
    static struct region_votes votes;
    struct nodes_link *link = context;
    struct message *message = item;
    struct region_state state;
    if (is_stalled(link, serve_beat, message))
        return;
    struct nodes_server *server = &link->world->servers[message->server];
    uint64_t now = sim_of(link)->now;
    nodes_server_vote(server, &message->by, &message->vote, now);
    nodes_server_read(server, &message->by, now, &state, &votes);
    struct message *reply = new_message(link, votes.count);
    reply->life = message->life;
    reply->number = message->number;
    reply->by = message->by;
    reply->now_ms = nodes_server_now_ms(server, now);
    reply->content = state;
    memcpy(reply->votes, votes.votes, votes.count * sizeof(votes.votes[0]));
    answer(link, news, reply);
}

static struct nodes_link *of(struct store *store)
{
    return container_of(store, struct nodes_link, store);
}

static void beat(struct store *store, const struct region_vote *vote)
{
    struct nodes_link *link = of(store);
    if (link->phase != NODES_LINK_READY || link->is_beating)
        return;
    link->is_beating = true;
    struct message *message = new_request(link);
    message->vote = *vote;
    submit(link, serve_beat, message);
}

/* ---- changes ---- */

static void changed(void *context, void *item)
{
    struct nodes_link *link = context;
    struct message *message = item;
    if (!hand_over(link, changed, message))
        return;
    link->answered = message->number;
    if (message->by.config != link->config) {
        fail_change(link, "the configuration was replaced");
        return;
    }
    const struct store_change change = {.answer = message->answer,
                                        .text = region_answer_text(message->answer),
                                        .now_ms = message->now_ms,
                                        .state = &message->content};
    link->is_changing = false;
    node_of(link)->memory.is_heard = true;
    link->events.changed(link->events.context, false, &change);
}

static void serve_change(void *context, void *item)
{
    struct nodes_link *link = context;
    struct message *message = item;
    if (is_stalled(link, serve_change, message))
        return;
    struct nodes_server *server = &link->world->servers[message->server];
    uint64_t now = sim_of(link)->now;
    struct message *reply = new_message(link, 0);
    if (message->request.content != NULL)
        message->request.content = &message->content;
    reply->life = message->life;
    reply->number = message->number;
    reply->by = message->by;
    reply->now_ms = nodes_server_now_ms(server, now);
    reply->answer = nodes_server_decide(server, &link->world->law, &message->by, &message->rules,
                                        &message->request, now, &reply->content);
    sim_note(sim_of(link), "server %u: n%u asks %d of r%u to %d: %s, epoch %llu, %s",
             message->server, link->node, message->request.kind, message->request.region,
             message->request.to, region_answer_name(reply->answer),
             (unsigned long long)reply->content.epoch,
             reply->answer == REGION_DONE ? reply->content.reason : "");
    answer(link, changed, reply);
}

static void change(struct store *store, const struct region_request *request)
{
    struct nodes_link *link = of(store);
    check(!link->is_changing);
    link->is_changing = true;
    if (link->phase != NODES_LINK_READY) {
        fail_change(link, "not connected");
        return;
    }
    struct message *message = new_request(link);
    message->rules = *link->rules;
    message->request = *request;
    if (request->content != NULL)
        message->content = *request->content;
    submit(link, serve_change, message);
}

/* ---- life ---- */

static void apply(struct store *store, const struct config *config,
                  const struct region_rules *rules)
{
    struct nodes_link *link = of(store);
    link->config = config;
    link->rules = rules;
}

static void destroy(struct store *store)
{
    struct nodes_link *link = of(store);
    link->is_open = false;
    link->life++;
    link->phase = NODES_LINK_IDLE;
    link->is_changing = false;
    link->is_beating = false;
}

/* Operators of this world do not read. */
static void audit(struct store *store)
{
    static const struct store_audit none = {.failure = "there is no record"};
    struct nodes_link *link = of(store);
    link->events.audited(link->events.context, &none);
}

void nodes_link_begin(struct nodes_link *link, struct nodes_world *world, uint32_t node)
{
    *link = (struct nodes_link){.world = world, .node = node};
}

void nodes_link_opens(struct nodes_link *link)
{
    opens = link;
}

void nodes_link_turn_to(struct nodes_link *link, uint32_t server)
{
    link->server = server;
    link->is_deaf = true;
}

struct store *store_redis_create(struct loop *loop, const struct config *config,
                                 const struct region_rules *rules,
                                 const struct store_events *events, char *message,
                                 size_t message_size)
{
    static const struct store_operations operations = {beat, change, apply, audit, destroy};
    struct nodes_link *link = opens;
    check(link != NULL && !link->is_open);
    link->store = (struct store){&operations, "redis"};
    link->config = config;
    link->rules = rules;
    link->events = *events;
    link->is_open = true;
    link->failures = 0;
    connect_now(link);
    return &link->store;
}
