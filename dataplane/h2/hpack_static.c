#include "dataplane/h2/hpack_static.h"

#define ENTRY(name, text)                                                                          \
    {                                                                                              \
        .token = FIELD_##name, .value = {(const uint8_t *)(text), sizeof(text) - 1 }               \
    }

const struct hpack_static_entry hpack_static_table[HPACK_STATIC_ENTRIES + 1] = {
    [1] = ENTRY(AUTHORITY, ""),
    [2] = ENTRY(METHOD, "GET"),
    [3] = ENTRY(METHOD, "POST"),
    [4] = ENTRY(PATH, "/"),
    [5] = ENTRY(PATH, "/index.html"),
    [6] = ENTRY(SCHEME, "http"),
    [7] = ENTRY(SCHEME, "https"),
    [8] = ENTRY(STATUS, "200"),
    [9] = ENTRY(STATUS, "204"),
    [10] = ENTRY(STATUS, "206"),
    [11] = ENTRY(STATUS, "304"),
    [12] = ENTRY(STATUS, "400"),
    [13] = ENTRY(STATUS, "404"),
    [14] = ENTRY(STATUS, "500"),
    [15] = ENTRY(ACCEPT_CHARSET, ""),
    [16] = ENTRY(ACCEPT_ENCODING, "gzip, deflate"),
    [17] = ENTRY(ACCEPT_LANGUAGE, ""),
    [18] = ENTRY(ACCEPT_RANGES, ""),
    [19] = ENTRY(ACCEPT, ""),
    [20] = ENTRY(ACCESS_CONTROL_ALLOW_ORIGIN, ""),
    [21] = ENTRY(AGE, ""),
    [22] = ENTRY(ALLOW, ""),
    [23] = ENTRY(AUTHORIZATION, ""),
    [24] = ENTRY(CACHE_CONTROL, ""),
    [25] = ENTRY(CONTENT_DISPOSITION, ""),
    [26] = ENTRY(CONTENT_ENCODING, ""),
    [27] = ENTRY(CONTENT_LANGUAGE, ""),
    [28] = ENTRY(CONTENT_LENGTH, ""),
    [29] = ENTRY(CONTENT_LOCATION, ""),
    [30] = ENTRY(CONTENT_RANGE, ""),
    [31] = ENTRY(CONTENT_TYPE, ""),
    [32] = ENTRY(COOKIE, ""),
    [33] = ENTRY(DATE, ""),
    [34] = ENTRY(ETAG, ""),
    [35] = ENTRY(EXPECT, ""),
    [36] = ENTRY(EXPIRES, ""),
    [37] = ENTRY(FROM, ""),
    [38] = ENTRY(HOST, ""),
    [39] = ENTRY(IF_MATCH, ""),
    [40] = ENTRY(IF_MODIFIED_SINCE, ""),
    [41] = ENTRY(IF_NONE_MATCH, ""),
    [42] = ENTRY(IF_RANGE, ""),
    [43] = ENTRY(IF_UNMODIFIED_SINCE, ""),
    [44] = ENTRY(LAST_MODIFIED, ""),
    [45] = ENTRY(LINK, ""),
    [46] = ENTRY(LOCATION, ""),
    [47] = ENTRY(MAX_FORWARDS, ""),
    [48] = ENTRY(PROXY_AUTHENTICATE, ""),
    [49] = ENTRY(PROXY_AUTHORIZATION, ""),
    [50] = ENTRY(RANGE, ""),
    [51] = ENTRY(REFERER, ""),
    [52] = ENTRY(REFRESH, ""),
    [53] = ENTRY(RETRY_AFTER, ""),
    [54] = ENTRY(SERVER, ""),
    [55] = ENTRY(SET_COOKIE, ""),
    [56] = ENTRY(STRICT_TRANSPORT_SECURITY, ""),
    [57] = ENTRY(TRANSFER_ENCODING, ""),
    [58] = ENTRY(USER_AGENT, ""),
    [59] = ENTRY(VARY, ""),
    [60] = ENTRY(VIA, ""),
    [61] = ENTRY(WWW_AUTHENTICATE, ""),
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

uint32_t hpack_static_find(enum field_token token, struct bytes value)
{
    uint32_t index = first_index[token];
    if (index == 0)
        return 0;
    for (; index <= HPACK_STATIC_ENTRIES && hpack_static_table[index].token == token; index++) {
        if (bytes_equal(hpack_static_table[index].value, value))
            return index;
    }
    return 0;
}
