/*
 * h1_story: what h1_parser finds in some bytes, as one line of text that a test can compare, and
 * that has to be the same however the bytes are cut.
 */
#pragma once

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/base/check.h"
#include "dataplane/h1/h1_parser.h"

#define H1_STORY_BLOCK 4096

struct h1_story {
    char text[16384];
    size_t length;
    uint8_t block[H1_STORY_BLOCK];
    struct fields fields;
    bool in_data;
};

__attribute__((format(printf, 2, 3))) static inline void h1_story_add(struct h1_story *story,
                                                                      const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int wrote = vsnprintf(story->text + story->length, sizeof(story->text) - story->length, format,
                          arguments);
    va_end(arguments);
    check(wrote >= 0);
    size_t room = sizeof(story->text) - 1 - story->length;
    story->length += (size_t)wrote < room ? (size_t)wrote : room;
}

static inline void h1_story_section(struct h1_story *story, const char *kind)
{
    struct field field;
    h1_story_add(story, "%s[", kind);
    for (uint32_t at = 0; fields_next(&story->fields, &at, &field);)
        h1_story_add(story, "%.*s=%.*s;", (int)field.name.length, (const char *)field.name.data,
                     (int)field.value.length, (const char *)field.value.data);
    h1_story_add(story, "]");
}

/* Pieces of a body are one, wherever they were cut. NUL is said as '?'. */
static inline void h1_story_data(struct h1_story *story, struct bytes data)
{
    if (!story->in_data)
        h1_story_add(story, " data:");
    for (size_t i = 0; i < data.length; i++)
        h1_story_add(story, "%c", data.data[i] == 0 ? '?' : data.data[i]);
    story->in_data = true;
}

/* False: the answer is over. */
static inline bool h1_story_step(struct h1_story *story, struct h1_parser *parser,
                                 const struct h1_step *step)
{
    if (step->found != H1_FOUND_DATA && step->found != H1_FOUND_NOTHING)
        story->in_data = false;
    switch (step->found) {
    case H1_FOUND_NOTHING:
        return true;
    case H1_FOUND_NO_BLOCK:
        fields_init(&story->fields, story->block, sizeof(story->block));
        parser->fields = &story->fields;
        return true;
    case H1_FOUND_INTERIM:
        h1_story_section(story, "interim");
        parser->fields = NULL;
        return true;
    case H1_FOUND_HEAD:
        h1_story_section(story, "head");
        parser->fields = NULL;
        break;
    case H1_FOUND_DATA:
        h1_story_data(story, step->data);
        break;
    case H1_FOUND_TRAILERS:
        h1_story_section(story, " trailers");
        break;
    case H1_FOUND_END:
        break;
    case H1_FOUND_BAD:
        h1_story_add(story, " bad:%s", h1_violation_name(parser->violation));
        return false;
    }
    if (parser->place != H1_OVER)
        return true;
    h1_story_add(story, " end%s", parser->last ? " last" : "");
    return false;
}

/*
 * The story of INPUT in reads of at most PIECE bytes, each told with credit for at most MAX.
 * Returns how much was taken. What is missing at the end of the connection is said, too.
 */
static inline size_t h1_story_tell(struct h1_story *story, struct bytes input, size_t piece,
                                   uint32_t max, bool to_head)
{
    struct h1_parser parser;
    size_t at = 0;
    bool goes_on = true;
    story->length = 0;
    story->text[0] = '\0';
    story->in_data = false;
    h1_parser_init(&parser, to_head);
    while (goes_on && at < input.length) {
        struct bytes view = bytes_first(bytes_after(input, at), piece);
        struct h1_step step = h1_parse(&parser, view, max);
        check(step.taken <= view.length);
        check(step.taken > 0 || step.found == H1_FOUND_NO_BLOCK || step.found == H1_FOUND_BAD);
        at += step.taken;
        goes_on = h1_story_step(story, &parser, &step);
    }
    if (!goes_on)
        return at;
    bool well = h1_parser_ends(&parser);
    h1_story_add(story, " eof:%s", well ? "end" : h1_violation_name(parser.violation));
    return at;
}
