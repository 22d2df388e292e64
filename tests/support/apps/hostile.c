/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An app that takes what it can get, without a C library. It says what it does, and for each thing that ends a number and the error that ended it.
 *
 *   hostile obey          does what /var/lib/ticker/mode says, then waits until it is told to end; where that file is not there it only waits
 *   hostile MODE [PATH...]  does that in another process of the same container, and ends:
 *     processes           makes processes that make processes, for ever
 *     memory              touches memory, for ever
 *     fill                one file, then many, until the volume is full
 *     processor           eight processes that never wait
 *     log                 lines, for ever
 *     links               in the volume: ways out of it, a name that is no UTF-8, folders nested deeper than a path can be long
 *     read PATH...        reads each file to its end
 *     write PATH...       opens each to write
 *     list PATH           counts the entries of a folder whose names are numbers
 */
#include "../../../os/native/system.h"

/* Linux include/uapi/asm-generic/unistd.h. */
enum { SYS_MKDIRAT = 34, SYS_UNLINKAT = 35, SYS_SYMLINKAT = 36, SYS_LINKAT = 37, SYS_CHDIR = 49, SYS_GETDENTS64 = 61, SYS_NANOSLEEP = 101,
       SYS_SIGACTION = 134, SYS_MMAP = 222 };
enum { CREATE = 0100, TRUNCATE = 01000, SIGNAL_CHILD = 17, SIGNAL_TERM = 15 };
#define FOLDER "/var/lib/ticker/"

static char memory[1 << 16] __attribute__((aligned(16)));

static void result(const char *what, uint64_t count, long code)
{
	say(1, what);
	say(1, " ");
	say_number(1, count);
	say(1, " error ");
	say_number(1, (uint64_t)(code < 0 ? -code : 0));
	say(1, "\n");
}

static long open_to(const char *path, long flags)
{
	return call(SYS_OPENAT, AT_FDCWD, (long)path, flags, 0644);
}

static long fork_once(void)
{
	return call5(SYS_CLONE, SIGNAL_CHILD, 0, 0, 0, 0);
}

static void processes(void)
{
	uint64_t made = 0;
	int told = 0;

	for (;;) {
		const long child = fork_once();

		if (child > 0)
			made++;
		else if (child == 0)
			told = 1;
		else if (!told++)
			result("processes", made, child);
	}
}

/* MAP_PRIVATE | MAP_ANONYMOUS. */
static long map(long size)
{
	register long x8 __asm__("x8") = SYS_MMAP;
	register long x0 __asm__("x0") = 0;
	register long x1 __asm__("x1") = size;
	register long x2 __asm__("x2") = 3;
	register long x3 __asm__("x3") = 0x22;
	register long x4 __asm__("x4") = -1;
	register long x5 __asm__("x5") = 0;

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory", "cc");
	return x0;
}

static void touch_memory(void)
{
	const long size = 1 << 20;

	for (uint64_t made = 0;; made++) {
		const long at = map(size);

		if (at < 0 && at > -4096) {
			result("memory", made, at);
			return;
		}
		for (long byte = 0; byte < size; byte += 4096)
			((volatile char *)at)[byte] = 1;
	}
}

static void fill(void)
{
	const char *const file = FOLDER "fill";
	const long to = open_to(file, O_WRONLY | CREATE | TRUNCATE);
	uint64_t bytes = 0, files = 0;
	long done;

	while ((done = call(SYS_WRITE, to, (long)memory, sizeof(memory), 0)) > 0)
		bytes += (uint64_t)done;
	result("bytes", bytes, done);
	call(SYS_CLOSE, to, 0, 0, 0);
	call(SYS_UNLINKAT, AT_FDCWD, (long)file, 0, 0);
	for (;;) {
		char name[] = FOLDER "f00000";
		char *digit = name + sizeof(name) - 2;

		for (uint64_t rest = files; rest > 0; rest /= 10)
			*digit-- = (char)('0' + rest % 10);
		done = open_to(name, O_WRONLY | CREATE);
		if (done < 0)
			break;
		call(SYS_CLOSE, done, 0, 0, 0);
		files++;
	}
	result("files", files, done);
}

static void processor(void)
{
	for (int made = 1; made < 8; made++)
		if (fork_once() == 0)
			break;
	for (;;)
		__asm__ volatile("");
}

static void log_on(void)
{
	for (uint64_t line = 0;; line++)
		result("a line that nobody asked for", line, 0);
}

