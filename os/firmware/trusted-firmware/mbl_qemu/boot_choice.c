/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which bank a start takes. An attempt is counted before anything of the bank is loaded: whatever happens then, the count stands.
 */
#include <stdbool.h>

#include <arch_helpers.h>
#include <common/debug.h>
#include <lib/mmio.h>
#include <lib/utils_def.h>

#include <platform_def.h>

#include "boot_choice.h"
#include "firmware_state.h"

/* "bank" */
#define MAGIC		U(0x6b6e6162)

struct boot_choice *boot_choice(void)
{
	return (struct boot_choice *)BOOT_CHOICE_BASE;
}

#ifdef IMAGE_BL1
/* Much, for an emulated core may share its processor with many. */
#define CORES_SECONDS	U(60)

/* A core that still runs from the flash would be lost at the first command to it (hold.S). */
static void wait_for_cores(void)
{
	uint64_t end = read_cntpct_el0() + (CORES_SECONDS * read_cntfrq_el0());

	for (uintptr_t core = 1; core < CORES; core++)
		mmio_write_64(HOLD_SEEN_BASE + (core * 8U), 0);
	dsbsy();
	for (uintptr_t core = 1; core < CORES; core++)
		while (mmio_read_64(HOLD_SEEN_BASE + (core * 8U)) == 0U) {
			sev();
			if (read_cntpct_el0() > end) {
				ERROR("BL1: core %lu does not come\n", core);
				panic();
			}
		}
}

static unsigned int on_trial(struct firmware_state *state)
{
	unsigned int bank = state->trial;

	if (bank == NO_BANK)
		return NO_BANK;
	/* An attempt that cannot be counted is not made. */
	if (state->attempts < MBL_FW_ATTEMPTS &&
	    firmware_state_append(state, FIRMWARE_ATTEMPT, bank) == 0)
		return bank;
	ERROR("BL1: bank %c had its attempts\n", BANK_LETTER(bank));
	if (firmware_state_append(state, FIRMWARE_FAILED, bank) != 0)
		state->trial = NO_BANK;
	return NO_BANK;
}

void boot_choose(void)
{
	struct boot_choice *choice = boot_choice();
	struct firmware_state state;
	bool again = choice->magic == MAGIC;
	unsigned int before = choice->bank & 1U;
	unsigned int bank;

	wait_for_cores();
	firmware_state_read(&state);
	bank = on_trial(&state);
	choice->attempt = (bank == NO_BANK) ? 0U : state.attempts;
	if (bank == NO_BANK)
		bank = firmware_state_next(&state);
	/* Both failed: by turns. One of them may have had a bad moment. */
	if (bank == NO_BANK)
		bank = again ? before ^ 1U : state.accepted;
	choice->bank = bank;
	for (unsigned int counter = 0; counter < MBL_FW_COUNTERS; counter++)
		choice->pending[counter] = firmware_counter_read(counter);
	choice->magic = MAGIC;
	if (choice->attempt != 0U)
		NOTICE("BL1: bank %c on trial, attempt %u\n", BANK_LETTER(bank),
		       choice->attempt);
	else
		NOTICE("BL1: bank %c\n", BANK_LETTER(bank));
}
#endif
