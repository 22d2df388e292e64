/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An app without a C library that sets /3303/0/5700 over D-Bus (D-Bus Specification, "Message Protocol"): once a second to the time, in ms since 1970.
 * Where somebody makes /var/lib/ticker/flood it sets a thousand numbers a second for ten seconds, 1, 2, ..., and with the negative count at last.
 */
#ifndef BUS_SOCKET
#define BUS_SOCKET "/run/dbus/system_bus_socket"
#endif
#ifndef FLOOD
#define FLOOD "/var/lib/ticker/flood"
#endif

typedef unsigned long size;
typedef unsigned char byte;
typedef unsigned int word;

enum { UNLINKAT = 35, CLOSE = 57, READ = 63, WRITE = 64, EXIT_GROUP = 94, NANOSLEEP = 101, CLOCK_GETTIME = 113, SIGACTION = 134, GETUID = 174, SOCKET = 198, CONNECT = 203 };
enum { realtime = 0, monotonic = 1 };
/* The bus lets 64 calls wait for their answers. */
enum { at_once = 32, seconds = 10 };

static long call(long number, long a, long b, long c, long d)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory", "cc");
	return x0;
}

static size length(const char *text)
{
	size n = 0;
	while (text[n])
		n++;
	return n;
}

static void pause_ms(long ms)
{
	long time[2] = {ms / 1000, ms % 1000 * 1000000};
	call(NANOSLEEP, (long)time, 0, 0, 0);
}

static double now_ms(int clock)
{
	long time[2];
	call(CLOCK_GETTIME, clock, (long)time, 0, 0);
	return (double)time[0] * 1e3 + (double)time[1] / 1e6;
}

static int bus = -1;
static word serial;
static byte message[512];
static size end;

static void align(size to)
{
	while (end % to)
		message[end++] = 0;
}

static void put(const void *value, size count, size to)
{
	align(to);
	for (size i = 0; i < count; i++)
		message[end++] = ((const byte *)value)[i];
}

static void put_word(word value)
{
	put(&value, 4, 4);
}

static void put_string(const char *text)
{
	put_word((word)length(text));
	put(text, length(text) + 1, 1);
}

static void put_signature(const char *text)
{
	byte count = (byte)length(text);
	put(&count, 1, 1);
	put(text, length(text) + 1, 1);
}

static void put_field(byte code, const char *type, const char *value)
{
	align(8);
	put(&code, 1, 1);
	put_signature(type);
	if (*type == 'g')
		put_signature(value);
	else
		put_string(value);
}

static void begin_call(const char *name, const char *path, const char *member, const char *types)
{
	byte start[16] = {'l', 1, 0, 1};
	word fields;

	serial++;
	*(word *)(start + 8) = serial;
	end = 0;
	put(start, 16, 1);
	put_field(1, "o", path);
	put_field(2, "s", name);
	put_field(3, "s", member);
	put_field(6, "s", name);
	if (*types)
		put_field(8, "g", types);
	fields = (word)end - 16;
	*(word *)(message + 12) = fields;
	align(8);
}

/* `body`: where the arguments begin; they are aligned from there, which is a multiple of 8. */
static int send_call(size body)
{
	*(word *)(message + 4) = (word)(end - body);
	return call(WRITE, bus, (long)message, (long)end, 0) == (long)end ? 0 : -1;
}

static int read_all(byte *to, size count)
{
	while (count > 0) {
		long got = call(READ, bus, (long)to, (long)count, 0);
		if (got <= 0)
			return -1;
		to += got;
		count -= (size)got;
	}
	return 0;
}

/* Passes over everything but so many answers; -1 where one of them is an error. */
static int take_answers(int count)
{
	static byte rest[4096];
	int result = 0;

	while (count > 0) {
		byte start[16];
		if (read_all(start, 16))
			return -1;
		size more = (*(word *)(start + 12) + 7UL) / 8 * 8 + *(word *)(start + 4);
		while (more > 0) {
			size part = more < sizeof rest ? more : sizeof rest;
			if (read_all(rest, part))
				return -1;
			more -= part;
		}
		if (start[1] == 3)
			result = -1;
		if (start[1] == 2 || start[1] == 3)
			count--;
	}
	return result;
}

