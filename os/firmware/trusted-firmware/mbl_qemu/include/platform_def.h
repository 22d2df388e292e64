/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MBL_QEMU_PLATFORM_DEF_H
#define MBL_QEMU_PLATFORM_DEF_H

#include "../../../qemu/qemu/include/platform_def.h"

/* The secure physical timer's interrupt of each core (PPI 13), for the watchdog. */
#define WATCHDOG_INTERRUPT	29

/* Interrupts that EL3 handles itself. */
#undef PLATFORM_G0_PROPS
#define PLATFORM_G0_PROPS(grp)						\
	DESC_G0_IRQ_SEC_SGI(grp)					\
	INTR_PROP_DESC(WATCHDOG_INTERRUPT, GIC_HIGHEST_SEC_PRIORITY,	\
		       grp, GIC_INTR_CFG_LEVEL)

/* The page of RAM that all loaders share: mailbox and hold words of TF-A's own, then ours. */
#define BOOT_CHOICE_BASE	(SHARED_RAM_BASE + 0x800)
#define HOLD_SEEN_BASE		(SHARED_RAM_BASE + 0x900)
#define HOLD_LOOP_BASE		(SHARED_RAM_BASE + 0xc00)

/* Where BL1's commands to the flash run; nothing is loaded there. */
#define FLASH_COMMANDS_BASE	TOS_FW_CONFIG_BASE

/* For the parts of the flash that are written (memory_map.c). */
#undef MAX_MMAP_REGIONS
#define MAX_MMAP_REGIONS	18
#undef MAX_XLAT_TABLES
#define MAX_XLAT_TABLES		8

#endif
