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

#endif
