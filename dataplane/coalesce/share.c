/*
 * share: rule C6, whether an answer may go to anybody but the one whose request it answers. Looked
 * at when the final response head arrives, while the key is in the table. What is not known to be
 * safe is not shared.
 */
#include "dataplane/coalesce/flight.h"
#include "dataplane/coalesce/key.h"

#define VARY_NAME_MAX 128

/* Whether all who share the key have the same value of the header. `*` is nobody's name. */
static bool key_covers_any_case(struct bytes key, struct bytes name)
{
    uint8_t lower[VARY_NAME_MAX];
    if (name.length > sizeof(lower))
        return false;
    for (size_t i = 0; i < name.length; i++) {
        uint8_t c = name.data[i];
        lower[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
    }
    return key_covers(key, bytes_of(lower, name.length));
}

static bool vary_allows(struct bytes key, struct bytes vary)
{
    struct bytes name;
    while (list_value_next(&vary, &name))
        if (name.length > 0 && !key_covers_any_case(key, name))
            return false;
    return true;
}

static bool cache_control_allows(const struct flight *flight, struct bytes key,
                                 struct bytes directives)
{
    if (!flight->ignore_no_store && directive_is_set(directives, "no-store"))
        return false;
    return key_has_principal(key) || !directive_is_set(directives, "private");
}

/* RFC 9111 3.5: what makes the answer to a request with credentials a common one. */
static bool is_for_all(struct bytes directives)
{
    return directive_is_set(directives, "public") || directive_is_set(directives, "s-maxage") ||
           directive_is_set(directives, "must-revalidate");
}

static bool field_allows(const struct flight *flight, struct bytes key, const struct field *field)
{
    if (field->token == FIELD_VARY)
        return vary_allows(key, field->value);
    if (field->token == FIELD_CACHE_CONTROL)
        return cache_control_allows(flight, key, field->value);
    if (field->token == FIELD_SET_COOKIE)
        return flight->ignore_set_cookie;
    return true;
}

bool flight_may_share(const struct flight *flight, const struct fields *head)
{
    if (flight->entry == NULL)
        return false;
    struct bytes key = bytes_of(flight->entry->key, flight->entry->key_length);
    bool for_all = false;
    struct field field;
    for (uint32_t at = 0; fields_next(head, &at, &field);) {
        if (!field_allows(flight, key, &field))
            return false;
        for_all |= field.token == FIELD_CACHE_CONTROL && is_for_all(field.value);
    }
    if (flight->has_authorization && !key_has_principal(key) && !for_all)
        return false;
    return !flight->length_declared || flight->is_head ||
           flight->declared_bytes <= flight->flight_bytes;
}
