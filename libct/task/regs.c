/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/task/regs.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "libct/base/error.h"

#define R(name) { #name, offsetof(struct user_regs_struct, name) }
static const struct {
	const char *name;
	size_t offset;
} names[] = {
	R(rax), R(rbx), R(rcx), R(rdx), R(rsi), R(rdi), R(rbp), R(rsp), R(r8), R(r9), R(r10),
	R(r11), R(r12), R(r13), R(r14), R(r15), R(rip), R(eflags), R(orig_rax), R(fs_base),
	R(gs_base), R(cs), R(ss), R(ds), R(es), R(fs), R(gs),
};

#define EFLAGS_USER 0x254dd5UL /* CF PF AF ZF SF TF DF OF NT RF AC ID: what a program may have set */

void regs_put(const struct tracee *t, struct node *to)
{
	struct node *regs = node_put_object(to, "registers");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint64_t v;

		memcpy(&v, (const char *)&t->regs + names[i].offset, sizeof(v));
		node_put_hex(regs, names[i].name, v);
	}
	node_put_blob(to, "xstate", t->xstate, t->xstate_len);
	node_put_hex(to, "blocked", t->sigmask);
}

int regs_get(const struct node *from, struct tracee *t, struct ct_error *err)
{
	const struct node *regs = node_object(from, "registers");
	const void *xstate;
	size_t len = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint64_t v = node_hex(regs, names[i].name);

		memcpy((char *)&t->regs + names[i].offset, &v, sizeof(v));
	}
	if (t->regs.cs != 0x33 || t->regs.ss != 0x2b || t->regs.ds || t->regs.es)
		node_complain(regs, "segment registers that no 64-bit program has");
	if (t->regs.eflags & ~(EFLAGS_USER | 0x202UL))
		node_complain(regs, "flags that no program may set");
	t->sigmask = node_hex(from, "blocked");
	xstate = node_blob(from, "xstate", &len);
	if (len > XSTATE_MAX || len < 576) {
		node_complain(from, "an extended state of %zu bytes", len);
		return -EBADMSG;
	}
	t->xstate = malloc(len);
	if (!t->xstate)
		return error_errno(err, -ENOMEM, "registers");
	memcpy(t->xstate, xstate, len);
	t->xstate_len = len;
	return 0;
}
