#include "tests/load/crowd/crowd.h"

#include <stdio.h>

#define KINDS_MAX  64
#define TEXT_BYTES 4096

/* How often each of a few different numbers came. */
struct tally {
    uint64_t number[KINDS_MAX];
    uint64_t count[KINDS_MAX];
    uint32_t kinds;
};

/* The last place takes all that would be too many. */
static void tally_add(struct tally *tally, uint64_t number)
{
    uint32_t i = 0;
    while (i < tally->kinds && tally->number[i] != number)
        i++;
    if (i == KINDS_MAX)
        i = KINDS_MAX - 1;
    if (i == tally->kinds)
        tally->number[tally->kinds++] = number;
    tally->count[i]++;
}

static void tally_print(const char *name, const struct tally *tally)
{
    printf("\"%s\": {", name);
    for (uint32_t i = 0; i < tally->kinds; i++)
        printf("%s\"%llu\": %llu", i > 0 ? ", " : "", (unsigned long long)tally->number[i],
               (unsigned long long)tally->count[i]);
    printf("}, ");
}

static void number_print(const char *name, uint64_t number)
{
    printf("\"%s\": %llu, ", name, (unsigned long long)number);
}

static void text_print(const uint8_t *bytes, size_t length)
{
    putchar('"');
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] < 0x20 || bytes[i] > 0x7e || bytes[i] == '"' || bytes[i] == '\\')
            printf("\\u%04x", bytes[i]);
        else
            putchar(bytes[i]);
    }
    putchar('"');
}

/* The last bytes of each answer: what was told at the end is what tests ask for. */
static void answers_print(const struct crowd *crowd)
{
    uint64_t count = crowd->options.questions > 0 ? crowd->options.questions : 1;
    printf("\"answers\": [");
    for (uint64_t i = 0; i < count; i++) {
        const struct crowd_answer *answer = &crowd->answers[i];
        size_t shown = answer->length < TEXT_BYTES ? answer->length : TEXT_BYTES;
        if (i > 0)
            printf(", ");
        text_print(answer->bytes + answer->length - shown, shown);
    }
    printf("]");
}

void report_print(const struct crowd *crowd)
{
    struct tally answered = {.kinds = 0}, lengths = {.kinds = 0}, resets = {.kinds = 0};
    uint64_t ends[CROWD_LOST + 1] = {0}, corrupt = 0;
    for (uint64_t i = 0; i < crowd->options.members; i++) {
        const struct crowd_member *member = &crowd->members[i];
        ends[member->end]++;
        corrupt += member->corrupt;
        if (member->status != 0)
            tally_add(&answered, member->status);
        if (member->end == CROWD_COMPLETE)
            tally_add(&lengths, member->received);
        if (member->end == CROWD_RESET)
            tally_add(&resets, member->reset_code);
    }
    printf("{");
    number_print("members", crowd->options.members);
    tally_print("answered", &answered);
    number_print("complete", ends[CROWD_COMPLETE]);
    tally_print("lengths", &lengths);
    tally_print("resets", &resets);
    number_print("lost", ends[CROWD_LOST]);
    number_print("left", ends[CROWD_LEFT]);
    number_print("unfinished", ends[CROWD_UNDER_WAY]);
    number_print("corrupt", corrupt);
    number_print("spread_ms", (crowd->last_complete_ns - crowd->first_complete_ns) / 1000000);
    answers_print(crowd);
    printf("}\n");
}
