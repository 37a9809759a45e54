// SPDX-License-Identifier: Apache-2.0
#include "cmd/output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void table_init(struct table *table, size_t columns)
{
	*table = (struct table){ .columns = columns };
}

void table_add(struct table *table, const char *format, ...)
{
	char **cells = realloc(table->cells, (table->n_cells + 1) * sizeof(*cells));
	va_list ap;
	char *cell;

	if (!cells) {
		table->failed = true;
		return;
	}
	table->cells = cells;
	va_start(ap, format);
	if (vasprintf(&cell, format, ap) < 0)
		table->failed = true;
	else
		cells[table->n_cells++] = cell;
	va_end(ap);
}

int table_print(const struct table *table, FILE *f)
{
	size_t n = table->columns, width[n];

	if (table->failed)
		return -ENOMEM;
	memset(width, 0, sizeof(width));
	for (size_t i = 0; i < table->n_cells; i++) {
		size_t len = strlen(table->cells[i]);

		if (len > width[i % n])
			width[i % n] = len;
	}
	for (size_t i = 0; i < table->n_cells; i++) {
		if (i % n == n - 1)
			fprintf(f, "%s\n", table->cells[i]);
		else
			fprintf(f, "%-*s  ", (int)width[i % n], table->cells[i]);
	}
	return 0;
}

void table_release(struct table *table)
{
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i]);
	free(table->cells);
	table_init(table, table->columns);
}

/* The length of the UTF-8 sequence at s, 0 where it is none. */
static size_t utf8_length(const unsigned char *s)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
	uint32_t c;

	if (n < 2)
		return n;
	c = s[0] & (0x7f >> n);
	for (size_t i = 1; i < n; i++) {
		if (s[i] >> 6 != 2)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

void json_string(FILE *f, const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n;

	if (!s) {
		fputs("null", f);
		return;
	}
	putc('"', f);
	for (; *p; p += n ? n : 1) {
		n = utf8_length(p);
		if (!n)
			fputs("\\ufffd", f);
		else if (*p == '"' || *p == '\\')
			fprintf(f, "\\%c", *p);
		else if (*p < 0x20 || *p == 0x7f)
			fprintf(f, "\\u%04x", *p);
		else
			fwrite(p, 1, n, f);
	}
	putc('"', f);
}

static void stats_object(FILE *f, const struct ct_stats *stats, const char *name)
{
	const struct {
		const char *name;
		uint64_t value;
	} fields[] = {
		{ "freezing_time", stats->freezing_time }, { "frozen_time", stats->frozen_time },
		{ "memdump_time", stats->memdump_time },   { "memwrite_time", stats->memwrite_time },
		{ "restore_time", stats->restore_time },   { "pages_scanned", stats->pages_scanned },
		{ "pages_written", stats->pages_written }, { "image_bytes", stats->image_bytes },
		{ "processes", stats->n_processes },	   { "threads", stats->n_threads },
		{ "descriptors", stats->n_descriptors },   { "areas", stats->n_areas },
	};

	fputs("{\n  \"version\": 1", f);
	if (name) {
		fputs(",\n  \"pod\": ", f);
		json_string(f, name);
	}
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		fprintf(f, ",\n  \"%s\": %" PRIu64, fields[i].name, fields[i].value);
	fputs("\n}", f);
}

void stats_print(FILE *f, const struct ct_stats *stats, const char *const *names, size_t n)
{
	if (!names) {
		stats_object(f, stats, NULL);
		putc('\n', f);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		fputs(i ? ", " : "[", f);
		stats_object(f, &stats[i], names[i]);
	}
	fputs("]\n", f);
}

const char *duration_text(uint64_t seconds, char buf[32])
{
	static const struct {
		uint64_t unit;
		const char *name;
	} units[] = { { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } };
	size_t i = 0;

	while (i < 3 && seconds < 2 * units[i].unit)
		i++;
	snprintf(buf, 32, "%" PRIu64 " %s", seconds / units[i].unit, units[i].name);
	return buf;
}

const char *bytes_text(uint64_t bytes, char buf[32])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	double v = bytes;
	size_t i = 0;

	for (; v >= 1000 && i < 4; i++)
		v /= 1000;
	snprintf(buf, 32, i && v < 100 ? "%.1f %s" : "%.0f %s", v, units[i]);
	return buf;
}
