/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/kind.h"

#include <string.h>

extern const struct kind kind_file;
extern const struct kind kind_memory;
extern const struct kind kind_pipe;
extern const struct kind kind_stream;

const struct kind *const kinds[] = {
	&kind_stream, /* before pipes: it is one that leads outside */
	&kind_file, /* before FIFOs and sockets: an O_PATH descriptor of one is but a name */
	&kind_pipe,
	&kind_memory,
	NULL,
};

const struct kind *kind_find(const char *name)
{
	for (size_t i = 0; kinds[i]; i++)
		if (!strcmp(kinds[i]->name, name))
			return kinds[i];
	return NULL;
}

bool ct_kind_info(size_t index, struct ct_kind_info *ret)
{
	if (index >= sizeof(kinds) / sizeof(kinds[0]) - 1)
		return false;
	*ret = (struct ct_kind_info){ kinds[index]->name, kinds[index]->carries,
				      kinds[index]->refuses, kinds[index]->victims };
	return true;
}
