/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SIP_H
#define SIP_H

#include <stdint.h>

#include <arch_helpers.h>

/* The calls of the board, by who serves them. Each answers in `handle`, and returns it. */

#define WATCHDOG_FUNCTION	U(0x82003d06)

/* Called when the secure world has started: with each call of the normal world. */
void watchdog_secure_started(void);
void watchdog_setup(void);
uintptr_t watchdog_call(u_register_t call, u_register_t value, void *handle,
			u_register_t flags);

void firmware_update_setup(void);
uintptr_t firmware_update_call(uint32_t function, u_register_t x1,
			       u_register_t x2, u_register_t x3, void *handle,
			       u_register_t flags);

#endif
