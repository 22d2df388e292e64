/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The watchdog of the board, as the normal world knows it: "arm,smc-wdt" (Linux, Documentation/devicetree/bindings/watchdog/
 * arm,smc-wdt.yaml; the calls are those of drivers/watchdog/arm_smc_wdt.c). It runs before U-Boot does, and nobody can stop it. Each
 * core has a timer of EL3's own for it, whose interrupt no other world can mask or reprogram; one deadline holds for all. A core cannot
 * set another's timer, so each looks at the deadline once a second: another core may have petted, or asked for less time and gone off.
 */
#include <stdbool.h>
#include <stdint.h>

#include <arch_helpers.h>
#include <bl31/interrupt_mgmt.h>
#include <common/debug.h>
#include <common/runtime_svc.h>
#include <drivers/console.h>
#include <lib/el3_runtime/pubsub.h>
#include <lib/psci/psci.h>
#include <lib/spinlock.h>
#include <plat/common/platform.h>

#include <platform_def.h>

#include "sip.h"

/* Seconds. The first is for the way to U-Boot, and from there until somebody says another. */
#define FIRST_TIMEOUT	60
#define LEAST_TIMEOUT	1
#define MOST_TIMEOUT	120

enum watchdog_call {
	WATCHDOG_INIT = 0,
	WATCHDOG_SET_TIMEOUT = 1,
	WATCHDOG_ENABLE = 2,
	WATCHDOG_PET = 3,
	WATCHDOG_TIME_LEFT = 4,
};

void board_reset(void);

/* Written whole, by one store each: a core that reads an old deadline sees the new one a second later. */
static volatile uint64_t deadline;
static volatile uint32_t timeout = FIRST_TIMEOUT;

static spinlock_t restarting;

static void set_timer(void)
{
	uint64_t next = read_cntpct_el0() + read_cntfrq_el0();
	uint64_t end = deadline;

	write_cntps_cval_el1((next < end) ? next : end);
	write_cntps_ctl_el1(CNTP_CTL_ENABLE_MASK << CNTP_CTL_ENABLE_SHIFT);
	isb();
}

static void pet(void)
{
	deadline = read_cntpct_el0() + (timeout * read_cntfrq_el0());
	set_timer();
}

static uint64_t timer_interrupt(uint32_t id, uint32_t flags, void *handle,
				void *cookie)
{
	uint32_t interrupt = plat_ic_acknowledge_interrupt();

	if (interrupt != WATCHDOG_INTERRUPT)
		return 0;
	if (read_cntpct_el0() >= deadline) {
		/* Never released: the other cores' timers end together with this one. */
		spin_lock(&restarting);
		ERROR("watchdog: no sign of life, restarting\n");
		console_flush();
		board_reset();
		panic();
	}
	set_timer();
	plat_ic_end_of_interrupt(interrupt);
	return 0;
}

/* The secure world has started: from now on its interrupts are its own, and those of Linux, which it leaves for. */
void watchdog_secure_started(void)
{
	(void)disable_intr_rm_local(INTR_TYPE_EL3, SECURE);
}

static void *core_on(const void *arg)
{
	watchdog_secure_started();
	set_timer();
	return NULL;
}
SUBSCRIBE_TO_EVENT(psci_cpu_on_finish, core_on);

void watchdog_setup(void)
{
	uint32_t flags = 0;

	/*
	 * The secure world is interrupted while it starts, when nobody else is there to notice that it hangs. After that OP-TEE leaves to
	 * the normal world, as for any interrupt that is not its own: it could not tell which of the two it is.
	 */
	set_interrupt_rm_flag(flags, NON_SECURE);
	set_interrupt_rm_flag(flags, SECURE);
	if (register_interrupt_type_handler(INTR_TYPE_EL3, timer_interrupt, flags) != 0)
		panic();
	pet();
}

uintptr_t watchdog_call(u_register_t call, u_register_t value, void *handle,
			u_register_t flags)
{
	uint64_t now = read_cntpct_el0();

	if (!is_caller_non_secure(flags))
		SMC_RET1(handle, SMC_UNK);
	switch ((uint32_t)call) {
	case WATCHDOG_INIT:
		SMC_RET3(handle, PSCI_E_SUCCESS, LEAST_TIMEOUT, MOST_TIMEOUT);
	case WATCHDOG_SET_TIMEOUT:
		if ((uint32_t)value < LEAST_TIMEOUT || (uint32_t)value > MOST_TIMEOUT)
			SMC_RET1(handle, PSCI_E_INVALID_PARAMS);
		timeout = (uint32_t)value;
		pet();
		SMC_RET1(handle, PSCI_E_SUCCESS);
	case WATCHDOG_ENABLE:
		/* It runs. Whoever would stop it is told that it does. */
		if ((uint32_t)value == 0U)
			SMC_RET1(handle, PSCI_E_DENIED);
		pet();
		SMC_RET1(handle, PSCI_E_SUCCESS);
	case WATCHDOG_PET:
		pet();
		SMC_RET1(handle, PSCI_E_SUCCESS);
	case WATCHDOG_TIME_LEFT:
		SMC_RET2(handle, PSCI_E_SUCCESS, (deadline > now) ?
			 (deadline - now) / read_cntfrq_el0() : 0U);
	default:
		SMC_RET1(handle, PSCI_E_NOT_SUPPORTED);
	}
}
