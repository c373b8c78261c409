/*
 * table: aligned columns for people.
 *
 *     struct table *table = table_create("NAME", ">PORTS", NULL);   // '>' aligns to the right
 *     table_cell(table, "%s", name); table_cell(table, "%d", 4);    // row after row
 *     table_print(table, stdout); table_free(table);
 */
#pragma once

#include <stdio.h>

struct table;

struct table *table_create(const char *first_head, ...) __attribute__((sentinel));
void table_free(struct table *table);
__attribute__((format(printf, 2, 3))) void table_cell(struct table *table, const char *format, ...);

/* Heads and rows; "(none)" when there is no row. */
void table_print(const struct table *table, FILE *out);
