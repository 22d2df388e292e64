/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TF-A's memory map of QEMU, and the parts of the flash that are written: its state by all, its banks by BL31, BL1 by nobody.
 */
#define plat_qemu_get_mmap	qemu_get_mmap
#include "../../qemu/common/qemu_common.c"
#undef plat_qemu_get_mmap

#include "flash.h"

#define FLASH_WRITABLE(base, size)					\
	MAP_REGION_FLAT((base), (size), MT_DEVICE | MT_RW | EL3_PAS)

const mmap_region_t *plat_qemu_get_mmap(void);

const mmap_region_t *plat_qemu_get_mmap(void)
{
	static const mmap_region_t regions[] = {
		FLASH_WRITABLE(FLASH_STATE_A, FLASH_ERASE_BLOCK),
		FLASH_WRITABLE(FLASH_STATE_B, FLASH_ERASE_BLOCK),
#ifdef IMAGE_BL1
		MAP_REGION_FLAT(FLASH_COMMANDS_BASE, PAGE_SIZE, MT_CODE | EL3_PAS),
#endif
#ifdef IMAGE_BL31
		FLASH_WRITABLE(FLASH_BANK_A, FLASH_BANK_SIZE),
		FLASH_WRITABLE(FLASH_BANK_B, FLASH_BANK_SIZE),
#endif
		{0}
	};

#ifdef IMAGE_BL1
	/* The MMU is not on yet: this page is still written. */
	flash_prepare();
#endif
	mmap_add(regions);
	return qemu_get_mmap();
}
