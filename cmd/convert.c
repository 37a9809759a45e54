// SPDX-License-Identifier: Apache-2.0
/* The values of options: from text to what commands work with. */
#include "cmd/command.h"

#include <ctype.h>
#include <signal.h>
#include <string.h>
#include <strings.h>

const char *set_flag(const struct option_spec *spec, const char *value, void *field)
{
	*(bool *)field = true;
	return NULL;
}

const char *set_string(const struct option_spec *spec, const char *value, void *field)
{
	*(const char **)field = value;
	return NULL;
}

const char *set_list(const struct option_spec *spec, const char *value, void *field)
{
	struct string_list *list = field;
	const char **v = realloc(list->v, (list->n + 2) * sizeof(*v));

	if (!v)
		return "out of memory";
	v[list->n++] = value;
	v[list->n] = NULL;
	list->v = v;
	return NULL;
}

const char *set_choice(const struct option_spec *spec, const char *value, void *field)
{
	size_t len = strlen(value), n;
	const char *w = spec->words;

	for (int i = 0; *w; i++, w += n + (w[n] == ' ')) {
		n = strcspn(w, " ");
		if (n != len || memcmp(w, value, n))
			continue;
		*(int *)field = i;
		return NULL;
	}
	return "no such choice";
}

/* A decimal number without sign or blanks; returns what follows it, or NULL. */
static const char *decimal(const char *value, uint64_t *ret)
{
	char *end;

	if (!isdigit((unsigned char)*value))
		return NULL;
	errno = 0;
	*ret = strtoull(value, &end, 10);
	return errno ? NULL : end;
}

const char *set_number(const struct option_spec *spec, const char *value, void *field)
{
	const char *end = decimal(value, field);

	return end && !*end ? NULL : "not a number";
}

const char *set_count(const struct option_spec *spec, const char *value, void *field)
{
	const char *end = decimal(value, field);

	return end && !*end && *(uint64_t *)field ? NULL : "not a number above 0";
}

const char *set_size(const struct option_spec *spec, const char *value, void *field)
{
	static const char units[] = "bkmgt";
	static const char why[] = "not a size (a number of bytes, or with b, k, m, g or t behind it)";
	uint64_t *bytes = field;
	const char *end = decimal(value, bytes), *unit;
	unsigned int shift;

	if (!end || !*bytes)
		return why;
	if (!*end)
		return NULL;
	unit = strchr(units, tolower((unsigned char)*end));
	if (!unit)
		return why;
	/* Also "512MB" and "512MiB": binary units all of them, as container engines take them. */
	end++;
	if (tolower((unsigned char)*end) == 'i')
		end++;
	if (tolower((unsigned char)*end) == 'b' && unit != units)
		end++;
	shift = 10 * (unit - units);
	if (*end || *bytes > UINT64_MAX >> shift)
		return why;
	*bytes <<= shift;
	return NULL;
}

const char *set_cpus(const struct option_spec *spec, const char *value, void *field)
{
	static const char why[] = "not a number of CPUs (0.01 or more, such as 1.5)";
	uint64_t whole, micros = 0, unit = 100000;
	const char *end = decimal(value, &whole);

	if (!end || whole > 1000000)
		return why;
	if (*end == '.')
		for (end++; isdigit((unsigned char)*end); end++, unit /= 10)
			micros += unit * (*end - '0');
	micros += whole * 1000000;
	if (*end || micros < 10000)
		return why;
	*(uint64_t *)field = micros;
	return NULL;
}

int signal_number(const char *text)
{
	const char *end;
	uint64_t n;

	end = decimal(text, &n);
	if (end)
		return *end || n < 1 || n >= NSIG ? 0 : (int)n;
	if (!strncasecmp(text, "SIG", 3))
		text += 3;
	for (int i = 1; i < SIGRTMIN; i++) {
		const char *name = sigabbrev_np(i);

		if (name && !strcasecmp(name, text))
			return i;
	}
	if (!strcasecmp(text, "RTMIN"))
		return SIGRTMIN;
	if (!strcasecmp(text, "RTMAX"))
		return SIGRTMAX;
	if (!strncasecmp(text, "RTMIN+", 6) || !strncasecmp(text, "RTMAX-", 6)) {
		end = decimal(text + 6, &n);
		if (!end || *end || n > (uint64_t)(SIGRTMAX - SIGRTMIN))
			return 0;
		return text[5] == '+' ? SIGRTMIN + (int)n : SIGRTMAX - (int)n;
	}
	return 0;
}

const char *set_signal(const struct option_spec *spec, const char *value, void *field)
{
	int n = signal_number(value);

	if (!n)
		return "no such signal";
	*(int *)field = n;
	return NULL;
}
