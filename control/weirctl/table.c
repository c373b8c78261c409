#include "control/weirctl/table.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 80

struct table {
    const char *heads[COLUMNS_MAX];
    bool right[COLUMNS_MAX];
    size_t columns;
    char **cells; /* row after row */
    size_t count;
};

static void *must(void *memory)
{
    if (memory == NULL) {
        fputs("weirctl: no memory\n", stderr);
        exit(1);
    }
    return memory;
}

static void add_column(struct table *table, const char *head)
{
    if (table->columns == COLUMNS_MAX)
        return;
    table->right[table->columns] = head[0] == '>';
    table->heads[table->columns] = head[0] == '>' ? head + 1 : head;
    table->columns++;
}

struct table *table_create(const char *first_head, ...)
{
    struct table *table = must(calloc(1, sizeof(*table)));
    va_list heads;
    va_start(heads, first_head);
    for (const char *head = first_head; head != NULL; head = va_arg(heads, const char *))
        add_column(table, head);
    va_end(heads);
    return table;
}

void table_free(struct table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table);
}

void table_cell(struct table *table, const char *format, ...)
{
    va_list arguments;
    char *text = NULL;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL;
    va_end(arguments);
    table->cells = must(realloc(table->cells, (table->count + 1) * sizeof(*table->cells)));
    table->cells[table->count++] = must(text);
}

/* Characters, not bytes: continuation bytes of UTF-8 take no room. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++)
        if (((unsigned char)*text & 0xc0) != 0x80)
            width++;
    return width;
}

static size_t column_width(const struct table *table, size_t column)
{
    size_t width = width_of(table->heads[column]);
    for (size_t i = column; i < table->count; i += table->columns)
        if (width_of(table->cells[i]) > width)
            width = width_of(table->cells[i]);
    return width;
}

static void print_cell(const struct table *table, size_t column, const char *text, size_t width,
                       FILE *out)
{
    int pad = (int)(width - width_of(text));
    bool last = column + 1 == table->columns;
    if (table->right[column])
        fprintf(out, "%*s%s%s", pad, "", text, last ? "\n" : "  ");
    else if (last)
        fprintf(out, "%s\n", text);
    else
        fprintf(out, "%s%*s  ", text, pad, "");
}

void table_print(const struct table *table, FILE *out)
{
    size_t widths[COLUMNS_MAX];
    if (table->count == 0) {
        fputs("(none)\n", out);
        return;
    }
    for (size_t c = 0; c < table->columns; c++)
        widths[c] = column_width(table, c);
    for (size_t c = 0; c < table->columns; c++)
        print_cell(table, c, table->heads[c], widths[c], out);
    for (size_t i = 0; i < table->count; i++)
        print_cell(table, i % table->columns, table->cells[i], widths[i % table->columns], out);
}
