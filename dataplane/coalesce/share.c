/*
 * share: rule C6, whether an answer may go to anybody but the one whose request it answers. Looked
 * at when the final response head arrives, while the key is in the table. What is not known to be
 * safe is not shared.
 */
#include "dataplane/coalesce/flight.h"
#include "dataplane/coalesce/key.h"

#define VARY_NAME_MAX 128

/* Whether all who share the key have the same value of the header, in any case. */
static bool is_covered(struct bytes key, struct bytes name)
{
    uint8_t lower[VARY_NAME_MAX];
    struct bytes low = bytes_lower(name, lower, sizeof(lower));
    return low.length == name.length && key_covers(key, low);
}

/* `*` is nobody's name: no key can cover it. */
static enum share_verdict vary_verdict(struct bytes key, struct bytes vary)
{
    enum share_verdict verdict = SHARE_OK;
    struct bytes name;
    while (list_value_next(&vary, &name)) {
        if (bytes_equal_text(name, "*"))
            return SHARE_NOT;
        if (name.length > 0 && !is_covered(key, name))
            verdict = SHARE_VARY;
    }
    return verdict;
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

static enum share_verdict field_verdict(const struct flight *flight, struct bytes key,
                                        const struct field *field)
{
    if (field->token == FIELD_VARY)
        return vary_verdict(key, field->value);
    if (field->token == FIELD_CACHE_CONTROL && !cache_control_allows(flight, key, field->value))
        return SHARE_NOT;
    if (field->token == FIELD_SET_COOKIE && !flight->ignore_set_cookie)
        return SHARE_NOT;
    return SHARE_OK;
}

enum share_verdict flight_may_share(const struct flight *flight, const struct fields *head)
{
    struct bytes key = flight_key(flight);
    enum share_verdict worst = key.length > 0 ? SHARE_OK : SHARE_NOT;
    bool for_all = false;
    struct field field;
    for (uint32_t at = 0; worst != SHARE_NOT && fields_next(head, &at, &field);) {
        enum share_verdict verdict = field_verdict(flight, key, &field);
        worst = verdict > worst ? verdict : worst;
        for_all |= field.token == FIELD_CACHE_CONTROL && is_for_all(field.value);
    }
    if (worst == SHARE_NOT || (flight->has_authorization && !key_has_principal(key) && !for_all))
        return SHARE_NOT;
    if (flight->attempt.until_close) /* C11: nobody but its connection says whether it is whole */
        return SHARE_NOT;
    bool fits = !flight->length_declared || flight->is_head ||
                flight->declared_bytes <= flight->flight_bytes;
    return fits ? worst : SHARE_NOT;
}
