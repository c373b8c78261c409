#include "dataplane/coalesce/json_match.h"

#include "dataplane/base/check.h"

/* --- numbers --- */

/* 0.d1d2d3... * 10^exponent without zeros at either end of the digits; none: zero. */
struct decimal {
    bool negative;
    uint32_t count;
    int32_t exponent;
    uint8_t digits[JSON_TOKEN_BYTES];
};

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static uint8_t peek(struct bytes text)
{
    return text.length > 0 ? text.data[0] : 0;
}

static uint8_t next_of(struct bytes *text)
{
    uint8_t c = peek(*text);
    *text = bytes_after(*text, 1);
    return c;
}

static void add_digit(struct decimal *number, uint8_t digit, bool fraction)
{
    bool leading = number->count == 0 && digit == '0';
    if (!leading)
        number->digits[number->count++] = digit;
    if (!fraction && !leading)
        number->exponent++;
    if (fraction && leading)
        number->exponent--;
}

/* RFC 8259 6. At least one digit; false: there is none. */
static bool read_digits(struct bytes *text, struct decimal *number, bool fraction)
{
    if (!is_digit(peek(*text)))
        return false;
    while (is_digit(peek(*text)))
        add_digit(number, next_of(text), fraction);
    return true;
}

/* A number of at most four digits: more is not worth comparing. */
static bool read_exponent(struct bytes *text, int32_t *out)
{
    int32_t value = 0;
    int digits = 0;
    bool negative = peek(*text) == '-';
    if (peek(*text) == '-' || peek(*text) == '+')
        next_of(text);
    for (; is_digit(peek(*text)); digits++)
        if (digits < 5)
            value = value * 10 + (next_of(text) - '0');
        else
            return false;
    *out = negative ? -value : value;
    return digits > 0;
}

static void trim(struct decimal *number)
{
    while (number->count > 0 && number->digits[number->count - 1] == '0')
        number->count--;
    if (number->count > 0)
        return;
    number->exponent = 0;
    number->negative = false;
}

static bool read_number(struct bytes text, struct decimal *out)
{
    int32_t exponent = 0;
    *out = (struct decimal){.negative = peek(text) == '-'};
    if (text.length > JSON_TOKEN_BYTES)
        return false;
    if (out->negative)
        next_of(&text);
    bool zero_first = peek(text) == '0' && text.length > 1 && is_digit(text.data[1]);
    if (zero_first || !read_digits(&text, out, false))
        return false;
    if (peek(text) == '.') {
        next_of(&text);
        if (!read_digits(&text, out, true))
            return false;
    }
    if (peek(text) == 'e' || peek(text) == 'E') {
        next_of(&text);
        if (!read_exponent(&text, &exponent))
            return false;
    }
    out->exponent += exponent;
    trim(out);
    return text.length == 0;
}

bool json_numbers_equal(struct bytes a, struct bytes b)
{
    struct decimal left;
    struct decimal right;
    return read_number(a, &left) && read_number(b, &right) && left.negative == right.negative &&
           left.exponent == right.exponent &&
           bytes_equal(bytes_of(left.digits, left.count), bytes_of(right.digits, right.count));
}

/* --- the document --- */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void begin_token(struct json_match *match, enum json_place place)
{
    match->place = place;
    match->length = 0;
    match->unlike = false;
    match->escape_next = false;
}

static void extend_token(struct json_match *match, uint8_t c)
{
    if (match->length == sizeof(match->token))
        match->unlike = true;
    else
        match->token[match->length++] = c;
}

static struct bytes token_of(const struct json_match *match)
{
    return bytes_of(match->token, match->length);
}

static void refuse(struct json_match *match)
{
    match->place = JSON_NO;
}

/* A name is over. One with escapes may be any name. */
static void name_ended(struct json_match *match)
{
    match->member = -1;
    match->place = JSON_COLON;
    for (uint32_t i = 0; i < match->count && !match->unlike; i++)
        if (bytes_equal(match->wanted[i].name, token_of(match)))
            match->member = (int32_t)i;
}

/* Twice the same member means whatever the reader makes of it. */
static bool is_first(struct json_match *match)
{
    uint32_t bit = 1u << match->member;
    bool first = (match->found & bit) == 0;
    match->found |= bit;
    return first;
}

static void text_ended(struct json_match *match)
{
    match->place = JSON_AFTER;
    if (match->member < 0)
        return;
    struct bytes wanted = match->wanted[match->member].value;
    bool like = !match->unlike && wanted.length == match->length + 2 && wanted.data[0] == '"' &&
                memcmp(wanted.data + 1, match->token, match->length) == 0;
    if (!like || !is_first(match))
        refuse(match);
}

