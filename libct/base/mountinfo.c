/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/base/mountinfo.h"

#include <fcntl.h>
#include <string.h>

#include "libct/base/io.h"

#define MOUNTINFO_MAX (64u << 20)

/* Undoes \040 and its like in place. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

static char *next_word(char **line)
{
	char *word = strsep(line, " ");

	if (word)
		unescape(word);
	return word;
}

/*
 *	36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
 *	id parent dev root at  options    optional...  type source  super options
 */
static int parse_line(char *line, struct mount_entry *e)
{
	int used = 0;
	char *word;

	if (sscanf(line, "%d %d %u:%u %n", &e->id, &e->parent, &e->major, &e->minor, &used) != 4 ||
	    !used)
		return -EBADMSG;
	line += used;
	e->root = next_word(&line);
	e->at = next_word(&line);
	e->options = next_word(&line);
	do
		word = next_word(&line);
	while (word && strcmp(word, "-"));
	e->type = next_word(&line);
	e->source = next_word(&line);
	e->super_options = next_word(&line);
	return e->super_options ? 0 : -EBADMSG;
}

int mountinfo_read(const char *path, struct mountinfo *ret)
{
	return mountinfo_read_at(AT_FDCWD, path, ret);
}

int mountinfo_read_at(int dirfd, const char *path, struct mountinfo *ret)
{
	cleanup_mountinfo struct mountinfo info = { 0 };
	char *rest, *line;
	size_t lines = 1;
	ssize_t len;

	len = io_read_file(dirfd, path, MOUNTINFO_MAX, &info.text);
	if (len < 0)
		return (int)len;
	for (const char *p = info.text; (p = strchr(p, '\n')); p++)
		lines++;
	info.entries = calloc(lines, sizeof(*info.entries));
	if (!info.entries)
		return -ENOMEM;
	rest = info.text;
	while ((line = strsep(&rest, "\n"))) {
		int r;

		if (!*line)
			continue;
		r = parse_line(line, &info.entries[info.n]);
		if (r < 0)
			return r;
		info.n++;
	}
	*ret = info;
	info = (struct mountinfo){ 0 };
	return 0;
}

void mountinfo_release(struct mountinfo *info)
{
	free(info->entries);
	free(info->text);
	*info = (struct mountinfo){ 0 };
}

int mount_option(const char *options, const char *word)
{
	size_t len = strlen(word);

	while (options) {
		if (!strncmp(options, word, len) && (options[len] == ',' || !options[len]))
			return 1;
		options = strchr(options, ',');
		if (options)
			options++;
	}
	return 0;
}
