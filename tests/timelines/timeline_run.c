/* timeline_run: the lines of a script, one after the other. */
#include "dataplane/base/clock.h"
#include "tests/support/cmocka.h"
#include "tests/timelines/timeline.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void timeline_fail(const struct timeline *t, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    print_error("%s:%d (%s, %.3f ms): %s\n", t->file, t->line, t->protocol->variants[t->variant],
                (double)t->protocol->now(t) / (double)CLOCK_MS, message);
    fail();
    abort();
}

void timeline_open(struct timeline *t)
{
    if (t->is_open)
        return;
    t->is_open = true;
    t->protocol->open(t);
}

const struct timeline_setting *timeline_set(struct timeline *t, struct timeline_line *line,
                                            const struct timeline_setting *rows, size_t count)
{
    const char *name = timeline_need(t, line);
    if (t->is_open)
        timeline_fail(t, "the stack runs already");
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].name, name) != 0)
            continue;
        if (rows[i].number != NULL)
            *rows[i].number = timeline_number(t, line);
        else
            *rows[i].duration = timeline_duration(t, line);
        return &rows[i];
    }
    timeline_fail(t, "there is no setting '%s'", name);
}

/* counter NAME N */
static void do_counter(struct timeline *t, struct timeline_line *line)
{
    const char *name = timeline_need(t, line);
    uint32_t wanted = timeline_number(t, line);
    const struct timeline_counter *counter = t->protocol->counter_names;
    while (counter->name != NULL && strcmp(counter->name, name) != 0)
        counter++;
    if (counter->name == NULL)
        timeline_fail(t, "there is no counter '%s'", name);
    uint64_t value;
    memcpy(&value, (const char *)t->protocol->counters(t) + counter->offset, sizeof(value));
    if (value != wanted)
        timeline_fail(t, "%s is %u", name, (uint32_t)value);
}

static const struct timeline_statement of_all[] = {{"counter", do_counter, false},
                                                   {NULL, NULL, false}};

static const struct timeline_statement *find_in(const struct timeline_statement *row,
                                                const char *name)
{
    for (; row->name != NULL; row++)
        if (strcmp(row->name, name) == 0)
            return row;
    return NULL;
}

static const struct timeline_statement *find_statement(const struct timeline *t, const char *name)
{
    const struct timeline_statement *found = find_in(of_all, name);
    for (size_t i = 0; found == NULL && t->protocol->statements[i] != NULL; i++)
        found = find_in(t->protocol->statements[i], name);
    if (found == NULL)
        timeline_fail(t, "there is no statement '%s'", name);
    return found;
}

static void run_words(struct timeline *t, struct timeline_line *line)
{
    const struct timeline_statement *statement = find_statement(t, timeline_next(line));
    if (!statement->in_head)
        timeline_open(t);
    statement->run(t, line);
    if (line->at != line->count)
        timeline_fail(t, "'%s' is too much", line->words[line->at]);
}

/* repeat N ...: the same line so many times. */
static void run_line(struct timeline *t, struct timeline_line *line)
{
    uint32_t times = timeline_accept(line, "repeat") ? timeline_number(t, line) : 1;
    if (line->at == line->count)
        timeline_fail(t, "repeat what?");
    for (; times > 0; times--) {
        struct timeline_line copy = *line;
        run_words(t, &copy);
    }
}

/* ---- ways ---- */

static const struct timeline_way *way_to(const struct timeline *t, const char *name)
{
    for (const struct timeline_way *way = t->protocol->ways; way->name != NULL; way++)
        if (strcmp(way->name, name) == 0)
            return way;
    timeline_fail(t, "'%s' cannot be reached", name);
}

/* One line of TEXT into LINE; where the next one begins. */
static const char *line_of(const char *text, char line[TIMELINE_LINE_BYTES])
{
    size_t length = strcspn(text, "\n");
    size_t kept = length < TIMELINE_LINE_BYTES ? length : TIMELINE_LINE_BYTES - 1;
    memcpy(line, text, kept);
    line[kept] = '\0';
    return text + length + (text[length] == '\n');
}

/* One line of a way, OPTIONS put in. */
static void run_template(struct timeline *t, char *template, const char *options)
{
    char text[2 * TIMELINE_LINE_BYTES];
    struct timeline_line line;
    char *place = strstr(template, "%s");
    if (place != NULL)
        *place = '\0';
    (void)snprintf(text, sizeof(text), "%s%s", template, place != NULL ? options : "");
    timeline_words(t, text, &line);
    run_line(t, &line);
}

/* reach NAME [options] */
static void reach(struct timeline *t, struct timeline_line *line)
{
    char options[TIMELINE_LINE_BYTES] = "";
    const struct timeline_way *way = way_to(t, timeline_need(t, line));
    const char *word;
    while ((word = timeline_next(line)) != NULL)
        timeline_append(options, sizeof(options), "%s ", word);
    for (const char *at = way->text; *at != '\0';) {
        char template[TIMELINE_LINE_BYTES];
        at = line_of(at, template);
        run_template(t, template, options);
    }
    timeline_open(t);
    const char *state = t->protocol->state(t);
    if (strcmp(state, way->state) != 0)
        timeline_fail(t, "%s is not reached, but %s", way->name, state);
}

void timeline_run(const struct timeline_protocol *protocol, const char *file, const char *text,
                  uint32_t variant)
{
    struct timeline *t = protocol->begin();
    *t = (struct timeline){.protocol = protocol, .file = file, .variant = variant};
    while (*text != '\0') {
        char buffer[TIMELINE_LINE_BYTES];
        struct timeline_line line;
        text = line_of(text, buffer);
        t->line++;
        timeline_words(t, buffer, &line);
        if (line.count == 0)
            continue;
        if (timeline_accept(&line, "reach"))
            reach(t, &line);
        else
            run_line(t, &line);
    }
    timeline_open(t);
    protocol->end(t);
}
