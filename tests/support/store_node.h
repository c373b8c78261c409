/*
 * store_node: a node's store as tests use it: what it has told, and waiting for that. It votes as
 * soon as the store asks for it.
 */
#pragma once

#include "control/store.h"
#include "tests/support/failover_lab.h"

#define STORE_NODE_SECRET "correct horse battery staple" /* no event may say this */

#define STORE_NODE_ENTRY 512

struct store_node {
    struct lab_config lab;
    struct region_rules rules;
    struct loop *loop;
    struct store *store;
    bool silent; /* it does not vote by itself */
    enum store_link link;
    uint32_t link_count;
    char link_text[512];
    uint32_t news_count;
    uint32_t due_count;
    bool empty;
    uint64_t now_ms;
    struct region_state state;
    struct region_votes votes;
    bool answered;
    bool failed;
    enum region_answer answer;
    char answer_text[512];
    uint32_t audited_count;
    char audit_failure[512];
    uint32_t audit_entries;
    char audit_text[STORE_AUDIT_MAX][STORE_NODE_ENTRY]; /* store_node_describe() */
};

/* Node SELF of COUNT, two regions, store at ADDRESS; not open. */
void store_node_make(struct store_node *node, struct loop *loop, uint32_t count, uint32_t self,
                     const char *address);
bool store_node_try(struct store_node *node, char message[512]);
void store_node_open(struct store_node *node);
void store_node_close(struct store_node *node);
/* Open it and wait until it is connected. */
void store_node_connect(struct store_node *node);

struct region_vote store_node_vote(const struct store_node *node);
/* Vote and wait for news. */
void store_node_beat(struct store_node *node);
/* Ask for a change and wait for the answer. */
void store_node_ask(struct store_node *node, struct region_request request);
void store_node_ask_init(struct store_node *node);
/* Ask for the record and wait for it. */
void store_node_audit(struct store_node *node);
/* epoch|what|region|from|to|override|why|node|by|votes|needed|despite */
void store_node_describe(const struct store_audit_entry *entry, char out[STORE_NODE_ENTRY]);

/* For lab_run_until(). */
bool store_node_is_connected(void *node);
bool store_node_is_not_connected(void *node);
bool store_node_is_lost(void *node);
bool store_node_is_answered(void *node);
bool store_node_is_audited(void *node);
bool store_node_has_news(void *node);
bool store_node_has_text(void *node);
