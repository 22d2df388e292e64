/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The flash as a NOR flash is: a bit that is 0 stays so until its block is erased. The emulated one would forgive it.
 */
#include <errno.h>

#include <arch_helpers.h>
#include <lib/mmio.h>

#include <platform_def.h>

#include "flash.h"

#define READY	UINT32_C(0x00800080)

typedef uint32_t (*command)(uintptr_t at, const uint32_t *words, size_t count);

uint32_t flash_command(uintptr_t at, const uint32_t *words, size_t count);
extern const uint32_t flash_command_end[];

#ifdef IMAGE_BL1
#define RUN	((command)FLASH_COMMANDS_BASE)

DEFINE_SYSOP_TYPE_FUNC(ic, iallu)

void flash_prepare(void)
{
	const uint32_t *from = (const uint32_t *)(uintptr_t)flash_command;

	for (uintptr_t to = FLASH_COMMANDS_BASE; from < flash_command_end; to += 4U)
		mmio_write_32(to, *from++);
	dsbsy();
	iciallu();
	dsbsy();
	isb();
}
#else
#define RUN	flash_command
#endif

uint32_t flash_read(uintptr_t at)
{
	return mmio_read_32(at);
}

int flash_program(uintptr_t at, const uint32_t *words, size_t count)
{
	if (count == 0U || count > FLASH_PAGE / 4U || at % 4U != 0U ||
	    at / FLASH_PAGE != (at + (count * 4U) - 1U) / FLASH_PAGE)
		return -EINVAL;
	for (size_t i = 0; i < count; i++)
		if ((flash_read(at + (i * 4U)) & words[i]) != words[i])
			return -EPERM;
	if (RUN(at, words, count) != READY)
		return -EIO;
	for (size_t i = 0; i < count; i++)
		if (flash_read(at + (i * 4U)) != words[i])
			return -EIO;
	return 0;
}

int flash_erase(uintptr_t block)
{
	if (block % FLASH_ERASE_BLOCK != 0U)
		return -EINVAL;
	return (RUN(block, NULL, 0) == READY) ? 0 : -EIO;
}
