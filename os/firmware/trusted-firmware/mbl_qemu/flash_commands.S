/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The commands of the flash: Intel's set (CFI, JEP137 0x0001), two chips of 16 bits side by side, each command twice in a word. While a
 * command runs no part of the flash reads as data, so whoever runs from it (BL1) calls a copy in RAM: no calls from here, no constants.
 */
#include <arch.h>
#include <asm_macros.S>

	.globl	flash_command
	.globl	flash_command_end

#define READY		0x00800080
#define POLLS		0x10000000

	/*
	 * uint32_t flash_command(uintptr_t at, const uint32_t *words, size_t count);
	 * A count of 0 erases the block at `at`; 1 programs a word; more fill a buffer of the chips, whose size and alignment the caller
	 * keeps. The words are not in the flash. Returns the status of both chips: READY alone for success.
	 */
func flash_command
	/* Clear status. */
	mov_imm	w3, 0x00500050
	str	w3, [x0]
	mov_imm	w6, POLLS
	mov_imm	w7, READY
	cbz	x2, erase
	cmp	x2, #1
	b.eq	word

	/* Write to buffer: each chip says when it has a free one, then takes the count less one. */
	mov_imm	w3, 0x00e800e8
1:
	str	w3, [x0]
	ldr	w4, [x0]
	and	w5, w4, w7
	cmp	w5, w7
	b.eq	2f
	subs	w6, w6, #1
	b.ne	1b
	b	end
2:
	sub	w4, w2, #1
	orr	w4, w4, w4, lsl #16
	str	w4, [x0]
	mov	x5, x0
3:
	ldr	w4, [x1], #4
	str	w4, [x5], #4
	subs	x2, x2, #1
	b.ne	3b
	b	confirm

word:
	mov_imm	w3, 0x00400040
	str	w3, [x0]
	ldr	w4, [x1]
	str	w4, [x0]
	b	wait

erase:
	mov_imm	w3, 0x00200020
	str	w3, [x0]
confirm:
	mov_imm	w3, 0x00d000d0
	str	w3, [x0]

wait:
	/* Read status. */
	mov_imm	w3, 0x00700070
	str	w3, [x0]
4:
	ldr	w4, [x0]
	and	w5, w4, w7
	cmp	w5, w7
	b.eq	end
	subs	w6, w6, #1
	b.ne	4b
end:
	mov_imm	w3, 0x00500050
	str	w3, [x0]
	/* Read array. */
	mov_imm	w3, 0x00ff00ff
	str	w3, [x0]
	dsb	sy
	mov	w0, w4
	ret
flash_command_end:
endfunc flash_command
