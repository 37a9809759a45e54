#pragma once
#include "libct/kind.h"
struct archive; struct archive_writer;
int rootfs_describe(struct dump *d, struct ct_error *err);
int rootfs_dump(struct dump *d, struct archive_writer *w, struct ct_error *err);
int rootfs_restore(struct restore *r, struct archive *files, struct ct_error *err);
