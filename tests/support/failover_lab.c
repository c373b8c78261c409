#include "tests/support/failover_lab.h"

#include "control/loop.h"
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/support/cmocka.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define SERVER       "redis-server"
#define ATTEMPTS     500
#define ATTEMPT_WAIT 20000 /* us */

static const struct config_health default_health = {
    .probe = CONFIG_PROBE_HTTP2,
    .path = "/healthz",
    .interval_up_ns = 2 * CLOCK_S,
    .interval_doubt_ns = 500 * CLOCK_MS,
    .interval_down_ns = 5 * CLOCK_S,
    .jitter_percent = 20,
    .timeout_ns = CLOCK_S,
    .fall = 3,
    .rise = 3,
    .connect_failures = 3,
    .eject_failures = 5,
    .eject_ns = 30 * CLOCK_S,
    .eject_max_ns = 300 * CLOCK_S,
    .eject_region_percent = 30,
};

static const struct config_failover default_failover = {
    .hard_failure_ns = 3 * CLOCK_S,
    .down_dwell_ns = 6 * CLOCK_S,
    .degraded_dwell_ns = 6 * CLOCK_S,
    .up_dwell_ns = 30 * CLOCK_S,
    .suspect_clear_ns = 5 * CLOCK_S,
    .hold_down_ns = 60 * CLOCK_S,
    .hold_down_max_ns = 900 * CLOCK_S,
    .recover_dwell_ns = 60 * CLOCK_S,
    .ramp_step_ns = 60 * CLOCK_S,
    .ramp_permille = {50, 100, 250, 500, 1000},
    .ramp_steps = 5,
    .suspect_below = 25,
    .degraded_below = 72,
    .recovering_below = 40,
    .clear_at = 35,
    .recover_at = 50,
    .up_at = 80,
    .spill_percent = 140,
    .capacity_percent = 80,
    .panic_below = 50,
    .grow_percent = 25,
    .grow_interval_ns = 5 * CLOCK_S,
    .quiet_ns = 1800 * CLOCK_S,
    .penalty = 1000,
    .penalty_out = 2500,
    .penalty_back = 750,
    .penalty_half_life_ns = 600 * CLOCK_S,
    .worse_percent = 200,
    .worse_samples = 200,
    .worse_at_least = 5,
    .hard_tries = 5,
    .hard_tries_per_backend = 3,
    .proposal_ttl_ns = 1800 * CLOCK_S,
    .min_active_regions = 1,
    .down_interval_ns = 60 * CLOCK_S,
    .correlated_ns = 10 * CLOCK_S,
    .freeze_ns = 60 * CLOCK_S,
    .force_ttl_ns = 4 * 3600 * CLOCK_S,
    .store_lost_ns = 6 * CLOCK_S,
    .vote_interval_ns = CLOCK_S,
    .vote_fresh_ns = 3 * CLOCK_S,
    .vote_gone_ns = 6 * CLOCK_S,
};

void lab_config_make(struct lab_config *lab, uint32_t regions, uint32_t backends)
{
    check(regions <= LAB_REGIONS_MAX && regions * backends <= LAB_BACKENDS_MAX);
    memset(lab, 0, sizeof(*lab));
    strcpy(lab->service.name, "service");
    lab->service.health = default_health;
    for (uint32_t r = 0; r < regions; r++) {
        snprintf(lab->regions[r].name, CONFIG_NAME_MAX, "r%u", r);
        for (uint32_t b = 0; b < backends; b++) {
            uint32_t slot = r * backends + b;
            struct config_backend *backend = &lab->backends[slot];
            *backend = (struct config_backend){
                .port = 80, .weight = 100, .region = (uint16_t)r, .slot = slot, .generation = 1};
            snprintf(backend->name, CONFIG_NAME_MAX, "r%u-%u", r, b);
        }
    }
    lab->config = (struct config){
        .node = "n0",
        .regions = lab->regions,
        .region_count = regions,
        .services = &lab->service,
        .service_count = 1,
        .backends = lab->backends,
        .backend_count = regions * backends,
        .health = default_health,
        .failover = default_failover,
        .store = {.kind = CONFIG_STORE_MEMORY,
                  .cluster = "test",
                  .connect_timeout_ns = 200 * CLOCK_MS,
                  .command_timeout_ns = 200 * CLOCK_MS},
    };
}

void lab_config_cluster(struct lab_config *lab, uint32_t count, uint32_t self, const char *address)
{
    check(self < count && count <= LAB_NODES_MAX);
    for (uint32_t i = 0; i < count; i++)
        snprintf(lab->nodes[i], CONFIG_NAME_MAX, "n%u", i);
    snprintf(lab->config.node, CONFIG_NAME_MAX, "n%u", self);
    lab->config.failover.nodes = lab->nodes;
    lab->config.failover.node_count = count;
    lab->config.store.kind = CONFIG_STORE_REDIS;
    snprintf(lab->config.store.address, sizeof(lab->config.store.address), "%s", address);
}

