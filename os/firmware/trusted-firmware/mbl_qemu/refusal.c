/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A loader refuses an image: its bank has failed, and the board restarts. Not on the spot to the other bank: what was verified of this
 * one would count for that one.
 */
#include <common/debug.h>
#include <drivers/console.h>
#include <plat/common/platform.h>

#include "boot_choice.h"
#include "firmware_state.h"

void __dead2 board_restart(void);

void __dead2 plat_error_handler(int err)
{
	struct firmware_state state;
	unsigned int bank = boot_choice()->bank;

	firmware_state_read(&state);
	/* Recorded once. Where that is no help, the board takes its time before it tries again. */
	if (!state.failed[bank] &&
	    firmware_state_append(&state, FIRMWARE_FAILED, bank) == 0) {
		ERROR("Bank %c failed (%d): recorded\n", BANK_LETTER(bank), err);
		console_flush();
		if (firmware_state_next(&state) != NO_BANK)
			board_restart();
	}
	plat_panic_handler();
}
