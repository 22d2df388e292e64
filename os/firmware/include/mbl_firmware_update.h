/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MBL_FIRMWARE_UPDATE_H
#define MBL_FIRMWARE_UPDATE_H
/*
 * What BL31 does for boot firmware: two banks, one of which runs, and counters that only rise. Fast calls of 64 bits in the range of the
 * silicon provider (SMC Calling Convention, Arm DEN 0028, §6): x0 the function, x1 to x3 the arguments; back come in x0 0 or one of the
 * errors, in x1 and x2 what is asked for. Nothing but numbers: TF-A, OP-TEE and U-Boot include it.
 */

/* From any world. x1: a word of MBL_FW_STATUS_*; x2: the size of a bank in bytes. */
#define MBL_FW_STATUS			0xC2004D00
/* From any world. Takes one of MBL_FW_COUNTER_*. x1: what is stored; x2: what will be, once the running bank is confirmed. */
#define MBL_FW_COUNTER			0xC2004D01
/* From the normal world, once a start: the operating system that starts has this index. Denied below what is stored. */
#define MBL_FW_OS_STARTS		0xC2004D02
/* From the secure world, as are all that follow. The running bank is accepted, then what is pending is stored. May be repeated. */
#define MBL_FW_CONFIRM			0xC2004D03
/* Takes a bank, which must be the idle one: on trial from the next reset, for MBL_FW_ATTEMPTS starts. */
#define MBL_FW_TRY			0xC2004D04
/*
 * Takes an offset in the idle bank, a physical address in OP-TEE's memory, a length. Writes, erases where needed, reads back. Denied while
 * a trial is asked for or runs. The offset is a multiple of MBL_FW_ERASE_BLOCK; the length at most MBL_FW_MOST_BYTES.
 */
#define MBL_FW_WRITE			0xC2004D05
/* Ends a trial that was asked for or runs: the accepted bank from the next reset on. */
#define MBL_FW_REJECT			0xC2004D06
/*
 * Takes what MBL_FW_WRITE takes; the offset need not be a multiple. Gives what the idle bank holds, and from the size of a bank on what the
 * running one does.
 */
#define MBL_FW_READ			0xC2004D07
/*
 * Takes the offset of an erase block: the idle bank gets that block from the running one. Offsets go from 0 to the end, one after the other;
 * with the last one the idle bank counts as good again. Denied where MBL_FW_WRITE is, and after it until the next start. x1: 1 where the block
 * was another one.
 */
#define MBL_FW_COPY			0xC2004D08

/* Bits of the word of MBL_FW_STATUS. */
#define MBL_FW_STATUS_BANK		0x1
#define MBL_FW_STATUS_TRIAL		0x2
#define MBL_FW_STATUS_ATTEMPTS_SHIFT	8
#define MBL_FW_STATUS_ATTEMPTS_MASK	0xff
/* Confirmed since this start. */
#define MBL_FW_STATUS_CONFIRMED		0x10000

#define MBL_FW_BANK_A			0
#define MBL_FW_BANK_B			1

#define MBL_FW_COUNTER_TRUSTED		0
#define MBL_FW_COUNTER_NON_TRUSTED	1
#define MBL_FW_COUNTER_OS		2
#define MBL_FW_COUNTERS			3

#define MBL_FW_ATTEMPTS			3
#define MBL_FW_ERASE_BLOCK		0x40000
#define MBL_FW_MOST_BYTES		0x40000

#define MBL_FW_OK			0
#define MBL_FW_UNKNOWN			(-1)
#define MBL_FW_INVALID			(-2)
#define MBL_FW_DENIED			(-3)
/* The flash failed, or holds other bytes than were written. */
#define MBL_FW_IO			(-6)

#endif
