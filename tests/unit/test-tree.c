/* SPDX-License-Identifier: Apache-2.0 */
/* libct/kind/tree.h: what an untrusted image may not do to the host, one trick at a time. */
#include "libct/kind/tree.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "libct/base/io.h"
#include "tests/unit/unit.h"

static char top[] = "/tmp/podckpt-test-tree.XXXXXX";

/* Data of one piece. */
struct piece {
	const char *bytes;
	off_t at;
	bool given;
};

static int give(void *context, const void **ret, size_t *ret_len, off_t *ret_at, struct ct_error *err)
{
	struct piece *p = context;

	if (p->given || !p->bytes)
		return 0;
	p->given = true;
	*ret = p->bytes;
	*ret_len = strlen(p->bytes);
	*ret_at = p->at;
	return 1;
}

struct trick {
	const char *rel;
	mode_t mode;
	const char *target; /* of a symlink */
	const char *link;   /* of a hard link */
	dev_t device;
	int64_t size;
	const char *data;
	off_t data_at;
	const char *xattr, *value;
};

static int extract(struct tree_extract *x, const struct trick *t, struct ct_error *err)
{
	struct archive_entry *e = archive_entry_new();
	struct piece piece = { t->data, t->data_at, false };
	int r;

	archive_entry_set_mode(e, t->mode);
	archive_entry_set_size(e, t->size);
	archive_entry_set_mtime(e, 1000, 2000);
	if (t->target)
		archive_entry_set_symlink(e, t->target);
	archive_entry_set_rdev(e, t->device);
	if (t->xattr)
		archive_entry_xattr_add_entry(e, t->xattr, t->value, strlen(t->value));
	r = tree_extract(x, t->rel, t->link, e, give, &piece, err);
	archive_entry_free(e);
	return r;
}

/* An empty root beside a directory "outside" with a file in it. */
static void begin(struct tree_extract *x)
{
	char path[64];

	*x = TREE_EXTRACT_NONE;
	io_remove_tree(AT_FDCWD, top);
	mkdir(top, 0700);
	snprintf(path, sizeof(path), "%s/outside", top);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/outside/victim", top);
	close(open(path, O_WRONLY | O_CREAT, 0600));
	snprintf(path, sizeof(path), "%s/root", top);
	mkdir(path, 0700);
	x->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	REQUIRE("a root", x->root >= 0);
}

