/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/set-mark.h"

#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "images/node.h"
#include "libct/base/error.h"
#include "libct/pod/pod.h"

int set_mark_new_id(char ret[33], struct ct_error *err)
{
	uint64_t bits[2];

	if (getrandom(bits, sizeof(bits), 0) != sizeof(bits))
		return error_errno(err, -errno, "random numbers");
	snprintf(ret, 33, "%016" PRIx64 "%016" PRIx64, bits[0], bits[1]);
	return 0;
}

void set_mark_put(struct node *root, const char *id, const char *const *members, size_t n, size_t index)
{
	struct node *set = node_put_object(root, "set");
	struct node *list = node_put_array(set, "members");

	for (size_t i = 0; i < n; i++)
		node_put_str(list, NULL, members[i]);
	node_put_u64(set, "index", index);
	node_put_str(set, "id", id);
}

void set_mark_get(const struct node *root, struct set_mark *ret)
{
	const struct node *set;
	size_t n;

	*ret = (struct set_mark){ 0 };
	if (!node_has(root, "set"))
		return;
	set = node_object(root, "set");
	ret->members = node_array(set, "members");
	n = node_count(ret->members);
	ret->index = (size_t)node_u64(set, "index", n ? n - 1 : 0);
	ret->id = node_str(set, "id");
	if (n < 2)
		node_complain(set, "a set of %zu", n);
	for (size_t i = 0; i < n; i++)
		if (!pod_name_valid(set_mark_member(ret, i)))
			node_complain(ret->members, "not the name of a pod");
}

const char *set_mark_member(const struct set_mark *m, size_t index)
{
	return node_at_str(m->members, index);
}

/* How many of the images are member `index` of the set of image `i`? *other: one is of that pod, of another time. */
static size_t count_member(const struct set_mark *marks, size_t n, size_t i, size_t index, bool *other)
{
	const struct set_mark *mine = &marks[i];
	size_t count = 0;

	for (size_t k = 0; k < n; k++) {
		const struct set_mark *m = &marks[k];

		if (m->id && !strcmp(m->id, mine->id) && m->index == index)
			count++;
		else if (m->id && !strcmp(set_mark_member(m, m->index), set_mark_member(mine, index)))
			*other = true;
	}
	return count;
}

int set_mark_check(const struct set_mark *marks, size_t n, size_t i, bool alone, struct ct_error *err)
{
	const struct set_mark *mine = &marks[i];

	for (size_t k = 0; mine->id && k < node_count(mine->members); k++) {
		bool other = false;
		size_t count = count_member(marks, n, i, k, &other);
		const char *name = set_mark_member(mine, k);

		if (count > 1)
			return error_set(err, -EINVAL, "the image of %s is there twice", name);
		if (!count && !alone)
			return error_set(err, -EINVAL, "it was stopped together with %s, %s; restore them together, or with --alone",
					 name, other ? "of which there is an image of another time"
						     : "whose image is missing");
	}
	return 0;
}
