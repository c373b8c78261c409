#include "dataplane/h2/field_form.h"

#include "dataplane/base/copy.h"

/* Sets of characters a byte may belong to. */
enum char_set {
    CHAR_NAME = 1 << 0,   /* RFC 9110 5.6.2 token, lower case */
    CHAR_METHOD = 1 << 1, /* token */
    CHAR_PATH = 1 << 2,   /* RFC 3986 path and query, and what clients send unescaped; no space */
    CHAR_HOST = 1 << 3,   /* RFC 3986 host and port; no userinfo */
    CHAR_SCHEME = 1 << 4, /* RFC 3986 3.1 */
};

#define TOKEN  (CHAR_NAME | CHAR_METHOD)
#define LETTER (CHAR_METHOD | CHAR_PATH | CHAR_HOST | CHAR_SCHEME)
#define BOTH   (CHAR_PATH | CHAR_HOST)

static const uint8_t char_sets[256] = {
    ['a' ... 'z'] = CHAR_NAME | LETTER,
    ['A' ... 'Z'] = LETTER,
    ['0' ... '9'] = CHAR_NAME | LETTER,
    ['!'] = TOKEN | BOTH,
    ['"'] = CHAR_PATH,
    ['#'] = TOKEN,
    ['$'] = TOKEN | BOTH,
    ['%'] = TOKEN | BOTH,
    ['&'] = TOKEN | BOTH,
    ['\''] = TOKEN | BOTH,
    ['('] = BOTH,
    [')'] = BOTH,
    ['*'] = TOKEN | BOTH,
    ['+'] = TOKEN | BOTH | CHAR_SCHEME,
    [','] = BOTH,
    ['-'] = TOKEN | BOTH | CHAR_SCHEME,
    ['.'] = TOKEN | BOTH | CHAR_SCHEME,
    ['/'] = CHAR_PATH,
    [':'] = BOTH,
    [';'] = BOTH,
    ['<'] = CHAR_PATH,
    ['='] = BOTH,
    ['>'] = CHAR_PATH,
    ['?'] = CHAR_PATH,
    ['@'] = CHAR_PATH,
    ['['] = BOTH,
    ['\\'] = CHAR_PATH,
    [']'] = BOTH,
    ['^'] = TOKEN | CHAR_PATH,
    ['_'] = TOKEN | BOTH,
    ['`'] = TOKEN | CHAR_PATH,
    ['{'] = CHAR_PATH,
    ['|'] = TOKEN | CHAR_PATH,
    ['}'] = CHAR_PATH,
    ['~'] = TOKEN | BOTH,
    [0x80 ... 0xff] = CHAR_PATH,
};

static bool all_in(struct bytes text, enum char_set set)
{
    uint8_t all = 0xff;
    for (size_t i = 0; i < text.length; i++)
        all &= char_sets[text.data[i]];
    return (all & set) != 0;
}

#define EVERY_BYTE(byte) (0x0101010101010101ull * (byte))

/* Eight bytes at a time: does one of them lie below 0x20, or is it 0x7f? May err towards yes. */
static inline bool may_have_control(uint64_t eight)
{
    uint64_t below_space = (eight - EVERY_BYTE(0x20)) & ~eight;
    uint64_t flipped = eight ^ EVERY_BYTE(0x7f);
    uint64_t is_del = (flipped - EVERY_BYTE(0x01)) & ~flipped;
    return ((below_space | is_del) & EVERY_BYTE(0x80)) != 0;
}

/* Eight bytes at a time: is one of them no character of a path? May err towards yes. */
static inline bool may_leave_path(uint64_t eight)
{
    uint64_t below_first = (eight - EVERY_BYTE('!')) & ~eight;
    uint64_t flipped_del = eight ^ EVERY_BYTE(0x7f);
    uint64_t is_del = (flipped_del - EVERY_BYTE(0x01)) & ~flipped_del;
    uint64_t flipped_mark = eight ^ EVERY_BYTE('#');
    uint64_t is_mark = (flipped_mark - EVERY_BYTE(0x01)) & ~flipped_mark;
    return ((below_first | is_del | is_mark) & EVERY_BYTE(0x80)) != 0;
}

static inline bool eight_in_path(const uint8_t *eight)
{
    return !may_leave_path(copy_load8(eight)) || all_in(bytes_of(eight, 8), CHAR_PATH);
}

/* CHAR_PATH is what is neither control, nor space, nor '#'. The last eight may be seen twice. */
static bool all_in_path(struct bytes path)
{
    if (path.length < 8)
        return all_in(path, CHAR_PATH);
    for (size_t i = 0; i + 8 < path.length; i += 8)
        if (!eight_in_path(path.data + i))
            return false;
    return eight_in_path(path.data + path.length - 8);
}

static bool has_control(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((bytes[i] < 0x20 && bytes[i] != '\t') || bytes[i] == 0x7f)
            return true;
    return false;
}

/* RFC 9110 5.5, RFC 9113 8.2.1: no control character but a tab inside, no space around. */
static bool value_is_good(struct bytes value)
{
    if (value.length == 0)
        return true;
    uint8_t first = value.data[0];
    uint8_t last = value.data[value.length - 1];
    if (first == ' ' || first == '\t' || last == ' ' || last == '\t')
        return false;
    size_t i = 0;
    for (; i + 8 <= value.length; i += 8) {
        uint64_t eight;
        memcpy(&eight, value.data + i, sizeof(eight));
        if (may_have_control(eight) && has_control(value.data + i, 8))
            return false;
    }
    return !has_control(value.data + i, value.length - i);
}

static bool scheme_is_good(struct bytes scheme)
{
    return scheme.length > 0 && all_in(scheme, CHAR_SCHEME) && (scheme.data[0] | 0x20) >= 'a' &&
           (scheme.data[0] | 0x20) <= 'z';
}

/* An absolute path, or `*`, which only OPTIONS may ask for. */
static bool path_is_good(struct bytes path)
{
    return path.length > 0 && all_in_path(path) &&
           (path.data[0] == '/' || (path.data[0] == '*' && path.length == 1));
}

static bool grammar_is_good(enum field_token token, struct bytes value)
{
    if (token == FIELD_METHOD || token == FIELD_PROTOCOL)
        return value.length > 0 && all_in(value, CHAR_METHOD);
    if (token == FIELD_SCHEME)
        return scheme_is_good(value);
    if (token == FIELD_PATH)
        return path_is_good(value);
    if (token == FIELD_AUTHORITY || token == FIELD_HOST)
        return value.length > 0 && all_in(value, CHAR_HOST);
    return true;
}

enum field_form field_form_of(enum field_token token, struct bytes name, struct bytes value)
{
    if (token == FIELD_PATH && path_is_good(value)) /* then it is a good value, too */
        return FORM_GOOD;
    if (!value_is_good(value))
        return FORM_VALUE_BAD;
    if (token == FIELD_OTHER && (name.length == 0 || !all_in(name, CHAR_NAME)))
        return FORM_NAME_BAD;
    return grammar_is_good(token, value) ? FORM_GOOD : FORM_GRAMMAR_BAD;
}
