/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The calls of mbl_firmware_update.h: all that changes the flash after the loaders. One lock for all, and nothing here believes its
 * caller: which bank runs and what the counters will be are what the loaders left, taken before any other world ran.
 */
#include <stdbool.h>
#include <stdint.h>

#include <common/debug.h>
#include <common/runtime_svc.h>
#include <lib/spinlock.h>
#include <lib/utils_def.h>

#include <platform_def.h>

#include "boot_choice.h"
#include "firmware_state.h"
#include "idle_bank.h"
#include "sip.h"

/* Each asked-for trial costs words of a log that never shrinks. */
#define MOST_TRIES	8

static spinlock_t lock;
static struct boot_choice boot;
static bool confirmed;
static bool rejected;
static bool os_started;
static unsigned int tries;
/* Somebody has brought something to the idle bank. */
static bool written;
/* How much of the idle bank was copied to it, from its start. */
static uint64_t copied;

void firmware_update_setup(void)
{
	boot = *boot_choice();
}

static unsigned int idle(void)
{
	return boot.bank ^ 1U;
}

/* Whether the running bank is also that of the next start, and no trial is asked for or runs: nobody needs the idle one. */
static bool settled(const struct firmware_state *state)
{
	return (boot.attempt == 0U || confirmed) && state->trial == NO_BANK &&
	       firmware_state_next(state) == boot.bank;
}

static int32_t os_starts(u_register_t index)
{
	if (index > FIRMWARE_COUNTER_MOST)
		return MBL_FW_INVALID;
	if (os_started || index < firmware_counter_read(MBL_FW_COUNTER_OS))
		return MBL_FW_DENIED;
	os_started = true;
	boot.pending[MBL_FW_COUNTER_OS] = (uint32_t)index;
	return MBL_FW_OK;
}

static int32_t confirm(struct firmware_state *state)
{
	if (rejected || (boot.attempt != 0U && !confirmed && state->trial != boot.bank))
		return MBL_FW_DENIED;
	if ((state->accepted != boot.bank || state->failed[boot.bank] ||
	     state->trial == boot.bank) &&
	    firmware_state_append(state, FIRMWARE_CONFIRMED, boot.bank) != 0)
		return MBL_FW_IO;
	confirmed = true;
	for (unsigned int counter = 0; counter < MBL_FW_COUNTERS; counter++)
		if (firmware_counter_raise(counter, boot.pending[counter]) != 0)
			return MBL_FW_IO;
	return MBL_FW_OK;
}

static int32_t try_bank(struct firmware_state *state, u_register_t bank)
{
	if (bank > MBL_FW_BANK_B)
		return MBL_FW_INVALID;
	if (bank != idle() || !settled(state) || tries >= MOST_TRIES ||
	    !firmware_state_has_room(state))
		return MBL_FW_DENIED;
	tries++;
	return (firmware_state_append(state, FIRMWARE_TRY, (unsigned int)bank) == 0) ?
		MBL_FW_OK : MBL_FW_IO;
}

static int32_t reject(struct firmware_state *state)
{
	bool runs = boot.attempt != 0U && !confirmed;

	if (state->trial != NO_BANK) {
		if (firmware_state_append(state, FIRMWARE_FAILED, state->trial) != 0)
			return MBL_FW_IO;
	} else if (!runs) {
		return MBL_FW_DENIED;
	}
	/* What ran and was rejected is not confirmed any more. */
	if (runs)
		rejected = true;
	return MBL_FW_OK;
}

static bool in_optee(uint64_t address, uint64_t length)
{
	return address >= BL32_MEM_BASE && length <= BL32_MEM_SIZE &&
	       address - BL32_MEM_BASE <= BL32_MEM_SIZE - length;
}

static bool in_bank(uint64_t offset, uint64_t length)
{
	return length != 0U && length <= MBL_FW_MOST_BYTES &&
	       offset <= FLASH_BANK_SIZE && length <= FLASH_BANK_SIZE - offset;
}

