#include "control/counters_print.h"

#include "dataplane/worker/histograms.h"

void counters_print(FILE *out)
{
    fprintf(out, "| Histogram | Unit | |\n|---|---|---|\n");
    for (uint32_t i = 0; i < histogram_description_count; i++) {
        const struct histogram_description *what = &histogram_descriptions[i];
        fprintf(out, "| `%s.%s` | %s | %s |\n", what->layer, what->name, what->unit, what->help);
    }
    fprintf(out, "\n| Counter | Unit | |\n|---|---|---|\n");
    for (uint32_t i = 0; i < counter_description_count; i++) {
        const struct counter_description *what = &counter_descriptions[i];
        fprintf(out, "| `%s.%s` | %s | %s |\n", what->layer, what->name, what->unit, what->help);
    }
}
