/* SPDX-License-Identifier: Apache-2.0 */
/* The executable made from init.c, as bytes of the library. */
	.section .rodata
	.balign	16
	.globl	podckpt_init
	.hidden	podckpt_init
	.globl	podckpt_init_end
	.hidden	podckpt_init_end
podckpt_init:
	.incbin	"libct/pod/podckpt-init"
podckpt_init_end:
	.section .note.GNU-stack, "", @progbits