static int32_t transfer(const struct firmware_state *state, uint32_t function,
			uint64_t offset, uint64_t address, uint64_t length)
{
	unsigned int bank = idle();

	/* What runs is read behind the idle bank. */
	if (function == MBL_FW_READ && offset >= FLASH_BANK_SIZE) {
		bank = boot.bank;
		offset -= FLASH_BANK_SIZE;
	}
	if (!in_bank(offset, length) || !in_optee(address, length))
		return MBL_FW_INVALID;
	if (function == MBL_FW_READ) {
		bank_read(bank, (size_t)offset, (void *)address, (size_t)length);
		return MBL_FW_OK;
	}
	if (offset % MBL_FW_ERASE_BLOCK != 0U)
		return MBL_FW_INVALID;
	if (!settled(state))
		return MBL_FW_DENIED;
	written = true;
	return (idle_bank_write(idle(), (size_t)offset, (const void *)address,
				(size_t)length) == 0) ? MBL_FW_OK : MBL_FW_IO;
}

/*
 * What was written for a trial is not written over by a copy that is under way. The log says at the end that the bank is good again, so that
 * nobody waits where the running one is refused one day.
 */
static int32_t copy_block(struct firmware_state *state, uint64_t offset, bool *changed)
{
	if (offset >= FLASH_BANK_SIZE || offset % MBL_FW_ERASE_BLOCK != 0U)
		return MBL_FW_INVALID;
	if (written || !settled(state) || (offset != 0U && offset != copied))
		return MBL_FW_DENIED;
	copied = 0U;
	if (idle_bank_copy(idle(), (size_t)offset, changed) != 0)
		return MBL_FW_IO;
	copied = offset + MBL_FW_ERASE_BLOCK;
	if (copied == FLASH_BANK_SIZE && state->failed[idle()] &&
	    firmware_state_has_room(state) &&
	    firmware_state_append(state, FIRMWARE_COPIED, idle()) != 0)
		return MBL_FW_IO;
	return MBL_FW_OK;
}

static uint32_t status(void)
{
	uint32_t word = boot.bank;

	if (boot.attempt != 0U && !confirmed && !rejected)
		word |= MBL_FW_STATUS_TRIAL;
	word |= (boot.attempt & MBL_FW_STATUS_ATTEMPTS_MASK) << MBL_FW_STATUS_ATTEMPTS_SHIFT;
	if (confirmed)
		word |= MBL_FW_STATUS_CONFIRMED;
	return word;
}

static int32_t secure_call(uint32_t function, u_register_t x1, u_register_t x2,
			   u_register_t x3, bool *changed)
{
	struct firmware_state state;

	firmware_state_read(&state);
	switch (function) {
	case MBL_FW_CONFIRM:
		return confirm(&state);
	case MBL_FW_TRY:
		return try_bank(&state, x1);
	case MBL_FW_REJECT:
		return reject(&state);
	case MBL_FW_COPY:
		return copy_block(&state, x1, changed);
	default:
		return transfer(&state, function, x1, x2, x3);
	}
}

static uintptr_t answer(uint32_t function, u_register_t x1, u_register_t x2,
			u_register_t x3, void *handle, u_register_t flags)
{
	bool changed = false;
	int32_t result;

	switch (function) {
	case MBL_FW_STATUS:
		SMC_RET3(handle, MBL_FW_OK, status(), FLASH_BANK_SIZE);
	case MBL_FW_COUNTER:
		if (x1 >= MBL_FW_COUNTERS)
			SMC_RET1(handle, (int64_t)MBL_FW_INVALID);
		SMC_RET3(handle, MBL_FW_OK, firmware_counter_read((unsigned int)x1),
			 boot.pending[x1]);
	case MBL_FW_OS_STARTS:
		result = is_caller_non_secure(flags) ? os_starts(x1) : MBL_FW_DENIED;
		break;
	default:
		if (!is_caller_secure(flags)) {
			result = MBL_FW_DENIED;
			break;
		}
		result = secure_call(function, x1, x2, x3, &changed);
		break;
	}
	SMC_RET2(handle, (int64_t)result, changed ? 1U : 0U);
}

uintptr_t firmware_update_call(uint32_t function, u_register_t x1,
			       u_register_t x2, u_register_t x3, void *handle,
			       u_register_t flags)
{
	uintptr_t context;

	spin_lock(&lock);
	context = answer(function, x1, x2, x3, handle, flags);
	spin_unlock(&lock);
	return context;
}
