#include "tests/load/weir_load/message.h"

#include "dataplane/base/check.h"

#include <string.h>

#define NUMBER_BYTES 20
#define ROOM_BYTES   2048

static uint8_t room[ROOM_BYTES];
static struct fields section;

/* Decimal digits; returns how many. */
static size_t write_number(uint64_t value, char out[NUMBER_BYTES])
{
    char digits[NUMBER_BYTES];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    for (size_t i = 0; i < count; i++)
        out[i] = digits[count - 1 - i];
    return count;
}

static void add_number(enum field_token token, uint64_t value)
{
    char digits[NUMBER_BYTES];
    fields_add_token(&section, token, bytes_of(digits, write_number(value, digits)));
}

static size_t add_text(char *out, const char *text)
{
    size_t length = strlen(text);
    memcpy(out, text, length);
    return length;
}

const struct fields *message_request(const struct load_options *options, uint64_t number,
                                     struct bytes *path)
{
    static char text[LOAD_TEXT_BYTES + 3 * NUMBER_BYTES + 16];
    size_t length = add_text(text, options->path);
    length += write_number(number, text + length);
    length += add_text(text + length, "?size=");
    length += write_number(load_body_bytes(options, number), text + length);
    if (options->pace > 0) {
        length += add_text(text + length, "&pace=");
        length += write_number(options->pace, text + length);
    }
    *path = bytes_of(text, length);
    bool post = options->request_bytes > 0;
    fields_init(&section, room, sizeof(room));
    fields_add_token(&section, FIELD_METHOD, bytes_text(post ? "POST" : "GET"));
    fields_add_token(&section, FIELD_SCHEME, bytes_text("http"));
    fields_add_token(&section, FIELD_AUTHORITY, bytes_text(options->authority));
    fields_add_token(&section, FIELD_PATH, *path);
    if (post)
        add_number(FIELD_CONTENT_LENGTH, options->request_bytes);
    check(!section.overflow);
    return &section;
}

const struct fields *message_answer(uint64_t length, bool failed)
{
    fields_init(&section, room, sizeof(room));
    fields_add_token(&section, FIELD_STATUS, bytes_text(failed ? "503" : "200"));
    fields_add_token(&section, FIELD_CONTENT_TYPE, bytes_text("application/octet-stream"));
    add_number(FIELD_CONTENT_LENGTH, length);
    return &section;
}

const struct fields *message_events(void)
{
    fields_init(&section, room, sizeof(room));
    fields_add_token(&section, FIELD_STATUS, bytes_text("200"));
    fields_add_token(&section, FIELD_CONTENT_TYPE, bytes_text("text/event-stream"));
    return &section;
}

uint64_t message_number(struct bytes text)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.length && text.data[i] >= '0' && text.data[i] <= '9'; i++)
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    return value;
}

uint64_t message_parameter(struct bytes path, const char *name)
{
    size_t length = strlen(name);
    const uint8_t *at = path.length > 0 ? memmem(path.data, path.length, name, length) : NULL;
    if (at == NULL)
        return 0;
    return message_number(bytes_after(path, (size_t)(at - path.data) + length));
}
