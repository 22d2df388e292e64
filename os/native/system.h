/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MBL_SYSTEM_H
#define MBL_SYSTEM_H
/*
 * The little of a system that mbl-native needs, without a C library: the toolbox has none for the device, and this helper is to hold nothing
 * that nobody reads. System calls of 64-bit Arm (Linux include/uapi/asm-generic/unistd.h); a negative result is an error number.
 */
#include <stddef.h>
#include <stdint.h>

/* Compilers make calls of these from plain code: mbl-native.c. */
void *memset(void *to, int byte, size_t size);
void *memcpy(void *restrict to, const void *restrict from, size_t size);

enum { SYS_IOCTL = 29, SYS_OPENAT = 56, SYS_READ = 63, SYS_WRITE = 64, SYS_EXIT_GROUP = 94, SYS_SETREGID = 143 };

#define AT_FDCWD (-100)
#define O_RDWR 02
#define O_CLOEXEC 02000000
#define EINTR 4

static inline long call(long number, long a, long b, long c, long d)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory", "cc");
	return x0;
}

/* How a program ends. Callers on the device tell these apart. */
enum ending {
	DONE = 0,
	/* The system failed: the message says what and with which error number. */
	FAILED = 1,
	/* Called with other arguments than it has. */
	MISUSED = 2,
	/* The secure world refused: not now, or not this. */
	DENIED = 3,
	/* The secure world does not know the call: this board has no banks. */
	ABSENT = 4,
};

_Noreturn static inline void leave(enum ending ending)
{
	for (;;)
		call(SYS_EXIT_GROUP, ending, 0, 0, 0);
}

static inline size_t length_of(const char *text)
{
	size_t length = 0;

	while (text[length] != 0)
		length++;
	return length;
}

static inline int same(const char *a, const char *b)
{
	while (*a != 0 && *a == *b)
		a++, b++;
	return *a == *b;
}

/* All of it, or it ends the program. */
static inline void put(int file, const void *bytes, size_t size)
{
	const char *next = bytes;

	while (size > 0) {
		long written = call(SYS_WRITE, file, (long)next, (long)size, 0);

		if (written == -EINTR)
			continue;
		if (written <= 0)
			leave(FAILED);
		next += written;
		size -= (size_t)written;
	}
}

static inline void say(int file, const char *text)
{
	put(file, text, length_of(text));
}

static inline void say_number(int file, uint64_t number)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + number % 10);
	while ((number /= 10) != 0);
	put(file, digits + at, sizeof(digits) - at);
}

_Noreturn static inline void fail(enum ending ending, const char *what, long code)
{
	say(2, "mbl-native: ");
	say(2, what);
	if (code != 0) {
		say(2, ": error ");
		say_number(2, (uint64_t)(code < 0 ? -code : code));
	}
	say(2, "\n");
	leave(ending);
}

#endif
