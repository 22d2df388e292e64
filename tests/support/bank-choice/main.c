/* SPDX-License-Identifier: Apache-2.0
 *
 * The secure flash of a board and what decides on it: bank-choice FLASH (FIP TRUSTED NON-TRUSTED)...
 *
 * FLASH is a file of the size of the flash; each FIP is a firmware that somebody signed, with the counters in its certificates. A bank that
 * begins with none of them is one that a loader refuses. It takes lines and answers each with one:
 *
 *   start          BL1 chooses, loaders refuse and restart, until a firmware has come up: bank=b attempt=1 firmware=0 refused=0
 *                  With "both=1" the two banks take turns, "none" when nothing came up.
 *   call F X1 X2 W a call of mbl_firmware_update.h from the world W, n or s: x0 x1 x2
 *   reset          the board restarts: "off"
 *   power          the power goes: "off"
 *   counters       what is stored: 0 0 0
 *   words AT NOW   what the log says with each word at AT that a cut may leave on the way from all ones to NOW: how many words there are,
 *                  and for each of the different states one of its words
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "boot_choice.h"
#include "firmware_state.h"
#include "flash.h"
#include "sip.h"
#include "tf-a.h"

#define MOST_FIRMWARES 8
#define MOST_STARTS 10

unsigned char host_shared[4096];
unsigned char host_secure[0x100000];
unsigned char *host_flash;
const uint32_t flash_command_end[1];
char qemu_rotpk_hash[1], qemu_rotpk_hash_end[1];

enum ending { RESTARTED = 10, PAUSED = 11, RESET = 12, POWER = 13 };

struct firmware {
	const unsigned char *bytes;
	size_t size;
	unsigned int trusted, non_trusted;
};

static struct firmware firmwares[MOST_FIRMWARES];
static int count;
/* What survives a restart: the page that BL1 leaves to the next one. */
static unsigned char *kept;

/* NOR: only an erase makes a bit 1. */
uint32_t host_flash_command(uintptr_t at, const uint32_t *words, size_t size)
{
	size_t i;

	if (words == NULL) {
		memset(host_flash + at, 0xff, FLASH_ERASE_BLOCK);
		return 0x00800080;
	}
	for (i = 0; i < size; i++)
		((uint32_t *)(host_flash + at))[i] &= words[i];
	return 0x00800080;
}

uint32_t flash_command(uintptr_t at, const uint32_t *words, size_t size)
{
	return host_flash_command(at, words, size);
}

static void __dead2 end(enum ending how)
{
	memcpy(kept, host_shared, sizeof(host_shared));
	_exit(how);
}

void board_restart(void)
{
	end(RESTARTED);
}

void plat_panic_handler(void)
{
	end(PAUSED);
}

void panic(void)
{
	end(PAUSED);
}

/* TF-A's auth_nvctr() and what follows it (drivers/auth/auth_mod.c): a verified certificate says `value`. */
static bool accepts(unsigned int certificate, const char *counter, unsigned int value)
{
	auth_img_desc_t image = { certificate };
	unsigned int least;

	if (plat_get_nv_ctr((void *)counter, &least) != 0 || value < least)
		return false;
	return value == least || plat_set_nv_ctr2((void *)counter, &image, value) == 0;
}

/* The certificates in the order in which BL1 and BL2 take them. */
static bool loads(const struct firmware *firmware)
{
	static const unsigned int trusted[] = {
		TRUSTED_BOOT_FW_CERT_ID, TRUSTED_KEY_CERT_ID, SOC_FW_KEY_CERT_ID, SOC_FW_CONTENT_CERT_ID,
		TRUSTED_OS_FW_KEY_CERT_ID, TRUSTED_OS_FW_CONTENT_CERT_ID,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(trusted); i++)
		if (!accepts(trusted[i], TRUSTED_FW_NVCOUNTER_OID, firmware->trusted))
			return false;
	return accepts(NON_TRUSTED_FW_KEY_CERT_ID, NON_TRUSTED_FW_NVCOUNTER_OID, firmware->non_trusted) &&
	       accepts(NON_TRUSTED_FW_CONTENT_CERT_ID, NON_TRUSTED_FW_NVCOUNTER_OID, firmware->non_trusted);
}

static int firmware_in(unsigned int bank)
{
	const unsigned char *bytes = host_flash + (bank == 0 ? FLASH_BANK_A : FLASH_BANK_B);
	int i;

	for (i = 0; i < count; i++)
		if (memcmp(bytes, firmwares[i].bytes, firmwares[i].size) == 0)
			return i;
	return -1;
}

static bool read_line(char *line, size_t size)
{
	size_t length = 0;

	/* Byte by byte: what is read ahead would be another process's. */
	while (length < size - 1 && read(0, line + length, 1) == 1) {
		if (line[length] == '\n') {
			line[length] = 0;
			return true;
		}
		length++;
	}
	return false;
}

static void say(const char *line)
{
	if (write(1, line, strlen(line)) < 0)
		_exit(1);
}

