/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FLASH_H
#define FLASH_H

#include <stddef.h>
#include <stdint.h>

/* What is programmed at once: the buffers of both chips. */
#define FLASH_PAGE	4096U

#define FLASH_ERASED	UINT32_C(0xffffffff)

/* All return 0, -EPERM where a bit would have to become 1 again without an erase, -EIO. Addresses are physical. */

/* Programs words, and reads them back; a page at most, and within one. The words are not in the flash. */
int flash_program(uintptr_t at, const uint32_t *words, size_t count);

/* Erases the block that starts at `block`. */
int flash_erase(uintptr_t block);

uint32_t flash_read(uintptr_t at);

/* For BL1, before its MMU is on: puts what must not run from the flash into RAM. */
void flash_prepare(void);

#endif
