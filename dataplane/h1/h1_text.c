#include "dataplane/h1/h1_text.h"

bool h1_same_text(struct bytes a, struct bytes b)
{
    if (a.length != b.length)
        return false;
    for (size_t i = 0; i < a.length; i++)
        if (h1_lower_byte(a.data[i]) != h1_lower_byte(b.data[i]))
            return false;
    return true;
}

bool h1_list_next(struct bytes *list, struct bytes *element)
{
    if (list->length == 0)
        return false;
    const uint8_t *comma = memchr(list->data, ',', list->length);
    size_t length = comma != NULL ? (size_t)(comma - list->data) : list->length;
    struct bytes text = bytes_first(*list, length);
    *list = bytes_after(*list, comma != NULL ? length + 1 : length);
    while (text.length > 0 && h1_is_space(text.data[0]))
        text = bytes_after(text, 1);
    while (text.length > 0 && h1_is_space(text.data[text.length - 1]))
        text.length--;
    *element = text;
    return true;
}

bool h1_number(struct bytes text, uint64_t *out)
{
    uint64_t value = 0;
    if (text.length == 0 || text.length > 18)
        return false;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    *out = value;
    return true;
}

bool h1_is_hop_by_hop(enum field_token token)
{
    static const bool hop_by_hop[FIELD_TOKENS] = {
        [FIELD_CONNECTION] = true,       [FIELD_KEEP_ALIVE] = true,
        [FIELD_PROXY_CONNECTION] = true, [FIELD_TRANSFER_ENCODING] = true,
        [FIELD_UPGRADE] = true,          [FIELD_TE] = true,
    };
    return hop_by_hop[token];
}
