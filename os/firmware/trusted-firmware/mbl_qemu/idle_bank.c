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

/* What a block is to hold: `length` bytes of another world's memory and 0xff behind them, or, without memory, a block of the flash. */
struct content {
	const uint8_t *memory;
	size_t length;
	uintptr_t flash;
};

/* A page of it, as one copy: the memory is another world's, and while a command runs the flash cannot be read. */
static void take_page(const struct content *content, size_t at)
{
	size_t count = (at >= content->length) ? 0U :
		       MIN(content->length - at, (size_t)FLASH_PAGE);

	if (content->memory == NULL) {
		for (size_t i = 0; i < PAGE_WORDS; i++)
			page[i] = flash_read(content->flash + at + (i * 4U));
		return;
	}
	memcpy(page, content->memory + at, count);
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

static int fill_block(uintptr_t block, const struct content *content, bool *changed)
{
	bool erase = false;
	int result;

	*changed = false;
	for (size_t at = 0; at < FLASH_ERASE_BLOCK && !erase; at += FLASH_PAGE) {
		enum page_is is;

		take_page(content, at);
		is = compare_page(block + at);
		erase = is == PAGE_NEEDS_ERASE;
		*changed = *changed || is != PAGE_SAME;
	}
	if (!*changed)
		return 0;
	if (erase) {
		result = flash_erase(block);
		if (result != 0)
			return result;
	}
	for (size_t at = 0; at < FLASH_ERASE_BLOCK; at += FLASH_PAGE) {
		take_page(content, at);
		if (compare_page(block + at) == PAGE_SAME)
			continue;
		result = flash_program(block + at, page, PAGE_WORDS);
		if (result != 0)
			return result;
	}
	for (size_t at = 0; at < FLASH_ERASE_BLOCK; at += FLASH_PAGE) {
		take_page(content, at);
		if (compare_page(block + at) != PAGE_SAME)
			return -EIO;
	}
	return 0;
}

int idle_bank_write(unsigned int bank, size_t offset, const void *source,
		    size_t length)
{
	struct content content = { .memory = source, .length = length };
	bool changed;

	return fill_block(bank_base(bank) + offset, &content, &changed);
}

int idle_bank_copy(unsigned int bank, size_t offset, bool *changed)
{
	struct content content = { .flash = bank_base(bank ^ 1U) + offset };

	return fill_block(bank_base(bank) + offset, &content, changed);
}

void bank_read(unsigned int bank, size_t offset, void *target, size_t length)
{
	for (size_t i = 0; i < length; i++)
		((uint8_t *)target)[i] = mmio_read_8(bank_base(bank) + offset + i);
}
