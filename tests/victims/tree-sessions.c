/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions that a child did not get from its parent as that one is now: made before the parent's
 * own setsid(2), over two generations; and left behind by their leaders.
 */
#include "tree.h"

enum { A, B, C, D, E, F, G, H, I, J };

int main(void)
{
	tree_begin();
	/* B stays in the session that A was born in, D in that of C: made while C was in A's. */
	tree_plant(A);
	tree_fork(A, B);
	tree_fork(A, C);
	tree_fork(C, D);
	tree_tell(A, TREE_SETSID, 0);
	tree_tell(C, TREE_SETSID, 0);
	CHECK_EQ(tree[B].session, 2);
	CHECK_EQ(tree[D].session, 2);
	CHECK_EQ(tree[A].session, tree[A].pid);
	/* The same in a session of their own: F and G in E's, G's parent being the leader of another. */
	tree_fork(A, E);
	tree_tell(E, TREE_SETSID, 0);
	tree_fork(E, F);
	tree_fork(F, G);
	tree_tell(F, TREE_SETSID, 0);
	CHECK_EQ(tree[G].session, tree[E].pid);
	CHECK_EQ(tree[F].session, tree[F].pid);
	/* And a leader whose child is in the session of the pod's command. */
	tree_plant(H);
	tree_fork(H, I);
	tree_tell(H, TREE_SETSID, 0);
	tree_fork(H, J);
	CHECK_EQ(tree[I].session, 2);
	CHECK_EQ(tree[J].session, tree[H].pid);
	tree_ready();
	victim_pass();
}
