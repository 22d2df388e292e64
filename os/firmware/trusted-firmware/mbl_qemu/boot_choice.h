/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BOOT_CHOICE_H
#define BOOT_CHOICE_H

#include <stdint.h>

#include <mbl_firmware_update.h>

/* What BL1 leaves to BL2 and BL31 in the page of RAM that they share. It survives a reset; BL1 sets all of it. */
struct boot_choice {
	uint32_t magic;
	/* The bank that this start takes everything from. */
	uint32_t bank;
	/* The number of the attempt; 0 where the bank is not on trial. */
	uint32_t attempt;
	/* What the counters will be once the bank is confirmed. */
	uint32_t pending[MBL_FW_COUNTERS];
};

struct boot_choice *boot_choice(void);

/* For BL1: chooses the bank, and counts an attempt. Waits for the other cores to leave the flash first. */
void boot_choose(void);

#endif
