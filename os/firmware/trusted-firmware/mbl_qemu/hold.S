/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a core waits until Linux wants it. TF-A's own loop runs from the flash, where no core may be while a command to the flash runs:
 * here BL1 puts the loop into the page of RAM that all loaders share, and each core in it says so again and again.
 */
#define plat_secondary_cold_boot_setup	qemu_secondary_cold_boot_setup
#include "../../qemu/common/aarch64/plat_helpers.S"
#undef plat_secondary_cold_boot_setup

	.globl	plat_secondary_cold_boot_setup

	/* Runs without an MMU. All cores copy the same words. */
func plat_secondary_cold_boot_setup
	bl	plat_my_core_pos
#ifdef IMAGE_BL1
	adr	x1, hold
	adr	x2, hold_end
	mov_imm	x3, HOLD_LOOP_BASE
copy:
	ldr	w4, [x1], #4
	str	w4, [x3], #4
	cmp	x1, x2
	b.lo	copy
	dsb	sy
	ic	iallu
	dsb	sy
	isb
	mov_imm	x3, HOLD_LOOP_BASE
	br	x3
#endif
hold:
	mov_imm	x2, PLAT_QEMU_HOLD_BASE
	add	x2, x2, x0, lsl #PLAT_QEMU_HOLD_ENTRY_SHIFT
	mov_imm	x3, HOLD_SEEN_BASE
	add	x3, x3, x0, lsl #3
	mov	x4, #1
seen:
	str	x4, [x3]
	ldr	x1, [x2]
	cbnz	x1, go
	wfe
	b	seen
go:
	mov	x1, #PLAT_QEMU_HOLD_STATE_WAIT
	str	x1, [x2]
	mov_imm	x0, PLAT_QEMU_TRUSTED_MAILBOX_BASE
	ldr	x1, [x0]
	br	x1
hold_end:
endfunc plat_secondary_cold_boot_setup
