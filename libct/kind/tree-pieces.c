/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files of a tree are as they were when they were taken? The kernel changes an inode's ctime with
 * every change of its data, attributes and names, and nobody can set it. Three things are in the way:
 *
 * - Its clock ticks, so a change right after a look may leave the same time. What has changed within the
 *   last ticks is not taken early at all (`settled`).
 * - The time is that of the beginning of a long write(2), and of the first store into a page of a shared
 *   mapping since that page was written back. Both need the file to be open for writing: who had it so
 *   before is in `writers`, and whoever opens it later leaves a later time.
 * - Somebody sets the clock back: rootfs-early.c looks for that.
 */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "images/archive.h"
#include "libct/base/cleanup.h"
#include "libct/kind/tree.h"

struct tree_piece {
	char *path; /* NULL: a free place of the table */
	struct tree_identity identity;
	struct archive_piece piece;
};

void tree_pieces_release(struct tree_pieces *p)
{
	for (size_t i = 0; i < p->max_table; i++)
		free(p->table[i].path);
	free(p->table);
	free(p->list);
	archive_stage_free(p->stage);
	*p = (struct tree_pieces){ 0 };
}

void tree_identity(const struct stat *st, struct tree_identity *ret)
{
	*ret = (struct tree_identity){ st->st_dev,  st->st_rdev, st->st_ino, st->st_mode,
				       st->st_size, st->st_ctim };
}

bool tree_identity_same(const struct tree_identity *a, const struct tree_identity *b)
{
	return a->dev == b->dev && a->rdev == b->rdev && a->ino == b->ino && a->mode == b->mode &&
	       a->size == b->size && a->changed.tv_sec == b->changed.tv_sec &&
	       a->changed.tv_nsec == b->changed.tv_nsec;
}

static int compare_inodes(const void *a, const void *b)
{
	const struct tree_inode *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return (x->ino > y->ino) - (x->ino < y->ino);
}

bool tree_is_settled(const struct tree_pieces *p, const struct stat *st)
{
	const struct tree_inode inode = { st->st_dev, st->st_ino };

	if (st->st_ctim.tv_sec > p->settled.tv_sec ||
	    (st->st_ctim.tv_sec == p->settled.tv_sec && st->st_ctim.tv_nsec >= p->settled.tv_nsec))
		return false;
	if (!S_ISREG(st->st_mode))
		return true;
	if (p->hidden_writers && st->st_nlink > 1)
		return false;
	return !p->n_writers ||
	       !bsearch(&inode, p->writers, p->n_writers, sizeof(inode), compare_inodes);
}

/* Where a path is in the table, or would be; there is a free place always. */
static struct tree_piece *find(const struct tree_pieces *p, const char *path)
{
	size_t i = XXH3_64bits(path, strlen(path)) & (p->max_table - 1);

	while (p->table[i].path && strcmp(p->table[i].path, path))
		i = (i + 1) & (p->max_table - 1);
	return &p->table[i];
}

static int grow_table(struct tree_pieces *p)
{
	struct tree_pieces grown = { .max_table = p->max_table ? p->max_table * 2 : 1024 };

	grown.table = calloc(grown.max_table, sizeof(*grown.table));
	if (!grown.table)
		return -ENOMEM;
	for (size_t i = 0; i < p->max_table; i++)
		if (p->table[i].path)
			*find(&grown, p->table[i].path) = p->table[i];
	free(p->table);
	p->table = grown.table;
	p->max_table = grown.max_table;
	return 0;
}

static int add_to_list(struct tree_pieces *p, const struct archive_piece *piece)
{
	if (p->n == p->max) {
		size_t max = p->max ? p->max * 2 : 1024;
		struct archive_piece *grown = reallocarray(p->list, max, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		p->list = grown;
		p->max = max;
	}
	p->list[p->n++] = *piece;
	p->size += piece->size;
	return 0;
}

bool tree_piece_use(struct tree_pieces *p, const char *path, const struct stat *st, int *ret)
{
	const struct tree_piece *known = p->max_table ? find(p, path) : NULL;
	struct tree_identity now;

	tree_identity(st, &now);
	if (!known || !known->path || !tree_identity_same(&known->identity, &now))
		return false;
	*ret = p->early ? 0 : add_to_list(p, &known->piece);
	return true;
}

int tree_piece_add(struct tree_pieces *p, const char *path, const struct stat *st,
		   const struct archive_piece *piece)
{
	struct tree_piece *entry;
	int r;

	if (!p->early)
		return add_to_list(p, piece);
	r = p->n_table * 2 >= p->max_table ? grow_table(p) : 0;
	if (r < 0)
		return r;
	entry = find(p, path);
	if (!entry->path) {
		entry->path = strdup(path);
		if (!entry->path)
			return -ENOMEM;
		p->n_table++;
	}
	tree_identity(st, &entry->identity);
	entry->piece = *piece;
	return 0;
}
