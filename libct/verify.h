/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "libct/restore.h"

/*
 * Reads a restored, still stopped pod back through the dump path and compares with what the image
 * said: the manifest field by field, and every page against the checksum taken while it was filled in.
 * -EUCLEAN with the differences, one a line.
 */
int verify(struct restore *r, struct ct_error *err);
