/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef IDLE_BANK_H
#define IDLE_BANK_H

#include <stdbool.h>
#include <stddef.h>

/* The caller has checked that both are where they may be. */

/*
 * Makes the erase block at `offset` hold `length` bytes, and 0xff behind them; programs and erases only what has to be. Returns 0 or an
 * error of the flash. Whoever changes the source meanwhile gets an error.
 */
int idle_bank_write(unsigned int bank, size_t offset, const void *source,
		    size_t length);

/* Makes the erase block at `offset` hold what the other bank does. `changed`: whether it held something else. */
int idle_bank_copy(unsigned int bank, size_t offset, bool *changed);

void bank_read(unsigned int bank, size_t offset, void *target, size_t length);

#endif
