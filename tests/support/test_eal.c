#include "tests/support/test_eal.h"

#include "dataplane/base/check.h"

#include <rte_eal.h>
#include <stdbool.h>

void test_eal_init(void)
{
    static bool done;
    if (done)
        return;
    static char name[] = "test", no_huge[] = "--no-huge", no_files[] = "--no-shconf",
                no_pci[] = "--no-pci", m[] = "-m", megabytes[] = "256",
                no_telemetry[] = "--no-telemetry", lcores[] = "--lcores", lcore[] = "0@0",
                quiet[] = "--log-level=error";
    char *arguments[] = {name,      no_huge,      no_files, no_pci, m,
                         megabytes, no_telemetry, lcores,   lcore,  quiet};
    check(rte_eal_init((int)array_count(arguments), arguments) >= 0);
    done = true;
}
