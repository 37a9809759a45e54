/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See tape.h. In: rbx first entry, r12 end of the entries, r13 tgid, r14 tid, r15 signal,
 * rsp the frame plus 8. Position independent, touches no stack.
 */
#include <asm/unistd.h>

	.section .rodata
	.globl tape_stub, tape_stub_end
	.hidden tape_stub, tape_stub_end
	.balign 16
tape_stub:
1:	cmp	%r12, %rbx
	jae	3f
	mov	0(%rbx), %rax
	mov	8(%rbx), %rdi
	mov	16(%rbx), %rsi
	mov	24(%rbx), %rdx
	mov	32(%rbx), %r10
	mov	40(%rbx), %r8
	mov	48(%rbx), %r9
	syscall
	mov	%rax, 56(%rbx)
	mov	64(%rbx), %rcx
	test	%rcx, %rcx
	jz	2f
	mov	%rax, (%rcx)
	mov	72(%rbx), %rcx
	test	%rcx, %rcx
	jz	2f
	mov	%rax, (%rcx)
2:	cmpq	$0, 80(%rbx)
	lea	88(%rbx), %rbx
	je	1b
	cmp	$-4096, %rax
	jbe	1b
3:	mov	%r13, %rdi
	mov	%r14, %rsi
	mov	%r15, %rdx
	mov	$__NR_tgkill, %eax
	syscall
	mov	$__NR_rt_sigreturn, %eax
	syscall
	hlt
tape_stub_end:

	.section .note.GNU-stack, "", @progbits
