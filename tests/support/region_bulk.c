#include "tests/support/region_bulk.h"

#include "control/redis_words.h"
#include "control/region_text.h"
#include "dataplane/base/check.h"
#include "tests/support/region_bulk_lua.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_A_CASE 2048
#define BYTES_A_CASE (128 * 1024)
#define SCRIPT_BYTES (128 * 1024)
#define WORDS_BEFORE 3 /* EVAL, the script, the number of keys */

struct region_bulk {
    redisContext *link;
    struct redis_words words;
    char script[SCRIPT_BYTES]; /* made with the first case */
    uint32_t cases_max;
    uint32_t cases;
    uint32_t count;
    const char **at;
    size_t *lengths;
    size_t used;
    char *arena;
};

struct region_bulk *region_bulk_open(redisContext *link, uint32_t cases)
{
    struct region_bulk *bulk = calloc(1, sizeof(*bulk));
    check(bulk != NULL);
    bulk->link = link;
    bulk->cases_max = cases;
    bulk->at = calloc((size_t)cases * WORDS_A_CASE, sizeof(bulk->at[0]));
    bulk->lengths = calloc((size_t)cases * WORDS_A_CASE, sizeof(bulk->lengths[0]));
    bulk->arena = malloc((size_t)cases * BYTES_A_CASE);
    check(bulk->at != NULL && bulk->lengths != NULL && bulk->arena != NULL);
    return bulk;
}

void region_bulk_close(struct region_bulk *bulk)
{
    if (bulk == NULL)
        return;
    free(bulk->at);
    free(bulk->lengths);
    free(bulk->arena);
    free(bulk);
}

/* ---- what is sent ---- */

static void add(struct region_bulk *bulk, const char *text, size_t length)
{
    check(bulk->count < bulk->cases_max * WORDS_A_CASE);
    check(bulk->used + length + 1 <= (size_t)bulk->cases_max * BYTES_A_CASE);
    char *to = bulk->arena + bulk->used;
    memcpy(to, text, length);
    to[length] = '\0';
    bulk->at[bulk->count] = to;
    bulk->lengths[bulk->count++] = length;
    bulk->used += length + 1;
}

static void add_text(struct region_bulk *bulk, const char *text)
{
    add(bulk, text, strlen(text));
}

static void add_number(struct region_bulk *bulk, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, number);
    add_text(bulk, text);
}

static void count_field(void *context, const char *field, const char *value)
{
    uint32_t *count = context;
    *count += 2;
}

static void add_field(void *context, const char *field, const char *value)
{
    add_text(context, field);
    add_text(context, value);
}

static void add_state(struct region_bulk *bulk, const struct region_state *state)
{
    uint32_t count = 0;
    if (state->epoch != 0)
        region_text_put(state, count_field, &count);
    add_number(bulk, count);
    if (state->epoch != 0)
        region_text_put(state, add_field, bulk);
}

static void add_votes(struct region_bulk *bulk, const struct region_bulk_case *one)
{
    char key[REDIS_KEY_MAX];
    char text[REGION_VOTE_MAX];
    add_number(bulk, 3 * (uint64_t)one->votes->count);
    for (uint32_t i = 0; i < one->votes->count; i++) {
        const struct region_vote *vote = &one->votes->votes[i];
        add_text(bulk, redis_vote_key(one->config, vote->node, key));
        add_text(bulk, region_text_put_vote(vote, one->state, text));
        add_number(bulk, redis_vote_ms(one->config) - vote->age_ms);
    }
}

/* The script as the body of a function, then what calls it. */
static void make_script(struct region_bulk *bulk)
{
    int used = snprintf(bulk->script, SCRIPT_BYTES,
                        "local function decide(redis, KEYS, ARGV)\n%s\nend\n%s", bulk->words.at[1],
                        region_bulk_lua);
    check(used > 0 && used < SCRIPT_BYTES);
}

/* EVAL, the script, the number of keys, the keys, the arguments: two lists. */
static void add_change(struct region_bulk *bulk)
{
    const struct redis_words *words = &bulk->words;
    int keys = (int)strtol(words->at[2], NULL, 10);
    add_number(bulk, (uint64_t)keys);
    for (int i = WORDS_BEFORE; i < WORDS_BEFORE + keys; i++)
        add(bulk, words->at[i], words->lengths[i]);
    add_number(bulk, (uint64_t)(words->count - WORDS_BEFORE - keys));
    for (int i = WORDS_BEFORE + keys; i < words->count; i++)
        add(bulk, words->at[i], words->lengths[i]);
}

void region_bulk_add(struct region_bulk *bulk, const struct region_bulk_case *one)
{
    check(bulk->cases++ < bulk->cases_max);
    redis_words_change(&bulk->words, one->config, one->rules, one->request);
    if (bulk->count == 0) {
        make_script(bulk);
        add_text(bulk, "EVAL");
        add_text(bulk, bulk->script);
        add_text(bulk, "0");
    }
    add_number(bulk, one->now_ms / 1000);
    add_number(bulk, one->now_ms % 1000 * 1000);
    add_state(bulk, one->state);
    add_votes(bulk, one);
    add_change(bulk);
}

/* ---- what comes back ---- */

redisReply *region_bulk_decide(struct region_bulk *bulk)
{
    redisReply *reply = redisCommandArgv(bulk->link, (int)bulk->count, bulk->at, bulk->lengths);
    check(reply != NULL);
    bulk->cases = 0;
    bulk->count = 0;
    bulk->used = 0;
    return reply;
}

static void append_text(void *context, const char *field, const char *value)
{
    char **end = context;
    *end += sprintf(*end, "%s=%s\n", field, value);
}

const char *region_bulk_text(const struct region_state *state, char out[REGION_BULK_TEXT])
{
    char *end = out;
    region_text_put(state, append_text, &end);
    return out;
}

bool region_bulk_state(const redisReply *result, const struct config *config,
                       char out[REGION_BULK_TEXT])
{
    struct region_state state;
    const redisReply *flat = result->element[0]->element[3];
    region_state_init(&state, config);
    for (size_t i = 0; i < flat->elements; i += 2)
        if (!region_text_take(&state, flat->element[i]->str, flat->element[i + 1]->str))
            return false;
    region_bulk_text(&state, out);
    return true;
}
