/* counters_print: the tables of counters and histograms as docs/operations.md holds them. */
#pragma once

#include <stdio.h>

void counters_print(FILE *out);