static void scalar_ended(struct json_match *match)
{
    match->place = JSON_AFTER;
    if (match->member < 0)
        return;
    struct bytes wanted = match->wanted[match->member].value;
    bool like = !match->unlike && (bytes_equal(wanted, token_of(match)) ||
                                   json_numbers_equal(wanted, token_of(match)));
    if (!like || !is_first(match))
        refuse(match);
}

static void value_begins(struct json_match *match, uint8_t c)
{
    if (c == '{' || c == '[') {
        match->place = JSON_NESTED;
        match->depth = 1;
        if (match->member >= 0)
            refuse(match);
        return;
    }
    begin_token(match, c == '"' ? JSON_TEXT : JSON_SCALAR);
    if (c == ',' || c == '}' || c == ']' || c == ':')
        refuse(match);
    else if (c != '"')
        extend_token(match, c);
}

static void after_value(struct json_match *match, uint8_t c)
{
    if (c == ',')
        match->place = JSON_NEXT_NAME;
    else if (c == '}')
        match->place = JSON_END;
    else if (!is_blank(c))
        refuse(match);
}

static void in_scalar(struct json_match *match, uint8_t c)
{
    if (c != ',' && c != '}' && !is_blank(c)) {
        extend_token(match, c);
        return;
    }
    scalar_ended(match);
    if (match->place == JSON_AFTER)
        after_value(match, c);
}

/* RFC 8259 7. Returns whether the text is over. */
static bool in_text(struct json_match *match, uint8_t c)
{
    bool escaped = match->escape_next;
    match->escape_next = false;
    if (c < 0x20) {
        refuse(match);
        return false;
    }
    if (!escaped && c == '"')
        return true;
    match->escape_next = !escaped && c == '\\';
    match->unlike |= match->escape_next;
    extend_token(match, c);
    return false;
}

static void in_name(struct json_match *match, uint8_t c)
{
    if (in_text(match, c))
        name_ended(match);
    else if (match->escape_next)
        refuse(match);
}

static void in_nested(struct json_match *match, uint8_t c)
{
    if (c == '"')
        match->place = JSON_NESTED_TEXT;
    else if (c == '{' || c == '[')
        match->depth++;
    else if ((c == '}' || c == ']') && --match->depth == 0)
        match->place = JSON_AFTER;
}

static void in_nested_text(struct json_match *match, uint8_t c)
{
    if (c == '\\')
        match->place = JSON_NESTED_ESCAPE;
    else if (c == '"')
        match->place = JSON_NESTED;
}

/* White space, or one of two characters that lead on. */
static void expect(struct json_match *match, uint8_t c, uint8_t wanted, enum json_place then)
{
    if (c == wanted)
        begin_token(match, then);
    else if (!is_blank(c))
        refuse(match);
}

static void step(struct json_match *match, uint8_t c)
{
    switch (match->place) {
    case JSON_START:
        expect(match, c, '{', JSON_FIRST_NAME);
        return;
    case JSON_FIRST_NAME:
        if (c == '}')
            match->place = JSON_END;
        else
            expect(match, c, '"', JSON_NAME);
        return;
    case JSON_NEXT_NAME:
        expect(match, c, '"', JSON_NAME);
        return;
    case JSON_NAME:
        in_name(match, c);
        return;
    case JSON_COLON:
        expect(match, c, ':', JSON_VALUE);
        return;
    case JSON_VALUE:
        if (!is_blank(c))
            value_begins(match, c);
        return;
    case JSON_SCALAR:
        in_scalar(match, c);
        return;
    case JSON_TEXT:
        if (in_text(match, c))
            text_ended(match);
        return;
    case JSON_NESTED:
        in_nested(match, c);
        return;
    case JSON_NESTED_TEXT:
        in_nested_text(match, c);
        return;
    case JSON_NESTED_ESCAPE:
        match->place = JSON_NESTED_TEXT;
        return;
    case JSON_AFTER:
        after_value(match, c);
        return;
    case JSON_END:
        if (!is_blank(c))
            refuse(match);
        return;
    case JSON_NO:
        return;
    }
}

void json_match_init(struct json_match *match, const struct snapshot_literal *wanted,
                     uint32_t count)
{
    check(count <= 32);
    *match = (struct json_match){.wanted = wanted, .count = count, .member = -1};
}

void json_match_feed(struct json_match *match, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.length && match->place != JSON_NO; i++)
        step(match, bytes.data[i]);
}

bool json_match_holds(const struct json_match *match)
{
    uint32_t all = match->count == 32 ? UINT32_MAX : (1u << match->count) - 1;
    return match->place == JSON_END && match->found == all;
}
