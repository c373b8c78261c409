#include "dataplane/h2/hpack_static.h"

/* An empty value may be good or not, depending on the name. */
#define ENTRY(index, name, text)                                                                   \
    [index] = {                                                                                    \
        .head = {.token = FIELD_##name,                                                            \
                 .static_index = (index),                                                          \
                 .form = sizeof(text) > 1 ? FORM_GOOD : FORM_UNKNOWN,                              \
                 .value_bytes = sizeof(text) - 1},                                                 \
        .value = text,                                                                             \
    }

const struct hpack_static_entry hpack_static_table[HPACK_STATIC_ENTRIES + 1] = {
    ENTRY(1, AUTHORITY, ""),
    ENTRY(2, METHOD, "GET"),
    ENTRY(3, METHOD, "POST"),
    ENTRY(4, PATH, "/"),
    ENTRY(5, PATH, "/index.html"),
    ENTRY(6, SCHEME, "http"),
    ENTRY(7, SCHEME, "https"),
    ENTRY(8, STATUS, "200"),
    ENTRY(9, STATUS, "204"),
    ENTRY(10, STATUS, "206"),
    ENTRY(11, STATUS, "304"),
    ENTRY(12, STATUS, "400"),
    ENTRY(13, STATUS, "404"),
    ENTRY(14, STATUS, "500"),
    ENTRY(15, ACCEPT_CHARSET, ""),
    ENTRY(16, ACCEPT_ENCODING, "gzip, deflate"),
    ENTRY(17, ACCEPT_LANGUAGE, ""),
    ENTRY(18, ACCEPT_RANGES, ""),
    ENTRY(19, ACCEPT, ""),
    ENTRY(20, ACCESS_CONTROL_ALLOW_ORIGIN, ""),
    ENTRY(21, AGE, ""),
    ENTRY(22, ALLOW, ""),
    ENTRY(23, AUTHORIZATION, ""),
    ENTRY(24, CACHE_CONTROL, ""),
    ENTRY(25, CONTENT_DISPOSITION, ""),
    ENTRY(26, CONTENT_ENCODING, ""),
    ENTRY(27, CONTENT_LANGUAGE, ""),
    ENTRY(28, CONTENT_LENGTH, ""),
    ENTRY(29, CONTENT_LOCATION, ""),
    ENTRY(30, CONTENT_RANGE, ""),
    ENTRY(31, CONTENT_TYPE, ""),
    ENTRY(32, COOKIE, ""),
    ENTRY(33, DATE, ""),
    ENTRY(34, ETAG, ""),
    ENTRY(35, EXPECT, ""),
    ENTRY(36, EXPIRES, ""),
    ENTRY(37, FROM, ""),
    ENTRY(38, HOST, ""),
    ENTRY(39, IF_MATCH, ""),
    ENTRY(40, IF_MODIFIED_SINCE, ""),
    ENTRY(41, IF_NONE_MATCH, ""),
    ENTRY(42, IF_RANGE, ""),
    ENTRY(43, IF_UNMODIFIED_SINCE, ""),
    ENTRY(44, LAST_MODIFIED, ""),
    ENTRY(45, LINK, ""),
    ENTRY(46, LOCATION, ""),
    ENTRY(47, MAX_FORWARDS, ""),
    ENTRY(48, PROXY_AUTHENTICATE, ""),
    ENTRY(49, PROXY_AUTHORIZATION, ""),
    ENTRY(50, RANGE, ""),
    ENTRY(51, REFERER, ""),
    ENTRY(52, REFRESH, ""),
    ENTRY(53, RETRY_AFTER, ""),
    ENTRY(54, SERVER, ""),
    ENTRY(55, SET_COOKIE, ""),
    ENTRY(56, STRICT_TRANSPORT_SECURITY, ""),
    ENTRY(57, TRANSFER_ENCODING, ""),
    ENTRY(58, USER_AGENT, ""),
    ENTRY(59, VARY, ""),
    ENTRY(60, VIA, ""),
    ENTRY(61, WWW_AUTHENTICATE, ""),
};