static size_t count_outside(void)
{
	char path[64];
	size_t n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/outside", top);
	dir = opendir(path);
	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

/* `first` succeeds, `then` is -EBADMSG, and nothing outside has changed. */
static void refused(const char *name, const struct trick *first, const struct trick *then, bool merge)
{
	struct tree_extract x;
	struct ct_error err = { 0 };
	struct stat before, after;
	char path[64];
	int r;

	begin(&x);
	x.upper = !merge;
	x.merge = x.tame = merge;
	snprintf(path, sizeof(path), "%s/outside/victim", top);
	stat(path, &before);
	if (first) {
		r = extract(&x, first, &err);
		if (!CHECK("what comes first", r == 0))
			printf("# %s: %s\n", name, err.text);
	}
	r = extract(&x, then, &err);
	if (!CHECK(name, r == -EBADMSG))
		printf("# %d: %s\n", r, err.text);
	CHECK("nothing was made outside", count_outside() == 3);
	CHECK("nothing was changed outside", stat(path, &after) == 0 &&
						     after.st_ctim.tv_nsec == before.st_ctim.tv_nsec &&
						     after.st_nlink == 1 && after.st_size == 0);
	tree_extract_release(&x);
}

#define FILE_AT(path) ((struct trick){ .rel = path, .mode = S_IFREG | 0644, .size = 4, .data = "evil" })
#define LINK_TO(path) ((struct trick){ .rel = "link", .mode = S_IFLNK | 0777, .target = path })

static void test_refused(void)
{
	const struct trick dir = { .rel = "dir", .mode = S_IFDIR | 0755 };

	refused("a path with ..", NULL, &FILE_AT("../outside/new"), false);
	refused("a path with .. inside", &dir, &FILE_AT("dir/../../outside/new"), false);
	refused("a path with .", NULL, &FILE_AT("./new"), false);
	refused("an absolute path", NULL, &FILE_AT("/tmp/new"), false);
	refused("a path with an empty part", &dir, &FILE_AT("dir//new"), false);
	refused("a path that ends in a slash", NULL, &FILE_AT("new/"), false);
	refused("through a symlink", &LINK_TO("../outside"), &FILE_AT("link/new"), false);
	refused("through an absolute symlink", &LINK_TO("/tmp"), &FILE_AT("link/new"), false);
	refused("over a symlink", &LINK_TO("../outside/victim"), &FILE_AT("link"), false);
	refused("a directory over a symlink, then into it", &LINK_TO("../outside"),
		&(struct trick){ .rel = "link", .mode = S_IFDIR | 0777 }, false);
	refused("over a file", &FILE_AT("file"), &FILE_AT("file"), false);
	refused("into a directory that did not come", NULL, &FILE_AT("absent/new"), false);
	refused("into a file", &FILE_AT("file"), &FILE_AT("file/new"), false);
	refused("a hard link to outside", NULL,
		&(struct trick){ .rel = "hard", .mode = S_IFREG, .link = "../outside/victim" }, false);
	refused("a hard link through a symlink", &LINK_TO("../outside"),
		&(struct trick){ .rel = "hard", .mode = S_IFREG, .link = "link/victim" }, false);
	refused("a hard link to a directory", &dir,
		&(struct trick){ .rel = "hard", .mode = S_IFREG, .link = "dir" }, false);
	refused("a hard link to the root", NULL,
		&(struct trick){ .rel = "hard", .mode = S_IFREG, .link = "" }, false);
	refused("data behind the end", NULL,
		&(struct trick){ .rel = "file", .mode = S_IFREG, .size = 3, .data = "evil" }, false);
	refused("data before the beginning", NULL,
		&(struct trick){ .rel = "file", .mode = S_IFREG, .size = 9, .data = "evil", .data_at = -4 },
		false);
	refused("a negative size", NULL,
		&(struct trick){ .rel = "file", .mode = S_IFREG, .size = -1 }, false);
	refused("a root that is a file", NULL, &FILE_AT(""), false);
	refused("a type that is none", NULL, &(struct trick){ .rel = "x", .mode = 0644 }, false);
	refused("an overlay's redirect", NULL,
		&(struct trick){ .rel = "dir", .mode = S_IFDIR | 0755, .xattr = "trusted.overlay.redirect",
				 .value = "/etc" },
		false);
	refused("an overlay's metacopy", NULL,
		&(struct trick){ .rel = "f", .mode = S_IFREG | 0755, .xattr = "trusted.overlay.metacopy",
				 .value = "" },
		false);
	refused("an attribute of no kind", NULL,
		&(struct trick){ .rel = "f", .mode = S_IFREG | 0755, .xattr = "system.nfs4_acl", .value = "" },
		false);
	refused("a disk in /dev", NULL,
		&(struct trick){ .rel = "sda", .mode = S_IFBLK | 0666, .device = makedev(8, 0) }, true);
	refused("the memory in /dev", NULL,
		&(struct trick){ .rel = "mem", .mode = S_IFCHR | 0666, .device = makedev(1, 1) }, true);
}

static void test_merge(void)
{
	struct tree_extract x;
	struct stat st;

	begin(&x);
	x.merge = x.tame = true;
	CHECK("a symlink", extract(&x, &LINK_TO("../outside/victim"), NULL) == 0);
	CHECK("is replaced, not followed", extract(&x, &FILE_AT("link"), NULL) == 0);
	CHECK("by a file", fstatat(x.root, "link", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode));
	CHECK("a device that every pod has",
	      extract(&x, &(struct trick){ .rel = "null", .mode = S_IFCHR | 0600, .device = makedev(1, 3) },
		      NULL) == 0);
	CHECK("outside is as it was", count_outside() == 3);
	tree_extract_release(&x);
}

static void test_kept(void)
{
	const struct trick dir = { .rel = "dir", .mode = S_IFDIR | 01755 };
	const struct trick opaque = { .rel = "dir/opaque", .mode = S_IFDIR | 0700,
				      .xattr = "trusted.overlay.opaque", .value = "y" };
	const struct trick whiteout = { .rel = "dir/gone", .mode = S_IFCHR };
	const struct trick socket = { .rel = "dir/socket", .mode = S_IFREG | 0755, .xattr = TREE_TYPE,
				      .value = TREE_SOCKET };
	struct tree_extract x;
	struct stat st;
	char value[8];

	begin(&x);
	x.upper = true;
	CHECK("a directory", extract(&x, &dir, NULL) == 0);
	CHECK("a file in it", extract(&x, &FILE_AT("dir/file"), NULL) == 0);
	CHECK("a hard link", extract(&x, &(struct trick){ .rel = "hard", .mode = S_IFREG, .link = "dir/file" },
				     NULL) == 0);
	CHECK("a whiteout", extract(&x, &whiteout, NULL) == 0);
	CHECK("a socket", extract(&x, &socket, NULL) == 0);
	CHECK("an opaque directory", extract(&x, &opaque, NULL) == 0);
	CHECK("the end", tree_extract_end(&x, NULL) == 0);
	CHECK("two names", fstatat(x.root, "hard", &st, 0) == 0 && st.st_nlink == 2 && st.st_size == 4);
	CHECK("its time", st.st_mtim.tv_sec == 1000 && st.st_mtim.tv_nsec == 2000);
	CHECK("the directory's time", fstatat(x.root, "dir", &st, 0) == 0 && st.st_mtim.tv_nsec == 2000);
	CHECK("the directory's mode", st.st_mode == (S_IFDIR | 01755));
	CHECK("0:0", fstatat(x.root, "dir/gone", &st, 0) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == 0);
	CHECK("a socket it is", fstatat(x.root, "dir/socket", &st, 0) == 0 && st.st_mode == (S_IFSOCK | 0755));
	if (fchdir(x.root) == 0)
		CHECK("opaque it is",
		      getxattr("dir/opaque", "trusted.overlay.opaque", value, sizeof(value)) == 1);
	tree_extract_release(&x);
}

int main(void)
{
	if (geteuid() != 0) {
		printf("1..0 # SKIP not root\n");
		return 77;
	}
	REQUIRE("a directory for it", mkdtemp(top));
	test_refused();
	test_merge();
	test_kept();
	if (chdir("/") == 0)
		io_remove_tree(AT_FDCWD, top);
	return UNIT_DONE();
}
