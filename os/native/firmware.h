/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MBL_FIRMWARE_H
#define MBL_FIRMWARE_H
/*
 * The boot firmware, by OP-TEE's pseudo application: mbl_firmware_pta.h.
 *
 *   status              prints: bank=a trial=0 attempts=0 confirmed=1 size=4194304
 *   counter N           prints: stored=0 pending=0
 *   confirm             the running bank is accepted, what is pending in the counters is stored
 *   try a|b             the idle bank starts at the next reset, on trial
 *   write OFFSET <file  the idle bank from OFFSET on, to the end of the input
 *   read OFFSET LENGTH  prints these bytes of the idle bank; the running bank is behind it
 *   reject              ends a trial
 *   copy                the idle bank becomes what the running one is; prints how many blocks were others: copied=4
 */

/* Carries out one subcommand, given with its arguments, and ends the program; returns where there is none of that name. */
void firmware(int count, char *const *arguments);

#endif
