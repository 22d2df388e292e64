/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The calls in the range of the silicon provider (Arm DEN 0028, §6): TF-A knows one service for all of them.
 */
#include <common/runtime_svc.h>
#include <lib/utils_def.h>

#include <mbl_firmware_update.h>

#include "sip.h"

static int32_t setup(void)
{
	watchdog_setup();
	firmware_update_setup();
	return 0;
}

static uintptr_t call(uint32_t function, u_register_t x1, u_register_t x2,
		      u_register_t x3, u_register_t x4, void *cookie,
		      void *handle, u_register_t flags)
{
	if (is_caller_non_secure(flags))
		watchdog_secure_started();
	if (function == WATCHDOG_FUNCTION)
		return watchdog_call(x1, x2, handle, flags);
	if (function >= MBL_FW_STATUS && function <= MBL_FW_COPY)
		return firmware_update_call(function, x1, x2, x3, handle, flags);
	SMC_RET1(handle, SMC_UNK);
}

DECLARE_RT_SVC(board, OEN_SIP_START, OEN_SIP_END, SMC_TYPE_FAST, setup, call);
