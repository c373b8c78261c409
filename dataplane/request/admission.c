#include "dataplane/request/admission.h"

#include "dataplane/base/check.h"
#include "dataplane/coalesce/principal.h"
#include "dataplane/region/snapshot.h"

void admission_init(struct admission *admission, uint32_t exchanges_max)
{
    uint32_t refusals = exchanges_max / REFUSALS_SHARE;
    uint32_t most = exchanges_max - refusals;
    *admission = (struct admission){
        .most = most, .limit = most, .principal_limit = most, .refusals_most = refusals};
}

static uint32_t bounded(uint32_t wanted, uint32_t most)
{
    return wanted > 0 && wanted < most ? wanted : most;
}

void admission_set(struct admission *admission, const struct snapshot_admission *limits)
{
    admission->limit = bounded(limits->requests, admission->most);
    admission->principal_limit = bounded(limits->requests_per_principal, admission->limit);
}

enum admission_verdict admission_ask(struct admission *admission, struct principal *principal,
                                     enum priority priority)
{
    uint64_t limit = priority_part(priority, admission->limit);
    if (admission->in_progress >= limit)
        return ADMISSION_FULL;
    uint32_t left = (uint32_t)limit - admission->in_progress;
    if (principal->requests >= admission->principal_limit ||
        !principal_is_fair(principal->requests, left))
        return ADMISSION_PRINCIPAL;
    admission->in_progress++;
    principal->requests++;
    return ADMISSION_OK;
}

void admission_end(struct admission *admission, struct principal *principal)
{
    check(admission->in_progress > 0 && principal->requests > 0);
    admission->in_progress--;
    principal->requests--;
}

bool admission_refusal_begins(struct admission *admission)
{
    if (admission->refusals >= admission->refusals_most)
        return false;
    admission->refusals++;
    return true;
}

void admission_refusal_ends(struct admission *admission)
{
    check(admission->refusals > 0);
    admission->refusals--;
}
