/* SPDX-License-Identifier: Apache-2.0 */
/* Directories: open, working directory, deleted, read to the middle. */
#include "tests/victims/victim.h"

#include <dirent.h>

#define ENTRIES 50
#define MANY 3000

/* Of a large directory the C library has the first 32 KB; the rest it asks for after the restore. */
static DIR *begin(const char *path, char *seen)
{
	char name[64];
	DIR *dir;

	CHECK_SYS(mkdir(path, 0755));
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "%s/%d", path, i);
		CHECK_SYS(close(CHECK_SYS(open(name, O_WRONLY | O_CREAT, 0644))));
	}
	dir = opendir(path);
	CHECK(dir);
	for (int i = 0; i < 5;) {
		struct dirent *e = readdir(dir);

		CHECK(e);
		if (e->d_name[0] == '.')
			continue;
		seen[atoi(e->d_name)]++;
		i++;
	}
	return dir;
}

static void end(DIR *dir, char *seen)
{
	struct dirent *e;

	while ((e = readdir(dir)))
		if (e->d_name[0] != '.')
			seen[atoi(e->d_name)]++;
	for (int i = 0; i < MANY; i++)
		CHECK_EQ(seen[i], 1);
	closedir(dir);
}

int main(void)
{
	int fd, gone, seen[ENTRIES] = { 0 };
	struct dirent *e;
	char name[64];
	struct stat st;
	DIR *dir, *many, *on_tmpfs;
	static char seen_many[MANY], seen_tmpfs[MANY];

	many = begin("many", seen_many);
	on_tmpfs = begin("/run/many", seen_tmpfs);
	CHECK_SYS(mkdir("dir", 0755));
	CHECK_SYS(mkdir("gone", 0711));
	for (int i = 0; i < ENTRIES; i++) {
		snprintf(name, sizeof(name), "dir/%d", i);
		CHECK_SYS(close(CHECK_SYS(open(name, O_WRONLY | O_CREAT, 0644))));
	}
	fd = CHECK_SYS(open("dir", O_RDONLY | O_DIRECTORY));
	gone = CHECK_SYS(open("gone", O_RDONLY | O_DIRECTORY));
	CHECK_SYS(rmdir("gone"));
	dir = opendir("dir");
	CHECK(dir);
	for (int i = 0; i < 10; i++)
		CHECK(readdir(dir));
	victim_ready();

	end(many, seen_many);
	end(on_tmpfs, seen_tmpfs);
	rewinddir(dir);
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.')
			seen[atoi(e->d_name)]++;
	for (int i = 0; i < ENTRIES; i++)
		CHECK_EQ(seen[i], 1);
	CHECK_SYS(fstatat(fd, "7", &st, 0));
	CHECK_SYS(fstat(gone, &st));
	CHECK_EQ(st.st_mode, S_IFDIR | 0711);
	CHECK_EQ(st.st_nlink, 0);
	CHECK_ERRNO(openat(gone, "x", O_WRONLY | O_CREAT, 0644), ENOENT);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", gone);
	{
		char text[256] = "";

		CHECK_SYS(readlink(name, text, 255));
		CHECK_STR(text, "/var/tmp/gone (deleted)");
	}
	victim_pass();
}
