// SPDX-License-Identifier: GPL-2.0-or-later
//
// The command mbl_boot: chooses a slot by the boot state, starts its signed FIT, and slows down a board that fails again and again.
//
//   mbl_boot <interface> <device> <address>
//
// The boot state is a sector of text in the partition "state", in two copies: the valid one with the higher sequence number holds.
//
//   MBL-BOOT 1 <sequence, 10 digits> <first: a|b> <tried: a|b> <attempts of a, 2 digits> <attempts of b, 2 digits>
//
// Nobody signs it, and it only chooses among what is signed: a wrong state costs a pause, never the boot. Linux sets a slot's attempts
// back to 0 when the boot has proved good.
//
// A FIT that is signed may still be too old: its configuration has a rollback index, under the signature, which must not be below the one
// that BL31 keeps for the operating system (mbl_firmware_update.h). BL31 hears of it just before the kernel starts, and stores it once Linux
// has confirmed the boot.

#include <blk.h>
#include <bootm.h>
#include <command.h>
#include <image.h>
#include <mapmem.h>
#include <mbl_firmware_update.h>
#include <memalign.h>
#include <part.h>
#include <vsprintf.h>
#include <linux/arm-smccc.h>
#include <linux/ctype.h>
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/sizes.h>
#include <linux/string.h>

#define SECTOR 512
#define TEXT "MBL-BOOT 1 %010llu %c %c %02u %02u\n"
#define TEXT_LENGTH 32
/* Copies on different pages of 4 KiB: what damages one leaves the other. */
static const lbaint_t copies[] = { 0, 8 };

#define LAST_SEQUENCE 9999999999ULL

/* So often a slot may fail before the other one comes first, and before the board takes its time. */
#define ATTEMPTS 3
#define MOST_ATTEMPTS 99
#define LONGEST_PAUSE 300

/* Nobody signs the GPT, and U-Boot runs at the end of memory: what is read before it is verified must not reach there. */
#define LARGEST_FIT SZ_64M

struct boot_state {
	unsigned long long sequence;
	/* Slots are 0 (a) and 1 (b). */
	unsigned int first;
	unsigned int tried;
	unsigned int attempts[2];
	/* The copy that holds; the other one is written next. */
	unsigned int copy;
};

static char slot_name(unsigned int slot)
{
	return slot == 0 ? 'a' : 'b';
}

/* Accepts only what TEXT prints: reading and printing again must give the same sector. */
static bool parse_state(const char *sector, struct boot_state *state)
{
	char again[TEXT_LENGTH + 1];
	int i;

	for (i = TEXT_LENGTH; i < SECTOR; i++) {
		if (sector[i] != 0)
			return false;
	}
	state->sequence = simple_strtoull(sector + 11, NULL, 10);
	state->first = sector[22] == 'b';
	state->tried = sector[24] == 'b';
	state->attempts[0] = dectoul(sector + 26, NULL);
	state->attempts[1] = dectoul(sector + 29, NULL);
	snprintf(again, sizeof(again), TEXT, state->sequence, slot_name(state->first), slot_name(state->tried),
		 state->attempts[0], state->attempts[1]);
	return memcmp(again, sector, TEXT_LENGTH) == 0;
}

static void read_state(struct blk_desc *disk, struct boot_state *state)
{
	ALLOC_CACHE_ALIGN_BUFFER(char, sector, SECTOR + 1);
	struct disk_partition partition;
	struct boot_state found;
	unsigned int copy;

	memset(state, 0, sizeof(*state));
	if (part_get_info_by_name(disk, "state", &partition) < 0) {
		printf("MBL: the disk has no partition for the boot state\n");
		return;
	}
	for (copy = 0; copy < ARRAY_SIZE(copies); copy++) {
		/* The end for the readers of digits. */
		sector[SECTOR] = 0;
		if (blk_dread(disk, partition.start + copies[copy], 1, sector) != 1)
			continue;
		if (parse_state(sector, &found) && found.sequence > state->sequence) {
			*state = found;
			state->copy = copy;
		}
	}
}

static void write_state(struct blk_desc *disk, struct boot_state *state)
{
	ALLOC_CACHE_ALIGN_BUFFER(char, sector, SECTOR);
	struct disk_partition partition;
	bool last = state->sequence >= LAST_SEQUENCE;

	if (part_get_info_by_name(disk, "state", &partition) < 0)
		return;
	state->sequence = last ? 1 : state->sequence + 1;
	state->copy = 1 - state->copy;
	memset(sector, 0, SECTOR);
	snprintf(sector, SECTOR, TEXT, state->sequence, slot_name(state->first), slot_name(state->tried),
		 state->attempts[0], state->attempts[1]);
	if (blk_dwrite(disk, partition.start + copies[state->copy], 1, sector) != 1)
		printf("MBL: the boot state cannot be written\n");
	/* Beside the last number no other would ever hold. */
	if (last)
		blk_dwrite(disk, partition.start + copies[1 - state->copy], 1, sector);
}

static void count_attempt(struct boot_state *state, unsigned int slot)
{
	if (state->attempts[slot] < MOST_ATTEMPTS)
		state->attempts[slot]++;
}

/* 2, 4, 8, ... seconds for 1, 2, 3, ... failed attempts. */
static unsigned int pause_after(unsigned int attempts)
{
	return attempts < 9 ? min(1U << attempts, (unsigned int)LONGEST_PAUSE) : LONGEST_PAUSE;
}

