/*
 * failover_lab: for tests of region failover: configurations by hand, and a redis-server of the
 * test's own on a Unix socket in a directory of its own.
 */
#pragma once

#include "control/config.h"

#include <hiredis/hiredis.h>
#include <sys/types.h>

#define LAB_REGIONS_MAX  8
#define LAB_BACKENDS_MAX 64
#define LAB_NODES_MAX    9

/* A config and all it points to. Does not move once made. */
struct lab_config {
    struct config config;
    struct config_region regions[LAB_REGIONS_MAX];
    struct config_service service;
    struct config_backend backends[LAB_BACKENDS_MAX];
    char nodes[LAB_NODES_MAX][CONFIG_NAME_MAX];
};

/* REGIONS (r0, r1, ...) with BACKENDS each, weight 100, slots in order; defaults of the manual. */
void lab_config_make(struct lab_config *lab, uint32_t regions, uint32_t backends);
/* The roster n0, n1, ... of COUNT nodes; this one is SELF. Store: redis at ADDRESS. */
void lab_config_cluster(struct lab_config *lab, uint32_t count, uint32_t self, const char *address);

struct lab_redis {
    char directory[64];
    char socket[96];
    char address[112]; /* unix:<socket> */
    pid_t pid;         /* 0: not running */
};

/* False: there is no redis-server on this machine. */
bool lab_redis_is_installed(void);
void lab_redis_make(struct lab_redis *redis);
/* Start it and wait until it answers. PASSWORD may be NULL. */
void lab_redis_start(struct lab_redis *redis, const char *password);
/* kill -9, and wait for the end. */
void lab_redis_kill(struct lab_redis *redis);
/* Everything away. */
void lab_redis_destroy(struct lab_redis *redis);
/* A connection of the test's own. */
redisContext *lab_redis_connect(const struct lab_redis *redis);

struct loop;

/* Run LOOP until DONE(CONTEXT) is true. Fails the test after 30 s. */
void lab_run_until(struct loop *loop, bool (*done)(void *context), void *context, const char *what);
/* Run LOOP for so long. */
void lab_run_for(struct loop *loop, uint64_t for_ns);