bool lab_redis_is_installed(void)
{
    char paths[4096];
    char file[4096 + sizeof(SERVER) + 1];
    const char *path = getenv("PATH");
    snprintf(paths, sizeof(paths), "%s:/usr/bin:/usr/sbin", path == NULL ? "" : path);
    char *rest = NULL;
    for (char *part = strtok_r(paths, ":", &rest); part != NULL;
         part = strtok_r(NULL, ":", &rest)) {
        snprintf(file, sizeof(file), "%s/" SERVER, part);
        if (access(file, X_OK) == 0)
            return true;
    }
    return false;
}

void lab_redis_make(struct lab_redis *redis)
{
    memset(redis, 0, sizeof(*redis));
    strcpy(redis->directory, "/tmp/weir-redis-XXXXXX");
    assert_non_null(mkdtemp(redis->directory));
    snprintf(redis->socket, sizeof(redis->socket), "%s/socket", redis->directory);
    snprintf(redis->address, sizeof(redis->address), "unix:%s", redis->socket);
}

static void wait_until_it_answers(const struct lab_redis *redis)
{
    for (int i = 0; i < ATTEMPTS; i++) {
        redisContext *context = redisConnectUnix(redis->socket);
        redisReply *reply =
            context == NULL || context->err != 0 ? NULL : redisCommand(context, "PING");
        if (reply != NULL)
            freeReplyObject(reply);
        if (context != NULL)
            redisFree(context);
        if (reply != NULL)
            return;
        usleep(ATTEMPT_WAIT);
    }
    fail_msg("redis-server does not answer");
}

void lab_redis_start(struct lab_redis *redis, const char *password)
{
    check(redis->pid == 0);
    redis->pid = fork();
    assert_true(redis->pid >= 0);
    if (redis->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves nothing behind */
        int null = open("/dev/null", O_RDWR);
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        execlp(SERVER, SERVER, "--port", "0", "--unixsocket", redis->socket, "--dir",
               redis->directory, "--save", "", "--appendonly", "no", "--requirepass",
               password == NULL ? "" : password, (char *)NULL);
        _exit(127);
    }
    wait_until_it_answers(redis);
}

void lab_redis_kill(struct lab_redis *redis)
{
    if (redis->pid == 0)
        return;
    kill(redis->pid, SIGCONT);
    kill(redis->pid, SIGKILL);
    waitpid(redis->pid, NULL, 0);
    redis->pid = 0;
}

void lab_redis_destroy(struct lab_redis *redis)
{
    char path[128];
    lab_redis_kill(redis);
    unlink(redis->socket);
    snprintf(path, sizeof(path), "%s/dump.rdb", redis->directory);
    unlink(path);
    rmdir(redis->directory);
}

redisContext *lab_redis_connect(const struct lab_redis *redis)
{
    redisContext *context = redisConnectUnix(redis->socket);
    assert_non_null(context);
    assert_int_equal(context->err, 0);
    return context;
}

#define LOOK_NS    (2 * CLOCK_MS)
#define GIVE_UP_NS (30 * CLOCK_S)

struct waiting {
    struct loop *loop;
    struct loop_timer *timer;
    uint64_t end_ns;
    bool (*done)(void *context); /* NULL: until the end */
    void *context;
    const char *what;
};

static void look(void *context, uint64_t now)
{
    struct waiting *waiting = context;
    bool over = now >= waiting->end_ns;
    if (waiting->done != NULL && over && !waiting->done(waiting->context))
        fail_msg("waited 30 s for %s", waiting->what);
    if (over || (waiting->done != NULL && waiting->done(waiting->context)))
        loop_stop(waiting->loop);
    else
        loop_timer_at(waiting->timer, now + LOOK_NS);
}

static void wait_in(struct loop *loop, uint64_t for_ns, bool (*done)(void *context), void *context,
                    const char *what)
{
    uint64_t now = clock_now_ns();
    struct waiting waiting = {
        .loop = loop, .end_ns = now + for_ns, .done = done, .context = context, .what = what};
    waiting.timer = loop_timer(loop, look, &waiting);
    assert_non_null(waiting.timer);
    loop_timer_at(waiting.timer, now);
    loop_run(loop);
    loop_timer_destroy(waiting.timer);
}

void lab_run_until(struct loop *loop, bool (*done)(void *context), void *context, const char *what)
{
    wait_in(loop, GIVE_UP_NS, done, context, what);
}

void lab_run_for(struct loop *loop, uint64_t for_ns)
{
    wait_in(loop, for_ns, NULL, NULL, "");
}