/* One start, in a process of its own: each has its own memory. */
static void __dead2 run(int refused, bool both)
{
	struct firmware_state state;
	char line[256];
	int found;

	memcpy(host_shared, kept, sizeof(host_shared));
	boot_choose();
	found = firmware_in(boot_choice()->bank);
	if (found < 0 || !loads(&firmwares[found]))
		plat_error_handler(-80);
	firmware_state_read(&state);
	firmware_update_setup();
	snprintf(line, sizeof(line), "bank=%c attempt=%u firmware=%d refused=%d both=%d\n", 'a' + (int)boot_choice()->bank,
		 boot_choice()->attempt, found, refused, both || firmware_state_next(&state) == NO_BANK);
	say(line);
	while (read_line(line, sizeof(line))) {
		unsigned long function, x1, x2;
		struct answer answer = { { 0 } };
		char world;

		if (strcmp(line, "reset") == 0 || strcmp(line, "power") == 0) {
			say("off\n");
			end(line[0] == 'r' ? RESET : POWER);
		}
		if (sscanf(line, "call %lx %lx %lx %c", &function, &x1, &x2, &world) != 4)
			_exit(1);
		firmware_update_call((uint32_t)function, x1, x2, 0, &answer, world == 'n');
		snprintf(line, sizeof(line), "%ld %lu %lu\n", (long)answer.x[0], (unsigned long)answer.x[1],
			 (unsigned long)answer.x[2]);
		say(line);
	}
	_exit(0);
}

static void start(void)
{
	struct firmware_state state;
	bool both = false;
	int starts;

	for (starts = 0; starts < MOST_STARTS; starts++) {
		pid_t child;
		int status;

		firmware_state_read(&state);
		both = both || firmware_state_next(&state) == NO_BANK;
		child = fork();
		if (child == 0)
			run(starts, both);
		if (child < 0 || waitpid(child, &status, 0) < 0 || !WIFEXITED(status))
			exit(1);
		switch (WEXITSTATUS(status)) {
		case RESTARTED:
		case PAUSED:
			break;
		case POWER:
			memset(kept, 0, sizeof(host_shared));
			return;
		case RESET:
			return;
		default:
			exit(WEXITSTATUS(status));
		}
	}
	say("none\n");
}

static bool same_state(const struct firmware_state *a, const struct firmware_state *b)
{
	return a->accepted == b->accepted && a->trial == b->trial && a->attempts == b->attempts &&
	       a->failed[0] == b->failed[0] && a->failed[1] == b->failed[1] && a->length == b->length;
}

static void words(unsigned long at, uint32_t now)
{
	struct firmware_state seen[64];
	uint32_t examples[64], open = ~now, left = open;
	uint32_t *word = (uint32_t *)(host_flash + at);
	const uint32_t held = *word;
	size_t different = 0, i;
	unsigned long all = 0;

	/* Every subset of the bits that were to become 0, but the two whole words. */
	for (left = (left - 1) & open; left != 0; left = (left - 1) & open) {
		struct firmware_state state;

		*word = now | left;
		firmware_state_read(&state);
		all++;
		for (i = 0; i < different; i++)
			if (same_state(&state, &seen[i]))
				break;
		if (i == different && different < ARRAY_SIZE(seen)) {
			seen[different] = state;
			examples[different++] = *word;
		}
	}
	*word = held;
	printf("%lu", all);
	for (i = 0; i < different; i++)
		printf(" %u", examples[i]);
	printf("\n");
	fflush(stdout);
}

static unsigned char *map(const char *path, int flags, size_t *size)
{
	int file = open(path, flags == MAP_SHARED ? O_RDWR : O_RDONLY);
	struct stat found;
	unsigned char *bytes;

	if (file < 0 || fstat(file, &found) != 0)
		exit(2);
	bytes = mmap(NULL, found.st_size, flags == MAP_SHARED ? PROT_READ | PROT_WRITE : PROT_READ, flags, file, 0);
	if (bytes == MAP_FAILED)
		exit(2);
	close(file);
	*size = found.st_size;
	return bytes;
}

int main(int argc, char *argv[])
{
	char line[256];
	size_t size;
	int i;

	if (argc < 2)
		return 2;
	host_flash = map(argv[1], MAP_SHARED, &size);
	for (i = 2; i + 2 < argc && count < MOST_FIRMWARES; i += 3, count++) {
		firmwares[count].bytes = map(argv[i], MAP_PRIVATE, &firmwares[count].size);
		firmwares[count].trusted = (unsigned int)atoi(argv[i + 1]);
		firmwares[count].non_trusted = (unsigned int)atoi(argv[i + 2]);
	}
	kept = mmap(NULL, sizeof(host_shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (kept == MAP_FAILED)
		return 2;
	while (read_line(line, sizeof(line))) {
		unsigned long at;
		uint32_t now;

		if (strcmp(line, "start") == 0) {
			start();
		} else if (sscanf(line, "words %lu %u", &at, &now) == 2) {
			words(at, now);
		} else if (strcmp(line, "counters") == 0) {
			snprintf(line, sizeof(line), "%u %u %u\n", firmware_counter_read(0), firmware_counter_read(1),
				 firmware_counter_read(2));
			say(line);
		} else if (strcmp(line, "power") == 0 || strcmp(line, "reset") == 0) {
			/* It is off already. */
			say("off\n");
		} else {
			return 2;
		}
	}
	return 0;
}