static int send_set(double value)
{
	begin_call("com.mbl.Cloud1", "/com/mbl/Cloud1", "Set", "sv");
	size body = end;
	put_string("/3303/0/5700");
	put_signature("d");
	put(&value, 8, 8);
	return send_call(body);
}

static int greet(void)
{
	static const struct {
		unsigned short family;
		char path[108];
	} address = {1, BUS_SOCKET};
	static char line[64] = "\0AUTH EXTERNAL ";
	char digits[12];
	size count = 15, digit = sizeof digits;
	byte letter = 0;

	if (call(CONNECT, bus, (long)&address, 2 + sizeof BUS_SOCKET, 0))
		return -1;
	unsigned long uid = (unsigned long)call(GETUID, 0, 0, 0, 0);
	do
		digits[--digit] = (char)('0' + uid % 10);
	while ((uid /= 10) > 0);
	for (; digit < sizeof digits; digit++) {
		line[count++] = '3';
		line[count++] = digits[digit];
	}
	line[count++] = '\r';
	line[count++] = '\n';
	if (call(WRITE, bus, (long)line, (long)count, 0) < 0)
		return -1;
	while (letter != '\n')
		if (read_all(&letter, 1))
			return -1;
	if (call(WRITE, bus, (long)"BEGIN\r\n", 7, 0) < 0)
		return -1;
	begin_call("org.freedesktop.DBus", "/org/freedesktop/DBus", "Hello", "");
	if (send_call(end) || take_answers(1))
		return -1;
	begin_call("com.mbl.Cloud1", "/com/mbl/Cloud1", "Register", "s");
	size body = end;
	put_string("");
	return send_call(body) || take_answers(1) ? -1 : 0;
}

static int flood(void)
{
	double start = now_ms(monotonic);
	int sent = 0, waiting = 0;

	for (;;) {
		double passed = now_ms(monotonic) - start;
		if (passed >= seconds * 1e3)
			break;
		if (sent >= passed) {
			pause_ms(2);
			continue;
		}
		if (waiting == at_once) {
			if (take_answers(1))
				return -1;
			waiting--;
		}
		if (send_set(++sent))
			return -1;
		waiting++;
	}
	return take_answers(waiting) || send_set(-(sent + 1)) || take_answers(1) ? -1 : 0;
}

static void finish(int signal)
{
	(void)signal;
	call(EXIT_GROUP, 0, 0, 0, 0);
}

static void run(void)
{
	struct {
		void (*handler)(int);
		unsigned long flags, mask;
	} action = {finish, 0, 0}, ignored = {(void (*)(int))1, 0, 0};
	static const char failed[] = "told that it cannot be set\n";

	call(SIGACTION, 15, (long)&action, 0, 8);
	/* A bus that ended is seen by what a write returns. */
	call(SIGACTION, 13, (long)&ignored, 0, 8);
	for (;;) {
		int bad = 0;
		if (bus < 0) {
			bus = (int)call(SOCKET, 1, 1, 0, 0);
			bad = greet();
		}
		if (!bad && call(UNLINKAT, -100, (long)FLOOD, 0, 0) == 0) {
			pause_ms(2000);
			bad = flood();
			pause_ms(5000);
		} else if (!bad) {
			bad = send_set(now_ms(realtime)) || take_answers(1);
		}
		if (bad) {
			call(WRITE, 1, (long)failed, sizeof failed - 1, 0);
			call(CLOSE, bus, 0, 0, 0);
			bus = -1;
		}
		pause_ms(1000);
	}
}

__asm__(".globl _start\n_start:\n\tbl begin");

__attribute__((used)) void begin(void)
{
	run();
}
