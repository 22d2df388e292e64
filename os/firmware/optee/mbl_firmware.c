// SPDX-License-Identifier: BSD-2-Clause
//
// A pipe from Linux to BL31, which keeps the banks of the boot firmware and the counters, and judges every call. Here it is only decided who
// may call: the group mbl-firmware, by what the kernel says of a caller.

#include <kernel/mutex.h>
#include <kernel/pseudo_ta.h>
#include <kernel/tee_ta_manager.h>
#include <kernel/thread.h>
#include <kernel/ts_manager.h>
#include <mbl_firmware_update.h>
#include <mm/core_memprot.h>
#include <mm/core_mmu.h>
#include <string.h>
#include <tee_api_defines.h>
#include <util.h>

#include "mbl_firmware_pta.h"

/*
 * Linux's driver makes a group's UUID: version 5 (RFC 9562 §5.5) of "gid=<hex>" in the name space 58ac9ca0-2086-4683-a1b8-ec4bc08e01b6
 * (its tee_session_calc_client_uuid), and gives it to members only. This is the one of MBL_FW_GROUP.
 */
static const TEE_UUID members = {
	0xad3f4502, 0x9c74, 0x515f, { 0xba, 0xec, 0xec, 0xa5, 0xf0, 0x64, 0x9d, 0x9b }
};

/* What BL31 reads and writes, in OP-TEE's own memory: Linux cannot change it meanwhile. One call at a time has it. */
static uint8_t piece[MBL_FW_MOST_BYTES] __aligned(SMALL_PAGE_SIZE);
static struct mutex piece_lock = MUTEX_INITIALIZER;

static TEE_Result call(struct thread_smc_args *args)
{
	thread_smccc(args);
	switch ((int64_t)args->a0) {
	case MBL_FW_OK:
		return TEE_SUCCESS;
	case MBL_FW_UNKNOWN:
		return TEE_ERROR_NOT_SUPPORTED;
	case MBL_FW_INVALID:
		return TEE_ERROR_BAD_PARAMETERS;
	case MBL_FW_DENIED:
		return TEE_ERROR_BAD_STATE;
	default:
		return TEE_ERROR_GENERIC;
	}
}

/* A call that takes a number and gives two. `in` and `out` may be NULL. */
static TEE_Result plain(uint64_t function, const TEE_Param *in, TEE_Param *out)
{
	struct thread_smc_args args = { .a0 = function, .a1 = in ? in->value.a : 0 };
	TEE_Result result = call(&args);

	if (result == TEE_SUCCESS && out) {
		out->value.a = args.a1;
		out->value.b = args.a2;
	}
	return result;
}

static TEE_Result move(uint64_t function, uint32_t offset, void *memory, size_t size)
{
	struct thread_smc_args args = { .a0 = function, .a1 = offset, .a2 = virt_to_phys(piece), .a3 = size };
	TEE_Result result = TEE_ERROR_GENERIC;

	if (!memory || size == 0 || size > sizeof(piece))
		return TEE_ERROR_BAD_PARAMETERS;
	mutex_lock(&piece_lock);
	if (function == MBL_FW_WRITE)
		memcpy(piece, memory, size);
	result = call(&args);
	if (function == MBL_FW_READ && result == TEE_SUCCESS)
		memcpy(memory, piece, size);
	mutex_unlock(&piece_lock);
	return result;
}

static TEE_Result invoke(void *session __unused, uint32_t command, uint32_t types, TEE_Param params[TEE_NUM_PARAMS])
{
	const uint32_t none = TEE_PARAM_TYPE_NONE, in = TEE_PARAM_TYPE_VALUE_INPUT, out = TEE_PARAM_TYPE_VALUE_OUTPUT;
	const uint32_t from = TEE_PARAM_TYPE_MEMREF_INPUT, to = TEE_PARAM_TYPE_MEMREF_OUTPUT;
	uint32_t wanted[][2] = {
		[MBL_FW_PTA_STATUS] = { out, none }, [MBL_FW_PTA_COUNTER] = { in, out }, [MBL_FW_PTA_CONFIRM] = { none, none },
		[MBL_FW_PTA_TRY] = { in, none },     [MBL_FW_PTA_WRITE] = { in, from },  [MBL_FW_PTA_REJECT] = { none, none },
		[MBL_FW_PTA_READ] = { in, to },      [MBL_FW_PTA_COPY] = { in, out },
	};

	if (command >= ARRAY_SIZE(wanted))
		return TEE_ERROR_NOT_IMPLEMENTED;
	if (types != TEE_PARAM_TYPES(wanted[command][0], wanted[command][1], none, none))
		return TEE_ERROR_BAD_PARAMETERS;
	switch (command) {
	case MBL_FW_PTA_STATUS:
		return plain(MBL_FW_STATUS, NULL, &params[0]);
	case MBL_FW_PTA_COUNTER:
		return plain(MBL_FW_COUNTER, &params[0], &params[1]);
	case MBL_FW_PTA_CONFIRM:
		return plain(MBL_FW_CONFIRM, NULL, NULL);
	case MBL_FW_PTA_TRY:
		return plain(MBL_FW_TRY, &params[0], NULL);
	case MBL_FW_PTA_REJECT:
		return plain(MBL_FW_REJECT, NULL, NULL);
	case MBL_FW_PTA_COPY:
		return plain(MBL_FW_COPY, &params[0], &params[1]);
	default:
		return move(command == MBL_FW_PTA_WRITE ? MBL_FW_WRITE : MBL_FW_READ, params[0].value.a,
			    params[1].memref.buffer, params[1].memref.size);
	}
}

/* No trusted application either: one that Linux loaded would act for whoever called it. */
static TEE_Result open_session(uint32_t types __unused, TEE_Param params[TEE_NUM_PARAMS] __unused, void **session __unused)
{
	const TEE_Identity *client = &to_ta_session(ts_get_current_session())->clnt_id;

	if (client->login != TEE_LOGIN_GROUP || memcmp(&client->uuid, &members, sizeof(members)) != 0)
		return TEE_ERROR_ACCESS_DENIED;
	return TEE_SUCCESS;
}

pseudo_ta_register(.uuid = MBL_FW_PTA_UUID, .name = "mbl-firmware", .flags = PTA_DEFAULT_FLAGS,
		   .open_session_entry_point = open_session, .invoke_command_entry_point = invoke);
