/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef MBL_FIRMWARE_PTA_H
#define MBL_FIRMWARE_PTA_H
/*
 * What Linux asks of OP-TEE for the boot firmware: the commands of a pseudo trusted application, which hands each on to BL31
 * (mbl_firmware_update.h). A session is opened with the login of a group (GlobalPlatform TEE Client API, §4.5.2): MBL_FW_GROUP.
 */

/* c1991705-a070-4f07-8303-958cbd8610d7, as OP-TEE has it and as the bytes that Linux's driver takes. */
#define MBL_FW_PTA_UUID { 0xc1991705, 0xa070, 0x4f07, { 0x83, 0x03, 0x95, 0x8c, 0xbd, 0x86, 0x10, 0xd7 } }
#define MBL_FW_PTA_UUID_BYTES \
	{ 0xc1, 0x99, 0x17, 0x05, 0xa0, 0x70, 0x4f, 0x07, 0x83, 0x03, 0x95, 0x8c, 0xbd, 0x86, 0x10, 0xd7 }

/* The number of the group mbl-firmware: os/rootfs/policy.yaml. */
#define MBL_FW_GROUP			131

/* Out: value (word of MBL_FW_STATUS_*, bytes of a bank). */
#define MBL_FW_PTA_STATUS		0
/* In: value (counter). Out: value (stored, pending). */
#define MBL_FW_PTA_COUNTER		1
#define MBL_FW_PTA_CONFIRM		2
/* In: value (bank). */
#define MBL_FW_PTA_TRY			3
/* In: value (offset), memory of at most MBL_FW_MOST_BYTES. */
#define MBL_FW_PTA_WRITE		4
#define MBL_FW_PTA_REJECT		5
/* In: value (offset). Out: memory of at most MBL_FW_MOST_BYTES, filled to its end. */
#define MBL_FW_PTA_READ			6
/* In: value (offset). Out: value (whether the block was another one). */
#define MBL_FW_PTA_COPY			7

#endif
