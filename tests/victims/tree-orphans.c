/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Orphans that PID 1 has adopted: from a session whose leader lives far below another process, from
 * sessions whose leaders are dead, several of one such session, and one whose own child stayed in
 * the session that it has left.
 */
#include "tree.h"

enum { A, L, M, ORPHAN, B, DEAD, X, Y, Z, LEADER, CHILD, LATE };

int main(void)
{
	tree_begin();
	/* L is a session leader below A; M dies, so ORPHAN is PID 1's and still of L's session. */
	tree_plant(A);
	tree_fork(A, L);
	tree_tell(L, TREE_SETSID, 0);
	tree_fork(L, M);
	tree_fork(M, ORPHAN);
	tree_end(M, L);
	/* DEAD's session lives on in three orphans and a child. */
	tree_plant(B);
	tree_fork(B, DEAD);
	tree_tell(DEAD, TREE_SETSID, 0);
	tree_fork(DEAD, X);
	tree_fork(DEAD, Y);
	tree_fork(Y, Z);
	/* This one has left it, its child has not. */
	tree_fork(DEAD, LEADER);
	tree_fork(LEADER, CHILD);
	tree_tell(LEADER, TREE_SETSID, 0);
	tree_fork(LEADER, LATE);
	tree_end(DEAD, B);
	for (int i = 0; i < 64; i++)
		if (tree[i].alive)
			tree_tell(i, TREE_NOTE, 0);
	CHECK_EQ(tree[ORPHAN].parent, 1);
	CHECK_EQ(tree[ORPHAN].session, tree[L].pid);
	CHECK_EQ(tree[X].parent, 1);
	CHECK_EQ(tree[X].session, tree[DEAD].pid);
	CHECK_EQ(tree[Z].session, tree[DEAD].pid);
	CHECK_EQ(tree[Z].parent, tree[Y].pid);
	CHECK_EQ(tree[LEADER].parent, 1);
	CHECK_EQ(tree[CHILD].session, tree[DEAD].pid);
	CHECK_EQ(tree[LATE].session, tree[LEADER].pid);
	tree_ready();
	victim_pass();
}
