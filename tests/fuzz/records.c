/*
 * records: a libFuzzer mutator for targets whose inputs are two bytes followed by records of eight:
 * whole records are copied, removed, exchanged and repeated, so that what follows keeps its
 * meaning; every second time libFuzzer's own mutators work on one record or on everything.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HEAD   2u
#define RECORD 8u

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data1, size_t size1, const uint8_t *data2,
                                 size_t size2, uint8_t *out, size_t max_out_size,
                                 unsigned int seed);

static uint32_t state;

static uint32_t draw(uint32_t bound)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % bound;
}

static uint8_t *record_at(uint8_t *data, size_t number)
{
    return data + HEAD + number * RECORD;
}

/* Copy record FROM before record TO. */
static size_t insert(uint8_t *data, size_t count, size_t from, size_t to)
{
    uint8_t copy[RECORD];
    memcpy(copy, record_at(data, from), RECORD);
    memmove(record_at(data, to + 1), record_at(data, to), (count - to) * RECORD);
    memcpy(record_at(data, to), copy, RECORD);
    return count + 1;
}

static size_t take_out(uint8_t *data, size_t count, size_t at)
{
    memmove(record_at(data, at), record_at(data, at + 1), (count - at - 1) * RECORD);
    return count - 1;
}

static void exchange(uint8_t *data, size_t a, size_t b)
{
    uint8_t copy[RECORD];
    memcpy(copy, record_at(data, a), RECORD);
    memcpy(record_at(data, a), record_at(data, b), RECORD);
    memcpy(record_at(data, b), copy, RECORD);
}

/* One mutation of whole records; returns how many there are then. */
static size_t mutate_records(uint8_t *data, size_t count, size_t most)
{
    size_t a = draw((uint32_t)count);
    size_t b = draw((uint32_t)count);
    switch (draw(6)) {
    case 0:
        return count < most ? insert(data, count, a, b) : count;
    case 1:
        return count > 1 ? take_out(data, count, a) : count;
    case 2:
        exchange(data, a, b);
        return count;
    case 3: /* the same once more, with another argument */
        if (count == most)
            return count;
        count = insert(data, count, a, a);
        record_at(data, a)[draw(RECORD)] = (uint8_t)draw(256);
        return count;
    case 4:
        record_at(data, a)[draw(RECORD)] ^= (uint8_t)(1u << draw(8));
        return count;
    default:
        LLVMFuzzerMutate(record_at(data, a), RECORD, RECORD);
        return count;
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
    state = seed;
    size_t count = size > HEAD ? (size - HEAD) / RECORD : 0;
    size_t most = max_size > HEAD ? (max_size - HEAD) / RECORD : 0;
    if (count == 0 || draw(8) == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    for (uint32_t i = 1 + draw(3); i > 0; i--)
        count = mutate_records(data, count, most);
    return HEAD + count * RECORD;
}

/* The beginning of one and the end of the other. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data1, size_t size1, const uint8_t *data2,
                                 size_t size2, uint8_t *out, size_t max_out_size, unsigned int seed)
{
    state = seed;
    size_t first = size1 > HEAD ? (size1 - HEAD) / RECORD : 0;
    size_t second = size2 > HEAD ? (size2 - HEAD) / RECORD : 0;
    if (first == 0 || second == 0)
        return 0;
    size_t head = HEAD + (1 + draw((uint32_t)first)) * RECORD;
    size_t skipped = HEAD + draw((uint32_t)second) * RECORD;
    size_t tail = (size2 - skipped) / RECORD * RECORD;
    if (head > max_out_size)
        return 0;
    if (tail > max_out_size - head)
        tail = (max_out_size - head) / RECORD * RECORD;
    memcpy(out, data1, head);
    memcpy(out + head, data2 + skipped, tail);
    return head + tail;
}
