#include "tests/support/store_node.h"

#include "tests/support/cmocka.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Events. */

static void on_news(void *context, const struct store_news *news)
{
    struct store_node *node = context;
    node->news_count++;
    node->empty = news->empty;
    node->now_ms = news->now_ms;
    node->state = *news->state;
    node->votes = *news->votes;
}

static void on_changed(void *context, bool failed, const struct store_change *change)
{
    struct store_node *node = context;
    node->answered = true;
    node->failed = failed;
    node->answer = change->answer;
    snprintf(node->answer_text, sizeof(node->answer_text), "%s", change->text);
    if (change->state != NULL)
        node->state = *change->state;
    assert_null(strstr(change->text, STORE_NODE_SECRET));
}

static void on_link(void *context, enum store_link link, const char *text)
{
    struct store_node *node = context;
    node->link = link;
    node->link_count++;
    snprintf(node->link_text, sizeof(node->link_text), "%s", text);
    assert_null(strstr(text, STORE_NODE_SECRET));
    assert_null(strpbrk(text, "\r\n\t\033"));
}

static void on_due(void *context)
{
    struct store_node *node = context;
    struct region_vote vote = store_node_vote(node);
    node->due_count++;
    if (!node->silent)
        store_beat(node->store, &vote);
}

static void on_audited(void *context, const struct store_audit *audit)
{
    struct store_node *node = context;
    node->audited_count++;
    snprintf(node->audit_failure, sizeof(node->audit_failure), "%s",
             audit->failure == NULL ? "" : audit->failure);
    node->audit_entries = audit->count;
    for (uint32_t i = 0; i < audit->count; i++)
        store_node_describe(&audit->entries[i], node->audit_text[i]);
}

void store_node_describe(const struct store_audit_entry *entry, char out[STORE_NODE_ENTRY])
{
    assert_true(entry->unix_ms > 0);
    snprintf(out, STORE_NODE_ENTRY, "%" PRIu64 "|%s|%s|%s|%s|%s|%s|%s|%s|%s|%s|%s", entry->epoch,
             entry->what, entry->region, entry->from, entry->to, entry->override, entry->why,
             entry->node, entry->by, entry->votes, entry->needed, entry->despite);
}

/* Life. */

void store_node_make(struct store_node *node, struct loop *loop, uint32_t count, uint32_t self,
                     const char *address)
{
    memset(node, 0, sizeof(*node));
    node->loop = loop;
    lab_config_make(&node->lab, 2, 1);
    lab_config_cluster(&node->lab, count, self, address);
    region_rules_init(&node->rules, &node->lab.config);
}

bool store_node_try(struct store_node *node, char message[512])
{
    const struct store_events events = {on_news, on_changed, on_link, on_due, on_audited, node};
    message[0] = '\0';
    node->store =
        store_redis_create(node->loop, &node->lab.config, &node->rules, &events, message, 512);
    return node->store != NULL;
}

void store_node_open(struct store_node *node)
{
    char message[512];
    if (!store_node_try(node, message))
        fail_msg("%s", message);
}

void store_node_close(struct store_node *node)
{
    store_destroy(node->store);
    node->store = NULL;
}

void store_node_connect(struct store_node *node)
{
    store_node_open(node);
    lab_run_until(node->loop, store_node_is_connected, node, "the connection");
}

/* Waiting. */

bool store_node_is_connected(void *node)
{
    return ((struct store_node *)node)->link == STORE_CONNECTED;
}

bool store_node_is_not_connected(void *node)
{
    return !store_node_is_connected(node);
}

bool store_node_is_lost(void *node)
{
    return ((struct store_node *)node)->link == STORE_LOST;
}

bool store_node_is_answered(void *node)
{
    return ((struct store_node *)node)->answered;
}

bool store_node_is_audited(void *node)
{
    return ((struct store_node *)node)->audited_count > 0;
}

bool store_node_has_news(void *node)
{
    return ((struct store_node *)node)->news_count > 0;
}

bool store_node_has_text(void *node)
{
    return ((struct store_node *)node)->link_text[0] != '\0';
}

/* Voting and asking. */

struct region_vote store_node_vote(const struct store_node *node)
{
    struct region_vote vote = {.epoch = node->state.epoch, .agreement = node->rules.agreement};
    strcpy(vote.node, node->lab.config.node);
    strcpy(vote.change_id, node->state.change_id);
    for (int r = 0; r < 2; r++)
        for (int e = 0; e < REGION_EVIDENCES; e++)
            vote.regions[r].held_ms[e] = REGION_NOT_HELD;
    return vote;
}

void store_node_beat(struct store_node *node)
{
    struct region_vote vote = store_node_vote(node);
    node->news_count = 0;
    store_beat(node->store, &vote);
    lab_run_until(node->loop, store_node_has_news, node, "news");
}

void store_node_ask(struct store_node *node, struct region_request request)
{
    strcpy(request.new_change_id, "bbbbbbbbbbbbbbbb");
    strcpy(request.new_incarnation, "jjjjjjjjjjjjjjjj");
    strcpy(request.by, "me");
    node->answered = false;
    store_change(node->store, &request);
    lab_run_until(node->loop, store_node_is_answered, node, "the answer");
}

void store_node_ask_init(struct store_node *node)
{
    struct region_state configured;
    region_state_init(&configured, &node->lab.config);
    store_node_ask(node, (struct region_request){.kind = REGION_INIT, .content = &configured});
}

void store_node_audit(struct store_node *node)
{
    node->audited_count = 0;
    store_audit(node->store);
    lab_run_until(node->loop, store_node_is_audited, node, "the record");
}
