/* SPDX-License-Identifier: Apache-2.0 */
/* The executable made from init.c, as bytes of the library. */
	.section .rodata
	.balign	16
	.globl	podckpt_init
	.hidden	podckpt_init
	.globl	podckpt_init_size
	.hidden	podckpt_init_size
podckpt_init:
	.incbin	"libct/pod/podckpt-init"
1:
	.balign	8
podckpt_init_size:
	.quad	1b - podckpt_init
	.section .note.GNU-stack, "", @progbits
