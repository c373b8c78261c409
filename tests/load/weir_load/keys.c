#include "tests/load/weir_load/keys.h"

#include <math.h>
#include <stdlib.h>

/* Weights such that their mean is 1. */
static double *zipf_weights(uint32_t count, double exponent)
{
    double *weights = malloc(count * sizeof(*weights));
    double sum = 0;
    if (weights == NULL)
        return NULL;
    for (uint32_t i = 0; i < count; i++) {
        weights[i] = pow((double)i + 1, -exponent);
        sum += weights[i];
    }
    for (uint32_t i = 0; i < count; i++)
        weights[i] *= (double)count / sum;
    return weights;
}

/*
 * Vose's table: each slot is filled to 1 by at most two keys. STACK holds those that are below 1 at
 * its start, the others at its end.
 */
static void fill_slots(struct key_slot *slots, double *weights, uint32_t *stack, uint32_t count)
{
    uint32_t poor_count = 0;
    uint32_t rich_first = count;
    for (uint32_t i = 0; i < count; i++) {
        slots[i] = (struct key_slot){1, i};
        if (weights[i] < 1)
            stack[poor_count++] = i;
        else
            stack[--rich_first] = i;
    }
    while (poor_count > 0 && rich_first < count) {
        uint32_t poor = stack[--poor_count];
        uint32_t rich = stack[rich_first];
        slots[poor] = (struct key_slot){(float)weights[poor], rich};
        weights[rich] -= 1 - weights[poor];
        if (weights[rich] < 1) {
            rich_first++;
            stack[poor_count++] = rich;
        }
    }
}

bool keys_init(struct keys *keys, uint64_t count, double exponent)
{
    *keys = (struct keys){.count = count};
    if (exponent == 0)
        return true;
    double *weights = zipf_weights((uint32_t)count, exponent);
    uint32_t *stack = malloc(count * sizeof(*stack));
    keys->slots = malloc(count * sizeof(*keys->slots));
    bool there = weights != NULL && stack != NULL && keys->slots != NULL;
    if (there)
        fill_slots(keys->slots, weights, stack, (uint32_t)count);
    else
        keys_close(keys);
    free(weights);
    free(stack);
    return there;
}

void keys_close(struct keys *keys)
{
    free(keys->slots);
    keys->slots = NULL;
}

uint64_t keys_next(struct keys *keys, struct random *random)
{
    if (keys->slots == NULL) {
        uint64_t key = keys->next++;
        return keys->count > 0 ? key % keys->count : key;
    }
    uint32_t at = random_below(random, (uint32_t)keys->count);
    const struct key_slot *slot = &keys->slots[at];
    double dice = (double)(random_u64(random) >> 40) / (double)(1 << 24);
    return dice < (double)slot->share ? at : slot->alias;
}
