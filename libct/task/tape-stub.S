/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See tape.h. In: rbx first entry, r12 end of the entries, r13 tgid, r14 tid, r15 signal; rsp is not
 * used before the way back. Position independent. Behind the code stands struct tape_block, which
 * tape_start() fills in.
 */
#include <asm/unistd.h>

	.section .rodata
	.globl tape_stub, tape_stub_once, tape_stub_over, tape_stub_block, tape_stub_end
	.hidden tape_stub, tape_stub_once, tape_stub_over, tape_stub_block, tape_stub_end
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
	jmp	3f
tape_stub_once:			/* one call with the registers as they are */
	syscall
3:	mov	%r13, %rdi
	mov	%r14, %rsi
	mov	%r15, %rdx
	mov	$__NR_tgkill, %eax
	syscall
tape_stub_over:

	/*
	 * Nobody stopped us there: the way back. Flags first, since only popf sets them; then the
	 * stack, so that a handler has one as soon as signals are let in; the mask; the rest.
	 * Nothing from popf on changes the flags (syscall keeps them in r11).
	 */
	lea	ret_flags(%rip), %rsp
	popfq
	mov	ret_rsp(%rip), %rsp
	mov	$2, %edi
	lea	ret_mask(%rip), %rsi
	mov	$0, %edx
	mov	$8, %r10d
	mov	$__NR_rt_sigprocmask, %eax
	syscall
	mov	ret_regs+0(%rip), %rax
	mov	ret_regs+8(%rip), %rbx
	mov	ret_regs+16(%rip), %rcx
	mov	ret_regs+24(%rip), %rdx
	mov	ret_regs+32(%rip), %rsi
	mov	ret_regs+40(%rip), %rdi
	mov	ret_regs+48(%rip), %rbp
	mov	ret_regs+56(%rip), %r8
	mov	ret_regs+64(%rip), %r9
	mov	ret_regs+72(%rip), %r10
	mov	ret_regs+80(%rip), %r11
	mov	ret_regs+88(%rip), %r12
	mov	ret_regs+96(%rip), %r13
	mov	ret_regs+104(%rip), %r14
	mov	ret_regs+112(%rip), %r15
	jmp	*ret_rip(%rip)

	.balign 8
tape_stub_block:
ret_regs:	.skip	15 * 8
ret_rsp:	.skip	8
ret_flags:	.skip	8
ret_rip:	.skip	8
ret_mask:	.skip	8
area:		.skip	2 * 8		/* the tape's area and its size: not for us */
tape_stub_end:

	.section .note.GNU-stack, "", @progbits
