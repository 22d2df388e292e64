/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FIRMWARE_STATE_H
#define FIRMWARE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include <mbl_firmware_update.h>

#define NO_BANK		2U
#define BANK_LETTER(bank)	('A' + (int)(bank))

enum firmware_event {
	/* Somebody asks for a trial of the bank. */
	FIRMWARE_TRY = 1,
	/* A start of the bank on trial: written before it is loaded. */
	FIRMWARE_ATTEMPT = 2,
	/* The bank is the accepted one. */
	FIRMWARE_CONFIRMED = 3,
	/* The bank was refused by a loader, by who tried it, or had its attempts. */
	FIRMWARE_FAILED = 4,
	/* The bank holds what the running one does. */
	FIRMWARE_COPIED = 5,
};

/* What the log in `firmware_state_a` says. packages/formats/src/firmware-state.ts reads and writes the same. */
struct firmware_state {
	unsigned int accepted;
	/* NO_BANK where none is asked for. */
	unsigned int trial;
	unsigned int attempts;
	bool failed[2];
	/* Words that are written. */
	unsigned int length;
};

void firmware_state_read(struct firmware_state *state);

/* Writes to the log, then changes `state`. Returns 0 or an error of the flash; -ENOSPC where the log is full. */
int firmware_state_append(struct firmware_state *state,
			  enum firmware_event event, unsigned int bank);

/* Whether the log has room for a whole trial. */
bool firmware_state_has_room(const struct firmware_state *state);

/* The bank of the next start; NO_BANK where both failed. */
unsigned int firmware_state_next(const struct firmware_state *state);

/* Steps of a counter that are used up. */
unsigned int firmware_counter_read(unsigned int counter);

/* Uses up steps until the counter has the value, which is at most FIRMWARE_COUNTER_MOST. Errors of the flash. */
int firmware_counter_raise(unsigned int counter, unsigned int value);

#define FIRMWARE_COUNTER_MOST	1024U

#endif
