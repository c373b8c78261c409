/* timeline_text: the words of a script. */
#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "tests/timelines/timeline.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void timeline_words(const struct timeline *t, char *text, struct timeline_line *line)
{
    char *comment = strchr(text, '#');
    if (comment != NULL)
        *comment = '\0';
    line->count = 0;
    line->at = 0;
    char *rest = NULL;
    for (char *word = strtok_r(text, " \t\r\n,", &rest); word != NULL;
         word = strtok_r(NULL, " \t\r\n,", &rest)) {
        if (line->count == TIMELINE_WORDS)
            timeline_fail(t, "too many words");
        line->words[line->count++] = word;
    }
}

const char *timeline_next(struct timeline_line *line)
{
    return line->at < line->count ? line->words[line->at++] : NULL;
}

const char *timeline_need(const struct timeline *t, struct timeline_line *line)
{
    const char *word = timeline_next(line);
    if (word == NULL)
        timeline_fail(t, "something is missing at the end of the line");
    return word;
}

bool timeline_accept(struct timeline_line *line, const char *word)
{
    if (line->at == line->count || strcmp(line->words[line->at], word) != 0)
        return false;
    line->at++;
    return true;
}

uint32_t timeline_number_of(const struct timeline *t, const char *word, char **end)
{
    long long value = strtoll(word, end, 0);
    if (*end == word || value < -(1ll << 32) || value >= 1ll << 32)
        timeline_fail(t, "'%s' is not a number", word);
    return (uint32_t)value;
}

uint32_t timeline_number(const struct timeline *t, struct timeline_line *line)
{
    char *end;
    const char *word = timeline_need(t, line);
    uint32_t value = timeline_number_of(t, word, &end);
    if (*end != '\0')
        timeline_fail(t, "'%s' is not a number", word);
    return value;
}

uint64_t timeline_duration(const struct timeline *t, struct timeline_line *line)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"us", CLOCK_US}, {"ms", CLOCK_MS}, {"s", CLOCK_S}, {"m", 60 * CLOCK_S}};
    char *end;
    const char *word = timeline_need(t, line);
    uint64_t value = timeline_number_of(t, word, &end);
    for (size_t i = 0; i < array_count(units); i++)
        if (strcmp(end, units[i].name) == 0)
            return value * units[i].ns;
    timeline_fail(t, "'%s' is not a length of time (us, ms, s, m)", word);
}

void timeline_append(char *out, size_t room, const char *format, ...)
{
    va_list arguments;
    size_t used = strlen(out);
    va_start(arguments, format);
    (void)vsnprintf(out + used, room - used, format, arguments);
    va_end(arguments);
}
