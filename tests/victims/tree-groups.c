/* SPDX-License-Identifier: Apache-2.0 */
/* Process groups: led by others, by the dead, by zombies; sessions led by zombies. */
#include "tree.h"

enum { A, B, C, DEAD, D, E, ZL, F, ZS, G, H, I };

int main(void)
{
	tree_begin();
	tree_plant(A);
	tree_fork(A, B);
	tree_fork(B, C);
	/* C's group is its parent's, B's its own, and A joins B's. */
	tree_tell(B, TREE_SETPGID, 0);
	tree_tell(C, TREE_SETPGID, tree[B].pid);
	tree_tell(A, TREE_SETPGID, tree[B].pid);
	/* The leader of D and E's group is dead. */
	tree_fork(A, DEAD);
	tree_tell(DEAD, TREE_SETPGID, 0);
	tree_fork(A, D);
	tree_tell(D, TREE_SETPGID, tree[DEAD].pid);
	tree_fork(B, E);
	tree_tell(E, TREE_SETPGID, tree[DEAD].pid);
	tree_end(DEAD, A);
	/* That of F's is a zombie of A. */
	tree_fork(A, ZL);
	tree_tell(ZL, TREE_SETPGID, 0);
	tree_fork(B, F);
	tree_tell(F, TREE_SETPGID, tree[ZL].pid);
	tree_tell(ZL, TREE_EXIT, 3);
	/* The leader of G's session is one, and G is PID 1's. */
	tree_fork(A, ZS);
	tree_tell(ZS, TREE_SETSID, 0);
	tree_fork(ZS, G);
	tree_fork(G, H);
	tree_tell(H, TREE_SETPGID, 0);
	tree_fork(G, I);
	tree_tell(I, TREE_SETPGID, tree[H].pid);
	tree_tell(ZS, TREE_EXIT, 4);
	VICTIM_UNTIL((tree_tell(G, TREE_NOTE, 0), tree[G].parent == 1));
	CHECK_EQ(tree[G].session, tree[ZS].pid);
	CHECK_EQ(tree[E].group, tree[DEAD].pid);
	tree_ready();
	victim_pass();
}
