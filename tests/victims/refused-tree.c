/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leader of a session that has a child in the one it was born in, and another one in that of a process
 * which has ended and has left somebody elsewhere, too.
 */
/* refused: pid 3 (refused-tree): it has children in several earlier sessions: such a tree is not carried */
#include "tree.h"

enum { P, BEFORE, LEADER, T, ELSEWHERE, ADOPTED };

int main(void)
{
	tree_begin();
	tree_plant(P);
	tree_fork(P, BEFORE);
	tree_tell(P, TREE_SETSID, 0);
	tree_fork(P, LEADER);
	tree_tell(LEADER, TREE_SETSID, 0);
	tree_fork(LEADER, T);
	tree_fork(T, ELSEWHERE);
	tree_end(T, LEADER); /* podckpt-init gets it */
	tree_tell(P, TREE_SUBREAPER, 1);
	tree_fork(LEADER, ADOPTED);
	tree_end(LEADER, P);
	tree_tell(ELSEWHERE, TREE_NOTE, 0);
	tree_tell(ADOPTED, TREE_NOTE, 0);
	CHECK_EQ(tree[BEFORE].session, 2);
	CHECK_EQ(tree[ELSEWHERE].parent, 1);
	CHECK_EQ(tree[ADOPTED].parent, tree[P].pid);
	CHECK_EQ(tree[ADOPTED].session, tree[ELSEWHERE].session);
	tree_ready();
	victim_pass();
}
