// SPDX-License-Identifier: Apache-2.0
//
// What Node cannot do on the device, a subcommand each. It reads its arguments and, to write a bank, bytes that it hands on unseen: nothing
// from the network is parsed here.
//
//   mbl-native firmware ...    the boot firmware: firmware.h
//   mbl-native verity ...      files that cannot change: app.h
//   mbl-native app ...         images of apps: app.h
//   mbl-native quota ...       what a folder may hold: quota.h

#include "app.h"
#include "firmware.h"
#include "quota.h"
#include "system.h"

void *memset(void *to, int byte, size_t size)
{
	char *next = to;

	while (size-- > 0)
		*next++ = (char)byte;
	return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
	char *next = to;
	const char *source = from;

	while (size-- > 0)
		*next++ = *source++;
	return to;
}

/* What the kernel leaves on the stack: the number of arguments, then the arguments. */
__attribute__((used)) _Noreturn static void start(const long *stack)
{
	int count = (int)stack[0];
	char *const *arguments = (char *const *)(stack + 1);

	if (count >= 3 && same(arguments[1], "firmware"))
		firmware(count - 2, arguments + 2);
	if (count >= 3 && same(arguments[1], "verity"))
		verity(count - 2, arguments + 2);
	if (count >= 3 && same(arguments[1], "app"))
		app(count - 2, arguments + 2);
	if (count >= 3 && same(arguments[1], "quota"))
		quota(count - 2, arguments + 2);
	fail(MISUSED,
	     "usage: mbl-native firmware status|counter N|confirm|try a|b|write OFFSET|read OFFSET LENGTH|reject|copy\n"
	     "       mbl-native verity enable FILE|measure FILE\n"
	     "       mbl-native app mount FILE DIGEST FOLDER [ID COUNT] [then COMMAND...]|unmount FOLDER\n"
	     "       mbl-native quota set FOLDER PROJECT BYTES FILES|leave FILE",
	     0);
}

__asm__(".globl _start\n_start:\n\tmov x0, sp\n\tb start\n");