static void links(void)
{
	static const char *const ways[][2] = {
		{ "/etc/shadow", FOLDER "shadow" },
		{ "/config/identity", FOLDER "identity" },
		{ "../../../../../config/identity/key.pem", FOLDER "key" },
		{ "/data/apps/installed", FOLDER "installed" },
		{ "/", FOLDER "root" },
	};
	char name[201];

	for (size_t at = 0; at < sizeof(ways) / sizeof(*ways); at++)
		result("link", at, call(SYS_SYMLINKAT, (long)ways[at][0], AT_FDCWD, (long)ways[at][1], 0));
	result("hard link", 0, call5(SYS_LINKAT, AT_FDCWD, (long)"/version", AT_FDCWD, (long)FOLDER "version", 0));
	open_to(FOLDER "\xff\xfe", O_WRONLY | CREATE);
	for (size_t at = 0; at < sizeof(name) - 1; at++)
		name[at] = 'd';
	name[sizeof(name) - 1] = 0;
	call(SYS_CHDIR, (long)FOLDER, 0, 0, 0);
	uint64_t deep = 0;
	long done = 0;
	while (deep < 30 && done >= 0) {
		call(SYS_SYMLINKAT, (long)"/config/identity", AT_FDCWD, (long)"out", 0);
		done = call(SYS_MKDIRAT, AT_FDCWD, (long)name, 0700, 0);
		if (done >= 0)
			done = call(SYS_CHDIR, (long)name, 0, 0, 0);
		deep++;
	}
	result("deep", deep, done);
	call(SYS_CHDIR, (long)"/", 0, 0, 0);
}

static void read_all(const char *path)
{
	const long file = open_to(path, 0);
	uint64_t bytes = 0;
	long done = file;

	if (file >= 0) {
		while ((done = call(SYS_READ, file, (long)memory, sizeof(memory), 0)) > 0)
			bytes += (uint64_t)done;
		call(SYS_CLOSE, file, 0, 0, 0);
	}
	result(path, bytes, done);
}

static void list(const char *path)
{
	const long folder = open_to(path, O_DIRECTORY);
	uint64_t found = 0;
	long got;

	/* struct linux_dirent64: the length of an entry is at 16, its name at 19. */
	while ((got = call(SYS_GETDENTS64, folder, (long)memory, sizeof(memory), 0)) > 0)
		for (long at = 0; at < got; at += *(const uint16_t *)(memory + at + 16))
			if (memory[at + 19] >= '0' && memory[at + 19] <= '9')
				found++;
	result(path, found, folder < 0 ? folder : got);
}

static void act(const char *mode, char *const *paths)
{
	if (same(mode, "processes"))
		processes();
	else if (same(mode, "memory"))
		touch_memory();
	else if (same(mode, "fill"))
		fill();
	else if (same(mode, "processor"))
		processor();
	else if (same(mode, "log"))
		log_on();
	else if (same(mode, "links"))
		links();
	else
		for (; *paths != 0; paths++)
			if (same(mode, "read"))
				read_all(*paths);
			else if (same(mode, "write"))
				result(*paths, 0, open_to(*paths, O_WRONLY));
			else
				list(*paths);
}

static void end(int signal)
{
	(void)signal;
	leave(DONE);
}

__attribute__((used)) _Noreturn static void start(const long *stack)
{
	char *const *words = (char *const *)(stack + 1);
	/* Process 1 of a container is ended by no signal for which it has no handler (pid_namespaces(7)). */
	const struct {
		void (*handler)(int);
		unsigned long flags, mask;
	} action = { end, 0, 0 };
	const int64_t hour[2] = { 3600, 0 };
	char mode[16];

	if (stack[0] < 2)
		leave(MISUSED);
	if (!same(words[1], "obey")) {
		act(words[1], words + 2);
		leave(DONE);
	}
	call(SYS_SIGACTION, SIGNAL_TERM, (long)&action, 0, 8);
	const long file = open_to(FOLDER "mode", 0);
	const long size = file < 0 ? 0 : call(SYS_READ, file, (long)mode, sizeof(mode) - 1, 0);
	mode[size < 0 ? 0 : size] = 0;
	call(SYS_CLOSE, file, 0, 0, 0);
	say(1, "hostile ");
	say(1, size > 0 ? mode : "waits");
	say(1, "\n");
	act(mode, words + stack[0]);
	for (;;)
		call(SYS_NANOSLEEP, (long)hour, 0, 0, 0);
}

__asm__(".globl _start\n_start:\n\tmov x0, sp\n\tb start\n");
