/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>

#include "images/archive.h"
#include "images/node.h"
#include "libct/base/cleanup.h"
#include "libct/base/error.h"

DEFINE_CLEANUP(struct archive_reader *, archive_reader_free)
DEFINE_CLEANUP(struct doc *, doc_free)

int ct_inspect_image(const char *path, char **ret_json, struct ct_error *err)
{
	__cleanup(archive_reader_free_cleanup) struct archive_reader *r = NULL;
	__cleanup(doc_free_cleanup) struct doc *doc = NULL;
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	cleanup_free char *text = NULL;
	enum image_member member;
	size_t len;
	int e;

	if (fd < 0)
		return error_errno(err, -errno, "open '%s'", path);
	e = archive_reader_new(fd, &r, err);
	if (e == 0)
		e = archive_next(r, &member, err);
	if (e == 0 && member != IMAGE_MANIFEST)
		e = error_set(err, -EBADMSG, "not a podckpt image");
	if (e == 0)
		e = archive_read_manifest(r, &text, &len, err);
	if (e == 0)
		e = doc_parse(text, len, &doc, err);
	/* To the end: what is not read is still checked. */
	while (e == 0 && member != IMAGE_END)
		e = archive_next(r, &member, err);
	if (e < 0)
		return error_prefix(err, e, "%s", path);
	*ret_json = take_ptr(text);
	return 0;
}
