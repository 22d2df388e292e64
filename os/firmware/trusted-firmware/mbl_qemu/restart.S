/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A loader that refuses an image, or gives up, restarts the board: nobody is there to press a button. In assembly, because a panic
 * may come before there is a stack, and with one that is not to be trusted.
 */
#include <arch.h>
#include <asm_macros.S>
#include <platform_def.h>

	.globl	plat_panic_handler
	.globl	board_reset
	.globl	board_restart

/* So long a board that restarts again and again does nothing. */
#define PAUSE_SECONDS	20

/* ARM DDI 0190: the direction register; and the data register seen through the mask of one pin, which is bits 9:2 of the address. */
#define PL061_DIRECTION	0x400
#define RESET_PIN	(1 << SECURE_GPIO_RESET)

	.section .rodata.restart_text, "aS"
text:
	.asciz	"ERROR:   The firmware does not start. The board restarts in 20 s.\n"

func plat_panic_handler
	/* BL31 has reported on the crash console; and it comes here too between asking for a reset and the reset. */
#ifndef IMAGE_BL31
	adrp	x4, text
	add	x4, x4, :lo12:text
print:
	ldrb	w0, [x4], #1
	cbz	w0, pause
	mov_imm	x1, PLAT_QEMU_BOOT_UART_BASE
	bl	console_pl011_core_putc
	b	print
#endif
	b	pause
endfunc plat_panic_handler

	/* void board_restart(void): at once. Where the reset does not come, once more after the pause. */
func board_restart
	bl	board_reset
pause:
	mrs	x0, cntfrq_el0
	mov	x1, #PAUSE_SECONDS
	mrs	x2, cntpct_el0
	madd	x1, x0, x1, x2
1:
	/* No interrupt is set up that could end a wfi. */
	yield
	isb
	mrs	x2, cntpct_el0
	cmp	x2, x1
	b.lo	1b
	bl	board_reset
	b	pause
endfunc board_restart

	/*
	 * void board_reset(void): a rising edge at the pin. Returns, because QEMU resets a moment later.
	 * Clobbers x0, x1.
	 */
func board_reset
	mov_imm	x0, SECURE_GPIO_BASE
	ldrb	w1, [x0, #PL061_DIRECTION]
	orr	w1, w1, #RESET_PIN
	strb	w1, [x0, #PL061_DIRECTION]
	strb	wzr, [x0, #(RESET_PIN << 2)]
	mov	w1, #RESET_PIN
	strb	w1, [x0, #(RESET_PIN << 2)]
	ret
endfunc board_reset
