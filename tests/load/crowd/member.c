#include "dataplane/base/clock.h"
#include "tests/load/crowd/crowd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint8_t crowd_question_byte(uint64_t question, uint64_t at)
{
    char text[40];
    int length = snprintf(text, sizeof(text), "question %llu ", (unsigned long long)question);
    return (uint8_t)text[at % (uint64_t)length];
}

static void say(const char *line)
{
    printf("%s\n", line);
    fflush(stdout);
}

void member_asked(struct crowd_member *member)
{
    struct crowd *crowd = member->crowd;
    if (++crowd->asked == crowd->options.members)
        say("asked");
}

void member_begun(struct crowd_member *member, uint16_t status)
{
    struct crowd *crowd = member->crowd;
    if (member->status == 0 && ++crowd->begun == crowd->options.members)
        say("begun");
    member->status = status;
}

/* The answer is as long as the longest of them: what came before is compared, the rest is kept. */
static bool same_so_far(struct crowd_answer *answer, uint64_t at, const uint8_t *bytes,
                        size_t length)
{
    size_t known = answer->length - at;
    if (known > length)
        known = length;
    if (memcmp(answer->bytes + at, bytes, known) != 0)
        return false;
    size_t rest = length - known;
    if (answer->length + rest > answer->room) {
        answer->room = 2 * (answer->length + rest);
        answer->bytes = realloc(answer->bytes, answer->room);
        if (answer->bytes == NULL)
            abort();
    }
    memcpy(answer->bytes + answer->length, bytes + known, rest);
    answer->length += rest;
    return true;
}

bool member_received(struct crowd_member *member, const uint8_t *bytes, size_t length)
{
    struct crowd *crowd = member->crowd;
    if (member->end != CROWD_UNDER_WAY || length == 0)
        return false;
    if (member->received == 0 && !member->leaves && ++crowd->flowing == crowd->staying)
        say("flowing");
    if (!member->corrupt)
        member->corrupt = !same_so_far(member->answer, member->received, bytes, length);
    member->received += length;
    if (!member->leaves || member->received < crowd->options.leave_bytes)
        return false;
    member_ended(member, CROWD_LEFT);
    return true;
}

void member_ended(struct crowd_member *member, enum crowd_end end)
{
    struct crowd *crowd = member->crowd;
    if (member->end != CROWD_UNDER_WAY)
        return;
    member->end = end;
    crowd->ended++;
    if (end != CROWD_COMPLETE)
        return;
    crowd->last_complete_ns = clock_now_ns();
    if (crowd->first_complete_ns == 0)
        crowd->first_complete_ns = crowd->last_complete_ns;
}
