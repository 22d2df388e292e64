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

enum {
	SYS_IOCTL = 29,
	SYS_UMOUNT2 = 39,
	SYS_OPENAT = 56,
	SYS_CLOSE = 57,
	SYS_PIPE2 = 59,
	SYS_READ = 63,
	SYS_WRITE = 64,
	SYS_EXIT_GROUP = 94,
	SYS_SETREGID = 143,
	SYS_GETPID = 172,
	SYS_CLONE = 220,
	SYS_EXECVE = 221,
	SYS_WAIT4 = 260,
	SYS_MOVE_MOUNT = 429,
	SYS_FSOPEN = 430,
	SYS_FSCONFIG = 431,
	SYS_FSMOUNT = 432,
	SYS_MOUNT_SETATTR = 442,
	SYS_QUOTACTL_FD = 443,
};

#define AT_FDCWD (-100)
#define O_RDWR 02
#define O_WRONLY 01
/* These two are Arm's (Linux arch/arm64/include/uapi/asm/fcntl.h). */
#define O_DIRECTORY 040000
#define O_NOFOLLOW 0100000
#define O_CLOEXEC 02000000
#define ENOENT 2
#define ESRCH 3
#define EINTR 4
#define EEXIST 17
#define EINVAL 22
#define ENOTTY 25
#define ETXTBSY 26
#define ENOSYS 38
#define ENODATA 61
#define EOVERFLOW 75
#define EOPNOTSUPP 95

static inline long call5(long number, long a, long b, long c, long d, long e)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory", "cc");
	return x0;
}

static inline long call(long number, long a, long b, long c, long d)
{
	return call5(number, a, b, c, d, 0);
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
	/* This board does not have it: the secure world does not know the call, the file system keeps no digests or quotas. */
	ABSENT = 4,
	/* The file is not the one that was asked for: fs-verity gives another digest. */
	DIFFERENT = 5,
	/* Nothing measures the file: fs-verity is not enabled on it. */
	UNMEASURED = 6,
	/* Somebody has the file open to write to it. */
	BUSY = 7,
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

/* Decimal digits, nothing else, and no more than `most`; or it ends the program. */
static inline uint64_t number(const char *text, uint64_t most)
{
	uint64_t value = 0;
	size_t at = 0;

	for (; text[at] >= '0' && text[at] <= '9'; at++) {
		const uint64_t digit = (uint64_t)(text[at] - '0');

		if (digit > most || value > (most - digit) / 10)
			fail(MISUSED, "that number is too large", 0);
		value = value * 10 + digit;
	}
	if (at == 0 || text[at] != 0)
		fail(MISUSED, "that is no number", 0);
	return value;
}

#endif
