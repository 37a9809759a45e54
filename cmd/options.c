// SPDX-License-Identifier: Apache-2.0
/* The command line against a table: --x=v, --x v, -x v, -xv, clusters of flags, "--". */
#include "cmd/command.h"

#include <stdarg.h>
#include <string.h>

static const struct option_spec *find_long(const struct option_spec *specs, const char *name,
					   size_t len)
{
	for (const struct option_spec *s = specs; s && s->name; s++)
		if (strlen(s->name) == len && !memcmp(s->name, name, len))
			return s;
	return NULL;
}

static const struct option_spec *find_letter(const struct option_spec *specs, char letter)
{
	for (const struct option_spec *s = specs; s && s->name; s++)
		if (s->letter == letter)
			return s;
	return NULL;
}

static int __attribute__((format(printf, 2, 3))) complain(char why[256], const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(why, 256, format, ap);
	va_end(ap);
	return OPTIONS_WRONG;
}

static int apply(const struct option_spec *spec, const char *value, void *fields, char why[256])
{
	const char *wrong = spec->set(spec, value, (char *)fields + spec->offset);

	if (!wrong)
		return 0;
	if (spec->words)
		return complain(why, "--%s '%s': %s (one of: %s)", spec->name, value, wrong,
				spec->words);
	return complain(why, "--%s '%s': %s", spec->name, value ? value : "", wrong);
}

/* "--name", "--name=value", "--name value": returns how many words it took, or below 0. */
static int parse_long(const struct option_spec *specs, void *fields, char **argv, char why[256])
{
	const char *name = argv[0] + 2, *value = strchr(name, '=');
	size_t len = value ? (size_t)(value - name) : strlen(name);
	const struct option_spec *spec = find_long(specs, name, len);
	int words = 1;

	if (!spec && !strcmp(name, "help"))
		return OPTIONS_HELP;
	if (!spec)
		return complain(why, "no such option: --%.*s", (int)len, name);
	if (value && !spec->argument)
		return complain(why, "--%s takes no value", spec->name);
	if (value) {
		value++;
	} else if (spec->argument) {
		value = argv[words++];
		if (!value)
			return complain(why, "--%s needs a value: %s", spec->name, spec->argument);
	}
	return apply(spec, value, fields, why) < 0 ? OPTIONS_WRONG : words;
}

/* "-abc", "-n value", "-nvalue" */
static int parse_letters(const struct option_spec *specs, void *fields, char **argv, char why[256])
{
	for (const char *p = argv[0] + 1; *p; p++) {
		const struct option_spec *spec = find_letter(specs, *p);
		const char *value;

		if (!spec)
			return complain(why, "no such option: -%c", *p);
		if (!spec->argument) {
			if (apply(spec, NULL, fields, why) < 0)
				return OPTIONS_WRONG;
			continue;
		}
		value = p[1] ? p + 1 : argv[1];
		if (!value)
			return complain(why, "-%c needs a value: %s", *p, spec->argument);
		if (apply(spec, value, fields, why) < 0)
			return OPTIONS_WRONG;
		return p[1] ? 1 : 2;
	}
	return 1;
}

int options_parse(const struct option_spec *specs, void *fields, int argc, char **argv,
		  unsigned int program_at, char why[256])
{
	int n = 0, i = 0, words;

	while (i < argc) {
		char *word = argv[i];

		if (!strcmp(word, "--")) {
			i++;
			break;
		}
		if (word[0] != '-' || !word[1]) {
			if (n + 1 == (int)program_at)
				break;
			argv[n++] = word;
			i++;
			continue;
		}
		words = word[1] == '-' ? parse_long(specs, fields, argv + i, why)
				       : parse_letters(specs, fields, argv + i, why);
		if (words < 0)
			return words;
		i += words;
	}
	while (i < argc)
		argv[n++] = argv[i++];
	argv[n] = NULL;
	return n;
}

void options_release(const struct option_spec *specs, void *fields)
{
	for (const struct option_spec *s = specs; s && s->name; s++)
		if (s->set == set_list)
			free(((struct string_list *)((char *)fields + s->offset))->v);
}
