#include "dataplane/request/cut.h"

#include "dataplane/h2/content_kind.h"

#define GRPC_PREFIX_BYTES 5
#define EVENT_END_BYTES   4 /* CR LF CR LF */

/* Whether bytes of ours may stand in its body. */
static bool is_open(const struct fields *head)
{
    struct bytes ignored;
    return !fields_find(head, FIELD_CONTENT_LENGTH, &ignored) &&
           !fields_find(head, FIELD_CONTENT_ENCODING, &ignored);
}

void cut_begin(struct cut *cut, const struct fields *head, bool is_head)
{
    static const enum cut_kind kinds[] = {
        [CONTENT_OTHER] = CUT_NEVER,
        [CONTENT_GRPC] = CUT_GRPC,
        [CONTENT_EVENTS] = CUT_EVENTS,
    };
    *cut = (struct cut){.kind = CUT_NEVER};
    if (!is_head && is_open(head))
        cut->kind = kinds[content_kind_of(head)];
}

/* A flag byte, then the length, big endian. Returns what is behind them. */
static struct bytes pass_prefix(struct cut *cut, struct bytes bytes)
{
    while (bytes.length > 0 && cut->prefix_used < GRPC_PREFIX_BYTES) {
        cut->prefix = cut->prefix_used == 0 ? 0 : cut->prefix << 8 | bytes.data[0];
        cut->prefix_used++;
        bytes = bytes_after(bytes, 1);
    }
    if (cut->prefix_used < GRPC_PREFIX_BYTES)
        return bytes;
    cut->message_left = cut->prefix;
    cut->prefix_used = 0;
    return bytes;
}

static void pass_messages(struct cut *cut, struct bytes bytes)
{
    while (bytes.length > 0) {
        if (cut->message_left == 0) {
            bytes = pass_prefix(cut, bytes);
            continue;
        }
        struct bytes part = bytes_first(bytes, cut->message_left);
        cut->message_left -= (uint32_t)part.length;
        bytes = bytes_after(bytes, part.length);
    }
}

static void pass_character(struct cut *cut, uint8_t c)
{
    bool same_end = c == '\n' && cut->after_cr;
    if (c != '\n' && c != '\r')
        cut->line_ends = 0;
    else if (!same_end && cut->line_ends < 2)
        cut->line_ends++;
    cut->after_cr = c == '\r';
}

/* Only the last bytes matter. */
static void pass_events(struct cut *cut, struct bytes bytes)
{
    size_t skipped = bytes.length > EVENT_END_BYTES ? bytes.length - EVENT_END_BYTES : 0;
    cut->begun |= bytes.length > 0;
    if (skipped > 0) {
        cut->line_ends = 0;
        cut->after_cr = bytes.data[skipped - 1] == '\r';
    }
    for (size_t i = skipped; i < bytes.length; i++)
        pass_character(cut, bytes.data[i]);
}

void cut_pass(struct cut *cut, struct bytes bytes)
{
    switch (cut->kind) {
    case CUT_NEVER:
        return;
    case CUT_GRPC:
        pass_messages(cut, bytes);
        return;
    case CUT_EVENTS:
        pass_events(cut, bytes);
        return;
    }
}

bool cut_is_clean(const struct cut *cut)
{
    switch (cut->kind) {
    case CUT_NEVER:
        return false;
    case CUT_GRPC:
        return cut->message_left == 0 && cut->prefix_used == 0;
    case CUT_EVENTS:
        return !cut->begun || cut->line_ends == 2;
    }
    return false;
}