#undef ENTRY

static const uint8_t first_index[FIELD_TOKENS] = {
    [FIELD_AUTHORITY] = 1,
    [FIELD_METHOD] = 2,
    [FIELD_PATH] = 4,
    [FIELD_SCHEME] = 6,
    [FIELD_STATUS] = 8,
    [FIELD_ACCEPT_CHARSET] = 15,
    [FIELD_ACCEPT_ENCODING] = 16,
    [FIELD_ACCEPT_LANGUAGE] = 17,
    [FIELD_ACCEPT_RANGES] = 18,
    [FIELD_ACCEPT] = 19,
    [FIELD_ACCESS_CONTROL_ALLOW_ORIGIN] = 20,
    [FIELD_AGE] = 21,
    [FIELD_ALLOW] = 22,
    [FIELD_AUTHORIZATION] = 23,
    [FIELD_CACHE_CONTROL] = 24,
    [FIELD_CONTENT_DISPOSITION] = 25,
    [FIELD_CONTENT_ENCODING] = 26,
    [FIELD_CONTENT_LANGUAGE] = 27,
    [FIELD_CONTENT_LENGTH] = 28,
    [FIELD_CONTENT_LOCATION] = 29,
    [FIELD_CONTENT_RANGE] = 30,
    [FIELD_CONTENT_TYPE] = 31,
    [FIELD_COOKIE] = 32,
    [FIELD_DATE] = 33,
    [FIELD_ETAG] = 34,
    [FIELD_EXPECT] = 35,
    [FIELD_EXPIRES] = 36,
    [FIELD_FROM] = 37,
    [FIELD_HOST] = 38,
    [FIELD_IF_MATCH] = 39,
    [FIELD_IF_MODIFIED_SINCE] = 40,
    [FIELD_IF_NONE_MATCH] = 41,
    [FIELD_IF_RANGE] = 42,
    [FIELD_IF_UNMODIFIED_SINCE] = 43,
    [FIELD_LAST_MODIFIED] = 44,
    [FIELD_LINK] = 45,
    [FIELD_LOCATION] = 46,
    [FIELD_MAX_FORWARDS] = 47,
    [FIELD_PROXY_AUTHENTICATE] = 48,
    [FIELD_PROXY_AUTHORIZATION] = 49,
    [FIELD_RANGE] = 50,
    [FIELD_REFERER] = 51,
    [FIELD_REFRESH] = 52,
    [FIELD_RETRY_AFTER] = 53,
    [FIELD_SERVER] = 54,
    [FIELD_SET_COOKIE] = 55,
    [FIELD_STRICT_TRANSPORT_SECURITY] = 56,
    [FIELD_TRANSFER_ENCODING] = 57,
    [FIELD_USER_AGENT] = 58,
    [FIELD_VARY] = 59,
    [FIELD_VIA] = 60,
    [FIELD_WWW_AUTHENTICATE] = 61,
};

uint32_t hpack_static_name(enum field_token token)
{
    return first_index[token];
}

/* Names that have entries with a value. All others have an empty one. */
static const bool has_values[FIELD_TOKENS] = {
    [FIELD_METHOD] = true,          [FIELD_PATH] = true,
    [FIELD_SCHEME] = true,          [FIELD_STATUS] = true,
    [FIELD_ACCEPT_ENCODING] = true,
};

uint32_t hpack_static_find(enum field_token token, struct bytes value)
{
    uint32_t index = first_index[token];
    if (!has_values[token] && value.length > 0)
        return 0;
    for (; index > 0 && hpack_static_table[index].head.token == token; index++) {
        const struct hpack_static_entry *entry = &hpack_static_table[index];
        if (bytes_equal(bytes_of(entry->value, entry->head.value_bytes), value))
            return index;
        if (index == HPACK_STATIC_ENTRIES)
            break;
    }
    return 0;
}
