/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bytes of a bank. BL31 serves one call at a time: one buffer.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <lib/mmio.h>
#include <lib/utils_def.h>

#include <platform_def.h>

#include "flash.h"
#include "idle_bank.h"

#define PAGE_WORDS	(FLASH_PAGE / 4U)

static uint32_t page[PAGE_WORDS];

static uintptr_t bank_base(unsigned int bank)
{
	return (bank == 0U) ? FLASH_BANK_A : FLASH_BANK_B;
}

/* A page of what the block is to hold, as one copy: the source is another world's. */
static void take_page(const uint8_t *source, size_t at, size_t length)
{
	size_t count = (at >= length) ? 0U : MIN(length - at, (size_t)FLASH_PAGE);

	memcpy(page, source + at, count);
	memset((uint8_t *)page + count, 0xff, FLASH_PAGE - count);
}

enum page_is { PAGE_SAME, PAGE_PROGRAMS, PAGE_NEEDS_ERASE };

static enum page_is compare_page(uintptr_t at)
{
	enum page_is is = PAGE_SAME;

	for (size_t i = 0; i < PAGE_WORDS; i++) {
		uint32_t now = flash_read(at + (i * 4U));

		if ((now & page[i]) != page[i])
			return PAGE_NEEDS_ERASE;
		if (now != page[i])
			is = PAGE_PROGRAMS;
	}
	return is;
}

int idle_bank_write(unsigned int bank, size_t offset, const void *source,
		    size_t length)
{
	uintptr_t block = bank_base(bank) + offset;
	bool erase = false;
	int result;

	for (size_t at = 0; at < FLASH_ERASE_BLOCK && !erase; at += FLASH_PAGE) {
		take_page(source, at, length);
		erase = compare_page(block + at) == PAGE_NEEDS_ERASE;
	}
	if (erase) {
		result = flash_erase(block);
		if (result != 0)
			return result;
	}
	for (size_t at = 0; at < FLASH_ERASE_BLOCK; at += FLASH_PAGE) {
		take_page(source, at, length);
		if (compare_page(block + at) == PAGE_SAME)
			continue;
		result = flash_program(block + at, page, PAGE_WORDS);
		if (result != 0)
			return result;
	}
	for (size_t at = 0; at < FLASH_ERASE_BLOCK; at += FLASH_PAGE) {
		take_page(source, at, length);
		if (compare_page(block + at) != PAGE_SAME)
			return -EIO;
	}
	return 0;
}

void bank_read(unsigned int bank, size_t offset, void *target, size_t length)
{
	for (size_t i = 0; i < length; i++)
		((uint8_t *)target)[i] = mmio_read_8(bank_base(bank) + offset + i);
}
