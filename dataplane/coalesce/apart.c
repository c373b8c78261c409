#include "dataplane/base/check.h"
#include "dataplane/coalesce/coalesce.h"

const char *apart_name(enum apart apart)
{
    static const char *const names[APARTS] = {
#define APART(name, detail, help) [APART_##name] = detail,
#include "dataplane/coalesce/apart.def"
#undef APART
    };
    check(apart < APARTS);
    return names[apart];
}
