#include "tests/support/h2_script.h"

#include "dataplane/base/check.h"

#include <ctype.h>
#include <stdlib.h>

static const struct {
    const char *name;
    uint8_t type;
} types[] = {
#define FRAME(name, type, on, length_min, length_max, length_unit, bad_length, received, idle,     \
              half_closed, closed)                                                                 \
    {#name, type},
#include "dataplane/h2/h2_frame_types.def"
#undef FRAME
};

static const struct {
    const char *name;
    const char *hex;
} sections[] = {
    {"@get", "82 87 84 41 01 61"},           /* GET https://a/ */
    {"@post", "83 87 84 41 01 61 5c 01 35"}, /* POST, content-length: 5 */
    {"@200", "88"},                          /* :status: 200 */
};

static const char *skip_space(const char *text)
{
    while (*text == ' ' || *text == ';' || *text == '\n')
        text++;
    return text;
}

static bool starts(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) == 0;
}

static void write_hex(const char *hex, size_t length, struct writer *out)
{
    for (size_t i = 0; i + 1 < length; i += hex[i] == ' ' ? 1 : 2) {
        if (hex[i] == ' ')
            continue;
        char digits[3] = {hex[i], hex[i + 1], 0};
        check(isxdigit((unsigned char)digits[0]) && isxdigit((unsigned char)digits[1]));
        writer_u8(out, (uint8_t)strtoul(digits, NULL, 16));
    }
}

void h2_script_write_word(const char *word, size_t length, struct writer *out)
{
    if (*word == 'z') {
        for (unsigned long n = strtoul(word + 1, NULL, 10); n > 0; n--)
            writer_u8(out, 0);
        return;
    }
    if (*word == '\'') {
        writer_bytes(out, bytes_of(word + 1, length - 1));
        return;
    }
    for (size_t i = 0; i < array_count(sections); i++) {
        if (length == strlen(sections[i].name) && starts(word, sections[i].name)) {
            write_hex(sections[i].hex, strlen(sections[i].hex), out);
            return;
        }
    }
    write_hex(word, length, out);
}

static const char *write_payload(const char *text, struct writer *out)
{
    while (*text != 0 && *text != ';' && *text != '!') {
        size_t length = strcspn(text, " ;\n!");
        if (length > 0)
            h2_script_write_word(text, length, out);
        text += length;
        text += strspn(text, " \n");
    }
    return text;
}

bool h2_script_type(const char *name, size_t length, uint8_t *type)
{
    for (size_t i = 0; i < array_count(types); i++) {
        if (length == strlen(types[i].name) && starts(name, types[i].name)) {
            *type = types[i].type;
            return true;
        }
    }
    return false;
}

static const char *read_type(const char *text, uint8_t *type)
{
    size_t length = strcspn(text, "/");
    if (!h2_script_type(text, length, type))
        *type = (uint8_t)strtoul(text, NULL, 16);
    return text + length;
}

static const char *write_frame(const char *text, struct writer *out)
{
    struct h2_frame frame = {0};
    char *end;
    text = read_type(text, &frame.type);
    check(*text == '/');
    frame.flags = (uint8_t)strtoul(text + 1, &end, 16);
    check(*end == '/');
    frame.stream_id = (uint32_t)strtoul(end + 1, &end, 16);
    bool told = *end == '/';
    if (told)
        frame.length = (uint32_t)strtoul(end + 1, &end, 16);
    uint8_t *header = writer_take(out, H2_FRAME_HEADER_BYTES);
    check(header != NULL);
    const uint8_t *payload = out->at;
    text = write_payload(end + strspn(end, " "), out);
    if (!told)
        frame.length = (uint32_t)(out->at - payload);
    h2_frame_write(header, frame);
    return text;
}

const char *h2_script_write(const char *text, struct writer *out)
{
    for (text = skip_space(text); *text != 0 && *text != '!'; text = skip_space(text)) {
        if (starts(text, "PREFACE")) {
            writer_bytes(out, bytes_of(H2_PREFACE, H2_PREFACE_BYTES));
            text += strlen("PREFACE");
        } else if (starts(text, "RAW")) {
            text = write_payload(text + 4, out);
        } else {
            text = write_frame(text, out);
        }
    }
    check(!out->failed);
    return text;
}

bool h2_script_read(struct reader *r, struct h2_frame *frame, struct bytes *payload)
{
    struct reader ahead = *r;
    struct bytes header = reader_bytes(&ahead, H2_FRAME_HEADER_BYTES);
    if (ahead.failed)
        return false;
    *frame = h2_frame_read(header.data);
    *payload = reader_bytes(&ahead, frame->length);
    if (ahead.failed)
        return false;
    *r = ahead;
    return true;
}
