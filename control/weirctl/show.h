/*
 * show: results of methods for people, on standard output. A key that the daemon does not send is
 * shown as "-" or 0: weirctl and weir may be of different versions.
 */
#pragma once

#include <jansson.h>

typedef void show_result(const json_t *result);

show_result show_status, show_ports, show_workers, show_regions, show_backends, show_flights;
show_result show_explanation, show_audit;
show_result show_stats, show_done, show_validation, show_applied, show_config, show_methods;

/* The error object of a refusal, on standard error. */
void show_refusal(const json_t *error);
