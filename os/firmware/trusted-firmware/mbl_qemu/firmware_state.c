/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of the firmware: a log of words that only grows. A word is a value in its lower half, event and bank, and the value's
 * complement in the upper: a word that a power cut left half programmed says nothing, and the next one follows it.
 */
#include <errno.h>

#include <lib/utils_def.h>

#include <platform_def.h>

#include "firmware_state.h"
#include "flash.h"

#define LOG_WORDS	(FLASH_ERASE_BLOCK / 4U)
/* Try, the attempts, and how it ended; twice, because a bank may fail after it was confirmed. */
#define TRIAL_WORDS	(2U * (MBL_FW_ATTEMPTS + 2U))

static uint32_t word_of(unsigned int event, unsigned int bank)
{
	uint32_t value = (event << 8) | bank;

	return ((~value & 0xffffU) << 16) | value;
}

static void apply(struct firmware_state *state, uint32_t word)
{
	unsigned int event = (word >> 8) & 0xffU;
	unsigned int bank = word & 0xffU;

	if (word != word_of(event, bank) || bank >= ARRAY_SIZE(state->failed))
		return;
	switch (event) {
	case FIRMWARE_TRY:
		state->trial = bank;
		state->attempts = 0;
		state->failed[bank] = false;
		break;
	case FIRMWARE_ATTEMPT:
		if (state->trial == bank)
			state->attempts++;
		break;
	case FIRMWARE_CONFIRMED:
		state->accepted = bank;
		state->trial = NO_BANK;
		state->failed[bank] = false;
		break;
	case FIRMWARE_FAILED:
		state->failed[bank] = true;
		if (state->trial == bank)
			state->trial = NO_BANK;
		break;
	case FIRMWARE_COPIED:
		state->failed[bank] = false;
		break;
	default:
		break;
	}
}

void firmware_state_read(struct firmware_state *state)
{
	*state = (struct firmware_state){
		.accepted = MBL_FW_BANK_A,
		.trial = NO_BANK,
	};
	for (; state->length < LOG_WORDS; state->length++) {
		uint32_t word = flash_read(FLASH_STATE_A + (state->length * 4U));

		if (word == FLASH_ERASED)
			break;
		apply(state, word);
	}
}

int firmware_state_append(struct firmware_state *state,
			  enum firmware_event event, unsigned int bank)
{
	uint32_t word = word_of(event, bank);
	int result;

	if (state->length >= LOG_WORDS)
		return -ENOSPC;
	result = flash_program(FLASH_STATE_A + (state->length * 4U), &word, 1);
	/* A word that failed is passed over, as one is that a power cut left. */
	if (flash_read(FLASH_STATE_A + (state->length * 4U)) != FLASH_ERASED)
		state->length++;
	if (result == 0)
		apply(state, word);
	return result;
}

bool firmware_state_has_room(const struct firmware_state *state)
{
	return state->length + TRIAL_WORDS <= LOG_WORDS;
}

unsigned int firmware_state_next(const struct firmware_state *state)
{
	if (state->trial != NO_BANK)
		return state->trial;
	if (!state->failed[state->accepted])
		return state->accepted;
	return state->failed[state->accepted ^ 1U] ? NO_BANK : state->accepted ^ 1U;
}

static uintptr_t step(unsigned int counter, unsigned int value)
{
	return FLASH_STATE_B + (((counter * FIRMWARE_COUNTER_MOST) + value) * 4U);
}

unsigned int firmware_counter_read(unsigned int counter)
{
	unsigned int value = 0;

	while (value < FIRMWARE_COUNTER_MOST &&
	       flash_read(step(counter, value)) != FLASH_ERASED)
		value++;
	return value;
}

int firmware_counter_raise(unsigned int counter, unsigned int value)
{
	static const uint32_t used;

	for (unsigned int at = firmware_counter_read(counter); at < value; at++) {
		int result = flash_program(step(counter, at), &used, 1);

		if (result != 0)
			return result;
	}
	return 0;
}
