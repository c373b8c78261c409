/*
 * config_report: the configuration for a person at a terminal. Main thread, before the start.
 */
#pragma once

#include "control/config.h"

/*
 * `weir --check`: print every finding on standard error, or "configuration ok" with what memory it
 * takes on standard output. Returns the exit status: 0 or 1.
 */
int config_report(const char *path);

/*
 * Read the file, or, with RUNNING, state_dir/running.json of the node that the file describes.
 * NULL: the findings were printed.
 */
struct config *config_load(const char *path, bool running);
