/* SPDX-License-Identifier: Apache-2.0 */
/* Orphans adopted by a subreaper that was never in their session, and by one inside another. */
#include "tree.h"

enum { S, DEAD, A, B, INNER, DEAD2, C, D, L, M, E };

int main(void)
{
	tree_begin();
	tree_plant(S);
	tree_tell(S, TREE_SUBREAPER, 1);
	tree_fork(S, DEAD);
	tree_tell(DEAD, TREE_SETSID, 0);
	tree_fork(DEAD, A);
	tree_fork(A, B);
	tree_end(DEAD, S);
	/* A second subreaper below the first. */
	tree_fork(A, INNER);
	tree_tell(INNER, TREE_SUBREAPER, 1);
	tree_tell(INNER, TREE_SETSID, 0);
	tree_fork(INNER, DEAD2);
	tree_tell(DEAD2, TREE_SETSID, 0);
	tree_fork(DEAD2, C);
	tree_fork(DEAD2, D);
	tree_end(DEAD2, INNER);
	/* A living leader's orphan. */
	tree_fork(INNER, L);
	tree_tell(L, TREE_SETSID, 0);
	tree_fork(L, M);
	tree_fork(M, E);
	tree_end(M, L);
	for (int i = 0; i < 64; i++)
		if (tree[i].alive)
			tree_tell(i, TREE_NOTE, 0);
	CHECK_EQ(tree[A].parent, tree[S].pid);
	CHECK_EQ(tree[A].session, tree[DEAD].pid);
	CHECK_EQ(tree[C].parent, tree[INNER].pid);
	CHECK_EQ(tree[D].session, tree[DEAD2].pid);
	CHECK_EQ(tree[E].parent, tree[INNER].pid);
	CHECK_EQ(tree[E].session, tree[L].pid);
	tree_ready();
	victim_pass();
}