static void wait_seconds(unsigned int seconds)
{
	/* Feeds the watchdog. */
	while (seconds-- > 0)
		mdelay(1000);
}

/* Reads the FIT of a slot to `fit`. Its size and that of its partition are unsigned: LARGEST_FIT bounds both. */
static bool load_fit(struct blk_desc *disk, unsigned int slot, void *fit)
{
	char name[] = { 'b', 'o', 'o', 't', '_', slot_name(slot), 0 };
	struct disk_partition partition;
	lbaint_t sectors;

	if (part_get_info_by_name(disk, name, &partition) < 0 || partition.blksz != SECTOR)
		return false;
	if (blk_dread(disk, partition.start, 1, fit) != 1 || fdt_magic(fit) != FDT_MAGIC)
		return false;
	sectors = DIV_ROUND_UP((lbaint_t)fdt_totalsize(fit), SECTOR);
	if (sectors > partition.size || sectors > LARGEST_FIT / SECTOR)
		return false;
	return blk_dread(disk, partition.start, sectors, fit) == sectors;
}

/* What the FIT that is being started says. */
static u32 starting_index;

static long firmware_call(ulong function, ulong argument, ulong *value)
{
	struct arm_smccc_res result;

	arm_smccc_smc(function, argument, 0, 0, 0, 0, 0, 0, &result);
	if (value != NULL)
		*value = result.a1;
	return (long)result.a0;
}

/* Whether the FIT is signed and not too old. do_bootm() takes the same configuration, verifies it once more, and then what it names. */
static bool accept_fit(const void *fit)
{
	const fdt32_t *index;
	ulong stored = 0;
	int configuration, length;
	long result;

	if (fit_check_format(fit, IMAGE_SIZE_INVAL) != 0)
		return false;
	configuration = fit_conf_get_node(fit, NULL);
	if (configuration < 0 || fit_config_verify(fit, configuration) != 0)
		return false;
	index = fdt_getprop(fit, configuration, "rollback-index", &length);
	if (index != NULL && length != sizeof(*index))
		return false;
	starting_index = index == NULL ? 0 : fdt32_to_cpu(*index);
	result = firmware_call(MBL_FW_COUNTER, MBL_FW_COUNTER_OS, &stored);
	/* A BL31 that keeps no counters comes with the same signed package as this. */
	if (result == MBL_FW_UNKNOWN)
		return true;
	if (result == MBL_FW_OK && starting_index >= stored)
		return true;
	printf("MBL: rollback index %u, stored %lu: too old\n", starting_index, stored);
	return false;
}

/* Called by U-Boot when the kernel is about to start and nothing can go wrong here any more. */
void board_quiesce_devices(void)
{
	long result = firmware_call(MBL_FW_OS_STARTS, starting_index, NULL);

	if (result == MBL_FW_OK || result == MBL_FW_UNKNOWN)
		return;
	printf("MBL: this start is refused: %ld\n", result);
	do_reset(NULL, 0, 0, NULL);
}

static int do_mbl_boot(struct cmd_tbl *cmdtp, int flag, int argc, char *const argv[])
{
	char *bootm[] = { "bootm", NULL, NULL };
	struct boot_state state;
	struct blk_desc *disk;
	unsigned int chosen, i, waited = 0;
	void *fit;

	if (argc != 4)
		return CMD_RET_USAGE;
	bootm[1] = argv[3];
	disk = blk_get_dev(argv[1], dectoul(argv[2], NULL));
	if (disk == NULL || disk->blksz != SECTOR) {
		printf("MBL: there is no disk %s %s\n", argv[1], argv[2]);
		wait_seconds(pause_after(ATTEMPTS));
		return CMD_RET_FAILURE;
	}
	fit = map_sysmem(hextoul(argv[3], NULL), 0);
	read_state(disk, &state);
	chosen = state.first;
	if (state.attempts[chosen] >= ATTEMPTS && state.attempts[chosen] > state.attempts[1 - chosen])
		chosen = 1 - chosen;

	for (i = 0; i < 2; i++) {
		unsigned int slot = i == 0 ? chosen : 1 - chosen;
		unsigned int failed = state.attempts[slot];

		printf("MBL: trying boot_%c\n", slot_name(slot));
		if (!load_fit(disk, slot, fit)) {
			printf("MBL: boot_%c holds no FIT\n", slot_name(slot));
			count_attempt(&state, slot);
		} else if (!accept_fit(fit)) {
			count_attempt(&state, slot);
		} else {
			if (failed >= ATTEMPTS) {
				waited = pause_after(failed);
				printf("MBL: boot_%c was started %u times and never proved good: waiting %u s\n",
				       slot_name(slot), failed, waited);
				wait_seconds(waited);
			}
			state.tried = slot;
			count_attempt(&state, slot);
			write_state(disk, &state);
			do_bootm(cmdtp, 0, 2, bootm);
		}
		printf("MBL: refused boot_%c\n", slot_name(slot));
	}
	write_state(disk, &state);
	if (waited == 0) {
		waited = pause_after(min(state.attempts[0], state.attempts[1]));
		printf("MBL: no slot can be started: waiting %u s\n", waited);
		wait_seconds(waited);
	}
	return CMD_RET_FAILURE;
}

U_BOOT_CMD(mbl_boot, 4, 0, do_mbl_boot, "start the slot that the boot state names", "<interface> <device> <address>");
