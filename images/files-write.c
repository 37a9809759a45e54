// SPDX-License-Identifier: Apache-2.0
/* Ordinary files through libarchive. */
#include "images/writer-impl.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <string.h>

/* ---- libarchive's side ---- */

struct archive *files_new(void *context, files_write_fn write)
{
	struct archive *a = archive_write_new();

	/*
	 * No blocking: what libarchive wrote must be with us, to the byte, when an entry ends. Not
	 * "pax restricted": it drops nanoseconds. SCHILY is the form of extended attributes that
	 * other tars know.
	 */
	if (!a || archive_write_set_format_pax(a) != ARCHIVE_OK ||
	    archive_write_set_bytes_per_block(a, 0) != ARCHIVE_OK ||
	    archive_write_set_format_option(a, "pax", "xattrheader", "SCHILY") != ARCHIVE_OK ||
	    archive_write_open(a, context, NULL, write, NULL) != ARCHIVE_OK) {
		archive_write_free(a);
		return NULL;
	}
	return a;
}

static bool has_non_ascii(const char *s)
{
	for (; s && *s; s++)
		if ((unsigned char)*s >= 0x80)
			return true;
	return false;
}

/* A record's key ends at the first '=', so the attribute would come back under another name. */
static bool has_odd_xattr(struct archive_entry *entry)
{
	const char *name;
	const void *value;
	bool odd = false;
	size_t size;

	archive_entry_xattr_reset(entry);
	while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK)
		odd = odd || strchr(name, '=');
	return odd;
}

/*
 * Names are bytes on Linux, but libarchive converts them from the character set of the locale. In
 * the C locale it finds that it cannot, warns, and stores the bytes as they are, marked as such.
 */
int files_put_entry(struct archive *a, struct archive_entry *entry, struct ct_error *err)
{
	const char *path = archive_entry_pathname(entry);
	locale_t c, old;
	int r;

	if (has_odd_xattr(entry))
		return error_set(err, -EOPNOTSUPP,
				 "'%s': the name of an extended attribute has '=' inside",
				 path + 6);
	c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	if (!c)
		return error_errno(err, -ENOMEM, "write the image");
	old = uselocale(c);
	r = archive_write_header(a, entry);
	uselocale(old);
	freelocale(c);
	if (r == ARCHIVE_OK ||
	    (r == ARCHIVE_WARN &&
	     (has_non_ascii(path) || has_non_ascii(archive_entry_symlink(entry)) ||
	      has_non_ascii(archive_entry_hardlink(entry)) ||
	      has_non_ascii(archive_entry_uname(entry)) ||
	      has_non_ascii(archive_entry_gname(entry)))))
		return 0;
	return error_set(err, -EIO, "write the image: %s: %s", path, archive_error_string(a));
}

bool files_path_valid(const char *path)
{
	return path && (!strncmp(path, "rootfs/", 7) || !strncmp(path, "log/", 4));
}

/* ---- straight into the image ---- */

static la_ssize_t files_write(struct archive *a, void *ctx, const void *data, size_t len)
{
	struct archive_writer *w = ctx;
	int r;

	if (w->files_discard)
		return (la_ssize_t)len;
	XXH3_64bits_update(w->files_hash, data, len);
	w->files_size += len;
	r = sink_write(&w->sink, data, len);
	if (r < 0) {
		writer_fail(w, NULL, r, "write the image");
		archive_set_error(a, -r, "%s", strerror(-r));
		return -1;
	}
	return (la_ssize_t)len;
}

int archive_files_begin(struct archive_writer *w, struct archive **ret, struct ct_error *err)
{
	int r = writer_enter(w, WRITE_FILES, err);

	if (r < 0)
		return r;
	w->files = files_new(w, files_write);
	if (!w->files)
		return writer_fail(w, err, -ENOMEM, "write the image: libarchive");
	w->files_open = true;
	*ret = w->files;
	return 0;
}

int archive_files_entry(struct archive_writer *w, struct archive_entry *entry, struct ct_error *err)
{
	int r = writer_check(w, err);

	if (r < 0)
		return r;
	if (!w->files_open || !files_path_valid(archive_entry_pathname(entry)))
		return writer_misuse(w, err, "no file, or outside of rootfs/ and log/");
	return files_put_entry(w->files, entry, err);
}

int archive_files_end(struct archive_writer *w, struct ct_error *err)
{
	int r = writer_check(w, err);

	if (r == 0 && !w->files_open)
		return writer_misuse(w, err, "the files were not begun");
	w->files_open = false;
	/* The last entry's padding is ours, the end of archive that closing writes is not. */
	if (r == 0 && archive_write_finish_entry(w->files) != ARCHIVE_OK && !w->error.code)
		error_set(&w->error, -EIO, "write the image: %s", archive_error_string(w->files));
	w->files_discard = true;
	archive_write_free(w->files);
	w->files = NULL;
	w->files_discard = false;
	return writer_check(w, err);
}
