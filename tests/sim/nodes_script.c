#include "tests/sim/nodes_script.h"

#include "dataplane/base/check.h"
#include "tests/support/failover_lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct nodes_script {
    struct sim *sim;
    struct lab_redis redis;
    redisContext *link;
    struct region_bulk *bulk;
};

struct nodes_script *nodes_script_open(struct sim *sim)
{
    static bool is_said;
    if (!lab_redis_is_installed()) {
        if (!is_said)
            printf("nodes: redis-server is missing: the script in Lua is not compared\n");
        is_said = true;
        return NULL;
    }
    struct nodes_script *script = calloc(1, sizeof(*script));
    check(script != NULL);
    script->sim = sim;
    lab_redis_make(&script->redis);
    lab_redis_start(&script->redis, NULL);
    script->link = lab_redis_connect(&script->redis);
    script->bulk = region_bulk_open(script->link, 1);
    return script;
}

void nodes_script_close(struct nodes_script *script)
{
    if (script == NULL)
        return;
    region_bulk_close(script->bulk);
    redisFree(script->link);
    lab_redis_destroy(&script->redis);
    free(script);
}

static void compare(struct nodes_script *script, const struct region_bulk_case *one,
                    enum region_answer answer, const struct region_state *after,
                    const redisReply *result)
{
    static char by_lua[REGION_BULK_TEXT];
    static char by_c[REGION_BULK_TEXT];
    const char *given = result->element[0]->element[0]->str;
    bool changed = answer == REGION_DONE || answer == REGION_FROZE;
    if (strcmp(given, region_answer_name(answer)) != 0)
        sim_fail(script->sim, "request %d of region %u: C says %s, Lua says %s", one->request->kind,
                 one->request->region, region_answer_name(answer), given);
    if (!region_bulk_state(result, one->config, by_lua) ||
        strcmp(by_lua, region_bulk_text(after, by_c)) != 0)
        sim_fail(script->sim, "request %d of region %u: Lua left\n%s\nand C\n%s",
                 one->request->kind, one->request->region, by_lua, by_c);
    if ((result->element[1]->integer == 1) != changed)
        sim_fail(script->sim, "request %d of region %u was %s, with %lld audit entries",
                 one->request->kind, one->request->region, given, result->element[1]->integer);
}

void nodes_script_compare(struct nodes_script *script, const struct region_bulk_case *one,
                          enum region_answer answer, const struct region_state *after)
{
    region_bulk_add(script->bulk, one);
    redisReply *reply = region_bulk_decide(script->bulk);
    if (reply->type == REDIS_REPLY_ERROR)
        sim_fail(script->sim, "the script fails: %s", reply->str);
    compare(script, one, answer, after, reply->element[0]);
    freeReplyObject(reply);
}
